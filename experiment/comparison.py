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
    superseded,
    unique_names,
)
from midgap.experiment.evidence.collected import collect
from midgap.experiment.evidence.ensembles import Ensemble, ensembles
from midgap.experiment.evidence.level_candidates import by_name, from_levels
from midgap.experiment.evidence.lifetimes import least_yield, surroundings_of, with_dipoles, with_yield
from midgap.experiment.evidence.likelihoods import (
    Evidence,
    Missing,
    Particles,
    Progress,
    evidence_of,
    missing,
)
from midgap.experiment.evidence.named_candidates import known_candidates
from midgap.experiment.evidence.next_step import NextStep, alive, next_steps, unrated
from midgap.experiment.evidence.observables import ObservableName
from midgap.experiment.evidence.odds import Odds, Totals, narrowed, odds, totals
from midgap.experiment.evidence.older import comparison_from_1, comparison_from_2, comparison_from_3
from midgap.experiment.evidence.predictions import ASSUMPTIONS, Assumption
from midgap.experiment.evidence.published import (
    PublishedValues,
    Row,
    published_or_none,
    published_rows,
    published_values,
)
from midgap.experiment.evidence.tables import rows
from midgap.experiment.evidence.words import conventions, statements
from midgap.experiment.records import Records, Source
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
    "published_rows",
    "published_values",
]

REFERENCE = 2
"""Of `ASSUMPTIONS`: that on which numbers by record and the next steps rest."""

CAVEATS = (
    "A difference of Kohn-Sham levels is not an emission line: of a defect it stands for a difference of total energies, of "
    "the crystal the relaxation of the lattice is missing, and the attraction of electron and hole is in neither.",
    "Errors not estimated are assumed to go either way, though electron-hole attraction, and in the crystal the relaxation "
    "of the lattice, only lower the energy of an emission.",
    "The gap of the perfect crystal stands for its exciton with no binding energy subtracted.",
    "An energy that fits makes a candidate possible, not proven; it does not exclude another emitter of the same energy.",
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
    totals, narrowed
        Evidence of the candidates over the observables that all of them predict; of those that are left by it, over all
        that these predict.
    odds
        Only where priors were given.
    unrated
        Measurements whose worth is not known: fewer than two of the candidates that are left predict them.
    conventions
        The distributions behind the numbers, in words.
    statements, answer
        What fits and each candidate that does, what was measured, what was computed, what to do next; the same in one line.
    """

    SCHEMA_VERSION: ClassVar[int] = 4
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {
        1: comparison_from_1,
        2: comparison_from_2,
        3: comparison_from_3,
    }

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
    narrowed: Totals
    odds: Odds | None = None
    next_steps: tuple[NextStep, ...] = ()
    unrated: tuple[ObservableName, ...] = ()
    published: tuple[Row, ...]
    published_source: Source = Source()
    caveats: tuple[str, ...] = CAVEATS
    conventions: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
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
    refractive_index: float | Sequence[float] | None = None,
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
        Of the surroundings, or between which two it lies; None takes what midgap holds of the material, else 1.5 to 2.5.
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
    surroundings = surroundings_of(material, refractive_index)
    transitions = from_levels(levels, surroundings)
    others = with_dipoles(others, transitions)
    found = unique_names((*superseded(transitions, others), *others))
    least = least_yield(records)
    candidates = with_yield(found, least)
    place = min(REFERENCE, len(assumptions) - 1) if reference is None else reference
    if not 0 <= place < len(assumptions):
        raise InputError(f"There is no assumption {place}; there are {len(assumptions)}.")
    data = collect(records)
    evidence = evidence_of(candidates, data, len(records.records), assumptions, place, progress)
    total = totals(candidates, evidence, len(assumptions))
    posterior = None if priors is None else odds(total, priors)
    together = ensembles(data, records, least)
    closer = narrowed(candidates, evidence, total, place, posterior)
    posterior = None if priors is None else odds(total, priors, closer)
    living = alive(candidates, total, closer, place, posterior)
    steps = next_steps(candidates, living, data, assumptions[place])
    others_computed = () if published is None else published_rows(levels, published)
    said = statements(
        candidates, together, evidence, closer, levels, assumptions[place], place, living, steps, others_computed
    )
    return Comparison(
        material=material,
        source=records.source,
        candidates=candidates,
        particles=Particles(
            labels=tuple(record.label for record in records.records), kinds=tuple(r.kind for r in records.records)
        ),
        assumptions=tuple(assumptions),
        reference=place,
        ensembles=together,
        evidence=evidence,
        missing=tuple(missing(candidates, data, records)),
        totals=total,
        narrowed=closer,
        odds=posterior,
        next_steps=steps,
        unrated=unrated(candidates, living),
        published=others_computed,
        published_source=Source() if published is None else published.source,
        caveats=_caveats(levels, records, material, set(models)),
        conventions=conventions(assumptions[place]),
        statements=said,
        answer=" ".join(said),
    )


def _caveats(levels: Levels, records: Records, material: str, models: set[str]) -> tuple[str, ...]:
    caveats: tuple[str, ...] = CAVEATS
    if records.material and records.material != material:
        caveats += (f"The levels are of {material}, the records of {records.material}.",)
    if any(report.model not in models for report in levels.reports):
        caveats += ("Some reports come without their model, so they are not set beside published values.",)
    return caveats
