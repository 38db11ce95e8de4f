"""The process that keeps jobs moving: jobflow-remote's runner, and what it leaves to people.

Two things are added. A job that the queue ended for no fault of its own is sent again, a few times, into
the same folder, where its engine goes on from its restart files. And documents that a runner locked which
did not live to unlock them are unlocked.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from jobflow_remote.config.base import LogLevel
from jobflow_remote.jobs.daemon import DaemonError, DaemonManager, DaemonStatus, RunningDaemonError
from jobflow_remote.jobs.runner import Runner
from jobflow_remote.jobs.state import JobState
from jobflow_remote.remote.data import get_job_path
from jobflow_remote.remote.queue import ERR_FNAME

from midgap.structures.errors import ComputationError
from midgap.workflows.cluster.ends import RESUBMITTED, end_of

if TYPE_CHECKING:
    from jobflow_remote.config.base import Project
    from jobflow_remote.utils.db import MongoLock

logger = logging.getLogger(__name__)

MAX_RESUBMISSIONS = 5
COUNT = "resubmitted"
"""In a job's metadata: how often it was sent again after the queue had ended it."""

START_S = 60.0
STALE_S = 60.0
"""The only runner of a project holds no lock between two rounds, and commands hold theirs for a second."""


class KeepingRunner(Runner):
    """jobflow-remote's runner, which also sends again what the queue ended, and unlocks what was left locked."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.left_locked: set[str] = set()

    def checkout(self) -> None:
        """What a round begins with."""
        for keep in (self.unlock_stale, self.resubmit_ended):
            try:
                keep()
            except Exception:  # of the database or a worker: the next round tries again
                logger.exception("Error in %s", keep.__name__)
        super().checkout()

    def unlock_stale(self) -> None:
        """Take off the locks of a runner that was killed."""
        before = datetime.now(UTC) - timedelta(seconds=STALE_S)
        stale = {"lock_id": {"$ne": None}, "lock_time": {"$lt": before}}
        self.left_locked |= {doc["uuid"] for doc in self.job_controller.jobs.find(stale, ["uuid"])}
        for collection in (self.job_controller.jobs, self.job_controller.flows):
            freed = collection.update_many(stale, {"$set": {"lock_id": None, "lock_time": None}})
            if freed.modified_count:
                logger.info("unlocked %d documents that a former runner left locked", freed.modified_count)

    def submit(self, lock: MongoLock) -> None:
        """Submit a job, unless a runner that was killed has done so and could not note it."""
        document = lock.locked_document
        if document is not None and document["uuid"] in self.left_locked:
            self.left_locked.discard(document["uuid"])
            process = self._in_queue(document)
            if process is not None:
                logger.info("%s: was in the queue already, as %s", document["db_id"], process)
                lock.update_on_release = {"$set": {"remote.process_id": process, "state": JobState.SUBMITTED.value}}
                return
        super().submit(lock)

    def _in_queue(self, document: dict[str, Any]) -> str | None:
        """The id of a job that runs or waits in the folder of this one; Slurm tells, others do not."""
        if self.get_worker(document["worker"]).scheduler_type != "slurm" or document["worker"] in self.batch_workers:
            return None
        out, _, code = self.get_host(document["worker"]).execute("squeue --me --noheader --format '%i %Z'")
        if code != 0:
            return None
        rows = (line.split(maxsplit=1) for line in out.splitlines())
        folders = {row[1]: row[0] for row in rows if len(row) == 2}
        return folders.get(str(document["run_dir"]))

    def resubmit_ended(self) -> None:
        """Send again the jobs that ended for one of the reasons in `RESUBMITTED`, into the folders they had."""
        states = [JobState.FAILED.value, JobState.REMOTE_ERROR.value]
        failed = {"state": {"$in": states}, f"job.metadata.{COUNT}": {"$not": {"$gte": MAX_RESUBMISSIONS}}}
        fields = ["uuid", "index", "db_id", "worker", "error", "remote", "run_dir", "job.metadata"]
        for document in list(self.job_controller.get_jobs(failed, fields)):
            end = end_of(document, self._batch_said(document))
            if end in RESUBMITTED:
                self._resubmit(document, end)

    def _resubmit(self, document: dict[str, Any], end: str) -> None:
        key = {"uuid": document["uuid"], "index": document["index"]}
        # Counted first: a runner that is killed in between must not try for ever.
        self.job_controller.jobs.update_one(key, {"$inc": {f"job.metadata.{COUNT}": 1}})
        self.job_controller.rerun_job(
            job_id=document["uuid"], job_index=document["index"], delete_files=False, force=True
        )
        logger.info("%s: sent again after: %s", document["db_id"], end)

    def _batch_said(self, document: dict[str, Any]) -> str:
        """What the queue wrote of the allocation of a job, where jobs share one."""
        worker = self.workers.get(document["worker"])
        process = (document.get("remote") or {}).get("process_id")
        if worker is None or worker.batch is None or not process:
            return ""
        batches = self.job_controller.get_batches(process_id=process)
        if not batches:
            return ""
        folder = Path(get_job_path(batches[0].batch_uid, None, worker.batch.work_dir))
        try:
            return str(self.get_host(document["worker"]).read_text_file(folder / ERR_FNAME))
        except OSError:
            return ""


_CONFIG = """\
[unix_http_server]
file=$sock_file

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile=$log_file
logfile_maxbytes=10MB
logfile_backups=5
loglevel=$loglevel
pidfile=$pid_file
nodaemon=$nodaemon

[supervisorctl]
serverurl=unix://$sock_file

[program:runner_daemon]
command="{python}" -m midgap.workflows.cluster.runner $project $loglevel $connect_interactive
autostart=true
autorestart=true
startretries=10
numprocs=1
process_name=run_jobflow%(process_num)s
stopwaitsecs=60
"""


class Daemon(DaemonManager):
    """jobflow-remote's daemon, with our runner, by this Python's path, started again when it dies."""

    conf_template_single = Template(_CONFIG.replace("{python}", sys.executable.replace("%", "%%")))


def daemon_of(project: Project) -> Daemon:
    """The daemon of a project on this machine, running or not."""
    # It starts supervisord by its name, which lies beside this Python.
    folder = str(Path(sys.executable).parent)
    if folder not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])
    return Daemon.from_project(project)  # type: ignore[return-value]


def running(project: Project) -> bool:
    """Whether a runner of the project runs on this machine."""
    try:
        return daemon_of(project).check_status(raise_on_shutdown=False) == DaemonStatus.RUNNING
    except (DaemonError, OSError):  # it is coming up or going down at this moment
        return False


def start(project: Project, *, interactive: bool = False) -> bool:
    """Start the runner unless it runs; returns whether it had to be started.

    Raises
    ------
    ComputationError
        It does not start, or one runs on another machine.
    """
    daemon = daemon_of(project)
    if running(project):
        return False
    try:
        if not daemon.start(single=True, raise_on_error=True, connect_interactive=interactive):
            raise DaemonError(f"see {daemon.log_filepath}")
        deadline = time.monotonic() + START_S
        while not running(project):
            if time.monotonic() > deadline:
                raise DaemonError(f"it is not there after {START_S:g} s, see {daemon.log_filepath}")
            time.sleep(0.2)
    except RunningDaemonError as error:
        said = " ".join(line.strip("- ") for line in str(error).splitlines()[1:])
        raise ComputationError(
            f"A runner of the project {project.name} seems to be at work elsewhere ({said}): stop it there; if you are "
            "sure that none is, clear the note of it with: jf runner reset."
        ) from None
    except (DaemonError, TimeoutError, RuntimeError, ValueError) as error:
        raise ComputationError(f"The runner does not start: {' '.join(str(error).split())}.") from None
    return True


def stop(project: Project, patience_s: float = 60.0) -> bool:
    """Stop the runner; what is in the queue stays there. Returns whether there was one.

    Raises
    ------
    ComputationError
        It does not end.
    """
    daemon = daemon_of(project)
    if daemon.check_status(raise_on_shutdown=False) == DaemonStatus.SHUT_DOWN:
        return False
    try:
        daemon.shut_down(raise_on_error=True)
        deadline = time.monotonic() + patience_s
        while daemon.check_supervisord_process():
            if time.monotonic() > deadline:
                raise DaemonError(f"it is still there after {patience_s:g} s, see {daemon.log_filepath}")
            time.sleep(0.2)
    except (DaemonError, RuntimeError, ValueError) as error:
        raise ComputationError(f"The runner does not stop: {' '.join(str(error).split())}.") from None
    return True


def main(project: str, log_level: str = "info", *options: str) -> None:
    """Run until a signal comes; what supervisord starts."""
    runner = KeepingRunner(
        project,
        log_level=LogLevel(log_level),
        runner_id=str(os.getpid()),
        connect_interactive="--connect-interactive" in options,
        daemon_id=str(os.getppid()),
    )
    try:
        runner.run()
    finally:
        runner.cleanup()


if __name__ == "__main__":
    main(*sys.argv[1:])
