"""What a page embeds: its documents as JSON, without what nobody reads from a page; every number it shows is in it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from midgap.defects.report import Levels
from midgap.experiment.comparison import SMALLEST_PART, Comparison
from midgap.experiment.evidence import stated
from midgap.experiment.evidence.ensembles import Ensemble
from midgap.experiment.evidence.likelihoods import apart_from, uncounted
from midgap.experiment.evidence.observables import OBSERVABLES, measured
from midgap.experiment.evidence.odds import Totals
from midgap.experiment.evidence.predictions import Assumption
from midgap.experiment.photon_energy import wavelength_nm
from midgap.experiment.records import Quantity, Records
from midgap.report.exhibits import Exhibits

MOST_SEGMENTS = 200
"""Segments of blinking traces in all records together; more are left out, their curves have them."""
LIBRARIES = ("midgap", "numpy", "scipy", "pymatgen", "ase")


def page_data(
    levels: Levels,
    comparison: Comparison,
    records: Records,
    exhibits: Exhibits,
    scenes: Sequence[dict[str, Any]],
    derived: dict[str, Any],
) -> dict[str, Any]:
    """The documents, the scenes that can be turned, and ``derived``: what was worked out for the page from them."""
    left_out = {m.name: f"{len(m.embedding.charges_e)} point charges" for m in levels.models if m.embedding is not None}
    models = tuple(model.model_copy(update={"embedding": None}) for model in levels.models)
    segments = sum(len(record.levels) for record in records.records)
    if segments > MOST_SEGMENTS:
        left_out["records"] = f"{segments} segments of blinking traces"
        kept = tuple(
            record.model_copy(update={"levels": tuple(level for level in record.levels if level.name)})
            for record in records.records
        )
        records = records.model_copy(update={"records": kept})
    return {
        "schema": "midgap.page",
        "schema_version": 4,
        "levels": levels.model_copy(update={"models": models}).to_dict(),
        "comparison": comparison.to_dict(),
        "records": records.to_dict(),
        "curves": [curves.thinned().to_dict() for curves in exhibits.curves],
        "emissions": [report.to_dict() for report in exhibits.emissions],
        "spectra": [spectrum.to_dict() for spectrum in exhibits.spectra],
        "scenes": list(scenes),
        "files": [file.to_dict() for file in exhibits.files],
        "versions": versions(),
        "derived": derived,
        "left_out": left_out,
    }


def versions() -> dict[str, str]:
    """Of what made the page."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a folder of sources
            continue
    return found


def derived_numbers(levels: Levels, comparison: Comparison, records: Records) -> dict[str, Any]:
    """What the page shows that stands in none of the documents as such.

    ``relative``, ``narrowed``: ln of the evidence of each candidate over the best one's, by assumption. ``parts``: of those
    that are left what each observable adds to it, at the reference assumption. ``uncounted``: beside which observable
    another one does not enter, and why. ``stated``: errors as
    they are written, all sources together or as factors. ``alignment``: see `alignments`. ``distance_eV``,
    ``wavelength_nm``: predicted less measured PL energy (of a band: less its nearer end, zero within it), and the vacuum
    wavelength of the predicted one. ``band_nm``: ends of a detection band. ``particles``: of each quantity measured on single particles, how many
    hold it, the median, and the middle half. ``counts``: of models, records, particles, transitions.
    """
    peak = comparison.ensemble("pl_peak_eV")
    energies = {c.name: c.energy_eV for c in comparison.candidates if c.energy_eV is not None}
    kinds = [record.kind for record in records.records]
    assumption = comparison.assumptions[comparison.reference]
    transitions = [c for c in comparison.candidates if c.origin == "levels"]
    return {
        "relative": _relative(comparison.totals, len(comparison.assumptions)),
        "narrowed": _relative(comparison.narrowed, len(comparison.assumptions)),
        "parts": _parts(comparison),
        "uncounted": uncounted(comparison.evidence),
        "stated": sorted(_stated(comparison, assumption)),
        "alignment": alignments(levels, peak),
        "least_yield": max((p.least_fraction for c in comparison.candidates for p in c.predictions), default=0.0),
        "distance_eV": {} if peak is None else {name: _beyond(x, peak.quantity) for name, x in energies.items()},
        "wavelength_nm": {c.name: c.wavelength_nm for c in comparison.candidates if c.wavelength_nm is not None},
        "band_nm": _band_nm(peak),
        "particles": particle_summaries(records),
        "counts": {kind: kinds.count(kind) for kind in ("particle", "ensemble", "typical")},
        "n_records": len(kinds),
        "n_reports": len({c.model for c in comparison.candidates if c.model}),
        "n_transitions": [len(transitions), sum(c.counted for c in transitions)],
        "n_candidates": sum(c.counted for c in comparison.candidates),
        "reference": {"unknown_eV": assumption.unknown_eV, "unknown_factor": assumption.unknown_factor},
    }


def _relative(totals: Totals, n: int) -> dict[str, list[float]]:
    return {name: [float(totals.relative(a)[i]) for a in range(n)] for i, name in enumerate(totals.candidates)}


def _parts(comparison: Comparison) -> dict[str, dict[str, float]]:
    totals, a = comparison.narrowed, comparison.reference
    if len(totals.candidates) < 2:
        return {}
    best = totals.candidates[int(totals.log_evidence[a].argmax())]
    apart = apart_from(best, comparison.evidence, a)
    return {
        name: {observable: apart[name, observable] for observable in totals.observables} for name in totals.candidates
    }


def _stated(comparison: Comparison, assumption: Assumption) -> set[float]:
    """Numbers of predictions and their errors that are worked out where they are written."""
    found: set[float] = set()
    for candidate in comparison.candidates:
        for prediction in candidate.predictions:
            errors = [stated.error(prediction, u.value) for u in prediction.uncertainties if u.value is not None]
            for pieces in (stated.predicted(prediction, assumption), *errors):
                found |= {piece.value for piece in pieces if not isinstance(piece, str)}
    return found


def alignments(levels: Levels, peak: Ensemble | None) -> list[dict[str, Any]]:
    """Of each aligned report with levels: where these are with and without the alignment, and which way from what was measured."""
    found = []
    for report in levels.reports:
        shown = [level for level in report.levels if level.kind != "resonant" and level.above_cell_vbm_eV is not None]
        if report.alignment.method == "self" or not shown:
            continue
        rows = []
        for level in shown:
            heights = (level.above_vbm_eV, float(level.above_cell_vbm_eV or 0.0))
            compared = (
                peak if level.occupation > SMALLEST_PART else None
            )  # an empty level gives off nothing at that energy
            away = [0.0 if compared is None else _beyond(x, compared.quantity) for x in heights]
            sides = ["" if compared is None else "in" if x == 0 else "above" if x > 0 else "below" for x in away]
            rows.append({"eV": heights, "away_eV": [abs(x) for x in away], "sides": sides})
        alone = all(level.spin in ("up", "down") or level.degeneracy == 1 for level in shown)
        found.append(
            {
                "label": report.label or report.model,
                "theory": report.theory.label,
                "method": report.alignment.method,
                "spin_polarised": alone,
                "levels": rows,
            }
        )
    return found


def _beyond(energy: float, measured: Quantity) -> float:
    if measured.value is not None:
        return energy - measured.value
    if measured.hi is not None and energy > measured.hi:
        return energy - measured.hi
    return min(0.0, energy - measured.lo) if measured.lo is not None else 0.0


def _band_nm(peak: Ensemble | None) -> list[float]:
    if peak is None or not peak.from_band:
        return []
    return [wavelength_nm(x) for x in (peak.quantity.hi, peak.quantity.lo) if x is not None]


def particle_summaries(records: Records) -> dict[str, dict[str, float]]:
    """By observable: number of single particles that hold a value, the median, and the quartiles."""
    found: dict[str, dict[str, float]] = {}
    for name in (*OBSERVABLES, "on_fraction", "size_nm"):
        values = particle_values(records, name)
        if values:
            low, middle, high = np.percentile(values, [25, 50, 75])
            found[name] = {"n": len(values), "median": float(middle), "q1": float(low), "q3": float(high)}
    return found


def particle_values(records: Records, name: str) -> list[float]:
    """Of each single particle that holds one."""
    quantities = [measured(record, name) for record in records.records if record.kind == "particle"]
    return [q.value for q in quantities if q is not None and q.value is not None]
