"""Compiled loops over photons. Arrays in, numbers or filled arrays out; all integers."""

# The compiler takes types from its arguments, not from annotations.
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def pick_t3(times, channels, dtimes, carry, time, channel, dtime):
    """Copy photons (channel ≥ 0), ``carry`` later; how many there are."""
    n = 0
    for i in range(len(times)):
        if channels[i] >= 0:
            time[n] = np.int64(times[i]) + carry
            channel[n] = channels[i]
            dtime[n] = dtimes[i]
            n += 1
    return n


@njit(cache=True, nogil=True)
def pick_t2(times, channels, carry, time, channel):
    """The same of records without delays."""
    n = 0
    for i in range(len(times)):
        if channels[i] >= 0:
            time[n] = np.int64(times[i]) + carry
            channel[n] = channels[i]
            n += 1
    return n


@njit(cache=True, nogil=True)
def backward_steps(time, last):
    """How many times are before one seen earlier, and by how much at most."""
    count, farthest = 0, 0
    for t in time:
        if t < last:
            count += 1
            farthest = max(farthest, last - t)
        else:
            last = t
    return count, farthest


@njit(cache=True, nogil=True)
def decays(dtime, channel, counts):
    """Add photons to counts[channel, delay]; how many delays lie beyond, and the longest of all."""
    beyond, longest = 0, 0
    n_channels, n_bins = counts.shape
    for i in range(len(dtime)):
        longest = max(longest, dtime[i])
        if 0 <= dtime[i] < n_bins:
            if channel[i] < n_channels:
                counts[channel[i], dtime[i]] += 1
        else:
            beyond += 1
    return beyond, longest


@njit(cache=True, nogil=True)
def bin_times(time, width, counts):
    """Add photons to bins of ``width`` time units (a float); those after the last bin are dropped."""
    n_bins = len(counts)
    for t in time:
        i = int(t / width)
        if i < n_bins:
            counts[i] += 1


@njit(cache=True, nogil=True)
def align(time, channel, dtime, wanted, start, period, pulse, delay):
    """Photons of one channel by pulse and delay after its light: how many.

    Delays before ``start`` belong to the pulse before; ``delay`` counts from ``start``.
    Delays beyond the period are left out.
    """
    n = 0
    for i in range(len(time)):
        if channel[i] == wanted and dtime[i] < period:
            d = dtime[i] - start
            p = time[i]
            if d < 0:
                d += period
                p -= 1
            pulse[n] = p
            delay[n] = d
            n += 1
    return n


@njit(cache=True, nogil=True)
def pulse_lags(pulse_a, delay_a, pulse_b, delay_b, first_new_a, first_new_b, gate_of, counts):
    """Add pairs to counts[lag + max_lag, gate], lag = pulse_b - pulse_a; pulses ascend.

    The gate of a pair is that of its shorter delay. Pairs of two photons before ``first_new`` were
    counted before, and are left out.
    """
    max_lag = (counts.shape[0] - 1) // 2
    begin = 0
    n_b = len(pulse_b)
    for i in range(len(pulse_a)):
        p = pulse_a[i]
        while begin < n_b and pulse_b[begin] < p - max_lag:
            begin += 1
        j = begin if i >= first_new_a else max(begin, first_new_b)
        while j < n_b and pulse_b[j] <= p + max_lag:
            counts[pulse_b[j] - p + max_lag, gate_of[min(delay_a[i], delay_b[j])]] += 1
            j += 1


@njit(cache=True, nogil=True)
def time_lags(time_a, time_b, first_new_a, first_new_b, width, counts):
    """Add pairs to bins of t_b - t_a, ``width`` units each, the middle one around zero; times ascend."""
    half = len(counts) // 2
    reach = half * width + width // 2
    begin = 0
    n_b = len(time_b)
    for i in range(len(time_a)):
        t = time_a[i]
        while begin < n_b and time_b[begin] < t - reach:
            begin += 1
        j = begin if i >= first_new_a else max(begin, first_new_b)
        while j < n_b and time_b[j] <= t + reach:
            bin_ = (time_b[j] - t + reach) // width
            if bin_ < len(counts):
                counts[bin_] += 1
            j += 1


@njit(cache=True, nogil=True)
def dead_time(time, dead, keep):
    """Mark the photons a detector sees that is blind for ``dead`` after each one it saw."""
    last = -(1 << 62)
    for i in range(len(time)):
        keep[i] = time[i] - last >= dead
        if keep[i]:
            last = time[i]
