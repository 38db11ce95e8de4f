"""A point charge, its periodic images and a neutralising background in an anisotropic dielectric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.constants import pi
from scipy.special import erfc

from midgap.structures.errors import InputError
from midgap.structures.units import COULOMB_EV_ANG

ACCURACY = 7.0
"""Terms smaller than exp(-ACCURACY²), about 5e-22, are left out of both sums."""

ON_THE_CHARGE_ANG = 1e-8


def dielectric_tensor(value: float | Sequence[float] | Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """A static or high-frequency dielectric constant as a tensor, shape (3, 3), from one, three or nine numbers.

    Raises
    ------
    InputError
        It is not symmetric, or has an eigenvalue below 1, which no insulator at rest has.
    """
    given = np.asarray(value, dtype=float)
    if given.shape == ():
        tensor = float(given) * np.eye(3)
    elif given.shape == (3,):
        tensor = np.diag(given)
    elif given.shape == (3, 3):
        tensor = given
    else:
        raise InputError(f"A dielectric tensor is one number, three or three rows of three, not {given.tolist()}.")
    if not np.isfinite(tensor).all() or not np.allclose(tensor, tensor.T, atol=1e-3 * np.abs(tensor).max()):
        raise InputError(f"The dielectric tensor {tensor.tolist()} is not symmetric.")
    tensor = (tensor + tensor.T) / 2
    if np.linalg.eigvalsh(tensor).min() < 1.0 - 1e-9:
        raise InputError(
            f"The dielectric tensor {tensor.tolist()} has an eigenvalue below 1; give it relative to the vacuum, with "
            "the electronic part included."
        )
    return tensor


def periodic_potential_V(lattice: np.ndarray, dielectric: np.ndarray, displacements_ang: np.ndarray) -> np.ndarray:
    """Electrostatic potential of a unit charge in each cell, at given distances from it, V.

    Ewald summation with the metric of the dielectric tensor; a uniform background makes each cell neutral
    and the average potential is zero (Rurali and Cartoixà, Nano Lett. 9, 975 (2009), doi 10.1021/nl802847p;
    Kumagai and Oba, Phys. Rev. B 89, 195205 (2014), doi 10.1103/PhysRevB.89.195205, Eq. 8). On the charge
    itself it is the potential of all the others and the background.

    Parameters
    ----------
    lattice
        Rows are the vectors of the cell, shape (3, 3), Å.
    dielectric
        Relative permittivity, shape (3, 3), symmetric.
    displacements_ang
        From the charge, Cartesian, shape (n, 3), Å.

    Returns
    -------
    ndarray
        Shape (n,), V.
    """
    points = np.atleast_2d(np.asarray(displacements_ang, dtype=float))
    volume = abs(float(np.linalg.det(lattice)))
    inverse, determinant = np.linalg.inv(dielectric), float(np.linalg.det(dielectric))
    # Lengths in the metric of ε⁻¹: there the medium is isotropic, and one width suits both sums.
    width = np.sqrt(pi) / (volume / np.sqrt(determinant)) ** (1.0 / 3.0)
    to_metric = np.linalg.cholesky(inverse)
    frac = points @ np.linalg.inv(lattice)
    wrapped = (frac - np.rint(frac)) @ lattice
    real = _lattice_vectors(lattice, lattice @ to_metric, ACCURACY / width, margin=wrapped @ to_metric)
    reciprocal = 2.0 * pi * np.linalg.inv(lattice).T
    to_dual = np.linalg.cholesky(dielectric)
    waves = _lattice_vectors(reciprocal, reciprocal @ to_dual, 2.0 * width * ACCURACY)
    waves = waves[np.linalg.norm(waves, axis=1) > 1e-9]
    squared = np.einsum("gi,ij,gj->g", waves, dielectric, waves)
    amplitude = 4.0 * pi / volume * np.exp(-squared / (4.0 * width**2)) / squared
    potentials = np.empty(len(points))
    for i, point in enumerate(wrapped):
        separation = real + point
        length = np.sqrt(np.einsum("ri,ij,rj->r", separation, inverse, separation))
        own = np.linalg.norm(separation, axis=1) < ON_THE_CHARGE_ANG
        length = length[~own]
        near = (erfc(width * length) / length).sum() / np.sqrt(determinant)
        if own.any():
            near -= 2.0 * width / np.sqrt(pi * determinant)
        potentials[i] = near + (amplitude * np.cos(waves @ point)).sum() - pi / (volume * width**2)
    return COULOMB_EV_ANG * potentials


def image_energy_eV(lattice: np.ndarray, dielectric: np.ndarray, charge: float) -> float:
    """Energy of a charge with its own images and background, eV a cell: negative in compact cells.

    In a cube of side L it is -α q²/(2 ε L) with Madelung's constant α = 2.837297 (Makov and Payne,
    Phys. Rev. B 51, 4014 (1995), doi 10.1103/PhysRevB.51.4014).
    """
    return 0.5 * charge**2 * float(periodic_potential_V(lattice, dielectric, np.zeros((1, 3)))[0])


def _lattice_vectors(
    vectors: np.ndarray, metric: np.ndarray, radius: float, margin: np.ndarray | None = None
) -> np.ndarray:
    """Vectors of a lattice no longer than ``radius`` in a metric, shape (n, 3), with a ``margin`` of points added."""
    reach = radius + (0.0 if margin is None else float(np.linalg.norm(margin, axis=1).max(initial=0.0)))
    # A sphere of radius r reaches |b_i| r/2π cells along i.
    counts = np.ceil(reach * np.linalg.norm(np.linalg.inv(metric), axis=0) + 1e-9).astype(int)
    axes = [np.arange(-n, n + 1) for n in counts]
    integers = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.linalg.norm(integers @ metric, axis=1) <= reach
    return integers[inside] @ vectors
