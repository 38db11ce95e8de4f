"""How polarised the light of one emitter is, from the tensor of its dipole and an orientation that nobody chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midgap.experiment.evidence.predictions import Prediction, Uncertainty

POLARISATION = "polarisation_degree"
NO_DIRECTION = "the direction of its dipole is not known"
DIRECTIONS = 2000
BETWEEN = 9
"""So many values stand for all between two cells."""


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


def polarised(
    fractions: Sequence[float],
    basis: str,
    uncertainties: Sequence[Uncertainty] = (),
    others: Sequence[Sequence[float]] = (),
) -> Prediction:
    """Its mean over the directions a particle may be seen from, and how far those differ.

    Parameters
    ----------
    others
        The same transition's in other cells: anything between them is as likely.
    """
    each = degrees(fractions)
    means = [float(one.mean().round(3)) for one in (each, *map(degrees, others))]
    return Prediction(
        observable=POLARISATION,
        value=means[0],
        alternatives=np.linspace(min(means), max(means), BETWEEN) if others else None,
        spread=float(each.std().round(3)),
        uncertainties=(
            *uncertainties,
            Uncertainty(
                source="angle of collection", effect="lowers", note="a wide objective sees many directions at once"
            ),
        ),
        basis=basis,
    )
