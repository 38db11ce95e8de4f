"""PySCF: an `ElectronicStructure` from a converged mean field or its checkpoint file.

Spin-orbit coupling is one-shot: the two-component Hamiltonian, with the spin-orbit part of the effective
core potentials, is diagonalised in the basis of all scalar orbitals. Site weights are Löwdin populations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import IMolecule

from midgap.defects.electronic_structure import ElectronicStructure, Provenance, TransitionDipoles, near_the_gap
from midgap.defects.parsers.hdf5 import dataset
from midgap.defects.parsers.pyscf_tables import check_tables
from midgap.structures.errors import InputError
from midgap.structures.hdf5_trial import refuse_endless
from midgap.structures.model import PointCharges
from midgap.structures.theory import LevelOfTheory
from midgap.structures.units import BOHR_ANG, EV_PER_HARTREE


@dataclass(frozen=True)
class Orbitals:
    """Scalar orbitals and how many of them are filled.

    Attributes
    ----------
    energies_Ha
        Shape (spin, orbital): one spin channel if restricted.
    coefficients
        Shape (spin, basis function, orbital).
    filled
        Occupied orbitals of each spin, always two numbers.
    """

    energies_Ha: np.ndarray
    coefficients: np.ndarray
    filled: tuple[int, int]

    @property
    def restricted(self) -> bool:
        return len(self.energies_Ha) == 1

    @classmethod
    def of(cls, mean_field: Any) -> Orbitals:
        """From a restricted or unrestricted PySCF mean field."""
        return cls.from_arrays(mean_field.mo_energy, mean_field.mo_coeff, mean_field.mo_occ)

    @classmethod
    def from_arrays(cls, mo_energy: Any, mo_coeff: Any, mo_occ: Any) -> Orbitals:
        """From PySCF's three arrays, the spins first where there are two."""
        energies, occupations = np.atleast_2d(mo_energy), np.atleast_2d(mo_occ)
        coefficients = np.asarray(mo_coeff).reshape(len(energies), -1, energies.shape[1])
        if len(energies) == 1:
            filled = (int((occupations[0] > 0).sum()), int((occupations[0] > 1).sum()))
        else:
            filled = (int((occupations[0] > 0).sum()), int((occupations[1] > 0).sum()))
        return cls(energies, coefficients, filled)


def spinors(orbitals: Orbitals, spin_orbit_Ha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenstates of the scalar orbitals coupled by the spin-orbit operator.

    In the basis of spin orbitals, C↑ for spin up and C↓ for spin down, the Hamiltonian is
    diag(ε↑, ε↓) + C† h C, where h has a block for each pair of spins. All orbitals take part, so that
    the only approximation is that the density stays the scalar one. The moment of an open shell points
    along z.

    Parameters
    ----------
    spin_orbit_Ha
        Matrix elements of one component of the operator an axis, l·ξ(r) without the spin, real and
        antisymmetric, shape (3, basis function, basis function): PySCF's ``ECPso``.

    Returns
    -------
    energies_Ha
        Shape (2n,), ascending.
    coefficients
        Shape (spin, basis function, 2n), complex.
    """
    up, down = (orbitals.coefficients[s] for s in ((0, 0) if orbitals.restricted else (0, 1)))
    energies = np.concatenate([orbitals.energies_Ha[0], orbitals.energies_Ha[-1]])
    x, y, z = (-0.5j * component for component in spin_orbit_Ha)  # s = σ/2; the operator is -i times a real one
    hamiltonian = np.diag(energies).astype(complex)
    n = up.shape[1]
    hamiltonian[:n, :n] += up.T @ z @ up
    hamiltonian[n:, n:] -= down.T @ z @ down
    mixed = up.T @ (x - 1j * y) @ down
    hamiltonian[:n, n:] += mixed
    hamiltonian[n:, :n] += mixed.conj().T
    values, vectors = np.linalg.eigh(hamiltonian)
    return values, np.stack([up @ vectors[:n], down @ vectors[n:]])


def site_weights(coefficients: np.ndarray, overlap: np.ndarray, functions: list[slice]) -> np.ndarray:
    """Löwdin population of each state on each atom, shape (state, atom).

    Parameters
    ----------
    coefficients
        Shape (spin component, basis function, state); components are summed.
    functions
        The basis functions of each atom. Those of ghosts belong to none, and what sits there is
        missing from the row's sum.

    Notes
    -----
    Löwdin, J. Chem. Phys. 18, 365 (1950), doi 10.1063/1.1747632: coefficients in the basis S^-1/2 χ.
    """
    values, vectors = np.linalg.eigh(overlap)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    squared = (np.abs(root @ coefficients) ** 2).sum(axis=0)
    return np.stack([squared[part].sum(axis=0) for part in functions], axis=1)


def electronic_structure(
    mol: Any,
    orbitals: Orbitals,
    theory: LevelOfTheory,
    *,
    provenance: Provenance,
    embedding: PointCharges | None = None,
    empty: int | None = None,
    total_energy_eV: float | None = None,
    converged: bool = True,
    warnings: tuple[str, ...] = (),
) -> ElectronicStructure:
    """Collect eigenvalues, occupations, site weights and site potentials.

    Parameters
    ----------
    mol
        PySCF's ``Mole``.
    embedding
        Point charges that were in the Hamiltonian; they enter the site potentials.
    empty
        Empty states to list, for each spin (two spinors count as one); None lists all.
    """
    real = [i for i in range(mol.natm) if mol.atom_charge(i) > 0]
    overlap = mol.intor_symmetric("int1e_ovlp")
    edges = mol.aoslice_by_atom()[:, 2:]
    functions = [slice(*edges[i]) for i in real]
    n_orbitals = orbitals.energies_Ha.shape[1]
    n_electrons = sum(orbitals.filled)
    if theory.spin_orbit:
        lacking = elements_without_spin_orbit(mol)
        if lacking:
            warnings += (f"spin-orbit coupling on {', '.join(lacking)} is neglected: no spin-orbit core potential",)
        energies, coefficients = spinors(orbitals, spin_orbit_integrals(mol))
        shown = 2 * n_orbitals if empty is None else min(2 * n_orbitals, n_electrons + 2 * empty)
        dipoles = transition_dipoles(mol, coefficients[None], (n_electrons, n_electrons), shown)
        eigenvalues = energies[None, :shown]
        weights = site_weights(coefficients, overlap, functions)[None, :shown]
        occupations = (np.arange(shown) < n_electrons)[None]
    else:
        shown = n_orbitals if empty is None else min(n_orbitals, max(orbitals.filled) + empty)
        dipoles = transition_dipoles(
            mol, orbitals.coefficients[:, None], (min(orbitals.filled), max(orbitals.filled)), shown
        )
        eigenvalues = orbitals.energies_Ha[:, :shown]
        weights = np.stack([site_weights(c[None], overlap, functions)[:shown] for c in orbitals.coefficients])
        filled = np.array(orbitals.filled)[:, None] > np.arange(shown)
        occupations = filled.mean(axis=0, keepdims=True) if orbitals.restricted else filled
    unpaired = orbitals.filled[0] - orbitals.filled[1]
    return ElectronicStructure(
        structure=IMolecule(
            [mol.atom_pure_symbol(i) for i in real], mol.atom_coords()[real] * BOHR_ANG, validate_proximity=False
        ),
        theory=theory,
        provenance=provenance,
        charge=mol.charge,
        spinor=theory.spin_orbit,
        kpoints_frac=np.zeros((1, 3)),
        k_weights=[1.0],
        eigenvalues_eV=eigenvalues[:, None] * EV_PER_HARTREE,
        occupations=occupations[:, None],
        site_weights=weights[:, None],
        n_electrons=n_electrons,
        magnetization_muB=0.0 if orbitals.restricted or theory.spin_orbit else float(unpaired),
        site_potentials_eV=site_potentials_eV(mol, orbitals, embedding)[real],
        dipoles=dipoles,
        total_energy_eV=total_energy_eV,
        converged=converged,
        warnings=warnings,
    )


def transition_dipoles(mol: Any, coefficients: np.ndarray, filled: tuple[int, int], shown: int) -> TransitionDipoles:
    """Squared dipoles between the states next to the gap.

    Parameters
    ----------
    coefficients
        Shape (spin channel, spin component, basis function, state): two components for spinors.
    filled
        The fewest and the most states that are filled in any channel.
    shown
        How many states are listed.
    """
    first, last = near_the_gap(filled, shown, spinors=coefficients.shape[1] == 2)
    kept = coefficients[..., first:last]
    position = mol.intor("int1e_r") * BOHR_ANG
    elements = np.einsum("scpi,vpq,scqj->svij", kept.conj(), position, kept, optimize=True)
    return TransitionDipoles.of(first, elements[:, None])


def spin_orbit_integrals(mol: Any) -> np.ndarray:
    """PySCF's ``ECPso``, shape (3, n, n), Ha; zeros where no core potential has a spin-orbit part."""
    return mol.intor("ECPso") if mol.has_ecp_soc() else np.zeros((3, mol.nao, mol.nao))


def elements_without_spin_orbit(mol: Any) -> list[str]:
    """Elements whose core potential has no spin-orbit part, or that have no core potential."""
    with_part = {int(row[0]) for row in mol._ecpbas if row[4]} if len(mol._ecpbas) else set()  # ATOM_OF, SO_TYPE_OF
    symbols = [mol.atom_pure_symbol(i) for i in range(mol.natm) if mol.atom_charge(i) > 0 and i not in with_part]
    return list(dict.fromkeys(symbols))


def site_potentials_eV(mol: Any, orbitals: Orbitals, embedding: PointCharges | None = None) -> np.ndarray:
    """Potential energy of an electron at each nucleus from all other charges, shape (atom,), eV.

    The atom's own core is left out; the density is the scalar one.
    """
    positions, cores = mol.atom_coords(), mol.atom_charges()
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    np.fill_diagonal(distance, np.inf)
    potential = (cores / distance).sum(axis=1)
    if embedding is not None:
        around = embedding.positions_ang / BOHR_ANG
        potential += (embedding.charges_e / np.linalg.norm(positions[:, None] - around, axis=-1)).sum(axis=1)
    density = sum(
        c[:, :n] @ c[:, :n].T
        for c, n in zip((orbitals.coefficients[0], orbitals.coefficients[-1]), orbitals.filled, strict=True)
    )
    potential -= np.einsum("apq,pq->a", mol.intor("int1e_grids", grids=positions), density)
    return -EV_PER_HARTREE * potential


def read_checkpoint(path: Path | str, theory: LevelOfTheory) -> ElectronicStructure:
    """Read the checkpoint file (``chkfile``) of a molecular PySCF calculation, whoever ran it.

    Parameters
    ----------
    theory
        What was computed: the file does not say. With spin-orbit coupling the spinors are computed from
        the scalar orbitals that it holds.

    Raises
    ------
    InputError
        Not such a file, or not a scalar molecular one; or PySCF is not installed.
    """
    try:
        import h5py  # type: ignore[import-untyped]
        from pyscf import gto
    except ImportError:
        raise InputError(
            "Reading a PySCF checkpoint needs PySCF; install it with: pip install 'midgap[pyscf]'."
        ) from None
    try:
        refuse_endless(Path(path))
        with h5py.File(path, "r") as file:
            text = dataset(file, "mol")
            arrays = [np.asarray(dataset(file, f"scf/{name}")) for name in ("mo_energy", "mo_coeff", "mo_occ")]
            energy = float(dataset(file, "scf/e_tot"))
        # PySCF's own reader evaluates strings of the file; the integral tables are all that is needed here.
        data = json.loads(text)
        mol = gto.Mole()
        mol._atm, mol._bas = (np.array(data[key], dtype=np.int32) for key in ("_atm", "_bas"))
        mol._env = np.array(data["_env"], dtype=float)
        mol._ecpbas = np.array(data["_ecpbas"], dtype=np.int32).reshape(-1, 8)
        mol._atom = [(str(symbol), list(position)) for symbol, position in data["_atom"]]
        mol.charge, mol.cart = int(data.get("charge", 0)), bool(data.get("cart", False))
        mol._built = True
        check_tables(mol)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} is not a checkpoint of a molecular PySCF calculation ({reason}).") from None
    if any(array.dtype.kind not in "fiu" or not np.isfinite(array).all() for array in (*arrays, np.array(energy))):
        raise InputError(
            f"{path} holds orbitals that are no real numbers; midgap reads scalar molecular PySCF calculations."
        )
    shape = arrays[1].shape
    if (
        len(shape) not in (2, 3)
        or shape[-2] != mol.nao
        or any(a.shape != (*shape[:-2], shape[-1]) for a in arrays[::2])
    ):
        raise InputError(f"{path} holds spinors or k-points; midgap reads scalar molecular PySCF calculations.")
    try:
        return electronic_structure(
            mol,
            Orbitals.from_arrays(*arrays),
            theory,
            provenance=Provenance(engine="pyscf", settings={"read from": Path(path).name}),
            total_energy_eV=energy * EV_PER_HARTREE,
        )
    except (ValueError, IndexError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: its orbitals do not belong to its atoms ({reason}).") from None
