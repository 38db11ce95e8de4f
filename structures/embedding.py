"""The crystal around a cluster, as formal point charges, and the potential they make.

A finite block of a crystal gives the wrong potential however large it is, because its surface cells
carry multipoles. Weights that fall off towards the surface remove them: each lattice direction gets
the window of `window`, a box convolved with ``ramps`` unit boxes. The block is then a sum of copies
of one neutral charge pattern whose multipoles vanish up to order ``ramps``, since B-splines of order
``ramps`` + 1 have moments that do not depend on where the lattice sits (Strang and Fix). Without
ramps it is Evjen's method (Phys. Rev. 39, 675 (1932), doi 10.1103/PhysRev.39.675), which leaves a
dipole or a quadrupole behind; two ramps leave neither. The idea of charge patterns without multipoles
is that of Gellé and Lepetit, J. Chem. Phys. 128, 244716 (2008), doi 10.1063/1.2931458.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, factorial

import numpy as np
from pymatgen.core import IStructure

from midgap.structures.errors import InputError
from midgap.structures.model import PointCharges
from midgap.structures.units import COULOMB_EV_ANG


@dataclass(frozen=True)
class Embedding:
    """How far the point charges reach.

    Attributes
    ----------
    cells
        The block spans so many cells along each lattice vector.
    ramps
        Cells over which the weights fall from 1 to 0; 0 is Evjen's method.
    """

    cells: int = 7
    ramps: int = 2

    def __post_init__(self) -> None:
        if self.ramps < 0 or self.cells <= 2 * self.ramps:
            raise InputError(
                f"{self.cells} cells with {self.ramps} ramps leave no room for a cluster; "
                f"use more than {max(2 * self.ramps, 0)} cells."
            )

    def __str__(self) -> str:
        return f"{self.cells}×{self.cells}×{self.cells} cells, {self.ramps} ramps"


def window(u: np.ndarray, cells: int, ramps: int) -> np.ndarray:
    """Weight of a site at ``u`` cells from the centre, in a block that ends ``cells``/2 from it.

    Summed over all lattice translations it is ``cells`` - ``ramps`` for every ``u``, so that a block
    of neutral cells is neutral. It is 1 where ``|u| < cells/2 - ramps``.

    Examples
    --------
    >>> window(np.array([0.0, 3.5, 4.0]), cells=7, ramps=0)  # Evjen: half of an ion on the face
    array([1. , 0.5, 0. ])
    """
    half = (cells - ramps) / 2
    return _integrated_spline(u + half, ramps) - _integrated_spline(u - half, ramps)


def _integrated_spline(t: np.ndarray, ramps: int) -> np.ndarray:
    """Integral up to ``t`` of ``ramps`` unit boxes convolved: the Irwin-Hall distribution, centred."""
    t = np.clip(np.round(t, 9), -ramps / 2 - 1, ramps / 2 + 1)  # an ion on a face is on it, whatever the last bit says
    if ramps == 0:
        return np.heaviside(t, 0.5)
    terms = [
        (-1) ** k * comb(ramps, k) * np.maximum(t + ramps / 2 - k, 0.0) ** ramps / factorial(ramps)
        for k in range(ramps + 1)
    ]
    return np.clip(np.sum(terms, axis=0), 0.0, 1.0)


def surroundings(
    crystal: IStructure,
    charges_e: Mapping[str, float],
    inside_ang: np.ndarray,
    embedding: Embedding = Embedding(),
) -> PointCharges:
    """All ions of a block of the crystal but those at ``inside_ang``.

    Parameters
    ----------
    crystal
        Its lattice vectors span the block.
    charges_e
        Formal charge of each element.
    inside_ang
        Where the cluster's atoms are, Cartesian in the frame of ``crystal``, shape (n, 3), Å; the
        first is the centre of the block and the origin of the result.

    Raises
    ------
    InputError
        The crystal is not neutral, or the block too small to hold the cluster at full weight.
    """
    q = _site_charges(crystal, charges_e)
    cells, ramps = embedding.cells, embedding.ramps
    origin = np.asarray(inside_ang, dtype=float)[0]
    reach = np.abs(crystal.lattice.get_fractional_coords(inside_ang - origin)).max()
    if reach > cells / 2 - ramps + 1e-6:
        raise InputError(
            f"The cluster reaches {reach:.2f} cells from its centre, but only {cells / 2 - ramps:.1f} carry whole "
            f"charges in {cells}×{cells}×{cells} cells; use cells={2 * int(np.ceil(reach + ramps)) + 1} or more."
        )
    offsets = crystal.frac_coords - crystal.lattice.get_fractional_coords(origin)
    offsets -= np.round(offsets)
    steps = np.arange(-(cells // 2) - 1, cells // 2 + 2)
    images = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    frac = (offsets[:, None] + images).reshape(-1, 3)
    charge = np.repeat(q, len(images)) * window(frac, cells, ramps).prod(axis=1)
    kept = charge != 0
    positions, charge = crystal.lattice.get_cartesian_coords(frac[kept]), charge[kept]
    outside = np.ones(len(positions), dtype=bool)
    for atom in np.asarray(inside_ang) - origin:
        distance = np.linalg.norm(positions - atom, axis=1)
        outside[np.argmin(distance)] &= distance.min() > 1e-3
    if outside.sum() != len(positions) - len(inside_ang):
        raise InputError("An atom of the cluster is not an atom of the crystal that surrounds it.")
    return PointCharges(positions_ang=positions[outside], charges_e=charge[outside])


def potential_V(charges: PointCharges, points_ang: np.ndarray) -> np.ndarray:
    """Electrostatic potential of point charges, shape (n,), V; a charge at the point itself is left out."""
    points = np.atleast_2d(points_ang)
    distance = np.linalg.norm(points[:, None] - charges.positions_ang, axis=-1)
    with np.errstate(divide="ignore"):
        return COULOMB_EV_ANG * np.where(distance > 1e-6, charges.charges_e / distance, 0.0).sum(axis=1)


def madelung_potentials_V(crystal: IStructure, charges_e: Mapping[str, float]) -> np.ndarray:
    """Potential at each site of the infinite crystal from all other ions, by Ewald's sum, shape (n,), V.

    The mean over the cell is the zero.

    Raises
    ------
    InputError
        The crystal is not neutral.

    Examples
    --------
    >>> from pymatgen.core import Lattice
    >>> salt = IStructure.from_spacegroup("Fm-3m", Lattice.cubic(2.0), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> print(round(madelung_potentials_V(salt, {"Na": 1, "Cl": -1})[0] / COULOMB_EV_ANG, 6))
    -1.747565
    """
    from scipy.special import erfc

    q = _site_charges(crystal, charges_e)
    volume = crystal.volume
    # a width at which both sums need about as many terms; each is cut where exp(-x²) is 1e-12
    alpha, x = np.sqrt(np.pi) * (len(q) / volume**2) ** (1 / 6), 5.3
    i, j, _, distance = crystal.get_neighbor_list(x / alpha)
    real = np.bincount(i, q[j] * erfc(alpha * distance) / distance, minlength=len(q))
    reciprocal = crystal.lattice.reciprocal_lattice
    most = np.ceil(2 * alpha * x / (2 * np.pi) * np.array(crystal.lattice.abc)).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    square = (reciprocal.get_cartesian_coords(hkl) ** 2).sum(axis=1)
    hkl, square = hkl[square > 1e-12], square[square > 1e-12]
    phase = np.exp(2j * np.pi * hkl @ crystal.frac_coords.T)
    damped = 4 * np.pi / volume * np.exp(-square / (4 * alpha**2)) / square
    far = ((damped * (phase.conj() @ q)) @ phase).real
    return COULOMB_EV_ANG * (real + far - 2 * alpha / np.sqrt(np.pi) * q)


def _site_charges(crystal: IStructure, charges_e: Mapping[str, float]) -> np.ndarray:
    symbols: Sequence[str] = [site.specie.symbol for site in crystal]
    unknown = sorted(set(symbols) - charges_e.keys())
    if unknown:
        raise InputError(f"No formal charge is given for {', '.join(unknown)}.")
    q = np.array([charges_e[symbol] for symbol in symbols], dtype=float)
    if abs(q.sum()) > 1e-8 * len(q):
        given = ", ".join(f"{symbol} {charges_e[symbol]:+g}" for symbol in dict.fromkeys(symbols))
        raise InputError(f"The formal charges ({given}) leave {q.sum():+g} e in the cell; give charges that balance.")
    return q
