"""Supercells: given by a matrix, or the most isotropic one up to a number of atoms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pymatgen.core import IStructure, Lattice

from midgap.structures.errors import InputError

Matrix = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


LARGEST_CELL = 10_000
"""Atoms: the number of superlattices to compare grows with its square."""


def supercell(cell: IStructure, matrix: Sequence[Sequence[int]] | np.ndarray) -> IStructure:
    """Repeat ``cell`` to the lattice ``matrix @ cell.lattice``.

    Parameters
    ----------
    matrix
        Integers, shape (3, 3), not singular; rows are the new vectors in terms of the old ones.

    Returns
    -------
    IStructure
        |det(matrix)| times the atoms, elements in blocks in the order of ``cell``.

    Raises
    ------
    InputError
        The matrix is singular or not of integers.
    """
    rows = np.asarray(matrix, dtype=float)
    if rows.shape != (3, 3) or not np.allclose(rows, np.rint(rows)) or abs(np.linalg.det(rows)) < 0.5:
        raise InputError(
            f"A supercell matrix is three rows of three integers with a non-zero determinant, not {rows.tolist()}."
        )
    rows = np.rint(rows)
    count = round(abs(np.linalg.det(rows)))
    shifts = _lattice_points(rows, count)
    inverse = np.linalg.inv(rows)
    species, positions = [], []
    for site in cell:
        species += [site.specie.symbol] * count
        positions.append((site.frac_coords + shifts) @ inverse)
    frac = np.concatenate(positions)
    block = {symbol: i for i, symbol in enumerate(dict.fromkeys(species))}
    order = np.argsort([block[symbol] for symbol in species], kind="stable")
    wrapped = frac[order] % 1.0
    wrapped[np.isclose(wrapped, 1.0, atol=1e-9)] = 0.0
    return IStructure(Lattice(rows @ cell.lattice.matrix), [species[i] for i in order], wrapped)  # type: ignore[arg-type]


def _lattice_points(rows: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` integer vectors inside one period of the lattice of ``rows``."""
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T @ rows
    low, high = corners.min(axis=0), corners.max(axis=0)
    grid = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)], indexing="ij"), axis=-1)
    points = grid.reshape(-1, 3)
    inside = points @ np.linalg.inv(rows)
    keep = ((inside > -1e-9) & (inside < 1 - 1e-9)).all(axis=1)
    assert keep.sum() == count
    return points[keep]


def image_distance_ang(lattice: np.ndarray) -> float:
    """The shortest vector of a lattice (rows, shape (3, 3), Å): how far a defect is from its images."""
    reduced = Lattice(lattice).get_lll_reduced_lattice().matrix
    n = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    lengths = np.linalg.norm(n @ reduced, axis=1)
    return float(lengths[lengths > 1e-9].min())


def most_isotropic(cell: IStructure, max_atoms: int) -> Matrix:
    """The supercell matrix with the largest distance between a defect and its images.

    All distinct superlattices up to ``max_atoms`` are compared (the Hermite normal forms; Hart and
    Forcade, Phys. Rev. B 77, 224115 (2008)); among equal distances (to 0.01 Å) the smallest cell wins.

    Raises
    ------
    InputError
        Not even one cell fits.

    Examples
    --------
    Of four simple cubic cells the body-centred arrangement keeps images apart by √3 lattice constants.

    >>> from pymatgen.core import IStructure, Lattice
    >>> cubic = IStructure(Lattice.cubic(1.0), ["Cs", "Br"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> round(image_distance_ang(np.array(most_isotropic(cubic, 8))) ** 2, 9)
    3.0
    """
    if max_atoms < len(cell):
        raise InputError(
            f"A supercell of at most {max_atoms} atoms does not hold the primitive cell of {len(cell)} atoms."
        )
    if max_atoms > LARGEST_CELL:
        raise InputError(
            f"A supercell of {max_atoms} atoms is beyond what midgap searches; give at most {LARGEST_CELL}."
        )
    best_distance, best = 0.0, np.eye(3, dtype=int)
    for count in range(1, max_atoms // len(cell) + 1):
        # No lattice of this volume can be sparser than the close-packed one.
        if (np.sqrt(2) * count * cell.lattice.volume) ** (1 / 3) < best_distance + 0.01:
            continue
        for form in _sparse_enough(count, cell.lattice.matrix, best_distance + 0.01):
            distance = image_distance_ang(form @ cell.lattice.matrix)
            if distance > best_distance + 0.01:
                best_distance, best = distance, form
    return compact(cell, best)


_COMBINATIONS = np.array([n for n in np.ndindex(3, 3, 3) if n > (1, 1, 1)]) - 1
"""Of three vectors with -1, 0 and 1, one of each pair of opposites."""


def _sparse_enough(count: int, lattice: np.ndarray, shortest_ang: float) -> Iterator[np.ndarray]:
    """The Hermite normal forms whose superlattices have no short vector that is easy to see.

    Thousands at once: most are ruled out so, and need not be reduced to find their shortest vector.
    """
    for forms in _hermite_normal_forms(count):
        if forms[0, 2, 2] * np.linalg.norm(lattice[2]) <= shortest_ang:
            continue  # the last row alone is too short, whatever stands above it
        for start in range(0, len(forms), 20_000):
            batch = forms[start : start + 20_000]
            vectors = np.einsum("ni,fij->fnj", _COMBINATIONS, batch @ lattice)
            yield from batch[(vectors**2).sum(axis=2).min(axis=1) > shortest_ang**2]


def compact(cell: IStructure, matrix: np.ndarray) -> Matrix:
    """The same superlattice by its shortest vectors (LLL), right-handed."""
    reduced = Lattice(np.asarray(matrix) @ cell.lattice.matrix).get_lll_reduced_lattice().matrix
    rows = reduced @ np.linalg.inv(cell.lattice.matrix)
    return as_matrix(-rows if np.linalg.det(rows) < 0 else rows)


def as_matrix(rows: np.ndarray) -> Matrix:
    """Nearly integer rows, shape (3, 3), as a matrix of integers."""
    return tuple(tuple(int(x) for x in row) for row in np.rint(rows))  # type: ignore[return-value]


def _hermite_normal_forms(count: int) -> Iterator[np.ndarray]:
    """All of determinant ``count``, those of one diagonal together, shape (form, 3, 3)."""
    for a in (d for d in range(1, count + 1) if count % d == 0):
        for b in (d for d in range(1, count // a + 1) if (count // a) % d == 0):
            c = count // (a * b)
            x, y, z = (part.ravel() for part in np.meshgrid(range(b), range(c), range(c), indexing="ij"))
            forms = np.zeros((len(x), 3, 3), dtype=int)
            forms[:, 0, 0], forms[:, 1, 1], forms[:, 2, 2] = a, b, c
            forms[:, 0, 1], forms[:, 0, 2], forms[:, 1, 2] = x, y, z
            yield forms
