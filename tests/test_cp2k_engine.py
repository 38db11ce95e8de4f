"""The CP2K engine: what it asks of CP2K, and what CP2K answers."""

import os
import subprocess
import time

import numpy as np
import pytest
from ase.io import read as read_xyz
from cubic import zinc_blende
from pymatgen.core import IMolecule, IStructure, Lattice, Structure

from midgap.defects.parsers.cp2k_output import parse_input
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.model import Model, PointCharges, Vacancy
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines import engine_named
from midgap.workflows.engines.cp2k import _swings
from midgap.workflows.engines.cp2k_data import find_data
from midgap.workflows.engines.cp2k_input import (
    Cp2kSettings,
    exchange_kernel,
    gamma_centred,
    half_width_ang,
    initial_moments,
    input_text,
)
from midgap.workflows.execution import run

CP2K = engine_named("cp2k")

HARTREE = 27.211386245988
SMALL = {"basis": "SZV-MOLOPT-SR-GTH", "cutoff_Ry": 120, "rel_cutoff_Ry": 30}
COARSE = {"cutoff_Ry": 80, "rel_cutoff_Ry": 20, "eps_default": 1e-7, "eps_scf": 1e-4, "site_potentials": False}


def calculation(geometry, theory="pbe", *, charge=0, vacancy=None, kpoints=(1, 1, 1), settings=None, **more):
    kind = "vacancy" if vacancy else ("pristine" if isinstance(geometry, IStructure) else "cluster")
    name = f"{geometry.composition.reduced_formula}_q{charge:+d}"
    model = Model(name=name, kind=kind, material="X", structure=geometry, charge=charge, vacancy=vacancy)
    return Calculation(
        model=model,
        theory=LevelOfTheory.named(theory, kpoints=kpoints),
        engine_settings=settings or {},
        **more,
    )


def diamond(repeat=(1, 1, 1)):
    half = 5.431 / 2
    cell = Structure(Lattice([[0, half, half], [half, 0, half], [half, half, 0]]), ["Si"] * 2, [[0, 0, 0], [0.25] * 3])
    return IStructure.from_sites(list(cell * repeat))


BROMINE = IMolecule(["Br", "Br"], [[0, 0, 0], [0, 0, 2.30]])


# --- what it asks ------------------------------------------------------------------------------


def test_a_centred_mesh_has_gamma_and_half_of_the_rest():
    for mesh, count in (((2, 2, 2), 8), ((3, 3, 1), 5), ((4, 1, 1), 3)):
        points = gamma_centred(mesh)
        assert points[0][0] == (0.0, 0.0, 0.0)
        assert len(points) == count
        assert sum(weight for _, weight in points) == pytest.approx(1.0)


def test_half_width_of_a_hexagonal_cell():
    """Opposite side faces of a hexagonal prism of edge a are a·√3/2 apart."""
    assert half_width_ang(Lattice.hexagonal(13.73, 17.32)) == pytest.approx(13.73 * np.sqrt(3) / 4)


@pytest.mark.parametrize(
    ("edge", "kernel", "reach"),
    [(12.0, "MIX_CL_TRUNC", 5.94), (28.0, "MIX_CL_TRUNC", 13.86), (30.0, "SHORTRANGE", None)],
)
def test_exchange_reaches_no_further_than_half_the_cell(edge, kernel, reach):
    model = calculation(IStructure(Lattice.cubic(edge), ["Br"] * 2, [[0, 0, 0], [0, 0, 0.1]])).model
    section = exchange_kernel(model, Cp2kSettings())
    assert section["POTENTIAL_TYPE"] == kernel
    assert section.get("CUTOFF_RADIUS") == (pytest.approx(reach) if reach else None)
    assert exchange_kernel(calculation(BROMINE).model, Cp2kSettings())["POTENTIAL_TYPE"] == "SHORTRANGE"


def test_the_unpaired_electron_starts_beside_the_vacancy():
    """Across the cell's face, too: the nearest atom to (0.05, 0, 0) is the one at (0.95, 0, 0)."""
    cell = IStructure(Lattice.cubic(10.0), ["Cs", "Pb", "Pb"], [[0.4, 0, 0], [0.95, 0, 0], [0.5, 0.5, 0.5]])
    vacancy = Vacancy(species="Br", site="Br1", position_ang=[0.5, 0, 0])
    assert initial_moments(calculation(cell, charge=0, vacancy=vacancy).model) == {1: 1.0}
    assert initial_moments(calculation(cell, charge=1, vacancy=vacancy).model) == {}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda: calculation(diamond(), "pbe+soc"), "cannot do PBE.SOC .* use --engine"),
        (lambda: calculation(diamond(), "hse06", kpoints=(2, 2, 2)), "exact exchange at Γ only, not on a 2×2×2 mesh"),
        (lambda: calculation(BROMINE, kpoints=(2, 1, 1)), "is a cluster and has no k-points"),
        (
            lambda: calculation(diamond(), settings={"cutof_Ry": 300}),
            "CP2K has no setting cutof_Ry; it has basis, aux_basis",
        ),
        (
            lambda: calculation(diamond(), settings={"eps_default": 1e-6}),
            "eps_default: .* less than or equal to 0.0000001",
        ),
        (
            lambda: calculation(diamond(), kpoints=(2, 1, 1), settings={"minimize": True}),
            "minimizes at Γ only, not on a 2×1×1 mesh",
        ),
        (lambda: _with_cutoff(calculation(diamond())), "cutoff_eV = 250 is for plane waves"),
        (lambda: _embedded(calculation(BROMINE)), "without point charges, .* use --engine pyscf"),
    ],
)
def test_what_it_refuses(asked, says):
    with pytest.raises(InputError, match=says):
        CP2K.check(asked())


def _with_cutoff(asked):
    return asked.model_copy(update={"theory": asked.theory.model_copy(update={"cutoff_eV": 250.0})})


def _embedded(asked):
    around = PointCharges(positions_ang=[[5.0, 0, 0]], charges_e=[1.0])
    return asked.model_copy(update={"model": asked.model.model_copy(update={"embedding": around})})


def test_a_program_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("MIDGAP_CP2K", "mpirun -np 4 no-such-cp2k")
    assert "no such program" in CP2K.missing()
    monkeypatch.delenv("MIDGAP_CP2K")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install cp2k" in CP2K.missing()
    with pytest.raises(InputError, match="CP2K is not installed"):
        CP2K.write_input(calculation(diamond()), tmp_path)


@pytest.mark.engine("cp2k")
def test_a_data_folder_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path))
    assert "set CP2K_DATA_DIR to the folder with BASIS_MOLOPT" in CP2K.missing()


@pytest.mark.engine("cp2k")
def test_the_basis_is_what_the_data_folder_has():
    """Pb-q14, Cs-q1 and Br-q17 pseudopotentials are there as well, but no MOLOPT basis for them."""
    data = find_data(CP2K.command(calculation(diamond()))[0])
    kinds = data.kinds(["Cs", "Pb", "Br"], "DZVP-MOLOPT-SR-GTH", "admm-dz")
    assert {kind.element: kind.valence for kind in kinds.values()} == {"Cs": 9, "Pb": 4, "Br": 7}
    assert kinds["Pb"].auxiliary == "admm-dz-q4"
    assert kinds["Br"].hardest_exponent == pytest.approx(1.737392738120)
    assert kinds["Br"].functions == 2 + 2 * 3 + 5
    with pytest.raises(InputError, match=r"no basis SZV-MOLOPT-GTH .* for Pb; the engine setting basis can be DZVP"):
        data.kinds(["Pb"], "SZV-MOLOPT-GTH")
    with pytest.raises(InputError, match="no auxiliary basis admm-dz for La"):
        data.kinds(["La"], "DZVP-MOLOPT-SR-GTH", "admm-dz")


@pytest.mark.engine("cp2k")
def test_settings_and_functional_reach_the_input():
    data = find_data(CP2K.command(calculation(diamond()))[0])
    asked = calculation(diamond(), "hse06", settings={"cutoff_Ry": 333})
    asked = asked.model_copy(
        update={"theory": asked.theory.model_copy(update={"exact_exchange": 0.4, "dispersion": "D3"})}
    )
    dft = parse_input(input_text(asked, data)).at("FORCE_EVAL", "DFT")
    assert dft.at("MGRID").value("CUTOFF") == "333"
    assert float(dft.at("XC", "HF").value("FRACTION")) == 0.4
    assert float(dft.at("XC", "XC_FUNCTIONAL", "XWPBE").value("SCALE_X")) == -0.4
    assert dft.at("XC", "VDW_POTENTIAL", "PAIR_POTENTIAL").value("TYPE") == "DFTD3(BJ)"
    first = parse_input(input_text(asked, data, first_guess=True)).at("FORCE_EVAL", "DFT")
    assert "HF" not in first.at("XC").sections


@pytest.mark.engine("cp2k")
def test_a_restart_file_cut_short_gives_way_to_the_one_before(tmp_path):
    """Fortran records are framed by their length; a kill in the middle of a write leaves one open."""
    whole = b"\4\0\0\0abcd\4\0\0\0"
    (tmp_path / "midgap-RESTART.wfn").write_bytes(whole[:-2])
    (tmp_path / "midgap-RESTART.wfn.bak-1").write_bytes(whole)
    (tmp_path / "midgap-1.restart").write_text("&FORCE_EVAL\n")
    CP2K.write_input(calculation(diamond(), task="relax"), tmp_path)
    assert (tmp_path / "midgap-RESTART.wfn").read_bytes() == whole
    assert not (tmp_path / "midgap-1.restart").exists()
    assert "EXT_RESTART" not in (tmp_path / "input.inp").read_text()


@pytest.mark.engine("cp2k")
def test_a_hybrid_begins_anew_without_the_wavefunction_of_its_first_guess(tmp_path):
    asked = calculation(diamond(), "hse06")
    (tmp_path / "first_guess.out").write_text("PROGRAM ENDED AT")
    (tmp_path / "midgap-RESTART.wfn").write_bytes(b"\4\0\0\0abcd\4\0\0\0")
    CP2K.write_input(asked, tmp_path)
    assert (tmp_path / "first_guess.out").exists()
    (tmp_path / "midgap-RESTART.wfn").write_bytes(b"\4\0\0\0ab")
    CP2K.write_input(asked, tmp_path)
    assert not (tmp_path / "first_guess.out").exists()


def test_a_static_run_takes_over_the_wavefunction_of_a_relaxation(tmp_path):
    finished, folder = tmp_path / "relax", tmp_path / "static"
    finished.mkdir()
    folder.mkdir()
    CP2K.adopt(calculation(diamond()), finished, folder)
    assert not list(folder.iterdir())
    (finished / "midgap-RESTART.wfn").write_bytes(b"wavefunction")
    CP2K.adopt(calculation(diamond()), finished, folder)
    assert [path.name for path in folder.iterdir()] == ["midgap-RESTART.wfn"]


# --- what CP2K answers -------------------------------------------------------------------------


def edges(states, spin=0):
    filled = round(states.filled(spin))
    energies = states.eigenvalues_eV[spin]
    return energies[:, filled - 1].max(), energies[:, filled].min()


@pytest.mark.engine("cp2k")
def test_a_mesh_is_a_supercell_at_gamma(tmp_path):
    """Bloch: the primitive cell on 2×2×1 k-points has the energy and gap of 2×2×1 cells at Γ."""
    mesh = run(calculation(diamond(), kpoints=(2, 2, 1), settings=SMALL, empty_bands=4), "cp2k", tmp_path / "mesh")
    cells = run(calculation(diamond((2, 2, 1)), settings=SMALL), "cp2k", tmp_path / "cells")
    assert mesh.total_energy_eV == pytest.approx(cells.total_energy_eV / 4, abs=5e-3)
    assert edges(mesh.electronic_structure) == pytest.approx(edges(cells.electronic_structure), abs=5e-3)
    assert mesh.electronic_structure.theory.kpoints == (2, 2, 1)
    assert mesh.electronic_structure.site_weights is None
    # 8 equivalent atoms: one potential, and an eighth of the lowest state, which is symmetric, each.
    assert np.ptp(cells.electronic_structure.site_potentials_eV) < 2e-3
    np.testing.assert_allclose(cells.electronic_structure.site_weights[0, 0, 0], 1 / 8, atol=1e-3)


@pytest.mark.engine("cp2k")
@pytest.mark.parametrize(("theory", "within_eV"), [("pbe", 0.005), ("hse06", 0.04)])
def test_bromine_as_pyscf_has_it(tmp_path, theory, within_eV):
    """PySCF with the same basis and pseudopotentials; the auxiliary basis of ADMM is worth 20 meV."""
    gto, dft = pytest.importorskip("pyscf.gto"), pytest.importorskip("pyscf.dft")
    molecule = gto.M(atom="Br 0 0 0; Br 0 0 2.30", basis="gth-dzvp-molopt-sr", pseudo="gth-pbe", verbose=0)
    other = dft.RKS(molecule, xc=theory)
    other.kernel()
    homo, lumo = other.mo_energy[6:8] * HARTREE
    settings = {"cutoff_Ry": 150, "rel_cutoff_Ry": 30}
    result = run(calculation(BROMINE, theory, settings=settings), "cp2k", tmp_path)
    ours = edges(result.electronic_structure)
    assert ours[1] - ours[0] == pytest.approx(lumo - homo, abs=within_eV)
    assert ours[0] == pytest.approx(homo, abs=0.06 if theory == "hse06" else 0.01)
    np.testing.assert_allclose(result.electronic_structure.site_weights[0, 0], 0.5, atol=1e-3)
    assert result.electronic_structure.warnings == ()


@pytest.mark.engine("cp2k")
def test_the_kernel_of_a_crystal_is_cut_off_and_says_so(tmp_path):
    """A molecule in a cell wide enough has the gap it has alone, 3.568 eV by the whole kernel."""
    cell = IStructure(Lattice.cubic(9.0), ["Br"] * 2, BROMINE.cart_coords, coords_are_cartesian=True)
    settings = {"cutoff_Ry": 120, "rel_cutoff_Ry": 30, "eps_scf": 1e-4, "site_potentials": False}
    states = run(calculation(cell, "hse06", settings=settings), "cp2k", tmp_path).electronic_structure
    vbm, cbm = edges(states)
    assert cbm - vbm == pytest.approx(3.568, abs=0.05)
    (warning,) = states.warnings
    assert "cut off at 4.45 Å" in warning
    assert "TRUNCATED" in states.provenance.settings["exchange_kernel"]


def vacancy(shared_data, charge):
    """V_Br in the primitive cell of Cs4PbBr6, relaxed with PBE by GPAW, and the Pb beside it."""
    atoms = read_xyz(shared_data / "structures" / f"V_Br_q{charge}_primitive_pbe250.xyz")
    host = read_xyz(shared_data / "structures" / "Cs4PbBr6_primitive_pbe250.xyz")
    cell = IStructure(Lattice(atoms.cell[:]), atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True)
    before = host.get_scaled_positions()[host.symbols == "Br"]
    after = atoms.get_scaled_positions()[atoms.symbols == "Br"]
    missing = before[cell.lattice.get_all_distances(before, after).min(axis=1).argmax()]
    distances = cell.lattice.get_all_distances(missing, cell.frac_coords)[0]
    where = cell.lattice.get_cartesian_coords(missing)
    return cell, Vacancy(species="Br", site="Br1", position_ang=where), int(distances.argmin())


@pytest.mark.engine("cp2k")
def test_the_empty_level_of_the_charged_vacancy(shared_data, tmp_path):
    """GPAW with plane waves has it 3.32 eV above the VBM at Γ."""
    cell, missing, lead = vacancy(shared_data, 1)
    assert cell[lead].specie.symbol == "Pb"
    states = run(calculation(cell, charge=1, vacancy=missing, settings=COARSE), "cp2k", tmp_path).electronic_structure
    assert states.eigenvalues_eV.shape[0] == 1
    assert states.n_electrons == 156
    vbm, level = edges(states)
    assert level - vbm == pytest.approx(3.32, abs=0.15)
    assert states.site_weights[0, 0, 78, lead] == pytest.approx(0.63, abs=0.05)
    np.testing.assert_allclose(states.site_weights.sum(axis=-1), 1.0, atol=1e-5)


@pytest.mark.engine("cp2k")
def test_the_half_filled_level_of_the_neutral_vacancy(shared_data, tmp_path):
    """GPAW with plane waves has the occupied spin 2.39 eV above the VBM at Γ, 0.83 of it on the Pb."""
    cell, missing, lead = vacancy(shared_data, 0)
    states = run(calculation(cell, vacancy=missing, settings=COARSE), "cp2k", tmp_path).electronic_structure
    assert states.magnetization_muB == 1
    energies = states.eigenvalues_eV[:, 0]
    assert energies[0, 78] - energies[0, 77] == pytest.approx(2.39, abs=0.15)
    assert states.occupations[:, 0, 78].tolist() == [1.0, 0.0]
    assert energies[1, 78] - energies[0, 78] > 0.5  # the empty partner lies higher
    assert states.site_weights[0, 0, 78, lead] > 0.7


@pytest.mark.engine("cp2k")
def test_a_killed_relaxation_goes_on(tmp_path):
    """Silicon shaken by 0.1 Å finds back to diamond: all bonds √3/4 of the cell's edge."""
    perfect = zinc_blende(5.431, "Si", "Si")
    shaken = perfect.cart_coords + np.random.default_rng(1).normal(0, 0.1, (8, 3))
    cell = IStructure(perfect.lattice, ["Si"] * 8, shaken, coords_are_cartesian=True)
    asked = calculation(cell, task="relax", settings=SMALL, fmax_eV_per_ang=0.08)
    CP2K.check(asked)
    CP2K.write_input(asked, tmp_path)
    with subprocess.Popen(CP2K.command(asked), cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 120
        while "relax step 3" not in CP2K.progress(tmp_path):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.kill()
    with pytest.raises(ComputationError, match="cut short: it ends at SCF step"):
        CP2K.read_result(asked, tmp_path)

    CP2K.write_input(asked, tmp_path)
    assert "EXT_RESTART" in (tmp_path / "input.inp").read_text()
    subprocess.run(CP2K.command(asked), cwd=tmp_path, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    result = CP2K.read_result(asked, tmp_path)
    assert (tmp_path / "output.out").read_text().count("OPTIMIZATION STEP:      1\n") == 1
    assert result.max_force_eV_per_ang < 0.08
    assert len(result.relaxation_energies_eV) > 4
    assert np.diff(result.relaxation_energies_eV).max() < 1e-3
    assert result.electronic_structure is None
    bonds = np.sort(result.model.structure.distance_matrix, axis=1)[:, 1:5]
    np.testing.assert_allclose(bonds, np.sqrt(3) / 4 * 5.431, atol=0.03)


@pytest.mark.engine("cp2k")
def test_an_scf_that_does_not_converge_is_told_and_gone_on_with_gently(tmp_path):
    asked = calculation(diamond(), settings=SMALL | {"max_scf": 2})
    CP2K.write_input(asked, tmp_path)
    subprocess.run(CP2K.command(asked), cwd=tmp_path, check=True)
    with pytest.raises(ComputationError, match=r"did not converge in 2 steps, where .* try .* mixing_alpha=0\.1"):
        CP2K.read_result(asked, tmp_path)
    gentler = CP2K.remedy(asked, tmp_path, 1)
    assert gentler.engine_settings["mixing_alpha"] == pytest.approx(0.1)
    assert gentler.engine_settings["max_scf"] == 4
    CP2K.check(gentler)


def test_a_density_that_swings_is_told_from_one_that_comes_slowly():
    """Changes of the density that CP2K 2023.1 printed for V_O⁺ and for pristine MgO, 15 and 16 atoms."""
    vacancy = [0.893, 0.250, 0.329, 0.306, 0.115, 0.048, 0.318, 0.056, 0.027, 0.307, 0.0051, 0.313, 0.314, 0.315]
    crystal = [1.77, 0.244, 0.145, 0.030, 0.0041, 0.0034, 0.00037, 0.00025, 0.000016, 0.0000007]
    assert _swings(vacancy)
    assert not _swings(crystal) and not _swings(vacancy[:10]) and not _swings([0.9**step for step in range(40)])


@pytest.mark.engine("cp2k")
def test_minimizing_ends_in_the_state_that_diagonalising_finds(tmp_path):
    """Energy, occupied and empty states, and where they sit, by two solvers that share nothing but the Hamiltonian."""
    # A change of the density of 1e-5 is one of the energy of meV.
    mixed = calculation(diamond(), settings=SMALL | {"eps_scf": 1e-7})
    minimized = calculation(diamond(), settings=SMALL | {"eps_scf": 1e-7, "minimize": True})
    results = []
    for asked, folder in ((mixed, tmp_path / "mixed"), (minimized, tmp_path / "minimized")):
        CP2K.write_input(asked, folder)
        subprocess.run(CP2K.command(asked), cwd=folder, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        results.append(CP2K.read_result(asked, folder))
    assert "OT CG" in (tmp_path / "minimized" / "output.out").read_text()
    one, other = results
    assert other.total_energy_eV == pytest.approx(one.total_energy_eV, abs=1e-4)
    diagonalised, found = one.electronic_structure, other.electronic_structure
    bands = min(diagonalised.eigenvalues_eV.shape[2], found.eigenvalues_eV.shape[2])
    assert bands == 8  # all that the basis has
    np.testing.assert_allclose(found.eigenvalues_eV[..., :bands], diagonalised.eigenvalues_eV[..., :bands], atol=2e-3)
    # Of degenerate states only the sum is defined.
    occupied = slice(0, round(found.n_electrons / 2))
    np.testing.assert_allclose(
        found.site_weights[:, :, occupied].sum(axis=2), diagonalised.site_weights[:, :, occupied].sum(axis=2), atol=1e-3
    )


@pytest.mark.engine("cp2k")
def test_a_swinging_scf_is_minimized_from_new_orbitals(tmp_path):
    asked = calculation(diamond(), settings=SMALL | {"max_scf": 30})
    CP2K.write_input(asked, tmp_path)
    rows = [
        f"     {step} Broy./Diag. 0.30E+00    5.7     {0.3 if step % 2 else 0.2:.8f}      -620.21 -7.70E-01"
        for step in range(2, 30)
    ]
    said = "PROGRAM STARTED AT\n" + "\n".join(rows) + "\n SCF run NOT converged\n PROGRAM ENDED AT\n"
    (tmp_path / "output.out").write_text(said)
    (tmp_path / "midgap-RESTART.wfn").write_bytes(b"orbitals that swung")
    changed = CP2K.remedy(asked, tmp_path, 1)
    assert changed.engine_settings["minimize"] is True
    assert not (tmp_path / "midgap-RESTART.wfn").exists()
    CP2K.write_input(changed, tmp_path)
    sent = (tmp_path / "input.inp").read_text()
    assert "&OT" in sent and "DIAGONALIZATION" not in sent and "NLUMO" in sent


@pytest.mark.engine("cp2k")
def test_why_cp2k_stopped_is_told_in_its_words(tmp_path):
    asked = calculation(diamond(), settings=SMALL)
    CP2K.write_input(asked, tmp_path)
    path = tmp_path / "input.inp"
    path.write_text(path.read_text().replace("SZV-MOLOPT-SR-GTH-q4", "NO-SUCH-BASIS"))
    with (tmp_path / "stdout.txt").open("w") as stdout:
        assert subprocess.run(CP2K.command(asked), cwd=tmp_path, stdout=stdout, stderr=stdout, check=False).returncode
    with pytest.raises(
        ComputationError, match=r"The requested basis set <NO-SUCH-BASIS> for element <Si> was not found"
    ):
        CP2K.read_result(asked, tmp_path)
