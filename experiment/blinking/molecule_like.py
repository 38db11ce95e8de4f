"""What tells a molecule-like emitter from a quantum-dot-like one: three observables as numbers, without a verdict.

In a quantum dot the bright and the dim states differ in their non-radiative rate, so lifetime follows intensity, and its
levels are few and sharp; g2(0) hardly depends on power. Where several alike emitters switch on and off, lifetime does not
follow intensity, switching is faster than any bin, and g2(0) rises with power as emitters are activated (Nat. Commun. 10,
2930 (2019), doi 10.1038/s41467-019-10870-1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.blinking.level_lifetimes import SegmentLifetimes
from midgap.experiment.blinking.levels import IntensityLevels, Trace
from midgap.experiment.records import Quantity
from midgap.structures.document import Document
from midgap.structures.errors import InputError

Floats = NDArray[np.float64]
FEWEST_PIECES = 10
RESAMPLES = 500


class LifetimeOverIntensity(Document):
    """How the lifetime goes with the intensity, among pieces of a trace; intervals by bootstrap of the pieces.

    Attributes
    ----------
    exponent
        s of τ ∝ I^s: 1 if only the non-radiative rate changes, 0 if lifetime does not follow intensity.
    spread
        Standard deviation of ln τ beyond that of counting: the relative scatter of the lifetimes themselves.
    intensity_range
        95th over 5th percentile of the rates: what the exponent was measured over.
    """

    exponent: Quantity
    spread: Quantity
    intensity_range: float
    n_pieces: int
    ci_level: float


class LevelSharpness(Document):
    """How far the levels account for the trace.

    Attributes
    ----------
    n_levels
        By BIC.
    fano
        Variance over mean of the counts in bins that lie within one segment: 1 if there is only photon noise around
        discrete levels, more if the emitter switches within a bin. Interval by bootstrap of the segments.
    n_bins
        Bins that lie within one segment.
    """

    n_levels: int
    fano: Quantity
    bin_s: float
    n_bins: int
    ci_level: float


class PowerDependence(Document):
    """g2(0) = ``at_zero`` + ``slope`` ⟨N⟩ by least squares, weighted with the measurements' own intervals.

    ``chi_squared`` is per degree of freedom; above one the intervals were widened by it. None with two points.
    """

    slope: Quantity
    at_zero: Quantity
    n_points: int
    chi_squared: float | None
    ci_level: float


def lifetime_over_intensity(
    pieces: SegmentLifetimes, background_cps: float = 0.0, ci_level: float = 0.95
) -> LifetimeOverIntensity:
    """How lifetimes go with intensities.

    Each piece counts by the inverse of its own variance, from its interval, plus the common scatter.

    Parameters
    ----------
    background_cps
        Taken off the rates.

    Raises
    ------
    InputError
        Fewer than 10 pieces with a lifetime, or all of one intensity.
    """
    rate = pieces.rate_cps - background_cps
    good = np.isfinite(pieces.tau_lo_ns + pieces.tau_hi_ns + pieces.tau_ns) & (rate > 0)
    if good.sum() < FEWEST_PIECES:
        raise InputError(f"{good.sum()} pieces of the trace have a lifetime; at least {FEWEST_PIECES} are needed.")
    log_tau, log_rate = np.log(pieces.tau_ns[good]), np.log(rate[good])
    error = np.log(pieces.tau_hi_ns[good] / pieces.tau_lo_ns[good]) / (2 * _normal(pieces.ci_level))
    low, high = np.quantile(rate[good], [0.05, 0.95])
    if not high > low * 1.001:
        raise InputError("All pieces have one intensity; nothing can be said of how lifetime goes with it.")

    def observables(i: NDArray[np.int64]) -> Floats:
        x, y, e2 = log_rate[i], log_tau[i], error[i] ** 2
        common = _scatter(np.zeros((x.size, 0)), y, e2)
        around = _scatter(x[:, None], y, e2)
        weight = 1 / (e2 + around)
        centred = x - np.average(x, weights=weight)
        denominator = float(weight @ centred**2)
        slope = float(weight @ (centred * y)) / denominator if denominator > 0 else 0.0
        return np.array([slope, math.sqrt(common)])

    value, lo, hi = _bootstrap(observables, int(good.sum()), ci_level)
    return LifetimeOverIntensity(
        exponent=_quantity(value[0], lo[0], hi[0]),
        spread=_quantity(value[1], max(lo[1], 0.0), hi[1]),
        intensity_range=float(high / low),
        n_pieces=int(good.sum()),
        ci_level=ci_level,
    )


def level_sharpness(trace: Trace, levels: IntensityLevels, ci_level: float = 0.95) -> LevelSharpness:
    """Noise of the trace around its levels.

    Raises
    ------
    InputError
        No segment is ten bins long.
    """
    numerator, denominator, bins = [], [], 0
    for start, end in zip(levels.start_time_s, levels.end_time_s, strict=True):
        # The outer bins may hold a part of the neighbouring segment.
        first, last = math.ceil(start / trace.bin_s) + 1, math.floor(end / trace.bin_s) - 1
        counts = trace.counts[max(first, 0) : min(last, trace.counts.size)]
        if counts.size >= 10 and counts.sum() > 0:
            numerator.append(float(counts.var(ddof=1)) * counts.size)
            denominator.append(float(counts.mean()) * counts.size)
            bins += counts.size
    if not numerator:
        raise InputError(
            f"No segment is as long as ten bins of {trace.bin_s:g} s; take shorter bins to see the noise within levels."
        )
    a, b = np.array(numerator), np.array(denominator)
    if a.size >= FEWEST_PIECES:
        value, lo, hi = _bootstrap(lambda i: np.array([a[i].sum() / b[i].sum()]), a.size, ci_level)
    else:
        # Few segments: the sampling variance of a Poisson count's variance, 2/(n-1).
        value = np.array([a.sum() / b.sum()])
        margin = _normal(ci_level) * math.sqrt(2 / max(bins - a.size, 1)) * value
        lo, hi = value - margin, value + margin
    return LevelSharpness(
        n_levels=len(levels.rate_cps),
        fano=_quantity(value[0], lo[0], hi[0]),
        bin_s=trace.bin_s,
        n_bins=bins,
        ci_level=ci_level,
    )


def g2_against_power(
    mean_excitons: Any, g2_0: Sequence[Quantity], g2_ci_level: float = 0.95, ci_level: float = 0.95
) -> PowerDependence:
    """How g2(0) goes with the excitation.

    Parameters
    ----------
    mean_excitons
        Shape (n_powers,): ⟨N⟩ of each measurement.
    g2_0
        Each with its interval at ``g2_ci_level``.

    Raises
    ------
    InputError
        Fewer than two powers, or g2(0) without intervals.
    """
    from scipy.stats import t as student

    x = np.asarray(mean_excitons, dtype=float)
    if x.size != len(g2_0) or np.unique(x).size < 2 or not (np.isfinite(x) & (x >= 0)).all():
        raise InputError("g2(0) against power needs at least two different powers, each with its g2(0).")
    if any(q.value is None or q.lo is None or q.hi is None or not q.hi > q.lo for q in g2_0):
        raise InputError("Each g2(0) needs a value and an interval to be weighted with.")
    y = np.array([q.value for q in g2_0], dtype=float)
    sigma = np.array([(q.hi or 0.0) - (q.lo or 0.0) for q in g2_0]) / (2 * _normal(g2_ci_level))
    design = np.column_stack([np.ones(x.size), x]) / sigma[:, None]
    covariance = np.linalg.inv(design.T @ design)
    best = covariance @ design.T @ (y / sigma)
    freedom = x.size - 2
    chi_squared = float(((y / sigma - design @ best) ** 2).sum()) / freedom if freedom else None
    widened = chi_squared is not None and chi_squared > 1
    factor = float(student.ppf(0.5 + 0.5 * ci_level, freedom)) if widened else _normal(ci_level)
    error = factor * np.sqrt(np.diag(covariance) * (max(chi_squared or 1.0, 1.0)))
    return PowerDependence(
        slope=_quantity(best[1], best[1] - error[1], best[1] + error[1]),
        at_zero=_quantity(best[0], best[0] - error[0], best[0] + error[0]),
        n_points=x.size,
        chi_squared=chi_squared,
        ci_level=ci_level,
    )


def _scatter(x: Floats, y: Floats, variance: Floats) -> float:
    """Variance beyond ``variance`` around a constant (and a slope on each column of x), by the method of moments.

    R. DerSimonian and N. Laird, Control. Clin. Trials 7, 177 (1986), repeated until it rests.
    """
    design = np.column_stack([np.ones(y.size), x])
    common = 0.0
    for _ in range(20):
        weight = 1 / (variance + common)
        normal = design.T @ (design * weight[:, None])
        inverse = np.linalg.pinv(normal)
        residual = y - design @ (inverse @ (design.T @ (weight * y)))
        # E Σ w r² = Σ w (v + common) (1 - leverage).
        leverage = 1 - weight * ((design @ inverse) * design).sum(axis=1)
        new = float((weight * residual**2).sum() - (weight * variance * leverage).sum()) / float(
            (weight * leverage).sum()
        )
        new = max(new, 0.0)
        if abs(new - common) < 1e-3 * common + 1e-9:
            return new
        common = new
    return common


def _bootstrap(
    observables: Callable[[NDArray[np.int64]], Floats], n: int, ci_level: float
) -> tuple[Floats, Floats, Floats]:
    value = observables(np.arange(n))
    random = np.random.default_rng(0)
    # More pieces than this do not change an interval, but cost.
    sample = np.array(
        [observables(random.integers(n, size=n)) for _ in range(RESAMPLES if n < 2000 else RESAMPLES // 2)]
    )
    lo, hi = np.quantile(sample, [0.5 - 0.5 * ci_level, 0.5 + 0.5 * ci_level], axis=0)
    return value, np.minimum(lo, value), np.maximum(hi, value)


def _normal(ci_level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(0.5 + 0.5 * ci_level))


def _quantity(value: float, lo: float, hi: float) -> Quantity:
    return Quantity(value=float(value), lo=float(lo), hi=float(hi))
