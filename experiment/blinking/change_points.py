"""Where the emission rate changes, from the arrival time of every photon.

The test is that of L. P. Watkins and H. Yang, J. Phys. Chem. B 109, 617 (2005), doi 10.1021/jp0467548: the likelihood
ratio of two rates against one, freed of its mean, divided by its standard deviation and weighted against the ends
(R. Henderson, Biometrika 77, 827 (1990)). One test of a long stretch misses a short dip between equal levels, because
neither half differs from the other. So windows of many sizes are tested, small ones first, each change being taken from
the smallest window that shows it (R. Baranowski et al., J. R. Stat. Soc. B 81, 649 (2019)); then the pieces between
changes as a whole; at last each change again between its neighbours.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from midgap.experiment.compiled import compiled
from midgap.structures.document import Document, FloatArray, IntArray, read_json
from midgap.structures.errors import InputError

SMALLEST_WINDOW = 30
FARTHEST_REGION = 20_000
"""Photons to both sides among which the region of a change is sought."""


class ChangePoints(Document):
    """Photons at which the rate changes, each with the region it lies in.

    Attributes
    ----------
    photon
        Shape (n_changes,): index of the photon that ends the old level, from which the new level's intervals count;
        ``photon_lo`` to ``photon_hi`` hold it with probability ``region_level``.
    time_s
        Its arrival time. The change itself lies in the interval before or after that photon, so ``time_lo_s`` to
        ``time_hi_s`` go from the photon before the region to the one after it.
    confidence
        One minus the false alarms in ``window`` photons of constant rate.
    """

    photon: IntArray
    photon_lo: IntArray
    photon_hi: IntArray
    time_s: FloatArray
    time_lo_s: FloatArray
    time_hi_s: FloatArray
    confidence: float
    region_level: float
    window: int


def find_change_points(
    time_s: Any, *, confidence: float = 0.99, window: int = 1000, overlap: int = 200, region_level: float = 0.95
) -> ChangePoints:
    """Change points of a stream of photons.

    Parameters
    ----------
    time_s
        Shape (n_photons,): ascending arrival times of one particle, all detectors together.
    confidence
        From 0.5 on: one minus the false alarms allowed in ``window`` photons of constant rate, shared among the sizes of
        windows. What chance does there often counts twice, as the begin and the end of a dip.
    window, overlap
        Photons of the largest windows, and how many of them two windows share; smaller ones share half.
    region_level
        Of the regions.

    Raises
    ------
    InputError
        Times that are not ascending and finite, or a confidence or window out of range.
    """
    time: np.ndarray = np.ascontiguousarray(time_s, dtype=float)
    if time.ndim != 1 or not np.isfinite(time).all() or (np.diff(time) < 0).any():
        raise InputError("Arrival times must be one row of finite, ascending numbers in seconds.")
    if not 0.5 <= confidence < 1 or not 0 < region_level < 1:
        raise InputError(f"A confidence lies from 0.5 to below 1 ({confidence}), the level of a region in 0...1.")
    if not 0 <= overlap < window or window < SMALLEST_WINDOW:
        raise InputError(
            f"Windows need at least {SMALLEST_WINDOW} photons and an overlap smaller than that, not {window} and {overlap}."
        )
    changes = _changes(time, 1 - confidence, window, overlap) if time.size > 2 else np.zeros(0, dtype=np.int64)
    kernel = compiled("blinking.change_point_kernel")
    low, high = kernel.regions(time, changes, region_level, FARTHEST_REGION)
    return ChangePoints(
        photon=changes,
        photon_lo=low,
        photon_hi=high,
        time_s=time[changes],
        time_lo_s=time[np.maximum(low - 1, 0)],
        time_hi_s=time[np.minimum(high + 1, time.size - 1)],
        confidence=confidence,
        region_level=region_level,
        window=window,
    )


def threshold(n_intervals: Any, false_alarm: float) -> np.ndarray:
    """What the largest weighted ratio among ``n_intervals`` of constant rate exceeds with this probability.

    From the table in ``data/change_point_thresholds.json``: linear in ln n and, as its tail is exponential, in
    ln(false_alarm).
    """
    log_n, log_p, table = _table()
    x = np.log(np.asarray(n_intervals, dtype=float))
    y = np.log(false_alarm)
    j = int(np.clip(np.searchsorted(-log_p, -y), 1, log_p.size - 1))
    at_p = table[:, j - 1] + (table[:, j] - table[:, j - 1]) * (y - log_p[j - 1]) / (log_p[j] - log_p[j - 1])
    beyond = np.maximum(x - log_n[-1], 0) * (at_p[-1] - at_p[-3]) / (log_n[-1] - log_n[-3])
    return np.interp(x, log_n, at_p) + beyond


@lru_cache(maxsize=1)
def _table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data = read_json(Path(__file__).parent / "data" / "change_point_thresholds.json")
    return (
        np.log([row["n"] for row in data["rows"]]),
        np.log(1 - np.array(data["confidence"])),
        np.array([row["threshold"] for row in data["rows"]]),
    )


def _changes(time: np.ndarray, false_alarm: float, window: int, overlap: int) -> np.ndarray:
    kernel = compiled("blinking.change_point_kernel")
    sums, squares = kernel.harmonic_sums(window)
    sizes = [window]
    while sizes[0] // 2 >= SMALLEST_WINDOW:
        sizes.insert(0, sizes[0] // 2)
    is_change = np.zeros(time.size, dtype=np.bool_)
    for size in sizes:
        step = window - overlap if size == window else max(size // 2, 1)
        tests = len(sizes) * window / step
        limit = float(threshold(size, false_alarm / tests))
        if size < time.size:
            kernel.propose(time, size, step, limit, sums, squares, is_change)
    log_n = _table()[0]
    log_n = np.append(log_n, np.log(max(1e6, 10.0 * time.size)))
    thresholds = threshold(np.exp(log_n), false_alarm)
    kernel.divide(time, is_change, log_n, thresholds)
    return kernel.check(time, np.nonzero(is_change)[0], log_n, thresholds, 20)
