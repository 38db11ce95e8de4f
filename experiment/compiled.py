"""Loops over photons and bins are compiled by numba, which comes with the extra ``photons``."""

from __future__ import annotations

import importlib
from types import ModuleType

from midgap.experiment.extras import missing


def compiled(name: str) -> ModuleType:
    """The module ``midgap.experiment.<name>`` of compiled functions.

    Raises
    ------
    InputError
        numba is not installed.
    """
    try:
        return importlib.import_module(f"midgap.experiment.{name}")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise missing("numba", "Photon statistics") from None
