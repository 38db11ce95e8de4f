"""Locks that die with their holder, and children that die with their parent."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from midgap.structures.errors import InputError

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def death_with_parent() -> Callable[[], None]:
    """What a child calls between fork and exec so that the kernel kills it when its parent dies.

    Linux only; elsewhere it does nothing, and the lock on the folder keeps an orphan from company.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: no imports between fork and exec
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


@contextlib.contextmanager
def locked(path: Path, what: str, patience_s: float = 10.0) -> Iterator[int]:
    """Hold the lock ``path``; yields its file descriptor, by which children may hold it too.

    The kernel frees the lock when the last process that has the descriptor ends, however it ends.
    The file names the first holder. If that one is dead, what it left behind is given
    ``patience_s`` to die as well.

    Raises
    ------
    InputError
        ``what`` is being worked on by another process, which is named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + patience_s
        while not _taken(descriptor):
            holder = _holder(descriptor)
            if (holder and _alive(holder)) or time.monotonic() > deadline:
                by = f"process {holder}" if holder and _alive(holder) else f"what process {holder or '?'} left running"
                raise InputError(f"{what} is being worked on by {by}; wait for it to end, or end it.")
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdigit() else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _zombie(pid)


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def end_group(leader: int, gone: Callable[[], bool], patience_s: float = 5.0) -> None:
    """End the process group that ``leader`` leads: ask first, then insist.

    ``gone`` says whether the leader has ended, and reaps it; only a group of one's own child may be given.
    """
    for number, patience in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 1.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)
        deadline = time.monotonic() + patience
        while not gone() and time.monotonic() < deadline:
            time.sleep(0.02)
        if number == signal.SIGTERM and gone():
            # The leader went at the first word; whatever it started may not have listened.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
            return
