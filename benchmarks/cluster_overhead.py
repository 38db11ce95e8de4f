"""What midgap adds to jobflow-remote, a job: 50 trivial jobs through a pilot, sent by each, side by side.

    python tests/cluster/stack.py install
    python benchmarks/cluster_overhead.py --jobs 50

Brings up a Slurm and a MongoDB of its own on this machine. Two projects, alike but for their name, have a
pilot each; the same jobs go to one by ``midgap``'s submission with midgap's runner, to the other by plain
``submit_flow`` with ``jf runner start``. First one after the other, then the other one first, so that
neither gains by a warm file system. Prints a JSON object with the wall time from submission to the last
result, and the time a job that midgap takes beyond plain jobflow-remote.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

import stack as cluster_stack  # noqa: E402

BIN = Path(sys.executable).parent


def project(name: str, stack: cluster_stack.Stack, root: Path, parallel: int) -> None:
    """Write a project whose runner looks every second."""
    from midgap.workflows.cluster.site import Site, write_project

    here = ROOT / "tests" / "cluster"
    write_project(
        Site(
            name=name,
            work_dir=str(root / "work" / name),
            pre_run=f"export PATH={BIN}:$PATH PYTHONPATH={here}",
            resources={"partition": "debug"},
            max_walltime_h=1,
            pilot=parallel,
            pilot_wait_s=10,
            pilot_sleep_s=1,
            database_port=stack.mongo_port,
            poll_s=1,
            poll_queue_s=1,
        )
    )


def flow(jobs: int):
    from cluster_jobs import trivial
    from jobflow import Flow

    return Flow([trivial(number) for number in range(jobs)])


def by_midgap(name: str, folder: Path, jobs: int) -> float:
    """Send by midgap and wait for the last result; s."""
    from midgap.workflows.cluster.jobs import SentFlow, submit
    from midgap.workflows.cluster.project import open_project

    opened = open_project(name)
    begun = time.monotonic()
    folder.mkdir(parents=True)
    sent, _ = submit(lambda: flow(jobs), opened, "cluster-pilot", folder, {"jobs": jobs})
    with SentFlow(sent) as followed:
        while followed.controller.count_jobs(states=_completed()) < jobs:
            time.sleep(0.2)
    return time.monotonic() - begun


def by_jobflow_remote(name: str, jobs: int) -> float:
    """Send by plain ``submit_flow`` and wait for the last result; s."""
    from jobflow_remote import submit_flow
    from jobflow_remote.jobs.jobcontroller import JobController

    begun = time.monotonic()
    submit_flow(flow(jobs), worker="cluster-pilot", project=name)
    controller = JobController.from_project_name(name)
    while controller.count_jobs(states=_completed()) < jobs:
        time.sleep(0.2)
    controller.close()
    return time.monotonic() - begun


def _completed():
    from jobflow_remote.jobs.state import JobState

    return JobState.COMPLETED


def measure(jobs: int, parallel: int, rounds: int) -> dict[str, object]:
    """Both ways, in turn, each round with new projects and so with a new pilot."""
    times: dict[str, list[float]] = {"midgap": [], "jobflow-remote": []}
    with tempfile.TemporaryDirectory(prefix="mg", dir="/tmp") as temporary:
        root = Path(temporary)
        os.environ["JFREMOTE_PROJECTS_FOLDER"] = str(root / "projects")
        # Only now: jobflow-remote reads its settings when it is imported.
        from midgap.workflows.cluster.project import controller, open_project
        from midgap.workflows.cluster.runner import start, stop

        with cluster_stack.Stack(root / "stack") as stack:
            for turn in range(rounds):
                ways = ["midgap", "jobflow-remote"]
                for way in ways if turn % 2 == 0 else reversed(ways):
                    name = f"{'ours' if way == 'midgap' else 'plain'}{turn}"
                    project(name, stack, root, parallel)
                    controller(open_project(name)).close()
                    if way == "midgap":
                        start(open_project(name))
                        times[way].append(by_midgap(name, root / "sent" / name, jobs))
                        stop(open_project(name))
                    else:
                        environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
                        jf = [str(BIN / "jf"), "-p", name, "runner"]
                        subprocess.run([*jf, "start", "-s"], check=True, env=environment, stdout=subprocess.DEVNULL)
                        times[way].append(by_jobflow_remote(name, jobs))
                        subprocess.run(
                            [*jf, "shutdown", "--wait"], check=True, env=environment, stdout=subprocess.DEVNULL
                        )
            subprocess.run(["scancel", "--user", str(os.getuid())], check=False)
            time.sleep(5)
    beyond = (statistics.mean(times["midgap"]) - statistics.mean(times["jobflow-remote"])) / jobs
    return {
        "jobs": jobs,
        "side_by_side": parallel,
        "wall_s": {way: [round(one, 1) for one in found] for way, found in times.items()},
        "beyond_jobflow_remote_s_a_job": round(beyond, 3),
        "load_average": [round(one, 1) for one in os.getloadavg()],
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    if lacking := cluster_stack.missing():
        sys.exit(f"cluster_overhead needs {', '.join(lacking)}: python tests/cluster/stack.py install")
    print(json.dumps(measure(asked.jobs, asked.parallel, asked.rounds), indent=1))


if __name__ == "__main__":
    main()
