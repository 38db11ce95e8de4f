"""All observables together: evidence of each candidate, and what priors make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import model_validator
from scipy.special import logsumexp

from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.likelihoods import SAME_DATA, Evidence
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.stated import listed
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

ALIVE = 0.01
"""A candidate is alive if it is at least so many times as well supported as the best."""
FIRST = "pl_peak_eV"
"""Candidates that do not predict it are left out of totals if any does."""
UNIFORM = "uniform"


class Totals(Document):
    """Evidence over the observables that all candidates in it predict; no prior is needed for it.

    Attributes
    ----------
    observables
        That are counted.
    left_out
        Measured observables that are not, and why; and candidates that are not.
    log_evidence
        Shape (assumption, candidate): natural logarithm; only differences between candidates mean something.
    """

    observables: tuple[str, ...]
    candidates: tuple[str, ...]
    left_out: dict[str, str]
    log_evidence: FloatArray

    def relative(self, assumption: int) -> np.ndarray:
        """Less that of the best candidate, shape (candidate,), nats."""
        row = self.log_evidence[assumption]
        return np.asarray(row - row.max())


class Odds(Document):
    """Probabilities of the candidates after the measurements, among these candidates only.

    Attributes
    ----------
    priors
        By candidate; they add to one. Probabilities mean nothing without them.
    probability
        Shape (assumption, candidate).
    """

    priors: dict[str, float]
    candidates: tuple[str, ...]
    probability: FloatArray
    note: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Odds:
        if set(self.priors) != set(self.candidates) or self.probability.shape[-1] != len(self.candidates):
            raise ValueError("priors, candidates and probabilities do not belong together")
        return self


def totals(candidates: Sequence[Candidate], evidence: Sequence[Evidence], n_assumptions: int) -> Totals:
    """Add up what all candidates can be compared on.

    A likelihood of more data is another number: candidates can be compared only on observables that each of them
    predicts. The PL energy comes first; whoever does not predict it is left out.
    """
    by_pair: dict[tuple[str, str], Evidence] = {(e.candidate, e.observable): e for e in evidence}
    measured = list(dict.fromkeys(observable for _, observable in by_pair))
    left_out: dict[str, str] = {}
    inside = []
    for candidate in candidates:
        if not candidate.counted:
            left_out[candidate.name] = candidate.not_counted
        elif FIRST in measured and (candidate.name, FIRST) not in by_pair:
            left_out[candidate.name] = "the PL energy is not predicted"
        elif any((candidate.name, name) in by_pair for name in measured):
            inside.append(candidate)
    names = [c.name for c in inside]
    used: list[str] = []
    for name in measured:
        silent = [c.label for c in inside if (c.name, name) not in by_pair]
        if name in SAME_DATA and (SAME_DATA[name] in measured or SAME_DATA[name] in used):
            left_out[name] = f"the same data as {OBSERVABLES[SAME_DATA[name]].label}"
        elif silent:
            more = f" and {len(silent) - 2} more" if len(silent) > 2 else ""
            left_out[name] = f"not predicted by {', '.join(silent[:2])}{more}"
        else:
            used.append(name)
    table = np.zeros((n_assumptions, len(inside)))
    for i, name in enumerate(names):
        for observable in used:
            table[:, i] += by_pair[name, observable].log_evidence
    return Totals(observables=tuple(used), candidates=tuple(names), left_out=left_out, log_evidence=table)


def narrowed(
    candidates: Sequence[Candidate],
    evidence: Sequence[Evidence],
    total: Totals,
    reference: int,
    odds: Odds | None = None,
) -> Totals:
    """The same among the candidates that are alive, over all that these predict: what the others are silent on counts too."""
    if not total.candidates or not total.observables:
        return total
    support = np.exp(total.relative(reference)) if odds is None else odds.probability[reference]
    kept = {name for name, x in zip(total.candidates, support, strict=True) if x >= ALIVE * support.max()}
    if len(kept) < 2:
        return total
    return totals([c for c in candidates if c.name in kept], evidence, len(total.log_evidence))


def odds(total: Totals, priors: Mapping[str, float] | str, closer: Totals | None = None) -> Odds:
    """Bayes' rule.

    Parameters
    ----------
    closer
        See `narrowed`: what all of its candidates have together by ``total`` is shared out among them by this. What
        only they predict is thus taken to speak for them together neither less nor more than for the others.
    priors
        Weight by candidate, zero for those that are not named; or ``"uniform"``.

    Raises
    ------
    InputError
        A name is none of the candidates', a weight is negative, or all are zero.
    """
    if not total.candidates or not total.observables:
        raise InputError("No observable is both measured and predicted by every candidate, so there are no odds.")
    weights = dict.fromkeys(total.candidates, 1.0) if isinstance(priors, str) else dict(priors)
    if isinstance(priors, str) and priors != UNIFORM:
        raise InputError(f"Priors are a weight for each candidate, or {UNIFORM!r}, not {priors!r}.")
    if unknown := sorted(set(weights) - set(total.candidates)):
        raise InputError(
            f"There is no candidate {unknown[0]!r} to give a prior; there are {', '.join(total.candidates)}."
        )
    row = np.array([weights.get(name, 0.0) for name in total.candidates], dtype=float)
    if not np.isfinite(row).all() or (row < 0).any() or row.sum() <= 0:
        raise InputError("Prior weights are numbers not below zero, one at least above.")
    row = row / row.sum()
    with np.errstate(divide="ignore"):
        posterior = total.log_evidence + np.log(row)
    by = _by(total)
    if closer is not None and closer.observables != total.observables:
        at = [total.candidates.index(name) for name in closer.candidates]
        with np.errstate(divide="ignore"):
            within = closer.log_evidence + np.log(row[at])
        whole = logsumexp(posterior[:, at], axis=1, keepdims=True)
        posterior[:, at] = whole + within - logsumexp(within, axis=1, keepdims=True)
        by += f", among those that are left by {_by(closer)}"
    posterior -= logsumexp(posterior, axis=1, keepdims=True)
    note = f"By {by}. Among the candidates listed only: none of these is not among them."
    return Odds(
        priors=dict(zip(total.candidates, row.tolist(), strict=True)),
        candidates=total.candidates,
        probability=np.exp(posterior),
        note=note + (" All alike, as asked for." if isinstance(priors, str) else ""),
    )


def _by(total: Totals) -> str:
    return listed([OBSERVABLES[name].label for name in total.observables])


def parse_priors(text: str) -> Mapping[str, float] | str:
    """``uniform``, or ``NAME=WEIGHT,NAME=WEIGHT``.

    Raises
    ------
    InputError
        It is neither.
    """
    if text.strip() == UNIFORM:
        return UNIFORM
    weights = {}
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise InputError(f"Priors are written {UNIFORM} or NAME=WEIGHT,NAME=WEIGHT, not {part.strip()!r}.")
    return weights
