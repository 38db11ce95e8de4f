"""One calculation under custodian, with a real engine: rock salt, two atoms, a few seconds."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import IStructure, Lattice

from midgap.structures.errors import ComputationError, InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows import execution
from midgap.workflows.calculation import Calculation
from midgap.workflows.execution import run
from midgap.workflows.worker import attempts

pytestmark = pytest.mark.engine("gpaw")


def rock_salt(**fields) -> Calculation:
    lattice = Lattice(5.69 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    model = Model(
        name="NaCl_2",
        kind="pristine",
        material="NaCl",
        structure=IStructure(lattice, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    )
    return Calculation(model=model, theory=LevelOfTheory.named("pbe", cutoff_eV=200), **fields)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, run(rock_salt(), "gpaw", folder)


def engine_pid(folder: Path, number: int = 1, patience_s: float = 60.0) -> int:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        started = [line for line in attempts(folder) if line["event"] == "engine"]
        if len(started) >= number:
            return started[number - 1]["engine_pid"]
        time.sleep(0.05)
    raise TimeoutError(folder)


def gone(pid: int, patience_s: float = 10.0) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_cost_is_recorded(unbroken):
    _, result = unbroken
    assert result.provenance.wall_time_s > 0.5
    assert result.provenance.peak_memory_MB > 60  # an interpreter with numpy and GPAW
    assert result.electronic_structure.provenance == result.provenance


def test_finished_folder_is_returned_as_it_is(unbroken):
    folder, result = unbroken
    begun = time.monotonic()
    assert run(rock_salt(), "gpaw", folder) == result
    assert time.monotonic() - begun < 0.5
    assert sum(line["event"] == "engine" for line in attempts(folder)) == 1


def test_other_calculation_is_refused(unbroken):
    folder, _ = unbroken
    with pytest.raises(InputError, match=r"holds another calculation \(other max_steps\)"):
        run(rock_salt(max_steps=7), "gpaw", folder)


def test_engine_that_cannot_is_refused(tmp_path):
    with pytest.raises(InputError, match="clusters only"):
        run(rock_salt(), "pyscf", tmp_path)


def test_failure_is_one_sentence(tmp_path):
    with pytest.raises(ComputationError, match="SCF did not converge in 2 iterations"):
        run(rock_salt(engine_settings={"maxiter": 2}), "gpaw", tmp_path)
    assert (tmp_path / "stderr.txt").exists() and (tmp_path / "custodian.json").exists()
    assert not (tmp_path / "result.json").exists()


def test_engine_that_is_shot_is_started_again(tmp_path, unbroken):
    threading.Thread(target=lambda: os.kill(engine_pid(tmp_path), signal.SIGKILL)).start()
    result = run(rock_salt(), "gpaw", tmp_path)
    assert sum(line["event"] == "engine" for line in attempts(tmp_path)) == 2
    assert result.total_energy_eV == pytest.approx(unbroken[1].total_energy_eV, abs=1e-6)


def test_engine_is_ended_before_the_time_is_up_and_goes_on_elsewhere(tmp_path, unbroken, monkeypatch):
    monkeypatch.setattr(execution, "POLL_S", 0.05)
    monkeypatch.setattr(execution, "POLLS_A_LOOK", 1)
    monkeypatch.setattr(execution, "end_of_time", lambda: 0.0)
    runs = lambda: any(line["event"] == "engine" for line in attempts(tmp_path / "first"))  # noqa: E731
    monkeypatch.setattr(execution, "left_s", lambda end: 1.0 if runs() else 1000.0)
    with pytest.raises(execution.OutOfTime, match="goes on from there"):
        run(rock_salt(), "gpaw", tmp_path / "first")
    monkeypatch.setattr(execution, "end_of_time", lambda: None)
    monkeypatch.setattr(execution, "left_s", lambda end: float("inf"))
    result = run(rock_salt(), "gpaw", tmp_path / "second", after=tmp_path / "first")
    assert result.total_energy_eV == pytest.approx(unbroken[1].total_energy_eV, abs=1e-6)


def test_no_engine_outlives_its_runner(tmp_path, unbroken):
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from test_execution import rock_salt, run; run(rock_salt(), 'gpaw', Path(sys.argv[1]))"
    )
    runner = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)])
    engine = engine_pid(tmp_path)
    with pytest.raises(InputError, match=f"process {runner.pid}"):
        run(rock_salt(), "gpaw", tmp_path)
    runner.kill()  # the runner alone, not its group
    runner.wait()
    result = run(rock_salt(), "gpaw", tmp_path)
    assert gone(engine)
    assert result.total_energy_eV == pytest.approx(unbroken[1].total_energy_eV, abs=1e-6)
