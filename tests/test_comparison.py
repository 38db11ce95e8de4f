import json
import re

import numpy as np
import pytest
from levels_example import HSE_SOC, crystal, example, level, octahedron, pristine, report, vacancy

from midgap.defects.report import Alignment, Levels
from midgap.experiment.comparison import (
    CAVEATS,
    Comparison,
    best_theory,
    compare,
    filling,
    published_rows,
    published_values,
)
from midgap.experiment.evidence import stated
from midgap.experiment.evidence.predictions import Assumption
from midgap.experiment.evidence.stated import predicted, signed, text
from midgap.experiment.records import ParticleRecord, Quantity, Records, published_records
from midgap.report.page_data import derived_numbers
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

PL = published_records("Cs4PbBr6")


def compare_one(*reports, models=(), records=PL):
    return compare(Levels(reports=reports, models=models), records)


def transitions(comparison):
    return [(c.transition, round(c.energy_eV, 6)) for c in comparison.candidates if c.origin == "levels"]


def test_round_trip(tmp_path):
    comparison = compare(example(), PL)
    assert Comparison.read(comparison.write(tmp_path / "c.json")) == comparison


@pytest.mark.parametrize(
    ("electrons", "states", "expected"),
    [
        (0, 2, [("CBM → level", 1.78)]),
        (1, 1, [("level → VBM", 2.44)]),
        (2, 2, [("level → VBM", 2.44)]),
        (1, 2, [("level → VBM", 2.44), ("CBM → level", 1.78)]),
    ],
)
def test_the_occupation_decides_the_transition(electrons, states, expected):
    model = vacancy(0)
    comparison = compare_one(report(model, 4.22, level(2.44, electrons, degeneracy=states)), models=(model,))
    assert transitions(comparison) == expected


def test_resonant_levels_and_hosts_of_vacancies_are_no_candidates():
    model = vacancy(0)
    comparison = compare_one(report(model, 4.22, level(4.5, 0, kind="resonant")), models=(model,))
    assert transitions(comparison) == []
    assert "no transition was found" in comparison.answer


def test_residuals_by_record():
    """520 nm is 2.38431 eV, its interval 500 to 540 nm; V_Br⁰ is 0.05569 eV above, known to ± 0.06 eV."""
    records = Records(
        records=(
            ParticleRecord(kind="ensemble", pl_peak_nm=Quantity(value=520, lo=500, hi=540)),
            ParticleRecord(pl_peak_nm=Quantity(lo=500, hi=540)),
            ParticleRecord(tau_av_ns=Quantity(value=9)),
        )
    )
    comparison = compare(example(), records, assumptions=(Assumption(),))
    found = {c.model: c for c in comparison.candidates if c.origin == "levels"}
    assert found["V_Br_q0"].wavelength_nm == pytest.approx(508.13, abs=0.01)
    evidence = comparison.of("V_Br_q0:level-VBM", "pl_peak_eV")
    above = (2.47968 - 2.38431) / 1.95996
    assert evidence.residuals[0] == pytest.approx((2.38431 - 2.44) / np.hypot(above, 0.06), rel=2e-3)
    assert np.isnan(evidence.residuals[1:]).all(), "one record has bounds and no value, the other nothing"
    assert np.isfinite(evidence.log_likelihood[:2]).all() and np.isnan(evidence.log_likelihood[2:]).all()
    assert (evidence.n, evidence.n_bounds) == (2, 1)


def test_a_detection_band_is_no_measured_maximum():
    """500 to 540 nm is 2.29600 to 2.47968 eV; what lies between is as good as all else there."""
    comparison = compare(example(), PL)
    energy = comparison.ensemble("pl_peak_eV")
    assert energy.from_band and energy.mean is None and energy.spread is None
    assert (energy.bounds.value, energy.n, energy.n_bounds) == (None, 1, 1), "one filter is one measurement"
    assert [(one.record, one.reason) for one in energy.set_aside] == [
        (0, "the same filter as 0D Cs4PbBr6 · Fig. 3, ⟨N⟩ = 0.2")
    ]
    assert (energy.bounds.lo, energy.bounds.hi) == pytest.approx((2.29600, 2.47968), abs=1e-5)
    assert comparison.of("V_Br_q0:level-VBM", "pl_peak_eV").ensemble_residual == 0  # 2.44 eV
    farther = comparison.of("pristine:CBM-VBM", "pl_peak_eV").ensemble_residual  # 4.22 eV, of 0.2 eV assumed
    assert farther == pytest.approx((2.47968 - 4.22) / np.hypot(0.2, 0.005), rel=1e-4)
    assert "in the band of 2.296 to 2.480 eV (500 to 540 nm); no maximum of the spectrum was read" in comparison.answer
    assert "no maximum was read" in energy.note


def test_of_one_particle_one_record_enters():
    """That of the weakest excitation; a value before a bound; what is left out is said."""

    def particle(name, power, **fields):
        return ParticleRecord(particle_id=name, mean_excitons=Quantity(value=power), **fields)

    records = Records(
        records=(
            particle("a", 1.3, n_emitters_M=Quantity(value=2)),
            particle("a", 0.2, n_emitters_M=Quantity(value=1)),
            particle("a", 0.1, n_emitters_M=Quantity(lo=1)),
            particle("b", 1.0, n_emitters_M=Quantity(value=3), tau_i_ns=(Quantity(value=1), Quantity(value=9))),
            ParticleRecord(n_emitters_M=Quantity(value=3)),
            ParticleRecord(tau_av_ns=Quantity(value=9)),
        )
    )
    comparison = compare(example(), records)
    emitters, lifetime = comparison.ensemble("n_emitters_M"), comparison.ensemble("tau_av_ns")
    assert emitters.entered == (1, 3, 4)
    assert [(one.record, one.reason) for one in emitters.set_aside] == [
        (0, "the same particle as a, ⟨N⟩ = 0.2"),
        (2, "the same particle as a, ⟨N⟩ = 0.2"),
    ]
    assert [(one.record, one.reason) for one in lifetime.set_aside] == [(3, "2 lifetimes and no average")]
    assert [q.value for q in emitters.values] == [1, 3, 3] and emitters.mean is None, "picked, so without a mean"
    assert text(stated.measured(emitters)) == "1, 3, 3"


def test_the_printed_numbers_give_the_residual():
    """σ is the root of the sum of the squares of what is printed: known, assumed, and the measurement's own."""
    records = Records(records=(ParticleRecord(kind="ensemble", pl_peak_eV=Quantity(value=2.4, lo=2.302, hi=2.498)),))
    comparison = compare(example(), records)
    energy = comparison.candidate("V_Br_q1:CBM-level").prediction("pl_peak_eV")  # 0.41 eV
    pieces = predicted(energy, comparison.assumptions[comparison.reference], words=True)
    assert text(pieces) == "0.41 ± 0.06 (known) ± 0.20 (assumed) eV"
    printed = [float(piece.text) for piece in pieces if not isinstance(piece, str)]
    found = comparison.of("V_Br_q1:CBM-level", "pl_peak_eV").ensemble_residual
    assert found == pytest.approx((2.4 - printed[0]) / np.hypot(np.hypot(*printed[1:]), 0.05), abs=0.05)


def test_answer_names_what_fits_and_what_is_undecided():
    verdict, *fitting, measured, computed, published, following = compare(example(), PL).statements
    assert verdict.startswith("Undecided: two candidates fit the band in which light was detected")
    level_, inclusion = sorted(fitting, reverse=True)
    assert level_ == "V_Br⁰ · 21 atoms, singly occupied level → VBM: 2.44 ± 0.06 (known) ± 0.20 (assumed) eV."
    assert inclusion.startswith("CsPbBr3 inclusion: ") and "its size is free, so a weak test" in inclusion
    assert "showed no CsPbBr3" in inclusion, "what the numbers do not hold is said"
    assert "The other 3 candidates are" in verdict
    assert "5 transitions, of which 4 count as candidates" in computed
    assert measured.startswith("Measured: light was detected in the band")
    assert "level of the Br vacancy above the VBM 2.4 eV, ours" in published and "2.44 (V_Br⁰ · 21 atoms)" in published
    assert following.startswith("Next: compute the")


def test_candidates_that_are_left_are_held_against_all_that_they_predict():
    """The perfect crystal says nothing of a lifetime; once its energy has ruled it out, the lifetimes of the others count."""

    def lit(strength):
        def one(r):
            with_f = tuple(t.model_copy(update={"oscillator_strength": strength}) for t in r.transitions)
            return r.model_copy(update={"transitions": with_f}) if r.levels else r

        levels = example()
        return compare(levels.model_copy(update={"reports": tuple(map(one, levels.reports))}), PL)

    dark = lit(1e-4).statements[0]
    assert dark.startswith(
        "One candidate fits the band in which light was detected, which makes it possible, not proven"
    )
    assert "level → VBM fits in energy, but PL energy and lifetime together speak over 100 to 1 against it" in dark
    comparison = lit(0.01)
    total, left = comparison.totals, comparison.narrowed
    assert total.observables == ("pl_peak_eV",) and len(total.candidates) == 5
    assert left.observables == ("pl_peak_eV", "tau_av_ns")
    assert set(left.candidates) == {"V_Br_q0:level-VBM", "CsPbBr3-inclusion"}
    for name in left.candidates:
        i, both = left.candidates.index(name), (comparison.of(name, o).log_evidence for o in left.observables)
        assert left.log_evidence[:, i] == pytest.approx(sum(both))
    verdict, inclusion, vacancy_, *_ = comparison.statements
    assert verdict.startswith("Not settled: two candidates fit") and "to 1 for CsPbBr3 inclusion" in verdict
    apart = left.relative(comparison.reference)[left.candidates.index("V_Br_q0:level-VBM")]
    times = re.search(
        r"evidence is about (\d+) to 1 .* showed no CsPbBr3 .*; if that is (\d+) times as likely without", verdict
    )
    assert [float(x) for x in times.groups()] == pytest.approx([np.exp(-apart)] * 2, rel=0.35), "one digit"
    assert "microscopy" not in inclusion, "once is enough"
    assert "measured, not computed: its lifetime, 6.5 (6.0 to 7.0)" in inclusion
    parts = [
        comparison.of(n, "tau_av_ns").log_evidence[comparison.reference]
        for n in ("V_Br_q0:level-VBM", "CsPbBr3-inclusion")
    ]
    assert f"below (ln evidence {signed(parts[0] - parts[1])})" in vacancy_
    assert "against it speaks its lifetime, radiative" in vacancy_
    ours = derived_numbers(example(), comparison, PL)["parts"]["V_Br_q0:level-VBM"]
    assert set(ours) == set(left.observables) and sum(ours.values()) == pytest.approx(apart)
    share = np.exp(left.relative(comparison.reference))
    share /= share.sum()
    open_bits = -(share * np.log2(share)).sum()
    assert comparison.next_steps[0].possible_bits == pytest.approx(open_bits), "at the odds that are there"
    assert "n_emitters_M" in comparison.unrated and "pl_peak_eV" not in comparison.unrated
    assert {s.observable for s in comparison.next_steps if s.kind == "measurement"} == {"pl_peak_eV", "tau_av_ns"}


def test_answer_says_what_could_only_take_a_candidate_farther():
    """2.20 eV lies below the band, and what is not estimated of it lowers it; 2.44 eV lies in the band."""
    model = vacancy(0)
    for energy, said in ((2.20, True), (2.44, False)):
        levels = Levels(reports=(report(model, 4.22, level(energy, 1)),), models=(model,))
        told = compare(levels, PL, others=()).statements[1]
        farther = "electron-hole attraction, not estimated, would only lower it further"
        assert (farther in told) == said


def test_answer_when_nothing_fits():
    model = vacancy(1)
    levels = Levels(reports=(report(model, 4.22, level(3.81, 0, degeneracy=2)),), models=(model,))
    verdict = compare(levels, PL, others=()).statements[0]
    assert verdict.startswith(
        "No candidate fits: the nearest to the band in which light was detected, V_Br⁺ · 21 atoms, CBM → empty"
    )
    assert "0.41 ± 0.06 (known) ± 0.20 (assumed) eV" in verdict


def test_answer_when_one_candidate_fits():
    model = vacancy(0)
    levels = Levels(reports=(report(model, 4.22, level(2.52, 1)),), models=(model,))
    verdict = compare(levels, PL, others=()).statements[0]
    assert verdict.startswith(
        "One candidate fits the band in which light was detected, which makes it possible, not proven: V_Br⁰"
    )


def test_answer_without_measurement():
    records = Records(material="Cs4PbBr6", records=(ParticleRecord(sample_id="a", plqy=Quantity(value=0.5)),))
    comparison = compare(example(), records)
    assert "no record states the energy" in comparison.answer
    assert comparison.evidence == ()
    assert comparison.next_steps[0].what == "measure the PL energy of many particles"
    assert ("pl_peak_eV", None) in {(m.observable, m.candidate) for m in comparison.missing}


def sources(candidate):
    return {u.source: u.value for u in candidate.prediction("pl_peak_eV").uncertainties}


def test_uncertainty_is_known_or_said_to_be_not():
    by_model = {c.model: c for c in compare(example(), PL).candidates}
    vacancy_sources = sources(by_model["V_Br_q0"])
    assert vacancy_sources["potential alignment"] == 0.06
    assert vacancy_sources["functional"] is None
    assert vacancy_sources["level for a total energy"] is None
    assert "images of the charge" not in vacancy_sources
    assert "images of the charge" in sources(by_model["V_Br_q1"])
    assert by_model["pristine"].known_uncertainty_eV is None
    assert by_model["V_Br_q0"].known_uncertainty_eV == 0.06


def test_no_reference_means_no_alignment_uncertainty():
    model = vacancy(0)
    levels = report(model, 4.22, level(2.44, 1), alignment=Alignment(method="none"))
    (candidate,) = [c for c in compare_one(levels, models=(model,)).candidates if c.origin == "levels"]
    assert candidate.known_uncertainty_eV is None
    assert "no pristine reference" in candidate.prediction("pl_peak_eV").uncertainties[0].note


def test_published_values():
    values = {v.name: v.value_eV for v in published_values("Cs4PbBr6").values}
    assert list(values.values()) == [3.9, 2.4, 3.9]  # Nat. Commun. 10, 2930 (2019)
    assert all(v.theory.name == "hse06+soc" for v in published_values("Cs4PbBr6").values)


def test_rows_show_every_charge_state_from_plus_to_minus():
    rows = compare(example(), PL).published
    assert [(row.model, row.ours_eV, row.published_eV) for row in rows] == [
        ("pristine", 4.22, 3.9),
        ("V_Br_q1", 3.81, 2.4),
        ("V_Br_q0", 2.44, 2.4),
        ("V_Br_q-1", 3.40, 2.4),
        ("octahedron", 4.42, 3.9),
    ]
    assert rows[2].difference_eV == pytest.approx(0.04)
    assert rows[2].note == "singly occupied, deep, 83 % at the vacancy"
    assert rows[4].note == "[PbBr6]⁴⁻: not the neutral Cs4PbBr6 unit that was published"


def test_rows_need_the_same_theory_and_kind():
    model, cluster = pristine(), octahedron()
    other = LevelOfTheory(functional="HSE06", spin_orbit=True, exact_exchange=0.4)
    for theory in (LevelOfTheory.named("pbe+soc"), LevelOfTheory.named("hse06"), other):
        levels = Levels(reports=(report(model, theory=theory), report(cluster, theory=theory)), models=(model, cluster))
        rows = published_rows(levels, published_values("Cs4PbBr6"))
        assert [row.ours_eV for row in rows] == [None] * 3
        assert {row.note for row in rows} == {"not computed at HSE06+SOC"}


def test_a_vacancy_without_a_level_is_shown():
    model = vacancy(1)
    rows = compare_one(report(model), models=(model,)).published
    (row,) = [row for row in rows if row.model == model.name]
    assert (row.ours_eV, row.difference_eV, row.note) == (None, None, "no level in the gap")


def test_a_report_without_its_model():
    comparison = compare_one(report(vacancy(0), 4.22, level(2.44, 1)))
    assert transitions(comparison) == [("level → VBM", 2.44)]
    assert "without their model" in comparison.caveats[-1]
    assert all(row.ours_eV is None for row in comparison.published)


def test_another_material_is_said():
    comparison = compare(example(), published_records("CsPbBr3"))
    assert comparison.caveats == (*CAVEATS, "The levels are of Cs4PbBr6, the records of CsPbBr3.")


def test_wavelengths_alone_are_enough():
    records = Records(records=(ParticleRecord(pl_peak_nm=Quantity(value=520)),))
    assert compare(example(), records).ensemble("pl_peak_eV").mean.value == pytest.approx(2.3843, abs=1e-3)


def test_refusals():
    with pytest.raises(InputError, match="no level reports"):
        compare(Levels(reports=(), models=()), PL)
    twins = Levels(reports=(report(pristine()),), models=(pristine(), pristine().model_copy(update={"material": "X"})))
    with pytest.raises(InputError, match="Two different models are named 'pristine'"):
        compare(twins, PL)


def test_best_theory():
    theories = [LevelOfTheory.named(name) for name in ("pbe+soc", "hse06", "hse06+soc", "pbe")]
    assert best_theory([report(pristine(), theory=theory) for theory in theories]) == HSE_SOC


def test_filling():
    assert [filling(n, 2) for n in (0, 1, 2)] == ["empty", "half filled", "filled"]
    assert filling(0.5, 2) == "25 % filled"


def test_example_is_the_crystal():
    assert len(crystal()) == 22


@pytest.fixture
def run():
    """Run ``midgap compare``; gives exit code, stdout and the error."""
    import typer
    from typer.testing import CliRunner

    from midgap.cli import compare as module

    app = typer.Typer()
    app.command()(module.command)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_command_json(run, tmp_path):
    levels = example()
    page = tmp_path / "deep" / "page.html"
    result = run("--levels", levels.write(tmp_path / "levels.json"), "--json", "--report", page)
    assert result.exit_code == 0
    assert Comparison.from_dict(json.loads(result.stdout)) == compare(levels, PL)
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_command_tables(run, tmp_path):
    levels = example().write(tmp_path / "levels.json")
    records = PL.write(tmp_path / "records.json")
    result = run("--levels", levels, "--records", records)
    assert result.exit_code == 0
    assert "2.44 ± 0.06 ± 0.20" in result.stdout
    assert "half" not in result.stdout
    assert "level → VBM" in result.stdout


def test_command_takes_a_single_report(run, tmp_path):
    path = report(vacancy(0), 4.22, level(2.44, 1)).write(tmp_path / "report.json")
    result = run("--levels", path)
    assert isinstance(result.exception, InputError)
    assert "give measured records with --records" in str(result.exception)
    result = run("--levels", path, "--records", PL.write(tmp_path / "records.json"), "--json")
    assert [c["origin"] for c in json.loads(result.stdout)["candidates"]] == ["levels"], (
        "without a model nothing is known of the material"
    )


def test_command_refuses(run, tmp_path):
    result = run("--levels", tmp_path / "none.json")
    assert "there is no such file" in str(result.exception)
    levels = example().write(tmp_path / "levels.json")
    result = run("--levels", levels, "--report", tmp_path)
    assert "is a folder; name the HTML file" in str(result.exception)
