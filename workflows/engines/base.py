"""What midgap asks of an engine; each engine is one module beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from midgap.structures.errors import InputError
from midgap.workflows.calculation import Calculation, CalculationResult, Task

if TYPE_CHECKING:
    from custodian.custodian import ErrorHandler

    from midgap.structures.model import Model


class Engine(ABC):
    """An electronic-structure code, run as a process of its own in a folder of its own.

    The folder holds the input (`write_input`), everything the code writes, and its restart file; a
    second run in the same folder goes on from there.
    """

    name: ClassVar[str]
    theories: ClassVar[tuple[str, ...]]
    periodic: ClassVar[bool]
    clusters: ClassVar[bool]
    tasks: ClassVar[tuple[Task, ...]] = ("relax", "static")
    embeds: ClassVar[bool] = False
    """Whether it computes clusters in point charges."""
    fields: ClassVar[bool] = False
    """Whether it computes crystals in a uniform electric field."""
    promotes: ClassVar[bool] = False
    """Whether it computes excited states by promoting an electron (ΔSCF)."""
    inputs_for_people: ClassVar[bool] = False
    """Whether its input files are what its users know and may want to see before anything runs."""
    timed: ClassVar[bool] = True
    """Whether `midgap.workflows.costs` rests on measurements of it."""
    preload: ClassVar[tuple[str, ...]] = ()
    """Modules that take long to import and that each run needs: on one machine imported once for all."""

    @abstractmethod
    def missing(self) -> str | None:
        """One sentence that says what is not installed and how to get it, or None if it runs here."""

    def incomplete(self) -> str | None:
        """One sentence on what the input files that it writes here lack, or None if they are ready to run."""
        return None

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def command(self, calculation: Calculation) -> list[str]:
        """The process to start in the folder."""

    @abstractmethod
    def write_input(self, calculation: Calculation, folder: Path) -> None: ...

    @abstractmethod
    def read_result(self, calculation: Calculation, folder: Path) -> CalculationResult:
        """Read what the finished process left.

        Raises
        ------
        ComputationError
            The outputs are incomplete, or the calculation did not converge.
        """

    @abstractmethod
    def progress(self, folder: Path) -> str:
        """One short line on how far a running calculation is: ``relax step 7, fmax 0.21 eV/Å``."""

    def remedy(self, calculation: Calculation, folder: Path, failures: int) -> Calculation | None:
        """A gentler calculation to go on with after the ``failures``-th failure, or None if there is none."""
        return None

    def adopt(self, calculation: Calculation, finished: Path, folder: Path) -> None:
        """Take over what spares work from a finished run of the same atoms, before the first input is written."""
        return None

    def steps(self, calculation: Calculation) -> tuple[Calculation, ...]:
        """The runs, each from the one before, that end with this calculation; as a rule it alone."""
        return (calculation,)

    def before_promotion(self, calculation: Calculation) -> Calculation:
        """The ground state that a promoted electron is taken from: both spins, no symmetry, empty bands converged.

        Here it is the calculation without the promotion; an engine that promotes adds the settings that make it so.
        """
        return calculation.model_copy(update={"promotion": None, "task": "static"})

    def cores(self) -> int:
        """How many cores one run occupies, threads aside."""
        return 1

    def handlers(self, calculation: Calculation, folder: Path) -> list[ErrorHandler]:
        """Custodian's handlers of this code's own errors, to be asked before `remedy` is."""
        return []

    def wind_down(self, calculation: Calculation, folder: Path, left_s: float) -> bool:
        """Ask the running code to stop where it can go on later, if ``left_s`` is too short for its next step.

        Returns whether it has been asked. Called again and again while it runs; a code that is never
        asked is ended shortly before the time is up, and goes on from its restart file.
        """
        return False

    def lead_s(self) -> float:
        """How long before the end of the time it is asked to stop at the latest, s: with less left, it is not started."""
        return 0.0

    def advanced(self, calculation: Calculation, folder: Path) -> bool:
        """Whether a run that was stopped left something that the next one goes on from."""
        return True

    def computes(self, model: Model) -> bool:
        """Whether a model of this kind is for this engine."""
        if model.periodic:
            return self.periodic
        return self.clusters and (model.embedding is None or self.embeds)

    def check(self, calculation: Calculation) -> None:
        """Refuse what the engine cannot do.

        Raises
        ------
        InputError
            The theory or the kind of model is not for this engine; says which engine is.
        """
        theory = calculation.theory.name
        if theory not in self.theories:
            raise InputError(
                f"{self.name.upper()} cannot do {calculation.theory.label} (it does {', '.join(self.theories)}); "
                f"{_who_else(self, theory)}."
            )
        if calculation.task not in self.tasks:
            raise InputError(
                f"{self.name.upper()} is not asked for {calculation.task} here; use {_who_gives(calculation)}."
            )
        if calculation.electric_field_V_per_ang is not None and not (
            self.fields and calculation.task == "forces" and calculation.model.periodic
        ):
            raise InputError(
                f"{self.name.upper()} is not asked for {calculation.task} in an electric field here; CP2K computes the "
                "forces on a crystal in one."
            )
        if calculation.promotion is not None and not (self.promotes and calculation.task in ("static", "relax")):
            raise InputError(
                f"{self.name.upper()} promotes no electrons here; use --engine {' or '.join(_promoting())}."
            )
        if calculation.promotion is not None and calculation.theory.kpoints != (1, 1, 1):
            raise InputError("An electron is promoted at Γ alone: use kpoints (1, 1, 1).")
        if calculation.model.periodic and not self.periodic:
            raise InputError(
                f"{self.name.upper()} is used for clusters only; {calculation.model.name} is periodic: use gpaw, cp2k or vasp."
            )
        if not calculation.model.periodic and not self.clusters:
            raise InputError(
                f"{self.name.upper()} is used for crystals only; {calculation.model.name} is a cluster: use pyscf or cp2k."
            )


def _who_gives(calculation: Calculation) -> str:
    from midgap.workflows.engines import ENGINE_NAMES, engine_named

    return " or ".join(name for name in ENGINE_NAMES if calculation.task in engine_named(name).tasks)


def _promoting() -> list[str]:
    from midgap.workflows.engines import ENGINE_NAMES, engine_named

    return [name for name in ENGINE_NAMES if engine_named(name).promotes]


def _who_else(engine: Engine, theory: str) -> str:
    from midgap.workflows.engines import ENGINE_NAMES, engine_named

    able = [name for name in ENGINE_NAMES if name != engine.name and theory in engine_named(name).theories]
    return f"use --engine {' or '.join(able)}" if able else "no engine here does"
