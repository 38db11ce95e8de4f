"""One reader an engine; each gives an `ElectronicStructure`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.structures.document import read_json
from midgap.structures.errors import InputError
from midgap.structures.model import Model, Vacancy


@dataclass(frozen=True)
class FinishedCalculation:
    """What a folder holds: the electronic structure, and what it stands for if midgap made it."""

    electronic_structure: ElectronicStructure
    model: Model | None = None

    @property
    def vacancy(self) -> Vacancy | None:
        return None if self.model is None else self.model.vacancy

    @property
    def name(self) -> str:
        return "" if self.model is None else self.model.name

    @property
    def label(self) -> str:
        return (
            self.electronic_structure.structure.composition.reduced_formula if self.model is None else self.model.label
        )


def read_folder(folder: Path | str) -> FinishedCalculation:
    """Read the finished calculation of a folder, whichever engine made it.

    A folder that midgap ran holds ``result.json``; otherwise the engine is told by its files.

    Raises
    ------
    InputError
        No such folder, nothing in it that a reader knows, or a geometry relaxation, which has no levels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder of a finished calculation.")
    for name in ("result.json", "gpaw_result.json", "pyscf_result.json"):
        if (folder / name).is_file():
            return _own_result(folder / name)
    if any(folder.glob("*.out")) and any(
        "CP2K" in path.open(errors="replace").read(20000) for path in folder.glob("*.out")
    ):
        from midgap.defects.parsers.cp2k import read_cp2k

        return FinishedCalculation(read_cp2k(folder))
    raise InputError(f"{folder} holds no finished calculation that midgap can read (result.json, or CP2K's *.out).")


def _own_result(path: Path) -> FinishedCalculation:
    data = read_json(path)
    if not isinstance(data, dict) or data.get("schema") != "midgap.CalculationResult":
        raise InputError(f"{path} is not a result of midgap.")
    if data.get("electronic_structure") is None:
        raise InputError(
            f"{path} is a geometry relaxation and has no levels; give the folder of the static run after it."
        )
    return FinishedCalculation(
        ElectronicStructure.from_dict(data["electronic_structure"], source=str(path)),
        Model.from_dict(data["model"], source=str(path)),
    )
