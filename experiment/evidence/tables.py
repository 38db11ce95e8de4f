"""A comparison as tables: for spreadsheets, for a paper, for a page."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midgap.experiment.evidence.likelihoods import uncounted
from midgap.experiment.evidence.observables import OBSERVABLES, measured
from midgap.experiment.evidence.stated import measured as measured_by
from midgap.experiment.evidence.stated import predicted, signed, text
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError

if TYPE_CHECKING:
    from midgap.experiment.comparison import Comparison
    from midgap.experiment.records import Records

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
            mean = None if ensemble is None else ensemble.quantity
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
                "measured_from_band": None if ensemble is None else ensemble.from_band,
                "n": None if evidence is None else evidence.n,
                "n_bounds": None if evidence is None else evidence.n_bounds,
                "residual": None if evidence is None else evidence.ensemble_residual,
                "evidence_counted": None if evidence is None else evidence.counted,
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
    table = io.StringIO()
    writer = csv.DictWriter(table, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return write_atomic(path, table.getvalue())


def cells(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """`HEAD`'s columns in words, candidates that are counted only; a candidate's name in its first row."""
    last = ""
    assumption = comparison.assumptions[comparison.reference]
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
            text(predicted(prediction, assumption, unit=False)),
            "not measured" if ensemble is None else text(measured_by(ensemble, unit=False)),
            "" if row["n"] is None else f"{row['n']}",
            "" if row["residual"] is None else signed(row["residual"]),
            "" if row["log_evidence_to_best"] is None else _ln(row),
        )
        last = candidate.name


def _ln(row: Mapping[str, Any]) -> str:
    stated = signed(row["log_evidence_to_best"])
    return stated if row["evidence_counted"] else f"({stated})"


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
    band = " Bounds of the PL energy are those of the band in which light was detected; no maximum was read."
    energy = comparison.ensemble("pl_peak_eV")
    apart = "".join(
        f" In brackets where it is not counted: {OBSERVABLES[name].label}, beside {why}."
        for name, why in uncounted(comparison.evidence).items()
    )
    return (
        "Predicted: the first ± is the known standard deviation, the second "
        f"({reference.unknown_eV:g} eV; ×÷ {reference.unknown_factor:g} for what is compared as a ratio) is assumed for errors "
        "not estimated; in brackets intervals at 95 %. Measured: mean of the population and 95 % interval, or bounds; n "
        "records. Residual: measured less predicted over the root of the sum of the squares of all errors. ln evidence: less "
        "that of the best candidate for this observable."
        + apart
        + (band if energy is not None and energy.from_band else "")
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
    "×": r"$\times$",
    "÷": r"$\div$",
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
