"""How a theory was applied, of what decides how far to trust it."""

from __future__ import annotations

from midgap.defects.report import LevelReport

ENGINES = {"gpaw": "GPAW", "cp2k": "CP2K", "pyscf": "PySCF", "vasp": "VASP"}
"""As their authors write them."""
_SETTINGS = ("hybrid", "k-points", "plane-wave cutoff", "cutoff", "basis")


def method(report: LevelReport) -> str:
    """``one-shot on PBE orbitals, Γ only, 250 eV``; empty where the report does not say."""
    settings = report.provenance.settings
    words = [settings[name].split(", first order")[0] for name in _SETTINGS if name in settings]
    words = ["Γ only" if word.startswith("1×1×1") else word for word in words]
    if settings.get("spin-orbit", "").startswith("one-shot"):
        words.append("spin-orbit coupling one-shot")
    return ", ".join(words)
