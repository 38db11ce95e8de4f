"""Two charge states along the way between their geometries, as one jobflow flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker, Response, job

from midgap.defects.configuration_coordinate import along
from midgap.defects.emission import Host, PathPoint, Screening, emission_diagram
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.flows import LevelFlowMaker, Plain

PLACES = (-0.2, 0.0, 0.2, 0.5, 1.0)
"""From each state's own geometry to the other's: about the minimum for its frequency, at the end for the vertical
energy, in between to see whether that is one parabola."""


@job
def points_between(ground: Plain, excited: Plain, pristine: Plain, maker: EmissionFlowMaker) -> Response:
    """Compute both states along the way, in place of this job, when their geometries are there."""
    models = [Model.from_dict(model) for model in (ground, excited, pristine)]
    return Response(replace=maker.between(models[0], models[1], models[2]))


@job
def assemble(
    points: Sequence[Plain],
    places: Sequence[tuple[str, float]],
    pristine: Plain,
    position_ang: Any,
    screening: Plain | None,
) -> Plain:
    """Bring the energies together to a diagram.

    Returns
    -------
    dict
        A `midgap.defects.configuration_coordinate.ConfigurationCoordinate`.
    """
    import numpy as np

    from midgap.defects.band_edges import band_edges
    from midgap.defects.electronic_structure import ElectronicStructure

    states: dict[str, list[PathPoint]] = {"ground": [], "excited": []}
    for result, (state, fraction) in zip(points, places, strict=True):
        structure = ElectronicStructure.from_dict(result["electronic_structure"])
        states[state].append(PathPoint(fraction=fraction, electronic_structure=structure))
    crystal = ElectronicStructure.from_dict(pristine["electronic_structure"])
    edges = band_edges(crystal)
    return emission_diagram(
        states["ground"],
        states["excited"],
        Host(electronic_structure=crystal, vbm_eV=edges.vbm_eV, cbm_eV=edges.cbm_eV),
        np.asarray(position_ang),
        None if screening is None else Screening.from_dict(screening),
    ).to_dict()


@dataclass
class EmissionFlowMaker(Maker):
    """Relax a vacancy in two charge states, and compute each along the way to the other's geometry.

    Parameters
    ----------
    name
        Name of the flows.
    levels
        How models are relaxed, by which engine and with which options.
    theory
        Of the energies; None is that of the relaxations, as it must be for the minima to be minima.
    places
        Fractions of the way; 0 and 1 are added.
    screening
        Dielectric constants for the corrections of the charged cells.

    Examples
    --------
    >>> from midgap.structures.build import build_models
    >>> models = {m.charge: m for m in build_models("Cs4PbBr6", charges=[0, 1], clusters=False) if m.vacancy}
    >>> pristine = build_models("Cs4PbBr6", charges=[], clusters=False)[0]
    >>> screening = Screening(static=10.0, electronic=3.6, source="an estimate")
    >>> flow = EmissionFlowMaker(screening=screening).make(models[0], models[1], pristine)  # doctest: +SKIP
    """

    name: str = "emission"
    levels: LevelFlowMaker = field(default_factory=LevelFlowMaker)
    theory: LevelOfTheory | None = None
    places: tuple[float, ...] = PLACES
    screening: Screening | None = None

    def __post_init__(self) -> None:
        # jobflow hands over what was JSON in between.
        if isinstance(self.theory, dict):
            self.theory = LevelOfTheory.from_dict(self.theory)
        if isinstance(self.screening, dict):
            self.screening = Screening.from_dict(self.screening)
        self.places = tuple(sorted({0.0, 1.0, *(float(place) for place in self.places)}))

    def make(self, ground: Model, excited: Model, pristine: Model) -> Flow:
        """Make the flow; its output is a `ConfigurationCoordinate`.

        Parameters
        ----------
        ground, excited
            One vacancy in two charge states that differ by one: a captured electron makes the ground state more
            negative, a captured hole more positive.
        pristine
            The crystal in the same cell.

        Raises
        ------
        InputError
            The models do not fit each other, or an engine cannot do what is asked of it.
        """
        self._check(ground, excited, pristine)
        relaxed, jobs = {}, []
        for model in (ground, excited):
            steps = self.levels.relaxation(model) if self.levels.relaxations_of(model) else []
            jobs += steps
            relaxed[model.name] = steps[-1].output["model"] if steps else model.to_dict()
        rest = points_between(relaxed[ground.name], relaxed[excited.name], pristine.to_dict(), self)
        return self.levels.relaxed_then(jobs, rest, "points on the way", self.name)

    def between(self, ground: Model, excited: Model, pristine: Model) -> Flow:
        """The flow of geometries that are relaxed already."""
        self._check(ground, excited, pristine)
        jobs, labels = [], []
        for state, own, other in (("ground", ground, excited), ("excited", excited, ground)):
            for place in self.places:
                there = own.at(
                    along(own.structure, other.structure, place), place=f"{place:g} of the way to {other.name}"
                )
                there = there.model_copy(update={"name": f"{own.name}_x{place:.2f}"})
                jobs.append(self._static(there))
                labels.append((state, place))
        host = self._static(pristine)
        assert ground.vacancy is not None
        diagram = assemble(
            [one.output for one in jobs],
            labels,
            host.output,
            ground.vacancy.position_ang.tolist(),
            None if self.screening is None else self.screening.to_dict(),
        )
        diagram.metadata.update(task="emission", cost_s=2.0)
        self.levels.placed(diagram)
        return Flow([*jobs, host, diagram], output=diagram.output, name=self.name)

    def _static(self, model: Model) -> Any:
        theory = self.theory or self.levels.theory_for(model, "relax")
        return self.levels.as_job(self.levels.calculation(model, "static", theory))

    @staticmethod
    def _check(ground: Model, excited: Model, pristine: Model) -> None:
        if ground.vacancy is None or excited.vacancy is None or not ground.periodic:
            raise InputError("Emission is computed between two charge states of a vacancy in a crystal.")
        if ground.species != excited.species or abs(ground.charge - excited.charge) != 1:
            raise InputError(
                f"{ground.name} and {excited.name} are not one vacancy in two charge states that differ by one carrier."
            )
        if pristine.kind != "pristine" or len(pristine.structure) != len(ground.structure) + 1:
            raise InputError(f"{pristine.name} is not the pristine crystal in the cell of {ground.name}.")
