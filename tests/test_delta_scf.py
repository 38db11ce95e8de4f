"""Excited states by promoting an electron: against PySCF, closed formulas, and VASP's inputs read back."""

import numpy as np
import pytest
from levels_example import level, report, vacancy
from pymatgen.core import IStructure, Lattice
from pymatgen.io.vasp.inputs import Incar
from vasp_example import VASP, install, models
from vasp_example import calculation as vasp_calculation

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.excitations import (
    Carrier,
    NeutralExcitation,
    Promotion,
    VerticalExcitation,
    carriers,
    promotion,
    warnings_of,
)
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines import engine_named
from midgap.workflows.excitation import ExcitationFlowMaker
from midgap.workflows.flows import LevelFlowMaker

NOBODY = Carrier(band=1, spin="up", energy_eV=0.0)


def two_spins(occupations, model=None, first_band=0, moment=1.0):
    """Bands an eV apart, one a site."""
    structure = (model or vacancy(0)).structure
    bands = np.shape(occupations)[1]
    weights = np.zeros((2, 1, bands, len(structure)))
    for band in range(bands):
        weights[:, 0, band, band % len(structure)] = 1.0
    return ElectronicStructure(
        structure=structure,
        theory=LevelOfTheory.named("pbe"),
        provenance=Provenance(engine="none"),
        kpoints_frac=np.zeros((1, 3)),
        k_weights=np.ones(1),
        eigenvalues_eV=np.tile(np.arange(bands, dtype=float), (2, 1, 1)),
        occupations=np.asarray(occupations, dtype=float)[:, None],
        site_weights=weights,
        n_electrons=float(np.sum(occupations)) + 2 * first_band,
        magnetization_muB=moment,
        first_band=first_band,
    )


UP, DOWN = [1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0]
"""Band 4 up is a level with one electron, band 4 down its empty partner; in both cases 10 bands lie below."""


def of_vacancy():
    levels = [
        level(2.4, 1, spin=spin).model_copy(update={"band_index": 14, "degeneracy": 1, "occupation": filled})
        for spin, filled in (("up", 1.0), ("down", 0.0))
    ]
    resonant = levels[1].model_copy(update={"kind": "resonant", "band_index": 12, "occupation": 1.0})
    found = report(vacancy(0), 4.2, resonant, *levels)
    return found.model_copy(update={"spin_orbit": False, "spin_polarized": True}), two_spins([UP, DOWN], first_band=10)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("level 1", "CBM", Promotion(from_band=14, to_band=15, spin="up")),
        ("1", "cbm", Promotion(from_band=14, to_band=15, spin="up")),
        ("VBM", "level 2", Promotion(from_band=13, to_band=14, spin="down")),
        ("VBM", "CBM", Promotion(from_band=13, to_band=15, spin="up")),
    ],
)
def test_bands_are_named_by_levels(start, end, expected):
    assert promotion(*of_vacancy(), start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [
        ("HOMO", "CBM", "no place of an electron"),
        ("level 3", "CBM", "has 2 level"),
        ("level 1", "level 2", "different spins"),
        ("VBM", "level 1", "no electron from a filled band to an empty one"),
        ("CBM", "VBM", "no electron from a filled band to an empty one"),
    ],
)
def test_what_cannot_be_promoted_is_refused(start, end, complaint):
    with pytest.raises(InputError, match=complaint):
        promotion(*of_vacancy(), start, end)


def test_where_electron_and_hole_are():
    moved = Promotion(from_band=13, to_band=16, spin="up")
    excited = two_spins([[1, 1, 0, 1, 0, 1, 0], DOWN], first_band=10)
    electron, hole = carriers(excited, moved)
    assert (electron.band, electron.sites, hole.band, hole.sites) == (16, (5,), 13, (2,))
    # in a triplet both channels are filled from below
    triplet = two_spins([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], moment=2.0)
    electron, hole = carriers(triplet, Promotion(from_band=2, to_band=3, spin="down", flips=True))
    assert (electron.band, electron.spin, hole.band, hole.spin) == (3, "up", 2, "down")
    assert electron.participation_ratio == pytest.approx(1.0)


def test_purification_of_two_electrons_in_two_orbitals():
    """E(S) = h + J + K and E(T) = h + J - K, while one determinant of opposite spins has h + J."""
    h, coulomb, exchange = 3.0, 0.7, 0.2
    one = VerticalExcitation(
        ground_eV=1.0,
        excited_eV=1.0 + h + coulomb,
        triplet_eV=1.0 + h + coulomb - exchange,
        electron=NOBODY,
        hole=NOBODY,
    )
    assert one.energy_eV == one.singlet_eV == pytest.approx(h + coulomb + exchange)
    assert one.singlet_eV - one.triplet_above_eV == pytest.approx(2 * exchange)
    doublet = one.model_copy(update={"triplet_eV": None})
    assert doublet.energy_eV == doublet.determinant_eV and doublet.singlet_eV is None
    assert warnings_of([one]) == ()
    fell = one.model_copy(update={"excited_eV": 1.002, "triplet_eV": 4.5})
    assert [text.split(":")[0][:20] for text in warnings_of([fell])] == ["The excited state li", "The triplet lies abo"]


def silylene(box_ang=6.5):
    """SiH2 in the geometry of the G2 set."""
    from ase.build import molecule

    atoms = molecule("SiH2_s1A1d", cell=[box_ang] * 3)
    atoms.center()
    structure = IStructure(Lattice(atoms.cell[:]), atoms.symbols, atoms.positions, coords_are_cartesian=True)
    return Model(name="SiH2", material="SiH2", kind="pristine", structure=structure)


@pytest.mark.engine("gpaw")
def test_silylene_as_pyscf(tmp_path):
    """n → p of SiH2, PBE, by PySCF 2.14 (UKS, MOM, def2-TZVPPD): mixed 1.445, triplet 1.034, singlet 1.856 eV."""
    from midgap.workflows.local import run_flow

    levels = LevelFlowMaker(theory=LevelOfTheory.named("pbe", cutoff_eV=200.0), relax=False, options={"empty_bands": 3})
    done = run_flow(ExcitationFlowMaker(levels=levels, relax=False).make(silylene()), tmp_path / "run", cores=1)
    done.raise_for_failures()
    found = NeutralExcitation.from_dict(done.output)
    vertical = found.absorption
    assert (found.promotion.from_band, found.promotion.to_band, found.theory) == (3, 4, "PBE")
    assert vertical.determinant_eV == pytest.approx(1.445, abs=0.03)
    assert vertical.triplet_above_eV == pytest.approx(1.034, abs=0.03)
    assert vertical.energy_eV == pytest.approx(1.856, abs=0.05)
    # the empty p orbital of silicon, and its lone pair
    assert vertical.electron.by_species["Si"] > 0.95
    assert vertical.hole.by_species["Si"] > 0.7
    assert found.warnings == ()


@pytest.mark.engine("gpaw")
@pytest.mark.parametrize("moved_ang", [0.0, 0.002])
def test_what_a_file_was_converged_to_does_not_hold_for_the_next_run(tmp_path, moved_ang):
    """Empty bands that a relaxation left alone are those of a run from scratch, also where it ended a step further."""
    from ase.build import bulk
    from gpaw import GPAW

    from midgap.workflows.engines.gpaw import opened

    settings = {
        "mode": {"name": "pw", "ecut": 200},
        "xc": "PBE",
        "kpts": {"size": (1, 1, 1), "gamma": True},
        "nbands": 12,
        "symmetry": "off",
    }
    tight = {"density": 1e-5, "eigenstates": 1e-7, "bands": "CBM+6.0"}
    energies = {}
    for name, convergence in (("rough", {"density": 1e-2, "eigenstates": 1e-2, "energy": 1.0}), ("scratch", tight)):
        atoms = bulk("Si", cubic=False)
        atoms[1].position += moved_ang if name == "scratch" else 0.0
        atoms.calc = GPAW(**settings, convergence=convergence, txt=None)
        atoms.get_potential_energy()
        energies[name] = atoms.calc.eigenvalues()[0, 0, :8]
        atoms.calc.write(str(tmp_path / f"{name}.gpw"), mode="all")
    again = bulk("Si", cubic=False)
    again[1].position += moved_ang
    calc = opened(tmp_path / "rough.gpw", tight, None, again.positions)
    again.calc = calc
    again.get_potential_energy()
    assert np.abs(energies["rough"] - energies["scratch"]).max() > 5e-4
    assert calc.eigenvalues()[0, 0, :8] == pytest.approx(energies["scratch"], abs=5e-5)


@pytest.mark.parametrize("name", ["pristine_22", "V_Br1_q0_22"])
def test_vasp_gets_occupations_by_hand(tmp_path, monkeypatch, name):
    """As many electrons as the formula has, one hole and one electron where asked; read back by pymatgen."""
    install(tmp_path / "bin", monkeypatch)
    model = next(one for one in models() if one.name == name)
    electrons = sum({"Cs": 9, "Pb": 14, "Br": 7}[symbol] for symbol in model.species)
    filled = (electrons + model.unpaired_electrons) // 2, (electrons - model.unpaired_electrons) // 2
    moved = Promotion(from_band=filled[0] - 1, to_band=filled[0] + 2)
    asked = vasp_calculation(model, "hse06", promotion=moved)
    ground = VASP.before_promotion(asked)
    VASP.check(asked)
    assert VASP.steps(asked) == (asked,)
    assert [step.theory.name for step in VASP.steps(ground)] == ["pbe", "hse06"]
    for step, folder in ((ground, tmp_path / "ground"), (asked, tmp_path / "excited")):
        VASP.write_input(step, folder)
    before, after = (Incar.from_file(tmp_path / one / "INCAR") for one in ("ground", "excited"))
    assert before["ISPIN"] == after["ISPIN"] == 2
    assert before["NUPDOWN"] == model.unpaired_electrons and "NUPDOWN" not in after
    assert (before["ISYM"], after["ISYM"], after["ISMEAR"], after["LDIAG"]) == (0, 0, -2, False)
    assert before["NBANDS"] == after["NBANDS"]
    channels = [_numbers(after[tag]) for tag in ("FERWE", "FERDO")]
    assert [len(one) for one in channels] == [after["NBANDS"]] * 2
    assert [sum(one) for one in channels] == list(filled)
    up, down = channels
    assert up[moved.from_band - 1] == 0 and up[moved.to_band - 1] == 1
    assert sum(up[: filled[0]]) == filled[0] - 1 and sum(down[: filled[1]]) == filled[1]


def _numbers(value):
    words = value.split() if isinstance(value, str) else [str(one) for one in value]
    return [float(w.partition("*")[2] or w) for w in words for _ in range(int(w.partition("*")[0]) if "*" in w else 1)]


def test_engines_that_promote_nothing_say_so():
    moved = Promotion(from_band=1, to_band=2)
    crystal = silylene()
    for engine, theory, complaint in (
        ("cp2k", "pbe", "use --engine gpaw or vasp"),
        ("gpaw", "hse06", "promotes electrons with PBE"),
        ("vasp", "hse06+soc", "without spin-orbit"),
    ):
        asked = Calculation(model=crystal, theory=LevelOfTheory.named(theory), promotion=moved)
        with pytest.raises(InputError, match=complaint):
            engine_named(engine).check(asked)
    mesh = Calculation(model=crystal, theory=LevelOfTheory.named("pbe", kpoints=(2, 2, 2)), promotion=moved)
    with pytest.raises(InputError, match="at Γ alone"):
        engine_named("gpaw").check(mesh)
    with pytest.raises(InputError, match="needs the pristine crystal"):
        ExcitationFlowMaker().make(vacancy(0))


def test_the_command_line_refuses_before_anything_runs(midgap, tmp_path):
    path = silylene().write(tmp_path / "SiH2.json")
    assert "use --engine gpaw or vasp" in midgap("excite", path, "--engine", "cp2k", code=2).err
    assert "PBE here" in midgap("excite", path, "--theory", "hse06", code=2).err
    assert "not the folder of a calculation by midgap" in midgap("excite", tmp_path, code=2).err
    lacking = vacancy(0).write(tmp_path / "vacancy.json")
    assert "needs the pristine crystal" in midgap("excite", lacking, "--from", "level 1", code=2).err
