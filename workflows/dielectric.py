"""The dielectric tensor of a crystal as one jobflow flow: forces and dipoles in electric fields, and vibrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jobflow import Flow, Job, Maker, Response, job
from pymatgen.core import IStructure

from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.flows import LevelFlowMaker, Plain
from midgap.workflows.phonons import DISTANCE_ANG, PhononFlowMaker

DEFAULT_FIELD_V_PER_ANG = 0.05
"""Strong enough for forces of some 0.05 eV/Å; over 10 Å it stays below 1 V, far from the gap of an insulator."""


@job
def fields_on(model: Plain, maker: DielectricFlowMaker) -> Response:
    """Put the fields on, in place of this job, when the relaxed geometry is there."""
    return Response(replace=maker.in_fields(Model.from_dict(model)))


@job
def response_of(
    model: Plain, results: Sequence[Plain], fields: Sequence[Sequence[float]], modes: Plain | None
) -> Plain:
    """Bring dipoles, forces and vibrations together.

    Returns
    -------
    dict
        A `midgap.defects.dielectric.DielectricResponse`.
    """
    from midgap.defects.dielectric import FieldPoint, response_in_fields, with_vibrations
    from midgap.defects.vibrations import Modes

    atoms = Model.from_dict(model)
    assert isinstance(atoms.structure, IStructure)
    points = [
        FieldPoint.from_dict(
            {
                "field_V_per_ang": list(one),
                "dipole_e_ang": result["dipole_e_ang"],
                "forces_eV_per_ang": result["forces_eV_per_ang"],
            }
        )
        for one, result in zip(fields, results, strict=True)
    ]
    made = results[0]["provenance"]
    source = f"{made['engine'].upper()} {made['engine_version']}, {len(atoms.structure)} atoms, electric fields"
    response = response_in_fields(atoms.structure, points, source)
    return (response if modes is None else with_vibrations(response, Modes.from_dict(modes))).to_dict()


@dataclass
class DielectricFlowMaker(Maker):
    """Relax a crystal, put it in electric fields along the axes and against them, and find its vibrations.

    The forces in the fields are the Born charges, the dipoles ε∞; with the vibrations both give ε₀. Energies are
    taken at Γ: the crystal must be a supercell that is large enough for that. In cells so small that an atom's orbitals
    overlap with their own images, CP2K 2023.1's forces in a field do not sum to zero (LiH, 4.1 Å: 0.3 e an atom): ε∞ holds
    (3.66, measured 3.61), the Born charges do not, and the response says so.

    Parameters
    ----------
    name
        Name of the flows.
    levels
        How the model is relaxed and its vibrations computed, by which engine and with which options.
    theory
        In the fields; None is PBE.
    field_V_per_ang
        Strength of the fields.
    vibrations
        Whether they are computed: without, ε∞ and Born charges alone.
    distance_ang
        By how much atoms are displaced for them.

    Examples
    --------
    >>> from midgap.structures.build import build_models
    >>> from midgap.workflows.local import run_flow
    >>> pristine = build_models("Cs4PbBr6", charges=[], clusters=False)[0]
    >>> flow = DielectricFlowMaker(levels=LevelFlowMaker(engine="cp2k")).make(pristine)  # doctest: +SKIP
    >>> run_flow(flow, "dielectric").output["electronic"]  # doctest: +SKIP
    """

    name: str = "dielectric"
    levels: LevelFlowMaker = field(default_factory=lambda: LevelFlowMaker(engine="cp2k"))
    theory: LevelOfTheory | None = None
    field_V_per_ang: float = DEFAULT_FIELD_V_PER_ANG
    vibrations: bool = True
    distance_ang: float = DISTANCE_ANG

    def __post_init__(self) -> None:
        # jobflow hands over what was JSON in between.
        if isinstance(self.theory, dict):
            self.theory = LevelOfTheory.from_dict(self.theory)

    def make(self, model: Model) -> Flow:
        """Make the flow; its output is a `midgap.defects.dielectric.DielectricResponse`.

        Raises
        ------
        InputError
            The model is no perfect crystal.
        """
        if not isinstance(model.structure, IStructure) or model.vacancy is not None:
            raise InputError(f"{model.name} is no perfect crystal; its dielectric tensor is what is asked for.")
        if not self.levels.relaxations_of(model):
            return self.in_fields(model)
        steps = self.levels.relaxation(model)
        rest = fields_on(steps[-1].output["model"], self)
        return self.levels.relaxed_then(steps, rest, "put fields on", self.name)

    def in_fields(self, model: Model) -> Flow:
        """The flow of a geometry that is relaxed already."""
        fields = [tuple((sign * self.field_V_per_ang * axis).tolist()) for axis in np.eye(3) for sign in (1, -1)]
        jobs: list[Job] = []
        for i, one in enumerate(fields):
            # All begin from the density of the first.
            jobs.append(self._in_field(model, one, f"{model.name}_f{i + 1}", jobs[0] if jobs else None))
        parts: list[Any] = [*jobs]
        modes = None
        if self.vibrations:
            phonons = PhononFlowMaker(levels=self.levels, distance_ang=self.distance_ang).displaced(model)
            parts.append(phonons)
            modes = phonons.output
        response = response_of(model.to_dict(), [one.output for one in jobs], [list(one) for one in fields], modes)
        response.metadata.update(task="dielectric", cost_s=2.0)
        self.levels.placed(response)
        return Flow([*parts, response], output=response.output, name=self.name)

    def _in_field(self, model: Model, one: tuple[float, ...], name: str, first: Job | None) -> Job:
        own = self.levels if self.levels.engine == "cp2k" else LevelFlowMaker(engine="cp2k", queue=self.levels.queue)
        own = replace(own, options=own.options | {"electric_field_V_per_ang": list(one)})
        theory = self.theory or LevelOfTheory.named("pbe")
        named = model.model_copy(update={"name": name})
        return own.as_job(own.calculation(named, "forces", theory), None, first)
