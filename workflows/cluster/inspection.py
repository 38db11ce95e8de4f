"""Look at a worker from where one submits, before anything waits in a queue for hours to fail."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.cluster.project import queue_of
from midgap.workflows.cluster.queue import Queue
from midgap.workflows.cluster.selfcheck import MARK, versions
from midgap.workflows.installation import Finding

if TYPE_CHECKING:
    from jobflow_remote.config.base import Project, WorkerBase
    from jobflow_remote.remote.host import BaseHost

CLOCK_S = 60.0
TIMEOUT_S = 120


def inspect_worker(project: Project, name: str, engines: Sequence[str] | None = None) -> list[Finding]:
    """What is there on a worker and what is not.

    Parameters
    ----------
    engines
        Which must run there; None: tell of all that midgap knows, and of everything else.

    Raises
    ------
    ComputationError
        The worker cannot be reached.
    """
    worker, queue = project.workers[name], queue_of(project, name)
    host = connected(worker, name)
    try:
        findings = _of_itself(worker, name, queue, host, engines)
        if all(finding.present or not finding.essential for finding in findings):
            findings += _of_request(worker, queue, host)
    finally:
        host.close()
    return findings


def refuse_unfit(project: Project, name: str, engines: Sequence[str]) -> None:
    """Refuse a worker on which jobs would fail.

    Raises
    ------
    InputError
        Something essential is missing there; says what, and what to do.
    """
    for finding in inspect_worker(project, name, engines):
        if finding.essential and not finding.present:
            remedy = finding.remedy.rstrip(".")
            raise InputError(f"The worker {name} is not ready: {finding.name} {finding.detail}; {remedy}.")


def connected(worker: WorkerBase, name: str) -> BaseHost:
    """The worker's machine.

    Raises
    ------
    ComputationError
        It cannot be reached.
    """
    host = worker.get_host()
    try:
        host.connect()
    except Exception as error:  # of paramiko, fabric, socket: each has its own
        where = getattr(worker, "host", "this machine")
        raise ComputationError(
            f"The worker {name} at {where} cannot be reached: {type(error).__name__}: {' '.join(str(error).split())}; "
            f"does this work: ssh {where}?"
        ) from None
    return host


def ask(
    host: BaseHost, worker: WorkerBase, words: Sequence[str], config: Mapping[str, Any] | None = None
) -> tuple[str, str, int]:
    """Run a Python module of ours there, in the environment of its jobs; stdout, stderr and exit code.

    ``config`` is the ``exec_config`` of those jobs.
    """
    config = config or {}
    lines = [worker.pre_run, config.get("pre_run")]
    lines += [f"export {name}={shlex.quote(str(value))}" for name, value in (config.get("export") or {}).items()]
    lines += [f"module load {name}" for name in config.get("modules") or []]
    script = "\n".join([*filter(None, lines), f"python3 -m {shlex.join(words)}"])
    # A login shell: `module` is a function that only those know.
    out, err, code = host.execute(f"bash -l -c {shlex.quote(script)}", timeout=TIMEOUT_S)
    return out, err, code


def _of_itself(
    worker: WorkerBase, name: str, queue: Queue, host: BaseHost, engines: Sequence[str] | None
) -> list[Finding]:
    """What the worker says, engines with modules of their own in an environment of their own."""
    from midgap.workflows.engines import ENGINE_NAMES

    wanted = ENGINE_NAMES if engines is None else engines
    own = {engine: found.exec_config for engine, found in queue.engines.items() if found.exec_config}
    question = {
        "versions": versions(),
        "work_dir": str(worker.work_dir),
        "scheduler": queue.scheduler,
        "engines": [engine for engine in wanted if engine not in own],
        "needed": engines is not None,
        "engines_only": False,
    }
    findings = _answer(host, worker, question, None)
    for engine in wanted:
        if engine in own and all(finding.present or not finding.essential for finding in findings):
            config = queue.exec_configs.get(own[engine])
            if config is None:
                raise InputError(f"The project has no exec_config {own[engine]!r}, which {engine} asks for on {name}.")
            told = _answer(host, worker, question | {"engines": [engine], "engines_only": True}, config)
            findings += [finding for finding in told if finding.name not in ("host", "clock")]
    return findings


def _answer(
    host: BaseHost, worker: WorkerBase, question: Mapping[str, Any], config: Mapping[str, Any] | None
) -> list[Finding]:
    """What the worker answers, its name and clock first; or the one finding that it does not."""
    before = time.time()
    out, err, code = ask(host, worker, ["midgap.workflows.cluster.selfcheck", json.dumps(question)], config)
    after = time.time()
    line = next((line for line in out.splitlines() if line.startswith(MARK)), None)
    if line is None:
        return [_silent(err, code)]
    told: Mapping[str, Any] = json.loads(line.removeprefix(MARK))
    ahead = max(told["time"] - after, 0.0) + min(told["time"] - before, 0.0)
    clock = Finding(
        "clock",
        abs(ahead) < CLOCK_S,
        f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's" if abs(ahead) >= 1 else "agrees",
        "have the clocks set: times of jobs will be off",
    )
    return [Finding("host", True, str(told["host"])), clock, *(Finding(**finding) for finding in told["findings"])]


def _silent(err: str, code: int) -> Finding:
    said = (err.strip().splitlines() or [f"exit code {code}"])[-1]
    if missing := re.search(r"No module named '?(midgap[\w.]*)", err):
        return Finding(
            "midgap",
            False,
            f"is missing there (no module {missing[1]} in the Python that pre_run sets up)",
            f"there: pip install 'midgap[hpc]=={versions().get('midgap', '')}'",
            True,
        )
    if missing := re.search(r"No module named '?([\w.]+)", err):
        return Finding(
            "midgap", False, f"lacks the package {missing[1]} there", f"there: pip install {missing[1]}", True
        )
    return Finding("Python", False, f"does not start there: {said}", "correct pre_run of the worker", True)


def _of_request(worker: WorkerBase, queue: Queue, host: BaseHost) -> list[Finding]:
    """Have Slurm look at a script of ours without running it: partition, account and limits."""
    if queue.scheduler != "slurm":
        return []
    light = queue.manager_config({"task": "collect"}).get("resources") or dict(worker.resources or {})
    script = worker.get_scheduler_io().get_submission_script(["true"], dict(light))
    out, err, code = host.execute(
        f"printf %s {shlex.quote(script)} | bash -c {shlex.quote('sbatch --test-only')}", timeout=TIMEOUT_S
    )
    if code == 0:
        return [Finding("request", True, "the queue would take a job")]
    said = re.sub(r"^(sbatch|allocation failure|error|:|\s)+", "", (err.strip().splitlines() or [out.strip()])[-1])
    asked = ", ".join(f"{key} {value}" for key, value in (worker.resources or {}).items())
    return [
        Finding(
            "request", False, f"would be refused by Slurm: {said} (asked: {asked or 'nothing'})", _sinfo(host), True
        )
    ]


def _sinfo(host: BaseHost) -> str:
    out, _, code = host.execute("sinfo --noheader --format %R", timeout=TIMEOUT_S)
    partitions = ", ".join(sorted(set(out.split())))
    return f"correct resources of the worker; partitions there: {partitions}" if code == 0 else "correct resources"
