"""Which PAW potential an element gets, how many electrons it brings, and where it is found."""

from __future__ import annotations

import functools
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError

LIBRARY = "PBE_54"
"""The newest library that every licence of VASP 5.4.4 and later comes with; pymatgen's name of it."""

HOW_TO_GET = (
    "VASP's potentials are not here: set PMG_VASP_PSP_DIR to the folder in which `pmg config -p` put them "
    "(or in ~/.config/.pmgrc.yaml)"
)


@dataclass(frozen=True)
class Potential:
    """What is asked of a potential; its ENMAX is None where only the file would tell."""

    element: str
    symbol: str
    valence: float
    enmax_eV: float | None


def potential(element: str, settings: Mapping[str, object] | None = None) -> Potential:
    """The potential of an element: the one VASP recommends, or the one named by ``POTCAR.<element>``.

    Recommended for Pb is Pb_d, for Cs Cs_sv, for Br Br: shallow shells of heavy cations are valence.
    Electrons and cutoffs are from the table ``data/paw_potentials.json``, which names its source, so that
    inputs can be written without potentials; `check_potcar` holds the files against them.

    Raises
    ------
    InputError
        The element or the potential is not known.
    """
    table = _table()
    named = str((settings or {}).get(f"POTCAR.{element}", "")) or None
    if named is None:
        if element not in table:
            raise InputError(f"No potential of {element} is known here; name one with --set POTCAR.{element}=NAME.")
        symbol, valence, enmax = table[element]
        return Potential(element, symbol, valence, enmax)
    if not re.fullmatch(rf"{element}(_\w+|[\d.]+)?", named):
        raise InputError(f"POTCAR.{element}={named} is not a potential of {element}; its names begin with {element}.")
    known = next((Potential(element, s, z, e) for s, z, e in table.values() if s == named), None)
    if known is not None:
        return known
    valences = _valences_in_pymatgen(named)
    if len(valences) != 1:
        raise InputError(f"How many electrons the potential {named} brings is not known here; choose another.")
    return Potential(element, named, valences.pop(), None)


def library(settings: Mapping[str, object]) -> str:
    """The library of potentials, in pymatgen's words: ``PBE_54``, or what ``POTCAR.library`` says."""
    return str(settings.get("POTCAR.library", LIBRARY))


def potentials_here() -> bool:
    """Whether a folder of potentials is known to pymatgen."""
    from pymatgen.core import SETTINGS

    folder = SETTINGS.get("PMG_VASP_PSP_DIR")
    return bool(folder) and Path(str(folder)).is_dir()


def write_potcar(chosen: Sequence[Potential], folder: Path, of_library: str) -> bool:
    """Write ``POTCAR``, or ``POTCAR.spec`` with the names alone where there are no potentials.

    Returns whether there are.

    Raises
    ------
    InputError
        A potential is missing, or has other electrons or another cutoff than was counted on.
    """
    names = "\n".join(one.symbol for one in chosen)
    if not potentials_here():
        write_atomic(folder / "POTCAR.spec", names + "\n")
        return False
    from pymatgen.io.vasp.inputs import Potcar

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on hashes: what matters is checked by `check_potcar`
            found = Potcar([one.symbol for one in chosen], functional=of_library)  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"The potentials {', '.join(dict.fromkeys(one.symbol for one in chosen))} of {of_library} are not all in "
            f"PMG_VASP_PSP_DIR ({str(error).rstrip('.')}); choose another library with --set POTCAR.library=PBE_64."
        ) from None
    check_potcar(chosen, [(single.symbol, single.zval, single.enmax) for single in found])
    write_atomic(folder / "POTCAR", str(found))
    (folder / "POTCAR.spec").unlink(missing_ok=True)
    return True


def check_potcar(chosen: Sequence[Potential], found: Sequence[tuple[str, float, float]]) -> None:
    """Hold the files against what NELECT and ENCUT were computed with.

    Parameters
    ----------
    chosen
        What was counted on.
    found
        Name, valence electrons and ENMAX in eV as the files have them.

    Raises
    ------
    InputError
        They differ.
    """
    for one, (symbol, valence, enmax) in zip(chosen, found, strict=True):
        if abs(valence - one.valence) > 1e-6:
            raise InputError(
                f"The POTCAR of {symbol} brings {valence:g} electrons, not {one.valence:g}: NELECT would be wrong. "
                f"Choose the potential with --set POTCAR.{one.element}=NAME."
            )
        if one.enmax_eV is not None and abs(enmax - one.enmax_eV) > 0.05 * one.enmax_eV:
            raise InputError(
                f"The POTCAR of {symbol} asks for a cutoff of {enmax:g} eV, not {one.enmax_eV:g} eV: it is another "
                f"potential than {LIBRARY}'s. Set ENCUT yourself, and POTCAR.library to where it comes from."
            )


@functools.cache
def _table() -> dict[str, tuple[str, float, float]]:
    text = (files(__package__) / "data" / "paw_potentials.json").read_text()
    return {element: tuple(row) for element, row in json.loads(text)["elements"].items()}


def _valences_in_pymatgen(symbol: str) -> set[float]:
    """Valence electrons of a potential in pymatgen's list of what is in VASP's libraries."""
    from monty.serialization import loadfn
    from pymatgen.io.vasp.inputs import POTCAR_STATS_PATH

    known = loadfn(POTCAR_STATS_PATH)
    return {
        float(one["ZVAL"])
        for name in ("PBE_54", "PBE_64")
        for versions in known[name].values()
        for one in versions
        if one["symbol"] == symbol
    }
