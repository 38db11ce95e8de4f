"""A stream of single photons as the timing electronics wrote it: integers, their units, and the header's claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from midgap.structures.document import Document
from midgap.structures.errors import InputError

Mode = Literal["T2", "T3"]
Ints = NDArray[np.int64]

EMPTY_PART = 0.01
"""A channel with less than this part of the busiest one's photons is called empty."""


MOST_DELAY_BINS = 1 << 16
"""Delays have at most 16 bits in any format."""
MOST_TRACE_BINS = 20_000_000
MOST_BEYOND = 0.2
"""With a larger part of the delays beyond the laser's period, the sync rate or the mode is not what the header says."""


class Header(Document):
    """What a file says of itself; None where it does not.

    Attributes
    ----------
    instrument
        As named in the file.
    n_records
        Records promised: photons, overflows and markers.
    sync_rate_Hz
        As counted at the start of the measurement.
    acquisition_s
        Time the measurement was set to, or said to have, taken.
    shared_timing
        All detectors are timed by one circuit, so that two photons of one pulse cannot both be there.
    """

    source_file: str | None = None
    source_sha256: str | None = None
    instrument: str | None = None
    record_type: str | None = None
    created: str | None = None
    comment: str | None = None
    n_records: int | None = None
    sync_rate_Hz: float | None = None
    acquisition_s: float | None = None
    shared_timing: bool = False


@dataclass(frozen=True)
class PhotonStream:
    """Photons in the order of their arrival.

    Attributes
    ----------
    mode
        ``T3``: a laser pulse and a delay after it; ``T2``: a time.
    time
        int64, shape (photons,). T3: index of the laser pulse; T2: time. In units of ``time_unit_s``.
    time_unit_s
        T3: the period of the laser; T2: the time resolution.
    channel
        uint8, shape (photons,): the detector.
    dtime
        T3: delay after the pulse, int32, shape (photons,), in units of ``dtime_unit_s``; T2: None.
    duration
        Length of the measurement in units of ``time_unit_s``, up to the last event of any kind.
    warnings
        What in the file contradicts itself, with both figures.
    """

    mode: Mode
    time: Ints
    channel: NDArray[np.uint8]
    time_unit_s: float
    dtime: NDArray[np.int32] | None = None
    dtime_unit_s: float | None = None
    duration: int = 0
    header: Header = field(default_factory=Header)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.mode == "T3") != (self.dtime is not None and self.dtime_unit_s is not None):
            raise InputError("A T3 stream needs the delays and their unit; a T2 stream has none.")
        units = [("time", self.time_unit_s), ("delay", 1.0 if self.dtime_unit_s is None else self.dtime_unit_s)]
        for name, unit in units:
            if not 0 < unit < 10:
                raise InputError(
                    f"The {name} unit of the photons is {unit!r} s, which cannot be; the header is damaged."
                )
        if self.mode == "T3" and self.period_bins < 2:
            raise InputError(
                f"The delays' unit, {self.dtime_unit_s:.3g} s, is not smaller than the period of the laser, "
                f"{self.time_unit_s:.3g} s; the header is damaged or this is a T2 measurement."
            )

    def __len__(self) -> int:
        return len(self.time)

    @property
    def duration_s(self) -> float:
        return self.duration * self.time_unit_s

    @property
    def rep_rate_Hz(self) -> float:
        """T3: laser pulses a second."""
        return 1.0 / self.time_unit_s

    @property
    def period_bins(self) -> int:
        """T3: delay bins in a period of the laser: its length over their width, not the largest delay seen."""
        if self.dtime_unit_s is None:
            raise InputError("A T2 stream has no laser period.")
        return round(self.time_unit_s / self.dtime_unit_s)

    @property
    def delay_bins(self) -> int:
        """T3: bins of a decay: a period of the laser, or as far as delays of 16 bits reach."""
        return min(self.period_bins, MOST_DELAY_BINS)

    def times_s(self) -> NDArray[np.float64]:
        """Arrival times in s, shape (photons,); after an hour still exact to a picosecond."""
        times: NDArray[np.float64] = self.time.astype(np.float64) * self.time_unit_s
        if self.dtime is not None and self.dtime_unit_s is not None:
            times += self.dtime * self.dtime_unit_s
        return times

    def only(self, channels: Sequence[int]) -> PhotonStream:
        """The photons of these channels."""
        return self[np.isin(self.channel, channels)]

    def __getitem__(self, which: slice | NDArray[np.bool_] | Ints) -> PhotonStream:
        dtime = None if self.dtime is None else self.dtime[which]
        return replace(self, time=self.time[which], channel=self.channel[which], dtime=dtime)

    def followed_by(self, *later: PhotonStream) -> PhotonStream:
        """One stream of this piece and those after it, with the facts of the last."""
        pieces = (self, *later)
        dtimes = [piece.dtime for piece in pieces if piece.dtime is not None]
        return replace(
            pieces[-1],
            time=np.concatenate([piece.time for piece in pieces]),
            channel=np.concatenate([piece.channel for piece in pieces]),
            dtime=np.concatenate(dtimes) if dtimes else None,
        )

    def decay(self, channel: int | None = None) -> Ints:
        """T3: photons by delay, shape (delay_bins,); delays beyond the period are left out."""
        if self.dtime is None:
            raise InputError("A T2 stream has no decay: its photons are not timed against laser pulses.")
        delays = self.dtime if channel is None else self.dtime[self.channel == channel]
        n = self.delay_bins
        return np.bincount(delays[(delays >= 0) & (delays < n)], minlength=n).astype(np.int64)

    def trace(self, bin_s: float) -> Ints:
        """Photons in successive bins of ``bin_s``; a last bin that is not full is left out.

        Raises
        ------
        InputError
            The bin is not positive, or longer than the measurement.
        """
        width = bin_s / self.time_unit_s
        n_bins = int(self.duration / width) if width > 0 else 0
        if n_bins > MOST_TRACE_BINS:
            raise InputError(
                f"Bins of {bin_s} s in {self.duration_s:.3g} s are more than {MOST_TRACE_BINS}; take longer ones."
            )
        if n_bins < 1:
            raise InputError(f"The trace's bin, {bin_s} s, does not fit into a measurement of {self.duration_s:.3g} s.")
        edges = np.ceil(np.arange(n_bins + 1) * width).astype(np.int64)
        return np.diff(np.searchsorted(self.time, edges))


class Detectors(Document):
    """Which channels hold photons.

    Attributes
    ----------
    counts
        Photons by channel, those of no photon left out.
    active
        Channels that are detectors, the busiest first.
    nearly_empty
        Channels with some photons, but less than `EMPTY_PART` of the busiest one's.
    """

    counts: dict[int, int]
    active: tuple[int, ...]
    nearly_empty: tuple[int, ...]

    def pair(self) -> tuple[int, int]:
        """The two detectors of a correlation, in the order of their numbers.

        Raises
        ------
        InputError
            There are fewer than two.
        """
        if len(self.active) < 2:
            few = f"; {self._few()}" if self.nearly_empty else ""
            raise InputError(
                f"g2 needs two detectors, and only channel {', '.join(map(str, self.active)) or '(none)'} "
                f"has photons{few}: behind one detector its dead time hides photons that come together."
            )
        first, second = sorted(self.active[:2])
        return first, second

    def _few(self) -> str:
        return ", ".join(f"channel {channel} has {self.counts[channel]}" for channel in self.nearly_empty)


def detectors_from_counts(counts: NDArray[np.integer]) -> Detectors:
    """Tell detectors from empty channels by the number of photons of each channel, shape (channels,)."""
    order = [int(c) for c in np.argsort(counts, kind="stable")[::-1] if counts[c]]
    active = tuple(c for c in order if counts[c] >= EMPTY_PART * counts[order[0]])
    return Detectors(
        counts={c: int(counts[c]) for c in sorted(order)},
        active=active,
        nearly_empty=tuple(c for c in order if c not in active),
    )


def check(stream: PhotonStream) -> tuple[str, ...]:
    """`contradictions` of a whole stream.

    Raises
    ------
    InputError
        There are no photons, or most delays cannot belong to this laser.
    """
    if stream.dtime is None or not len(stream):
        return contradictions(stream, len(stream))
    beyond = int(np.count_nonzero((stream.dtime >= stream.delay_bins) | (stream.dtime < 0)))
    return contradictions(stream, len(stream), beyond, int(stream.dtime.max()))


def contradictions(stream: PhotonStream, n_photons: int, n_beyond: int = 0, longest_delay: int = 0) -> tuple[str, ...]:
    """The header's claims against the photons: a sentence with both figures for each contradiction.

    Parameters
    ----------
    stream
        Any piece of the stream that knows the whole duration.
    n_photons, n_beyond, longest_delay
        Of the whole stream: photons, those of them whose delay is longer than the period, the longest one.

    Raises
    ------
    InputError
        There are no photons, or most delays cannot belong to this laser.
    """
    header, found = stream.header, []
    name = header.source_file or "The stream"
    if not n_photons:
        raise InputError(f"{name} holds no photons.")
    if stream.mode == "T3" and header.sync_rate_Hz and not _near(header.sync_rate_Hz, stream.rep_rate_Hz, 0.01):
        found.append(
            f"The header's sync rate is {header.sync_rate_Hz:.6g} Hz, but its time unit means {stream.rep_rate_Hz:.6g} Hz; "
            "the latter is used."
        )
    if header.acquisition_s and not _near(header.acquisition_s, stream.duration_s, 0.02):
        found.append(
            f"The header's acquisition time is {header.acquisition_s:.4g} s, but its events last {stream.duration_s:.4g} s: "
            "the measurement was stopped early, or the sync rate is wrong."
        )
    if n_beyond:
        assert stream.dtime_unit_s is not None
        figures = (
            f"{n_beyond} of {n_photons} delays ({n_beyond / n_photons:.1%}) are longer than the laser's period, "
            f"{1e9 * stream.time_unit_s:.5g} ns by the header (the longest is {1e9 * longest_delay * stream.dtime_unit_s:.5g} ns)"
        )
        if n_beyond > MOST_BEYOND * n_photons:
            raise InputError(f"{name}: {figures}: the sync rate is wrong, or these are no T3 records.")
        found.append(figures + "; they are left out of decays and pairs.")
    return tuple(found)


def _near(a: float, b: float, part: float) -> bool:
    return abs(a - b) <= part * max(abs(a), abs(b))
