"""The process that runs one job in the job's own folder, and the warm process that it is forked from.

Importing jobflow and pymatgen costs a second of CPU time. It is paid once: `serve` imports, then
forks a worker for each job it is told to run. A worker that crashes takes nothing along; all of
them die when the runner does, whichever way it goes.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from midgap.structures.document import read_json, write_atomic
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.interrupts import asked, end_on
from midgap.workflows.processes import death_with_parent

JOB, RESPONSE, ERROR, LOG, ATTEMPTS = "job.json", "response.json", "error.json", "job.log", "attempts.jsonl"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
EXIT_FAILED, EXIT_NO_SPACE = 1, os.EX_IOERR
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def attempts(folder: Path) -> list[dict[str, Any]]:
    """What has been noted of each attempt at the job of a folder, oldest first."""
    with contextlib.suppress(FileNotFoundError):
        lines = (folder / ATTEMPTS).read_text().splitlines()
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # the disk was full, or the machine lost power
                found.append(json.loads(line))
        return found
    return []


def note(folder: Path, **what: Any) -> None:
    """Add a line to the folder's attempts: one write, so no other line can get between its halves."""
    line = json.dumps({"time": round(time.time(), 3), "pid": os.getpid(), **what}) + "\n"
    handle = os.open(folder / ATTEMPTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def perform(folder: Path) -> None:
    """Run the job described by ``job.json`` in ``folder`` and write ``response.json``, whole or not at all.

    The response is what the runner commits: the job's output together with what it spawned.
    """
    from collections import defaultdict

    from jobflow import JobStore
    from maggma.stores import MemoryStore
    from monty.json import MontyDecoder, MontyEncoder

    def connected() -> MemoryStore:
        store = MemoryStore()
        store.connect()
        return store

    order = read_json(folder / JOB)
    job = MontyDecoder().process_decoded(order["job"])
    store = JobStore(MemoryStore(), additional_stores=defaultdict(connected))
    store.connect()
    if order["inputs"]:
        store.update(order["inputs"])
    response = job.run(store=store, job_dir=folder)
    document = store.query_one({"uuid": job.uuid, "index": job.index}, load=True) or {}
    document.pop("_id", None)
    spawned = {kind: getattr(response, kind) for kind in ("replace", "detour", "addition")}
    document |= {
        # As text: the keys of a serialised flow are not for a database to look into.
        "spawned": {kind: json.dumps(flow, cls=MontyEncoder) for kind, flow in spawned.items() if flow is not None},
        "stop_children": response.stop_children,
        "stop_jobflow": response.stop_jobflow,
        "without": order["without"],
        "attempt": order["attempt"],
    }
    write_atomic(folder / RESPONSE, json.dumps(document, cls=MontyEncoder))


def _attempt(folder: Path, threads: int) -> int:
    """Run the job of ``folder`` in this process, which is good for nothing else afterwards; the exit code."""
    try:
        os.chdir(folder)
        log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(dict.fromkeys(THREADS, str(threads)))
        note(folder, event="started")
        outcome = "failed"
        try:
            perform(folder)
            outcome = "ended"
        finally:
            if asked() and outcome == "failed":
                outcome = "interrupted"
            own, engines = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
            note(
                folder,
                event=outcome,
                cpu_s=round(own.ru_utime + own.ru_stime, 3),
                engine_cpu_s=round(engines.ru_utime + engines.ru_stime, 3),
            )
        return 0
    except BaseException as error:
        if number := asked():
            return 128 + number
        traceback.print_exc()
        if isinstance(error, OSError) and error.errno in FULL:
            return EXIT_NO_SPACE
        try:
            name = type(error).__name__
            # Our own errors and those of the system are sentences; others need their name to mean something.
            message = str(error) if isinstance(error, (InputError, ComputationError, OSError)) else f"{name}: {error}"
            write_atomic(folder / ERROR, json.dumps({"type": name, "message": message}))
        except OSError:
            return EXIT_NO_SPACE
        return EXIT_FAILED
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()


class Server:
    """Forks a worker for each folder named on ``channel``, and says there how each ended."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.folders: dict[int, str] = {}
        self.wakeup, alarm = socket.socketpair()
        alarm.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(alarm.fileno(), warn_on_full_buffer=False)
        self.alarm = alarm

    def serve(self) -> None:
        """Until the runner closes its end, or dies."""
        selector = selectors.DefaultSelector()
        selector.register(self.channel, selectors.EVENT_READ)
        selector.register(self.wakeup, selectors.EVENT_READ)
        heard = b""
        while True:
            for ready, _ in selector.select():
                if ready.fileobj is self.wakeup:
                    self.wakeup.recv(4096)
                    self._reap()
                    continue
                try:
                    received = self.channel.recv(65536)
                except ConnectionError:
                    received = b""
                if not received:  # the runner is gone; what it left must not outlive it
                    return self._end_all(patience_s=5.0)
                heard += received
                while b"\n" in heard:
                    line, _, heard = heard.partition(b"\n")
                    order = json.loads(line)
                    if "stop" in order:
                        return self._end_all(patience_s=order["stop"])
                    self._fork(order["folder"], order["threads"])

    def _fork(self, folder: str, threads: int) -> None:
        alongside = death_with_parent()
        pid = os.fork()
        if pid == 0:
            code = EXIT_FAILED
            try:
                alongside()
                os.setpgid(0, 0)
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                end_on(signal.SIGTERM)
                for inherited in (self.channel, self.wakeup, self.alarm):
                    inherited.close()
                code = _attempt(Path(folder), threads)
            finally:
                os._exit(code)
        with contextlib.suppress(OSError):  # both sides set it, so that neither can be too late
            os.setpgid(pid, pid)
        self.folders[pid] = folder

    def _reap(self) -> None:
        for pid in list(self.folders):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                order = {"folder": self.folders.pop(pid), "exit": os.waitstatus_to_exitcode(status)}
                with contextlib.suppress(OSError):  # nobody listens any more
                    self.channel.sendall(json.dumps(order).encode() + b"\n")

    def _end_all(self, patience_s: float) -> None:
        """Ask the workers to end, which end their engines; insist after a while."""
        for number, patience in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
            for pid in self.folders:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + patience
            while self.folders and time.monotonic() < deadline:
                time.sleep(0.02)
                self._reap()


def serve(descriptor: int, path: list[str], preload: list[str]) -> None:
    """Run a `Server` on an open socket, with the runner's import path and ``preload`` imported."""
    sys.path[:] = path
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner hears it and says what is to be done
    for module in preload:
        # A module that does not import fails the job that needs it, with a message of its own.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    gc.freeze()  # so that collecting garbage in a worker does not copy the pages it shares
    Server(socket.socket(fileno=descriptor)).serve()


if __name__ == "__main__":
    serve(int(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3]))
