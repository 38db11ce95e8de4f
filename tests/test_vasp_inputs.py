"""VASP's inputs: read back by pymatgen and by the stand-in's own reader, for all models and theories."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import IStructure, Lattice
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar, Potcar
from vasp_example import KNOWN, VASP, calculation, install, models, shaken, use_potentials

from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.workflows.engines.vasp_files import density_is_whole, geometry_in, run_state, wavecar
from midgap.workflows.engines.vasp_geometry import order, poscar_structure, positions_in_model
from midgap.workflows.engines.vasp_potentials import check_potcar, potential
from midgap.workflows.engines.vasp_programs import parallel, program_for, ranks

sys.path.insert(0, str(Path(__file__).parent / "vasp_standin"))
import inputs as standin

THEORIES = ("pbe", "hse06", "hse06+soc")
ALL = {model.name: model for model in models()}
CHARGED = ALL["unit_Cs4PbBr6"].model_copy(update={"name": "unit_q+1", "charge": 1, "unpaired_electrons": 1})
ALL[CHARGED.name] = CHARGED


@pytest.fixture
def here(tmp_path, monkeypatch):
    install(tmp_path / "bin", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("theory", THEORIES)
@pytest.mark.parametrize("name", ALL)
def test_matrix(here, name, theory):
    """Electrons and moments of every model at every theory, by counting valence electrons of the formula."""
    model = ALL[name]
    counts = {symbol: model.species.count(symbol) for symbol in ("Cs", "Pb", "Br")}
    electrons = 9 * counts["Cs"] + 14 * counts["Pb"] + 7 * counts["Br"] - model.charge
    for step in VASP.steps(calculation(model, theory)):
        folder = here / step.theory.name
        VASP.write_input(step, folder)
        incar = Incar.from_file(folder / "INCAR")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            incar.check_params()  # names, types and values as pymatgen knows them
        soc = step.theory.spin_orbit
        assert incar.get("NELECT", electrons) == electrons
        assert ("NELECT" in incar) == (model.charge != 0)
        assert incar.get("LSORBIT", False) is soc
        assert incar["ISPIN"] == (2 if electrons % 2 and not soc else 1)
        moments = np.array(incar.get("MAGMOM", []), dtype=float)
        if soc:
            assert moments.shape == (len(model.species), 3)
            assert moments.sum(axis=0) == pytest.approx([0, 0, electrons % 2], abs=1e-3)
        elif incar["ISPIN"] == 2:
            assert moments.shape == (len(model.species),)
            assert moments.sum() == pytest.approx(1, abs=1e-3)
            assert incar["NUPDOWN"] == 1
        assert incar["NBANDS"] > (electrons if soc else (electrons + electrons % 2) / 2) + 8
        assert incar.get("LHFCALC", False) is (step.theory.functional == "HSE06")
        kpoints = Kpoints.from_file(folder / "KPOINTS")
        assert kpoints.style == Kpoints.supported_modes.Gamma
        assert kpoints.kpts == [(1, 1, 1)]
        poscar, potcar = Poscar.from_file(folder / "POSCAR"), Potcar.from_file(folder / "POTCAR")
        assert poscar.site_symbols == [single.element for single in potcar] == ["Cs", "Pb", "Br"]
        assert sum(single.zval * n for single, n in zip(potcar, poscar.natoms, strict=True)) - model.charge == electrons
        text = (folder / "INCAR").read_text()
        assert text.isascii() and max(map(len, text.splitlines())) < 255  # for Fortran's sake
        read_by_standin(folder, program_for(step))


def read_by_standin(folder, program):
    import os

    before = Path.cwd()
    os.chdir(folder)
    try:
        return standin.read(program)
    finally:
        os.chdir(before)


def incar_of(model, theory="hse06+soc", task="static", **more):
    folder = Path.cwd() / "one"
    VASP.write_input(calculation(model, theory, task, **more), folder)
    return Incar.from_file(folder / "INCAR")


def test_the_chain_to_spinors_shares_bands_and_kpoints(here):
    steps = VASP.steps(calculation(ALL["V_Br1_q0_22"], "hse06+soc", kpoints=(2, 2, 2)))
    assert [step.theory.name for step in steps] == list(THEORIES)
    assert [program_for(step) for step in steps] == ["std", "std", "ncl"]
    incars = []
    for step in steps:
        VASP.write_input(step, here / step.theory.name)
        incars.append(Incar.from_file(here / step.theory.name / "INCAR"))
    assert {incar["ISYM"] for incar in incars} == {-1}
    assert incars[0]["NBANDS"] * 2 == incars[1]["NBANDS"] * 2 == incars[2]["NBANDS"]
    assert len({incar["ENCUT"] for incar in incars}) == 1


def test_what_the_documentation_asks_of_spin_orbit_runs(here):
    """LSORBIT, LNONCOLLINEAR and ISPIN in the VASP Wiki: vasp_ncl, no symmetry, LASPH, GGA_COMPAT off, no ISPIN = 2."""
    incar = incar_of(ALL["V_Br1_q0_22"])
    assert incar["ISYM"] == -1
    assert incar["LASPH"] is True
    assert incar["GGA_COMPAT"] is False
    assert incar["ISPIN"] == 1
    assert "NUPDOWN" not in incar
    assert incar["LMAXMIX"] == 4


def test_hse06_is_hse06(here):
    incar = incar_of(ALL["pristine_22"], "hse06")
    assert (incar["HFSCREEN"], incar["AEXX"], incar["LHFCALC"]) == (0.2, 0.25, True)
    assert incar["ALGO"] in ("Normal", "All", "Damped")  # the others are not supported for hybrids


def test_a_cluster_has_a_cubic_box_with_vacuum(here):
    unit = ALL["unit_Cs4PbBr6"]
    incar = incar_of(unit, "hse06")
    structure = Poscar.from_file(here / "one" / "POSCAR").structure
    assert structure.lattice.abc == pytest.approx([structure.lattice.a] * 3)
    inside = structure.cart_coords
    assert (inside.min(axis=0) > 5.9).all() and (inside.max(axis=0) < structure.lattice.a - 5.9).all()
    assert (incar["IDIPOL"], incar["LDIPOL"]) == (4, True)
    charged = incar_of(CHARGED, "hse06")
    assert charged["LMONO"] is True and "LDIPOL" not in charged


def test_atoms_of_an_element_stand_together_and_come_back_in_place():
    lattice = Lattice.cubic(6.0)
    frac = [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0, 0.01], [0.5, 0, 0], [0.99, 0.5, 0]]
    model = Model(
        name="mixed", kind="pristine", material="X", structure=IStructure(lattice, ["Br", "Cs", "Br", "Pb", "Cs"], frac)
    )
    assert list(order(model)) == [0, 2, 1, 4, 3]
    written = poscar_structure(model, 12.0)
    assert [site.specie.symbol for site in written] == ["Br", "Br", "Cs", "Cs", "Pb"]
    folded = (written.frac_coords + 0.02) % 1.0  # as VASP writes them
    assert positions_in_model(model, folded, 12.0) == pytest.approx(model.positions_ang + 0.12)


def test_settings_reach_their_step_only(here):
    vacancy = ALL["V_Br1_q+1_22"]
    settings = {"NCORE": 4, "hse06+soc:ALGO": "All", "relax:EDIFF": 1e-7, "POTCAR.Pb": "Pb_d", "vacuum_ang": 9}
    soc, hybrid, relax = (
        incar_of(vacancy, theory, task, settings=settings)
        for theory, task in (("hse06+soc", "static"), ("hse06", "static"), ("pbe", "relax"))
    )
    assert (soc["ALGO"], hybrid["ALGO"]) == ("All", "Normal")
    assert relax["EDIFF"] == 1e-7 and hybrid["EDIFF"] == 1e-6
    assert {incar["NCORE"] for incar in (soc, hybrid, relax)} == {4}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ENCT": 400}, "did you mean ENCUT"),
        ({"NELECT": 176}, "follows from the model's charge"),
        ({"LSORBIT": True}, "follows from the theory"),
        ({"encut": 400}, "INCAR tag in capitals"),
        ({"soc:ALGO": "All"}, "there is no step 'soc'"),
        ({"MAGMOM": "21*0"}, "needs 63"),
        ({"program": "gam"}, "needs vasp_ncl"),
        ({"POTCAR.Pb": "Cs_sv"}, "not a potential of Pb"),
        ({"POTCAR.Pb": "Pb_x"}, "not known here"),
    ],
)
def test_settings_that_are_refused(here, settings, says):
    with pytest.raises(InputError, match=says):
        VASP.check(calculation(ALL["V_Br1_q0_22"], "hse06+soc", settings=settings))


def test_another_potential_brings_its_own_electrons(here):
    found = potential("Pb", {"POTCAR.Pb": "Pb"})
    assert (found.valence, found.enmax_eV) == (4.0, None)
    with pytest.raises(InputError, match="ENCUT"):
        VASP.check(calculation(ALL["pristine_22"], settings={"POTCAR.Pb": "Pb_sv_GW"}))


def test_the_table_agrees_with_the_potentials_pymatgen_has_seen():
    """pymatgen keeps facts of the files in VASP's libraries; ZVAL of each of ours is the same in both it has."""
    import json
    from importlib.resources import files

    from monty.serialization import loadfn
    from pymatgen.io.vasp.inputs import POTCAR_STATS_PATH

    table = json.loads((files("midgap.workflows.engines") / "data" / "paw_potentials.json").read_text())["elements"]
    seen = loadfn(POTCAR_STATS_PATH)
    for library in ("PBE_54", "PBE_64"):
        valences = {}
        for versions in seen[library].values():
            for one in versions:
                valences.setdefault(one["symbol"], set()).add(one["ZVAL"])
        assert {s: {float(z)} for s, z, _ in table.values()} == {s: valences[s] for s, _, _ in table.values()}


def test_without_potentials_their_names_are_written(here, monkeypatch):
    use_potentials(monkeypatch, None)
    VASP.write_input(calculation(ALL["pristine_22"]), here / "spec")
    assert (here / "spec" / "POTCAR.spec").read_text().split() == ["Cs_sv", "Pb_d", "Br"]
    assert not (here / "spec" / "POTCAR").exists()
    assert "PMG_VASP_PSP_DIR" in VASP.missing()


def test_potentials_with_other_electrons_are_refused(tmp_path, monkeypatch):
    install(tmp_path / "bin", monkeypatch, potentials=KNOWN | {"Pb_d": (4, 97.973)})
    with pytest.raises(InputError, match="brings 4 electrons, not 14"):
        VASP.write_input(calculation(ALL["pristine_22"]), tmp_path / "wrong")
    with pytest.raises(InputError, match="cutoff of 400 eV"):
        check_potcar([potential("Pb")], [("Pb_d", 14.0, 400.0)])


def test_binary(here, monkeypatch):
    pristine = ALL["pristine_22"]
    assert program_for(calculation(pristine, "pbe")) == "gam"
    assert program_for(calculation(pristine, "pbe", kpoints=(2, 2, 2))) == "std"
    for mesh in ((1, 1, 1), (2, 2, 2)):
        assert program_for(calculation(pristine, "hse06+soc", kpoints=mesh)) == "ncl"
    monkeypatch.setenv("ATOMATE2_VASP_GAMMA_CMD", "no_such_vasp_gam")
    assert program_for(calculation(pristine, "pbe")) == "std"
    monkeypatch.setenv("ATOMATE2_VASP_NCL_CMD", "srun --no-such no_such_vasp_ncl")
    with pytest.raises(InputError, match="VASP_NCL_CMD"):
        VASP.command(calculation(pristine, "hse06+soc"))


@pytest.mark.parametrize(
    ("command", "queue", "found"),
    [
        ("vasp_std", {"SLURM_NTASKS": "8"}, 1),
        ("srun vasp_std", {"SLURM_NTASKS": "64"}, 64),
        ("mpirun -np 16 vasp_std", {"SLURM_NTASKS": "64"}, 16),
        ("srun --ntasks=32 --cpu-bind=cores /opt/vasp/bin/vasp_std", {}, 32),
        ("mpirun vasp_std", {}, 1),
    ],
)
def test_ranks(command, queue, found):
    assert ranks(command.split(), queue) == found


def test_ranks_are_divided_without_rest():
    for total in (1, 2, 7, 16, 48, 64, 96):
        for mesh in ((1, 1, 1), (2, 2, 2), (4, 4, 4)):
            made = parallel(total, mesh)
            assert total % (made["KPAR"] * made["NCORE"]) == 0
            assert made["KPAR"] <= max(1, np.prod(mesh) // 2 + 1)
    assert parallel(64, (1, 1, 1)) == {"KPAR": 1, "NCORE": 8}  # √64
    assert parallel(64, (1, 1, 1), threads=4)["NCORE"] == 1


def test_bands_fill_the_groups_of_ranks(here, monkeypatch):
    monkeypatch.setenv("ATOMATE2_VASP_CMD", f"env -n 48 {here}/bin/vasp_std")
    monkeypatch.setenv("ATOMATE2_VASP_NCL_CMD", f"env -n 48 {here}/bin/vasp_ncl")
    hybrid = incar_of(ALL["pristine_22"], "hse06", settings={"program": "std"})
    soc = incar_of(ALL["pristine_22"], "hse06+soc")
    groups = 48 // (hybrid["KPAR"] * hybrid["NCORE"])
    assert hybrid["NBANDS"] % groups == 0
    assert soc["NBANDS"] == 2 * hybrid["NBANDS"]


def test_updates_of_atomate2_are_respected_below_ours(here, monkeypatch):
    monkeypatch.setenv("ATOMATE2_VASP_INCAR_UPDATES", '{"NSIM": 8, "ALGO": "Damped"}')
    incar = incar_of(ALL["pristine_22"], "hse06", settings={"ALGO": "All"})
    assert (incar["NSIM"], incar["ALGO"]) == (8, "All")


# --- what a run left ---------------------------------------------------------------------------


@pytest.mark.parametrize(("charge", "electrons"), [("q=0", 277), ("q=1", 276), ("q=-1", 278)])
def test_state_of_a_real_relaxation(shared_data, tmp_path, charge, electrons):
    """VASP 6.3.0, GaN with Mg on a Ga site; forces and energies by pymatgen from the same OUTCAR and vasprun.xml."""
    import gzip

    from pymatgen.io.vasp.outputs import Vasprun

    source = shared_data / "vasp" / "GaN-Mg_Ga" / charge
    (tmp_path / "OUTCAR").write_bytes(gzip.decompress((source / "OUTCAR.gz").read_bytes()))
    state = run_state(tmp_path)
    truth = Vasprun(source / "vasprun.xml.gz", parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    assert state.finished and state.scf_converged and state.relaxed and not state.stopped and not state.gamma_only
    assert state.n_electrons == electrons
    assert state.energy_eV == pytest.approx(truth.ionic_steps[-1]["electronic_steps"][-1]["e_0_energy"], abs=1e-6)
    forces = np.linalg.norm(truth.ionic_steps[-1]["forces"], axis=1)
    assert state.max_force_eV_per_ang == pytest.approx(forces.max(), abs=1e-5)
    text = (tmp_path / "OUTCAR").read_text()
    (tmp_path / "OUTCAR").write_text(text[: len(text) // 2])
    assert not run_state(tmp_path).finished


def test_files_that_were_cut_short_are_seen(here, monkeypatch):
    folder = here / "run"
    step = calculation(shaken(ALL["pristine_22"]), "pbe", "relax", max_steps=2)
    VASP.write_input(step, folder)
    monkeypatch.chdir(folder)
    found = standin.read("gam")
    standin.write_wavecar(found)
    head = wavecar(folder / "WAVECAR")
    assert (head.spins, head.kpoints, head.bands, head.cutoff_eV) == (1, 1, found.bands, 310.0)
    data = (folder / "WAVECAR").read_bytes()
    (folder / "WAVECAR").write_bytes(data[:-300])
    assert wavecar(folder / "WAVECAR") is None
    for garbage in (b"", b"\xff" * 600, b"\x7f" * 600, data[:300] + b"\xff" * 300):
        (folder / "WAVECAR").write_bytes(garbage)
        assert wavecar(folder / "WAVECAR") is None
    assert not density_is_whole(folder / "CHGCAR")
    structure = poscar_structure(step.model, 12.0)
    text = (folder / "POSCAR").read_text()
    assert geometry_in(folder / "POSCAR", structure) == pytest.approx(structure.frac_coords, abs=1e-9)
    (folder / "CONTCAR").write_text(text[: len(text) // 2])
    assert geometry_in(folder / "CONTCAR", structure) is None
