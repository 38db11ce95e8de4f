"""Lifetimes of pieces of a trace: of each segment between change points, or of each burst; the FLID map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydantic import PositiveFloat

from midgap.experiment.compiled import compiled
from midgap.experiment.decays.lifetimes import FEWEST_PHOTONS
from midgap.experiment.decays.poisson_deviance import deviance_z
from midgap.experiment.decays.responses import Response
from midgap.structures.document import Document, FloatArray, IntArray
from midgap.structures.errors import InputError

N_LIFETIMES = 500
"""Rows of the table of decays: neighbours are 2 to 3 % apart."""


class SegmentLifetimes(Document):
    """Single-exponential lifetimes of pieces of a trace.

    Attributes
    ----------
    tau_ns, tau_lo_ns, tau_hi_ns
        Shape (n_segments,); intervals by profile likelihood at ``ci_level``. NaN where there are fewer than
        ``min_photons`` photons, or where an end of the interval is not reached.
    deviance_z
        Distance of 2I* from what chance gives a single exponential, in standard deviations.
    rate_cps
        Photons over dwell time.
    """

    first_photon: IntArray
    num_photons: IntArray
    start_time_s: FloatArray
    end_time_s: FloatArray
    rate_cps: FloatArray
    tau_ns: FloatArray
    tau_lo_ns: FloatArray
    tau_hi_ns: FloatArray
    deviance_z: FloatArray
    min_photons: int
    ci_level: float


class Flid(Document):
    """Fluorescence lifetime-intensity distribution: time spent, shape (n_rate, n_tau), in s."""

    rate_edges_cps: FloatArray
    tau_edges_ns: FloatArray
    time_s: FloatArray


def fit_segments(
    dtime_bin: Any,
    first_photon: Any,
    num_photons: Any,
    start_time_s: Any,
    end_time_s: Any,
    *,
    bin_width_ns: PositiveFloat,
    n_bins: int,
    period_ns: float | None = None,
    response: Response | None = None,
    shift_ns: float = 0.0,
    background_cps: float | None = None,
    min_photons: int = 100,
    ci_level: float = 0.95,
) -> SegmentLifetimes:
    """One lifetime for each segment, photons [first_photon, first_photon + num_photons).

    Parameters
    ----------
    dtime_bin
        Shape (n_photons,): delay after the laser pulse in bins of ``bin_width_ns``, integers; what is outside of
        0...``n_bins``-1 is left out.
    response, shift_ns
        As the fit of the whole decay found them (`DecayFit.shift_ns`). None: the tail after the maximum of the whole
        decay, as in `fit_decay`.
    background_cps
        Background photons a second, uniform over the period, all detectors together; None fits it in every segment.
    min_photons
        At least 20.

    Raises
    ------
    InputError
        Arrays of different lengths, photons that are not there, or bins that do not fit the response.
    """
    from scipy.stats import chi2

    delay: np.ndarray = np.asarray(dtime_bin)
    first, number = np.asarray(first_photon, dtype=np.int64), np.asarray(num_photons, dtype=np.int64)
    start, end = np.asarray(start_time_s, dtype=float), np.asarray(end_time_s, dtype=float)
    if delay.dtype.kind not in "iu" or delay.ndim != 1:
        raise InputError("Delays of photons must be one row of integers, in bins.")
    if len({first.shape, number.shape, start.shape, end.shape}) != 1 or first.ndim != 1:
        raise InputError("Segments need a first photon, a number, a start and an end each.")
    if first.size and (first.min() < 0 or number.min() < 0 or (first + number).max() > delay.size):
        raise InputError(f"A segment has photons that are not among the {delay.size} given.")
    min_photons = max(min_photons, FEWEST_PHOTONS)
    whole = np.bincount(delay[(delay >= 0) & (delay < n_bins)], minlength=n_bins)
    factor = _coarser(whole, bin_width_ns, n_bins, response)
    n, width = -(-n_bins // factor), bin_width_ns * factor
    last = n if period_ns is None else min(n, math.floor(period_ns / width + 0.01))
    pulse, begin = _pulse(whole, factor, n, response, bin_width_ns)
    kernel = compiled("blinking.segment_kernel")
    result = np.full((4, first.size), np.nan)
    rise = float(chi2.ppf(ci_level, 1))
    period = math.inf if period_ns is None else period_ns / width
    log_tau = np.linspace(math.log(0.2), math.log(5.0 * n), N_LIFETIMES)
    table = kernel.decay_table(pulse, shift_ns / width, period, log_tau, n)[:, begin:last]
    sums = table.sum(axis=1)
    for i in range(first.size):
        if number[i] < min_photons:
            continue
        piece = delay[first[i] : first[i] + number[i]] // factor
        counts = np.bincount(piece[(piece >= begin) & (piece < last)] - begin, minlength=last - begin).astype(float)
        if counts.sum() < min_photons:
            continue
        level = -1.0 if background_cps is None else background_cps * (end[i] - start[i]) / min(period, n)
        bins = np.nonzero(counts)[0]
        log, lo, hi, photons, offset, row = kernel.fit_one(
            table, log_tau, sums, bins, counts[bins], last - begin, level, rise
        )
        model = np.maximum(photons * table[row] + offset, 1e-12)
        deviance = 2 * float((model - counts).sum() + counts[bins] @ np.log(counts[bins] / model[bins]))
        result[:3, i] = width * np.exp([log, lo, hi])
        result[3, i] = deviance_z(deviance, model, 2 + (background_cps is None))
    dwell = end - start
    return SegmentLifetimes(
        first_photon=first,
        num_photons=number,
        start_time_s=start,
        end_time_s=end,
        rate_cps=np.divide(number, dwell, out=np.zeros(first.size), where=dwell > 0),
        tau_ns=result[0],
        tau_lo_ns=result[1],
        tau_hi_ns=result[2],
        deviance_z=result[3],
        min_photons=min_photons,
        ci_level=ci_level,
    )


def fit_bursts(
    dtime_bin: Any, time_s: Any, duration_s: float, burst_s: float = 0.1, **options: Any
) -> SegmentLifetimes:
    """`fit_segments` of equal pieces of time, such as the sub-100 ms ones that keep states apart.

    Raises
    ------
    InputError
        The pieces are not positive or longer than the measurement.
    """
    if not 0 < burst_s <= duration_s:
        raise InputError(f"Bursts of {burst_s} s do not fit into a measurement of {duration_s} s.")
    edges = np.arange(int(duration_s / burst_s * (1 + 1e-12)) + 1) * burst_s
    photon = np.searchsorted(np.asarray(time_s, dtype=float), edges)
    return fit_segments(dtime_bin, photon[:-1], np.diff(photon), edges[:-1], edges[1:], **options)


def flid(segments: SegmentLifetimes, n_rate: int = 40, n_tau: int = 40) -> Flid:
    """Histogram of the segments' rates and lifetimes, weighted with their time.

    Raises
    ------
    InputError
        No segment has a lifetime.
    """
    there = np.isfinite(segments.tau_ns)
    if not there.any():
        raise InputError(
            f"No piece of the trace has the {segments.min_photons} photons a lifetime needs; take longer pieces."
        )
    rate, tau = segments.rate_cps[there], segments.tau_ns[there]
    # Far outliers of poor fits would squeeze everything else into one bin.
    top = float(np.quantile(tau, 0.995)) * 1.1
    time, rate_edges, tau_edges = np.histogram2d(
        rate,
        np.minimum(tau, top),
        bins=(n_rate, n_tau),
        range=((0, float(rate.max()) * 1.02), (0, top)),
        weights=(segments.end_time_s - segments.start_time_s)[there],
    )
    return Flid(rate_edges_cps=rate_edges, tau_edges_ns=tau_edges, time_s=time)


def _coarser(whole: np.ndarray, bin_width_ns: float, n_bins: int, response: Response | None) -> int:
    """How many bins to add up: a fit takes a time ∝ bins, and bins much shorter than the lifetime tell nothing more."""
    if response is not None and abs(response.bin_width_ns / bin_width_ns - 1) > 1e-6:
        raise InputError(
            f"The response has bins of {response.bin_width_ns:g} ns and the photons of {bin_width_ns:g} ns; bring both "
            "to the same bins."
        )
    if not whole.sum():
        return 1
    delays = np.arange(n_bins)
    mean = float(delays @ whole) / float(whole.sum()) - int(whole.argmax())
    limits = [n_bins // 256, int(0.05 * max(mean, 0.0))]
    if response is not None:
        limits.append(int(0.25 * response.fwhm_ns / bin_width_ns))
    return max(1, min(limits))


def _pulse(
    whole: np.ndarray, factor: int, n: int, response: Response | None, bin_width_ns: float
) -> tuple[np.ndarray, int]:
    """The response in coarser bins, and the first of them to fit."""
    pulse = np.zeros(n * factor)
    if response is not None:
        size = min(response.counts.size, pulse.size)
        pulse[:size] = response.counts[:size]
        return pulse.reshape(n, factor).sum(axis=1), 0
    coarse = np.zeros(n * factor)
    coarse[: whole.size] = whole
    coarse = coarse.reshape(n, factor).sum(axis=1)
    top = int(coarse.argmax())
    below = np.nonzero(coarse[top:] < 0.8 * coarse[top])[0]
    delta = np.zeros(n)
    delta[top] = 1.0
    return delta, top + (int(below[0]) if below.size else 1)
