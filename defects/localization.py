"""Where a state sits: participation ratio, its weight at the defect, and what the host's states have there."""

from __future__ import annotations

import numpy as np

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.report import Localization
from midgap.defects.site import matched_sites

_NORMALISED = "_normalised_weights"


def normalised_weights(structure: ElectronicStructure) -> np.ndarray | None:
    """Site weights of each state that sum to one, shape (spin, k, band, site), or None.

    Projections miss what lies between the spheres, and overlapping spheres count twice; either way
    the ratio between sites is what tells where a state sits.
    """
    if structure.site_weights is None:
        return None
    # Asked for from several sides of one comparison, and seconds of work in a cell of thousands of atoms.
    kept = structure.__dict__.get(_NORMALISED)
    if kept is None:
        total = structure.site_weights.sum(axis=-1, keepdims=True)
        kept = np.divide(structure.site_weights, total, out=np.zeros_like(structure.site_weights), where=total > 1e-12)
        kept.setflags(write=False)
        structure.__dict__[_NORMALISED] = kept
    return kept


def participation_ratio(weights: np.ndarray) -> np.ndarray:
    """1/Σ w² over the last axis: the number of sites among which a state is shared (Bell and Dean, 1970)."""
    return 1.0 / np.maximum((weights**2).sum(axis=-1), 1e-12)


def localization(
    structure: ElectronicStructure,
    weights: np.ndarray | None,
    shell: np.ndarray,
    distances_ang: np.ndarray,
    baseline: float | None,
    excess: float,
    host_participation: float | None = None,
) -> Localization:
    """The numbers that say where a state sits.

    Parameters
    ----------
    weights
        Normalised, shape (site,); of degenerate states the mean.
    shell
        Indices of the sites around the defect.
    distances_ang
        Of all sites from the defect, shape (site,).
    baseline
        Weight of the host's states on the shell.
    excess
        By how much it must be exceeded.
    """
    if weights is None:
        return Localization()
    species = np.array([site.specie.symbol for site in structure.structure])
    there = float(weights[shell].sum())
    strongest = int(weights.argmax())
    return Localization(
        participation_ratio=float(participation_ratio(weights)),
        host_participation_ratio=host_participation,
        defect_weight=there,
        baseline_weight=baseline,
        at_defect=None if baseline is None else there > baseline + excess,
        strongest_site=strongest,
        strongest_species=str(species[strongest]),
        strongest_weight=float(weights[strongest]),
        strongest_distance_ang=float(distances_ang[strongest]),
        by_species={str(symbol): float(weights[species == symbol].sum()) for symbol in dict.fromkeys(species)},
    )


class HostStates:
    """The pristine crystal's states, as far as they sit on the sites that surround the defect.

    Atoms that moved too far to be matched are stood for by as many of their kind.
    """

    def __init__(self, defect: ElectronicStructure, reference: ElectronicStructure, shell: np.ndarray):
        weights = normalised_weights(reference)
        self.energies_eV = reference.eigenvalues_eV
        self.k_weights = reference.k_weights
        self.copies = 2.0 if reference.spinor else float(reference.eigenvalues_eV.shape[0])
        self.shared_by = None if weights is None else participation_ratio(weights)
        self.on_shell = None if weights is None else weights[..., _partners(defect, reference, shell)].sum(axis=-1)

    def baseline(self, low_eV: float, high_eV: float) -> float | None:
        """The most that a state of that energy has on the shell; None if there is none, or no weights.

        Degenerate states mix freely, so what counts is the mean over each degenerate group.
        """
        inside = (self.energies_eV >= low_eV) & (self.energies_eV <= high_eV)
        if self.on_shell is None or not inside.any():
            return None
        groups = np.round(self.energies_eV / 0.01)
        return float(max(self.on_shell[inside & (groups == g)].mean() for g in np.unique(groups[inside])))

    def participation(self, low_eV: float, high_eV: float) -> float | None:
        """How many sites share a state of that energy: the median; None if there is none, or no weights."""
        inside = (self.energies_eV >= low_eV) & (self.energies_eV <= high_eV)
        return None if self.shared_by is None or not inside.any() else float(np.median(self.shared_by[inside]))

    def capacity(self, low_eV: float, high_eV: float) -> float:
        """The most that any mixture of the states of that energy could have on the shell, at most 1.

        It is the largest eigenvalue of the shell's projector among them, which the trace bounds: the sum of
        their weights there. In a flat band it comes near 1, and gathering there is no sign of a defect level.
        """
        if self.on_shell is None:
            return 1.0
        inside = (self.energies_eV >= low_eV) & (self.energies_eV <= high_eV)
        trace = (self.on_shell * inside).sum(axis=(0, 2)) @ self.k_weights / self.copies
        return min(1.0, float(trace))


def _partners(defect: ElectronicStructure, reference: ElectronicStructure, shell: np.ndarray) -> list[int]:
    partner = dict(matched_sites(defect, reference))
    sites = [partner[i] for i in shell if i in partner]
    for i in shell:
        if i not in partner:
            symbol = defect.structure[int(i)].specie.symbol
            free = [j for j, site in enumerate(reference.structure) if site.specie.symbol == symbol and j not in sites]
            sites += free[:1]
    return sites
