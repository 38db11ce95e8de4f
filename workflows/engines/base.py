"""What midgap asks of an engine; each engine is one module beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from midgap.structures.errors import InputError
from midgap.workflows.calculation import Calculation, CalculationResult


class Engine(ABC):
    """An electronic-structure code, run as a process of its own in a folder of its own.

    The folder holds the input (`write_input`), everything the code writes, and its restart file; a
    second run in the same folder goes on from there.
    """

    name: ClassVar[str]
    theories: ClassVar[tuple[str, ...]]
    periodic: ClassVar[bool]
    clusters: ClassVar[bool]

    @abstractmethod
    def missing(self) -> str | None:
        """One sentence that says what is not installed and how to get it, or None if it runs here."""

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

    def adopt(self, finished: Path, folder: Path) -> None:
        """Take over what spares work from a finished run of the same atoms, before the first input is written."""
        return None

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
        if calculation.model.periodic and not self.periodic:
            raise InputError(
                f"{self.name.upper()} is used for clusters only; {calculation.model.name} is periodic: use gpaw, cp2k or vasp."
            )
        if not calculation.model.periodic and not self.clusters:
            raise InputError(
                f"{self.name.upper()} is used for crystals only; {calculation.model.name} is a cluster: use pyscf or cp2k."
            )


def _who_else(engine: Engine, theory: str) -> str:
    from midgap.workflows.engines import ENGINE_NAMES, engine_named

    able = [name for name in ENGINE_NAMES if name != engine.name and theory in engine_named(name).theories]
    return f"use --engine {' or '.join(able)}" if able else "no engine here does"
