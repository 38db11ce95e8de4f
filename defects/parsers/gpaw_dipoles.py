"""Optical dipoles from GPAW's wavefunctions.

Momentum matrix elements of the PAW states, p = Σ_G (G+k) c*c - i Σ_a P* ∇ P, give those of the position
through the energies of the same Hamiltonian: ⟨m|p|n⟩ = i (ε_m - ε_n) ⟨m|r|n⟩ in atomic units. The energies
are the semilocal ones that belong to the orbitals, also where a hybrid then moves the levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midgap.defects.electronic_structure import TransitionDipoles, near_the_gap

BOHR_ANG = 0.529177210903
EV_PER_HARTREE = 27.211386245988


DEGENERATE_HA = 1e-5


def positions(calc: Any, window: tuple[int, int]) -> np.ndarray:
    """⟨m|r|n⟩ between the bands of a window, Bohr, shape (spin, irreducible k, 3, band, band).

    Zero between bands of equal energy, where the position operator of a crystal has no meaning.
    """
    eigenvalues = calc.eigenvalues()[:, :, window[0] : window[1]] / EV_PER_HARTREE
    n_spin, n_k, _ = eigenvalues.shape
    found = []
    for spin in range(n_spin):
        for k in range(n_k):
            difference = eigenvalues[spin, k][:, None] - eigenvalues[spin, k][None, :]
            apart = np.abs(difference) > DEGENERATE_HA
            momentum = _momentum(calc, k, spin, slice(*window))
            apart = np.broadcast_to(apart, momentum.shape)
            found.append(np.divide(-1j * momentum, difference, out=np.zeros_like(momentum), where=apart))
    return np.array(found).reshape(n_spin, n_k, *found[0].shape)


def _momentum(calc: Any, k: int, spin: int, bands: slice) -> np.ndarray:
    """⟨m|p|n⟩, atomic units, shape (3, band, band)."""
    wavefunctions = calc.dft.ibzwfs._get_wfs(k, spin)
    plane_waves = wavefunctions.psit_nX[bands]
    coefficients = np.asarray(plane_waves.data)
    volume = abs(np.linalg.det(plane_waves.desc.cell))
    pseudo = np.array([(coefficients.conj() * q) @ coefficients.T for q in plane_waves.desc.G_plus_k_Gv.T]) * volume
    if np.issubdtype(plane_waves.desc.dtype, np.floating):
        # Real orbitals: only half of the plane waves is stored, the other half is the complex conjugate at -G.
        pseudo = 2j * pseudo.imag
    for a, projections in wavefunctions.P_ani.items():
        inside = projections[bands]
        nabla = calc.dft.setups[a].nabla_iiv
        pseudo = pseudo - 1j * np.einsum("mi,ijv,nj->vmn", inside.conj(), nabla, inside, optimize=True)
    return pseudo


def scalar_dipoles(calc: Any, window: tuple[int, int], order: np.ndarray, filled: tuple[int, int]) -> TransitionDipoles:
    """For scalar bands.

    Parameters
    ----------
    order
        Indices that sort the bands of the window, shape (spin, k, band).
    filled
        The fewest and the most of the listed bands that are filled in any spin channel.
    """
    squared = np.abs(positions(calc, window)) ** 2 * BOHR_ANG**2
    first, last = near_the_gap(filled, order.shape[2])
    kept = np.array(
        [
            [squared[s, k][:, order[s, k]][:, :, order[s, k]][:, first:last, first:last] for k in range(order.shape[1])]
            for s in range(order.shape[0])
        ]
    )
    return TransitionDipoles(first_band=first, squared_ang2=np.moveaxis(kept, 2, -1).round(8))


def spinor_dipoles(calc: Any, window: tuple[int, int], states: Any, filled: int) -> TransitionDipoles:
    """For the spinors of the whole Brillouin zone, mixed from the scalar bands of the window.

    Parameters
    ----------
    states
        GPAW's ``BZWaveFunctions``.
    filled
        How many of the spinors are filled.
    """
    scalar = positions(calc, window)
    kd = calc.wfs.kd
    reciprocal = np.asarray(calc.wfs.gd.icell_cv).T
    first, last = near_the_gap((filled, filled), 2 * scalar.shape[-1], spinors=True)
    rows = []
    for K in range(len(kd.bzk_kc)):
        rotation = reciprocal @ kd.symmetry.op_scc[kd.sym_k[K]] @ np.linalg.inv(reciprocal)
        mixing = states[K].v_mn[first:last]  # even columns spin up, odd ones down
        total = np.zeros((3, last - first, last - first), complex)
        for s in range(2):
            r = np.einsum("vw,wmn->vmn", rotation, scalar[s if scalar.shape[0] == 2 else 0, kd.bz2ibz_k[K]])
            if kd.time_reversal_k[K]:
                r = r.conj()
            part = mixing[:, s::2]
            total += part.conj() @ r @ part.T
        rows.append(np.abs(total) ** 2 * BOHR_ANG**2)
    return TransitionDipoles(first_band=first, squared_ang2=np.moveaxis(np.array(rows), 1, -1)[None].round(8))
