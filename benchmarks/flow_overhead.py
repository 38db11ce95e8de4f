"""What running a flow costs beside the engines: wall time in which none runs, and CPU time of our own.

    python benchmarks/flow_overhead.py --preset demo --folder /tmp/overhead

Runs ``midgap run`` and prints a JSON object. The wall time without an engine is that of the run minus
the union of the engines' lifetimes, start-up, level finding and the report included. Our own CPU time
is that of all processes of the run minus that of the engines. Both as shares of the run's wall time.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from midgap.workflows.worker import attempts


def covered_s(intervals: list[tuple[float, float]]) -> float:
    """Length of the union of intervals.

    Examples
    --------
    >>> covered_s([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    4.0
    """
    total, end = 0.0, float("-inf")
    for begin, stop in sorted(intervals):
        total += max(0.0, stop - max(begin, end))
        end = max(end, stop)
    return total


def engines_of(folder: Path) -> tuple[list[tuple[float, float]], float]:
    """Lifetimes of the engines of a run, as (begin, end) in s, and their CPU time in s."""
    intervals, cpu_s = [], 0.0
    for job in (folder / "jobs").iterdir():
        begin = None
        for line in attempts(job):
            if line["event"] == "engine":
                begin = line["time"]
            elif line["event"] == "engine over" and begin is not None:
                intervals.append((begin, line["time"]))
            cpu_s += line.get("engine_cpu_s", 0.0)
    return intervals, cpu_s


def measure(command: list[str], folder: Path) -> dict[str, Any]:
    """Run a command that runs a flow in ``folder``."""
    begun = time.monotonic()
    code = subprocess.run(command).returncode
    wall_s = time.monotonic() - begun
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    intervals, engine_cpu_s = engines_of(folder)
    own_cpu_s = usage.ru_utime + usage.ru_stime - engine_cpu_s
    without_s = wall_s - covered_s(intervals)
    return {
        "exit_code": code,
        "wall_s": round(wall_s, 1),
        "engines": len(intervals),
        "engine_cpu_s": round(engine_cpu_s, 1),
        "wall_without_engine_s": round(without_s, 2),
        "own_cpu_s": round(own_cpu_s, 2),
        "share_without_engine": round(without_s / wall_s, 4),
        "share_own_cpu": round(own_cpu_s / wall_s, 4),
        "share_together": round((without_s + own_cpu_s) / wall_s, 4),
    }


def main() -> None:
    """Read the command line; further words go to ``midgap run``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--folder", type=Path, help="must not hold a run yet")
    asked, more = parser.parse_known_args()
    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="flow-overhead-"))) / "run"
    command = [sys.executable, "-m", "midgap.cli.main", "run", "--preset", asked.preset, "--out", str(folder), *more]
    print(json.dumps(measure(command, folder), indent=1))


if __name__ == "__main__":
    main()
