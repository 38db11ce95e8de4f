"""PySCF: bases, spin-orbit coupling against PySCF's own and against spectra, failures and restarts."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import IMolecule, IStructure, Lattice

from midgap.defects.parsers.pyscf import Orbitals, read_checkpoint, site_weights, spinors
from midgap.structures.clusters import octahedron
from midgap.structures.crystals import load_crystal
from midgap.structures.embedding import COULOMB_EV_ANG, Embedding
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.model import Model, PointCharges
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines.pyscf import CHECKPOINT, LOG, RESULT, Pyscf

pytest.importorskip("pyscf", reason="pip install 'midgap[pyscf]'")


RELAXED = Path(__file__).parents[2] / "shared" / "data" / "structures" / "Cs4PbBr6_primitive_pbe250.xyz"
needs_relaxed = pytest.mark.skipif(not RELAXED.exists(), reason=f"no relaxed structure at {RELAXED}")


def cluster(symbols: list[str], positions_ang, charge: int = 0, **fields) -> Model:
    return Model(
        name="cluster",
        kind="cluster",
        material="test",
        structure=IMolecule(symbols, positions_ang),
        charge=charge,
        **fields,
    )


def ask(model: Model, theory: str, **fields) -> Calculation:
    settings = {key: fields.pop(key) for key in ("exact_exchange",) if key in fields}
    return Calculation(model=model, theory=LevelOfTheory.named(theory, **settings), **fields)


def compute(calculation: Calculation, folder: Path):
    """As the runner does it: a process of its own in the folder."""
    engine = Pyscf()
    engine.check(calculation)
    engine.write_input(calculation, folder)
    process = subprocess.run(
        engine.command(calculation),
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    return engine.read_result(calculation, folder), process


KRYPTON = cluster(["Kr"], [[0, 0, 0]])
LEAD_BROMIDE = cluster(["Pb", "Br", "Br"], [[0, 0, 0], [2.06, 1.6, 0], [-2.06, 1.6, 0]])

BROMINE = cluster(["Br", "Br"], [[0, 0, 0], [0, 0, 2.28]])
LEAD_OXIDE = cluster(["Pb", "O"], [[0, 0, 0], [0, 0, 1.92]])


def p_shell_operator(strength: float) -> np.ndarray:
    """l of a p shell without its factor -i, times ``strength``: the form of PySCF's ``ECPso``."""
    levi_civita = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        levi_civita[i, j, k], levi_civita[i, k, j] = 1, -1
    return strength * levi_civita


def test_a_p_shell_splits_into_j_one_half_and_three_halves():
    orbitals = Orbitals(np.zeros((1, 3)), np.eye(3)[None], (3, 3))
    energies, coefficients = spinors(orbitals, p_shell_operator(0.1))
    np.testing.assert_allclose(energies, [-0.1] * 2 + [0.05] * 4, atol=1e-14)  # ζ l·s
    np.testing.assert_allclose((abs(coefficients) ** 2).sum(axis=(0, 1)), 1)


def test_an_exchange_split_p_shell_is_the_analytic_one():
    # one spin up by Δ: m_j = ±3/2 feel only l_z s_z
    splitting, strength = 0.3, 0.1
    orbitals = Orbitals(np.array([[0.0] * 3, [splitting] * 3]), np.stack([np.eye(3)] * 2), (3, 0))
    energies, _ = spinors(orbitals, p_shell_operator(strength))
    z, d = strength, splitting
    blocks = [[z / 2], [d + z / 2]]
    for up, down in ((0.0, d - z / 2), (-z / 2, d)):  # (m_l, m_s) = (0, ½)·(1, -½) and (-1, ½)·(0, -½)
        blocks.append(list(np.linalg.eigvalsh([[up, z / np.sqrt(2)], [z / np.sqrt(2), down]])))
    np.testing.assert_allclose(energies, sorted(np.concatenate(blocks)), atol=1e-14)


def test_spinors_agree_with_pyscf_s_own_two_component_hamiltonian():
    from pyscf import gto, scf
    from scipy.linalg import block_diag, eigh

    mol = gto.M(
        atom="Pb 0 0 0; Br 0 0 2.6",
        basis="cc-pvdz-pp",
        ecp={"Pb": "ecpds60mdfso", "Br": "ecpds10mdfso"},
        charge=1,
        verbose=0,
    )
    core, overlap, field = (mol.intor(name) for name in ("int1e_kin", "int1e_ovlp", "int1e_r"))
    core = scf.hf.get_hcore(mol)
    one, other = (eigh(core + strength * field[2], overlap) for strength in (0.0, 0.2))
    orbitals = Orbitals(np.array([one[0], other[0]]), np.array([one[1], other[1]]), (20, 20))
    energies, coefficients = spinors(orbitals, mol.intor("ECPso"))
    theirs = scf.GHF(mol)
    theirs.with_soc = True
    two_component = theirs.get_hcore() + block_diag(0 * core, 0.2 * field[2])
    np.testing.assert_allclose(energies, eigh(two_component, block_diag(overlap, overlap))[0], atol=1e-9)
    weights = site_weights(coefficients, overlap, [slice(0, 36), slice(36, mol.nao)])
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-10)


@pytest.mark.parametrize(
    ("symbol", "basis", "valence"),
    # electrons outside the core: small cores of 60, 28 and 10 electrons; Cs of 46; the lightest have none
    [("Pb", "cc-pvdz-pp", 22), ("I", "cc-pvdz-pp", 25), ("Sn", "cc-pvdz-pp", 22), ("Br", "cc-pvdz-pp", 25),
     ("Cs", "def2-svp", 9), ("Cl", "cc-pvdz", 17), ("O", "cc-pvdz", 8), ("Mg", "cc-pvdz", 12), ("Mn", "def2-svp", 25)],
)  # fmt: skip
def test_every_element_has_a_basis_and_its_electrons(tmp_path, symbol, basis, valence):
    from midgap.workflows.engines.pyscf_driver import basis_of, molecule

    assert basis_of(symbol).basis == basis
    mol = molecule(cluster([symbol], [[0, 0, 0]]), tmp_path / "out")
    assert mol.nelectron == valence
    assert mol.has_ecp_soc() == (symbol in {"Pb", "I", "Sn", "Br"})


def test_elements_from_the_whole_table_have_a_basis():
    from pyscf.data.elements import ELEMENTS
    from pyscf.gto import basis

    from midgap.workflows.engines.pyscf_driver import STUTTGART, basis_of

    for number in [*range(1, 58), *range(72, 87)]:
        chosen = basis_of(ELEMENTS[number])
        assert basis.load(chosen.basis, ELEMENTS[number])
        core = basis.load_ecp(chosen.potential, ELEMENTS[number])[0] if chosen.potential else 0
        assert core in (0, 10, 28, 46, 60)
        assert chosen.potential not in STUTTGART or core == int(chosen.potential[5:7])
    with pytest.raises(InputError, match="no basis set for Gd"):
        Pyscf().check(ask(cluster(["Gd"], [[0, 0, 0]]), "pbe"))


def test_ghosts_carry_functions_but_no_charge(tmp_path):
    from midgap.workflows.engines.pyscf_driver import molecule

    whole = molecule(LEAD_BROMIDE, tmp_path / "whole")
    ghosted = cluster(
        ["Pb", "Br"], LEAD_BROMIDE.positions_ang[:2], 1, ghosts=IMolecule(["Br"], LEAD_BROMIDE.positions_ang[2:])
    )
    mol = molecule(ghosted, tmp_path / "ghost")
    assert mol.nao == whole.nao
    assert mol.nelectron == whole.nelectron - 26  # a Br⁻ less: 25 + 1
    assert mol.atom_charge(2) == 0
    assert not any(row[0] == 2 for row in mol._ecpbas)


@pytest.mark.engine
def test_krypton_splits_as_photoemission_sees_it(tmp_path):
    # Kr → Kr⁺ ²P3/2 and ²P1/2: 5370.10 cm⁻¹ (NIST Atomic Spectra Database) = 0.6658 eV; the next halide, Br⁻, has the
    # same core. In a contracted basis the two 4p cannot differ in shape, which costs about an eighth.
    result, process = compute(ask(KRYPTON, "hse06+soc"), tmp_path)
    assert process.returncode == 0, process.stderr
    electronic = result.electronic_structure
    assert electronic.spinor and electronic.n_electrons == 26
    levels = electronic.eigenvalues_eV[0, 0, 20:26]
    assert np.ptp(levels[:2]) < 1e-4 and np.ptp(levels[2:]) < 1e-4
    assert levels[2] - levels[1] == pytest.approx(0.6658, rel=0.15)
    assert electronic.occupations.sum() == 26
    np.testing.assert_allclose(electronic.site_weights[0, 0, :, 0], 1, atol=1e-9)
    assert electronic.filled(0) == 26
    provenance = result.provenance
    assert provenance.engine_version == Pyscf().version()
    assert provenance.wall_time_s > 0 and 50 < provenance.peak_memory_MB < 2000
    assert "ecpds10mdfso" in provenance.settings["core potentials"]


@pytest.mark.engine
def test_the_6p_electron_of_lead_splits_as_in_its_spectrum(tmp_path):
    # Pb⁺ 6s²6p: ²P1/2 → ²P3/2 14081.07 cm⁻¹ (NIST Atomic Spectra Database) = 1.7458 eV; the empty 6p of Pb²⁺ is where
    # that electron goes.
    result, _ = compute(ask(cluster(["Pb"], [[0, 0, 0]], 2), "hse06+soc"), tmp_path)
    electronic = result.electronic_structure
    levels = electronic.eigenvalues_eV[0, 0, 20:26]  # 5s² 5p⁶ 5d¹⁰ 6s² below
    assert electronic.n_electrons == 20
    assert levels[2] - levels[1] == pytest.approx(1.7458, rel=0.12)


@pytest.mark.engine
def test_a_far_shell_of_charges_moves_every_level_by_its_potential(tmp_path):
    directions = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3)
    axes = np.vstack([np.eye(3), -np.eye(3)])
    # a spherical design of order 5: a constant potential inside but for terms of (r/R)⁶
    shell = PointCharges(positions_ang=30 * np.vstack([axes, directions]), charges_e=[1 / 6 * 0.4] * 6 + [0.6 / 8] * 8)
    free, _ = compute(ask(cluster(["Ne"], [[0, 0, 0]]), "pbe"), tmp_path / "..")
    held, _ = compute(ask(cluster(["Ne"], [[0, 0, 0]], embedding=shell), "pbe"), tmp_path)
    moved = held.electronic_structure.eigenvalues_eV[0, 0, :5] - free.electronic_structure.eigenvalues_eV[0, 0, :5]
    np.testing.assert_allclose(moved, -COULOMB_EV_ANG / 30, atol=1e-4)
    potentials = [r.electronic_structure.site_potentials_eV[0] for r in (held, free)]
    assert potentials[0] - potentials[1] == pytest.approx(-COULOMB_EV_ANG / 30, abs=1e-4)
    # ten electrons in it against ten protons: no energy
    assert free.electronic_structure.warnings == ()
    assert held.total_energy_eV - free.total_energy_eV == pytest.approx(0, abs=1e-4)


@pytest.mark.engine
def test_an_anion_that_a_semilocal_functional_cannot_hold_is_told(tmp_path):
    # F⁻ has a positive highest level in every semilocal functional: Shore, Rose and Zaremba, Phys. Rev. B 15, 2858 (1977)
    result, _ = compute(ask(cluster(["F"], [[0, 0, 0]], -1), "pbe"), tmp_path)
    assert result.electronic_structure.eigenvalues_eV[0, 0, 4] > 0
    assert "unbound" in result.electronic_structure.warnings[0]


@pytest.mark.engine
def test_an_open_shell_is_unrestricted_and_its_spinors_go_on_from_both_spins(tmp_path):
    # atomic Br, 4p⁵: one hole
    scalar, _ = compute(ask(cluster(["Br"], [[0, 0, 0]]), "pbe"), tmp_path)
    electronic = scalar.electronic_structure
    assert electronic.eigenvalues_eV.shape[0] == 2 and electronic.magnetization_muB == 1
    assert (electronic.filled(0), electronic.filled(1)) == (13, 12)
    np.testing.assert_array_equal(electronic.occupations.sum(axis=(1, 2)), [13, 12])
    coupled, _ = compute(ask(cluster(["Br"], [[0, 0, 0]]), "pbe+soc"), tmp_path)  # from the same orbitals
    spinor = coupled.electronic_structure
    assert spinor.eigenvalues_eV.shape[:2] == (1, 1) and spinor.filled(0) == 25
    # the coupling has no trace: it moves levels, not their mean
    both = electronic.eigenvalues_eV.sum()
    assert spinor.eigenvalues_eV.sum() == pytest.approx(both, rel=1e-6)


@pytest.mark.engine
def test_hse06_is_the_mixture_with_a_quarter_of_exact_exchange(tmp_path):
    gaps, energies = {}, {}
    neon = cluster(["Ne"], [[0, 0, 0]])
    for number, (theory, fields) in enumerate(
        [("pbe", {}), ("hse06", {}), ("hse06", {"exact_exchange": 0.25}), ("hse06", {"exact_exchange": 0.5})]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        electronic = compute(ask(neon, theory, **fields), folder)[0].electronic_structure
        gaps[number] = electronic.eigenvalues_eV[0, 0, 5] - electronic.eigenvalues_eV[0, 0, 4]
        energies[number] = electronic.total_energy_eV
    assert energies[2] == pytest.approx(energies[1], abs=1e-5) and gaps[2] == pytest.approx(gaps[1], abs=1e-5)
    assert gaps[0] < gaps[1] < gaps[3]
    # linear in the fraction, but for the orbitals' answer
    assert gaps[3] - gaps[0] == pytest.approx(2 * (gaps[1] - gaps[0]), rel=0.05)


@pytest.mark.engine
def test_a_molecule_restarts_from_its_checkpoint_and_reads_back_from_it(tmp_path):
    calculation = ask(BROMINE, "pbe+soc", empty_bands=6)
    first, _ = compute(calculation, tmp_path)
    cycles = (tmp_path / LOG).read_text().count("cycle")
    electronic = first.electronic_structure
    assert electronic.eigenvalues_eV.shape == (1, 1, 50 + 2 * 6)
    # time reversal: pairs, and the two atoms are mirror images
    np.testing.assert_allclose(electronic.eigenvalues_eV[0, 0, ::2], electronic.eigenvalues_eV[0, 0, 1::2], atol=1e-6)
    np.testing.assert_allclose(electronic.site_weights[..., 0], electronic.site_weights[..., 1], atol=1e-4)
    np.testing.assert_allclose(electronic.site_weights.sum(axis=-1), 1, atol=1e-9)

    foreign = read_checkpoint(tmp_path / CHECKPOINT, calculation.theory)
    np.testing.assert_allclose(foreign.eigenvalues_eV[..., :62], electronic.eigenvalues_eV, atol=1e-9)
    np.testing.assert_allclose(foreign.structure.cart_coords, BROMINE.positions_ang, atol=1e-6)

    (tmp_path / RESULT).unlink()
    (tmp_path / LOG).unlink()
    again, _ = compute(calculation, tmp_path)
    assert (tmp_path / LOG).read_text().count("cycle") < 0.6 * cycles
    assert again.total_energy_eV == pytest.approx(first.total_energy_eV, abs=1e-5)

    # a kill in the middle of writing costs the checkpoint, not the calculation
    (tmp_path / RESULT).unlink()
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:4000])
    assert compute(calculation, tmp_path)[0].total_energy_eV == pytest.approx(first.total_energy_eV, abs=1e-5)
    assert Pyscf().progress(tmp_path) == "done"


@pytest.mark.engine
def test_a_field_that_does_not_converge_is_told_and_has_a_remedy(tmp_path):
    calculation = ask(LEAD_OXIDE, "pbe", engine_settings={"max_cycle": 2})
    with pytest.raises(ComputationError, match="did not converge in 2 cycles"):
        compute(calculation, tmp_path)
    assert "cycle 2" in Pyscf().progress(tmp_path)
    gentler = Pyscf().remedy(calculation, tmp_path, 1)
    assert gentler.engine_settings["level_shift"] > 0
    result, process = compute(gentler, tmp_path)
    assert process.returncode == 0 and result.electronic_structure.converged
    second_order = Pyscf().remedy(ask(LEAD_OXIDE, "pbe"), _failed(tmp_path), 2)
    newton, _ = compute(second_order, tmp_path)
    # a shift of the empty levels must not be left in the eigenvalues
    np.testing.assert_allclose(
        newton.electronic_structure.eigenvalues_eV[..., 1:25],
        result.electronic_structure.eigenvalues_eV[..., 1:25],
        atol=2e-3,
    )


def _failed(folder: Path) -> Path:
    (folder / RESULT).unlink()
    (folder / "failure.txt").write_text("the SCF did not converge in 2 cycles\n")
    return folder


@pytest.mark.engine
@needs_relaxed
def test_the_embedded_octahedron_of_the_crystal(tmp_path):
    # 4.42 eV: the same cluster with spin-orbit coupling in the self-consistent field, by PySCF's two-component
    # Kohn-Sham (GKS), with Evjen's charges and the finer grid; 5.17 eV without the coupling
    # (the coarse grid and fewer charges save half of the time and move the gap by less than 1 meV)
    model = octahedron(load_crystal(RELAXED)[0], embedding=Embedding(cells=5))
    octahedral, _ = compute(ask(model, "hse06+soc", engine_settings={"grid_level": 1}), tmp_path)
    electronic = octahedral.electronic_structure
    levels, weights = electronic.eigenvalues_eV[0, 0], electronic.site_weights[0, 0]
    n = round(electronic.filled(0))
    assert n == 22 + 6 * 25 + 4
    assert levels[n] - levels[n - 1] == pytest.approx(4.42, abs=0.1)
    # Pb 6p½ above Br 4p: twice degenerate, as time reversal wants, and a multiplet of the octahedron's own
    assert weights[n, 0] > 0.6 and weights[n - 1, 1:].sum() > 0.7
    np.testing.assert_allclose(levels[n], levels[n + 1], atol=1e-5)
    np.testing.assert_allclose(weights[n, 1:], weights[n, 1], atol=1e-3)


def test_what_it_cannot_do_is_told_before_it_starts(tmp_path):
    crystal = Model(
        name="salt",
        kind="pristine",
        material="NaCl",
        structure=IStructure(Lattice.cubic(4), ["Na", "Cl"], [[0] * 3, [0.5] * 3]),
    )
    for calculation, match in (
        (ask(crystal, "pbe"), "clusters only"),
        (ask(KRYPTON, "pbe", task="relax"), "does not relax"),
        (ask(KRYPTON, "pbe", engine_settings={"conv_tolerance": 1e-9}), "it has conv_tol"),
        (ask(KRYPTON, "pbe", engine_settings={"max_cycle": "many"}), "max_cycle is a int"),
    ):
        with pytest.raises(InputError, match=match):
            Pyscf().check(calculation)
    assert Pyscf().missing() is None
    assert Pyscf().progress(tmp_path) == ""
    with pytest.raises(ComputationError, match="without a result"):
        Pyscf().read_result(ask(KRYPTON, "pbe"), tmp_path)


def test_what_is_no_checkpoint_is_told(tmp_path):
    (tmp_path / "a.chk").write_text("no HDF5")
    theory = LevelOfTheory.named("pbe")
    for path, match in (("a.chk", "not a checkpoint"), ("b.chk", "no such file")):
        with pytest.raises(InputError, match=match):
            read_checkpoint(tmp_path / path, theory)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "c.chk", "w") as file:
        file["mol"] = json.dumps({"atom": "__import__('os').abort()"})
        for name in ("mo_energy", "mo_coeff", "mo_occ"):
            file[f"scf/{name}"] = np.zeros(1)
        file["scf/e_tot"] = 0.0
    with pytest.raises(InputError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "c.chk", theory)


def test_lowdin_populations_of_two_overlapping_functions():
    # H2-like: overlap s; the bonding orbital is shared equally, a function alone leaks to the other by Löwdin's own sum
    s = 0.4
    overlap = np.array([[1, s], [s, 1]])
    bonding, alone = np.array([1, 1]) / np.sqrt(2 * (1 + s)), np.array([1.0, 0.0])
    weights = site_weights(np.stack([bonding, alone], axis=1)[None], overlap, [slice(0, 1), slice(1, 2)])
    root = (np.sqrt(1 + s) + np.sqrt(1 - s)) / 2, (np.sqrt(1 + s) - np.sqrt(1 - s)) / 2
    np.testing.assert_allclose(weights, [[0.5, 0.5], [root[0] ** 2, root[1] ** 2]], atol=1e-14)
