"""Pairs of photons on two detectors, by the number of laser pulses between them, or by the time.

Two detectors see the same light at different delays: cables, electronics. Within a period the difference
is found from their decays; how many whole periods it is shows only in the pairs themselves
(`antibunching.find_zero_lag`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from midgap.experiment.compiled import compiled
from midgap.experiment.photons.stream import Ints, PhotonStream
from midgap.structures.document import Document, FloatArray, IntArray
from midgap.structures.errors import InputError

LONGEST_CABLE_S = 1e-6
"""Delays between detectors are looked for up to here: 200 m of cable."""
LONGEST_MEMORY_S = 1e-6
"""And side peaks begin at most so far away from zero delay."""
BEFORE_LIGHT_NS = 1.0
"""A pulse's photons are counted from this long before the steepest rise of the decay, for the jitter."""
N_GATES = 24
FIRST_GATE_NS = 0.2


class Alignment(Document):
    """Where in the period each of two detectors sees the light of a pulse begin.

    Attributes
    ----------
    detectors
        Their channels.
    start_bins
        Delay at which a pulse's photons begin to be counted; earlier ones are the previous pulse's.
    rise_bins
        The steepest rise is this much later than ``start_bins``.
    n_bins, bin_ns
        Bins that delays can fall into, and their width: together the laser's period, unless that is longer
        than the electronics can count.
    period_ns
        Between laser pulses.
    """

    detectors: tuple[int, int]
    start_bins: tuple[int, int]
    rise_bins: int
    n_bins: PositiveInt
    bin_ns: PositiveFloat
    period_ns: PositiveFloat

    @classmethod
    def of(cls, stream: PhotonStream, detectors: tuple[int, int]) -> Self:
        """Find it from the decays of a stream; as `from_decays`."""
        first, second = (stream.decay(channel) for channel in detectors)
        decays = np.zeros((max(detectors) + 1, stream.delay_bins), np.int64)
        decays[list(detectors)] = first, second
        return cls.from_decays(stream, decays, detectors)

    @classmethod
    def from_decays(cls, stream: PhotonStream, decays: Ints, detectors: tuple[int, int]) -> Self:
        """Find it from decays, shape (channels, delay_bins); the stream gives the units.

        Raises
        ------
        InputError
            A detector has no photons, or the stream is T2.
        """
        for channel in detectors:
            if channel >= len(decays) or not decays[channel].any():
                raise InputError(f"Channel {channel} has no photons within the laser's period.")
        first, second = (decays[channel] for channel in detectors)
        n = stream.delay_bins
        bin_ns = 1e9 * stream.time_unit_s / stream.period_bins
        shift = circular_delay(first, second)
        before = max(1, min(round(BEFORE_LIGHT_NS / bin_ns), n // 10))
        start = (steepest_rise(first + np.roll(second, -shift)) - before) % n
        return cls(
            detectors=detectors,
            start_bins=(start, (start + shift) % n),
            rise_bins=before,
            n_bins=n,
            bin_ns=bin_ns,
            period_ns=1e9 * stream.time_unit_s,
        )

    @property
    def shift_bins(self) -> int:
        """By how much the second detector's decay is later, within the period."""
        return (self.start_bins[1] - self.start_bins[0]) % self.n_bins


def circular_delay(first: NDArray[np.integer], second: NDArray[np.integer]) -> int:
    """By how many bins the second of two periodic decays is later: the maximum of their correlation."""
    spectra = [np.fft.rfft(decay - decay.mean()) for decay in (first, second)]
    return int(np.argmax(np.fft.irfft(spectra[0].conj() * spectra[1], len(first))))


def steepest_rise(decay: NDArray[np.integer]) -> int:
    """Bin at which a periodic decay rises: the largest step between the means of two neighbouring windows.

    The windows are a quarter of the decay's own width, so that few photons and slow decays do as well.
    """
    n = len(decay)
    signal = np.maximum(decay - np.quantile(decay, 0.25), 0).astype(float)
    if not signal.any():
        return int(np.argmax(decay))
    width = int(np.clip(0.25 * signal.sum() ** 2 / (signal**2).sum(), 1, n // 8 or 1))
    total = np.concatenate([[0.0], np.cumsum(np.tile(decay.astype(float), 3))])
    at = np.arange(n, 2 * n)
    step = total[at + width] - 2 * total[at] + total[at - width]
    return int(np.argmax(step))


class PulsePairs(Document):
    """Pairs by pulse lag and gate.

    Attributes
    ----------
    lags
        Shape (n_lags,): pulse of the second detector's photon minus that of the first's.
    gates_ns
        Shape (n_gates,): times after the light's arrival, the first 0.
    counts
        Shape (n_lags, n_gates): pairs whose shorter delay lies between this gate and the next.
    singles
        Shape (2, n_gates): photons of each detector, in the same way.
    n_pulses
        Pulses of the measurement.
    """

    alignment: Alignment
    lags: IntArray
    gates_ns: FloatArray
    counts: IntArray
    singles: IntArray
    n_pulses: int

    @property
    def period_ns(self) -> float:
        return self.alignment.period_ns


class PulseCorrelator:
    """Counts pairs of a stream that comes in pieces; memory does not grow with them.

    Parameters
    ----------
    n_side
        Side peaks on each side of the centre, wherever within `LONGEST_CABLE_S` that will be.
    gate_ns
        A gate to count besides the scan; 0 counts pairs of all delays alone, in the same time however many there are.

    Raises
    ------
    InputError
        The gate does not lie within the period.
    """

    def __init__(self, alignment: Alignment, n_side: int = 20, gate_ns: float | None = None) -> None:
        period_ns = alignment.period_ns
        self.alignment = alignment
        beyond_ns = 1e9 * (LONGEST_CABLE_S + LONGEST_MEMORY_S)
        self.max_lag = math.ceil(beyond_ns / period_ns) + 1 + n_side
        open_ns = alignment.n_bins * alignment.bin_ns
        latest_ns = max(0.5 * open_ns, 2 * FIRST_GATE_NS)
        scan_ns = np.geomspace(FIRST_GATE_NS, latest_ns, 0 if gate_ns == 0 else N_GATES - 1)
        self.gates_ns = np.concatenate([[0.0], scan_ns])
        if gate_ns:
            if not 0 < gate_ns < 0.9 * open_ns:
                raise InputError(f"A gate of {gate_ns:g} ns does not lie within the {open_ns:.4g} ns between pulses.")
            self.gates_ns = np.union1d(self.gates_ns, [gate_ns])
        after_ns = (np.arange(alignment.n_bins) - alignment.rise_bins) * alignment.bin_ns
        self._gate_of = np.maximum(np.searchsorted(self.gates_ns, after_ns, side="right") - 1, 0).astype(np.int8)
        self._counts = np.zeros((2 * self.max_lag + 3, len(self.gates_ns)), np.int64)
        self.singles = np.zeros((2, len(self.gates_ns)), np.int64)
        self.n_pulses = 0
        self._kept: PhotonStream | None = None

    def add(self, stream: PhotonStream) -> None:
        """Count the pairs with a photon of this piece, which follows the pieces before."""
        if not len(stream):
            return
        n_old = 0 if self._kept is None else len(self._kept)
        both = stream if self._kept is None else self._kept.followed_by(stream)
        a = self.alignment
        compiled("photons.kernels").pulse_lags(
            both.time,
            both.channel,
            both.dtime,
            n_old,
            a.detectors,
            a.start_bins,
            self._gate_of,
            self._counts,
            self.singles,
        )
        self._kept = both[np.searchsorted(both.time, both.time[-1] - self.max_lag - 2) :]
        self.n_pulses = max(self.n_pulses, stream.duration, int(stream.time[-1]) + 1)

    def pairs(self) -> PulsePairs:
        """What has been counted so far."""
        return PulsePairs(
            alignment=self.alignment,
            lags=np.arange(-self.max_lag, self.max_lag + 1),
            gates_ns=self.gates_ns,
            counts=self._counts[1:-1],
            singles=self.singles,
            n_pulses=self.n_pulses,
        )


def pulse_pairs(pieces: PhotonStream | Iterable[PhotonStream], alignment: Alignment, n_side: int = 20) -> PulsePairs:
    """Pairs of a whole stream, or of its pieces in order."""
    correlator = PulseCorrelator(alignment, n_side)
    for piece in [pieces] if isinstance(pieces, PhotonStream) else pieces:
        correlator.add(piece)
    return correlator.pairs()


class TimePairs(Document):
    """Pairs by the time between them, of continuous excitation.

    Attributes
    ----------
    lag_ns
        Shape (n_bins,): middles of the bins of time of the second detector minus that of the first.
    counts
        Shape (n_bins,).
    singles
        Photons of each detector.
    """

    detectors: tuple[int, int]
    lag_ns: FloatArray
    bin_ns: PositiveFloat
    counts: IntArray
    singles: tuple[int, int]
    duration_s: float


def time_pairs(
    stream: PhotonStream, detectors: tuple[int, int], bin_ns: float = 0.5, reach_ns: float = 200.0
) -> TimePairs:
    """Pairs of a T2 stream within ``reach_ns``.

    Raises
    ------
    InputError
        The stream is T3, or the bin is finer than its time unit or wider than the reach.
    """
    if stream.mode != "T2":
        raise InputError("Pairs by time are of continuous excitation (T2); a T3 stream has pairs by pulse.")
    unit_ns = 1e9 * stream.time_unit_s
    width = round(bin_ns / unit_ns)
    if not 1 <= width <= reach_ns / unit_ns:
        raise InputError(f"Bins of {bin_ns} ns do not lie between the time unit, {unit_ns:.3g} ns, and {reach_ns} ns.")
    width += width % 2 == 0  # odd, so that the middle bin is even about zero
    half = math.ceil(reach_ns / (width * unit_ns))
    times = [stream.time[stream.channel == channel] for channel in detectors]
    counts = np.zeros(2 * half + 1, np.int64)
    compiled("photons.kernels").time_lags(times[0], times[1], 0, 0, width, counts)
    return TimePairs(
        detectors=detectors,
        lag_ns=np.arange(-half, half + 1) * width * unit_ns,
        bin_ns=width * unit_ns,
        counts=counts,
        singles=(len(times[0]), len(times[1])),
        duration_s=stream.duration_s,
    )
