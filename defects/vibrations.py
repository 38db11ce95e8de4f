"""Vibrations of a supercell, and how strongly a change of charge state drives each of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import model_validator
from pymatgen.core import IMolecule, IStructure

from midgap.defects.configuration_coordinate import (
    ENERGY_OF_ROOT_CURVATURE,
    displacements_ang,
    masses_amu,
)
from midgap.defects.lineshape import Coupling
from midgap.structures.document import Document, FloatArray, Geometry
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.unpacking import CutShortError, chunks

ACOUSTIC = 3
"""Modes at Γ that move the crystal as a whole."""
ALIAS = re.compile(rb"(?:^|[\s:,\[{-])[&*]\w")
"""Of YAML: a name given to a part of the file, or such a part named again."""


class Modes(Document):
    """Modes at Γ of a supercell, the rigid translations left out.

    Attributes
    ----------
    structure
        Where the forces vanish.
    energies_eV
        ħω, shape (mode,), ascending; negative stands for imaginary: the structure is a saddle point.
    eigenvectors
        Shape (mode, atom, 3), orthonormal, in mass-weighted coordinates.
    asymmetry_eV_per_ang2
        Largest difference between a force constant and its transpose, as given: what the forces' noise does.
    """

    structure: Geometry
    energies_eV: FloatArray
    eigenvectors: FloatArray
    asymmetry_eV_per_ang2: float | None = None
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Modes:
        if self.eigenvectors.shape != (len(self.energies_eV), len(self.structure), 3):
            raise ValueError(f"eigenvectors {self.eigenvectors.shape} do not fit modes and atoms")
        return self

    @property
    def imaginary(self) -> np.ndarray:
        """Which modes have an imaginary frequency, shape (mode,)."""
        return self.energies_eV < 0

    @property
    def stable(self) -> bool:
        """Whether none has."""
        return not bool(self.imaginary.any())


def modes_of(structure: IStructure | IMolecule, force_constants: np.ndarray) -> Modes:
    """The modes of force constants.

    Parameters
    ----------
    force_constants
        Φ = ∂²E/∂u∂u, shape (n, n, 3, 3), eV/Å²; phonopy's own, of the whole supercell. The part that answers to
        a rigid shift is projected out, and what is not symmetric averaged.

    Raises
    ------
    InputError
        They do not fit the structure.
    """
    n = len(structure)
    constants = np.asarray(force_constants, dtype=float)
    if constants.shape != (n, n, 3, 3) or not np.isfinite(constants).all():
        raise InputError(
            f"Force constants of {n} atoms have the shape ({n}, {n}, 3, 3), not {constants.shape}; from phonopy, take "
            "the full ones of the supercell."
        )
    matrix = constants.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    asymmetry = float(np.abs(matrix - matrix.T).max())
    roots = np.repeat(np.sqrt(masses_amu(structure)), 3)
    dynamical = (matrix + matrix.T) / 2 / np.outer(roots, roots)
    rigid = np.stack([roots * np.tile(axis, n) for axis in np.eye(3)], axis=1)
    rigid /= np.linalg.norm(rigid, axis=0)
    # A basis of all that is not a rigid shift: exact, where setting three eigenvalues aside would be a guess.
    basis = np.linalg.qr(rigid, mode="complete")[0][:, ACOUSTIC:]
    squared, inside = np.linalg.eigh(basis.T @ dynamical @ basis)
    vectors = (basis @ inside).T.reshape(-1, n, 3)
    energies = ENERGY_OF_ROOT_CURVATURE * np.sign(squared) * np.sqrt(np.abs(squared))
    warnings: tuple[str, ...] = ()
    if (energies < 0).any():
        warnings = (
            f"{int((energies < 0).sum())} modes have imaginary frequencies, the largest {1e3 * abs(energies.min()):.1f} meV: "
            "the structure is not at a minimum of this force field.",
        )
    return Modes(
        structure=structure,
        energies_eV=energies,
        eigenvectors=vectors,
        asymmetry_eV_per_ang2=asymmetry,
        warnings=warnings,
    )


def read_phonopy(path: Path | str) -> Modes:
    """The modes at Γ of the supercell in a ``phonopy.yaml`` or ``phonopy_params.yaml`` that has forces or force constants.

    Files beside it are not read: what belongs together is in one file (``phonopy -s`` writes such).

    Raises
    ------
    InputError
        It cannot be read, or has neither.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    phonon = _phonopy_of(path)
    constants, cell = phonon.force_constants, phonon.supercell
    if constants is None:
        raise InputError(f"{path} has neither forces nor force constants; write them into it with: phonopy -s.")
    if constants.shape[:2] != (len(cell), len(cell)):
        raise InputError(
            f"{path} has compact force constants, of {constants.shape[0]} of {len(cell)} atoms; write the full ones with: "
            "phonopy --full-fc."
        )
    structure = IStructure(cell.cell, cell.symbols, cell.scaled_positions.tolist())
    return modes_of(structure, constants)


def _phonopy_of(path: Path) -> Any:
    """What one file holds: phonopy's own loader would also take forces from the folder it is called in."""
    from phonopy import Phonopy
    from phonopy.interface.phonopy_yaml import load_phonopy_yaml

    try:
        data: Any = load_phonopy_yaml(_plain_yaml(path))
        phonon = Phonopy(data.unitcell, data.supercell_matrix, primitive_matrix=np.eye(3), log_level=0)
        if data.force_constants is not None:
            phonon.force_constants = data.force_constants
        elif data.dataset is not None and _has_forces(data.dataset):
            phonon.dataset = data.dataset
            phonon.produce_force_constants(calculate_full_force_constants=True)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} is not a file of phonopy's that can be read ({reason}).") from None
    return phonon


def _plain_yaml(path: Path) -> Any:
    """Numbers, words, lists and mappings alone.

    phonopy's own reader takes YAML's tags, by which a file can have any function called; and aliases, of which a
    few lines can stand for more numbers than there is memory.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        raw = b"".join(chunks(path))
    except CutShortError:
        raise InputError(f"{path} is cut short; copy it again.") from None
    if ALIAS.search(raw):
        raise InputError(f"{path} has anchors or aliases of YAML, which phonopy never writes.")
    return yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _has_forces(dataset: dict[str, Any]) -> bool:
    return "forces" in dataset or all("forces" in one for one in dataset.get("first_atoms", [{}]))


class PartialCoupling(Document):
    """How a displacement divides among modes.

    Attributes
    ----------
    energies_eV, huang_rhys
        Of the modes with real frequencies, shape (mode,).
    delta_q
        ΔQ of the displacement, amu^½ Å.
    lost
        Part of ΔQ² along modes with imaginary frequencies, which no Huang-Rhys factor can be given for.
    """

    energies_eV: FloatArray
    huang_rhys: FloatArray
    delta_q: float
    lost: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def coupling(self) -> Coupling:
        """What a line shape is made of."""
        return Coupling(phonons_eV=self.energies_eV, huang_rhys=self.huang_rhys)


def couple(modes: Modes, ground: IStructure | IMolecule, excited: IStructure | IMolecule) -> PartialCoupling:
    """Partial Huang-Rhys factors S_k = ω_k q_k²/2ħ of the way between two geometries.

    q_k = Σ m^½ ΔR·e_k (Alkauskas, Buckley, Awschalom and Van de Walle, New J. Phys. 16, 073026 (2014),
    Eqs. 5-7). For emission, the modes are the ground state's.

    Raises
    ------
    InputError
        The geometries have other atoms than the modes.
    """
    moved = displacements_ang(ground, excited)
    weighted = np.sqrt(masses_amu(ground))[:, None] * moved
    return _partial(modes, ground, np.einsum("kai,ai->k", modes.eigenvectors, weighted))


def couple_forces(modes: Modes, forces_eV_per_ang: np.ndarray) -> PartialCoupling:
    """The same from forces: those of one state at the other's relaxed geometry, in the harmonic approximation.

    q_k = Σ m^-½ F·e_k / ω_k² (as above, Eq. 8): where the geometries of a large cell were never relaxed, but
    the forces of a small one are at hand.

    Parameters
    ----------
    forces_eV_per_ang
        Shape (n, 3), eV/Å.

    Raises
    ------
    InputError
        Other atoms than the modes'.
    """
    forces = np.asarray(forces_eV_per_ang, dtype=float)
    if forces.shape != (len(modes.structure), 3):
        raise InputError(f"{forces.shape} forces do not fit {len(modes.structure)} atoms.")
    weighted = forces / np.sqrt(masses_amu(modes.structure))[:, None]
    along = np.einsum("kai,ai->k", modes.eigenvectors, weighted)
    squared = np.sign(modes.energies_eV) * (modes.energies_eV / ENERGY_OF_ROOT_CURVATURE) ** 2
    return _partial(modes, modes.structure, along / squared)


def _partial(modes: Modes, structure: IStructure | IMolecule, q: np.ndarray) -> PartialCoupling:
    if [site.specie for site in structure] != [site.specie for site in modes.structure]:
        raise InputError("The geometries have other atoms than the modes, or in another order.")
    total = float(q @ q)
    real = ~modes.imaginary
    if not real.any():
        raise ComputationError("Not one mode has a real frequency.")
    energies = modes.energies_eV[real]
    # ω q²/2ħ = (ω²/ħω) q²/2, with ω² in eV/(amu Å²).
    factors = energies / ENERGY_OF_ROOT_CURVATURE**2 * q[real] ** 2 / 2
    lost = float((q[~real] ** 2).sum()) / total if total else 0.0
    warnings: tuple[str, ...] = ()
    if lost > 0.01:
        warnings = (f"{100 * lost:.0f} % of the displacement is along imaginary modes and couples to nothing here.",)
    return PartialCoupling(
        energies_eV=energies, huang_rhys=factors, delta_q=float(np.sqrt(total)), lost=lost, warnings=warnings
    )
