"""Photon streams as PicoQuant PTU files, records of the HydraHarp of version 2, T2 and T3."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.photons.stream import PhotonStream
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError

SPECIAL = np.uint32(1 << 31)
OVERFLOW = np.uint32(63 << 25)
MOST_OVERFLOWS = {"T2": 127, "T3": 1023}
"""In one record: the format has 25 bits and 10 for the number, but some readers lose more than 7 in T2 records."""

_EMPTY, _BOOL, _INT, _FLOAT, _TIME, _TEXT = (
    0xFFFF0008,
    0x00000008,
    0x10000008,
    0x20000008,
    0x21000008,
    0x4001FFFF,
)


def write_ptu(path: Path | str, stream: PhotonStream, comment: str = "", created_day: float = 45658.0) -> Path:
    """Write a stream as a PTU file.

    Parameters
    ----------
    created_day
        Days since 30 December 1899, the file's time of creation; it is an argument so that equal photons
        make equal files. 45658 is 1 January 2025.

    Raises
    ------
    InputError
        The photons do not fit the format: channels up to 62 (64 for the sync input of T2), delays of 15 bits, times that ascend from 0.
    """
    if len(stream) and (stream.time[0] < 0 or np.any(np.diff(stream.time) < 0)):
        raise InputError("Photons can be written only in the order of their times, which begin at zero.")
    known = np.arange(65) if stream.mode == "T2" else np.arange(63)
    if not np.isin(stream.channel, known[known != 63]).all():
        raise InputError(f"The format has channels 0 to 62, not {stream.channel.max()}.")
    records = _t2_records(stream) if stream.mode == "T2" else _t3_records(stream)
    header = b"PQTTTR\0\0" + b"1.0.00\0\0" + b"".join(_tags(stream, len(records), comment, created_day))
    return write_atomic(path, header + records.tobytes())


def _t3_records(stream: PhotonStream) -> NDArray[np.uint32]:
    assert stream.dtime is not None
    if len(stream) and not 0 <= stream.dtime.min() <= stream.dtime.max() < 1 << 15:
        raise InputError(f"Delays must fit into 15 bits; the longest is {stream.dtime.max()} of its units.")
    photons = stream.channel.astype(np.uint32) << np.uint32(25)
    photons |= stream.dtime.astype(np.uint32) << np.uint32(10)
    photons |= (stream.time & 1023).astype(np.uint32)
    return _with_overflows(photons, stream.time >> 10, stream.duration >> 10, MOST_OVERFLOWS["T3"])


def _t2_records(stream: PhotonStream) -> NDArray[np.uint32]:
    # Channel 64 is the sync input: its bit is that of special records.
    photons = stream.channel.astype(np.uint32) << np.uint32(25)
    photons |= (stream.time & ((1 << 25) - 1)).astype(np.uint32)
    return _with_overflows(photons, stream.time >> 25, stream.duration >> 25, MOST_OVERFLOWS["T2"])


def _with_overflows(photons: NDArray[np.uint32], turn: NDArray[np.int64], end: int, most: int) -> NDArray[np.uint32]:
    """Put overflow records before photons of a later turn of the counter, and after the last one."""
    turns = np.diff(np.concatenate([[0], turn, [max(end, turn[-1] if len(turn) else 0)]]))
    full, rest = np.divmod(turns, most)
    n_before = full + (rest > 0)
    place = np.arange(len(photons)) + np.cumsum(n_before[:-1])
    records = np.full(len(photons) + n_before.sum(), SPECIAL | OVERFLOW | np.uint32(most), np.uint32)
    records[place] = photons
    last = np.append(place, len(records)) - 1
    records[last[rest > 0]] = SPECIAL | OVERFLOW | rest[rest > 0].astype(np.uint32)
    return records


def _tags(stream: PhotonStream, n_records: int, comment: str, created_day: float) -> Iterator[bytes]:
    t3 = stream.mode == "T3"
    unit = stream.dtime_unit_s if t3 else stream.time_unit_s
    name = uuid.uuid5(uuid.NAMESPACE_OID, f"{n_records} {stream.duration} {stream.time_unit_s}")
    yield _tag("File_GUID", _TEXT, f"{{{str(name).upper()}}}")
    yield _tag("File_CreatingTime", _TIME, created_day)
    yield _tag("File_Comment", _TEXT, comment)
    yield _tag("CreatorSW_Name", _TEXT, "midgap")
    yield _tag("CreatorSW_Version", _TEXT, "1")
    yield _tag("Measurement_Mode", _INT, 3 if t3 else 2)
    yield _tag("Measurement_SubMode", _INT, 0)
    yield _tag("HW_Type", _TEXT, "HydraHarp 400")
    yield _tag("HW_PartNo", _TEXT, "930004")
    yield _tag("HW_Version", _TEXT, "2.0")
    yield _tag("HW_InpChannels", _INT, int(stream.channel.max(initial=1)) + 1)
    yield _tag("MeasDesc_BinningFactor", _INT, 1)
    yield _tag("MeasDesc_Resolution", _FLOAT, unit)
    yield _tag("MeasDesc_GlobalResolution", _FLOAT, stream.time_unit_s)
    yield _tag("MeasDesc_AcquisitionTime", _INT, round(1e3 * stream.duration_s))
    yield _tag("TTResult_SyncRate", _INT, round(stream.rep_rate_Hz) if t3 else 0)
    yield _tag("TTResult_NumberOfRecords", _INT, n_records)
    yield _tag("TTResult_StopReason", _INT, 0)
    yield _tag("TTResultFormat_TTTRRecType", _INT, 0x01010304 if t3 else 0x01010204)
    yield _tag("TTResultFormat_BitsPerRecord", _INT, 32)
    yield _tag("Header_End", _EMPTY, 0)


def _tag(name: str, kind: int, value: Any) -> bytes:
    head = struct.pack("<32siI", name.encode(), -1, kind)
    if kind == _TEXT:
        text = value.encode("windows-1252", "replace") + b"\0"
        text += b"\0" * (-len(text) % 8)
        return head + struct.pack("<q", len(text)) + text
    return head + struct.pack("<d" if kind in (_FLOAT, _TIME) else "<q", value)
