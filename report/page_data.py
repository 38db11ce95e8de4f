"""What a page embeds: its documents as JSON, without what nobody reads from a page; every number it shows is in it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison
from midgap.experiment.evidence.observables import OBSERVABLES, measured
from midgap.experiment.records import Records
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
        "schema_version": 2,
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


def derived_numbers(comparison: Comparison, records: Records) -> dict[str, Any]:
    """What the page shows that stands in none of the documents as such.

    ``relative``: ln of the evidence of each candidate over the best one's at the reference assumption. ``distance_eV``,
    ``wavelength_nm``: predicted less measured PL energy, and the vacuum wavelength of the predicted one. ``particles``: of each quantity measured on single particles, how many hold it,
    the median, and the middle half. ``counts``: of models, records, particles.
    """
    relative = comparison.totals.relative(comparison.reference) if comparison.totals.candidates else np.zeros(0)
    peak = comparison.ensemble("pl_peak_eV")
    distance = {
        candidate.name: candidate.energy_eV - peak.mean.value
        for candidate in comparison.candidates
        if candidate.energy_eV is not None and peak is not None and peak.mean.value is not None
    }
    kinds = [record.kind for record in records.records]
    assumption = comparison.assumptions[comparison.reference]
    return {
        "relative": {n: float(x) for n, x in zip(comparison.totals.candidates, relative, strict=True)},
        "distance_eV": distance,
        "wavelength_nm": {c.name: c.wavelength_nm for c in comparison.candidates if c.wavelength_nm is not None},
        "particles": particle_summaries(records),
        "counts": {kind: kinds.count(kind) for kind in ("particle", "ensemble", "typical")},
        "n_records": len(kinds),
        "n_reports": len({c.model for c in comparison.candidates if c.model}),
        "reference": {"unknown_eV": assumption.unknown_eV, "unknown_factor": assumption.unknown_factor},
    }


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
