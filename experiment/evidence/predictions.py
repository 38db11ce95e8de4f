"""What a candidate predicts of one observable, how uncertain that is and why, as a probability density."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, NonNegativeFloat, PositiveFloat, model_validator
from scipy.special import ndtr

from midgap.experiment.evidence.observables import OBSERVABLES, Observable, ObservableName
from midgap.experiment.records import Quantity
from midgap.structures.document import Document, FloatArray

Floats = NDArray[np.float64]

AT_LEAST_REACH = 10.0
"""A prediction of "at least x" is taken as evenly spread, on a logarithmic scale, from x to so many times x."""
NARROWEST = 1e-6
"""A prediction without any uncertainty is a density so wide, which no measurement resolves."""


class Uncertainty(Document):
    """One source of uncertainty of a prediction.

    Attributes
    ----------
    value
        Standard deviation in the unit of the prediction; None where nothing here estimates it, so that it widens
        no interval that is shown.
    effect
        Which way it goes, where that is known: the relaxation of the lattice after excitation only lowers the
        energy of an emission.
    remedy
        What would lessen it.
    """

    source: str
    value: NonNegativeFloat | None = None
    effect: Literal["either", "lowers", "raises"] = "either"
    note: str = ""
    remedy: str = ""


CELL = "size of the cell"
FUNCTIONAL = Uncertainty(source="functional", note="how far the theory is off is not known from one theory")
"""Of everything computed in cells, at one theory."""


class SizeCurve(Document):
    """A predicted value against the size of the particle, both of shape (n,); sizes ascend."""

    size_nm: FloatArray
    value: FloatArray

    @model_validator(mode="after")
    def _fits(self) -> SizeCurve:
        if self.size_nm.shape != self.value.shape or self.size_nm.ndim != 1 or self.size_nm.size < 2:
            raise ValueError("a curve needs as many values as sizes, two or more")
        if not (np.diff(self.size_nm) > 0).all() or not np.isfinite(self.value).all():
            raise ValueError("sizes of a curve ascend, and its values are numbers")
        return self

    def at(self, size_nm: float) -> float | None:
        """Value at a size; None outside of the sizes it was computed for."""
        if not self.size_nm[0] <= size_nm <= self.size_nm[-1]:
            return None
        return float(np.interp(size_nm, self.size_nm, self.value))


class Assumption(Document):
    """What the sources of uncertainty that are not known are taken to add, together, to every prediction that has any.

    Attributes
    ----------
    unknown_eV
        Standard deviation, of energies.
    unknown_factor
        Of linewidths, lifetimes and numbers: one standard deviation is this factor either way.
    unknown_plain
        Standard deviation of the rest, in their own unit.
    """

    unknown_eV: NonNegativeFloat = 0.0
    unknown_factor: PositiveFloat = 1.0
    unknown_plain: NonNegativeFloat = 0.0

    def width(self, observable: Observable) -> float:
        """Standard deviation on the scale of the observable."""
        if observable.logarithmic:
            return abs(math.log(self.unknown_factor))
        return self.unknown_eV if observable.unit == "eV" else self.unknown_plain


ASSUMPTIONS = (
    Assumption(),
    Assumption(unknown_eV=0.1, unknown_factor=1.25, unknown_plain=0.1),
    Assumption(unknown_eV=0.2, unknown_factor=1.5, unknown_plain=0.2),
    Assumption(unknown_eV=0.3, unknown_factor=2.0, unknown_plain=0.3),
    Assumption(unknown_eV=0.5, unknown_factor=3.0, unknown_plain=0.5),
)
"""From "only what is known" to "hardly anything": how conclusions hang on it is part of the result."""


class Prediction(Document):
    """What a candidate says of one observable, of a particle or of the mean of many.

    Attributes
    ----------
    value
        In the unit of the observable's name.
    relation
        ``at_most``: a radiative lifetime, which any other decay shortens; taken as value × yield with a yield
        anywhere from ``least_fraction`` to 1. ``at_least``: the width of one particle's line, which an ensemble's exceeds.
    least_fraction
        Of the yield, where one was measured.
    lo, hi
        Instead of ``uncertainties``: an interval at 95 % where somebody else gives one; need not be symmetric.
    alternatives
        Several values of equal weight instead of one, shape (n,): what an unknown size or surroundings allow.
    by_size
        The value against the particle's own size; then ``value`` is that at ``reference_size_nm``.
    spread
        Standard deviation between particles, in the unit (relative, for what is compared as a ratio); None where it
        is not predicted.
    uncertainties
        Shared by all particles: more of them do not lessen it.
    measured_on
        What it was measured on, where it was not computed.
    """

    observable: ObservableName
    value: FiniteFloat
    relation: Literal["equals", "at_most", "at_least"] = "equals"
    least_fraction: float = Field(default=0.0, ge=0.0, lt=1.0)
    lo: FiniteFloat | None = None
    hi: FiniteFloat | None = None
    alternatives: FloatArray | None = None
    by_size: SizeCurve | None = None
    spread: NonNegativeFloat | None = None
    uncertainties: tuple[Uncertainty, ...] = ()
    basis: str = ""
    measured_on: str = ""

    @model_validator(mode="after")
    def _sensible(self) -> Prediction:
        observable = OBSERVABLES[self.observable]
        numbers = [x for x in (self.value, self.lo, self.hi) if x is not None]
        if self.alternatives is not None:
            if self.alternatives.ndim != 1 or not self.alternatives.size or not np.isfinite(self.alternatives).all():
                raise ValueError("alternatives are one or more numbers")
            numbers += [float(self.alternatives.min())]
        if observable.logarithmic and min(numbers) <= 0:
            raise ValueError(f"a {observable.label} is positive")
        if self.relation != "equals" and not observable.logarithmic:
            raise ValueError("only a linewidth, lifetime or number can be predicted as at_most or at_least")
        if (self.lo is None) != (self.hi is None):
            raise ValueError("an interval needs lo and hi; a bound is a value with the relation at_most or at_least")
        if self.lo is not None and self.hi is not None and not self.lo <= self.value <= self.hi:
            raise ValueError(f"the interval {self.lo} to {self.hi} does not hold the value {self.value}")
        return self

    @property
    def known_uncertainty(self) -> float | None:
        """The uncertainties that are estimated, added in quadrature, in the unit; None where none is."""
        known = [u.value for u in self.uncertainties if u.value is not None]
        return math.hypot(*known) if known else None

    @property
    def unknown_sources(self) -> tuple[str, ...]:
        """Sources that nothing estimates."""
        return tuple(u.source for u in self.uncertainties if u.value is None)

    @property
    def range(self) -> tuple[float, float] | None:
        """Of the alternatives, or of the curve where the value goes with size; None where there is one value."""
        values = self.alternatives
        if values is None:
            values = None if self.by_size is None else self.by_size.value
        return None if values is None else (float(values.min()), float(values.max()))

    def quantity(self) -> Quantity:
        """The value with an interval of one standard deviation of what is known, or the range of alternatives."""
        if self.range is not None:
            lo, hi = self.range
            return Quantity(value=min(max(self.value, lo), hi), lo=lo, hi=hi)
        error = self.known_uncertainty
        if error is None:
            return Quantity(value=self.value, lo=self.lo, hi=self.hi)
        return Quantity(value=self.value, lo=self.value - error, hi=self.value + error)

    def widths(self, assumption: Assumption) -> tuple[float, float]:
        """Standard deviations below and above the value on the scale of the observable."""
        observable = OBSERVABLES[self.observable]
        centre = observable.scale(self.value)
        if self.lo is not None and self.hi is not None:
            sides = [(centre - observable.scale(self.lo)) / 1.96, (observable.scale(self.hi) - centre) / 1.96]
        else:
            error = self.known_uncertainty or 0.0
            sides = [error / self.value if observable.logarithmic else error] * 2
        unknown = assumption.width(observable) if self.unknown_sources else 0.0
        below, above = (max(math.hypot(side, unknown), NARROWEST) for side in sides)
        return below, above

    def centre(self, size_nm: float | None = None) -> float | None:
        """The value on the scale of the observable, at a size where it goes with that; None beyond its curve."""
        value: float | None = self.value
        if self.by_size is not None and size_nm is not None:
            value = self.by_size.at(size_nm)
        return None if value is None else OBSERVABLES[self.observable].scale(value)

    def density(self, x: Floats, widths: tuple[float, float], shift: float = 0.0) -> Floats:
        """Probability density of the population's mean on the scale of the observable, shape of x.

        Parameters
        ----------
        widths
            See `widths`.
        shift
            Of the whole prediction.
        """
        below, above = widths
        parts = []
        for place in self._places() + shift:
            if self.relation == "at_most":
                # A yield that is evenly spread from its least to 1, times a bound that is log-normal.
                least = self.least_fraction
                rise = np.exp(np.minimum(x - place + 0.5 * above**2, 50.0)) / (1.0 - least)
                lost = ndtr((place + math.log(least) - above**2 - x) / above) if least else 0.0
                parts.append(rise * (ndtr((place - above**2 - x) / above) - lost))
            elif self.relation == "at_least":
                reach = math.log(AT_LEAST_REACH)
                parts.append((ndtr((x - place) / below) - ndtr((x - place - reach) / below)) / reach)
            else:
                parts.append(split_normal(x, float(place), below, above))
        return np.asarray(np.mean(parts, axis=0))

    def nodes(self, widths: tuple[float, float], shift: float = 0.0) -> Floats:
        """Places on the scale between which the density is smooth, for integrals, ascending."""
        places = self._places() + shift
        steps = np.linspace(-7.0, 7.0, 225 if places.size == 1 else 29)
        steps = np.where(steps < 0, steps * widths[0], steps * widths[1])
        inner = np.zeros(1)
        if self.relation == "at_most":
            inner = np.append(-np.geomspace(12.0, 1e-3, 200), 0.0)
            if self.least_fraction:
                inner = np.linspace(math.log(self.least_fraction), 0.0, 60)
        if self.relation == "at_least":
            inner = np.linspace(0.0, math.log(AT_LEAST_REACH), 80)
        around = np.concatenate([inner[0] + steps, inner[-1] + steps, inner])
        return np.unique(places[:, None] + around)

    def _places(self) -> Floats:
        """The value or the alternatives on the scale, shape (n,)."""
        scale = OBSERVABLES[self.observable].scale
        values = [self.value] if self.alternatives is None else self.alternatives
        return np.array([scale(float(v)) for v in values])


def split_normal(x: Floats, centre: float, below: float, above: float) -> Floats:
    """Two halves of normal densities joined at their common mode (Wallis, Stat. Sci. 29, 106 (2014), doi 10.1214/13-STS417)."""
    width = np.where(x < centre, below, above)
    return math.sqrt(2.0 / math.pi) / (below + above) * np.exp(-0.5 * ((x - centre) / width) ** 2)
