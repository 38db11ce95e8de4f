"""How fast photons become numbers, beside other codes on the same photons.

    python benchmarks/photons_speed.py --folder /tmp/photons --peers /path/to/python --gigabytes 2

Simulates 10^7 photons of one blinking emitter, writes them as PTU, and times, after a warm-up on a smaller file:
the pass over the file to pairs at pulse lags, trace and decay; the pairs alone; the full analysis with change
points, levels and their lifetimes. ``--peers`` is a Python with pycorrelate, which counts the
same pairs, and tttrlib, which correlates as many lags on one side only. ``--gigabytes`` also passes over a file of that size, made of copies of the records, and gives the peak
memory. Prints a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from midgap.experiment.photons.analysis import analyse_file
from midgap.experiment.photons.coincidences import Alignment, pulse_pairs
from midgap.experiment.photons.files import open_photons, read_photons
from midgap.experiment.photons.ptu_writer import write_ptu
from midgap.experiment.photons.simulation import BlinkingLevel, Dwell, Experiment, simulate
from midgap.experiment.photons.survey import survey

PYCORRELATE = """
import json, sys, time
import numpy as np
from pycorrelate import pcorrelate
given = np.load(sys.argv[1])
first, second, max_lag = given["first"], given["second"], int(given["max_lag"])
edges = np.arange(-max_lag, max_lag + 2)
pcorrelate(first[:1000], second[:1000], edges)
begun = time.process_time()
counts = pcorrelate(first, second, edges)
print(json.dumps({"cpu_s": time.process_time() - begun, "counts": [int(c) for c in counts]}))
"""
TTTRLIB = """
import json, sys, time
import numpy as np
import tttrlib
given = np.load(sys.argv[1])
begun = time.process_time()
data = tttrlib.TTTR(str(given["path"]))
read = time.process_time()
correlator = tttrlib.Correlator(channels=([0], [1]), tttr=data, n_bins=int(given["max_lag"]), n_casc=1, method="wahl")
curve = correlator.correlation
print(json.dumps({"read_cpu_s": read - begun, "cpu_s": time.process_time() - read, "lags": len(curve)}))
"""


def timed(function: Callable[[], Any], repeats: int = 3) -> tuple[dict[str, float], Any]:
    """Least wall and CPU time of some repeats, and the last result; on a busy machine the CPU time counts."""
    wall, cpu = [], []
    for _ in range(repeats):
        begun = time.perf_counter(), time.process_time()
        result = function()
        wall.append(time.perf_counter() - begun[0])
        cpu.append(time.process_time() - begun[1])
    return {"wall_s": min(wall), "cpu_s": min(cpu)}, result


def experiment(photons: float) -> Experiment:
    """One blinking emitter at 10^5 counts a second when it is on, two thirds of the time."""
    dwell = Dwell(mean_s=0.5)
    levels = (
        BlinkingLevel(dwell=dwell),
        BlinkingLevel(name="GRAY", relative_yield=0.3, relative_lifetime=0.3, dwell=dwell),
    )
    draft = Experiment(mean_excitons=0.5, detected_fraction=0.1, background_cps=500, levels=levels)
    return draft.model_copy(update={"duration_s": photons / (0.65 * draft.signal_cps + draft.background_cps)})


def beside_peers(python: str, path: Path, folder: Path) -> dict[str, Any]:
    """The same pairs by pycorrelate and tttrlib: pulse indices of both detectors, non-negative lags."""
    stream = read_photons(path)
    alignment = Alignment.of(stream, (0, 1))
    assert stream.dtime is not None
    first, second = (
        (stream.time - (stream.dtime < start))[stream.channel == channel]
        for channel, start in zip(alignment.detectors, alignment.start_bins, strict=True)
    )
    pairs = pulse_pairs(stream, alignment)
    max_lag = int(pairs.lags[-1])
    given = folder / "peers.npz"
    np.savez(given, first=first, second=second, max_lag=max_lag, path=str(path))
    result: dict[str, Any] = {}
    for name, code in (("pycorrelate", PYCORRELATE), ("tttrlib", TTTRLIB)):
        run = subprocess.run([python, "-c", code, str(given)], capture_output=True, text=True)
        result[name] = json.loads(run.stdout) if run.returncode == 0 else {"failed": run.stderr.strip()[-200:]}
    theirs = result["pycorrelate"].pop("counts", None)
    result["same_counts_as_pycorrelate"] = theirs == pairs.counts.sum(axis=1).tolist()
    return result


def enlarge(path: Path, target: Path, gigabytes: float) -> None:
    """A file of copies of the records: each copy ends with a turn of the counter, so time goes on."""
    data = path.read_bytes()
    header_end = data.index(b"Header_End".ljust(32, b"\0")) + 48
    records = data[header_end:]
    copies = int(gigabytes * 2**30 / len(records)) + 1
    at = data.index(b"TTResult_NumberOfRecords".ljust(32, b"\0")) + 40
    head = data[:at] + struct.pack("<q", copies * (len(records) // 4)) + data[at + 8 : header_end]
    with target.open("wb") as stream:
        stream.write(head)
        for _ in range(copies):
            stream.write(records)


def memory_of(path: Path) -> dict[str, Any]:
    """Wall time and peak memory of a process that passes over the file."""
    code = (
        "import json, pathlib, sys, time\n"
        "from midgap.experiment.photons.files import open_photons\n"
        "from midgap.experiment.photons.survey import survey\n"
        "file = open_photons(sys.argv[1])\n"
        "begun = time.perf_counter()\n"
        "counts = survey(file.chunks())\n"
        # The kernel's mark of this program alone; getrusage would give the parent's if that was larger.
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "peak = int(status.partition('VmHWM:')[2].split()[0]) / 1024\n"
        "print(json.dumps({'photons': counts.n_photons, 'wall_s': time.perf_counter() - begun, 'cpu_s': time.process_time(), 'peak_MB': peak}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return {"file_GB": path.stat().st_size / 2**30, **json.loads(run.stdout)}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photons", type=float, default=1e7)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--peers", help="a Python with pycorrelate and tttrlib")
    parser.add_argument("--gigabytes", type=float, default=0.0)
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="photons-speed-"))
    folder.mkdir(parents=True, exist_ok=True)
    small, path = folder / "small.ptu", folder / f"{asked.photons:.0e}.ptu"
    write_ptu(small, simulate(experiment(1e5)))
    if not path.exists():
        write_ptu(path, simulate(experiment(asked.photons)))
    analyse_file(small)
    result: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    survey_s, counts = timed(lambda: survey(open_photons(path).chunks()))
    result |= {"photons": counts.n_photons, "file_to_pairs_trace_decay": survey_s}
    stream = read_photons(path)
    alignment = Alignment.of(stream, (0, 1))
    pairs_s, pairs = timed(lambda: pulse_pairs(stream, alignment))
    result |= {"pairs_alone": pairs_s, "pulse_lags": len(pairs.lags)}
    full_s, analysis = timed(lambda: analyse_file(path), 1)
    assert analysis.levels is not None
    result |= {"full_analysis": full_s, "segments": len(analysis.levels.level)}
    if asked.peers:
        result["peers"] = beside_peers(asked.peers, path, folder)
    if asked.gigabytes:
        large = folder / "large.ptu"
        enlarge(path, large, asked.gigabytes)
        result["large"] = memory_of(large)
        large.unlink()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
