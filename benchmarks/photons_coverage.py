"""Does the truth lie in the intervals as often as they say? Simulated particles, analysed like measured ones.

    python benchmarks/photons_coverage.py --realisations 200

Prints a JSON object for each scenario: of each quantity the truth, the mean estimate, its relative bias with
standard error, and the part of the intervals that hold the truth, with its own exact binomial interval.
Nothing is told to the analysis but the stream, and the background where the scenario says so.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import beta

from midgap.experiment.photons.analysis import Options, ParticleAnalysis, analyse
from midgap.experiment.photons.simulation import BlinkingLevel, Dwell, Experiment, simulate
from midgap.experiment.records import Quantity

Truths = dict[str, tuple[float, Callable[[ParticleAnalysis], Quantity | None]]]

DWELL = Dwell(mean_s=0.3)
BLINKING = (
    BlinkingLevel(name="ON", dwell=DWELL),
    BlinkingLevel(name="GRAY", relative_yield=0.25, relative_lifetime=0.25, dwell=DWELL),
)


def g2_truths(experiment: Experiment) -> Truths:
    """g2(0) as counted, corrected and gated, and M."""
    m, rho = experiment.n_emitters, experiment.signal_fraction
    truths: Truths = {
        "g2_0_raw": (1 - rho**2 * (1 - experiment.g2_0), lambda a: a.record.g2_0_raw),
        "n_emitters_M": (float(m), lambda a: a.record.n_emitters_M),
    }
    if experiment.background_cps:
        truths["g2_0"] = (experiment.g2_0, lambda a: a.record.g2_0)
    return truths


def level_rate(level: int) -> Callable[[ParticleAnalysis], Quantity | None]:
    """Rate of a level, if there are as many as simulated."""
    return lambda a: a.levels.rate_cps[level] if a.levels is not None and len(a.levels.rate_cps) == 2 else None


def scenarios() -> dict[str, tuple[Experiment, Options, Truths]]:
    """What is simulated, how it is analysed, and what is true of it."""
    quick = Options(blinking=False, background="none")
    found: dict[str, tuple[Experiment, Options, Truths]] = {}
    for name, experiment in {
        "two emitters": Experiment(n_emitters=2, duration_s=5, mean_excitons=0.2),
        "three emitters": Experiment(n_emitters=3, duration_s=5, mean_excitons=0.2),
        "two emitters, few counts": Experiment(n_emitters=2, duration_s=1.5, mean_excitons=0.1),
        "one emitter with biexciton, ungated": Experiment(
            duration_s=10, mean_excitons=0.3, biexciton_ratio=0.3, biexciton_lifetime_ns=9.0
        ),
    }.items():
        truths = g2_truths(experiment)
        if experiment.biexciton_ratio:
            truths = {"g2_0_raw": truths["g2_0_raw"]}
        found[name] = experiment, quick, truths
    # Two excitons give their photon later, by the biexciton's lifetime: here none, so that 9 ns is the truth.
    dark = Experiment(
        n_emitters=2,
        duration_s=5,
        mean_excitons=0.2,
        biexciton_lifetime_ns=1e-3,
        background_cps=5000,
        cable_delay_ns=930,
    )
    half = dark.background_cps / 2
    given = quick.model_copy(update={"background_cps": (half, half)})
    found["two emitters, background given"] = dark, given, g2_truths(dark)
    measured = Options(blinking=False)
    found["two emitters, background from the decay"] = (
        dark,
        measured,
        g2_truths(dark)
        | {
            "signal_fraction_rho": (dark.signal_fraction, lambda a: a.record.signal_fraction_rho),
            "tau_ns": (dark.lifetime_ns, lambda a: a.record.tau_av_ns),
        },
    )
    gated = Experiment(n_emitters=2, duration_s=10, mean_excitons=0.2, biexciton_ratio=0.3, biexciton_lifetime_ns=0.5)
    found["two emitters with biexciton, gated"] = (
        gated,
        quick,
        {
            "n_emitters_M": (2.0, lambda a: a.record.n_emitters_M),
        },
    )
    blinking = Experiment(
        duration_s=20, mean_excitons=0.2, biexciton_lifetime_ns=1e-3, background_cps=500, levels=BLINKING
    )
    on = blinking.signal_cps + blinking.background_cps
    gray = 0.25 * blinking.signal_cps + blinking.background_cps
    found["one blinking emitter"] = (
        blinking,
        Options(),
        {
            "gray_cps": (gray, level_rate(0)),
            "on_cps": (on, level_rate(1)),
            "tau_long_ns": (9.0, lambda a: a.record.tau_i_ns[-1] if a.record.tau_i_ns else None),
            "tau_short_ns": (2.25, lambda a: a.record.tau_i_ns[0] if len(a.record.tau_i_ns or ()) == 2 else None),
        },
    )
    return found


def score(truth: float, estimates: list[Quantity | None]) -> dict[str, Any]:
    """Bias and coverage; estimates that are None are counted apart."""
    there = [q for q in estimates if q is not None]
    values = np.array([q.value for q in there if q.value is not None])
    held = sum(bool(q.contains(truth)) for q in there)
    n = len(there)
    low = 0.0 if held == 0 else float(beta.ppf(0.025, held, n - held + 1))
    high = 1.0 if held == n else float(beta.isf(0.025, held + 1, n - held))
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
    return {
        "truth": round(truth, 5),
        "mean": round(float(values.mean()), 5),
        "bias": f"{(values.mean() - truth) / truth:+.2%} ± {error / truth:.2%}",
        "coverage": round(held / n, 4),
        "coverage_interval": [round(low, 4), round(high, 4)],
        "n": n,
        "not_determined": len(estimates) - n,
    }


def run(
    name: str, experiment: Experiment, options: Options, truths: Truths, realisations: int, first_seed: int
) -> dict[str, Any]:
    """All realisations of one scenario."""
    begun = time.monotonic()
    found: dict[str, list[Quantity | None]] = {quantity: [] for quantity in truths}
    pairs, photons = [], []
    for seed in range(first_seed, first_seed + realisations):
        analysis = analyse(simulate(experiment.model_copy(update={"seed": seed})), options)
        photons.append(analysis.survey.n_photons)
        pairs.append(analysis.record.g2_center_counts or 0)
        for quantity, (_, read) in truths.items():
            found[quantity].append(read(analysis))
    return {
        "photons": round(float(np.mean(photons))),
        "center_counts": round(float(np.mean(pairs)), 1),
        "nominal": options.ci_level,
        "seconds": round(time.monotonic() - begun, 1),
        **{quantity: score(truth, found[quantity]) for quantity, (truth, _) in truths.items()},
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--realisations", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--only", help="a part of the scenarios' names")
    asked = parser.parse_args()
    result = {}
    for name, (experiment, options, truths) in scenarios().items():
        if asked.only is None or asked.only in name:
            result[name] = run(name, experiment, options, truths, asked.realisations, asked.first_seed)
            print(json.dumps({name: result[name]}, indent=1), flush=True)


if __name__ == "__main__":
    main()
