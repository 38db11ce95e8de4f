"""Band edges and levels of several models side by side, each on its own VBM."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text

from midgap.defects.report import Level, LevelReport, Levels
from midgap.experiment.comparison import SMALLEST_PART, Comparison, Row
from midgap.experiment.evidence.level_candidates import EDGE
from midgap.experiment.photon_energy import wavelength_nm
from midgap.experiment.records import Quantity
from midgap.report.palette import CONDUCTION, INK, LEVEL, LINE, MUTED, PAPER, PL, PL_BAND, PUBLISHED, VALENCE
from midgap.report.plotting import NORMAL, SMALL
from midgap.report.typography import mathtext, short
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

Column = tuple[LevelReport, Model | None]

HALF = 0.36
"""Half the width of a column; columns are 1 apart."""
BOTTOM, HEADROOM = -0.62, 0.62
TYPE = 0.043
"""Height of a line of small type as a fraction of the energies that are shown."""
ERROR = -0.8 * HALF
"""Where in a column errors stand."""
DASHED, BROKEN, DOTTED = (0, (2.2, 1.1)), (0, (4, 2)), (0, (1, 1.6))
SPINS: dict[str, tuple[bool, ...]] = {"up": (True,), "down": (False,), "both": (True, False)}


def columns(levels: Levels, theory: LevelOfTheory) -> list[Column]:
    """Reports with a gap at one theory: perfect crystals, vacancies by charge from + to -, then clusters."""
    models = {model.name: model for model in levels.models}

    def order(column: Column) -> tuple[int, bool, int]:
        report, model = column
        if model is None:
            return 2, bool(report.levels), -report.charge
        return (0 if model.periodic else 1), model.vacancy is not None, -report.charge

    reports = [r for r in levels.reports if r.theory.name == theory.name and r.gap_eV is not None]
    return sorted(((report, models.get(report.model)) for report in reports), key=order)


def level_diagram(
    ax: Axes,
    levels: Levels,
    theory: LevelOfTheory,
    *,
    comparison: Comparison | None = None,
    measured: Quantity | None = None,
    from_band: bool = False,
) -> Axes:
    """Draw every report of ``theory`` as a column on VBM = 0.

    Bands are blocks (occupied dark, empty light). A level is a line, the thicker the more of it sits at
    the vacancy, solid if deep and dashed if not, with the electrons it holds: arrows where spin is a good
    quantum number, otherwise filled and open dots, one for each state.

    Parameters
    ----------
    comparison
        Marks each published value with a diamond and a dotted line across the models it stands for, and gives levels the errors of their transitions: known ones with caps,
        beyond them what is assumed for those that are not estimated. Without it the error is that of the alignment.
    measured
        PL energy in eV: a band at that height above the VBM, and an arrow.
    from_band
        It is the band in which light was detected.
    """
    shown = columns(levels, theory)
    published = [] if comparison is None else [row for row in comparison.published if row.theory.name == theory.name]
    top = max([1.0, *(report.gap_eV or 0.0 for report, _ in shown)]) + HEADROOM
    places = _places(shown)
    left, right = -HALF - 0.14, (places[-1] if places else 0.0) + 0.5
    if measured is not None:
        right += 1.5
        _draw_measured(ax, measured, left, right - 0.75, from_band)
    for x, (report, model) in zip(places, shown, strict=True):
        _draw_column(ax, x, report, top, measured, comparison)
        _text(ax, x, top + 0.1, _heading(report, model), NORMAL)
    left = min(left, _draw_published(ax, places, [report.model for report, _ in shown], published))
    ax.set(xlim=(left, right), ylim=(BOTTOM, top), xticks=[], facecolor="none")
    ax.set_ylabel("Energy above the VBM (eV)", fontsize=NORMAL, color=INK.light)
    ax.tick_params(axis="y", labelsize=NORMAL, colors=INK.light, width=0.8, length=3)
    for side, spine in ax.spines.items():
        spine.set(visible=side == "left", color=INK.light, linewidth=0.8)
    line = "" if measured is None else "band in which PL was detected" if from_band else "PL energy above the VBM"
    _draw_legend(ax, [report for report, _ in shown], any(row.model for row in published), line, comparison is not None)
    return ax


def _places(shown: Sequence[Column]) -> list[float]:
    """One apart, and a little more between crystals and clusters."""
    places: list[float] = []
    periodic = [model is None or model.periodic for _, model in shown]
    for i in range(len(shown)):
        places.append(places[-1] + (1.0 if periodic[i] == periodic[i - 1] else 1.3) if places else 0.0)
    return places


def _heading(report: LevelReport, model: Model | None) -> str:
    name = short(model.label if model is not None else report.label or report.model or "model")
    lines = [mathtext(line) for line in wrap(name, 12)]
    return "\n".join(lines if model is None else [*lines, f"{len(model.structure)} atoms"])


def _draw_column(
    ax: Axes, x: float, report: LevelReport, top: float, line: Quantity | None, comparison: Comparison | None
) -> None:
    gap = report.gap_eV or 0.0
    sides = (x - HALF, x + HALF)
    for block, colour in (((BOTTOM, 0.0), VALENCE), ((gap, top), CONDUCTION)):
        _block(ax, sides, block, colour.light, 2)
    for edge in (0.0, gap):
        _line(ax, sides, edge, INK.light, 1.1, zorder=3)
    type_eV = TYPE * (top - BOTTOM)
    *heights, of_gap = _spread([*(level.above_vbm_eV for level in report.levels), gap], type_eV)
    _text(ax, x, of_gap + 0.3 * type_eV, f"{gap:.2f}", SMALL)
    for i, (level, height) in enumerate(zip(report.levels, heights, strict=True)):
        weight = level.localization.defect_weight
        width = 1.6 if weight is None else 1.0 + 2.0 * min(max(weight, 0.0), 1.0)
        y = level.above_vbm_eV
        _line(ax, sides, y, LEVEL.light, width, style="solid" if level.kind == "deep" else DASHED, zorder=5)
        bottom = y - 1.3 * type_eV if _struck(height, line, 1.3 * type_eV) else height + 0.2 * type_eV
        if level.kind != "resonant":
            label = _text(ax, x + HALF, bottom, f"{y:.2f}", SMALL, LEVEL.light, "right")
            label.set_path_effects([Stroke(linewidth=2.0, foreground=PAPER.light), Normal()])
        known, whole = _errors(report, i, comparison)
        for error, colour, cap in ((whole, MUTED, 0.0), (known, INK, 2.2)):
            if error:
                ax.errorbar([x + ERROR], [y], yerr=error, color=colour.light, linewidth=1.0, capsize=cap, zorder=6)
        _draw_electrons(ax, x + 0.04, level)


def _struck(height: float, line: Quantity | None, label_eV: float) -> bool:
    """Whether the measured line or band would run through a label at that height."""
    ends = [] if line is None else [x for x in (line.lo, line.value, line.hi) if x is not None]
    return bool(ends) and min(ends) < height + label_eV and max(ends) > height


def _errors(report: LevelReport, level: int, comparison: Comparison | None) -> tuple[float | None, float | None]:
    """Of the energy of a level: what is known, and with what is assumed for the rest, eV."""
    if comparison is None:
        return report.alignment.uncertainty_eV, None
    theory, assumption = report.theory.name, comparison.assumptions[comparison.reference]
    for candidate in comparison.candidates:
        prediction = candidate.prediction("pl_peak_eV")
        same = (candidate.origin, candidate.model, candidate.level) == ("levels", report.model, level)
        if same and prediction is not None and candidate.theory is not None and candidate.theory.name == theory:
            of_level = tuple(u for u in prediction.uncertainties if u.source != EDGE)
            height = prediction.model_copy(update={"uncertainties": of_level})
            return height.known_uncertainty, height.widths(assumption)[0]
    return report.alignment.uncertainty_eV, None


def _spread(heights: Sequence[float], apart: float) -> list[float]:
    """Heights of labels, moved up where they would touch."""
    placed = list(heights)
    last = float("-inf")
    for i in sorted(range(len(heights)), key=lambda i: heights[i]):
        last = placed[i] = max(heights[i], last + apart)
    return placed


def _draw_electrons(ax: Axes, x: float, level: Level, most: int = 4, apart: float = 0.11) -> None:
    """One arrow or dot a state, as far as there are electrons; at most ``most`` of them."""
    n = max(1, min(level.degeneracy, most))
    electrons = level.occupation * n / level.degeneracy
    spins = SPINS.get(level.spin)
    for i in range(n):
        at, filled = x + apart * (i - 0.5 * (n - 1)), min(max(electrons - i, 0.0), 1.0)
        if spins is None:
            _draw_dot(ax, at, level.above_vbm_eV, filled)
        elif filled > 0.5:
            half = 0.15 if spins[i % len(spins)] else -0.15
            _arrow(ax, at, level.above_vbm_eV - half, level.above_vbm_eV + half, INK.light, head=6, width=1.1)


def _draw_dot(ax: Axes, x: float, y: float, filled: float) -> None:
    ax.add_line(_mark("o", 4.6, INK.light, PAPER.light, at=(x, y)))
    if filled > SMALLEST_PART:
        dot = _mark("o", 4.6, INK.light, at=(x, y))
        dot.set(fillstyle="full" if filled > 1 - SMALLEST_PART else "left", markerfacecoloralt=PAPER.light)
        ax.add_line(dot)


def _draw_published(ax: Axes, places: Sequence[float], models: Sequence[str], rows: Sequence[Row]) -> float:
    """One diamond a published value, left of the first model that it stands for or between the first two, and a thin line
    across all of them; how far left the drawing reaches.
    """
    left = places[0] - HALF - 0.14 if places else 0.0
    for name, value in sorted({(row.quantity, row.published_eV) for row in rows}):
        meant = [row.model for row in rows if row.quantity == name]
        at = [x for x, model in zip(places, models, strict=True) if model in meant]
        if not at:
            continue
        x = at[0] - 0.5 if len(at) == 1 else at[0] + 0.5
        ends = (min(x, at[0] - HALF), at[-1] + HALF)
        _line(ax, ends, value, PUBLISHED.light, 0.8, style=DOTTED, zorder=4)
        ax.add_line(_mark("D", 4.2, PUBLISHED.light, PAPER.light, at=(x, value)))
        label = ax.text(
            x, value + 0.07, f"{value:.1f}", fontsize=SMALL, color=PUBLISHED.light, ha="center", va="bottom"
        )
        label.set(zorder=8, path_effects=[Stroke(linewidth=2.0, foreground=PAPER.light), Normal()])
        left = min(left, x - 0.2)
    return left


def _draw_measured(ax: Axes, measured: Quantity, left: float, x: float, from_band: bool) -> None:
    ends = [end for end in (measured.lo, measured.value, measured.hi) if end is not None]
    lo, peak, hi = min(ends), measured.value, max(ends)
    _block(ax, (left, x + HALF), (lo, hi), PL_BAND.light, 0)
    if peak is not None:
        _line(ax, (left, x + HALF), peak, PL.light, 0.8, style=BROKEN, zorder=1)
    _line(ax, (x - HALF, x + HALF), 0.0, LINE.light, 1.1, zorder=1)
    _arrow(ax, x, lo if peak is None else peak, 0.0, PL.light, head=9, width=1.8)
    told = [peak] if peak is not None else [lo, hi] if lo < hi else [lo]
    energies, lengths = (" to ".join(words) for words in _both(told))
    name = "PL detected" if from_band else "PL"
    _text(ax, x, hi + 0.08, f"{name}\n{energies} eV\n{lengths} nm", NORMAL, PL.light)


def _both(energies: Sequence[float]) -> tuple[list[str], list[str]]:
    """In eV, and as vacuum wavelengths."""
    return [f"{x:.3f}" for x in energies], [f"{wavelength_nm(x):.0f}" for x in reversed(energies)]


def _draw_legend(ax: Axes, reports: Sequence[LevelReport], published: bool, measured: str, compared: bool) -> None:
    levels = [level for report in reports for level in report.levels]
    entries: list[tuple[str, Any]] = [
        ("occupied bands", Patch(facecolor=VALENCE.light)),
        ("empty bands", Patch(facecolor=CONDUCTION.light)),
    ]
    if levels:
        entries.append(("deep level", Line2D([], [], color=LEVEL.light, linewidth=2.6)))
    if any(level.kind != "deep" for level in levels):
        entries.append(("shallow, resonant", Line2D([], [], color=LEVEL.light, linewidth=2.0, linestyle=DASHED)))
    if any(level.spin not in SPINS for level in levels):
        entries.append(("electron", _mark("o", 4.6, INK.light)))
        entries.append(("empty state", _mark("o", 4.6, INK.light, PAPER.light)))
    if any(level.spin in SPINS for level in levels):
        entries.append(("electron, spin", _mark("$\u2191$", 7, INK.light)))
    if any(report.levels and (compared or report.alignment.uncertainty_eV) for report in reports):
        entries.append(("known error", _mark("$\u2336$", 7, INK.light)))
    if levels and compared:
        entries.append(("known and assumed", Line2D([], [], color=MUTED.light, linewidth=1.0)))
    if published:
        entries.append(("published", _mark("D", 4.2, PUBLISHED.light, PAPER.light)))
    if measured:
        line = Line2D([], [], color=PL.light, linewidth=0.8, linestyle=BROKEN)
        band = Patch(facecolor=PL_BAND.light)
        entries.append((measured, band if "band" in measured else (band, line)))
    ax.legend(
        [handle for _, handle in entries],
        [label for label, _ in entries],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
        ncols=4,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK.light,
        handlelength=1.4,
        handletextpad=0.6,
        columnspacing=1.6,
    )


def _text(ax: Axes, x: float, y: float, text: str, size: float, colour: str = INK.light, ha: str = "center") -> Text:
    return ax.text(x, y, text, fontsize=size, color=colour, ha=ha, va="bottom", linespacing=1.35, zorder=6)


def _block(ax: Axes, x: tuple[float, float], y: tuple[float, float], colour: str, zorder: float) -> None:
    ax.add_patch(Rectangle((x[0], y[0]), x[1] - x[0], y[1] - y[0], facecolor=colour, edgecolor="none", zorder=zorder))


def _line(
    ax: Axes, x: tuple[float, float], y: float, colour: str, width: float, *, style: Any = "solid", zorder: float
) -> None:
    ax.plot(x, (y, y), color=colour, linewidth=width, linestyle=style, solid_capstyle="butt", zorder=zorder)


def _arrow(ax: Axes, x: float, tail: float, tip: float, colour: str, *, head: float, width: float) -> None:
    shape: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": head, "shrinkA": 0, "shrinkB": 0}
    ax.add_patch(FancyArrowPatch((x, tail), (x, tip), linewidth=width, color=colour, zorder=7, **shape))


def _mark(
    marker: str, size: float, colour: str, face: str | None = None, at: tuple[float, float] | None = None
) -> Line2D:
    x, y = ([], []) if at is None else ([at[0]], [at[1]])
    shape: dict[str, Any] = {"marker": marker, "markersize": size, "linestyle": "none", "clip_on": False}
    return Line2D(x, y, color=colour, markerfacecolor=face or colour, markeredgewidth=0.95, zorder=8, **shape)
