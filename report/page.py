"""The report: one HTML file that needs nothing else, with every number it shows also in it as data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from midgap.defects.report import Levels
from midgap.experiment.comparison import Candidate, Comparison, best_theory
from midgap.experiment.evidence.observables import OBSERVABLES, measured
from midgap.experiment.records import ParticleRecord, Quantity, Records
from midgap.report import page_figures as draw
from midgap.report.exhibits import Exhibits
from midgap.report.level_diagram import columns
from midgap.report.numbers import (
    NOT_STATED,
    away,
    mean_html,
    number,
    prediction_html,
    quantity_html,
    significant,
    upwards,
)
from midgap.report.page_data import derived_numbers, page_data
from midgap.report.palette import variables
from midgap.report.spatial import spatial_scenes
from midgap.report.typography import html
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

MOST_LISTED = 8
"""Records that are listed one by one; more single particles are a table."""


def write_page(
    path: Path | str, levels: Levels, comparison: Comparison, records: Records, exhibits: Exhibits | None = None
) -> Path:
    """Write the report of a comparison; the same input gives the same bytes.

    Raises
    ------
    InputError
        There are no reports, or ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the HTML file to write, e.g. {path / 'report.html'}.")
    return write_atomic(path, render_page(levels, comparison, records, exhibits))


def render_page(levels: Levels, comparison: Comparison, records: Records, exhibits: Exhibits | None = None) -> str:
    """The HTML of the report.

    Raises
    ------
    InputError
        There are no reports.
    """
    if not levels.reports:
        raise InputError("There are no level reports to show; make some with midgap run or midgap levels.")
    exhibits, records = exhibits or Exhibits(), records.in_energy()
    theory = best_theory(levels.reports)
    shown = columns(levels, theory)
    models = [model for _, model in shown if model is not None]
    scenes = spatial_scenes(models, exhibits.densities)
    derived = derived_numbers(comparison, records)
    environment = _environment()
    script = Markup(_source(environment, "turn.js") + _source(environment, "page.js"))
    in_table = len(records.records) > MOST_LISTED
    listed = [r for r in records.records if r.kind != "particle"] if in_table else records.records
    return environment.get_template("page.html").render(
        levels=levels,
        comparison=comparison,
        records=records,
        exhibits=exhibits,
        theory=theory,
        observables=OBSERVABLES,
        measured_labels=draw.MEASURED_LABELS,
        vacancies=sorted({f"V_{m.vacancy.species}" for m in levels.models if m.vacancy is not None}),
        published=[(name, list(rows)) for name, rows in groupby(comparison.published, key=lambda row: row.quantity)],
        candidates=_in_order(comparison.candidates, theory, [report.model for report, _ in shown]),
        counted=[candidate for candidate in comparison.candidates if candidate.counted],
        compared=_compared(comparison),
        unknown=_not_estimated(comparison.candidates),
        listed=list(_listed(listed)),
        table=_table(records) if in_table else None,
        diagram=draw.level_panel(levels, theory, comparison, records) if shown else "",
        pictures=list(draw.structure_panels(models)),
        lines=draw.line_panel(comparison, records, exhibits),
        residuals=draw.evidence_panel(comparison),
        sensitivity=draw.sensitivity_panel(comparison),
        emissions=list(draw.emission_panels(exhibits.emissions)),
        distributions=list(draw.distribution_panels(comparison, records)),
        curves=list(draw.curve_panels(exhibits.curves)),
        scenes=scenes,
        surfaces=[surface for scene in scenes for surface in scene["surfaces"]],
        undrawn=[d for d in exhibits.densities if d.model not in {scene["model"] for scene in scenes}],
        colours=variables(),
        derived=derived,
        data=page_data(levels, comparison, records, exhibits, scenes, derived),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("midgap.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": number,
        "away": away,
        "mean": mean_html,
        "significant": significant,
        "quantity": quantity_html,
        "prediction": prediction_html,
        "up": upwards,
        "label": html,
    }
    return environment


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


_QUANTITIES = (
    ("size_nm", "Size", "nm"),
    ("pl_peak_nm", "PL maximum", "nm"),
    ("pl_peak_eV", "PL maximum", "eV"),
    ("pl_fwhm_nm", "PL linewidth (FWHM)", "nm"),
    ("pl_fwhm_meV", "PL linewidth (FWHM)", "meV"),
    ("plqy", "PL quantum yield", ""),
    ("exc_wavelength_nm", "Excitation", "nm"),
    ("mean_excitons", "⟨N⟩", ""),
    ("g2_0", "g²(0)", ""),
    ("n_emitters_M", "Number of emitters", ""),
    ("tau_av_ns", "Average lifetime", "ns"),
    ("irf_fwhm_ns", "Time resolution", "ns"),
    ("temperature_K", "Temperature", "K"),
)


def _listed(records: Sequence[ParticleRecord]) -> Iterator[tuple[str, list[tuple[str, Markup, str]]]]:
    """Of each record: its label and rows (quantity, value, where it was read)."""
    for record in records:
        rows = [
            (name, NOT_STATED if value is None else quantity_html(value, unit), record.notes.get(field, ""))
            for field, name, unit in _QUANTITIES
            if (value := getattr(record, field)) is not None or field in record.notes
        ]
        yield record.label or "record", rows + _lifetimes(record)


def _lifetimes(record: ParticleRecord) -> list[tuple[str, Markup, str]]:
    notes = record.notes
    named = [(lv.name, Quantity(value=lv.tau_1_ns)) for lv in record.levels if lv.name and lv.tau_1_ns is not None]
    return [(f"Lifetime of {name}", quantity_html(tau, "ns"), notes.get("levels", "")) for name, tau in named] + [
        (f"Lifetime {i}", quantity_html(tau, "ns"), notes.get("tau_i_ns", ""))
        for i, tau in enumerate(record.tau_i_ns or (), start=1)
    ]


_COLUMNS = (
    ("size_nm", "Size (nm)"),
    ("pl_peak_eV", "PL energy (eV)"),
    ("pl_fwhm_meV", "Linewidth (meV)"),
    ("g2_0", "g²(0)"),
    ("n_emitters_M", "Emitters"),
    ("tau_av_ns", "Lifetime (ns)"),
    ("on_fraction", "Time ON"),
)


def _table(records: Records) -> dict[str, Any]:
    """Single particles, one a row; columns are what any of them holds."""
    particles = [record for record in records.records if record.kind == "particle"]
    held = [(name, title) for name, title in _COLUMNS if any(measured(record, name) for record in particles)]
    rows = [
        (record.label or "particle", [None if (q := measured(record, name)) is None else q for name, _ in held])
        for record in particles
    ]
    return {"titles": [title for _, title in held], "rows": rows}


def _compared(comparison: Comparison) -> list[str]:
    """Observables that any candidate is held against, in their usual order."""
    return [name for name in OBSERVABLES if any(e.observable == name and e.n for e in comparison.evidence)]


def _in_order(candidates: Sequence[Candidate], theory: LevelOfTheory, names: Sequence[str]) -> list[Candidate]:
    """Transitions between levels, the theory of the figure first, and in its order."""
    place = {name: i for i, name in enumerate(names)}
    shown = [c for c in candidates if c.origin == "levels" and c.theory is not None]
    return sorted(
        shown, key=lambda c: (c.theory is not None and c.theory.name != theory.name, place.get(c.model, len(place)))
    )


def _not_estimated(candidates: Sequence[Candidate]) -> list[tuple[str, str]]:
    """Sources of uncertainty that nothing estimates, each once."""
    found = {u.source: u.note for c in candidates for p in c.predictions for u in p.uncertainties if u.value is None}
    return list(found.items())
