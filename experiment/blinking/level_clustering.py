"""Which levels a trajectory has: agglomeration of segments, expectation-maximisation, the most likely path, then BIC.

L. P. Watkins and H. Yang, J. Phys. Chem. B 109, 617 (2005), doi 10.1021/jp0467548. A segment of n photons in time T
at rate λ has the likelihood λ^n e^{-λT}. Segments between change points are where levels begin to be sought. They do not
decide how many there are: where a short stay was missed, a segment holds photons of two levels and looks like a third. So
for each number of levels the photons are followed anew, and the likelihoods of these paths are compared.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PATIENCE = 3
MOST_ROUNDS = 10


@dataclass(frozen=True)
class Clustering:
    """Levels in ascending order of rate.

    Attributes
    ----------
    rate_cps
        Shape (n_levels,).
    level
        Shape (n_segments,).
    bic
        2 ln L - (2G-1) ln d - d ln N for G levels, d transitions between them and N photons; larger is better.
    """

    rate_cps: Floats
    level: Ints
    bic: float


def cluster(photons: Ints, duration_s: Floats, max_levels: int, n_levels: int | None = None) -> dict[int, Clustering]:
    """The best clustering of segments for each number of levels, from 1 on.

    Ends at ``max_levels``, or when `PATIENCE` levels more have not raised the criterion; with ``n_levels`` that number
    alone.

    Parameters
    ----------
    photons, duration_s
        Shape (n_segments,).
    """
    merged = _agglomerate(photons, duration_s, n_levels or max_levels)
    if n_levels is not None:
        return {n_levels: _refine(photons, duration_s, merged[n_levels])}
    found: dict[int, Clustering] = {}
    for n, start in sorted(merged.items()):
        found[n] = _refine(photons, duration_s, start)
        best = max(found, key=lambda m: found[m].bic)
        if n - best >= PATIENCE:
            break
    return found


@dataclass(frozen=True)
class Path:
    """The levels of photons one by one, each of the interval before it.

    Attributes
    ----------
    rate_cps
        Ascending, shape (n_levels,).
    level
        Shape (n_photons,), int8.
    bic
        2 ln L - (G + 1) ln N, for G rates and one probability of a change; L is of the photons and the path together.
    """

    rate_cps: Floats
    level: NDArray[np.int8]
    bic: float


def follow(time_s: Floats, duration_s: float, rates: Floats, n_changes: int) -> Path:
    """The most likely path through levels of about these rates, which it settles; some may end unused."""
    kernel = compiled("blinking.level_kernel")
    n = len(time_s)
    rates = np.unique(np.maximum(rates, 0.1 / duration_s))
    level, value = np.zeros(n, np.int8), -math.inf
    switch = min((n_changes + 0.5) / n, 0.5)
    for _ in range(MOST_ROUNDS):
        path = np.empty(n, np.int8)
        new, photons, seconds = kernel.best_path(time_s, duration_s - time_s[-1], rates, switch, path)
        if new - value < 1e-3:
            break
        level, value = path, new
        used = seconds > 0
        rates = np.maximum(photons[used], 0.1) / seconds[used]
        order = np.argsort(rates)
        rates = rates[order]
        names = np.zeros(len(used), np.int8)
        names[np.flatnonzero(used)[order]] = np.arange(len(rates))
        level = names[level]
        switch = min((kernel.count_changes(level) + 0.5) / n, 0.5)
    return Path(rates, level, 2 * value - (len(rates) + 1) * math.log(n))


def _agglomerate(photons: Ints, duration_s: Floats, max_levels: int) -> dict[int, Floats]:
    """Rates of the groups that are left when those that lose least likelihood have been merged.

    Along an axis of rates the cheapest merger is one of neighbours, so a chain of them is enough.
    """
    order = np.argsort(photons / duration_s, kind="stable")
    n = [float(x) for x in photons[order]]
    t = [float(x) for x in duration_s[order]]
    size = len(n)
    following, preceding = list(range(1, size + 1)), list(range(-1, size - 1))
    version = [0] * size

    def term(count: float, time: float) -> float:
        return count * math.log(count / time) if count > 0 else 0.0

    def loss(i: int, j: int) -> float:
        return term(n[i], t[i]) + term(n[j], t[j]) - term(n[i] + n[j], t[i] + t[j])

    heap = [(loss(i, i + 1), i, i + 1, 0, 0) for i in range(size - 1)]
    heapq.heapify(heap)
    alive, left = [True] * size, size
    found: dict[int, Floats] = {}

    def keep() -> None:
        if left <= max_levels:
            found[left] = np.array([n[i] / t[i] for i in range(size) if alive[i]])

    keep()
    while left > 1:
        _, i, j, version_i, version_j = heapq.heappop(heap)
        if not (alive[i] and alive[j] and version[i] == version_i and version[j] == version_j):
            continue
        n[i], t[i] = n[i] + n[j], t[i] + t[j]
        alive[j] = False
        version[i] += 1
        following[i] = following[j]
        if following[i] < size:
            preceding[following[i]] = i
            k = following[i]
            heapq.heappush(heap, (loss(i, k), i, k, version[i], version[k]))
        if preceding[i] >= 0:
            k = preceding[i]
            heapq.heappush(heap, (loss(k, i), k, i, version[k], version[i]))
        left -= 1
        keep()
    return found


def _refine(photons: Ints, duration_s: Floats, rates: Floats, rounds: int = 100) -> Clustering:
    """Expectation-maximisation of rates and weights of a mixture, from ``rates``."""
    rates = np.maximum(rates, 0.1 / duration_s.sum())
    weight = np.full(rates.size, 1.0 / rates.size)
    value = -math.inf
    for _ in range(rounds):
        log_p = np.log(weight) + photons[:, None] * np.log(rates) - duration_s[:, None] * rates
        top = log_p.max(axis=1, keepdims=True)
        p = np.exp(log_p - top)
        total = p.sum(axis=1, keepdims=True)
        before, value = value, float((np.log(total) + top).sum())
        p /= total
        if value - before < 1e-9 * abs(value) or rates.size == 1:
            break
        weight = np.maximum(p.mean(axis=0), 1e-12)
        rates = np.maximum(p.T @ photons, 0.1) / np.maximum(p.T @ duration_s, 1e-12 * duration_s.sum())
    order = np.argsort(rates)
    rates, level = rates[order], np.argsort(order)[log_p.argmax(axis=1)]
    n, t = (np.bincount(level, weights=x, minlength=rates.size) for x in (photons, duration_s))
    rates = np.where(t > 0, np.maximum(n, 0.1) / np.maximum(t, 1e-300), rates)
    transitions = int(np.count_nonzero(np.diff(level)))
    price = (2 * rates.size - 1) * math.log(max(transitions, 1)) + transitions * math.log(max(photons.sum(), 2))
    return Clustering(rates, level, 2 * value - price)
