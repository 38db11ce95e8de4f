"""Files of single photons, whatever their format: opened, read in pieces or as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from midgap.experiment.photons.ptu import PtuFile
from midgap.experiment.photons.stream import Header, Mode, PhotonStream, check
from midgap.structures.errors import InputError

SUFFIXES = (".ptu", ".h5", ".hdf5")
LARGEST = 50_000_000
"""Photons that are held in memory at once, at 13 bytes each."""


class PhotonFile(Protocol):
    """What a reader of a format offers; the last three are known when `chunks` is exhausted."""

    header: Header
    mode: Mode
    duration: int
    warnings: tuple[str, ...]
    source_sha256: str

    def chunks(self, n_records: int = ...) -> Iterator[PhotonStream]: ...

    def empty(self) -> PhotonStream: ...


def open_photons(path: Path | str) -> PhotonFile:
    """Open a PTU or Photon-HDF5 file, told by its first bytes.

    Raises
    ------
    InputError
        It is missing, damaged, or of another format.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not a file of photons.") from None
    if magic.startswith(b"PQTTTR"):
        return PtuFile(path)
    if magic == b"\x89HDF\r\n\x1a\n":
        from midgap.experiment.photons.hdf5 import PhotonHdf5

        return PhotonHdf5(path)
    raise InputError(f"{path} is neither a PicoQuant PTU nor a Photon-HDF5 file (it begins with {magic!r}).")


def read_photons(path: Path | str, max_photons: int = LARGEST) -> PhotonStream:
    """All photons of a file, its header held against them.

    Raises
    ------
    InputError
        It cannot be read, holds no photons or more than ``max_photons``, or contradicts itself beyond use.
    """
    file = open_photons(path)
    pieces, n = [], 0
    for piece in file.chunks():
        pieces.append(piece)
        n += len(piece)
        if n > max_photons:
            raise InputError(
                f"{path} holds more than {max_photons} photons, too many for the memory; read it in pieces with chunks()."
            )
    return whole(file, pieces)


def whole(file: PhotonFile, pieces: Sequence[PhotonStream]) -> PhotonStream:
    """The pieces of an exhausted file as one checked stream."""
    stream = replace(
        file.empty().followed_by(*pieces),
        duration=file.duration,
        header=file.header.model_copy(update={"source_sha256": file.source_sha256}),
    )
    if len(stream) and np.any(np.diff(stream.time) < 0):  # a little disorder across the border of two pieces
        stream = stream[np.argsort(stream.time, kind="stable")]
    return replace(stream, warnings=file.warnings + check(stream))
