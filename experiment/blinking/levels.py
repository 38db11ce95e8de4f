"""Blinking: intensity trace, levels, and what is ON, GRAY and OFF."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat

from midgap.experiment.blinking.change_points import ChangePoints
from midgap.experiment.blinking.level_clustering import Path, cluster, follow
from midgap.experiment.records import IntensityLevel, Quantity
from midgap.structures.document import Document, FloatArray, IntArray
from midgap.structures.errors import InputError

Label = Literal["ON", "GRAY", "OFF"]
SUBSTANTIAL = 0.05
"""A level with less than this part of the signal's photons is not what others are held against, however bright."""
MISPLACED = 0.5
CLEAR = 5.0
"""Rates and their intervals hold for levels whose stays are at least so `IntensityLevels.clearness`: counted by
benchmarks/photons_levels.py."""
FEWEST_SEGMENTS, FEWEST_EXPECTED = 5, 5.0
"""How many segments, and of how many photons, tell how far they differ."""


class Trace(Document):
    """Counts in bins of ``bin_s``, shape (n_bins,); an unfinished last bin is left out."""

    bin_s: PositiveFloat
    counts: IntArray


class IntensityLevels(Document):
    """The trajectory as a sequence of segments, each in one of a few levels.

    Attributes
    ----------
    first_photon, num_photons, start_time_s, end_time_s, level
        One a segment, shape (n_segments,). Neighbours that lie in one level are one segment. ``level`` counts from 0,
        the dimmest.
    rate_cps
        One a level, background included, with its interval at 95 %; ``label`` is what it is called,
        ``time_fraction`` how much of the time is spent in it.
    bic
        By number of levels tried; the largest is taken.
    off_below, on_above
        The labels go by these fractions of the rate of the brightest level that gives a substantial part of the photons.
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
    background_cps: NonNegativeFloat
    off_below: float
    on_above: float

    @property
    def clearness(self) -> np.ndarray:
        """Of the stays in each level, shape (n_levels,): what a mean one tells over what its two changes cost, both in ln L.

        Told against the nearest level: in a time T at the rate λ, T (λ ln(λ/λ') - λ + λ'). A change costs ln(N/d) for N
        photons and d changes. Stays much shorter than the mean are missed, their photons counted to the level around them;
        infinite where there is one level.
        """
        if len(self.rate_cps) < 2:
            return np.full(len(self.rate_cps), math.inf)
        rate = np.maximum([q.value or 0.0 for q in self.rate_cps], 1e-9)
        told = rate[:, None] * np.log(rate[:, None] / rate) - rate[:, None] + rate
        np.fill_diagonal(told, math.inf)
        dwell = self.end_time_s - self.start_time_s
        mean_s = np.bincount(self.level, dwell, rate.size) / np.bincount(self.level, minlength=rate.size)
        cost = 2 * math.log(self.num_photons.sum() / (self.level.size - 1))
        return np.asarray(mean_s * told.min(axis=1) / max(cost, 1e-9))

    def short_stays(self) -> str | None:
        """What to say where stays are too short for what is said of the rates' intervals."""
        short = self.clearness < CLEAR
        if not short.any():
            return None
        which = " and ".join(f"{self.rate_cps[i].value:.3g}" for i in np.flatnonzero(short))
        return (
            f"Stays at {which} cps are so short that some are missed: rates of levels may be off by 3 %, and their "
            "intervals held the truth in 30 to 75 % of simulations, not in 95 %."
        )

    def segments(self) -> tuple[IntensityLevel, ...]:
        """As a `ParticleRecord` holds them, one a segment; ``name`` is the label, ``group_id`` the level."""
        dwell = self.end_time_s - self.start_time_s
        return tuple(
            IntensityLevel(
                name=self.label[self.level[i]],
                group_id=int(self.level[i]),
                start_time_s=float(self.start_time_s[i]),
                end_time_s=float(self.end_time_s[i]),
                dwell_time_s=float(dwell[i]),
                num_photons=int(self.num_photons[i]),
                intensity_cps=float(self.num_photons[i] / dwell[i]),
            )
            for i in range(self.level.size)
        )


def intensity_trace(time_s: Any, duration_s: float, bin_s: float = 0.01) -> Trace:
    """Photons a bin.

    Raises
    ------
    InputError
        The bin is not positive, or longer than the measurement, or so short that there are more than 10⁸.
    """
    if not 0 < bin_s <= duration_s:
        raise InputError(f"A bin of {bin_s} s does not fit into a measurement of {duration_s} s.")
    n_bins = int(duration_s / bin_s * (1 + 1e-12))
    if n_bins > 100_000_000:
        raise InputError(f"Bins of {bin_s} s would be {n_bins:.0e} in {duration_s} s; take longer ones.")
    index = (np.asarray(time_s, dtype=float) / bin_s).astype(np.int64)
    return Trace(bin_s=bin_s, counts=np.bincount(index[(index >= 0) & (index < n_bins)], minlength=n_bins))


def intensity_histogram(trace: Trace, n_bins: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Edges in counts per second, shape (n_bins+1,), and the number of time bins in each, shape (n_bins,)."""
    top = int(trace.counts.max(initial=0)) + 1
    # Whole counts in each bin: a comb of full and empty bins would be an artefact.
    width = max(1, -(-top // n_bins))
    edges = np.arange(0, top + width, width)
    return (edges - 0.5) / trace.bin_s, np.histogram(trace.counts, edges - 0.5)[0]


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
    """The levels of a trajectory, from the change points on, and when the emitter is in which (`level_clustering`).

    Parameters
    ----------
    n_levels
        None: chosen by BIC among 1 to ``max_levels``.
    off_below, on_above
        A level is OFF below this fraction of the brightest level's rate, ON from this fraction on, and GRAY between;
        both net of ``background_cps``; the brightest is that with at least `SUBSTANTIAL` of the photons, so that a short
        burst does not turn all else into GRAY. They are conventions, not results.

    Raises
    ------
    InputError
        No photons, a duration shorter than the photons, or thresholds out of order.
    """
    time: np.ndarray = np.asarray(time_s, dtype=float)
    if time.size == 0:
        raise InputError("There are no photons, hence no levels.")
    if not duration_s >= time[-1] or duration_s <= 0:
        raise InputError(
            f"The measurement is said to last {duration_s} s, but its last photon came after {time[-1]} s."
        )
    if not 0 <= off_below <= on_above <= 1:
        raise InputError(f"Thresholds of the labels must ascend within 0...1, not {off_below} and {on_above}.")
    bounds = np.concatenate([[0.0], time[changes.photon], [duration_s]])
    first = np.concatenate([[0], changes.photon + 1, [time.size]])
    photons, dwell = np.diff(first), np.diff(bounds)
    there = dwell > 0
    photons, dwell, first, start = photons[there], dwell[there], first[:-1][there], bounds[:-1][there]
    if n_levels is not None and not 1 <= n_levels <= photons.size:
        raise InputError(f"{photons.size} segments make 1 to {photons.size} levels, not {n_levels}.")
    paths = {}
    for n, clustering in cluster(photons, dwell, min(max_levels, photons.size), n_levels).items():
        n_changes = int(np.count_nonzero(np.diff(clustering.level)))
        paths[n] = follow(time, duration_s, clustering.rate_cps, n_changes)
    bic = {n: path.bic for n, path in paths.items()}
    path = paths[n_levels or max(bic, key=bic.__getitem__)]
    first, start, dwell, of_stay = _stays(path, time, duration_s)
    photons = np.diff(np.append(first, time.size))
    used, level = np.unique(of_stay, return_inverse=True)
    totals, times = (np.bincount(level, weights=x, minlength=used.size) for x in (photons, dwell))
    net = np.maximum(totals / times - background_cps, 0.0)
    signal = net * times
    part = net / max(net[signal >= SUBSTANTIAL * signal.sum()].max(), 1e-300)
    return IntensityLevels(
        first_photon=first,
        num_photons=photons,
        start_time_s=start,
        end_time_s=start + dwell,
        level=level,
        rate_cps=tuple(_rate(photons[level == i], dwell[level == i]) for i in range(used.size)),
        time_fraction=times / times.sum(),
        label=tuple("OFF" if x < off_below else "ON" if x >= on_above else "GRAY" for x in part),
        bic=bic,
        background_cps=background_cps,
        off_below=off_below,
        on_above=on_above,
    )


def _stays(path: Path, time: np.ndarray, duration_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First photon, start, dwell time and level of each stay; photons of one time are not torn apart.

    The path changes at photons, the emitter between them: within the last interval of a dim stay, whose photon is already the
    bright level's, and within its first. The density of the time x spent there in the bright level is ∝ e^{-δx}, δ the
    difference of the rates; its mean is taken. Without this, each dim stay has one photon too many.
    """
    of_photon = path.level.copy()
    torn = np.nonzero((np.diff(time) == 0) & (np.diff(of_photon) != 0))[0]
    for i in torn:
        of_photon[i + 1] = of_photon[i]
    # The path's intervals before these photons are the first of a stay.
    first = np.concatenate([[0], np.nonzero(np.diff(of_photon))[0] + 1])
    level, start = of_photon[first], np.zeros(first.size)
    for k in range(1, first.size):
        rise = path.rate_cps[level[k]] - path.rate_cps[level[k - 1]]
        if rise > 0:
            first[k] -= 1
            while time[first[k]] == time[first[k] - 1] and first[k] > first[k - 1]:
                first[k] -= 1
        end = float(time[first[k]])
        interval = end - (float(time[first[k] - 1]) if first[k] > 0 else 0.0)
        bright = _mean_of_exponential(abs(rise), interval)
        start[k] = end - bright if rise > 0 else end - interval + bright
    dwell = np.diff(np.append(start, duration_s))
    there = dwell > 0  # but for one that would end with a photon at time 0
    first = first[there]
    first[0] = 0
    return first, start[there], dwell[there], level[there]


def _mean_of_exponential(rate: float, longest: float) -> float:
    """Mean of x with a density ∝ e^{-rate x} from 0 to ``longest``."""
    z = rate * longest
    if z < 1e-6:
        return 0.5 * longest
    return longest * (1 / z - (1 / math.expm1(z) if z < 700 else 0.0))


def on_fraction(levels: IntensityLevels, ci_level: float = 0.95, resamples: int = 2000) -> Quantity:
    """Fraction of the time spent ON.

    The interval is from a bootstrap of cycles, each an ON time with the time until the next; None with fewer than 10
    cycles. It supposes that cycles are alike, which times with a power law without a mean are not.
    """
    on = np.array([levels.label[i] == "ON" for i in levels.level])
    dwell = levels.end_time_s - levels.start_time_s
    value = float(dwell[on].sum() / dwell.sum())
    begins = np.nonzero(on & ~np.concatenate([[False], on[:-1]]))[0]
    if begins.size < 10:
        return Quantity(value=value)
    on_time = np.add.reduceat(np.where(on, dwell, 0.0), begins)
    all_time = np.add.reduceat(dwell, begins)
    draws = np.random.default_rng(0).integers(begins.size, size=(resamples, begins.size))
    sample = on_time[draws].sum(axis=1) / all_time[draws].sum(axis=1)
    lo, hi = np.quantile(sample, [0.5 - 0.5 * ci_level, 0.5 + 0.5 * ci_level])
    return Quantity(value=value, lo=min(float(lo), value), hi=max(float(hi), value))


def _rate(photons: Any, time_s: Any) -> Quantity:
    """Rate of the segments of a level, each with its photons and its time.

    The exact interval of a Poisson count (F. Garwood, Biometrika 28, 437 (1936)), widened where the segments differ by
    more than such counts do: where a change was missed, photons of other levels are among them. Where stays end is chosen
    by the photons themselves, which moves each by `MISPLACED` photons or so in one direction; both ends make room for that.
    """
    from scipy.stats import chi2

    n, total = float(np.sum(photons)), float(np.sum(time_s))
    value = n / total
    lo = 0.5 * float(chi2.ppf(0.025, 2 * n)) / total if n > 0 else 0.0
    hi = 0.5 * float(chi2.ppf(0.975, 2 * n + 2)) / total
    expected = value * np.asarray(time_s, dtype=float)
    long = expected >= FEWEST_EXPECTED
    if long.sum() >= FEWEST_SEGMENTS:
        m, d = expected[long], np.asarray(photons, dtype=float)[long]
        deviance = 2 * float((m - d + d * np.log(np.maximum(d, 1e-300) / m)).sum())
        factor = math.sqrt(max(deviance / (m.size - 1), 1.0))
        lo, hi = max(value - factor * (value - lo), 0.0), value + factor * (hi - value)
    room = MISPLACED * np.size(time_s) / total
    return Quantity(value=value, lo=max(lo - room, 0.0), hi=hi + room)
