"""Single figures at the width of a journal's column, each from the file that holds its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison, best_theory, compare
from midgap.experiment.curves import ParticleCurves
from midgap.experiment.records import Records, published_records
from midgap.structures.errors import InputError

COLUMN_CM = {1: 8.6, 2: 17.8}
"""Widths of one and two columns in the journals of the American Physical Society and about those of others."""
CM_IN = 1 / 2.54
WIDE = ("levels", "spectrum", "evidence", "sensitivity", "structure", "formation", "particle", "particles")


@dataclass(frozen=True)
class Asked:
    """What a figure is drawn from."""

    kind: str
    file: Path
    records: Path | None
    spectra: Sequence[Path]
    columns: int

    def levels(self) -> Levels:
        """The file as levels."""
        return Levels.read(self.file)

    def measured(self, levels: Levels) -> Records:
        """The records given, else those published of the material."""
        from midgap.experiment.tables import read_records

        if self.records is not None:
            return read_records(self.records).in_energy()
        if not levels.models:
            raise InputError(f"{self.file} does not say of which material it is; give measured records with --records.")
        return published_records(levels.models[0].material)

    def comparison(self) -> Comparison:
        """Levels and records held against each other, or the comparison that the file holds."""
        from midgap.structures.document import read_json

        data = read_json(self.file)
        if isinstance(data, dict) and data.get("schema") == Comparison.schema_name() and self.records is None:
            return Comparison.from_dict(data, source=str(self.file))
        levels = self.levels()
        return compare(levels, self.measured(levels))


def publication_figure(
    kind: str,
    file: Path | str,
    *,
    records: Path | None = None,
    spectra: Sequence[Path] = (),
    columns: int | None = None,
    height_cm: float | None = None,
) -> Figure:
    """A figure one or two columns wide.

    Parameters
    ----------
    kind
        One of `KINDS`.
    columns
        1 or 2; None takes two for what has long labels or many panels.
    height_cm
        None leaves it to the figure.

    Raises
    ------
    InputError
        There is no such kind, the file holds something else, or what is to be drawn is not in it.
    """
    if kind not in KINDS:
        raise InputError(f"There is no figure {kind!r}; there are {', '.join(KINDS)}.")
    columns = columns or (2 if kind in WIDE else 1)
    figure = KINDS[kind](Asked(kind, Path(file), records, spectra, columns))
    wide = COLUMN_CM[columns] * CM_IN
    figure.set_size_inches(wide, height_cm * CM_IN if height_cm else figure.get_figheight())
    figure.set_facecolor("white")
    return figure


def _alone(draw: Callable[[Axes], object], height_in: float = 2.5) -> Figure:
    figure = Figure(figsize=(3.4, height_in), layout="constrained")
    draw(figure.add_subplot())
    return figure


def _levels(asked: Asked) -> Figure:
    from midgap.report.figures import level_figure

    levels = asked.levels()
    try:
        records: Records | None = asked.measured(levels)
    except InputError:
        if asked.records is not None:
            raise
        records = None
    comparison = None if records is None else compare(levels, records)
    energy = None if comparison is None else comparison.ensemble("pl_peak_eV")
    return level_figure(
        levels,
        best_theory(levels.reports),
        comparison,
        None if energy is None else energy.quantity,
        from_band=energy is not None and energy.from_band,
    )


def _structure(asked: Asked) -> Figure:
    from midgap.report.figures import structure_figure

    models = asked.levels().models
    if not models:
        raise InputError(f"{asked.file} holds no model to draw.")
    return structure_figure(models[:4])


def _spectrum(asked: Asked) -> Figure:
    from midgap.report.exhibits import read_spectra
    from midgap.report.line_figures import line_figure

    comparison = asked.comparison()
    energy, width = comparison.ensemble("pl_peak_eV"), comparison.ensemble("pl_fwhm_meV")
    width_eV = None if width is None or width.mean is None else (width.mean.value or 0.0) / 1e3
    spectra = [(spectrum.name, spectrum.line) for spectrum in read_spectra(asked.spectra)]
    counted = [candidate for candidate in comparison.candidates if candidate.counted]
    return line_figure(
        counted,
        None if energy is None else energy.quantity,
        width_eV,
        spectra,
        width_in=COLUMN_CM[asked.columns] * CM_IN,
        assumption=comparison.assumptions[comparison.reference],
        from_band=energy is not None and energy.from_band,
    )


def _evidence(asked: Asked) -> Figure:
    from midgap.report.evidence_figures import evidence_figure, sensitivity_figure

    make = evidence_figure if asked.kind == "evidence" else sensitivity_figure
    return make(asked.comparison(), COLUMN_CM[asked.columns] * CM_IN)


def _emission(asked: Asked) -> Figure:
    from midgap.experiment.evidence.emission_candidates import read_emission
    from midgap.report.energetics import configuration_diagram, line_diagram

    report = read_emission(asked.file)
    if asked.kind == "cc":
        return _alone(lambda ax: configuration_diagram(ax, report.diagram), 2.9)
    return _alone(lambda ax: line_diagram(ax, report.lines))


def _formation(asked: Asked) -> Figure:
    from midgap.defects.formation_study import formation_report
    from midgap.report.energetics import formation_figure

    return formation_figure(formation_report(asked.file).conditions)


def _curves(asked: Asked) -> Figure:
    from midgap.experiment.photons.antibunching import PulsedG2
    from midgap.report import photon_figures as photons

    curves = ParticleCurves.read(asked.file)
    absent = InputError(f"{asked.file} holds no {asked.kind}.")
    trace, g2, fit = curves.trace, curves.g2, curves.decay
    if asked.kind == "particle":
        return photons.particle_figure(trace=trace, levels=curves.levels, fit=fit, g2=g2, title=curves.label)
    if asked.kind == "trace":
        if trace is None:
            raise absent
        return _alone(lambda ax: photons.intensity_trace(ax, trace, curves.levels), 2.2)
    if asked.kind == "g2":
        if g2 is None:
            raise absent
        return _alone(
            lambda ax: photons.pulsed_g2(ax, g2) if isinstance(g2, PulsedG2) else photons.continuous_g2(ax, g2)
        )
    if fit is None:
        raise absent
    figure = Figure(figsize=(3.4, 2.9), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1), hspace=0.05)
    photons.decay(figure.add_subplot(grid[0]), figure.add_subplot(grid[1]), fit)
    return figure


def _particles(asked: Asked) -> Figure:
    from midgap.experiment.evidence.observables import OBSERVABLES
    from midgap.experiment.tables import read_records
    from midgap.report.evidence_figures import histogram
    from midgap.report.page_data import particle_values

    records = read_records(asked.file).in_energy()
    held = [(o, values) for name, o in OBSERVABLES.items() if len(values := particle_values(records, name)) > 2]
    if not held:
        raise InputError(f"{asked.file} has no quantity that at least three particles hold.")
    across = 2 if asked.columns == 1 else 4
    rows = -(-len(held) // across)
    figure = Figure(figsize=(3.4, 0.2 + 1.6 * rows), layout="constrained")
    for i, (observable, values) in enumerate(held):
        histogram(figure.add_subplot(rows, across, i + 1), values, observable.label, unit=observable.unit)
    return figure


KINDS: dict[str, Callable[[Asked], Figure]] = {
    "levels": _levels,
    "spectrum": _spectrum,
    "evidence": _evidence,
    "sensitivity": _evidence,
    "structure": _structure,
    "cc": _emission,
    "line": _emission,
    "formation": _formation,
    "trace": _curves,
    "g2": _curves,
    "decay": _curves,
    "particle": _curves,
    "particles": _particles,
}
