"""What a job is asked of a batch queue: cores, memory and time by its size and theory, in the queue's own words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import Field, PositiveFloat, PositiveInt

from midgap.structures.document import Document
from midgap.structures.errors import InputError
from midgap.workflows.tasks import TASKS

Scheduler = Literal["slurm", "pbs", "shell"]

SAFETY = 3.0
"""Expected times are good within a factor of a few; a job that is stopped early goes on in another allocation."""

OVERHEAD_S = 900
"""For what is not the engine: a cold file system, imports, files to copy."""

LIGHT_S, LIGHT_GB = 900, 4.0
"""For finding levels: seconds of work, but the weights of a large cell are a hundred megabytes of JSON."""

PARALLEL_EFFICIENCY = 0.7
TARGET_S = 4 * 3600
"""A job gets more cores until it is expected to take no longer."""


class EngineQueue(Document):
    """How one engine runs on a worker.

    Attributes
    ----------
    max_ranks
        MPI ranks that one job may use; 1 for a code that is not started by mpirun or srun.
    threads
        OpenMP threads of each rank; None is what the engine makes good use of.
    exec_config
        Name of the project's ``exec_config`` with the modules and variables of this engine.
    resources
        Further words for the queue, over the worker's.
    """

    max_ranks: PositiveInt = 1
    threads: PositiveInt | None = None
    exec_config: str | None = None
    resources: dict[str, Any] = Field(default_factory=dict)


class Queue(Document):
    """A worker of jobflow-remote as midgap sees it.

    Attributes
    ----------
    worker
        Its name in the project.
    scheduler
        Whose words ``resources`` speak; ``shell`` asks for nothing.
    resources
        What every job asks for: partition, account, ...
    max_walltime_h
        The longest time that may be asked for.
    cores_per_node, memory_per_node_GB
        Size of a node; None is not known.
    pilot
        Whether jobs run one after the other in an allocation that is already there: then they ask for nothing.
    engines
        By name; an engine that is not here runs on one rank.
    exec_configs
        What the project says under the names that ``engines`` uses.
    """

    worker: str
    scheduler: Scheduler = "slurm"
    resources: dict[str, Any] = Field(default_factory=dict)
    max_walltime_h: PositiveFloat = 24.0
    cores_per_node: PositiveInt | None = None
    memory_per_node_GB: PositiveFloat | None = None
    pilot: bool = False
    engines: dict[str, EngineQueue] = Field(default_factory=dict)
    exec_configs: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def manager_config(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """What jobflow-remote is told of a job whose metadata are those of `midgap.workflows.flows`."""
        asked = needs(metadata, self)
        engine = self.engines.get(str(metadata.get("engine")), EngineQueue())
        config = self.exec_configs.get(engine.exec_config or "", {})
        export = {name: asked.threads for name in ("OMP_NUM_THREADS",)} | dict(config.get("export") or {})
        before = [config.get("pre_run")]
        if not self.pilot and self.scheduler != "shell":
            before.append(f"export MIDGAP_END_TIME=$(($(date +%s) + {asked.walltime_s}))")
        told: dict[str, Any] = {
            "worker": self.worker,
            "exec_config": dict(config) | {"export": export, "pre_run": "\n".join(filter(None, before)) or None},
        }
        if not self.pilot:
            told["resources"] = request(asked, self) | engine.resources
        return told


class Needs(NamedTuple):
    """What one job needs. ``memory_GB`` None: not known, the queue's default has to do."""

    ranks: int
    threads: int
    memory_GB: float | None
    walltime_s: int


def needs(metadata: Mapping[str, Any], queue: Queue) -> Needs:
    """Cores, memory and time of a job.

    Ranks are doubled until the job is expected to take no more than `TARGET_S`, within what the engine
    has on this worker. Time is `SAFETY` times what is expected, within what may be asked for; where
    nothing is known of an engine's speed (``timed`` is false in the metadata) it is all that may be asked
    for, on all ranks. ``walltime_s`` in the metadata is asked for as it stands.
    """
    wanted_s = metadata.get("walltime_s")
    longest = int(3600 * queue.max_walltime_h) if wanted_s is None else int(wanted_s)
    if metadata.get("task") not in TASKS:
        return Needs(1, 1, LIGHT_GB, min(LIGHT_S, longest) if wanted_s is None else longest)
    engine = queue.engines.get(str(metadata.get("engine")), EngineQueue())
    threads = engine.threads or int(metadata.get("max_threads", 1))
    if queue.cores_per_node is not None:
        threads = min(threads, queue.cores_per_node)
    cost_s, memory_GB = float(metadata.get("cost_s", 0.0)), metadata.get("memory_GB")
    if not metadata.get("timed", True):
        return Needs(engine.max_ranks, threads, memory_GB, longest)
    ranks, expected_s = 1, cost_s
    while expected_s > TARGET_S and 2 * ranks <= engine.max_ranks:
        ranks *= 2
        expected_s = cost_s / (PARALLEL_EFFICIENCY * ranks)
    walltime_s = 60 * math.ceil((OVERHEAD_S + SAFETY * expected_s) / 60)
    return Needs(ranks, threads, memory_GB, longest if wanted_s is not None else min(longest, walltime_s))


def request(asked: Needs, queue: Queue) -> dict[str, Any]:
    """The worker's resources with those of a job, under the names that QToolKit's templates use.

    Raises
    ------
    InputError
        The job needs more memory than a node has.
    """
    cores = asked.ranks * asked.threads
    nodes = 1 if queue.cores_per_node is None else math.ceil(cores / queue.cores_per_node)
    room = queue.memory_per_node_GB
    if asked.memory_GB is not None and room is not None and asked.memory_GB > nodes * room:
        raise InputError(
            f"The worker {queue.worker} has {room:g} GB a node, and a job needs about {asked.memory_GB:.0f} GB: choose a "
            "worker with more, or a smaller cell."
        )
    memory_MB = None if asked.memory_GB is None else math.ceil(1024 * asked.memory_GB / nodes)
    if queue.scheduler == "slurm":
        job: dict[str, Any] = {
            "nodes": nodes,
            "ntasks": asked.ranks,
            "cpus_per_task": asked.threads,
            "time": _slurm_time(asked.walltime_s),
        }
        if memory_MB is not None and "mem_per_cpu" not in queue.resources:
            job["mem"] = f"{memory_MB}M"
        return queue.resources | job
    if queue.scheduler == "pbs":
        ranks = math.ceil(asked.ranks / nodes)
        select = f"select={nodes}:ncpus={ranks * asked.threads}:mpiprocs={ranks}:ompthreads={asked.threads}"
        if memory_MB is not None:
            select += f":mem={memory_MB}mb"
        return queue.resources | {"select": select, "walltime": _pbs_time(asked.walltime_s)}
    return dict(queue.resources)


def _slurm_time(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    return f"{days}-{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"


def _pbs_time(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
