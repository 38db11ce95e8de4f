"""Bytes of an output file, unpacked piece by piece: memory and work stay bounded, whatever the file claims to be."""

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
LONGEST_TOKEN = 8 << 20
"""No tag or line of a real output is longer, bytes."""


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


def lines(path: Path, cut_short: list[bool] | None = None) -> Iterator[str]:
    """The file's lines without their ends; a gzip that is cut short ends the lines and is noted in ``cut_short``.

    Raises
    ------
    InputError
        As `chunks`, or a line is longer than eight megabytes.
    """
    rest = b""
    try:
        for piece in chunks(path):
            rest += piece
            *whole, rest = rest.split(b"\n")
            if len(rest) > LONGEST_TOKEN:
                raise InputError(f"{path} has a line of more than {LONGEST_TOKEN >> 20} MB; it is no output of VASP.")
            for line in whole:
                yield line.decode("latin-1").rstrip("\r")
    except CutShortError:
        if cut_short is not None:
            cut_short.append(True)
    if rest:
        yield rest.decode("latin-1")


class Scanner:
    """Cuts a stream of bytes at given marks; holds about one chunk of it at a time."""

    def __init__(self, pieces: Iterator[bytes], source: Path):
        self._pieces = pieces
        self._source = source
        self.buffer = b""
        self.ended = False

    def more(self) -> bool:
        """Read on; False at the end of the stream."""
        if len(self.buffer) > LONGEST_TOKEN:
            raise InputError(
                f"{self._source} goes on for {LONGEST_TOKEN >> 20} MB without a closing tag; it is no vasprun.xml of VASP."
            )
        try:
            piece = next(self._pieces, None)
        except CutShortError:
            piece = None
        if piece is None:
            self.ended = True
            return False
        self.buffer += piece
        return True

    def take(self, count: int) -> bytes:
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def until(self, *ends: bytes) -> Iterator[bytes]:
        """Pieces up to and with the first of the marks, each but the last cut after a closing tag.

        Raises
        ------
        CutShortError
            The stream ended before.
        """
        longest = max(map(len, ends))
        searched = 0
        while True:
            found = [(at, end) for end in ends if (at := self.buffer.find(end, searched)) >= 0]
            if found:
                at, end = min(found)
                yield self.take(at + len(end))
                return
            if cut := self._after_last_closing_tag():
                yield self.take(cut)
            searched = max(0, len(self.buffer) - longest)
            if not self.more():
                raise CutShortError

    def _after_last_closing_tag(self) -> int:
        at = self.buffer.rfind(b"</")
        if at >= 0 and self.buffer.find(b">", at) < 0:  # the tag itself is not whole yet
            at = self.buffer.rfind(b"</", 0, at)
        return self.buffer.find(b">", at) + 1 if at >= 0 else 0

    def skip(self, *ends: bytes) -> bytes:
        """Throw away up to and with the first of the marks; returns the last piece."""
        last = b""
        for piece in self.until(*ends):
            last = piece
        return last
