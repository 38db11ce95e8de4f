"""Small calculations of real engines, as jobs for a queue."""

from __future__ import annotations

import numpy as np
from jobflow import Flow
from pymatgen.core import IStructure, Lattice

from midgap.defects.emission import Screening
from midgap.structures.competing import phase_model
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.cluster.queue import Queue
from midgap.workflows.flows import HostFlowMaker, LevelFlowMaker, compute


def salt(atoms: int = 2, rattle_ang: float = 0.0) -> Model:
    """Rock salt, primitive or conventional."""
    edge = 5.69
    if atoms == 2:
        lattice = Lattice(edge / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
        structure = IStructure(lattice, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    else:
        sodium = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
        chlorine = [[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
        structure = IStructure(Lattice.cubic(edge), ["Na"] * 4 + ["Cl"] * 4, sodium + chlorine)
    model = Model(name=f"NaCl_{atoms}", kind="pristine", material="NaCl", structure=structure)
    moved = model.positions_ang + np.random.default_rng(1).normal(0, rattle_ang, model.positions_ang.shape)
    return model.at(moved) if rattle_ang else model


def elements() -> list[Model]:
    """Sodium, and chlorine in a box, as they are."""
    as_it_is = {"coordinates": "fixed by symmetry"}
    sodium = IStructure(Lattice.cubic(4.23), ["Na", "Na"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    chlorine = IStructure(Lattice.cubic(5.7), ["Cl", "Cl"], [[0, 0, 0], [0, 0, 1.99 / 5.7]])
    return [phase_model(sodium, as_it_is), phase_model(chlorine, as_it_is)]


def dynamic(queue: Queue) -> Flow:
    """Twelve jobs, six of them calculations, most known only once the host is relaxed."""
    levels = LevelFlowMaker(
        theory=LevelOfTheory.named("pbe", cutoff_eV=200),
        options={"fmax_eV_per_ang": 0.05, "empty_bands": 8},
        phases=elements(),
        screening=Screening(static=5.9),
        queue=queue,
    )
    build = {"charges": [1], "max_atoms": 8, "clusters": "none"}
    return HostFlowMaker(levels=levels, build=build).make(salt())


def single(queue: Queue, model: Model, task: str, engine: str, **options: object) -> Flow:
    """One calculation, asked of the queue as in any flow."""
    theory = LevelOfTheory.named("pbe", **({"cutoff_eV": 200.0} if engine == "gpaw" else {}))
    job = compute(model.to_dict(), theory.to_dict(), task, engine, dict(options))
    job.name = f"{model.name} {task} {engine}"
    job.metadata.update(model=model.name, label=model.name, task=task, theory=theory.label, engine=engine, cost_s=60.0)
    job.config.manager_config = queue.manager_config(job.metadata)
    return Flow([job], output=job.output)
