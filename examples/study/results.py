"""What the stages found, as plain numbers, each with what it was computed with and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Element

from midgap.defects.corrections import corrected_level_eV, extended_fnv
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.emission import Screening
from midgap.defects.levels import identify_levels
from midgap.defects.report import LevelReport
from midgap.structures.document import read_json
from midgap.structures.model import Model
from midgap.workflows.calculation import CalculationResult

CATION_REACH_ANG = 4.5
"""The cation beside a vacancy is at most so far from it."""


@dataclass(frozen=True)
class Cost:
    """Of the calculations of a stage."""

    calculations: int
    wall_s: float
    peak_memory_MB: float


def cost_of(folder: Path) -> Cost:
    """The sum over a stage's finished calculations of the wall times that their engines report."""
    found = [result.provenance for _, result in finished(folder)]
    return Cost(
        len(found),
        sum(one.wall_time_s or 0.0 for one in found),
        max((one.peak_memory_MB or 0.0 for one in found), default=0.0),
    )


def finished(folder: Path) -> Iterator[tuple[Path, CalculationResult]]:
    """The finished calculations of a stage, in the order of the names of their folders."""
    for path in sorted(folder.glob("jobs/*/result.json")):
        data = read_json(path)
        if isinstance(data, dict) and data.get("schema") == "midgap.CalculationResult":
            yield path.parent, CalculationResult.from_dict(data, source=str(path))


def around(model: Model) -> dict[str, float]:
    """What the vacancy did to the octahedron it belongs to: distances in Å from the cation beside it.

    Returns
    -------
    dict
        ``across_ang``: to the anion on the other side; ``others_ang``: the mean over the rest;
        ``vacancy_ang``: to the empty site. Empty for a model without a vacancy or without such a cation.
    """
    if model.vacancy is None or not model.periodic:
        return {}
    lattice = model.structure.lattice  # type: ignore[union-attr]
    fractions = np.asarray(model.structure.frac_coords)  # type: ignore[union-attr]
    empty = lattice.get_fractional_coords(model.vacancy.position_ang)
    away = lattice.get_all_distances([empty], fractions)[0]
    cations = [i for i, symbol in enumerate(model.species) if _holds(symbol, model.vacancy.species)]
    cations = [i for i in cations if away[i] < CATION_REACH_ANG]
    if not cations:
        return {}
    cation = min(cations, key=lambda i: away[i])
    anions = [i for i, symbol in enumerate(model.species) if symbol == model.vacancy.species]
    here = fractions[cation]
    order = sorted(anions, key=lambda i: lattice.get_all_distances([here], [fractions[i]])[0][0])[:5]
    to_vacancy = _shortest(lattice, here, empty)
    arms = [_shortest(lattice, here, fractions[i]) for i in order]
    opposite = min(range(len(arms)), key=lambda i: arms[i] @ to_vacancy / np.linalg.norm(arms[i]))
    lengths = np.linalg.norm(arms, axis=1)
    return {
        "across_ang": round(float(lengths[opposite]), 3),
        "others_ang": round(float(np.delete(lengths, opposite).mean()), 3),
        "vacancy_ang": round(float(np.linalg.norm(to_vacancy)), 3),
    }


def _holds(symbol: str, anion: str) -> bool:
    """Whether an element is what anions are bound to: an alkali ion only fills the space between."""
    return symbol != anion and not Element(symbol).is_alkali


def _shortest(lattice: Any, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    _, image = lattice.get_distance_and_image(start, end)
    return lattice.get_cartesian_coords(np.asarray(end) + image - start)


def relaxation(stage: str, result: CalculationResult) -> dict[str, Any]:
    """One relaxation in numbers."""
    return {
        "stage": stage,
        "model": result.model.name,
        "charge": result.model.charge if result.model.vacancy is not None else None,
        "atoms": len(result.model.structure),
        "start": result.model.provenance.get("start") or result.model.provenance.get("rattle") or "as cut",
        "energy_eV": round(result.total_energy_eV, 4),
        "steps": len(result.relaxation_energies_eV),
        "fmax_eV_per_ang": round(result.max_force_eV_per_ang or 0.0, 4),
        **around(result.model),
        **provenance(result),
    }


def provenance(result: CalculationResult) -> dict[str, Any]:
    """Engine, version, settings, cost."""
    one = result.provenance
    return {
        "engine": f"{one.engine} {one.engine_version}",
        "settings": dict(one.settings),
        "wall_s": None if one.wall_time_s is None else round(one.wall_time_s),
        "peak_memory_MB": None if one.peak_memory_MB is None else round(one.peak_memory_MB),
    }


def report_of(result: CalculationResult, host: ElectronicStructure | None) -> LevelReport:
    """Gap and levels of one calculation, aligned to ``host``."""
    cell, model = result.electronic_structure, result.model
    assert cell is not None
    return identify_levels(cell, host, model.vacancy, model=model.name, label=model.label)


def level(
    stage: str,
    result: CalculationResult,
    host: ElectronicStructure | None,
    report: LevelReport,
    screening: Screening | None,
) -> dict[str, Any]:
    """`report_of` a calculation in numbers, corrected for images where the cell is charged."""
    cell = result.electronic_structure
    assert cell is not None
    theory = cell.theory
    return {
        "stage": stage,
        "model": result.model.name,
        "charge": cell.charge if result.model.vacancy is not None else None,
        "atoms": len(cell.structure),
        "theory": theory.label,
        "cutoff_eV": theory.cutoff_eV,
        "kpoints": list(theory.kpoints),
        "exact_exchange": theory.exact_exchange or (0.25 if theory.functional == "HSE06" else 0.0),
        "bands": int(cell.eigenvalues_eV.shape[2]) + cell.first_band,
        "energy_eV": cell.total_energy_eV,
        "energy_theory": cell.energy_theory,
        "gap_eV": _rounded(report.gap_eV),
        "alignment": report.alignment.method,
        "alignment_uncertainty_eV": _rounded(report.alignment.uncertainty_eV),
        "levels": list(_levels(report, cell, host, screening)),
        **around(result.model),
        **provenance(result),
    }


def _levels(
    report: LevelReport, cell: ElectronicStructure, host: ElectronicStructure | None, screening: Screening | None
) -> Iterator[dict[str, Any]]:
    correction = None
    if host is not None and cell.charge and screening is not None and report.defect is not None:
        correction = extended_fnv(cell, host, report.defect.position_ang, screening.static)
    for one in report.levels:
        corrected = None
        if correction is not None:
            corrected = corrected_level_eV(one.above_vbm_eV, report.alignment.shift_eV, correction)
        elif not cell.charge:
            corrected = one.above_vbm_eV
        emission = [t for t in report.transitions if t.upper is not None or t.lower is not None]
        place = report.levels.index(one)
        yield {
            "kind": one.kind,
            "above_vbm_eV": _rounded(one.above_vbm_eV),
            "below_cbm_eV": _rounded(one.below_cbm_eV),
            "above_cell_vbm_eV": _rounded(one.above_cell_vbm_eV),
            "corrected_above_vbm_eV": _rounded(corrected),
            "occupation": one.occupation,
            "degeneracy": one.degeneracy,
            "defect_weight": _rounded(one.localization.defect_weight),
            "strongest": one.localization.strongest_species,
            "oscillator_strengths": {
                t.label: _rounded(t.oscillator_strength) for t in emission if place in (t.upper, t.lower)
            },
        }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(float(value), digits)
