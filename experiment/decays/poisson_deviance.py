"""What Poisson statistics expect of the deviance of a histogram with few counts a bin."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln


def deviance_z(deviance: float, expected_counts: np.ndarray, n_fitted: int) -> float:
    """Distance of a deviance 2I* from its expectation, in standard deviations.

    With few counts a bin 2I* is not χ² distributed: a bin that expects 0.01 photons adds 0.09, not 1. Here mean
    and variance are summed over the bins' own Poisson distributions.

    Parameters
    ----------
    expected_counts
        Shape (n_bins,): the fitted model.
    n_fitted
        Number of fitted parameters, each of which takes one off.
    """
    grid, means, variances = _moments()
    log_counts = np.log(np.clip(expected_counts, np.exp(grid[0]), np.exp(grid[-1])))
    mean = np.interp(log_counts, grid, means).sum() - n_fitted
    variance = np.interp(log_counts, grid, variances).sum()
    return float((deviance - mean) / np.sqrt(variance))


def moments_of_deviance(expected: float) -> tuple[float, float]:
    """Mean and variance of 2(m - d + d ln(d/m)) for d ~ Poisson(m)."""
    spread = int(12 * np.sqrt(expected)) + 40
    d = np.arange(max(0, int(expected) - spread), int(expected) + spread, dtype=float)
    probability = np.exp(d * np.log(expected) - expected - gammaln(d + 1))
    term = 2 * (expected - d + np.where(d > 0, d * np.log(np.maximum(d, 1) / expected), 0.0))
    mean = float(probability @ term)
    return mean, float(probability @ term**2) - mean**2


@lru_cache(maxsize=1)
def _moments() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    grid = np.linspace(np.log(1e-9), np.log(1e4), 500)
    table = np.array([moments_of_deviance(m) for m in np.exp(grid)])
    return grid, table[:, 0], table[:, 1]
