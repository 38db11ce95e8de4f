"""Densities of levels from GPAW's wavefunctions, spin-orbit mixing included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.densities import StateDensity
from midgap.defects.parsers.densities import bands_of, named
from midgap.defects.report import Level, LevelReport
from midgap.structures.errors import InputError
from midgap.structures.theory import HSE_FRACTION, LevelOfTheory


def gpaw_densities(path: Path, report: LevelReport, wanted: list[tuple[int, Level]]) -> list[StateDensity]:
    """Pseudo densities at the first k-point of the mesh.

    Levels with spin-orbit coupling are mixed from the scalar states once more, with the energies that the run
    left in ``hybrid.json`` where it was a hybrid.

    Raises
    ------
    InputError
        GPAW is not installed, the file holds no wavefunctions, or ends below a level.
    """
    try:
        import gpaw
    except ImportError:
        raise InputError(f"Reading {path} needs GPAW; install it with: midgap doctor --install gpaw.") from None
    try:
        calc = gpaw.GPAW(str(path), txt=None)
        calc.get_pseudo_wave_function(0, 0, 0)
    except Exception as error:  # whatever GPAW says to a file that is none, or has no wavefunctions
        raise InputError(f"GPAW finds no wavefunctions in {path} ({type(error).__name__}: {error}).") from None
    channels = int(calc.get_number_of_spins())
    mixed = _mixing(calc, path.parent / "hybrid.json", report.theory) if report.spin_orbit else None
    source = f"{path.name}, pseudo orbitals of PBE" + (", mixed by spin-orbit coupling" if mixed is not None else "")
    orbitals: dict[tuple[int, int], np.ndarray] = {}

    def orbital(spin: int, band: int) -> np.ndarray:
        return orbitals.setdefault((spin, band), np.asarray(calc.get_pseudo_wave_function(band, 0, spin)))

    found = []
    for index, level in wanted:
        states = bands_of(level, channels, report.spin_orbit)
        if mixed is None:
            density = sum(np.abs(orbital(spin, band)) ** 2 for spin, band in states)
        else:
            first, mixing = mixed
            density = sum(_spinor(orbital, first, mixing, band - 2 * first, channels) for _, band in states)
        lattice = np.asarray(calc.atoms.cell)
        found.append(StateDensity.of(density, lattice, **named(report, index, source)))  # type: ignore[arg-type]
    return found


def _mixing(calc: Any, hybrid: Path, theory: LevelOfTheory) -> tuple[int, np.ndarray]:
    """The first scalar band, and coefficients of the spinors at the first k-point, shape (spinor, 2 x band)."""
    from gpaw.occupations import FermiDiracCalculator
    from gpaw.spinorbit import soc_eigenstates

    first, last = 0, calc.eigenvalues().shape[2]
    energies: Any = None
    if hybrid.is_file():
        done = json.loads(hybrid.read_text())
        first, last = (int(part) for part in next(iter(done)).split(":")[1:])
        rows = [done[f"{k}:{first}:{last}"] for k in range(len(calc.get_ibz_k_points()))]
        # The file holds the correction of HSE06's own fraction, in which it is linear.
        scale = (theory.exact_exchange or HSE_FRACTION) / HSE_FRACTION
        energies = np.stack([np.array(row["pbe_eV"]) + scale * np.array(row["correction_eV"]) for row in rows], axis=1)
    # An occupation calculator of its own: the one of a fixed-moment run knows no spinors.
    states = soc_eigenstates(calc, n1=first, n2=last, eigenvalues=energies, occcalc=FermiDiracCalculator(0.01))
    return first, np.asarray(states[0].v_mn)


SMALLEST_PART = 1e-4
"""Orbitals with less of a spinor are left out of its picture."""


def _spinor(orbital: Any, first: int, mixing: np.ndarray, spinor: int, channels: int) -> np.ndarray:
    """Σσ |Σn c ψ|²; even columns are spin up, odd ones down."""
    if not 0 <= spinor < len(mixing):
        raise InputError("The wavefunctions end below a level of the report; they are of another run.")
    density: Any = 0.0
    for s in range(2):
        parts = mixing[spinor, s::2]
        wave = sum(
            (
                c * orbital(s if channels == 2 else 0, first + n)
                for n, c in enumerate(parts)
                if abs(c) ** 2 > SMALLEST_PART
            ),
            start=0j,
        )
        density = density + np.abs(wave) ** 2
    return np.asarray(density)
