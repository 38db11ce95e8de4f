"""How polarised the light of one emitter is, from the tensor of its dipole and an orientation that nobody chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midgap.experiment.evidence.predictions import Prediction, Uncertainty

POLARISATION = "polarisation_degree"
NO_DIRECTION = "the direction of its dipole is not known"
DIRECTIONS = 2000


def degrees(fractions: Sequence[float]) -> np.ndarray:
    """Degree of linear polarisation (I_max - I_min)/(I_max + I_min) behind a turning polariser, from directions that
    cover the sphere evenly, shape (direction,).

    Light along n has the intensity e·T·e for a polariser e ⟂ n, T being the dipole tensor; its extremes are the
    eigenvalues of T in the plane, whose sum is 1 - n·T·n and whose product is n·adj(T)·n.

    Parameters
    ----------
    fractions
        Eigenvalues of T over its trace.

    Examples
    --------
    >>> [float(degrees(f).mean().round(2)) for f in ((1, 0, 0), (0.5, 0.5, 0), (1 / 3, 1 / 3, 1 / 3))]
    [1.0, 0.57, 0.0]
    """
    a, b, c = fractions
    i = np.arange(DIRECTIONS) + 0.5
    height, turn = 1 - 2 * i / DIRECTIONS, np.pi * (1 + 5**0.5) * i  # a golden spiral
    round_ = np.sqrt(1 - height**2)
    squares = np.stack([round_ * np.cos(turn), round_ * np.sin(turn), height]) ** 2
    total = 1 - np.array([a, b, c]) @ squares
    product = np.array([b * c, a * c, a * b]) @ squares
    return np.asarray(np.sqrt(np.clip(total**2 - 4 * product, 0.0, None)) / total)


def of_other_cells(fractions: Sequence[float], others: Sequence[Sequence[float]], remedy: str) -> Uncertainty:
    """How far the degree is off with the size of the cell, by the same transition's tensors in other cells."""
    source = "size of the cell"
    if not others:
        return Uncertainty(source=source, note="one cell", remedy=remedy)
    apart = max(abs(float(degrees(other).mean() - degrees(fractions).mean())) for other in others)
    return Uncertainty(source=source, value=round(apart, 3), note="difference to another cell")


def polarised(fractions: Sequence[float], basis: str, uncertainties: Sequence[Uncertainty] = ()) -> Prediction:
    """Its mean over the directions a particle may be seen from, and how far those differ."""
    each = degrees(fractions)
    return Prediction(
        observable=POLARISATION,
        value=float(each.mean().round(3)),
        spread=float(each.std().round(3)),
        uncertainties=(
            *uncertainties,
            Uncertainty(
                source="angle of collection", effect="lowers", note="a wide objective sees many directions at once"
            ),
        ),
        basis=basis,
    )
