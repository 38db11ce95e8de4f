"""Lines and marked sections of an output file, cut out of its stream of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from midgap.structures.errors import InputError
from midgap.structures.unpacking import CutShortError, chunks

LONGEST_TOKEN = 8 << 20
"""No tag or line of a real output is longer, bytes."""


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
