"""The committed results: the numbers of every calculation, and what midgap's own commands make of the studies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from studies import RAISED

from midgap.defects.electrostatics import dielectric_tensor
from midgap.defects.emission import Screening
from midgap.defects.emission_study import EmissionReport, emission_report, read_coupling, read_diagram
from midgap.defects.formation_study import FormationReport, formation_report
from midgap.defects.vibrations import Modes
from midgap.structures.document import read_json
from midgap.structures.errors import InputError

FOLDER = Path(__file__).parent / "results"
TEMPERATURES_K = (0.0, 77.0, 300.0)


@dataclass
class Results:
    """What ``collect.py`` wrote.

    Attributes
    ----------
    notes
        Why a study could not be read, if one could not.
    """

    folder: Path
    found: dict[str, Any]
    notes: dict[str, str]

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Results:
        """Read the folder."""
        return cls(folder, read_json(folder / "study.json"), {})

    @property
    def relaxations(self) -> list[dict[str, Any]]:
        return list(self.found["relaxations"])

    @property
    def levels(self) -> list[dict[str, Any]]:
        return list(self.found["levels"])

    @property
    def vertical(self) -> list[dict[str, Any]]:
        return list(self.found.get("vertical", []))

    @property
    def costs(self) -> dict[str, dict[str, float]]:
        return dict(self.found["costs"])

    @property
    def screening(self) -> Screening:
        """Dielectric constants that the results were corrected with."""
        return Screening.from_dict(self.found["screening"])

    @property
    def refractive_index(self) -> float:
        """Of the crystal, from its electronic dielectric constant."""
        return float(np.sqrt(np.trace(dielectric_tensor(self.screening.electronic)) / 3))

    def formation(self, size: str) -> FormationReport | None:
        """Formation energies in the cells of a size; None where the study is not there or has no answer."""
        return self._formation.get(size)

    @cached_property
    def _formation(self) -> dict[str, FormationReport]:
        reports = {}
        for size in ("small", "large"):
            path = self.folder / f"formation_{size}.json"
            if path.exists():
                try:
                    reports[size] = formation_report(path)
                except InputError as error:
                    self.notes[path.name] = str(error)
        return reports

    def modes(self, name: str) -> Modes | None:
        """Vibrations of the small cell: of the ``crystal`` or of ``V+``."""
        path = self.folder / f"modes_{name}.json"
        return Modes.read(path) if path.exists() else None

    def relaxation_by_modes_eV(self) -> float | None:
        """What V+ would gain after a hole is caught by V0 in the small cell, were its modes harmonic all the way."""
        path = self.folder / "modes_V+.json"
        if not path.exists():
            return None
        study = self.folder / "emission_0_to_+.json"
        coupling, _ = read_coupling(study, read_diagram(study), path)
        return float(coupling.huang_rhys @ coupling.phonons_eV)

    def emissions(self) -> dict[tuple[int, str], EmissionReport]:
        """What pairs of charge states emit, by atoms and name: in the small cell followed along the way, in the large by its ends."""
        reports = {}
        for path in sorted(self.folder.glob("emission_*_to_*.json")):
            atoms = 65 if "_large_" in path.stem else 21
            excited, ground = path.stem.removeprefix("emission_").removeprefix("large_").split("_to_")
            carrier = "electron" if (excited, ground) in (("+", "0"), ("0", "-")) else "hole"
            name = f"V{RAISED[excited]} + {carrier} → V{RAISED[ground]}"
            try:
                reports[atoms, name] = emission_report(path, TEMPERATURES_K)
            except InputError as error:
                self.notes[path.name] = str(error)
        return dict(sorted(reports.items()))
