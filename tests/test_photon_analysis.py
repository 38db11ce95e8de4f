"""From a file of photons to a record: simulated particles whose answer is known, and what cannot be had."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from midgap.cli.main import main
from midgap.experiment.decays.response_files import read_response
from midgap.experiment.decays.responses import gaussian_response
from midgap.experiment.photons.analysis import Options, analyse, analyse_file
from midgap.experiment.photons.ptu_writer import write_ptu
from midgap.experiment.photons.simulation import BlinkingLevel, Dwell, Experiment, simulate
from midgap.experiment.photons.stream import PhotonStream
from midgap.experiment.records import ParticleRecord, Records
from midgap.experiment.tables import read_records
from midgap.structures.errors import InputError

DWELL = Dwell(mean_s=0.4)
BLINKING = Experiment(
    duration_s=15,
    mean_excitons=0.2,
    detected_fraction=0.1,
    cable_delay_ns=930,
    background_cps=1000,
    levels=(
        BlinkingLevel(dwell=DWELL),
        BlinkingLevel(name="GRAY", relative_yield=0.2, relative_lifetime=0.2, dwell=DWELL),
    ),
    seed=3,
)


@pytest.fixture(scope="module")
def blinking():
    return simulate(BLINKING)


@pytest.fixture(scope="module")
def blinking_file(blinking, tmp_path_factory):
    return write_ptu(tmp_path_factory.mktemp("streams") / "dot.ptu", blinking)


@pytest.fixture(scope="module")
def analysed(blinking_file):
    return analyse_file(blinking_file, Options(sample_id="simulated", exc_wavelength_nm=445))


def test_one_blinking_emitter_is_read_off_its_photons(analysed):
    record = analysed.record
    assert analysed.g2.single is True and record.n_emitters_M.contains(1)
    assert record.g2_center_lag_pulses == 2
    short, long = record.tau_i_ns
    assert short.value == pytest.approx(1.8, rel=0.1) and long.value == pytest.approx(9, rel=0.02)
    assert record.irf_fwhm_ns.value == pytest.approx(0.3, rel=0.1)
    rates = [rate.value for rate in analysed.levels.rate_cps]
    on = BLINKING.signal_cps
    assert rates == pytest.approx([0.2 * on + 1000, on + 1000], rel=0.02)
    assert analysed.levels.label == ("GRAY", "ON")


def test_background_is_that_of_the_simulation(analysed):
    """Its 1000 counts a second, half on each detector, from the flat part of the decays."""
    assert [rate.value for rate in analysed.background.cps] == pytest.approx([500, 500], rel=0.05)
    counted = analysed.survey.n_photons / 15
    assert analysed.record.signal_fraction_rho.value == pytest.approx(1 - 1000 / counted, abs=0.003)


def test_each_stay_has_the_lifetime_of_its_level(analysed):
    by_name = {"ON": [], "GRAY": []}
    for level in analysed.record.levels:
        if level.num_photons > 2000:
            by_name[level.name].append(level.tau_1_ns)
    assert np.median(by_name["ON"]) == pytest.approx(9, rel=0.02)
    assert np.median(by_name["GRAY"]) == pytest.approx(1.8, rel=0.05)


def test_record_says_what_it_rests_on(analysed, blinking_file):
    record = analysed.record
    assert record.source_file == "dot.ptu" and record.particle_id == "dot" and record.sample_id == "simulated"
    assert record.rep_rate_Hz.value == pytest.approx(2.5e6)
    assert "upper bound" in record.notes["n_emitters_M"] and "flat part" in record.notes["signal_fraction_rho"]
    assert ParticleRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_a_file_too_large_for_the_memory_gives_the_same_counts(blinking_file, analysed):
    small = analyse_file(blinking_file, largest=1000)
    for name in ("g2_0", "g2_0_raw", "n_emitters_M", "tau_i_ns", "signal_fraction_rho"):
        assert getattr(small.record, name) == getattr(analysed.record, name)
    assert small.record.levels == () and "memory" in small.record.notes["levels"]


def test_excitons_a_pulse_follow_from_what_is_given(blinking):
    options = Options(fluence_J_cm2=1e-6, sigma_abs_cm2=1e-13, exc_wavelength_nm=445, blinking=False)
    assert analyse(blinking, options).record.mean_excitons.value == pytest.approx(0.2240, abs=1e-4)


def test_one_detector_leaves_g2_out_and_says_why(blinking):
    record = analyse(blinking.only([1])).record
    assert record.g2_0 is None and record.n_emitters_M is None
    assert "g2 needs two detectors, and only channel 1 has photons" in record.notes["g2_0_raw"]
    assert record.tau_i_ns is not None and record.levels


def test_detectors_that_are_not_there_leave_g2_out(blinking):
    record = analyse(blinking, Options(detectors=(0, 5), blinking=False)).record
    assert record.g2_0_raw is None and "Channel 5 has no photons" in record.notes["g2_0_raw"]


def test_period_too_short_for_a_dark_part_corrects_nothing():
    stream = simulate(Experiment(rep_rate_Hz=2e7, duration_s=2, background_cps=1000))
    analysis = analyse(stream, Options(blinking=False))
    assert analysis.background is None and analysis.record.g2_0 is None
    assert "no flat part" in analysis.record.notes["signal_fraction_rho"]
    assert analysis.record.g2_0_raw is not None


def test_continuous_excitation():
    stream = simulate(Experiment(duration_s=5, excitation_rate_Hz=2e6, detected_fraction=0.08, cable_delay_ns=33))
    record = analyse(stream, Options(irf_fwhm_ns=0.3, blinking=False)).record
    assert record.g2_0_raw.contains(0) and record.n_emitters_M.contains(1)
    assert "T2" in record.notes["tau_i_ns"] and record.rep_rate_Hz is None


def test_a_few_photons_end_in_notes():
    random = np.random.default_rng(0)
    stream = PhotonStream(
        "T3", np.sort(random.integers(0, 10**7, 30)), random.integers(0, 2, 30).astype(np.uint8), 4e-7,
        random.integers(0, 6000, 30).astype(np.int32), 64e-12, 10**7,
    )  # fmt: skip
    record = analyse(stream).record
    assert record.g2_0_raw is None and "too few photons" in record.notes["g2_0_raw"]


def test_measured_response_from_a_stream(tmp_path):
    """Scattered light: a lifetime that is nothing against the jitter of 0.3 ns."""
    scatter = simulate(Experiment(duration_s=3, lifetime_ns=1e-4, mean_excitons=0.5, cable_delay_ns=40))
    response = read_response(write_ptu(tmp_path / "irf.ptu", scatter))
    assert response.fwhm_ns == pytest.approx(0.3, abs=0.07)
    table = tmp_path / "irf.txt"
    time = np.arange(200) * 0.05
    np.savetxt(table, np.column_stack([time, np.round(1e4 * np.exp(-((time - 3) ** 2) / 0.02))]))
    assert read_response(table).bin_width_ns == pytest.approx(0.05)
    table.write_text("1 2 3\n4 5 6\n")
    with pytest.raises(InputError, match="two columns"):
        read_response(table)


def test_response_of_another_bin_width_is_refused(blinking):
    response = gaussian_response(0.3, 0.1, 4000)
    with pytest.raises(InputError, match=r"0\.1"):
        analyse(blinking, Options(response=response, blinking=False))


@pytest.fixture
def midgap(capsys, monkeypatch):
    """The command in this process: exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["midgap", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return SimpleNamespace(returncode=end.value.code, **capsys.readouterr()._asdict())

    return run


def test_command_prints_one_record_or_many(midgap, tmp_path):
    blinking_file = write_ptu(tmp_path / "dot.ptu", simulate(BLINKING.model_copy(update={"duration_s": 2.0})))
    one = midgap("photons", blinking_file, "--json", "--no-blinking")
    record = json.loads(one.out)
    assert one.returncode == 0 and record["schema"] == "midgap.ParticleRecord" and record["g2_center_lag_pulses"] == 2
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("a.ptu", "b.ptu"):
        (folder / name).write_bytes(blinking_file.read_bytes())
    (folder / "c.ptu").write_bytes(b"PQTTTR\0\0 and nothing")
    many = midgap("photons", folder, "--json", "--out", tmp_path / "out")
    assert many.returncode == 1  # one could not be read, which is told; the others were
    assert "c.ptu is not a readable PTU file" in many.err and many.err.count("\n") == 1
    records = Records.from_dict(json.loads(many.out))
    assert [r.particle_id for r in records.records] == ["a", "b"]
    assert read_records(tmp_path / "out" / "records.json") == records
    assert read_records(tmp_path / "out" / "particles.csv").records[0].g2_0 == records.records[0].g2_0
    for name in ("a.json", "b.json", "a.png", "b.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("photons", "nowhere.ptu"), "no such file"),
        (("photons", "FILE", "--background", "some"), "--background takes two numbers"),
        (("photons", "FILE", "--irf-fwhm", "-1"), "irf_fwhm_ns"),
        (("simulate", "x.ptu", "--blink", "never"), "law"),
    ],
)
def test_bad_input_is_one_sentence(midgap, blinking_file, arguments, what):
    run = midgap(*(blinking_file if a == "FILE" else a for a in arguments))
    assert run.returncode == 2 and run.out == "" and what in run.err and run.err.count("\n") == 1


def test_simulated_files_say_their_truth(midgap, tmp_path):
    run = midgap("simulate", tmp_path / "s.ptu", "--emitters", "3", "--duration", "0.5", "--json")
    assert json.loads(run.out)["truth"]["g2_0"] == pytest.approx(2 / 3)
    assert json.loads(midgap("photons", tmp_path / "s.ptu", "--json", "--no-blinking").out)["kind"] == "particle"
