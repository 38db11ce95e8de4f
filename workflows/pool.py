"""The runner's end of `midgap.workflows.worker`: starts jobs in processes of their own, and hears how they ended."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


class Workers:
    """Of one run; to be used in a ``with``, at whose end they are ended.

    Parameters
    ----------
    log
        Where what their server says goes.
    lock
        Descriptor of the run's lock, which they hold as long as one of them lives.
    preload
        Modules that the server imports before it forks.
    """

    def __init__(self, log: Path, lock: int, preload: list[str]) -> None:
        self.log, self.lock, self.preload = log, lock, preload
        self.channel: socket.socket | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.heard = b""
        self.at_work: set[str] = set()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, folder: Path, threads: int) -> None:
        if self.channel is None:
            self._open()
        assert self.channel is not None
        self.at_work.add(str(folder))
        # If the server has died, `wait` will find out.
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            self.channel.sendall(json.dumps({"folder": str(folder), "threads": threads}).encode() + b"\n")

    def wait(self, timeout_s: float) -> Iterator[tuple[str, int]]:
        """The folders whose workers have ended, with their exit codes (-n: ended by signal n)."""
        assert self.channel is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                return
        try:
            received = self.channel.recv(65536)
        except ConnectionError:
            received = b""
        if not received:
            lost, self.at_work = self.at_work, set()
            self._close()
            yield from ((folder, -signal.SIGKILL) for folder in lost)
            return
        self.heard += received
        while b"\n" in self.heard:
            line, _, self.heard = self.heard.partition(b"\n")
            ended = json.loads(line)
            self.at_work.discard(ended["folder"])
            yield ended["folder"], ended["exit"]

    def stop(self, patience_s: float = 10.0) -> None:
        """End what runs, engines included."""
        if self.channel is None or self.server is None:
            return
        with contextlib.suppress(OSError):
            self.channel.sendall(json.dumps({"stop": patience_s}).encode() + b"\n")
        try:
            self.server.wait(patience_s + 10.0)
        finally:
            self._close()

    def _open(self) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs, self.log.open("ab") as log:
            self.heard = b""
            self.server = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "midgap.workflows.worker",
                    str(theirs.fileno()),
                    json.dumps(sys.path),
                    json.dumps(self.preload),
                ],
                pass_fds=[theirs.fileno(), self.lock],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal is for the runner, which ends the rest in order.
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            )

    def _close(self) -> None:
        if self.channel is not None:
            self.channel.close()
        if self.server is not None and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        self.channel = self.server = None
