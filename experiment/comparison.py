"""Each candidate emitter against what was measured, and our numbers beside the published ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import FiniteFloat, NonNegativeFloat
from pymatgen.core import Composition

from midgap.defects.report import Level, LevelReport, Levels
from midgap.experiment.photon_energy import wavelength_nm
from midgap.experiment.records import ParticleRecord, Quantity, Records, Source, data_file
from midgap.structures.document import Document
from midgap.structures.errors import InputError
from midgap.structures.model import Kind, Model
from midgap.structures.theory import LevelOfTheory

SMALLEST_PART = 0.05
"""An occupation this close to empty, half filled or filled is called so."""

CAVEATS = (
    "A difference of Kohn-Sham levels is not an emission line: neither the relaxation of the lattice after "
    "excitation nor the attraction of electron and hole is in it.",
    "The gap of the perfect crystal stands for its exciton with no binding energy subtracted.",
    "An energy that fits makes a candidate possible; it does not exclude another emitter of the same energy.",
)


class Uncertainty(Document):
    """One source of uncertainty of a computed energy; None where nothing here estimates it."""

    source: str
    value_eV: NonNegativeFloat | None = None
    note: str = ""


class Test(Document):
    """A candidate against one measured quantity of one record, in the unit of its name.

    ``inside`` tells whether the computed value lies in the measured interval, ours not widened by
    any uncertainty; None where there is no interval.
    """

    __test__ = False  # no pytest class

    observable: Literal["pl_peak_eV"] = "pl_peak_eV"
    record: str
    computed: FiniteFloat
    measured: Quantity
    difference: FiniteFloat | None
    inside: bool | None


class Candidate(Document):
    """One transition that could be the emission.

    Attributes
    ----------
    transition
        ``CBM → VBM`` (no level), ``level → VBM``: an electron in the level recombines with a hole,
        ``CBM → level``: an electron falls into the level, or ``level → level``.
    level
        Index in the report's levels; of two the upper one.
    occupation, degeneracy
        Electrons in the level, and how many it can hold.
    energy_eV, wavelength_nm
        Difference of the two levels, and the vacuum wavelength of such a photon.
    """

    model: str
    label: str
    kind: Kind | None
    charge: int
    engine: str
    theory: LevelOfTheory
    transition: str
    level: int | None = None
    occupation: float | None = None
    degeneracy: int | None = None
    defect_weight: float | None = None
    oscillator_strength: float | None = None
    energy_eV: FiniteFloat
    wavelength_nm: FiniteFloat
    uncertainties: tuple[Uncertainty, ...]
    tests: tuple[Test, ...]

    @property
    def transition_label(self) -> str:
        """For people: ``half filled level → VBM``."""
        if self.occupation is None or self.degeneracy is None:
            return self.transition
        return self.transition.replace("level", f"{filling(self.occupation, self.degeneracy)} level")

    @property
    def main_test(self) -> Test | None:
        """The test against a record whose PL energy has a value, otherwise the first there is."""
        return next((test for test in self.tests if test.difference is not None), next(iter(self.tests), None))

    @property
    def known_uncertainty_eV(self) -> float | None:
        """The uncertainties that are estimated, added in quadrature; None where none is."""
        known = [u.value_eV for u in self.uncertainties if u.value_eV is not None]
        return math.hypot(*known) if known else None


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
    """Ours beside a published value; ``ours_eV`` is None where there is nothing to set beside it."""

    quantity: str
    theory: LevelOfTheory
    model: str = ""
    label: str = ""
    ours_eV: FiniteFloat | None = None
    published_eV: FiniteFloat
    difference_eV: FiniteFloat | None = None
    note: str = ""


class Comparison(Document):
    """What was computed against what was measured and what others computed."""

    material: str
    source: Source
    candidates: tuple[Candidate, ...]
    published: tuple[Row, ...]
    published_source: Source = Source()
    caveats: tuple[str, ...] = CAVEATS
    answer: str


def compare(levels: Levels, records: Records, published: PublishedValues | None = None) -> Comparison:
    """Confront every transition of every report with the measured photoluminescence energies.

    Parameters
    ----------
    published
        Computed values from the literature; None takes those midgap holds of the material, if any.

    Raises
    ------
    InputError
        There are no reports, or two models have one name.
    """
    if not levels.reports:
        raise InputError("There are no level reports to compare; make some with midgap run or midgap levels.")
    models = _by_name(levels)
    records = records.in_energy()
    material = next((model.material for model in levels.models), records.material)
    if published is None:
        published = _published_or_none(material)
    candidates = tuple(
        candidate for report in levels.reports for candidate in _candidates(report, models.get(report.model), records)
    )
    caveats: tuple[str, ...] = CAVEATS
    if records.material and records.material != material:
        caveats += (f"The levels are of {material}, the records of {records.material}.",)
    if any(report.model not in models for report in levels.reports):
        caveats += ("Some reports come without their model, so they are not set beside published values.",)
    return Comparison(
        material=material,
        source=records.source,
        candidates=candidates,
        published=() if published is None else published_rows(levels, published),
        published_source=Source() if published is None else published.source,
        caveats=caveats,
        answer=answer(candidates, records),
    )


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
    models = _by_name(levels)
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
            )
        ]
    return tuple(rows)


def answer(candidates: tuple[Candidate, ...], records: Records) -> str:
    """In a few sentences: which transitions, at the highest theory there is, lie at the measured energy."""
    measured = main_peak(records)
    if measured is None or measured.value is None:
        return "No record states the energy of its photoluminescence, so no candidate can be held against it."
    if not candidates:
        return "No transition was found in the gap of any model, so there is nothing to hold against the measurement."
    peak = measured.value
    theory = best_theory(candidates)
    ours = sorted((c for c in candidates if c.theory.name == theory.name), key=lambda c: abs(c.energy_eV - peak))
    inside = [c for c in ours if measured.contains(c.energy_eV)]
    bounds = "" if measured.lo is None or measured.hi is None else f" ({measured.lo:.2f} to {measured.hi:.2f} eV)"
    nearest = f"the nearest is {_in_words(ours[0], peak)}"
    sentences = [f"Photoluminescence is at {peak:.3f} eV, {wavelength_nm(peak):.0f} nm{bounds}"]
    of = f"Of {_count(len(ours), 'transition')} computed at {theory.label}"
    if inside:
        lie = "lies" if len(inside) == 1 else "lie"
        sentences.append(f"{of}, {len(inside)} {lie} in that interval: {'; '.join(_in_words(c, peak) for c in inside)}")
    else:
        reach = ", and its known uncertainty reaches the interval" if bounds and _reaches(ours[0], measured) else ""
        sentences.append(f"{of}, {'none lies in that interval; ' if bounds else ''}{nearest}{reach}")
    sentences += [
        f"The gap of the perfect crystal is {_in_words(c, peak, name=False)}"
        for c in ours
        if c.kind == "pristine" and c not in inside
    ][:1]
    sentences.append("Energy alone makes a candidate possible, not proven")
    return ". ".join(sentences) + "."


def main_peak(records: Records) -> Quantity | None:
    """The measured PL energy that has a value; an ensemble's before a particle's."""
    peaks = [(r.kind != "ensemble", r.pl_peak_eV) for r in records.in_energy().records if r.pl_peak_eV is not None]
    return next((peak for _, peak in sorted(peaks, key=lambda pair: pair[0]) if peak.value is not None), None)


def best_theory(things: Sequence[Candidate] | Sequence[LevelReport]) -> LevelOfTheory:
    """The highest theory among them: hybrid before semilocal, with spin-orbit coupling before without."""
    return max((thing.theory for thing in things), key=lambda theory: (theory.functional == "HSE06", theory.spin_orbit))


def _candidates(report: LevelReport, model: Model | None, records: Records) -> Iterator[Candidate]:
    for transition in report.transitions:
        if not transition.emits or transition.energy_eV <= 0:
            continue
        index = transition.lower if transition.upper is None else transition.upper
        level = None if index is None else report.levels[index]
        yield Candidate(
            model=report.model,
            label=report.label or (model.label if model is not None else report.model) or "unnamed model",
            kind=model.kind if model is not None else None,
            charge=report.charge,
            engine=report.engine,
            theory=report.theory,
            transition=transition.label,
            level=index,
            occupation=None if level is None else level.occupation,
            degeneracy=None if level is None else level.degeneracy,
            defect_weight=None if level is None else level.localization.defect_weight,
            oscillator_strength=transition.oscillator_strength,
            energy_eV=transition.energy_eV,
            wavelength_nm=wavelength_nm(transition.energy_eV),
            uncertainties=_uncertainties(report, model, transition.label),
            tests=tuple(
                test for record in records.records if (test := _test(transition.energy_eV, record)) is not None
            ),
        )


def _test(energy_eV: float, record: ParticleRecord) -> Test | None:
    peak = record.pl_peak_eV
    if peak is None:
        return None
    return Test(
        record=record.label,
        computed=energy_eV,
        measured=peak,
        difference=None if peak.value is None else energy_eV - peak.value,
        inside=peak.contains(energy_eV),
    )


def _uncertainties(report: LevelReport, model: Model | None, transition: str) -> tuple[Uncertainty, ...]:
    """What is known of the error of a level difference, and what is not; nothing is made up."""
    sources = []
    alignment = report.alignment
    if transition != "CBM → VBM" and alignment.method != "self":
        note = {
            "none": "no pristine reference: the band edges are the defect cell's own",
            "given": "the shift was given",
            "common zero": "both clusters stand in the same surroundings",
            "valence band": "the defect cell's own highest filled state stands for the host's VBM",
        }.get(alignment.method, f"{alignment.n_samples} {alignment.method} far from the defect")
        if alignment.scatter_eV is not None:
            note += f", which differ by up to {alignment.scatter_eV:.2f} eV"
        sources.append(Uncertainty(source="potential alignment", value_eV=alignment.uncertainty_eV, note=note))
    sources.append(Uncertainty(source="functional", note="how far the theory is off is not known from one theory"))
    if model is None or model.periodic:
        own = [abs(lv.above_vbm_eV - lv.above_cell_vbm_eV) for lv in report.levels if lv.above_cell_vbm_eV is not None]
        aligned = transition != "CBM → VBM" and alignment.method in ("site potentials", "deep levels") and own
        sources.append(
            Uncertainty(
                source="size of the cell",
                value_eV=own[0],
                note="distance of the cell's own host states from the aligned host's VBM, which a large cell closes",
            )
            if aligned
            else Uncertainty(source="size of the cell", note="one cell")
        )
        sources.append(Uncertainty(source="k-points", note="one mesh"))
        if report.charge:
            sources.append(Uncertainty(source="images of the charge", note="level energies are not corrected for them"))
    else:
        sources.append(Uncertainty(source="surroundings of the cluster", note="one embedding"))
    sources.append(Uncertainty(source="lattice relaxation", note="absorption and emission geometry are not told apart"))
    sources.append(Uncertainty(source="electron-hole attraction", note="no binding energy is subtracted"))
    return tuple(sources)


def _by_name(levels: Levels) -> dict[str, Model]:
    models: dict[str, Model] = {}
    for model in levels.models:
        if model.name in models and models[model.name] != model:
            raise InputError(f"Two different models are named {model.name!r}; give each its own name.")
        models[model.name] = model
    return models


def _published_or_none(material: str) -> PublishedValues | None:
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
        )
        for energy, note in ours
    ]


def _direct(report: LevelReport) -> str:
    if report.n_kpoints == 1:
        return "Γ only" if report.theory.kpoints == (1, 1, 1) else "one k-point"
    return {True: "direct", False: "indirect", None: ""}[report.direct]


def _level_note(level: Level) -> str:
    weight = level.localization.defect_weight
    parts = [filling(level.occupation, level.degeneracy), level.kind]
    if level.spin in ("up", "down"):
        parts.insert(0, f"spin {level.spin}")
    if weight is not None:
        parts.append(f"{100 * weight:.0f} % at the vacancy")
    if level.above_cell_vbm_eV is not None and abs(level.above_cell_vbm_eV - level.above_vbm_eV) >= 0.005:
        parts.append(f"{level.above_cell_vbm_eV:.2f} unaligned, above the defect cell's own host states")
    return ", ".join(parts)


def rounded_up(uncertainty_eV: float) -> str:
    """Two decimals, never less than the uncertainty itself: none is zero."""
    return f"{max(0.01, math.ceil(100 * uncertainty_eV - 1e-9) / 100):.2f}"


def filling(electrons: float, states: int) -> str:
    """``empty``, ``half filled``, ``filled``, ``singly occupied`` for a state of one spin, or the part that is filled."""
    if states == 1 and electrons >= 1 - SMALLEST_PART:
        return "singly occupied"
    for word, exact in (("empty", 0.0), ("half filled", 0.5 * states), ("filled", states)):
        if abs(electrons - exact) <= SMALLEST_PART:
            return word
    return f"{100 * electrons / states:.0f} % filled"


def _cluster_note(model: Model) -> str:
    composition = Composition("".join(model.species))
    if composition.reduced_formula == Composition(model.material).reduced_formula and model.charge == 0:
        return "neutral unit" + (" in the point charges of the crystal" if model.embedding is not None else "")
    return f"{model.label.split(' · ')[0]}: not the neutral {model.material} unit that was published"


def _reaches(candidate: Candidate, measured: Quantity) -> bool:
    error = candidate.known_uncertainty_eV or 0.0
    below = measured.lo is None or candidate.energy_eV + error >= measured.lo
    return below and (measured.hi is None or candidate.energy_eV - error <= measured.hi)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _in_words(candidate: Candidate, peak_eV: float, name: bool = True) -> str:
    away = candidate.energy_eV - peak_eV
    what = f"{candidate.label}, {candidate.transition_label}, " if name else ""
    return (
        f"{what}{candidate.energy_eV:.2f} eV ({candidate.wavelength_nm:.0f} nm), "
        f"{abs(away):.2f} eV {'above' if away > 0 else 'below'} the measured energy"
    )
