"""When the time that a queue granted is up."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime

from midgap.structures.errors import InputError

END = "MIDGAP_END_TIME"
"""UNIX time in s by which all must be over: for queues that do not tell, and for whoever wants less."""


def end_of_time(environment: Mapping[str, str] = os.environ) -> float | None:
    """When this process must be over, as UNIX time in s, or None if nothing limits it.

    ``MIDGAP_END_TIME`` comes first, then what Slurm says: ``SLURM_JOB_END_TIME``, and where that is
    not set (before Slurm 23.02), ``squeue``.

    Raises
    ------
    InputError
        ``MIDGAP_END_TIME`` is not a time.
    """
    told = environment.get(END)
    if told:
        try:
            return float(told)
        except ValueError:
            raise InputError(
                f"{END} is {told!r}, not a UNIX time in seconds; set it with: export {END}=$(($(date +%s) + 86400))."
            ) from None
    by_slurm = environment.get("SLURM_JOB_END_TIME", "")
    if re.fullmatch(r"\d+", by_slurm):
        return float(by_slurm)
    job = environment.get("SLURM_JOB_ID")
    return _asked_of_slurm(job) if job else None


def _asked_of_slurm(job: str) -> float | None:
    try:
        said = subprocess.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%e"], capture_output=True, text=True, timeout=60
        ).stdout.strip()
        return datetime.fromisoformat(said).timestamp()  # Slurm prints local time
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # no squeue here, or no limit: N/A


def duration(seconds: float) -> str:
    """For people: ``2 h 05 min``, ``40 s``."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def left_s(end: float | None) -> float:
    """How long there is until ``end``, s; infinite if there is none."""
    return float("inf") if end is None else end - time.time()
