"""Bands of one spin channel as single states, and groups of degenerate ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.localization import normalised_weights


@dataclass(frozen=True)
class State:
    """One band of one spin channel, averaged over the k-points.

    Attributes
    ----------
    band
        Index among the listed bands.
    electrons
        By the electron count: 0 to `ElectronicStructure.electrons_per_state`.
    weights
        Normalised site weights, shape (site,), or None.
    """

    spin: int
    band: int
    energy_eV: float
    lowest_eV: float
    highest_eV: float
    electrons: float
    weights: np.ndarray | None


def states_of(structure: ElectronicStructure) -> list[State]:
    """Every band, spin by spin."""
    weights = normalised_weights(structure)
    k = structure.k_weights
    found = []
    for spin in range(structure.eigenvalues_eV.shape[0]):
        filled = structure.filled(spin)
        for band in range(structure.eigenvalues_eV.shape[2]):
            energies = structure.eigenvalues_eV[spin, :, band]
            found.append(
                State(
                    spin=spin,
                    band=band,
                    energy_eV=float(k @ energies),
                    lowest_eV=float(energies.min()),
                    highest_eV=float(energies.max()),
                    electrons=structure.electrons_per_state * float(np.clip(filled - band, 0.0, 1.0)),
                    weights=None if weights is None else k @ weights[spin, :, band],
                )
            )
    return found


def degenerate_groups(states: Sequence[State], width_eV: float) -> Iterator[list[State]]:
    """States in order of energy, those no further apart than ``width_eV`` together."""
    group: list[State] = []
    for state in sorted(states, key=lambda state: (state.energy_eV, state.spin, state.band)):
        if group and state.energy_eV - group[-1].energy_eV > width_eV:
            yield group
            group = []
        group.append(state)
    if group:
        yield group


def mean_weights(group: Sequence[State]) -> np.ndarray | None:
    """Site weights averaged over a group: degenerate states mix freely."""
    weights = [state.weights for state in group if state.weights is not None]
    return np.mean(weights, axis=0) if weights else None
