"""Put a defect cell and its pristine reference on one energy scale."""

from __future__ import annotations

import numpy as np
from pymatgen.core import IMolecule, IStructure

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.report import Alignment
from midgap.structures.errors import InputError
from midgap.structures.model import Vacancy

SITE_MATCH_ANG = 0.8
"""An atom that moved further than this is no longer compared with the site it came from."""

DEEP_BREAK_EV = 2.0
"""States separated from the valence band by at least so much are deep."""


def align(
    defect: ElectronicStructure, reference: ElectronicStructure, vacancy: Vacancy | None, shift_eV: float | None = None
) -> Alignment:
    """How much to add to the reference's energies.

    Sites far from the vacancy should feel the potential of the pristine crystal; what differs there is
    the arbitrary zero of a periodic calculation (Lany and Zunger, Phys. Rev. B 78, 235104 (2008),
    doi 10.1103/PhysRevB.78.235104). Far means outside the sphere that touches its periodic images, or, in
    a cell too small for that, the farther half of the sites.

    Parameters
    ----------
    shift_eV
        A shift of the user's, taken as it is.

    Raises
    ------
    InputError
        The two cells differ.
    """
    if shift_eV is not None:
        return Alignment(method="given", shift_eV=shift_eV)
    check_same_cell(defect, reference)
    if isinstance(defect.structure, IMolecule):
        # Potentials of a cluster fall to those of its surroundings, which the two clusters share.
        return Alignment(method="common zero")
    pairs = matched_sites(defect, reference)
    if vacancy is not None:
        distances = site_distances(defect, vacancy.position_ang)
        pairs = [(i, j) for i, j in pairs if distances[i] >= _far_radius(defect, distances)]
    if not pairs:
        return Alignment(method="none")
    for method, quantity in (("site potentials", _potentials), ("deep levels", _deep_levels)):
        here, there = quantity(defect), quantity(reference)
        if here is None or there is None:
            continue
        differences = np.array([here[i] - there[j] for i, j in pairs])
        differences = differences[np.isfinite(differences)]
        if len(differences):
            return Alignment(
                method=method,  # type: ignore[arg-type]
                shift_eV=float(differences.mean()),
                uncertainty_eV=float(differences.std(ddof=1) / np.sqrt(len(differences)))
                if len(differences) > 1
                else None,
                scatter_eV=float(np.ptp(differences)),
                n_samples=len(differences),
            )
    return Alignment(method="none")


def check_same_cell(defect: ElectronicStructure, reference: ElectronicStructure) -> None:
    """Refuse to compare what cannot be compared.

    Raises
    ------
    InputError
        Another engine, theory or lattice.
    """
    if reference.provenance.engine != defect.provenance.engine:
        raise InputError(
            f"The reference was computed with {reference.provenance.engine}, the defect with {defect.provenance.engine}; "
            "their energies have no common scale. Compute both with one engine."
        )
    if (reference.theory.functional, reference.theory.spin_orbit, reference.theory.exact_exchange) != (
        defect.theory.functional,
        defect.theory.spin_orbit,
        defect.theory.exact_exchange,
    ):
        raise InputError(
            f"The reference is {reference.theory.label}, the defect {defect.theory.label}; compute both at one level of theory."
        )
    a, b = defect.structure, reference.structure
    if isinstance(a, IMolecule) != isinstance(b, IMolecule):
        raise InputError("A cluster and a crystal share no scale of energy; give a reference of the same kind.")
    if not isinstance(a, IStructure) or not isinstance(b, IStructure):
        return
    if not np.allclose(a.lattice.matrix, b.lattice.matrix, atol=0.02):
        raise InputError(
            f"The reference cell ({b.lattice.volume:.0f} Å³, {len(b)} atoms) is not the cell of the defect "
            f"({a.lattice.volume:.0f} Å³, {len(a)} atoms); compute the pristine crystal in the same supercell."
        )


def site_distances(structure: ElectronicStructure, position_ang: np.ndarray) -> np.ndarray:
    """Distance in Å of every site from a point, nearest image, shape (site,)."""
    geometry = structure.structure
    if isinstance(geometry, IStructure):
        point = geometry.lattice.get_fractional_coords(position_ang)
        return geometry.lattice.get_all_distances([point], geometry.frac_coords)[0]
    return np.linalg.norm(np.asarray(geometry.cart_coords) - position_ang, axis=1)


def matched_sites(defect: ElectronicStructure, reference: ElectronicStructure) -> list[tuple[int, int]]:
    """Pairs (site here, site in the reference) of equal species, nearest image, none used twice."""
    from scipy.optimize import linear_sum_assignment

    here, there = defect.structure, reference.structure
    pairs: list[tuple[int, int]] = []
    for symbol in sorted({site.specie.symbol for site in here}):
        rows = [i for i, site in enumerate(here) if site.specie.symbol == symbol]
        columns = [j for j, site in enumerate(there) if site.specie.symbol == symbol]
        if not columns:
            continue
        if isinstance(here, IStructure) and isinstance(there, IStructure):
            distances = here.lattice.get_all_distances(here.frac_coords[rows], there.frac_coords[columns])
        else:
            distances = np.linalg.norm(here.cart_coords[rows][:, None] - there.cart_coords[columns], axis=-1)
        for r, c in zip(*linear_sum_assignment(distances), strict=True):
            if distances[r, c] <= SITE_MATCH_ANG:
                pairs.append((rows[r], columns[c]))
    return sorted(pairs)


def _far_radius(structure: ElectronicStructure, distances: np.ndarray) -> float:
    from midgap.structures.supercells import image_distance_ang

    half = image_distance_ang(structure.structure.lattice.matrix) / 2  # type: ignore[union-attr]
    return half if (distances >= half).sum() >= 4 else float(np.median(distances))


def _potentials(structure: ElectronicStructure) -> np.ndarray | None:
    return structure.site_potentials_eV


def _deep_levels(structure: ElectronicStructure) -> np.ndarray | None:
    """The mean energy of the deep states of each site, weighted by how much they sit there, eV.

    Deep are the states below the widest break, of at least 2 eV, among the filled states.
    """
    if structure.site_weights is None or structure.first_band > 0:
        return None
    filled = max(1, int(structure.filled(0)))
    energies = structure.eigenvalues_eV[:, :, :filled]
    levels = np.sort(energies.mean(axis=(0, 1)))
    steps = np.diff(levels)
    if not len(steps) or steps.max() < DEEP_BREAK_EV:
        return None
    deep = int(np.flatnonzero(steps == steps.max())[-1]) + 1
    weights = structure.site_weights[:, :, :deep] * structure.k_weights[None, :, None, None]
    total = weights.sum(axis=(0, 1, 2))
    mean = (weights * energies[:, :, :deep, None]).sum(axis=(0, 1, 2))
    return np.divide(mean, total, out=np.full_like(mean, np.nan), where=total > 0.5)
