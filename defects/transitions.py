"""Optical transitions between defect levels and band edges, as one-electron energy differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from midgap.defects.band_edges import BandEdges
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.report import Level, Transition
from midgap.defects.states import State

EDGE_WIDTH_EV = 0.1
"""States of the defect cell's own bands this close to their edge stand for the edge in a dipole."""

TWO_M_OVER_HBAR2 = 0.262468426
"""2m/ħ² in 1/(eV Å²): f = (2m/ħ²) ΔE |r|²/3 for unpolarised light."""

FEW_ELECTRONS = 0.01
"""Less than this is rounding, not a carrier."""


def optical_transitions(
    structure: ElectronicStructure,
    levels: Sequence[tuple[Level, tuple[State, ...]]],
    valence: Sequence[State],
    conduction: Sequence[State],
) -> tuple[Transition, ...]:
    """From the CBM to each level, from each level to the VBM, and among the levels.

    Resonant levels take part in none: they decay within their band. Exchange-split partners are one orbital
    with two spins, and no transition joins them.

    Parameters
    ----------
    levels
        With their states, in order of energy.
    valence, conduction
        States of the defect cell's bands; those next to the gap stand for the edges in the dipoles.
    """
    highest = max((state.energy_eV for state in valence), default=0.0)
    lowest = min((state.energy_eV for state in conduction), default=0.0)
    top = [state for state in valence if state.energy_eV > highest - EDGE_WIDTH_EV]
    bottom = [state for state in conduction if state.energy_eV < lowest + EDGE_WIDTH_EV]
    found = []
    for i, (level, states) in enumerate(levels):
        if level.kind == "resonant":
            continue
        room = level.degeneracy - level.occupation
        with_edges = None if _spins(level) is None else True
        if level.above_vbm_eV > 0:
            filled = level.occupation > FEW_ELECTRONS
            found.append(_transition(structure, i, None, level.above_vbm_eV, filled, states, top, with_edges))
        if level.below_cbm_eV > 0:
            found.append(
                _transition(structure, None, i, level.below_cbm_eV, room > FEW_ELECTRONS, bottom, states, with_edges)
            )
        for j, (lower, lower_states) in enumerate(levels[:i]):
            if lower.kind == "resonant" or lower.partner == i:
                continue
            here, there = _spins(level), _spins(lower)
            allowed = None if here is None or there is None else bool(here & there)
            emits = lower.occupation > FEW_ELECTRONS and room > FEW_ELECTRONS
            energy = level.energy_eV - lower.energy_eV
            found.append(_transition(structure, i, j, energy, emits, states, lower_states, allowed))
    return tuple(found)


def across_the_gap(edges: BandEdges) -> tuple[Transition, ...]:
    """The one transition of a perfect crystal; none if it has no gap."""
    if edges.metallic:
        return ()
    return (Transition(upper=None, lower=None, energy_eV=edges.gap_eV, emits=True),)


def _spins(level: Level) -> set[str] | None:
    return {"up": {"up"}, "down": {"down"}, "both": {"up", "down"}}.get(level.spin)


def _transition(
    structure: ElectronicStructure,
    upper: int | None,
    lower: int | None,
    energy_eV: float,
    emits: bool,
    from_states: Sequence[State],
    to_states: Sequence[State],
    spin_allowed: bool | None,
) -> Transition:
    tensor = None if spin_allowed is False else dipole_tensor_ang2(structure, from_states, to_states)
    squared = None if tensor is None else float(np.trace(tensor))
    return Transition(
        upper=upper,
        lower=lower,
        energy_eV=energy_eV,
        emits=emits,
        spin_allowed=spin_allowed,
        oscillator_strength=None if squared is None else TWO_M_OVER_HBAR2 * energy_eV * squared / 3.0,
        dipole_e_ang=None if squared is None else float(np.sqrt(squared)),
        principal_fractions=None if tensor is None else principal_fractions(tensor),
    )


def dipole_tensor_ang2(
    structure: ElectronicStructure, upper: Iterable[State], lower: Iterable[State]
) -> np.ndarray | None:
    """Σ Re ⟨lower|r|upper⟩⟨lower|r'|upper⟩* over the lower states, averaged over the upper ones and k, Å², shape (3, 3).

    None where a state's dipoles were not computed; NaN beside the diagonal where directions were not kept.
    """
    dipoles = structure.dipoles
    if dipoles is None:
        return None
    first = dipoles.first_band
    covered = range(first, first + dipoles.squared_ang2.shape[2])
    upper, lower = list(upper), list(lower)
    if not upper or not lower or any(s.band not in covered for s in upper + lower):
        return None

    def summed(parts: np.ndarray) -> np.ndarray:
        total = np.zeros(3)
        for one in upper:
            for other in lower:
                if one.spin == other.spin:
                    total += structure.k_weights @ parts[one.spin, :, one.band - first, other.band - first]
        return total / len(upper)

    tensor = np.diag(summed(dipoles.squared_ang2))
    beside = np.full(3, np.nan) if dipoles.mixed_ang2 is None else summed(dipoles.mixed_ang2)
    for (i, j), value in zip(((1, 2), (0, 2), (0, 1)), beside, strict=True):
        tensor[i, j] = tensor[j, i] = value
    return tensor


def principal_fractions(tensor: np.ndarray) -> tuple[float, float, float] | None:
    """Shares of a dipole tensor's trace along its principal axes, largest first; None where it is not known or zero."""
    trace = float(np.trace(tensor))
    if not np.isfinite(tensor).all() or trace <= 0:
        return None
    small, middle, large = np.clip(np.linalg.eigvalsh(tensor) / trace, 0.0, 1.0)
    return float(large), float(middle), float(small)
