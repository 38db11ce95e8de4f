"""Compiled: the most likely sequence of levels, photon by photon."""

# The compiler takes types from its arguments, not from annotations.
# mypy: disable-error-code="no-untyped-def"

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def best_path(time, rest, rates, switch, path):
    """Levels of the intervals before each photon, into ``path``; log of its joint likelihood, photons and time by level.

    An emitter changes at a photon with probability ``switch``, to any other level alike (A. J. Viterbi, IEEE Trans. Inf.
    Theory 13, 260 (1967)); ``rest`` is the time after the last photon.
    """
    n, n_levels = len(time), len(rates)
    log_rates = np.log(rates)
    to_other = math.log(switch / max(n_levels - 1, 1))
    stay = math.log1p(-switch)
    score = np.full(n_levels, -math.log(n_levels))
    # Who changes comes from the best level of all, so one level and one bit for each of them are the whole way back.
    origin, changed = np.zeros(n, np.int8), np.zeros(n, np.uint16)
    last = 0.0
    for i in range(n):
        interval = time[i] - last
        last = time[i]
        best = 0
        for k in range(1, n_levels):
            if score[k] > score[best]:
                best = k
        top = score[best] + to_other
        bits = 0
        for k in range(n_levels):
            here = score[k] + stay
            if here < top and k != best:
                here = top
                bits |= 1 << k
            score[k] = here + log_rates[k] - rates[k] * interval
        if i > 0:
            origin[i], changed[i] = best, bits
    for k in range(n_levels):
        score[k] -= rates[k] * rest
    level = int(np.argmax(score))
    value = score[level]
    photons, seconds = np.zeros(n_levels, np.int64), np.zeros(n_levels)
    seconds[level] += rest
    for j in range(n):
        i = n - 1 - j
        path[i] = level
        photons[level] += 1
        seconds[level] += time[i] - (time[i - 1] if i > 0 else 0.0)
        if (changed[i] >> level) & 1:
            level = origin[i]
    return value, photons, seconds


@njit(cache=True, nogil=True)
def count_changes(path):
    """How often neighbours differ."""
    n = 0
    for i in range(1, len(path)):
        n += path[i] != path[i - 1]
    return n
