"""Our numbers beside those that others computed and published."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat
from pymatgen.core import Composition

from midgap.defects.report import Level, LevelReport, Levels
from midgap.experiment.evidence.candidates import filling
from midgap.experiment.evidence.level_candidates import by_name
from midgap.experiment.records import Source, data_file
from midgap.structures.document import Document
from midgap.structures.errors import InputError
from midgap.structures.model import Kind, Model
from midgap.structures.theory import LevelOfTheory


class PublishedValue(Document):
    """A computed number from the literature, and of what kind of model it is."""

    name: str
    quantity: Literal["gap", "level above VBM"]
    kind: Kind
    species: str | None = None
    theory: LevelOfTheory
    value_eV: FiniteFloat
    place: str = ""


class PublishedValues(Document):
    """Computed numbers that were published of one material."""

    material: str
    source: Source
    values: tuple[PublishedValue, ...]


class Row(Document):
    """Ours beside a published value.

    Attributes
    ----------
    ours_eV
        None where there is nothing to set beside it.
    note, place
        What ours is; where the published one stands, and what is said of it there.
    """

    quantity: str
    theory: LevelOfTheory
    model: str = ""
    label: str = ""
    ours_eV: FiniteFloat | None = None
    published_eV: FiniteFloat
    difference_eV: FiniteFloat | None = None
    note: str = ""
    place: str = ""


def published_values(material: str) -> PublishedValues:
    """Computed values that were published of a material.

    Raises
    ------
    InputError
        midgap holds none of it.
    """
    return PublishedValues.read(data_file(material, "computed"))


def published_rows(levels: Levels, published: PublishedValues) -> tuple[Row, ...]:
    """Ours beside the published: every model of the same kind at the same theory, from charge + to -, every level of it."""
    models = by_name(levels)
    rows: list[Row] = []
    for value in published.values:
        matching = [
            (report, models[report.model])
            for report in levels.reports
            if report.model in models
            and models[report.model].material == published.material
            and _same_kind(models[report.model], value)
            and _same_theory(report, value)
        ]
        matching.sort(key=lambda pair: -pair[1].charge)
        rows += [row for report, model in matching for row in _rows(report, model, value)] or [
            Row(
                quantity=value.name,
                theory=value.theory,
                published_eV=value.value_eV,
                note=f"not computed at {value.theory.label}",
                place=value.place,
            )
        ]
    return tuple(rows)


def published_or_none(material: str) -> PublishedValues | None:
    """The same, None where there are none."""
    try:
        return published_values(material)
    except InputError:
        return None


def _same_theory(report: LevelReport, value: PublishedValue) -> bool:
    own_exchange = report.theory.exact_exchange in (None, value.theory.exact_exchange, 0.25)
    return report.theory.name == value.theory.name and own_exchange


def _same_kind(model: Model, value: PublishedValue) -> bool:
    missing = None if model.vacancy is None else model.vacancy.species
    return model.kind == value.kind and missing == value.species


def _rows(report: LevelReport, model: Model, value: PublishedValue) -> list[Row]:
    if value.quantity == "gap":
        ours = [(report.gap_eV, _cluster_note(model) if model.kind == "cluster" else _direct(report))]
    else:
        ours = [(level.above_vbm_eV, _level_note(level)) for level in report.levels if level.kind != "resonant"]
        ours = ours or [(None, "no level in the gap")]
    return [
        Row(
            quantity=value.name,
            theory=value.theory,
            model=model.name,
            label=model.label,
            ours_eV=energy,
            published_eV=value.value_eV,
            difference_eV=None if energy is None else energy - value.value_eV,
            note=note,
            place=value.place,
        )
        for energy, note in ours
    ]


def _direct(report: LevelReport) -> str:
    if report.n_kpoints == 1:
        return "ours at Γ only" if report.theory.kpoints == (1, 1, 1) else "ours at one k-point"
    return {True: "direct", False: "indirect", None: ""}[report.direct]


def _level_note(level: Level) -> str:
    weight = level.localization.defect_weight
    parts = [filling(level.occupation, level.degeneracy), level.kind]
    if level.spin in ("up", "down"):
        parts.insert(0, f"spin {level.spin}")
    if weight is not None:
        parts.append(f"{100 * weight:.0f} % at the vacancy")
    if level.above_cell_vbm_eV is not None and abs(level.above_cell_vbm_eV - level.above_vbm_eV) >= 0.005:
        parts.append(
            f"{level.above_cell_vbm_eV:.2f} eV before potential alignment, above the defect cell's own host states"
        )
    return ", ".join(parts)


def _cluster_note(model: Model) -> str:
    composition = Composition("".join(model.species))
    if composition.reduced_formula == Composition(model.material).reduced_formula and model.charge == 0:
        return "neutral unit" + (" in the point charges of the crystal" if model.embedding is not None else "")
    return f"{model.label.split(' · ')[0]}: not the neutral {model.material} unit that was published"
