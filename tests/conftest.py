"""What several tests share."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

SLOW = {
    # the stand-in's processes and workers, killed and restarted
    "test_vasp_runs.py", "test_vasp_flow.py", "test_local_runner.py",
    # thousands of simulated measurements
    "test_antibunching.py", "test_blinking.py", "test_lifetimes.py", "test_molecule_like.py", "test_photon_analysis.py",
    "test_power.py",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    """What is left out of ``make test-quick``: engines, browsers, and files that take long."""
    for item in items:
        if item.path.name in SLOW or item.get_closest_marker("skipif"):
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
