"""Compiled loops over photons. Arrays in, numbers or filled arrays out; all integers."""

# The compiler takes types from its arguments, not from annotations.
# mypy: disable-error-code="no-untyped-def, assignment"

import numpy as np
from numba import njit

from midgap.experiment.photons.pair_kernel import pairs


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
        if 0 <= i < n_bins:
            counts[i] += 1


@njit(cache=True, nogil=True)
def pulse_lags(time, channel, dtime, first_new, detectors, starts, gate_of, counts, singles):
    """Add pairs to counts[lag + max_lag + 1, gate] and photons to singles[detector, gate].

    Each photon from ``first_new`` on is paired with those before it. The pulse index ``time`` ascends; a delay
    before its detector's start belongs to the pulse before, and counts from the start; the gate of a pair is
    that of its shorter delay. lag = pulse of the second detector's photon - that of the first's. The outermost
    lags, ±(max_lag + 1), are room for photons at the border, and not complete.
    """
    pulses = np.empty(len(time) + 1, np.int64)
    sides, gates = np.empty(len(time) + 1, np.int8), np.empty(len(time) + 1, np.int8)
    side_of, start_of = np.full(256, -1, np.int8), np.zeros(256, np.int64)
    for side in range(2):
        side_of[detectors[side]], start_of[detectors[side]] = side, starts[side]
    old = _sort_out(time[:first_new], channel, dtime, side_of, start_of, gate_of, pulses, sides, gates, 0)
    new = time[first_new:], channel[first_new:], dtime[first_new:]
    n = _sort_out(new[0], new[1], new[2], side_of, start_of, gate_of, pulses, sides, gates, old)
    for i in range(old, n):
        singles[sides[i], gates[i]] += 1
    pairs(pulses, sides, gates, old, n, counts)


@njit(cache=True, nogil=True)
def _sort_out(time, channel, dtime, side_of, start_of, gate_of, pulses, sides, gates, n):
    """Pulse, detector and gate of the photons of either detector, from place ``n`` on; the place after them."""
    n_bins = np.int64(len(gate_of))
    for i in range(len(time)):
        side, here = side_of[channel[i]], np.int64(dtime[i])
        there = (side >= 0) & (here >= 0) & (here < n_bins)
        delay = here * there - start_of[channel[i]]
        before = delay < 0
        pulses[np.uint64(n)], sides[np.uint64(n)] = time[i] - before, side
        gates[np.uint64(n)] = gate_of[np.uint64(delay + n_bins * before)]
        n += there
    return n


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
            if 0 <= bin_ < len(counts):
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


@njit(cache=True, nogil=True)
def found_dark(period, pulse, excited, dark):
    """Mark the pulses that find an emitter in its ground state, which each such pulse excites for the time ``excited``."""
    until = -1.0
    for i in range(len(pulse)):
        begin = pulse[i] * period
        dark[i] = begin >= until
        if dark[i]:
            until = begin + excited[i]
