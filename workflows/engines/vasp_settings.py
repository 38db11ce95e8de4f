"""What a user may set of VASP, and what not: INCAR tags, a few words of our own, each for all steps or for one."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import PositiveFloat

from midgap.structures.document import Document
from midgap.structures.errors import InputError
from midgap.workflows.calculation import Calculation

Value = str | int | float | bool

BY_HAND = "INCAR.user"

STEPS = ("relax", "relax-pbe", "relax-hse06", "pbe", "pbe+soc", "hse06", "hse06+soc")
"""What may stand before a colon: ``hse06+soc:ALGO=All`` is for that step alone."""

ELSEWHERE = {
    "NELECT": "it follows from the model's charge",
    "LSORBIT": "it follows from the theory",
    "LNONCOLLINEAR": "it follows from the theory",
    "LHFCALC": "it follows from the theory",
    "IVDW": "it follows from the theory's dispersion",
    "NSW": "it is max_steps, less what is done",
    "EDIFFG": "it is fmax_eV_per_ang",
    "ISTART": "it follows from the files that are there",
    "ICHARG": "it follows from the files that are there",
}
"""Tags that would contradict what the calculation says it is, or the way it is restarted."""


class VaspSettings(Document):
    """Our own words, beside INCAR tags.

    Attributes
    ----------
    program
        ``std``, ``gam`` or ``ncl`` instead of the one that fits.
    vacuum_ang
        Vacuum between the images of a cluster.
    frozen_after_h
        A run that has not written for so long is ended and gone on with; a step of a large hybrid may
        take hours.
    """

    program: str | None = None
    vacuum_ang: PositiveFloat = 12.0
    frozen_after_h: PositiveFloat = 6.0

    @classmethod
    def of(cls, calculation: Calculation) -> VaspSettings:
        """Those of a calculation.

        Raises
        ------
        InputError
            A value does not fit.
        """
        mine = {name: value for name, value in for_step(calculation).items() if name in cls.model_fields}
        return cls.from_dict(mine, source="engine_settings")


def step_names(calculation: Calculation) -> tuple[str, ...]:
    """How settings may call the step that a calculation is."""
    if calculation.task == "relax":
        return "relax", f"relax-{calculation.theory.functional.lower()}"
    return (calculation.theory.name,)


def for_step(calculation: Calculation) -> dict[str, Value]:
    """The settings that hold for a calculation; those of its step come before those of all.

    Raises
    ------
    InputError
        See `check_settings`.
    """
    check_settings(calculation.engine_settings)
    general: dict[str, Value] = {}
    own: dict[str, Value] = {}
    names = step_names(calculation)
    for key, value in calculation.engine_settings.items():
        step, colon, name = key.rpartition(":")
        if not colon:
            general[name] = value
        elif step in names:
            own[name] = value
    return general | own


def tags(calculation: Calculation) -> dict[str, Value]:
    """The INCAR tags among the settings that hold for a calculation."""
    return {name: value for name, value in for_step(calculation).items() if name.isupper() and "." not in name}


def by_hand(folder: Path) -> dict[str, Value]:
    """Tags from ``INCAR.user``, which a person may put into the folder of one run: they come before all else.

    Raises
    ------
    InputError
        A line is not a tag and its value, or sets what is set elsewhere.
    """
    path = folder / BY_HAND
    if not path.is_file():
        return {}
    found: dict[str, Value] = {}
    for line in path.read_text(errors="replace").splitlines():
        bare = re.split("[!#]", line)[0].strip()
        name, equals, value = (part.strip() for part in bare.partition("="))
        if bare and not (equals and value):
            raise InputError(f"{path}: {line.strip()!r} is not TAG = VALUE.")
        if bare:
            found[name.upper()] = value
    check_settings(found)
    return found


def check_settings(settings: Mapping[str, Value]) -> None:
    """Refuse what is no setting, before anything runs.

    Raises
    ------
    InputError
        No such step, no such word of ours, a tag that is set elsewhere, or one that looks misspelt.
    """
    for key in settings:
        step, colon, name = key.rpartition(":")
        if colon and step not in STEPS:
            raise InputError(f"{key}: there is no step {step!r}; the steps are {', '.join(STEPS)}.")
        if name in VaspSettings.model_fields or re.fullmatch(r"POTCAR\.(library|[A-Z][a-z]?)", name):
            continue
        if name in ELSEWHERE:
            raise InputError(f"{name} cannot be set: {ELSEWHERE[name]}.")
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            own = ", ".join([*VaspSettings.model_fields, "POTCAR.library", "POTCAR.<element>"])
            raise InputError(f"VASP has no setting {name!r}; give an INCAR tag in capitals, or one of {own}.")
        known = _known_tags()
        # VASP gains tags faster than anybody lists them: only what looks like a slip is refused.
        close = [] if name in known else difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if close:
            raise InputError(f"{name} is no INCAR tag that is known here; did you mean {close[0]}?")


@functools.cache
def _known_tags() -> frozenset[str]:
    text = (files("pymatgen.io.vasp") / "incar_parameters.json").read_text()
    return frozenset(json.loads(text)) | {"LFOCKACE", "NBLOCK_FOCK", "LMODELHF", "KERNEL_TRUNCATION"}
