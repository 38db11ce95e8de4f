"""Run one calculation: an engine as a process of its own, under custodian, in a folder of its own.

The folder holds ``asked.json`` (the calculation and the engine), the engine's own files, its
``stdout.txt`` and ``stderr.txt``, custodian's log ``custodian.json`` and, at the end, ``result.json``.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from custodian.custodian import Custodian, CustodianError, ErrorHandler, Job

from midgap.structures.document import Document, read_json
from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines import engine_named
from midgap.workflows.engines.base import Engine
from midgap.workflows.processes import death_with_parent, end_group, locked
from midgap.workflows.walltime import duration, end_of_time, left_s
from midgap.workflows.worker import ATTEMPTS, ERROR, JOB, LOG, RESPONSE, THREADS, note

MAX_FAILURES = 3
MAX_CORRECTIONS = 8
"""Where custodian's handlers know an engine's errors, each of which may need another remedy."""

POLL_S, POLLS_A_LOOK = 1.0, 15
"""How often a watched engine is looked after: is it over; and every so many times, what does it say."""

MARGIN_S = 60.0
"""An engine that cannot be asked to stop is ended so long before the time is up; with less left, none is started."""

OURS = {JOB, RESPONSE, ERROR, LOG, ATTEMPTS, "asked.json", "result.json", "engine.lock", "custodian.json"}
"""Files of a folder that are about its run, not of its engine."""


class OutOfTime(ComputationError):
    """The time that the queue granted is up; the same calculation goes on from what is in the folder."""


class Asked(Document):
    """What a folder was asked for."""

    engine: str
    calculation: Calculation


def run(
    calculation: Calculation, engine: str, folder: Path | str, threads: int = 1, after: Path | str | None = None
) -> CalculationResult:
    """Compute, or go on computing, or return what is already computed.

    Parameters
    ----------
    calculation
        What to compute.
    engine
        By which code.
    folder
        One folder a calculation. A finished one is returned as it is; in an unfinished one the engine
        goes on from its restart file.
    threads
        OpenMP threads of the engine.
    after
        The folder of an earlier run, if it can be reached from here. One of the same atoms spares the
        engine work: it may start from its wavefunctions. One of this very calculation that was stopped is
        gone on with.

    Raises
    ------
    InputError
        The engine cannot do it or is not installed; the folder holds something else or is in use.
    OutOfTime
        The queue's time is up (see `midgap.workflows.walltime`) and the engine has stopped cleanly.
    ComputationError
        The engine failed, and what it can try instead failed too; carries the last line it said.
    """
    code = engine_named(engine)
    code.check(calculation)
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "engine.lock", str(folder)) as lock:
        asked = Asked(engine=code.name, calculation=calculation)
        carried_over = False
        if after is not None and not (folder / "asked.json").exists() and Path(after).is_dir():
            carried_over = _carry_over(asked, Path(after), folder)
            if not carried_over:
                code.adopt(calculation, Path(after), folder)
        begun = _begun(asked, folder) or carried_over
        if (folder / "result.json").exists():
            return CalculationResult.read(folder / "result.json")
        result = None
        if begun:  # the engine may have finished, and only we have not
            with contextlib.suppress(ComputationError, InputError):
                result = code.read_result(calculation, folder)
        if result is None:
            if missing := code.missing():
                raise InputError(missing)
            result = _compute(EngineJob(code, calculation, folder, threads, lock))
        result.write(folder / "result.json")
        return result


def _carry_over(asked: Asked, before: Path, folder: Path) -> bool:
    """Copy what an engine left elsewhere of this very calculation, so that it goes on here.

    Done before ``asked.json`` is written: a copy that was cut short is made anew.
    """
    try:
        if read_json(before / "asked.json") != asked.to_dict():
            return False
    except InputError:
        return False
    for path in before.iterdir():
        if path.is_file() and path.name not in OURS and not path.name.startswith("."):
            partial = folder / f".{path.name}"
            shutil.copyfile(path, partial)
            partial.replace(folder / path.name)
    return True


def _begun(asked: Asked, folder: Path) -> bool:
    path = folder / "asked.json"
    if not path.exists():
        asked.write(path)
        return False
    # Compared as written: so a calculation equals itself to the last digit.
    before, now = read_json(path), asked.to_dict()
    differing = [name for name, value in now["calculation"].items() if before.get("calculation", {}).get(name) != value]
    if before.get("engine") != now["engine"]:
        differing.insert(0, "engine")
    if differing:
        raise InputError(f"{folder} holds another calculation (other {', '.join(differing)}); choose another folder.")
    return True


class EngineJob(Job):
    """An engine's process, as custodian wants it.

    Custodian's own jobs end a code by its name, and with it everybody else's; this one ends its own
    process group, which it made.
    """

    def __init__(self, engine: Engine, calculation: Calculation, folder: Path, threads: int, lock: int) -> None:
        self.engine, self.calculation, self.folder = engine, calculation, folder
        self.threads, self.lock = threads, lock
        self.process: subprocess.Popen[bytes] | None = None
        self.result: CalculationResult | None = None
        self.error: ComputationError | None = None
        self.corrected = False
        self.stopped = False
        self.given_up: list[str] = []

    @property
    def name(self) -> str:
        return f"{self.engine.name} {self.calculation.task} {self.calculation.model.name}"

    @property
    def over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def setup(self, directory: str = "./") -> None:
        """Nothing: the input is written anew before each start, for some engines are told in it to go on."""

    def run(self, directory: str = "./") -> subprocess.Popen[bytes]:
        self.engine.write_input(self.calculation, self.folder)
        self.result, self.error, self.corrected = None, None, False
        environment = os.environ | dict.fromkeys(THREADS, str(self.threads))
        for name in ("stdout.txt", "stderr.txt"):
            # What the last attempt said must not be taken for what this one says.
            if (self.folder / name).exists():
                (self.folder / name).replace(self.folder / f"{name}.before")
        with (self.folder / "stdout.txt").open("wb") as stdout, (self.folder / "stderr.txt").open("wb") as stderr:
            try:
                self.process = subprocess.Popen(
                    self.engine.command(self.calculation),
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    process_group=0,
                    # An engine that outlives us keeps the lock, so that no second one starts beside it.
                    pass_fds=[self.lock],
                    preexec_fn=death_with_parent(),
                )
            except FileNotFoundError as error:
                raise ComputationError(f"{self.engine.name.upper()}: there is no program {error.filename}.") from None
        note(self.folder, event="engine", engine=self.engine.name, engine_pid=self.process.pid)
        return self.process

    def postprocess(self, directory: str = "./") -> None:
        """Nothing: the result has been read already, which is how success is known."""

    def outcome(self) -> CalculationResult | None:
        """The result that the process which is over left, or None: then ``error`` says why there is none."""
        if self.result is None and self.error is None:
            try:
                self.result = self.engine.read_result(self.calculation, self.folder)
            except ComputationError as error:
                self.error = error
        return self.result

    def terminate(self, directory: str = "./") -> None:
        if self.process is not None and self.process.poll() is None:
            process = self.process
            end_group(process.pid, lambda: process.poll() is not None)

    def as_dict(self) -> dict[str, Any]:
        """For custodian's log only."""
        return {"@module": type(self).__module__, "@class": type(self).__name__, "name": self.name}


class _Watch(ErrorHandler):
    """What all our handlers have in common; custodian's log gets their name."""

    def as_dict(self) -> dict[str, Any]:
        return {"@module": type(self).__module__, "@class": type(self).__name__}


class InTime(_Watch):
    """Has the engine stop before the queue's time is up.

    No error to custodian, which would count it and go on.
    """

    is_monitor = True
    is_terminating = False

    def __init__(self, job: EngineJob, end: float) -> None:
        self.job, self.end = job, end

    def check(self, directory: str = "./") -> bool:
        if self.job.over:
            return False
        left = left_s(self.end)
        if self.job.engine.wind_down(self.job.calculation, self.job.folder, left):
            self.job.stopped = True
        if left < MARGIN_S:
            self.job.stopped = True
            self.job.terminate()
        return False

    def correct(self, directory: str = "./") -> dict[str, Any]:
        return {"errors": [], "actions": None}


class OfEngine(_Watch):
    """One of custodian's handlers, not asked about a run that gave a result or was stopped by us."""

    def __init__(self, job: EngineJob, handler: ErrorHandler) -> None:
        self.job, self.handler = job, handler
        self.is_monitor, self.is_terminating = handler.is_monitor, handler.is_terminating
        self.max_num_corrections, self.raise_on_max = handler.max_num_corrections, handler.raise_on_max

    def check(self, directory: str = "./") -> bool:
        if self.job.stopped or (self.job.over and self.job.outcome() is not None):
            return False
        return bool(self.handler.check(directory))

    def correct(self, directory: str = "./") -> dict[str, Any]:
        done: dict[str, Any] = self.handler.correct(directory)
        self.job.corrected |= bool(done["actions"])
        if not done["actions"]:
            self.job.given_up += map(str, done["errors"])
        return done | {"actions": done["actions"] or None}

    def as_dict(self) -> dict[str, Any]:
        return {"@module": type(self.handler).__module__, "@class": type(self.handler).__name__}


class EngineFailure(_Watch):
    """An engine that left no result is tried again if it crashed, or if it knows a gentler way."""

    is_monitor = False

    def __init__(self, job: EngineJob) -> None:
        self.job = job
        self.failures = 0

    def check(self, directory: str = "./") -> bool:
        return not self.job.corrected and self.job.outcome() is None

    def correct(self, directory: str = "./") -> dict[str, Any]:
        self.failures += 1
        status = self.job.process.returncode if self.job.process is not None else None
        actions: list[str] | None = None
        if not self.job.stopped:
            gentler = self.job.engine.remedy(self.job.calculation, self.job.folder, self.failures)
            if gentler is not None:
                self.job.calculation = gentler
                actions = [f"go on with {gentler.engine_settings}"]
            elif status is not None and status < 0 and self.failures == 1:
                actions = ["go on from the restart file"]
        return {"errors": [f"{self.job.error} (exit status {status})"], "actions": actions}


def _compute(job: EngineJob) -> CalculationResult:
    end = end_of_time()
    left = left_s(end)
    if left < max(MARGIN_S, job.engine.lead_s()):
        raise ComputationError(
            f"{job.name} was not started: {duration(left)} of the queue's time are left; start it again with more."
        )
    known: list[ErrorHandler] = [OfEngine(job, handler) for handler in job.engine.handlers(job.calculation, job.folder)]
    custodian = Custodian(
        [*known, *([] if end is None else [InTime(job, end)]), EngineFailure(job)],
        [job],
        max_errors=MAX_CORRECTIONS if known else MAX_FAILURES,
        polling_time_step=POLL_S,
        monitor_freq=POLLS_A_LOOK,
        skip_over_errors=True,  # a handler that stumbles over a half-written file
        terminate_on_nonzero_returncode=False,  # a result that is whole counts
        directory=str(job.folder),
    )
    before = _peak_of_children_MB()
    started = time.monotonic()
    try:
        custodian.run()
    except CustodianError:
        pass  # what went wrong is told by the engine
    finally:
        job.terminate()
        note(job.folder, event="engine over")
    result = job.outcome()
    if result is None:
        if job.stopped:
            raise _out_of_time(job)
        sentence = str(job.error or f"{job.name} gave no result.")
        if job.given_up:
            sentence = f"{sentence.rstrip('.')} (not to be corrected: {', '.join(dict.fromkeys(job.given_up))})."
        raise ComputationError(_with_last_words(sentence, job))
    peak = _peak_of_children_MB()
    return _with_cost(
        result,
        wall_time_s=round(time.monotonic() - started, 1),
        # The kernel keeps one maximum for all children there ever were: ours only if it rose.
        peak_memory_MB=round(peak) if peak > before else result.provenance.peak_memory_MB,
    )


def _out_of_time(job: EngineJob) -> ComputationError:
    if job.engine.advanced(job.calculation, job.folder):
        return OutOfTime(
            f"{job.name} was stopped because the queue's time was up; what is done is kept in {job.folder}, and the "
            "same calculation goes on from there."
        )
    return ComputationError(
        f"{job.name} did not come a step further before the queue's time was up: ask for more time, or for more cores."
    )


def _with_cost(result: CalculationResult, **cost: float | None) -> CalculationResult:
    update: dict[str, Any] = {"provenance": result.provenance.model_copy(update=cost)}
    if result.electronic_structure is not None:
        update["electronic_structure"] = result.electronic_structure.model_copy(update=update)
    return result.model_copy(update=update)


def _peak_of_children_MB() -> float:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def _with_last_words(sentence: str, job: EngineJob) -> str:
    status = job.process.returncode if job.process is not None else None
    ended = f"; it was ended by {signal.Signals(-status).name}" if status is not None and status < 0 else ""
    with (job.folder / "stderr.txt").open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 4096))
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    said = f" Its last line on stderr: {lines[-1][:300]}" if lines and lines[-1] not in sentence else ""
    return f"{sentence.rstrip('.')}{ended}.{said}"
