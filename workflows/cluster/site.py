"""A project file from a few answers: the cluster, how to get there, its queue, the database."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator

from midgap.structures.document import Document, first_fault
from midgap.structures.errors import InputError
from midgap.workflows.cluster.queue import EngineQueue, Needs, Queue, Scheduler, request


class Site(Document):
    """What `project_text` writes a project from.

    Attributes
    ----------
    name
        Of the project; its collections in the database carry it too.
    worker
        Name of the cluster, as you call it.
    host, user, port, key, interactive
        How to reach it by SSH, and whether it asks for a second factor; no host: this machine submits.
    work_dir
        Folder for the jobs, absolute, on the cluster.
    pre_run
        Shell commands that make midgap's Python found there.
    resources
        Words for the queue: ``partition`` and ``account`` (Slurm), ``queue`` and ``account`` (PBS).
    pilot
        Jobs side by side in one allocation; None: no such worker.
    database, database_port, username, password, database_options
        The MongoDB: host or URI, and further options of the client.
    """

    name: str = "midgap"
    worker: str = "cluster"
    scheduler: Scheduler = "slurm"
    host: str | None = None
    user: str | None = None
    port: PositiveInt | None = None
    key: str | None = None
    interactive: bool = False
    work_dir: str
    pre_run: str = ""
    resources: dict[str, Any] = Field(default_factory=dict)
    max_jobs: PositiveInt = 50
    max_walltime_h: PositiveFloat = 24.0
    cores_per_node: PositiveInt | None = None
    memory_per_node_GB: PositiveFloat | None = None
    engines: dict[str, dict[str, Any]] = Field(default_factory=dict)
    exec_config: dict[str, dict[str, Any]] = Field(default_factory=dict)
    pilot: PositiveInt | None = None
    pilot_wait_s: PositiveFloat = 600
    pilot_sleep_s: PositiveFloat = 10
    database: str = "127.0.0.1"
    database_port: PositiveInt = 27017
    database_name: str = "midgap"
    username: str = ""
    password: SecretStr = SecretStr("")
    database_options: dict[str, Any] = Field(default_factory=dict)
    poll_s: PositiveFloat = 10
    poll_queue_s: PositiveFloat = 30

    @field_validator("name", "worker")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", value):
            raise ValueError(f"{value!r} is no name: use letters, digits, - and _")
        return value

    @field_validator("work_dir")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"the folder for jobs must be absolute, not {value!r}")
        return value.rstrip("/") or "/"

    @field_validator("engines")
    @classmethod
    def _engines(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for entry in value.values():
            EngineQueue.from_dict(entry)
        return value

    @property
    def walltime_s(self) -> int:
        return int(3600 * self.max_walltime_h)

    @property
    def workers(self) -> list[str]:
        return [self.worker, *([f"{self.worker}-pilot"] if self.pilot else [])]

    @property
    def pilot_resources(self) -> dict[str, Any]:
        """Of an allocation in which ``pilot`` jobs run side by side."""
        queue = Queue(worker=self.worker, scheduler=self.scheduler, resources=self.resources)
        return request(Needs(1, self.pilot or 1, None, self.walltime_s), queue)

    def store(self, what: str, kind: str = "MongoStore") -> str:
        """A store of jobflow-remote, as JSON, which YAML understands."""
        told: dict[str, Any] = {"type": kind, "database": self.database_name, "host": self.database}
        if "://" not in self.database:
            told["port"] = self.database_port
        if self.username:
            told |= {"username": self.username, "password": self.password.get_secret_value()}
        told["collection_name"] = f"{self.name}_{what}"
        # A database that is away for less is waited for, instead of failing what the runner has in its hands.
        told["mongoclient_kwargs"] = {"serverSelectionTimeoutMS": 60000} | self.database_options
        return json.dumps(told)


def pre_run_here() -> str:
    """What makes this Python found in a job on this machine."""
    folder = Path(sys.executable).parent
    activate = folder / "activate"
    return f"source {activate}" if activate.exists() else f'export PATH="{folder}:$PATH"'


def project_text(site: Site) -> str:
    """The project file, with its secrets.

    Raises
    ------
    InputError
        jobflow-remote would not take it.
    """
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    template = files("midgap.workflows.cluster") / "templates" / "project.yaml"
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    # jinja's own is for HTML, where < and ' must not be.
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    text = environment.from_string(template.read_text()).render(site=site)
    _refuse_what_jobflow_remote_would(text)
    return text


def _refuse_what_jobflow_remote_would(text: str) -> None:
    from jobflow_remote.config.base import Project
    from pydantic import ValidationError
    from ruamel.yaml import YAML

    try:
        Project.model_validate(YAML(typ="safe").load(text))
    except ValidationError as error:
        raise InputError(f"{first_fault(error)}.") from None


def write_project(site: Site, folder: Path | None = None, *, overwrite: bool = False) -> Path:
    """Write the project where jobflow-remote looks for it, readable by its owner alone.

    Raises
    ------
    InputError
        It is there already; the folder is in a git repository; jobflow-remote is not installed.
    """
    from midgap.workflows.cluster.project import MISSING

    try:
        from jobflow_remote import SETTINGS
    except ImportError:
        raise InputError(MISSING) from None
    folder = Path(folder or SETTINGS.projects_folder).expanduser().resolve()
    repository = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)
    if repository is not None and site.password.get_secret_value():
        raise InputError(
            f"{folder} is in the repository {repository}, where a password does not belong: choose another folder with "
            "JFREMOTE_PROJECTS_FOLDER."
        )
    path = folder / f"{site.name}.yaml"
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already: choose another name, or write over it with --overwrite.")
    text = project_text(site)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    partial.replace(path)
    return path
