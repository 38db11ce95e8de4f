"""Starting geometries: what a vacancy did to its surroundings in a small cell, carried over to a larger one."""

from __future__ import annotations

import numpy as np

from midgap.structures.errors import InputError
from midgap.structures.model import Model

SAME_PLACE_ANG = 0.2
"""Atoms of the unrelaxed cells this close to each other are the same atom of the crystal."""


def transplant(target: Model, unrelaxed: Model, relaxed: Model) -> Model:
    """Move the atoms around the vacancy of ``target`` as they moved in a smaller cell.

    An atom moves only if the small cell has it at the same vector from the vacancy, without going through a
    periodic image: beyond that the small cell speaks of its own images.

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
            if other == symbol and len(small[j]) == 1 and np.linalg.norm(small[j][0] - vectors[0]) < SAME_PLACE_ANG
        ]
        if len(vectors) == 1 and shares:
            positions[i] += shares[0]
    return target.at(positions, start=f"displacements of {relaxed.name} near the vacancy")


def _wrapped(model: Model, vectors: np.ndarray) -> np.ndarray:
    matrix = model.structure.lattice.matrix  # type: ignore[union-attr]
    fractions = vectors @ np.linalg.inv(matrix)
    return (fractions - np.round(fractions)) @ matrix


def _nearest_images(model: Model) -> list[np.ndarray]:
    """For each atom the vectors in Å from the vacancy to its nearest images: more than one on the cell's border."""
    matrix = model.structure.lattice.matrix  # type: ignore[union-attr]
    assert model.vacancy is not None
    cells = np.array(np.meshgrid(*[range(-2, 3)] * 3, indexing="ij")).reshape(3, -1).T @ matrix
    found = []
    for vector in _wrapped(model, model.positions_ang - np.asarray(model.vacancy.position_ang)):
        images = vector + cells
        lengths = np.linalg.norm(images, axis=1)
        found.append(images[lengths < lengths.min() + SAME_PLACE_ANG])
    return found
