"""g2(0): counted by hand, against published formulas, and on simulated emitters whose answer is known."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom, poisson

from midgap.experiment.counting import combine, poisson_interval, ratio_interval
from midgap.experiment.photons import pair_kernel
from midgap.experiment.photons.antibunching import (
    _plateau,
    brouri,
    find_zero_lag,
    is_single,
    number_of_emitters,
    pulsed_g2,
)
from midgap.experiment.photons.antibunching_cw import continuous_g2, dip
from midgap.experiment.photons.coincidences import (
    Alignment,
    PulseCorrelator,
    circular_delay,
    pulse_pairs,
    steepest_rise,
    time_pairs,
)
from midgap.experiment.photons.gated_pairs import Background, GatedPairs
from midgap.experiment.photons.simulation import BlinkingLevel, Dwell, Experiment, simulate
from midgap.experiment.photons.stream import PhotonStream
from midgap.experiment.photons.survey import survey
from midgap.experiment.records import Quantity
from midgap.structures.errors import InputError


def g2_of(stream, background=None, **options):
    return pulsed_g2(pulse_pairs(stream, Alignment.of(stream, (0, 1))), background, **options)


def background_of(experiment):
    return Background(cps=(Quantity(value=experiment.background_cps / 2),) * 2, source="simulated")


# --- counting ------------------------------------------------------------------------------------------------


def test_intervals_are_the_exact_ones():
    """Garwood: the tails beyond the ends are 2.5 % each. Textbook: 0 counts are below 3.689, 10 in 4.795...18.391."""
    assert poisson_interval(0, 0.95) == pytest.approx((0, 3.6889), abs=1e-4)
    assert poisson_interval(10, 0.95) == pytest.approx((4.7954, 18.3904), abs=1e-4)
    low, high = ratio_interval(7, 300, 40, 0.95)
    p_low, p_high = low / (low + 40), high / (high + 40)
    assert binom.sf(6, 307, p_low) == pytest.approx(0.025) and binom.cdf(7, 307, p_high) == pytest.approx(0.025)
    assert ratio_interval(0, 10, 40, 0.95)[0] == 0 and ratio_interval(3, 0, 40, 0.95)[1] == math.inf


def test_combined_interval_of_a_sum_is_the_quadrature():
    value, ends = combine(lambda a, b: a + b, (1.0, 2.0), ((0.7, 1.3), (1.6, 2.4)))
    assert value == 3.0 and ends == pytest.approx((2.5, 3.5))


# --- pairs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scattered():
    """Photons all over the period, so that every border is met."""
    random = np.random.default_rng(3)
    n = 3000
    time = np.sort(random.integers(0, 20_000, n))
    return PhotonStream(
        "T3", time, random.integers(0, 2, n).astype(np.uint8), 1e-7, random.integers(0, 100, n).astype(np.int32), 1e-9, 20_000
    )  # fmt: skip


def test_pairs_are_those_of_a_double_loop(scattered):
    alignment = Alignment(detectors=(0, 1), start_bins=(20, 70), rise_bins=5, n_bins=100, bin_ns=1.0, period_ns=100.0)
    pairs = pulse_pairs(scattered, alignment, n_side=3)
    absolute = scattered.time * 100 + scattered.dtime
    first, second = absolute[scattered.channel == 0] - 20, absolute[scattered.channel == 1] - 70
    lag = second[None, :] // 100 - first[:, None] // 100
    gate = np.minimum(second[None, :] % 100, first[:, None] % 100) - 5
    for i, k in enumerate(pairs.lags):
        expected = np.histogram(np.maximum(gate[lag == k], 0), [*pairs.gates_ns, 1e9])[0]
        np.testing.assert_array_equal(pairs.counts[i], expected)


def test_pairs_across_the_borders_of_pieces_are_counted_once(scattered):
    alignment = Alignment.of(scattered, (0, 1))
    cuts = [0, 1, 2, 500, 501, 1700, 3000]
    pieces = [scattered[slice(a, b)] for a, b in pairwise(cuts)]
    np.testing.assert_array_equal(pulse_pairs(pieces, alignment).counts, pulse_pairs(scattered, alignment).counts)
    np.testing.assert_array_equal(survey(pieces).pairs.counts.sum(1), survey([scattered]).pairs.counts.sum(1))


@pytest.mark.parametrize("outer", [1, 26, 31, 32, 100])
@pytest.mark.parametrize("a_pulse", [0.005, 0.04, 0.3, 3.0])
def test_pairs_without_gates_are_those_of_a_double_loop(a_pulse, outer):
    """Few photons, which are walked to, and many, whose pulses are laid out as bits; also several of one detector a pulse,
    photons late by a pulse, and a beginning that has been counted."""
    random, n, first = np.random.default_rng(7), 2600, 300
    pulses = np.sort(random.integers(0, int(n / a_pulse), n)) - (random.random(n) < 0.3)
    sides = (random.random(n) < 0.4).astype(np.int8)
    counts = np.zeros((2 * outer + 1, 1), np.int64)
    pair_kernel.pairs(pulses, sides, np.zeros(0, np.int8), first, n, counts)
    new = np.arange(n) >= first
    apart = np.subtract.outer(pulses[sides == 1], pulses[sides == 0])
    lag = apart[np.logical_or.outer(new[sides == 1], new[sides == 0])]
    expected = np.array([np.count_nonzero(lag == k) for k in range(1 - outer, outer)])
    np.testing.assert_array_equal(counts[1:-1, 0], expected)


def test_damaged_times_are_counted_within_the_table():
    """Times far apart, backward and all alike: no pair is looked for outside the arrays, none is counted twice."""
    random, n, outer = np.random.default_rng(8), 5000, 26
    for pulses in (random.integers(-(1 << 40), 1 << 40, n), np.zeros(n, np.int64), np.arange(n, 0, -1)):
        counts = np.zeros((2 * outer + 1, 1), np.int64)
        sides = random.integers(0, 2, n).astype(np.int8)
        pair_kernel.pairs(pulses, sides, np.zeros(0, np.int8), 0, n, counts)
        every = np.count_nonzero(sides) * np.count_nonzero(sides == 0)
        assert 0 <= counts.sum() <= every
        if not pulses.any():
            assert counts[outer, 0] == every


def test_all_delays_alone_are_the_gates_together(scattered):
    """Counted in pieces, and as the analysis asks for it."""
    alignment = Alignment.of(scattered, (0, 1))
    pieces = [scattered[slice(a, b)] for a, b in pairwise([0, 1, 700, 701, 3000])]
    together, alone = survey(pieces).pairs, survey(pieces, gate_ns=0.0).pairs
    assert alone.counts.shape == (len(together.lags), 1) and alone.alignment == alignment
    np.testing.assert_array_equal(alone.counts.sum(1), together.counts.sum(1))
    np.testing.assert_array_equal(alone.singles.sum(1), together.singles.sum(1))
    asked = pulsed_g2(alone, gate_ns=0.0)
    assert asked.g2_0_gated is None and asked.n_emitters_from == "raw"
    assert asked.g2_0_raw == pulsed_g2(together).g2_0_raw


def test_pairs_by_time_are_those_of_pycorrelates_definition():
    """Pairs in bins of t₂ - t₁, by a double loop."""
    random = np.random.default_rng(5)
    time = np.sort(random.integers(0, 2_000_000, 2000))
    stream = PhotonStream("T2", time, random.integers(0, 2, 2000).astype(np.uint8), 1e-12, duration=2_000_000)
    pairs = time_pairs(stream, (0, 1), bin_ns=0.501, reach_ns=20.0)
    lag = np.subtract.outer(time[stream.channel == 1], time[stream.channel == 0]).ravel()
    n = len(pairs.counts)
    expected = np.histogram(lag, (np.arange(n + 1) - n / 2) * 501)[0]
    np.testing.assert_array_equal(pairs.counts, expected)


def test_delay_and_rise_of_known_decays():
    t = np.arange(1000)
    decay = np.round(5000 * np.exp(-((t - 300) % 1000) / 80)).astype(int)
    assert steepest_rise(decay) == 300
    assert circular_delay(decay, np.roll(decay, 730)) == 730


# --- from pairs to emitters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cable_ns", "lag"), [(0, 0), (930, 2), (-13, -1), (-800, -2)])
def test_zero_delay_is_found_wherever_the_cables_put_it(cable_ns, lag):
    """400 ns between pulses; the light comes 5 ns after the sync, so that -13 ns falls into the pulse before."""
    stream = simulate(Experiment(duration_s=4, mean_excitons=0.3, cable_delay_ns=cable_ns))
    g2 = g2_of(stream)
    assert (g2.center_lag, g2.center_found) == (lag, True)
    assert g2.center_counts == 0 and g2.single is True
    if cable_ns:  # what reading lag 0 would give
        assert g2_of(stream, center_lag=0).g2_0_raw.lo > 0.7


def test_no_dip_is_said_not_invented():
    """Twenty emitters: 1 - 1/20 does not stand out of these counts."""
    g2 = g2_of(simulate(Experiment(n_emitters=20, duration_s=1, mean_excitons=0.1, detected_fraction=0.02)))
    assert not g2.center_found and g2.center_lag == 0
    assert "No pulse lag" in g2.warnings[0] and g2.single is not True


def test_false_dips_are_as_rare_as_promised():
    """Flat Poisson counts: a dip is found in less than 1 % (plus three standard errors)."""
    random = np.random.default_rng(11)
    lags = np.arange(-25, 26)
    found = sum(find_zero_lag(lags, random.poisson(30, 51), 5)[1] for _ in range(1000))
    assert found <= 1000 * (0.01 + 3 * math.sqrt(0.01 / 1000))


@pytest.mark.parametrize("m", [1, 2, 4])
def test_number_of_emitters_of_the_simulation_is_found(m):
    experiment = Experiment(n_emitters=m, duration_s=6, mean_excitons=0.3, detected_fraction=0.1, seed=m)
    g2 = g2_of(simulate(experiment))
    assert experiment.g2_0 == pytest.approx(1 - 1 / m)
    assert g2.g2_0_raw.contains(1 - 1 / m) and g2.n_emitters_M.contains(m)
    assert g2.single is (True if m == 1 else False if m > 2 else g2.single)
    assert g2.bunching == pytest.approx(1, abs=0.02)


def test_biexciton_of_few_excitons_adds_its_yield_ratio():
    """Nair et al. 2011: g2(0) → r for one emitter, 1 - (1 - r)/M for M, as ⟨N⟩ → 0."""
    for m, r in ((1, 0.3), (4, 0.5)):
        few = Experiment(n_emitters=m, mean_excitons=1e-4, biexciton_ratio=r)
        assert few.g2_0 == pytest.approx(1 - (1 - r) / m, abs=1e-4)


def test_gate_removes_the_biexciton():
    """τ_XX = 0.5 ns, τ_X = 9 ns: behind the gate one emitter is left (Mangum et al. 2013)."""
    experiment = Experiment(duration_s=20, mean_excitons=0.3, detected_fraction=0.1, biexciton_ratio=0.5, biexciton_lifetime_ns=0.5)  # fmt: skip
    g2 = g2_of(simulate(experiment))
    assert g2.g2_0_raw.contains(experiment.g2_0) and experiment.g2_0 > 0.4
    assert g2.g2_0_gated.hi < 0.05 and g2.n_emitters_from == "gated"
    gate_ns = g2.gates[g2.plateau].gate_ns
    # Biexciton photons behind the gate, over the exciton's: what can be left of g2(0).
    assert g2.g2_0_gated.value < 3 * 0.5 * math.exp(-gate_ns / 0.5) / math.exp(-gate_ns / 9) + 0.02
    assert g2.single is True


GATES = np.concatenate([[0.0], np.geomspace(0.2, 200, 23)])


def pairs_by_delay(random, emitters, side, biexciton_pairs, biexciton_ns, lifetime_ns=9.0, n_side=40):
    """Poisson counts whose shorter delay decays with half the lifetime, or with the biexciton's."""
    ends = np.append(GATES[1:], np.inf)
    two, early = (np.exp(-GATES / tau) - np.exp(-ends / tau) for tau in (lifetime_ns / 2, biexciton_ns))
    return random.poisson((1 - 1 / emitters) * side * two + biexciton_pairs * early), random.poisson(
        n_side * side * two
    )


def gated(center, side, n_side=40):
    tally = GatedPairs(
        *(np.cumsum(counts[::-1])[::-1] for counts in (center, side)), n_side, np.ones((2, len(GATES)), int), 1, None
    )
    early = tally.early_pairs(GATES)
    return early, tally.gates(GATES, 0.95), _plateau(tally.gates(GATES, 0.95), early, 0)


def test_gated_intervals_hold_the_truth_as_often_as_they_say():
    """The gate comes from the pairs that are counted behind it, and must not make them lie."""
    random, runs, held, values = np.random.default_rng(21), 200, 0, []
    for _ in range(runs):
        _, gates, chosen = gated(*pairs_by_delay(random, 2, 2000, 500, 0.5))
        assert chosen > 0
        held += gates[chosen].g2_0.contains(0.5)
        values.append(gates[chosen].g2_0.value)
    assert held / runs == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / runs))
    assert np.mean(values) == pytest.approx(0.5, abs=0.005)


def test_without_a_biexciton_there_is_seldom_a_gate():
    random, runs = np.random.default_rng(22), 200
    chosen = sum(gated(*pairs_by_delay(random, 2, 1000, 0, 1.0))[2] != 0 for _ in range(runs))
    assert chosen <= 0.01 * runs + 3 * math.sqrt(0.01 * runs)


def test_lifetime_of_the_biexciton_is_that_of_the_early_pairs():
    random, held = np.random.default_rng(23), 0
    for _ in range(60):
        early, _, _ = gated(*pairs_by_delay(random, 2, 2000, 800, 1.2))
        held += early.lifetime(0.95).contains(1.2)
        assert early.g2_0[early.best] == pytest.approx(0.5, abs=0.3)
    assert held >= 60 * (0.95 - 3 * math.sqrt(0.05 * 0.95 / 60))


def test_a_given_gate_is_the_one_that_is_used():
    stream = simulate(Experiment(n_emitters=2, duration_s=3, mean_excitons=0.3, biexciton_ratio=0.5))
    alignment = Alignment.of(stream, (0, 1))
    pairs = PulseCorrelator(alignment, gate_ns=5.0)
    pairs.add(stream)
    g2 = pulsed_g2(pairs.pairs(), gate_ns=5.0)
    delay = stream.dtime - np.array(alignment.start_bins)[stream.channel]
    pulse, delay = stream.time - (delay < 0), delay % alignment.n_bins
    late = (delay - alignment.rise_bins) * alignment.bin_ns >= 5.0
    first, second = (pulse[late & (stream.channel == channel)] for channel in (0, 1))
    pairs_by_hand = sum(np.count_nonzero(second == one) for one in np.intersect1d(first, second))
    assert g2.gates[g2.plateau].gate_ns == 5.0 and g2.gate_from == "given"
    assert g2.gates[g2.plateau].center_counts == pairs_by_hand
    with pytest.raises(InputError, match="does not lie within"):
        PulseCorrelator(alignment, gate_ns=500.0)


@pytest.mark.parametrize("m", [1, 2])
def test_emission_that_outlasts_the_period(m):
    """An emitter that is still excited gives no second photon: side peaks are 1 - (e^{-T/τ}(1 - p))^k/M, p the chance of
    a pulse to excite; those near zero delay are left out, and M is not biased by them."""
    experiment = Experiment(n_emitters=m, rep_rate_Hz=40e6, duration_s=0.4, mean_excitons=0.2, detected_fraction=0.3,
                            lifetime_ns=20, biexciton_lifetime_ns=1e-3, resolution_ns=0.1, irf_fwhm_ns=0.1, seed=m)  # fmt: skip
    stream = simulate(experiment)
    pairs = pulse_pairs(stream, Alignment.of(stream, (0, 1)))
    g2 = pulsed_g2(pairs, memory_ns=7 * 20, ci_level=0.998)
    lag = np.arange(1, 4)
    middle = len(g2.counts) // 2
    seen = (g2.counts[middle + lag] + g2.counts[middle - lag]) / 2 / np.mean(g2.counts[middle + 10 : middle + 60])
    np.testing.assert_allclose(seen, 1 - np.exp(-lag * (25 / 20 + 0.2)) / m, atol=0.025)
    assert g2.side_from == 6 and g2.n_emitters_M.contains(m)
    assert g2.gates[g2.plateau].gate_ns > 0.5 and g2.single is (
        True if m == 1 else None if g2.single is None else False
    )


def test_background_is_corrected_as_brouri_does():
    experiment = Experiment(
        n_emitters=2, duration_s=20, mean_excitons=0.2, detected_fraction=0.1, background_cps=12_000, seed=4
    )
    g2 = g2_of(simulate(experiment), background_of(experiment))
    rho = experiment.signal_fraction
    assert g2.signal_fraction_rho.value == pytest.approx(rho, abs=0.005)
    assert g2.g2_0_raw.contains(1 - 0.5 * rho**2) and not g2.g2_0_raw.contains(0.5)
    assert g2.g2_0.contains(0.5)
    assert g2.g2_0.value == pytest.approx(brouri(g2.g2_0_raw.value, rho), abs=0.01)


def test_background_under_a_blinking_emitter():
    """Side peaks bunch, background does not: Brouri's formula with the mean ρ leaves a rest; the counts do not."""
    dwell = Dwell(mean_s=0.02)
    levels = (BlinkingLevel(dwell=dwell), BlinkingLevel(name="OFF", relative_yield=0.0, dwell=dwell))
    experiment = Experiment(
        duration_s=20, mean_excitons=0.3, detected_fraction=0.1, background_cps=30_000, levels=levels, seed=2
    )
    g2 = g2_of(simulate(experiment), background_of(experiment))
    rho = g2.signal_fraction_rho.value
    assert g2.bunching == pytest.approx(1 + rho**2, rel=0.05)  # half of the time on: ⟨I²⟩/⟨I⟩² = 2
    assert g2.g2_0.contains(0.0)
    assert abs(brouri(g2.g2_0_raw.value, rho)) > 0.1


def test_intervals_map_end_to_end():
    m = number_of_emitters(Quantity(value=0.5, lo=0.2, hi=0.75))
    assert (m.value, m.lo, m.hi) == pytest.approx((2, 1.25, 4))
    assert number_of_emitters(Quantity(value=0.9, lo=0.8, hi=1.2)).hi is None
    assert number_of_emitters(Quantity(value=1.2, lo=1.1, hi=1.3)) is None
    assert [is_single(Quantity(value=0.3, lo=0.2, hi=hi)) for hi in (0.49, 0.5)] == [True, None]
    assert is_single(Quantity(value=0.6, lo=0.5, hi=0.7)) is False


def test_too_few_photons_are_told():
    stream = simulate(Experiment(duration_s=0.01, detected_fraction=0.001, mean_excitons=0.05))
    with pytest.raises(InputError, match=r"no photons|too few photons"):
        g2_of(stream)


def test_detectors_of_one_clock_and_of_none():
    stream = simulate(Experiment(duration_s=0.2))
    found = survey([stream[stream.channel == 0]])
    assert found.pairs is None and "two detectors" in found.no_pairs
    with pytest.raises(InputError, match="Channel 5 has no photons"):
        Alignment.of(stream, (0, 5))


def test_dead_time_leaves_two_detectors_alone():
    """80 ns after a count its own detector is blind, the other is not: pairs of one pulse stay."""
    experiment = Experiment(n_emitters=4, duration_s=5, mean_excitons=0.3, detected_fraction=0.1, dead_time_ns=80)
    stream = simulate(experiment)
    for channel in (0, 1):
        mine = stream.only([channel]).times_s()
        assert np.diff(mine).min() > 79.8e-9
    # Each detector counts pulses with at least one photon: of four emitters, each seen by it with p/2.
    p = -0.1 * math.expm1(-0.3)
    none, neither = (1 - p / 2) ** 4, (1 - p) ** 4
    assert g2_of(stream).g2_0_raw.contains((1 - 2 * none + neither) / (1 - none) ** 2)


# --- continuous excitation -------------------------------------------------------------------------------------


def test_blurred_dip_is_the_numerical_convolution():
    t = np.linspace(-30, 30, 6001)
    gauss = np.exp(-(t**2) / (2 * 0.7**2))
    expected = np.convolve(np.exp(-abs(t) / 3), gauss / gauss.sum(), mode="same")
    np.testing.assert_allclose(dip(t, 3.0, 0.7, 1e-6)[500:-500], expected[500:-500], atol=1e-5)


@pytest.mark.parametrize("m", [1, 2])
def test_continuous_dip_is_found_and_measured(m):
    """1/τ_c = 1/τ + k: 8.84 ns for τ = 9 ns and k = 2 MHz."""
    experiment = Experiment(
        n_emitters=m, duration_s=6, excitation_rate_Hz=2e6, detected_fraction=0.08, cable_delay_ns=33, seed=m
    )
    pairs = time_pairs(simulate(experiment), (0, 1))
    g2 = continuous_g2(pairs, jitter_fwhm_ns=0.3 * math.sqrt(2))
    assert g2.zero_delay_ns == pytest.approx(33, abs=0.6)
    assert g2.dip_ns == pytest.approx(1 / (1 / 9 + 2e-3), rel=0.2)
    assert g2.g2_0_raw.contains(1 - 1 / m) and g2.bunching == pytest.approx(1, abs=0.02)


def test_continuous_without_a_dip():
    random = np.random.default_rng(1)
    time = np.sort(random.integers(0, 10**12, 400_000))
    stream = PhotonStream("T2", time, random.integers(0, 2, len(time)).astype(np.uint8), 1e-12, duration=10**12)
    g2 = continuous_g2(time_pairs(stream, (0, 1)))
    assert g2.single is None and g2.n_emitters_M is None and "No dip" in g2.warnings[0]
    # and the counts of pairs are what the rates give
    expected = 200_000**2 * 0.5e-9 * len(g2.counts)
    assert poisson.sf(g2.counts.sum(), expected) > 1e-6 and poisson.cdf(g2.counts.sum(), expected) > 1e-6
