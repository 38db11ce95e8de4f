"""The inputs of all calculations of a question, written and not run: to be looked at, or run by other means."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines import engine_named
from midgap.workflows.engines.base import Engine
from midgap.workflows.flows import LevelFlowMaker, job_name
from midgap.workflows.formation import maker_of_phase, vacancies_in_crystal

INPUTS = {"INCAR", "KPOINTS", "POSCAR", "POTCAR", "POTCAR.spec"}


@dataclass(frozen=True)
class WrittenInputs:
    """What was written, and what to know about it.

    Attributes
    ----------
    folders
        One a calculation, in the order in which they have to run.
    notes
        Sentences.
    """

    folders: tuple[Path, ...]
    notes: tuple[str, ...]


def write_inputs(maker: LevelFlowMaker, models: Sequence[Model], folder: Path) -> WrittenInputs:
    """Write the input files of every calculation whose engine has such that people read.

    Parameters
    ----------
    maker
        How the models would be computed, and its competing phases, if it has any.
    models
        As they are built: what a relaxation would move has not moved.
    folder
        Gets one folder a calculation.

    Raises
    ------
    InputError
        An engine cannot do what is asked of it, or a folder holds more than inputs.
    """
    folders: list[Path] = []
    notes: dict[str, None] = {}
    computed = [(maker, model) for model in models]
    if maker.phases:
        _, host = vacancies_in_crystal(models)
        computed += [(maker_of_phase(maker, phase, host), phase) for phase in maker.phases]
    for own, model in computed:
        code = engine_named(own.engine_for(model))
        if not code.inputs_for_people:
            continue
        relaxations = own.relaxations_of(model)
        for calculation in (*relaxations, *own.statics_of(model)):
            code.check(calculation)
            place = folder / re.sub(r"[^A-Za-z0-9_.+-]+", "-", job_name(calculation))
            _write(code, calculation, place)
            folders.append(place)
        if relaxations:
            notes["Runs after a relaxation have the geometry from before it, which has yet to be replaced."] = None
        if incomplete := code.incomplete():
            notes[incomplete] = None
    return WrittenInputs(tuple(folders), tuple(notes))


def _write(code: Engine, calculation: Calculation, place: Path) -> None:
    # Made elsewhere and then moved: an engine goes on from what is in the folder it writes to.
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as empty:
        code.write_input(calculation, Path(empty))
        made = {path.name for path in Path(empty).iterdir()}
        other = {path.name for path in place.iterdir()} - made - INPUTS if place.is_dir() else set()
        if other:
            raise InputError(f"{place} holds more than inputs ({min(other)}); choose another folder with --out.")
        place.mkdir(exist_ok=True)
        for name in INPUTS - made:
            (place / name).unlink(missing_ok=True)
        for name in made:
            (Path(empty) / name).replace(place / name)
