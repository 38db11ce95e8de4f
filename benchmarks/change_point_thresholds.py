"""Makes experiment/blinking/data/change_point_thresholds.json: what chance gives where the rate does not change.

Quantiles of the largest weighted likelihood ratio among n intervals at a constant rate, by Monte Carlo. With n = 2 the
quantile is analytic (the ratio is a function of one uniform number), which tests/test_change_points.py uses.

    python benchmarks/change_point_thresholds.py        about 4 minutes
"""

import json
from pathlib import Path

import numpy as np

from midgap.experiment.blinking import change_point_kernel as kernel

CONFIDENCES = (0.9, 0.95, 0.99, 0.999)
REALISATIONS = {n: 200_000 for n in (2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)}
REALISATIONS |= {2000: 100_000, 5000: 100_000, 10_000: 40_000, 30_000: 40_000, 100_000: 20_000}


def main() -> None:
    sums, squares = kernel.harmonic_sums(max(REALISATIONS))
    rows = []
    for seed, (n, realisations) in enumerate(REALISATIONS.items()):
        sample = np.sort(kernel.null_statistics(n, realisations, np.random.default_rng(seed), sums, squares))
        thresholds = np.quantile(sample, CONFIDENCES)
        # Standard error of a quantile from the order statistics one binomial deviation away.
        off = [np.sqrt(q * (1 - q) / realisations) for q in CONFIDENCES]
        errors = [
            0.5 * (np.quantile(sample, min(q + d, 1)) - np.quantile(sample, q - d))
            for q, d in zip(CONFIDENCES, off, strict=True)
        ]
        rows.append(
            {
                "n": n,
                "realisations": realisations,
                "threshold": thresholds.round(4).tolist(),
                "error": np.round(errors, 4).tolist(),
            }
        )
        print(rows[-1], flush=True)
    target = Path(__file__).resolve().parents[1] / "experiment" / "blinking" / "data" / "change_point_thresholds.json"
    head = {"made_by": "benchmarks/change_point_thresholds.py", "confidence": CONFIDENCES}
    body = ",\n".join("  " + json.dumps(row) for row in rows)
    target.write_text(json.dumps(head)[:-1] + ', "rows": [\n' + body + "\n]}\n")


if __name__ == "__main__":
    main()
