"""What was measured of each observable, over all records."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.evidence.observables import OBSERVABLES, Observable, measured, of_the_ensemble
from midgap.experiment.evidence.population import Measurements, Population
from midgap.experiment.records import ParticleRecord, Quantity, Records

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """Measurements of one observable, with the records they come from.

    Attributes
    ----------
    index
        Shape (n,): places in the records; empty for a number of the whole ensemble.
    size_nm
        Shape (n,); NaN where the size was not measured.
    """

    observable: Observable
    measurements: Measurements
    index: NDArray[np.int64]
    size_nm: Floats
    note: str = ""
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
                    observable, one, np.array([], dtype=int), np.array([np.nan]), "of all records together"
                )
            continue
        rows = [(i, r, q) for i, r in enumerate(records.records) if (q := _as_of_particles(r, name)) is not None]
        if rows:
            sizes = [math.nan if r.size_nm is None or r.size_nm.value is None else r.size_nm.value for _, r, _ in rows]
            data = Measurements.of([q for _, _, q in rows], [r.kind != "particle" for _, r, _ in rows], observable)
            note = ""
            if name == "pl_fwhm_meV" and any(r.kind == "ensemble" for _, r, _ in rows):
                note = "the width of an ensemble's line bounds that of a particle from above"
            found[name] = Data(observable, data, np.array([i for i, _, _ in rows]), np.array(sizes), note)
    return found


def _as_of_particles(record: ParticleRecord, name: str) -> Quantity | None:
    quantity = measured(record, name)
    if quantity is not None and name == "pl_fwhm_meV" and record.kind == "ensemble":
        top = quantity.hi if quantity.hi is not None else quantity.value
        return None if top is None else Quantity(hi=top)
    return quantity
