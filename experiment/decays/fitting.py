"""What a decay fit is asked, and the best answer of several starts; `midgap.experiment.decays.lifetimes` is the door to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from midgap.experiment.compiled import compiled
from midgap.experiment.decays.responses import Response, checked_histogram
from midgap.structures.errors import InputError

FEWEST_PHOTONS = 20


@dataclass(frozen=True)
class Problem:
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
class Solution:
    """Parameters in the order of `kernel.fit`, which of them were fitted, and 2I*."""

    theta: np.ndarray
    free: np.ndarray
    n_components: int
    deviance: float


def problem_of(
    counts: Any,
    bin_width_ns: float,
    period_ns: float | None,
    response: Response | None,
    background_per_bin: float | None,
    shift_ns: float | None,
    fit_range_ns: tuple[float, float] | None,
) -> tuple[Problem, list[str]]:
    """What is to be fitted, and what has to be said of it; arguments as of `fit_decay`."""
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
    problem = Problem(
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


def solve(problem: Problem, k: int, before: Solution | None) -> Solution:
    """The best of fits from several starts."""
    kernel = compiled("decays.kernel")
    free = np.ones(2 * k + 3, dtype=np.bool_)
    free[2 * k :] = problem.fit_shift, problem.fit_width, problem.background is None
    best: Solution | None = None
    for start in _starts(problem, k, before):
        theta = start.copy()
        value = kernel.fit(theta, free, k, *problem.window, 0, 0, 0.0, 0.0)
        if best is None or value < best.deviance:
            best = Solution(theta, free, k, value)
    assert best is not None
    order = np.argsort(best.theta[:k])
    theta = best.theta.copy()
    theta[:k], theta[k : 2 * k] = best.theta[:k][order], best.theta[k : 2 * k][order]
    return replace(best, theta=theta)


def _starts(problem: Problem, k: int, before: Solution | None) -> list[np.ndarray]:
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
        for guess in {max(abs(mean), 1.0), 0.02 * data.size, 0.1 * data.size, 0.3 * data.size}:
            shift = _first_shift(problem, guess, 1 - signal / total) if problem.fit_shift else problem.shift
            starts.append(np.array([math.log(guess), signal, shift, math.log(problem.sigma), background]))
        return starts
    tau, number, rest = before.theta[: k - 1], before.theta[k - 1 : 2 * k - 2], before.theta[2 * k - 2 :]
    starts = []
    splits = [(i, factors) for i in range(k - 1) for factors in ((0.15, 1.05), (0.4, 1.3), (0.8, 2.5))]
    for i, (short, long) in splits:
        taus = np.concatenate([np.delete(tau, i), tau[i] + np.log([short, long])])
        numbers = np.concatenate([np.delete(number, i), number[i] * np.array([0.4, 0.6])])
        starts.append(np.concatenate([taus, numbers, rest]))
    return starts


def _first_shift(problem: Problem, tau: float, background_part: float) -> float:
    """Whole number of bins at which data and model go together best: Σ_i d_i ln m_{i-s} is largest."""
    kernel = compiled("decays.kernel")
    model, one, other = (np.empty(problem.counts.size) for _ in range(3))
    kernel.exponential(problem.response, 0.0, problem.period, tau, model, one, other)
    log_model = np.log((1 - background_part) * model + max(background_part, 1e-4) / model.size)
    n = model.size
    data = np.zeros(n)
    data[problem.first : problem.last] = problem.counts[problem.first : problem.last]
    together = np.fft.irfft(np.fft.rfft(data) * np.conj(np.fft.rfft(log_model)), n)
    best = int(together.argmax())
    return float(best if best <= n // 2 else best - n)
