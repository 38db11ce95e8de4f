"""Numbers as people read them, rounded here and nowhere else: in tables, sentences, figures and on the page alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from midgap.experiment.evidence.ensembles import Ensemble
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.predictions import Assumption, Prediction
from midgap.experiment.records import Quantity

NOT_ESTIMATED = " ± ?"
MANY = 20
"""Of so many ns or meV no decimals are written."""
_SIGNS = {"equals": "", "at_most": "≤ ", "at_least": "≥ "}
_RELATIONS = {("at_most", "tau_av_ns"): "radiative "}


class Told(NamedTuple):
    """A number and how it is written."""

    value: float
    text: str


Piece = str | Told


def text(pieces: Iterable[Piece]) -> str:
    """Without the exact numbers."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces)


def number_text(x: float, digits: int) -> str:
    """With so many decimals; of large numbers three digits count."""
    written = f"{x:.{digits}f}" if abs(x) < 1000 else f"{round(x, 2 - math.floor(math.log10(abs(x)))):.0f}"
    return written.lstrip("-") if float(written) == 0 else written.replace("-", "−")


def signed(x: float, digits: int = 1) -> str:
    """With its sign; none where it is written as zero."""
    written = f"{x:+.{digits}f}"
    return "0" if float(written) == 0 else written.replace("-", "−")


def predicted(prediction: Prediction, assumption: Assumption, *, words: bool = False, unit: bool = True) -> list[Piece]:
    """``2.19 ± 0.22 ± 0.20 eV``: the value, its known error, and what is assumed for errors that are not estimated.

    Both are standard deviations. A range comes from a size that is not known, an interval in brackets is one at 95 %.
    Of what is compared as a ratio a factor is assumed: ``×÷ 1.5``.

    Parameters
    ----------
    words
        Writes ``(known)`` and ``(assumed)`` after them.
    """
    observable = OBSERVABLES[prediction.observable]
    known = prediction.known_uncertainty
    digits = _decimals(prediction, known)
    pieces: list[Piece] = [_RELATIONS.get((prediction.relation, prediction.observable), _SIGNS[prediction.relation])]
    if prediction.range is not None:
        low, high = (Told(x, number_text(x, digits)) for x in prediction.range)
        pieces += [low, " to ", high] if low.text != high.text else [low]
    else:
        pieces.append(Told(prediction.value, number_text(prediction.value, digits)))
    if prediction.lo is not None and prediction.hi is not None:
        ends = [Told(x, number_text(x, digits)) for x in (prediction.lo, prediction.hi)]
        pieces += [" (", ends[0], " to ", ends[1], ")"]
    elif known:
        pieces += [" ", *error(prediction, known), " (known)" if words else ""]
    if prediction.unknown_sources:
        pieces += _assumed(prediction, assumption, digits, words)
    if unit and observable.unit:
        pieces.append(f" {observable.unit}")
    return [piece for piece in pieces if piece != ""]


def error(prediction: Prediction, deviation: float) -> list[Piece]:
    """One standard deviation of it: ``± 0.22``, of what is compared as a ratio ``×÷ 2.3``."""
    if OBSERVABLES[prediction.observable].logarithmic:
        factor = math.exp(deviation / prediction.value)
        return ["×÷ ", Told(factor, number_text(factor, 1 if factor >= 1.2 else 2))]
    return ["± ", Told(deviation, number_text(deviation, _decimals(prediction, deviation)))]


def _assumed(prediction: Prediction, assumption: Assumption, digits: int, words: bool) -> Iterator[Piece]:
    observable = OBSERVABLES[prediction.observable]
    if assumption.width(observable) == 0:
        yield NOT_ESTIMATED
        return
    if observable.logarithmic:
        yield " ×÷ "
        yield Told(assumption.unknown_factor, f"{assumption.unknown_factor:g}")
    else:
        added = assumption.width(observable)
        yield " ± "
        yield Told(added, number_text(added, digits))
    yield " (assumed)" if words else ""


def _decimals(prediction: Prediction, known: float | None) -> int:
    """As many as a prediction deserves: two at most, and more only for its error not to be written as zero."""
    observable = OBSERVABLES[prediction.observable]
    digits = min(observable.digits, 2)
    if observable.logarithmic:
        return digits if min(prediction.range or (prediction.value,)) < MANY else 0
    while known and digits < 6 and float(f"{known:.{digits}f}") == 0:
        digits += 1
    return digits


def measured(ensemble: Ensemble, *, unit: bool = True) -> list[Piece]:
    """``2.387 (2.308 to 2.467) eV``; of bounds only ``2.296 to 2.480 eV``; of picked particles ``1, ≥ 2, 3``."""
    observable = OBSERVABLES[ensemble.observable]
    pieces = quantity(ensemble.quantity, observable.digits)
    if ensemble.values:
        numbers = [x for one in ensemble.values for x in (one.value, one.lo, one.hi) if x is not None]
        digits = 0 if all(x == round(x) for x in numbers) else observable.digits
        each = [quantity(one, digits) for one in ensemble.values]
        pieces = [piece for i, one in enumerate(each) for piece in ([", "] if i else []) + one]
    return [*pieces, f" {observable.unit}"] if unit and observable.unit else pieces


def quantity(one: Quantity, digits: int) -> list[Piece]:
    """Value and interval, or a bound: ``≤ 0.3``."""
    value, lo, hi = (None if x is None else Told(x, number_text(x, digits)) for x in (one.value, one.lo, one.hi))
    interval: list[Piece] = []
    if lo is not None and hi is not None:
        interval = [lo, " to ", hi]
    elif lo is not None:
        interval = ["≥ ", lo]
    elif hi is not None:
        interval = ["≤ ", hi]
    if value is None:
        return interval
    return [value, " (", *interval, ")"] if interval else [value]


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def step_error(error: float, relative: bool, unit: str) -> str:
    """``± 20 %``, ``a factor of 1.5``, ``± 0.1 eV``."""
    if relative:
        return f"± {100 * error:g} %" if error < 0.3 else f"a factor of {math.exp(error):.1f}"
    return f"± {error:g} {unit}".rstrip()
