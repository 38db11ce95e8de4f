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
from midgap.experiment.evidence.odds import ALIVE, Odds, Totals
from midgap.experiment.evidence.predictions import Assumption, Prediction, Uncertainty
from midgap.experiment.evidence.stated import predicted, step_error, text
from midgap.structures.document import Document

Floats = NDArray[np.float64]

SHOWN, LEAST_BITS = 8, 5e-3
BINS, STEPS = 6000, 81
COMPUTED = ("levels", "emission")
COMPUTABLE = ("pl_fwhm_meV", "tau_av_ns")
IGNORANCE = 1.1
"""Of what is not computed yet: this on a natural logarithm, a factor of 3 either way of what was measured."""
NOT_YET = "not computed yet; taken as within a factor of 3 of what was measured"


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
    how
        What it takes, where that is known.
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
    how: str = ""
    note: str = ""

    @property
    def sentence(self) -> str:
        """What to do, how well and how: ``compute the PL energy of V_Br⁰, to ± 0.1 eV, in a cell of 65 atoms``."""
        how = f", {self.how}" if self.how else ""
        return f"{self.what}, to {step_error(self.error, self.relative, self.unit)}{how}"


def alive(
    candidates: Sequence[Candidate], total: Totals, closer: Totals, reference: int, odds: Odds | None
) -> dict[str, float]:
    """Weights of the candidates that are not ruled out: evidence times prior, priors alike where there are none.

    Parameters
    ----------
    closer
        See `midgap.experiment.evidence.odds.narrowed`.
    """
    if not total.candidates or not total.observables:
        counted = [candidate.name for candidate in candidates if candidate.counted]
        return dict.fromkeys(counted, 1.0 / max(1, len(counted)))
    priors = dict.fromkeys(total.candidates, 1.0) if odds is None else odds.priors
    support = dict(zip(closer.candidates, np.exp(closer.relative(reference)).tolist(), strict=True))
    weights = {name: priors[name] * x for name, x in support.items()}
    most = max(weights.values())
    kept = {name: weight for name, weight in weights.items() if weight > 0 and weight >= ALIVE * most}
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
    worth = [step for step in _calculations(living, weights, data, assumption) if step.information_bits >= LEAST_BITS]
    worth = sorted(worth, key=lambda step: -step.information_bits)[:SHOWN]
    # That a measurement would tell little is worth saying too.
    found = [*_measurements(living, weights, data, assumption), *worth]
    return tuple(sorted(found, key=lambda step: -step.information_bits))


def unrated(candidates: Sequence[Candidate], weights: Mapping[str, float]) -> tuple[ObservableName, ...]:
    """Measurements that fewer than two of the candidates that are alive predict: nothing says what they are worth."""
    living = [c for c in candidates if c.name in weights]
    if len(living) < 2:
        return ()
    return tuple(o.name for o in OBSERVABLES.values() if sum(c.prediction(o.name) is not None for c in living) < 2)


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
            what=_measurement(observable, data.get(name)),
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
                how=_remedy(prediction) if candidate.prediction(name) else _needs(candidate, name),
                note=_wanting(prediction, assumption) if candidate.prediction(name) else NOT_YET,
            )


def _measurement(observable: Observable, data: Data | None) -> str:
    if data is not None and data.from_band:
        return "read the maximum of the PL spectrum, of which only the detection band is known"
    return f"measure the {observable.label} of {'many particles' if observable.of == 'record' else 'the ensemble'}"


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


def _needs(candidate: Candidate, name: str) -> str:
    reason = candidate.not_predicted.get(name, "")
    return f"which {reason}" if reason.startswith("needs ") else ""


def _remedy(prediction: Prediction) -> str:
    """What would lessen the largest part of its error that has an estimate."""
    known = sorted((u for u in prediction.uncertainties if u.value), key=lambda u: -(u.value or 0.0))
    return known[0].remedy if known else ""


def _wanting(prediction: Prediction, assumption: Assumption) -> str:
    """What its error is made of now."""
    known = sorted((u for u in prediction.uncertainties if u.value), key=lambda u: -(u.value or 0.0))
    parts = [f"now {text(predicted(prediction, assumption, words=True))}"]
    if known:
        parts.append(f"largest known error: {known[0].source}" + (f" ({known[0].note})" if known[0].note else ""))
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
