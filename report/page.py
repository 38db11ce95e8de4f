"""The report: one HTML file that needs nothing else, with every number it shows also in it as data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from midgap.defects.report import Levels
from midgap.experiment.comparison import Candidate, Comparison, best_theory
from midgap.experiment.evidence import stated
from midgap.experiment.evidence.likelihoods import Evidence
from midgap.experiment.evidence.method import ENGINES, method
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.predictions import Assumption
from midgap.experiment.records import Records
from midgap.report import page_figures as draw
from midgap.report import page_records
from midgap.report.evidence_figures import has_arrows, has_open_marks, has_strokes, undecided
from midgap.report.exhibits import Exhibits
from midgap.report.glossary import meanings
from midgap.report.level_diagram import columns
from midgap.report.numbers import away, number, significant, stated_html
from midgap.report.page_data import derived_numbers, page_data
from midgap.report.palette import ELEMENTS, element_colour, variables
from midgap.report.scene import radius_ang
from midgap.report.spatial import first_shown, spatial_scenes
from midgap.report.typography import html
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

GLOSSARY = "<!-- glossary -->"


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
    derived = derived_numbers(levels, comparison, records)
    environment = _environment(comparison.assumptions[comparison.reference])
    in_table = len(records.records) > page_records.MOST_LISTED
    listed = [r for r in records.records if r.kind != "particle"] if in_table else records.records
    data = page_data(levels, comparison, records, exhibits, scenes, derived)
    counted = [candidate for candidate in comparison.candidates if candidate.counted]
    body = environment.get_template("body.html").render(
        levels=levels,
        comparison=comparison,
        statements=comparison.statements or (comparison.answer,),
        records=records,
        exhibits=exhibits,
        theory=theory,
        observables=OBSERVABLES,
        measured_labels=draw.MEASURED_LABELS,
        vacancies=sorted({f"V_{m.vacancy.species}" for m in levels.models if m.vacancy is not None}),
        published=[(name, list(rows)) for name, rows in groupby(comparison.published, key=lambda row: row.quantity)],
        published_theories=sorted({row.theory.label for row in comparison.published}),
        candidates=_in_order(comparison.candidates, theory, [report.model for report, _ in shown]),
        counted=counted,
        methods=_methods(levels),
        compared=_compared(comparison),
        agreement=lambda evidence: _agreement(comparison, evidence),
        entered=list(page_records.entered(comparison, records)),
        listed=list(page_records.listed(listed)),
        table=page_records.table(records) if in_table else None,
        diagram=draw.level_panel(levels, theory, comparison) if shown else "",
        pictures=list(draw.structure_panels(models)),
        elements=sorted({symbol for model in models for symbol in model.species}, key=lambda s: -radius_ang(s)),
        lines=draw.line_panel(comparison, exhibits),
        open_marks=any(c.known_uncertainty_eV is None and c.energy_eV is not None for c in counted),
        residuals=draw.evidence_panel(comparison),
        strokes=has_strokes(comparison),
        arrows=has_arrows(comparison),
        unentered=has_open_marks(comparison),
        sensitivity=draw.sensitivity_panel(comparison),
        drawn=undecided(comparison) if comparison.totals.candidates else [],
        emissions=list(draw.emission_panels(exhibits.emissions)),
        distributions=list(draw.distribution_panels(comparison, records)),
        curves=list(draw.curve_panels(exhibits.curves)),
        scenes=scenes,
        first=first_shown(scenes, _most_likely(comparison)),
        surfaces=[surface for scene in scenes for surface in scene["surfaces"]],
        surface_sources=sorted(
            {_orbital(surface["source"]) for scene in scenes for surface in scene["surfaces"]} - {""}
        ),
        undrawn=[d for d in exhibits.densities if d.model not in {scene["model"] for scene in scenes}],
        derived=derived,
        data=data,
    )
    script = Markup(_source(environment, "turn.js") + _source(environment, "page.js"))
    return environment.get_template("page.html").render(
        comparison=comparison,
        body=Markup(body.replace(GLOSSARY, environment.get_template("glossary.html").render(meanings=meanings(body)))),
        colours=variables(),
        data=data,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _environment(assumption: Assumption) -> Environment:
    environment = Environment(
        loader=PackageLoader("midgap.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": number,
        "measured": lambda ensemble: stated_html(stated.measured(ensemble)),
        "significant": significant,
        "fixed": lambda quantity, digits: stated_html(stated.quantity(quantity, digits)),
        "predicted": lambda prediction: stated_html(stated.predicted(prediction, assumption, words=True)),
        "error": lambda uncertainty, prediction: stated_html(stated.error(prediction, uncertainty.value)),
        "signed": lambda x, digits=1: number(x, digits, sign=True),
        "label": html,
        "capital": lambda text: text[:1].upper() + text[1:] if text[1:2].islower() and text[:1] != "g" else text,
        "engine": lambda name: ENGINES.get(name, name),
        "element_style": _element_style,
    }
    return environment


def _orbital(source: str) -> str:
    """What a density was made from, without the name of the file, which is among the files of the page."""
    file, comma, rest = source.partition(", ")
    return rest if comma and "." in file else source


def _element_style(symbol: str) -> Markup:
    """The colour of an element, on light and dark pages."""
    colour = element_colour(symbol)
    return Markup("background: {}").format(
        f"var(--element-{symbol.lower()}, {colour})" if symbol in ELEMENTS else colour
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _agreement(comparison: Comparison, evidence: Evidence | None) -> Markup:
    """``measured 0.4 σ above``; empty where nothing could be compared."""
    ensemble = None if evidence is None else comparison.ensemble(evidence.observable)
    if evidence is None or ensemble is None or evidence.ensemble_residual is None:
        return Markup("")
    prediction = comparison.candidate(evidence.candidate).prediction(evidence.observable)
    ranged = prediction is not None and prediction.range is not None
    bounds = "the detection band" if ensemble.from_band else "the bounds"
    if ensemble.mean is not None:
        inside = "in the predicted range"
    else:
        inside = f"the range overlaps {bounds}" if ranged else f"in {bounds}"
    return Markup("measured {}").format(away(evidence.ensemble_residual, inside))


def _methods(levels: Levels) -> list[tuple[str, str, str]]:
    """Engine, theory, and how it was applied, each once."""
    found = {(r.provenance.engine, r.theory.label, method(r)): None for r in levels.reports}
    return [(ENGINES.get(engine, engine), theory, how) for engine, theory, how in found]


def _most_likely(comparison: Comparison) -> list[tuple[str, int | None]]:
    """Model and level of the candidates, best evidence first."""
    if not comparison.totals.candidates:
        return []
    relative = comparison.totals.relative(comparison.reference)
    order = sorted(zip(comparison.totals.candidates, relative, strict=True), key=lambda pair: -pair[1])
    return [(c.model, c.level) for c in (comparison.candidate(name) for name, _ in order)]


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
