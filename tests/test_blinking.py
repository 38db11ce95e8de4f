"""Change points against exact thresholds and known truth; levels and dwell times against known truth."""

import itertools
import math

import numpy as np
import pytest

pytest.importorskip("numba")

from scipy.optimize import brentq
from scipy.stats import f as f_distribution

from midgap.experiment.blinking import change_point_kernel as kernel
from midgap.experiment.blinking.change_points import find_change_points, threshold
from midgap.experiment.blinking.dwell_times import DwellTimes, dwell_times, fit_power_law, fit_truncated_power_law
from midgap.experiment.blinking.level_kernel import best_path
from midgap.experiment.blinking.levels import (
    IntensityLevels,
    _mean_of_exponential,
    cluster_levels,
    intensity_histogram,
    intensity_trace,
    on_fraction,
)
from midgap.experiment.records import Quantity
from midgap.structures.errors import InputError


def telegraph(rng, rates, mean_dwell_s, duration_s):
    """Photons of an emitter that changes to any other level after exponential times; and when it changed."""
    photons, changes, now, state = [], [], 0.0, 0
    while now < duration_s:
        dwell = min(rng.exponential(mean_dwell_s), duration_s - now)
        photons.append(np.sort(rng.uniform(now, now + dwell, rng.poisson(rates[state] * dwell))))
        now += dwell
        changes.append(now)
        state = (state + rng.integers(1, len(rates))) % len(rates) if len(rates) > 1 else 0
    return np.concatenate(photons), np.array(changes[:-1])


def test_threshold_of_two_intervals_is_analytic():
    # One uniform number v decides: -2 ln v - 2 ln(1-v) has mean 4 and variance 8 - 8(π²/6 - 1).
    v = 0.025
    exact = (-2 * math.log(v) - 2 * math.log(1 - v) - 4) / math.sqrt(8 - 8 * (math.pi**2 / 6 - 1))
    assert threshold(2, 0.05) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize(
    ("n", "false_alarm", "exact"), [(100, 0.05, 5.491), (500, 0.05, 5.996), (100, 0.01, 7.889), (500, 0.01, 8.455)]
)
def test_thresholds_are_those_of_the_exact_recursion(n, false_alarm, exact):
    # Exact values after Noé's recursion, as Full SMS (University of Pretoria) has them for Watkins and Yang's test.
    assert threshold(n, false_alarm) == pytest.approx(exact, abs=0.06)


def test_ratio_by_tables_and_by_series_is_one_function():
    t = np.cumsum(np.random.default_rng(1).exponential(size=2001))
    sums, squares = kernel.harmonic_sums(2000)
    for first, last in ((0, 2), (3, 8), (0, 50), (0, 2000)):
        by_table, where = kernel.ratio(t, first, last, *kernel.weights(last - first, sums, squares))
        by_series, same = kernel.long_ratio(t, first, last)
        assert by_table == pytest.approx(by_series, abs=1e-6) and where == same


def test_power_lies_between_that_of_a_known_place_and_of_a_corrected_one():
    # Were the place of the change known, the ratio of the two mean intervals would be an F variable, and no test of an
    # unknown place is stronger; with 199 places to choose from, Bonferroni's correction of that is a floor.
    rng, n, alpha, runs = np.random.default_rng(2), 200, 0.05, 400
    limit = float(threshold(n, alpha))
    sums, squares = kernel.harmonic_sums(n)
    weights = kernel.weights(n, sums, squares)
    for step in (1.3, 1.6, 2.0):
        found = 0
        for _ in range(runs):
            t = np.concatenate([[0], np.cumsum(rng.exponential(1, n) * np.repeat([1, 1 / step], n // 2))])
            found += kernel.ratio(t, 0, n, *weights)[0] > limit

        def f_test(level, step=step):
            low, high = f_distribution.ppf([level / 2, 1 - level / 2], n, n)
            return f_distribution.cdf(low / step, n, n) + f_distribution.sf(high / step, n, n)

        margin = 3 * 0.5 / math.sqrt(runs)
        assert f_test(alpha / (n - 1)) - margin < found / runs < f_test(alpha) + margin


def test_false_alarms_are_as_rare_as_promised():
    time = np.cumsum(np.random.default_rng(3).exponential(1e-4, 400_000))
    # 400 windows, of which one in twenty may alarm, shared out cautiously.
    assert find_change_points(time, confidence=0.95).photon.size <= 20 + 3 * math.sqrt(20)
    assert find_change_points(time, confidence=0.99).photon.size <= 4 + 3 * 2


def test_changes_are_found_where_they_are():
    rng = np.random.default_rng(4)
    time, truth = telegraph(rng, (20_000, 2_000), 0.2, 60)
    found = find_change_points(time)
    nearest = np.abs(found.time_s[:, None] - truth).min(axis=1)
    assert np.mean(np.abs(truth[:, None] - found.time_s).min(axis=1) < 0.01) > 0.97
    real = nearest < 0.01
    assert (~real).sum() <= 0.01 * time.size / 1000 + 3 * math.sqrt(0.01 * time.size / 1000) + 1
    inside = ((truth >= found.time_lo_s[real, None]) & (truth <= found.time_hi_s[real, None])).any(axis=1)
    assert inside.mean() > 0.95


def test_regions_hold_weak_changes_as_often_as_they_say():
    rng, runs, hits, seen = np.random.default_rng(5), 300, 0, 0
    for _ in range(runs):
        time = np.cumsum(np.concatenate([rng.exponential(1.0, 400), rng.exponential(0.6, 400)]))
        found = find_change_points(time, confidence=0.9, region_level=0.8)
        if found.photon.size == 1:
            seen += 1
            hits += int(found.photon_lo[0] <= 399 <= found.photon_hi[0])
    assert seen > 0.5 * runs
    # The region is Bayesian with a flat prior for the place: its average coverage is its level, up to the grain of photons.
    assert hits / seen == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / seen) + 0.02)


def test_a_short_dip_between_equal_levels_is_not_missed():
    # 40 photons at a tenth of the rate in the middle of 20 000: neither half of the trace differs from the other.
    rng, both = np.random.default_rng(6), 0
    for _ in range(20):
        intervals = np.concatenate([rng.exponential(1, 10_000), rng.exponential(10, 40), rng.exponential(1, 10_000)])
        found = find_change_points(np.cumsum(intervals) * 1e-4)
        both += bool((np.abs(found.photon - 10_000) < 12).any() and (np.abs(found.photon - 10_040) < 12).any())
    assert both >= 19


@pytest.mark.parametrize(
    ("rates", "dwell_s"),
    [
        ((8000,), 0.25),
        ((8000, 800), 0.25),
        ((10_000, 5000), 0.25),
        ((12_000, 6000, 1500), 0.25),
        ((10_000, 7000), 0.05),
    ],
)
def test_number_and_rates_of_levels(rates, dwell_s):
    """The last: stays of 350 photons, of which change points miss half; pieces that hold two levels are no third one."""
    rng, right = np.random.default_rng(7), 0
    for _ in range(5):
        time, _ = telegraph(rng, rates, dwell_s, 40)
        levels = cluster_levels(time, find_change_points(time), 40.0)
        if len(levels.rate_cps) == len(rates):
            right += 1
            assert [q.value for q in levels.rate_cps] == pytest.approx(sorted(rates), rel=0.03)
            assert levels.num_photons.sum() == time.size
            assert (levels.end_time_s - levels.start_time_s).sum() == pytest.approx(40.0)
            assert (np.diff(levels.level) != 0).all()
    assert right >= 4


def test_how_clear_stays_are_by_hand():
    """Five stays each of 0.1 s at 1000 and at 2000 cps: a mean one tells 100 ln(1/2) + 100 and 200 ln 2 - 100 against the other
    level, and two changes cost 2 ln(1500/9). Three times that is too little; stays of 0.2 s tell enough."""
    for dwell_s, factor in ((0.1, 1.0), (0.2, 2.0)):
        rate = np.array([1000.0, 2000.0])
        levels = IntensityLevels(
            first_photon=np.zeros(10), num_photons=np.tile(rate * dwell_s, 5), start_time_s=np.arange(10) * dwell_s,
            end_time_s=np.arange(1, 11) * dwell_s, level=np.tile([0, 1], 5), rate_cps=tuple(Quantity(value=r) for r in rate),
            time_fraction=[0.5, 0.5], label=("ON", "ON"), bic={2: 0.0}, background_cps=0.0, off_below=0.05, on_above=0.5,
        )  # fmt: skip
        cost = 2 * math.log(factor * 1500 / 9)
        assert levels.clearness == pytest.approx([factor * 30.685 / cost, factor * 38.629 / cost], rel=1e-4)
        said = levels.short_stays()
        assert (said is None) == (dwell_s == 0.2) and (said is None or "1e+03 and 2e+03 cps" in said)


def test_short_stays_are_told_of_simulated_emitters():
    for dwell_s, short in ((0.01, True), (0.2, False)):
        time, _ = telegraph(np.random.default_rng(11), (5000.0, 10_000.0), dwell_s, 5.0)
        levels = cluster_levels(time, find_change_points(time), 5.0)
        assert (levels.short_stays() is not None) == short


def test_the_photon_that_ends_a_dark_stay_is_the_bright_levels():
    """Five photons a dark stay: one more in each would be 20 %, ten standard errors of this mean."""
    found = []
    for seed in range(8):
        time, _ = telegraph(np.random.default_rng(seed), (50.0, 3000.0), 0.1, 20.0)
        levels = cluster_levels(time, find_change_points(time), 20.0)
        found.append([q.value for q in levels.rate_cps])
        assert levels.num_photons.sum() == time.size and (levels.end_time_s > levels.start_time_s).all()
    assert np.mean(found, axis=0) == pytest.approx([50.0, 3000.0], rel=0.05)


@pytest.mark.parametrize(("rate", "longest"), [(0.0, 2.0), (1e-9, 2.0), (0.5, 2.0), (3.0, 40.0), (1e4, 1.0)])
def test_where_in_an_interval_a_change_lies(rate, longest):
    """The mean by quadrature."""
    x, w = np.polynomial.legendre.leggauss(400)
    x = 0.5 * longest * (x + 1) if rate * longest < 100 else 50 / rate * (x + 1)
    expected = np.sum(w * x * np.exp(-rate * x)) / np.sum(w * np.exp(-rate * x))
    assert _mean_of_exponential(rate, longest) == pytest.approx(expected, rel=1e-6)


def test_path_is_the_best_of_all_paths():
    """Against every sequence of three levels for seven photons."""
    rng = np.random.default_rng(14)
    for _ in range(20):
        time, rates, switch, rest = (
            np.cumsum(rng.exponential(size=7)),
            np.array([0.2, 1.0, 6.0]),
            0.2,
            rng.exponential(),
        )
        intervals, path = np.diff(time, prepend=0.0), np.empty(7, np.int8)
        value, photons, seconds = best_path(time, rest, rates, switch, path)

        def joint(levels, intervals=intervals, rest=rest, rates=rates, switch=switch):
            chosen = rates[list(levels)]
            moves = np.count_nonzero(np.diff(levels))
            emitted = float((np.log(chosen) - chosen * intervals).sum() - chosen[-1] * rest)
            # No change comes before the first photon.
            return emitted + moves * math.log(switch / 2) + (7 - moves) * math.log(1 - switch) - math.log(3)

        best = max(itertools.product(range(3), repeat=7), key=joint)
        assert value == pytest.approx(joint(best)) and joint(path.tolist()) == pytest.approx(value)
        np.testing.assert_array_equal(photons, np.bincount(path, minlength=3))
        assert seconds.sum() == pytest.approx(time[-1] + rest)


def test_a_short_burst_is_not_what_on_means():
    rng = np.random.default_rng(15)
    time, _ = telegraph(rng, (10_000, 1000), 0.2, 20)
    burst = np.sort(rng.uniform(7.0, 7.001, 400))
    time = np.sort(np.concatenate([time, burst]))
    levels = cluster_levels(time, find_change_points(time), 20.0)
    assert [q.value for q in levels.rate_cps] == pytest.approx([1000, 10_000, 400_000], rel=0.1)
    assert levels.label == ("GRAY", "ON", "ON") and levels.time_fraction[2] < 1e-3


def test_labels_and_on_fraction():
    rng = np.random.default_rng(8)
    time, _ = telegraph(rng, (10_000, 2_500, 100), 0.2, 60)
    levels = cluster_levels(time, find_change_points(time), 60.0, background_cps=90.0)
    assert levels.label == ("OFF", "GRAY", "ON")
    assert levels.time_fraction.sum() == pytest.approx(1.0)
    fraction = on_fraction(levels)
    assert fraction.contains(levels.time_fraction[2]) and fraction.hi - fraction.lo < 0.2
    record = levels.segments()[0]
    assert record.intensity_cps == pytest.approx(record.num_photons / record.dwell_time_s)
    dark = cluster_levels(time, find_change_points(time), 60.0)
    assert dark.background_cps == 0.0 and dark.label[0] == "OFF"


def test_trace_counts_every_photon_of_whole_bins():
    trace = intensity_trace([0.01, 0.02, 0.119, 0.25], 0.3, 0.1)
    assert trace.counts.tolist() == [2, 1, 1]
    edges, number = intensity_histogram(trace)
    assert number.sum() == 3 and edges.size == number.size + 1
    with pytest.raises(InputError, match="does not fit"):
        intensity_trace([0.1], 0.3, 1.0)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="ascending"):
        find_change_points([1.0, 0.5])
    with pytest.raises(InputError, match="confidence"):
        find_change_points([0.0, 1.0], confidence=1.0)
    changes = find_change_points([0.1, 0.2, 0.3])
    assert changes.photon.size == 0
    with pytest.raises(InputError, match="no photons"):
        cluster_levels([], changes, 1.0)
    with pytest.raises(InputError, match="last photon came after"):
        cluster_levels([0.1, 0.2, 0.3], changes, 0.2)


def power_law(rng, alpha, n, t_min=0.01):
    return t_min * (1 - rng.random(n)) ** (-1 / (alpha - 1))


def test_exponent_of_a_power_law_and_its_interval():
    rng, runs, level, hits, values = np.random.default_rng(9), 300, 0.9, 0, []
    for _ in range(runs):
        t = power_law(rng, 1.6, 150)
        law = fit_power_law(DwellTimes(duration_s=np.minimum(t, 5.0), censored=t > 5.0), 0.01, level)
        hits += bool(law.alpha.contains(1.6))
        values.append(law.alpha.value)
    assert np.mean(values) == pytest.approx(1.6, rel=0.02)
    assert hits / runs == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / runs) + 0.01)
    # Treating what the trace cuts short as complete would give a steeper law.
    cut = np.minimum(t, 0.05)
    right = fit_power_law(DwellTimes(duration_s=cut, censored=t > 0.05), 0.01)
    wrong = fit_power_law(DwellTimes(duration_s=cut, censored=np.zeros(t.size)), 0.01)
    assert right.alpha.contains(1.6) and not wrong.alpha.contains(1.6)


def test_begin_of_the_law_is_found():
    rng = np.random.default_rng(10)
    t = np.concatenate([power_law(rng, 2.0, 2000, 0.1), rng.uniform(0.01, 0.1, 1500)])
    assert fit_power_law(DwellTimes(duration_s=t, censored=np.zeros(t.size))).t_min_s == pytest.approx(0.1, rel=0.25)


def test_cut_off_and_what_is_told_where_there_is_none():
    rng = np.random.default_rng(11)
    t = power_law(rng, 1.5, 8000)
    short = t[rng.random(t.size) < np.exp(-(t - 0.01) / 1.0)][:800]
    dwells = DwellTimes(duration_s=short, censored=np.zeros(short.size))
    law, plain = fit_truncated_power_law(dwells, 0.01, 0.99), fit_power_law(dwells, 0.01)
    assert law.alpha.contains(1.5) and law.cutoff_s.contains(1.0)
    assert law.log_likelihood > plain.log_likelihood + 5
    pure = DwellTimes(duration_s=t[:300], censored=np.zeros(300))
    law, plain = fit_truncated_power_law(pure, 0.01), fit_power_law(pure, 0.01)
    assert law.cutoff_s.hi is None
    assert law.log_likelihood == pytest.approx(plain.log_likelihood, abs=2.0)


def test_normalisation_of_the_truncated_law():
    # With α = 0 it is an exponential from t_min on: mean t_min + t_c.
    rng = np.random.default_rng(12)
    t = 0.1 + rng.exponential(2.0, 3000)
    law = fit_truncated_power_law(DwellTimes(duration_s=t, censored=np.zeros(t.size)), 0.1)
    rate = brentq(lambda r: 1 / r - (t.mean() - 0.1), 1e-3, 1e3)
    exponential = t.size * math.log(rate) - rate * float((t - 0.1).sum())
    assert law.alpha.contains(0.0)
    assert law.log_likelihood == pytest.approx(exponential, abs=3.0) and law.log_likelihood > exponential - 0.01


def test_dwell_times_of_a_known_trace():
    rng = np.random.default_rng(13)
    pieces = [(0.0, 1.0, 9000), (1.0, 1.5, 500), (1.5, 2.5, 9000), (2.5, 3.2, 500)]
    time = np.concatenate([np.sort(rng.uniform(a, b, rng.poisson(rate * (b - a)))) for a, b, rate in pieces])
    levels = cluster_levels(time, find_change_points(time), 3.2, off_below=0.1)
    on, off = dwell_times(levels), dwell_times(levels, ("OFF",))
    assert on.duration_s == pytest.approx([1.0, 1.0], abs=0.01) and on.censored.tolist() == [1, 0]
    assert off.duration_s == pytest.approx([0.5, 0.7], abs=0.01) and off.censored.tolist() == [0, 1]
    with pytest.raises(InputError, match="at least 10"):
        fit_power_law(on)
