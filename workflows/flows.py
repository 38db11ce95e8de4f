"""Models in, defect levels out: the calculations of a question as one jobflow flow.

A job computes in the directory that it is started in, be it by `midgap.workflows.local` or by
jobflow-remote: one directory a job, where a restarted job finds what its predecessor left. Arguments
and outputs are plain JSON, so that a database can hold them and a worker elsewhere can read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import CURRENT_JOB, Flow, Job, Maker, Response, job

from midgap.defects.emission import Screening
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation, Task
from midgap.workflows.cluster.queue import Queue
from midgap.workflows.costs import expected_memory_GB, expected_s
from midgap.workflows.densities import LEAVES_WAVEFUNCTIONS, level_densities
from midgap.workflows.engines import engine_named
from midgap.workflows.formation import formation_jobs
from midgap.workflows.models import is_relaxed, models_in, reference_of
from midgap.workflows.reports import levels_of

Plain = dict[str, Any]

if TYPE_CHECKING:
    pass

THREADED = {"cp2k": 4, "pyscf": 4}
"""Threads that an engine makes good use of; the others get one."""

QUEUE_JOB = ("SLURM_JOB_ID", "PBS_JOBID", "JOB_ID", "LSB_JOBID")
"""Where batch systems tell a job its id."""

FIXED = "fixed by symmetry"
"""What the provenance says of coordinates that no relaxation would change."""

MAX_ALLOCATIONS = 20
"""A calculation that is not done after so many allocations of a queue is not going to be."""


# Site weights of a large cell do not fit MongoDB's 16 MB: a store called ``data`` takes them.
@job(data="electronic_structure")
def compute(
    model: Plain,
    theory: Plain,
    task: Task,
    engine: str,
    options: Plain | None = None,
    start: Plain | None = None,
    after: str | None = None,
) -> Plain | Response:
    """Run one calculation in the current directory.

    If the queue's time is up before it is done, it is asked for once more in its own place, to go on from
    where this one came: in another directory and, through jobflow-remote, in another allocation.

    Parameters
    ----------
    model, theory
        A `Model` and a `LevelOfTheory`, as dictionaries.
    task
        ``relax`` or ``static``.
    engine
        Name of the engine.
    options
        Further fields of `Calculation`.
    start
        A model of the same atoms whose positions to start from.
    after
        Folder of the run before this one, where the engine may find wavefunctions.

    Returns
    -------
    dict
        A `CalculationResult`, the ``folder`` it was computed in, and the ``queue_job`` if a batch system ran it.

    Raises
    ------
    ComputationError
        The engine failed, or was not done after `MAX_ALLOCATIONS` allocations.
    """
    from midgap.workflows.execution import OutOfTime, run

    atoms = Model.from_dict(model)
    if start is not None:
        other = Model.from_dict(start)
        if other.species != atoms.species:
            raise InputError(f"{atoms.name} cannot start from {other.name}: it has other atoms.")
        atoms = atoms.at(other.positions_ang, start=f"geometry of {other.name}")
    calculation = Calculation.from_dict(
        {"model": atoms, "theory": LevelOfTheory.from_dict(theory), "task": task, **(options or {})}
    )
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    folder = Path.cwd()
    try:
        result = run(calculation, engine, folder, int(threads) if threads.isdigit() else 1, after)
    except OutOfTime as stopped:
        if CURRENT_JOB.job is not None and CURRENT_JOB.job.index >= MAX_ALLOCATIONS:
            raise ComputationError(
                f"{calculation.model.name} was not done after {MAX_ALLOCATIONS} allocations, the last in {folder}: "
                "give it more time or more cores."
            ) from stopped
        again = compute(model, theory, task, engine, options, start, str(folder))
        again.name = CURRENT_JOB.job.name if CURRENT_JOB.job is not None else again.name
        return Response(replace=again)
    return result.to_dict() | {"folder": str(folder), "queue_job": queue_job()}


def queue_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """The id that a batch system gave the job which this process runs in."""
    return next((environment[name] for name in QUEUE_JOB if environment.get(name)), None)


@job
def find_levels(result: Plain, reference: Plain | None = None) -> Plain:
    """Find the gap and the levels in it.

    Parameters
    ----------
    result
        A static `CalculationResult`.
    reference
        `ElectronicStructure` of the host without the defect; None for the host itself.

    Returns
    -------
    dict
        ``report`` (a `LevelReport`) and ``model`` (the `Model` it speaks of).
    """
    from midgap.defects.electronic_structure import ElectronicStructure
    from midgap.defects.levels import identify_levels

    model = Model.from_dict(result["model"])
    report = identify_levels(
        ElectronicStructure.from_dict(result["electronic_structure"]),
        None if reference is None else ElectronicStructure.from_dict(reference),
        model.vacancy,
        model=model.name,
        label=model.label,
    )
    return {"report": report.to_dict(), "model": model.to_dict()}


@job
def collect(found: Sequence[Plain]) -> Plain:
    """Bring all reports and models together, in the order of the models.

    Returns
    -------
    dict
        `midgap.defects.report.Levels`.
    """
    return levels_of(found).to_dict()


@job
def levels_in(host: Plain, maker: LevelFlowMaker, build: Plain) -> Response:
    """Cut the models out of a host and compute them all in place of this job.

    Parameters
    ----------
    host
        The pristine primitive cell, a `Model`.
    maker
        How to compute them.
    build
        Arguments of `models_in`.
    """
    return Response(replace=maker.make(models_in(Model.from_dict(host), **build)))


@dataclass
class LevelFlowMaker(Maker):
    """Relaxation, electronic structure and levels of a list of models.

    Parameters
    ----------
    name
        Name of the flows.
    engine
        Name of the engine for crystals, and for clusters if it does them.
    cluster_engine
        The engine for clusters where ``engine`` does none.
    theory
        Theory of the levels.
    by_kind
        Another theory for a kind of model: a denser mesh for ``pristine``, for example.
    relax
        Whether to relax crystals, with PBE, at the cutoff and mesh of their kind. A pristine cell whose
        provenance says that its coordinates are relaxed is taken as it is. Clusters stay as they were cut.
    relax_theory
        What to relax with instead.
    refine_theory
        What to relax with once more, from where that ended: a hybrid, for example.
    from_neighbour
        Start the relaxation of a charged vacancy from the relaxed neutral one.
    options
        Further fields of `Calculation`, such as ``fmax_eV_per_ang``.
    densities
        Whether to read where the levels are, too, from what an engine leaves (GPAW).
    phases
        Competing phases: with them, formation energies come out as well.
    screening
        Of the crystal, for the corrections of charged cells in those.
    queue
        What the jobs ask of a cluster, where they are sent to one.

    Examples
    --------
    >>> from midgap.structures.build import build_models
    >>> from midgap.workflows.local import run_flow
    >>> models = build_models("Cs4PbBr6", charges=[0], clusters=False)
    >>> flow = LevelFlowMaker(theory=LevelOfTheory.named("pbe+soc")).make(models)
    >>> run_flow(flow, "run").output["reports"]  # doctest: +SKIP
    """

    name: str = "levels"
    engine: str = "gpaw"
    cluster_engine: str = "pyscf"
    theory: LevelOfTheory = field(default_factory=LevelOfTheory)
    by_kind: dict[str, LevelOfTheory] = field(default_factory=dict)
    relax: bool = True
    relax_theory: LevelOfTheory | None = None
    refine_theory: LevelOfTheory | None = None
    from_neighbour: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    densities: bool = False
    phases: list[Model] = field(default_factory=list)
    screening: Screening | None = None
    queue: Queue | None = None

    def __post_init__(self) -> None:
        self.phases = [Model.from_dict(phase) if isinstance(phase, dict) else phase for phase in self.phases]
        if isinstance(self.screening, dict):
            self.screening = Screening.from_dict(self.screening)
        if isinstance(self.queue, dict):
            self.queue = Queue.from_dict(self.queue)
        self.theory = _theory(self.theory)
        self.by_kind = {kind: _theory(theory) for kind, theory in self.by_kind.items()}
        self.relax_theory = None if self.relax_theory is None else _theory(self.relax_theory)
        self.refine_theory = None if self.refine_theory is None else _theory(self.refine_theory)

    def make(self, models: Sequence[Model]) -> Flow:
        """Make the flow; its output is a `midgap.defects.report.Levels`.

        Raises
        ------
        InputError
            There is no model, two have the same name, or an engine cannot do what is asked of it.
        """
        if not models:
            raise InputError("There is no model to compute.")
        if len({model.name for model in models}) < len(models):
            raise InputError("Two models have the same name; names are told apart by nothing else.")
        relaxations = self._relaxations(models)
        calculated = {model.name: self.statics(model, relaxations.get(model.name, [])) for model in models}
        statics = {name: steps[-1] for name, steps in calculated.items()}
        found, pictures = [], []
        for order, model in enumerate(models):
            reference = reference_of(model, models)
            levels = find_levels(
                statics[model.name].output,
                None if reference is None else statics[reference.name].output["electronic_structure"],
            )
            levels.name = f"{model.name} levels"
            levels.metadata.update(model=model.name, label=model.label, task="levels", order=order, cost_s=2.0)
            found.append(self.placed(levels))
            if self.densities and model.vacancy is not None and self.engine_for(model) in LEAVES_WAVEFUNCTIONS:
                densities = level_densities(statics[model.name].output["folder"], levels.output["report"])
                densities.name = f"{model.name} densities"
                densities.metadata.update(
                    model=model.name, label=model.label, task="densities", order=order, cost_s=5.0
                )
                pictures.append(self.placed(densities))
        everything = collect([levels.output for levels in found])
        everything.metadata.update(task="collect", cost_s=1.0)
        self.placed(everything)
        computed = [job for jobs in (*relaxations.values(), *calculated.values()) for job in jobs]
        energies = formation_jobs(self, models, statics) if self.phases else []
        return Flow([*computed, *found, *pictures, *energies, everything], output=everything.output, name=self.name)

    def placed(self, job: Job) -> Job:
        """The job, told what to ask of the queue if there is one; its metadata must be complete."""
        if self.queue is not None:
            job.config.manager_config = self.queue.manager_config(job.metadata)
        return job

    def relaxed_then(self, relaxation: Sequence[Job], rest: Job, does: str, name: str) -> Flow:
        """The flow of a relaxation and of ``rest``, a job that other jobs replace when the geometry is there.

        Parameters
        ----------
        does
            What ``rest`` is called: ``cut the models``.
        name
            Name of the flow.
        """
        rest.name = does
        rest.metadata.update(task="build", cost_s=2.0)
        self.placed(rest)
        # What replaces it is told by the maker what to ask for, each job for itself.
        rest.config.pass_manager_config = False
        return Flow([*relaxation, rest], output=rest.output, name=name)

    def theory_for(self, model: Model, task: Task = "static") -> LevelOfTheory:
        """The theory a model is computed at."""
        theory = self.by_kind.get(model.kind, self.theory)
        if not model.periodic:
            return theory.model_copy(update={"kpoints": (1, 1, 1)})
        if task == "static":
            return theory
        return self.relax_theory or LevelOfTheory.named("pbe", cutoff_eV=theory.cutoff_eV, kpoints=theory.kpoints)

    def engine_for(self, model: Model) -> str:
        """The engine a model is computed by."""
        return self.engine if model.periodic or engine_named(self.engine).computes(model) else self.cluster_engine

    def calculation(self, model: Model, task: Task = "static", theory: LevelOfTheory | None = None) -> Calculation:
        """What is asked of the engine of a model; settings of the main engine mean nothing to the other."""
        options = dict(self.options)
        if self.engine_for(model) != self.engine:
            options.pop("engine_settings", None)
        return Calculation.from_dict(
            {"model": model, "theory": theory or self.theory_for(model, task), "task": task, **options},
            source=model.name,
        )

    def relaxations_of(self, model: Model) -> list[Calculation]:
        """What relaxes a model, one after the other; nothing if it stays as it is."""
        there = is_relaxed(model)
        if there and self.relax_theory is not None:
            # Relaxed by another engine's PBE, it would be held against vacancies relaxed otherwise.
            there = self.engine.upper() in model.provenance["coordinates"].upper()
        there = there or model.provenance.get("coordinates") == FIXED
        return self._relaxing(model) if self.relax and model.periodic and not there else []

    def _relaxing(self, model: Model) -> list[Calculation]:
        made = [self.calculation(model, "relax")]
        if self.refine_theory is not None:
            mesh = made[0].theory
            finer = self.refine_theory.model_copy(update={"kpoints": mesh.kpoints, "cutoff_eV": mesh.cutoff_eV})
            made.append(self.calculation(model, "relax", finer))
        return made

    def statics_of(self, model: Model) -> tuple[Calculation, ...]:
        """The steps to the levels of a model; the last is the theory that was asked for."""
        return engine_named(self.engine_for(model)).steps(self.calculation(model))

    def relaxation(self, model: Model, start: Job | None = None) -> list[Job]:
        """The jobs that relax a model one after the other; the last has its geometry."""
        jobs: list[Job] = []
        for step in self._relaxing(model):
            before = jobs[-1] if jobs else None
            jobs.append(self.as_job(step, before, before, None if jobs else start))
        return jobs

    def _relaxations(self, models: Sequence[Model]) -> dict[str, list[Job]]:
        relaxed: dict[str, list[Job]] = {}
        neutral: dict[str, Job] = {}
        for model in sorted(models, key=lambda model: abs(model.charge)):
            if not self.relaxations_of(model):
                continue
            site = model.vacancy.site if model.vacancy is not None else ""
            start = neutral.get(site) if self.from_neighbour and site else None
            relaxed[model.name] = self.relaxation(model, start)
            if model.charge == 0:
                neutral[site] = relaxed[model.name][-1]
        return relaxed

    def statics(self, model: Model, relaxation: Sequence[Job] = ()) -> list[Job]:
        """The steps to the levels of a model, each from the one before."""
        geometry = relaxation[-1] if relaxation else None
        jobs: list[Job] = []
        for step in self.statics_of(model):
            jobs.append(self.as_job(step, geometry, jobs[-1] if jobs else geometry))
        return jobs

    def as_job(
        self,
        calculation: Calculation,
        geometry: Job | None = None,
        after: Job | str | None = None,
        start: Job | None = None,
    ) -> Job:
        """A calculation as a job: of the atoms that ``geometry`` relaxed, beginning from what ``after``, a job or a folder, left."""
        model, theory, task = calculation.model, calculation.theory, calculation.task
        engine = self.engine_for(model)
        code = engine_named(engine)
        code.check(calculation)
        options = {name: value for name, value in self.options.items() if name != "engine_settings"}
        if calculation.engine_settings:
            options["engine_settings"] = dict(calculation.engine_settings)
        if calculation.promotion is not None:
            options["promotion"] = calculation.promotion.model_dump(mode="json")
        made: Job = compute(
            model.to_dict() if geometry is None else geometry.output["model"],
            theory.to_dict(),
            task,
            engine,
            options,
            None if start is None else start.output["model"],
            after.output["folder"] if isinstance(after, Job) else after,
        )
        made.name = job_name(calculation)
        made.metadata.update(
            model=model.name,
            label=model.label + (f", {calculation.promotion.label}" if calculation.promotion else ""),
            task=task,
            theory=theory.label,
            engine=engine,
            cost_s=round(expected_s(model, theory, task, engine)),
            max_threads=THREADED.get(engine, 1),
            min_cores=code.cores(),
            memory_GB=expected_memory_GB(model, theory, engine) if code.timed else None,
            timed=code.timed,
        )
        return self.placed(made)


@dataclass
class HostFlowMaker(Maker):
    """Relax the host first; the rest of the flow is cut from it when it is there.

    Parameters
    ----------
    name
        Name of the flows.
    levels
        How the models are computed, and the host relaxed.
    build
        Arguments of `models_in`: species, charges, max_atoms, clusters.
    """

    name: str = "host and levels"
    levels: LevelFlowMaker = field(default_factory=LevelFlowMaker)
    build: dict[str, Any] = field(default_factory=dict)

    def make(self, host: Model) -> Flow:
        """Make the flow from a pristine primitive cell; its output is a `midgap.defects.report.Levels`.

        Raises
        ------
        InputError
            The host is not pristine, or an engine cannot do what is asked of it.
        """
        if host.kind != "pristine":
            raise InputError(f"{host.name} is not a pristine crystal: no models can be cut from it.")
        # What will be cut from the relaxed host can be cut from this one: refuse now what cannot be done.
        self.levels.make(models_in(host, **self.build))
        relaxation = self.levels.relaxation(host)
        rest = levels_in(relaxation[-1].output["model"], self.levels, dict(self.build))
        return self.levels.relaxed_then(relaxation, rest, "cut the models", self.name)


def job_name(calculation: Calculation) -> str:
    """What a calculation is called in a flow: ``V_Br1_q0_22 hse06+soc``."""
    step = calculation.theory.name
    if calculation.task != "static":
        step = calculation.task if step == "pbe" else f"{calculation.task} {step}"
    return f"{calculation.model.name} {step}"


def _theory(theory: LevelOfTheory | Mapping[str, Any]) -> LevelOfTheory:
    return theory if isinstance(theory, LevelOfTheory) else LevelOfTheory.from_dict(dict(theory))
