"""Where the unpaired electrons of a model start."""

from __future__ import annotations

import numpy as np
from pymatgen.core import IStructure

from midgap.structures.model import Model


def initial_moments(model: Model) -> dict[int, float]:
    """Where the unpaired electrons start: on the atoms nearest to the vacancy, in μB, by atom.

    Without a vacancy there is no telling: none, and the engine spreads them.
    """
    if not model.unpaired_electrons or model.vacancy is None:
        return {}
    if isinstance(model.structure, IStructure):
        lattice = model.structure.lattice
        where = lattice.get_fractional_coords(model.vacancy.position_ang)
        distances = lattice.get_all_distances(where, model.structure.frac_coords)[0]
    else:
        distances = np.linalg.norm(model.positions_ang - model.vacancy.position_ang, axis=1)
    nearest = np.flatnonzero(distances < 1.1 * distances.min())
    return {int(atom): model.unpaired_electrons / len(nearest) for atom in nearest}
