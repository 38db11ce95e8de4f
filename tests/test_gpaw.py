import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from cubic import rock_salt, zinc_blende
from pymatgen.core import Lattice, Structure

from midgap.defects.band_edges import band_edges
from midgap.defects.parsers import read_folder
from midgap.structures.build import periodic_models
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines import engine_named
from midgap.workflows.execution import run

ENGINE = engine_named("gpaw")
ONE = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def cell(a, *species):
    made = zinc_blende(a, *species) if species[0] == "Ga" else rock_salt(a, *species)
    return made.get_primitive_structure()


def calculation(structure, theory="hse06+soc", task="static", vacancy=None, matrix=ONE, kpoints=(1, 1, 1), **more):
    models = periodic_models(
        structure, matrix, structure.composition.reduced_formula, vacancy or structure[0].specie.symbol, (0, 1), {}
    )
    theory = LevelOfTheory.named(theory, cutoff_eV=250.0, kpoints=kpoints)
    return Calculation(model=models[2 if vacancy else 0], theory=theory, task=task, **more)


@pytest.mark.engine("gpaw")
def test_spin_orbit_splitting_of_gallium_arsenide(tmp_path):
    """Δ_so at Γ is 0.341 eV (Vurgaftman, Meyer and Ram-Mohan, J. Appl. Phys. 89, 5815 (2001))."""
    asked = calculation(cell(5.653, "Ga", "As"), kpoints=(2, 2, 2), empty_bands=6)
    result = run(asked, "gpaw", tmp_path)
    states = result.electronic_structure
    gamma = int(np.argmin(np.linalg.norm(states.kpoints_frac, axis=1)))
    energies, filled = states.eigenvalues_eV[0, gamma], round(states.filled(0))
    top = energies[filled - 6 : filled]
    # split-off pair below the four heavy and light holes
    assert top[2:] == pytest.approx(top[-1], abs=2e-3)
    assert top[0] == pytest.approx(top[1], abs=1e-6)
    assert top[-1] - top[0] == pytest.approx(0.341, abs=0.03)
    assert states.site_weights.min() >= 0
    # parts of a normalised state inside spheres
    assert states.site_weights.sum(axis=-1).max() < 1.02
    # an electron is attracted by a nucleus
    assert states.site_potentials_eV.max() < 0
    edges = band_edges(states)
    assert edges.direct and edges.vbm_k == gamma
    # without spin-orbit coupling, from the same folder's hybrid shifts: the hybrid opens the gap
    rows = json.loads((tmp_path / "hybrid.json").read_text())
    half = (states.first_band + filled) // 2  # bands of the folder are counted from the first there is
    assert states.total_energy_eV == pytest.approx(sum(states.energy_terms_eV.values()))
    assert set(states.energy_terms_eV) == {"PBE", "HSE06 - PBE", "SOC"} and states.energy_theory == "HSE06+SOC"
    # full shells gain by second order alone: much less than the splitting of the valence band's top
    assert -0.341 < states.energy_terms_eV["SOC"] < 0.0
    assert all(row["correction_eV"][0][half] > row["correction_eV"][0][half - 1] for row in rows.values())
    # `midgap levels` reads the folder
    assert read_folder(tmp_path).electronic_structure == states


def in_a_box(side_ang, species, positions_ang, **more):
    """Atoms alone, but for their images."""
    lattice = Lattice.orthorhombic(side_ang, 1.02 * side_ang, 0.98 * side_ang)
    middle = lattice.get_cartesian_coords([0.5, 0.5, 0.5])
    structure = Structure(lattice, species, middle + np.array(positions_ang), coords_are_cartesian=True)
    return Model(name="".join(species), material="P", kind="pristine", structure=structure, **more)


@pytest.mark.engine("gpaw")
def test_what_a_hybrid_changes_in_an_atomization_energy(tmp_path):
    """P2 → 2 P, 1.8934 Å: HSE06 of PBE orbitals less PBE is -0.456 eV by PySCF 2.14 (def2-TZVPP, all electrons)."""
    theory = LevelOfTheory.named("hse06", cutoff_eV=200.0)
    atom = in_a_box(7.5, ["P"], [[0, 0, 0]], unpaired_electrons=3)
    molecule = in_a_box(7.5, ["P", "P"], [[0, 0, -0.9467], [0, 0, 0.9467]])
    found = [
        run(Calculation(model=model, theory=theory, empty_bands=2), "gpaw", tmp_path / model.name).electronic_structure
        for model in (atom, molecule)
    ]
    changes = [states.energy_terms_eV["HSE06 - PBE"] for states in found]
    assert 2 * changes[0] - changes[1] == pytest.approx(-0.456, abs=0.03)
    for states in found:
        assert states.energy_theory == "HSE06"
        assert states.total_energy_eV == pytest.approx(sum(states.energy_terms_eV.values()), abs=1e-9)


@pytest.mark.engine("gpaw")
@pytest.mark.parametrize("fraction", [None, 0.4])
def test_the_energy_of_a_hybrid_on_a_mesh(tmp_path, fraction):
    """As GPAW's own function for it, which takes all empty bands along; linear in the fraction of exact exchange."""
    from ase.build import bulk
    from gpaw import GPAW
    from gpaw.new.pw.hybrids import non_self_consistent_hybrid_xc_energy

    from midgap.workflows.engines.gpaw_hybrid import one_shot_hybrid

    atoms = bulk("MgO", "rocksalt", a=4.21)
    atoms.calc = GPAW(
        mode={"name": "pw", "ecut": 250}, xc="PBE", kpts={"size": (2, 2, 1), "gamma": True}, nbands=-3, txt=None,
        convergence={"density": 1e-3, "eigenstates": 1e-3},
    )  # fmt: skip
    atoms.get_potential_energy()
    theirs = non_self_consistent_hybrid_xc_energy(atoms.calc.dft, "HSE06", log=None)[1:].sum()
    ours = one_shot_hybrid(atoms.calc, (1, 6), fraction, tmp_path)
    assert ours.energy_change_eV == pytest.approx(theirs * (1.0 if fraction is None else fraction / 0.25), abs=1e-6)
    # what is in the folder is not computed again, and says the same
    again = one_shot_hybrid(atoms.calc, (1, 6), fraction, tmp_path)
    assert again.energy_change_eV == ours.energy_change_eV
    assert np.array_equal(again.eigenvalues_eV, ours.eigenvalues_eV)


@pytest.mark.engine("gpaw")
def test_a_killed_relaxation_goes_on_from_its_last_geometry(tmp_path):
    asked = calculation(
        cell(4.21, "Mg", "O"),
        "pbe",
        "relax",
        vacancy="O",
        matrix=((2, 0, 0), (0, 1, 0), (0, 0, 1)),
        fmax_eV_per_ang=0.05,
    )
    assert asked.model.charge == 1 and asked.model.unpaired_electrons == 1
    whole = run(asked, "gpaw", tmp_path / "whole")
    broken = tmp_path / "broken"
    broken.mkdir()
    ENGINE.write_input(asked, broken)
    process = subprocess.Popen(
        ENGINE.command(asked), cwd=broken, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    history = broken / "relax.jsonl"
    for _ in range(600):
        if history.exists() and history.read_text().count("\n") >= 2:
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = [json.loads(line) for line in history.read_text().splitlines()]
    # a line cut by the kill is not believed
    history.write_text(history.read_text() + '{"energy_eV": -1')
    result = run(asked, "gpaw", broken)
    again = [json.loads(line) for line in history.read_text().splitlines()]
    assert again[: len(done)] == done
    assert len(again) == len(result.relaxation_energies_eV)
    assert result.max_force_eV_per_ang <= 0.05
    assert result.total_energy_eV == pytest.approx(whole.total_energy_eV, abs=2e-3)
    assert "gpaw" in ENGINE.name and "relaxed" in ENGINE.progress(broken)


@pytest.mark.engine("gpaw")
def test_an_scf_that_does_not_converge_says_so(tmp_path):
    asked = calculation(cell(4.21, "Mg", "O"), "pbe", engine_settings={"maxiter": 3})
    with pytest.raises(ComputationError, match="did not converge in 3 iterations"):
        run(asked, "gpaw", tmp_path)


def test_what_gpaw_cannot_do_is_refused():
    mgo = cell(4.21, "Mg", "O")
    with pytest.raises(InputError, match="forces with PBE"):
        ENGINE.check(calculation(mgo, "hse06", "relax"))
    with pytest.raises(InputError, match="no setting ecut"):
        ENGINE.check(calculation(mgo, engine_settings={"ecut": 300}))
    with pytest.raises(InputError, match="own screening"):
        theory = LevelOfTheory.named("hse06", screening_per_ang=0.3)
        ENGINE.check(calculation(mgo).model_copy(update={"theory": theory}))


@pytest.mark.parametrize(("kpoints", "taken"), [((1, 1, 1), True), ((2, 2, 2), False)])
def test_wavefunctions_are_taken_over_on_the_same_mesh_only(tmp_path, kpoints, taken):
    before, now = tmp_path / "before", tmp_path / "now"
    for folder in (before, now):
        folder.mkdir()
    asked = calculation(cell(4.21, "Mg", "O"), "pbe")
    asked.write(before / "calculation.json")
    (before / "wavefunctions.gpw").write_bytes(b"wavefunctions")
    ENGINE.adopt(
        asked.model_copy(update={"theory": LevelOfTheory.named("pbe", cutoff_eV=250.0, kpoints=kpoints)}), before, now
    )
    assert (now / "start.gpw").exists() == taken
