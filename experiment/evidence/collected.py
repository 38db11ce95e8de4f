"""What was measured of each observable, over all records: which of them enter, and why others do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.evidence.observables import (
    OBSERVABLES,
    Observable,
    is_detection_band,
    measured,
    of_the_ensemble,
    why_not,
)
from midgap.experiment.evidence.population import Measurements, Population
from midgap.experiment.records import ParticleRecord, Quantity, Records
from midgap.structures.document import Document

Floats = NDArray[np.float64]
Row = tuple[int, ParticleRecord, Quantity]

BAND = "the band in which light was detected; no maximum was read"
ALL = "of all records together"
TOGETHER = {"stokes_shift_eV": "from where it was excited, so at most"}
"""What several records say together, in other words."""
OPEN = "its bound leaves everything open"
WIDTH_OF_AN_ENSEMBLE = "the width of an ensemble's line bounds that of a particle from above"


class SetAside(Document):
    """A record that says something of an observable and does not enter: its place among the records, and why not."""

    record: int
    reason: str


@dataclass(frozen=True)
class Data:
    """Measurements of one observable, with the records they come from.

    Attributes
    ----------
    index
        Shape (n,): places in the records; empty for a number of the whole ensemble.
    size_nm
        Shape (n,); NaN where the size was not measured.
    from_band
        All that there is of the energy is the band in which light was detected.
    """

    observable: Observable
    measurements: Measurements
    index: NDArray[np.int64]
    size_nm: Floats
    note: str = ""
    set_aside: tuple[SetAside, ...] = ()
    from_band: bool = False
    tables: dict[float | None, Population] = field(default_factory=dict)

    def population(self, spread: float | None = None) -> Population:
        """Their likelihood by the mean of the population; tabulated once for each spread."""
        if spread not in self.tables:
            self.tables[spread] = Population.of(self.measurements, self.observable, spread)
        return self.tables[spread]


def collect(records: Records) -> dict[str, Data]:
    """Measurements by observable; those that no record holds are left out."""
    found = {}
    together = of_the_ensemble(records.records)
    for name, observable in OBSERVABLES.items():
        if observable.of == "ensemble":
            if name in together:
                one = Measurements.of([together[name]], [True], observable)
                found[name] = Data(
                    observable, one, np.array([], dtype=int), np.array([np.nan]), TOGETHER.get(name, ALL)
                )
            continue
        data = _over_records(observable, records.records)
        if data is not None:
            found[name] = data
    return found


def _over_records(observable: Observable, records: tuple[ParticleRecord, ...]) -> Data | None:
    name = observable.name
    told: list[Row] = []
    aside: list[SetAside] = []
    for i, record in enumerate(records):
        quantity = _as_of_particles(record, name)
        if quantity is not None and _says_something(quantity, observable):
            told.append((i, record, quantity))
        elif reason := why_not(record, name) if quantity is None else OPEN:
            aside.append(SetAside(record=i, reason=reason))
    if not told:
        return None
    rows, again = _once_a_particle(told, records)
    if name == "pl_peak_eV":
        rows, same = _once_a_filter(rows)
        again = [*again, *same]
    bands = [name == "pl_peak_eV" and is_detection_band(r) for _, r, _ in rows]
    # A filter says no more of one particle than of all that are watched through it.
    of_mean = [band or r.kind != "particle" for band, (_, r, _) in zip(bands, rows, strict=True)]
    numbers = Measurements.of([q for *_, q in rows], of_mean, observable)
    sizes = [math.nan if r.size_nm is None or r.size_nm.value is None else r.size_nm.value for _, r, _ in rows]
    wide = name == "pl_fwhm_meV" and any(r.kind == "ensemble" for _, r, _ in rows)
    return Data(
        observable,
        numbers,
        np.array([i for i, *_ in rows]),
        np.array(sizes),
        BAND if all(bands) else WIDTH_OF_AN_ENSEMBLE if wide else "",
        tuple(sorted([*aside, *again], key=lambda one: one.record)),
        all(bands),
    )


def _says_something(quantity: Quantity, observable: Observable) -> bool:
    """On a logarithmic scale zero has no place: as a bound it leaves everything open."""
    ends = [observable.scale(x) for x in (quantity.value, quantity.lo, quantity.hi) if x is not None]
    return any(map(math.isfinite, ends))


def _once_a_particle(rows: list[Row], records: tuple[ParticleRecord, ...]) -> tuple[list[Row], list[SetAside]]:
    """Of each particle one record, a value before a bound, then that of the weakest excitation; and the others.

    Two records of one particle are not two particles: taken as such they would say too much of the population.
    """
    chosen: dict[tuple[str | None, str], Row] = {}
    for row in rows:
        key = _particle(row[1])
        if key is not None and (key not in chosen or _order(row) < _order(chosen[key])):
            chosen[key] = row
    kept, aside = [], []
    for row in rows:
        key = _particle(row[1])
        if key is None or chosen[key] is row:
            kept.append(row)
        else:
            aside.append(SetAside(record=row[0], reason=f"the same particle as {records[chosen[key][0]].label}"))
    return kept, aside


def _once_a_filter(rows: list[Row]) -> tuple[list[Row], list[SetAside]]:
    """Of records whose light came through the same filter one, a single particle's before others: the filter is one measurement."""
    chosen: dict[tuple[float | None, float | None], Row] = {}
    for row in sorted(rows, key=lambda row: row[1].kind != "particle"):
        if is_detection_band(row[1]):
            chosen.setdefault((row[2].lo, row[2].hi), row)
    kept, aside = [], []
    for row in rows:
        first = chosen.get((row[2].lo, row[2].hi), row) if is_detection_band(row[1]) else row
        if first is row:
            kept.append(row)
        else:
            aside.append(SetAside(record=row[0], reason=f"the same filter as {first[1].label}"))
    return kept, aside


def _particle(record: ParticleRecord) -> tuple[str | None, str] | None:
    """Which particle it is; None of what is none, or has no name."""
    if record.kind != "particle" or record.particle_id is None:
        return None
    return record.sample_id, record.particle_id


def _order(row: Row) -> tuple[bool, float, float]:
    _, record, quantity = row
    powers = (record.mean_excitons, record.fluence_J_cm2)
    weak = [math.inf if power is None or power.value is None else power.value for power in powers]
    return quantity.value is None, weak[0], weak[1]


def _as_of_particles(record: ParticleRecord, name: str) -> Quantity | None:
    quantity = measured(record, name)
    if quantity is not None and name == "pl_fwhm_meV" and record.kind == "ensemble":
        top = quantity.hi if quantity.hi is not None else quantity.value
        return None if top is None else Quantity(hi=top)
    return quantity
