"""Figures of the report: each a matplotlib drawing, and its SVG for the page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from pymatgen.core import IStructure

from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison
from midgap.experiment.records import Quantity
from midgap.report.level_diagram import columns, level_diagram
from midgap.report.palette import INK, variables
from midgap.report.plotting import NORMAL
from midgap.report.structure_picture import element_legend, same_scale, structure_picture
from midgap.report.typography import mathtext
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

__all__ = ["element_legend", "level_diagram", "level_figure", "structure_figure", "structure_picture", "to_svg"]

MANY = 6
"""Of more columns each is narrower, so that a page holds them."""


def level_figure(
    levels: Levels,
    theory: LevelOfTheory,
    comparison: Comparison | None = None,
    measured: Quantity | None = None,
    from_band: bool = False,
) -> Figure:
    """`level_diagram` in a figure as wide as its columns and its legend need."""
    n = len(columns(levels, theory))
    column_in = 0.95 if n <= MANY else 0.8
    figure = Figure(figsize=(max(1.3 + column_in * (n + 1), 6.2), 4.4), layout="constrained", facecolor="none")
    level_diagram(figure.add_subplot(), levels, theory, comparison=comparison, measured=measured, from_band=from_band)
    return figure


def structure_figure(models: Sequence[Model], width_in: float = 2.2, legend: bool = True) -> Figure:
    """Models side by side on one scale of lengths, all seen along one axis, with the legend of elements below."""
    figure = Figure(layout="constrained", facecolor="none")
    grid = figure.add_gridspec(1 + legend, len(models), height_ratios=(1, 0.12)[: 1 + legend])
    axes = [
        structure_picture(figure.add_subplot(grid[0, i]), model, _sisters_vacancy(model, models))
        for i, model in enumerate(models)
    ]
    wide = max(len(models), 2) if legend else len(models)
    figure.set_size_inches(width_in * wide, width_in * same_scale(axes) + (0.65 if legend else 0.35))
    for ax, model in zip(axes, models, strict=True):
        ax.set_title(mathtext(model.label), fontsize=NORMAL, color=INK.light)
    if legend:
        element_legend(figure.add_subplot(grid[1, :]), models)
    return figure


def _sisters_vacancy(model: Model, models: Sequence[Model]) -> np.ndarray | None:
    """Where another of the models lacks an atom that this one has."""
    for place in (m.vacancy.position_ang for m in models if m.vacancy is not None and m.periodic == model.periodic):
        if any(_distance_ang(model, site.coords, place) < 0.8 for site in model.structure):
            return place
    return None


def _distance_ang(model: Model, one: np.ndarray, other: np.ndarray) -> float:
    if not isinstance(model.structure, IStructure):
        return float(np.linalg.norm(one - other))
    frac = (one - other) @ np.linalg.inv(model.structure.lattice.matrix)
    return float(np.linalg.norm((frac - np.round(frac)) @ model.structure.lattice.matrix))


def to_svg(figure: Figure, prefix: str, title: str, description: str) -> str:
    """An inline SVG element, the same bytes for the same figure.

    Colours of the palette become CSS variables with the light colour as fallback, so that the page can
    change them; ids start with ``prefix``, so that several fit in one page; ``title`` and
    ``description`` are what a screen reader says, already escaped. Its type never gets smaller than 13 px.
    """
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "midgap", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(stream, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    for name, colour in variables().items():
        svg = svg.replace(colour.light, f"var(--{name}, {colour.light})")
    head, _, body = svg.partition(">")
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)[0]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width} {height}" '
        f'style="max-width: {1.3 * float(width):.0f}pt; min-width: {1.22 * float(width):.0f}pt" role="img" aria-labelledby="{prefix}-title {prefix}-description">'
        f'<title id="{prefix}-title">{title}</title><desc id="{prefix}-description">{description}</desc>{body}'
    )
