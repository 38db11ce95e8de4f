"""Kill a run of real calculations at random moments, let it go on, and compare with an unbroken one.

    python benchmarks/kill_resume.py --kills 20 --folder /tmp/kill [--signal INT]

The flow is dynamic: rock salt is relaxed, its supercell and its Cl vacancy are cut from the relaxed
crystal, the vacancy is relaxed, the levels of both are found. All with GPAW, half a minute on 2 cores.
A kill is SIGKILL, to the process group that the run was started in, to the first process alone, or to all processes at
once; or SIGINT or SIGTERM to the first process, as by Ctrl-C and by queues. ``--signal`` sends one kind alone. Prints a
JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from jobflow import Flow
from pymatgen.core import IStructure, Lattice

from midgap.defects.report import Levels
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.flows import HostFlowMaker, LevelFlowMaker
from midgap.workflows.local import run_flow
from midgap.workflows.store import embedded_store
from midgap.workflows.worker import attempts

SAME_eV = 0.02
"""A relaxation that was broken takes a slightly different path to within the same force threshold."""


ASKED = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}
"""Signals by which people and queues end a run."""
WAYS = ("group", "first", "all", *ASKED)
OF_SIGNAL = {"KILL": ("group", "first", "all"), "INT": ("interrupt",), "TERM": ("terminate",)}


def small_flow() -> Flow:
    """Nine jobs, four of them calculations, two known only once the host is relaxed."""
    lattice = Lattice(5.69 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    host = Model(
        name="NaCl_2",
        kind="pristine",
        material="NaCl",
        structure=IStructure(lattice, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    )
    maker = LevelFlowMaker(
        theory=LevelOfTheory.named("pbe", cutoff_eV=200), options={"fmax_eV_per_ang": 0.05, "empty_bands": 8}
    )
    return HostFlowMaker(levels=maker, build={"charges": [1], "max_atoms": 8, "clusters": "none"}).make(host)


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """Start the run in a process group of its own, hearing interrupts even where a shell's background job does not."""
    return subprocess.Popen(
        [sys.executable, __file__, "--run", str(folder)],
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def kill(process: subprocess.Popen[bytes], how: str) -> None:
    """End a run: by a signal that it may answer, or so that it cannot say goodbye."""
    if how in ASKED:
        process.send_signal(ASKED[how])
    elif how == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        doomed = [psutil.Process(process.pid)]
        if how == "all":
            doomed += doomed[0].children(recursive=True)
        for one in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()


def break_at_random(
    folder: Path, kills: int, longest_s: float, rng: random.Random, ways: Sequence[str] = WAYS
) -> list[str]:
    """Kill the run ``kills`` times, at most so many seconds after its start; returns when and how.

    Ends sooner if the run does.
    """
    moments: list[str] = []
    while len(moments) < kills:
        process = begin(folder)
        moment = rng.uniform(0.0, longest_s)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            how = rng.choice(ways)
            kill(process, how)
            moments.append(f"{moment:.2f} s {how}")
        else:
            if process.returncode:
                raise SystemExit(f"The run failed with code {process.returncode} instead of being killed.")
            break
    return moments


def audit(folder: Path) -> dict[str, int]:
    """Check that the run is whole.

    Raises
    ------
    AssertionError
        A file is half-written, a job is stored twice, or one was done again after it had been done.
    """
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    documents = list(embedded_store(folder / "store").query({}))
    keys = {(document["uuid"], document["index"]) for document in documents}
    assert len(keys) == len(documents), "a job is stored twice"
    homes = {path.name: path for path in (folder / "jobs").iterdir()}
    assert len(homes) == len(documents), (
        f"{len(homes)} job folders, {len(documents)} stored jobs: a job was spawned twice"
    )
    starts = ends = 0
    for document in documents:
        end = document["uuid"][-8:] + (f".{document['index']}" if document["index"] > 1 else "")
        (home,) = (path for name, path in homes.items() if name.endswith(end))
        lines = attempts(home)
        started = sum(line["event"] == "started" for line in lines)
        assert document["attempt"] == started, f"{document['name']} was started again after it had been done"
        starts, ends = starts + started, ends + 1
    return {"jobs": ends, "starts": starts}


def difference_eV(one: Path, other: Path) -> float:
    """The largest difference between what two runs computed: gaps, band edges, levels, energies.

    Each on its own calculation's scale. The alignment of so small a cell is left out: it is a mean over
    the far sites, and two of them lie exactly where "far" begins, so that the last bit of a position decides.
    """
    sides = [Levels.read(folder / "levels.json") for folder in (one, other)]
    assert [report.model for report in sides[0].reports] == [report.model for report in sides[1].reports]
    worst = 0.0
    for reports in zip(sides[0].reports, sides[1].reports, strict=True):
        numbers = []
        for report in reports:
            own_edges = [] if report.alignment.method == "site potentials" else [report.vbm_eV, report.cbm_eV]
            levels = [level.energy_eV for level in report.levels]
            numbers.append([report.gap_eV, report.total_energy_eV, *own_edges, *levels])
        assert len(numbers[0]) == len(numbers[1]), f"{reports[0].model}: other levels"
        worst = max(worst, *np.abs(np.subtract(*numbers)))
    return float(worst)


def finish(folder: Path) -> None:
    """Let the run come to its end."""
    if begin(folder).wait():
        raise SystemExit("The run failed.")


def benchmark(
    folder: Path, kills: int, longest_s: float | None, seed: int, ways: Sequence[str] = WAYS
) -> dict[str, Any]:
    """Break as many runs as it takes for ``kills`` kills."""
    rng = random.Random(seed)
    begun = time.monotonic()
    finish(folder / "unbroken")
    unbroken_s = time.monotonic() - begun
    longest_s = longest_s or unbroken_s / 2
    found: dict[str, Any] = {"seed": seed, "unbroken_s": round(unbroken_s, 1), "kills": 0, "runs": []}
    while found["kills"] < kills:
        broken = folder / f"broken{len(found['runs']) + 1}"
        moments = break_at_random(broken, kills - found["kills"], longest_s, rng, ways)
        finish(broken)
        counts = audit(broken)
        off = difference_eV(folder / "unbroken", broken)
        assert off < SAME_eV, f"levels differ by {off:.3f} eV"
        found["runs"].append({"killed": moments, **counts, "largest_difference_eV": round(off, 5)})
        found["kills"] += len(moments)
    return found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--longest", type=float, default=12.0, help="a kill comes at most so many seconds after the start"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signal", choices=list(OF_SIGNAL), help="of this kind alone (default: all kinds)")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run is not None:
        result = run_flow(small_flow(), asked.run, cores=2)
        result.raise_for_failures()
        Levels.from_dict({key: result.output[key] for key in ("reports", "models")}).write(asked.run / "levels.json")
        return
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="kill-resume-"))
    print(
        json.dumps(
            benchmark(folder, asked.kills, asked.longest, asked.seed, OF_SIGNAL.get(asked.signal, WAYS)), indent=1
        )
    )


if __name__ == "__main__":
    main()
