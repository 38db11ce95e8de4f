"""Where a state sits: participation ratio, and its weight beside the defect."""

from __future__ import annotations

import numpy as np

from midgap.defects.alignment import matched_sites, site_distances
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.structures.model import Vacancy

SHELL_FACTOR = 1.3
"""The neighbour shell of a vacancy reaches to this many times its nearest neighbour."""


def normalised_weights(structure: ElectronicStructure) -> np.ndarray | None:
    """Site weights of each state that sum to one, shape (spin, k, band, site), or None.

    Projections miss what lies between the spheres, and overlapping spheres count twice; either way
    the ratio between sites is what tells where a state sits.
    """
    if structure.site_weights is None:
        return None
    total = structure.site_weights.sum(axis=-1, keepdims=True)
    return np.divide(structure.site_weights, total, out=np.zeros_like(structure.site_weights), where=total > 1e-12)


def participation_ratio(weights: np.ndarray) -> np.ndarray:
    """1/Σ w² over the last axis: the number of sites among which a state is shared (Bell and Dean, 1970)."""
    return 1.0 / np.maximum((weights**2).sum(axis=-1), 1e-12)


def neighbour_shell(structure: ElectronicStructure, vacancy: Vacancy) -> np.ndarray:
    """Indices of the sites around a vacancy: within 1.3 times the distance of the nearest cation.

    Cations, because the state of an anion vacancy is made of them; where all neighbours are of the
    vacancy's own element, those.
    """
    distances = site_distances(structure, vacancy.position_ang)
    other = np.array([site.specie.symbol != vacancy.species for site in structure.structure])
    nearest = distances[other].min() if other.any() else distances.min()
    return np.flatnonzero(distances <= SHELL_FACTOR * nearest)


def baseline_weight(
    defect: ElectronicStructure, reference: ElectronicStructure, shell: np.ndarray, states: tuple[float, float]
) -> float | None:
    """What a host state has on the sites of the shell: the largest weight among the reference's states.

    Parameters
    ----------
    states
        The energy range of reference states looked at, eV on the reference's scale.
    """
    weights = normalised_weights(reference)
    if weights is None:
        return None
    partner = dict(matched_sites(defect, reference))
    sites = [partner[i] for i in shell if i in partner]
    # Atoms that moved too far to be matched are stood for by as many of their kind.
    for i in shell:
        if i not in partner:
            symbol = defect.structure[int(i)].specie.symbol
            free = [j for j, site in enumerate(reference.structure) if site.specie.symbol == symbol and j not in sites]
            sites += free[:1]
    low, high = states
    inside = (reference.eigenvalues_eV >= low) & (reference.eigenvalues_eV <= high)
    if not inside.any():
        return None
    # Degenerate host states mix freely, so what counts is the mean over each degenerate group.
    per_state = weights[..., sites].sum(axis=-1)
    groups = np.round(reference.eigenvalues_eV / 0.01)
    means = [per_state[inside & (groups == g)].mean() for g in np.unique(groups[inside])]
    return float(max(means))
