"""Likelihoods against closed forms and quadrature, odds against simulated ensembles of known truth."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import linregress, multivariate_normal, norm, t

from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.collected import Data, collect
from midgap.experiment.evidence.ensembles import ensembles
from midgap.experiment.evidence.likelihoods import evidence_of, log_evidence
from midgap.experiment.evidence.next_step import information_bits, next_steps
from midgap.experiment.evidence.observables import OBSERVABLES, measured, of_the_ensemble
from midgap.experiment.evidence.odds import Totals, odds, parse_priors, totals
from midgap.experiment.evidence.population import Z95, Measurements, Population
from midgap.experiment.evidence.predictions import Assumption, Prediction, SizeCurve, Uncertainty, split_normal
from midgap.experiment.records import IntensityLevel, ParticleRecord, Quantity, Records
from midgap.structures.errors import InputError

PEAK, LIFETIME = OBSERVABLES["pl_peak_eV"], OBSERVABLES["tau_av_ns"]
KNOWN = Assumption()


def interval(value, below, above=None):
    """A value with these standard deviations."""
    return Quantity(value=value, lo=value - Z95 * below, hi=value + Z95 * (below if above is None else above))


def energy(value, error, **fields):
    return Prediction(
        observable="pl_peak_eV", value=value, uncertainties=(Uncertainty(source="all", value=error),), **fields
    )


def candidate(name, *predictions, **fields):
    return Candidate(name=name, label=name, origin=fields.pop("origin", "user"), predictions=predictions, **fields)


def particles(*quantities, **fields):
    return Records(
        records=tuple(
            ParticleRecord(particle_id=str(i), pl_peak_eV=q, **{k: v[i] for k, v in fields.items()})
            for i, q in enumerate(quantities)
        )
    )


def of(numbers, observable=PEAK, of_mean=False):
    return Measurements.of(numbers, [of_mean] * len(numbers), observable)


def test_one_measurement_is_a_normal_density():
    data = of([interval(2.38, 0.01)], of_mean=True)
    found = log_evidence(Population.of(data, PEAK), energy(2.2, 0.1), (0.1, 0.1))
    assert found == pytest.approx(norm.logpdf(2.38, 2.2, math.hypot(0.1, 0.01)), abs=1e-3)


def test_an_exact_prediction_and_one_far_away():
    data = of([interval(2.38, 0.01)], of_mean=True)
    for value, width in ((2.39, 1e-6), (3.9, 0.05), (0.5, 0.2)):
        found = log_evidence(Population.of(data, PEAK), energy(value, width), (width, width))
        assert found == pytest.approx(norm.logpdf(2.38, value, math.hypot(width, 0.01)), rel=2e-3, abs=1e-3)


def test_many_particles_share_the_error_of_the_prediction():
    """With a spread that is known the evidence is one multivariate normal density."""
    random = np.random.default_rng(3)
    error = random.uniform(0.002, 0.02, 40)
    value = 2.39 + 0.03 * random.standard_normal(40) + error * random.standard_normal(40)
    data = of([interval(v, e) for v, e in zip(value, error, strict=True)])
    covariance = np.diag(error**2 + 0.03**2) + 0.2**2
    found = log_evidence(Population.of(data, PEAK, spread=0.03), energy(2.2, 0.2), (0.2, 0.2))
    assert found == pytest.approx(multivariate_normal.logpdf(value, np.full(40, 2.2), covariance), abs=2e-3)


def test_unknown_spread_is_integrated_over_its_prior():
    value, error = np.array([2.37, 2.41, 2.40]), np.array([0.01, 0.005, 0.02])
    mean, spread = np.linspace(1.6, 3.2, 1601)[:, None], np.geomspace(1e-5, 20, 1200)[None]
    joint = norm.pdf(mean, 2.3, 0.1) * 2 * t.pdf(spread, 4, scale=PEAK.spread_scale)
    for v, e in zip(value, error, strict=True):
        joint = joint * norm.pdf(v, mean, np.sqrt(e**2 + spread**2))
    whole = np.trapezoid(np.trapezoid(joint, spread[0], axis=1), mean[:, 0])
    data = of([interval(v, e) for v, e in zip(value, error, strict=True)])
    found = log_evidence(Population.of(data, PEAK), energy(2.3, 0.1), (0.1, 0.1))
    assert found == pytest.approx(math.log(whole), abs=0.02)


@pytest.mark.parametrize("mean", [2.2, 2.37, 2.38, 2.42, 2.9])
def test_unequal_errors_and_a_spread(mean):
    data = of([interval(2.38, 0.02, 0.05)])
    spread = 0.03
    exact = quad(
        lambda x: split_normal(np.array([x]), 2.38, 0.02, 0.05)[0] * norm.pdf(x, mean, spread),
        1.8, 3.2, points=[2.38, mean], epsabs=1e-14, limit=400,
    )[0]  # fmt: skip
    assert data.log_density(np.array([mean]), spread)[0, 0] == pytest.approx(math.log(exact), abs=1e-3)


@pytest.mark.parametrize("mean", [2.0, 2.39, 2.45, 3.5])
def test_bounds_are_the_probability_to_lie_within(mean):
    data = of([Quantity(lo=2.30, hi=2.48), Quantity(hi=2.48), Quantity(lo=2.30)])
    found = data.log_density(np.array([mean]), 0.04)[:, 0]
    width = math.hypot(0.04, PEAK.feasible)
    # From the side where the integrals are small: their difference is exact there.
    inner = norm.sf(2.30, mean, width) - norm.sf(2.48, mean, width)
    if mean > 2.39:
        inner = norm.cdf(2.48, mean, width) - norm.cdf(2.30, mean, width)
    expected = [math.log(inner), norm.logcdf(2.48, mean, width), norm.logsf(2.30, mean, width)]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("relation", ["equals", "at_most", "at_least"])
@pytest.mark.parametrize("factor", [1.001, 1.3])
def test_densities_are_normalised(relation, factor):
    prediction = Prediction(
        observable="tau_av_ns", value=20.0, relation=relation, uncertainties=(Uncertainty(source="all"),)
    )
    widths = prediction.widths(Assumption(unknown_factor=factor))
    nodes = prediction.nodes(widths)
    assert np.trapezoid(prediction.density(nodes, widths), nodes) == pytest.approx(1.0, abs=2e-3)


def test_a_radiative_lifetime_bounds_from_above():
    """τ = η τ_rad with η even from 0 to 1 and τ_rad log-normal, by drawing them."""
    random = np.random.default_rng(0)
    drawn = np.log(random.random(400_000) * 20.0 * np.exp(0.3 * random.standard_normal(400_000)))
    prediction = Prediction(observable="tau_av_ns", value=20.0, relation="at_most")
    counts, edges = np.histogram(drawn, bins=np.linspace(0.0, 4.0, 41))
    expected = prediction.density(0.5 * (edges[1:] + edges[:-1]), (0.3, 0.3)) * 0.1 * drawn.size
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())


def test_a_yield_that_is_known_to_be_no_less_and_lifetimes_of_equal_weight():
    """τ = η τ_rad with η even from 0.6 to 1 and τ_rad log-normal round 20 or 60 ns, by drawing them."""
    random = np.random.default_rng(1)
    n = 400_000
    middle = random.choice([20.0, 60.0], n)
    drawn = np.log(random.uniform(0.6, 1.0, n) * middle * np.exp(0.3 * random.standard_normal(n)))
    prediction = Prediction(
        observable="tau_av_ns", value=35.0, relation="at_most", least_fraction=0.6, alternatives=[20.0, 60.0]
    )
    counts, edges = np.histogram(drawn, bins=np.linspace(1.5, 5.5, 41))
    expected = prediction.density(0.5 * (edges[1:] + edges[:-1]), (0.3, 0.3)) * 0.1 * n
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())
    nodes = prediction.nodes((0.3, 0.3))
    assert np.trapezoid(prediction.density(nodes, (0.3, 0.3)), nodes) == pytest.approx(1.0, abs=2e-3)


def test_more_particles_do_not_make_a_prediction_better():
    """Of 400 particles the mean is as good as exact: what is left is the prediction's own density there."""
    random = np.random.default_rng(5)
    value = 2.39 + 0.02 * random.standard_normal(400)
    population = Population.of(of([interval(v, 0.003) for v in value]), PEAK)
    near, far = (log_evidence(population, energy(v, s), (s, s)) for v, s in ((2.30, 0.1), (2.0, 0.2)))
    exact = norm.logpdf(value.mean(), 2.30, 0.1) - norm.logpdf(value.mean(), 2.0, 0.2)
    assert near - far == pytest.approx(exact, abs=0.01)
    mean, spread = population.summary(PEAK, 400)
    assert mean.value == pytest.approx(value.mean(), abs=2e-4)
    assert 0.5 * (mean.hi - mean.lo) == pytest.approx(Z95 * value.std() / 20, rel=0.05)
    assert spread.lo < value.std() < spread.hi
    assert spread.hi / spread.lo == pytest.approx(1 + 2 * Z95 / math.sqrt(2 * 400), rel=0.05)


def test_intervals_of_mean_and_spread_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(11)
    held = np.zeros(2)
    for _ in range(120):
        error = random.uniform(0.005, 0.02, 12)
        value = 2.4 + 0.03 * random.standard_normal(12) + error * random.standard_normal(12)
        found = Population.of(of([interval(v, e) for v, e in zip(value, error, strict=True)]), PEAK).summary(PEAK, 12)
        held += [q.lo < truth < q.hi for q, truth in zip(found, (2.4, 0.03), strict=True)]
    assert np.all(held >= 0.95 * 120 - 3.5 * math.sqrt(120 * 0.95 * 0.05))


def test_odds_are_calibrated():
    """Nature draws a candidate by its prior, the error of its prediction, a spread, particles and their errors.

    Over bins of the probability that is given, the candidate is the true one as often as said (3.5 standard deviations).
    """
    random = np.random.default_rng(7)
    predictions = {"a": (2.30, 0.08), "b": (2.45, 0.05), "c": (2.40, 0.30)}
    priors = {"a": 0.5, "b": 0.3, "c": 0.2}
    rivals = [candidate(name, energy(value, error)) for name, (value, error) in predictions.items()]
    given, true = [], []
    for _ in range(200):
        truth = random.choice(list(priors), p=list(priors.values()))
        centre = random.normal(*predictions[truth])
        spread = abs(PEAK.spread_scale * random.standard_t(4))
        error = random.uniform(0.003, 0.05, random.integers(1, 7))
        value = centre + np.hypot(spread, error) * random.standard_normal(error.size)
        numbers = of([interval(v, e) for v, e in zip(value, error, strict=True)])
        data = Data(PEAK, numbers, np.arange(error.size), np.full(error.size, np.nan))
        evidence = evidence_of(rivals, {"pl_peak_eV": data}, error.size, [KNOWN], 0)
        posterior = odds(totals(rivals, evidence, 1), priors)
        given += posterior.probability[0].tolist()
        true += [name == truth for name in posterior.candidates]
    p, hit = np.array(given), np.array(true, dtype=float)
    bins = np.digitize(p, [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
    for b in np.unique(bins):
        here = bins == b
        surprise = (hit[here] - p[here]).sum() / math.sqrt((p[here] * (1 - p[here])).sum())
        assert abs(surprise) < 3.5, (b, here.sum(), p[here].mean(), hit[here].mean())
    assert np.mean((p - hit) ** 2) < np.mean((np.tile(list(priors.values()), 200) - hit) ** 2) - 0.02


def test_candidates_that_go_with_size():
    """Particles at the energies of a curve, each at its own size: as if all had one size and its energy."""
    sizes = np.linspace(5.0, 15.0, 9)
    curve = SizeCurve(size_nm=[4.0, 20.0], value=[2.60, 2.28])
    prediction = energy(2.44, 0.02, by_size=curve)
    records = particles(
        *(interval(2.60 - 0.02 * (s - 4.0) + 0.01, 0.005) for s in sizes), size_nm=[Quantity(value=s) for s in sizes]
    )
    (found,) = evidence_of([candidate("dot", prediction)], collect(records), 9, [KNOWN], 0)
    (plain,) = evidence_of(
        [candidate("dot", energy(2.44, 0.02))], collect(particles(*[interval(2.45, 0.005)] * 9)), 9, [KNOWN], 0
    )
    assert found.log_evidence == pytest.approx(plain.log_evidence, abs=1e-6)
    assert found.residuals == pytest.approx(np.full(9, 0.01 / math.hypot(0.02, 0.005)), rel=1e-3)
    nobody = evidence_of([candidate("dot", prediction)], collect(particles(interval(2.4, 0.01))), 1, [KNOWN], 0)
    assert nobody == (), "no record states its size"


def test_what_of_a_record_is_compared():
    on = IntensityLevel(name="ON", tau_1_ns=9.0)
    assert measured(ParticleRecord(levels=(on,)), "tau_av_ns") == Quantity(value=9.0)
    assert measured(ParticleRecord(levels=(on,), tau_av_ns=Quantity(value=5)), "tau_av_ns") == Quantity(value=5)
    assert measured(ParticleRecord(tau_i_ns=(Quantity(value=1), Quantity(value=9))), "tau_av_ns") is None
    gated = ParticleRecord(g2_0_raw=Quantity(value=0.4), g2_0_gated=Quantity(value=0.1))
    assert measured(gated, "g2_0") == Quantity(value=0.1)


def test_the_width_of_an_ensemble_is_a_bound():
    records = Records(records=(ParticleRecord(kind="ensemble", pl_fwhm_meV=Quantity(value=105, lo=103, hi=107)),))
    data = collect(records)["pl_fwhm_meV"]
    assert data.measurements.is_bound.all() and data.measurements.hi == pytest.approx([math.log(107)])
    narrow, wide = (
        evidence_of(
            [candidate("x", Prediction(observable="pl_fwhm_meV", value=w, lo=w * 0.95, hi=w * 1.05))],
            {"pl_fwhm_meV": data}, 1, [KNOWN], 0,
        )[0].log_evidence[0]
        for w in (60, 180)
    )  # fmt: skip
    assert narrow == pytest.approx(0.0, abs=1e-4) and wide < -20


def test_slope_with_size_is_that_of_least_squares():
    random = np.random.default_rng(2)
    sizes = random.uniform(8, 30, 25)
    energies = 2.4 - 0.002 * sizes + 0.01 * random.standard_normal(25)
    records = particles(*(Quantity(value=v) for v in energies), size_nm=[Quantity(value=s) for s in sizes])
    slope = of_the_ensemble(records.records)["pl_size_slope_meV_per_nm"]
    fit = linregress(sizes, 1e3 * energies)
    assert slope.value == pytest.approx(fit.slope)
    assert 0.5 * (slope.hi - slope.lo) == pytest.approx(2.0687 * fit.stderr, rel=1e-4)  # Student, 23 degrees of freedom


def test_candidates_are_compared_on_what_all_predict():
    tau = Prediction(observable="tau_av_ns", value=9.0, lo=8.0, hi=10.0)
    records = Records(
        records=(ParticleRecord(pl_peak_eV=interval(2.38, 0.01), tau_av_ns=Quantity(value=9.0, lo=8.5, hi=9.5)),)
    )
    both, one = candidate("both", energy(2.4, 0.1), tau), candidate("one", energy(2.4, 0.1))
    dark = candidate("no energy", tau)
    evidence = evidence_of([both, one, dark], collect(records), 1, [KNOWN], 0)
    total = totals([both, one, dark], evidence, 1)
    assert total.observables == ("pl_peak_eV",) and total.candidates == ("both", "one")
    assert total.left_out == {"tau_av_ns": "not predicted by one", "no energy": "the PL energy is not predicted"}
    assert total.log_evidence[0, 0] == pytest.approx(total.log_evidence[0, 1])


def test_bayes_rule_and_its_refusals():
    total = Totals(
        observables=("pl_peak_eV",), candidates=("a", "b"), left_out={}, log_evidence=[[math.log(0.2), math.log(0.6)]]
    )
    found = odds(total, {"a": 3, "b": 1})
    assert found.priors == {"a": 0.75, "b": 0.25} and found.probability[0] == pytest.approx([0.5, 0.5])
    assert odds(total, "uniform").probability[0] == pytest.approx([0.25, 0.75])
    assert odds(total, parse_priors("a=0,b=2")).probability[0] == pytest.approx([0, 1])
    three = Totals(
        observables=("pl_peak_eV",), candidates=("a", "b", "c"), left_out={}, log_evidence=[np.log([0.5, 0.4, 0.1])]
    )
    closer = Totals(
        observables=("pl_peak_eV", "tau_av_ns"), candidates=("b", "a"), left_out={}, log_evidence=[np.log([0.8, 0.1])]
    )
    shared = odds(three, "uniform", closer)  # a and b have 0.9 together, and share it 1 to 8
    assert shared.probability[0] == pytest.approx([0.1, 0.8, 0.1])
    assert "among those that are left by PL energy and lifetime" in shared.note
    for wrong, said in (
        ({"c": 1}, "no candidate 'c'"),
        ({"a": -1}, "not below zero"),
        ({"a": 0}, "one at least above"),
    ):
        with pytest.raises(InputError, match=said):
            odds(total, wrong)
    for text in ("a", "a=", "=1", "a=x", ""):
        with pytest.raises(InputError, match="NAME=WEIGHT"):
            parse_priors(text)


def test_information_of_two_signals_in_noise():
    """±1 in noise of standard deviation 1 carries 0.486 bits: the capacity of binary signalling at 0 dB."""
    x = np.linspace(-9, 9, 4001)
    outcomes = np.stack([norm.pdf(x, -1), norm.pdf(x, 1)])
    assert information_bits(np.array([0.5, 0.5]), outcomes) == pytest.approx(0.486, abs=0.001)
    assert information_bits(np.array([0.5, 0.5]), outcomes[[0, 0]]) == 0
    apart = np.stack([norm.pdf(x, -5, 0.1), norm.pdf(x, 0, 0.1), norm.pdf(x, 5, 0.1)])
    assert information_bits(np.full(3, 1 / 3), apart) == pytest.approx(math.log2(3))


def steps(rivals, records, weights=None):
    weights = weights or {c.name: 1 / len(rivals) for c in rivals}
    return next_steps(rivals, weights, collect(records), KNOWN)


def test_a_measurement_is_worth_what_the_predictions_differ_by():
    """Nothing measured yet: ± 0.1 eV around two energies 0.2 eV apart is ±1 in noise of 1."""
    one, other = candidate("one", energy(2.3, 0.1)), candidate("other", energy(2.5, 0.1))
    (step,) = steps([one, other], Records(records=()))
    assert (step.kind, step.observable) == ("measurement", "pl_peak_eV")
    assert step.information_bits == pytest.approx(0.486, abs=0.002)
    assert step.possible_bits == pytest.approx(1.0)
    (worthless,) = steps([one, candidate("twin", energy(2.3, 0.1))], Records(records=()))
    assert worthless.information_bits < 1e-6, "which is worth saying of a measurement"
    assert steps([one], Records(records=()), {"one": 1.0}) == ()


def test_a_calculation_is_worth_what_it_is_expected_to_change():
    """Against drawing outcomes and applying Bayes' rule to each, all densities normal."""
    loose, firm = candidate("loose", energy(2.2, 0.4), origin="levels"), candidate("firm", energy(2.39, 0.1))
    records = Records(records=(ParticleRecord(kind="ensemble", pl_peak_eV=interval(2.38, 0.01)),))
    left, scatter = PEAK.feasible_by_theory, math.sqrt(0.4**2 - PEAK.feasible_by_theory**2)
    (step,) = [s for s in steps([loose, firm], records) if s.kind == "calculation" and s.candidate == "loose" and s.observable == "pl_peak_eV"]  # fmt: skip
    random = np.random.default_rng(1)
    error = math.hypot(left, 0.01)
    gain = (2.38 - 2.2) * scatter**2 / (scatter**2 + error**2)
    narrow = scatter * error / math.hypot(scatter, error)
    true = random.random(200_000) < 0.5
    outcome = np.where(true, random.normal(gain, narrow, true.size), random.normal(0, scatter, true.size))
    ratio = norm.pdf(outcome, gain, narrow) / norm.pdf(outcome, 0, scatter)
    p = ratio / (1 + ratio)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(np.maximum(1 - p, 1e-300)))
    assert step.information_bits == pytest.approx(1 - entropy.mean(), abs=0.005)
    assert not [s for s in steps([loose, firm], records) if s.candidate == "firm" and s.observable == "pl_peak_eV"]


def test_ensembles_say_what_was_measured_and_what_only_bounded():
    three = particles(interval(2.38, 0.01), Quantity(lo=2.3, hi=2.5), interval(2.42, 0.01))
    found = ensembles(collect(three), three)
    assert [(e.observable, e.n, e.n_bounds) for e in found] == [("pl_peak_eV", 3, 1)]
    assert found[0].spread is not None
    one = particles(interval(2.38, 0.01))
    alone = ensembles(collect(one), one)
    assert alone[0].spread is None, "one particle tells nothing of others"


@pytest.mark.parametrize(
    "quantity",
    [
        Quantity(hi=0.0),  # bounds no number of emitters
        Quantity(value=0.0, hi=2.0),
        Quantity(value=1.0, lo=0.0, hi=1.0),
        Quantity(value=1.0, lo=1.0, hi=1.0),
        Quantity(value=1e-9),
        Quantity(value=1e9, lo=1.0),
        Quantity(lo=1e9),
    ],
)
def test_numbers_at_the_edge_give_finite_evidence(quantity):
    records = Records(records=tuple(ParticleRecord(n_emitters_M=quantity) for _ in range(3)))
    rivals = [
        candidate("one", Prediction(observable="n_emitters_M", value=1.0)),
        candidate("few", Prediction(observable="n_emitters_M", value=3.0, relation="at_most")),
        candidate("many", Prediction(observable="n_emitters_M", value=2.0, relation="at_least")),
    ]
    data = collect(records)
    evidence = evidence_of(rivals, data, 3, [KNOWN, Assumption(unknown_factor=2.0)], 0)
    assert all(np.isfinite(e.log_evidence).all() and np.isfinite(e.log_likelihood).all() for e in evidence)
    assert all(0 <= step.information_bits <= math.log2(3) + 1e-9 for step in steps(rivals, records))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"observable": "tau_av_ns", "value": -1}, "positive"),
        ({"observable": "pl_peak_eV", "value": 2.4, "relation": "at_most"}, "only a linewidth"),
        ({"observable": "pl_peak_eV", "value": 2.4, "lo": 2.5, "hi": 2.6}, "does not hold the value"),
        ({"observable": "pl_peak_eV", "value": 2.4, "lo": 2.3}, "needs lo and hi"),
        ({"observable": "pl_peak_eV", "value": 2.4, "alternatives": []}, "one or more numbers"),
        ({"observable": "pl_peak_eV", "value": 2.4, "by_size": {"size_nm": [5, 4], "value": [1, 2]}}, "ascend"),
    ],
)
def test_predictions_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(InputError, match=said):
        Prediction.from_dict(fields)
