"""How often the number of levels is found, and how often their rates lie in their intervals.

    python benchmarks/photons_levels.py --realisations 200

Emitters that change to any other level after exponential times. Prints a JSON object for each: how many realisations gave
how many levels; of those with the true number, each rate's relative bias with standard error, the part of the intervals at
95 % that hold it, and that part's own exact binomial interval; in which part of them the analysis warns that stays are too
short for that.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import beta

from midgap.experiment.blinking.change_points import find_change_points
from midgap.experiment.blinking.levels import CLEAR, cluster_levels

CASES: tuple[tuple[tuple[float, ...], float, float], ...] = (
    # rates (counts a second), mean dwell time (s), duration (s)
    ((8000.0,), 1.0, 20.0),
    ((6200.0, 23_000.0), 0.3, 20.0),
    ((5000.0, 10_000.0), 0.25, 20.0),
    ((5000.0, 10_000.0), 0.05, 10.0),
    ((5000.0, 10_000.0), 0.03, 5.0),
    ((5000.0, 10_000.0), 0.02, 5.0),
    ((7000.0, 10_000.0), 0.3, 20.0),
    ((7000.0, 10_000.0), 0.05, 10.0),
    ((7000.0, 10_000.0), 0.1, 10.0),
    ((2000.0, 20_000.0), 0.02, 10.0),
    ((2000.0, 20_000.0), 0.003, 3.0),
    ((50.0, 3000.0), 0.1, 20.0),
    ((1500.0, 6000.0, 12_000.0), 0.1, 20.0),
    ((5000.0, 10_000.0), 0.01, 5.0),
)


def telegraph(random: np.random.Generator, rates: tuple[float, ...], dwell_s: float, duration_s: float) -> np.ndarray:
    """Arrival times."""
    photons, now, state = [], 0.0, int(random.integers(len(rates)))
    while now < duration_s:
        end = min(now + random.exponential(dwell_s), duration_s)
        photons.append(np.sort(random.uniform(now, end, random.poisson(rates[state] * (end - now)))))
        now = end
        if len(rates) > 1:
            state = (state + int(random.integers(1, len(rates)))) % len(rates)
    return np.concatenate(photons)


def run(rates: tuple[float, ...], dwell_s: float, duration_s: float, realisations: int) -> dict[str, Any]:
    """One case."""
    begun, numbers, values, held = time.process_time(), Counter[int](), [], []
    clearness = []
    for seed in range(realisations):
        photons = telegraph(np.random.default_rng(seed), rates, dwell_s, duration_s)
        levels = cluster_levels(photons, find_change_points(photons), duration_s)
        numbers[len(levels.rate_cps)] += 1
        if len(levels.rate_cps) == len(rates):
            values.append([rate.value for rate in levels.rate_cps])
            clearness.append(levels.clearness)
            held.append([rate.contains(truth) for rate, truth in zip(levels.rate_cps, rates, strict=True)])
    result: dict[str, Any] = {"levels_found": {str(n): numbers[n] for n in sorted(numbers)}}
    found, inside = np.array(values, dtype=float), np.array(held)
    if len(rates) > 1 and len(found):
        result["clearness"] = np.mean(clearness, axis=0).round(1).tolist()
        result["warned"] = round(float(np.mean(np.min(clearness, axis=1) < CLEAR)), 3)
    for i, truth in enumerate(rates):
        if len(found) > 1:
            n, k = len(found), int(inside[:, i].sum())
            low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
            high = 1.0 if k == n else float(beta.isf(0.025, k + 1, n - k))
            bias, error = found[:, i].mean() / truth - 1, found[:, i].std(ddof=1) / truth / math.sqrt(n)
            result[f"{truth:g} cps"] = {
                "bias": f"{bias:+.2%} ± {error:.2%}",
                "coverage": round(k / n, 3),
                "coverage_interval": [round(low, 3), round(high, 3)],
            }
    return result | {"cpu_s_each": round((time.process_time() - begun) / realisations, 3)}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--realisations", type=int, default=200)
    for rates, dwell_s, duration_s in CASES:
        name = f"{', '.join(f'{rate:g}' for rate in rates)} cps, {1e3 * dwell_s:g} ms, {duration_s:g} s"
        print(json.dumps({name: run(rates, dwell_s, duration_s, parser.parse_args().realisations)}), flush=True)


if __name__ == "__main__":
    main()
