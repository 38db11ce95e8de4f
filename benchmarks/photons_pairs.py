"""Pairs by pulse lag, from arrays to counts, beside pycorrelate: same photons, same lags, same counts.

    python benchmarks/photons_pairs.py --peers /path/to/python

``--peers`` is a Python with pycorrelate. Photons of two detectors come at random; what it takes depends on how many there
are within reach of one another. One thread each; least CPU time of some repeats, after compiling. Prints a JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from midgap.experiment.photons import kernels

PEER = """
import json, sys, time
import numpy as np
from pycorrelate import pcorrelate
given = np.load(sys.argv[1])
first, second, edges = given["first"], given["second"], given["edges"]
pcorrelate(first[:1000], second[:1000], edges)
took = []
for _ in range(3):
    begun = time.process_time()
    counts = pcorrelate(first, second, edges)
    took.append(time.process_time() - begun)
print(json.dumps({"cpu_s": min(took), "counts": [int(c) for c in counts]}))
"""


def case(photons: int, a_pulse: float, max_lag: int, python: str | None, folder: Path) -> dict[str, Any]:
    """So many photons, ``a_pulse`` of both detectors on average."""
    random = np.random.default_rng(0)
    pulses = np.cumsum(random.geometric(a_pulse, photons)).astype(np.int64)
    sides = random.integers(0, 2, photons).astype(np.int8)
    gates = np.zeros(photons, np.int8)
    took = []
    for _ in range(5):
        counts = np.zeros((2 * max_lag + 1, 1), np.int64)
        begun = time.process_time()
        kernels.pairs(pulses, sides, gates, 0, photons, counts)
        took.append(time.process_time() - begun)
    result: dict[str, Any] = {
        "photons": photons,
        "lags": 2 * max_lag + 1,
        "pairs_a_photon": round(float(counts.sum()) / photons, 3),
        "ns_a_photon": round(1e9 * min(took[1:]) / photons, 2),
    }
    if python is not None:
        given = folder / "pairs.npz"
        np.savez(given, first=pulses[sides == 0], second=pulses[sides == 1], edges=np.arange(-max_lag, max_lag + 2))
        run = subprocess.run([python, "-c", PEER, str(given)], capture_output=True, text=True, check=True)
        peer = json.loads(run.stdout)
        result["pycorrelate_ns_a_photon"] = round(1e9 * peer["cpu_s"] / photons, 2)
        result["times_quicker"] = round(peer["cpu_s"] / min(took[1:]), 1)
        result["same_counts"] = peer["counts"] == counts[:, 0].tolist()
    return result


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photons", type=int, default=2_000_000)
    parser.add_argument("--peers", help="a Python with pycorrelate")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for a_pulse, max_lag in ((0.004, 25), (0.04, 25), (0.04, 100), (0.3, 25)):
            name = f"{a_pulse:g} photons a pulse, lags up to {max_lag}"
            print(json.dumps({name: case(asked.photons, a_pulse, max_lag, asked.peers, Path(folder))}), flush=True)


if __name__ == "__main__":
    main()
