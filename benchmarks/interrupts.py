"""Ctrl-C and SIGTERM at random moments of commands that write files: what they end with and what they leave behind.

    python benchmarks/interrupts.py [--each 60] [--seed 1]

Each command is timed; then it is started again and again in a folder of its own and told to stop somewhere between
its first tenth of a second and its end. It may be stopped (130, 143), may have ended before (0), or may have been so
young that Python itself ended it; it may not fail in another way, nor leave a file that is not the one of an unbroken
run. Prints a JSON object. The flows' own are in ``kill_resume.py``.

Expected time: 15 min on one core.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from midgap.experiment.photons.ptu_writer import write_ptu
from midgap.experiment.photons.simulation import Experiment, simulate

LEVELS = Path(__file__).resolve().parents[1] / "examples" / "Cs4PbBr6" / "levels.json"
COMMANDS = {
    "photons": ["photons", "{streams}", "--out", "{out}", "--no-pictures"],
    "compare": ["compare", "--levels", str(LEVELS), "--out", "{out}/comparison.json", "--report", "{out}/page.html"],
    "export": ["export", str(LEVELS), "--to", "cif", "--out", "{out}"],
    "build": ["build", "--no-clusters", "--out", "{out}"],
}
NUMBERS = (signal.SIGINT, signal.SIGTERM)


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def begin(name: str, home: Path, out: Path) -> subprocess.Popen[str]:
    words = [word.format(streams=home / "streams", out=out) for word in COMMANDS[name]]
    return subprocess.Popen(
        [sys.executable, "-m", "midgap.cli.main", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def stopped(name: str, home: Path, each: int, rng: random.Random) -> dict[str, Any]:
    """How often a command ended how, and what was wrong."""
    begin(name, home, home / "whole").communicate()  # the first one compiles
    begun = time.monotonic()
    begin(name, home, home / "whole").communicate()
    whole, lasts_s = held(home / "whole"), time.monotonic() - begun
    ended: Counter[str] = Counter()
    wrong = []
    for _ in range(each):
        number, out, after_s = rng.choice(NUMBERS), home / "stopped", rng.uniform(0.1, lasts_s)
        process = begin(name, home, out)
        time.sleep(after_s)
        process.send_signal(number)
        _, said = process.communicate()
        ended[f"{number.name} {process.returncode}"] += 1
        young = process.returncode == -number
        if process.returncode not in (0, 128 + number, -number) or ("Traceback" in said and not young):
            wrong.append(f"{number.name} after {after_s:.2f} s: {process.returncode}, {said[-300:]}")
        if broken := [file for file, content in held(out).items() if whole.get(file) != content]:
            wrong.append(f"{number.name} after {after_s:.2f} s: {', '.join(broken)} half-written or left behind")
        shutil.rmtree(out, ignore_errors=True)
    return {"lasts_s": round(lasts_s, 2), "stopped": each, "ended": dict(sorted(ended.items())), "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "streams").mkdir()
        for seed in range(3):
            stream = simulate(Experiment(duration_s=0.2, detected_fraction=0.2, seed=seed))
            write_ptu(home / "streams" / f"{seed}.ptu", stream)
        found = {}
        for name in COMMANDS:
            place = home / name
            place.mkdir()
            (place / "streams").symlink_to(home / "streams")
            found[name] = stopped(name, place, asked.each, rng)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
