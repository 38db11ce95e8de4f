"""The observables that tell molecule-like from dot-like emission, on emitters whose answer is known."""

import math

import numpy as np
import pytest

from midgap.experiment.blinking.level_lifetimes import SegmentLifetimes
from midgap.experiment.blinking.levels import IntensityLevels, Trace
from midgap.experiment.blinking.molecule_like import g2_against_power, level_sharpness, lifetime_over_intensity
from midgap.experiment.records import Quantity
from midgap.structures.errors import InputError


def pieces(rng, rate, tau, photons=500, ci=1.959964):
    """Lifetimes as a fit gives them: with the error of a Gamma distributed mean."""
    rate, tau = np.asarray(rate, dtype=float), np.asarray(tau, dtype=float)
    measured = tau * rng.gamma(photons, 1 / photons, tau.size)
    spread = math.exp(ci / math.sqrt(photons))
    start = np.arange(tau.size) * 0.1
    return SegmentLifetimes(
        first_photon=np.arange(tau.size) * photons,
        num_photons=np.full(tau.size, photons),
        start_time_s=start,
        end_time_s=start + 0.1,
        rate_cps=rate,
        tau_ns=measured,
        tau_lo_ns=measured / spread,
        tau_hi_ns=measured * spread,
        deviance_z=np.zeros(tau.size),
        min_photons=100,
        ci_level=0.95,
    )


def test_a_quantum_dot_has_lifetime_in_proportion_and_alike_emitters_do_not():
    rng = np.random.default_rng(1)
    rate = rng.uniform(1000, 10_000, 150)
    dot = lifetime_over_intensity(pieces(rng, rate, 9.0 * rate / 10_000))
    assert dot.exponent.contains(1.0) and dot.exponent.lo > 0.9
    # The scatter of ln u with u uniform on 0.1...1, in closed form.
    u = np.linspace(0.1, 1, 100_001)
    assert dot.spread.value == pytest.approx(np.log(u).std(), rel=0.15)
    alike = lifetime_over_intensity(pieces(rng, rate, np.full(150, 9.0)))
    assert alike.exponent.contains(0.0) and alike.exponent.hi < 0.1
    assert alike.spread.value < 0.03
    assert alike.intensity_range == pytest.approx(9550 / 1450, rel=0.15)


def test_exponent_interval_holds_the_truth_as_often_as_it_says():
    rng, hits, runs = np.random.default_rng(2), 0, 40
    for _ in range(runs):
        rate = rng.uniform(1000, 10_000, 60)
        tau = 9 * (rate / 10_000) ** 0.3 * np.exp(rng.normal(0, 0.1, 60))
        hits += bool(lifetime_over_intensity(pieces(rng, rate, tau), ci_level=0.9).exponent.contains(0.3))
    assert abs(hits - 36) < 3 * math.sqrt(runs * 0.09) + 1


def test_background_is_taken_off():
    rng = np.random.default_rng(3)
    rate = rng.uniform(1000, 10_000, 100)
    found = lifetime_over_intensity(pieces(rng, rate + 800, 9.0 * rate / 10_000), background_cps=800)
    assert found.exponent.contains(1.0)


def two_levels(rates, dwell_s=1.0, n=40):
    start = np.arange(n) * dwell_s
    level = np.arange(n) % 2
    return IntensityLevels(
        first_photon=np.zeros(n),
        num_photons=np.array(rates)[level] * dwell_s,
        start_time_s=start,
        end_time_s=start + dwell_s,
        level=level,
        rate_cps=tuple(Quantity(value=r) for r in rates),
        time_fraction=[0.5, 0.5],
        label=("GRAY", "ON"),
        bic={2: 0.0},
        background_cps=0.0,
        off_below=0.05,
        on_above=0.5,
    )


def test_noise_within_levels_is_that_of_photons_or_of_fast_switching():
    rng, levels, bin_s = np.random.default_rng(4), two_levels((2000.0, 10_000.0)), 0.01
    mean = np.repeat(np.tile([20.0, 100.0], 20), 100)
    clean = level_sharpness(Trace(bin_s=bin_s, counts=rng.poisson(mean)), levels)
    assert clean.fano.contains(1.0) and clean.fano.hi < 1.2
    # Gamma distributed rates of relative variance v within a bin: variance over mean is 1 + v · mean.
    v = 0.05
    bursts = level_sharpness(Trace(bin_s=bin_s, counts=rng.poisson(mean * rng.gamma(1 / v, v, mean.size))), levels)
    expected = (20 * (1 + v * 20) + 100 * (1 + v * 100)) / 120
    assert bursts.fano.contains(expected) and bursts.fano.lo > 2
    with pytest.raises(InputError, match="shorter bins"):
        level_sharpness(Trace(bin_s=0.5, counts=rng.poisson(1000, 80)), levels)


def test_g2_against_power():
    def measured(value):
        return Quantity(value=value, lo=value - 0.1, hi=value + 0.1)

    flat = g2_against_power([0.1, 0.5, 1.0], [measured(0.1)] * 3)
    assert flat.slope.value == pytest.approx(0.0, abs=1e-9) and flat.at_zero.value == pytest.approx(0.1)
    # Equal errors σ: the slope's variance is σ²/Σ(x - mean)².
    x = np.array([0.1, 0.5, 1.0])
    assert flat.slope.hi == pytest.approx(0.1 / math.sqrt(((x - x.mean()) ** 2).sum()), rel=1e-6)
    rising = g2_against_power([0.1, 0.5, 1.0], [measured(v) for v in (0.1, 0.4, 0.7)])
    assert rising.slope.lo > 0.3
    with pytest.raises(InputError, match="two different powers"):
        g2_against_power([0.1], [measured(0.1)])
    with pytest.raises(InputError, match="interval"):
        g2_against_power([0.1, 0.2], [Quantity(value=0.1), measured(0.2)])
