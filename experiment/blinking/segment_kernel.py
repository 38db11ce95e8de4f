"""The compiled part of many small single-exponential fits: they share a table of decays, one row a lifetime.

Imported only where numba is installed; see `midgap.experiment.compiled`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from midgap.experiment.decays.kernel import exponential


@njit(cache=True)
def decay_table(response, shift, period, log_tau, n):
    """Decays [lifetime, bin] of one photon each."""
    table = np.empty((log_tau.size, n))
    one, other = np.empty(n), np.empty(n)
    for t in range(log_tau.size):
        exponential(response, shift, period, math.exp(log_tau[t]), table[t], one, other)
    return table


@njit(cache=True)
def best_amplitudes(bins, counts, decay, in_window, n_bins, free_background, start):
    """Number of photons N and background b a bin with the largest log-likelihood Σ d ln(N g + b) - N Σg - b n.

    At the maximum NΣg + bn is the number of counts, so with a free background the background's part of them is all
    there is to find; with a given one it is N. Either way the slope falls throughout, and Newton's steps are kept inside
    the bracket that it gives. ``start`` is where it begins, and is changed in place.
    """
    total = counts.sum()
    low, high = 0.0, 1.0
    signal, flat = total / in_window, total / n_bins
    x = 1.0 - start[1] / flat if free_background else start[0] / signal
    x = min(max(x, 0.05), 0.95)
    for _ in range(60):
        slope, bend = 0.0 if free_background else -total, 0.0
        for i in range(bins.size):
            g = signal * decay[bins[i]]
            if free_background:
                r = (g - flat) / max(x * g + (1.0 - x) * flat, 1e-300)
            else:
                r = g / max(x * g + start[1], 1e-300)
            slope += counts[i] * r
            bend += counts[i] * r * r
        if slope > 0.0:
            low = x
        else:
            high = x
        step = slope / max(bend, 1e-300)
        if step * step * bend < 1e-8:
            break
        new = x + step
        # A wall of the bracket is tried itself once: the maximum may be there.
        if new >= high:
            new = high if high == 1.0 and x < 0.999 else 0.5 * (x + high)
        elif new <= low:
            new = 0.5 * (x + low) if x > 1e-9 else 0.0
        if new == x:
            break
        x = new
    start[0] = x * signal
    if free_background:
        start[1] = (1.0 - x) * flat
    value = -start[0] * in_window - start[1] * n_bins
    for i in range(bins.size):
        value += counts[i] * math.log(max(start[0] * decay[bins[i]] + start[1], 1e-300))
    return value


@njit(cache=True)
def _at(node, table, sums, bins, counts, n_bins, free_background, start, known):
    if math.isnan(known[node]):
        known[node] = best_amplitudes(bins, counts, table[node], sums[node], n_bins, free_background, start)
    return known[node]


@njit(cache=True)
def fit_one(table, log_tau, sums, bins, counts, n_bins, background, rise):
    """Logarithm of τ, its interval where 2 ln L falls by ``rise``, N and b; ``background`` < 0 is fitted.

    The best row of the table is sought from coarse to fine, and a parabola through its neighbours gives ln τ.
    """
    free = background < 0.0
    total = counts.sum()
    start = np.array([0.9 * total, 0.1 * total / n_bins if free else background])
    known = np.full(log_tau.size, np.nan)
    best, top = 0, -np.inf
    for node in range(0, log_tau.size, 16):
        value = _at(node, table, sums, bins, counts, n_bins, free, start, known)
        if value > top:
            best, top = node, value
    for step in (8, 4, 2, 1):
        for node in (best - step, best + step):
            if 0 <= node < log_tau.size:
                value = _at(node, table, sums, bins, counts, n_bins, free, start, known)
                if value > top:
                    best, top = node, value
    spacing = log_tau[1] - log_tau[0]
    found = log_tau[best]
    if 0 < best < log_tau.size - 1:
        left = _at(best - 1, table, sums, bins, counts, n_bins, free, start, known)
        right = _at(best + 1, table, sums, bins, counts, n_bins, free, start, known)
        bend = left - 2.0 * top + right
        if bend < 0.0:
            off = 0.5 * (left - right) / bend
            found += spacing * off
            top -= 0.125 * (left - right) ** 2 / bend
    ends = np.full(2, np.nan)
    target = top - 0.5 * rise
    for side in range(2):
        inner, outer = best, (log_tau.size - 1 if side else 0)
        if _at(inner, table, sums, bins, counts, n_bins, free, start, known) < target:
            # The interval is narrower than the table: a parabola again.
            ends[side] = found + (1.0 if side else -1.0) * spacing * math.sqrt(max(rise / max(-bend, 1e-300), 0.0))
            continue
        reach = 1
        while inner != outer:
            probe = min(inner + reach, outer) if side else max(inner - reach, outer)
            if _at(probe, table, sums, bins, counts, n_bins, free, start, known) < target:
                outer = probe
                break
            inner = probe
            reach *= 2
        if inner == outer:
            continue
        while abs(outer - inner) > 1:
            middle = (inner + outer) // 2
            if _at(middle, table, sums, bins, counts, n_bins, free, start, known) < target:
                outer = middle
            else:
                inner = middle
        # √(fall) is almost a straight line in ln τ.
        near, far = math.sqrt(max(top - known[inner], 0.0)), math.sqrt(top - known[outer])
        part = (math.sqrt(0.5 * rise) - near) / max(far - near, 1e-300)
        ends[side] = log_tau[inner] + (log_tau[outer] - log_tau[inner]) * min(max(part, 0.0), 1.0)
    last = np.array([start[0], start[1]])
    best_amplitudes(bins, counts, table[best], sums[best], n_bins, free, last)
    return found, ends[0], ends[1], last[0], last[1], best
