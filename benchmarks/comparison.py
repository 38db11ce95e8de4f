"""How a comparison scales with particles, and how often its probabilities are right.

    python benchmarks/comparison.py [--particles 1,50,500,5000] [--ensembles 2000] [--out benchmarks/results/comparison.json]

Speed: simulated particles with four measured observables, against the candidates of the demo's levels; CPU time of the
comparison alone, and the size of its JSON. Calibration: ensembles whose true candidate, error of prediction, spread and
particles are drawn from the model; by bins of the probability given, how often the candidate was the true one.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.report import Levels
from midgap.experiment.comparison import compare
from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.collected import Data
from midgap.experiment.evidence.likelihoods import evidence_of
from midgap.experiment.evidence.observables import OBSERVABLES
from midgap.experiment.evidence.odds import odds, totals
from midgap.experiment.evidence.population import Z95, Measurements
from midgap.experiment.evidence.predictions import Assumption, Prediction, Uncertainty
from midgap.experiment.records import ParticleRecord, Quantity, Records

LEVELS = Path(__file__).parents[1] / "examples" / "Cs4PbBr6" / "levels.json"
PEAK = OBSERVABLES["pl_peak_eV"]
PREDICTIONS = {"a": (2.30, 0.08), "b": (2.45, 0.05), "c": (2.40, 0.30)}
PRIORS = {"a": 0.5, "b": 0.3, "c": 0.2}
BINS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)


def particles(n: int) -> Records:
    """Every quantity with an interval of unequal sides, which costs most."""
    random = np.random.default_rng(n)

    def measured(value: float, relative: float) -> Quantity:
        return Quantity(value=value, lo=value * (1 - relative), hi=value * (1 + 1.3 * relative))

    return Records(
        material="Cs4PbBr6",
        records=tuple(
            ParticleRecord(
                sample_id="simulated",
                particle_id=f"{i}",
                pl_peak_eV=measured(random.normal(2.39, 0.03), 0.002),
                pl_fwhm_meV=measured(60 * np.exp(0.1 * random.standard_normal()), 0.05),
                tau_av_ns=measured(8 * np.exp(0.2 * random.standard_normal()), 0.05),
                n_emitters_M=measured(1.0 + random.integers(3), 0.1),
            )
            for i in range(n)
        ),
    )


def speed(counts: list[int]) -> list[dict[str, Any]]:
    """CPU time and size by number of particles, after a warm-up."""
    levels = Levels.read(LEVELS)
    compare(levels, particles(1))
    rows = []
    for n in counts:
        records = particles(n)
        start = time.process_time()
        comparison = compare(levels, records, priors="uniform", refractive_index=1.8)
        used = time.process_time() - start
        size = len(json.dumps(comparison.to_dict(), allow_nan=False))
        rows.append({"particles": n, "cpu_s": round(used, 2), "json_kB": round(size / 1e3)})
    return rows


def calibration(n: int) -> list[dict[str, Any]]:
    """Predicted and observed frequency of the true candidate, with the standard error of the latter."""
    random = np.random.default_rng(7)
    rivals = [
        Candidate(
            name=name,
            label=name,
            origin="user",
            predictions=(
                Prediction(
                    observable="pl_peak_eV", value=value, uncertainties=(Uncertainty(source="all", value=error),)
                ),
            ),
        )
        for name, (value, error) in PREDICTIONS.items()
    ]
    given, true = [], []
    for _ in range(n):
        truth = str(random.choice(list(PRIORS), p=list(PRIORS.values())))
        centre = random.normal(*PREDICTIONS[truth])
        spread = abs(PEAK.spread_scale * random.standard_t(4))
        error = random.uniform(0.003, 0.05, random.integers(1, 7))
        value = centre + np.hypot(spread, error) * random.standard_normal(error.size)
        quantities = [Quantity(value=v, lo=v - Z95 * e, hi=v + Z95 * e) for v, e in zip(value, error, strict=True)]
        numbers = Measurements.of(quantities, [False] * error.size, PEAK)
        data = {"pl_peak_eV": Data(PEAK, numbers, np.arange(error.size), np.full(error.size, np.nan))}
        total = totals(rivals, evidence_of(rivals, data, error.size, [Assumption()], 0), 1)
        posterior = odds(total, PRIORS)
        given += posterior.probability[0].tolist()
        true += [name == truth for name in posterior.candidates]
    p, hit = np.array(given), np.array(true)
    rows = []
    for lo, hi in pairwise(BINS):
        here = (p >= lo) & (p < hi) if hi < 1 else p >= lo
        if here.any():
            error = float(np.sqrt((p[here] * (1 - p[here])).sum()) / here.sum())
            rows.append(
                {
                    "given": round(float(p[here].mean()), 4),
                    "true": round(float(hit[here].mean()), 4),
                    "expected_error": round(error, 4),
                    "n": int(here.sum()),
                }
            )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", default="1,50,500,5000")
    parser.add_argument("--ensembles", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = {
        "speed": speed([int(n) for n in options.particles.split(",")]),
        "calibration": calibration(options.ensembles),
    }
    text = json.dumps(result, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
