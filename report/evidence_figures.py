"""How far each candidate is from what was measured, and how much of that hangs on what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midgap.experiment.comparison import Comparison
from midgap.experiment.evidence.likelihoods import Evidence
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.odds import ALIVE
from midgap.report.palette import CONDUCTION, INK, LINE, MUTED, PAPER
from midgap.report.plotting import LINES, SMALL, dress, legend_above
from midgap.report.typography import folded, mathtext

STROKES = 3
"""Of fewer records the mark of their mean hides what they are."""
NEAREST, FARTHEST = 3.0, 10.0
"""The scale of residuals reaches at least and at most so many standard deviations; what is beyond stands at its edge."""

LOWEST = -30.0
"""Of ln evidence: what is farther down leaves the frame, for it is as good as impossible."""


def residual_plot(ax: Axes, comparison: Comparison) -> Axes:
    """Measured less predicted in standard deviations, one row a candidate, one mark an observable.

    Of many records each is a thin stroke, the mean of all a mark. Beyond `reach` an arrow stands at the edge.
    """
    rows = [candidate for candidate in comparison.candidates if candidate.counted]
    used = [name for name in OBSERVABLES if any(e.observable == name and e.n for e in comparison.evidence)]
    far = reach(comparison)
    apart = min(0.24, 0.7 / max(1, len(used)))
    ax.axvspan(-2, 2, color=CONDUCTION.light, linewidth=0, zorder=0)
    ax.axvspan(-1, 1, color=LINE.light, alpha=0.6, linewidth=0, zorder=0)
    ax.axvline(0, color=MUTED.light, linewidth=0.8, zorder=1)
    for y, candidate in enumerate(rows):
        own = [e for e in comparison.evidence if e.candidate == candidate.name and e.observable in used]
        for i, evidence in enumerate(sorted(own, key=lambda e: used.index(e.observable))):
            _mark(
                ax,
                y + apart * (i - 0.5 * (len(own) - 1)),
                evidence,
                used.index(evidence.observable),
                far,
                enters(comparison, evidence),
            )
    for i, name in enumerate(used):
        colour, _, marker = LINES[i % len(LINES)]
        ax.plot([], [], marker, color=colour.light, markersize=4.5, label=OBSERVABLES[name].label)
    ax.set_yticks(range(len(rows)), [mathtext(folded(row.title)) for row in rows])
    ax.set(xlim=(-far - 0.5, far + 0.5), ylim=(len(rows) - 0.45, -0.55))
    if used:
        legend_above(ax, min(len(used), 4), handletextpad=0.2)
    dress(ax, "Measured less predicted (standard deviations)", "")
    ax.tick_params(axis="y", length=0, labelsize=SMALL)
    return ax


def reach(comparison: Comparison) -> float:
    """How far the scale of residuals goes: to the farthest, if it is not too far."""
    means = [one.ensemble_residual for one in _shown(comparison)]
    farthest = max((abs(x) for x in means if x is not None and np.isfinite(x)), default=0.0)
    return float(np.clip(np.ceil(farthest), NEAREST, FARTHEST))


def has_strokes(comparison: Comparison) -> bool:
    """Whether `residual_plot` draws single records beside their mean."""
    each = [np.asarray(one.residuals, dtype=float) for one in _shown(comparison)]
    return any(np.isfinite(residuals).sum() >= STROKES for residuals in each)


def has_arrows(comparison: Comparison) -> bool:
    """Whether a mean lies beyond the scale of `residual_plot`."""
    far, means = reach(comparison), [one.ensemble_residual for one in _shown(comparison)]
    return any(x is not None and np.isfinite(x) and abs(x) > far for x in means)


def enters(comparison: Comparison, evidence: Evidence) -> bool:
    """Whether it is part of a sum: that of all candidates, or of those that are left."""
    sums = (comparison.totals, comparison.narrowed)
    return any(evidence.candidate in s.candidates and evidence.observable in s.observables for s in sums)


def has_open_marks(comparison: Comparison) -> bool:
    """Whether `residual_plot` shows what enters no sum."""
    return any(one.ensemble_residual is not None and not enters(comparison, one) for one in _shown(comparison))


def _shown(comparison: Comparison) -> list[Evidence]:
    """Of the candidates that have a row."""
    counted = {candidate.name for candidate in comparison.candidates if candidate.counted}
    return [one for one in comparison.evidence if one.candidate in counted]


def _mark(ax: Axes, y: float, evidence: Evidence, i: int, far: float, filled: bool) -> None:
    colour, _, marker = LINES[i % len(LINES)]
    each = np.asarray(evidence.residuals, dtype=float)
    each = each[np.isfinite(each)]
    if len(each) >= STROKES:
        ax.plot(np.clip(each, -far, far), np.full(len(each), y), "|", color=colour.light, alpha=0.3, markersize=9)
    if (mean := evidence.ensemble_residual) is None or not np.isfinite(mean):
        return
    if abs(mean) > far:
        ax.plot([np.sign(mean) * far], [y], "<" if mean < 0 else ">", color=colour.light, markersize=5, zorder=4)
        return
    face = colour.light if filled else PAPER.light
    ax.plot([mean], [y], marker, color=colour.light, markerfacecolor=face, markersize=6, zorder=4)


def sensitivity_plot(ax: Axes, comparison: Comparison) -> Axes:
    """Ln of the evidence over that of the best candidate, against what is assumed for errors not estimated.

    Only candidates between which the evidence has not decided (`undecided`): the others lie far below.
    """
    names, titles = undecided(comparison), {c.name: c.title for c in comparison.candidates}
    source = comparison.narrowed if set(names) <= set(comparison.narrowed.candidates) else comparison.totals
    totals = np.asarray(source.log_evidence, dtype=float)
    below = totals - totals.max(axis=1, keepdims=True)
    x = [assumption.unknown_eV for assumption in comparison.assumptions]
    for i, name in enumerate(names):
        colour, dash, marker = LINES[i % len(LINES)]
        ax.plot(
            x,
            below[:, source.candidates.index(name)],
            marker=marker,
            color=colour.light,
            linestyle=dash,
            linewidth=1.4,
            markersize=4.5,
            label=mathtext(folded(titles.get(name, name), 80)),
        )
    ax.set_xticks(x, [f"{a.unknown_eV:g} eV\n×÷ {a.unknown_factor:g}" for a in comparison.assumptions])
    ax.margins(y=0.15)
    if below.min() < LOWEST:
        ax.set_ylim(LOWEST, -0.1 * LOWEST)
    legend_above(ax, 1 if len(names) > 2 else 2)
    return dress(ax, "Assumed for errors not estimated", "ln evidence, best = 0")


def undecided(comparison: Comparison) -> list[str]:
    """Names of the candidates that are alive at the reference assumption, the best first; two at least."""
    relative = comparison.totals.relative(comparison.reference)
    order = sorted(range(len(relative)), key=lambda i: -relative[i])
    n = max(2, int((np.exp(relative) >= ALIVE).sum()))
    return [comparison.totals.candidates[i] for i in order[:n]]


def evidence_figure(comparison: Comparison, width_in: float = 7.0) -> Figure:
    """`residual_plot` alone, as high as its rows need."""
    n = max(1, sum(candidate.counted for candidate in comparison.candidates))
    row_in = 0.14 + 0.08 * max(3, len({e.observable for e in comparison.evidence if e.n}))
    figure = Figure(figsize=(width_in, 1.0 + row_in * n), layout="constrained", facecolor="none")
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
    near = [(name, value) for name, value in predicted if low - reach < value < high + reach]
    for i, (name, value) in enumerate(near):
        colour, dash, _ = LINES[i % len(LINES)]
        style: Any = dash if dash != "solid" else (0, (2, 1))
        ax.axvline(value, color=colour.light, linestyle=style, linewidth=1.2, label=mathtext(folded(name, 34)))
    if near:
        ax.legend(frameon=False, fontsize=SMALL, labelcolor=INK.light, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    ax.set_ylim(0, 1.12 * max(1, counts.max()))
    return dress(ax, f"{label} ({unit})" if unit else label, "Particles")
