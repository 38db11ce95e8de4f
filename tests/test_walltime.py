"""When the time of a queue is up: what the environment tells."""

import time
from datetime import datetime

import pytest

from midgap.structures.errors import InputError
from midgap.workflows.walltime import duration, end_of_time, left_s


def test_the_environment_tells():
    assert end_of_time({}) is None
    assert end_of_time({"MIDGAP_END_TIME": "1800000000"}) == 1.8e9
    assert end_of_time({"SLURM_JOB_END_TIME": "1800000000", "SLURM_JOB_ID": "7"}) == 1.8e9
    assert end_of_time({"SLURM_JOB_END_TIME": "1800000000", "MIDGAP_END_TIME": "1700000000"}) == 1.7e9
    with pytest.raises(InputError, match=r"MIDGAP_END_TIME is '24:00:00', not a UNIX time"):
        end_of_time({"MIDGAP_END_TIME": "24:00:00"})


@pytest.mark.parametrize(
    ("said", "end"), [("2026-11-23T08:00:00", datetime(2026, 11, 23, 8).timestamp()), ("N/A", None)]
)
def test_slurm_is_asked_where_it_does_not_tell(tmp_path, monkeypatch, said, end):
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\n[ "$3" = 4711 ] && [ "$5" = "%e" ] && echo {said}\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert end_of_time({"SLURM_JOB_ID": "4711"}) == end


def test_no_squeue_no_limit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert end_of_time({"SLURM_JOB_ID": "4711"}) is None


def test_what_is_left():
    assert left_s(None) == float("inf")
    assert left_s(time.time() + 100) == pytest.approx(100, abs=5)
    assert [duration(s) for s in (-3, 50, 125, 7500)] == ["0 s", "50 s", "2 min", "2 h 05 min"]
