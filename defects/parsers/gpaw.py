"""GPAW: an `ElectronicStructure` from a converged calculator or a ``.gpw`` file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.parsers.gpaw_dipoles import scalar_dipoles, spinor_dipoles
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

SMEARING_EV = 0.01
"""Of spinors, which have occupations of their own: a fixed moment means nothing to them."""


def band_window(calc: Any, empty: int) -> tuple[int, int]:
    """The bands worth a hybrid and spin-orbit calculation: [first, last).

    Upwards ``empty`` bands above the occupied ones; downwards to the first break of at least 1 eV that has
    a band for every atom above it. That is the valence band whole, and with it a defect level above it.
    """
    eigenvalues = calc.eigenvalues()
    occupied = occupied_bands(calc)
    breaks = eigenvalues.min(axis=(0, 1))[1:] - eigenvalues.max(axis=(0, 1))[:-1]
    enough = max(0, min(occupied) - len(calc.atoms))
    first = max((n for n in range(1, enough + 1) if breaks[n - 1] > 1.0), default=0)
    return first, min(max(occupied) + empty, eigenvalues.shape[2])


def occupied_bands(calc: Any) -> list[int]:
    """Bands filled by the electron count, one number a spin channel."""
    spins = calc.get_number_of_spins()
    electrons = calc.get_number_of_electrons()
    if spins == 1:
        return [round(electrons / 2)]
    moment = calc.get_magnetic_moment()
    return [round((electrons + moment) / 2), round((electrons - moment) / 2)]


def electronic_structure(
    calc: Any,
    model: Model,
    theory: LevelOfTheory,
    window: tuple[int, int],
    eigenvalues_eV: np.ndarray | None,
    *,
    provenance: Provenance,
    energy_terms_eV: Mapping[str, float] | None = None,
) -> ElectronicStructure:
    """Collect what a converged GPAW calculator holds.

    Parameters
    ----------
    window
        Bands [first, last) to keep.
    eigenvalues_eV
        Of those bands, shape (spin, irreducible k, band); None is the calculator's own.
    theory
        With spin-orbit coupling the states are spinors on the full Brillouin zone, else scalars on
        its irreducible part.
    energy_terms_eV
        What the total energy consists of; spin-orbit coupling is added here.
    """
    if eigenvalues_eV is None:
        eigenvalues_eV = calc.eigenvalues()[:, :, window[0] : window[1]]
    shared: dict[str, Any] = {
        "structure": model.structure,
        "theory": theory,
        "provenance": provenance,
        "charge": model.charge,
        "n_electrons": calc.get_number_of_electrons(),
        "site_potentials_eV": _site_potentials(calc),
    }
    terms = dict(energy_terms_eV or {})
    if not theory.spin_orbit:
        return ElectronicStructure(**shared, **_energies(terms), **_scalars(calc, window, eigenvalues_eV))
    spinors = _spinors(calc, window, eigenvalues_eV)
    if terms:
        terms["SOC"] = spin_orbit_energy_eV(calc, window[0], eigenvalues_eV, spinors["eigenvalues_eV"][0])
    return ElectronicStructure(**shared, **_energies(terms), **spinors)


def _energies(terms: dict[str, float]) -> dict[str, Any]:
    return {"total_energy_eV": sum(terms.values()), "energy_terms_eV": terms} if terms else {}


def spin_orbit_energy_eV(calc: Any, first: int, scalar_eV: np.ndarray, spinor_eV: np.ndarray) -> float:
    """What spin-orbit coupling adds to the total energy: the change of the sum over the occupied eigenvalues.

    The density does not answer to it, which is the force theorem (Weinert, Watson and Davenport, Phys. Rev. B 32,
    2115 (1985), doi 10.1103/PhysRevB.32.2115): the error is of second order in the change of the density. Bands below
    the window do not take part; a full shell gains nothing to first order.

    Parameters
    ----------
    first
        The first band of the window.
    scalar_eV, spinor_eV
        Shapes (spin, irreducible k, band) and (k, spinor).
    """
    electrons = calc.get_number_of_electrons()
    spins = len(scalar_eV)
    moment = calc.get_magnetic_moment() if spins == 2 else 0.0
    weights = calc.get_k_point_weights()
    channels = [(electrons + moment) / 2 - first, (electrons - moment) / 2 - first]
    scalar = sum(_band_energy_eV(scalar_eV[s % spins], weights, n) for s, n in enumerate(channels))
    uniform = np.full(len(spinor_eV), 1.0 / len(spinor_eV))
    return _band_energy_eV(spinor_eV, uniform, electrons - 2 * first) - scalar


def _band_energy_eV(eigenvalues_eV: np.ndarray, weights: np.ndarray, electrons: float) -> float:
    """Σ f ε, extrapolated to no smearing."""
    from ase.units import Ha
    from gpaw.occupations import FermiDiracCalculator

    smearing: Any = FermiDiracCalculator(SMEARING_EV)  # its hints want lists, its code arrays
    filled, _, entropy = smearing.calculate(electrons, eigenvalues_eV / Ha, weights)
    return float(np.einsum("k,kn,kn->", weights, filled, eigenvalues_eV) + 0.5 * entropy * Ha)


def _scalars(calc: Any, window: tuple[int, int], eigenvalues_eV: np.ndarray) -> dict[str, Any]:
    first, last = window
    spins = calc.get_number_of_spins()
    kpoints = calc.get_ibz_k_points()
    overlaps = _sphere_overlaps(calc)
    weights = np.array(
        [
            [
                _weights({a: P_ni[first:last] for a, P_ni in calc.dft.ibzwfs._get_wfs(k, s).P_ani.items()}, overlaps)
                for k in range(len(kpoints))
            ]
            for s in range(spins)
        ]
    )
    order = np.argsort(eigenvalues_eV, axis=2)  # a hybrid may reorder the PBE states
    occupations = calc.occupations()[:, :, first:last]
    filled = occupied_bands(calc)
    degeneracy = 2.0 if spins == 1 else 1.0
    return {
        "kpoints_frac": kpoints,
        "k_weights": calc.get_k_point_weights(),
        "eigenvalues_eV": np.take_along_axis(eigenvalues_eV, order, axis=2),
        "occupations": np.take_along_axis(occupations, order, axis=2)
        / (degeneracy if occupations.max() > 1.5 else 1.0),
        "site_weights": np.take_along_axis(weights, order[..., None], axis=2),
        "magnetization_muB": _whole(calc.get_magnetic_moment()) if spins == 2 else 0.0,
        "first_band": first,
        "dipoles": scalar_dipoles(calc, window, order, (min(filled) - first, max(filled) - first))
        if _has_plane_waves(calc)
        else None,
    }


def _has_plane_waves(calc: Any) -> bool:
    """Not in other modes of GPAW, nor from a ``.gpw`` file that was written without them."""
    from gpaw.core.plane_waves import PWArray

    return isinstance(getattr(calc.dft.ibzwfs._get_wfs(0, 0), "psit_nX", None), PWArray)


def _whole(moment: float) -> float:
    """A fixed moment comes back with the rounding of its integral."""
    return float(round(moment)) if abs(moment - round(moment)) < 1e-3 else float(moment)


def _sphere_overlaps(calc: Any) -> list[np.ndarray]:
    """⟨φᵢ|φⱼ⟩ of the all-electron partial waves inside each atom's augmentation sphere, shape (i, i)."""
    found: dict[int, np.ndarray] = {}
    return [found.setdefault(id(setup), _sphere_overlap(setup)) for setup in calc.wfs.setups]


def _sphere_overlap(setup: Any) -> np.ndarray:
    grid = setup.xc_correction.rgd
    inside = grid.r_g <= max(setup.rcut_j)
    waves = np.array([phi_g[: len(grid.r_g)] for phi_g in setup.data.phi_jg])
    radial = np.array([[grid.integrate(one * other * inside) / (4 * np.pi) for other in waves] for one in waves])
    radial *= np.equal.outer(setup.l_j, setup.l_j)
    angular = np.concatenate([np.arange(2 * l + 1) for l in setup.l_j])  # noqa: E741
    size = [2 * l + 1 for l in setup.l_j]  # noqa: E741
    return np.repeat(np.repeat(radial, size, axis=0), size, axis=1) * np.equal.outer(angular, angular)


def _weights(projections: Mapping[int, np.ndarray], overlaps: list[np.ndarray]) -> np.ndarray:
    """The part of each state inside each atom's sphere, shape (band, site).

    ``projections`` have the shape (band, projector) or, for spinors, (band, spin, projector).
    """
    columns = []
    for a in sorted(projections):
        parts = np.einsum("...i,ij,...j->...", projections[a].conj(), overlaps[a], projections[a]).real
        columns.append(parts.reshape(len(parts), -1).sum(axis=1))
    return np.stack(columns, axis=1)


def _spinors(calc: Any, window: tuple[int, int], eigenvalues_eV: np.ndarray) -> dict[str, Any]:
    from gpaw.occupations import FermiDiracCalculator
    from gpaw.spinorbit import soc_eigenstates

    first, last = window
    occupations = FermiDiracCalculator(SMEARING_EV)
    states = soc_eigenstates(calc, n1=first, n2=last, eigenvalues=eigenvalues_eV, occcalc=occupations)
    eigenvalues = states.eigenvalues()[None]
    overlaps = _sphere_overlaps(calc)
    weights = np.array([_weights(dict(state.projections.items()), overlaps) for state in states])[None]
    filled = calc.get_number_of_electrons() - 2 * first
    return {
        "spinor": True,
        "kpoints_frac": calc.get_bz_k_points(),
        "k_weights": np.full(eigenvalues.shape[1], 1.0 / eigenvalues.shape[1]),
        "eigenvalues_eV": eigenvalues,
        "occupations": np.broadcast_to(np.clip(filled - np.arange(eigenvalues.shape[2]), 0.0, 1.0), eigenvalues.shape),
        "site_weights": weights,
        "first_band": 2 * first,
        "dipoles": spinor_dipoles(calc, window, states, eigenvalues_eV, int(filled)),
    }


def _site_potentials(calc: Any) -> np.ndarray:
    """Electrostatic potential energy of an electron, averaged over each atom's PAW sphere, eV.

    GPAW's potentials are those that electrons feel: lowest at the nuclei.
    """
    return np.asarray(calc.get_atomic_electrostatic_potentials(), dtype=float)
