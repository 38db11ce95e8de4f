"""Excitons in small crystals: limits that are known exactly, and the excitons of CsPbBr3 that were measured."""

import math
from itertools import pairwise

import numpy as np
import pytest

from midgap.experiment.evidence.confinement import (
    COULOMB_EV_NM,
    KINETIC_EV_NM2,
    Confinement,
    exciton_rydberg,
    finite_well_eV,
)
from midgap.structures.errors import InputError

CSPBBR3 = Confinement(gap_eV=2.342, reduced_mass_me=0.126, relative_permittivity=7.3)


def test_constants():
    """ħ²/2m₀ = ½ Hartree bohr² and e²/4πε₀ = Hartree bohr, with 27.211386 eV and 0.052917721 nm."""
    assert pytest.approx(0.5 * 27.211386 * 0.052917721**2, rel=1e-7) == KINETIC_EV_NM2
    assert pytest.approx(27.211386 * 0.052917721, rel=1e-7) == COULOMB_EV_NM


@pytest.mark.parametrize(("mass", "permittivity", "published_meV"), [(0.126, 7.3, 33), (0.18, 8.7, 32.5)])
def test_binding_energies_of_the_measured_excitons(mass, permittivity, published_meV):
    """ACS Energy Lett. 2, 1621 (2017): 33 ± 1 meV; arXiv:2307.07035: 32.5 meV, with these masses and constants."""
    bulk = Confinement(gap_eV=2.342, reduced_mass_me=mass, relative_permittivity=permittivity)
    assert 1e3 * bulk.binding_eV == pytest.approx(published_meV, abs=1.0)


@pytest.mark.parametrize("radius", [0.05, 0.1, 0.3])
def test_small_spheres(radius):
    """Brus (1984): π²/R² - 2 · 1.786/R; the next term is -0.248 (Kayanuma 1988). Rydbergs and Bohr radii."""
    left = exciton_rydberg(radius) - (math.pi / radius) ** 2 + 2 * 1.786 / radius
    assert left == pytest.approx(-0.248, abs=0.02)


def test_large_spheres_hold_the_bulk_s_exciton():
    """Variational: from above to -1, and near -1 + π² (μ/M)/(R - η)², η about 0.7, M = 4μ (Kayanuma 1988)."""
    energies = [exciton_rydberg(radius) for radius in (5.0, 10.0, 20.0, 40.0)]
    assert all(-1 < later < earlier for earlier, later in pairwise(energies))
    assert energies[1] == pytest.approx(-1 + math.pi**2 / 4 / (10 - 0.7) ** 2, abs=0.01)
    assert energies[3] == pytest.approx(-1, abs=0.005)


@pytest.mark.parametrize("x", [1.7, 2.0, 2.7, 3.1])
def test_finite_well(x):
    """x cot x = -√(z² - x²) has z = x/sin x."""
    radius, stiffness = 2.0, 0.3
    barrier = stiffness * (x / math.sin(x) / radius) ** 2
    assert finite_well_eV(radius, stiffness, barrier) == pytest.approx(stiffness * (x / radius) ** 2, rel=1e-9)


def test_a_shallow_well_holds_nothing():
    with pytest.raises(InputError, match="holds no carrier"):
        finite_well_eV(1.0, 1.0, (math.pi / 2) ** 2 * 0.99)
    with pytest.raises(InputError, match="A size is positive"):
        CSPBBR3.exciton_eV(0.0)


def test_high_walls_are_infinite_ones_and_lower_ones_confine_less():
    high = CSPBBR3.model_copy(update={"barrier_eV": 1e7})
    low = CSPBBR3.model_copy(update={"barrier_eV": 1.56})
    for size in (4.0, 8.0, 15.0):
        assert high.exciton_eV(size) == pytest.approx(CSPBBR3.exciton_eV(size), abs=1e-3)
        assert CSPBBR3.gap_eV - CSPBBR3.binding_eV < low.exciton_eV(size) < CSPBBR3.exciton_eV(size)


def test_a_cube_is_a_sphere_of_the_same_kinetic_energy():
    """In a cube the attraction of two independent carriers is that of the sphere within 2 %, by Monte Carlo."""
    random = np.random.default_rng(0)
    grid = np.linspace(0, 1, 4001)
    cumulative = grid - np.sin(2 * np.pi * grid) / (2 * np.pi)  # of 2 sin²(πx)
    one, other = (np.interp(random.random((400_000, 3)), cumulative, grid) for _ in range(2))
    in_cube = float(np.mean(1 / np.linalg.norm(one - other, axis=1)))
    assert in_cube == pytest.approx(1.786 * math.sqrt(3), rel=0.02)
    cube, edge = CSPBBR3, 6.0
    sphere = cube.model_copy(update={"shape": "sphere"})
    assert cube.exciton_eV(edge) == pytest.approx(sphere.exciton_eV(2 * edge / math.sqrt(3)), abs=1e-12)
