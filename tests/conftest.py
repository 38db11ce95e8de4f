"""What several tests share."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

SLOW = {
    # the stand-in's processes and workers, killed and restarted
    "test_vasp_runs.py", "test_vasp_flow.py", "test_local_runner.py", "test_hard_times.py",
    # thousands of simulated measurements
    "test_antibunching.py", "test_blinking.py", "test_lifetimes.py", "test_molecule_like.py", "test_photon_analysis.py",
    "test_power.py",
    # each reader in a process of its own
    "test_fuzz_corpus.py",
}  # fmt: skip

SLOW_TESTS = {
    # other people's packages, which take longer to load than to read a file
    "test_what_is_written_three_readers_read_back", "test_atomate2_makes_the_same_formation_energies",
    # commands in processes of their own
    "test_without_the_extra_one_sentence_says_how_to_get_it", "test_what_is_printed_fits_its_schema",
    # calibrations
    "test_odds_are_calibrated", "test_intervals_of_mean_and_spread_hold_the_truth_as_often_as_they_say",
    # whole pages
    "test_page_is_one_file_and_the_same_each_time", "test_pages_of_little", "test_what_others_wrote_stays_text",
    # presets planned with every engine
    "test_dry_run_tells_the_plan", "test_presets_can_be_planned",
}  # fmt: skip
"""More than a second of CPU time each."""


def pytest_collection_modifyitems(items):
    """What is left out of ``make test-quick``: engines, browsers, and what takes long."""
    for item in items:
        slow = item.path.name in SLOW or item.originalname in SLOW_TESTS or "long_page" in item.fixturenames
        if slow or item.get_closest_marker("skipif"):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real output files of engines and detectors, kept beside the checkout, not in it."""
    if not SHARED.is_dir():
        pytest.skip(f"the real data files are not at {SHARED}")
    return SHARED


@pytest.fixture
def midgap(monkeypatch, capsys):
    """The command as a user types it, in this process; its standard output and error."""
    from midgap.cli.main import main

    def run(*words, code=0):
        monkeypatch.setattr("sys.argv", ["midgap", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where nothing may be left out (MIDGAP_NO_SKIP=1), a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("MIDGAP_NO_SKIP") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out where nothing may be: {report.longrepr}"
    return report
