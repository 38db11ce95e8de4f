"""A comparison in sentences: what fits, what was measured and computed, what to do next, and what the numbers rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from midgap.defects.report import Levels
from midgap.experiment.evidence.candidates import Candidate, best_theory
from midgap.experiment.evidence.ensembles import Ensemble
from midgap.experiment.evidence.likelihoods import Evidence
from midgap.experiment.evidence.method import method
from midgap.experiment.evidence.next_step import NOT_YET, NextStep
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.odds import Totals
from midgap.experiment.evidence.predictions import AT_LEAST_REACH, Assumption
from midgap.experiment.evidence.stated import measured, number_text, predicted, text
from midgap.experiment.photon_energy import wavelength_nm

ENERGY = "pl_peak_eV"
FITS = 2.0
"""A candidate fits what lies within so many standard deviations."""
NAMED = 3
"""So many candidates are named in a sentence; more are counted."""


def conventions(reference: Assumption) -> tuple[str, ...]:
    """What the numbers rest on, in words."""
    soft, spread = _by_observable("feasible"), _by_observable("spread_scale")
    return (
        "A measured interval is taken as a central one at 95 %, its two sides as halves of two normal densities. A "
        "quantity with bounds only is the probability to lie between them.",
        "A band in which light was detected is no measured maximum: its ends are bounds.",
        f"A value without an interval is taken to be as uncertain as a good measurement leaves it: {soft}.",
        "Particles have values of their own, spread normally around a mean. Where a candidate does not predict that "
        f"spread, it is integrated over a half-t prior (4 degrees of freedom) of this scale: {spread}. Ensembles and ranges over many "
        "particles measure the mean. Of several records of one particle that of the weakest excitation enters.",
        "The error of a prediction is normal and common to all particles. Linewidths, lifetimes and numbers of emitters "
        "are compared as ratios.",
        "A radiative lifetime is an upper bound: the measured one is it times a quantum yield, taken as anywhere from 0 "
        f"to 1. A lower bound is taken as evenly spread, on a logarithmic scale, up to {AT_LEAST_REACH:g} times it.",
        f"Numbers by record and next steps assume for errors not estimated ± {reference.unknown_eV:g} eV on energies and a "
        f"factor of {reference.unknown_factor:g} on linewidths and lifetimes, one standard deviation.",
        "Observables are taken as independent of each other. Candidates are compared only on what all of them predict.",
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
) -> tuple[str, ...]:
    """What fits and what is undecided; what was measured; what was computed; what to do next: a sentence or two each."""
    energy = next((ensemble for ensemble in ensembles if ensemble.observable == ENERGY), None)
    if energy is None:
        verdict = "Open: no record states the energy of its photoluminescence, so no candidate can be held against it."
    else:
        seen = "band in which light was detected" if energy.from_band else "measured PL energy"
        verdict = _verdict(candidates, evidence, totals, assumption, reference, living, seen)
    said = [verdict, _measured(energy), _computed(candidates, levels)]
    if steps:
        note = steps[0].note.removesuffix(NOT_YET).rstrip("; ") if steps[0].kind == "calculation" else ""
        said.append(f"Next: {steps[0].sentence}.{f' {note[0].upper()}{note[1:]}.' if note else ''}")
    return tuple(sentence for sentence in said if sentence)


def _verdict(
    candidates: Sequence[Candidate],
    evidence: Sequence[Evidence],
    totals: Totals,
    assumption: Assumption,
    reference: int,
    living: Mapping[str, float],
    seen: str,
) -> str:
    residual = {e.candidate: e.ensemble_residual for e in evidence if e.observable == ENERGY}
    counted = [c for c in candidates if c.counted and residual.get(c.name) is not None]
    if not counted:
        return "Open: no candidate predicts the photoluminescence energy that was measured."
    away = {c.name: abs(residual[c.name] or 0.0) for c in counted}
    fitting = [c for c in counted if away[c.name] <= FITS and c.name in living]
    others = [c for c in counted if c not in fitting]
    if not fitting:
        nearest = min(counted, key=lambda c: away[c.name])
        stated = _with_energy(nearest, assumption)
        return f"No candidate fits: the nearest to the {seen}, {stated}, is {away[nearest.name]:.1f} σ off{_if(assumption)}."
    best = dict(zip(totals.candidates, totals.relative(reference), strict=True)) if totals.candidates else {}
    fitting.sort(key=lambda c: -best.get(c.name, 0.0))
    names = [
        _with_energy(c, assumption) + _one_sided(c, residual[c.name] or 0.0) + _but(c, evidence)
        for c in fitting[:NAMED]
    ]
    names += [f"{len(fitting) - NAMED} more"] if len(fitting) > NAMED else []
    joined = "; and ".join(["; ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    if len(fitting) == 1:
        found = f"One candidate fits the {seen}, which makes it possible, not proven: {joined}"
    else:
        apart = max(best.values(), default=0.0) - min((best.get(c.name, 0.0) for c in fitting), default=0.0)
        by = ", ".join(OBSERVABLES[name].label for name in totals.observables)
        n = {2: "two", 3: "three"}.get(len(fitting), str(len(fitting)))
        differs = f"differs by {apart:.1f}" if apart >= 0.05 else "is the same"
        found = (
            f"Undecided: {n} candidates fit the {seen}, and the evidence does not tell them apart "
            f"(ln evidence by {by} {differs}): {joined}"
        )
    return f"{found}.{_off(others, away, assumption)}"


def _one_sided(candidate: Candidate, residual: float) -> str:
    """What is not estimated and could only take it farther from the measured energy."""
    way = "lowers" if residual > 0 else "raises" if residual < 0 else ""
    prediction = candidate.prediction(ENERGY)
    assert prediction is not None
    sources = [u.source for u in prediction.uncertainties if u.value is None and u.effect == way]
    if not sources:
        return ""
    return f", and {' and '.join(sources)}, not estimated, would only {way.removesuffix('s')} it further"


def _but(candidate: Candidate, evidence: Sequence[Evidence]) -> str:
    """What else was measured and lies far from what it predicts."""
    far = [
        f"{OBSERVABLES[e.observable].label} is {abs(e.ensemble_residual):.1f} σ off"
        for e in evidence
        if e.candidate == candidate.name and e.ensemble_residual is not None and abs(e.ensemble_residual) > FITS
    ]
    return f", but its {' and its '.join(far)}" if far else ""


def _off(others: Sequence[Candidate], away: Mapping[str, float], assumption: Assumption) -> str:
    if not others:
        return ""
    low, high = min(away[c.name] for c in others), max(away[c.name] for c in others)
    far = f"{low:.1f} σ" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f} σ"
    who = f"The other {len(others)} candidates are" if len(others) > 1 else f"{others[0].title} is"
    return f" {who} {far} off{_if(assumption)}."


def _if(assumption: Assumption) -> str:
    if not assumption.unknown_eV:
        return ", errors not estimated left out"
    return f", if errors not estimated add ± {assumption.unknown_eV:g} eV"


def _with_energy(candidate: Candidate, assumption: Assumption) -> str:
    prediction = candidate.prediction(ENERGY)
    assert prediction is not None
    stated = text(predicted(prediction, assumption, words=True))
    free = " (its size is free, so a weak test)" if prediction.alternatives is not None else ""
    return f"{candidate.title}, at {stated}{free}"


def _measured(energy: Ensemble | None) -> str:
    if energy is None:
        return ""
    found, unit = energy.quantity, text(measured(energy))
    if energy.from_band:
        ends = [wavelength_nm(x) for x in (found.hi, found.lo) if x is not None]
        return (
            f"Measured: light was detected in the band of {unit} ({' to '.join(f'{x:.0f}' for x in ends)} nm); no maximum of "
            "the spectrum was read."
        )
    if found.value is None:
        return f"Measured: a PL energy of {unit}, bounds only."
    who = "1 record" if energy.n == 1 else f"{energy.n} records"
    return f"Measured: PL energy {unit}, {wavelength_nm(found.value):.0f} nm, from {who}."


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
    what = "one-electron levels, no emission lines"
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
    where = f" ({how}{cells})" if how or cells else ""
    return f"Computed: {what}, at {theory.label}{where}{host}.{n + '.' if n else ''}"
