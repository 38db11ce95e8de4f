"""Decay fits against closed forms, simulated truth and a published decay."""

import math

import numpy as np
import pytest

pytest.importorskip("numba")

from scipy.integrate import quad
from scipy.stats import chi2

from midgap.experiment.blinking.level_lifetimes import fit_bursts, fit_segments, flid
from midgap.experiment.decays import kernel as decay_kernel
from midgap.experiment.decays.lifetimes import fit_decay
from midgap.experiment.decays.poisson_deviance import moments_of_deviance
from midgap.experiment.decays.responses import gaussian_response, measured_response
from midgap.experiment.records import ParticleRecord
from midgap.structures.errors import InputError

WIDTH, PERIOD, N_BINS = 0.1, 100.0, 1000


def drawn(rng, tau, n, background=0, begin=5.0, fwhm=0.3):
    """Arrival times photon by photon: nothing of the fit's model is used."""
    t = rng.normal(begin, fwhm / math.sqrt(8 * math.log(2)), n) + rng.exponential(tau, n)
    return np.concatenate([t, rng.uniform(0, PERIOD, background)]) % PERIOD


def histogram(t):
    return np.bincount((t / WIDTH).astype(int), minlength=N_BINS)


@pytest.fixture
def response():
    return gaussian_response(0.3, WIDTH, N_BINS, 5.0)


def evaluate(pulse, shift, period, tau, n):
    density, d_log_tau, d_shift = (np.empty(n) for _ in range(3))
    decay_kernel.exponential(pulse, shift, period, tau, density, d_log_tau, d_shift)
    return density, d_log_tau, d_shift


@pytest.mark.parametrize(("shift", "period"), [(0.0, math.inf), (3.3, 120.4), (-15.2, 119.7), (95.1, 122.5)])
def test_model_is_the_periodic_exponential_integrated_over_bins(shift, period):
    tau, n = 30.0, 120
    pulse = np.zeros(n)
    pulse[[20, 25]] = 0.25, 0.75
    density = evaluate(pulse, shift, period, tau, n)[0]
    for i in (0, 5, 21, 60, 119):
        expected = 0.0
        for at, weight in ((20.5 + shift, 0.25), (25.5 + shift, 0.75)):
            for k in range(-30 if math.isfinite(period) else 0, 1):
                x = (at % period if math.isfinite(period) else at) + (k * period if k else 0.0)
                lo, hi = max(i, x), i + 1
                if hi > lo:
                    expected += weight * quad(lambda t, x=x: math.exp(-(t - x) / tau) / tau, lo, hi)[0]
        assert density[i] == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_derivatives_are_those_of_finite_differences():
    pulse = np.zeros(200)
    pulse[30:40] = 0.1
    _, by_log_tau, by_shift = evaluate(pulse, 1.3, 201.7, 40.0, 200)
    e = 1e-5
    numeric = (
        evaluate(pulse, 1.3, 201.7, 40 * math.exp(e), 200)[0] - evaluate(pulse, 1.3, 201.7, 40 * math.exp(-e), 200)[0]
    ) / (2 * e)
    assert by_log_tau == pytest.approx(numeric, abs=1e-9)
    numeric = (evaluate(pulse, 1.3 + e, 201.7, 40.0, 200)[0] - evaluate(pulse, 1.3 - e, 201.7, 40.0, 200)[0]) / (2 * e)
    assert by_shift == pytest.approx(numeric, abs=1e-9)


def test_one_exponential_without_background_gives_the_mean_delay():
    # The maximum-likelihood lifetime of an exponential from t = 0 is the mean time. Bins of a hundredth of it and a
    # range of 25 of it leave 1e-5.
    t = np.random.default_rng(1).exponential(4.0, 5000)
    pulse = np.zeros(N_BINS)
    pulse[0] = 1.0
    instant = measured_response(pulse, 0.04)
    counts = np.bincount((t / 0.04).astype(int), minlength=N_BINS)[:N_BINS]
    fit = fit_decay(counts, 0.04, response=instant, n_components=1, shift_ns=-0.02, background_per_bin=0.0)
    assert fit.tau_ns[0].value == pytest.approx(t[t < 40].mean(), rel=2e-3)
    # Σt/τ is Gamma(n): the likelihood ratio's interval is that of χ² with 2n to a part in n.
    exact = [2 * t.sum() / chi2.ppf(q, 2 * t.size) for q in (0.975, 0.025)]
    assert (fit.tau_ns[0].lo, fit.tau_ns[0].hi) == pytest.approx(exact, rel=3e-3)


def test_deviance_of_few_counts_has_the_moments_of_a_sample():
    rng = np.random.default_rng(2)
    for m in (0.02, 0.7, 5.0, 400.0):
        d = rng.poisson(m, 400_000).astype(float)
        sample = 2 * (m - d + np.where(d > 0, d * np.log(np.maximum(d, 1) / m), 0))
        mean, variance = moments_of_deviance(m)
        assert mean == pytest.approx(sample.mean(), abs=5 * sample.std() / math.sqrt(d.size))
        assert variance == pytest.approx(sample.var(), rel=0.05)
    # Many counts: χ² with one degree of freedom, and its first correction 1 + 1/(6m).
    assert moments_of_deviance(400.0) == pytest.approx((1 + 1 / 2400, 2.0), abs=6e-3)


@pytest.mark.parametrize(("tau", "n"), [(9.0, 400), (9.0, 10_000), (60.0, 10_000)])
def test_intervals_hold_the_truth_as_often_as_they_say(response, tau, n):
    rng, level, runs = np.random.default_rng(3), 0.8, 100
    fits = [
        fit_decay(
            histogram(drawn(rng, tau, n, n // 20)),
            WIDTH,
            period_ns=PERIOD,
            response=response,
            n_components=1,
            ci_level=level,
        )
        for _ in range(runs)
    ]
    hits = sum(bool(fit.tau_ns[0].contains(tau)) for fit in fits)
    # 80 of 100, within 3 standard deviations of a binomial.
    assert abs(hits - level * runs) < 3 * math.sqrt(runs * level * (1 - level))
    assert np.mean([fit.tau_ns[0].value for fit in fits]) == pytest.approx(tau, rel=0.05)
    assert abs(np.mean([fit.deviance_z for fit in fits])) < 0.35


def test_two_components_are_found_and_one_is_not_split(response):
    rng = np.random.default_rng(4)
    both = np.concatenate([drawn(rng, 1.0, 9000), drawn(rng, 9.0, 21_000, 300)])
    fit = fit_decay(histogram(both), WIDTH, period_ns=PERIOD, response=response, ci_level=0.999)
    assert len(fit.tau_ns) == 2
    assert all(q.contains(truth) for q, truth in zip(fit.tau_ns, (1.0, 9.0), strict=True))
    assert fit.intensity_fraction[0].contains(0.3)
    amplitude = (0.3 / 1) / (0.3 / 1 + 0.7 / 9)
    assert fit.amplitude_fraction[0].contains(amplitude)
    assert fit.tau_intensity_ns.contains(0.3 * 1 + 0.7 * 9)
    assert fit.tau_amplitude_ns.contains(1 / (0.3 / 1 + 0.7 / 9))
    one = fit_decay(histogram(drawn(rng, 9.0, 30_000, 300)), WIDTH, period_ns=PERIOD, response=response)
    assert len(one.tau_ns) == 1


def test_shift_and_width_of_a_gaussian_are_found():
    rng = np.random.default_rng(5)
    counts = histogram(drawn(rng, 6.0, 100_000, begin=20.0, fwhm=0.8))
    start = gaussian_response(0.4, WIDTH, N_BINS, 50.0, fit_width=True)
    fit = fit_decay(counts, WIDTH, period_ns=PERIOD, response=start, n_components=1)
    assert 50.0 + fit.shift_ns == pytest.approx(20.0, abs=0.02)
    assert fit.response_fwhm_ns == pytest.approx(0.8, rel=0.03)


def test_atto550_on_dna(shared_data):
    def read(name):
        return np.loadtxt(shared_data / "photons" / f"Atto550_{name}.txt", skiprows=10)[:, 1]

    width = 2.743484e-2
    fit = fit_decay(read("DNA"), width, response=measured_response(read("irf"), width), n_components=2)
    assert fit.tau_intensity_ns.value == pytest.approx(3.7, abs=0.05)
    assert fit.tau_amplitude_ns.value == pytest.approx(3.2, abs=0.05)
    # What the electronics never recorded is not fitted as darkness.
    assert fit.first_bin == 202
    record = ParticleRecord(**fit.record_fields())
    assert record.frac_basis == "intensity" and "intensity-weighted" in record.lifetime_model


def test_what_does_not_fit_together_is_refused(response):
    counts = histogram(drawn(np.random.default_rng(6), 9.0, 1000))
    with pytest.raises(InputError, match=r"response has bins of 0\.05 ns and the decay of 0\.1 ns"):
        fit_decay(counts, WIDTH, response=gaussian_response(0.3, 0.05, N_BINS, 5.0))
    with pytest.raises(InputError, match="after the laser's period of 20 ns"):
        fit_decay(counts, WIDTH, period_ns=20.0, response=response)
    with pytest.raises(InputError, match="needs at least 20"):
        fit_decay(np.r_[np.ones(10), np.zeros(50)], WIDTH, response=gaussian_response(0.3, WIDTH, 60))
    with pytest.raises(InputError, match="none negative"):
        fit_decay(-counts, WIDTH)
    with pytest.raises(InputError, match="holds no counts"):
        measured_response(np.zeros(100), WIDTH)
    assert "no response function" in fit_decay(counts, WIDTH, period_ns=PERIOD).warnings[0]


def test_segments_of_on_and_gray(response):
    rng = np.random.default_rng(7)
    truth = np.tile([9.0, 1.0], 100)
    pieces = [drawn(rng, tau, 500 if tau > 5 else 200, 10) for tau in truth]
    number = np.array([piece.size for piece in pieces])
    first = np.concatenate([[0], np.cumsum(number)[:-1]])
    delay = (np.concatenate(pieces) / WIDTH).astype(np.int32)
    start = np.arange(200) * 0.05
    options = dict(bin_width_ns=WIDTH, n_bins=N_BINS, period_ns=PERIOD, response=response, background_cps=200.0)
    found = fit_segments(delay, first, number, start, start + 0.05, ci_level=0.8, **options)
    hits = ((found.tau_lo_ns <= truth) & (truth <= found.tau_hi_ns)).sum()
    assert abs(hits - 160) < 3 * math.sqrt(200 * 0.8 * 0.2)
    assert found.tau_ns[::2].mean() == pytest.approx(9.0, rel=0.02)
    assert found.tau_ns[1::2].mean() == pytest.approx(1.0, rel=0.02)
    assert found.rate_cps[::2] == pytest.approx(number[::2] / 0.05)
    # The same fit as that of a whole decay, by another road.
    counts = np.bincount(delay[first[0] : first[0] + number[0]], minlength=N_BINS)
    whole = fit_decay(
        counts,
        WIDTH,
        period_ns=PERIOD,
        response=response,
        n_components=1,
        shift_ns=0.0,
        background_per_bin=0.01,
        ci_level=0.8,
    )
    quantity = whole.tau_ns[0]
    assert (found.tau_ns[0], found.tau_lo_ns[0], found.tau_hi_ns[0]) == pytest.approx(
        (quantity.value, quantity.lo, quantity.hi), rel=5e-3
    )
    chart = flid(found)
    assert chart.time_s.sum() == pytest.approx(10.0)
    few = fit_segments(delay, first, number, start, start + 0.05, **options, min_photons=300)
    assert np.isnan(few.tau_ns[1::2]).all() and np.isfinite(few.tau_ns[::2]).all()


def test_bursts_are_equal_pieces_of_time(response):
    rng = np.random.default_rng(8)
    time = np.sort(rng.uniform(0, 2, 4000))
    delay = (drawn(rng, 9.0, 4000) / WIDTH).astype(int)
    found = fit_bursts(delay, time, 2.0, 0.5, bin_width_ns=WIDTH, n_bins=N_BINS, period_ns=PERIOD, response=response)
    assert found.num_photons.sum() == 4000 and found.tau_ns.size == 4
    assert (found.tau_lo_ns < 9.0).any() and (np.abs(found.tau_ns / 9.0 - 1) < 0.15).all()
    with pytest.raises(InputError, match="do not fit"):
        fit_bursts(delay, time, 2.0, 3.0, bin_width_ns=WIDTH, n_bins=N_BINS)
    with pytest.raises(InputError, match="not among the 4000"):
        fit_segments(delay, [0], [5000], [0], [2], bin_width_ns=WIDTH, n_bins=N_BINS)


def test_without_numba_one_sentence_says_what_to_install():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from midgap.experiment.decays.lifetimes import fit_decay\n"
        "from midgap.structures.errors import InputError\n"
        "try: fit_decay([5] * 20, 0.1)\n"
        "except InputError as error: print(error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs numba" in shown.stdout and "pip install 'midgap[photons]'" in shown.stdout
