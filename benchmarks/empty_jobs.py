"""What running a flow costs for each job: jobs that do nothing but return a number, side by side and in a row.

    python benchmarks/empty_jobs.py [--jobs 1 10 100 1000] [--out benchmarks/results]

Half of the jobs do not wait for each other, the other half wait each for the one before; a last one adds up all. CPU time
of the runner and of all its processes for each job, start-up (imports) taken off by the run of one job; and the time to
see that a finished run is finished. Writes ``empty_jobs.json`` and ``empty_jobs.md``.

Expected time: 2 minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # as `empty_jobs` the jobs' functions can be imported by other processes


def number(value: int, before: int = 0) -> int:
    return value + 0 * before


def total(values: list[int]) -> int:
    return sum(values)


def flow(n: int) -> Any:
    """``n`` jobs."""
    import empty_jobs
    from jobflow import Flow, job

    made: list[Any] = []
    for index in range(n):
        in_a_row = index > (n + 1) // 2
        arguments = (index, made[-1].output) if in_a_row else (index,)
        made.append(job(empty_jobs.number)(*arguments))
    last = job(empty_jobs.total)([one.output for one in made])
    return Flow([*made, last], output=last.output)


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(n: int, folder: Path) -> dict[str, Any]:
    """A run of ``n`` jobs, and a look at it once it is finished."""
    from midgap.workflows.local import run_flow

    made = flow(n)
    before, begun = cpu_s(), time.monotonic()
    result = run_flow(made, folder, request={"jobs": n})
    result.raise_for_failures()
    assert result.output == n * (n - 1) // 2, "a job was lost"
    ran, wall_s = cpu_s(), time.monotonic() - begun
    again = run_flow(made, folder, request={"jobs": n})
    assert all(job.found_done for job in again.jobs), "a job was done again"
    return {
        "jobs": n,
        "cpu_s": round(ran - before, 3),
        "wall_s": round(wall_s, 2),
        "again_cpu_s": round(cpu_s() - ran, 3),
    }


def table(found: list[dict[str, Any]]) -> str:
    lines = ["| jobs | CPU, s | CPU a job, ms | wall, s | to see that it is finished, CPU s |", "|---|---|---|---|---|"]
    for one in found:
        a_job = "" if one["cpu_ms_a_job"] is None else f"{one['cpu_ms_a_job']:.0f}"
        lines.append(
            f"| {one['jobs']} | {one['cpu_s']:.2f} | {a_job} | {one['wall_s']:.1f} | {one['again_cpu_s']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--out", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        measure(1, Path(folder) / "warm")  # imports, which later runs do not pay again
        for n in asked.jobs:
            one = measure(n, Path(folder) / str(n))
            start_s = found[0]["cpu_s"] if found and found[0]["jobs"] == 1 else None
            one["cpu_ms_a_job"] = None if start_s is None else round(1000 * (one["cpu_s"] - start_s) / (n - 1), 1)
            found.append(one)
            print(json.dumps(one), flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "empty_jobs.json").write_text(json.dumps({"runs": found}, indent=1) + "\n")
    (asked.out / "empty_jobs.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
