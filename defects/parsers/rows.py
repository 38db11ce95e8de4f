"""Rows of numbers in fixed columns, ``<r>  0.0113  0.0001 </r>``, read by the million.

Nearly all of a large vasprun.xml is such rows of projections, whose sums are all that is kept. Eight
characters, ``  0.0113``, are one 64-bit word; once the codes of the blanks, the point and the digit 0 are
taken away, each byte holds a digit, and words of several numbers add up byte by byte without a carry. So a row
is summed in as many additions as it has numbers, and only the eight sums of digits are made into a number.
"""

from __future__ import annotations

import re
from itertools import chain

import numpy as np

ROW = re.compile(rb"<r>([^<]*)</r>")
WORD = 8
"""Characters looked at of each number: those up to its last decimal."""
MOST_NUMBERS = 28
"""Of more numbers than these the digits, 9 at most, could add up to more than a byte holds."""


class BadNumberError(ValueError):
    """What stands in a row is no finite number; ``row`` counts from 0 within the piece."""

    def __init__(self, row: int, text: str):
        super().__init__(text)
        self.row = row
        self.text = text


def row_sums(piece: bytes) -> np.ndarray:
    """The sum of the numbers of each row, shape (row,).

    Raises
    ------
    BadNumberError
        A row holds something else.
    """
    table = _table(piece)
    sums = None if table is None else _sums_of_words(table)
    if sums is not None:
        return sums
    return np.array([sum(_floats(text, row)) for row, text in enumerate(ROW.findall(piece))], dtype=float)


def row_values(piece: bytes) -> np.ndarray:
    """The numbers of each row, shape (row, column).

    Raises
    ------
    BadNumberError
        A row holds something else, or not as many numbers as the first one.
    """
    rows = [text.split() for text in ROW.findall(piece)]
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows):
        if len(row) != width:
            raise BadNumberError(number, b" ".join(row).decode("latin-1"))
    try:
        values = np.fromiter(map(float, chain.from_iterable(rows)), dtype=float, count=len(rows) * width)
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        for number, row in enumerate(rows):
            _floats(b" ".join(row), number)
    return values.reshape(len(rows), width)


def _floats(text: bytes, row: int) -> list[float]:
    try:
        values = [float(part) for part in text.split()]
    except ValueError:
        values = [float("nan")]
    if not all(map(np.isfinite, values)):
        raise BadNumberError(row, text.decode("latin-1").strip())
    return values


def _table(piece: bytes) -> np.ndarray | None:
    """Bytes between ``<r>`` and ``</r>``, shape (row, column), or None if the rows differ in length."""
    codes = np.frombuffer(piece, dtype=np.uint8)
    letters = np.flatnonzero(codes == ord("r"))
    letters = letters[(letters > 0) & (letters < len(codes) - 1)]
    letters = letters[codes[letters + 1] == ord(">")]
    before = codes[letters - 1]
    starts, ends = letters[before == ord("<")] + 2, letters[before == ord("/")] - 2
    if not len(starts) or len(starts) != len(ends):
        return None
    width = int(ends[0] - starts[0])
    if width <= 0 or not (ends - starts == width).all():
        return None
    return np.lib.stride_tricks.sliding_window_view(codes, width)[starts]


def _sums_of_words(table: np.ndarray) -> np.ndarray | None:
    """Sums of rows whose numbers are all written as the first row's first; None if some are not.

    They are not if one is negative, has another number of digits or stands in other columns.
    """
    first = bytes(table[0])
    pattern = re.match(rb" *\d\.(\d+)", first)
    ends = [found.end() for found in re.finditer(rb"\d\.\d+", first)]
    if pattern is None or not 0 < len(pattern[1]) <= WORD - 2 or not 0 < len(ends) <= MOST_NUMBERS:
        return None
    decimals = len(pattern[1])
    if ends[0] < WORD or (np.diff(ends) < WORD).any():
        return None
    written = b"0." + b"0" * decimals
    is_digit = [sign == ord("0") for sign in written.rjust(WORD)]
    zeros = _word(written.rjust(WORD))
    no_digit = _word(bytes(0xF0 if digit else 0xFF for digit in is_digit))
    six, high = (_word(bytes(code if digit else 0 for digit in is_digit)) for code in (0x06, 0xF0))
    sums, wrong = np.zeros(len(table), dtype=np.uint64), np.zeros(len(table), dtype=np.uint64)
    for end in ends:
        digits = np.ascontiguousarray(table[:, end - WORD : end]).view(np.uint64)[:, 0] ^ zeros
        # A digit stays below 10 if adding 6 leaves the upper half of its byte empty.
        wrong |= (digits & no_digit) | ((digits + six) & high)
        sums += digits
    covered = {column for end in ends for column in range(end - WORD, end)}
    between = [column for column in range(table.shape[1]) if column not in covered]
    if wrong.any() or not (table[:, between] == ord(" ")).all():
        return None
    places = 10.0 ** -np.array([0, 0, *range(1, decimals + 1)])  # of the unit, the point and the decimals
    of_bytes = sums[:, None].view(np.uint8)[:, WORD - 2 - decimals :]
    total = np.zeros(len(table))
    for place, digit_sum in zip(np.round(places * 10.0**decimals), of_bytes.T, strict=True):
        total += place * digit_sum
    return total / 10.0**decimals


def _word(signs: bytes) -> np.uint64:
    return np.frombuffer(signs, dtype=np.uint64)[0]
