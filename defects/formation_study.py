"""A study of formation energies, written by a person as one JSON file that names folders and energies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, PositiveFloat

from midgap.defects.band_edges import band_edges
from midgap.defects.comparable import check_comparable
from midgap.defects.concentrations import Carriers, Equilibrium, equilibrium
from midgap.defects.corrections import extended_fnv
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.emission import Screening
from midgap.defects.formation import DefectEnergy, FormationEnergies, TransitionLevel
from midgap.defects.parsers import read_folder
from midgap.defects.phases import Phase, StabilityRegion, stability_region
from midgap.defects.site import DefectSite, find_defect
from midgap.structures.document import Document
from midgap.structures.errors import InputError


class CompetingPhase(Document):
    """A phase by its energy, or by the folder it was computed in."""

    formula: str = ""
    energy_eV: float | None = None
    folder: str = ""
    uncertainty_eV: NonNegativeFloat | None = None
    source: str = ""


class StudiedDefect(Document):
    """The folder of a defect's supercell, and what the folder does not say.

    Attributes
    ----------
    sites_per_cell, degeneracy
        As in `DefectEnergy`.
    correction_eV
        Instead of the one computed here.
    """

    folder: str
    name: str = ""
    sites_per_cell: PositiveFloat = 1.0
    degeneracy: PositiveFloat = 1.0
    correction_eV: float | None = None


class FreeCarriers(Document):
    """Parabolic bands, for concentrations; masses in units of the electron's."""

    electron_mass: PositiveFloat
    hole_mass: PositiveFloat
    cell_volume_ang3: PositiveFloat


class FormationStudy(Document):
    """What to read; folders are relative to the file.

    Attributes
    ----------
    compound
        Formula of the host.
    host
        Folder of the pristine supercell.
    phases
        Competing phases, the elements and the host's own among them, all at the theory of the defects.
    defects
        Supercells with defects, one a charge state.
    screening
        For the corrections of charged cells.
    vbm_eV, gap_eV
        Instead of those of the host's calculation: of a better theory, on the same scale.
    carriers
        For concentrations.
    """

    compound: str
    host: str
    phases: tuple[CompetingPhase, ...]
    defects: Annotated[tuple[StudiedDefect, ...], Field(min_length=1)]
    screening: Screening | None = None
    vbm_eV: float | None = None
    gap_eV: PositiveFloat | None = None
    carriers: FreeCarriers | None = None

    def region(self, beside: Path) -> StabilityRegion:
        """Where the compound is stable.

        Raises
        ------
        InputError
            A folder cannot be read, or two phases were not computed alike.
        """
        phases: list[Phase] = []
        first: tuple[str, ElectronicStructure] | None = None
        for asked in self.phases:
            if asked.folder:
                here = (asked.folder, _structure(beside, asked.folder))
                check_comparable(first or here, here)
                first = first or here
                phases.append(_computed(asked, here[1]))
            else:
                phases.append(_given(asked))
        return stability_region(self.compound, phases)

    def energies(self, beside: Path, region: StabilityRegion) -> tuple[FormationEnergies, ...]:
        """The formation energies at each corner of the region, in its order.

        Raises
        ------
        InputError
            A folder cannot be read or has no total energy, or a defect does not fit the host.
        """
        host = read_folder(beside / self.host).electronic_structure
        if computed := [phase.folder for phase in self.phases if phase.folder]:
            # The others were held against this one when the region was made.
            check_comparable((self.host, host), (computed[0], _structure(beside, computed[0])))
        edges = band_edges(host)
        warnings: list[str] = []
        defects = tuple(self._defect(one, beside, host, warnings) for one in self.defects)
        if self.vbm_eV is None or self.gap_eV is None:
            warnings.append(f"The band edges are those of the host's own calculation, {host.theory.label}.")
        if host.energy_theory != host.theory.label:
            warnings.append(f"Total energies are of {host.energy_theory}, not of {host.theory.label}.")
        first = FormationEnergies.from_dict(
            {
                "host": region.compound,
                "vbm_eV": edges.vbm_eV if self.vbm_eV is None else self.vbm_eV,
                "gap_eV": edges.gap_eV if self.gap_eV is None else self.gap_eV,
                "potentials_eV": region.absolute_eV(region.limits[0]),
                "condition": region.limits[0].name,
                "defects": defects,
                "warnings": tuple(dict.fromkeys(warnings)),
            }
        )
        return tuple(first.under(region.absolute_eV(limit), limit.name) for limit in region.limits)

    def bands(self, gap_eV: float, temperature_K: float) -> Carriers:
        """The host's bands for concentrations.

        Raises
        ------
        InputError
            The study has no ``carriers``.
        """
        if self.carriers is None:
            raise InputError(
                "Concentrations need the host's bands: give the study carriers with electron_mass, hole_mass and "
                "cell_volume_ang3."
            )
        own = self.carriers
        return Carriers.free(gap_eV, own.electron_mass, own.hole_mass, own.cell_volume_ang3, temperature_K)

    def report(
        self, beside: Path, *, temperature_K: float | None = None, formed_at_K: float | None = None
    ) -> FormationReport:
        """What it comes to; parameters and errors as of `formation_report`, folders being relative to ``beside``."""
        region = self.region(beside)
        conditions = self.energies(beside, region)
        equilibria: list[Equilibrium] = []
        if temperature_K is not None:
            bands = self.bands(conditions[0].gap_eV, max(temperature_K, formed_at_K or 0.0))
            equilibria = [equilibrium(one, bands, temperature_K, frozen_at_K=formed_at_K) for one in conditions]
        return FormationReport(
            region=region,
            conditions=conditions,
            levels=tuple(level for name in conditions[0].names for level in conditions[0].levels(name)),
            equilibria=tuple(equilibria),
            warnings=conditions[0].warnings,
        )

    def with_folders(self, renamed: Callable[[str], str]) -> FormationStudy:
        """The same study with its folders under other names."""

        def moved(one: Any) -> Any:
            return one.model_copy(update={"folder": renamed(one.folder)}) if one.folder else one

        return self.model_copy(
            update={
                "host": renamed(self.host),
                "phases": tuple(map(moved, self.phases)),
                "defects": tuple(map(moved, self.defects)),
            }
        )

    def _defect(
        self, asked: StudiedDefect, beside: Path, host: ElectronicStructure, warnings: list[str]
    ) -> DefectEnergy:
        finished = read_folder(beside / asked.folder)
        cell = finished.electronic_structure
        check_comparable((self.host, host), (asked.folder, cell))
        site = find_defect(cell, host) if finished.vacancy is None else DefectSite.of(finished.vacancy)
        if site is None:
            raise InputError(f"{asked.folder} holds the same atoms as the host: there is no defect in it.")
        correction, error = asked.correction_eV, None
        if correction is None and cell.charge and self.screening is not None:
            found = extended_fnv(cell, host, site.position_ang, self.screening.static)
            correction, error = found.energy_eV, found.uncertainty_eV
            warnings += [f"{asked.folder}: {warning}" for warning in found.warnings]
        elif correction is None and cell.charge:
            warnings.append(f"{asked.folder}: not corrected for its images; the study gives no screening.")
        elif cell.charge == 0:
            error = 0.0
        return DefectEnergy(
            name=asked.name or site.label,
            charge=cell.charge,
            energy_eV=_total(cell, asked.folder),
            host_energy_eV=_total(host, self.host),
            exchanged=_exchanged(cell, host),
            correction_eV=correction or 0.0,
            sites_per_cell=asked.sites_per_cell,
            degeneracy=asked.degeneracy,
            uncertainty_eV=error,
            source=asked.folder,
        )


def _structure(beside: Path, folder: str) -> ElectronicStructure:
    return read_folder(beside / folder).electronic_structure


def _total(structure: ElectronicStructure, folder: str) -> float:
    if structure.total_energy_eV is None:
        raise InputError(f"{folder} has no total energy.")
    return structure.total_energy_eV


def _exchanged(cell: ElectronicStructure, host: ElectronicStructure) -> dict[str, int]:
    here, there = (Counter(site.specie.symbol for site in one.structure) for one in (cell, host))
    return {symbol: here[symbol] - there[symbol] for symbol in sorted(here | there) if here[symbol] != there[symbol]}


def _computed(asked: CompetingPhase, cell: ElectronicStructure) -> Phase:
    return Phase(
        formula=cell.structure.composition.formula.replace(" ", ""),
        energy_eV=_total(cell, asked.folder),
        uncertainty_eV=asked.uncertainty_eV,
        source=asked.folder,
    )


def _given(asked: CompetingPhase) -> Phase:
    if asked.energy_eV is None or not asked.formula:
        raise InputError("A phase is given by formula and energy_eV, or by the folder it was computed in.")
    data = {name: getattr(asked, name) for name in ("formula", "energy_eV", "uncertainty_eV", "source")}
    return Phase.from_dict(data, source=asked.formula)


class FormationReport(Document):
    """Formation energies at each corner of the region of stability.

    Attributes
    ----------
    levels
        Charge transition levels; they do not depend on the chemical potentials.
    equilibria
        At each corner, where a temperature was asked for.
    """

    region: StabilityRegion
    conditions: tuple[FormationEnergies, ...]
    levels: tuple[TransitionLevel, ...]
    equilibria: tuple[Equilibrium, ...] = ()
    warnings: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        return {
            "compound": self.region.compound,
            "conditions": tuple(one.condition for one in self.conditions),
            "warnings": self.warnings,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a charge transition level."""
        return [
            {
                "name": level.name,
                "level": level.label,
                "above_vbm_eV": level.above_vbm_eV,
                "uncertainty_eV": level.uncertainty_eV,
            }
            for level in self.levels
        ]


def formation_report(
    path: Path, *, temperature_K: float | None = None, formed_at_K: float | None = None
) -> FormationReport:
    """The report of a study.

    Parameters
    ----------
    temperature_K
        Of concentrations; None computes none.
    formed_at_K
        The defects' numbers are those of this temperature.

    Raises
    ------
    InputError
        The file is no `FormationStudy`, or what it names cannot be used.
    """
    study = FormationStudy.read(path)
    return study.report(path.parent, temperature_K=temperature_K, formed_at_K=formed_at_K)
