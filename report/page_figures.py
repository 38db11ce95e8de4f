"""The page's drawings: each an SVG with a title and a description that is read aloud in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from midgap.defects.emission_study import EmissionReport
from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison
from midgap.experiment.curves import ParticleCurves
from midgap.experiment.evidence.candidates import filling
from midgap.experiment.evidence.ensembles import Ensemble
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.stated import measured, number_text, predicted, signed, text
from midgap.experiment.records import Records
from midgap.report.energetics import configuration_diagram, line_diagram
from midgap.report.evidence_figures import evidence_figure, histogram, sensitivity_figure
from midgap.report.exhibits import Exhibits
from midgap.report.figures import level_figure, structure_figure, to_svg
from midgap.report.level_diagram import columns
from midgap.report.line_figures import line_figure
from midgap.report.page_data import particle_summaries, particle_values
from midgap.report.photon_figures import continuous_g2, decay, intensity_trace, pulsed_g2
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

PICTURES_A_ROW = 4
LIKE = 1.6
"""Models of at most so many times the atoms of the smallest are drawn on one scale with it."""
HALF_PAGE_IN = 4.0
"""Two of these stand side by side from 1,000 px on; as wide as `.panels` of the page makes a column at least."""
MOST_PARTICLES = 6
FEW = 10
"""Fewer particles have no distribution to draw."""
MEASURED_LABELS = {"on_fraction": ("time in the ON state", ""), "size_nm": ("size", "nm")}
"""Of quantities that no candidate predicts."""


@dataclass(frozen=True)
class Panel:
    """A drawing, and what stands under it."""

    svg: Markup
    caption: str = ""


def drawn(figure: Figure, prefix: str, title: str, description: str) -> Markup:
    """The figure as an SVG element."""
    return Markup(to_svg(figure, prefix, str(escape(title)), str(escape(description))))


def level_panel(levels: Levels, theory: LevelOfTheory, comparison: Comparison) -> Markup:
    """The level diagram."""
    energy = comparison.ensemble("pl_peak_eV")
    words = []
    for report, _ in columns(levels, theory):
        words.append(f"{report.label or report.model}: gap {number_text(report.gap_eV or 0.0, 2)} eV")
        for level in report.levels:
            words[-1] += f", {filling(level.occupation, level.degeneracy)} level at {level.above_vbm_eV:.2f} eV"
    if energy is not None:
        words.append(f"{_what(energy)}: {text(measured(energy))}")
    figure = level_figure(
        levels,
        theory,
        comparison,
        None if energy is None else energy.quantity,
        from_band=energy is not None and energy.from_band,
    )
    return drawn(figure, "levels", f"Band edges and defect levels at {theory.label}", ". ".join(words))


def _what(energy: Ensemble) -> str:
    return "photoluminescence was detected in the band of" if energy.from_band else "measured photoluminescence"


def structure_panels(models: Sequence[Model]) -> Iterator[Panel]:
    """Ball-and-stick pictures, those of like size in a row on one scale; ``alone`` for one that has no like."""
    rows: list[list[Model]] = []
    for model in sorted(models, key=lambda m: (not m.periodic, len(m.structure))):
        row = rows[-1] if rows else []
        like = row and row[0].periodic == model.periodic and len(model.structure) <= LIKE * len(row[0].structure)
        if like and len(row) < PICTURES_A_ROW:
            row.append(model)
        else:
            rows.append([model])
    for i, row in enumerate(rows):
        words = "Ball-and-stick pictures of " + ", ".join(model.label for model in row)
        row.sort(key=models.index)
        figure = structure_figure(row, width_in={1: 3.6, PICTURES_A_ROW: 2.4}.get(len(row), 2.9), legend=False)
        yield Panel(drawn(figure, f"structures{i}", "Structures", words), "alone" if len(row) == 1 else "")


def line_panel(comparison: Comparison, exhibits: Exhibits) -> Markup | None:
    """Measured photoluminescence over what each counted candidate predicts; None where no energy is predicted."""
    shown = [c for c in comparison.candidates if c.counted and c.energy_eV is not None]
    if not shown:
        return None
    energy, width = comparison.ensemble("pl_peak_eV"), comparison.ensemble("pl_fwhm_meV")
    width_eV = None if width is None or width.mean is None or width.mean.value is None else width.mean.value / 1e3
    assumption = comparison.assumptions[comparison.reference]
    figure = line_figure(
        shown,
        None if energy is None else energy.quantity,
        width_eV,
        [(spectrum.name, spectrum.line) for spectrum in exhibits.spectra],
        [(_transition(report), report.lines[-1]) for report in exhibits.emissions if report.lines],
        assumption=assumption,
        from_band=energy is not None and energy.from_band,
    )
    words = [] if energy is None else [f"{_what(energy)} {text(measured(energy))}"]
    for candidate in shown:
        prediction = candidate.prediction("pl_peak_eV")
        assert prediction is not None
        words.append(f"{candidate.title}: {text(predicted(prediction, assumption, words=True))}")
    return drawn(figure, "lines", "Measured photoluminescence and predicted energies", ". ".join(words))


def _transition(report: EmissionReport) -> str:
    return f"{report.diagram.excited_label} → {report.diagram.ground_label}".strip(" →") or "emission"


def evidence_panel(comparison: Comparison) -> Markup | None:
    """Residuals of the counted candidates; None where nothing could be compared."""
    if not any(e.n for e in comparison.evidence):
        return None
    words = []
    for evidence in comparison.evidence:
        if evidence.ensemble_residual is not None and comparison.candidate(evidence.candidate).counted:
            title, what = comparison.candidate(evidence.candidate).title, OBSERVABLES[evidence.observable].label
            words.append(f"{title}, {what}: {signed(evidence.ensemble_residual)} standard deviations")
    return drawn(evidence_figure(comparison), "residuals", "Residuals of each candidate", ". ".join(words))


def sensitivity_panel(comparison: Comparison) -> Markup | None:
    """Evidence against what unknown errors are taken to be; None with fewer than two candidates."""
    if len(comparison.totals.candidates) < 2 or len(comparison.assumptions) < 2:
        return None
    words = "The same numbers are in the table of sensitivity"
    return drawn(sensitivity_figure(comparison), "sensitivity", "Evidence against the unknown error", words)


def emission_panels(reports: Sequence[EmissionReport]) -> Iterator[Panel]:
    """The configuration-coordinate diagram and the line of each report."""
    for i, report in enumerate(reports):
        diagram = report.diagram
        figure = Figure(figsize=(HALF_PAGE_IN, 3.3), layout="constrained", facecolor="none")
        configuration_diagram(figure.add_subplot(), diagram)
        words = (
            f"Emission {diagram.emission_eV:.2f} eV, absorption {diagram.absorption_eV:.2f} eV, zero-phonon line "
            f"{diagram.zero_phonon_line_eV:.2f} eV, mass-weighted displacement {diagram.delta_q:.2f}"
        )
        yield Panel(drawn(figure, f"cc{i}", f"Configuration coordinate of {_transition(report)}", words), "cc")
        if report.lines:
            figure = Figure(figsize=(HALF_PAGE_IN, 3.3), layout="constrained", facecolor="none")
            line_diagram(figure.add_subplot(), report.lines)
            words = ". ".join(
                f"{line.temperature_K:g} K: maximum {line.peak_eV:.2f} eV, width {1e3 * line.fwhm_eV:.0f} meV"
                for line in report.lines
            )
            yield Panel(drawn(figure, f"shape{i}", f"Computed line of {_transition(report)}", words), "line")


def distribution_panels(comparison: Comparison, records: Records) -> Iterator[Markup]:
    """How each quantity is distributed over the single particles, where at least `FEW` hold it."""
    summaries = particle_summaries(records)
    for name, summary in summaries.items():
        if summary["n"] < FEW:
            continue
        observable = OBSERVABLES.get(name)
        label, unit = (observable.label, observable.unit) if observable is not None else MEASURED_LABELS[name]
        predicted = [
            (c.title, p.value)
            for c in comparison.candidates
            if c.counted and (p := c.prediction(name)) is not None and p.relation == "equals" and p.range is None
        ]
        figure = Figure(figsize=(3.3, 2.3), facecolor="none")
        figure.subplots_adjust(
            left=0.17, right=0.98, bottom=0.24, top=max(0.6, 0.94 - 0.09 * len(predicted))
        )  # many alike: no need to lay out each
        histogram(figure.add_subplot(), particle_values(records, name), label, predicted, unit)
        words = (
            f"{summary['n']} particles, median {summary['median']:.4g} {unit}, middle half {summary['q1']:.4g} to "
            f"{summary['q3']:.4g}"
        )
        yield drawn(figure, f"histogram-{name}", f"Distribution of {label}", words)


def curve_panels(curves: Sequence[ParticleCurves]) -> Iterator[tuple[ParticleCurves, list[Markup]]]:
    """Trace, g2 and decay of a chosen few particles."""
    for i, whole in enumerate(curves[:MOST_PARTICLES]):
        particle = whole.thinned(600)
        panels = []
        if particle.trace is not None:
            figure = Figure(figsize=(8.6, 2.2), layout="constrained", facecolor="none")
            intensity_trace(figure.add_subplot(), particle.trace, particle.levels)
            levels = 0 if particle.levels is None else len(particle.levels.rate_cps)
            words = (
                f"Photons against time over {particle.trace.counts.size * particle.trace.bin_s:.3g} s; {levels} levels"
            )
            panels.append(drawn(figure, f"trace{i}", f"Intensity trace of {particle.label}", words))
        if particle.g2 is not None:
            figure = Figure(figsize=(HALF_PAGE_IN, 3.0), layout="constrained", facecolor="none")
            raw = particle.g2.g2_0_raw.value
            words = "" if raw is None else f"g2 at zero delay as counted: {raw:.3g}"
            if hasattr(particle.g2, "center_lag"):
                pulsed_g2(figure.add_subplot(), particle.g2)  # type: ignore[arg-type]
            else:
                continuous_g2(figure.add_subplot(), particle.g2)  # type: ignore[arg-type]
            panels.append(drawn(figure, f"g2-{i}", f"Coincidences of {particle.label}", words))
        if particle.decay is not None:
            figure = Figure(figsize=(HALF_PAGE_IN, 3.0), layout="constrained", facecolor="none")
            grid = figure.add_gridspec(2, 1, height_ratios=(3, 1), hspace=0.05)
            above, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
            decay(above, below, particle.decay)
            end = float(particle.decay.counts.nonzero()[0].max(initial=1) + 1 + particle.decay.first_bin)
            for ax in (above, below):  # behind the last photon there is nothing to see
                ax.set_xlim(right=end * particle.decay.bin_width_ns)
            words = (
                f"Fitted with {len(particle.decay.tau_ns)} exponential{'s' if len(particle.decay.tau_ns) > 1 else ''}"
            )
            panels.append(drawn(figure, f"decay{i}", f"Decay of {particle.label}", words))
        yield particle, panels
