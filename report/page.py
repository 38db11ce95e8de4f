"""The report: one HTML file that needs nothing else, with every number it shows also in it as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from midgap.defects.report import Levels
from midgap.experiment.comparison import Candidate, Comparison, best_theory, filling, main_peak, rounded_up
from midgap.experiment.records import ParticleRecord, Quantity, Records
from midgap.report.figures import level_figure, structure_figure, to_svg
from midgap.report.level_diagram import columns
from midgap.report.palette import variables
from midgap.report.typography import html
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

PICTURES_A_ROW = 4


def write_page(path: Path | str, levels: Levels, comparison: Comparison, records: Records) -> Path:
    """Write the report of a comparison; the same input gives the same bytes.

    Raises
    ------
    InputError
        There are no reports, or ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the HTML file to write, e.g. {path / 'report.html'}.")
    return write_atomic(path, render_page(levels, comparison, records))


def render_page(levels: Levels, comparison: Comparison, records: Records) -> str:
    """The HTML of the report.

    Raises
    ------
    InputError
        There are no reports.
    """
    if not levels.reports:
        raise InputError("There are no level reports to show; make some with midgap run or midgap levels.")
    records = records.in_energy()
    theory = best_theory(levels.reports)
    shown = columns(levels, theory)
    environment = Environment(
        loader=PackageLoader("midgap.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"num": number, "label": html, "up": rounded_up}
    return environment.get_template("page.html").render(
        levels=levels,
        comparison=comparison,
        records=records,
        theory=theory,
        vacancies=sorted({f"V_{m.vacancy.species}" for m in levels.models if m.vacancy is not None}),
        published=[(name, list(rows)) for name, rows in groupby(comparison.published, key=lambda row: row.quantity)],
        candidates=_in_order(comparison.candidates, theory, [report.model for report, _ in shown]),
        unknown=_not_estimated(comparison.candidates),
        measured=list(_measured(records)),
        diagram=_diagram(levels, theory, comparison, records) if shown else "",
        pictures=list(_pictures([model for _, model in shown if model is not None])),
        colours=variables(),
        data=page_data(levels, comparison, records),
    )


def page_data(levels: Levels, comparison: Comparison, records: Records) -> dict[str, Any]:
    """What the page embeds: the three documents, without the thousands of point charges round a cluster."""
    left_out = {m.name: f"{len(m.embedding.charges_e)} point charges" for m in levels.models if m.embedding is not None}
    models = tuple(model.model_copy(update={"embedding": None}) for model in levels.models)
    return {
        "schema": "midgap.page",
        "schema_version": 1,
        "levels": levels.model_copy(update={"models": models}).to_dict(),
        "comparison": comparison.to_dict(),
        "records": records.to_dict(),
        "left_out": left_out,
    }


def number(value: float | None, digits: int = 2, sign: bool = False) -> Markup:
    """A number to read, with the exact one for machines; a dash where there is none."""
    if value is None:
        return Markup('<span class="none" title="not there">–</span>')
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.replace("-", "").replace("+", "±") if sign else text.replace("-", "")
    return Markup('<data value="{}">{}</data>').format(repr(value), text.replace("-", "−"))


def quantity_html(quantity: Quantity, unit: str = "") -> Markup:
    """``520 (500 to 540) nm``; a bound as ``≤ 0.3 ns``."""

    def plain(x: float) -> Markup:
        return Markup('<data value="{}">{}</data>').format(repr(x), f"{x:.4g}".replace("-", "−"))

    if quantity.value is not None:
        text = plain(quantity.value)
        if quantity.lo is not None and quantity.hi is not None:
            text += Markup(" ({} to {})").format(plain(quantity.lo), plain(quantity.hi))
        elif quantity.lo is not None or quantity.hi is not None:
            text += Markup(" ({})").format(quantity_html(Quantity(lo=quantity.lo, hi=quantity.hi)))
    elif quantity.lo is not None and quantity.hi is not None:
        text = Markup("{} to {}").format(plain(quantity.lo), plain(quantity.hi))
    elif quantity.lo is not None:
        text = Markup("≥ {}").format(plain(quantity.lo))
    else:
        text = Markup("≤ {}").format(plain(quantity.hi or 0.0))
    return text + (Markup(" {}").format(unit) if unit else "")


_NOT_STATED = Markup('<span class="none">not stated</span>')
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


def _measured(records: Records) -> Iterator[tuple[str, list[tuple[str, Markup, str]]]]:
    """Of each record: its label and rows (quantity, value, where it was read)."""
    for record in records.records:
        rows = [
            (name, _NOT_STATED if value is None else quantity_html(value, unit), record.notes.get(field, ""))
            for field, name, unit in _QUANTITIES
            if (value := getattr(record, field)) is not None or field in record.notes
        ]
        yield record.label or "record", rows + _lifetimes(record)


def _lifetimes(record: ParticleRecord) -> list[tuple[str, Markup, str]]:
    notes = record.notes
    named = [(lv.name or "a level", Quantity(value=lv.tau_1_ns)) for lv in record.levels if lv.tau_1_ns is not None]
    return [(f"Lifetime of {name}", quantity_html(tau, "ns"), notes.get("levels", "")) for name, tau in named] + [
        (f"Lifetime {i}", quantity_html(tau, "ns"), notes.get("tau_i_ns", ""))
        for i, tau in enumerate(record.tau_i_ns or (), start=1)
    ]


def _in_order(candidates: Sequence[Candidate], theory: LevelOfTheory, names: Sequence[str]) -> list[Candidate]:
    """The theory of the figure first, and in its order."""
    place = {name: i for i, name in enumerate(names)}
    return sorted(candidates, key=lambda c: (c.theory.name != theory.name, place.get(c.model, len(place))))


def _not_estimated(candidates: Sequence[Candidate]) -> list[tuple[str, str]]:
    """Sources of uncertainty that nothing estimates, each once."""
    return list({u.source: u.note for c in candidates for u in c.uncertainties if u.value_eV is None}.items())


def _diagram(levels: Levels, theory: LevelOfTheory, comparison: Comparison, records: Records) -> Markup:
    measured = main_peak(records)
    words = []
    for report, _ in columns(levels, theory):
        words.append(f"{report.label or report.model}: gap {report.gap_eV:.2f} eV")
        for level in report.levels:
            words[-1] += f", {filling(level.occupation, level.degeneracy)} level at {level.above_vbm_eV:.2f} eV"
    if measured is not None and measured.value is not None:
        words.append(f"measured photoluminescence: {measured.value:.3f} eV")
    figure = level_figure(levels, theory, comparison, measured)
    title = f"Band edges and defect levels at {theory.label}"
    return Markup(to_svg(figure, "levels", str(escape(title)), str(escape(". ".join(words)))))


def _pictures(models: Sequence[Model]) -> Iterator[Markup]:
    for periodic in (True, False):
        same = [model for model in models if model.periodic == periodic]
        for start in range(0, len(same), PICTURES_A_ROW):
            row = same[start : start + PICTURES_A_ROW]
            prefix = f"{'crystals' if periodic else 'clusters'}{start}"
            words = "Ball-and-stick pictures of " + ", ".join(model.label for model in row)
            yield Markup(to_svg(structure_figure(row), prefix, "Structures", str(escape(words))))
