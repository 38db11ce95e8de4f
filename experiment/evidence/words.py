"""A comparison in sentences: what fits, what was measured and computed, what to do next, and what the numbers rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from midgap.defects.report import Levels
from midgap.experiment.evidence.candidates import Candidate, best_theory
from midgap.experiment.evidence.ensembles import Ensemble
from midgap.experiment.evidence.likelihoods import Evidence, apart_from
from midgap.experiment.evidence.method import method
from midgap.experiment.evidence.next_step import NextStep
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.odds import Totals
from midgap.experiment.evidence.predictions import AT_LEAST_REACH, Assumption
from midgap.experiment.evidence.published import Row
from midgap.experiment.evidence.stated import listed, measured, number_text, predicted, signed, text
from midgap.experiment.photon_energy import wavelength_nm

ENERGY = "pl_peak_eV"
FITS = 2.0
"""A candidate fits what lies within so many standard deviations."""
WORTH_SAYING = 1.0
"""Of what enters the evidence beside the energy, so many standard deviations are told."""
LEANING = 1.0
"""From this difference of ln evidence on it is said which way it leans."""
MOST_TIMES = 100
"""Odds beyond these are not written as a number."""
NAMED = 3
"""So many candidates are named in a sentence; more are counted."""


def conventions(reference: Assumption) -> tuple[str, ...]:
    """What the numbers rest on, in words."""
    soft, spread = _by_observable("feasible"), _by_observable("spread_scale")
    return (
        "A measured interval is taken as a central one at 95 %, its two sides as halves of two normal densities. A "
        "quantity with bounds only is the probability to lie between them.",
        "A band in which light was detected is no measured maximum: its ends are bounds of the mean, and a filter counts once.",
        f"A value without an interval is taken to be as uncertain as a good measurement leaves it: {soft}.",
        "Particles have values of their own, spread normally around a mean. Where a candidate does not predict that "
        f"spread, it is integrated over a half-t prior (4 degrees of freedom) of this scale: {spread}. Ensembles and ranges over many "
        "particles measure the mean. Of several records of one particle that of the weakest excitation enters.",
        "The error of a prediction is normal and common to all particles. Linewidths, lifetimes and numbers of emitters "
        "are compared as ratios.",
        "The evidence of a candidate is the probability that it gave to the measurements beforehand: of two whose predictions "
        "hold them, the narrower one has more. So ln evidence is not −σ²/2 alone, and a larger error that is assumed "
        "speaks for a prediction that misses and against one that meets.",
        "A radiative lifetime is an upper bound: the measured one is it times a quantum yield, taken as anywhere from the "
        "lowest that was measured (0 if none was) to 1: an ensemble counts dark particles too, so that those that shine have no "
        f"lower one. A lower bound is taken as evenly spread, on a logarithmic scale, up to {AT_LEAST_REACH:g} times it.",
        f"Numbers by record and next steps assume for errors not estimated ± {reference.unknown_eV:g} eV on energies and a "
        f"factor of {reference.unknown_factor:g} on linewidths and lifetimes, one standard deviation, either way. What lies "
        f"within {FITS:g} σ fits. No one "
        "measured these: they stand between none and what would make all predictions alike, and every candidate is also "
        "told with the others.",
        "What glowed absorbs where it was excited, which bounds its Stokes shift from above; unless something else absorbed for it.",
        "Observables are taken as independent of each other. Candidates are compared on what all of them predict, "
        "those that are left then on what all of these predict.",
    )


def _by_observable(what: str) -> str:
    """``PL energy 0.005 eV, lifetime 5 %``."""
    of_records = [(o, getattr(o, what)) for o in OBSERVABLES.values() if o.of == "record"]
    return ", ".join(
        f"{o.label} {100 * x:.0f} %" if o.logarithmic else f"{o.label} {x:g} {o.unit}".strip() for o, x in of_records
    )


def statements(
    candidates: Sequence[Candidate],
    ensembles: Sequence[Ensemble],
    evidence: Sequence[Evidence],
    totals: Totals,
    levels: Levels,
    assumption: Assumption,
    reference: int,
    living: Mapping[str, float],
    steps: Sequence[NextStep],
    published: Sequence[Row],
) -> tuple[str, ...]:
    """What fits and what is undecided, each that fits; what was measured, computed and published; what to do next."""
    energy = next((ensemble for ensemble in ensembles if ensemble.observable == ENERGY), None)
    if energy is None:
        verdict = [
            "Open: no record states the energy of its photoluminescence, so no candidate can be held against it."
        ]
    else:
        seen = "band in which light was detected" if energy.from_band else "measured PL energy"
        verdict = _verdict(candidates, evidence, totals, assumption, reference, living, seen)
    more = [e for e in ensembles if e.observable in totals.observables and e.observable != ENERGY]
    said = [*verdict, _measured(energy, more), _computed(candidates, levels), _published(published, levels)]
    if steps:
        said.append(f"Next: {steps[0].sentence}.")
    return tuple(sentence for sentence in said if sentence)


def _verdict(
    candidates: Sequence[Candidate],
    evidence: Sequence[Evidence],
    totals: Totals,
    assumption: Assumption,
    reference: int,
    living: Mapping[str, float],
    seen: str,
) -> list[str]:
    """What fits and how far it is undecided; then of several that fit, each by itself."""
    residual = {e.candidate: e.ensemble_residual for e in evidence if e.observable == ENERGY}
    counted = [c for c in candidates if c.counted and residual.get(c.name) is not None]
    if not counted:
        return ["Open: no candidate predicts the photoluminescence energy that was measured."]
    away = {c.name: abs(residual[c.name] or 0.0) for c in counted}
    fitting = [c for c in counted if away[c.name] <= FITS and c.name in living]
    out = [c for c in counted if away[c.name] <= FITS and c not in fitting]
    others = [c for c in counted if away[c.name] > FITS]
    ruled_out = _ruled_out(out, totals, assumption)
    beside: Mapping[tuple[str, str], float] = {}
    if not fitting:
        nearest = min(counted, key=lambda c: away[c.name])
        stated = _with_energy(nearest, assumption)
        found = f"No candidate fits: the nearest to the {seen}, {stated}, is {away[nearest.name]:.1f} σ off{_if(assumption)}"
        others = []
    else:
        best = dict(zip(totals.candidates, totals.relative(reference), strict=True)) if totals.candidates else {}
        fitting.sort(key=lambda c: -best.get(c.name, 0.0))
        beside = apart_from(fitting[0].name, evidence, reference)
        found = _found(fitting, [best.get(c.name, 0.0) for c in fitting], seen, totals)
    told = []
    for c in (*fitting[:NAMED], *out[:NAMED]):
        unnumbered = f"; not in the numbers: {c.observed}" if c.observed and c.observed not in found else ""
        told.append(f"{_told(c, residual[c.name] or 0.0, evidence, totals, assumption, beside)}{unnumbered}.")
    return [f"{found}.{ruled_out}{_off(others, away, '' if out else _if(assumption))}", *told]


def _told(
    candidate: Candidate,
    residual: float,
    evidence: Sequence[Evidence],
    totals: Totals,
    assumption: Assumption,
    beside: Mapping[tuple[str, str], float],
) -> str:
    """A candidate that fits: its energy, what makes the test weak, what is measured elsewhere, what speaks against it."""
    prediction = candidate.prediction(ENERGY)
    assert prediction is not None
    free = "its size is free, so a weak test" if prediction.alternatives is not None else ""
    against = _against(candidate, evidence, totals, assumption, beside)
    parts = [free, _one_sided(candidate, residual), _elsewhere(candidate, totals, assumption), against]
    energy = text(predicted(prediction, assumption, words=True))
    return "; ".join([f"{candidate.title}: {energy}", *(part for part in parts if part)])


def _found(fitting: Sequence[Candidate], support: Sequence[float], seen: str, totals: Totals) -> str:
    """The candidates that fit, best first."""
    first = fitting[0]
    if len(fitting) > 1:
        return _undecided(support, first, seen, totals)
    one = f"One candidate fits the {seen}, which makes it possible, not proven: {first.title}"
    return f"{one}. Not in these numbers: {first.observed}" if first.observed else one


def _undecided(support: Sequence[float], first: Candidate, seen: str, totals: Totals) -> str:
    """How far the evidence tells the candidates apart that fit, best first."""
    n = {2: "two", 3: "three"}.get(len(support), str(len(support)))
    by = listed([OBSERVABLES[name].label for name in totals.observables])
    apart = support[0] - support[1]
    if apart < LEANING:
        differs = f"differs by {apart:.1f}" if apart >= 0.05 else "is the same"
        return f"Undecided: {n} candidates fit the {seen}, and the evidence does not tell them apart (ln evidence by {by} {differs})"
    times = f"{float(f'{math.exp(apart):.1g}'):g}" if apart < math.log(MOST_TIMES) else ""
    about = f"about {times}" if times else f"over {MOST_TIMES}"
    verdict = (
        f"{n} candidates fit the {seen}, and by {by} the evidence is {about} to 1 for {first.title} (ln evidence differs by "
        f"{apart:.1f})"
    )
    if not first.observed:
        return f"Not settled, leaning to {first.title}: {verdict}"
    even = f"if that is {times} times" if times else f"only if that is over {MOST_TIMES} times"
    return (
        f"Not settled: {verdict}; but not in these numbers: {first.observed}; {even} as likely without this candidate as with "
        "it, the odds are even"
    )


def _elsewhere(candidate: Candidate, totals: Totals, assumption: Assumption) -> str:
    """What enters the evidence and was not computed."""
    found = [candidate.prediction(name) for name in totals.observables if name != ENERGY]
    said = [
        f"its {OBSERVABLES[p.observable].label}, {text(predicted(p, assumption, words=True))}, on {p.measured_on}"
        for p in found
        if p is not None and p.measured_on
    ]
    return f"measured, not computed: {' and '.join(said)}" if said else ""


def _ruled_out(out: Sequence[Candidate], totals: Totals, assumption: Assumption) -> str:
    """Candidates whose energy fits and what else was measured does not."""
    if not out:
        return ""
    by = listed([OBSERVABLES[name].label for name in totals.observables])
    names = [candidate.title for candidate in out[:NAMED]]
    if more := len(out) - len(names):
        names.append(f"{more} more")
    who = f"{'; '.join(names[:-1])}, and {names[-1]}" if len(names) > 1 else names[0]
    fit, each = ("fit", "each") if len(names) > 1 else ("fits", "it")
    times = f"over {MOST_TIMES} to 1 against {each}{_if(assumption)}"
    return f" {who} {fit} in energy, but {by} together speak {times}{_at_least(out, totals)}."


def _at_least(out: Sequence[Candidate], totals: Totals) -> str:
    """What is left of it where errors not estimated are taken as larger or smaller."""
    behind = [totals.relative(a)[totals.candidates.index(c.name)] for a in range(len(totals.log_evidence)) for c in out]
    least = math.exp(min(-x for x in behind))
    if least >= MOST_TIMES:
        return ", and so they do whatever is tried for these"
    return f"; of all that is tried for these, at least about {float(f'{least:.1g}'):g} to 1"


def _one_sided(candidate: Candidate, residual: float) -> str:
    """What is not estimated and could only take it farther from the measured energy."""
    way = "lowers" if residual > 0 else "raises" if residual < 0 else ""
    prediction = candidate.prediction(ENERGY)
    assert prediction is not None
    sources = [u.source for u in prediction.uncertainties if u.value is None and u.effect == way]
    if not sources:
        return ""
    return f"{' and '.join(sources)}, not estimated, would only {way.removesuffix('s')} it further"


def _against(
    candidate: Candidate,
    evidence: Sequence[Evidence],
    totals: Totals,
    assumption: Assumption,
    beside: Mapping[tuple[str, str], float],
) -> str:
    """What else was measured and lies far from what it predicts, or adds to the evidence."""
    far = []
    for one in evidence:
        prediction, residual = candidate.prediction(one.observable), one.ensemble_residual
        if one.candidate != candidate.name or one.observable == ENERGY or prediction is None or residual is None:
            continue
        if abs(residual) > (WORTH_SAYING if one.observable in totals.observables else FITS):
            stated = text(predicted(prediction, assumption, words=True))
            ln = beside.get((candidate.name, one.observable), 0.0)
            adds = f" (ln evidence {signed(ln)})" if ln and one.observable in totals.observables else ""
            label = OBSERVABLES[one.observable].label
            seen = "measured bound" if one.n_bounds == one.n else "measured"
            far.append(f"{label}, {stated}, {seen} {abs(residual):.1f} σ {_side(residual)}{adds}")
    return f"against it speaks its {' and its '.join(far)}" if far else ""


def _side(residual: float) -> str:
    return "above" if residual > 0 else "below"


def _off(others: Sequence[Candidate], away: Mapping[str, float], condition: str) -> str:
    if not others:
        return ""
    low, high = min(away[c.name] for c in others), max(away[c.name] for c in others)
    far = f"{low:.1f} σ" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f} σ"
    who = f"The other {len(others)} candidates are" if len(others) > 1 else f"{others[0].title} is"
    return f" {who} {far} off{condition}."


def _if(assumption: Assumption) -> str:
    if not assumption.unknown_eV:
        return ", errors not estimated left out"
    return f", if errors not estimated add ± {assumption.unknown_eV:g} eV and ×÷ {assumption.unknown_factor:g}"


def _with_energy(candidate: Candidate, assumption: Assumption) -> str:
    prediction = candidate.prediction(ENERGY)
    assert prediction is not None
    return f"{candidate.title}, at {text(predicted(prediction, assumption, words=True))}"


def _measured(energy: Ensemble | None, others: Sequence[Ensemble]) -> str:
    if energy is None:
        return ""
    more = "".join(
        f"; {OBSERVABLES[e.observable].label} {text(measured(e))}, {'1 record' if e.n == 1 else f'{e.n} records'}"
        for e in others
    )
    if few := listed([OBSERVABLES[e.observable].label for e in others if e.spread_assumed]):
        more += f" (so few that the interval of the {few} is mostly what is assumed of how far particles differ)"
    found, unit = energy.quantity, text(measured(energy))
    if energy.from_band:
        ends = [wavelength_nm(x) for x in (found.hi, found.lo) if x is not None]
        return (
            f"Measured: light was detected in the band of {unit} ({' to '.join(f'{x:.0f}' for x in ends)} nm); no maximum of "
            f"the spectrum was read{more}."
        )
    if found.value is None:
        return f"Measured: a PL energy of {unit}, bounds only{more}."
    who = "1 record" if energy.n == 1 else f"{energy.n} records"
    return f"Measured: PL energy {unit}, {wavelength_nm(found.value):.0f} nm, from {who}{more}."


def _computed(candidates: Sequence[Candidate], levels: Levels) -> str:
    theory = best_theory(levels.reports)
    reports = [report for report in levels.reports if report.theory.name == theory.name]
    models = {model.name: model for model in levels.models}
    ours = [c for c in candidates if c.origin == "levels" and c.theory is not None and c.theory.name == theory.name]
    periodic = [r for r in reports if r.model not in models or models[r.model].periodic] or reports
    how = method(max(periodic, key=lambda report: len(report.levels)))
    sizes = sorted(len(models[r.model].structure) for r in periodic if r.model in models)
    cells = (
        ""
        if not sizes
        else f", cells of {sizes[0]} to {sizes[-1]} atoms"
        if sizes[0] < sizes[-1]
        else f", {sizes[0]} atoms"
    )
    lines = sum(c.origin == "emission" for c in candidates)
    what = "one-electron levels" + ("" if lines else ", no emission lines")
    if not ours:
        what = "one-electron levels; no transition was found in the gap of any model"
    gap = next((c for c in ours if c.kind == "pristine" and c.counted and c.energy_eV is not None), None)
    host = (
        ""
        if gap is None or gap.energy_eV is None
        else f"; gap of the perfect crystal {number_text(gap.energy_eV, 2)} eV"
    )
    counted = sum(c.counted for c in ours)
    n = f" {len(ours)} transitions, of which {counted} count as candidates" if len(ours) != counted else ""
    n += (";" if n else "") + f" {lines} emission{'s' if lines > 1 else ''} by total energies" if lines else ""
    where = f" ({how}{cells})" if how or cells else ""
    return f"Computed: {what}, at {theory.label}{where}{host}.{n + '.' if n else ''}"


def _published(rows: Sequence[Row], levels: Levels) -> str:
    """What others computed, and ours of the largest cell."""
    sizes = {model.name: len(model.structure) for model in levels.models}
    said = []
    for quantity, group in groupby((row for row in rows if row.ours_eV is not None), key=lambda row: row.quantity):
        ours = list(group)
        largest = max(sizes.get(row.model, 0) for row in ours)
        by_model = groupby((row for row in ours if sizes.get(row.model, 0) == largest), key=lambda row: row.label)
        found = ", ".join(
            f"{' and '.join(number_text(row.ours_eV or 0.0, 2) for row in levels_)} ({label})"
            for label, levels_ in by_model
        )
        said.append(f"{quantity[:1].lower()}{quantity[1:]} {ours[0].published_eV:g} eV, ours {found}")
    return f"Published, computed: {'; '.join(said)}." if said else ""
