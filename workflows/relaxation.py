"""Geometry optimisation in few, expensive steps.

Every energy and force computed so far trains a Gaussian process, whose minimum is the next geometry
(Garijo del Río, Mortensen and Jacobsen, Phys. Rev. B 100, 104103 (2019),
doi 10.1103/PhysRevB.100.104103; the process is ASE's). A proposal is a function of the history alone,
so that a relaxation that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_STEP_ANG = 0.4
"""No atom moves further in one step: beyond, the process extrapolates and the SCF has far to go."""

MEMORY = 4000
"""Rows of the covariance matrix kept, energies and force components: bounds time and memory."""


def propose(
    positions_ang: Sequence[np.ndarray],
    energies_eV: Sequence[float],
    forces_eV_per_ang: Sequence[np.ndarray],
    max_step_ang: float = MAX_STEP_ANG,
) -> np.ndarray:
    """The next geometry to compute.

    Parameters
    ----------
    positions_ang, forces_eV_per_ang
        One array of shape (n, 3) for each geometry so far.
    energies_eV
        One energy for each.

    Returns
    -------
    ndarray
        Positions, shape (n, 3), Å.
    """
    start = int(np.argmin(energies_eV))
    atoms = len(positions_ang[start])
    keep = sorted({start, *range(max(0, len(energies_eV) - max(2, MEMORY // (3 * atoms + 1))), len(energies_eV))})
    process = _process(atoms)
    targets = [np.append(energies_eV[i], -np.ravel(forces_eV_per_ang[i])) for i in keep]
    process.prior.set_constant(max(target[0] for target in targets))
    process.train(np.array([np.ravel(positions_ang[i]) for i in keep]), np.array(targets))
    best = np.asarray(positions_ang[start], dtype=float)
    move = process.relax_model(best.ravel()).reshape(-1, 3) - best
    longest = float(np.linalg.norm(move, axis=1).max())
    if longest < 1e-4:
        # The process sees a minimum where there is a force: go down the gradient instead.
        move, longest = np.asarray(forces_eV_per_ang[start]) / 20.0, np.inf
        longest = float(np.linalg.norm(move, axis=1).max())
    return best + move * min(1.0, max_step_ang / longest)


def _process(atoms: int) -> Any:
    import warnings

    from ase import Atoms
    from ase.optimize import GPMin

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on its memory, which MEMORY bounds
        return GPMin(Atoms("H" * atoms), logfile=None)
