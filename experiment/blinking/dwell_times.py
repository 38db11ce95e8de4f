"""How long a blinking emitter stays in a state: power laws by maximum likelihood.

A. Clauset, C. R. Shalizi and M. E. J. Newman, SIAM Rev. 51, 661 (2009), doi 10.1137/070710111. Times that the trace
cuts short are lower bounds: they enter with the probability to last longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, PositiveFloat

from midgap.experiment.blinking.levels import IntensityLevels, Label
from midgap.experiment.records import Quantity
from midgap.structures.document import Document, FloatArray, IntArray
from midgap.structures.errors import InputError

FEWEST_DWELLS = 10
Floats = NDArray[np.float64]


class DwellTimes(Document):
    """Times spent without interruption in levels of some labels.

    Attributes
    ----------
    duration_s
        Shape (n_dwells,).
    censored
        Shape (n_dwells,): 1 for a time that the begin or the end of the trace cuts short, else 0.
    """

    duration_s: FloatArray
    censored: IntArray


class DwellLaw(Document):
    """p(t) ∝ t^-α e^{-t/t_c} for t ≥ ``t_min_s``; without ``cutoff_s`` a plain power law.

    Attributes
    ----------
    n_dwells, n_censored
        From ``t_min_s`` on.
    log_likelihood
        Comparable between laws with the same ``t_min_s``.
    """

    alpha: Quantity
    cutoff_s: Quantity | None = None
    t_min_s: PositiveFloat
    n_dwells: int
    n_censored: int
    log_likelihood: FiniteFloat
    ci_level: float


def dwell_times(levels: IntensityLevels, labels: Sequence[Label] = ("ON",)) -> DwellTimes:
    """Dwell times in the levels with these labels; the first and the last of the trace are censored."""
    inside = np.array([levels.label[i] in labels for i in levels.level], dtype=bool)
    edges = np.diff(np.concatenate([[0], inside.astype(int), [0]]))
    begins, ends = np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0]
    return DwellTimes(
        duration_s=levels.end_time_s[ends - 1] - levels.start_time_s[begins] if begins.size else [],
        censored=(begins == 0) | (ends == inside.size),
    )


def fit_power_law(dwells: DwellTimes, t_min_s: float | None = None, ci_level: float = 0.95) -> DwellLaw:
    """Power law: α = 1 + n/Σ ln(t/t_min), the sum over all times and n the number of those that are not censored.

    Parameters
    ----------
    t_min_s
        None: where the law begins to hold, by the smallest Kolmogorov-Smirnov distance that leaves at least half of
        the times.

    Notes
    -----
    (α-1) Σ ln(t/t_min) is Gamma(n) distributed, which gives the interval; with censored times its upper end takes n+1,
    which errs on the side of width.

    Raises
    ------
    InputError
        Fewer than 10 complete times.
    """
    from scipy.stats import chi2

    t, censored, t_min = _from(dwells, t_min_s)
    n, total = int((~censored).sum()), float(np.log(t / t_min).sum())
    rate = n / total
    tail = 0.5 * (1 - ci_level)
    lo = 0.5 * float(chi2.ppf(tail, 2 * n)) / total
    hi = 0.5 * float(chi2.ppf(1 - tail, 2 * (n + bool(censored.any())))) / total
    return DwellLaw(
        alpha=Quantity(value=1 + rate, lo=1 + lo, hi=1 + hi),
        t_min_s=t_min,
        n_dwells=t.size,
        n_censored=int(censored.sum()),
        log_likelihood=n * math.log(rate / t_min)
        - (1 + rate) * float(np.log(t[~censored] / t_min).sum())
        - rate * float(np.log(t[censored] / t_min).sum()),
        ci_level=ci_level,
    )


def fit_truncated_power_law(dwells: DwellTimes, t_min_s: float | None = None, ci_level: float = 0.95) -> DwellLaw:
    """Power law with an exponential cut-off; intervals by profile likelihood.

    α may be anything from -2 to 6. The upper end of the interval of the cut-off is None where the data do not tell it
    from none.

    Raises
    ------
    InputError
        Fewer than 10 complete times.
    """
    from scipy.optimize import minimize, minimize_scalar
    from scipy.stats import chi2

    t, censored, t_min = _from(dwells, t_min_s)
    x, cut = t[~censored] / t_min, t[censored] / t_min
    n, log_sum, linear_sum = x.size, float(np.log(x).sum()), float(x.sum())

    def loss(alpha: float, log_cutoff: float) -> float:
        rate = math.exp(-log_cutoff)
        whole = _log_integral(alpha, rate, 1.0)
        beyond = sum(_log_integral(alpha, rate, float(y)) for y in cut)
        return alpha * log_sum + rate * linear_sum + n * whole - (beyond - cut.size * whole)

    box = ((-2.0, 6.0), (-1.0, math.log(max(x.max(), 2.0)) + 7.0))
    starts = [(a, c) for a in (0.5, 1.5) for c in (math.log(x.mean()) + 0.5, math.log(x.max()) + 1)]
    best = min((minimize(lambda p: loss(*p), s, bounds=box, method="L-BFGS-B") for s in starts), key=lambda r: r.fun)
    alpha, log_cutoff = map(float, best.x)
    rise = 0.5 * float(chi2.ppf(ci_level, 1))

    def profile_alpha(a: float) -> float:
        return float(minimize_scalar(lambda c: loss(a, c), bounds=box[1], method="bounded").fun) - best.fun - rise

    def profile_cutoff(c: float) -> float:
        return float(minimize_scalar(lambda a: loss(a, c), bounds=box[0], method="bounded").fun) - best.fun - rise

    alpha_ends = [_end(profile_alpha, alpha, edge) for edge in box[0]]
    cutoff_ends = [_end(profile_cutoff, log_cutoff, edge) for edge in box[1]]
    return DwellLaw(
        alpha=Quantity(value=alpha, lo=alpha_ends[0], hi=alpha_ends[1]),
        cutoff_s=Quantity(
            value=t_min * math.exp(log_cutoff),
            lo=None if cutoff_ends[0] is None else t_min * math.exp(cutoff_ends[0]),
            hi=None if cutoff_ends[1] is None else t_min * math.exp(cutoff_ends[1]),
        ),
        t_min_s=t_min,
        n_dwells=t.size,
        n_censored=int(censored.sum()),
        log_likelihood=-float(best.fun) - n * math.log(t_min),
        ci_level=ci_level,
    )


def _log_integral(alpha: float, rate: float, begin: float) -> float:
    """Logarithm of ∫ t^-α e^{-rate t} dt from ``begin`` on, over a grid of ln t."""
    u = np.linspace(math.log(begin), math.log(max(40.0 / rate, 3 * begin) + begin), 400)
    exponent = (1 - alpha) * u - rate * np.exp(u)
    top = exponent.max()
    return float(top + math.log(np.trapezoid(np.exp(exponent - top), u)))


def _end(profile: Callable[[float], float], best: float, edge: float) -> float | None:
    """Where the profile crosses zero between the best value and the edge of what is allowed."""
    from scipy.optimize import brentq

    if abs(edge - best) < 1e-6 or profile(edge) <= 0:
        return None
    return float(brentq(profile, best, edge, xtol=1e-4))


def _from(dwells: DwellTimes, t_min_s: float | None) -> tuple[Floats, NDArray[np.bool_], float]:
    """Times from t_min on, which of them are censored, and t_min."""
    t, censored = dwells.duration_s, dwells.censored.astype(bool)
    if t_min_s is not None and not t_min_s > 0:
        raise InputError(f"The shortest dwell time must be positive, not {t_min_s} s.")
    complete = np.sort(t[~censored])
    if complete.size < FEWEST_DWELLS:
        raise InputError(f"{complete.size} complete dwell times tell no law; at least {FEWEST_DWELLS} are needed.")
    t_min = _begin(complete) if t_min_s is None else t_min_s
    kept = t >= t_min
    if (kept & ~censored).sum() < FEWEST_DWELLS:
        raise InputError(
            f"{(kept & ~censored).sum()} complete dwell times are longer than {t_min} s; at least {FEWEST_DWELLS} are needed."
        )
    if not (t[kept & ~censored] > t_min).any():
        raise InputError(f"All dwell times are {t_min} s long: that is no distribution.")
    return t[kept], censored[kept], t_min


def _begin(complete: Floats) -> float:
    """The t_min whose power law is closest to the times above it, among the shorter half of them."""
    half = complete[: max(1, complete.size // 2)]
    candidates = np.unique(half[np.linspace(0, half.size - 1, 100).astype(int)])
    distances = []
    for t_min in candidates:
        x = complete[complete >= t_min] / t_min
        logs = np.log(x)
        if not logs.sum() > 0:
            distances.append(1.0)
            continue
        law = 1 - np.exp(-logs * x.size / logs.sum())
        steps = np.arange(x.size + 1) / x.size
        distances.append(float(max(np.abs(law - steps[1:]).max(), np.abs(law - steps[:-1]).max())))
    return float(candidates[int(np.argmin(distances))])
