"""Dielectric tensors of a crystal, from what its electrons and its atoms do in an electric field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import model_validator
from pymatgen.core import IStructure

from midgap.defects.configuration_coordinate import ENERGY_OF_ROOT_CURVATURE, masses_amu
from midgap.defects.electrostatics import COULOMB_EV_ANG
from midgap.defects.emission import Screening
from midgap.defects.vibrations import Modes
from midgap.structures.document import Document, FloatArray, Geometry
from midgap.structures.errors import InputError

FEWEST_FIELDS = 3
NOTABLE_CHARGE_E = 0.05
"""Born charges that sum to more than this an atom say that the forces are not converged."""


class FieldPoint(Document):
    """A crystal with its atoms held in a uniform electric field.

    Attributes
    ----------
    field_V_per_ang
        Shape (3,).
    dipole_e_ang
        Of the cell, shape (3,): charges times positions, up to a vector of the lattice times e.
    forces_eV_per_ang
        Shape (n, 3).
    """

    field_V_per_ang: FloatArray
    dipole_e_ang: FloatArray
    forces_eV_per_ang: FloatArray


class DielectricResponse(Document):
    """How a crystal screens.

    Attributes
    ----------
    electronic
        ε∞, atoms held: shape (3, 3).
    ionic
        What the atoms add at rest in a constant field, shape (3, 3); None where no vibrations were given.
    born_charges_e
        Z*, force on an atom along i by a field along j: shape (n, 3, 3), made to sum to zero.
    not_neutral_e
        The largest component of the Born charges' sum an atom, before it was taken off: what the forces are good for.
    asymmetry
        The largest difference between ε∞ and its transpose.
    """

    structure: Geometry
    electronic: FloatArray
    ionic: FloatArray | None = None
    born_charges_e: FloatArray
    not_neutral_e: float
    asymmetry: float
    source: str = ""
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> DielectricResponse:
        if self.born_charges_e.shape != (len(self.structure), 3, 3):
            raise ValueError(f"Born charges {self.born_charges_e.shape} do not fit {len(self.structure)} atoms")
        return self

    @property
    def static(self) -> np.ndarray | None:
        """ε₀, shape (3, 3); None without vibrations."""
        return None if self.ionic is None else self.electronic + self.ionic

    def screening(self) -> Screening:
        """For the corrections of charged cells.

        Raises
        ------
        InputError
            The atoms' part is not known.
        """
        if self.static is None:
            raise InputError("The static dielectric tensor needs the crystal's vibrations; only ε∞ is known.")
        return Screening.from_dict(
            {"static": self.static.tolist(), "electronic": self.electronic.tolist(), "source": self.source}
        )


def response_in_fields(structure: IStructure, points: Sequence[FieldPoint], source: str = "") -> DielectricResponse:
    """ε∞ and Born charges by linear regression on fields.

    ε∞ = 1 + ∂P/∂ε₀E and Z* = ∂F/∂E (Gonze and Lee, Phys. Rev. B 55, 10355 (1997), doi 10.1103/PhysRevB.55.10355, of
    one mixed derivative the other way round).

    Parameters
    ----------
    points
        In fields that span space; opposite pairs take the next order out.

    Raises
    ------
    InputError
        Too few fields, or forces on other atoms.
    """
    fields = np.array([point.field_V_per_ang for point in points]).reshape(-1, 3)
    if np.linalg.matrix_rank(fields - fields.mean(axis=0), tol=1e-9) < FEWEST_FIELDS:
        raise InputError("Fields along three directions are needed for a tensor, each with its opposite or with none.")
    forces = np.array([point.forces_eV_per_ang for point in points])
    if forces.shape != (len(points), len(structure), 3):
        raise InputError(
            f"Forces of the shape {forces.shape} do not fit {len(structure)} atoms in {len(points)} fields."
        )
    lattice = structure.lattice.matrix
    dipoles = np.array([point.dipole_e_ang for point in points])
    # From one field to another the dipole changes by far less than the lattice times e, by which it is undefined.
    change = (dipoles - dipoles[0]) @ np.linalg.inv(lattice)
    dipoles = (change - np.rint(change)) @ lattice
    design = np.column_stack([np.ones(len(points)), fields])
    slopes = np.linalg.lstsq(design, np.column_stack([dipoles, forces.reshape(len(points), -1)]), rcond=None)[0][1:]
    electronic = np.eye(3) + 4 * np.pi * COULOMB_EV_ANG / structure.volume * slopes[:, :3].T
    born = slopes[:, 3:].reshape(3, len(structure), 3).transpose(1, 2, 0)
    drift = born.mean(axis=0)
    largest = float(np.abs(drift).max())
    warnings: tuple[str, ...] = ()
    if largest > NOTABLE_CHARGE_E:
        warnings = (f"Born charges do not sum to zero by {largest:.2f} e an atom: converge the forces further.",)
    return DielectricResponse(
        structure=structure,
        electronic=(electronic + electronic.T) / 2,
        born_charges_e=born - drift,
        not_neutral_e=largest,
        asymmetry=float(np.abs(electronic - electronic.T).max()),
        source=source,
        warnings=warnings,
    )


def with_vibrations(response: DielectricResponse, modes: Modes) -> DielectricResponse:
    """The response with the atoms' part: Σ p p / ω² over the modes at Γ, each with its dipole p.

    ε₀ - ε∞ = (4π/V) Σ_m p_m p_m / ω_m², p_m = Σ Z* e_m / m^½ (Gonze and Lee, as above, Eq. 65). Modes must be those
    without a macroscopic field: of finite displacements in a periodic cell.

    Raises
    ------
    InputError
        The modes are of other atoms or of another cell.
    """
    structure = modes.structure
    own = response.structure
    if not isinstance(structure, IStructure) or not isinstance(own, IStructure):
        raise InputError("A cluster has no dielectric tensor.")
    if [site.specie for site in structure] != [site.specie for site in own] or not np.allclose(
        structure.lattice.matrix, own.lattice.matrix, atol=1e-3
    ):
        raise InputError("Vibrations and Born charges are of different cells; compute both in one.")
    weighted = response.born_charges_e / np.sqrt(masses_amu(structure))[:, None, None]
    dipoles = np.einsum("kai,aij->kj", modes.eigenvectors, weighted)
    real = ~modes.imaginary
    squared = (modes.energies_eV[real] / ENERGY_OF_ROOT_CURVATURE) ** 2
    ionic = (
        4
        * np.pi
        * COULOMB_EV_ANG
        / structure.volume
        * np.einsum("ki,kj,k->ij", dipoles[real], dipoles[real], 1 / squared)
    )
    warnings = response.warnings
    lost = float((dipoles[~real] ** 2).sum() / (dipoles**2).sum()) if dipoles.any() else 0.0
    if lost > 1e-3:
        said = f"{100 * lost:.1f} % of the atoms' dipoles is along imaginary modes and left out: ε₀ is a lower bound."
        warnings = (*warnings, said)
    return response.model_copy(update={"ionic": ionic, "warnings": warnings})
