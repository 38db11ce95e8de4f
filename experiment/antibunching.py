"""How many emitters? g2(0) from counted pairs, its exact interval, and what follows from it.

g2(0) of M identical independent emitters is 1 - (1 - r)/M, where r is the ratio of the biexciton's
quantum yield to the exciton's, at few excitons a pulse (G. Nair et al., ACS Nano 5, 1188 (2011)).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, PositiveInt
from scipy.stats import binom, chi2

from midgap.experiment.coincidences import PulsePairs
from midgap.experiment.counting import Interval, combine, poisson_interval, ratio_interval
from midgap.experiment.records import Quantity
from midgap.structures.document import Document, IntArray
from midgap.structures.errors import InputError

SURE = 0.01
"""The zero-delay peak is taken for found if chance would make such a dip anywhere less often than this."""
NEEDED = 0.01
"""A gate is used if, without one, pairs of different delays differ more than chance does this often. A larger value would
gate emitters that need none by what chance offers, and their intervals would hold the truth too seldom."""
PLATEAU = 0.2
"""The first gate is used behind which pairs differ no more than chance does this often."""
EXPECTED_PAIRS = 5.0
"""Gates are put together until they hold this many, where their distribution is that of χ²."""

BIEXCITON_CAVEAT = (
    "g2(0) = 1 - (1 - r)/M: without a time gate a biexciton that emits (r > 0) counts as further emitters, so that "
    "M = 1/(1 - g2(0)) is an upper bound. M takes the emitters to be equally bright; unequal ones count as fewer."
)


class Background(Document):
    """Uncorrelated counts, uniform in time: by detector, counts a second.

    Attributes
    ----------
    cps
        Of the first and the second detector of a pair.
    source
        Where it is known from.
    """

    cps: tuple[Quantity, Quantity]
    source: str

    def ends(self) -> tuple[tuple[float, float, float], ...]:
        """Value, lower and upper end for each detector; a rate without an interval counts as exact."""
        both = []
        for rate in self.cps:
            value = rate.value if rate.value is not None else rate.hi if rate.hi is not None else rate.lo
            assert value is not None  # a quantity has one of the three
            both.append((value, value if rate.lo is None else rate.lo, value if rate.hi is None else rate.hi))
        return tuple(both)


class Gate(Document):
    """g2(0) from pairs whose both photons come later than ``gate_ns`` after the pulse's light.

    ``p_plateau`` is the probability that pairs of one g2(0) differ among the later gates as much as
    these do; None where there are too few to tell.
    """

    gate_ns: float
    center_counts: int
    side_counts: int
    signal_fraction: float | None
    g2_0: Quantity
    p_plateau: float | None


class PulsedG2(Document):
    """g2(0) of pulsed excitation.

    Attributes
    ----------
    lags, counts
        Shape (n_lags,): pairs of all delays by pulse lag.
    center_lag, center_found
        Pulse lag of zero delay; not found means that no dip stands out, and that it is lag 0 or the one
        that was given.
    side_n
        Side peaks, next to the centre on both sides.
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
        The scan, and the index of the first gate behind which g2(0) no longer changes; None if there is none.
    g2_0_gated
        That of the plateau if its gate is not zero.
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
    g2_0_raw: Quantity
    g2_0_far: Quantity
    bunching: FiniteFloat
    g2_0: Quantity | None = None
    signal_fraction_rho: Quantity | None = None
    gates: tuple[Gate, ...] = ()
    plateau: int | None = None
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

    Raises
    ------
    InputError
        The lags do not reach as far as the side peaks asked for, or hold no pairs.
    """
    counts = pairs.counts.sum(axis=1)
    half = side_n // 2
    reach = int(pairs.lags[-1]) - half
    if half < 1 or reach < abs(center_lag or 0):
        raise InputError(f"{side_n} side peaks do not fit into pulse lags of up to {pairs.lags[-1]}.")
    warnings: list[str] = []
    found = True
    if center_lag is None:
        center_lag, found = find_zero_lag(pairs.lags, counts, reach)
        if not found:
            warnings.append(
                f"No pulse lag up to {reach} has a dip that stands out, so lag 0 is taken for zero delay. If the detectors' "
                "cables differ by a period of the laser or more, give the lag."
            )
    center = int(np.searchsorted(pairs.lags, center_lag))
    sides = np.r_[center - half : center, center + 1 : center + half + 1]
    tally = _Tally.of(pairs, center, sides, background)
    n_center, n_side, chance = int(tally.center[0]), int(tally.side[0]), float(tally.chance[0])
    if n_side == 0:
        raise InputError(
            f"There are no pairs of photons within {half} pulses of each other: too few photons for g2 "
            f"({pairs.singles[0].sum()} and {pairs.singles[1].sum()})."
        )
    raw = _quantity(n_center * 2 * half / n_side, ratio_interval(n_center, n_side, 2 * half, ci_level))
    low, high = poisson_interval(n_center, ci_level)
    corrected = None if background is None else tally.g2_0(0, ci_level)
    if background is not None and corrected is None:
        warnings.append("The background is given so high that it explains all pairs; nothing is corrected for it.")
    if corrected is not None and corrected.hi == 0:
        warnings.append("The background explains more pairs at zero delay than there are: it is given too high.")
    gates = tally.gates(pairs.gates_ns, ci_level)
    plateau = _plateau(gates)
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
        g2_0_raw=raw,
        g2_0_far=_quantity(n_center / chance, (low / chance, high / chance)),
        bunching=n_side / (2 * half) / chance,
        g2_0=corrected,
        signal_fraction_rho=None if background is None else tally.signal_fraction(background),
        gates=gates,
        plateau=plateau,
        g2_0_gated=gated,
        n_emitters_M=number_of_emitters(best),
        n_emitters_from="gated" if gated else "background corrected" if corrected else "raw",
        single=is_single(best),
        warnings=tuple(warnings),
    )


def _plateau(gates: tuple[Gate, ...]) -> int | None:
    chances = [1.0 if gate.p_plateau is None else gate.p_plateau for gate in gates]
    if not chances or chances[0] >= NEEDED:
        return 0
    return next((i for i, chance in enumerate(chances) if chance >= PLATEAU), None)


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


class _Tally(NamedTuple):
    """Pairs and photons behind each gate, all arrays of shape (n_gates,).

    ``chance`` is the number of pairs a lag that the mean rates give; ``background`` photons of each
    detector, shape (2, n_gates), are value, lower and upper end.
    """

    center: NDArray[np.int64]
    side: NDArray[np.int64]
    n_side: int
    singles: NDArray[np.int64]
    n_pulses: int
    background: NDArray[np.float64] | None

    @classmethod
    def of(cls, pairs: PulsePairs, center: int, sides: NDArray[np.int64], background: Background | None) -> _Tally:
        counts = np.stack([pairs.counts[center], pairs.counts[sides].sum(axis=0)])
        behind = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
        singles = np.cumsum(pairs.singles[:, ::-1], axis=1)[:, ::-1]
        known = None
        if background is not None:
            seconds = 1e-9 * pairs.period_ns * pairs.n_pulses
            # A detector is open from its gate to where the next pulse's photons begin; without a gate, always.
            alignment = pairs.alignment
            open_ns = alignment.n_bins * alignment.bin_ns
            rest_ns = open_ns - alignment.rise_bins * alignment.bin_ns - pairs.gates_ns
            open_part = np.where(pairs.gates_ns == 0, 1.0, rest_ns / open_ns)
            ends = np.array(background.ends())
            known = ends[:, :, None] * seconds * open_part
        return cls(behind[0], behind[1], len(sides), singles, pairs.n_pulses, known)

    @property
    def chance(self) -> NDArray[np.float64]:
        return self.singles[0] * (self.singles[1] / self.n_pulses)

    def background_pairs(self, gate: int, first: float, second: float) -> float:
        """Pairs a lag with at least one background photon, of so many on each detector."""
        one, two = (float(n) for n in self.singles[:, gate])
        first, second = min(first, one), min(second, two)
        return (one * two - (one - first) * (two - second)) / self.n_pulses

    def g2_0(self, gate: int, ci_level: float) -> Quantity | None:
        """(n_c - B)/(S/K - B): with B background pairs a lag, which do not blink with the emitter.

        Without blinking the side peaks are as high as chance makes them, and this is Brouri's formula
        with ρ² = ρ₁ρ₂. None if the background explains the side peaks.
        """
        side = self.side[gate] / self.n_side
        ratio = self.center[gate] / side
        interval = ratio_interval(int(self.center[gate]), int(self.side[gate]), self.n_side, ci_level)
        if self.background is None:
            return _quantity(ratio, interval)
        most = self.background_pairs(gate, *self.background[:, 2, gate])
        if most >= side:
            return None

        def corrected(ratio: float, first: float, second: float) -> float:
            pairs = self.background_pairs(gate, first, second)
            return (ratio * side - pairs) / (side - pairs)

        first, second = self.background[:, :, gate]
        value, ends = combine(
            corrected, (ratio, first[0], second[0]), (interval, (first[1], first[2]), (second[1], second[2]))
        )
        return _quantity(value, ends)

    def gates(self, gates_ns: NDArray[np.float64], ci_level: float) -> tuple[Gate, ...]:
        found = []
        for i, gate_ns in enumerate(gates_ns):
            g2_0 = self.g2_0(i, ci_level) if self.side[i] else None
            if g2_0 is None:
                break
            rho = None
            if self.background is not None:
                parts = 1 - self.background[:, 0, i] / self.singles[:, i]
                rho = math.sqrt(max(parts[0], 0) * max(parts[1], 0))
            found.append(
                Gate(
                    gate_ns=gate_ns,
                    center_counts=int(self.center[i]),
                    side_counts=int(self.side[i]),
                    signal_fraction=rho,
                    g2_0=g2_0,
                    p_plateau=self.p_plateau(i),
                )
            )
        return tuple(found)

    def p_plateau(self, gate: int) -> float | None:
        """Probability of as much difference among the pairs between the gates from here on, if g2(0) is one."""
        ends = range(gate, len(self.center))
        if self.background is None:
            chance = np.zeros(len(ends))
        else:
            chance = np.array([self.background_pairs(i, *self.background[:, 0, i]) for i in ends])
        center, side, chance = (
            np.append(-np.diff(behind), behind[-1])
            for behind in (self.center[gate:].astype(float), self.side[gate:] / self.n_side, chance)
        )
        if side.sum() <= chance.sum():
            return None
        g2_0 = max(0.0, (center.sum() - chance.sum()) / (side.sum() - chance.sum()))
        expected = np.maximum(chance + g2_0 * (side - chance), 0)
        groups = _groups(expected, EXPECTED_PAIRS)
        if groups[-1] == 0:
            return None
        seen, model = (np.bincount(groups, weights=x) for x in (center, expected))
        ratio = np.where(seen > 0, seen / model, 1.0)
        deviance = 2 * float(np.sum(model - seen + seen * np.log(ratio)))
        return float(chi2.sf(deviance, groups[-1]))

    def signal_fraction(self, background: Background) -> Quantity | None:
        assert self.background is not None
        totals = self.singles[:, 0].astype(float)

        def rho(first: float, second: float) -> float:
            return math.sqrt(max(1 - first / totals[0], 0) * max(1 - second / totals[1], 0))

        one, two = self.background[:, :, 0]
        value, ends = combine(rho, (one[0], two[0]), ((one[1], one[2]), (two[1], two[2])))
        return Quantity(value=value, lo=max(ends[0], 0.0), hi=min(ends[1], 1.0))


def _groups(expected: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Number of the group of each of neighbouring bins, so that each group expects ``least`` or more."""
    groups, group, held = np.zeros(len(expected), np.int64), 0, 0.0
    for i, each in enumerate(expected):
        groups[i] = group
        held += each
        if held >= least:
            group, held = group + 1, 0.0
    if held > 0 or groups[-1] == group:  # what is left over joins the last full group
        groups[groups == group] = max(group - 1, 0)
    return groups


def _quantity(value: float, ends: Interval) -> Quantity:
    """g2(0) is not negative: an estimate or an end that is, is 0."""
    value, low, high = (max(0.0, x) for x in (value, *ends))
    return Quantity(value=value, lo=low, hi=high if math.isfinite(high) else None)
