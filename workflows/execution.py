"""Run one calculation: an engine as a process of its own, under custodian, in a folder of its own.

The folder holds ``asked.json`` (the calculation and the engine), the engine's own files, its
``stdout.txt`` and ``stderr.txt``, custodian's log ``custodian.json`` and, at the end, ``result.json``.
"""

from __future__ import annotations

import contextlib
import os
import resource
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
from midgap.workflows.worker import THREADS, note

MAX_FAILURES = 3


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
        The folder of a finished run of the same atoms, if it can be reached from here: the engine may
        start from its wavefunctions.

    Raises
    ------
    InputError
        The engine cannot do it or is not installed; the folder holds something else or is in use.
    ComputationError
        The engine failed, and what it can try instead failed too; carries the last line it said.
    """
    code = engine_named(engine)
    code.check(calculation)
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "engine.lock", str(folder)) as lock:
        begun = _begun(Asked(engine=code.name, calculation=calculation), folder)
        if (folder / "result.json").exists():
            return CalculationResult.read(folder / "result.json")
        result = None
        if begun:  # the engine may have finished, and only we have not
            with contextlib.suppress(ComputationError, InputError):
                result = code.read_result(calculation, folder)
        if result is None:
            if missing := code.missing():
                raise InputError(missing)
            if after is not None and not begun and Path(after).is_dir():
                code.adopt(Path(after), folder)
            result = _compute(EngineJob(code, calculation, folder, threads, lock))
        result.write(folder / "result.json")
        return result


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
        self.seconds = 0.0

    @property
    def name(self) -> str:
        return f"{self.engine.name} {self.calculation.task} {self.calculation.model.name}"

    def setup(self, directory: str = "./") -> None:
        self.engine.write_input(self.calculation, self.folder)

    def run(self, directory: str = "./") -> subprocess.Popen[bytes]:
        environment = os.environ | dict.fromkeys(THREADS, str(self.threads))
        with (self.folder / "stdout.txt").open("ab") as stdout, (self.folder / "stderr.txt").open("ab") as stderr:
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
        """Nothing: the result has been read by `EngineFailure`, which is how it knows of success."""

    def terminate(self, directory: str = "./") -> None:
        if self.process is not None and self.process.poll() is None:
            process = self.process
            end_group(process.pid, lambda: process.poll() is not None)

    def as_dict(self) -> dict[str, Any]:
        """For custodian's log only."""
        return {"@module": type(self).__module__, "@class": type(self).__name__, "name": self.name}


class EngineFailure(ErrorHandler):
    """An engine that left no result is tried again if it crashed, or if it knows a gentler way."""

    is_monitor = False

    def __init__(self, job: EngineJob) -> None:
        self.job = job
        self.result: CalculationResult | None = None
        self.error: ComputationError | None = None
        self.failures = 0

    def check(self, directory: str = "./") -> bool:
        try:
            self.result = self.job.engine.read_result(self.job.calculation, self.job.folder)
        except ComputationError as error:
            self.error = error
        return self.result is None

    def correct(self, directory: str = "./") -> dict[str, Any]:
        self.failures += 1
        status = self.job.process.returncode if self.job.process is not None else None
        gentler = self.job.engine.remedy(self.job.calculation, self.job.folder, self.failures)
        actions: list[str] | None = None
        if gentler is not None:
            self.job.calculation = gentler
            self.job.setup()
            actions = [f"go on with {gentler.engine_settings}"]
        elif status is not None and status < 0 and self.failures == 1:
            self.job.setup()  # some engines are told in their input to go on
            actions = ["go on from the restart file"]
        return {"errors": [f"{self.error} (exit status {status})"], "actions": actions}

    def as_dict(self) -> dict[str, Any]:
        """For custodian's log only."""
        return {"@module": type(self).__module__, "@class": type(self).__name__}


def _compute(job: EngineJob) -> CalculationResult:
    failure = EngineFailure(job)
    custodian = Custodian(
        [failure],
        [job],
        max_errors=MAX_FAILURES,
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
    if failure.result is None:
        raise ComputationError(_with_last_words(str(failure.error or f"{job.name} gave no result."), job))
    peak = _peak_of_children_MB()
    return _with_cost(
        failure.result,
        wall_time_s=round(time.monotonic() - started, 1),
        # The kernel keeps one maximum for all children there ever were: ours only if it rose.
        peak_memory_MB=round(peak) if peak > before else failure.result.provenance.peak_memory_MB,
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
