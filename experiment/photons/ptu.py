"""PicoQuant PTU: photons read in pieces of bounded size.

The header and the meaning of a record are ptufile's; overflows are carried from piece to piece here.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.compiled import compiled
from midgap.experiment.extras import missing
from midgap.experiment.photons.stream import Header, Mode, PhotonStream
from midgap.structures.errors import InputError

HEADER_BYTES = 4 << 20
"""Headers are a few kB; what claims to be larger is not read."""
LATEST = 1 << 62
"""No time can be larger: 146 years in ps."""
SYNC_CHANNEL = np.int8(64)
"""The number that phconvert too gives a T2 record of the sync input."""
DISORDER = 1000
"""Records of different detectors may be written this much out of order; more is damage."""

_MODES: dict[int, Mode] = {2: "T2", 3: "T3"}


class PtuFile:
    """A PTU file, opened: its header, and its photons in pieces.

    After `chunks` is exhausted, ``duration`` (in time units), ``source_sha256`` and ``warnings`` are of
    the whole file.

    Raises
    ------
    InputError
        Not a PTU file, damaged, or of histograms instead of photons.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._ptu = _open(self.path)
        self.mode = self._mode()
        tags = self._ptu.tags
        self.time_unit_s = self._number("MeasDesc_GlobalResolution")
        self.dtime_unit_s = self._number("MeasDesc_Resolution") if self.mode == "T3" else None
        self.header = Header(
            source_file=self.path.name,
            instrument=_text(tags.get("HW_Type")),
            record_type=_record_name(self._ptu),
            created=_text(tags.get("File_CreatingTime")),
            comment=_text(tags.get("File_Comment")),
            n_records=_count(tags.get("TTResult_NumberOfRecords")),
            sync_rate_Hz=_count(tags.get("TTResult_SyncRate")),
            acquisition_s=None if (ms := _count(tags.get("MeasDesc_AcquisitionTime"))) is None else 1e-3 * ms,
            shared_timing=tags["TTResultFormat_TTTRRecType"] == 0x00010303,
        )
        self.duration = 0
        self.warnings: tuple[str, ...] = ()
        self.source_sha256 = ""
        try:
            self.empty()  # units that cannot be are told now
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def empty(self) -> PhotonStream:
        """A stream of this file's units without photons."""
        none = np.empty(0, np.int64)
        dtime = none.astype(np.int32) if self.mode == "T3" else None
        channel = none.astype(np.uint8)
        return PhotonStream(self.mode, none, channel, self.time_unit_s, dtime, self.dtime_unit_s, header=self.header)

    def chunks(self, n_records: int = 1 << 21) -> Iterator[PhotonStream]:
        """Photons in pieces made from ``n_records`` records each, in the order of time.

        Raises
        ------
        InputError
            Times that run backwards or beyond all bounds: damaged records, or records of another kind.
        """
        self.warnings = ()
        digest = hashlib.sha256()
        blank = self.empty()
        carry, read, last, disorder = 0, 0, 0, 0
        promised = self.header.n_records
        with self.path.open("rb") as stream:
            digest.update(stream.read(self._ptu.record_offset))
            while raw := stream.read(4 * n_records):
                digest.update(raw)
                left = len(raw) // 4 if not promised else min(len(raw) // 4, promised - read)
                if left <= 0:
                    continue  # what stands after the records only counts for the checksum
                records = np.frombuffer(raw, "<u4", left)
                read += left
                # A photon at time zero, put after the last record, tells how far the overflows have come.
                decoded = self._decoded(np.append(records, np.uint32(0)))
                piece, end = self._photons(records, decoded, carry)
                carry += end
                if not 0 <= carry < LATEST:
                    raise InputError(f"{self.path}: its overflows add up beyond all bounds; the records are damaged.")
                if len(piece[0]):
                    disorder += self._order(piece, last)
                    last = max(last, int(piece[0][-1]))
                self.duration = max(carry, last)
                time, channel, dtime = piece
                yield PhotonStream(
                    self.mode, time, channel, self.time_unit_s, dtime, self.dtime_unit_s, self.duration, blank.header
                )
        self.source_sha256 = digest.hexdigest()
        self.warnings = tuple(self._complaints(read, disorder))

    def _decoded(self, records: NDArray[np.uint32]) -> NDArray[Any]:
        decoded: NDArray[Any] = self._ptu.decode_records(records)
        if self._loses_turns:
            # What 32 bits cannot hold of a number of overflows times 2^25: each 128 of them are 2^32.
            lost = np.where(records >> 25 == 127, (records & 0x1FFFFFF) >> 7, 0)
            if lost.any():
                decoded["time"] += np.cumsum(lost.astype(np.uint64)) << np.uint64(32)
        return decoded

    @cached_property
    def _loses_turns(self) -> bool:
        """Whether 128 overflows in one T2 record come back as none, as in ptufile 2026.2."""
        if self.mode == "T3" or _record_name(self._ptu) in ("PicoHarpT2", "HydraHarpT2"):
            return False
        probe = self._ptu.decode_records(np.array([(127 << 25) | 128, 0], np.uint32))
        return int(probe["time"][-1]) == 0

    def _photons(self, records: NDArray[np.uint32], decoded: NDArray[Any], carry: int) -> tuple[list[Any], int]:
        end = int(decoded["time"][-1])
        # An overflow adds less than 2^51, so that times cannot leave 64 bits without showing up here.
        if int(decoded["time"].max()) >= LATEST - carry:
            raise InputError(f"{self.path}: its overflows add up beyond all bounds; the records are damaged.")
        kernels = compiled("photons.kernels")
        decoded = decoded[:-1]
        n = len(decoded)
        time, channel = np.empty(n, np.int64), np.empty(n, np.uint8)
        if self.mode == "T3":
            dtime = np.empty(n, np.int32)
            n = kernels.pick_t3(decoded["time"], decoded["channel"], decoded["dtime"], carry, time, channel, dtime)
            return [time[:n], channel[:n], dtime[:n]], end
        # ptufile gives the sync input, which can be a detector in T2 mode, the number of the first input.
        is_sync = (records >> 25 == 64) & (self._ptu.tags["TTResultFormat_TTTRRecType"] != 0x00010203)
        channels = np.where(is_sync, SYNC_CHANNEL, decoded["channel"])
        n = kernels.pick_t2(decoded["time"], channels, carry, time, channel)
        return [time[:n], channel[:n], None], end

    def _order(self, piece: list[Any], last: int) -> int:
        """Put photons in order that are a little out of it; how many were."""
        time, channel, dtime = piece
        back, farthest = compiled("photons.kernels").backward_steps(time, last)
        if not back:
            return 0
        if farthest > DISORDER or time.min() < 0:
            raise InputError(
                f"{self.path}: {back} of {len(time)} photons come before the ones recorded earlier, by up to {farthest} "
                f"time units; the records are damaged, or of another kind than the header's {self.header.record_type}."
            )
        order = np.argsort(time, kind="stable")
        piece[:] = [time[order], channel[order], None if dtime is None else dtime[order]]
        return back

    def _complaints(self, read: int, disorder: int) -> Iterator[str]:
        promised = self.header.n_records
        held, rest = divmod(self.path.stat().st_size - self._ptu.record_offset, 4)
        piece = " and a piece of one" if rest else ""
        if not promised:
            yield f"The header does not say how many records there are; all {read} in the file are used."
        elif read < promised:
            yield f"The header promises {promised} records, the file holds {held}{piece}: it is truncated."
        elif held > promised:
            yield f"The header promises {promised} records, the file holds {held}{piece}; those promised are used."
        if disorder:
            yield f"{disorder} photons were recorded out of order, by up to {DISORDER} time units, and have been sorted."

    def _mode(self) -> Mode:
        tags = self._ptu.tags
        record_type = tags.get("TTResultFormat_TTTRRecType")
        if not isinstance(record_type, int) or _record_name(self._ptu) is None:
            raise InputError(f"{self.path}: its record type, {record_type!r}, is none that midgap knows.")
        by_record, by_header = _MODES[(record_type >> 8) & 0xFF], tags.get("Measurement_Mode")
        if by_header not in (2, 3) or _MODES[by_header] != by_record:
            raise InputError(
                f"{self.path}: the header says mode T{by_header}, but its records are of type {_record_name(self._ptu)}; "
                "which of the two is true must be settled in the file."
            )
        if tags.get("TTResultFormat_BitsPerRecord", 32) not in (0, 32):
            raise InputError(f"{self.path}: records of {tags['TTResultFormat_BitsPerRecord']} bits are not known.")
        return by_record

    def _number(self, tag: str) -> float:
        value = self._ptu.tags.get(tag)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{self.path}: the header has no number {tag}, without which times have no unit.")
        return float(value)


def _open(path: Path) -> Any:
    try:
        import ptufile
    except ModuleNotFoundError:
        raise missing("ptufile", "Reading PTU files") from None
    try:
        with path.open("rb") as stream:
            # ptufile reads as many bytes as a tag tells it to; from a buffer it can get no more than there are.
            head = io.BytesIO(stream.read(HEADER_BYTES))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    logger = logging.getLogger("ptufile")
    disabled, logger.disabled = logger.disabled, True  # it tells of oddities in tags that do not matter here
    try:
        return ptufile.PtuFile(head)
    except Exception as error:  # a damaged header raises whatever its bytes lead to
        raise InputError(
            f"{path} is not a readable PTU file: its header is damaged or ends early ({_first_line(error)})."
        ) from None
    finally:
        logger.disabled = disabled


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].replace("@ 'BytesIO' ", "")[:120]


def _record_name(ptu: Any) -> str | None:
    try:
        return str(ptu.record_type.name)
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") and not isinstance(value, bytes) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
