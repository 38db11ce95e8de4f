"""One stack for all tests of the cluster; what takes long is sent at the beginning and looked at later."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import stack as cluster_stack  # noqa: E402

BIN = Path(sys.executable).parent


class Cluster:
    """The stack, the folder of its projects, and midgap's own command."""

    def __init__(self, stack: cluster_stack.Stack, root: Path) -> None:
        self.stack, self.root = stack, root

    def midgap(self, *words: object, code: int = 0, environment: dict[str, str] | None = None) -> str:
        """What the command prints: stdout where it should succeed, the sentence on stderr where it should not."""
        done = subprocess.run(
            [str(BIN / "midgap"), *map(str, words)],
            capture_output=True,
            text=True,
            env=os.environ | (environment or {}),
            timeout=300,
        )
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr.strip().splitlines()[-1]

    def init(self, name: str, *words: object, database: str | None = None, partition: str = "debug") -> None:
        """A project of the stack's Slurm and MongoDB."""
        self.midgap(
            *("cluster", "init", "--name", name, "--work-dir", self.root / "work" / name, "--scheduler", "slurm"),
            *("--partition", partition, "--account", "", "--hours", 0.5, "--username", "", "--poll", 1),
            *("--database", database or f"127.0.0.1:{self.stack.mongo_port}", "--pre-run", self.pre_run),
            *(words if "--host" in words else (*words, "--host", "")),
        )

    @property
    def pre_run(self) -> str:
        return f"export PATH={BIN}:$PATH PYTHONPATH={HERE} OMP_NUM_THREADS=1"

    def slurm_jobs(self, folder: Path) -> list[str]:
        """Ids of the Slurm jobs that began in a job's folder, from Slurm's own records."""
        text = (self.stack.root / "log" / "jobcomp.txt").read_text()
        return [line.split()[0].split("=")[1] for line in text.splitlines() if f"WorkDir={folder} " in f"{line} "]


def until(true: Callable[[], object], patience_s: float = 240.0, what: str = "") -> None:
    """Wait for something to happen."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what or true}"
        time.sleep(0.5)


def events(folder: Path, event: str) -> list[dict]:
    """What was noted in a job's folder."""
    path = folder / "attempts.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if line["event"] == event]


@pytest.fixture(scope="session")
def cluster():
    lacking = cluster_stack.missing()
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed: python tests/cluster/stack.py install")
    root = Path(tempfile.mkdtemp(prefix="mg", dir="/tmp"))  # short: sockets have names of 107 characters at most
    before = dict(os.environ)
    os.environ["JFREMOTE_PROJECTS_FOLDER"] = str(root / "projects")
    try:
        begun = time.monotonic()
        with cluster_stack.Stack(root / "stack") as stack:
            print(f"stack: {time.monotonic() - begun:.1f} s")
            here = Cluster(stack, root)
            try:
                yield here
            finally:
                subprocess.run(["scancel", "--user", str(os.getuid())], check=False)
                until(lambda: not subprocess.run(["squeue", "-h"], capture_output=True).stdout, 30, "an empty queue")
                for project in (root / "projects").glob("*.yaml"):
                    subprocess.run([str(BIN / "midgap"), "cluster", "stop", project.stem], check=False)
    finally:
        os.environ.clear()
        os.environ.update(before)
        if os.environ.get("MIDGAP_KEEP") != "1":
            shutil.rmtree(root, ignore_errors=True)
