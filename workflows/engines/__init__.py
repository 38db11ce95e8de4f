"""The engines, by the name that ``--engine`` takes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from midgap.structures.errors import InputError

if TYPE_CHECKING:
    from midgap.workflows.engines.base import Engine

ENGINE_NAMES = ("gpaw", "cp2k", "pyscf", "vasp")


def engine_named(name: str) -> Engine:
    """Look an engine up; its module is imported only now.

    Raises
    ------
    InputError
        There is no such engine.
    """
    key = name.lower()
    if key not in ENGINE_NAMES:
        raise InputError(f"Unknown engine {name!r}; choose one of {', '.join(ENGINE_NAMES)}.")
    return getattr(import_module(f"{__name__}.{key}"), key.capitalize())()
