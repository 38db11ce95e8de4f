"""The runner: order, side by side, failure, resume; with plain jobs, so that each test takes a second or two."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from jobflow import Flow, Response, job

from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.local import run_flow
from midgap.workflows.store import embedded_store
from midgap.workflows.worker import attempts


@job
def add(a, b):
    return a + b


@job
def nap(seconds, *_):
    time.sleep(seconds)
    return time.time()


@job
def fail(flag, *_):
    if not Path(flag).exists():
        raise ValueError("the flag is not there")
    return "ok"


@job
def nap_below_compiled_code(seconds):
    try:
        time.sleep(seconds)
    except BaseException:
        raise ImportError("initialization failed") from None


@job
def crash(*_):
    os.kill(os.getpid(), signal.SIGSEGV)


@job
def fill_disk(*_):
    raise OSError(28, "No space left on device")


@job
def fan_out(values, seconds=0.0):
    """Spawns one job a value and a sum of theirs, as the dynamic flows do."""
    parts = [slow_square(value, seconds) for value in values]
    total = total_of([part.output for part in parts])
    return Response(replace=Flow([*parts, total], output=total.output))


@job
def slow_square(value, seconds):
    time.sleep(seconds)
    return value * value


@job
def total_of(values):
    return sum(values)


def small_dynamic_flow(seconds: float = 0.0) -> Flow:
    first = add(1, 2)
    many = fan_out([first.output, 2, 3], seconds)
    last = add(many.output, first.output)
    return Flow([first, many, last], output=last.output)


def test_dynamic_flow(tmp_path):
    result = run_flow(small_dynamic_flow(), tmp_path / "run", cores=2)
    assert result.output == 9 + 4 + 9 + 3
    assert {view.state for view in result.jobs} == {"done"}
    assert len(result.jobs) == 3 + 5  # three squares, their sum, and the job that passes it on
    found = embedded_store(tmp_path / "run" / "store").query_one({"name": "total_of"})
    assert found["output"] == 22


def test_finished_run_is_not_repeated(tmp_path):
    flow = small_dynamic_flow()
    first = run_flow(flow, tmp_path)
    again = run_flow(flow, tmp_path)
    assert again.output == first.output
    assert all(len(attempts(view.folder)) == 2 for view in again.jobs)  # started, ended: once each


def test_same_flow_built_anew_goes_on(tmp_path):
    run_flow(small_dynamic_flow(), tmp_path)
    assert run_flow(small_dynamic_flow(), tmp_path).output == 25
    with pytest.raises(InputError, match="another run"):
        run_flow(add(1, 1), tmp_path)


def test_another_request_is_refused(tmp_path):
    run_flow(add(1, 2), tmp_path, request={"theory": "pbe", "charges": [0, 1]})
    with pytest.raises(InputError, match=r"theory pbe there, hse06 asked"):
        run_flow(add(1, 2), tmp_path, request={"theory": "hse06", "charges": [0, 1]})


def test_independent_jobs_run_side_by_side(tmp_path):
    naps = [nap(1.5), nap(1.5)]
    for one in naps:
        one.metadata["cost_s"] = 100
    result = run_flow(Flow(naps), tmp_path, cores=2)
    ends = [embedded_store(tmp_path / "store").get_output(view.uuid) for view in result.jobs]
    assert abs(ends[0] - ends[1]) < 1.0
    starts = [attempts(view.folder)[0]["time"] for view in result.jobs]
    assert abs(starts[0] - starts[1]) < 1.0


def test_longest_path_goes_first(tmp_path):
    short, long = nap(0.05), nap(0.05)
    after_long = nap(0.05, long.output)
    for one, cost in ((short, 150), (long, 100), (after_long, 100)):
        one.metadata["cost_s"] = cost
    result = run_flow(Flow([short, long, after_long]), tmp_path, cores=1)
    start = {view.uuid: attempts(view.folder)[0]["time"] for view in result.jobs}
    assert start[long.uuid] < start[short.uuid] < start[after_long.uuid]


def test_failure_stops_only_what_depends_on_it(tmp_path):
    flag = tmp_path / "flag"
    bad = fail(str(flag))
    flow = Flow([bad, add(bad.output, "!"), add(1, 1)])
    result = run_flow(flow, tmp_path / "run")
    assert [view.state for view in result.jobs] == ["failed", "blocked", "done"]
    with pytest.raises(
        ComputationError, match=r"fail failed: ValueError: the flag is not there. 1 that needs it did not start"
    ):
        result.raise_for_failures()
    flag.touch()
    again = run_flow(flow, tmp_path / "run")
    assert [view.state for view in again.jobs] == ["done"] * 3
    assert [view.found_done for view in again.jobs] == [False, False, True]


def test_crash_of_a_worker_is_told(tmp_path):
    result = run_flow(Flow([crash(), add(1, 1)]), tmp_path)
    assert [view.state for view in result.jobs] == ["failed", "done"]
    assert "SIGSEGV" in result.failed[0].error


def test_full_disk_ends_the_run(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        run_flow(fill_disk(), tmp_path)


def test_foreign_module_is_not_loaded(tmp_path):
    flow = Flow([add(1, 2)])
    run_flow(flow, tmp_path)
    saved = tmp_path / "flow.json"
    saved.write_text(saved.read_text().replace(f'"@module": "{__name__}"', '"@module": "antigravity"'))
    with pytest.raises(InputError, match="antigravity"):
        run_flow(flow, tmp_path)


SCRIPT = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from test_local_runner import *
    from midgap.workflows.local import run_flow
    print(run_flow({flow}, Path(sys.argv[1]), cores=2).output)
    """
)


def _begin(folder: Path, flow: str) -> subprocess.Popen:
    script = SCRIPT.format(tests=str(Path(__file__).parent), flow=flow)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell's background jobs, and what they start, ignore the interrupt from the keyboard.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def _whole(folder: Path) -> None:
    """No file is half-written, and each job's last attempt is the one that counts."""
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    assert not list(folder.rglob(".*.new"))
    for document in embedded_store(folder / "store").query({}):
        home = next(p for p in (folder / "jobs").iterdir() if _is_home(p, document))
        started = [line for line in attempts(home) if line["event"] == "started"]
        assert document["attempt"] == len(started)


def _is_home(path: Path, document: dict) -> bool:
    return path.name.endswith(document["uuid"][-8:] + (f".{document['index']}" if document["index"] > 1 else ""))


def test_killed_at_any_moment(tmp_path):
    for wait in (0.3, 1.6, 2.2, 2.7):
        process = _begin(tmp_path, "small_dynamic_flow(0.5)")
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = _begin(tmp_path, "small_dynamic_flow(0.5)")
    out, err = process.communicate(timeout=60)
    assert out.decode().split() == ["25"], err.decode()
    _whole(tmp_path)


def test_second_run_in_a_folder_is_refused(tmp_path):
    process = _begin(tmp_path, "small_dynamic_flow(20.0)")
    while not (tmp_path / "jobs").exists():
        time.sleep(0.05)
    with pytest.raises(InputError, match=f"worked on by process {process.pid}"):
        run_flow(small_dynamic_flow(20.0), tmp_path)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in err


def test_a_job_that_is_told_to_end_has_not_failed(tmp_path):
    """Whatever comes out of it then."""
    process = _begin(tmp_path, "Flow([nap_below_compiled_code(60.0)])")
    while not (found := list(tmp_path.glob("jobs/*/attempts.jsonl"))):
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert [line["event"] for line in attempts(found[0].parent)] == ["started", "interrupted"]
    assert not (found[0].parent / "error.json").exists()
