"""How far each candidate is from what was measured, and how much of that hangs on what is not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midgap.experiment.comparison import Comparison
from midgap.experiment.evidence.likelihoods import Evidence
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.report.palette import CONDUCTION, INK, LEVEL, LINE, MUTED, PAPER, PL, PUBLISHED, VALENCE
from midgap.report.plotting import SMALL, dress
from midgap.report.typography import brief, mathtext

LINES = (
    (LEVEL, "solid", "o"),
    (PUBLISHED, (0, (5, 2)), "s"),
    (PL, (0, (1.5, 1.5)), "^"),
    (MUTED, (0, (6, 2, 1.5, 2)), "D"),
    (INK, (0, (3, 1)), "v"),
    (VALENCE, (0, (8, 2)), "P"),
)
"""Colour, dashes and marker together, so that lines are told apart in grey too."""
FAR = 6.0
"""Residuals beyond so many standard deviations are drawn at the edge."""


def residual_plot(ax: Axes, comparison: Comparison) -> Axes:
    """Measured less predicted in standard deviations, one row a candidate, one mark an observable.

    Of many records each is a thin stroke, the mean of all a mark. Beyond `FAR` an arrow stands at the edge.
    """
    rows = [candidate for candidate in comparison.candidates if candidate.counted]
    used = [name for name in OBSERVABLES if any(e.observable == name and e.n for e in comparison.evidence)]
    places = {name: 0.22 * (i - 0.5 * (len(used) - 1)) / max(1.0, 0.25 * len(used)) for i, name in enumerate(used)}
    ax.axvspan(-2, 2, color=CONDUCTION.light, linewidth=0, zorder=0)
    ax.axvspan(-1, 1, color=LINE.light, alpha=0.6, linewidth=0, zorder=0)
    ax.axvline(0, color=MUTED.light, linewidth=0.8, zorder=1)
    for y, candidate in enumerate(rows):
        for evidence in comparison.evidence:
            if evidence.candidate == candidate.name and evidence.observable in places:
                _mark(ax, y + places[evidence.observable], evidence, used.index(evidence.observable))
    for i, name in enumerate(used):
        colour, _, marker = LINES[i % len(LINES)]
        ax.plot([], [], marker, color=colour.light, markersize=4.5, label=OBSERVABLES[name].label)
    ax.set_yticks(range(len(rows)), [mathtext(brief(row.title)) for row in rows])
    ax.set(xlim=(-FAR - 0.5, FAR + 0.5), ylim=(len(rows) - 0.45, -0.55))
    if used:
        ax.legend(
            frameon=False,
            fontsize=SMALL,
            labelcolor=INK.light,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=min(len(used), 4),
            handletextpad=0.2,
        )
    dress(ax, "Measured less predicted (standard deviations)", "")
    ax.tick_params(axis="y", length=0, labelsize=7.5)
    return ax


def _mark(ax: Axes, y: float, evidence: Evidence, i: int) -> None:
    colour, _, marker = LINES[i % len(LINES)]
    each = np.asarray(evidence.residuals, dtype=float)
    each = each[np.isfinite(each)]
    if len(each) > 1:
        ax.plot(np.clip(each, -FAR, FAR), np.full(len(each), y), "|", color=colour.light, alpha=0.35, markersize=5)
    if (mean := evidence.ensemble_residual) is None or not np.isfinite(mean):
        return
    if abs(mean) > FAR:
        ax.plot([np.sign(mean) * FAR], [y], "<" if mean < 0 else ">", color=colour.light, markersize=5, zorder=4)
        return
    face = colour.light if evidence.counted else PAPER.light
    ax.plot([mean], [y], marker, color=colour.light, markerfacecolor=face, markersize=5, zorder=4)


def sensitivity_plot(ax: Axes, comparison: Comparison) -> Axes:
    """Ln of the evidence of each candidate over that of the best, against what unknown errors are taken to be."""
    names = list(comparison.totals.candidates)
    titles = {candidate.name: candidate.title for candidate in comparison.candidates}
    totals = np.asarray(comparison.totals.log_evidence, dtype=float)
    below = totals - totals.max(axis=1, keepdims=True)
    x = [1e3 * assumption.unknown_eV for assumption in comparison.assumptions]
    for i, name in enumerate(names):
        colour, dash, marker = LINES[i % len(LINES)]
        ax.plot(
            x,
            below[:, i],
            marker=marker,
            color=colour.light,
            linestyle=dash,
            linewidth=1.3,
            markersize=4,
            label=mathtext(brief(titles.get(name, name))),
        )
    ax.set_ylim(min(-1.0, max(-20.0, float(np.min(below, initial=-1.0)))) * 1.06, 0.6)
    ax.legend(frameon=False, fontsize=6.5, labelcolor=INK.light, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return dress(ax, "Error that nothing estimates, taken as (meV)", "ln evidence, best = 0")


def evidence_figure(comparison: Comparison, width_in: float = 7.0) -> Figure:
    """`residual_plot` alone, as high as its rows need."""
    n = max(1, sum(candidate.counted for candidate in comparison.candidates))
    figure = Figure(figsize=(width_in, 0.9 + 0.42 * n), layout="constrained", facecolor="none")
    residual_plot(figure.add_subplot(), comparison)
    return figure


def sensitivity_figure(comparison: Comparison, width_in: float = 7.0) -> Figure:
    """`sensitivity_plot` alone."""
    figure = Figure(figsize=(width_in, 2.6), layout="constrained", facecolor="none")
    sensitivity_plot(figure.add_subplot(), comparison)
    return figure


def histogram(
    ax: Axes, values: Sequence[float], label: str, predicted: Sequence[tuple[str, float]] = (), unit: str = ""
) -> Axes:
    """How a quantity is distributed over the particles; predictions within its range as dashed lines."""
    shown = np.asarray(values, dtype=float)
    low, high = float(shown.min()), float(shown.max())
    edges = np.histogram_bin_edges(shown, bins="fd" if len(shown) > 3 and high > low else 3)
    if len(edges) > 40:
        edges = np.linspace(low, high, 41)
    counts, edges = np.histogram(shown, edges)
    ax.stairs(counts, edges, fill=True, color=LINE.light)
    ax.stairs(counts, edges, color=MUTED.light, linewidth=0.8)
    ax.axvline(float(np.median(shown)), color=INK.light, linewidth=1.2)
    reach = 0.5 * (high - low or 1.0)
    for i, (_, value) in enumerate(predicted):
        if low - reach < value < high + reach:
            colour, dash, _ = LINES[i % len(LINES)]
            ax.axvline(value, color=colour.light, linestyle=dash if dash != "solid" else (0, (2, 1)), linewidth=1.2)
    ax.set_ylim(0, 1.12 * max(1, counts.max()))
    return dress(ax, f"{label} ({unit})" if unit else label, "Particles")
