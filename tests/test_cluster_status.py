"""What `midgap status` shows of a flow."""

import io
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("jobflow_remote")

from midgap.cli.status import picture, plain
from midgap.workflows.cluster.view import STATES, QueueJob

DATA = {"model": "V", "label": "V_Br⁰ · 65 atoms", "task": "relax", "theory": "PBE", "engine": "cp2k"}
RUNNING = QueueJob(
    *("7", "uuid", 1, "V relax", "running", "cluster", Path("/w"), DATA),
    queue_id="4711",
    elapsed_s=3725.0,
    now="relax step 3, SCF step 12, change 1.0e-05, -9012.345 eV",
)
LEVELS = QueueJob("8", "other", 1, "V levels", "waiting", "cluster", None, {"task": "levels", "label": "V"})
FAILED = QueueJob("9", "third", 2, "W", "failed", "cluster", None, DATA, now="ran [out] of memory", allocation=2)


@pytest.mark.parametrize("width", [80, 160])
def test_table_fits_and_loses_nothing(width):
    console = Console(file=io.StringIO(), width=width)
    console.print(picture([RUNNING, LEVELS, FAILED], width))
    said = console.file.getvalue()
    for word in (
        "V_Br⁰ · 65 atoms",
        "relax PBE cp2k",
        "running",
        "4711",
        "1:02:05",
        "-9012.345 eV",
        "0 of 3 jobs done",
    ):
        assert word in said
    assert "allocation 2: ran [out] of memory" in said
    assert "levels" not in said  # it takes a second, and nothing is wrong with it
    assert max(map(len, said.splitlines())) <= width


def test_plain_is_json():
    assert plain(RUNNING).to_dict()["now"].endswith("-9012.345 eV")


def test_every_state_of_jobflow_remote_has_a_word():
    from jobflow_remote.jobs.state import JobState

    assert {state.value for state in JobState} == set(STATES)
