"""Numbers on the page: rounded for people, exact for machines, in an element that says both."""

from __future__ import annotations

import math

from markupsafe import Markup

from midgap.experiment.evidence.observables import OBSERVABLES, Observable
from midgap.experiment.evidence.predictions import Prediction
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


def away(residual: float) -> Markup:
    """``0.7 σ above``: where the measured value lies from the predicted one."""
    if residual == 0:
        return Markup('<data value="{}">in</data> the predicted range').format(repr(residual))
    return Markup("{} σ {}").format(_data(residual, f"{abs(residual):.1f}"), "above" if residual > 0 else "below")


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


def mean_html(quantity: Quantity, observable: Observable) -> Markup:
    """A measured mean with its interval, to the digits that the observable is told with, and its unit."""
    digits = observable.digits
    text = number(quantity.value, digits)
    if quantity.lo is not None and quantity.hi is not None:
        text += Markup(" ({} to {})").format(number(quantity.lo, digits), number(quantity.hi, digits))
    return text + (f" {observable.unit}" if observable.unit else "")


def prediction_html(prediction: Prediction | None) -> Markup:
    """``2.19 ± 0.23 eV``, ``≤ 12 ns``, ``2.31 to 2.55 eV``, with what is not known of its error left to the note."""
    if prediction is None:
        return NONE
    observable = OBSERVABLES[prediction.observable]
    unit = f" {observable.unit}" if observable.unit else ""
    digits = min(observable.digits, 2)
    if prediction.alternatives is not None:
        low, high = float(prediction.alternatives.min()), float(prediction.alternatives.max())
        if low < high:
            return Markup("{} to {}{}").format(number(low, digits), number(high, digits), unit)
    sign = {"equals": "", "at_most": "≤ ", "at_least": "≥ "}[prediction.relation]
    text = Markup("{}{}").format(sign, number(prediction.value, digits))
    if prediction.lo is not None and prediction.hi is not None:
        text += Markup(" ({} to {})").format(number(prediction.lo, digits), number(prediction.hi, digits))
    elif (known := prediction.known_uncertainty) is not None:
        text += Markup(" ± {}").format(upwards(known, digits))
    return text + unit


def upwards(value: float | None, digits: int = 2) -> Markup:
    """An uncertainty, never rounded to less than it is."""
    if value is None:
        return NONE
    step = 10.0**-digits
    return _data(value, f"{max(step, math.ceil(value / step - 1e-9) * step):.{digits}f}")
