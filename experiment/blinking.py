"""Blinking: intensity trace, levels, and what is ON, GRAY and OFF."""

from __future__ import annotations

from typing import Any, Literal

from midgap.experiment.change_points import ChangePoints
from midgap.experiment.records import IntensityLevel, Quantity
from midgap.structures.document import Document, FloatArray, IntArray

Label = Literal["ON", "GRAY", "OFF"]


class Trace(Document):
    """Counts in bins of ``bin_s``; shape (n_bins,); an unfinished last bin is left out."""

    bin_s: float
    counts: IntArray


class IntensityLevels(Document):
    """The trajectory as a sequence of segments, each in one of a few levels.

    Attributes
    ----------
    first_photon, num_photons, start_time_s, end_time_s, level
        One a segment, shape (n_segments,). Neighbours that lie in one level are one segment. ``level``
        counts from 0, the dimmest.
    rate_cps
        One a level, background included; ``label`` what it is called, ``time_fraction`` how much of the
        time is spent in it.
    bic
        By number of levels tried; the largest is taken.
    """

    first_photon: IntArray
    num_photons: IntArray
    start_time_s: FloatArray
    end_time_s: FloatArray
    level: IntArray
    rate_cps: tuple[Quantity, ...]
    time_fraction: FloatArray
    label: tuple[Label, ...]
    bic: dict[int, float]
    background_cps: float

    def segments(self) -> tuple[IntensityLevel, ...]:
        """As a `ParticleRecord` holds them, one a segment."""
        raise NotImplementedError


def intensity_trace(time_s: Any, duration_s: float, bin_s: float = 0.01) -> Trace:
    """Photons a bin."""
    raise NotImplementedError


def cluster_levels(
    time_s: Any,
    changes: ChangePoints,
    duration_s: float,
    *,
    n_levels: int | None = None,
    max_levels: int = 10,
    background_cps: float = 0.0,
    off_below: float = 0.05,
    on_above: float = 0.5,
) -> IntensityLevels:
    """Group the segments between change points into levels of equal rate.

    Parameters
    ----------
    n_levels
        None: chosen by BIC among 1 to ``max_levels``.
    off_below, on_above
        A level is OFF below this fraction of the brightest level's rate, ON from this fraction on, and
        GRAY between; both net of ``background_cps``.
    """
    raise NotImplementedError


def on_fraction(levels: IntensityLevels, ci_level: float = 0.95) -> Quantity:
    """Fraction of the time spent ON, with an interval from resampled pairs of ON and not-ON times."""
    raise NotImplementedError
