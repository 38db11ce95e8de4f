"""Every figure that the documentation quotes, in one command, with what was aimed at.

    python benchmarks/all.py [--only NAME ...] [--quick] [--kept] [--shared ../shared/data] [--peers PYTHON] [--list]

Runs the benchmarks one after the other, keeps what each prints under ``results/``, and writes ``results/summary.md``:
target, figure, met or missed. What is not run keeps the row of its last run, with its date. ``--quick`` is a look at
whether all runs: little of everything, printed, kept in a folder that is thrown away. ``--kept`` runs nothing and reads
the results that lie there, of benchmarks that were run by their own commands, bit by bit. ``--peers`` is a Python with
pycorrelate and tttrlib, for the photons; the others make their peers' environments themselves. On a quiet machine: wall
times are taken. The exit code is 1 if a benchmark failed.

Expected time: ``--list`` says it for each; about 5 hours in all, of which the fuzzing 2.5. Quick: about 40 minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


@dataclass(frozen=True)
class Claim:
    """A figure against what was aimed at; ``met`` is None where nothing was."""

    what: str
    target: str
    figure: str
    met: bool | None = None


@dataclass(frozen=True)
class Benchmark:
    """A command, how long it takes, and what is read from its output (JSON objects on stdout, or a file of results)."""

    minutes: float
    words: Callable[[argparse.Namespace], list[str]]
    claims: Callable[[list[Any]], Iterable[Claim]]
    file: str | None = None
    """In the folder of ``--out``."""


def objects(text: str) -> list[Any]:
    """The JSON objects in a text, whatever stands between them.

    Examples
    --------
    >>> objects('measured: {"a": 1}\\n{"b": [2]} end')
    [{'a': 1}, {'b': [2]}]
    """
    decoder, found, at = json.JSONDecoder(), [], text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
            found.append(value)
        except ValueError:
            end = at + 1
        at = text.find("{", end)
    return found


def merged(found: list[Any]) -> dict[str, Any]:
    return {key: value for one in found for key, value in one.items()}


def of_parsing(found: list[Any]) -> Iterator[Claim]:
    for name, one in merged(found).items():
        peer = "py4vasp" if "py4vasp" in one else "pymatgen"
        aimed = peer == "pymatgen"
        yield Claim(
            f"{name}: CPU time against {peer}",
            "5 times faster" if aimed else "",
            f"{one['times_less_cpu']} times",
            one["times_less_cpu"] >= 5 if aimed else None,
        )
        share = one["peak_memory_of_theirs"]
        yield Claim(
            f"{name}: peak memory of {peer}'s",
            "a quarter" if aimed else "",
            f"{share:.1%}",
            share <= 0.25 if aimed else None,
        )


def of_photons(found: list[Any]) -> Iterator[Claim]:
    """By CPU time, which what else the machine does hardly changes."""
    one = found[-1]
    aimed = one["photons"] > 5e6
    for name, words, most in (
        ("file_to_pairs_trace_decay", "from file to pairs, trace, decay", 1.0),
        ("full_analysis", "full analysis", 20.0),
    ):
        cpu_s = one[name]["cpu_s"]
        yield Claim(
            f"{one['photons']:.1e} photons, {words}",
            f"{most:g} s" if aimed else "",
            f"{cpu_s:.2f} s CPU",
            cpu_s <= most if aimed else None,
        )
    if "large" in one:
        large = one["large"]
        figure = f"{large['peak_MB']:.0f} MB for {large['photons']:.1e} photons, {large['cpu_s']:.1f} s CPU"
        yield Claim(
            f"a file of {large['file_GB']:.1f} GB", "bounded memory", figure, large["peak_MB"] < 512 * large["file_GB"]
        )


def of_pairs(found: list[Any]) -> Iterator[Claim]:
    for name, one in merged(found).items():
        for peer, most in (("pycorrelate", 20.0), ("tttrlib", 1.0)):
            if peer in one:
                slower = one[peer]["slower"]
                yield Claim(
                    f"{name}: pairs beside {peer}", f"{most:g} times its speed", f"{slower} times", slower >= most
                )


def of_empty_jobs(found: list[Any]) -> Iterator[Claim]:
    runs = found[-1]["runs"]
    few = next(run["cpu_ms_a_job"] for run in runs if run["jobs"] > 1)
    last = runs[-1]
    yield Claim(
        f"{last['jobs']} jobs that do nothing",
        "twice the time a job of ten, no more",
        f"{last['cpu_ms_a_job']} ms CPU a job, of {runs[1]['jobs']}: {few} ms",
        last["cpu_ms_a_job"] <= 2 * few,
    )


def of_coverage(found: list[Any]) -> Iterator[Claim]:
    for scenario, one in merged(found).items():
        for quantity, score in one.items():
            if isinstance(score, dict) and "coverage" in score:
                nominal = one.get("nominal", 0.95)
                low, high = score.get("coverage_interval", (score["coverage"],) * 2)
                # Missed only where chance does not explain it.
                met = low <= nominal + 0.03 and high >= nominal - 0.03
                yield Claim(
                    f"{scenario}: interval of {quantity}",
                    f"{nominal:.0%} ± 3 %, bias below 5 %",
                    f"holds the truth in {score['coverage']:.1%} ({low:.1%} to {high:.1%}), bias {score.get('bias', '?')}",
                    met,
                )


def of_lifetimes(found: list[Any]) -> Iterator[Claim]:
    for case in found:
        for quantity, line in case.items():
            if isinstance(line, dict) and "bias" in line:
                covers = line["covers at 95%"]
                share = float(covers.split("%")[0]) / 100
                met = abs(share - 0.95) <= 0.03 and abs(float(line["bias"].rstrip("%"))) < 5
                yield Claim(
                    f"{case['case']}: {quantity}", "95 % ± 3 %, bias below 5 %", f"{covers}, bias {line['bias']}", met
                )


def of_comparison(found: list[Any]) -> Iterator[Claim]:
    for one in found[-1]["speed"]:
        aimed = one["particles"] == 500
        yield Claim(
            f"comparison of {one['particles']} particles",
            "report under 5 s, 10 MB" if aimed else "",
            f"{one['cpu_s']} s CPU, {one['json_kB']} kB",
            one["cpu_s"] < 5 and one["json_kB"] < 10_000 if aimed else None,
        )


def of_interrupts(found: list[Any]) -> Iterator[Claim]:
    for name, one in merged(found).items():
        yield Claim(
            f"midgap {name}, stopped {one['stopped']} times at random moments",
            "ends as stopped, no file half-written",
            f"{len(one['wrong'])} times otherwise",
            not one["wrong"],
        )


def of_kills(found: list[Any]) -> Iterator[Claim]:
    one = found[-1]
    worst = max(run["largest_difference_eV"] for run in one["runs"])
    yield Claim(
        f"{one['kills']} kills at random moments",
        "the levels of an unbroken run",
        f"differ by {worst} eV",
        worst < 0.02,
    )


def of_flow(found: list[Any]) -> Iterator[Claim]:
    share = found[-1]["share_together"]
    yield Claim("what the flow costs beside the engines, demo", "5 % of its wall time", f"{share:.1%}", share <= 0.05)


def of_cluster(found: list[Any]) -> Iterator[Claim]:
    beyond = found[-1]["beyond_jobflow_remote_s_a_job"]
    yield Claim(f"{found[-1]['jobs']} jobs by a pilot", "2 s a job beyond jobflow-remote", f"{beyond} s", beyond <= 2)


def of_generality(found: list[Any]) -> Iterator[Claim]:
    for one in found[-1] if isinstance(found[-1], list) else found:
        gaps = [f"{model['model']} {model['gap_eV']:.2f} eV" for model in one.get("models", []) if model["gap_eV"]]
        yield Claim(f"whole flow: {one['name']}", "it ends", "; ".join(gaps[:1]) or "no result", one["exit_code"] == 0)


def of_size(found: list[Any]) -> Iterator[Claim]:
    one = found[-1]
    for step, slope in one["exponents"].items():
        last = next(cell for cell in reversed(one["cells"]) if step in cell["cpu_s"])
        yield Claim(
            f"{step}, {last['atoms']} atoms",
            "" if "search" in step else "not quadratic",
            f"{last['cpu_s'][step]} s, exponent {slope}",
            None if "search" in step else slope < 1.7,
        )


def of_fuzzing(found: list[Any]) -> Iterator[Claim]:
    for one in found[-1]["readers"]:
        failed = sum(one["failures"].values())
        spent = f" in {one['cpu_s']} s of CPU" if "cpu_s" in one else ""
        yield Claim(
            f"{one['reader']}: {one['inputs']} spoilt files{spent}",
            "no crash, hang or flood of memory",
            f"{failed} failures; slowest {one['slowest_s']} s, {one['most_MB']} MB",
            failed == 0,
        )


def of_peers(found: list[Any]) -> Iterator[Claim]:
    return iter([Claim("four tools on the same cells", "", "see peers.md")])


def vaspruns(asked: argparse.Namespace) -> list[str]:
    vasp = asked.shared / "vasp"
    return [str(vasp / "GaN-Mg_Ga" / "q=0" / "vasprun.xml.gz"), str(vasp / "Cs2SnI6-hse06-soc" / "vasprun.xml.gz")]


def realisations(asked: argparse.Namespace) -> str:
    return "20" if asked.quick else "200"


def peers(asked: argparse.Namespace) -> list[str]:
    return ["--peers", asked.peers] if asked.peers else []


def to(asked: argparse.Namespace, file: str = "") -> list[str]:
    return ["--out", str(asked.out / file)]


BENCHMARKS: dict[str, Benchmark] = {
    "parse_vasprun": Benchmark(
        10, lambda a: [*vaspruns(a), "--megabytes", "50" if a.quick else "500", *to(a, "parse_vasprun.json")],
        of_parsing, "parse_vasprun.json",
    ),
    "peers": Benchmark(4, lambda a: ["--gan", str(a.shared / "vasp" / "GaN-Mg_Ga"), *to(a)], of_peers, "peers.json"),
    "photons_speed": Benchmark(
        8, lambda a: peers(a) + (["--photons", "1e6"] if a.quick else ["--gigabytes", "2"]), of_photons
    ),
    "photons_pairs": Benchmark(3, lambda a: ["--photons", "200000" if a.quick else "10000000", *peers(a)], of_pairs),
    "photons_coverage": Benchmark(40, lambda a: ["--realisations", realisations(a)], of_coverage),
    "photons_levels": Benchmark(15, lambda a: ["--realisations", realisations(a)], of_coverage),
    "lifetime_coverage": Benchmark(15, lambda a: [realisations(a)], of_lifetimes),
    "comparison": Benchmark(
        3, lambda a: [*(["--particles", "1,500", "--ensembles", "200"] if a.quick else []), *to(a, "comparison.json")],
        of_comparison, "comparison.json",
    ),
    "kill_resume": Benchmark(10, lambda a: ["--kills", "2" if a.quick else "20"], of_kills),
    "interrupts": Benchmark(15, lambda a: ["--each", "5" if a.quick else "60"], of_interrupts),
    "flow_overhead": Benchmark(9, lambda a: ["--preset", "quick" if a.quick else "demo"], of_flow),
    "empty_jobs": Benchmark(2, lambda a: [*(["--jobs", "1", "10", "50"] if a.quick else []), *to(a)], of_empty_jobs, "empty_jobs.json"),
    "cluster_overhead": Benchmark(12, lambda a: ["--jobs", "5" if a.quick else "50"], of_cluster),
    "generality": Benchmark(
        30, lambda a: [*(["--only", "Cs4PbCl6"] if a.quick else []), *to(a)], of_generality, "generality.json"
    ),
    "size": Benchmark(4, lambda a: [*(["--atoms", "22", "66", "176"] if a.quick else []), *to(a)], of_size, "size.json"),
    "fuzz": Benchmark(150, lambda a: ["--seconds", "10" if a.quick else "600", *to(a)], of_fuzzing, "fuzz.json"),
}  # fmt: skip


def run(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """One benchmark: its claims, or why there are none."""
    benchmark = BENCHMARKS[name]
    kept = asked.out / (benchmark.file or f"{name}.txt")
    if asked.kept:
        return read(name, kept)
    words = [sys.executable, str(HERE / f"{name}.py"), *benchmark.words(asked)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if benchmark.file is None:
        kept.write_text(done.stdout)
    command = f"python benchmarks/all.py --only {name}" + (
        " --peers PYTHON" if asked.peers and "--peers" in words else ""
    )
    found = claims(name, kept)
    if asked.quick:  # of a little of everything no target is met or missed
        found = [claim | {"target": "", "met": None} for claim in found]
    return {
        "command": command + (" --quick" if asked.quick else ""),
        "date": time.strftime("%Y-%m-%d"),
        "exit_code": done.returncode,
        "claims": found,
    }


def read(name: str, path: Path) -> dict[str, Any]:
    """What lies in the results of a benchmark that was run by its own command; its date is that of the file."""
    if not path.exists():
        raise SystemExit(f"{name}: there is no {path} yet; run it without --kept.")
    date = time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime))
    return {"command": f"python benchmarks/{name}.py", "date": date, "exit_code": 0, "claims": claims(name, path)}


def claims(name: str, path: Path) -> list[dict[str, Any]]:
    """What the output of a benchmark says, or that it cannot be read."""
    try:
        found = [json.loads(path.read_text())] if path.suffix == ".json" else objects(path.read_text())
        return [vars(claim) for claim in BENCHMARKS[name].claims(found)]
    except (OSError, ValueError, LookupError, TypeError) as error:
        return [vars(Claim(name, "it runs", f"failed: {type(error).__name__} {error}", False))]


def summary(rows: dict[str, Any]) -> str:
    """Markdown: what was aimed at, what came, whether it was met."""
    words = {True: "met", False: "**missed**", None: ""}
    lines = ["# What was measured", ""]
    for name, row in rows.items():
        failed = f", **ended with {row['exit_code']}**" if row["exit_code"] else ""
        lines += [f"## {name}", "", f"`{row['command']}`, {row['date']}{failed}", ""]
        lines += ["| what | target | figure | |", "|---|---|---|---|"]
        for claim in row["claims"]:
            lines.append(f"| {claim['what']} | {claim['target']} | {claim['figure']} | {words[claim['met']]} |")
        lines.append("")
    missing = [name for name in BENCHMARKS if name not in rows]
    if missing:
        lines += [f"Without a row: {', '.join(missing)}.", ""]
    return "\n".join(lines)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--shared", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--peers")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    if asked.list:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:20}{benchmark.minutes:6g} min")
        return
    with tempfile.TemporaryDirectory() as thrown_away:
        asked.out = Path(thrown_away) if asked.quick else RESULTS
        asked.out.mkdir(exist_ok=True)
        rows = run_all(asked)
    print(summary(rows))
    sys.exit(any(rows[name]["exit_code"] for name in asked.only))


def run_all(asked: argparse.Namespace) -> dict[str, Any]:
    """Each benchmark asked for; the summary is written after each, and an interrupt costs only the one that runs."""
    kept = asked.out / "summary.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for name in asked.only:
        print(f"{name}: about {BENCHMARKS[name].minutes:g} min", file=sys.stderr, flush=True)
        rows[name] = run(name, asked)
        rows = {one: rows[one] for one in BENCHMARKS if one in rows}
        kept.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        (asked.out / "summary.md").write_text(summary(rows))
    return rows


if __name__ == "__main__":
    main()
