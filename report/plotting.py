"""What the pictures of measurements share: axes, words for intervals, files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from midgap.experiment.records import Quantity
from midgap.report.palette import INK, LEVEL, MUTED, PUBLISHED, THIRD, VALENCE
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError

SMALL, NORMAL = 8.0, 9.0
"""Sizes of type, points; nothing is smaller, and the page shows a point as at least 1.63 px: 13 px."""
LINES = (
    (LEVEL, "solid", "o"),
    (PUBLISHED, (0, (5, 2)), "s"),
    (THIRD, (0, (1.5, 1.5)), "^"),
    (MUTED, (0, (6, 2, 1.5, 2)), "D"),
    (INK, (0, (3, 1)), "v"),
    (VALENCE, (0, (8, 2)), "P"),
)
"""Colour, dashes and marker together, so that lines are told apart in grey too."""


def dress(ax: Axes, x: str, y: str) -> Axes:
    """Labels, and no more frame than is read."""
    ax.set_xlabel(x, fontsize=NORMAL, color=INK.light)
    ax.set_ylabel(y, fontsize=NORMAL, color=INK.light)
    ax.tick_params(which="both", labelsize=NORMAL, colors=INK.light, width=0.8, length=3)
    ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=INK.light, linewidth=0.8)
    if ax.get_yscale() == "log":
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}" if v < 1e4 else f"$10^{{{np.log10(v):.0f}}}$"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    return ax


def with_interval(quantity: Quantity, unit: str, scale: float = 1.0) -> str:
    """Value and interval, to the digit that the interval leaves."""
    lo, value, hi = (None if x is None else scale * x for x in (quantity.lo, quantity.value, quantity.hi))
    given = [x for x in (lo, value, hi) if x is not None]
    spread = max(given) - min(given)
    digits = 2 if spread <= 0 else int(np.clip(np.ceil(-np.log10(spread / 3)), 0, 4))
    if value is None:
        return f"{lo if lo is not None else 0:.{digits}f} to {'∞' if hi is None else f'{hi:.{digits}f}'} {unit}".strip()
    if lo is None and hi is None:
        return f"{value:.{digits}f} {unit}".strip()
    low, high = ("?" if x is None else f"{x:.{digits}f}" for x in (lo, hi))
    return f"{value:.{digits}f} ({low} to {high}) {unit}".strip()


def save_picture(figure: Figure, path: Path | str) -> Path:
    """PNG, SVG or PDF by the name of the file, written whole or not at all; text stays text, its fonts in the PDF.

    Raises
    ------
    InputError
        The name ends in something else.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"{path}: pictures are written as .png, .pdf or .svg; give a name that ends so.")
    stream = io.BytesIO()
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "midgap"}):
        figure.savefig(stream, format=kind, dpi=300 if kind == "png" else 200, metadata=undated)
    return write_atomic(path, stream.getvalue())


def legend_above(
    ax: Axes, ncols: int, where: Literal["lower center", "lower right"] = "lower center", **style: float
) -> None:
    """A legend over the axes, where no curve is."""
    ax.legend(
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK.light,
        ncols=ncols,
        loc=where,
        bbox_to_anchor=(1.0 if where == "lower right" else 0.5, 1.0),
        **style,
    )
