"""What other programs are given: a geometry, its energy and what was found in it, wherever they were kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymatgen.core import IMolecule, IStructure

from midgap.defects.levels import identify_levels
from midgap.defects.parsers import read_folder
from midgap.defects.report import LevelReport, Levels
from midgap.structures.errors import InputError
from midgap.structures.model import Model


@dataclass(frozen=True)
class Finding:
    """A level report with the atoms it speaks of."""

    report: LevelReport
    geometry: IStructure | IMolecule
    model: Model | None = None

    @property
    def name(self) -> str:
        """Of the model, else of what is in the cell."""
        return self.report.model or self.geometry.composition.formula.replace(" ", "")

    def _repr_html_(self) -> str:
        """In a notebook: its report."""
        return self.report._repr_html_()

    @property
    def energy_eV(self) -> float:
        """Total energy.

        Raises
        ------
        InputError
            The report has none.
        """
        if self.report.total_energy_eV is None:
            raise InputError(f"{self.name} has no total energy, which this format needs.")
        return self.report.total_energy_eV


def of_levels(levels: Levels) -> list[Finding]:
    """Each report of a file with its model.

    Raises
    ------
    InputError
        A report comes without its model.
    """
    models = {model.name: model for model in levels.models}
    if alone := [report.model or report.label for report in levels.reports if report.model not in models]:
        raise InputError(
            f"The report of {alone[0] or 'an unnamed model'} comes without its atoms; give the folder of its calculation."
        )
    return [Finding(report, models[report.model].structure, models[report.model]) for report in levels.reports]


def of_folder(folder: Path | str, reference: Path | str | None = None) -> Finding:
    """A finished calculation and its levels, with the pristine crystal's edges where ``reference`` is its folder.

    Raises
    ------
    InputError, ComputationError
        As `read_folder` and `identify_levels`.
    """
    finished = read_folder(folder)
    structure = finished.electronic_structure
    host = None if reference is None else read_folder(reference).electronic_structure
    report = identify_levels(structure, host, finished.vacancy, model=finished.name, label=finished.label)
    return Finding(report, structure.structure, finished.model)
