"""The shape of an emission or absorption line that is coupled to phonons.

The generating function of linear coupling to harmonic modes (Lax, J. Chem. Phys. 20, 1752 (1952); Alkauskas,
Buckley, Awschalom and Van de Walle, New J. Phys. 16, 073026 (2014), doi 10.1088/1367-2630/16/7/073026):

    A(E) = 1/2πħ ∫ dt exp(i(E_ZPL - E)t/ħ) exp(S(t) - S(0)) exp(-σ²t²/2ħ²)
    S(t) = Σ S_k [(n_k + 1) exp(-iω_k t) + n_k exp(iω_k t)]

for emission, with ω → -ω for absorption. Modes keep their frequencies and directions in the transition.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, model_validator
from scipy.constants import Boltzmann, e

from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

KT_PER_K_EV = Boltzmann / e
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))

TAIL = 12.0
"""The spectrum is computed over so many standard deviations beyond its mean, and so many phonons more."""

POINTS_PER_SIGMA = 8
MOST_POINTS = 2**22


class NoLight(InputError):
    """A line that reaches below zero energy."""


class Coupling(Document):
    """Modes and how strongly a transition couples to them.

    Attributes
    ----------
    phonons_eV
        ħω_k, shape (mode,).
    huang_rhys
        S_k, shape (mode,).
    """

    phonons_eV: FloatArray
    huang_rhys: FloatArray

    @model_validator(mode="after")
    def _possible(self) -> Coupling:
        if self.phonons_eV.ndim != 1 or self.phonons_eV.shape != self.huang_rhys.shape or not len(self.phonons_eV):
            raise ValueError("as many Huang-Rhys factors as phonon energies are needed, and one at least")
        if not (np.isfinite(self.phonons_eV).all() and np.isfinite(self.huang_rhys).all()):
            raise ValueError("a phonon energy or a Huang-Rhys factor is not a number")
        if (self.phonons_eV <= 0).any() or (self.huang_rhys < 0).any():
            raise ValueError("phonon energies are positive, Huang-Rhys factors not negative")
        return self

    @classmethod
    def of(cls, phonon_eV: float, huang_rhys: float) -> Coupling:
        """To a single effective mode."""
        return cls(phonons_eV=[phonon_eV], huang_rhys=[huang_rhys])

    @property
    def total(self) -> float:
        """S = Σ S_k."""
        return float(self.huang_rhys.sum())

    @property
    def relaxation_eV(self) -> float:
        """Franck-Condon shift Σ S_k ħω_k: how far the line's mean lies from the zero-phonon line."""
        return float(self.huang_rhys @ self.phonons_eV)

    @property
    def mean_phonon_eV(self) -> float:
        """Σ S_k ħω_k / S."""
        return self.relaxation_eV / self.total if self.total else float(self.phonons_eV.mean())

    def quanta(self, temperature_K: float) -> np.ndarray:
        """Mean occupation of each mode, shape (mode,)."""
        if temperature_K <= 0:
            return np.zeros_like(self.phonons_eV)
        return 1.0 / np.expm1(np.minimum(self.phonons_eV / (KT_PER_K_EV * temperature_K), 700.0))

    def variance_eV2(self, temperature_K: float) -> float:
        """Second central moment of the line, exactly: Σ S_k (ħω_k)² coth(ħω_k/2kT), eV²."""
        return float((self.huang_rhys * self.phonons_eV**2) @ (2.0 * self.quanta(temperature_K) + 1.0))


class Lineshape(Document):
    """A line, normalised to an area of 1.

    Attributes
    ----------
    energies_eV, intensity_per_eV
        Shape (n,).
    quantity
        ``spectral function``: A(E); ``photons``: what a detector counts in emission, A E³, or absorbs, A E.
    temperature_K, sigma_eV
        At which temperature, and how much every line was broadened (standard deviation of a Gaussian).
    """

    kind: Literal["emission", "absorption"]
    quantity: Literal["spectral function", "photons"]
    zero_phonon_line_eV: float
    temperature_K: NonNegativeFloat
    sigma_eV: PositiveFloat
    coupling: Coupling
    energies_eV: FloatArray
    intensity_per_eV: FloatArray

    @property
    def peak_eV(self) -> float:
        """Where the line is highest."""
        i = int(self.intensity_per_eV.argmax())
        if not 0 < i < len(self.energies_eV) - 1:
            return float(self.energies_eV[i])
        a, b, c = self.intensity_per_eV[i - 1 : i + 2]
        return float(
            self.energies_eV[i] + 0.5 * (a - c) / (a - 2 * b + c) * (self.energies_eV[1] - self.energies_eV[0])
        )

    @property
    def fwhm_eV(self) -> float:
        """Distance of the outermost points at half of the maximum."""
        above = np.flatnonzero(self.intensity_per_eV >= 0.5 * self.intensity_per_eV.max())
        return self._half(above[-1], above[-1] + 1) - self._half(above[0], above[0] - 1)

    @property
    def mean_eV(self) -> float:
        return float(np.trapezoid(self.energies_eV * self.intensity_per_eV, self.energies_eV))

    def _half(self, inside: int, outside: int) -> float:
        half = 0.5 * self.intensity_per_eV.max()
        high, low = self.intensity_per_eV[inside], self.intensity_per_eV[outside]
        step = self.energies_eV[outside] - self.energies_eV[inside]
        return float(self.energies_eV[inside] + step * (high - half) / (high - low))


def lineshape(
    zero_phonon_line_eV: float,
    coupling: Coupling,
    *,
    temperature_K: float = 0.0,
    sigma_eV: float | None = None,
    kind: Literal["emission", "absorption"] = "emission",
    quantity: Literal["spectral function", "photons"] = "photons",
) -> Lineshape:
    """The line of a transition.

    Parameters
    ----------
    sigma_eV
        Standard deviation of the Gaussian that each phonon line is broadened by: the instrument, and what of
        the phonons' dispersion a few modes do not show. Left out, it is 0.6 of the mean phonon energy, which
        makes one smooth curve of a single mode's ladder.

    Raises
    ------
    InputError
        The broadening is so small beside the width of the line that no grid can hold both.
    NoLight
        The line reaches below zero energy.
    """
    sigma = 0.6 * coupling.mean_phonon_eV if sigma_eV is None else sigma_eV
    if not sigma > 0 or temperature_K < 0:
        raise InputError("A line needs a broadening above zero and a temperature not below.")
    sign = -1.0 if kind == "emission" else 1.0
    centre = sign * coupling.relaxation_eV
    spread = np.sqrt(coupling.variance_eV2(temperature_K) + sigma**2)
    # A line has a Poisson tail, longer than a Gaussian's where S is small.
    half = TAIL * spread + 6.0 * float(coupling.phonons_eV.max())
    n = int(2 ** np.ceil(np.log2(2.0 * half * POINTS_PER_SIGMA / sigma)))
    if n > MOST_POINTS:
        raise InputError(
            f"A broadening of {sigma:.2g} eV is too small for a line {spread:.2g} eV wide; give a larger one."
        )
    step = 2.0 * half / n
    offsets = (np.arange(n) - n // 2) * step
    # Time in 1/eV; the phase of the centre is taken out, so that the window lies around the line.
    times = np.fft.ifftshift((np.arange(n) - n // 2) * (2.0 * np.pi / (n * step)))
    shape = np.fft.fftshift(np.fft.fft(_generating(coupling, temperature_K, sign, times, centre, sigma))).real / (
        n * step
    )
    energies = zero_phonon_line_eV + centre + offsets
    shape = np.maximum(shape, 0.0)
    if quantity == "photons":
        within = energies > 0
        if shape[~within].sum() * step > 1e-3:
            raise NoLight(
                f"A line at {zero_phonon_line_eV + centre:.2f} eV, {FWHM_PER_SIGMA * spread:.2f} eV wide, reaches below zero energy, where there is no light."
            )
        energies, shape = energies[within], shape[within] * energies[within] ** (3 if kind == "emission" else 1)
    keep = np.flatnonzero(shape > 1e-10 * shape.max())
    part = slice(max(0, keep[0] - 1), keep[-1] + 2)
    energies, shape = energies[part], shape[part]
    return Lineshape(
        kind=kind,
        quantity=quantity,
        zero_phonon_line_eV=zero_phonon_line_eV,
        temperature_K=temperature_K,
        sigma_eV=sigma,
        coupling=coupling,
        energies_eV=energies,
        intensity_per_eV=shape / np.trapezoid(shape, energies),
    )


def _generating(
    coupling: Coupling, temperature_K: float, sign: float, times: np.ndarray, centre: float, sigma: float
) -> np.ndarray:
    """exp(S(t) - S(0) - σ²t²/2) about the line's mean, shape (time,)."""
    exponent = -0.5 * (sigma * times) ** 2 - 1j * centre * times
    for phonon, strength, quanta in zip(
        coupling.phonons_eV, coupling.huang_rhys, coupling.quanta(temperature_K), strict=True
    ):
        if strength == 0.0:
            continue
        phase = sign * phonon * times
        exponent += strength * ((2 * quanta + 1) * (np.cos(phase) - 1) + 1j * np.sin(phase))
    return np.exp(exponent)
