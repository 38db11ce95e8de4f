"""Each prediction against everything that was measured: residuals, likelihoods, and what is missing on either side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.collected import Data
from midgap.experiment.evidence.ensembles import outermost
from midgap.experiment.evidence.observables import OBSERVABLES, ObservableName
from midgap.experiment.evidence.population import Measurements, Population
from midgap.experiment.evidence.predictions import Assumption, Prediction
from midgap.experiment.records import Records
from midgap.structures.document import Document, FloatArray

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

SAME_DATA = {"pl_size_slope_meV_per_nm": "pl_peak_eV", "g2_0": "n_emitters_M"}
"""Observables that are the same measurement as another one, which is counted instead."""


class Particles(Document):
    """The records in the order of every array by record."""

    labels: tuple[str, ...]
    kinds: tuple[str, ...]


class Evidence(Document):
    """One candidate against one observable.

    Attributes
    ----------
    residuals
        Shape (record,): measured less predicted over the standard deviation of both at the reference assumption. NaN
        where the record holds no value. Zero within a range that is predicted.
    log_likelihood
        Shape (record,): natural logarithm of the probability density of each record alone at the reference
        assumption, on the scale of the observable; of a bound the probability.
    log_evidence
        Shape (assumption,): the same of all records together. Not the sum of the former: the error of the prediction
        is one and the same for all particles.
    ensemble_residual
        The residual of the population's mean; of bounds zero between them, else from the nearer one.
    counted
        Whether it may add to the total; ``note`` says why not.
    """

    candidate: str
    observable: ObservableName
    n: int
    n_bounds: int
    residuals: FloatArray
    log_likelihood: FloatArray
    log_evidence: FloatArray
    ensemble_residual: float | None
    counted: bool = True
    note: str = ""


class Missing(Document):
    """What cannot be held against anything: not measured (no candidate is named), or not predicted by one."""

    candidate: str | None
    observable: ObservableName
    reason: str


def evidence_of(
    candidates: Sequence[Candidate],
    data: dict[str, Data],
    n_records: int,
    assumptions: Sequence[Assumption],
    reference: int,
    progress: Progress | None = None,
) -> tuple[Evidence, ...]:
    """Every prediction against what was measured of it.

    Parameters
    ----------
    reference
        Which of the assumptions the numbers by record rest on.
    progress
        Called with how many of how many predictions are done.
    """
    pairs = [(c, p) for c in candidates for p in c.predictions if p.observable in data]
    found = []
    for done, (candidate, prediction) in enumerate(pairs):
        one = data[prediction.observable]
        shifted = _by_size(prediction, one)
        if shifted is not None:
            found.append(_against(candidate, prediction, shifted, n_records, assumptions, reference))
        if progress is not None:
            progress(done + 1, len(pairs))
    return tuple(found)


def apart_from(name: str, evidence: Sequence[Evidence], assumption: int) -> dict[tuple[str, str], float]:
    """By candidate and observable: ln evidence less that of the named candidate, where this has it."""
    own = {e.observable: e.log_evidence[assumption] for e in evidence if e.candidate == name}
    return {
        (e.candidate, e.observable): float(e.log_evidence[assumption] - own[e.observable])
        for e in evidence
        if e.observable in own
    }


def uncounted(evidence: Sequence[Evidence]) -> dict[str, str]:
    """Observables that do not enter: ``number of emitters: the same data`` is counted instead, and why."""
    names = {one.observable for one in evidence if not one.counted}
    return {name: _same_data(name) for name in SAME_DATA if name in names}


def _same_data(name: str) -> str:
    return f"{OBSERVABLES[SAME_DATA[name]].label}: the same data"


def missing(candidates: Sequence[Candidate], data: dict[str, Data], records: Records) -> Iterator[Missing]:
    """What was not measured though something predicts it, and what was measured though a candidate is silent."""
    predicted = {p.observable for c in candidates for p in c.predictions}
    for name, observable in OBSERVABLES.items():
        if name not in data and name in predicted:
            notes = [r.notes[name] for r in records.records if name in r.notes]
            yield Missing(
                candidate=None, observable=observable.name, reason="not measured" + (f": {notes[0]}" if notes else "")
            )
    for candidate in candidates:
        if not candidate.counted:
            continue
        for name in data:
            prediction = candidate.prediction(name)
            if prediction is None:
                reason = candidate.not_predicted.get(name, "not predicted")
                yield Missing(candidate=candidate.name, observable=OBSERVABLES[name].name, reason=reason)
            elif prediction.by_size is not None and _by_size(prediction, data[name]) is None:
                reason = "goes with the size of the particle, which no record states"
                yield Missing(candidate=candidate.name, observable=OBSERVABLES[name].name, reason=reason)


def log_evidence(
    population: Population, prediction: Prediction, widths: tuple[float, float], shift: float = 0.0
) -> float:
    """Ln ∫ p(measured | mean) p(mean | prediction) d mean."""
    x = np.union1d(population.mean, prediction.nodes(widths, shift))
    return float(_integral(population.at(x), prediction.density(x, widths, shift), x))


def _integral(log_f: Floats, density: Floats, x: Floats) -> Floats:
    """Logarithm of the trapezoid sum of exp(log_f) density over the last axis."""
    step = np.diff(x)
    weight = 0.5 * (np.append(step, 0.0) + np.append(0.0, step)) * density
    with np.errstate(divide="ignore"):
        return np.asarray(logsumexp(log_f + np.log(weight), axis=-1))


def _by_size(prediction: Prediction, data: Data) -> Data | None:
    """The measurements less what size alone makes of the prediction; None if it goes with a size that nobody measured."""
    if prediction.by_size is None or prediction.alternatives is not None:
        return data
    at_value = prediction.centre()
    centres = [None if math.isnan(size) else prediction.centre(size) for size in data.size_nm]
    kept = np.array([centre is not None for centre in centres])
    if not kept.any() or at_value is None:
        return None
    numbers = data.measurements
    part = numbers[kept].shifted(np.array([centre - at_value for centre in centres if centre is not None]))
    note = "each particle at its own size"
    if not kept.all():
        note += f"; {int((~kept).sum())} of unknown size, or beyond the curve, left out"
    return Data(data.observable, part, data.index[kept], data.size_nm[kept], note)


def _against(
    candidate: Candidate,
    prediction: Prediction,
    data: Data,
    n_records: int,
    assumptions: Sequence[Assumption],
    reference: int,
) -> Evidence:
    population, widths = data.population(prediction.spread), prediction.widths(assumptions[reference])
    x = np.union1d(population.mean, prediction.nodes(widths))
    residuals, alone = np.full(n_records, np.nan), np.full(n_records, np.nan)
    if data.index.size:
        residuals[data.index] = _residuals(prediction, widths, data.measurements)
        alone[data.index] = _integral(population.at(x, rows=True), prediction.density(x, widths), x)
    middle = outermost(data) if data.measurements.is_bound.all() else population.summary(data.observable, 1)[0]
    whole = Measurements.of([middle], [True], data.observable)
    counted = prediction.observable not in SAME_DATA
    notes = [data.note, "" if counted else f"not counted beside {_same_data(prediction.observable)}"]
    return Evidence(
        candidate=candidate.name,
        observable=prediction.observable,
        n=len(data.measurements),
        n_bounds=int(data.measurements.is_bound.sum()),
        residuals=_rounded(residuals),
        log_likelihood=_rounded(alone),
        log_evidence=np.array([log_evidence(population, prediction, prediction.widths(a)) for a in assumptions]),
        ensemble_residual=float(_residuals(prediction, widths, whole, bounds=True)[0]),
        counted=counted,
        note="; ".join(note for note in notes if note),
    )


def _residuals(prediction: Prediction, widths: tuple[float, float], data: Measurements, bounds: bool = False) -> Floats:
    """Standardised, with the errors that lie between the two; shape (n,), NaN for bounds but where they are asked for."""
    values = [prediction.value] if prediction.alternatives is None else prediction.alternatives
    places = [OBSERVABLES[prediction.observable].scale(float(x)) for x in values]
    low, high = min(places), max(places)
    if prediction.relation == "at_most":
        low = low + math.log(prediction.least_fraction) if prediction.least_fraction else -math.inf
    if prediction.relation == "at_least":
        high = math.inf
    least, most = (np.where(data.is_bound, bound, data.value) for bound in (data.lo, data.hi))
    away = np.where(most < low, most - low, np.where(least > high, least - high, 0.0))
    error = np.where(away > 0, np.hypot(data.below, widths[1]), np.hypot(data.above, widths[0]))
    return np.where(data.is_bound & (not bounds), np.nan, away / error)


def _rounded(x: Floats) -> Floats:
    """To four digits: enough to read, and a table of hundreds stays small."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(np.isfinite(x) & (x != 0), np.floor(np.log10(np.abs(x))), 0.0)
    factor = 10.0 ** (3 - size)
    return np.round(x * factor) / factor
