"""What all records together say of an observable, before any candidate is looked at, and which of them say it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from midgap.experiment.evidence.collected import Data, SetAside
from midgap.experiment.evidence.observables import OBSERVABLES, ObservableName, measured
from midgap.experiment.records import Quantity, Records
from midgap.structures.document import Document

LIFETIME = "tau_av_ns"
ONE_BY_ONE = "each particle by itself: they were picked for it, so their mean would say nothing"
FEW = 5
"""So few particles say next to nothing of how far particles differ: it comes from the prior."""


class Ensemble(Document):
    """What all records together say of one observable, whatever the candidates.

    Attributes
    ----------
    n, n_bounds
        Records that enter, and how many of them only as a bound.
    mean, spread
        Of the population of particles, central 95 % intervals; geometric of what is compared as a ratio. The spread is
        that beyond the errors of measurement, in the unit, or relative for what is compared as a ratio; None where
        fewer than two particles were measured. No mean where every record holds a bound only.
    bounds
        What those leave then.
    values
        Of few particles, picked for this very quantity, each by itself; then there is no mean, and the bounds are those
        of the values.
    spread_assumed
        So few particles that the interval of the mean is made by what is taken of their spread.
    from_band
        The bounds are the ends of a band in which light was detected; no maximum of a spectrum was read.
    entered
        Places among the records of those that enter; none of a number that all records have together.
    set_aside
        Those that do not, though they say something of it.
    """

    observable: ObservableName
    n: int
    n_bounds: int
    mean: Quantity | None
    spread: Quantity | None
    bounds: Quantity | None = None
    values: tuple[Quantity, ...] = ()
    spread_assumed: bool = False
    from_band: bool = False
    entered: tuple[int, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    note: str = ""

    @property
    def quantity(self) -> Quantity:
        """The mean, or the bounds where there is none."""
        found = self.mean or self.bounds
        assert found is not None
        return found


def ensembles(data: dict[str, Data], records: Records, least_yield: float | None = None) -> tuple[Ensemble, ...]:
    """What was measured, observable by observable.

    Parameters
    ----------
    least_yield
        See `midgap.experiment.evidence.lifetimes.least_yield`.
    """
    found = []
    for name, one in data.items():
        numbers = one.measurements
        particles = int((~numbers.of_mean & ~numbers.is_bound).sum())
        only_bounds = bool(numbers.is_bound.all())
        mean, spread = (None, None) if only_bounds else one.population().summary(one.observable, particles)
        values = _each(one, records)
        if values:
            mean, spread = None, None
        few = "" if values else _few(one, particles)
        notes = [one.note, ONE_BY_ONE if values else few, _as_radiative(name, mean, least_yield)]
        found.append(
            Ensemble(
                observable=OBSERVABLES[name].name,
                n=len(numbers),
                n_bounds=int(numbers.is_bound.sum()),
                mean=mean,
                spread=spread,
                bounds=_between(values) if values else outermost(one) if only_bounds else None,
                values=values,
                spread_assumed=bool(few),
                from_band=one.from_band,
                entered=tuple(one.index.tolist()),
                set_aside=one.set_aside,
                note="; ".join(part for part in notes if part),
            )
        )
    return tuple(found)


def _each(data: Data, records: Records) -> tuple[Quantity, ...]:
    """The single values, where a mean of them would say how the particles were picked."""
    numbers = data.measurements
    if not data.observable.picked or numbers.of_mean.any() or not len(numbers) < FEW or numbers.is_bound.all():
        return ()
    found = [measured(records.records[i], data.observable.name) for i in data.index]
    return tuple(quantity for quantity in found if quantity is not None)


def _between(values: Sequence[Quantity]) -> Quantity:
    """From the least to the largest of them; open above where one is only bounded from below."""
    low = min(x for q in values for x in (q.lo, q.value, q.hi) if x is not None)
    high = max(x for q in values for x in (q.hi, q.value, q.lo) if x is not None)
    return Quantity(lo=low, hi=high)


def _as_radiative(name: str, mean: Quantity | None, least_yield: float | None) -> str:
    """What a lifetime is as a radiative one, by the yield."""
    if name != LIFETIME or not least_yield or mean is None or mean.value is None:
        return ""
    ends = " to ".join(OBSERVABLES[name].text(x) for x in (mean.value, mean.value / least_yield))
    return (
        f"as a radiative lifetime {ends} ns, for a quantum yield between {least_yield:.2g}, the least that was measured (dark "
        "particles of an ensemble lower it), and 1"
    )


def _few(data: Data, particles: int) -> str:
    """Where the width of the interval of the mean comes from, if it is not from the particles."""
    means = data.measurements.of_mean & ~data.measurements.is_bound
    if means.any() or not 0 < particles < FEW:
        return ""
    observable = data.observable
    scale = f"{100 * observable.spread_scale:.0f} %" if observable.logarithmic else f"{observable.spread_scale:g}"
    unit = "" if observable.logarithmic or not observable.unit else f" {observable.unit}"
    who = "one particle says" if particles == 1 else f"{particles} particles say"
    return f"{who} little of how far particles differ, which is taken as {scale}{unit} or so; so the interval is wide"


def outermost(data: Data) -> Quantity:
    """Between which bounds the mean lies: between all that bound it, else somewhere among those of particles."""
    numbers, unscale = data.measurements, data.observable.unscale
    of_mean = numbers.of_mean
    low, high = numbers.lo.min(), numbers.hi.max()
    if of_mean.any() and (inner := numbers.lo[of_mean].max()) < (outer := numbers.hi[of_mean].min()):
        low, high = inner, outer
    ends = {"lo": low, "hi": high}
    return Quantity(**{name: unscale(float(x)) for name, x in ends.items() if math.isfinite(x)})
