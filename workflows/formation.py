"""Formation energies as part of a flow: competing phases at the theory of the vacancies, and what all energies come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jobflow import Job, job
from pymatgen.core import IStructure

from midgap.structures.competing import is_metal, mesh_as_dense
from midgap.structures.errors import InputError
from midgap.structures.model import Model

if TYPE_CHECKING:
    from midgap.defects.formation_study import FormationReport, FormationStudy
    from midgap.workflows.flows import LevelFlowMaker

Plain = dict[str, Any]

METAL_DENSER = 2.0
"""Meshes of metals, whose Fermi surface has to be sampled, against those of the others."""

METAL_SETTINGS: dict[str, Plain] = {"gpaw": {"smearing_eV": 0.1}, "vasp": {"ISMEAR": 1, "SIGMA": 0.1}}
"""Occupations of metals, by engine."""


class FormationFound(NamedTuple):
    """Formation energies, and the study that they are of."""

    study: FormationStudy
    report: FormationReport


@job
def formation_of(study: Plain, folders: Mapping[str, str]) -> Plain:
    """Formation energies from finished calculations.

    Parameters
    ----------
    study
        A `midgap.defects.formation_study.FormationStudy` that has names of models for folders.
    folders
        Of those models.

    Returns
    -------
    dict
        ``study``, with the folders, and ``report`` (a `midgap.defects.formation_study.FormationReport`).
    """
    from midgap.defects.formation_study import FormationStudy

    found = FormationStudy.from_dict(study).with_folders(lambda name: folders[name])
    return {"study": found.to_dict(), "report": found.report(Path()).to_dict()}


def formation_jobs(levels: LevelFlowMaker, models: Sequence[Model], statics: Mapping[str, Job]) -> list[Job]:
    """The jobs that a flow of vacancies needs besides, the last being `formation_of`.

    Parameters
    ----------
    levels
        How the vacancies are computed; its ``phases`` are computed likewise, on meshes as dense.
    models, statics
        The vacancies and the crystal, and the jobs that their energies come from.

    Raises
    ------
    InputError
        See `vacancies_in_crystal`.
    """
    defects, host = vacancies_in_crystal(models)
    jobs: list[Job] = []
    energies = {model.name: statics[model.name] for model in (*defects, host)}
    for phase in levels.phases:
        own = maker_of_phase(levels, phase, host)
        relaxation = own.relaxation(phase) if own.relaxations_of(phase) else []
        steps = [*relaxation, *own.statics(phase, relaxation)]
        jobs += steps
        energies[phase.name] = steps[-1]
    study = {
        "compound": host.structure.composition.reduced_formula,
        "host": host.name,
        "phases": [{"folder": host.name}, *({"folder": phase.name} for phase in levels.phases)],
        "defects": [
            {
                "folder": model.name,
                "sites_per_cell": model.vacancy.multiplicity,  # type: ignore[union-attr]
                "degeneracy": 1 + model.unpaired_electrons,
            }
            for model in defects
        ],
        "screening": None if levels.screening is None else levels.screening.model_dump(mode="json"),
    }
    made = formation_of(study, {name: one.output["folder"] for name, one in energies.items()})
    made.name = f"{study['compound']} formation energies"
    made.metadata.update(task="formation", cost_s=5.0)
    return [*jobs, levels.placed(made)]


def vacancies_in_crystal(models: Sequence[Model]) -> tuple[list[Model], Model]:
    """The vacancies in the largest cell that has its crystal too, and that crystal.

    Raises
    ------
    InputError
        There is no vacancy in a crystal, or none with the crystal in its own cell.
    """
    hosts = {len(model.structure): model for model in models if model.kind == "pristine"}
    sizes: dict[int, list[Model]] = {}
    for model in models:
        if model.vacancy is not None and model.periodic and len(model.structure) + 1 in hosts:
            sizes.setdefault(len(model.structure) + 1, []).append(model)
    if not sizes:
        raise InputError("Formation energies need vacancies in a crystal, and the perfect crystal in the same cell.")
    largest = max(sizes)
    return sizes[largest], hosts[largest]


def maker_of_phase(levels: LevelFlowMaker, phase: Model, host: Model) -> LevelFlowMaker:
    """How a competing phase is computed: as the crystal of the vacancies, on a mesh as dense."""
    theory, metal = levels.theory_for(host), is_metal(phase)
    assert isinstance(phase.structure, IStructure) and isinstance(host.structure, IStructure)
    mesh = {"kpoints": mesh_as_dense(phase.structure, host.structure, theory.kpoints, METAL_DENSER if metal else 1.0)}
    options = dict(levels.options)
    if metal and levels.engine in METAL_SETTINGS:
        options["engine_settings"] = METAL_SETTINGS[levels.engine] | options.get("engine_settings", {})
    return replace(
        levels,
        theory=theory.model_copy(update=mesh),
        by_kind={},
        relax_theory=levels.theory_for(host, "relax").model_copy(update=mesh),
        options=options,
        phases=[],
    )


def formation_so_far(folder: Path | str) -> FormationFound | None:
    """What a run on one machine has brought, if it got so far.

    Parameters
    ----------
    folder
        The folder of the run (`midgap.workflows.local.run_flow`).
    """
    from midgap.workflows.store import documents_of

    return formation_in_documents(documents_of(folder, "formation"))


def formation_in_documents(documents: Sequence[Plain]) -> FormationFound | None:
    """That among the documents of a job store that have ``formation`` as their task, if there is one."""
    from midgap.defects.formation_study import FormationReport, FormationStudy

    found = next((document["output"] for document in documents), None)
    if found is None:
        return None
    return FormationFound(FormationStudy.from_dict(found["study"]), FormationReport.from_dict(found["report"]))
