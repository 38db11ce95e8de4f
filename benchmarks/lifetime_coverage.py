"""Bias and coverage of fitted lifetimes on simulated decays whose truth is known.

Photons are drawn one by one (Gaussian response, exponential delay, wrapped at the laser's period, uniform
background) and histogrammed, so nothing of the fit's model is used.

    python benchmarks/lifetime_coverage.py [realisations]
"""

import json
import math
import sys
import time

import numpy as np

from midgap.experiment.decays.lifetimes import fit_decay
from midgap.experiment.decays.responses import gaussian_response

WIDTH_NS, PERIOD_NS, FWHM_NS, RESPONSE_AT_NS = 0.064, 100.0, 0.3, 5.0
CASES = {
    "one exponential, 300 photons": dict(tau=(9.0,), fraction=(1.0,), photons=300, background=0.1),
    "one exponential, 10⁴ photons": dict(tau=(9.0,), fraction=(1.0,), photons=10_000, background=0.05),
    "one long exponential, 10⁴ photons": dict(tau=(60.0,), fraction=(1.0,), photons=10_000, background=0.05),
    "ON and GRAY, 3 × 10⁴ photons": dict(tau=(1.0, 9.0), fraction=(0.3, 0.7), photons=30_000, background=0.02),
    "close pair, 2 × 10⁵ photons": dict(tau=(3.0, 9.0), fraction=(0.3, 0.7), photons=200_000, background=0.02),
}


def simulate(rng, tau, fraction, photons, background):
    n = rng.poisson(photons)
    delays = rng.exponential(np.array(tau)[rng.choice(len(tau), n, p=fraction)])
    t = rng.normal(RESPONSE_AT_NS, FWHM_NS / math.sqrt(8 * math.log(2)), n) + delays
    t = np.concatenate([t % PERIOD_NS, rng.uniform(0, PERIOD_NS, rng.poisson(background * photons))])
    return np.bincount((t / WIDTH_NS).astype(int), minlength=math.ceil(PERIOD_NS / WIDTH_NS))


def main(realisations: int = 200) -> None:
    for label, case in CASES.items():
        rng = np.random.default_rng(20190703)
        k, levels = len(case["tau"]), (0.6827, 0.95)
        tau, f = np.array(case["tau"]), np.array(case["fraction"])
        truth = {f"tau_{i + 1}": tau[i] for i in range(k)}
        if k > 1:
            truth |= {"f_1": f[0], "tau_intensity": f @ tau, "tau_amplitude": 1 / (f / tau).sum()}
        found = {level: {name: [] for name in truth} for level in levels}
        chosen, z, seconds = [], [], 0.0
        response = gaussian_response(FWHM_NS, WIDTH_NS, math.ceil(PERIOD_NS / WIDTH_NS), RESPONSE_AT_NS)
        for _ in range(realisations):
            counts = simulate(rng, **case)
            for level in levels:
                started = time.perf_counter()
                fit = fit_decay(
                    counts, WIDTH_NS, period_ns=PERIOD_NS, response=response, n_components=k, ci_level=level
                )
                seconds += time.perf_counter() - started
                given = dict(zip((f"tau_{i + 1}" for i in range(k)), fit.tau_ns, strict=True))
                given |= {
                    "f_1": fit.intensity_fraction[0],
                    "tau_intensity": fit.tau_intensity_ns,
                    "tau_amplitude": fit.tau_amplitude_ns,
                }
                for name in truth:
                    found[level][name].append(given[name])
            z.append(fit.deviance_z)
            bic = fit_decay(counts, WIDTH_NS, period_ns=PERIOD_NS, response=response, ci_level=0.95).bic
            chosen.append(min(bic, key=bic.get))
        result = {"case": label, "realisations": realisations, "right number by BIC": np.mean(np.array(chosen) == k)}
        result |= {
            "deviance z, mean": round(np.mean(z), 2),
            "sd": round(np.std(z), 2),
            "ms a fit with intervals": round(1e3 * seconds / realisations / 2, 1),
        }
        for name, value in truth.items():
            one = found[0.95][name]
            line = {"bias": f"{np.mean([q.value for q in one]) / value - 1:+.2%}"}
            for level in levels:
                hits = np.mean([q.contains(value) for q in found[level][name]])
                line[f"covers at {level:.0%}"] = f"{hits:.1%} ± {math.sqrt(level * (1 - level) / realisations):.1%}"
            result[name] = line
        print(json.dumps(result, ensure_ascii=False, indent=1, default=float), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
