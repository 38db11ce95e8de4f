"""A model as VASP's POSCAR, and positions back from it."""

from __future__ import annotations

import numpy as np
from pymatgen.core import IStructure, Lattice, Structure

from midgap.structures.model import Model


def order(model: Model) -> np.ndarray:
    """Index in the model of each atom of the POSCAR, where the atoms of an element stand together, shape (n,).

    Elements and their atoms stay in the model's order, so that one potential an element is enough.
    """
    first = {symbol: at for at, symbol in reversed(list(enumerate(model.species)))}
    return np.array(sorted(range(len(model.species)), key=lambda at: (first[model.species[at]], at)), dtype=int)


def poscar_structure(model: Model, vacuum_ang: float) -> Structure:
    """The periodic structure that VASP computes: a crystal as it is, a cluster in the middle of a cubic box.

    Parameters
    ----------
    vacuum_ang
        Vacuum between the images of a cluster, Å.
    """
    lattice, shift = _frame(model, vacuum_ang)
    places = order(model)
    symbols = [model.species[at] for at in places]
    positions = (model.positions_ang + shift)[places]
    return Structure(lattice, symbols, positions, coords_are_cartesian=True)  # type: ignore[arg-type]


def positions_in_model(model: Model, frac: np.ndarray, vacuum_ang: float) -> np.ndarray:
    """Cartesian positions in the model's order and frame, Å, from fractional ones in the POSCAR's, shape (n, 3).

    VASP folds atoms back into the cell; each is put next to where it was.
    """
    lattice, shift = _frame(model, vacuum_ang)
    places = order(model)
    before = lattice.get_fractional_coords(model.positions_ang + shift)
    moved = np.empty_like(before)
    moved[places] = np.asarray(frac, dtype=float)
    moved = before + (moved - before + 0.5) % 1.0 - 0.5
    return np.asarray(lattice.get_cartesian_coords(moved)) - shift


def _frame(model: Model, vacuum_ang: float) -> tuple[Lattice, np.ndarray]:
    if isinstance(model.structure, IStructure):
        return model.structure.lattice, np.zeros(3)
    low, high = model.positions_ang.min(axis=0), model.positions_ang.max(axis=0)
    # Cubic: the corrections for charged boxes are known for cubic ones only.
    edge = float((high - low).max() + vacuum_ang)
    return Lattice.cubic(edge), np.full(3, edge / 2) - (low + high) / 2
