"""The likelihood of many measurements of one observable, as a function of the mean of the population they come from.

Each particle has a value of its own, drawn from a normal distribution around the population's mean; each measurement
adds its error. The spread between particles is integrated over a half-t prior (Gelman, Bayesian Anal. 1, 515
(2006), doi 10.1214/06-BA117A), so that it is not mistaken for measurement error, nor the number of particles for the
accuracy of a prediction. What comes out is one curve, whatever the number of particles; candidates are held against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp

from midgap.experiment.evidence.observables import Observable
from midgap.experiment.records import Quantity

Floats = NDArray[np.float64]

Z95 = 1.959963984540054
"""Intervals of records are central ones at 95 %."""
NODES, FAR = 241, 60.0
"""Places of the mean, and how far they reach: in units of the prior's scale beyond the data."""
WIDE, FINE, ALONE = 25, 25, 17
"""Spreads between particles: over the prior, where the data are, and for a record alone."""
FREEDOM = 4
"""Of the half-t prior: with fewer, one particle would say next to nothing of the population it comes from."""
LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Measurements:
    """Measured numbers on the scale of their observable, each of shape (n,).

    Attributes
    ----------
    value, below, above
        Standard deviations below and above the value; NaN where there are only bounds.
    lo, hi
        Bounds, infinite where open; NaN where there is a value.
    of_mean
        It measures the population's mean and not one particle.
    """

    value: Floats
    below: Floats
    above: Floats
    lo: Floats
    hi: Floats
    of_mean: NDArray[np.bool_]

    @classmethod
    def of(cls, quantities: Sequence[Quantity], of_mean: Sequence[bool], observable: Observable) -> Measurements:
        """From quantities; a value without an interval is as uncertain as a good measurement of it leaves it."""
        rows = [_row(quantity, observable) for quantity in quantities]
        value, below, above, lo, hi = np.array(rows, dtype=float).reshape(-1, 5).T
        return cls(value, below, above, lo, hi, np.array(of_mean, dtype=bool))

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, kept: NDArray[np.bool_]) -> Measurements:
        """Some of them."""
        return Measurements(
            self.value[kept], self.below[kept], self.above[kept], self.lo[kept], self.hi[kept], self.of_mean[kept]
        )

    @property
    def is_bound(self) -> NDArray[np.bool_]:
        return np.isnan(self.value)

    def shifted(self, by: Floats) -> Measurements:
        """Every number less ``by``, shape (n,)."""
        return Measurements(self.value - by, self.below, self.above, self.lo - by, self.hi - by, self.of_mean)

    def log_density(self, mean: Floats, spread: float) -> Floats:
        """Logarithm of p(measurement | mean, spread), shape (n, mean).

        A measurement with unequal errors is a split normal density of the true value, its convolution with the
        population's normal one two products of a normal density and a normal integral; a bound is the part of the
        population that it holds.
        """
        out = np.empty((len(self), mean.size))
        variance = np.where(self.of_mean, 0.0, spread**2)[:, None]
        # What was written as value ± error comes back uneven in the last digit, and uneven sides cost much more.
        even = np.isclose(self.below, self.above, rtol=1e-6, atol=0.0)
        uneven, told = ~even, ~self.is_bound
        if (rows := told & even).any():
            v, side = self.value[rows, None], self.below[rows, None]
            out[rows] = _log_normal(v - mean, variance[rows] + side**2)
        if (rows := told & uneven).any():
            v, below, above = self.value[rows, None], self.below[rows, None], self.above[rows, None]
            lower = _half(v, mean, variance[rows], below, 1.0)
            upper = _half(v, mean, variance[rows], above, -1.0)
            out[rows] = np.logaddexp(lower, upper) - np.log(0.5 * (below + above))
        if self.is_bound.any():
            rows = self.is_bound
            width = np.sqrt(variance[rows] + self.below[rows, None] ** 2)
            left, right = (self.lo[rows, None] - mean) / width, (self.hi[rows, None] - mean) / width
            # From the side where the integrals are small, for their difference to mean something.
            left, right = np.where(left > 0, -right, left), np.where(left > 0, -left, right)
            out[rows] = log_ndtr(right) + np.log1p(-np.minimum(np.exp(log_ndtr(left) - log_ndtr(right)), 1 - 1e-15))
        return out


def _row(quantity: Quantity, observable: Observable) -> tuple[float, float, float, float, float]:
    ends = [None if x is None else observable.scale(x) for x in (quantity.value, quantity.lo, quantity.hi)]
    value, lo, hi = ends
    if value is None or not math.isfinite(value):
        # On a logarithmic scale zero has no place: such an end bounds nothing.
        low = -math.inf if lo is None or not math.isfinite(lo) else lo
        high = math.inf if hi is None or not math.isfinite(hi) else hi
        return math.nan, observable.feasible, observable.feasible, low, high
    below = None if lo is None or not math.isfinite(lo) else (value - lo) / Z95
    above = None if hi is None or not math.isfinite(hi) else (hi - value) / Z95
    # One-sided intervals: the side that is known. None: as good as a good measurement.
    below, above = (x if x else y for x, y in ((below, above), (above, below)))
    least = 1e-3 * observable.feasible
    return value, max(below or observable.feasible, least), max(above or observable.feasible, least), math.nan, math.nan


def _log_normal(x: Floats, variance: Floats) -> Floats:
    return -0.5 * x**2 / variance - 0.5 * np.log(variance) - LOG_ROOT_2PI


def _half(v: Floats, mean: Floats, t2: Floats, side: Floats, sign: float) -> Floats:
    """Logarithm of ∫ N(x; mean, t²) exp(-(x-v)²/2σ²)/(√2π) over x below (sign 1) or above (sign -1) v."""
    total = t2 + side**2
    place = (mean * side**2 + v * t2) / total
    width = np.sqrt(np.maximum(t2, 1e-30) * side**2 / total)
    return _log_normal(v - mean, total) + np.log(side) + log_ndtr(sign * (v - place) / width)


@dataclass(frozen=True)
class Population:
    """Measurements of an observable, held against every mean that their population could have.

    Attributes
    ----------
    mean
        Shape (m,), on the scale of the observable.
    log_all
        ln p(all measurements | mean), shape (m,).
    log_each
        ln p(one measurement | mean), shape (n, m).
    log_spread
        ln p(all, spread | mean), shape (spread, m), with the spreads and the logarithms of their weights.
    """

    mean: Floats
    log_all: Floats
    log_each: Floats
    log_spread: Floats
    spread: Floats
    weight: Floats

    @classmethod
    def of(cls, data: Measurements, observable: Observable, spread: float | None = None) -> Population:
        """Tabulate the likelihood.

        Parameters
        ----------
        spread
            Where it is predicted; None integrates it.
        """
        centre, error = _centre(data)
        reach = FAR * observable.spread_scale + 10 * error
        t = np.linspace(-1.0, 1.0, NODES) * math.asinh(reach / error)
        mean = centre + error * np.sinh(t)
        spreads, weight = _spreads(data, observable, centre) if spread is None else (np.array([spread]), np.zeros(1))
        # A record alone says little of the spread: few of them do for it.
        few = np.unique(np.linspace(0, spreads.size - 1, ALONE).round().astype(int))
        alone = _log_weights(spreads[few], observable) if spreads.size > 1 else weight
        table = np.empty((spreads.size, mean.size))
        each = np.full((len(data), mean.size), -np.inf)
        for k, one in enumerate(spreads):
            rows = data.log_density(mean, float(one))
            table[k] = rows.sum(axis=0)
            if k in few:
                np.logaddexp(each, rows + alone[few == k], out=each)
        return cls(mean, logsumexp(table + weight[:, None], axis=0), each, table, spreads, weight)

    def at(self, x: Floats, rows: bool = False) -> Floats:
        """``log_all`` (or ``log_each``) at other places; beyond the table it goes on as it ends."""
        if not rows:
            return np.interp(x, self.mean, self.log_all)
        i = np.clip(np.searchsorted(self.mean, x), 1, self.mean.size - 1)
        part = np.clip((x - self.mean[i - 1]) / (self.mean[i] - self.mean[i - 1]), 0.0, 1.0)
        return self.log_each[:, i - 1] * (1 - part) + self.log_each[:, i] * part

    def summary(self, observable: Observable, n_particles: int) -> tuple[Quantity, Quantity | None]:
        """Mean and spread with central 95 % intervals, under a prior of the mean that is flat from the least it can be.

        No spread of one particle.
        """
        step = np.gradient(self.mean)
        allowed = (
            np.full(step.shape, True) if observable.least is None else self.mean >= observable.scale(observable.least)
        )
        if allowed.any():  # else the measurements know nothing of it
            step = np.where(allowed, step, 0.0)
        mean = _interval(self.mean, self.log_all, step)
        located = Quantity(**{k: observable.unscale(x) for k, x in mean.items()})
        if n_particles < 2 or self.spread.size < 2:
            return located, None
        log_p = logsumexp(self.log_spread, axis=1, b=step) + self.weight
        return located, Quantity(**_interval(self.spread, log_p, np.ones(self.spread.size)))


def _interval(x: Floats, log_p: Floats, step: Floats) -> dict[str, float]:
    p = np.exp(np.where(step > 0, log_p - log_p[step > 0].max(), -np.inf)) * step
    below = np.cumsum(p) - 0.5 * p
    lo, value, hi = np.interp(np.array([0.025, 0.5, 0.975]) * p.sum(), below, x)
    return {"value": float(value), "lo": float(lo), "hi": float(hi)}


def _centre(data: Measurements) -> tuple[float, float]:
    """Where the measurements are, and how well that is known at best: the grid is finest there."""
    told = ~data.is_bound
    if told.any():
        error = 0.5 * (data.below[told] + data.above[told])
        weight = 1 / error**2
        return float(np.average(data.value[told], weights=weight)), float(weight.sum() ** -0.5)
    lo, hi = np.max(data.lo), np.min(data.hi)
    ends = [float(x) for x in (lo, hi) if np.isfinite(x)]
    width = float(np.max(data.below))
    return (float(np.mean(ends)) if ends else 0.0), max(abs(ends[-1] - ends[0]) if len(ends) == 2 else width, width)


def _spreads(data: Measurements, observable: Observable, centre: float) -> tuple[Floats, Floats]:
    """Spreads and the logarithms of their weights: the prior, finest where the data say something."""
    scale = observable.spread_scale
    if data.of_mean.all():
        return np.zeros(1), np.zeros(1)
    wide = np.geomspace(0.01, 100.0, WIDE) * scale
    told = data.value[~data.is_bound]
    middle = np.array([float(np.median(told)) if told.size else centre])
    fine = np.geomspace(0.001, 100.0, 241) * scale
    likely = np.array([data.log_density(middle, float(s)).sum() for s in fine])
    inside = fine[likely > likely.max() - 18.0]
    nodes = np.unique(np.concatenate([wide, np.geomspace(inside[0], inside[-1], FINE)]))
    return nodes, _log_weights(nodes, observable)


def _log_weights(nodes: Floats, observable: Observable) -> Floats:
    """Of the prior at these spreads, ascending."""
    density = (1 + (nodes / observable.spread_scale) ** 2 / FREEDOM) ** (-0.5 * (FREEDOM + 1))
    weight = np.gradient(nodes) * density
    return np.asarray(np.log(weight / weight.sum()))
