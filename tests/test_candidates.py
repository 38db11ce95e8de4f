"""Candidates from every source, and the command that compares them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from levels_example import HSE_SOC, example, level, pristine, report, vacancy
from pymatgen.core import IStructure, Structure

from midgap.defects.configuration_coordinate import from_four_energies
from midgap.defects.emission_study import emission_report
from midgap.defects.radiative import radiative_lifetime
from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison, compare
from midgap.experiment.evidence import tables
from midgap.experiment.evidence.candidates import Candidate, unique_names
from midgap.experiment.evidence.collected import collect
from midgap.experiment.evidence.emission_candidates import from_emission, read_emission
from midgap.experiment.evidence.level_candidates import from_levels
from midgap.experiment.evidence.lifetimes import (
    BETWEEN_CELLS,
    LARGEST_YIELD,
    least_yield,
    parse_refractive_index,
    surroundings_of,
)
from midgap.experiment.evidence.likelihoods import evidence_of
from midgap.experiment.evidence.named_candidates import known_candidates, read_candidates
from midgap.experiment.evidence.polarisation import degrees
from midgap.experiment.evidence.predictions import ASSUMPTIONS, Assumption
from midgap.experiment.evidence.stated import number_text, predicted, signed, text
from midgap.experiment.records import ParticleRecord, Quantity, Records, published_records
from midgap.experiment.tables import write_table
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

PL = published_records("Cs4PbBr6")
YAML = """\
- name: surface trap
  source: a guess
  predictions:
    - observable: pl_peak_eV
      value: 2.1
      lo: 1.9
      hi: 2.4
    - observable: tau_av_ns
      value: 40
      relation: at_least
      uncertainties:
        - source: model
"""


@pytest.fixture
def diagram():
    """ΔQ 5 amu^½ Å, relaxations of 0.2 and 0.2 eV, 2.6 eV between the minima."""
    return from_four_energies(5.0, -10.0, -9.8, -7.4, -7.2, uncertainty_eV=0.07, ground_label="0", excited_label="+1")


def test_candidates_of_yaml_and_json_are_the_same(tmp_path):
    written = tmp_path / "mine.yaml"
    written.write_text(YAML)
    (one,) = read_candidates(written)
    as_json = tmp_path / "mine.json"
    as_json.write_text(json.dumps([{"name": "surface trap", "source": "a guess", "predictions": [p.model_dump(mode="json") for p in one.predictions]}]))  # fmt: skip
    assert read_candidates(as_json) == (one,)
    energy, lifetime = one.predictions
    assert energy.quantity() == Quantity(value=2.1, lo=1.9, hi=2.4)
    assert lifetime.unknown_sources == ("model",) and lifetime.known_uncertainty is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- name: x\n", "predicts nothing"),
        ("- name: x\n  predictions: [{observable: colour, value: 1}]\n", "observable"),
        ("- {name: x", "not valid YAML"),
        ("- name: x\n  predictions: [{observable: pl_peak_eV, value: .nan}]\n", "finite"),
        ("- !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("just words\n", "expected a JSON object"),
    ],
)
def test_files_that_are_no_candidates_are_refused(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_candidates(path)
    with pytest.raises(InputError, match="no such file"):
        read_candidates(tmp_path / "none.yml")


def test_the_inclusion_reaches_the_measured_energy_by_its_size():
    (inclusion,) = known_candidates("Cs4PbBr6")
    energy = inclusion.prediction("pl_peak_eV")
    low, high = energy.range
    assert 2.342 - 0.0322 < low < high, "never below the bulk's exciton"
    assert energy.by_size.at(4.0) == pytest.approx(high) and energy.by_size.at(15.0) == pytest.approx(low)
    assert inclusion.origin == "confinement" and energy.known_uncertainty > 0
    assert set(energy.unknown_sources) >= {"temperature", "Stokes shift"}
    assert known_candidates("MgO") == ()


def test_an_emission_becomes_peak_and_width(tmp_path, diagram):
    path = diagram.write(tmp_path / "cc.json")
    emission = emission_report(path, (0.0, 300.0), oscillator_strength=0.5, refractive_index=1.8)
    found = from_emission(emission, "cc")
    line = emission.lines[1]
    assert found.energy_eV == line.peak_eV
    ends = sorted((1e3 * line.fwhm_eV, 1e3 * emission.diagram.reflected_fwhm_eV(300.0)))
    assert found.prediction("pl_fwhm_meV").range == pytest.approx(ends)
    assert found.known_uncertainty_eV == 0.07
    assert found.prediction("tau_av_ns").relation == "at_most"
    assert found.label == "emission +1 → 0"
    assert read_emission(path).lines[1].peak_eV == pytest.approx(line.peak_eV)
    written = emission.write(tmp_path / "report.json")
    assert read_emission(written) == emission


def bright(one, strength):
    """The report with this oscillator strength of each of its transitions."""
    lit = tuple(t.model_copy(update={"oscillator_strength": strength}) for t in one.transitions)
    return one.model_copy(update={"transitions": lit})


def test_a_radiative_lifetime_goes_over_what_is_not_known_of_the_surroundings():
    """f = 0.3 at 2.44 eV: 1/τ = 4.339e7 E² f /s in vacuum (Hilborn 1982, with E in eV), times n, times ((n² + 2)/3)²."""
    model = vacancy(0)
    plain = report(model, 4.22, level(2.44, 1))
    (found,) = from_levels(Levels(reports=(bright(plain, 0.3),), models=(model,)), surroundings_of("", (1.5, 1.8)))
    lifetime = found.prediction("tau_av_ns")
    vacuum = 1e9 / (4.339e7 * 2.44**2 * 0.3)
    assert lifetime.range == pytest.approx((vacuum / (1.8 * (5.24 / 3) ** 2), vacuum / 1.5), rel=1e-3)
    assert lifetime.relation == "at_most" and f"{vacuum:.0f} ns in vacuum" in lifetime.basis
    (dark,) = from_levels(Levels(reports=(plain,), models=(model,)))
    assert "no oscillator strength" in dark.not_predicted["tau_av_ns"]
    assert surroundings_of("MgO").source.startswith("as of most")
    assert parse_refractive_index("1.8") == (1.8, 1.8) and parse_refractive_index("1.5,1.8") == (1.5, 1.8)
    for wrong in ("0", "1.8,1.5", "n", "1,2,3", "nan", "inf"):
        with pytest.raises(InputError, match="refractive index"):
            parse_refractive_index(wrong)


def test_the_error_of_an_oscillator_strength_is_that_between_cells():
    """Of two cells the ratio that they have; of one what three charge states of V_Br had between 21 and 65 atoms."""
    small = vacancy(0)
    doubled = Structure.from_sites(list(small.structure)) * (2, 1, 1)
    large = small.model_copy(
        update={"name": "large", "structure": IStructure.from_sites(list(doubled)), "unpaired_electrons": 0}
    )
    reports = (
        bright(report(small, 4.22, level(2.44, 1)), 0.3),
        bright(report(large, 4.22, level(2.40, 1)), 0.1),
    )
    for one in from_levels(Levels(reports=reports, models=(small, large))):
        assert one.prediction("tau_av_ns").known_uncertainty / one.prediction("tau_av_ns").value == pytest.approx(
            np.log(3)
        )
    (alone,) = from_levels(Levels(reports=reports[:1], models=(small,)))
    assert text(predicted(alone.prediction("tau_av_ns"), Assumption(unknown_factor=1.5))).endswith("×÷ 2.3 ×÷ 1.5 ns")


def test_how_far_oscillator_strengths_differ_between_cells_is_that_of_the_study():
    """The table of radiative lifetimes in docs/study.md, of its three charge states."""
    page = (Path(__file__).parents[1] / "docs" / "study.md").read_text()
    table = page.partition("<!-- table lifetimes -->")[2].partition("<!-- end -->")[0]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if "→" in line]
    strengths = {(atoms, charge, label): float(f) for atoms, charge, label, _, f, *_ in cells}
    for label, factor in BETWEEN_CELLS.items():
        ratios = [np.log(strengths["65", q, label] / strengths["21", q, label]) for q in ("V⁺", "V⁰", "V⁻")]
        assert np.log(factor) == pytest.approx(np.sqrt(np.mean(np.square(ratios))), rel=0.15)


def test_a_yield_that_was_measured_bounds_a_radiative_lifetime_from_below():
    def records(*yields):
        return Records(records=tuple(ParticleRecord(kind="ensemble", plqy=q) for q in yields))

    assert least_yield(PL) == 0.6  # Zhang et al. 2019: 60 to 70 %
    assert least_yield(records(Quantity(value=0.65), Quantity(value=0.4, hi=0.5))) == 0.4
    assert least_yield(records(None)) is None and least_yield(records(Quantity(value=1.0))) == LARGEST_YIELD
    model = vacancy(0)
    levels = Levels(reports=(bright(report(model, 4.22, level(2.44, 1)), 0.02),), models=(model,))
    comparison = compare(levels, PL, refractive_index=1.6)
    lifetime = comparison.candidate("V_Br_q0:level-VBM").prediction("tau_av_ns")
    assert lifetime.least_fraction == 0.6
    found = comparison.of("V_Br_q0:level-VBM", "tau_av_ns").ensemble_residual
    width = np.hypot(np.log(2.3), np.log(1.5))
    above = np.log(12.3 / 9.0) / 1.96  # the measured mean and its interval
    assert found == pytest.approx(np.log(9.0 / (0.6 * lifetime.range[0])) / np.hypot(width, above), rel=0.01)
    assert "as a radiative lifetime 9.0 to 15.0 ns" in comparison.ensemble("tau_av_ns").note


def test_of_one_hypothesis_the_best_calculation_counts():
    small = pristine()
    doubled = Structure.from_sites(list(small.structure)) * (2, 1, 1)
    large = small.model_copy(update={"name": "large", "structure": IStructure.from_sites(list(doubled))})
    reports = (report(small, 4.2), report(large, 4.0), report(large, 3.1, theory=LevelOfTheory.named("pbe+soc")))
    found = from_levels(Levels(reports=reports, models=(small, large)))
    assert [(c.model, c.theory == HSE_SOC, c.counted) for c in found] == [
        ("pristine", True, False),
        ("large", True, True),
        ("large", False, False),
    ]
    assert [c.not_counted for c in found] == ["a larger cell is at hand", "", "the highest theory at hand is HSE06+SOC"]
    assert found[1].known_uncertainty_eV == pytest.approx(0.2), "the difference of the two cells"
    assert len({c.name for c in found}) == 3


def test_the_paper_s_level_is_at_the_paper_s_line(tmp_path):
    """2.4 eV lies in the band of 500 to 540 nm; 2.2 eV is 0.096 eV below it, over the 0.2 eV that is assumed."""
    path = tmp_path / "published.json"
    path.write_text(
        json.dumps(
            {
                "candidates": [
                    {
                        "name": name,
                        "source": "Zhang et al. 2019",
                        "predictions": [
                            {"observable": "pl_peak_eV", "value": value, "uncertainties": [{"source": "not stated"}]},
                        ],
                    }
                    for name, value in (("published V_Br", 2.4), ("below", 2.2))
                ],
            }
        )
    )
    comparison = compare(example(), PL, others=read_candidates(path))
    inside, below = (comparison.of(name, "pl_peak_eV").ensemble_residual for name in ("published V_Br", "below"))
    assert inside == 0
    assert below == pytest.approx((2.29600 - 2.2) / np.hypot(0.2, 0.005), abs=2e-3)


def test_tables_hold_what_the_comparison_does(tmp_path):
    comparison = compare(example(), PL)
    rows = comparison.rows()
    assert len(rows) == sum(len(c.predictions) for c in comparison.candidates)
    assert list(comparison.to_frame()["candidate"]) == [row["candidate"] for row in rows]
    best = [r["log_evidence_to_best"] for r in rows if r["observable"] == "pl_peak_eV" and r["counted"]]
    assert max(best) == 0
    path = tables.write_rows(rows, tmp_path / "evidence.csv")
    with path.open(newline="") as stream:
        back = list(csv.DictReader(stream))
    assert [float(r["predicted"]) for r in back] == [r["predicted"] for r in rows]
    from pyarrow import parquet

    particles = list(tables.rows_by_particle(comparison, PL.in_energy()))
    written = parquet.read_table(tables.write_rows(particles, tmp_path / "particles.parquet")).to_pylist()
    assert written == particles
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        tables.write_rows(rows, tmp_path / "evidence.xlsx")


def test_words_of_numbers():
    comparison = compare(example(), PL)
    cells = [row for row in tables.cells(comparison)]
    zero = next(row for row in cells if row[0].startswith("V_Br⁰"))
    assert (zero[2], zero[3]) == ("2.44 ± 0.06 ± 0.20", "2.296 to 2.480")
    assert number_text(22573.4, 1) == "22600"
    assert (signed(-0.04), signed(-1.26), signed(2.0)) == ("0", "−1.3", "+2.0")
    assert tables.markdown(comparison).count("\n| ") == len(cells)


def test_latex_escapes_what_is_its_own():
    assert tables.to_latex("V_Br⁺ → 50 % of {x} & y_z") == r"V$_{\mathrm{Br}}$$^{+}$ $\to$ 50 \% of \{x\} \& y\_z"
    assert tables.to_latex("\\input{x}") == r"\textbackslash{}input\{x\}"
    text = tables.latex(compare(example(), PL))
    assert text.count(r"\\") == text.count("&") / 6 and r"\bottomrule" in text


@pytest.fixture
def run():
    """Run ``midgap compare``."""
    import typer
    from typer.testing import CliRunner

    from midgap.cli import compare as module

    app = typer.Typer()
    app.command()(module.command)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_hundreds_of_particles_by_the_command(run, tmp_path):
    random = np.random.default_rng(4)
    energies = 2.40 + 0.02 * random.standard_normal(300)
    records = Records(
        records=tuple(
            ParticleRecord(sample_id="s", particle_id=f"<b>{i}", pl_peak_eV=Quantity(value=e, lo=e - 0.01, hi=e + 0.01))
            for i, e in enumerate(energies)
        )
    )
    table = write_table(records, tmp_path / "particles.csv")
    out, by_particle = tmp_path / "comparison.json", tmp_path / "by_particle.csv"
    result = run(
        "--levels", example().write(tmp_path / "levels.json"), "--records", table, "--priors", "uniform",
        "--unknown", "0.15", "--out", out, "--particles", by_particle, "--markdown", tmp_path / "t.md",
    )  # fmt: skip
    assert result.exit_code == 0, result.exception
    comparison = Comparison.read(out)
    assert comparison.assumptions[comparison.reference].unknown_eV == 0.15
    assert comparison.ensemble("pl_peak_eV").mean.value == pytest.approx(energies.mean(), abs=3e-4)
    assert comparison.ensemble("pl_peak_eV").n == 300
    assert comparison.odds.probability.sum(axis=1) == pytest.approx(1)
    assert "Probability, with these priors" in result.stdout
    assert len(by_particle.read_text().splitlines()) == 1 + 300 * 6  # five transitions and the inclusion
    assert out.stat().st_size < 200_000


def test_an_emission_takes_the_place_of_its_level(tmp_path, diagram):
    name = "V_Br_q0:level-VBM"
    emission = from_emission(read_emission(diagram.write(tmp_path / "cc.json")), name, name)
    comparison = compare(example(), PL, others=[emission])
    same = [c for c in comparison.candidates if c.name.startswith("V_Br_q0:level-VBM")]
    assert [(c.origin, c.counted) for c in same] == [("levels", False), ("emission", True)]
    assert comparison.totals.left_out["V_Br_q0:level-VBM"] == "its emission is computed"
    assert same[1].label == "V_Br⁰ · 21 atoms, singly occupied level → VBM, by total energies"
    assert same[1].model == same[0].model


def test_an_emission_has_the_dipole_of_its_level(tmp_path, diagram):
    """Einstein's A goes with E³ |d|²; f with E."""
    levels = example()
    lit = levels.model_copy(update={"reports": tuple(bright(one, 0.02) for one in levels.reports)})
    name = "V_Br_q0:level-VBM"
    emission = from_emission(read_emission(diagram.write(tmp_path / "cc.json")), name, name)
    level_, emitting = (
        c for c in compare(lit, PL, others=[emission]).candidates if c.name.startswith("V_Br_q0:level-VBM")
    )
    low = surroundings_of("Cs4PbBr6").refractive_index_lo
    strength = 0.02 * emitting.energy_eV / level_.energy_eV
    found, before = emitting.prediction("tau_av_ns"), level_.prediction("tau_av_ns")
    assert found.range[1] == pytest.approx(radiative_lifetime(emitting.energy_eV, strength, low).lifetime_ns)
    assert found.known_uncertainty / found.value == pytest.approx(before.known_uncertainty / before.value)


def test_without_a_line_the_vertical_energy_is_left(tmp_path):
    """Relaxation by 0.6 eV after an emission of 0.3 eV, at 300 K 0.2 eV wide: it would reach below zero."""
    path = from_four_energies(8.0, 0.0, 0.6, 0.9, 1.5, uncertainty_eV=0.1).write(tmp_path / "dark.json")
    report_ = emission_report(path, (300.0,), oscillator_strength=0.1)
    assert (report_.lines, report_.dark_K, report_.lifetime) == ((), (300.0,), None)
    assert "No line at 300 K" in report_.warnings[-1]
    found = from_emission(read_emission(path), "dark")
    assert found.energy_eV == pytest.approx(0.3) and found.label == "dark"
    assert found.prediction("pl_fwhm_meV") is None and "below zero energy" in found.not_predicted["pl_fwhm_meV"]


def test_names_that_would_come_twice_get_a_number_that_is_free():
    names = ["a", "a-2", "a", "b", "a"]
    found = unique_names(Candidate(name=name, label=name, origin="user") for name in names)
    assert [one.name for one in found] == ["a", "a-2", "a-3", "b", "a-4"]


def test_more_candidates_by_the_command(run, tmp_path, diagram):
    mine = tmp_path / "mine.yaml"
    mine.write_text(YAML)
    levels = example().write(tmp_path / "levels.json")
    emission = diagram.write(tmp_path / "cc.json")
    result = run("--levels", levels, "--candidates", mine, "--emission", f"vacancy={emission}", "--json")
    assert result.exit_code == 0, result.exception
    comparison = Comparison.from_dict(json.loads(result.stdout))
    origins = {c.name: c.origin for c in comparison.candidates}
    assert (origins["vacancy"], origins["surface trap"]) == ("emission", "user")
    assert comparison.odds is None, "no priors, no probabilities"
    width = comparison.of("vacancy", "pl_fwhm_meV")
    assert width is not None and (width.n, width.n_bounds) == (2, 1)
    for words, said in (
        (("--priors", "nobody=1"), "no candidate 'nobody'"),
        (("--unknown", "-1"), "not below zero"),
        (("--emission", tmp_path / "none.json"), "no such file"),
    ):
        assert said in str(run("--levels", levels, *words).exception)


def test_what_glowed_absorbs_where_it_was_excited(tmp_path):
    """The step from there to its light bounds the Stokes shift, which another cell's gap or correction does not move."""
    seen = [{"pl_peak_eV": Quantity(value=2.3), "exc_wavelength_nm": Quantity(value=490)}, {"exc_wavelength_nm": Quantity(value=520)}]  # fmt: skip
    records = Records(records=tuple(ParticleRecord(**one) for one in seen))
    smaller = from_four_energies(9.0, 0.0, 0.4, 3.5, 3.8)
    path = from_four_energies(9.0, 0.0, 0.5, 3.0, 3.3, elsewhere=smaller).write(tmp_path / "diagram.json")
    candidate = from_emission(read_emission(path), "emission")
    shift, energy = candidate.prediction("stokes_shift_eV"), candidate.prediction("pl_peak_eV")
    # σ² = slope² kT/curvature of the lower state at high temperature, slope = 2 · 0.3/9; 1 % of a Gaussian is at 3.03 σ.
    sigma = [2 * 0.3 / 9 * (0.02585 / (2 * gain / 81)) ** 0.5 for gain in (0.5, 0.4)]
    assert shift.value == pytest.approx(3.3 - 3.035 * sigma[0] - energy.value, abs=0.005)
    assert shift.known_uncertainty == pytest.approx(0.1 - 3.035 * (sigma[0] - sigma[1]), abs=0.005)
    assert energy.known_uncertainty == pytest.approx(3.1 - 2.5)
    widths = [2 * gain / 9 * (0.02585 / (2 * 0.3 / 81)) ** 0.5 for gain in (0.5, 0.4)]
    width = candidate.prediction("pl_fwhm_meV")
    assert width.known_uncertainty / width.value == pytest.approx(np.log(widths[0] / widths[1]), rel=0.02)
    data = collect(records)
    bound = 1239.84 / 490 - 2.3
    assert data["stokes_shift_eV"].measurements.hi == pytest.approx(bound, abs=1e-3)
    evidence = {e.observable: e for e in evidence_of([candidate], data, 2, ASSUMPTIONS, 0)}
    off = (shift.value - bound) / shift.known_uncertainty
    assert evidence["stokes_shift_eV"].ensemble_residual == pytest.approx(-off, rel=0.02)
    assert evidence["stokes_shift_eV"].counted


def test_a_linear_dipole_is_told_from_an_isotropic_one_by_a_polariser():
    levels = example()
    linear = levels.reports[1].transitions[0].model_copy(update={"principal_fractions": (1.0, 0.0, 0.0)})
    other = levels.reports[1].model_copy(update={"transitions": (linear, *levels.reports[1].transitions[1:])})
    candidates = from_levels(levels.model_copy(update={"reports": (levels.reports[0], other, *levels.reports[2:])}))
    one = next(c for c in candidates if c.prediction("polarisation_degree") is not None)
    inclusion = next(c for c in known_candidates("Cs4PbBr6") if "inclusion" in c.label)
    predicted_ = [c.prediction("polarisation_degree") for c in (one, inclusion)]
    assert [(p.value, p.spread) for p in predicted_] == [(1.0, 0.0), (0.0, 0.0)]
    silent = [c for c in candidates if c is not one]
    assert silent and all("direction" in c.not_predicted["polarisation_degree"] for c in silent)
    seen = Records(records=tuple(ParticleRecord(polarisation_degree=Quantity(value=x, lo=x - 0.1, hi=min(1.0, x + 0.1))) for x in (0.7, 0.9, 0.8)))  # fmt: skip
    evidence = evidence_of([one, inclusion], collect(seen), 3, ASSUMPTIONS, 2)
    found = {e.candidate: e for e in evidence}
    assert found[one.name].log_evidence[2] > found[inclusion.name].log_evidence[2] + 5
    assert abs(found[one.name].ensemble_residual) < 1.5 < 3 < abs(found[inclusion.name].ensemble_residual)


@pytest.mark.parametrize(
    ("fractions", "mean", "spread"),
    # Of a line every view is polarised; of a disc P = sin²θ/(1 + cos²θ), whose mean over the sphere is π/2 - 1.
    [((1, 0, 0), 1.0, 0.0), ((0.5, 0.5, 0), np.pi / 2 - 1, 0.3216), ((1 / 3, 1 / 3, 1 / 3), 0.0, 0.0)],
)
def test_polarisation_over_all_views(fractions, mean, spread):
    each = degrees(fractions)
    assert (each.mean(), each.std()) == pytest.approx((mean, spread), abs=2e-3)
    assert degrees(fractions[::-1]).mean() == pytest.approx(mean, abs=5e-3)
