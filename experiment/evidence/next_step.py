"""What would tell best between the candidates that are still alive: the next measurement or calculation.

The worth of either is the information about which candidate it is that its outcome is expected to give (D. V. Lindley,
Ann. Math. Stat. 27, 986 (1956), doi 10.1214/aoms/1177728069): the mutual information of candidate and outcome, at most
the logarithm of how many candidates there are. An outcome that all predict alike is worth nothing, however precise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.collected import Data
from midgap.experiment.evidence.likelihoods import log_evidence
from midgap.experiment.evidence.observables import OBSERVABLES, Observable, ObservableName
from midgap.experiment.evidence.odds import Odds, Totals
from midgap.experiment.evidence.predictions import Assumption, Prediction, Uncertainty
from midgap.experiment.evidence.stated import predicted, step_error, text
from midgap.structures.document import Document

Floats = NDArray[np.float64]

ALIVE = 0.01
"""A candidate is alive if it is at least so many times as well supported as the best."""
SHOWN, LEAST_BITS = 8, 5e-3
BINS, STEPS = 6000, 81
COMPUTED = ("levels", "emission")
COMPUTABLE = ("pl_fwhm_meV", "tau_av_ns")
IGNORANCE = 1.1
"""Of what is not computed yet: this on a natural logarithm, a factor of 3 either way of what was measured."""
NOT_YET = "until then taken as within a factor of 3 of what was measured"


class NextStep(Document):
    """A measurement or calculation, and what it is worth.

    Attributes
    ----------
    error
        What a good one is taken to leave, in the unit of the observable; relative where ``relative``.
    information_bits
        Expected information about which candidate it is; at most ``possible_bits``, what is not known yet.
    candidates
        Between which it tells.
    """

    kind: Literal["measurement", "calculation"]
    what: str
    observable: ObservableName
    candidate: str | None = None
    error: float
    relative: bool
    unit: str
    information_bits: float
    possible_bits: float
    candidates: tuple[str, ...]
    note: str = ""

    @property
    def sentence(self) -> str:
        """What to do, and how well: ``compute the lifetime of V_Br⁰ to ± 20 %``."""
        return f"{self.what}, to {step_error(self.error, self.relative, self.unit)}"


def alive(candidates: Sequence[Candidate], total: Totals, reference: int, odds: Odds | None) -> dict[str, float]:
    """Weights of the candidates that are not ruled out: their probabilities, or all alike where there are no priors."""
    if not total.candidates or not total.observables:
        counted = [candidate.name for candidate in candidates if candidate.counted]
        return dict.fromkeys(counted, 1.0 / max(1, len(counted)))
    if odds is not None:
        p = odds.probability[reference]
        kept = {name: float(x) for name, x in zip(odds.candidates, p, strict=True) if x >= ALIVE * p.max()}
    else:
        near = np.exp(total.relative(reference)) >= ALIVE
        kept = dict.fromkeys((name for name, yes in zip(total.candidates, near, strict=True) if yes), 1.0)
    whole = sum(kept.values())
    return {name: weight / whole for name, weight in kept.items()}


def next_steps(
    candidates: Sequence[Candidate], weights: Mapping[str, float], data: Mapping[str, Data], assumption: Assumption
) -> tuple[NextStep, ...]:
    """The steps worth most, best first.

    Parameters
    ----------
    weights
        See `alive`.
    assumption
        What is not known of the predictions.
    """
    living = [c for c in candidates if c.name in weights]
    if len(living) < 2:
        return ()
    found = [*_measurements(living, weights, data, assumption), *_calculations(living, weights, data, assumption)]
    found = [step for step in found if step.information_bits >= LEAST_BITS]
    return tuple(sorted(found, key=lambda step: -step.information_bits)[:SHOWN])


def _measurements(
    living: Sequence[Candidate], weights: Mapping[str, float], data: Mapping[str, Data], assumption: Assumption
) -> Iterator[NextStep]:
    for name, observable in OBSERVABLES.items():
        able = [(c, p) for c in living if (p := c.prediction(name)) is not None]
        if len(able) < 2:
            continue
        share = np.array([weights[c.name] for c, _ in able])
        masses, step = _after(able, data.get(name), assumption)
        error = observable.feasible
        blurred = gaussian_filter1d(masses, error / step, axis=1, mode="constant", truncate=6.0)
        silent = [c.title for c in living if c.prediction(name) is None]
        yield NextStep(
            kind="measurement",
            what=f"measure the {observable.label} of many particles",
            observable=observable.name,
            error=error,
            relative=observable.logarithmic,
            unit=observable.unit,
            information_bits=float(share.sum() * information_bits(share / share.sum(), blurred)),
            possible_bits=entropy_bits(np.array(list(weights.values()))),
            candidates=tuple(c.name for c, _ in able),
            note=f"silent: {'; '.join(silent)}" if silent else "",
        )


def _calculations(
    living: Sequence[Candidate], weights: Mapping[str, float], data: Mapping[str, Data], assumption: Assumption
) -> Iterator[NextStep]:
    """A better calculation measures the error of a prediction; if the candidate is the emitter, the data foretell its outcome."""
    for candidate in living:
        for name, one in data.items():
            observable = OBSERVABLES[name]
            prediction = candidate.prediction(name) or _ignorant(candidate, one)
            if prediction is None or (prediction.by_size is not None and prediction.alternatives is None):
                continue
            now, left = float(np.mean(prediction.widths(assumption))), observable.feasible_by_theory
            if now <= left:
                continue
            scatter = (now**2 - left**2) ** 0.5
            outcome = np.linspace(-5.0, 5.0, STEPS) * scatter
            before = np.exp(-0.5 * (outcome / scatter) ** 2)
            population = one.population(prediction.spread)
            fits = np.array([log_evidence(population, prediction, (left, left), float(x)) for x in outcome])
            if_true = before * np.exp(fits - fits.max())
            share = weights[candidate.name]
            yield NextStep(
                kind="calculation",
                what=_calculation(candidate, observable),
                observable=observable.name,
                candidate=candidate.name,
                error=left,
                relative=observable.logarithmic,
                unit=observable.unit,
                information_bits=information_bits(np.array([share, 1.0 - share]), np.stack([if_true, before])),
                possible_bits=entropy_bits(np.array(list(weights.values()))),
                candidates=(candidate.name,),
                note=_wanting(prediction, assumption) if candidate.prediction(name) else _not_yet(candidate, name),
            )


def _calculation(candidate: Candidate, observable: Observable) -> str:
    if candidate.origin in COMPUTED:
        return f"compute the {observable.label} of {candidate.title}"
    return f"establish the {observable.label} of {candidate.title}, by calculation or on a sample of it"


def _ignorant(candidate: Candidate, data: Data) -> Prediction | None:
    """What is known of a linewidth or lifetime before it is computed: that it need not be far from what is seen."""
    observable = data.observable
    if candidate.origin not in COMPUTED or observable.name not in COMPUTABLE:
        return None
    middle, _ = data.population().summary(observable, 1)
    width = Uncertainty(source="not computed", value=IGNORANCE * float(middle.value or 1.0))
    return Prediction(observable=observable.name, value=float(middle.value or 1.0), uncertainties=(width,))


def _not_yet(candidate: Candidate, name: str) -> str:
    reason = candidate.not_predicted.get(name, "")
    return "; ".join(part for part in (reason, NOT_YET) if part)


def _wanting(prediction: Prediction, assumption: Assumption) -> str:
    """What its error is made of now, and what would lessen the largest part that has an estimate."""
    known = sorted((u for u in prediction.uncertainties if u.value), key=lambda u: -(u.value or 0.0))
    parts = [f"now {text(predicted(prediction, assumption, words=True))}"]
    if known:
        remedy = f" ({known[0].remedy})" if known[0].remedy else ""
        parts.append(f"largest known error: {known[0].source}{remedy}")
    if prediction.unknown_sources:
        parts.append(f"not estimated: {', '.join(prediction.unknown_sources)}")
    return "; ".join(parts)


def _after(
    able: Sequence[tuple[Candidate, Prediction]], data: Data | None, assumption: Assumption
) -> tuple[Floats, float]:
    """What each candidate says of the mean after what was measured already: masses in equal bins, and their width."""
    parts = []
    for _, prediction in able:
        widths = prediction.widths(assumption)
        known = None if data is None else data.population(prediction.spread)
        x = prediction.nodes(widths) if known is None else np.union1d(known.mean, prediction.nodes(widths))
        with np.errstate(divide="ignore"):
            log_p = np.log(prediction.density(x, widths)) + (0.0 if known is None else known.at(x))
        density = np.exp(log_p - log_p.max())
        mass = np.append(0.0, np.cumsum(0.5 * np.diff(x) * (density[1:] + density[:-1])))
        parts.append((x, mass / mass[-1]))
    # Between the outermost places where a candidate has more than a millionth of itself.
    ends = [np.interp([1e-6, 1 - 1e-6], mass, x) for x, mass in parts]
    margin = 6 * max(OBSERVABLES[prediction.observable].feasible for _, prediction in able)
    edges = np.linspace(min(e[0] for e in ends) - margin, max(e[1] for e in ends) + margin, BINS + 1)
    masses = np.stack([np.diff(np.interp(edges, x, mass)) for x, mass in parts])
    return masses, float(edges[1] - edges[0])


def information_bits(share: Floats, outcomes: Floats) -> float:
    """Mutual information of what is true and what comes out, bits.

    Parameters
    ----------
    share
        Probability of each candidate, shape (n,).
    outcomes
        Probability of each outcome if it is true, shape (n, outcome).
    """
    p = outcomes / outcomes.sum(axis=1, keepdims=True)
    mixed = share @ p
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / mixed), 0.0)
    return max(0.0, float(share @ terms.sum(axis=1)))


def entropy_bits(share: Floats) -> float:
    """What is not known of which candidate it is, bits."""
    p = share[share > 0] / share.sum()
    return float(-(p * np.log2(p)).sum())
