"""One reader an engine; each gives an `ElectronicStructure`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.structures.document import read_json
from midgap.structures.errors import InputError
from midgap.structures.model import Model, Vacancy
from midgap.structures.theory import LevelOfTheory


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


def read_folder(folder: Path | str, theory: LevelOfTheory | None = None) -> FinishedCalculation:
    """Read the finished calculation of a folder, whichever engine made it.

    A folder that midgap ran holds ``result.json``. Otherwise the engine is told by its files: VASP's
    ``vasprun.xml`` or ``vaspout.h5`` (``OUTCAR`` and ``PROCAR`` beside, or those two alone), CP2K's ``*.out`` or ``*.log``, GPAW's
    ``*.gpw``, PySCF's ``*.chk`` or ``*.chkfile``, the first three with ``.gz`` too. Of several, the first in this
    order is read, and a warning says which.

    Parameters
    ----------
    theory
        What a PySCF checkpoint was computed with, for it does not say.

    Raises
    ------
    InputError
        No such folder, nothing in it that a reader knows, or a geometry relaxation, which has no levels.
    ComputationError
        The calculation is not finished, or broke down.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder of a finished calculation.")
    for name in ("result.json", "gpaw_result.json", "pyscf_result.json"):
        if (folder / name).is_file():
            return _own_result(folder / name)
    found = _outputs(folder)
    if not found:
        raise InputError(
            f"{folder} holds no finished calculation that midgap can read: vasprun.xml or vaspout.h5 of VASP, *.out or "
            "*.log of CP2K, *.gpw of GPAW, *.chk of PySCF, or midgap's result.json."
        )
    engine, source = next(iter(found.items()))
    structure = _read(engine, source, folder, theory)
    if len(found) > 1:
        others = " and ".join(f"{path.name} of {ENGINES[other]}" for other, path in found.items() if other != engine)
        told = f"The folder holds {others} too: {source.name} of {ENGINES[engine]} was read."
        structure = structure.model_copy(update={"warnings": (*structure.warnings, told)})
    return FinishedCalculation(structure)


ENGINES = {"vasp": "VASP", "cp2k": "CP2K", "gpaw": "GPAW", "pyscf": "PySCF"}


def _outputs(folder: Path) -> dict[str, Path]:
    """The file that each engine would be read from."""
    from midgap.defects.parsers.vasp import find_vasp

    of_cp2k = [path for pattern in ("*.out", "*.log", "*.out.gz", "*.log.gz") for path in folder.glob(pattern)]
    found = {
        "vasp": find_vasp(folder),
        "cp2k": _newest([path for path in of_cp2k if _begins_as_cp2k(path)]),
        "gpaw": _newest(list(folder.glob("*.gpw"))),
        "pyscf": _newest([*folder.glob("*.chk"), *folder.glob("*.chkfile")]),
    }
    return {engine: path for engine, path in found.items() if path is not None}


def _newest(paths: list[Path]) -> Path | None:
    return max(paths, key=lambda path: (path.stat().st_mtime, path.name), default=None)


def _begins_as_cp2k(path: Path) -> bool:
    from midgap.structures.unpacking import CutShortError, chunks

    try:
        return b"CP2K|" in next(chunks(path), b"")
    except (InputError, CutShortError):
        return False


def _read(engine: str, source: Path, folder: Path, theory: LevelOfTheory | None) -> ElectronicStructure:
    if engine == "vasp":
        from midgap.defects.parsers.vasp import read_vasp

        return read_vasp(folder)
    if engine == "cp2k":
        from midgap.defects.parsers.cp2k import read_cp2k

        return read_cp2k(folder)
    if engine == "gpaw":
        from midgap.defects.parsers.gpw import read_gpw

        return read_gpw(source)
    from midgap.defects.parsers.pyscf import read_checkpoint

    if theory is None:
        raise InputError(
            f"{source} is a checkpoint of PySCF, which does not say with what functional it was computed; name it: "
            "--theory hse06."
        )
    return read_checkpoint(source, theory)


def _own_result(path: Path) -> FinishedCalculation:
    data = read_json(path)
    if not isinstance(data, dict) or data.get("schema") != "midgap.CalculationResult":
        raise InputError(f"{path} is not a result of midgap.")
    if data.get("electronic_structure") is None:
        raise InputError(
            f"{path} is a geometry relaxation and has no levels; give the folder of the static run after it."
        )
    if "model" not in data:
        raise InputError(f"{path} does not say what was computed: it has no model.")
    return FinishedCalculation(
        ElectronicStructure.from_dict(data["electronic_structure"], source=str(path)),
        Model.from_dict(data["model"], source=str(path)),
    )
