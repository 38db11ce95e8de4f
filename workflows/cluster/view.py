"""A job in a queue as a person wants to see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from midgap.workflows.cluster.ends import why
from midgap.workflows.tasks import TASKS

State = Literal["waiting", "ready", "queued", "running", "ending", "done", "failed", "cancelled", "paused"]

STATES: dict[str, State] = {
    "WAITING": "waiting",
    "READY": "ready",
    "CHECKED_OUT": "ready",
    "UPLOADED": "ready",
    "SUBMITTED": "queued",
    "BATCH_SUBMITTED": "queued",
    "RUNNING": "running",
    "BATCH_RUNNING": "running",
    "RUN_FINISHED": "ending",
    "DOWNLOADED": "ending",
    "COMPLETED": "done",
    "FAILED": "failed",
    "REMOTE_ERROR": "failed",
    "STOPPED": "cancelled",
    "USER_STOPPED": "cancelled",
    "PAUSED": "paused",
}
"""jobflow-remote's states in fewer words."""

OVER: tuple[State, ...] = ("done", "failed", "cancelled", "paused")


@dataclass(frozen=True)
class QueueJob:
    """A job as a person wants to see it.

    Attributes
    ----------
    id
        jobflow-remote's short id, which its own command ``jf`` takes too.
    queue_id
        What the batch system calls it.
    allocation
        The how many-th allocation it is in: one more each time that the queue's time was up.
    now
        How far the engine says it is, or what went wrong.
    """

    id: str
    uuid: str
    index: int
    name: str
    state: State
    worker: str
    folder: Path | None
    metadata: Mapping[str, Any]
    queue_id: str | None = None
    elapsed_s: float | None = None
    allocation: int = 1
    now: str = ""

    @property
    def calculates(self) -> bool:
        return self.metadata.get("task") in TASKS


def view_of(document: Mapping[str, Any]) -> QueueJob:
    """From a document of the collection of jobs."""
    state = STATES.get(document["state"], "waiting")
    remote = document.get("remote") or {}
    start, end = document.get("start_time"), document.get("end_time")
    elapsed_s = None
    if start is not None:
        until = end if end is not None else datetime.now(UTC).replace(tzinfo=None)
        elapsed_s = max(0.0, (until.replace(tzinfo=None) - start.replace(tzinfo=None)).total_seconds())
    return QueueJob(
        id=str(document["db_id"]),
        uuid=document["uuid"],
        index=document["index"],
        name=document["job"]["name"],
        state=state,
        worker=document["worker"],
        folder=Path(document["run_dir"]) if document.get("run_dir") else None,
        metadata=document["job"].get("metadata") or {},
        queue_id=remote.get("process_id"),
        elapsed_s=elapsed_s,
        allocation=document["index"] + int((document["job"].get("metadata") or {}).get("resubmitted", 0)),
        now=why(document),
    )
