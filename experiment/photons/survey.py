"""What is counted in one pass over a stream, whatever its length: decays, trace, pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from midgap.experiment.compiled import compiled
from midgap.experiment.photons.coincidences import Alignment, PulseCorrelator, PulsePairs
from midgap.experiment.photons.stream import MOST_TRACE_BINS, Detectors, Ints, PhotonStream, detectors_from_counts
from midgap.structures.errors import InputError

FOR_ALIGNMENT = 2_000_000
"""Photons from which the delays of the detectors are found; more are only waited for, not needed."""
N_CHANNELS = 256


@dataclass(frozen=True)
class Survey:
    """Counts of a whole stream.

    Attributes
    ----------
    channel_counts
        Photons by channel, shape (256,).
    decays
        T3: photons by channel and delay, shape (channels, delay_bins); T2: None.
    trace
        Photons of all detectors in bins of ``bin_s``, shape (bins,).
    alignment, pairs
        T3 with two detectors; else None, and ``no_pairs`` says why.
    n_beyond, longest_delay
        Delays longer than the laser's period, and the longest of all in bins.
    """

    detectors: Detectors
    channel_counts: Ints
    decays: Ints | None
    trace: Ints
    bin_s: float
    alignment: Alignment | None
    pairs: PulsePairs | None
    no_pairs: str | None
    n_beyond: int
    longest_delay: int

    @property
    def n_photons(self) -> int:
        return int(self.channel_counts.sum())

    def aligned_decay(self) -> Ints:
        """Decay of the detectors together, each shifted to the first one's clock."""
        if self.decays is None:
            raise InputError("A T2 stream has no decay: its photons are not timed against laser pulses.")
        if self.alignment is None:
            return self.decays[self.detectors.active[0]]
        first, second = self.alignment.detectors
        return self.decays[first] + np.roll(self.decays[second], -self.alignment.shift_bins)


def survey(
    pieces: Iterable[PhotonStream],
    *,
    bin_s: float = 0.01,
    detectors: tuple[int, int] | None = None,
    n_side: int = 20,
    gate_ns: float | None = None,
) -> Survey:
    """Count a stream that comes in pieces; memory does not grow with them.

    Parameters
    ----------
    detectors
        The two channels whose pairs are counted; None takes the two with the most photons.
    gate_ns
        A gate to count pairs behind, besides the scan of gates; 0 for no gates at all.

    Raises
    ------
    InputError
        There are no photons, or more trace bins than `stream.MOST_TRACE_BINS`; one channel given twice.
    """
    if detectors is not None and detectors[0] == detectors[1]:
        raise InputError(f"Pairs are of photons on two detectors; channel {detectors[0]} is given twice.")
    counter = _Counter(bin_s, detectors, n_side, gate_ns)
    for piece in pieces:
        counter.add(piece)
    return counter.result()


class _Counter:
    def __init__(self, bin_s: float, detectors: tuple[int, int] | None, n_side: int, gate_ns: float | None) -> None:
        self.bin_s, self.wanted, self.n_side, self.gate_ns = bin_s, detectors, n_side, gate_ns
        self.channel_counts = np.zeros(N_CHANNELS, np.int64)
        self.trace = np.zeros(0, np.int64)
        self.decays: Ints | None = None
        self.correlator: PulseCorrelator | None = None
        self.no_pairs: str | None = None
        self.duration, self.unit_s = 0, 1.0
        self.beyond, self.longest = 0, 0
        self._waiting: list[PhotonStream] | None = []
        self._n_waiting = 0

    def add(self, piece: PhotonStream) -> None:
        self.duration, self.unit_s = max(self.duration, piece.duration), piece.time_unit_s
        if not len(piece):
            return
        by_channel = np.bincount(piece.channel, minlength=N_CHANNELS)
        self.channel_counts += by_channel
        self._add_trace(piece)
        if piece.dtime is None:
            self.no_pairs = "a T2 stream has no pulses"
            return
        if self.decays is None or len(self.decays) <= by_channel.nonzero()[0][-1]:
            grown = np.zeros((int(by_channel.nonzero()[0][-1]) + 1, piece.delay_bins), np.int64)
            if self.decays is not None:
                grown[: len(self.decays)] = self.decays
            self.decays = grown
        beyond, longest = compiled("photons.kernels").decays(piece.dtime, piece.channel, self.decays)
        self.beyond, self.longest = self.beyond + beyond, max(self.longest, longest)
        if self._waiting is None:
            if self.correlator is not None:
                self.correlator.add(piece)
            return
        self._waiting.append(piece)
        self._n_waiting += len(piece)
        if self._n_waiting >= FOR_ALIGNMENT:
            self._correlate(self._waiting)

    def _add_trace(self, piece: PhotonStream) -> None:
        width = self.bin_s / piece.time_unit_s
        bins = int(max(piece.duration, int(piece.time[-1]) + 1) / width) + 1
        if bins > MOST_TRACE_BINS:
            raise InputError(
                f"The photons spread over {piece.duration_s:.3g} s, more than {MOST_TRACE_BINS} bins of {self.bin_s:g} s: "
                "the times are damaged, or the bins too short."
            )
        if bins > len(self.trace):
            self.trace = np.append(self.trace, np.zeros(max(bins, 2 * len(self.trace)) - len(self.trace), np.int64))
        compiled("photons.kernels").bin_times(piece.time, width, self.trace)

    def _correlate(self, waiting: Sequence[PhotonStream]) -> None:
        self._waiting = None
        try:
            pair = self.wanted or detectors_from_counts(self.channel_counts).pair()
            assert self.decays is not None
            alignment = Alignment.from_decays(waiting[0], self.decays, pair)
        except InputError as error:
            self.no_pairs = str(error)
            return
        self.correlator = PulseCorrelator(alignment, self.n_side, self.gate_ns)
        for piece in waiting:
            self.correlator.add(piece)

    def result(self) -> Survey:
        if not self.channel_counts.any():
            raise InputError("There are no photons.")
        if self._waiting:
            self._correlate(self._waiting)
        correlator = self.correlator
        return Survey(
            detectors=detectors_from_counts(self.channel_counts),
            channel_counts=self.channel_counts,
            decays=self.decays,
            trace=self.trace[: int(self.duration * self.unit_s / self.bin_s * (1 + 1e-12))],
            bin_s=self.bin_s,
            alignment=correlator.alignment if correlator else None,
            pairs=correlator.pairs() if correlator else None,
            no_pairs=self.no_pairs,
            n_beyond=self.beyond,
            longest_delay=self.longest,
        )
