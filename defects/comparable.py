"""Whether total energies may be subtracted from each other: one engine, one theory, one basis."""

from __future__ import annotations

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.structures.errors import InputError
from midgap.structures.theory import HSE_FRACTION

CUTOFF_EV = 0.5
"""Programs round cutoffs when they write them; nobody chooses two so close."""


def differences(one: ElectronicStructure, other: ElectronicStructure) -> list[str]:
    """What two total energies were computed with that is not the same, in words.

    What is not known of one of them is not held against it. Meshes of k-points are not compared: cells of other sizes
    need other meshes.
    """
    told: list[tuple[str, object, object]] = [
        ("engine", one.provenance.engine.upper(), other.provenance.engine.upper()),
        ("theory of the total energy", one.energy_theory, other.energy_theory),
        ("dispersion", one.theory.dispersion or "none", other.theory.dispersion or "none"),
        ("exact exchange", _exchange(one), _exchange(other)),
        *_bases(one, other),
    ]
    cutoffs = [_cutoff_eV(each) for each in (one, other)]
    known = [cutoff for cutoff in cutoffs if cutoff is not None]
    # A cutoff means another thing to another engine, which is told already.
    if len(known) == 2 and abs(known[0] - known[1]) > CUTOFF_EV and told[0][1] == told[0][2]:
        told.append(("cutoff", f"{known[0]:g} eV", f"{known[1]:g} eV"))
    return [
        f"{what} {mine} against {theirs}"
        for what, mine, theirs in told
        if mine is not None and theirs is not None and mine != theirs
    ]


def check_comparable(one: tuple[str, ElectronicStructure], other: tuple[str, ElectronicStructure]) -> None:
    """Refuse energies whose difference means nothing.

    Parameters
    ----------
    one, other
        Each with the name of its file or folder.

    Raises
    ------
    InputError
        They differ; names both and what differs.
    """
    if found := differences(one[1], other[1]):
        raise InputError(
            f"The energies of {one[0]} and {other[0]} cannot be subtracted, for they differ in {', '.join(found)}: "
            "compute both alike."
        )


def _exchange(structure: ElectronicStructure) -> float | None:
    """Fraction in the total energy."""
    if not structure.energy_theory.startswith("HSE06"):
        return structure.theory.exact_exchange if structure.theory.functional == "PBE0" else None
    return structure.theory.exact_exchange or HSE_FRACTION


def _bases(one: ElectronicStructure, other: ElectronicStructure) -> list[tuple[str, object, object]]:
    """Basis and pseudopotential of each element that both have, as CP2K tells them."""
    mine, theirs = one.provenance.settings, other.provenance.settings
    return [(name, mine[name], theirs[name]) for name in mine if name.startswith("kind ") and name in theirs]


def _cutoff_eV(structure: ElectronicStructure) -> float | None:
    if structure.theory.cutoff_eV is not None:
        return structure.theory.cutoff_eV
    words = structure.provenance.settings.get("plane-wave cutoff", "").split()
    try:
        return float(words[0]) if words[1:] == ["eV"] else None
    except ValueError:
        return None
