"""Ball-and-stick pictures: coordination octahedra, the vacancy as a dashed circle, a scale bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Polygon
from matplotlib.patheffects import Normal, Stroke
from scipy.spatial import ConvexHull, QhullError

from midgap.report.palette import INK, MUTED, PAPER, POLYHEDRON, SHINE, element_colour
from midgap.report.plotting import SMALL
from midgap.report.scene import Scene, bond_limit_ang, radius_ang
from midgap.structures.model import Model

FOG = 0.62
"""How much of the background lies over the atoms farthest away."""


def structure_picture(ax: Axes, model: Model, towards_ang: np.ndarray | None = None) -> Axes:
    """Draw a model, seen across the axis from the vacancy to the centre beside it; axes in Å.

    Farther atoms are paler. Opposite the vacancy the distance from centre to ligand is written, and the
    bond dotted where it is broken. ``towards_ang`` stands for the vacancy in a model that has none.
    """
    scene = Scene.of(model, towards_ang)
    depth = scene.positions_ang[:, 2]
    nearest, range_ang = depth.max(), max(np.ptp(depth), 1e-6)
    shapes: list[tuple[float, Callable[[float, float], None]]] = []  # depth, draw(fog, order)
    for corners in _faces(scene):
        shapes.append((corners[:, 2].mean(), partial(_draw_face, ax, corners[:, :2])))
    for pair in scene.bonds:
        ends = scene.positions_ang[list(pair)]
        shapes.append((ends[:, 2].min() - 1e-3, partial(_draw_bond, ax, ends[:, :2])))
    for symbol, point in zip(scene.symbols, scene.positions_ang, strict=True):
        shapes.append((point[2], partial(_draw_atom, ax, symbol, point[:2])))
    for rank, (z, draw) in enumerate(sorted(shapes, key=lambda shape: shape[0])):
        draw(FOG * float((nearest - z) / range_ang), 3 + rank * 1e-3)
    points = scene.positions_ang[:, :2]
    if scene.axis_ang is not None:
        _draw_axis(ax, scene, scene.axis_ang)
        points = np.vstack([points, scene.axis_ang[:2]])
    low, high = points.min(axis=0) - 1.2, points.max(axis=0) + 1.2
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    ax.axis("off")
    return ax


def same_scale(axes: Sequence[Axes], scale_bar_ang: float = 5.0) -> float:
    """Give pictures one scale of lengths, and the first a scale bar; returns height over width of each."""
    width = max(np.ptp(ax.get_xlim()) for ax in axes)
    height = max(np.ptp(ax.get_ylim()) for ax in axes)
    strip = 0.09 * width
    for ax in axes:
        middle = np.mean(ax.get_xlim()), np.mean(ax.get_ylim())
        ax.set_xlim(middle[0] - 0.5 * width, middle[0] + 0.5 * width)
        ax.set_ylim(middle[1] - 0.5 * height - strip, middle[1] + 0.5 * height)
    x, y = axes[0].get_xlim()[0] + 0.02 * width, axes[0].get_ylim()[0] + 0.02 * width
    axes[0].plot([x, x + scale_bar_ang], [y, y], color=INK.light, linewidth=2.0, solid_capstyle="butt", zorder=9)
    label = axes[0].text(x + 0.5 * scale_bar_ang, y + 0.015 * width, f"{scale_bar_ang:g} Å", fontsize=SMALL, zorder=9)
    label.set(ha="center", va="bottom", color=INK.light)
    return (height + strip) / width


def element_legend(ax: Axes, models: Sequence[Model]) -> Axes:
    """One row of circles with the elements of the models, and the dashed circle of a vacancy."""
    symbols = sorted({symbol for model in models for symbol in model.species}, key=lambda s: -radius_ang(s))
    circle: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": INK.light, "markeredgewidth": 0.7}
    handles = [
        Line2D([], [], **circle, markersize=15 * drawn_radius_ang(s), markerfacecolor=element_colour(s), label=s)
        for s in symbols
    ]
    if any(model.vacancy is not None for model in models):
        handles.append(
            Line2D([], [], linestyle="none", marker="$\u25cc$", markersize=9, color=INK.light, label="vacancy")
        )
    style: dict[str, Any] = {"frameon": False, "fontsize": SMALL, "handletextpad": 0.3, "columnspacing": 1.5}
    ax.legend(handles=handles, loc="center", ncols=len(handles), labelcolor=INK.light, **style)
    ax.axis("off")
    return ax


def drawn_radius_ang(symbol: str) -> float:
    """How large an atom is drawn, Å: small enough to see between them."""
    return 0.42 * radius_ang(symbol) ** 0.8


def _faces(scene: Scene) -> list[np.ndarray]:
    """Triangles of the coordination polyhedra, each (3, 3)."""
    faces: list[np.ndarray] = []
    for centre in sorted({i for i, _ in scene.bonds}):
        corners = scene.positions_ang[[j for i, j in scene.bonds if i == centre]]
        if len(corners) < 4:
            continue
        try:
            hull = ConvexHull(corners)
        except QhullError:  # all in one plane
            continue
        faces += [corners[triangle] for triangle in hull.simplices]
    return faces


def _draw_face(ax: Axes, corners: np.ndarray, fog: float, order: float) -> None:
    colour = POLYHEDRON.light
    ax.add_artist(Polygon(corners, facecolor=colour, edgecolor="none", alpha=0.26 * (1 - fog), zorder=order))
    edge: dict[str, Any] = {"linewidth": 0.5, "joinstyle": "round", "alpha": 0.8 * (1 - fog)}
    ax.add_artist(Polygon(corners, facecolor="none", edgecolor=colour, zorder=order, **edge))


def _draw_bond(ax: Axes, ends: np.ndarray, fog: float, order: float) -> None:
    ax.plot(*ends.T, color=MUTED.light, linewidth=1.5, alpha=1 - fog, solid_capstyle="round", zorder=order)


def _draw_atom(ax: Axes, symbol: str, point: np.ndarray, fog: float, order: float) -> None:
    radius = drawn_radius_ang(symbol)
    highlight = point + radius * np.array([-0.32, 0.34])
    _circle(ax, point, radius, order, facecolor=element_colour(symbol), edgecolor=INK.light, linewidth=0.6)
    _circle(ax, highlight, 0.26 * radius, order, facecolor=SHINE.light, edgecolor="none", alpha=0.45)
    # the background over the atom, not a paler atom: it stays opaque to what is behind
    _circle(ax, point, 1.06 * radius, order, facecolor=PAPER.light, edgecolor="none", alpha=fog)


def _circle(ax: Axes, centre: np.ndarray, radius: float, order: float, **style: Any) -> None:
    ax.add_artist(Circle((float(centre[0]), float(centre[1])), radius, zorder=order, **style))


def _draw_axis(ax: Axes, scene: Scene, axis: np.ndarray) -> None:
    if scene.vacant:
        ring: dict[str, Any] = {"edgecolor": INK.light, "linewidth": 1.5, "linestyle": (0, (2.2, 1.4))}
        _circle(ax, axis, 1.1 * drawn_radius_ang(scene.ligand), 8, facecolor="none", **ring)
    trans = opposite(scene, axis)
    if trans is None:
        return
    ends = scene.positions_ang[[scene.heart, trans]]
    if (scene.heart, trans) not in scene.bonds:
        ax.plot(*ends[:, :2].T, color=MUTED.light, linewidth=1.3, linestyle=(0, (1, 1.4)), zorder=2.9)
    distance = f"{np.linalg.norm(ends[1] - ends[0]):.2f} Å"
    label = ax.annotate(distance, _free_place(scene, trans), fontsize=SMALL, color=INK.light, zorder=9, ha="center")
    label.set(va="center", path_effects=[Stroke(linewidth=2.2, foreground=PAPER.light), Normal()])


def _free_place(scene: Scene, ligand: int) -> tuple[float, float]:
    """Beside or below a ligand, where other atoms and the bonds between them are farthest."""
    points = scene.positions_ang[:, :2]
    bonds = [0.5 * (points[i] + points[j]) for i, j in scene.bonds]
    others = np.vstack([np.delete(points, ligand, axis=0), *bonds])
    radius = drawn_radius_ang(scene.symbols[ligand])
    below, beside = -radius - 0.6, radius + 1.3
    around = [[0.0, below], [-1.0, below], [1.0, below], [beside, 0.0], [-beside, 0.0]]
    places = points[ligand] + np.array(around)
    away = (places[:, None] - others[None]) / [2.0, 1.0]  # words are wider than high
    room = np.linalg.norm(away, axis=2).min(axis=1)
    x, y = places[int(np.argmax(room))]
    return float(x), float(y)


def opposite(scene: Scene, axis: np.ndarray) -> int | None:
    """The ligand opposite ``axis``, bonded or not."""
    arms = scene.positions_ang - scene.positions_ang[scene.heart]
    lengths = np.linalg.norm(arms, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = -(arms @ axis) / (lengths * np.linalg.norm(axis))
    reach = 1.6 * bond_limit_ang(scene.symbols[scene.heart], scene.ligand)
    ligands = (i for i, symbol in enumerate(scene.symbols) if symbol == scene.ligand)
    return min((i for i in ligands if lengths[i] <= reach and cosines[i] > 0.9), key=lambda i: lengths[i], default=None)
