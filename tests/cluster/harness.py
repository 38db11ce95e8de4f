"""What the tests of the cluster do again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stack import Stack

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


class Cluster:
    """The stack, the folder of its projects, and midgap's own command."""

    def __init__(self, stack: Stack, root: Path) -> None:
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
        # Of an option that is given twice the last one counts.
        self.midgap(
            *("cluster", "init", "--name", name, "--work-dir", self.root / "work" / name, "--scheduler", "slurm"),
            *("--partition", partition, "--account", "", "--hours", 0.5, "--username", "", "--host", "", "--poll", 1),
            *("--database", database or f"127.0.0.1:{self.stack.mongo_port}", "--pre-run", self.pre_run, *words),
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
