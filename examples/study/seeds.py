"""Starting geometries: what a vacancy did to its surroundings in a small cell, carried over to a larger one."""

from __future__ import annotations

import numpy as np

from midgap.structures.errors import InputError
from midgap.structures.model import Model

LARGEST_ANG = 0.8
"""No atom starts further from where the crystal has it: in a small cell it may have gone where an image made room."""

SAME_PLACE_ANG = 0.2
"""Atoms of the unrelaxed cells this close to each other are the same atom of the crystal."""


def transplant(target: Model, unrelaxed: Model, relaxed: Model) -> Model:
    """Move the atoms around the vacancy of ``target`` as they moved in a smaller cell.

    An atom moves only if the small cell has it at the same vector from the atom beside the vacancy, and no image of
    that atom nearer: beyond, the small cell speaks of its own images. The atom beside the vacancy and not the vacancy,
    because what it binds to on the other side moves furthest.

    Parameters
    ----------
    target
        A vacancy in the larger cell, unrelaxed.
    unrelaxed, relaxed
        The same vacancy in the smaller cell, atoms in one order.

    Raises
    ------
    InputError
        One of the models has no vacancy, or the atoms of the small cell are in two orders.
    """
    if target.vacancy is None or unrelaxed.vacancy is None:
        raise InputError("Displacements are carried from one vacancy to another: a model without one was given.")
    if unrelaxed.species != relaxed.species:
        raise InputError(f"{unrelaxed.name} and {relaxed.name} do not list the same atoms in one order.")
    here = _nearest_images(target)
    small = _nearest_images(unrelaxed)
    moved = _wrapped(unrelaxed, relaxed.positions_ang - unrelaxed.positions_ang)
    positions = target.positions_ang.copy()
    for i, (symbol, vectors) in enumerate(zip(target.species, here, strict=True)):
        shares = [
            moved[j]
            for j, other in enumerate(unrelaxed.species)
            if other == symbol and np.linalg.norm(small[j] - vectors[0], axis=1).min() < SAME_PLACE_ANG
        ]
        if len(vectors) == 1 and shares:
            positions[i] += shares[0] * min(1.0, LARGEST_ANG / np.linalg.norm(shares[0]).clip(1e-9))
    return target.at(positions, start=f"displacements of {relaxed.name} near the vacancy")


def _wrapped(model: Model, vectors: np.ndarray) -> np.ndarray:
    matrix = model.structure.lattice.matrix  # type: ignore[union-attr]
    fractions = vectors @ np.linalg.inv(matrix)
    return (fractions - np.round(fractions)) @ matrix


def _nearest_images(model: Model) -> list[np.ndarray]:
    """For each atom the vectors in Å to it, and to equally near images of it, from the atom beside the vacancy."""
    matrix = model.structure.lattice.matrix  # type: ignore[union-attr]
    assert model.vacancy is not None
    cells = np.array(np.meshgrid(*[range(-2, 3)] * 3, indexing="ij")).reshape(3, -1).T @ matrix
    away = _shortest(_wrapped(model, model.positions_ang - np.asarray(model.vacancy.position_ang)), cells)
    beside = model.positions_ang[int(np.linalg.norm([vectors[0] for vectors in away], axis=1).argmin())]
    return _shortest(_wrapped(model, model.positions_ang - beside), cells)


def _shortest(vectors: np.ndarray, cells: np.ndarray) -> list[np.ndarray]:
    found = []
    for vector in vectors:
        images = vector + cells
        lengths = np.linalg.norm(images, axis=1)
        order = np.argsort(lengths)
        found.append(images[order[lengths[order] < lengths[order[0]] + SAME_PLACE_ANG]])
    return found
