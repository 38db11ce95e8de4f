"""g2(0) of continuous excitation: a dip in the pairs by time, fitted by maximum likelihood.

The model is n(τ) = N [1 - (1 - g) h(τ - τ₀)], h = exp(-|τ|/τ_c), averaged over each bin and blurred by the
jitter of the two detectors where it is known. 1/τ_c is the excitation rate plus the decay rate.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat
from scipy.optimize import brentq, minimize
from scipy.special import erfcx
from scipy.stats import chi2

from midgap.experiment.counting import combine
from midgap.experiment.photons.antibunching import brouri, is_single, number_of_emitters
from midgap.experiment.photons.coincidences import TimePairs
from midgap.experiment.photons.gated_pairs import Background
from midgap.experiment.records import Quantity
from midgap.structures.document import Document, FloatArray, IntArray
from midgap.structures.errors import InputError

SURE = 0.01
"""A dip counts as found if the flat line is this improbable beside it."""

Floats = NDArray[np.float64]


class ContinuousG2(Document):
    """g2(0) of continuous excitation; fields as of `antibunching.PulsedG2`.

    Attributes
    ----------
    zero_delay_ns, dip_ns
        τ₀ and τ_c; None where no dip stands out, and then g2(0) is that of the lowest smooth stretch.
    far_counts
        N over what the mean rates alone would give: above 1 the emitter blinks.
    p_flat
        Probability of such a dip in pairs without one.
    """

    ci_level: float
    lag_ns: FloatArray
    counts: IntArray
    fitted_counts: FloatArray
    zero_delay_ns: float | None
    dip_ns: float | None
    jitter_fwhm_ns: NonNegativeFloat
    p_flat: float
    bunching: float
    g2_0_raw: Quantity
    g2_0: Quantity | None = None
    signal_fraction_rho: Quantity | None = None
    n_emitters_M: Quantity | None
    single: bool | None
    warnings: tuple[str, ...] = ()


def continuous_g2(
    pairs: TimePairs,
    background: Background | None = None,
    *,
    jitter_fwhm_ns: float = 0.0,
    ci_level: float = 0.95,
) -> ContinuousG2:
    """Fit the dip; its place is found from the data.

    Parameters
    ----------
    jitter_fwhm_ns
        Of the difference of two detected times; √2 times that of one detector. 0: g2(0) is that of the
        blurred dip, an upper bound.

    Raises
    ------
    InputError
        There are too few pairs to fit anything.
    """
    counts = pairs.counts.astype(float)
    if counts.sum() < 20:
        raise InputError(f"There are only {counts.sum():.0f} pairs of photons: too few for g2.")
    sigma = jitter_fwhm_ns / math.sqrt(8 * math.log(2))
    fit = _Dip(pairs.lag_ns, counts, pairs.bin_ns, sigma)
    best = fit.best()
    flat = fit.deviance_flat() - best.deviance
    p_flat = float(chi2.sf(max(flat, 0.0), 3))
    found = p_flat < SURE
    warnings = []
    if not found:
        warnings.append("No dip stands out of the pairs; zero delay and the width of the dip are not known.")
    low, high = fit.interval(best, ci_level)
    raw = Quantity(value=best.g, lo=low, hi=high)
    corrected = rho = None
    if background is not None:
        rho = _signal_fraction(pairs, background)
        assert rho.value is not None and rho.lo is not None and rho.hi is not None
        if rho.lo <= 0:
            warnings.append("The background is given so high that it explains all counts; nothing is corrected for it.")
        else:
            value, ends = combine(brouri, (best.g, rho.value), ((low, high), (rho.lo, rho.hi)))
            corrected = Quantity(value=max(value, 0.0), lo=max(ends[0], 0.0), hi=max(ends[1], 0.0))
    seconds_a_bin = 1e-9 * pairs.bin_ns
    chance = pairs.singles[0] * pairs.singles[1] * seconds_a_bin / pairs.duration_s
    settled = corrected or raw
    return ContinuousG2(
        ci_level=ci_level,
        lag_ns=pairs.lag_ns,
        counts=pairs.counts,
        fitted_counts=fit.model(best.g, best.zero, best.width)[0],
        zero_delay_ns=best.zero if found else None,
        dip_ns=best.width if found else None,
        jitter_fwhm_ns=jitter_fwhm_ns,
        p_flat=p_flat,
        bunching=fit.model(best.g, best.zero, best.width)[1] / chance,
        g2_0_raw=raw,
        g2_0=corrected,
        signal_fraction_rho=rho,
        n_emitters_M=number_of_emitters(settled) if found else None,
        single=is_single(settled) if found else None,
        warnings=tuple(warnings),
    )


class _Point:
    """A point of the fit; ``g`` is at least 0."""

    def __init__(self, g: float, zero: float, width: float, deviance: float) -> None:
        self.g, self.zero, self.width, self.deviance = g, zero, width, deviance


class _Dip:
    """Poisson deviance of the model; N follows from the other parameters."""

    def __init__(self, lag: Floats, counts: Floats, bin_ns: float, sigma: float) -> None:
        self.lag, self.counts, self.bin_ns, self.sigma = lag, counts, bin_ns, sigma

    def model(self, g: float, zero: float, width: float) -> tuple[Floats, float]:
        """Expected counts and N."""
        shape = 1 - (1 - g) * dip(self.lag - zero, width, self.sigma, self.bin_ns)
        scale = float(self.counts.sum() / shape.sum())
        return scale * shape, scale

    def deviance(self, g: float, zero: float, width: float) -> float:
        model = np.maximum(self.model(g, zero, width)[0], 1e-12)
        ratio = np.where(self.counts > 0, self.counts / model, 1.0)
        return float(2 * np.sum(model - self.counts + self.counts * np.log(ratio)))

    def deviance_flat(self) -> float:
        return self.deviance(1.0, 0.0, self.bin_ns)

    def best(self) -> _Point:
        reach = float(self.lag[-1])
        width = min(max(2 * self.bin_ns, 10.0), reach / 4)
        kernel = dip(np.arange(-reach / 2, reach / 2 + self.bin_ns, self.bin_ns), width, 0.0, self.bin_ns)
        # The matched filter's minimum: where a dip of about this width would be deepest.
        smooth = np.convolve(self.counts - self.counts.mean(), kernel, mode="same")
        start = float(self.lag[np.argmin(smooth)])
        return self._minimum(None, start, width)

    def _minimum(self, g: float | None, zero: float, width: float) -> _Point:
        reach = float(self.lag[-1])
        limits = [(-reach, reach), (math.log(self.bin_ns / 4), math.log(reach))]
        if g is None:
            found = minimize(
                lambda x: self.deviance(x[0], x[1], math.exp(x[2])),
                [0.3, zero, math.log(width)],
                method="Nelder-Mead",
                bounds=[(0.0, 3.0), *limits],
                options={"xatol": 1e-5, "fatol": 1e-5, "maxiter": 4000, "maxfev": 4000},
            )
            return _Point(float(found.x[0]), float(found.x[1]), math.exp(found.x[2]), float(found.fun))
        found = minimize(
            lambda x: self.deviance(g, x[0], math.exp(x[1])),
            [zero, math.log(width)],
            method="Nelder-Mead",
            bounds=limits,
            options={"xatol": 1e-5, "fatol": 1e-5},
        )
        return _Point(g, float(found.x[0]), math.exp(found.x[1]), float(found.fun))

    def interval(self, best: _Point, ci_level: float) -> tuple[float, float]:
        """Profile likelihood: where the deviance, the other parameters fitted anew, rises by χ²₁."""
        rise = float(chi2.ppf(ci_level, 1))

        def above(g: float) -> float:
            return self._minimum(g, best.zero, best.width).deviance - best.deviance - rise

        low = 0.0 if best.g <= 0 or above(0.0) <= 0 else brentq(above, 0.0, best.g, xtol=1e-4)
        high = best.g + 0.1
        while above(high) < 0 and high < 10:
            high += 0.3
        return float(low), float(brentq(above, best.g, high, xtol=1e-4)) if high < 10 else high


def dip(lag: Floats, width: float, sigma: float, bin_ns: float) -> Floats:
    """exp(-|τ|/width) blurred by a Gaussian of ``sigma`` and averaged over bins, all in ns.

    The blurred exponential in closed form, [exp(-u²)/2] [erfcx(s/√2 - u) + erfcx(s/√2 + u)] with
    u = τ/(√2 σ) and s = σ/width; the average is Simpson's rule in each half bin, so that a cusp at a bin's
    middle or border is met.
    """
    offsets = np.linspace(-0.5, 0.5, 9) * bin_ns
    weights = np.array([1, 4, 2, 4, 2, 4, 2, 4, 1]) / 24
    tau = np.abs(lag[:, None] + offsets)
    if sigma < 1e-3 * width:
        return np.exp(-tau / width) @ weights
    s = sigma / width / math.sqrt(2)
    u = tau / (math.sqrt(2) * sigma)
    near = np.where(s - u > -20, 0.5 * np.exp(-(u**2)) * erfcx(np.maximum(s - u, -20)), np.exp(s**2 - 2 * s * u))
    return (near + 0.5 * np.exp(-(u**2)) * erfcx(s + u)) @ weights


def _signal_fraction(pairs: TimePairs, background: Background) -> Quantity:
    """√(ρ₁ρ₂)."""
    rates = [n / pairs.duration_s for n in pairs.singles]

    def rho(first: float, second: float) -> float:
        return math.sqrt(max(1 - first / rates[0], 0) * max(1 - second / rates[1], 0))

    one, two = background.ends()
    value, ends = combine(rho, (one[0], two[0]), ((one[1], one[2]), (two[1], two[2])))
    return Quantity(value=value, lo=max(ends[0], 0.0), hi=min(ends[1], 1.0))
