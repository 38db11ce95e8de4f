"""Pairs by pulse lag, from arrays to counts, beside pycorrelate and tttrlib on the same photons.

    python benchmarks/photons_pairs.py --photons 10000000 --peers /path/to/python

``--peers`` is a Python with pycorrelate, which counts the same pairs at the same lags, and tttrlib, which counts those of no
negative lag only, of as many lags as asked for (the quicker of its methods that counts all of them). Photons of two
detectors come at random, at most one a pulse. One thread each; least CPU time of some repeats, after compiling; the counts
are compared one by one. ``gated`` is what the analysis does unless it is told otherwise: the pairs behind each of 24 gates
as well, which neither of the others counts. Prints a JSON object.
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

from midgap.experiment.photons import pair_kernel
from midgap.experiment.photons.coincidences import N_GATES

PYCORRELATE = """
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
TTTRLIB = """
import json, sys, time
import numpy as np
import tttrlib
given = np.load(sys.argv[1])
first, second = (given[name].astype(np.uint64) for name in ("first", "second"))
ones = np.ones(len(first)), np.ones(len(second))
found = {}
for method in ("wahl", "felekyan"):
    took = []
    for _ in range(3):
        begun = time.process_time()
        correlator = tttrlib.Correlator(n_bins=(len(given["edges"]) - 2) // 2, n_casc=1, method=method)
        correlator.set_events(first, ones[0], second, ones[1])
        counts = np.array(correlator.get_corr())
        took.append(time.process_time() - begun)
    found[method] = {"cpu_s": min(took), "lags": [int(x) for x in correlator.x_axis], "counts": [int(c) for c in counts]}
print(json.dumps(min(found.values(), key=lambda run: run["cpu_s"])))
"""


def ours(pulses: np.ndarray, sides: np.ndarray, max_lag: int, n_gates: int) -> tuple[float, np.ndarray]:
    """CPU time, and counts by lag."""
    gates = np.random.default_rng(1).integers(0, n_gates, len(pulses)).astype(np.int8)
    took = []
    for _ in range(5):
        # The outermost lags are room for photons that are put to the pulse before.
        counts = np.zeros((2 * max_lag + 3, n_gates), np.int64)
        begun = time.process_time()
        pair_kernel.pairs(pulses, sides, gates, 0, len(pulses), counts)
        took.append(time.process_time() - begun)
    return min(took[1:]), counts[1:-1].sum(axis=1)


def case(photons: int, a_pulse: float, max_lag: int, python: str | None, folder: Path) -> dict[str, Any]:
    """So many photons, ``a_pulse`` of both detectors on average."""
    random = np.random.default_rng(0)
    pulses = np.cumsum(random.geometric(a_pulse, photons)).astype(np.int64)
    sides = random.integers(0, 2, photons).astype(np.int8)
    took, counts = ours(pulses, sides, max_lag, 1)
    gated, same = ours(pulses, sides, max_lag, N_GATES)
    assert same.tolist() == counts.tolist()
    result: dict[str, Any] = {
        "photons": photons,
        "lags": 2 * max_lag + 1,
        "pairs_a_photon": round(float(counts.sum()) / photons, 3),
        "ns_a_photon": round(1e9 * took / photons, 2),
        "gated_ns_a_photon": round(1e9 * gated / photons, 2),
    }
    if python is None:
        return result
    given = folder / "pairs.npz"
    np.savez(given, first=pulses[sides == 0], second=pulses[sides == 1], edges=np.arange(-max_lag, max_lag + 2))
    for name, code in (("pycorrelate", PYCORRELATE), ("tttrlib", TTTRLIB)):
        run = subprocess.run([python, "-c", code, str(given)], capture_output=True, text=True, check=True)
        peer = json.loads(run.stdout)
        # tttrlib's last lag is not a whole one.
        lags = np.array(peer.get("lags", range(-max_lag, max_lag + 2)))[:-1]
        result[name] = {
            "ns_a_photon": round(1e9 * peer["cpu_s"] / photons, 2),
            "lags": len(lags),
            "same_counts": peer["counts"][: len(lags)] == counts[lags + max_lag].tolist(),
            "slower": round(peer["cpu_s"] / took, 1),
            "slower_than_gated": round(peer["cpu_s"] / gated, 1),
        }
    return result


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photons", type=int, default=2_000_000)
    parser.add_argument("--peers", help="a Python with pycorrelate and tttrlib")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for a_pulse, max_lag in ((0.004, 25), (0.04, 25), (0.04, 100), (0.3, 25)):
            name = f"{a_pulse:g} photons a pulse, lags up to {max_lag}"
            print(json.dumps({name: case(asked.photons, a_pulse, max_lag, asked.peers, Path(folder))}), flush=True)


if __name__ == "__main__":
    main()
