"""Excitons a pulse and power series, against textbook numbers and published ones."""

import math

import numpy as np
import pytest

from midgap.experiment.photons.excitation import (
    fluence_J_cm2,
    mean_excitons,
    particle_volume_cm3,
    photons_per_pulse_cm2,
    power_series,
    sigma_abs_cm2,
    sigma_from_size,
    spot_area_cm2,
)
from midgap.experiment.records import Quantity
from midgap.structures.errors import InputError


def test_photons_of_a_microjoule():
    """1 µJ at 445 nm: 1e-6 J / (1240 eV nm / 445 nm · 1.602e-19 J/eV)."""
    assert photons_per_pulse_cm2(1e-6, 445) == pytest.approx(1e-6 / (1239.842 / 445 * 1.602177e-19), rel=1e-5)
    assert fluence_J_cm2(1e-3, 1e6, 1e-3) == pytest.approx(1e-6)


def test_spot_holds_the_power_at_its_peak_fluence():
    """∫ exp(-4 ln2 r²/FWHM²) 2πr dr, numerically."""
    r = np.linspace(0, 5, 20001)
    integral = np.trapezoid(np.exp(-4 * math.log(2) * r**2) * 2 * math.pi * r, r)
    assert spot_area_cm2(1.0) == pytest.approx(integral * 1e-8, rel=1e-6)


def test_mean_excitons_is_flux_times_cross_section():
    n = mean_excitons(Quantity(value=1e-6), Quantity(value=1e-13, lo=0.7e-13, hi=1.3e-13), 445)
    assert n.value == pytest.approx(0.2240, abs=1e-4)
    assert (n.lo / n.value, n.hi / n.value) == pytest.approx((0.7, 1.3))


def test_cross_section_by_beer_and_lambert():
    """A = 1 over 1 cm means that e^(-ln 10) passes: σ n l = ln 10."""
    assert math.exp(-sigma_abs_cm2(0.3, 2.0, 1e14) * 1e14 * 2.0) == pytest.approx(10**-0.3)


def test_cross_section_grows_with_the_volume():
    sigma = sigma_from_size(0.5, 1.0, 1e-5, Quantity(value=10, lo=9, hi=11), 4.8)
    assert (sigma.lo / sigma.value, sigma.hi / sigma.value) == pytest.approx((0.729, 1.331))
    assert particle_volume_cm3(10, "sphere") == pytest.approx(4 / 3 * math.pi * (5e-7) ** 3)


@pytest.mark.parametrize(("exponent", "growth"), [(1.0, "linear"), (1.6, "superlinear"), (0.6, "sublinear")])
def test_power_series_tells_growth(exponent, growth):
    power = [0.1, 0.2, 0.5, 1.0, 2.0]
    random = np.random.default_rng(8)
    values = [100 * p**exponent * math.exp(random.normal(0, 0.02)) for p in power]
    series = power_series(power, [Quantity(value=v, lo=0.96 * v, hi=1.04 * v) for v in values])
    assert series.growth == growth and series.exponent.contains(exponent)


def test_power_series_covers_at_its_level():
    """400 series with known errors and 400 with errors estimated from the scatter: 95 % ± 3.3 % (3σ)."""
    random, power = np.random.default_rng(9), [1.0, 2.0, 3.0, 5.0, 8.0, 13.0]
    for known in (True, False):
        held = 0
        for _ in range(400):
            values = [p**1.3 * math.exp(random.normal(0, 0.1)) for p in power]
            ends = [Quantity(value=v, lo=v * math.exp(-0.196), hi=v * math.exp(0.196)) for v in values]
            series = power_series(power, ends if known else [Quantity(value=v) for v in values])
            held += series.exponent.contains(1.3)
        # Scatter that exceeds the known errors widens intervals: those may hold the truth too often.
        assert held / 400 > 0.95 - 0.033 and (known or held / 400 < 0.95 + 0.033)


def test_a_series_that_settles_nothing_says_so():
    wild = [Quantity(value=v, lo=v / 5, hi=v * 5) for v in (1, 2, 3)]
    assert power_series([1, 2, 3], wild).growth is None


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="three points"):
        power_series([1, 2], [Quantity(value=1)] * 2)
    with pytest.raises(InputError, match="power must be positive"):
        power_series([0, 1, 2], [Quantity(value=1)] * 3)
    with pytest.raises(InputError, match="wavelength must be positive"):
        photons_per_pulse_cm2(1e-6, -445)
    with pytest.raises(InputError, match="no value"):
        mean_excitons(Quantity(hi=1e-6), Quantity(value=1e-13), 445)
