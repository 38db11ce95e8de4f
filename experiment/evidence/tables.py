"""A comparison as tables: for spreadsheets, for a paper, for a page."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midgap.experiment.evidence.observables import OBSERVABLES, measured
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError

if TYPE_CHECKING:
    from midgap.experiment.comparison import Comparison
    from midgap.experiment.evidence.predictions import Prediction
    from midgap.experiment.records import Quantity, Records

HEAD = ("Candidate", "Observable", "Predicted", "Measured", "n", "Residual", "ln evidence")


def rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One row for each prediction, flat, numbers unrounded; None where there is nothing."""
    at = comparison.reference
    best: dict[str, float] = {}
    for found in comparison.evidence:
        if comparison.candidate(found.candidate).counted:
            best[found.observable] = max(best.get(found.observable, -math.inf), float(found.log_evidence[at]))
    for candidate in comparison.candidates:
        for prediction in candidate.predictions:
            evidence = comparison.of(candidate.name, prediction.observable)
            ensemble = comparison.ensemble(prediction.observable)
            quantity = prediction.quantity()
            mean = None if ensemble is None else ensemble.mean
            yield {
                "candidate": candidate.name,
                "title": candidate.title,
                "counted": candidate.counted,
                "observable": prediction.observable,
                "relation": prediction.relation,
                "predicted": quantity.value,
                "predicted_lo": quantity.lo,
                "predicted_hi": quantity.hi,
                "not_estimated": "; ".join(prediction.unknown_sources),
                "measured": None if mean is None else mean.value,
                "measured_lo": None if mean is None else mean.lo,
                "measured_hi": None if mean is None else mean.hi,
                "n": None if evidence is None else evidence.n,
                "n_bounds": None if evidence is None else evidence.n_bounds,
                "residual": None if evidence is None else evidence.ensemble_residual,
                "log_evidence": None if evidence is None else float(evidence.log_evidence[at]),
                "log_evidence_to_best": None
                if evidence is None or prediction.observable not in best
                else float(evidence.log_evidence[at]) - best[prediction.observable],
            }


def rows_by_particle(comparison: Comparison, records: Records) -> Iterator[dict[str, Any]]:
    """One row for each record and each prediction that it can be held against."""
    for found in comparison.evidence:
        for i, record in enumerate(records.records):
            quantity = measured(record, found.observable)
            if quantity is None:
                continue
            yield {
                "record": comparison.particles.labels[i],
                "kind": comparison.particles.kinds[i],
                "observable": found.observable,
                "measured": quantity.value,
                "measured_lo": quantity.lo,
                "measured_hi": quantity.hi,
                "candidate": found.candidate,
                "residual": _finite(found.residuals[i]),
                "log_likelihood": _finite(found.log_likelihood[i]),
            }


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def write_rows(lines: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """As CSV or Parquet, by the file's ending.

    Raises
    ------
    InputError
        Another ending, or pyarrow is not there.
    """
    if path.suffix.lower() == ".parquet":
        from midgap.experiment.extras import missing

        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise missing("pyarrow", "Parquet files") from None
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(pyarrow.Table.from_pylist([dict(line) for line in lines]), sink)
        return write_atomic(path, sink.getvalue().to_pybytes())
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: tables are written as .csv or .parquet.")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return write_atomic(path, text.getvalue())


def cells(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """`HEAD`'s columns in words, candidates that are counted only; a candidate's name in its first row."""
    last = ""
    for row in rows(comparison):
        candidate = comparison.candidate(row["candidate"])
        if not candidate.counted:
            continue
        prediction = candidate.prediction(row["observable"])
        assert prediction is not None
        ensemble = comparison.ensemble(row["observable"])
        observable = OBSERVABLES[row["observable"]]
        unit = f" ({observable.unit})" if observable.unit else ""
        yield (
            candidate.title if candidate.name != last else "",
            observable.label + unit,
            predicted_text(prediction),
            "not measured" if ensemble is None else quantity_text(ensemble.mean, observable.digits),
            "" if row["n"] is None else f"{row['n']}",
            "" if row["residual"] is None else signed(row["residual"]),
            "" if row["log_evidence_to_best"] is None else signed(row["log_evidence_to_best"]),
        )
        last = candidate.name


def predicted_text(prediction: Prediction) -> str:
    """``2.19 ± 0.22``, ``2.33 to 2.59``, ``at most 12.0``; ``± ?`` where part of the error is not estimated."""
    digits = OBSERVABLES[prediction.observable].digits
    if prediction.range is not None:
        return " to ".join(f"{x:.{min(digits, 2)}f}" for x in prediction.range)
    word = {"equals": "", "at_most": "at most ", "at_least": "at least "}[prediction.relation]
    if prediction.lo is not None and prediction.hi is not None:
        return word + quantity_text(prediction.quantity(), digits)
    known = prediction.known_uncertainty
    unknown = " ± ?" if prediction.unknown_sources else ""
    if known is None:
        # No more digits than an energy without an error deserves.
        return f"{word}{number_text(prediction.value, min(digits, 2))}{unknown}"
    if known > 0:  # two digits of the error
        digits = max(0, min(digits, 1 - math.floor(math.log10(known))))
    return f"{word}{number_text(prediction.value, digits)} ± {number_text(known, digits)}{unknown}"


def number_text(x: float, digits: int) -> str:
    """With so many decimals; of large numbers three digits count."""
    return f"{x:.{digits}f}" if abs(x) < 1000 else f"{round(x, 2 - math.floor(math.log10(abs(x)))):.0f}"


def quantity_text(quantity: Quantity, digits: int) -> str:
    """``2.387 (2.308 to 2.467)``."""
    value, lo, hi = (None if x is None else number_text(x, digits) for x in (quantity.value, quantity.lo, quantity.hi))
    interval = f"{lo} to {hi}" if lo and hi else f"≥ {lo}" if lo else f"≤ {hi}" if hi else ""
    return f"{value} ({interval})" if value and interval else value or interval


def signed(x: float) -> str:
    """One decimal, with its sign; none where it is zero."""
    text = f"{x:+.1f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def markdown(comparison: Comparison) -> str:
    """A table for a page of text."""
    lines = [tuple(cell.replace("|", "\\|") for cell in row) for row in cells(comparison)]
    head = f"| {' | '.join(HEAD)} |\n|{'|'.join(['---'] * 3 + ['--:'] * 4)}|"
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in lines), "", caption(comparison)]) + "\n"


def latex(comparison: Comparison) -> str:
    """A table for a paper: tabular with the rules of booktabs."""
    body = [" & ".join(map(to_latex, row)) + r" \\" for row in cells(comparison)]
    return "\n".join(
        [
            r"\begin{tabular}{lllrrrr}",
            r"\toprule",
            " & ".join(map(to_latex, HEAD)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {line}" for line in caption(comparison).splitlines()),
            "",
        ]
    )


def caption(comparison: Comparison) -> str:
    """What the columns are."""
    reference = comparison.assumptions[comparison.reference]
    return (
        "Predicted: ± what is estimated of its error; ± ? where more is not. Measured: mean of the population and 95 % "
        "interval; n records. Residual: measured less predicted over the error of both; ln evidence: less that of the best "
        f"candidate for this observable. Both take what is not estimated to add ± {reference.unknown_eV:g} eV to energies "
        f"and a factor of {reference.unknown_factor:g} to the rest."
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "→": r"$\to$",
    "±": r"$\pm$",
    "−": r"$-$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "²": r"$^{2}$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
    "μ": r"$\mu$",
}
_RAISED, _LOWERED = (
    dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True)),
    dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
)


def to_latex(text: str) -> str:
    """Text with what LaTeX would take for its own escaped, V_Br⁰ with its sub- and superscripts."""
    out = "".join(_LATEX.get(c, c) if c not in _RAISED and c not in _LOWERED else c for c in text)
    out = re.sub(r"V\\_([A-Z][a-z]?)", r"V$_{\\mathrm{\1}}$", out)
    out = re.sub(f"[{''.join(_RAISED)}]+", lambda m: f"$^{{{''.join(_RAISED[c] for c in m[0])}}}$", out)
    return re.sub(f"[{''.join(_LOWERED)}]+", lambda m: f"$_{{{''.join(_LOWERED[c] for c in m[0])}}}$", out)
