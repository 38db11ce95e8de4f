"""The level of theory: what is asked of an engine, in words every engine understands."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt, model_validator

from midgap.structures.document import Document
from midgap.structures.errors import InputError

Functional = Literal["PBE", "HSE06", "LDA", "PBEsol", "SCAN", "r2SCAN", "PBE0"]
"""The first two are what midgap computes; the rest it reads from calculations of others."""

HSE_FRACTION = 0.25
"""Of exact exchange in HSE06."""
HSE_OMEGA_PER_BOHR = 0.11
"""Screening of HSE06 (Krukau et al., J. Chem. Phys. 125, 224106 (2006), doi 10.1063/1.2404663)."""


class LevelOfTheory(Document):
    """Functional, spin-orbit coupling, and the numerical settings that all engines share.

    Attributes
    ----------
    functional
        ``PBE`` or ``HSE06`` (25 % exact exchange, ω = 0.11 bohr⁻¹: Krukau et al., J. Chem. Phys. 125,
        224106 (2006), doi 10.1063/1.2404663).
    spin_orbit
        Whether states are two-component spinors.
    dispersion
        ``D3`` (Becke-Johnson damping) for the relaxation, or nothing.
    exact_exchange
        Fraction of exact exchange of the hybrid; None is the functional's own.
    screening_per_ang
        Inverse length at which HSE06 cuts off its exact exchange, Å⁻¹; None is the functional's own, 0.2.
    cutoff_eV
        Plane-wave cutoff; None is the engine's default.
    kpoints
        Γ-centred mesh.
    """

    functional: Functional = "HSE06"
    spin_orbit: bool = True
    dispersion: Literal["D3"] | None = None
    exact_exchange: PositiveFloat | None = None
    screening_per_ang: PositiveFloat | None = None
    cutoff_eV: PositiveFloat | None = None
    kpoints: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)

    @model_validator(mode="after")
    def _exchange_needs_hybrid(self) -> LevelOfTheory:
        if self.exact_exchange is not None and self.functional not in ("HSE06", "PBE0"):
            raise ValueError(f"exact_exchange is a setting of hybrids, not of {self.functional}")
        if self.screening_per_ang is not None and self.functional != "HSE06":
            raise ValueError(f"screening_per_ang is a setting of HSE06, not of {self.functional}")
        return self

    @property
    def name(self) -> str:
        """``pbe``, ``pbe+soc``, ``hse06``, ``hse06+soc``, and so on."""
        return self.functional.lower() + ("+soc" if self.spin_orbit else "")

    @classmethod
    def named(cls, name: str, **settings: object) -> LevelOfTheory:
        """Look a theory up by its name.

        Raises
        ------
        InputError
            The name is none of the four.

        Examples
        --------
        >>> LevelOfTheory.named("hse06+soc").spin_orbit
        True
        """
        known = {
            "pbe": ("PBE", False),
            "pbe+soc": ("PBE", True),
            "hse06": ("HSE06", False),
            "hse06+soc": ("HSE06", True),
        }
        key = name.lower().replace(" ", "").replace("_", "+").replace("-", "+")
        if key not in known:
            raise InputError(f"Unknown theory {name!r}; choose one of {', '.join(known)}.")
        functional, spin_orbit = known[key]
        return cls.from_dict({"functional": functional, "spin_orbit": spin_orbit, **settings}, source=name)

    @property
    def label(self) -> str:
        """For tables and figures: ``HSE06+SOC``, ``PBE+D3``."""
        return (
            self.functional + (f"+{self.dispersion}" if self.dispersion else "") + ("+SOC" if self.spin_orbit else "")
        )
