"""How a job in a queue came to its end, read from what jobflow-remote keeps of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

End = Literal["time limit", "node failure", "preempted", "cancelled", "memory", "error", "unknown"]

RESUBMITTED: tuple[End, ...] = ("time limit", "node failure", "preempted")
"""Ends for which nobody is to blame: the same job goes on from what is in its folder."""

_SAID: tuple[tuple[str, End], ...] = (
    # slurmstepd: error: *** JOB 12 ON node1 CANCELLED AT 2026-11-22T23:00:00 DUE TO TIME LIMIT ***
    (r"DUE TO TIME LIMIT", "time limit"),
    (r"DUE TO NODE FAILURE|NODE_FAIL", "node failure"),
    (r"DUE TO PREEMPTION", "preempted"),
    (r"oom[-_ ]kill|Out Of Memory|OUT_OF_MEMORY", "memory"),
    (r"\*\*\* (JOB|STEP) \S+ ON \S+ CANCELLED AT", "cancelled"),
    # =>> PBS: job killed: walltime 62 exceeded limit 60
    (r"PBS: job killed: walltime", "time limit"),
    (r"PBS: job killed: (mem|vmem)", "memory"),
    (r"PBS: job killed: node", "node failure"),
    (r"PBS: job killed", "cancelled"),
)

_KILLED = re.compile(
    r"likely killed before (completing|terminating)|was not present in the download|jfremote_out\.json .* does not exist"
)
"""jobflow-remote's words for a job that left no answer."""


def end_of(document: Mapping[str, Any], batch_said: str = "") -> End:
    """How a job that failed ended.

    Parameters
    ----------
    document
        Of the collection of jobs: ``error`` and ``remote`` are looked at.
    batch_said
        What the queue wrote about the allocation that ran it, where jobs share one.
    """
    remote = document.get("remote") or {}
    error = document.get("error") or remote.get("error") or ""
    if not _KILLED.search(error):
        return "error"
    said = "\n".join([remote.get("queue_err") or "", remote.get("queue_out") or "", batch_said])
    return next((end for pattern, end in _SAID if re.search(pattern, said, re.IGNORECASE)), "unknown")


_SENTENCES: dict[End, str] = {
    "time limit": "the queue's time was up",
    "node failure": "its node failed",
    "preempted": "the queue gave its place to another",
    "cancelled": "it was cancelled in the queue; go on with: midgap rerun",
    "memory": "it ran out of memory; go on with more: midgap rerun --memory",
    "unknown": "it was ended without leaving a word; queue.err in its folder may say why; go on with: midgap rerun",
}


def why(document: Mapping[str, Any]) -> str:
    """One sentence on what went wrong with a job; empty if nothing did."""
    remote = document.get("remote") or {}
    error = (document.get("error") or remote.get("error") or "").strip()
    if not error:
        return ""
    end = end_of(document)
    if end != "error":
        return _SENTENCES[end]
    return _last_sentence(error)


def _last_sentence(error: str) -> str:
    """What a traceback ends with, without the name of the error where it is one of ours."""
    if "SubmissionStatus.FAILED" in error or "submission failed" in error:
        told = re.search(r"stderr=b?['\"](.*?)['\"](?:, |\))", error, re.DOTALL) or re.search(
            r"stderr:\s*(.*)", error, re.DOTALL
        )
        said = " ".join((told[1] if told else error).replace("\\n", " ").split())
        return f"the queue did not take it: {re.sub(r'^(sbatch: )?(error: )?', '', said)[:300]}"
    if missing := re.search(r"Additional stores .* are not configured", error):
        return f"{missing[0]}: the project lacks the store data under additional_stores"
    if "could not be deserialized" in error or "No module named" in error:
        module = re.search(r"No module named '([^']+)'", error)
        what = f"the package {module[1]}" if module else "midgap, or has another version of it"
        return f"the worker lacks {what}; midgap doctor --worker says more"
    lines = [line.strip() for line in error.splitlines() if line.strip() and not set(line.strip()) <= set("^~")]
    # Messages may go on over several lines; the last that begins like an error is where it starts.
    starts = [at for at, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception|OutOfTime)\b", line)]
    text = " ".join(lines[starts[-1] :]) if starts else lines[-1]
    return re.sub(r"^[\w.]*\.(InputError|ComputationError|OutOfTime): ", "", text)[:500]
