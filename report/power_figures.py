"""Pictures of a power series."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from midgap.experiment.photons.power import EMITTERS, Points, PowerStudy
from midgap.report.palette import INK, LEVEL, LINE, MUTED, PAPER, VALENCE
from midgap.report.plotting import NORMAL, SMALL, dress, save_picture

__all__ = ["power_figure", "save_picture"]

MARKS = {"ON": ("o", INK), "GRAY": ("s", VALENCE), "OFF": ("^", MUTED), EMITTERS: ("D", LEVEL)}


def power_figure(study: PowerStudy) -> Figure:
    """Intensity of each level, and the number of emitters, over the power; each with the power law that fits."""
    levels = [points for points in study.points if points.name != EMITTERS]
    emitters = [points for points in study.points if points.name == EMITTERS]
    panels = [each for each in (levels, emitters) if each]
    figure = Figure(figsize=(3.6 * max(len(panels), 1), 3.2), facecolor=PAPER.light, layout="constrained")
    for i, series in enumerate(panels):
        ax = figure.add_subplot(1, len(panels), i + 1)
        for points in series:
            _series(ax, points)
        ax.set_xscale("log")
        if series is emitters:
            ax.set_ylim(0, 1.35 * max(q.hi or q.value or 1.0 for q in series[0].values))
        else:
            _one_to_one(ax, series)
            ax.set_yscale("log")
            ax.margins(y=0.15)
        ax.margins(x=0.12)
        for axis in (ax.xaxis, *([] if series is emitters else [ax.yaxis])):
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        dress(ax, f"Excitation, {study.axis}", "Number of emitters M" if series is emitters else "Intensity (cps)")
        ax.legend(frameon=False, fontsize=SMALL, loc="best")
    if not panels:
        figure.text(0.5, 0.5, "no series", ha="center", fontsize=NORMAL)
    return figure


def _series(ax: Axes, points: Points) -> None:
    mark, colour = MARKS[points.name]
    y = np.array([q.value for q in points.values], dtype=float)
    down = y - np.array([y_ if q.lo is None else q.lo for q, y_ in zip(points.values, y, strict=True)])
    up = np.array([y_ if q.hi is None else q.hi for q, y_ in zip(points.values, y, strict=True)]) - y
    name = points.name
    if points.growth is not None:
        s = points.growth.exponent
        name = f"{name}: s = {s.value:.2f} ({s.lo:.2f} to {s.hi:.2f})"
        x = np.geomspace(min(points.power), max(points.power), 50)
        ax.plot(x, points.growth.prefactor * x ** (s.value or 0.0), color=colour.light, linewidth=1.0)
    ax.errorbar(
        points.power,
        y,
        yerr=[down, up],
        fmt=mark,
        markersize=4.5,
        color=colour.light,
        linewidth=0.9,
        capsize=2,
        label=name,
    )


def _one_to_one(ax: Axes, series: list[Points]) -> None:
    """What growth in proportion to the power would look like, from the first point of the first series."""
    first = series[0]
    x = np.array([min(first.power), max(first.power)])
    y = float(first.values[0].value or 1.0)
    ax.plot(x, y * x / x[0], color=LINE.light, linestyle="--", linewidth=0.9, label="in proportion")
