"""An excited state of GPAW: one electron promoted and kept there by the maximum overlap method.

The orbitals to fill are those that overlap most with the ones filled at the start, which keeps the state from falling
back (Barca, Gilbert and Gill, J. Chem. Theory Comput. 14, 1501 (2018), doi 10.1021/acs.jctc.7b00994; in GPAW: Levi,
Ivanov and Jónsson, J. Chem. Theory Comput. 16, 6968 (2020), doi 10.1021/acs.jctc.0c00597).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from midgap.workflows.calculation import Calculation
from midgap.workflows.engines.gpaw import START, WAVEFUNCTIONS, opened, say, write_gpw

TIGHT = {"density": 1e-5, "eigenstates": 1e-6, "bands": "occupied"}
"""For an energy; empty bands mean nothing here, and holes below filled bands are converged with them."""

LOOSE = {"density": 1e-4, "eigenstates": 1e-6, "bands": "occupied"}
"""For a step of a relaxation."""


def promoted(calculation: Calculation, folder: Path, ground: Callable[[], Any], log: Any) -> Any:
    """A calculator whose next SCF keeps the electron promoted.

    It begins with the excited state that a run of the same folder or one before it left, else with the ground state.

    Parameters
    ----------
    ground
        Makes a converged calculator of the ground state, with both spin channels and without symmetry, where no file
        has one; it is written to ``start.gpw``.
    """
    from gpaw.mom import prepare_mom_calculation

    assert calculation.promotion is not None
    path = next((folder / name for name in (WAVEFUNCTIONS, START) if (folder / name).exists()), None)
    if path is None:
        say(folder, "SCF of the ground state")
        calc = ground()
        path = folder / START
        write_gpw(calc, path)
    say(folder, "SCF")
    convergence = LOOSE if calculation.task == "relax" else TIGHT
    calc = opened(path, convergence, log, calculation.model.positions_ang)
    before = np.round(calc.occupations()[:, 0])
    if is_ground(before, calculation.model.unpaired_electrons):
        before = calculation.promotion.of(before)
    prepare_mom_calculation(calc, calc.atoms, before.tolist())
    return calc


def is_ground(occupations: np.ndarray, unpaired: int) -> bool:
    """Whether the lowest bands are filled, by so many more electrons of spin up; shape (2, band)."""
    counts = occupations.sum(axis=1)
    lowest = all((one[: round(count)] > 0.5).all() for one, count in zip(occupations, counts, strict=True))
    return lowest and round(counts[0] - counts[1]) == unpaired
