"""The exciton of a small crystal of a semiconductor, in vacuum, solution or inside another crystal, by effective masses.

Parabolic, isotropic bands; one dielectric constant inside and outside. So below about 4 nm, where bands are no longer
parabolic, energies are too high, and the image charges of a surrounding of smaller dielectric constant are not in.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat
from scipy.constants import e, electron_mass, epsilon_0, hbar, pi
from scipy.optimize import brentq, minimize_scalar

from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

KINETIC_EV_NM2 = float(hbar**2 / (2 * electron_mass) / e * 1e18)
"""ħ²/2m₀."""
COULOMB_EV_NM = float(e / (4 * pi * epsilon_0) * 1e9)
"""e²/4πε₀."""
SHAPES = {"sphere": 0.5, "cube": 1.0 / math.sqrt(3.0)}
"""Radius of the sphere of the same confinement energy, over the diameter or the edge: 3π²/L² = π²/R²."""


class Confinement(Document):
    """A semiconductor and the shape it is cut to.

    Attributes
    ----------
    gap_eV
        Of the bulk, without the binding energy of its exciton.
    reduced_mass_me
        1/(1/m_e + 1/m_h), in electron masses; the two masses are taken as equal.
    relative_permittivity
        That which the electron and the hole see at their distance.
    barrier_eV
        Height of the walls, of both carriers together (the difference of the two gaps), half of it for each; None:
        infinite. Masses outside are those inside.
    shape
        ``sphere``: the size is its diameter; ``cube``: its edge.
    """

    gap_eV: PositiveFloat
    gap_uncertainty_eV: NonNegativeFloat | None = None
    reduced_mass_me: PositiveFloat
    relative_permittivity: PositiveFloat
    barrier_eV: PositiveFloat | None = None
    shape: Literal["sphere", "cube"] = "cube"
    source: str = ""

    @property
    def bohr_radius_nm(self) -> float:
        """Of the exciton: 4πε₀ε ħ²/(μ e²)."""
        return 2 * KINETIC_EV_NM2 * self.relative_permittivity / (COULOMB_EV_NM * self.reduced_mass_me)

    @property
    def binding_eV(self) -> float:
        """Of the bulk's exciton, its Rydberg."""
        return COULOMB_EV_NM / (2 * self.relative_permittivity * self.bohr_radius_nm)

    def radius_nm(self, size_nm: float) -> float:
        """Of the sphere with infinite walls that confines as much."""
        radius = SHAPES[self.shape] * size_nm
        if self.barrier_eV is None:
            return radius
        # Each carrier has the mass 2μ and half of the barrier.
        stiffness = KINETIC_EV_NM2 / (2 * self.reduced_mass_me)
        return pi * math.sqrt(stiffness / finite_well_eV(radius, stiffness, 0.5 * self.barrier_eV))

    def exciton_eV(self, size_nm: float) -> float:
        """Lowest energy of an exciton, by the trial function j₀ j₀ exp(-α r) of both carriers' ground states.

        Variational, so never too low for this model: in small spheres ħ²π²/2μR² - 1.786 e²/εR - 0.248 Ry (L. E. Brus,
        J. Chem. Phys. 80, 4403 (1984); Y. Kayanuma, Phys. Rev. B 38, 9797 (1988), doi 10.1103/PhysRevB.38.9797), in
        large ones the bulk's exciton.

        Raises
        ------
        InputError
            The size is not positive, or so small that the barrier binds nothing.
        """
        if not size_nm > 0:
            raise InputError(f"A size is positive, not {size_nm:g} nm.")
        reduced = self.radius_nm(size_nm) / self.bohr_radius_nm
        return self.gap_eV + self.binding_eV * exciton_rydberg(reduced)

    def curve(self, sizes_nm: np.ndarray) -> FloatArray:
        """`exciton_eV` of many sizes, shape (n,), eV."""
        return np.array([self.exciton_eV(float(size)) for size in sizes_nm])


def finite_well_eV(radius_nm: float, stiffness_eV_nm2: float, barrier_eV: float) -> float:
    """Ground state in a spherical well of depth V: k cot(kR) = -κ, the mass the same on both sides, eV.

    Raises
    ------
    InputError
        The well binds no state: √(V/stiffness) R is below π/2.
    """
    strength = radius_nm * math.sqrt(barrier_eV / stiffness_eV_nm2)
    if strength <= 0.5 * pi * (1 + 1e-9):
        raise InputError(f"A barrier of {barrier_eV:.2g} eV around {radius_nm:.2g} nm holds no carrier.")
    x = brentq(lambda x: x / math.tan(x) + math.sqrt(strength**2 - x**2), 0.5 * pi, min(strength, pi * (1 - 1e-12)))
    return stiffness_eV_nm2 * (x / radius_nm) ** 2


def exciton_rydberg(radius: float) -> float:
    """Energy above the gap, in Rydbergs of the exciton, in a sphere with infinite walls; radius in its Bohr radii.

    With φ the product of both ground states and g = exp(-α r), ⟨H⟩ = π²/R² + α² - ⟨2/r⟩ in these units, the mean
    over φ²g²: it needs only how often two independent carriers are at a distance r.
    """
    distance, density = _pair_distances()

    def energy(alpha: float) -> float:
        weight = density * np.exp(-2 * alpha * radius * distance)
        return alpha**2 - 2 / radius * float((weight / distance).sum() / weight.sum())

    best = minimize_scalar(energy, bounds=(0.0, 3.0), method="bounded", options={"xatol": 1e-6})
    return (pi / radius) ** 2 + float(best.fun)


@lru_cache(maxsize=1)
def _pair_distances(n: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    """Distances and their density for two particles in the ground state of a sphere of radius 1, shape (2n,)."""
    r = (np.arange(n) + 0.5) / n
    per_radius = 2 * np.sin(pi * r) ** 2 / r
    integral = np.concatenate([[0.0], np.cumsum(per_radius) / n])
    distance = (np.arange(2 * n) + 0.5) / n
    edges = np.linspace(0.0, 1.0, n + 1)
    lower, upper = np.abs(r[:, None] - distance[None]), np.minimum(1.0, r[:, None] + distance[None])
    inside = np.interp(upper, edges, integral) - np.interp(lower, edges, integral)
    inside[lower > 1] = 0.0
    return distance, distance / 2 * (per_radius[:, None] * inside).sum(axis=0) / n
