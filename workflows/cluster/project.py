"""The project of jobflow-remote that a person has written, and its database; what is wrong with them in one sentence.

A project is a YAML file in ``~/.jfremote`` (``JFREMOTE_PROJECTS_FOLDER``): its workers, where the jobs are
kept and where the outputs. What midgap wants to know of a worker beyond that is under ``metadata: midgap:``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midgap.structures.document import first_fault
from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.cluster.queue import Queue

if TYPE_CHECKING:
    from jobflow_remote.config.base import Project, WorkerBase
    from jobflow_remote.jobs.jobcontroller import JobController

MISSING = "jobflow-remote is not installed here; get it with: pip install 'midgap[hpc]'."
PATIENCE_MS = 5000
SCHEDULERS = ("slurm", "pbs", "shell")


def open_project(name: str | None = None) -> Project:
    """The project of a name, or the only one there is.

    Raises
    ------
    InputError
        jobflow-remote is not installed; there is no such project, or several; its file is not right.
    """
    try:
        from jobflow_remote.config.base import ConfigError, ProjectUndefinedError
        from jobflow_remote.config.manager import ConfigManager
    except ImportError:
        raise InputError(MISSING) from None
    try:
        manager = ConfigManager()
    except ConfigError as error:
        raise InputError(f"{error}.") from None
    try:
        return manager.get_project(name)
    except ProjectUndefinedError:
        broken = _broken(manager.projects_folder)
        if broken:
            raise InputError(next(iter(broken.values()))) from None
        if not manager.projects:
            raise InputError(
                f"There is no project in {manager.projects_folder} yet; write one with: midgap cluster init."
            ) from None
        raise InputError(
            f"There are several projects ({', '.join(sorted(manager.projects))}); choose one with --project."
        ) from None
    except ConfigError:
        wrong = _broken(manager.projects_folder).get(name or "")
        known = ", ".join(sorted(manager.projects)) or "none"
        raise InputError(
            wrong or f"There is no project {name!r} in {manager.projects_folder} (there: {known})."
        ) from None


def _broken(folder: Path) -> dict[str, str]:
    """What is wrong with the project files that cannot be used, by the name of the file without its ending."""
    from jobflow_remote.config.base import Project
    from pydantic import ValidationError
    from ruamel.yaml import YAML, YAMLError

    found = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            Project.model_validate(YAML(typ="safe").load(path))
        except ValidationError as error:
            found[path.stem] = f"{path} is not a project: {first_fault(error)}."
        except (YAMLError, OSError) as error:
            found[path.stem] = f"{path} cannot be read: {' '.join(str(error).split())[:200]}."
    return found


def worker_named(project: Project, name: str | None) -> tuple[str, WorkerBase]:
    """A worker of the project; the first one if no name is given.

    Raises
    ------
    InputError
        There is no such worker.
    """
    name = name or next(iter(project.workers), None)
    if name is None:
        raise InputError(f"The project {project.name} has no worker; write one with: midgap cluster init.")
    if name not in project.workers:
        raise InputError(
            f"The project {project.name} has no worker {name!r}; it has {', '.join(project.workers) or 'none'}."
        )
    return name, project.workers[name]


def queue_of(project: Project, name: str) -> Queue:
    """A worker as `Queue`: what jobflow-remote knows of it, and what is under ``metadata: midgap:``.

    Raises
    ------
    InputError
        Its scheduler is not one of those midgap knows the words of, or the metadata are not right.
    """
    worker = project.workers[name]
    scheduler = str(worker.scheduler_type)
    if scheduler not in SCHEDULERS:
        raise InputError(
            f"midgap does not know how to ask {scheduler} for cores, only {', '.join(SCHEDULERS)}; send the flow by "
            "jobflow_remote.submit_flow with resources of your own."
        )
    told = ((project.metadata or {}).get("midgap") or {}).get(name) or {}
    return Queue.from_dict(
        dict(told)
        | {
            "worker": name,
            "scheduler": scheduler,
            "resources": dict(worker.resources or {}),
            "pilot": worker.batch is not None,
            "exec_configs": {
                key: {k: v for k, v in config.model_dump().items() if v is not None}
                for key, config in project.exec_config.items()
            },
        },
        source=f"metadata of the project {project.name} on {name}",
    )


def controller(project: Project) -> JobController:
    """jobflow-remote's hand on the database, after it has been seen to answer and has been made ready for jobs.

    Raises
    ------
    ComputationError
        The database does not answer, or does not let us in.
    """
    probe(project)
    jobs = project.get_job_controller()
    if jobs.auxiliary.find_one({"next_id": {"$exists": True}}) is None:
        if jobs.flows.count_documents({}, limit=1):
            raise ComputationError(
                f"The collection {project.queue.auxiliary_collection} has no counter of jobs, but there are flows: was a "
                "part of the database deleted? Restore it, or begin anew with another project name."
            )
        jobs.reset(max_limit=1)
    return jobs


def probe(project: Project) -> None:
    """Ask the database for one document, and do not wait long.

    Raises
    ------
    ComputationError
        It does not answer, or does not let us in.
    """
    from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

    store = project.get_queue_store()
    where = _address(store)
    store.mongoclient_kwargs = dict(store.mongoclient_kwargs or {}) | {
        "serverSelectionTimeoutMS": PATIENCE_MS,
        "connectTimeoutMS": PATIENCE_MS,
    }
    try:
        store.connect()
        store.query_one({}, properties=["uuid"])
    except OperationFailure as error:
        user = getattr(store, "username", "") or "nobody"
        if error.code == 18:
            raise ComputationError(
                f"The database at {where} does not accept the password of {user}: correct username, password and "
                f"auth_source in the file of the project {project.name}, all three times."
            ) from None
        if error.code == 13:
            raise ComputationError(
                f"The database at {where} does not let {user} read {store.database}: its administrator must grant "
                "readWrite there."
            ) from None
        raise ComputationError(f"The database at {where} refused: {error.details or error}.") from None
    except ConfigurationError as error:
        raise ComputationError(f"The address of the database, {where}, is not right: {error}.") from None
    except PyMongoError as error:
        reason = re.split(r"[,;(]", str(error))[0].strip()
        raise ComputationError(
            f"No database answers at {where} ({reason}): is mongod running, and can this machine reach it? "
            "docs/cluster.md shows ways to get one."
        ) from None
    finally:
        store.close()


def _address(store: Any) -> str:
    """Without what may be secret."""
    host = re.sub(r"//[^@/]*@", "//", str(getattr(store, "host", "") or getattr(store, "uri", "")))
    return host if "://" in host else f"{host}:{getattr(store, 'port', '')}"
