"""Surfaces of equal density as triangles, by naive surface nets.

Each cell of the grid that the surface crosses has one vertex, the mean of the crossings of its edges; each edge
that is crossed joins the four cells around it (Gibson, MICCAI 1998, doi 10.1007/BFb0056277). Fewer and rounder
triangles than marching cubes gives, and no table of cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from midgap.defects.densities import StateDensity


@dataclass(frozen=True)
class Surface:
    """Vertices and outward normals, shape (n, 3), Å and 1; triangles are indices, shape (m, 3), counter-clockwise seen
    from outside, where the density is lower.
    """

    vertices_ang: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray


_CORNERS = np.array(list(product((0, 1), repeat=3)))


def isosurface(density: StateDensity, value_per_ang3: float, centre_ang: np.ndarray | None = None) -> Surface:
    """The surface of one density value.

    Parameters
    ----------
    centre_ang
        Of a periodic grid: the middle of the cell that is shown, so that a level at the edge is not cut; where
        the grid ends the surface is left open.
    """
    values, origin = density.per_ang3, np.asarray(density.origin_ang, dtype=float)
    shape = np.array(values.shape)
    step = np.asarray(density.lattice_ang) / shape[:, None]
    if density.periodic and centre_ang is not None:
        first = np.rint(np.linalg.solve(step.T, centre_ang - origin) - 0.5 * shape).astype(int)
        values = np.roll(values, -first, axis=(0, 1, 2))
        origin = origin + first @ step
    elif not density.periodic:
        values = np.pad(values, 1)  # closed where the box ends
        origin = origin - step.sum(axis=0)
    return _surface_net(values, value_per_ang3, origin, step)


def _surface_net(values: np.ndarray, level: float, origin: np.ndarray, step: np.ndarray) -> Surface:
    cells = np.array(values.shape) - 1
    inside = values > level
    corners = {
        tuple(c): values[tuple(slice(o, o + n) for o, n in zip(c, cells, strict=True))] for c in _CORNERS.tolist()
    }
    total, crossings = np.zeros((*cells, 3)), np.zeros(cells)
    for one, two in product(_CORNERS, repeat=2):
        if (two - one).sum() != 1 or (two < one).any():
            continue
        a, b = corners[tuple(one)], corners[tuple(two)]
        crossed = (a > level) != (b > level)
        with np.errstate(invalid="ignore", divide="ignore"):
            along = np.where(crossed, (level - a) / (b - a), 0.0)
        total += crossed[..., None] * (one + along[..., None] * (two - one))
        crossings += crossed
    used = crossings > 0
    number = np.full(cells, -1)
    number[used] = np.arange(used.sum())
    points = np.argwhere(used) + total[used] / crossings[used][:, None]
    triangles = np.concatenate([_quads(inside, number, axis) for axis in range(3)])
    if np.linalg.det(step) < 0:
        triangles = triangles[:, ::-1]
    return Surface(origin + points @ step, _normals(values, points, step), triangles)


def _quads(inside: np.ndarray, number: np.ndarray, axis: int) -> np.ndarray:
    """Two triangles for each crossed edge along an axis, where all four cells around it exist."""
    b, c = (axis + 1) % 3, (axis + 2) % 3
    cut = [slice(None)] * 3
    cut[axis] = slice(0, -1)
    low = inside[tuple(cut)]
    cut[axis] = slice(1, None)
    high = inside[tuple(cut)]
    edges = np.argwhere(low != high)
    limit = np.array(number.shape)
    edges = edges[(edges[:, b] > 0) & (edges[:, c] > 0) & (edges[:, b] < limit[b]) & (edges[:, c] < limit[c])]
    falls = low[tuple(edges.T)]

    def cell(db: int, dc: int) -> np.ndarray:
        at = edges.copy()
        at[:, b] -= db
        at[:, c] -= dc
        return number[tuple(at.T)]

    quad = np.stack([cell(1, 1), cell(0, 1), cell(0, 0), cell(1, 0)], axis=1)
    quad[~falls] = quad[~falls][:, ::-1]
    return np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])


def _normals(values: np.ndarray, points: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Against the gradient, which is linear between the points of the grid."""
    from scipy.ndimage import map_coordinates

    if not len(points):
        return np.zeros((0, 3))
    gradient = np.stack([map_coordinates(g, points.T, order=1, mode="nearest") for g in np.gradient(values)], axis=1)
    normals = -gradient @ np.linalg.inv(step).T
    return normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-30)[:, None]
