"""Each candidate emitter against what was measured: evidence, what is missing, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, NonNegativeInt

from midgap.defects.report import Levels
from midgap.experiment.evidence.candidates import (
    SMALLEST_PART,
    Candidate,
    best_theory,
    filling,
    rounded_up,
    unique_names,
)
from midgap.experiment.evidence.level_candidates import by_name, from_levels
from midgap.experiment.evidence.likelihoods import (
    Ensemble,
    Evidence,
    Missing,
    Particles,
    Progress,
    collect,
    ensembles,
    evidence_of,
    missing,
)
from midgap.experiment.evidence.named_candidates import known_candidates
from midgap.experiment.evidence.next_step import NextStep, alive, next_steps
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.odds import Odds, Totals, odds, totals
from midgap.experiment.evidence.older import comparison_from_1
from midgap.experiment.evidence.predictions import ASSUMPTIONS, AT_LEAST_REACH, Assumption
from midgap.experiment.evidence.published import (
    PublishedValues,
    Row,
    published_or_none,
    published_rows,
    published_values,
)
from midgap.experiment.evidence.tables import rows
from midgap.experiment.photon_energy import wavelength_nm
from midgap.experiment.records import Quantity, Records, Source
from midgap.structures.document import Document, Upgrade
from midgap.structures.errors import InputError

__all__ = [
    "SMALLEST_PART",
    "Candidate",
    "Comparison",
    "PublishedValues",
    "Row",
    "best_theory",
    "compare",
    "filling",
    "main_peak",
    "published_rows",
    "published_values",
    "rounded_up",
]

REFERENCE = 2
"""Of `ASSUMPTIONS`: that on which numbers by record and the next steps rest."""

CAVEATS = (
    "A difference of Kohn-Sham levels is not an emission line: neither the relaxation of the lattice after "
    "excitation nor the attraction of electron and hole is in it.",
    "The gap of the perfect crystal stands for its exciton with no binding energy subtracted.",
    "An energy that fits makes a candidate possible; it does not exclude another emitter of the same energy.",
)


class Comparison(Document):
    """What was computed against what was measured and what others computed.

    Attributes
    ----------
    particles
        The records, in the order of every array by record.
    assumptions, reference
        What the unknown sources of uncertainty are taken to add, the first nothing; and which of them the numbers by
        record and the next steps rest on.
    ensembles
        What was measured, observable by observable.
    totals
        Evidence of the candidates over the observables that all of them predict.
    odds
        Only where priors were given.
    conventions
        The distributions behind the numbers, in words.
    """

    SCHEMA_VERSION: ClassVar[int] = 2
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: comparison_from_1}

    material: str
    source: Source
    candidates: tuple[Candidate, ...]
    particles: Particles
    assumptions: tuple[Assumption, ...] = Field(min_length=1)
    reference: NonNegativeInt
    ensembles: tuple[Ensemble, ...]
    evidence: tuple[Evidence, ...]
    missing: tuple[Missing, ...]
    totals: Totals
    odds: Odds | None = None
    next_steps: tuple[NextStep, ...] = ()
    published: tuple[Row, ...]
    published_source: Source = Source()
    caveats: tuple[str, ...] = CAVEATS
    conventions: tuple[str, ...] = ()
    answer: str

    def candidate(self, name: str) -> Candidate:
        """The candidate of a name."""
        return next(c for c in self.candidates if c.name == name)

    def of(self, candidate: str, observable: str) -> Evidence | None:
        """The evidence of one candidate by one observable."""
        return next((e for e in self.evidence if (e.candidate, e.observable) == (candidate, observable)), None)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each prediction."""
        return list(rows(self))

    def facts(self) -> dict[str, Any]:
        """What it says in words."""
        return {"material": self.material, "answer": self.answer, "counted": ", ".join(self.totals.candidates)}

    def ensemble(self, observable: str) -> Ensemble | None:
        """What was measured of an observable."""
        return next((e for e in self.ensembles if e.observable == observable), None)


def compare(
    levels: Levels,
    records: Records,
    published: PublishedValues | None = None,
    *,
    others: Sequence[Candidate] | None = None,
    priors: Mapping[str, float] | str | None = None,
    assumptions: Sequence[Assumption] = ASSUMPTIONS,
    reference: int | None = None,
    refractive_index: float | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Confront every candidate with everything that was measured.

    Parameters
    ----------
    published
        Computed values from the literature; None takes those midgap holds of the material, if any.
    others
        Candidates beside the transitions of ``levels``; None takes those midgap knows of the material.
    priors
        See `midgap.experiment.evidence.odds.odds`; None: no odds.
    assumptions, reference
        See `Comparison`; the reference is the middle one if left out.
    refractive_index
        See `midgap.experiment.evidence.level_candidates.from_levels`.
    progress
        Called with how many of how many predictions are done.

    Raises
    ------
    InputError
        There are no reports, two models have one name, or the priors are of other candidates.
    """
    if not levels.reports:
        raise InputError("There are no level reports to compare; make some with midgap run or midgap levels.")
    if not assumptions:
        raise InputError("At least one assumption about what is unknown is needed.")
    models = by_name(levels)
    records = records.in_energy()
    material = next((model.material for model in levels.models), records.material)
    published = published_or_none(material) if published is None else published
    others = known_candidates(material) if others is None else others
    candidates = unique_names((*from_levels(levels, refractive_index), *others))
    place = min(REFERENCE, len(assumptions) - 1) if reference is None else reference
    if not 0 <= place < len(assumptions):
        raise InputError(f"There is no assumption {place}; there are {len(assumptions)}.")
    data = collect(records)
    evidence = evidence_of(candidates, data, len(records.records), assumptions, place, progress)
    total = totals(candidates, evidence, len(assumptions))
    posterior = None if priors is None else odds(total, priors)
    return Comparison(
        material=material,
        source=records.source,
        candidates=candidates,
        particles=Particles(
            labels=tuple(record.label for record in records.records), kinds=tuple(r.kind for r in records.records)
        ),
        assumptions=tuple(assumptions),
        reference=place,
        ensembles=ensembles(data),
        evidence=evidence,
        missing=tuple(missing(candidates, data, records)),
        totals=total,
        odds=posterior,
        next_steps=next_steps(candidates, alive(total, place, posterior), data, assumptions[place]),
        published=() if published is None else published_rows(levels, published),
        published_source=Source() if published is None else published.source,
        caveats=_caveats(levels, records, material, set(models)),
        conventions=conventions(assumptions[place]),
        answer=answer(candidates, records),
    )


def _caveats(levels: Levels, records: Records, material: str, models: set[str]) -> tuple[str, ...]:
    caveats: tuple[str, ...] = CAVEATS
    if records.material and records.material != material:
        caveats += (f"The levels are of {material}, the records of {records.material}.",)
    if any(report.model not in models for report in levels.reports):
        caveats += ("Some reports come without their model, so they are not set beside published values.",)
    return caveats


def conventions(reference: Assumption) -> tuple[str, ...]:
    """What the numbers rest on, in words."""
    soft = ", ".join(
        f"{o.label} {100 * o.feasible:.0f} %" if o.logarithmic else f"{o.label} {o.feasible:g} {o.unit}".strip()
        for o in OBSERVABLES.values()
        if o.of == "record"
    )
    return (
        "A measured interval is taken as a central one at 95 %, its two sides as halves of two normal densities. A "
        "quantity with bounds only is the probability to lie between them.",
        f"A value without an interval is taken to be as uncertain as a good measurement leaves it: {soft}.",
        "Particles have values of their own, spread normally around a mean. Where a candidate does not predict that "
        "spread, it is integrated over a half-Cauchy prior. Ensembles and ranges over many particles measure the mean.",
        "The error of a prediction is normal and common to all particles. Linewidths, lifetimes and numbers of emitters "
        "are compared as ratios.",
        "A radiative lifetime is an upper bound: the measured one is it times a quantum yield, taken as anywhere from 0 "
        f"to 1. A lower bound is taken as evenly spread, on a logarithmic scale, up to {AT_LEAST_REACH:g} times it.",
        f"Numbers by record and next steps take what is not known to add ± {reference.unknown_eV:g} eV to energies and a "
        f"factor of {reference.unknown_factor:g} to linewidths and lifetimes.",
        "Observables are taken as independent of each other. Candidates are compared only on what all of them predict.",
    )


def main_peak(records: Records) -> Quantity | None:
    """The measured PL energy that has a value; an ensemble's before a particle's."""
    peaks = [(r.kind != "ensemble", r.pl_peak_eV) for r in records.in_energy().records if r.pl_peak_eV is not None]
    return next((peak for _, peak in sorted(peaks, key=lambda pair: pair[0]) if peak.value is not None), None)


def answer(candidates: Sequence[Candidate], records: Records) -> str:
    """In a few sentences: which transitions, at the highest theory there is, lie at the measured energy."""
    measured = main_peak(records)
    if measured is None or measured.value is None:
        return "No record states the energy of its photoluminescence, so no candidate can be held against it."
    levels = [c for c in candidates if c.origin == "levels"]
    if not levels:
        return "No transition was found in the gap of any model, so there is nothing to hold against the measurement."
    peak = measured.value
    theory = best_theory(levels)
    same = [c for c in levels if c.theory is not None and c.theory.name == theory.name]
    ours = sorted(same, key=lambda c: abs(_energy(c) - peak))
    inside = [c for c in ours if measured.contains(_energy(c))]
    bounds = "" if measured.lo is None or measured.hi is None else f" ({measured.lo:.2f} to {measured.hi:.2f} eV)"
    nearest = f"the nearest is {_in_words(ours[0], peak)}"
    sentences = [f"Photoluminescence is at {peak:.3f} eV, {wavelength_nm(peak):.0f} nm{bounds}"]
    of = f"Of {_count(len(ours), 'transition')} computed at {theory.label}"
    if inside:
        lie = "lies" if len(inside) == 1 else "lie"
        sentences.append(f"{of}, {len(inside)} {lie} in that interval: {'; '.join(_in_words(c, peak) for c in inside)}")
    else:
        reach = ", and its known uncertainty reaches the interval" if bounds and _reaches(ours[0], measured) else ""
        sentences.append(f"{of}, {'none lies in that interval; ' if bounds else ''}{nearest}{reach}")
    sentences += [
        f"The gap of the perfect crystal is {_in_words(c, peak, name=False)}"
        for c in ours
        if c.kind == "pristine" and c not in inside
    ][:1]
    sentences += [_other(c, measured) for c in candidates if c.origin in ("emission", "confinement") and c.energy_eV]
    sentences.append("Energy alone makes a candidate possible, not proven")
    return ". ".join(sentences) + "."


def _energy(candidate: Candidate) -> float:
    return candidate.energy_eV if candidate.energy_eV is not None else float("inf")


def _other(candidate: Candidate, measured: Quantity) -> str:
    prediction = candidate.prediction("pl_peak_eV")
    assert prediction is not None
    if prediction.range is None:
        return f"{candidate.title} is at {prediction.value:.2f} eV"
    lo, hi = prediction.range
    holds = measured.value is not None and lo <= measured.value <= hi
    return f"{candidate.title} is at {lo:.2f} to {hi:.2f} eV, by its size, which {'holds' if holds else 'does not hold'} the measured energy"


def _reaches(candidate: Candidate, measured: Quantity) -> bool:
    error, energy = candidate.known_uncertainty_eV or 0.0, _energy(candidate)
    below = measured.lo is None or energy + error >= measured.lo
    return below and (measured.hi is None or energy - error <= measured.hi)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _in_words(candidate: Candidate, peak_eV: float, name: bool = True) -> str:
    energy = _energy(candidate)
    away = energy - peak_eV
    what = f"{candidate.label}, {candidate.transition_label}, " if name else ""
    return (
        f"{what}{energy:.2f} eV ({wavelength_nm(energy):.0f} nm), "
        f"{abs(away):.2f} eV {'above' if away > 0 else 'below'} the measured energy"
    )
