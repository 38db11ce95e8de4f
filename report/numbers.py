"""Numbers on the page: rounded for people, exact for machines, in an element that says both."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup

from midgap.experiment.evidence.stated import Piece
from midgap.experiment.records import Quantity

NONE = Markup('<span class="none" title="not there">–</span>')
NOT_STATED = Markup('<span class="none">not stated</span>')


def number(value: float | None, digits: int = 2, sign: bool = False) -> Markup:
    """A number to read, with the exact one for machines; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.replace("-", "").replace("+", "±") if sign else text.replace("-", "")
    return _data(value, text)


def significant(value: float | None, digits: int = 4) -> Markup:
    """A number of some significant digits."""
    return NONE if value is None else _data(value, f"{value:.{digits}g}")


def _data(value: float, text: str) -> Markup:
    # Both parts are written from a number here, so that there is nothing to escape; thousands of these make a page.
    return Markup(f'<data value="{float(value)!r}">{text.replace("-", "−")}</data>')


def away(residual: float, inside: str) -> Markup:
    """``0.7 σ above``: where the measured value lies from the predicted one; ``inside`` says what zero means."""
    if residual == 0:
        return Markup("{} σ, {}").format(_data(residual, "0"), inside)
    if f"{abs(residual):.1f}" == "0.0":
        return Markup("{} σ away").format(_data(residual, "under 0.1"))
    return Markup("{} σ {}").format(_data(residual, f"{abs(residual):.1f}"), "above" if residual > 0 else "below")


def stated_html(pieces: Iterable[Piece]) -> Markup:
    """What `midgap.experiment.evidence.stated` writes, its numbers exact for machines."""
    return Markup("").join(_held(p) if isinstance(p, str) else _data(p.value, p.text) for p in pieces)


def _held(words: str) -> str:
    """Lines break before a sign or a bracket and nowhere else: units and signs stay with their numbers."""
    head = " " if words.startswith((" ±", " ×", " (", " to ")) and words != " (known)" and words != " (assumed)" else ""
    return head + words.removeprefix(head).replace(" ", "\u00a0") if words.strip() else words


def quantity_html(quantity: Quantity, unit: str = "", digits: int = 4) -> Markup:
    """``520 (500 to 540) nm``; a bound as ``≤ 0.3 ns``."""
    lo, value, hi = quantity.lo, quantity.value, quantity.hi
    if value is not None:
        text = significant(value, digits)
        if lo is not None and hi is not None:
            text += Markup(" ({} to {})").format(significant(lo, digits), significant(hi, digits))
        elif lo is not None or hi is not None:
            text += Markup(" ({})").format(quantity_html(Quantity(lo=lo, hi=hi), digits=digits))
    elif lo is not None and hi is not None:
        text = Markup("{} to {}").format(significant(lo, digits), significant(hi, digits))
    elif lo is not None:
        text = Markup("≥ {}").format(significant(lo, digits))
    else:
        text = Markup("≤ {}").format(significant(hi or 0.0, digits))
    return text + (Markup(" {}").format(unit) if unit else "")
