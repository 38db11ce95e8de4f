"""Who surrounds an atom of a crystal: ions of the infinite lattice, and where a ligand shell ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pymatgen.core import IStructure

from midgap.structures.crystals import oxidation_states
from midgap.structures.errors import InputError

SMALLEST_GAP = 1.08
"""A ligand shell ends where the next distance is at least this many times the last."""


@dataclass(frozen=True, eq=False)
class Ion:
    """One atom of the infinite crystal: which of the cell's, and where (Cartesian, Å)."""

    symbol: str
    index: int
    position_ang: np.ndarray

    def distance_ang(self, point: np.ndarray) -> float:
        return float(np.linalg.norm(self.position_ang - point))


def neighbours(crystal: IStructure, point: np.ndarray, reach_ang: float, symbols: tuple[str, ...]) -> list[Ion]:
    """Ions of the given elements within reach of a point but not at it; nearest first, ties by direction."""
    found = [
        Ion(n.specie.symbol, n.index, n.coords)
        for n in crystal.get_sites_in_sphere(point, reach_ang)
        if n.specie.symbol in symbols and n.nn_distance > 1e-3
    ]
    return sorted(
        found,
        key=lambda ion: (round(ion.distance_ang(point), 3), *(-np.round(ion.position_ang - point, 3)[::-1])),
    )


def ligand_shell(crystal: IStructure, center: int, ligand: str, cutoff_ang: float | None = None) -> list[Ion]:
    """The ligands around site ``center``, nearest first.

    The shell ends at the largest relative gap between successive distances, among those up to 1.8
    times the shortest; ``cutoff_ang`` ends it instead where it is given.

    Raises
    ------
    InputError
        No ligand within 8 Å or the cutoff, or no gap of 8 %: the shell has no end.
    """
    reach = 8.0 if cutoff_ang is None else cutoff_ang
    shell = neighbours(crystal, crystal[center].coords, reach, (ligand,))
    where = f"{crystal[center].specie.symbol} (atom {center + 1})"
    if not shell:
        raise InputError(f"No {ligand} lies within {reach:g} Å of {where}; choose another centre or ligand.")
    if cutoff_ang is not None:
        return shell
    distances = np.array([ion.distance_ang(crystal[center].coords) for ion in shell] + [reach])
    ratios = np.where(distances[:-1] <= 1.8 * distances[0], distances[1:] / distances[:-1], 0.0)
    last = int(np.argmax(ratios))
    if ratios[last] < SMALLEST_GAP:
        raise InputError(
            f"The distances from {where} to {ligand} rise without a gap "
            f"({', '.join(f'{d:.2f}' for d in distances[:8])} Å…); say where the shell ends with cutoff_ang."
        )
    return shell[: last + 1]


def central_cation(crystal: IStructure, ligand: str) -> str:
    """The counter-ion of the highest formal charge; of equals the one nearest to a ligand.

    Raises
    ------
    InputError
        The ligand is not in the crystal, or nothing of the opposite charge is.
    """
    charges = oxidation_states(crystal)
    if ligand not in charges:
        raise InputError(f"There is no {ligand} in {crystal.composition.reduced_formula} to be a ligand.")
    distances: dict[str, float] = {}
    for site in crystal:
        symbol = site.specie.symbol
        if charges[symbol] * charges[ligand] < 0:
            near = [n.nn_distance for n in crystal.get_neighbors(site, 8.0) if n.specie.symbol == ligand]
            distances[symbol] = min([*near, distances.get(symbol, np.inf)])
    if not distances:
        raise InputError(f"{crystal.composition.reduced_formula} has no ion of the opposite charge to {ligand}.")
    return min(distances, key=lambda symbol: (-abs(charges[symbol]), distances[symbol]))
