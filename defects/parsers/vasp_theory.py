"""Which level of theory VASP's tags stand for."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from midgap.defects.parsers.vasp_output import VaspOutput
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

GGA = {"PE": "PBE", "PS": "PBEsol", "CA": "LDA", "PZ": "LDA"}
META = {"SCAN": "SCAN", "R2SCAN": "r2SCAN"}
OWN_SCREENING = (0.19, 0.215)
"""HSE06 is run with HFSCREEN = 0.2 Å⁻¹ or, after the paper's 0.11 bohr⁻¹, 0.207 or 0.208."""
KEPT = (
    "ENCUT", "PREC", "ALGO", "EDIFF", "ISMEAR", "SIGMA", "LREAL", "LASPH", "LORBIT", "HFSCREEN", "AEXX", "PRECFOCK",
    "NKRED", "NKREDX", "NKREDY", "NKREDZ", "IVDW", "LDAUU", "LDAUJ", "LMAXMIX", "ICHARG", "KPOINTS",
)  # fmt: skip


def level_of_theory(out: VaspOutput) -> LevelOfTheory:
    """Functional, spin-orbit coupling, cutoff and mesh.

    ``GGA``, ``METAGGA``, ``LHFCALC``, ``AEXX`` and ``HFSCREEN`` are looked at; where ``GGA`` is not set,
    the POTCARs say what they were made with.

    Raises
    ------
    InputError
        The functional is none that midgap has a name for; says which tags make it.
    """
    settings: dict[str, Any] = {"spin_orbit": out.flag("LSORBIT"), "functional": _functional(out)}
    if settings["functional"] == "hybrid":
        exchange = out.number("AEXX")
        screening = out.number("HFSCREEN") or 0.0
        settings["functional"] = "HSE06" if screening > 0 else "PBE0"
        if exchange is not None and abs(exchange - 0.25) > 1e-6:
            settings["exact_exchange"] = exchange
        if screening > 0 and not OWN_SCREENING[0] <= screening <= OWN_SCREENING[1]:
            settings["screening_per_ang"] = screening
    cutoff = out.number("ENMAX") or out.number("ENCUT")
    if cutoff:
        settings["cutoff_eV"] = cutoff
    if out.number("IVDW") == 12:
        settings["dispersion"] = "D3"
    if mesh := out.mesh or mesh_of(out.kpoints_frac, out.k_weights):
        settings["kpoints"] = mesh
    return LevelOfTheory.from_dict(settings, source=str(out.source))


def _functional(out: VaspOutput) -> str:
    gga, meta = out.text("GGA").upper(), out.text("METAGGA").upper()
    if gga in ("", "--", "NO", "NONE"):
        of_potentials = {_made_with(title) for title in out.potentials if title.strip()}
        gga = of_potentials.pop() if len(of_potentials) == 1 else "PE" if not of_potentials else "of mixed POTCARs"
    found = GGA.get(gga)
    if meta not in ("", "--", "NONE", "F"):
        found = META.get(meta) if found in ("PBE", None) else None
    if out.flag("LUSE_VDW") or (out.flag("LHFCALC") and found != "PBE"):
        found = None
    if found is None:
        set_tags = [
            f"{tag} = {out.text(tag)}"
            for tag in ("GGA", "METAGGA", "LHFCALC", "AEXX", "HFSCREEN", "LUSE_VDW")
            if out.text(tag) not in ("", "--", "F", ".FALSE.")
        ]
        raise InputError(
            f"{out.source} was computed with a functional that midgap has no name for ({', '.join(set_tags) or gga}); it "
            "reads LDA, PBE, PBEsol, SCAN, r2SCAN, PBE0 and HSE06."
        )
    return "hybrid" if out.flag("LHFCALC") else found


def _made_with(title: str) -> str:
    """GGA tag that a POTCAR's TITEL implies: ``PAW_PBE Ga_d 06Jul2010`` is ``PE``, ``PAW Ga 03Mar1998`` is LDA."""
    word = title.split()[0].upper()
    return "PE" if word == "PAW_PBE" else "CA" if word in ("PAW", "PAW_LDA") else word


def mesh_of(kpoints_frac: np.ndarray | None, k_weights: np.ndarray | None) -> tuple[int, int, int] | None:
    """The mesh that the weighted k-points are on, or None if they are on none.

    Its step along an axis is the smallest between the points and their inverses: of symmetric points not
    all are listed.
    """
    if kpoints_frac is None or k_weights is None or not (k_weights > 0).any():
        return None
    points = kpoints_frac[k_weights > 0]
    folded = np.round(np.concatenate([points, -points]) % 1.0, 4) % 1.0
    counts = []
    for axis in range(3):
        places = np.unique(folded[:, axis])
        counts.append(round(1.0 / float(np.diff(places, append=places[0] + 1.0).min())))
    # A point group has 48 operations at most, and time reversal doubles them.
    return (counts[0], counts[1], counts[2]) if prod(counts) <= 96 * len(points) else None


def settings_of(out: VaspOutput) -> dict[str, str]:
    """The tags that decide on the numbers, as VASP wrote them."""
    kept = {tag: _plain(out.text(tag)) for tag in KEPT if out.text(tag) and not _idle(out, tag)}
    potentials = [" ".join(title.split()) for title in out.potentials if title.strip()]
    return kept | ({"POTCAR": ", ".join(potentials)} if potentials else {})


def _idle(out: VaspOutput, tag: str) -> bool:
    hybrid_only = tag in ("HFSCREEN", "AEXX", "PRECFOCK") or tag.startswith("NKRED")
    if tag.startswith("NKRED") and out.number(tag) == 1:
        return True
    return (hybrid_only and not out.flag("LHFCALC")) or (tag.startswith("LDAU") and not out.flag("LDAU"))


def _plain(value: str) -> str:
    """``500.00000000`` as ``500``."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
