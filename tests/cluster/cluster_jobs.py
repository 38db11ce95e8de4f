"""Jobs that only the tests need; on the workers by PYTHONPATH."""

import os

import numpy as np
from jobflow import job


@job
def trivial(number: int, before: int = 0) -> dict:
    return {"number": number + before, "queue_job": os.environ.get("SLURM_JOB_ID")}


@job(data="electronic_structure")
def large(megabytes: float) -> dict:
    """An output whose ``electronic_structure`` takes so many megabytes as BSON, 8 bytes a number and its key."""
    count = int(megabytes * 1e6 / 8)
    return {"electronic_structure": {"site_weights": np.linspace(0.0, 1.0, count).tolist()}, "count": count}
