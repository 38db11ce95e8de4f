"""What change-point detection finds, and what it invents: power, false alarms, places, numbers of levels, speed.

    python benchmarks/change_point_power.py [realisations]

Power stands beside that of the F test at a known place, which no test of an unknown place can exceed.
"""

import sys
import time

import numpy as np
from scipy.stats import f as f_distribution

from midgap.experiment.blinking.change_points import find_change_points
from midgap.experiment.blinking.levels import cluster_levels


def power(rng, realisations):
    print("power: one step in the middle of n photons; found within n/8 photons, confidence 0.95")
    print(f"{'step':>6}{'n':>7}{'found':>9}{'bound':>9}{'region holds it':>17}{'false':>8}")
    for step in (1.2, 1.5, 2.0, 4.0):
        for n in (50, 100, 200, 500, 1000):
            found = held = false = 0
            for _ in range(realisations):
                times = np.cumsum(rng.exponential(1, n) / np.repeat([1, step], n // 2))
                changes = find_change_points(times, confidence=0.95)
                near = np.abs(changes.photon - (n // 2 - 1)) < n / 8
                found += near.any()
                false += (~near).sum()
                held += bool(((changes.photon_lo <= n // 2 - 1) & (changes.photon_hi >= n // 2 - 1))[near].any())
            low, high = f_distribution.ppf([0.025, 0.975], n, n)
            bound = f_distribution.cdf(low / step, n, n) + f_distribution.sf(high / step, n, n)
            inside = f"{held / found:.1%}" if found else "–"
            print(
                f"{step:6.1f}{n:7d}{found / realisations:9.1%}{bound:9.1%}{inside:>17}{false / realisations:8.3f}",
                flush=True,
            )


def false_alarms(rng):
    print("false alarms in 1000 photons of constant rate, 2 × 10⁶ photons")
    for confidence in (0.9, 0.95, 0.99, 0.999):
        times = np.cumsum(rng.exponential(1e-4, 2_000_000))
        number = find_change_points(times, confidence=confidence).photon.size
        print(f"  confidence {confidence}: {number / 2000:.4f} ± {np.sqrt(number) / 2000:.4f}", flush=True)


def telegraph(rng, rates, dwell_s, duration_s):
    photons, now, state = [], 0.0, 0
    while now < duration_s:
        dwell = min(rng.exponential(dwell_s), duration_s - now)
        photons.append(np.sort(rng.uniform(now, now + dwell, rng.poisson(rates[state] * dwell))))
        now, state = now + dwell, (state + rng.integers(1, len(rates))) % len(rates) if len(rates) > 1 else 0
    return np.concatenate(photons)


def levels(rng, realisations):
    print(f"number and rates of levels, {realisations} realisations of 40 s each")
    cases = [
        ((8000,), 1e9),
        ((10_000, 1000), 0.25),
        ((10_000, 5000), 0.25),
        ((10_000, 8000), 0.25),
        ((10_000, 8000), 2.0),
    ]
    for rates, dwell in [*cases, ((12_000, 6000, 1500), 0.25), ((2000, 1000, 200), 0.25)]:
        number, bias, hits, right = [], [], [], 0
        for _ in range(realisations):
            times = telegraph(rng, rates, dwell, 40.0)
            found = cluster_levels(times, find_change_points(times), 40.0)
            number.append(len(found.rate_cps))
            if number[-1] == len(rates):
                right += 1
                bias.append([q.value / truth - 1 for q, truth in zip(found.rate_cps, sorted(rates), strict=True)])
                hits.append([q.contains(truth) for q, truth in zip(found.rate_cps, sorted(rates), strict=True)])
        told = {n: number.count(n) for n in sorted(set(number))}
        if right:
            told_bias = [f"{b:+.2%}" for b in np.mean(bias, axis=0)]
            told_hits = [f"{h:.0%}" for h in np.mean(hits, axis=0)]
            print(
                f"  {rates} cps, {dwell} s: levels {told}; bias {told_bias}; 95 % intervals cover {told_hits}",
                flush=True,
            )
        else:
            print(f"  {rates} cps, {dwell} s: levels {told}", flush=True)


def speed(rng):
    times = telegraph(rng, (20_000, 2000), 0.5, 920.0)
    times = times[:10_000_000]
    find_change_points(times[:5000])
    started = time.perf_counter()
    changes = find_change_points(times)
    middle = time.perf_counter()
    found = cluster_levels(times, changes, float(times[-1]))
    end = time.perf_counter()
    print(
        f"speed: {times.size:.1e} photons, {changes.photon.size} changes: {middle - started:.1f} s; "
        f"{len(found.rate_cps)} levels: {end - middle:.1f} s"
    )


def main(realisations: int = 200) -> None:
    rng = np.random.default_rng(20050113)
    speed(rng)
    false_alarms(rng)
    levels(rng, max(realisations // 4, 10))
    power(rng, realisations)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
