"""How states change as atoms move, from GPAW's wavefunctions in neighbouring geometries: ⟨ψᵢ|∂ψ_f/∂Q⟩."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from midgap.structures.document import Document
from midgap.structures.errors import InputError

SAME_STATE = 0.7
"""Part of a state, in amplitude, that must be in one state of the neighbouring geometry to be followed."""


class Coupling(Document):
    """The electron-phonon coupling of two states along one coordinate.

    Attributes
    ----------
    matrix_element_eV
        W = |ε_f - ε_i| |⟨ψ_i|∂ψ_f/∂Q⟩|, eV/(amu^½ Å).
    derivative
        ⟨ψ_i|∂ψ_f/∂Q⟩, 1/(amu^½ Å), in magnitude.
    antisymmetry
        |⟨ψ_i|∂ψ_f⟩ + ⟨ψ_f|∂ψ_i⟩*| over the larger of the two, which is 0 for states that stay orthogonal: how far the
        steps were too large, or states were exchanged.
    """

    matrix_element_eV: PositiveFloat
    derivative: PositiveFloat
    energy_difference_eV: float
    initial_band: PositiveInt
    final_band: PositiveInt
    antisymmetry: float


def coupling(
    here: Path, there: Sequence[tuple[float, Path]], initial_band: int, final_band: int, spin: int = 0
) -> Coupling:
    """W of static coupling, by a straight line through the overlaps with the states of neighbouring geometries.

    As Alkauskas, Yan and Van de Walle, Phys. Rev. B 90, 075202 (2014), doi 10.1103/PhysRevB.90.075202, Eq. 24. Overlaps are
    those of all-electron states, to first order in the displacements; energies are PBE's, which the orbitals belong to.

    Parameters
    ----------
    here
        ``.gpw`` file with wavefunctions, in the geometry that is expanded about.
    there
        Q, amu^½ Å, and file of one other geometry or more, best of both signs, of the same cell and charge.
    initial_band, final_band
        Counted from 1: of the carrier at its band edge, and of the level.
    spin
        Channel, from 0.

    Raises
    ------
    InputError
        A file holds no wavefunctions, geometries do not fit, or a state is not found again.
    """
    if not there or any(q == 0 for q, _ in there):
        raise InputError("A coupling needs one geometry or more that is displaced.")
    zero = _opened(here)
    pair = (initial_band - 1, final_band - 1)
    derivatives = [overlaps(zero, _opened(path), spin, pair) / q for q, path in there]
    # Through the origin, each geometry by the square of its displacement.
    weights = np.array([q**2 for q, _ in there])
    slope = np.einsum("d,dmn->mn", weights / weights.sum(), np.array(derivatives))
    forth, back = slope[0, 1], slope[1, 0]
    energies = zero.eigenvalues()[spin, 0]
    difference = float(energies[pair[1]] - energies[pair[0]])
    largest = max(abs(forth), abs(back))
    return Coupling(
        matrix_element_eV=abs(difference) * abs(forth),
        derivative=abs(forth),
        energy_difference_eV=difference,
        initial_band=initial_band,
        final_band=final_band,
        antisymmetry=float(abs(forth + np.conj(back)) / largest),
    )


def overlaps(here: Any, there: Any, spin: int, bands: tuple[int, int]) -> np.ndarray:
    """⟨ψ_m|ψ_n'⟩ - δ_mn between two states here and the same two there, at the first k-point, shape (2, 2).

    What is there is followed by its largest overlap, and turned to the phase of what is here.
    """
    full = _overlaps(here, there, spin)
    columns = []
    for band in bands:
        match = int(np.abs(full[band]).argmax())
        if abs(full[band, match]) < SAME_STATE:
            raise InputError(
                f"Band {band + 1} has no counterpart in the displaced geometry (largest overlap {abs(full[band, match]):.2f}): "
                "displace less, or states are degenerate."
            )
        columns.append(full[list(bands), match] * np.conj(full[band, match]) / abs(full[band, match]))
    return np.stack(columns, axis=1) - np.eye(2)


def _overlaps(here: Any, there: Any, spin: int) -> np.ndarray:
    """All-electron overlaps of all bands, shape (band, band)."""
    mine, theirs = (calc.dft.ibzwfs._get_wfs(0, spin) for calc in (here, there))
    if mine.psit_nX.data.shape[1:] != theirs.psit_nX.data.shape[1:]:
        raise InputError("The two geometries were computed in other cells, or with other cutoffs.")
    moved = _moved_bohr(here.atoms, there.atoms)
    left, right = np.asarray(mine.psit_nX.data), np.asarray(theirs.psit_nX.data)
    found = left.conj() @ right.T
    if np.issubdtype(mine.psit_nX.desc.dtype, np.floating):
        # Real orbitals: half of the plane waves is stored, without the one at -G of each.
        found = 2.0 * found.real - np.outer(left[:, 0].real, right[:, 0].real)
    found = found * abs(np.linalg.det(mine.psit_nX.desc.cell))
    for a, projections in mine.P_ani.items():
        setup = here.dft.setups[a]
        # ⟨φᵢ|φⱼ(r - u)⟩ less that of the smooth partial waves: the overlap, and the gradient along the way.
        inside = setup.dO_ii - np.einsum("v,ijv->ij", moved[a], setup.nabla_iiv)
        found = found + np.einsum("mi,ij,nj->mn", projections.conj(), inside, theirs.P_ani[a], optimize=True)
    return found


def _moved_bohr(here: Any, there: Any) -> np.ndarray:
    """By the nearest way, shape (atom, 3)."""
    from ase.geometry import find_mic
    from ase.units import Bohr

    if list(here.symbols) != list(there.symbols) or not np.allclose(here.cell, there.cell, atol=1e-6):
        raise InputError("The two geometries have other atoms or other lattices.")
    return np.asarray(find_mic(there.positions - here.positions, here.cell, pbc=True)[0]) / Bohr


def _opened(path: Path) -> Any:
    try:
        import gpaw
    except ImportError:
        raise InputError(f"Reading {path} needs GPAW; install it with: midgap doctor --install gpaw.") from None
    try:
        calc = gpaw.GPAW(str(path), txt=None)
        calc.dft.ibzwfs.make_sure_wfs_are_read_from_gpw_file()
        calc.get_pseudo_wave_function(0, 0, 0)
    except Exception as error:  # whatever GPAW says to a file that is none, or has no wavefunctions
        raise InputError(f"GPAW finds no wavefunctions in {path} ({type(error).__name__}: {error}).") from None
    return calc
