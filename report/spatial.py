"""Models and the densities of their levels for the page, where they can be turned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from pymatgen.core import IStructure

from midgap.defects.densities import StateDensity
from midgap.report.isosurface import isosurface
from midgap.report.palette import ELEMENTS, element_colour
from midgap.report.scene import Scene, bonds
from midgap.report.structure_picture import drawn_radius_ang
from midgap.structures.model import Model

PARTS = (0.3, 0.6, 0.8)
"""Of the orbital, held by the surfaces that can be chosen."""

MIDDLE = 1
"""Of `PARTS`: the surface that is shown first."""
NEAR_ANG = 1.1
MOST_SCENES = 12


def spatial_scenes(models: Sequence[Model], densities: Sequence[StateDensity]) -> list[dict[str, Any]]:
    """What a viewer draws of each model, those with densities first: plain numbers, Å, x right, y up, z to the viewer.

    Vertices of surfaces are whole hundredths of an Å.
    """
    with_density = {density.model for density in densities}
    chosen = sorted(models, key=lambda model: model.name not in with_density)[:MOST_SCENES]
    return [_scene(model, [d for d in densities if d.model == model.name]) for model in chosen]


def first_shown(scenes: Sequence[dict[str, Any]], wanted: Sequence[tuple[str, int | None]]) -> tuple[int, int]:
    """Which scene, and which of its surfaces: that of the first wanted (model, level) that there is."""
    places = {
        (scene["model"], surface["level"]): (s, i)
        for s, scene in enumerate(scenes)
        for i, surface in enumerate(scene["surfaces"])
    }
    found = (places[key] for key in wanted if key in places)
    return next(found, (0, 0 if scenes and scenes[0]["surfaces"] else -1))


def _scene(model: Model, densities: Sequence[StateDensity]) -> dict[str, Any]:
    scene = Scene.of(model)
    surfaces = [_surfaces(density, scene, model) for density in densities]
    symbols, positions = _with_neighbours(scene, model, surfaces)
    vacancy = scene.axis_ang if scene.vacant else None
    return {
        "model": model.name,
        "label": model.label,
        "symbols": symbols,
        "n_atoms": len(model.structure),
        "n_images": max(0, len(symbols) - len(model.structure)),
        "positions_ang": positions.round(3).tolist(),
        "bonds": [list(pair) for pair in bonds(symbols, positions)],
        "vacancy_ang": None if vacancy is None else vacancy.round(3).tolist(),
        "vacancy_radius_ang": round(1.1 * drawn_radius_ang(scene.ligand), 3) if scene.ligand else None,
        "elements": {symbol: _element(symbol) for symbol in sorted(set(symbols))},
        "surfaces": surfaces,
    }


def _with_neighbours(scene: Scene, model: Model, surfaces: Sequence[dict[str, Any]]) -> tuple[list[str], np.ndarray]:
    """The scene's atoms, and periodic images of atoms that a surface lies at: no lobe hangs in the void."""
    symbols, positions = list(scene.symbols), scene.positions_ang
    structure = model.structure
    vertices = [v for surface in surfaces for v in surface["parts"][MIDDLE]["vertices_hundredths_ang"]]
    if not vertices or not isinstance(structure, IStructure):
        return symbols, positions
    from scipy.spatial import cKDTree

    tree = cKDTree(np.array(vertices).reshape(-1, 3) / 100)
    images = np.array(list(product(range(-2, 3), repeat=3))) @ np.array(structure.lattice.matrix)
    for symbol, position in zip(model.species, model.positions_ang, strict=True):
        points = (position - scene.origin_ang + images) @ scene.view.T
        near = points[tree.query(points)[0] < NEAR_ANG]
        new = [p for p in near if np.linalg.norm(positions - p, axis=1).min() > 0.1]
        symbols += [symbol] * len(new)
        positions = np.vstack([positions, *new])
    return symbols, positions


def _element(symbol: str) -> dict[str, Any]:
    light = element_colour(symbol)
    dark = ELEMENTS[symbol].dark if symbol in ELEMENTS else light
    return {"radius_ang": round(drawn_radius_ang(symbol), 3), "light": light, "dark": dark}


def _surfaces(density: StateDensity, scene: Scene, model: Model) -> dict[str, Any]:
    centre = scene.origin_ang if model.vacancy is None else np.asarray(model.vacancy.position_ang, dtype=float)
    return {
        "level": density.level,
        "name": density.name,
        "source": density.source,
        "parts": [_surface(density, part, centre, scene) for part in PARTS],
    }


def _surface(density: StateDensity, part: float, centre: np.ndarray, scene: Scene) -> dict[str, Any]:
    value = density.holding(part)
    surface = isosurface(density, value, centre)
    vertices = (surface.vertices_ang - scene.origin_ang) @ scene.view.T
    return {
        "percent": round(100 * part),
        "per_ang3": float(f"{value:.4g}"),
        "vertices_hundredths_ang": np.rint(100 * vertices).astype(int).ravel().tolist(),
        "triangles": surface.triangles.ravel().tolist(),
    }
