"""A comparison in sentences: what lies where, and what the numbers rest on."""

from __future__ import annotations

from collections.abc import Sequence

from midgap.experiment.evidence.candidates import Candidate, best_theory
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.predictions import AT_LEAST_REACH, Assumption
from midgap.experiment.photon_energy import wavelength_nm
from midgap.experiment.records import Quantity, Records


def conventions(reference: Assumption) -> tuple[str, ...]:
    """What the numbers rest on, in words."""
    soft, spread = _by_observable("feasible"), _by_observable("spread_scale")
    return (
        "A measured interval is taken as a central one at 95 %, its two sides as halves of two normal densities. A "
        "quantity with bounds only is the probability to lie between them.",
        f"A value without an interval is taken to be as uncertain as a good measurement leaves it: {soft}.",
        "Particles have values of their own, spread normally around a mean. Where a candidate does not predict that "
        f"spread, it is integrated over a half-t prior (4 degrees of freedom) of this scale: {spread}. Ensembles and ranges over many "
        "particles measure the mean. Records of one particle under several conditions count as several particles.",
        "The error of a prediction is normal and common to all particles. Linewidths, lifetimes and numbers of emitters "
        "are compared as ratios.",
        "A radiative lifetime is an upper bound: the measured one is it times a quantum yield, taken as anywhere from 0 "
        f"to 1. A lower bound is taken as evenly spread, on a logarithmic scale, up to {AT_LEAST_REACH:g} times it.",
        f"Numbers by record and next steps take what is not known to add ± {reference.unknown_eV:g} eV to energies and a "
        f"factor of {reference.unknown_factor:g} to linewidths and lifetimes.",
        "Observables are taken as independent of each other. Candidates are compared only on what all of them predict.",
    )


def _by_observable(what: str) -> str:
    """``PL energy 0.005 eV, lifetime 5 %``."""
    of_records = [(o, getattr(o, what)) for o in OBSERVABLES.values() if o.of == "record"]
    return ", ".join(
        f"{o.label} {100 * x:.0f} %" if o.logarithmic else f"{o.label} {x:g} {o.unit}".strip() for o, x in of_records
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
    size = "its size" if prediction.alternatives is not None else "the size of the particle"
    verb = "holds" if holds else "does not hold"
    return f"{candidate.title} is at {lo:.2f} to {hi:.2f} eV, by {size}, which {verb} the measured energy"


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
