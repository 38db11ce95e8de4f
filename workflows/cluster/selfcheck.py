"""What a worker says of itself: ``python -m midgap.workflows.cluster.selfcheck QUESTION`` runs there.

``QUESTION`` is a JSON object with ``versions`` (of the machine that submits), ``work_dir``, ``scheduler``,
``engines`` (which to look for), ``needed`` (whether they must run there; else everything is told) and
``engines_only`` (for engines that need modules of their own). The answer is one line, ``MIDGAP`` and a JSON
object, among whatever the shell of the worker prints.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from midgap.workflows.installation import Finding, examine

MARK = "MIDGAP "
COMPARED = ("midgap", "jobflow", "jobflow-remote")
"""Packages that must be of one kind on both sides: jobs are written by one and read by the other."""

SPARE_GB = 5.0
COMMANDS = {"slurm": ("sbatch", "squeue", "scancel"), "pbs": ("qsub", "qstat", "qdel"), "shell": ()}


def versions() -> dict[str, str]:
    """Of the packages that both sides must agree on; those that are missing are left out."""
    found = {}
    for package in COMPARED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def same_kind(one: str, other: str) -> bool:
    """Whether two versions agree in their first two numbers."""
    return one.split(".")[:2] == other.split(".")[:2]


def of_versions(theirs: Mapping[str, str]) -> Iterator[Finding]:
    """The packages here against those of the machine that submits."""
    mine = versions()
    for package, wanted in theirs.items():
        have = mine.get(package)
        pip = f"{Path(sys.executable).parent}/pip install '{package}=={wanted}'"
        if have is None:
            yield Finding(package, False, f"is missing in {sys.executable}", pip, True)
        elif not same_kind(have, wanted):
            yield Finding(package, False, f"is {have} here and {wanted} where you submit", pip, True)
        else:
            yield Finding(package, True, have)
    jf = shutil.which("jf")
    yield Finding(
        "jf", jf is not None, jf or "is not on the PATH", "make pre_run of the worker put its folder on the PATH", True
    )


def of_work_dir(folder: Path) -> Iterator[Finding]:
    """Whether jobs can write: a full quota shows only when something is written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".midgap-") as stream:
            stream.write(os.urandom(1 << 20))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "delete what is not needed" if full else "correct work_dir of the worker"
        yield Finding("work_dir", False, f"{folder}: {error.strerror}", remedy, True)
        return
    free_GB = shutil.disk_usage(folder).free / 1e9
    yield Finding(
        "work_dir",
        free_GB > SPARE_GB,
        f"{folder}, {free_GB:.0f} GB free",
        f"make room: wavefunctions of large cells need more than {SPARE_GB:g} GB",
    )


def of_queue(scheduler: str) -> Iterator[Finding]:
    """Whether the commands of the queue are there and answer."""
    commands = COMMANDS.get(scheduler, ())
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        yield Finding(
            "queue", False, f"{', '.join(missing)} not found", "correct scheduler_type, or the PATH in pre_run", True
        )
        return
    if commands:
        asked = subprocess.run([commands[1]], capture_output=True, text=True, check=False)
        said = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        ok = asked.returncode == 0
        yield Finding("queue", ok, f"{scheduler} answers" if ok else said, "ask the administrators", True)


def of_engines(names: Sequence[str], needed: bool) -> Iterator[Finding]:
    """Engines, as they run in this environment."""
    from midgap.workflows.engines import engine_named

    for name in names:
        engine = engine_named(name)
        missing = engine.missing()
        detail = engine.version() if missing is None else "does not run here"
        yield Finding(name.upper(), missing is None, detail, missing or "", needed)


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, as plain JSON; ``time`` is this machine's clock in s."""
    findings: list[Finding] = []
    if not question["engines_only"]:
        findings += of_versions(question["versions"])
        findings += of_work_dir(Path(question["work_dir"]))
        findings += of_queue(question["scheduler"])
    findings += of_engines(question["engines"], question["needed"])
    if not question["engines_only"] and not question["needed"]:
        from midgap.workflows.engines import ENGINE_NAMES

        known = {finding.name for finding in findings} | {name.upper() for name in ENGINE_NAMES}
        findings += [finding for finding in examine() if finding.name not in known]
    return {"time": time.time(), "host": os.uname().nodename, "findings": [asdict(finding) for finding in findings]}


if __name__ == "__main__":
    print(MARK + json.dumps(answer(json.loads(sys.argv[1]))))
