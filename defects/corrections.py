"""Finite-size corrections of charged defects in supercells: of total energies, of vertical transitions, of levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from pymatgen.core import IStructure

from midgap.defects.alignment import check_same_cell
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.electrostatics import dielectric_tensor, periodic_potential_V
from midgap.defects.site import matched_sites, site_distances
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

Dielectric = float | Sequence[float] | Sequence[Sequence[float]] | np.ndarray

SAME_GEOMETRY_ANG = 0.01

FEWEST_SITES = 4
"""With fewer sites beyond the sphere, the cell is too small for the alignment to mean much."""


class ScreenedCharge(Document):
    """A part of a defect's charge and the dielectric that answered to it.

    Attributes
    ----------
    charge_e
        Elementary charges.
    dielectric
        Relative permittivity, shape (3, 3): static for a charge the atoms have relaxed around, electronic
        for one that was put on or taken off too fast for them.
    """

    charge_e: float
    dielectric: FloatArray


class ChargeCorrection(Document):
    """What to add to the total energy of a charged supercell to have that of one defect alone.

    Attributes
    ----------
    method
        ``images``: the images alone, where there are no site potentials. ``eFNV``: images and alignment.
        ``vertical eFNV``: the same for a charge that came too fast for the atoms.
    charge
        Of the supercell, e.
    charges
        What it consists of, in the order in which it came.
    image_term_eV
        Minus the energy of the point charges with their images and background.
    alignment_term_eV
        What the charge's extent adds to that.
    alignment_eV
        Site potential energy of an electron, beside the pristine crystal and less that of the point charges,
        averaged far from the defect.
    uncertainty_eV
        Of the alignment term, by the standard error of that average; None where fewer than two sites were
        averaged. It does not tell how far the defect's charge is from a point.
    scatter_eV
        Largest minus smallest sample.
    beyond_ang, n_sites
        Sites at least so far from the defect were averaged, and how many.
    image_potential_eV
        Potential energy of an electron at the defect in the field of images and background.
    """

    method: Literal["images", "eFNV", "vertical eFNV"]
    charge: float
    charges: tuple[ScreenedCharge, ...]
    image_term_eV: float
    alignment_term_eV: float = 0.0
    alignment_eV: float = 0.0
    uncertainty_eV: float | None = None
    scatter_eV: float | None = None
    beyond_ang: float | None = None
    n_sites: int = 0
    image_potential_eV: float
    warnings: tuple[str, ...] = ()

    @property
    def energy_eV(self) -> float:
        """To be added to the energy of the supercell."""
        return self.image_term_eV + self.alignment_term_eV


def point_charge_energy_eV(lattice: np.ndarray, charges: Sequence[ScreenedCharge]) -> float:
    """Energy of point charges at one place with their images and background, eV.

    A charge that comes later meets those before as they are screened by then, and itself as fast as it came:
    Σ q²v/2 + Σ q_earlier q_later v_earlier. For two charges this is Gake, Kumagai, Freysoldt and Oba, Phys.
    Rev. B 101, 020102 (2020), doi 10.1103/PhysRevB.101.020102, and, in an isotropic medium, Falletta, Wiktor
    and Pasquarello, Phys. Rev. B 102, 041115 (2020), doi 10.1103/PhysRevB.102.041115.
    """
    potentials = [_at_the_charge(lattice, part) for part in charges]
    alone = sum(
        0.5 * part.charge_e * potential * part.charge_e for part, potential in zip(charges, potentials, strict=True)
    )
    return alone + sum(
        charges[i].charge_e * charges[j].charge_e * potentials[i] for i, j in combinations(range(len(charges)), 2)
    )


def image_correction(lattice: np.ndarray, charges: Sequence[ScreenedCharge]) -> ChargeCorrection:
    """The part that needs no potentials: a leading-order estimate from the lattice and the dielectric alone.

    Parameters
    ----------
    lattice
        Rows are the supercell's vectors, shape (3, 3), Å.
    """
    field = sum(part.charge_e * _at_the_charge(lattice, part) for part in charges)
    return ChargeCorrection(
        method="images",
        charge=sum(part.charge_e for part in charges),
        charges=tuple(charges),
        image_term_eV=-point_charge_energy_eV(lattice, charges),
        image_potential_eV=-field,
    )


def extended_fnv(
    defect: ElectronicStructure,
    reference: ElectronicStructure,
    position_ang: np.ndarray,
    dielectric: Dielectric,
    *,
    beyond_ang: float | None = None,
) -> ChargeCorrection:
    """The correction of Freysoldt, Neugebauer and Van de Walle with site potentials and a dielectric tensor.

    Images are point charges; the alignment is what the sites far from the defect differ by beyond those (Kumagai and Oba, Phys. Rev. B 89, 195205 (2014),
    doi 10.1103/PhysRevB.89.195205).

    Parameters
    ----------
    reference
        The pristine crystal in the same cell.
    position_ang
        Where the defect is, Cartesian, shape (3,), Å.
    dielectric
        The static tensor, relative to the vacuum, for a relaxed defect; the electronic one if the atoms stayed
        as in the crystal.
    beyond_ang
        How far the averaged sites are at least, Å; None is `half_face_distance_ang`.

    Raises
    ------
    InputError
        The two cells differ, one has no site potentials, or no site lies beyond the radius.
    """
    charges = relaxed(defect.charge, dielectric)
    far = _far_sites(defect, reference, position_ang, beyond_ang)
    samples = far.difference_eV(defect, reference) - far.point_charge_eV(charges[0])
    alignment = float(samples.mean())
    return image_correction(far.lattice, charges).model_copy(
        update={
            "method": "eFNV",
            "alignment_term_eV": defect.charge * alignment,
            "alignment_eV": alignment,
            "uncertainty_eV": _standard_error(defect.charge * samples),
            **far.described(samples),
        }
    )


def vertical_fnv(
    final: ElectronicStructure,
    initial: ElectronicStructure,
    reference: ElectronicStructure,
    position_ang: np.ndarray,
    static: Dielectric,
    electronic: Dielectric,
    *,
    beyond_ang: float | None = None,
) -> ChargeCorrection:
    """The correction of a charge state in the geometry of another one.

    The initial charge q is screened by electrons and atoms (ε₀), the added Δq by electrons alone (ε∞). With the
    alignments C of both, the term of the extent is (q + Δq) C_q + (Δq + q ε∞/ε₀) C_Δq (Gake, Kumagai, Freysoldt
    and Oba, Phys. Rev. B 101, 020102 (2020), doi 10.1103/PhysRevB.101.020102), with traces for the ratio. The zero of
    both cells' potentials must be the average, as plane-wave codes set it.

    Parameters
    ----------
    final, initial
        Both in the geometry that ``initial`` was relaxed to.
    static, electronic
        Dielectric tensors with and without the atoms' part.

    Raises
    ------
    InputError
        As `extended_fnv`, or the two geometries differ.
    """
    from midgap.defects.configuration_coordinate import displacements_ang

    moved = float(np.abs(displacements_ang(initial.structure, final.structure)).max())
    if moved > SAME_GEOMETRY_ANG:
        raise InputError(
            f"A vertical transition moves no atom, but one differs by {moved:.3f} Å between the two cells."
        )
    charges = vertical(initial.charge, final.charge - initial.charge, static, electronic)
    far = _far_sites(initial, reference, position_ang, beyond_ang)
    first = far.difference_eV(initial, reference) - far.point_charge_eV(charges[0])
    both = far.difference_eV(final, reference) - far.point_charge_eV(charges[0]) - far.point_charge_eV(charges[1])
    slow, fast = charges
    ratio = float(np.trace(fast.dielectric) / np.trace(slow.dielectric))
    samples = (slow.charge_e + fast.charge_e) * first + (fast.charge_e + slow.charge_e * ratio) * (both - first)
    return image_correction(far.lattice, charges).model_copy(
        update={
            "method": "vertical eFNV",
            "alignment_term_eV": float(samples.mean()),
            "alignment_eV": float(both.mean()),
            "uncertainty_eV": _standard_error(samples),
            **far.described(both),
        }
    )


class _FarSites:
    """Sites far from the defect, here and in the pristine crystal."""

    def __init__(self, lattice: np.ndarray, pairs: list[tuple[int, int]], radius: float, away: np.ndarray) -> None:
        self.lattice, self.radius, self.away = lattice, radius, away
        self.here, self.there = (list(indices) for indices in zip(*pairs, strict=True))

    def difference_eV(self, defect: ElectronicStructure, reference: ElectronicStructure) -> np.ndarray:
        for which, cell in (("defect", defect), ("pristine", reference)):
            if cell.site_potentials_eV is None:
                raise InputError(f"The {which} cell has no site potentials; only the images can be corrected for.")
        assert defect.site_potentials_eV is not None and reference.site_potentials_eV is not None
        return defect.site_potentials_eV[self.here] - reference.site_potentials_eV[self.there]

    def point_charge_eV(self, part: ScreenedCharge) -> np.ndarray:
        """Potential energy of an electron at the sites."""
        return -part.charge_e * periodic_potential_V(self.lattice, part.dielectric, self.away)

    def described(self, samples: np.ndarray) -> dict[str, Any]:
        few = f"Only {len(samples)} sites are {self.radius:.2f} Å or more from the defect: the alignment is uncertain."
        return {
            "scatter_eV": float(np.ptp(samples)),
            "beyond_ang": float(self.radius),
            "n_sites": len(samples),
            "warnings": (few,) if len(samples) < FEWEST_SITES else (),
        }


def _far_sites(
    defect: ElectronicStructure, reference: ElectronicStructure, position_ang: np.ndarray, beyond_ang: float | None
) -> _FarSites:
    check_same_cell(defect, reference)
    geometry = defect.structure
    if not isinstance(geometry, IStructure):
        raise InputError("A cluster has no periodic images and needs no correction for them.")
    lattice = geometry.lattice.matrix
    radius = half_face_distance_ang(lattice) if beyond_ang is None else beyond_ang
    distances = site_distances(defect, position_ang)
    pairs = [(i, j) for i, j in matched_sites(defect, reference) if distances[i] >= radius]
    if not pairs:
        raise InputError(f"No site of the cell lies {radius:.2f} Å or more from the defect; it is too small.")
    return _FarSites(lattice, pairs, radius, np.asarray(geometry.cart_coords)[[i for i, _ in pairs]] - position_ang)


def half_face_distance_ang(lattice: np.ndarray) -> float:
    """Half of the largest distance between opposite faces of a cell (rows are its vectors), Å.

    In an elongated cell, what is outside the sphere in the Wigner-Seitz cell may still be next to the defect.
    This radius, which other programs use too, leaves the sites that are far along the longest direction.
    """
    areas = np.linalg.norm(np.cross(np.roll(lattice, -1, axis=0), np.roll(lattice, -2, axis=0)), axis=1)
    return float(abs(np.linalg.det(lattice)) / areas.min() / 2)


def _standard_error(samples: np.ndarray) -> float | None:
    return float(samples.std(ddof=1) / np.sqrt(len(samples))) if len(samples) > 1 else None


def relaxed(charge: float, static: Dielectric) -> tuple[ScreenedCharge, ...]:
    """A charge that electrons and atoms have answered to: the static dielectric tensor screens it.

    In a cell whose atoms stayed as in the crystal, give the electronic tensor instead.
    """
    return (ScreenedCharge(charge_e=charge, dielectric=dielectric_tensor(static)),)


def vertical(
    charge: float,
    added: float,
    static: Dielectric,
    electronic: Dielectric,
) -> tuple[ScreenedCharge, ...]:
    """The geometry of ``charge`` in the charge state ``charge + added``: only electrons answer to what is added."""
    return (
        ScreenedCharge(charge_e=charge, dielectric=dielectric_tensor(static)),
        ScreenedCharge(charge_e=added, dielectric=dielectric_tensor(electronic)),
    )


def corrected_level_eV(above_vbm_eV: float, shift_eV: float, correction: ChargeCorrection) -> float:
    """A Kohn-Sham level of a charged supercell above the host's VBM, without images.

    The images and the background move the level by their potential at the defect. For one charge that is
    -2 E/q of the images' correction E (Chen and Pasquarello, Phys. Rev. B 88, 115104 (2013),
    doi 10.1103/PhysRevB.88.115104; Falletta et al., as above). The host's edge is taken to where the point
    charges' own potential is no longer part of the alignment.

    Parameters
    ----------
    above_vbm_eV
        As `midgap.defects.levels.identify_levels` gives it.
    shift_eV
        The shift of its alignment, `Alignment.shift_eV`.
    """
    host = 0.0 if correction.method == "images" else correction.alignment_eV - shift_eV
    return above_vbm_eV - correction.image_potential_eV - host


def _at_the_charge(lattice: np.ndarray, part: ScreenedCharge) -> float:
    return float(periodic_potential_V(lattice, part.dielectric, np.zeros((1, 3)))[0])
