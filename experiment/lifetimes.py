"""Lifetimes from photon-counting decay histograms, by maximum likelihood.

The model is m_i = b + N Σ_k f_k (response ⊗ e^{-t/τ_k}/τ_k)_i, periodic over the laser's period. What is
minimised is the Poisson deviance 2I* = 2 Σ (m_i - d_i + d_i ln(d_i/m_i)): S. Baker and R. D. Cousins, Nucl.
Instrum. Methods 221, 437 (1984); M. Maus et al., Anal. Chem. 73, 2078 (2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import PositiveFloat

from midgap.experiment.compiled import compiled
from midgap.experiment.poisson_deviance import deviance_z
from midgap.experiment.records import Quantity
from midgap.experiment.responses import Response, checked_histogram
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

__all__ = ["DecayFit", "fit_decay"]

FEWEST_PHOTONS = 20


class DecayFit(Document):
    """A fitted decay. Lifetimes ascend; every interval has the confidence level ``ci_level``.

    Attributes
    ----------
    tau_ns
        One a component.
    intensity_fraction
        f_k, the fraction of the photons; ``amplitude_fraction`` that of the signal at t = 0, ∝ f_k/τ_k.
    tau_intensity_ns, tau_amplitude_ns
        Averages Σ f_k τ_k (mean delay of a photon) and Σ a_k τ_k (∝ quantum yield).
    background_per_bin
        b.
    shift_ns
        By how much the response was moved to later times.
    n_photons
        In the fitted bins, background included.
    deviance, deviance_z
        2I*, and how far it is from what Poisson statistics expect of this model, in standard deviations.
    bic
        2I* + p ln(photons), by number of components tried.
    first_bin, counts, fitted_counts
        What was fitted, shape (n_fitted,), from bin ``first_bin`` of the histogram on.
    """

    tau_ns: tuple[Quantity, ...]
    intensity_fraction: tuple[Quantity, ...]
    amplitude_fraction: tuple[Quantity, ...]
    tau_intensity_ns: Quantity
    tau_amplitude_ns: Quantity
    background_per_bin: float
    shift_ns: float
    response: str
    response_fwhm_ns: float | None
    n_photons: int
    deviance: float
    deviance_z: float
    dof: int
    bic: dict[int, float]
    ci_level: float
    bin_width_ns: PositiveFloat
    first_bin: int
    counts: FloatArray
    fitted_counts: FloatArray
    warnings: tuple[str, ...] = ()

    def record_fields(self) -> dict[str, Any]:
        """The fields of a `ParticleRecord` that this fit settles; the average is intensity-weighted."""
        n = len(self.tau_ns)
        return {
            "lifetime_model": "one exponential" if n == 1 else f"{n} exponentials, average intensity-weighted",
            "tau_i_ns": self.tau_ns,
            "frac_i": self.intensity_fraction,
            "frac_basis": "intensity",
            "tau_av_ns": self.tau_intensity_ns,
            "stat_2Istar": self.deviance,
            "irf": self.response,
            "irf_fwhm_ns": None if self.response_fwhm_ns is None else Quantity(value=self.response_fwhm_ns),
        }


@dataclass(frozen=True)
class _Problem:
    """What the compiled fit is asked; times in bins."""

    counts: np.ndarray
    response: np.ndarray
    centre: float
    period: float
    first: int
    last: int
    shift: float
    fit_shift: bool
    fit_width: bool
    sigma: float
    background: float | None

    @property
    def window(self) -> tuple[Any, ...]:
        return self.counts, self.response, self.centre, self.period, self.first, self.last


@dataclass(frozen=True)
class _Solution:
    theta: np.ndarray
    free: np.ndarray
    n_components: int
    deviance: float


def fit_decay(
    counts: Any,
    bin_width_ns: float,
    *,
    period_ns: float | None = None,
    response: Response | None = None,
    n_components: int | None = None,
    max_components: int = 3,
    background_per_bin: float | None = None,
    shift_ns: float | None = None,
    fit_range_ns: tuple[float, float] | None = None,
    ci_level: float = 0.95,
) -> DecayFit:
    """Fit a decay histogram with 1 to 3 exponentials.

    Parameters
    ----------
    counts
        Shape (n_bins,): photons a bin; bin 0 begins at t = 0.
    period_ns
        Between laser pulses; None if nothing is left of one pulse when the next comes.
    response
        None: the tail alone is fitted, from shortly after its maximum.
    n_components
        None: chosen by BIC among 1 to ``max_components``.
    background_per_bin, shift_ns
        Held where given, fitted where None.
    fit_range_ns
        Only bins inside are fitted; None: all that the electronics can have filled.
    ci_level
        Of the intervals, by profile likelihood: where the least 2I* rises by the quantile of χ² with one
        degree of freedom (W. A. Rolke et al., Nucl. Instrum. Methods A 551, 493 (2005)).

    Raises
    ------
    InputError
        The histogram, its period, its range or the response's bins do not fit together; too few photons.
    """
    if n_components is not None and not 1 <= n_components <= 3:
        raise InputError(f"A decay is fitted with 1 to 3 exponentials, not {n_components}.")
    if not 0 < ci_level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, {ci_level} does not.")
    problem, notes = _problem(counts, bin_width_ns, period_ns, response, background_per_bin, shift_ns, fit_range_ns)
    n_photons = int(problem.counts[problem.first : problem.last].sum())
    tried: dict[int, _Solution] = {}
    bic: dict[int, float] = {}
    wanted = n_components or max(1, min(max_components, 3))
    for k in range(1, wanted + 1):
        tried[k] = _solve(problem, k, tried.get(k - 1))
        bic[k] = tried[k].deviance + tried[k].free.sum() * math.log(n_photons)
        if n_components is None and k > 1 and bic[k] > bic[k - 1]:
            break
    best = tried[n_components or min(bic, key=bic.__getitem__)]
    return _report(problem, best, bic, bin_width_ns, response, ci_level, n_photons, notes)


def _problem(
    counts: Any,
    bin_width_ns: float,
    period_ns: float | None,
    response: Response | None,
    background_per_bin: float | None,
    shift_ns: float | None,
    fit_range_ns: tuple[float, float] | None,
) -> tuple[_Problem, list[str]]:
    histogram = checked_histogram(counts, "the decay")
    if not bin_width_ns > 0:
        raise InputError(f"The bin width must be positive, not {bin_width_ns} ns.")
    period = math.inf if period_ns is None else period_ns / bin_width_ns
    if not period > 2:
        raise InputError(f"A period of {period_ns} ns holds no decay in bins of {bin_width_ns} ns.")
    notes: list[str] = []
    first, last = _range(histogram, bin_width_ns, period, fit_range_ns, notes)
    if response is not None and abs(response.bin_width_ns / bin_width_ns - 1) > 1e-6:
        raise InputError(
            f"The response has bins of {response.bin_width_ns:g} ns and the decay of {bin_width_ns:g} ns; bring both "
            "to the same bins, or measure the response again with the decay's settings."
        )
    if response is None:
        top = int(histogram.argmax())
        smooth = np.convolve(histogram, np.ones(5) / 5, "same")
        below = np.nonzero(smooth[top:last] < 0.8 * smooth[top])[0]
        if fit_range_ns is None:
            first = max(first, top + (int(below[0]) if below.size else 1))
            notes.append(
                f"no response function was given: only the tail after {first * bin_width_ns:.3g} ns was fitted; "
                "lifetimes not much longer than the response, and fractions, cannot be trusted"
            )
        pulse = np.zeros(histogram.size)
        pulse[top] = 1.0
    else:
        pulse = np.zeros(max(histogram.size, response.counts.size))
        pulse[: response.counts.size] = response.counts
    if histogram[first:last].sum() < FEWEST_PHOTONS:
        raise InputError(
            f"The decay has {int(histogram[first:last].sum())} photons in the fitted range; a lifetime needs at least "
            f"{FEWEST_PHOTONS}."
        )
    gaussian = response is not None and response.kind == "gaussian"
    problem = _Problem(
        counts=histogram,
        response=pulse,
        centre=float(np.arange(pulse.size) @ pulse + 0.5) if gaussian else -1.0,
        period=period,
        first=first,
        last=last,
        shift=0.0 if shift_ns is None else shift_ns / bin_width_ns,
        fit_shift=response is not None and shift_ns is None,
        fit_width=response is not None and response.fit_width,
        sigma=1.0 if response is None else response.fwhm_ns / bin_width_ns / math.sqrt(8 * math.log(2)),
        background=background_per_bin,
    )
    return problem, notes


def _range(
    histogram: np.ndarray,
    bin_width_ns: float,
    period: float,
    fit_range_ns: tuple[float, float] | None,
    notes: list[str],
) -> tuple[int, int]:
    """First and one past the last bin to fit."""
    # A bin that the next pulse cuts short expects fewer counts than the model's full bin.
    last = min(histogram.size, math.floor(period + 0.01) if math.isfinite(period) else histogram.size)
    beyond = histogram[math.ceil(period) :].sum() if math.isfinite(period) else 0.0
    if beyond > 1e-3 * histogram.sum():
        raise InputError(
            f"{beyond / histogram.sum():.1%} of the counts lie after the laser's period of "
            f"{period * bin_width_ns:g} ns; the period or the bin width is wrong."
        )
    if fit_range_ns is not None:
        low, high = (round(edge / bin_width_ns) for edge in fit_range_ns)
        low, high = max(low, 0), min(high, last)
        if high - low < 8:
            raise InputError(
                f"The range {fit_range_ns[0]:g} to {fit_range_ns[1]:g} ns holds fewer than 8 bins of the histogram, "
                f"which ends at {last * bin_width_ns:g} ns."
            )
        return low, high
    used = np.nonzero(histogram[:last])[0]
    if used.size == 0:
        raise InputError("The decay holds no photons.")
    inside = histogram[used[0] : used[-1] + 1]
    length = max(1, inside.size // 10)
    quiet = float(np.convolve(inside, np.ones(length), "valid").min()) / length
    first = 0
    # Silence longer than chance allows is where the electronics takes no photons.
    if quiet * used[0] > 20:
        first = int(used[0]) + 1
    if quiet * (last - 1 - used[-1]) > 20:
        last = int(used[-1])
    if (first, last) != (0, histogram.size) and first > 0:
        notes.append(f"nothing was counted before {first * bin_width_ns:.3g} ns, which was left out")
    return first, last


def _solve(problem: _Problem, k: int, before: _Solution | None) -> _Solution:
    """The best of fits from several starts."""
    kernel = compiled("decay_kernel")
    free = np.ones(2 * k + 3, dtype=np.bool_)
    free[2 * k :] = problem.fit_shift, problem.fit_width, problem.background is None
    best: _Solution | None = None
    for start in _starts(problem, k, before):
        theta = start.copy()
        value = kernel.fit(theta, free, k, *problem.window, 0, 0, 0.0, 0.0)
        if best is None or value < best.deviance:
            best = _Solution(theta, free, k, value)
    assert best is not None
    order = np.argsort(best.theta[:k])
    theta = best.theta.copy()
    theta[:k], theta[k : 2 * k] = best.theta[:k][order], best.theta[k : 2 * k][order]
    return replace(best, theta=theta)


def _starts(problem: _Problem, k: int, before: _Solution | None) -> list[np.ndarray]:
    data = problem.counts[problem.first : problem.last]
    total = float(data.sum())
    length = max(1, data.size // 10)
    quiet = float(np.convolve(data, np.ones(length), "valid").min()) / length
    background = quiet if problem.background is None else problem.background
    if before is None:
        starts = []
        signal = max(total - background * data.size, 0.1 * total)
        centre = float(np.arange(problem.response.size) @ problem.response)
        mean = float(np.arange(problem.first, problem.last) @ (data - background)) / signal - centre
        for tau in {max(abs(mean), 1.0), 0.02 * data.size, 0.1 * data.size, 0.3 * data.size}:
            shift = _first_shift(problem, tau, 1 - signal / total) if problem.fit_shift else problem.shift
            starts.append(np.array([math.log(tau), signal, shift, math.log(problem.sigma), background]))
        return starts
    tau, number, rest = before.theta[: k - 1], before.theta[k - 1 : 2 * k - 2], before.theta[2 * k - 2 :]
    starts = []
    splits = [(i, factors) for i in range(k - 1) for factors in ((0.15, 1.05), (0.4, 1.3), (0.8, 2.5))]
    for i, (short, long) in splits:
        taus = np.concatenate([np.delete(tau, i), tau[i] + np.log([short, long])])
        numbers = np.concatenate([np.delete(number, i), number[i] * np.array([0.4, 0.6])])
        starts.append(np.concatenate([taus, numbers, rest]))
    return starts


def _first_shift(problem: _Problem, tau: float, background_part: float) -> float:
    """Whole number of bins at which data and model go together best: Σ_i d_i ln m_{i-s} is largest."""
    kernel = compiled("decay_kernel")
    model, one, other = (np.empty(problem.counts.size) for _ in range(3))
    kernel.exponential(problem.response, 0.0, problem.period, tau, model, one, other)
    log_model = np.log((1 - background_part) * model + max(background_part, 1e-4) / model.size)
    n = model.size
    data = np.zeros(n)
    data[problem.first : problem.last] = problem.counts[problem.first : problem.last]
    together = np.fft.irfft(np.fft.rfft(data) * np.conj(np.fft.rfft(log_model)), n)
    best = int(together.argmax())
    return float(best if best <= n // 2 else best - n)


def _report(
    problem: _Problem,
    solution: _Solution,
    bic: dict[int, float],
    bin_width_ns: float,
    response: Response | None,
    ci_level: float,
    n_photons: int,
    notes: list[str],
) -> DecayFit:
    from scipy.stats import chi2

    kernel = compiled("decay_kernel")
    k, theta = solution.n_components, solution.theta
    rise = float(chi2.ppf(ci_level, 1))

    def quantity(kind: int, component: int = 0) -> Quantity:
        value = kernel.derived(theta, k, kind, component, np.empty(theta.size))
        lo, hi = (
            None if math.isnan(end) else float(end)
            for end in kernel.profile(
                theta, solution.free, k, *problem.window, kind, component, solution.deviance, rise
            )
        )
        if kind in (kernel.FRACTION, kernel.AMPLITUDE_FRACTION):
            return Quantity(value=value, lo=0.0 if lo is None else max(lo, 0.0), hi=1.0 if hi is None else min(hi, 1.0))
        scale = [None if x is None else bin_width_ns * math.exp(x) for x in (value, lo, hi)]
        return Quantity(value=scale[0], lo=scale[1], hi=scale[2])

    one = Quantity(value=1.0, lo=1.0, hi=1.0)
    tau = tuple(quantity(kernel.LOG_TAU, c) for c in range(k))
    fraction = tuple(quantity(kernel.FRACTION, c) for c in range(k)) if k > 1 else (one,)
    amplitude = tuple(quantity(kernel.AMPLITUDE_FRACTION, c) for c in range(k)) if k > 1 else (one,)
    model = np.empty(problem.counts.size)
    kernel.model_of(
        theta, k, problem.response, problem.centre, problem.period, model, np.empty((theta.size, model.size))
    )
    counts, fitted = problem.counts[problem.first : problem.last], model[problem.first : problem.last]
    n_free = int(solution.free.sum())
    z = deviance_z(solution.deviance, fitted, n_free)
    fwhm = None if response is None else math.exp(theta[2 * k + 1]) * math.sqrt(8 * math.log(2)) * bin_width_ns
    if response is not None and response.kind == "measured":
        fwhm = response.fwhm_ns
    if z > 5:
        notes = [
            *notes,
            f"the model misses the data by {z:.0f} standard deviations of 2I*; intervals are statistical only",
        ]
    period_ns = problem.period * bin_width_ns
    for value in (q.value or 0.0 for q in tau):
        if value < max(bin_width_ns, 0.1 * (fwhm or 0.0)):
            notes = [*notes, f"{value:.3g} ns is shorter than the instrument can tell"]
        if value > min(period_ns, (problem.last - problem.first) * bin_width_ns):
            notes = [*notes, f"{value:.3g} ns is longer than what was observed of the decay"]
    return DecayFit(
        tau_ns=tau,
        intensity_fraction=fraction,
        amplitude_fraction=amplitude,
        tau_intensity_ns=tau[0] if k == 1 else quantity(kernel.LOG_TAU_INTENSITY),
        tau_amplitude_ns=tau[0] if k == 1 else quantity(kernel.LOG_TAU_AMPLITUDE),
        background_per_bin=float(theta[2 * k + 2]),
        shift_ns=float(theta[2 * k]) * bin_width_ns,
        response="none: tail alone" if response is None else response.name or response.kind,
        response_fwhm_ns=fwhm,
        n_photons=n_photons,
        deviance=solution.deviance,
        deviance_z=z,
        dof=counts.size - n_free,
        bic=bic,
        ci_level=ci_level,
        bin_width_ns=bin_width_ns,
        first_bin=problem.first,
        counts=counts,
        fitted_counts=fitted,
        warnings=tuple(notes),
    )
