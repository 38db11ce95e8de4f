"""Lifetimes of pieces of a trace: of each segment between change points, or of each burst; the FLID map."""

from __future__ import annotations

from typing import Any

from midgap.experiment.blinking import IntensityLevels
from midgap.experiment.lifetimes import DecayFit
from midgap.experiment.responses import Response
from midgap.structures.document import Document, FloatArray, IntArray


class SegmentLifetimes(Document):
    """Single-exponential lifetimes of pieces of a trace; NaN where there are fewer than ``min_photons``.

    Attributes
    ----------
    tau_ns, tau_lo_ns, tau_hi_ns, deviance_z
        Shape (n_segments,); intervals by profile likelihood at ``ci_level``.
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
    """Fluorescence lifetime-intensity distribution: time (s) spent at [rate, lifetime]."""

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
    bin_width_ns: float,
    n_bins: int,
    period_ns: float | None = None,
    response: Response | None = None,
    shift_ns: float = 0.0,
    background_cps: float | None = None,
    min_photons: int = 100,
    ci_level: float = 0.95,
) -> SegmentLifetimes:
    """Lifetime of each segment [first_photon, first_photon + num_photons).

    Parameters
    ----------
    dtime_bin
        Shape (n_photons,): delay after the pulse in bins of ``bin_width_ns``, integers.
    background_cps
        Uniform background; None fits it in every segment.
    """
    raise NotImplementedError


def fit_bursts(
    dtime_bin: Any, time_s: Any, duration_s: float, burst_s: float = 0.1, **options: Any
) -> SegmentLifetimes:
    """`fit_segments` of equal pieces of time, such as the sub-100 ms ones that keep states apart."""
    raise NotImplementedError


def fit_levels(dtime_bin: Any, levels: IntensityLevels, **options: Any) -> tuple[DecayFit | None, ...]:
    """The decay of all photons of each level together (`fit_decay` with ``options``); None without photons."""
    raise NotImplementedError


def flid(segments: SegmentLifetimes, n_rate: int = 40, n_tau: int = 40) -> Flid:
    """Histogram of the segments' rates and lifetimes, weighted with time."""
    raise NotImplementedError
