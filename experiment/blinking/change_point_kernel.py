"""The compiled part of change-point detection. Imported only where numba is installed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True)
def harmonic_sums(n):
    """Σ_{j=1}^{i} 1/j and Σ_{j=1}^{i} 1/j² for i = 0 ... n."""
    one, two = np.zeros(n + 1), np.zeros(n + 1)
    for i in range(1, n + 1):
        one[i] = one[i - 1] + 1.0 / i
        two[i] = two[i - 1] + 1.0 / (i * i)
    return one, two


@njit(cache=True)
def weights(n, sums, squares):
    """Mean, inverse standard deviation σ_k and end weight ½ ln(4k(n-k)/n²) of the ratio for n intervals, per k.

    At a constant rate the fraction V_k of the time after k of n intervals is a Beta(k, n-k) variable, so that ln V_k and
    ln(1-V_k) have known means and covariances.
    """
    mean, inverse, ends = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(1, n):
        mean[k], inverse[k], ends[k] = weight(k, n, sums, squares)
    return mean, inverse, ends


@njit(cache=True)
def weight(k, n, sums, squares):
    """`weights` of one k."""
    m = n - k
    u_k, u_m = sums[n - 1] - sums[k - 1], sums[n - 1] - sums[m - 1]
    v_k, v_m = squares[n - 1] - squares[k - 1], squares[n - 1] - squares[m - 1]
    cross = math.pi**2 / 6 - squares[n - 1]
    variance = 4.0 * k * k * v_k + 4.0 * m * m * v_m - 8.0 * k * m * cross
    return -2.0 * (k * u_k + m * u_m), 1.0 / math.sqrt(variance), 0.5 * math.log(4.0 * k * m / (n * n))


@njit(cache=True)
def ratio(time, first, last, mean, inverse, ends):
    """Largest weighted log-likelihood ratio of a change at a photon between ``first`` and ``last``, and where."""
    n = last - first
    begin, total = time[first], time[last] - time[first]
    best, where = -np.inf, -1
    if total <= 0.0:
        return best, where
    for k in range(1, n):
        v = (time[first + k] - begin) / total
        if v <= 0.0 or v >= 1.0:
            continue
        value = (-2.0 * (k * math.log(v) + (n - k) * math.log(1.0 - v)) + mean[k]) * inverse[k] + ends[k]
        if value > best:
            best, where = value, first + k
    return best, where


@njit(cache=True)
def long_ratio(time, first, last):
    """`ratio` for any number of intervals, with the sums' asymptotic series instead of tables."""
    n = last - first
    begin, total = time[first], time[last] - time[first]
    best, where = -np.inf, -1
    if total <= 0.0:
        return best, where
    sum_n, square_n = _tails(n)
    for k in range(1, n):
        v = (time[first + k] - begin) / total
        if v <= 0.0 or v >= 1.0:
            continue
        m = n - k
        sum_k, square_k = _tails(k)
        sum_m, square_m = _tails(m)
        mean = -2.0 * (k * (sum_n - sum_k) + m * (sum_n - sum_m))
        variance = 4.0 * k * k * (square_k - square_n) + 4.0 * m * m * (square_m - square_n) - 8.0 * k * m * square_n
        value = (-2.0 * (k * math.log(v) + m * math.log(1.0 - v)) + mean) / math.sqrt(variance)
        value += 0.5 * math.log(4.0 * k * m / (float(n) * n))
        if value > best:
            best, where = value, first + k
    return best, where


@njit(cache=True)
def _tails(n):
    """Digamma ψ(n) and trigamma ψ'(n) of an integer."""
    x = float(n)
    low, low_square = 0.0, 0.0
    while x < 8.0:
        low -= 1.0 / x
        low_square += 1.0 / (x * x)
        x += 1.0
    y = 1.0 / (x * x)
    return (
        low + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y / 252)),
        low_square + 1.0 / x + 0.5 * y + y / x * (1 / 6 - y * (1 / 30 - y / 42)),
    )


@njit(cache=True)
def null_statistics(n, realisations, generator, sums, squares):
    """`ratio` of n intervals at a constant rate, ``realisations`` times."""
    time = np.zeros(n + 1)
    out = np.empty(realisations)
    mean, inverse, ends = weights(n, sums, squares)
    for r in range(realisations):
        for i in range(n):
            time[i + 1] = time[i] - math.log(1.0 - generator.random())
        best = -np.inf
        for k in range(1, n):
            v = time[k] / time[n]
            value = (-2.0 * k * math.log(v) - 2.0 * (n - k) * math.log(1.0 - v) + mean[k]) * inverse[k] + ends[k]
            best = max(best, value)
        out[r] = best
    return out


@njit(cache=True)
def threshold(n, log_n, thresholds):
    """Linear in ln n; beyond the table the last slope goes on."""
    x = math.log(n)
    i = min(max(np.searchsorted(log_n, x), 1), log_n.size - 1)
    slope = (thresholds[i] - thresholds[i - 1]) / (log_n[i] - log_n[i - 1])
    return thresholds[i - 1] + slope * (x - log_n[i - 1])


@njit(cache=True)
def propose(time, size, step, limit, sums, squares, is_change):
    """Mark changes that windows of one size show, unless a change is marked in the window already.

    Called with the smallest windows first: a change is located in the smallest window that shows it, which holds the
    least of its neighbours.
    """
    n = time.size
    mean, inverse, ends = weights(size, sums, squares)
    values, places, starts = [0.0], [0], [0]
    for first in range(0, max(n - size, 1), step):
        first = max(min(first, n - 1 - size), 0)
        if first + size > n - 1:
            break
        value, where = ratio(time, first, first + size, mean, inverse, ends)
        if value > limit:
            values.append(value)
            places.append(where)
            starts.append(first)
    order = np.argsort(-np.array(values[1:]))
    for o in order:
        first = starts[o + 1]
        free = True
        for i in range(first + 1, first + size):
            if is_change[i]:
                free = False
                break
        if free:
            is_change[places[o + 1]] = True


@njit(cache=True)
def divide(time, is_change, log_n, thresholds):
    """Test every piece between changes as a whole, and its parts again where it is divided."""
    n = time.size
    bounds = [0]
    for i in range(1, n - 1):
        if is_change[i]:
            bounds.append(i)
    bounds.append(n - 1)
    stack = [(0, 0)]
    stack.pop()
    for i in range(len(bounds) - 1):
        stack.append((bounds[i], bounds[i + 1]))
    while len(stack) > 0:
        first, last = stack.pop()
        if last - first < 2:
            continue
        value, where = long_ratio(time, first, last)
        if value > threshold(last - first, log_n, thresholds):
            is_change[where] = True
            stack.append((first, where))
            stack.append((where, last))


@njit(cache=True)
def check(time, changes, log_n, thresholds, rounds):
    """Test each change between its neighbours again: move it to where it is likeliest, drop it if it is none."""
    stale = np.ones(changes.size, dtype=np.bool_)
    for _ in range(rounds):
        keep = np.ones(changes.size, dtype=np.bool_)
        moved = np.zeros(changes.size, dtype=np.bool_)
        before = 0
        for i in range(changes.size):
            after = changes[i + 1] if i + 1 < changes.size else time.size - 1
            if stale[i]:
                value, where = long_ratio(time, before, after)
                if value <= threshold(after - before, log_n, thresholds):
                    keep[i] = False
                    continue
                if where != changes[i]:
                    changes[i] = where
                    moved[i] = True
            before = changes[i]
        touched = moved.copy()
        for i in range(changes.size):
            if moved[i] or not keep[i]:
                if i > 0:
                    touched[i - 1] = True
                if i + 1 < changes.size:
                    touched[i + 1] = True
        if not moved.any() and keep.all():
            break
        changes, stale = changes[keep], touched[keep]
    return changes


@njit(cache=True)
def regions(time, changes, level, reach):
    """First and last photon of the region that holds each change with probability ``level``.

    With a prior 1/rate for both rates, the probability of a change after k of n intervals is
    ∝ Γ(k) Γ(n-k) T_k^-k (T-T_k)^-(n-k).
    """
    lows, highs = changes.copy(), changes.copy()
    log_gamma = np.zeros(2 * reach + 2)
    for i in range(2, 2 * reach + 2):
        log_gamma[i] = log_gamma[i - 1] + math.log(i - 1)
    log_p = np.empty(2 * reach + 1)
    for c in range(changes.size):
        before = max(changes[c - 1] if c > 0 else 0, changes[c] - reach)
        after = min(changes[c + 1] if c + 1 < changes.size else time.size - 1, changes[c] + reach)
        n, total = after - before, time[after] - time[before]
        top = -np.inf
        for k in range(1, n):
            t = time[before + k] - time[before]
            log_p[k] = -np.inf
            if 0.0 < t < total:
                log_p[k] = log_gamma[k] + log_gamma[n - k] - k * math.log(t) - (n - k) * math.log(total - t)
            top = max(top, log_p[k])
        whole = 0.0
        for k in range(1, n):
            log_p[k] = math.exp(log_p[k] - top)
            whole += log_p[k]
        low = high = changes[c] - before
        inside = log_p[low]
        while inside < level * whole:
            left = log_p[low - 1] if low > 1 else -1.0
            right = log_p[high + 1] if high < n - 1 else -1.0
            if left < 0.0 and right < 0.0:
                break
            if left >= right:
                low -= 1
                inside += left
            else:
                high += 1
                inside += right
        lows[c], highs[c] = before + low, before + high
    return lows, highs
