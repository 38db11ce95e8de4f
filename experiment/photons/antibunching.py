"""How many emitters? g2(0) from counted pairs, its exact interval, and what follows from it.

g2(0) of M identical independent emitters is 1 - (1 - r)/M, where r is the ratio of the biexciton's
quantum yield to the exciton's, at few excitons a pulse (G. Nair et al., ACS Nano 5, 1188 (2011)).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, PositiveInt
from scipy.stats import binom

from midgap.experiment.counting import poisson_interval, ratio_interval
from midgap.experiment.photons.coincidences import LONGEST_CABLE_S, PulsePairs
from midgap.experiment.photons.gate_choice import NEGLIGIBLE, EarlyPairs
from midgap.experiment.photons.gated_pairs import Background, Gate, GatedPairs, as_g2
from midgap.experiment.records import Quantity
from midgap.structures.document import Document, IntArray
from midgap.structures.errors import InputError

SURE = 0.01
"""The zero-delay peak is taken for found if chance would make such a dip anywhere less often than this."""
NEEDED = 9.0
"""A gate is used if a biexciton's pairs beside the others raise 2 ln L by more than this: where there are none, in 1 % of
simulated measurements. A smaller value would gate emitters that need none by what chance offers."""
BORDER_NS = 0.5
"""Where emitters outlast the period, photons so soon after the pulse may still be the last one's, through jitter."""
ILL_FITTED = 0.01
"""If pairs differ from one biexciton lifetime more than chance does this often, they must look alike behind the gate too;"""
PLATEAU = 0.2
"""which they do where chance makes them differ more this often."""

BIEXCITON_CAVEAT = (
    "g2(0) = 1 - (1 - r)/M: without a time gate a biexciton that emits (r > 0) counts as further emitters, so that "
    "M = 1/(1 - g2(0)) is an upper bound. M takes the emitters to be equally bright; unequal ones count as fewer."
)


class PulsedG2(Document):
    """g2(0) of pulsed excitation.

    Attributes
    ----------
    lags, counts
        Shape (n_lags,): pairs of all delays by pulse lag.
    center_lag, center_found
        Pulse lag of zero delay; not found means that no dip stands out, and that it is lag 0 or the one
        that was given.
    side_n, side_from
        Side peaks, on both sides of the centre from the lag ``side_from`` away from it on.
    g2_0_raw
        Centre over mean side peak (near normalisation), exact interval.
    g2_0_far
        Centre over the pairs that the detectors' mean rates alone would give.
    bunching
        Mean side peak over the same: 1 without blinking.
    g2_0
        ``g2_0_raw`` corrected for background; None if none is known.
    signal_fraction_rho
        ρ = S/(S + B), √(ρ₁ρ₂) of the two detectors.
    gates, plateau
        The scan, and the index of the gate that is used, 0 where none is needed; None if there is none behind which the
        biexciton is negligible. Where emitters outlast the period, pairs closer to its border than `BORDER_NS` never count.
    gate_from
        ``pairs``: `gate_choice`; ``given``; ``none``.
    biexciton_lifetime_ns
        That of the additional pairs at short delays, where there are such.
    g2_0_gated
        That behind the gate if it is not zero.
    n_emitters_M
        1/(1 - g2(0)), of the gated value where there is one, otherwise of the corrected or the raw one;
        ``n_emitters_from`` says which. No upper end if g2(0) may be 1.
    single
        Whether this is a single emitter: True if the upper bound of g2(0) is below 0.5, False if the lower
        bound is not, None if the counts do not settle it.
    """

    ci_level: float
    lags: IntArray
    counts: IntArray
    center_lag: int
    center_found: bool
    center_counts: int
    side_counts: int
    side_n: PositiveInt
    side_from: PositiveInt = 1
    g2_0_raw: Quantity
    g2_0_far: Quantity
    bunching: FiniteFloat
    g2_0: Quantity | None = None
    signal_fraction_rho: Quantity | None = None
    gates: tuple[Gate, ...] = ()
    plateau: int | None = None
    gate_from: Literal["pairs", "given", "none"] = "none"
    biexciton_lifetime_ns: Quantity | None = None
    g2_0_gated: Quantity | None = None
    n_emitters_M: Quantity | None
    n_emitters_from: Literal["gated", "background corrected", "raw"]
    single: bool | None
    warnings: tuple[str, ...] = ()


def pulsed_g2(
    pairs: PulsePairs,
    background: Background | None = None,
    *,
    center_lag: int | None = None,
    side_n: int = 40,
    memory_ns: float = 0.0,
    gate_ns: float | None = None,
    ci_level: float = 0.95,
) -> PulsedG2:
    """g2(0) from pairs by pulse lag.

    Parameters
    ----------
    background
        None: nothing is corrected.
    center_lag
        Pulse lag of zero delay where it is known; None finds it.
    side_n
        Side peaks to compare with, half on each side.
    memory_ns
        How long an emitter may stay excited. A pulse that finds it so gives no second photon, so that side peaks as near as
        this are too low: with lifetime τ and period T, g2 at lag k is 1 - e^{-|k| T/τ}/M.
    gate_ns
        Both photons later than this; one of the gates of the pairs, 0 for none. None finds it.

    Raises
    ------
    InputError
        The lags do not reach as far as the side peaks asked for, or hold no pairs; a gate that was not counted.
    """
    counts = pairs.counts.sum(axis=1)
    half = side_n // 2
    nearest = max(1, math.ceil(memory_ns / pairs.period_ns))
    room = int(pairs.lags[-1]) - half - abs(center_lag or 0)
    reach = int(pairs.lags[-1]) - half - min(nearest, max(room, 1)) + 1
    reach = min(reach, math.ceil(1e9 * LONGEST_CABLE_S / pairs.period_ns) + 1)
    if half < 1 or reach < abs(center_lag or 0):
        where = "" if center_lag is None else f" around the pulse lag {center_lag}"
        raise InputError(
            f"{side_n} side peaks{where} do not fit into pulse lags of up to {pairs.lags[-1]}, as far as pairs are counted."
        )
    warnings: list[str] = []
    if nearest > room >= 1:
        warnings.append(
            f"Emitters stay excited for up to {memory_ns:.3g} ns, longer than pairs were counted; side peaks are taken from "
            f"pulse lag {room} on and may be too low."
        )
        nearest = room
    found = True
    if center_lag is None:
        center_lag, found = find_zero_lag(pairs.lags, counts, reach)
        if not found:
            warnings.append(
                f"No pulse lag up to {reach} has a dip that stands out, so lag 0 is taken for zero delay. If the detectors' "
                "cables differ by a period of the laser or more, give the lag."
            )
    center = int(np.searchsorted(pairs.lags, center_lag))
    away = np.arange(nearest, nearest + half)
    sides = np.concatenate([center - away[::-1], center + away])
    tally = GatedPairs.of(pairs, center, sides, background)
    n_center, n_side, chance = int(tally.center[0]), int(tally.side[0]), float(tally.chance[0])
    if n_side == 0:
        raise InputError(
            f"There are no pairs of photons within {half} pulses of each other: too few photons for g2 "
            f"({pairs.singles[0].sum()} and {pairs.singles[1].sum()})."
        )
    raw = as_g2(n_center * 2 * half / n_side, ratio_interval(n_center, n_side, 2 * half, ci_level))
    low, high = poisson_interval(n_center, ci_level)
    corrected = None if background is None else tally.g2_0(0, ci_level)
    if background is not None and corrected is None:
        warnings.append("The background is given so high that it explains all pairs; nothing is corrected for it.")
    if corrected is not None and corrected.hi == 0:
        warnings.append("The background explains more pairs at zero delay than there are: it is given too high.")
    gates = tally.gates(pairs.gates_ns, ci_level)
    least = 0 if nearest == 1 else int(np.searchsorted(pairs.gates_ns, BORDER_NS))
    early = tally.early_pairs(pairs.gates_ns, least) if len(pairs.gates_ns) > 1 else None
    plateau = _plateau(gates, early, least) if gate_ns is None else _given(gates, gate_ns)
    gate_from: Literal["pairs", "given", "none"] = "given" if gate_ns is not None else "pairs" if plateau else "none"
    gated = gates[plateau].g2_0 if plateau else None
    best = gated or corrected or raw
    return PulsedG2(
        ci_level=ci_level,
        lags=pairs.lags,
        counts=counts,
        center_lag=center_lag,
        center_found=found,
        center_counts=n_center,
        side_counts=n_side,
        side_n=2 * half,
        side_from=nearest,
        g2_0_raw=raw,
        g2_0_far=as_g2(n_center / chance, (low / chance, high / chance)),
        bunching=n_side / (2 * half) / chance,
        g2_0=corrected,
        signal_fraction_rho=None if background is None else tally.signal_fraction(background),
        gates=gates,
        plateau=plateau,
        gate_from=gate_from,
        biexciton_lifetime_ns=None if early is None or early.gain < NEEDED else early.lifetime(ci_level),
        g2_0_gated=gated,
        n_emitters_M=number_of_emitters(best),
        n_emitters_from="gated" if gated else "background corrected" if corrected else "raw",
        single=is_single(best),
        warnings=tuple(warnings),
    )


def _plateau(gates: tuple[Gate, ...], early: EarlyPairs | None, least: int) -> int | None:
    """Index of the gate, ``least`` or later; None if none will do."""
    if early is None or early.gain < NEEDED:
        return least if least < len(gates) else None
    counted = np.array([gate.center_counts for gate in gates])
    negligible = early.most_behind(np.array([gate.gate_ns for gate in gates])) <= NEGLIGIBLE * np.sqrt(
        np.maximum(counted, 1)
    )
    ill = early.p_fit is not None and early.p_fit < ILL_FITTED
    for i in range(max(least, 1), len(gates)):
        chance = gates[i].p_plateau
        if negligible[i] and not (ill and chance is not None and chance < PLATEAU):
            return i
    return None


def _given(gates: tuple[Gate, ...], gate_ns: float) -> int:
    for i, gate in enumerate(gates):
        if math.isclose(gate.gate_ns, gate_ns):
            return i
    raise InputError(f"Behind a gate of {gate_ns:g} ns there are no side peaks to compare with; take an earlier one.")


def find_zero_lag(lags: NDArray[np.integer], counts: NDArray[np.integer], reach: int) -> tuple[int, bool]:
    """The pulse lag of the deepest dip, and whether it stands out; if not, lag 0.

    The lowest of all candidates within ``reach`` is held against the mean of the others by the binomial
    test, times the number of candidates (Bonferroni).
    """
    candidates = np.flatnonzero(np.abs(lags) <= reach)
    lowest = candidates[np.argmin(counts[candidates])]
    total = int(counts.sum())
    chance = float(binom.cdf(counts[lowest], total, 1 / len(counts))) * len(candidates)
    return (int(lags[lowest]), True) if chance < SURE else (0, False)


def number_of_emitters(g2_0: Quantity) -> Quantity | None:
    """M = 1/(1 - g2(0)), the interval end to end.

    An end that reaches g2(0) = 1 bounds nothing and is None; where even the lower one does, nothing is left.
    """
    value, lo, hi = (None if g is None or g >= 1 else 1 / (1 - max(g, 0.0)) for g in (g2_0.value, g2_0.lo, g2_0.hi))
    return None if lo is None and value is None else Quantity(value=value, lo=lo, hi=hi)


def is_single(g2_0: Quantity) -> bool | None:
    """True only if the whole interval of g2(0) is below 0.5, which two equal emitters reach; None if undecided."""
    if g2_0.hi is not None and g2_0.hi < 0.5:
        return True
    return False if g2_0.lo is not None and g2_0.lo >= 0.5 else None


def brouri(g2_0: float, signal_fraction: float) -> float:
    """(g - (1 - ρ²))/ρ²: g2(0) without uncorrelated background.

    R. Brouri et al., Opt. Lett. 25, 1294 (2000), doi 10.1364/OL.25.001294.
    """
    return (g2_0 - (1 - signal_fraction**2)) / signal_fraction**2
