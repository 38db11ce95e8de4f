"""Put a defect cell and its pristine reference on one energy scale."""

from __future__ import annotations

import numpy as np
from pymatgen.core import IMolecule, IStructure

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.report import Alignment
from midgap.defects.site import DefectSite, matched_sites, site_distances
from midgap.structures.errors import InputError

DEEP_BREAK_EV = 2.0
"""States separated from the valence band by at least so much are deep."""


def align(
    defect: ElectronicStructure,
    reference: ElectronicStructure,
    site: DefectSite | None,
    shift_eV: float | None = None,
) -> Alignment:
    """How much to add to the reference's energies.

    Sites far from the defect should feel the potential of the pristine crystal; what differs there is
    the arbitrary zero of a periodic calculation (Lany and Zunger, Phys. Rev. B 78, 235104 (2008),
    doi 10.1103/PhysRevB.78.235104). Far means outside the sphere that touches its periodic images, or, in
    a cell too small for that, the farther half of the sites. Deep levels of the same sites tell the same
    shift a second time, or the only time where an engine gives no potentials.

    Parameters
    ----------
    shift_eV
        A shift of the user's, taken as it is.
    """
    if shift_eV is not None:
        return Alignment(method="given", shift_eV=shift_eV)
    if isinstance(defect.structure, IMolecule):
        # Potentials of a cluster fall to those of its surroundings, which the two clusters share; but a charge
        # that only one of them has shifts all its levels by volts, for nothing around it screens that.
        return Alignment(method="common zero" if defect.charge == reference.charge else "none")
    pairs, beyond = matched_sites(defect, reference), None
    if site is not None:
        distances = site_distances(defect, site.position_ang)
        radius = _far_radius(defect, distances)
        pairs = [(i, j) for i, j in pairs if distances[i] >= radius]
        beyond = min((float(distances[i]) for i, _ in pairs), default=None)
    samples = [
        (method, differences)
        for method, quantity in (("site potentials", _potentials), ("deep levels", _deep_levels))
        if len(differences := _differences(quantity(defect), quantity(reference), pairs))
    ]
    if not samples:
        return Alignment(method="none")
    method, differences = samples[0]
    shift = float(differences.mean())
    errors = [float(differences.std(ddof=1))] if len(differences) > 1 else []
    check_method, check = (samples[1][0], float(samples[1][1].mean())) if len(samples) > 1 else (None, None)
    if check is not None:
        errors.append(abs(check - shift))
    return Alignment(
        method=method,  # type: ignore[arg-type]
        shift_eV=shift,
        uncertainty_eV=max(errors, default=None),
        scatter_eV=float(np.ptp(differences)),
        n_samples=len(differences),
        beyond_ang=beyond,
        check_method=check_method,  # type: ignore[arg-type]
        check_shift_eV=check,
    )


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
    if _hamiltonian(reference) != _hamiltonian(defect):
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


def _hamiltonian(structure: ElectronicStructure) -> tuple[object, ...]:
    theory = structure.theory
    return theory.functional, theory.spin_orbit, theory.exact_exchange or 0.25, theory.screening_per_ang or 0.2


def _far_radius(structure: ElectronicStructure, distances: np.ndarray) -> float:
    from midgap.structures.supercells import image_distance_ang

    half = image_distance_ang(structure.structure.lattice.matrix) / 2  # type: ignore[union-attr]
    return half if (distances >= half).sum() >= 4 else float(np.median(distances))


def _differences(here: np.ndarray | None, there: np.ndarray | None, pairs: list[tuple[int, int]]) -> np.ndarray:
    if here is None or there is None:
        return np.empty(0)
    differences = np.array([here[i] - there[j] for i, j in pairs])
    return differences[np.isfinite(differences)]


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
