"""Exact intervals for ratios of counts, and how intervals combine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2

Interval = tuple[float, float]
FEWEST_EXPECTED = 5.0
"""Counts are put together until so many are expected, where their distribution is that of χ²."""


def poisson_interval(count: float, ci_level: float) -> Interval:
    """Exact interval of a Poisson mean: F. Garwood, Biometrika 28, 437 (1936)."""
    tail = 0.5 * (1 - ci_level)
    low = 0.0 if count <= 0 else 0.5 * float(chi2.ppf(tail, 2 * count))
    return low, 0.5 * float(chi2.isf(tail, 2 * count + 2))


def ratio_interval(count: int, reference: int, n_reference: float, ci_level: float) -> Interval:
    """Interval of g = λ/λ', for ``count`` ~ Poisson(λ) and ``reference`` ~ Poisson(n_reference λ').

    Given their sum, ``count`` is binomial with p = g/(g + n_reference): the Clopper-Pearson interval of p
    maps to one of g (J. Przyborowski and H. Wilenski, Biometrika 31, 313 (1940)). It holds at least its
    nominal level at any number of counts. The upper end is infinite without reference counts.
    """
    tail = 0.5 * (1 - ci_level)
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, reference + 1))
    high = 1.0 if reference == 0 else float(beta.isf(tail, count + 1, reference))
    return n_reference * low / (1 - low), n_reference * high / (1 - high) if high < 1 else math.inf


def combine(
    function: Callable[..., float], values: tuple[float, ...], intervals: tuple[Interval, ...]
) -> tuple[float, Interval]:
    """A function of independent estimates: its value, and an interval that keeps each one's asymmetry.

    Each estimate in turn is moved to its ends; the excursions below and above add in quadrature
    (the method of variance estimates recovery: G. Zou and A. Donner, Stat. Med. 27, 1693 (2008)).
    """
    best = function(*values)
    below = above = 0.0
    for i, ends in enumerate(intervals):
        moved = [function(*values[:i], end, *values[i + 1 :]) for end in ends]
        below += max(0.0, best - min(moved)) ** 2
        above += max(0.0, max(moved) - best) ** 2
    return best, (best - math.sqrt(below), best + math.sqrt(above))


def pooled_chance(seen: NDArray[np.float64], expected: NDArray[np.float64], n_fitted: int) -> float | None:
    """Probability that Poisson counts of neighbouring bins differ from a model as much as these or more.

    Neighbours are put together until `FEWEST_EXPECTED` counts are expected; ``n_fitted`` parameters of the model came from
    the counts. None where too few are left to tell.
    """
    groups = _groups(expected, FEWEST_EXPECTED)
    freedom = int(groups[-1]) + 1 - n_fitted
    if freedom < 1:
        return None
    counts, model = (np.bincount(groups, weights=x) for x in (seen, expected))
    ratio = np.where(counts > 0, counts / model, 1.0)
    deviance = 2 * float(np.sum(model - counts + counts * np.log(ratio)))
    return float(chi2.sf(deviance, freedom))


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
