"""The configuration coordinate: how far the atoms move between two charge states, and what that costs.

Displacements are weighted by the roots of the masses: Q in amu^½ Å, so that all of a parabola is in one
frequency (Alkauskas, Lyons, Steiauf and Van de Walle, Phys. Rev. Lett. 109, 267401 (2012),
doi 10.1103/PhysRevLett.109.267401).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat
from pymatgen.core import IMolecule, IStructure
from scipy.constants import angstrom, atomic_mass, e, hbar

from midgap.defects.lineshape import FWHM_PER_SIGMA, KT_PER_K_EV
from midgap.structures.document import Document
from midgap.structures.errors import InputError

ENERGY_OF_ROOT_CURVATURE = float(hbar * np.sqrt(e / atomic_mass) / angstrom / e)
"""ħω in eV of a curvature of 1 eV/(amu Å²)."""

MOVED_TOO_FAR_ANG = 3.0


def displacements_ang(start: IStructure | IMolecule, end: IStructure | IMolecule) -> np.ndarray:
    """How each atom moves from ``start`` to ``end``, nearest image, without the drift of the whole, shape (n, 3), Å.

    A crystal has no place of its own: of all rigid shifts, the one is taken out that leaves the centre of mass
    where it was, which makes ΔQ the smallest there is.

    Raises
    ------
    InputError
        Other atoms, another order, another lattice, or an atom that moved so far that it is another one.
    """
    if [site.specie for site in start] != [site.specie for site in end]:
        raise InputError("The two geometries have other atoms, or the same in another order.")
    if isinstance(start, IStructure) != isinstance(end, IStructure):
        raise InputError("One geometry is a crystal, the other a cluster.")
    if isinstance(start, IStructure) and isinstance(end, IStructure):
        if not np.allclose(start.lattice.matrix, end.lattice.matrix, atol=1e-3):
            raise InputError("The two geometries have other lattices; relax both in one cell.")
        frac = end.frac_coords - start.frac_coords
        moved = _shortest(start, frac - np.rint(frac))
    else:
        moved = np.asarray(end.cart_coords) - np.asarray(start.cart_coords)
    masses = masses_amu(start)
    moved = moved - masses @ moved / masses.sum()
    furthest = float(np.linalg.norm(moved, axis=1).max())
    if furthest > MOVED_TOO_FAR_ANG:
        raise InputError(
            f"An atom moves by {furthest:.1f} Å from one geometry to the other: it is likely another atom; give both in "
            "one order."
        )
    return moved


def _shortest(structure: IStructure, frac: np.ndarray) -> np.ndarray:
    """Cartesian vectors to the nearest images; rounding alone does not find them in a skewed cell."""
    cells = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = (frac[:, None] + cells) @ structure.lattice.matrix
    return vectors[np.arange(len(frac)), np.linalg.norm(vectors, axis=2).argmin(axis=1)]


def masses_amu(structure: IStructure | IMolecule) -> np.ndarray:
    """Mass of each atom, shape (n,), amu."""
    return np.array([float(site.specie.atomic_mass) for site in structure])


def delta_q(start: IStructure | IMolecule, end: IStructure | IMolecule) -> float:
    """ΔQ = (Σ m |ΔR|²)^½, amu^½ Å."""
    moved = displacements_ang(start, end)
    return float(np.sqrt(masses_amu(start) @ (moved**2).sum(axis=1)))


def along(start: IStructure | IMolecule, end: IStructure | IMolecule, fraction: float) -> np.ndarray:
    """Positions at a fraction of the way, 0 the start and 1 the end, beyond on the same line, shape (n, 3), Å."""
    return np.asarray(start.cart_coords) + fraction * displacements_ang(start, end)


class Parabola(Document):
    """Energies along the coordinate in one charge state, as a harmonic oscillator.

    Attributes
    ----------
    phonon_eV
        ħω of the effective mode.
    phonon_uncertainty_eV
        By how much ħω changes if a cubic term is fitted as well, or the standard error of the fit if that is
        larger; None where there are not enough points to tell.
    minimum_q, minimum_eV
        Where the fit has its minimum, amu^½ Å and eV.
    residual_eV
        Root mean square of what the fit leaves.
    """

    phonon_eV: PositiveFloat
    phonon_uncertainty_eV: NonNegativeFloat | None = None
    minimum_q: float
    minimum_eV: float
    residual_eV: NonNegativeFloat | None = None

    def energy_eV(self, q: np.ndarray | float) -> np.ndarray:
        """½ ω² (Q - Q₀)² + E₀, eV."""
        return self.minimum_eV + 0.5 * curvature(self.phonon_eV) * (np.asarray(q) - self.minimum_q) ** 2


def curvature(phonon_eV: float) -> float:
    """ω² in eV/(amu Å²) of ħω in eV."""
    return (phonon_eV / ENERGY_OF_ROOT_CURVATURE) ** 2


def phonon_of(curvature_eV: float) -> float:
    """ħω in eV of ω² in eV/(amu Å²)."""
    return ENERGY_OF_ROOT_CURVATURE * float(np.sqrt(curvature_eV))


def fit_parabola(q: Sequence[float], energies_eV: Sequence[float], minimum_q: float | None = None) -> Parabola:
    """A harmonic oscillator through energies along the coordinate.

    Parameters
    ----------
    q
        amu^½ Å, at least three values; two do if the minimum is known.
    minimum_q
        Where the relaxed geometry is; the fit keeps its minimum there. None fits that too.

    Raises
    ------
    InputError
        Too few points, or they do not curve upwards.
    """
    x, y = np.asarray(q, dtype=float), np.asarray(energies_eV, dtype=float)
    needed = 3 if minimum_q is None else 2
    if len(x) != len(y) or len(np.unique(x)) < needed or not np.isfinite([*x, *y]).all():
        raise InputError(
            f"A parabola needs energies at {needed} or more places on the coordinate, not {len(np.unique(x))}."
        )
    origin = float(x.mean()) if minimum_q is None else minimum_q
    powers = [0, 1, 2] if minimum_q is None else [0, 2]
    found, left, error = _least_squares(x - origin, y, powers)
    second = found[2]
    if second <= 0:
        raise InputError("The energies along the coordinate do not curve upwards: there is no harmonic mode.")
    phonon = phonon_of(2 * second)
    spread = None
    if len(np.unique(x)) > len(powers):
        spread = abs(phonon) * 0.5 * (error or 0.0) / second
        cubic = _least_squares(x - origin, y, [*powers, 3])[0][2]
        spread = max(spread, abs(phonon_of(2 * cubic) - phonon) if cubic > 0 else phonon)
    place = origin - found.get(1, 0.0) / (2 * second)
    return Parabola(
        phonon_eV=phonon,
        phonon_uncertainty_eV=spread,
        minimum_q=place,
        minimum_eV=found[0] - found.get(1, 0.0) ** 2 / (4 * second),
        residual_eV=left if len(x) > len(powers) else None,
    )


def _least_squares(x: np.ndarray, y: np.ndarray, powers: Sequence[int]) -> tuple[dict[int, float], float, float | None]:
    """Coefficients by power, the rms residual, and the standard error of the quadratic one."""
    scale = float(np.abs(x).max()) or 1.0
    design = np.stack([(x / scale) ** p for p in powers], axis=1)
    solution, *_ = np.linalg.lstsq(design, y, rcond=None)
    left = y - design @ solution
    free = len(x) - len(powers)
    error = None
    if free > 0:
        covariance = np.linalg.pinv(design.T @ design) * (left @ left) / free
        error = float(np.sqrt(covariance[powers.index(2), powers.index(2)])) / scale**2
    found = {p: float(c) / scale**p for p, c in zip(powers, solution, strict=True)}
    return found, float(np.sqrt(np.mean(left**2))), error


class ConfigurationCoordinate(Document):
    """An excited and a ground state along one coordinate: what is absorbed, emitted and lost in between.

    Q is 0 in the geometry of the ground state and ``delta_q`` in that of the excited one.

    Attributes
    ----------
    delta_q
        amu^½ Å.
    ground, excited
        The parabolas; their energies are on one scale.
    energy_difference_eV
        Minimum of the excited state above that of the ground state, without zero-point energy.
    uncertainty_eV
        Of the energy difference by corrections and alignment; None if not known.
    elsewhere
        The same two states in another cell: how far its numbers are from these tells how far these are off.
    points_ground, points_excited
        What was computed, rows (Q, E).
    basis
        How the energies were computed, and where the uncertainty is from.
    """

    delta_q: PositiveFloat
    ground: Parabola
    excited: Parabola
    energy_difference_eV: float
    uncertainty_eV: float | None = None
    elsewhere: ConfigurationCoordinate | None = None
    ground_label: str = ""
    excited_label: str = ""
    points_ground: tuple[tuple[float, float], ...] = ()
    points_excited: tuple[tuple[float, float], ...] = ()
    basis: str = ""
    warnings: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        derived = (
            "zero_phonon_line_eV", "absorption_eV", "emission_eV", "stokes_shift_eV", "huang_rhys_emission",
            "huang_rhys_absorption", "crossing_eV",
        )  # fmt: skip
        return super().facts() | {name: getattr(self, name) for name in derived}

    @property
    def zero_phonon_line_eV(self) -> float:
        """Between the lowest vibrational states of the effective mode."""
        return self.energy_difference_eV + 0.5 * (self.excited.phonon_eV - self.ground.phonon_eV)

    @property
    def relaxation_ground_eV(self) -> float:
        """Franck-Condon shift of the emission: what the ground state gains after it.

        As computed where both ends of the way were; else by its parabola.
        """
        computed = _climb(self.points_ground, 0.0, self.delta_q)
        return 0.5 * curvature(self.ground.phonon_eV) * self.delta_q**2 if computed is None else computed

    @property
    def relaxation_excited_eV(self) -> float:
        """Franck-Condon shift of the absorption, likewise."""
        computed = _climb(self.points_excited, self.delta_q, 0.0)
        return 0.5 * curvature(self.excited.phonon_eV) * self.delta_q**2 if computed is None else computed

    @property
    def emission_eV(self) -> float:
        """Vertical, from the geometry of the excited state."""
        return self.energy_difference_eV - self.relaxation_ground_eV

    @property
    def emission_uncertainty_eV(self) -> float | None:
        """What is known of the error of the vertical emission: of corrections, and from cell to cell."""
        other = self.elsewhere
        cell = None if other is None else abs(self.emission_eV - other.emission_eV)
        known = [error for error in (self.uncertainty_eV, cell) if error is not None]
        return float(np.hypot.reduce(known)) if known else None

    @property
    def absorption_eV(self) -> float:
        """Vertical, from the geometry of the ground state."""
        return self.energy_difference_eV + self.relaxation_excited_eV

    @property
    def stokes_shift_eV(self) -> float:
        """Vertical absorption less vertical emission."""
        return self.absorption_eV - self.emission_eV

    @property
    def huang_rhys_emission(self) -> float:
        """Phonons of the ground state that an emission leaves on average: S = ωΔQ²/2ħ of the effective mode."""
        return 0.5 * curvature(self.ground.phonon_eV) * self.delta_q**2 / self.ground.phonon_eV

    @property
    def huang_rhys_absorption(self) -> float:
        """Phonons of the excited state that an absorption leaves on average."""
        return 0.5 * curvature(self.excited.phonon_eV) * self.delta_q**2 / self.excited.phonon_eV

    def reflected_fwhm_eV(self, temperature_K: float) -> float:
        """Width of the emission as the upper state's vibration reflected at the lower one's slope, FWHM.

        σ = |dE/dQ| σ_Q with σ_Q² = ħ/(2ω) coth(ħω/2kT) of the upper state (Lax, J. Chem. Phys. 20, 1752 (1952)):
        for strong coupling, and unlike a line of one frequency true where the two states have different ones.
        """
        slope = _slope(self.ground, self.points_ground, self.delta_q)
        return _reflected_fwhm_eV(slope, self.excited.phonon_eV, temperature_K)

    def absorbed_fwhm_eV(self, temperature_K: float) -> float:
        """Width of the absorption likewise: the lower state's vibration at the upper one's slope, FWHM."""
        slope = _slope(self.excited, self.points_excited, 0.0)
        return _reflected_fwhm_eV(slope, self.ground.phonon_eV, temperature_K)

    @property
    def crossing_eV(self) -> float | None:
        """Barrier from the excited state's minimum to where the two parabolas cross; None if they never do.

        Of two crossings, the lower one.
        """
        g, x = curvature(self.ground.phonon_eV) / 2, curvature(self.excited.phonon_eV) / 2
        # g Q² = ΔE + x (Q - ΔQ)²
        roots = np.roots([g - x, 2 * x * self.delta_q, -self.energy_difference_eV - x * self.delta_q**2])
        real = [float(root.real) for root in np.atleast_1d(roots) if abs(root.imag) < 1e-9]
        return min((x * (q - self.delta_q) ** 2 for q in real), default=None)


def _slope(parabola: Parabola, points: Sequence[tuple[float, float]], place: float) -> float:
    """dE/dQ, of a polynomial through the points, or of the parabola where these are its two ends."""
    if len(points) <= 2:
        return curvature(parabola.phonon_eV) * (place - parabola.minimum_q)
    q, energies = np.array(points).T
    return float(np.polynomial.Polynomial.fit(q, energies, min(3, len(q) - 1)).deriv()(place))


def _reflected_fwhm_eV(slope: float, phonon_eV: float, temperature_K: float) -> float:
    """Of a vibration that is seen along a slope in eV/(amu^½ Å)."""
    warmth = 0.5 * phonon_eV
    if temperature_K > 0:
        warmth /= np.tanh(0.5 * phonon_eV / (KT_PER_K_EV * temperature_K))
    return float(FWHM_PER_SIGMA * abs(slope) * np.sqrt(warmth / curvature(phonon_eV)))


def _climb(points: Sequence[tuple[float, float]], start: float, end: float) -> float | None:
    """Energy at ``end`` above that at ``start``, if both were computed."""
    near = 1e-6 * abs(end - start)
    low, high = ([energy for q, energy in points if abs(q - place) < near] for place in (start, end))
    return high[0] - low[0] if low and high else None


def from_four_energies(
    delta_q: float,
    ground_at_ground_eV: float,
    ground_at_excited_eV: float,
    excited_at_excited_eV: float,
    excited_at_ground_eV: float,
    *,
    uncertainty_eV: float | None = None,
    elsewhere: ConfigurationCoordinate | None = None,
    ground_label: str = "",
    excited_label: str = "",
    basis: str = "",
) -> ConfigurationCoordinate:
    """The diagram of each state's energy at its own and at the other's geometry, all on one scale.

    Raises
    ------
    InputError
        A state is not lowest in its own geometry.
    """
    gains = (ground_at_excited_eV - ground_at_ground_eV, excited_at_ground_eV - excited_at_excited_eV)
    for gain, state in zip(gains, ("ground", "excited"), strict=True):
        if gain <= 0:
            raise InputError(
                f"The {state} state is {-gain:.3f} eV lower in the other geometry than in its own; its relaxation ended "
                "in the wrong minimum."
            )
    low, high = ((phonon_of(2 * gain) / delta_q) for gain in gains)
    return ConfigurationCoordinate(
        delta_q=delta_q,
        ground=Parabola(phonon_eV=low, minimum_q=0.0, minimum_eV=ground_at_ground_eV),
        excited=Parabola(phonon_eV=high, minimum_q=delta_q, minimum_eV=excited_at_excited_eV),
        energy_difference_eV=excited_at_excited_eV - ground_at_ground_eV,
        uncertainty_eV=uncertainty_eV,
        elsewhere=elsewhere,
        ground_label=ground_label,
        excited_label=excited_label,
        points_ground=((0.0, ground_at_ground_eV), (delta_q, ground_at_excited_eV)),
        points_excited=((delta_q, excited_at_excited_eV), (0.0, excited_at_ground_eV)),
        basis=basis,
    )


def from_points(
    delta_q: float,
    ground: Sequence[tuple[float, float]],
    excited: Sequence[tuple[float, float]],
    *,
    energy_difference_eV: float | None = None,
    uncertainty_eV: float | None = None,
    ground_label: str = "",
    excited_label: str = "",
) -> ConfigurationCoordinate:
    """The diagram of energies at several places (Q, E) for each state, the minima held at 0 and ΔQ.

    Parameters
    ----------
    energy_difference_eV
        Between the relaxed geometries, where it is known better than by the fits.
    """
    low = fit_parabola([q for q, _ in ground], [energy for _, energy in ground], 0.0)
    high = fit_parabola([q for q, _ in excited], [energy for _, energy in excited], delta_q)
    return ConfigurationCoordinate(
        delta_q=delta_q,
        ground=low,
        excited=high,
        energy_difference_eV=high.minimum_eV - low.minimum_eV if energy_difference_eV is None else energy_difference_eV,
        uncertainty_eV=uncertainty_eV,
        ground_label=ground_label,
        excited_label=excited_label,
        points_ground=tuple((float(q), float(energy)) for q, energy in ground),
        points_excited=tuple((float(q), float(energy)) for q, energy in excited),
    )


def with_carrier_eV(energy_eV: float, charge: int, ground_charge: int, vbm_eV: float, cbm_eV: float) -> float:
    """Energy of a defect that holds ``charge`` with the carrier that makes up for it at a band edge, eV.

    An excited state of the crystal with a defect of ``ground_charge``: one electron less at the defect is one
    in the conduction band, one more leaves a hole in the valence band.

    Parameters
    ----------
    energy_eV
        Corrected total energy of the cell of that charge.
    vbm_eV, cbm_eV
        Of the pristine crystal, on its own scale.
    """
    missing = charge - ground_charge
    return energy_eV + missing * (cbm_eV if missing > 0 else vbm_eV)
