"""Capture of a carrier by a defect without light: multiphonon emission along one effective mode."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat
from scipy.constants import Boltzmann, e, hbar

from midgap.defects.configuration_coordinate import ENERGY_OF_ROOT_CURVATURE, ConfigurationCoordinate
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

RAREST = 1e-12
"""Vibrational states with a smaller part of the population are left out."""

WIDTH_IN_QUANTA = 0.5
"""The final states' lines are Gaussians of this standard deviation; their sum then ripples by 1.4 %."""

MOST_STATES = 3000
"""Of the final oscillator: a grid that resolves more is slow, and so much energy in one mode is not harmonic."""

ANG3_IN_CM3 = 1e-24


class Capture(Document):
    """How fast one defect in a cm³ captures one carrier.

    Attributes
    ----------
    coefficient_cm3_per_s
        At each of ``temperatures_K``. A carrier among N defects per cm³ lives 1/(C N).
    matrix_element_eV
        W, eV/(amu^½ Å), as given.
    barrier_eV
        Of the classical crossing of the two parabolas above the minimum of the excited state; None where they do
        not cross.
    width_eV
        Standard deviation of the final states' lines.
    """

    temperatures_K: FloatArray
    coefficient_cm3_per_s: FloatArray
    matrix_element_eV: PositiveFloat
    volume_ang3: PositiveFloat
    degeneracy: PositiveFloat
    barrier_eV: NonNegativeFloat | None
    width_eV: PositiveFloat


def capture(
    diagram: ConfigurationCoordinate,
    matrix_element_eV: float,
    volume_ang3: float,
    temperatures_K: np.ndarray | list[float],
    *,
    degeneracy: float = 1.0,
    zero_phonon_line_eV: float | None = None,
    width_eV: float | None = None,
) -> Capture:
    """C = (2π/ħ) g W² V Σ_m p_m Σ_n |⟨m|Q - Q₀|n⟩|² δ(ΔE + mħω_e - nħω_g).

    Static coupling, one mode, harmonic (Alkauskas, Yan and Van de Walle, Phys. Rev. B 90, 075202 (2014),
    doi 10.1103/PhysRevB.90.075202, Eqs. 17-22); Q₀ is the geometry of the ground state, as in nonrad (Turiansky et
    al., Comput. Phys. Commun. 267, 108056 (2021), doi 10.1016/j.cpc.2021.108056). Carriers attracted or repelled by
    a charged defect (Sommerfeld factor) and their density around it in a small cell are not in it.

    Parameters
    ----------
    matrix_element_eV
        W = |⟨ψ_i|∂H/∂Q|ψ_f⟩|, eV/(amu^½ Å), of a carrier spread over the volume.
    volume_ang3
        Of the cell that W was computed in.
    degeneracy
        Equivalent geometries of the final state.
    zero_phonon_line_eV
        Instead of the diagram's.
    width_eV
        None is half a quantum of the final state.

    Raises
    ------
    InputError
        A temperature is not positive, or the final state would hold more than `MOST_STATES` quanta.
    """
    temperatures = np.asarray(temperatures_K, dtype=float)
    if temperatures.ndim != 1 or not (temperatures > 0).all():
        raise InputError("Temperatures of a capture are a list of positive numbers, K.")
    energy = diagram.zero_phonon_line_eV if zero_phonon_line_eV is None else zero_phonon_line_eV
    first, last = diagram.excited.phonon_eV, diagram.ground.phonon_eV
    width = WIDTH_IN_QUANTA * last if width_eV is None else width_eV
    kT = Boltzmann * temperatures / e
    n_first = int(np.ceil(-kT.max() * np.log(RAREST) / first)) + 1
    n_last = int(np.ceil((energy + n_first * first + 6 * width) / last)) + 1
    if n_last > MOST_STATES:
        raise InputError(
            f"{n_last} quanta of {1e3 * last:.1f} meV would have to be emitted; the one-mode picture is not made for that."
        )
    squared = _matrix_elements(diagram.delta_q, first, last, n_first, n_last) ** 2
    mismatch = energy + first * np.arange(n_first)[:, None] - last * np.arange(n_last)
    lines = np.exp(-0.5 * (mismatch / width) ** 2) / (width * np.sqrt(2 * np.pi))
    from_each = (squared * lines).sum(axis=1)
    population = np.exp(-first * np.arange(n_first) / kT[:, None])
    population /= population.sum(axis=1, keepdims=True)
    rates = 2 * np.pi * e / hbar * degeneracy * matrix_element_eV**2 * population @ from_each
    return Capture(
        temperatures_K=temperatures,
        coefficient_cm3_per_s=rates * volume_ang3 * ANG3_IN_CM3,
        matrix_element_eV=matrix_element_eV,
        volume_ang3=volume_ang3,
        degeneracy=degeneracy,
        barrier_eV=classical_barrier_eV(diagram.delta_q, energy - (first - last) / 2, first, last),
        width_eV=width,
    )


def classical_barrier_eV(delta_q: float, energy_eV: float, first_eV: float, last_eV: float) -> float | None:
    """Lowest crossing of ½ω_e²Q² + ΔE, without zero-point energies, and ½ω_g²(Q - ΔQ)², above the minimum of the first; None without one."""
    stiff, soft = (np.array([first_eV, last_eV]) / ENERGY_OF_ROOT_CURVATURE) ** 2
    roots = np.roots([(stiff - soft) / 2, soft * delta_q, energy_eV - soft * delta_q**2 / 2])
    real = roots.real[np.abs(roots.imag) < 1e-9]
    return float((0.5 * stiff * real**2).min()) if len(real) else None


def _matrix_elements(delta_q: float, first_eV: float, last_eV: float, n_first: int, n_last: int) -> np.ndarray:
    """⟨m|Q - ΔQ|n⟩ of oscillators at 0 and ΔQ, shape (m, n), amu^½ Å.

    Integrated on a grid: recursions for the overlaps lose all digits at the hundreds of quanta that soft modes take.
    """
    root_first, root_last = (ENERGY_OF_ROOT_CURVATURE / np.sqrt(quantum) for quantum in (first_eV, last_eV))
    reach = root_first * np.sqrt(2 * n_first + 1) + 8 * root_first
    steps = np.pi / max(np.sqrt(2 * n_last + 1) / root_last, np.sqrt(2 * n_first + 1) / root_first) / 4
    # Where the initial states have died out, nothing is added.
    grid = np.arange(-reach, reach + steps, steps)
    initial = _oscillator(grid / root_first, n_first) / np.sqrt(root_first)
    final = _oscillator((grid - delta_q) / root_last, n_last) / np.sqrt(root_last)
    return (initial * (grid - delta_q)) @ final.T * steps


def _oscillator(x: np.ndarray, count: int) -> np.ndarray:
    """The first eigenfunctions of the oscillator of unit length, shape (state, point).

    Far out, e^(-x²/2) is no number any more although high states are large there: the logarithm of a common factor
    is carried along.
    """
    found = np.zeros((count, len(x)))
    scale = -0.5 * x**2
    before, now = np.zeros_like(x), np.full_like(x, np.pi**-0.25)
    for n in range(count):
        found[n] = now * np.exp(scale)
        before, now = now, np.sqrt(2 / (n + 1)) * x * now - np.sqrt(n / (n + 1)) * before
        large = np.maximum(np.abs(now), np.abs(before)).clip(1e-300)
        shrink = np.where(large > 1e100, large, 1.0)
        before, now, scale = before / shrink, now / shrink, scale + np.log(shrink)
    return found
