"""Spoilt files through every reader: a result or one sentence, in bounded time and memory, or it is a bug.

    python benchmarks/fuzz.py [--seconds 600] [--only NAME ...] [--seed 1]

Mutational, in forked processes with limits of CPU time and memory; a file that brings a sentence not seen before is
kept as a start for others, which takes the fuzzing past the first checks. What fails is made small and kept under
``tests/fuzz_corpus/found``, where ``tests/test_fuzz_corpus.py`` reads it from then on. Puts a row a reader into
``results/fuzz.json``, where those of readers that are not asked for stay, and prints a table.

Expected time: ``--seconds`` for each of the readers, one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a pool of threads does not live through a fork
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests")]

from fuzz_mutations import mutate  # noqa: E402
from fuzz_process import Outcome, run_batch, warm  # noqa: E402
from fuzz_readers import READERS, Files, Reader  # noqa: E402

FOUND = HERE.parent / "tests" / "fuzz_corpus" / "found"
BATCH = 50
MOST_KEPT = 400
MINIMISING_S = 15.0


class Fuzzing:
    """One reader being fuzzed: its pool of starts, and what came of it."""

    def __init__(self, name: str, reader: Reader, seed: int, folder: Path) -> None:
        self.name, self.reader, self.seed, self.folder = name, reader, seed, folder
        self.seeds = reader.seeds()
        self.pool: list[Files] = list(self.seeds)
        self.seen: set[str] = set()
        self.kinds: Counter[str] = Counter()
        self.bugs: dict[str, Files] = {}
        self.tried = 0
        self.slowest_s = self.most_MB = 0.0

    def spoilt(self, number: int) -> Files:
        """The input of a number, the same for the same seed and pool."""
        rng = random.Random(f"{self.seed} {self.name} {number}")
        start = rng.choice(self.seeds if rng.random() < 0.3 else self.pool)
        others = [content for files in self.pool[-50:] for content in files.values()]
        files = dict(start)
        for name in rng.sample(sorted(files), 1 if rng.random() < 0.9 else len(files)):
            files[name] = mutate(name, files[name], others, rng)
        return files

    def run(self, seconds: float) -> None:
        """Fuzz for so long."""
        warm(self.reader, self.seeds[0], self.folder)
        sound = run_batch(self.reader.read, [lambda files=files: files for files in self.seeds], self.folder)
        broken = [outcome for outcome in sound if outcome.kind != "result"]
        if broken:
            raise SystemExit(f"{self.name}: a sound file is not read: {broken[0]}")
        end, many = time.monotonic() + seconds, 5
        while (begun := time.monotonic()) < end:
            numbers = range(self.tried, self.tried + many)
            makers = [lambda number=number: self.spoilt(number) for number in numbers]
            outcomes = run_batch(self.reader.read, makers, self.folder)
            learnt = [(number, outcome) for number, outcome in zip(numbers, outcomes, strict=False)]
            new: list[Files] = []
            for number, outcome in learnt:
                new += self.take(number, outcome)
            self.pool = (self.pool + new)[-MOST_KEPT:]
            self.tried += len(outcomes)
            # As many as take some seconds, or the end would be missed by those that HDF5's library loops on.
            many = max(1, min(BATCH, int(many * 5.0 / (time.monotonic() - begun))))

    def take(self, number: int, outcome: Outcome) -> list[Files]:
        """Count an outcome; the files if it is of a new kind and worth starting from."""
        self.kinds[outcome.kind if outcome.sound else outcome.signature] += 1
        self.slowest_s = max(self.slowest_s, outcome.cpu_s)
        self.most_MB = max(self.most_MB, outcome.grown_MB)
        key = outcome.signature
        if key in self.seen:
            return []
        self.seen.add(key)
        if outcome.kind == "not made":
            return []
        files = self.spoilt(number)
        if outcome.sound:
            return [files]
        self.bugs[key] = files
        print(f"  {self.name} {number}: {key}\n    {outcome.said[:300]}", flush=True)
        return []

    def keep_bugs(self) -> None:
        """Make what failed small and keep it for the tests."""
        for signature, files in self.bugs.items():
            small = self.minimised(files, signature)
            words = re.sub(r"\W+", "-", signature)[:60].strip("-")
            home = FOUND / self.name / f"{words}-{hashlib.sha256(signature.encode()).hexdigest()[:6]}"
            if home.exists():  # what failed in the same place before is read by now, or the tests would say so
                content = b"".join(small[name] for name in sorted(small))
                home = home.with_name(f"{home.name}-{hashlib.sha256(content).hexdigest()[:4]}")
            home.mkdir(parents=True, exist_ok=True)
            for name, content in small.items():
                (home / name).write_bytes(content)

    def minimised(self, files: Files, signature: str) -> Files:
        """The same failure from less: pieces are left out as long as it stays."""
        end = time.monotonic() + MINIMISING_S

        def fails(candidate: Files) -> bool:
            (outcome,) = run_batch(self.reader.read, [lambda: candidate], self.folder)
            return outcome.signature == signature

        for name in sorted(files):
            size = max(1, len(files[name]) // 2)
            while size >= 1 and time.monotonic() < end:
                start = 0
                while start < len(files[name]) and time.monotonic() < end:
                    shorter = files | {name: files[name][:start] + files[name][start + size :]}
                    if fails(shorter):
                        files = shorter
                    else:
                        start += size
                size //= 4
        return files

    def summary(self) -> dict[str, Any]:
        good = {"result", "InputError", "ComputationError", "not made"}
        return {
            "reader": self.name,
            "inputs": self.tried,
            "results": self.kinds["result"],
            "refused": self.kinds["InputError"] + self.kinds["ComputationError"],
            "different sentences": sum(not key.startswith("result") for key in self.seen) - len(self.bugs),
            "failures": {kind: count for kind, count in self.kinds.items() if kind not in good},
            "slowest_s": round(self.slowest_s, 2),
            "most_MB": round(self.most_MB),
        }


def used_s() -> float:
    """CPU time so far, of the processes that read too: on a busy machine less than what went by."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    head = ("reader", "inputs", "results", "refused", "different sentences", "failures", "slowest_s", "most_MB")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [sum(row[key].values()) if key == "failures" else row[key] for key in head]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def keep(row: dict[str, Any], path: Path) -> None:
    """Put a reader's row in the place of its last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(path.read_text())["readers"] if path.exists() else []
    by_name = {one["reader"]: one for one in rows} | {row["reader"]: row}
    ordered = [by_name[name] for name in READERS if name in by_name]
    path.write_text(json.dumps({"readers": ordered}, indent=1) + "\n")


def main() -> None:
    """Read the command line; the exit code is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each reader")
    parser.add_argument("--only", nargs="+", choices=list(READERS), default=list(READERS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    rows = []
    memory = Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    try:
        for name in asked.only:
            before = used_s()
            fuzzing = Fuzzing(name, READERS[name], asked.seed, scratch / name)
            fuzzing.run(asked.seconds)
            fuzzing.keep_bugs()
            spent = {"seconds": asked.seconds, "cpu_s": round(used_s() - before), "seed": asked.seed}
            rows.append(fuzzing.summary() | spent)
            keep(rows[-1], asked.out / "fuzz.json")
            print(table(rows[-1:]), flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(table(rows))
    sys.exit(any(row["failures"] for row in rows))


if __name__ == "__main__":
    main()
