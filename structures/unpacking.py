"""Bytes of a file, unpacked piece by piece: memory and work stay bounded, whatever the file claims to be."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from midgap.structures.errors import InputError

CHUNK = 1 << 20
MOST_RATIO = 200
"""Real outputs shrink to a tenth or a thirtieth; a file that unpacks to more than this was made to fill memory."""
HARMLESS = 64 << 20
"""Up to this size, bytes, the ratio does not matter."""


class CutShortError(Exception):
    """The file ended where more was to come."""


def chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, unzipped if it ends in ``.gz``, about a megabyte at a time.

    Raises
    ------
    InputError
        The file is missing, unreadable or no sound gzip, or unpacks to more than 200 times its size.
    CutShortError
        The gzip ends in the middle; all that came before has been given out.
    """
    try:
        packed = path.stat().st_size
        size = 0
        with path.open("rb") as stream:
            for piece in _unzipped(stream) if path.suffix == ".gz" else iter(lambda: stream.read(CHUNK), b""):
                size += len(piece)
                if size > HARMLESS and size > MOST_RATIO * packed:
                    raise InputError(
                        f"{path} unpacks to more than {MOST_RATIO} times its size; that is no output of a calculation."
                    )
                yield piece
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except zlib.error as error:
        raise InputError(
            f"{path} is a damaged gzip file ({error}); copy it again from where it was computed."
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def _unzipped(stream: BinaryIO) -> Iterator[bytes]:
    """Members of a gzip file one after the other; what came before a cut is given out, which `gzip.open` loses."""
    member = zlib.decompressobj(wbits=31)
    while packed := stream.read(CHUNK // 4):
        while packed:
            if member.eof:
                packed = packed.lstrip(b"\0")  # padding that some tapes and file systems leave
                if not packed:
                    break
                member = zlib.decompressobj(wbits=31)
            if piece := member.decompress(packed, CHUNK):
                yield piece
            packed = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise CutShortError
