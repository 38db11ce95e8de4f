"""Rows of numbers in fixed columns, ``<r>  0.0113  0.0001 </r>``, read by the million.

Nearly all of a large vasprun.xml is such rows. Their bytes are laid out as a table (row, column) and the
columns that hold digits are multiplied by their place value: no number is made one at a time.
"""

from __future__ import annotations

import re

import numpy as np

ROW = re.compile(rb"<r>([^<]*)</r>")
EXACT = 2.0**24
"""Up to here float32 holds every whole number."""
POINT, SPACE, ZERO, NINE = (ord(sign) for sign in ". 09")


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
    if table is not None and len(table):
        layout = _Layout.of(table[0])
        if layout is not None and layout.fits(table):
            return layout.sums(table)
    return np.array([sum(_floats(text, row)) for row, text in enumerate(ROW.findall(piece))], dtype=float)


def row_values(piece: bytes) -> np.ndarray:
    """The numbers of each row, shape (row, column).

    Raises
    ------
    BadNumberError
        A row holds something else, or not as many numbers as the first one.
    """
    rows = [_floats(text, row) for row, text in enumerate(ROW.findall(piece))]
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows):
        if len(row) != width:
            raise BadNumberError(number, " ".join(map(str, row)))
    return np.array(rows, dtype=float).reshape(len(rows), width)


def _floats(text: bytes, row: int) -> list[float]:
    try:
        values = [float(part) for part in text.split()]
    except ValueError:
        values = [float("nan")]
    if not np.isfinite(values).all():
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


class _Layout:
    """Which columns of a row hold points, decimals and the digits before the point."""

    def __init__(self, points: np.ndarray, decimals: int, row: np.ndarray):
        self.points = points
        self.decimals = decimals
        self.always = np.concatenate([points - 1] + [points + 1 + place for place in range(decimals)])
        # Place values in units of the last decimal: whole numbers, so that the sums in float32 are exact.
        self.places = np.zeros(len(row), dtype=np.float32)
        first = 0
        for point in points:
            for place, column in enumerate(range(point - 1, first - 1, -1)):
                self.places[column] = 10.0 ** (decimals + place)
            for place in range(decimals):
                self.places[point + 1 + place] = 10.0 ** (decimals - 1 - place)
            first = point + 1 + decimals
        known = np.isin(np.arange(len(row)), np.concatenate([self.always, points]))
        self.leading = np.flatnonzero(~known & (self.places > 0))
        self.blank = np.flatnonzero(~known & (self.places == 0))

    @classmethod
    def of(cls, row: np.ndarray) -> _Layout | None:
        points = np.flatnonzero(row == POINT)
        if not len(points) or points[0] == 0:
            return None
        after = np.append(row, SPACE)[points[0] + 1 :]
        decimals = int(np.argmax((after < ZERO) | (after > NINE)))
        apart = np.diff(points, append=len(row) + decimals + 2)
        if decimals == 0 or (apart < decimals + 2).any() or points[-1] + decimals >= len(row):
            return None
        return cls(points, decimals, row)

    def fits(self, table: np.ndarray) -> bool:
        """Whether every row has its points, digits and blanks in these columns, and no sign."""
        low, high = table.min(axis=0), table.max(axis=0)
        leading = table[:, self.leading]
        empty = leading == SPACE
        # Blanks come before digits: "1 2.5" is two numbers.
        gap = (~empty[:, :-1] & empty[:, 1:])[:, np.diff(self.leading) == 1]
        return bool(
            (low[self.points] == POINT).all()
            and (high[self.points] == POINT).all()
            and (low[self.always] >= ZERO).all()
            and (high[self.always] <= NINE).all()
            and (low[self.blank] == SPACE).all()
            and (high[self.blank] == SPACE).all()
            and (empty | ((leading >= ZERO) & (leading <= NINE))).all()
            and not gap.any()
        )

    def sums(self, table: np.ndarray) -> np.ndarray:
        digits = (np.maximum(table, ZERO) - ZERO).astype(np.float32)
        totals = (digits @ self.places).astype(float)
        if totals.max(initial=0.0) >= EXACT:
            totals = digits.astype(float) @ self.places.astype(float)
        return totals / 10.0**self.decimals
