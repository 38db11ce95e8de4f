"""Run a jobflow flow on one machine, so that it can be killed at any moment and goes on from there.

The folder of a run holds

- ``flow.json``: the flow as it was first built, which fixes the identity of its jobs;
- ``store/``: the outputs (`embedded_store`);
- ``jobs/<name>-<end of its uuid>/``: one folder a job, in which the job runs; an engine that was
  killed finds its own restart file there;
- ``run.log``: what the processes said that run no job, as a rule nothing;
- ``run.lock``: held while somebody works on the run.

What a job returns reaches the disk in one step (``response.json``, renamed into place) and the store
in one step (one document: the output *and* the jobs it spawned). A response that the runner did not
live to commit is committed by the next one. So each job runs to its end once, whatever happens.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import Flow, Job, JobStore
from jobflow.core.flow import get_flow
from monty.json import MontyDecoder, MontyEncoder

from midgap.structures.document import read_json, write_atomic
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.file_names import file_name
from midgap.workflows import store as stores
from midgap.workflows.engines import ENGINE_NAMES, engine_named
from midgap.workflows.flow_content import anonymous, packages, refuse_foreign
from midgap.workflows.pool import Workers
from midgap.workflows.processes import locked
from midgap.workflows.schedule import Entry, Key, Schedule, State
from midgap.workflows.worker import ERROR, EXIT_NO_SPACE, JOB, LOG, RESPONSE, attempts

TRUSTED = frozenset({"midgap", "jobflow", "pymatgen", "monty", "numpy", "datetime", "builtins"})
"""Packages that a run's own files may name; those of the flow that the caller brings are added."""

LIGHT_S = 5.0
"""A job expected to take less starts at once, whether or not a core is free..."""
LIGHT_A_CORE = 4
"""...unless so many do already for each core."""

_PRELOAD = (
    "jobflow",
    "maggma.stores",
    "custodian",
    "pymatgen.core",
    "midgap.workflows.execution",
    "midgap.defects.levels",
)


@dataclass(frozen=True)
class JobView:
    """A job as a person wants to see it.

    ``elapsed_s`` is how long it has run or ran, None before; ``expected_s`` what its maker expects.
    """

    name: str
    uuid: str
    index: int
    state: State
    folder: Path
    metadata: Mapping[str, Any]
    elapsed_s: float | None
    expected_s: float
    error: str | None = None
    found_done: bool = False


@dataclass(frozen=True)
class RunResult:
    """How a run ended. ``output`` is the flow's, with all references resolved, if all its jobs are done."""

    folder: Path
    jobs: tuple[JobView, ...]
    output: Any = None

    @property
    def failed(self) -> tuple[JobView, ...]:
        return tuple(job for job in self.jobs if job.state == "failed")

    def raise_for_failures(self) -> None:
        """Say in one sentence what failed, if anything did.

        Raises
        ------
        ComputationError
            A job failed.
        """
        if not self.failed:
            return
        first = self.failed[0]
        others = f" {len(self.failed) - 1} more failed." if len(self.failed) > 1 else ""
        left = sum(job.state == "blocked" for job in self.jobs)
        waiting = f" {left} that need{'s' if left == 1 else ''} it did not start." if left else ""
        raise ComputationError(
            f"{first.name} failed: {(first.error or '').rstrip('.')}.{others}{waiting} "
            f"What is finished is kept; the same command tries again (log: {first.folder / LOG})."
        )


def run_flow(
    flow: Flow | Job,
    folder: Path | str,
    *,
    cores: int | None = None,
    request: Mapping[str, Any] | None = None,
    watch: Callable[[tuple[JobView, ...]], None] = lambda jobs: None,
    tick_s: float = 1.0,
) -> RunResult:
    """Run ``flow`` in ``folder``, or go on with the same flow that was begun there.

    Parameters
    ----------
    flow
        Any jobflow flow whose job functions can be imported.
    folder
        One folder a flow; made if it is not there.
    cores
        How many jobs of one thread run side by side; all cores of the machine if left out. A job whose
        metadata say ``max_threads`` may get more than one while cores are idle; one that says ``min_cores``
        waits until so many are.
    request
        What was asked for, as plain JSON. If given, the folder is known by it and not by the flow's content.
    watch, tick_s
        ``watch`` is called with all jobs at every change and every ``tick_s`` seconds.

    Raises
    ------
    InputError
        The folder holds another run, or is being worked on.
    KeyboardInterrupt
        On Ctrl-C, SIGTERM or SIGHUP, after the engines have been ended.
    OSError
        The folder cannot be written to, or the disk is full.

    Notes
    -----
    A job that fails stops only those that depend on it. The result tells; see
    `RunResult.raise_for_failures`.
    """
    folder = Path(folder).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder} is not a folder: name one for the run, there or not yet.") from None
    cores = cores or cores_here()
    with locked(folder / "run.lock", str(folder)) as lock, _signals_as_interrupts():
        runner = _Runner(folder, get_flow(flow), request, cores, watch, tick_s)
        with Workers(folder / "run.log", lock, runner.preload) as workers:
            runner.run(workers)
        return runner.result()


def cores_here() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Runner:
    folder: Path
    flow: Flow
    request: Mapping[str, Any] | None
    cores: int
    watch: Callable[[tuple[JobView, ...]], None]
    tick_s: float
    schedule: Schedule = field(default_factory=Schedule)
    threads: dict[Key, int] = field(default_factory=dict)
    started: dict[Key, float] = field(default_factory=dict)
    elapsed: dict[Key, float] = field(default_factory=dict)
    errors: dict[Key, str] = field(default_factory=dict)
    found_done: set[Key] = field(default_factory=set)
    folders: dict[Key, Path] = field(default_factory=dict)
    of_folder: dict[str, Key] = field(default_factory=dict)
    shown: dict[Key, JobView] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trusted = TRUSTED | packages(self.flow)
        self.flow = self._saved_flow()
        self.store: JobStore = stores.embedded_store(self.folder / "store")
        self.schedule.add(self.flow)
        for entry in self.schedule:
            if getattr(entry.job.function, "__module__", None) == "__main__":
                raise InputError(
                    f"The function of the job {entry.job.name} is defined in the script that is run, where no other "
                    "process can import it: put it into a module."
                )
        self._recall()

    @property
    def preload(self) -> list[str]:
        functions = {getattr(entry.job.function, "__module__", None) for entry in self.schedule}
        engines = sorted({str(name) for entry in self.schedule if (name := entry.job.metadata.get("engine"))})
        theirs = [module for name in engines if name in ENGINE_NAMES for module in engine_named(name).preload]
        return [*_PRELOAD, *theirs, *sorted(name for name in functions if name)]

    # What the folder holds

    def _saved_flow(self) -> Flow:
        path = self.folder / "flow.json"
        asked = None if self.request is None else dict(self.request)
        if not path.exists():
            write_atomic(path, json.dumps({"request": asked, "flow": self.flow}, cls=MontyEncoder))
            return self.flow
        held = read_json(path)
        if not isinstance(held, dict) or "flow" not in held:
            raise InputError(f"{path} is not a run of midgap; choose another folder.")
        refuse_foreign(held["flow"], self.trusted, path)
        flow = MontyDecoder().process_decoded(held["flow"])
        if asked is not None and held.get("request") is not None:
            asked = json.loads(json.dumps(asked))
            other = [
                f"{name} {_words(held['request'].get(name))} there, {_words(asked.get(name))} asked"
                for name in {**held["request"], **asked}
                if held["request"].get(name) != asked.get(name)
            ]
            if other:
                raise InputError(
                    f"{self.folder} holds another run ({'; '.join(other)}): ask for the same, or choose another folder."
                )
        elif anonymous(flow) != anonymous(self.flow):
            raise InputError(f"{self.folder} holds another run than the one asked for: choose another folder.")
        return flow

    def _recall(self) -> None:
        """Bring the schedule to where the last run on this folder came."""
        documents = {(d["uuid"], d["index"]): d for d in stores.committed(self.store)}
        self.stored = set(documents)
        new = [entry.key for entry in self.schedule]
        while new:
            key = new.pop()
            document = documents.get(key) or self._uncommitted(key)
            if document and not document.get("without"):
                self.found_done.add(key)
                new += self._take(key, document)

    def _uncommitted(self, key: Key) -> dict[str, Any] | None:
        path = self.job_folder(self.schedule.entries[key]) / RESPONSE
        if not path.exists():
            return None
        response = read_json(path)
        if response["without"]:
            return None
        self._commit(key, response)
        return response

    def _commit(self, key: Key, response: dict[str, Any]) -> None:
        stores.commit(self.store, response, known=key in self.stored)
        self.stored.add(key)

    def _documents(self, uuid: str) -> list[dict[str, Any]]:
        """What has been committed of a job, all indices, by the files it was committed from where they are there."""
        keys = [key for key in self.schedule.indices(uuid) if self.schedule.entries[key].state == "done"]
        paths = [self.job_folder(self.schedule.entries[key]) / RESPONSE for key in keys]
        if not all(path.exists() for path in paths):
            return stores.documents_of_job(self.store, uuid)
        return [read_json(path) for path in paths]

    def job_folder(self, entry: Entry) -> Path:
        if entry.key not in self.folders:
            job = entry.job
            name = file_name(job.name)[:60]
            index = f".{job.index}" if job.index > 1 else ""
            self.folders[entry.key] = self.folder / "jobs" / f"{name}-{file_name(job.uuid[-8:])}{index}"
            self.of_folder[str(self.folders[entry.key])] = entry.key
        return self.folders[entry.key]

    # What goes on

    def run(self, workers: Workers) -> None:
        self.watch(self.views())
        while True:
            self.schedule.settle()
            ready = self.schedule.ready()
            rivals = sum(not self._light(key) for key in ready)
            for key in ready:
                rivals -= self._start_if_free(key, workers, rivals) and not self._light(key)
            if not any(entry.state == "running" for entry in self.schedule):
                break
            self.watch(self.views())
            for name, code in workers.wait(self.tick_s):
                self._finish(self.of_folder[name], code)
        self.watch(self.views())

    def _light(self, key: Key) -> bool:
        return self.schedule.entries[key].cost_s < LIGHT_S

    def _start_if_free(self, key: Key, workers: Workers, rivals: int) -> bool:
        """Start a job if it may now; ``rivals`` that are not light are ready, this one included if it is not."""
        entry = self.schedule.entries[key]
        free = self.cores - sum(self.threads.values())
        light = self._light(key)
        needed = min(self.cores, int(entry.job.metadata.get("min_cores", 1)))
        if len(workers.at_work) - len(self.threads) >= LIGHT_A_CORE * self.cores if light else free < needed:
            return False
        threads = max(1, min(int(entry.job.metadata.get("max_threads", 1)), free // max(1, rivals)))
        self._write_order(entry)
        workers.start(self.job_folder(entry), threads)
        entry.state = "running"
        self.started[key] = time.monotonic()
        if not light:
            self.threads[key] = max(threads, needed)
        return True

    def _write_order(self, entry: Entry) -> None:
        folder = self.job_folder(entry)
        folder.mkdir(parents=True, exist_ok=True)
        half_written = folder.glob(".*")  # by `write_atomic`, when a former attempt was killed
        for left in (folder / ERROR, folder / RESPONSE, *half_written):
            left.unlink(missing_ok=True)
        inputs: list[dict[str, Any]] = []
        if entry.job.config.resolve_references:
            inputs = stores.with_references(self._documents, set(entry.job.input_uuids))
            refuse_foreign(inputs, self.trusted, self.folder / "store")
        unsettled = {uuid for uuid in entry.parents if not self.schedule.settled(uuid)}
        order = {
            "job": entry.job,
            "inputs": inputs,
            "attempt": 1 + sum(line.get("event") == "started" for line in attempts(folder)),
            # What it has to do without, because it failed: then it is to be done again when that is there.
            "without": sorted(unsettled - {spawner for spawner, _ in entry.within}),
        }
        write_atomic(folder / JOB, json.dumps(order, cls=MontyEncoder))

    def _finish(self, key: Key, code: int) -> None:
        entry = self.schedule.entries[key]
        folder = self.job_folder(entry)
        self.threads.pop(key, None)
        self.elapsed[key] = time.monotonic() - self.started[key]
        if (folder / RESPONSE).exists():
            response = read_json(folder / RESPONSE)
            self._commit(key, response)
            self._take(key, response)
            return
        if code == EXIT_NO_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        entry.state = "failed"
        self.errors[key] = _why(folder, code)

    def _take(self, key: Key, response: Mapping[str, Any]) -> list[Key]:
        """Mark a job done and take in what it spawned; returns the keys of that."""
        self.schedule.entries[key].state = "done"
        new: list[Key] = []
        for kind, text in response["spawned"].items():
            spawned = json.loads(text)
            refuse_foreign(spawned, self.trusted, self.folder / "store")
            new += self.schedule.add(MontyDecoder().process_decoded(spawned), key, awaited=kind != "addition")
        if response["stop_children"]:
            self.schedule.stop_children(key)
        if response["stop_jobflow"]:
            self.schedule.stop_all()
        return new

    # What is told

    def views(self) -> tuple[JobView, ...]:
        now = time.monotonic()
        for key, entry in self.schedule.entries.items():
            if entry.state == "running" or key not in self.shown or self.shown[key].state != entry.state:
                self.shown[key] = self._view(key, entry, now)
        return tuple(self.shown[key] for key in self.schedule.entries)

    def _view(self, key: Key, entry: Entry, now: float) -> JobView:
        return JobView(
            name=entry.job.name,
            uuid=entry.job.uuid,
            index=entry.job.index,
            state=entry.state,
            folder=self.job_folder(entry),
            metadata=entry.job.metadata,
            elapsed_s=now - self.started[key] if entry.state == "running" else self.elapsed.get(key),
            expected_s=entry.cost_s,
            error=self.errors.get(key),
            found_done=key in self.found_done,
        )

    def result(self) -> RunResult:
        from jobflow.core.reference import find_and_resolve_references

        views = self.views()
        output = None
        if all(view.state == "done" for view in views):
            with stores.sqlite_in_words(self.folder / "store"):
                output = find_and_resolve_references(self.flow.output, self.store)
        self.store.close()
        return RunResult(self.folder, views, output)


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _why(folder: Path, code: int) -> str:
    with contextlib.suppress(InputError, KeyError, TypeError):
        return str(read_json(folder / ERROR)["message"])
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code}"


def _words(value: Any) -> str:
    return "nothing" if value is None else str(value)
