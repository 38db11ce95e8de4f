"""Which atoms a picture of a model shows, and from where it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import isnan

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from pymatgen.core import Element, IStructure

from midgap.structures.model import Model

BOND = 1.25
"""A centre and a ligand are bonded within this many times the sum of their covalent radii (Cordero 2008, as in ASE)."""
AZIMUTH_DEG, ELEVATION_DEG = 24.0, 13.0
SAME_ANG = 0.6
"""Periodic images whose distances differ by less are equally good: the one that hides least is shown."""


@dataclass(frozen=True)
class Scene:
    """Whole coordination polyhedra and the atoms between them, as the viewer sees them.

    Attributes
    ----------
    positions_ang
        Right, up, and towards the viewer, shape (n, 3), Å, from the polyhedron in question.
    bonds
        Pairs (centre, ligand) of atom indices.
    heart
        Index of the atom in the middle.
    ligand
        The element at the corners, or an empty name.
    axis_ang
        From the middle to the vacancy, or to what was to be up, shape (3,), or None.
    vacant
        Whether an atom is missing there.
    origin_ang, view
        Where the middle is in the model's frame, shape (3,), and rows right, up and towards the viewer in it.
    """

    symbols: tuple[str, ...]
    positions_ang: np.ndarray
    bonds: tuple[tuple[int, int], ...]
    heart: int
    ligand: str
    axis_ang: np.ndarray | None
    vacant: bool
    origin_ang: np.ndarray
    view: np.ndarray

    @classmethod
    def of(cls, model: Model, towards_ang: np.ndarray | None = None) -> Scene:
        """One cell of a crystal round the polyhedron beside the vacancy, or a cluster as it is.

        Up is from the centre to the vacancy; without one to ``towards_ang``, e.g. where a sister model
        has it, or along a bond.
        """
        symbols, positions = model.species, model.positions_ang
        structure = model.structure
        cell = np.array(structure.lattice.matrix) if isinstance(structure, IStructure) else None
        images = np.zeros((1, 3)) if cell is None else np.array(list(product(range(-2, 3), repeat=3))) @ cell
        ligand, centres = ligand_element(symbols), centre_elements(symbols)
        is_centre = np.array([symbol in centres for symbol in symbols])
        vacancy = None if model.vacancy is None else np.asarray(model.vacancy.position_ang, dtype=float)
        towards = vacancy if vacancy is not None else towards_ang

        target = positions.mean(axis=0) if towards is None else towards
        everywhere = positions[is_centre][:, None] + images
        distances = np.linalg.norm(everywhere - target, axis=2)
        origin = everywhere[np.unravel_index(np.argmin(distances.round(4)), distances.shape)]
        axis = None if towards is None else towards - origin
        heart_symbol = symbols[int(np.flatnonzero(is_centre)[np.argmin(distances.min(axis=1).round(4))])]
        limit = bond_limit_ang(heart_symbol, ligand)
        ligands = (positions[[s == ligand for s in symbols]][:, None] + images - origin).reshape(-1, 3)
        view = _view([arm for arm in ligands if 0 < np.linalg.norm(arm) <= limit], axis)

        shown: list[tuple[str, np.ndarray]] = []
        for symbol, position in zip(symbols, positions, strict=True):
            if symbol != ligand or cell is None:
                shown.append((symbol, _least_hidden((position - origin + images) @ view.T)))
        if cell is not None:
            shown += _ligands(
                [s for s in shown if s[0] in centres],
                positions[[s == ligand for s in symbols]],
                (images, origin, view),
                ligand,
            )
        names = tuple(symbol for symbol, _ in shown)
        points = np.array([point for _, point in shown])
        heart = int(np.argmin(np.linalg.norm(points, axis=1)))
        up = None if axis is None else view @ axis
        return cls(names, points, bonds(names, points), heart, ligand, up, vacancy is not None, origin, view)


def bonds(symbols: Sequence[str], positions_ang: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Pairs (centre, ligand) of atoms that are close enough."""
    ligand, centres = ligand_element(symbols), centre_elements(symbols)
    return tuple(
        (i, j)
        for i, j in product(range(len(symbols)), repeat=2)
        if symbols[i] in centres
        and symbols[j] == ligand
        and np.linalg.norm(positions_ang[i] - positions_ang[j]) <= bond_limit_ang(symbols[i], ligand)
    )


def ligand_element(symbols: Sequence[str]) -> str:
    """The most electronegative element; of a single element none, an empty name."""
    if len(set(symbols)) == 1:
        return ""
    return max(sorted(set(symbols)), key=lambda symbol: 0.0 if isnan(Element(symbol).X) else Element(symbol).X)


def centre_elements(symbols: Sequence[str]) -> set[str]:
    """What sits in the polyhedra: cations that are no alkali or alkaline-earth metal; if none, any cation."""
    cations = set(symbols) - {ligand_element(symbols)}
    return {s for s in cations if not (Element(s).is_alkali or Element(s).is_alkaline)} or cations


def radius_ang(symbol: str) -> float:
    """Covalent radius (Cordero 2008)."""
    return float(covalent_radii[atomic_numbers[symbol]])


def bond_limit_ang(centre: str, ligand: str) -> float:
    """The longest distance that counts as a bond; 0 where there is no ligand."""
    if not ligand:
        return 0.0
    return BOND * (radius_ang(centre) + radius_ang(ligand))


def _view(arms: Sequence[np.ndarray], axis: np.ndarray | None) -> np.ndarray:
    """Rows: right, up, towards the viewer."""
    arms = [arm / np.linalg.norm(arm) for arm in arms]
    if axis is not None and np.linalg.norm(axis) > 0.5:
        up = axis / np.linalg.norm(axis)
    elif arms:
        up = max(arms, key=lambda arm: tuple(arm[::-1].round(2)))
    else:
        up = np.array([0.0, 0.0, 1.0])
    across = [arm for arm in arms if abs(arm @ up) < 0.5] or [np.eye(3)[np.argmin(np.abs(up))]]
    front = max(across, key=lambda arm: tuple(arm.round(2)))
    front = front - (front @ up) * up
    front /= np.linalg.norm(front)
    azimuth, elevation = np.radians([AZIMUTH_DEG, ELEVATION_DEG])
    front = np.cos(azimuth) * front + np.sin(azimuth) * np.cross(up, front)
    right = np.cross(up, front)
    towards = np.cos(elevation) * front + np.sin(elevation) * up
    return np.array([right, np.cross(towards, right), towards])


def _least_hidden(images: np.ndarray) -> np.ndarray:
    """The nearest image; of nearly equal ones that farthest from the middle of the picture, then the rightmost."""
    distances = np.linalg.norm(images, axis=1)
    best = images[distances < distances.min() + SAME_ANG]
    return max(best, key=lambda point: (round(float(np.hypot(*point[:2])) / SAME_ANG), round(float(point[0]), 1)))


def _ligands(
    centres: Sequence[tuple[str, np.ndarray]],
    positions: np.ndarray,
    frame: tuple[np.ndarray, np.ndarray, np.ndarray],
    ligand: str,
) -> list[tuple[str, np.ndarray]]:
    """Every ligand bonded to a shown centre; one that is bonded nowhere stays with the centre nearest to it."""
    images, origin, view = frame
    found = []
    limits = np.array([bond_limit_ang(symbol, ligand) for symbol, _ in centres])
    for position in positions:
        points = (position - origin + images) @ view.T
        distances = np.array([np.linalg.norm(points - centre, axis=1) for _, centre in centres])
        bonded = np.flatnonzero((distances <= limits[:, None]).any(axis=0))
        chosen = bonded if len(bonded) else [np.unravel_index(np.argmin(distances), distances.shape)[1]]
        found += [(ligand, points[i]) for i in chosen]
    return found
