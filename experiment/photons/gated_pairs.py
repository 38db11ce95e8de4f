"""Pairs at zero delay and at the side peaks behind each gate, and what background has part in."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.counting import Interval, combine, pooled_chance, ratio_interval
from midgap.experiment.photons.coincidences import PulsePairs
from midgap.experiment.photons.gate_choice import EarlyPairs
from midgap.experiment.records import Quantity
from midgap.structures.document import Document


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


class GatedPairs(NamedTuple):
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
    def of(cls, pairs: PulsePairs, center: int, sides: NDArray[np.int64], background: Background | None) -> GatedPairs:
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
            return as_g2(ratio, interval)
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
        return as_g2(value, ends)

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

    def by_delay(self, first: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Pairs at zero lag, a mean side peak, and pairs with background, between each gate from ``first`` on and the next."""
        ends = range(first, len(self.center))
        if self.background is None:
            chance = np.zeros(len(ends))
        else:
            chance = np.array([self.background_pairs(i, *self.background[:, 0, i]) for i in ends])
        center, side, chance = (
            np.append(-np.diff(behind), behind[-1])
            for behind in (self.center[first:].astype(float), self.side[first:] / self.n_side, chance)
        )
        return center, side, chance

    def early_pairs(self, gates_ns: NDArray[np.float64], first: int = 0) -> EarlyPairs | None:
        """The biexciton's part in the pairs at zero lag, from the gate ``first`` on; None if background explains them."""
        center, side, chance = self.by_delay(first)
        if side.sum() <= chance.sum():
            return None
        return EarlyPairs.fit(gates_ns[first:], center, side, np.maximum(chance, 0.0))

    def p_plateau(self, gate: int) -> float | None:
        """Probability of as much difference among the pairs between the gates from here on, if g2(0) is one."""
        center, side, chance = self.by_delay(gate)
        if side.sum() <= chance.sum():
            return None
        g2_0 = max(0.0, (center.sum() - chance.sum()) / (side.sum() - chance.sum()))
        expected = np.maximum(chance + g2_0 * (side - chance), 0)
        return pooled_chance(center, expected, n_fitted=1)

    def signal_fraction(self, background: Background) -> Quantity | None:
        assert self.background is not None
        totals = self.singles[:, 0].astype(float)

        def rho(first: float, second: float) -> float:
            return math.sqrt(max(1 - first / totals[0], 0) * max(1 - second / totals[1], 0))

        one, two = self.background[:, :, 0]
        value, ends = combine(rho, (one[0], two[0]), ((one[1], one[2]), (two[1], two[2])))
        return Quantity(value=value, lo=max(ends[0], 0.0), hi=min(ends[1], 1.0))


def as_g2(value: float, ends: Interval) -> Quantity:
    """g2(0) is not negative: an estimate or an end that is, is 0."""
    value, low, high = (max(0.0, x) for x in (value, *ends))
    return Quantity(value=value, lo=low, hi=high if math.isfinite(high) else None)
