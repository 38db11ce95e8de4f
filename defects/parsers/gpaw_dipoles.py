"""Optical dipoles from GPAW's wavefunctions.

Momentum matrix elements of the PAW states, p = Σ_G (G+k) c*c - i Σ_a P* ∇ P, give those of the position
through the energies of the same Hamiltonian: ⟨m|p|n⟩ = i (ε_m - ε_n) ⟨m|r|n⟩ in atomic units. The energies
are the semilocal ones that belong to the orbitals, also where a hybrid then moves the levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midgap.defects.electronic_structure import TransitionDipoles, near_the_gap
from midgap.structures.units import BOHR_ANG, EV_PER_HARTREE

SAME_ENERGY_HA = 4e-5


def _momenta(calc: Any, window: tuple[int, int]) -> np.ndarray:
    """⟨m|p|n⟩ between the bands of a window, atomic units, shape (spin, irreducible k, 3, band, band)."""
    n_spin, n_k, _ = calc.eigenvalues().shape
    return np.array([[_momentum(calc, k, spin, slice(*window)) for k in range(n_k)] for spin in range(n_spin)])


def _positions_ang(momentum: np.ndarray, energies_Ha: np.ndarray) -> np.ndarray:
    """⟨m|r|n⟩ in Å, shape (3, band, band); zero between bands of equal energy, where it has no meaning."""
    difference = energies_Ha[:, None] - energies_Ha[None, :]
    apart = np.abs(difference) > SAME_ENERGY_HA
    return -1j * BOHR_ANG * momentum * np.divide(1.0, difference, out=np.zeros_like(difference), where=apart)


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
    first, last = near_the_gap(filled, order.shape[2])
    energies = calc.eigenvalues()[:, :, window[0] : window[1]] / EV_PER_HARTREE
    momenta = _momenta(calc, window)
    kept = [
        [
            _positions_ang(momenta[s, k], energies[s, k])[:, order[s, k]][:, :, order[s, k]][:, first:last, first:last]
            for k in range(order.shape[1])
        ]
        for s in range(order.shape[0])
    ]
    # A point that stands for others that rotations make of it has directions of its own only.
    each = order.shape[1] == 1 or len(calc.wfs.kd.symmetry.op_scc) == 1
    return TransitionDipoles.of(first, np.array(kept), directions=each)


def spinor_dipoles(
    calc: Any, window: tuple[int, int], states: Any, eigenvalues_eV: np.ndarray, filled: int
) -> TransitionDipoles:
    """For the spinors of the whole Brillouin zone, mixed from the scalar bands of the window.

    Parameters
    ----------
    states
        GPAW's ``BZWaveFunctions``.
    eigenvalues_eV
        The scalar energies that they were mixed with, shape (spin, irreducible k, band).
    filled
        How many of the spinors are filled.
    """
    momenta = _momenta(calc, window)
    hybrid_eV = eigenvalues_eV - calc.eigenvalues()[:, :, window[0] : window[1]]
    kd = calc.wfs.kd
    reciprocal = np.asarray(calc.wfs.gd.icell_cv).T
    first, last = near_the_gap((filled, filled), 2 * momenta.shape[-1], spinors=True)
    rows = []
    for K, k in enumerate(kd.bz2ibz_k):
        rotation = reciprocal @ kd.symmetry.op_scc[kd.sym_k[K]] @ np.linalg.inv(reciprocal)
        mixing = states[K].v_mn[first:last]  # even columns spin up, odd ones down
        total = np.zeros((3, last - first, last - first), complex)
        energies_eV = np.array(states[K].eig_m[first:last])
        for s in range(2):
            channel = s if len(momenta) == 2 else 0
            p = np.einsum("vw,wmn->vmn", rotation, momenta[channel, k])
            part = mixing[:, s::2]
            total += part.conj() @ (-p.conj() if kd.time_reversal_k[K] else p) @ part.T
            # The hybrid's share of a spinor's energy is no part of the Hamiltonian whose momenta these are.
            energies_eV -= np.abs(part) ** 2 @ hybrid_eV[channel, k]
        rows.append(_positions_ang(total, energies_eV / EV_PER_HARTREE))
    return TransitionDipoles.of(first, np.array(rows)[None])
