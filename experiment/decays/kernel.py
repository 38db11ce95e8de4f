"""The compiled part of decay fits: the model and its derivatives, and a Poisson fit by Fisher scoring.

Times are in bins. Imported only where numba is installed; see `midgap.experiment.compiled`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# What a profile is taken of.
LOG_TAU, FRACTION, AMPLITUDE_FRACTION, LOG_TAU_INTENSITY, LOG_TAU_AMPLITUDE = range(5)


@njit(cache=True)
def exponential(response, shift, period, tau, density, d_log_tau, d_shift):
    """Response ⊗ periodic exponential, integrated over each bin, with its derivatives.

    Every bin of the response is a pulse at its middle, moved by ``shift``; what an exponential leaves in
    a bin is integrated exactly, so bins may be as long as the lifetime. ``period`` may be any real
    number, or infinite. One pass: the state is the signal that earlier pulses left at a bin's start.
    """
    n = density.size
    density[:] = 0.0
    d_log_tau[:] = 0.0
    d_shift[:] = 0.0
    q = math.exp(-1.0 / tau)
    dq = q / tau
    periodic = period < np.inf
    start = 0.0
    d_start = 0.0
    s_start = 0.0
    end = period if periodic else float(n)
    # density and its companions first hold what enters a bin; ``late`` what comes after the last bin.
    late = 0.0
    d_late = 0.0
    s_late = 0.0
    a = np.zeros(n)
    da = np.zeros(n)
    sa = np.zeros(n)
    last_rest = -1.0
    w = 0.0
    for j in range(response.size):
        h = response[j]
        if h == 0.0:
            continue
        x = j + 0.5 + shift
        if periodic:
            x -= math.floor(x / period) * period
        if x < 0.0:
            e = h * math.exp(x / tau)
            start += e
            d_start -= e * x / tau
            s_start += e / tau
            continue
        i = int(x)
        if i >= n:
            if periodic:
                e = h * math.exp((x - end) / tau)
                late += e
                d_late -= e * (x - end) / tau
                s_late += e / tau
            continue
        rest = i + 1 - x
        if abs(rest - last_rest) > 1e-12:
            w = math.exp(-rest / tau)
            last_rest = rest
        a[i] += h * w
        da[i] += h * w * rest / tau
        sa[i] += h * w / tau
        density[i] += h * (1.0 - w)
        d_log_tau[i] -= h * w * rest / tau
        d_shift[i] -= h * w / tau
    if periodic:
        s = ds = ss = 0.0
        for i in range(n):
            ds = q * ds + dq * s + da[i]
            ss = q * ss + sa[i]
            s = q * s + a[i]
        e = math.exp((n - period) / tau)
        ds = e * (ds - s * (n - period) / tau) + d_late
        ss = e * ss + s_late
        s = e * s + late
        p = math.exp(-period / tau)
        f = 1.0 / (1.0 - p)
        start = s * f
        d_start = ds * f + s * f * f * p * period / tau
        s_start = ss * f
    s, ds, ss = start, d_start, s_start
    for i in range(n):
        density[i] += s * (1.0 - q)
        d_log_tau[i] += ds * (1.0 - q) - s * dq
        d_shift[i] += ss * (1.0 - q)
        ds = q * ds + dq * s + da[i]
        ss = q * ss + sa[i]
        s = q * s + a[i]


@njit(cache=True)
def gaussian(centre, sigma, out, d_log_sigma):
    """A normalised Gaussian integrated over bins, and its derivative with respect to ln σ.

    What is in a bin will be a pulse at its middle, which adds 1/12 to the variance (Sheppard); that is taken off first.
    """
    n = out.size
    variance = max(sigma * sigma - 1.0 / 12.0, 0.5 * sigma * sigma)
    chain = sigma * sigma / variance if variance > 0.5 * sigma * sigma else 1.0
    c = 1.0 / math.sqrt(2.0 * variance)
    for i in range(n):
        u, v = (i - centre) * c, (i + 1 - centre) * c
        if v < -6.0 or u > 6.0:
            out[i] = 0.0
            d_log_sigma[i] = 0.0
        else:
            out[i] = 0.5 * (math.erf(v) - math.erf(u))
            d_log_sigma[i] = chain * (u * math.exp(-u * u) - v * math.exp(-v * v)) / math.sqrt(math.pi)


@njit(cache=True)
def deviance_of(counts, model, first, last):
    """2I* over bins [first, last)."""
    total = 0.0
    for i in range(first, last):
        m, d = model[i], counts[i]
        total += m - d
        if d > 0:
            total += d * math.log(d / m)
    return 2.0 * total


# Parameters of a fit, in order: ln τ_k, N_k (k = 1 ... K), shift, ln σ, b; ``free`` says which are fitted. N and b are
# not logarithms, because zero is where they often end and must be able to leave from.
@njit(cache=True)
def model_of(theta, n_components, response, centre, period, model, jacobian):
    """Expected counts [bin] and their derivatives [parameter, bin]; ``centre`` ≥ 0 for a Gaussian response."""
    k = n_components
    n = model.size
    shift, background = theta[2 * k], theta[2 * k + 2]
    one, unused, unused2 = np.empty(n), np.empty(n), np.empty(n)
    widened = np.zeros(0)
    if centre >= 0.0:
        response, widened = np.empty(n), np.empty(n)
        gaussian(centre, math.exp(theta[2 * k + 1]), response, widened)
    model[:] = background
    jacobian[2 * k : 2 * k + 2] = 0.0
    jacobian[2 * k + 2] = 1.0
    for c in range(k):
        tau, number = math.exp(theta[c]), theta[k + c]
        exponential(response, shift, period, tau, one, jacobian[c], unused)
        for i in range(n):
            jacobian[k + c, i] = one[i]
            jacobian[c, i] *= number
            jacobian[2 * k, i] += number * unused[i]
            model[i] += number * one[i]
        if centre >= 0.0:
            exponential(widened, shift, period, tau, one, unused, unused2)
            for i in range(n):
                jacobian[2 * k + 1, i] += number * one[i]
    for i in range(n):
        # The bin in which the response begins may be left with nothing at all.
        model[i] = max(model[i], 1e-12)


@njit(cache=True)
def derived(theta, k, kind, component, gradient):
    """A quantity that is a function of the parameters, and its gradient."""
    gradient[:] = 0.0
    if kind == LOG_TAU:
        gradient[component] = 1.0
        return theta[component]
    tau = np.exp(theta[:k])
    total = max(theta[k : 2 * k].sum(), 1e-12)
    f = theta[k : 2 * k] / total
    a = f / tau
    a /= a.sum()
    if kind == LOG_TAU_INTENSITY:
        mean = (f * tau).sum()
        for j in range(k):
            gradient[j] = f[j] * tau[j] / mean
            gradient[k + j] = (tau[j] - mean) / (mean * total)
        return math.log(mean)
    if kind == LOG_TAU_AMPLITUDE:
        mean = (a * tau).sum()
        for j in range(k):
            gradient[j] = a[j]
            gradient[k + j] = (1.0 - mean / tau[j]) / total
        return math.log(mean)
    part = f if kind == FRACTION else a
    for j in range(k):
        same = 1.0 if j == component else 0.0
        if kind == FRACTION:
            gradient[k + j] = (same - f[component]) / total
        else:
            weight = (f / tau).sum()
            gradient[k + j] = (same - a[component]) / (tau[j] * weight * total)
            gradient[j] = -a[component] * (same - a[j])
    return part[component]


@njit(cache=True)
def solve(matrix, right):
    """Solve a small positive definite system by Cholesky's decomposition, in place of ``matrix``.

    LAPACK would do as well, but takes numba several seconds to compile in.
    """
    n = right.size
    x = np.empty(n)
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for m in range(j):
                total -= matrix[i, m] * matrix[j, m]
            if i == j:
                matrix[i, i] = math.sqrt(max(total, 1e-14 * abs(matrix[i, i]) + 1e-300))
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        total = right[i]
        for m in range(i):
            total -= matrix[i, m] * x[m]
        x[i] = total / matrix[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for m in range(i + 1, n):
            total -= matrix[m, i] * x[m]
        x[i] = total / matrix[i, i]
    return x


@njit(cache=True)
def _bounded(parameter, k):
    return k <= parameter < 2 * k or parameter == 2 * k + 2


@njit(cache=True)
def fit(theta, free, k, counts, response, centre, period, first, last, kind, component, target, stiffness):
    """Minimise 2I* in place, by Fisher scoring with Levenberg's damping; returns 2I*.

    With ``stiffness`` > 0 the quantity ``kind`` is pulled towards ``target`` by a spring: where that fit
    ends, 2I* is the least it can be at the value the quantity has there, which makes it a point of the
    profile.
    """
    n, p = counts.size, theta.size
    used = np.nonzero(free)[0]
    q = used.size
    model, trial_model = np.empty(n), np.empty(n)
    jacobian, trial_jacobian = np.empty((p, n)), np.empty((p, n))
    spring, trial_spring = np.zeros(p), np.zeros(p)
    model_of(theta, k, response, centre, period, model, jacobian)
    value = deviance_of(counts, model, first, last)
    off = 0.0
    if stiffness > 0.0:
        off = derived(theta, k, kind, component, spring) - target
        value += stiffness * off * off
    damping = 1e-3
    hessian, step_matrix, gradient = np.empty((q, q)), np.empty((q, q)), np.empty(q)
    quiet = 0
    for _ in range(200):
        gradient[:] = 0.0
        hessian[:] = 0.0
        for i in range(first, last):
            m = model[i]
            r = 1.0 - counts[i] / m
            for u in range(q):
                ju = jacobian[used[u], i]
                gradient[u] += ju * r
                for v in range(u + 1):
                    hessian[u, v] += ju * jacobian[used[v], i] / m
        for u in range(q):
            if stiffness > 0.0:
                gradient[u] += stiffness * off * spring[used[u]]
            for v in range(u + 1):
                if stiffness > 0.0:
                    hessian[u, v] += stiffness * spring[used[u]] * spring[used[v]]
                hessian[v, u] = hessian[u, v]
        for u in range(q):
            # Held at zero as long as it wants to be negative; a parameter that changes nothing stays.
            if (_bounded(used[u], k) and theta[used[u]] <= 0.0 and gradient[u] > 0.0) or hessian[u, u] < 1e-30:
                hessian[u, :] = 0.0
                hessian[:, u] = 0.0
                hessian[u, u] = 1.0
                gradient[u] = 0.0
        better = False
        for _ in range(12):
            step_matrix[:] = hessian
            for u in range(q):
                step_matrix[u, u] += (damping + 1e-12) * hessian[u, u]
            step = solve(step_matrix, gradient)
            trial = theta.copy()
            for u in range(q):
                if _bounded(used[u], k):
                    trial[used[u]] = max(trial[used[u]] - step[u], 0.0)
                else:
                    trial[used[u]] -= min(max(step[u], -2.0), 2.0)
            for c in range(k):
                trial[c] = min(max(trial[c], -4.0), 20.0)
            trial[2 * k + 1] = min(max(trial[2 * k + 1], -2.0), 10.0)
            model_of(trial, k, response, centre, period, trial_model, trial_jacobian)
            trial_value = deviance_of(counts, trial_model, first, last)
            trial_off = 0.0
            if stiffness > 0.0:
                trial_off = derived(trial, k, kind, component, trial_spring) - target
                trial_value += stiffness * trial_off * trial_off
            if trial_value <= value:
                better = True
                break
            damping = max(damping * 5.0, 1e-4)
        if not better:
            break
        gain = value - trial_value
        theta[:] = trial
        value, off = trial_value, trial_off
        model, trial_model = trial_model, model
        jacobian, trial_jacobian = trial_jacobian, jacobian
        spring, trial_spring = trial_spring, spring
        damping *= 0.2
        quiet = quiet + 1 if gain < 1e-5 else 0
        if quiet == 2:
            break
    return value - stiffness * off * off if stiffness > 0.0 else value


@njit(cache=True)
def covariance(theta, free, k, counts, response, centre, period, first, last):
    """Inverse Fisher information [parameter, parameter]; zero where a parameter is held."""
    n, p = counts.size, theta.size
    model, jacobian = np.empty(n), np.empty((p, n))
    model_of(theta, k, response, centre, period, model, jacobian)
    used = np.nonzero(free)[0]
    information = np.zeros((used.size, used.size))
    for u in range(used.size):
        for v in range(used.size):
            for i in range(first, last):
                information[u, v] += jacobian[used[u], i] * jacobian[used[v], i] / model[i]
        information[u, u] = information[u, u] * (1.0 + 1e-10) + 1e-30
    full = np.zeros((p, p))
    for v in range(used.size):
        one = np.zeros(used.size)
        one[v] = 1.0
        column = solve(information.copy(), one)
        for u in range(used.size):
            full[used[u], used[v]] = column[u]
    return full


@njit(cache=True)
def profile(theta, free, k, counts, response, centre, period, first, last, kind, component, best, rise):
    """Where the profile of 2I* is ``rise`` above ``best``, below and above; NaN where it does not rise so far."""
    p = theta.size
    gradient = np.empty(p)
    at = derived(theta, k, kind, component, gradient)
    cov = covariance(theta, free, k, counts, response, centre, period, first, last)
    along = np.zeros(p)
    variance = 1e-12
    for i in range(p):
        for j in range(p):
            along[i] += cov[i, j] * gradient[j]
        variance += gradient[i] * along[i]
    sigma, z = math.sqrt(variance), math.sqrt(rise)
    ends = np.full(2, np.nan)
    for side in range(2):
        sign = 1.0 if side else -1.0
        # √(rise) is almost a straight line in the quantity, so the secant goes to the end in a few steps.
        inner, inner_root = at, 0.0
        outer, outer_root = np.nan, np.nan
        reach = sign * z * min(sigma, 1.0)
        start = theta.copy()
        previous = at
        for _ in range(25):
            target = inner + reach
            trial = start + along / variance * (target - previous)
            for j in range(p):
                if _bounded(j, k):
                    trial[j] = max(min(trial[j], 2.0 * start[j] + 1.0), 0.0)
                else:
                    trial[j] = min(max(trial[j], start[j] - 1.0), start[j] + 1.0)
            value = fit(
                trial, free, k, counts, response, centre, period, first, last, kind, component, target, 1e4 / variance
            )
            now = derived(trial, k, kind, component, gradient)
            root = math.sqrt(max(value - best, 0.0))
            if abs(root - z) < 0.005 * z:
                ends[side] = now
                break
            if (now - inner) * sign < 1e-9 * max(sigma, 1e-6):
                break  # a wall of the parameters: it goes no further
            if root < z:
                inner, inner_root = now, root
                start = trial
                previous = now
            else:
                outer, outer_root = now, root
            if math.isnan(outer):
                slope = inner_root / (inner - at) if inner_root > 0.02 else sign / sigma
                reach = (z - inner_root) / slope * 1.05
                reach = sign * min(abs(reach), 4.0 * abs(inner - at) + 2 * z * min(sigma, 1.0))
            else:
                part = (z - inner_root) / (outer_root - inner_root)
                reach = (outer - inner) * min(max(part, 0.05), 0.95)
                if abs(outer - inner) < 1e-4 * sigma:
                    ends[side] = 0.5 * (inner + outer)
                    break
    return ends
