"""Wavelength to photon energy, for a line and for its width."""

from __future__ import annotations

import math
from typing import Literal

from scipy.constants import c, e, h
from scipy.optimize import brentq

from midgap.structures.errors import InputError

Medium = Literal["air", "vacuum"]
HC_EV_NM = h * c / e * 1e9


def refractive_index_of_air(wavelength_nm: float) -> float:
    """Phase index of standard dry air (15 °C, 101.325 kPa, 450 ppm CO2) at a vacuum wavelength in nm.

    Ciddor, Appl. Opt. 35, 1566 (1996), doi 10.1364/AO.35.001566, equation 1.
    """
    wavenumber_squared = (1e3 / wavelength_nm) ** 2
    return 1 + 1e-8 * (5792105 / (238.0185 - wavenumber_squared) + 167917 / (57.362 - wavenumber_squared))


def photon_energy_eV(wavelength_nm: float, medium: Medium = "vacuum") -> float:
    """E = hc/(nλ), in eV.

    Parameters
    ----------
    wavelength_nm
        As measured in ``medium``; at 520 nm air and vacuum differ by 0.7 meV.

    Raises
    ------
    InputError
        The wavelength is not positive.

    Examples
    --------
    >>> round(photon_energy_eV(520.0), 3)
    2.384
    """
    if not wavelength_nm > 0:
        raise InputError(f"A wavelength must be positive, not {wavelength_nm} nm.")
    # n is a function of the vacuum wavelength; taking the one in air instead changes it by 1e-8.
    index = refractive_index_of_air(wavelength_nm) if medium == "air" else 1.0
    return HC_EV_NM / (index * wavelength_nm)


def wavelength_nm(energy_eV: float) -> float:
    """Vacuum wavelength of a photon, in nm; an energy of zero or less has none (NaN)."""
    return HC_EV_NM / energy_eV if energy_eV > 0 else math.nan


def line_width_eV(peak_nm: float, fwhm_nm: float, medium: Medium = "vacuum") -> float:
    """FWHM in eV of a line that is Gaussian in wavelength, with the Jacobian I(E) = I(λ) λ²/hc.

    The half-maximum points are those of I(λ)λ², found numerically; the Jacobian also moves the maximum
    to longer wavelengths, by about 2σ²/λ (0.4 nm for 23 nm at 520 nm).

    Raises
    ------
    InputError
        The line is as wide as its wavelength, or not positive.

    Examples
    --------
    >>> round(1e3 * line_width_eV(520.0, 14.0)), round(1e3 * line_width_eV(520.0, 23.0))
    (64, 105)
    """
    if not 0 < fwhm_nm < 0.5 * peak_nm:
        raise InputError(f"A line of {fwhm_nm} nm FWHM at {peak_nm} nm cannot be converted to energy.")
    variance = fwhm_nm**2 / (8 * math.log(2))

    def log_intensity(wavelength: float) -> float:
        return 2 * math.log(wavelength) - (wavelength - peak_nm) ** 2 / (2 * variance)

    top = 0.5 * (peak_nm + math.sqrt(peak_nm**2 + 8 * variance))
    half = log_intensity(top) - math.log(2)
    blue = brentq(lambda x: log_intensity(x) - half, peak_nm - fwhm_nm, top)
    red = brentq(lambda x: log_intensity(x) - half, top, peak_nm + 2 * fwhm_nm)
    return photon_energy_eV(blue, medium) - photon_energy_eV(red, medium)
