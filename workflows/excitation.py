"""A neutral excitation by differences of total energies (ΔSCF), as one jobflow flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Job, Maker, Response, job

from midgap.defects.excitations import Promotion
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines import engine_named
from midgap.workflows.flows import LevelFlowMaker, Plain, find_levels


@job
def excite_relaxed(model: Plain, pristine: Plain | None, maker: ExcitationFlowMaker) -> Response:
    """Compute ground and excited state, in place of this job, when the relaxed geometry is there."""
    host = None if pristine is None else Model.from_dict(pristine)
    return Response(replace=maker.excited(Model.from_dict(model), host))


@job
def promote(ground: Plain, levels: Plain, maker: ExcitationFlowMaker) -> Response:
    """Choose the bands among those of the ground state, and compute the excited state in place of this job."""
    from midgap.defects.electronic_structure import ElectronicStructure
    from midgap.defects.excitations import promotion
    from midgap.defects.report import LevelReport

    structure = ElectronicStructure.from_dict(ground["electronic_structure"])
    chosen = promotion(LevelReport.from_dict(levels["report"]), structure, maker.start, maker.end)
    return Response(replace=maker.promoted(Model.from_dict(ground["model"]), ground, chosen))


@job
def bring_together(
    model: Plain, start: str, end: str, promotion: Plain, absorption: Plain, emission: Plain | None
) -> Plain:
    """What the energies of both states mean.

    Parameters
    ----------
    absorption, emission
        Results of the ``ground`` state, the ``excited`` one, and the ``triplet`` if there is one, in either geometry.

    Returns
    -------
    dict
        A `midgap.defects.excitations.NeutralExcitation`.
    """
    from midgap.defects.configuration_coordinate import delta_q
    from midgap.defects.electronic_structure import ElectronicStructure
    from midgap.defects.excitations import NeutralExcitation, VerticalExcitation, carriers, warnings_of

    asked, moved = Model.from_dict(model), Promotion.from_dict(promotion)

    def point(states: Plain) -> VerticalExcitation:
        electron, hole = carriers(ElectronicStructure.from_dict(states["excited"]["electronic_structure"]), moved)
        triplet = states.get("triplet")
        return VerticalExcitation(
            ground_eV=states["ground"]["total_energy_eV"],
            excited_eV=states["excited"]["total_energy_eV"],
            triplet_eV=None if triplet is None else triplet["total_energy_eV"],
            electron=electron,
            hole=hole,
        )

    points = [point(states) for states in (absorption, emission) if states is not None]
    geometries = [
        Model.from_dict(states["ground"]["model"]).structure for states in (absorption, emission) if states is not None
    ]
    return NeutralExcitation(
        model=asked.name,
        label=asked.label,
        start=start,
        end=end,
        theory=ElectronicStructure.from_dict(absorption["excited"]["electronic_structure"]).energy_theory,
        promotion=moved,
        absorption=points[0],
        emission=points[1] if len(points) > 1 else None,
        delta_q=delta_q(geometries[0], geometries[1]) if len(points) > 1 else None,
        warnings=warnings_of(points),
    ).to_dict()


@dataclass
class ExcitationFlowMaker(Maker):
    """Promote an electron of a model, say from a level to the CBM, and let the atoms answer.

    The bands are found by what midgap calls them in the ground state. Of a closed shell the triplet is computed too, which
    the singlet's energy needs. Energies are those of one cell: electron and hole also see their images.

    Parameters
    ----------
    name
        Name of the flows.
    levels
        How models are relaxed, by which engine and with which options.
    start, end
        Where the electron is taken and put: ``VBM``, ``CBM``, ``level 1``.
    relax
        Whether the atoms relax in the excited state, for the emission.
    theory
        Of all energies; None is that of the relaxations. GPAW: PBE. VASP: HSE06 as well.

    Examples
    --------
    >>> from midgap.structures.build import build_models
    >>> models = build_models("Cs4PbBr6", charges=[0], clusters=False)
    >>> flow = ExcitationFlowMaker(start="level 1", end="CBM").make(models[1], models[0])  # doctest: +SKIP
    """

    name: str = "excitation"
    levels: LevelFlowMaker = field(default_factory=LevelFlowMaker)
    start: str = "VBM"
    end: str = "CBM"
    relax: bool = True
    theory: LevelOfTheory | None = None

    def __post_init__(self) -> None:
        if isinstance(self.theory, dict):
            self.theory = LevelOfTheory.from_dict(self.theory)

    def make(self, model: Model, pristine: Model | None = None) -> Flow:
        """Make the flow; its output is a `midgap.defects.excitations.NeutralExcitation`.

        Parameters
        ----------
        pristine
            The crystal in the same cell, which the levels of a vacancy are told by.

        Raises
        ------
        InputError
            A vacancy comes without its crystal, or the engine promotes no electrons.
        """
        self._check(model, pristine)
        host = None if pristine is None else pristine.to_dict()
        if not self.levels.relaxations_of(model):
            return self.excited(model, pristine)
        steps = self.levels.relaxation(model)
        rest = excite_relaxed(steps[-1].output["model"], host, self)
        return self.levels.relaxed_then(steps, rest, "excite", self.name)

    def excited(self, model: Model, pristine: Model | None = None) -> Flow:
        """The flow of a geometry that is relaxed already."""
        self._check(model, pristine)
        ground = self._ground(model)
        host = [] if pristine is None else [self._job(self._calculation(pristine))]
        found = find_levels(ground[-1].output, host[0].output["electronic_structure"] if host else None)
        found.name = f"{model.name} levels"
        found.metadata.update(model=model.name, label=model.label, task="levels", order=0, cost_s=2.0)
        self.levels.placed(found)
        rest = promote(ground[-1].output, found.output, self)
        return self.levels.relaxed_then([*ground, *host, found], rest, "promote the electron", self.name)

    def promoted(self, model: Model, ground: Plain, promotion: Promotion) -> Flow:
        """The flow of a ground state that is there already, with the bands chosen."""
        closed = model.unpaired_electrons == 0
        moved = {"excited": promotion} | ({"triplet": promotion.flipped()} if closed else {})
        jobs = {
            name: self._job(self._calculation(model, one), after=str(ground["folder"]), name=name)
            for name, one in moved.items()
        }
        states: dict[str, Any] = {name: one.output for name, one in jobs.items()}
        everything: list[Job] = list(jobs.values())
        there: dict[str, Any] | None = None
        if self.relax:
            before = jobs["excited"]
            calculation = self._calculation(model, promotion, "relax")
            relaxed = self._job(calculation, after=before, name="excited")
            later = {
                name: self._job(
                    self._calculation(model, one),
                    geometry=relaxed,
                    after=relaxed if name == "excited" else jobs[name],
                    name=f"{name}, relaxed",
                )
                for name, one in moved.items()
            }
            again = self._ground(model, geometry=relaxed, after=str(ground["folder"]))
            there = {"ground": again[-1].output, **{name: one.output for name, one in later.items()}}
            everything += [relaxed, *later.values(), *again]
        made = bring_together(
            model.to_dict(), self.start, self.end, promotion.to_dict(), {"ground": ground, **states}, there
        )
        made.metadata.update(task="excitation", cost_s=2.0)
        self.levels.placed(made)
        return Flow([*everything, made], output=made.output, name=self.name)

    def _theory(self, model: Model) -> LevelOfTheory:
        return self.theory or self.levels.theory_for(model, "relax")

    def _calculation(self, model: Model, promotion: Promotion | None = None, task: Any = "static") -> Calculation:
        made = self.levels.calculation(model, task, self._theory(model))
        return made.model_copy(update={"promotion": promotion})

    def _ground(self, model: Model, geometry: Job | None = None, after: Job | str | None = None) -> list[Job]:
        """The steps to the ground state that electrons are promoted from."""
        engine = engine_named(self.levels.engine_for(model))
        jobs: list[Job] = []
        for step in engine.steps(engine.before_promotion(self._calculation(model))):
            jobs.append(self._job(step, geometry=geometry, after=jobs[-1] if jobs else after, name="ground"))
        return jobs

    def _job(
        self, calculation: Calculation, *, geometry: Job | None = None, after: Job | str | None = None, name: str = ""
    ) -> Job:
        made = self.levels.as_job(calculation, geometry, after)
        made.name = f"{made.name} {name}".strip()
        return made

    def _check(self, model: Model, pristine: Model | None) -> None:
        code = engine_named(self.levels.engine_for(model))
        trial = self._calculation(model, Promotion(from_band=1, to_band=2))
        code.check(trial)
        if model.vacancy is not None and pristine is None:
            raise InputError(f"{model.name} needs the pristine crystal in its cell, which its levels are told by.")
        if pristine is not None and pristine.kind != "pristine":
            raise InputError(f"{pristine.name} is not a pristine crystal.")
