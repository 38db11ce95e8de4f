"""Where a level's electron is in space: |ψ|² on a coarse grid, for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import PositiveFloat, model_validator

from midgap.structures.document import Document, FloatArray, IntArray

FINEST = 4095
"""Steps between nothing and the largest density; a contour that holds nine tenths of an electron is far above one."""

SPACING_ANG = 0.3
LARGEST_GRID = 96


class StateDensity(Document):
    """Where one electron in a state is, on a grid of the whole cell.

    Attributes
    ----------
    model, label
        Of the model that was computed.
    level
        Index in the levels of the model's report, or None for another state.
    name
        For people: ``filled level``.
    source
        What was read, and what the density is of: pseudo orbitals lack what is inside the atoms' cores.
    lattice_ang, origin_ang
        Rows are the vectors of the grid, shape (3, 3), and where its first point is, shape (3,), Å.
    periodic
        Whether the grid goes on beyond its end.
    peak_per_ang3
        The largest density, electrons/Å³, of one electron.
    steps
        The density in units of ``peak_per_ang3`` / `FINEST`, shape (n1, n2, n3).
    """

    model: str
    label: str = ""
    level: int | None = None
    name: str = ""
    source: str = ""
    lattice_ang: FloatArray
    origin_ang: FloatArray
    periodic: bool = True
    peak_per_ang3: PositiveFloat
    steps: IntArray

    @model_validator(mode="after")
    def _grid(self) -> StateDensity:
        if self.steps.ndim != 3 or min(self.steps.shape) < 2 or max(self.steps.shape) > LARGEST_GRID:
            raise ValueError(f"a density needs a grid of 2 to {LARGEST_GRID} points a side, not {self.steps.shape}")
        if self.steps.min() < 0 or self.steps.max() > FINEST:
            raise ValueError(f"the steps of a density are from 0 to {FINEST}")
        if self.lattice_ang.shape != (3, 3) or self.origin_ang.shape != (3,):
            raise ValueError("a grid has three vectors and an origin")
        if not (np.isfinite(self.lattice_ang).all() and np.isfinite(self.origin_ang).all()):
            raise ValueError("a vector of the grid is not finite")
        if abs(np.linalg.det(self.lattice_ang)) < 1e-6:
            raise ValueError("the vectors of the grid span no volume")
        return self

    @classmethod
    def of(cls, density: Any, lattice_ang: Any, origin_ang: Any = (0.0, 0.0, 0.0), **named: Any) -> StateDensity:
        """From a fine grid in any unit: brought to one electron and to points at most `SPACING_ANG` apart.

        Parameters
        ----------
        density
            Shape (n1, n2, n3), not negative; its points lie at i/n along each vector.
        """
        fine = np.clip(np.asarray(density, dtype=float), 0.0, None)
        lattice = np.asarray(lattice_ang, dtype=float)
        wanted = np.ceil(np.linalg.norm(lattice, axis=1) / SPACING_ANG).astype(int)
        values = coarser(fine, [min(n, w, LARGEST_GRID) for n, w in zip(fine.shape, wanted.tolist(), strict=True)])
        values *= values.size / abs(np.linalg.det(lattice)) / values.sum()
        peak = float(values.max())
        steps = np.rint(values / peak * FINEST).astype(int)
        return cls(
            lattice_ang=lattice.round(5),
            origin_ang=origin_ang,
            peak_per_ang3=float(f"{peak:.5g}"),
            steps=steps,
            **named,
        )

    @property
    def per_ang3(self) -> np.ndarray:
        """Electrons/Å³, shape (n1, n2, n3)."""
        return np.asarray(self.steps) * (self.peak_per_ang3 / FINEST)

    def holding(self, part: float) -> float:
        """The density, electrons/Å³, whose contour encloses a part of the electron.

        The isovalue as such says nothing to a reader, and differs with the size of the cell.
        """
        if not 0 < part < 1:
            raise ValueError(f"a contour holds a part between 0 and 1, not {part}")
        falling = np.sort(self.per_ang3, axis=None)[::-1]
        return float(falling[np.searchsorted(np.cumsum(falling), part * falling.sum())])


def coarser(values: np.ndarray, shape: Any) -> np.ndarray:
    """A periodic grid averaged onto fewer points: the mean stays, and nothing becomes negative.

    Each point stands for the interval half way to its neighbours, and gives to the new points by the overlap
    of the intervals.
    """
    for axis, n in enumerate(shape):
        values = np.moveaxis(np.tensordot(_overlaps(values.shape[axis], n), values, (1, axis)), 0, axis)
    return values


def _overlaps(old: int, new: int) -> np.ndarray:
    """Shares of the new points in the old ones, shape (new, old); rows sum to one."""
    centres = np.arange(new)[:, None] / new
    points = np.arange(-old, 2 * old)[None, :] / old  # the grid is periodic
    low = np.maximum(centres - 0.5 / new, points - 0.5 / old)
    high = np.minimum(centres + 0.5 / new, points + 0.5 / old)
    return np.clip(high - low, 0.0, None).reshape(new, 3, old).sum(axis=1) * new
