"""N↑ - N↓ of a VASP run, which prints only what smearing made of it."""

from __future__ import annotations

import numpy as np

from midgap.defects.parsers.vasp_output import VaspOutput

FIXED_OCCUPATIONS = -2
SAME_ENERGY_EV = 1e-3
SPREAD = 0.05


def magnetization_muB(
    out: VaspOutput,
    electrons: float,
    eigenvalues: np.ndarray,
    occupations: np.ndarray,
    k_weights: np.ndarray,
    warnings: list[str],
) -> float:
    """N↑ - N↓ with the states filled by energy; what smearing spread over more of them is added to ``warnings``.

    NUPDOWN says it where it is set. It is taken from VASP's occupations where the run fixed them (ISMEAR = -2) or
    where both channels end in the same level.

    Parameters
    ----------
    eigenvalues, occupations
        Shape (spin, k, band); eigenvalues in eV.
    k_weights
        Shape (k,), sum 1.
    """
    if len(eigenvalues) == 1:
        return 0.0
    fixed = out.number("NUPDOWN")
    if fixed is not None and fixed >= 0:
        return fixed
    printed = float(np.einsum("skb,k->s", occupations, k_weights) @ [1.0, -1.0])
    nearest = float(round(printed)) if abs(printed - round(printed)) < SPREAD else printed
    if out.number("ISMEAR") == FIXED_OCCUPATIONS:
        return nearest
    filled = _filled_by_energy(electrons, eigenvalues, k_weights)
    if filled is None:
        return nearest
    if abs(filled - printed) > SPREAD:
        warnings.append(
            f"Smearing (SIGMA = {out.number('SIGMA') or 0.2:g} eV) spreads electrons over levels near the Fermi energy: VASP's "
            f"N↑ - N↓ is {printed:.2f}, with the states filled by energy {filled:.2f}."
        )
    return filled


def _filled_by_energy(electrons: float, eigenvalues: np.ndarray, k_weights: np.ndarray) -> float | None:
    """N↑ - N↓ at zero temperature, or None where nothing tells: both channels share the last electrons, or there are none."""
    energies = eigenvalues.reshape(-1)
    share = np.broadcast_to(k_weights[None, :, None], eigenvalues.shape).reshape(-1)
    sign = np.repeat([1.0, -1.0], len(energies) // 2)
    order = np.argsort(energies, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(share[order])[:-1]])
    taken = np.clip(electrons - before, 0.0, share[order])
    held = np.flatnonzero(taken > 1e-6)
    if not held.size:  # less than a millionth of an electron
        return None
    level = energies[order[held[-1]]]
    tied = np.abs(energies - level) < SAME_ENERGY_EV
    # A level whose states are all filled is no tie.
    if len(set(sign[tied])) == 2 and share[tied].sum() - taken[tied[order]].sum() > 1e-3:
        return None
    total = float(taken @ sign[order])
    return float(round(total)) if abs(total - round(total)) < 1e-3 else total
