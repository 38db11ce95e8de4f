"""Photon-HDF5 (A. Ingargiola et al., Biophys. J. 110, 26 (2016)): photons read in pieces of bounded size."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from midgap.experiment.extras import missing
from midgap.experiment.photons.stream import Header, Mode, PhotonStream
from midgap.structures.errors import InputError
from midgap.structures.hdf5_trial import refuse_endless

MOST_PER_BYTE = 100
"""Compression makes no more photons of a byte; a file that promises more would be read without end."""


class PhotonHdf5:
    """A Photon-HDF5 file, opened; the same face as `ptu.PtuFile`.

    Delays are used (T3) where the clock of the time stamps is the laser's; otherwise the stream is T2,
    and ``warnings`` says so.

    Raises
    ------
    InputError
        Not a Photon-HDF5 file, of several spots, or without units.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        with _damage_in_words(self.path):
            self._read_head()

    def _read_head(self) -> None:
        if "photon_data0" in self._file:
            raise InputError(f"{self.path} holds photons of several spots; write one file a spot.")
        self._times = self._column("timestamps")
        if self._times is None:
            raise InputError(f"{self.path} holds no photon_data/timestamps.")
        if self._times.shape[0] > MOST_PER_BYTE * self.path.stat().st_size:
            raise InputError(
                f"{self.path} promises {self._times.shape[0]} photons, more than a file of its size can hold."
            )
        self.time_unit_s = self._number("photon_data/timestamps_specs/timestamps_unit")
        self._told: list[str] = []
        self.mode = self._mode()
        self.dtime_unit_s = self._number("photon_data/nanotimes_specs/tcspc_unit") if self.mode == "T3" else None
        rates = self._rates()
        self.header = Header(
            source_file=self.path.name,
            instrument=_text(self._get("provenance/software")),
            record_type="Photon-HDF5",
            created=_text(self._get("provenance/creation_time")),
            comment=_text(self._get("description")),
            n_records=int(self._times.shape[0]),
            sync_rate_Hz=rates[0] if len(rates) == 1 else None,
            acquisition_s=self._number("acquisition_duration") if "acquisition_duration" in self._file else None,
        )
        self.duration = 0
        self.warnings: tuple[str, ...] = ()
        self.source_sha256 = ""

    def chunks(self, n_records: int = 1 << 21) -> Iterator[PhotonStream]:
        """Photons in pieces of ``n_records``, in the order of time.

        Raises
        ------
        InputError
            Times that run backwards.
        """
        last = 0
        for start in range(0, self._times.shape[0], n_records):
            which = slice(start, start + n_records)
            with _damage_in_words(self.path):
                stamps = self._times[which]
            if stamps.min() < 0:
                raise InputError(
                    f"{self.path}: its time stamps begin at {stamps.min()}; they must count from 0 on, so subtract the first."
                )
            time = stamps.astype(np.int64)
            if np.any(np.diff(time) < 0) or time[0] < last:
                raise InputError(
                    f"{self.path}: the time stamps run backwards near photon {start}; sort the file first."
                )
            with _damage_in_words(self.path):
                channel = self._array("detectors", which, len(time)).astype(np.uint8)
                dtime = self._array("nanotimes", which, len(time)).astype(np.int32) if self.mode == "T3" else None
            last = self.duration = int(time[-1])
            yield PhotonStream(
                self.mode, time, channel, self.time_unit_s, dtime, self.dtime_unit_s, self.duration, self.header
            )
        with self.path.open("rb") as stream:
            self.source_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        self.warnings = tuple(self._told)

    def empty(self) -> PhotonStream:
        """A stream of this file's units without photons."""
        none = np.empty(0, np.int64)
        dtime = none.astype(np.int32) if self.mode == "T3" else None
        return PhotonStream(
            self.mode, none, none.astype(np.uint8), self.time_unit_s, dtime, self.dtime_unit_s, header=self.header
        )

    def _mode(self) -> Mode:
        rates = self._rates()
        if self._column("nanotimes") is None:
            return "T2"
        if not rates:
            self._told.append("No laser repetition rate is given; the unit of the time stamps is taken for its period.")
            return "T3"
        if len(rates) > 1 or abs(rates[0] * self.time_unit_s - 1) > 0.01:
            self._told.append(
                f"The time stamps' clock is {1 / self.time_unit_s:.6g} Hz, the laser's {', '.join(f'{r:.6g}' for r in rates)} Hz: "
                "which pulse a photon belongs to is not known, and the delays are not used."
            )
            return "T2"
        return "T3"

    def _rates(self) -> list[float]:
        rates = np.ravel(self._get("setup/laser_repetition_rates"))
        return [float(rate) for rate in rates if rate > 0] if rates.dtype.kind in "iuf" else []

    def _array(self, name: str, which: slice, n: int) -> Any:
        column = self._column(name)
        if column is None:
            return np.zeros(n, np.uint8)
        values = column[which]
        if len(values) != n:
            fewer = "fewer" if len(values) < n else "more"
            raise InputError(f"{self.path}: {name} holds {fewer} photons than timestamps.")
        if values.min() < 0 or values.max() > (255 if name == "detectors" else 2**31 - 1):
            raise InputError(
                f"{self.path}: {name} holds numbers from {values.min()} to {values.max()}, which cannot be."
            )
        return values

    def _column(self, name: str) -> Any:
        """One integer a photon; None if there is no such column."""
        import h5py

        column = self._file.get(f"photon_data/{name}")
        if column is None:
            return None
        if not isinstance(column, h5py.Dataset) or column.ndim != 1 or column.dtype.kind not in "iu":
            raise InputError(f"{self.path}: photon_data/{name} is not a row of integers.")
        return column

    def _get(self, name: str) -> Any:
        import h5py

        item = self._file.get(name)
        return item[()] if isinstance(item, h5py.Dataset) else None

    def _number(self, name: str) -> float:
        value = np.asarray(self._get(name))
        if value.size != 1 or value.dtype.kind not in "iuf":
            raise InputError(f"{self.path} has no number {name}, without which its photons have no unit.")
        return float(value.ravel()[0])


@contextlib.contextmanager
def _damage_in_words(path: Path) -> Iterator[None]:
    """What HDF5's library says to a file whose inside is broken, as a sentence."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        raise InputError(f"{path} is a damaged HDF5 file ({str(error)[:120] or type(error).__name__}).") from None


def _open(path: Path) -> Any:
    try:
        import h5py
    except ModuleNotFoundError:
        raise missing("h5py", "Reading Photon-HDF5 files") from None
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    refuse_endless(path)
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} is not a readable HDF5 file ({str(error)[:120]}).") from None


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None
