"""The engines, by the name that ``--engine`` takes."""

from midgap.structures.errors import InputError
from midgap.workflows.engines.base import Engine
from midgap.workflows.engines.cp2k import Cp2k
from midgap.workflows.engines.gpaw import Gpaw
from midgap.workflows.engines.pyscf import Pyscf

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (Gpaw(), Cp2k(), Pyscf())}


def engine_named(name: str) -> Engine:
    """Look an engine up.

    Raises
    ------
    InputError
        There is no such engine.
    """
    try:
        return ENGINES[name.lower()]
    except KeyError:
        raise InputError(f"Unknown engine {name!r}; choose one of {', '.join(ENGINES)}.") from None
