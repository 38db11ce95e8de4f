"""A flow that was sent to a cluster: its jobs as a person wants to see them, and what one can do with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from midgap.structures.document import Document
from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.cluster import inspection, peek
from midgap.workflows.cluster.project import controller, open_project, queue_of
from midgap.workflows.cluster.selfcheck import MARK
from midgap.workflows.cluster.view import OVER, QueueJob, view_of

if TYPE_CHECKING:
    from jobflow import Flow
    from jobflow_remote.config.base import Project
    from jobflow_remote.jobs.jobcontroller import JobController
    from jobflow_remote.remote.host import BaseHost

    from midgap.defects.densities import StateDensity
    from midgap.defects.report import Levels
    from midgap.workflows.formation import FormationFound

FILE = "submission.json"
LOCKED_S = 30
"""How long to wait for a job that the runner has in its hands."""


class Submission(Document):
    """What a folder sent, and where.

    Attributes
    ----------
    flow
        The flow's uuid in the database.
    request
        What was asked, in the words of the command line.
    """

    project: str
    worker: str
    flow: str
    request: dict[str, Any]


def submission_in(folder: Path) -> Submission:
    """What was sent from a folder.

    Raises
    ------
    InputError
        Nothing was.
    """
    if not (folder / FILE).exists():
        raise InputError(
            f"Nothing was sent to a cluster from {folder}: name the folder that midgap submit had as --out."
        )
    return Submission.read(folder / FILE)


def submit(
    flow: Callable[[], Flow], project: Project, worker: str, folder: Path, request: Mapping[str, Any]
) -> tuple[Submission, bool]:
    """Send a flow, or find it sent already.

    Parameters
    ----------
    flow
        Makes the flow, if it has to be sent.
    folder
        By which it is known afterwards.

    Returns
    -------
    Submission, bool
        What was sent, and whether it was now.

    Raises
    ------
    InputError
        Another question was sent from this folder.
    """
    request = json.loads(json.dumps(dict(request)))
    jobs = controller(project)
    try:
        if (folder / FILE).exists():
            before = Submission.read(folder / FILE)
            if before.request != request:
                other = sorted(name for name in request if before.request.get(name) != request[name])
                raise InputError(
                    f"Something else was sent from {folder} (other {', '.join(other)}): choose another folder with --out."
                )
            if before.project != project.name:
                raise InputError(
                    f"{folder} was sent with the project {before.project}: choose another folder with --out."
                )
            if jobs.jobs.find_one({"job.hosts": before.flow}, {"_id": 1}):
                return before, False
        made = flow()
        sent = Submission(project=project.name, worker=worker, flow=made.uuid, request=request)
        # Written first: a command that was killed finds at its next run whether the database has the flow.
        sent.write(folder / FILE)
        jobs.add_flow(made, worker=worker)
        return sent, True
    finally:
        jobs.close()


class SentFlow(AbstractContextManager["SentFlow"]):
    """The jobs of a `Submission`, with an open database.

    Raises
    ------
    InputError, ComputationError
        The project or its database is not as it should be; see `midgap.workflows.cluster.project`.
    """

    def __init__(self, sent: Submission, project: Project | None = None) -> None:
        self.sent = sent
        self.project = project or open_project(sent.project)
        self.controller: JobController = controller(self.project)
        self.hosts: dict[str, BaseHost] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts.values():
            host.close()
        self.controller.close()

    def views(self) -> tuple[QueueJob, ...]:
        """The jobs in the order they were made; of those that went through several indices the last."""
        fields = ["db_id", "uuid", "index", "worker", "state", "remote", "start_time", "end_time", "run_dir", "error"]
        fields += ["created_on", "job.name", "job.metadata", "job.function"]
        latest: dict[str, QueueJob] = {}
        for document in self.controller.jobs.find(self._mine, fields).sort([("created_on", 1), ("index", 1)]):
            latest[document["uuid"]] = view_of(document)
        if not latest:
            raise ComputationError(
                f"The database of the project {self.project.name} does not know this flow any more: send it again."
            )
        return tuple(latest.values())

    def with_progress(self, views: Sequence[QueueJob]) -> tuple[QueueJob, ...]:
        """The same, with what the engines of the running ones say."""
        said: dict[str, str] = {}
        for worker in {view.worker for view in views}:
            running = [v for v in views if v.worker == worker and v.state == "running" and v.folder and v.calculates]
            said |= dict(zip((view.id for view in running), self._peek(worker, running), strict=False))
        return tuple(replace(view, now=said[view.id]) if said.get(view.id) else view for view in views)

    def _peek(self, name: str, views: Sequence[QueueJob]) -> list[str]:
        asked = [(str(view.metadata["engine"]), str(view.folder)) for view in views]
        worker = self.project.workers.get(name)
        if not asked or worker is None:
            return []
        if worker.is_local:
            return peek.words(asked)
        try:
            if name not in self.hosts:
                self.hosts[name] = inspection.connected(worker, name)
            out, _, _ = inspection.ask(self.hosts[name], worker, ["midgap.workflows.cluster.peek", json.dumps(asked)])
        except Exception:  # a broken line must not end the table
            self.hosts.pop(name, None)
            return []
        line = next((line for line in out.splitlines() if line.startswith(MARK)), MARK + "[]")
        return list(json.loads(line.removeprefix(MARK)))

    @property
    def _mine(self) -> dict[str, Any]:
        return {"job.hosts": self.sent.flow}

    # What one can do

    def chosen(self, names: Sequence[str]) -> list[QueueJob]:
        """The jobs of the given ids or names; all if there are none.

        Raises
        ------
        InputError
            There is no such job.
        """
        views = self.views()
        if not names:
            return list(views)
        found = [view for view in views if view.id in names or view.name in names]
        for name in names:
            if not any(name in (view.id, view.name) for view in found):
                raise InputError(f"This flow has no job {name!r}; midgap status shows their ids.")
        return found

    def cancel(self, jobs: Sequence[QueueJob]) -> list[QueueJob]:
        """End the jobs that are not over, in the queue too; returns them.

        Those that wait for others are held, so that they do not begin; `rerun` lets them go on.
        """
        ended = [job for job in jobs if job.state not in OVER]
        for job in ended:
            act = self.controller.pause_job if job.state == "waiting" else self.controller.stop_job
            act(job_id=job.uuid, job_index=job.index, wait=LOCKED_S)
        return ended

    def rerun(
        self, jobs: Sequence[QueueJob], *, memory_GB: float | None = None, hours: float | None = None
    ) -> list[QueueJob]:
        """Send the failed and cancelled ones again, into the folders they had; returns them.

        Parameters
        ----------
        memory_GB, hours
            What to ask of the queue instead.
        """
        again = [job for job in jobs if job.state in ("failed", "cancelled", "paused")]
        if memory_GB is not None or hours is not None:
            for job in again:
                self._ask_for(job, memory_GB, hours)
        for job in sorted(again, key=lambda job: job.state == "paused"):
            if job.state != "paused":
                # Files stay: the engine goes on from its restart file. What waits for it is let go with it.
                self.controller.rerun_job(
                    job_id=job.uuid, job_index=job.index, delete_files=False, force=True, wait=LOCKED_S
                )
            elif self.controller.jobs.find_one({"uuid": job.uuid, "index": job.index, "state": "PAUSED"}, {"_id": 1}):
                self.controller.resume_job(job_id=job.uuid, job_index=job.index, wait=LOCKED_S)
        return again

    def _ask_for(self, job: QueueJob, memory_GB: float | None, hours: float | None) -> None:
        data = dict(job.metadata)
        if memory_GB is not None:
            data["memory_GB"] = memory_GB
        if hours is not None:
            data["walltime_s"] = 3600 * hours
        told = queue_of(self.project, job.worker).manager_config(data)
        self.controller.set_job_run_properties(
            exec_config=told["exec_config"],
            resources=told.get("resources"),
            update=False,
            job_ids=(job.uuid, job.index),
        )

    # What came out

    def outputs(self, task: str, *, load: bool = False) -> Iterator[dict[str, Any]]:
        """The documents of the finished jobs of one task; with ``load`` also what is in the data store."""
        uuids = list({view.uuid for view in self.views()})
        store = self.controller.jobstore
        query = {"uuid": {"$in": uuids}, "metadata.task": task}
        yield from store.query(query, load=load)

    def levels(self) -> Levels:
        """The reports that there are so far, in the order of the models."""
        from midgap.workflows.reports import levels_in_documents

        return levels_in_documents(list(self.outputs("levels")))

    def densities(self) -> list[StateDensity]:
        """Where the levels are, as far as it is known so far, in the order of the models."""
        from midgap.workflows.densities import densities_in_documents

        return densities_in_documents(list(self.outputs("densities")))

    def formation(self) -> FormationFound | None:
        """Formation energies, if they were asked for and are there."""
        from midgap.workflows.formation import formation_in_documents

        return formation_in_documents(list(self.outputs("formation")))

    def write_calculations(self, folder: Path) -> list[Path]:
        """Write the result of each static calculation that is done into a folder of its own; returns the folders."""
        from midgap.workflows.calculation import CalculationResult

        written = []
        for document in self.outputs("static", load=True):
            output = {k: v for k, v in document["output"].items() if k in (*CalculationResult.model_fields, "schema")}
            name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", document["name"]).strip("-.")
            CalculationResult.from_dict(output, source=document["name"]).write(folder / name / "result.json")
            written.append(folder / name)
        return written
