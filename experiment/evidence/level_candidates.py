"""Transitions between levels as candidates, with what is known of their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from midgap.defects.report import LevelReport, Levels, Transition
from midgap.experiment.evidence.candidates import SILENT, Candidate, best_theory, unique_names
from midgap.experiment.evidence.lifetimes import TRANSPARENT, Surroundings, of_one_cell, radiative
from midgap.experiment.evidence.method import method
from midgap.experiment.evidence.polarisation import NO_DIRECTION, POLARISATION, polarised
from midgap.experiment.evidence.predictions import CELL, FUNCTIONAL, Prediction, Uncertainty
from midgap.structures.errors import InputError
from midgap.structures.model import Model

RELAXATION = Uncertainty(
    source="lattice relaxation", effect="lowers", note="the geometry is that without electron and hole"
)
LEVEL = Uncertainty(
    source="level for a total energy",
    note="what the electron costs in total energies, at this geometry, is not its one-electron level (command midgap emission)",
)
"""Of a defect the geometry is that of the emitting charge state, whose relaxation is thus in the level."""
EDGE = "CBM of the cell"
"""Source of uncertainty of what starts at the CBM; the height of a level has no part in it."""
EXCITON = "CBM → VBM"
"""Of the perfect crystal."""
FEW_STATES = Uncertainty(
    source="states of the band",
    effect="lowers",
    note="warm carriers fill more of them than those within 0.1 eV of its edge",
)
BETWEEN_CELLS = "; a range is that between cells"
ONE_SHOT = "one-shot"
RELAXING = "needs the relaxed geometries before and after the emission (command midgap emission)"
ATTRACTION = Uncertainty(source="electron-hole attraction", effect="lowers", note="no binding energy is subtracted")


def from_levels(levels: Levels, surroundings: Surroundings = TRANSPARENT) -> tuple[Candidate, ...]:
    """Every transition of every report that can emit.

    Of one hypothesis (a defect in a charge state with its transition, the exciton of the perfect crystal) that was
    computed several times, the largest cell at the highest theory counts.

    Parameters
    ----------
    surroundings
        For radiative lifetimes, where oscillator strengths are known.

    Raises
    ------
    InputError
        Two different models have one name.
    """
    models = by_name(levels)
    found: list[Candidate] = []
    hypotheses: list[tuple[Any, ...]] = []
    for report in levels.reports:
        model = models.get(report.model)
        for i, candidate in enumerate(_of_report(report, model, levels, surroundings)):
            found.append(candidate)
            hypotheses.append((*_hypothesis(report, model), candidate.transition, i if report.levels else 0))
    best = best_theory(levels.reports)
    sizes = {name: len(model.structure) for name, model in models.items()}
    counted = []
    for candidate, hypothesis in zip(found, hypotheses, strict=True):
        rivals = [
            other
            for other, same in zip(found, hypotheses, strict=True)
            if same == hypothesis and other.theory is not None and other.theory.name == best.name
        ]
        reason = ""
        if candidate.theory is not None and candidate.theory.name != best.name:
            reason = f"the highest theory at hand is {best.label}"
        elif candidate.kind == "cluster":
            reason = "a cluster stands for the crystal's own states, not for another emitter"
        elif any(sizes.get(other.model, 0) > sizes.get(candidate.model, 0) for other in rivals):
            reason = "a larger cell is at hand"
        counted.append(candidate.model_copy(update={"counted": not reason, "not_counted": reason}))
    return unique_names(counted)


def by_name(levels: Levels) -> dict[str, Model]:
    """The models by their names.

    Raises
    ------
    InputError
        Two different models have one name.
    """
    models: dict[str, Model] = {}
    for model in levels.models:
        if model.name in models and models[model.name] != model:
            raise InputError(f"Two different models are named {model.name!r}; give each its own name.")
        models[model.name] = model
    return models


def _hypothesis(report: LevelReport, model: Model | None) -> tuple[Any, ...]:
    if model is None:
        return (report.model, report.charge)
    vacancy = None if model.vacancy is None else (model.vacancy.species, model.vacancy.site)
    return (model.kind, model.material, vacancy, report.charge)


def _of_report(
    report: LevelReport, model: Model | None, levels: Levels, surroundings: Surroundings
) -> Iterator[Candidate]:
    for transition in report.transitions:
        if not transition.emits or transition.energy_eV <= 0:
            continue
        index = transition.lower if transition.upper is None else transition.upper
        level = None if index is None else report.levels[index]
        predictions = tuple(_predictions(report, model, transition, levels, surroundings))
        silent = dict(SILENT) | {
            "pl_fwhm_meV": RELAXING,
            "tau_av_ns": _no_lifetime(transition),
            "stokes_shift_eV": RELAXING,
            POLARISATION: NO_DIRECTION,
        }
        told = {prediction.observable for prediction in predictions}
        label = report.label or (model.label if model is not None else report.model) or "unnamed model"
        yield Candidate(
            name=f"{report.model or label}:{transition.label.replace(' → ', '-')}",
            label=label,
            origin="levels",
            model=report.model,
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
            predictions=predictions,
            not_predicted={name: why for name, why in silent.items() if name not in told},
        )


def _predictions(
    report: LevelReport, model: Model | None, transition: Transition, levels: Levels, surroundings: Surroundings
) -> Iterator[Prediction]:
    theory = f"difference of one-electron energies at {report.theory.label}"
    yield Prediction(
        observable="pl_peak_eV",
        value=transition.energy_eV,
        uncertainties=_uncertainties(report, model, transition.label, levels),
        basis=", ".join(part for part in (theory, method(report)) if part),
    )
    elsewhere, larger = _elsewhere(report, model, transition, levels), _larger(model, levels)
    if strength := transition.oscillator_strength:
        strengths = [found.oscillator_strength for found in elsewhere if found.oscillator_strength]
        errors = of_one_cell(transition.label, strengths, strength, larger)
        yield radiative(transition.energy_eV, strength, surroundings, errors)
    if (fractions := transition.principal_fractions) is not None:
        shares = ", ".join(f"{x:.2f}" for x in fractions)
        basis = f"shares {shares} of the strength along the principal axes of its dipole, seen from anywhere"
        others = [found.principal_fractions for found in elsewhere if found.principal_fractions]
        size = Uncertainty(source=CELL, note="one cell", remedy=larger)
        yield polarised(
            fractions,
            basis + BETWEEN_CELLS if others else basis,
            (FEW_STATES,) if others else (size, FEW_STATES),
            others,
        )


def _no_lifetime(transition: Transition) -> str:
    if transition.oscillator_strength is None:
        return f"no oscillator strength of {transition.label} is known"
    return "the transition is forbidden"


def _elsewhere(report: LevelReport, model: Model | None, transition: Transition, levels: Levels) -> list[Transition]:
    """The same transition, at the same theory, in other cells."""
    models, own = by_name(levels), _hypothesis(report, model)
    if model is None:
        return []
    place = _place(report, transition)
    return [
        found
        for other in levels.reports
        if (other.model, other.theory.name) != (report.model, report.theory.name)
        and other.theory.name == report.theory.name
        and _hypothesis(other, models.get(other.model)) == own
        for found in other.transitions
        if (found.label, _place(other, found)) == (transition.label, place)
    ]


def _place(report: LevelReport, transition: Transition) -> int:
    """Which of the report's transitions of its name that can emit it is."""
    alike = [t for t in report.transitions if t.label == transition.label and t.emits]
    return alike.index(transition) if transition in alike else -1


def _uncertainties(
    report: LevelReport, model: Model | None, transition: str, levels: Levels
) -> tuple[Uncertainty, ...]:
    """What is known of the error of a level difference, and what is not; nothing is made up."""
    sources = []
    alignment = report.alignment
    if transition != EXCITON and alignment.method != "self":
        note = {
            "none": "no pristine reference: the band edges are the defect cell's own",
            "given": "the shift was given",
            "common zero": "both clusters stand in the same surroundings",
            "valence band": "the defect cell's own highest filled state stands for the host's VBM",
        }.get(alignment.method, f"{alignment.n_samples} {alignment.method} far from the defect")
        if alignment.scatter_eV is not None:
            note += f", which differ by up to {alignment.scatter_eV:.2f} eV"
        sources.append(Uncertainty(source="potential alignment", value=alignment.uncertainty_eV, note=note))
    sources.append(FUNCTIONAL)
    for part in method(report).split(", "):
        if ONE_SHOT in part:
            sources.append(Uncertainty(source="one-shot evaluation", note=part))
    sources.append(Uncertainty(source="basis and geometry", note="one of each"))
    if model is None or model.periodic:
        others = _gap_differences(report, model, levels)
        if transition == EXCITON:
            sources.append(_points(others, model, levels))
        else:
            sources += [_cell_size(report, model, levels), Uncertainty(source="k-points", note="one mesh")]
        if transition.startswith("CBM →") and transition != EXCITON and any(others):
            note = "the CBM is that of the perfect crystal in this cell; difference to the gap of another cell"
            sources.append(Uncertainty(source=EDGE, value=max(others), note=note))
        if report.charge:
            sources.append(Uncertainty(source="images of the charge", note="level energies are not corrected for them"))
    else:
        sources.append(Uncertainty(source="surroundings of the cluster", note="one embedding"))
    return (*sources, RELAXATION if transition == EXCITON else LEVEL, ATTRACTION)


def _points(others: list[float], model: Model | None, levels: Levels) -> Uncertainty:
    """Of a perfect crystal: cells of another size hold other k-points, and nothing else."""
    if not others:
        return Uncertainty(source="k-points", note="one mesh", remedy=_larger(model, levels))
    note = "difference to the gap of another cell, whose points are others"
    return Uncertainty(source="k-points", value=max(others), note=note)


def _cell_size(report: LevelReport, model: Model | None, levels: Levels) -> Uncertainty:
    """From the defect cell's own host states."""
    source = CELL
    remedy = _larger(model, levels)
    own = [abs(lv.above_vbm_eV - lv.above_cell_vbm_eV) for lv in report.levels if lv.above_cell_vbm_eV is not None]
    if report.alignment.method in ("site potentials", "deep levels") and own:
        note = "distance of the cell's own host states from the aligned host's VBM, which a large cell closes"
        return Uncertainty(source=source, value=own[0], note=note, remedy=remedy)
    return Uncertainty(source=source, note="one cell", remedy=remedy)


def _gap_differences(report: LevelReport, model: Model | None, levels: Levels) -> list[float]:
    """How far the perfect crystal's gap in other cells, at the same theory, is from the gap of this one."""
    models = {m.name: m for m in levels.models}
    if model is None or report.gap_eV is None:
        return []
    return [
        abs(other.gap_eV - report.gap_eV)
        for other in levels.reports
        if other.gap_eV is not None
        and other.theory.name == report.theory.name
        and other.model != report.model
        and other.model in models
        and (models[other.model].kind, models[other.model].material) == ("pristine", model.material)
    ]


def _larger(model: Model | None, levels: Levels) -> str:
    """The cell to compute a defect in next: the smallest larger one whose perfect crystal is there already."""
    if model is None or model.vacancy is None:
        return "in a larger cell"
    sizes = [len(m.structure) - 1 for m in levels.models if m.kind == "pristine" and m.material == model.material]
    larger = sorted(size for size in sizes if size > len(model.structure))
    if not larger:
        return f"in a cell of more than {len(model.structure)} atoms"
    return f"in a cell of {larger[0]} atoms, whose perfect crystal is there already"
