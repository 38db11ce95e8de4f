"""How many excitons a pulse makes, and how the light grows with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import FiniteFloat
from scipy.constants import c, h
from scipy.stats import norm
from scipy.stats import t as student

from midgap.experiment.records import Quantity
from midgap.structures.document import Document
from midgap.structures.errors import InputError

Shape = Literal["cube", "sphere"]
Growth = Literal["sublinear", "linear", "superlinear"]


def photon_energy_J(wavelength_nm: float) -> float:
    """hν of a vacuum wavelength."""
    return h * c / (1e-9 * _positive(wavelength_nm, "wavelength", "nm"))


def spot_area_cm2(fwhm_um: float) -> float:
    """Area over which a Gaussian spot of this diameter (FWHM of the intensity) has its peak fluence: π FWHM²/(4 ln 2)."""
    return math.pi * (1e-4 * _positive(fwhm_um, "spot", "µm")) ** 2 / (4 * math.log(2))


def fluence_J_cm2(power_W: float, rep_rate_Hz: float, area_cm2: float) -> float:
    """Energy a pulse and area, P/(f A)."""
    per_pulse = _positive(power_W, "power", "W") / _positive(rep_rate_Hz, "repetition rate", "Hz")
    return per_pulse / _positive(area_cm2, "area", "cm²")


def photons_per_pulse_cm2(fluence: float, wavelength_nm: float) -> float:
    """j, photons a pulse and cm², of a fluence in J/cm².

    Examples
    --------
    >>> f"{photons_per_pulse_cm2(1e-6, 445.0):.3g}"
    '2.24e+12'
    """
    return _positive(fluence, "fluence", "J/cm²") / photon_energy_J(wavelength_nm)


def mean_excitons(fluence_J_cm2: Quantity, sigma_abs_cm2: Quantity, wavelength_nm: float) -> Quantity:
    """⟨N⟩ = jσ; the interval from the ends of both, whose relative excursions add in quadrature."""
    fluence, sigma = _ends(fluence_J_cm2, "fluence_J_cm2"), _ends(sigma_abs_cm2, "sigma_abs_cm2")
    value = photons_per_pulse_cm2(fluence[0], wavelength_nm) * _positive(sigma[0], "cross section", "cm²")
    down = math.hypot(1 - fluence[1] / fluence[0], 1 - sigma[1] / sigma[0])
    up = math.hypot(fluence[2] / fluence[0] - 1, sigma[2] / sigma[0] - 1)
    known = any(q.lo is not None or q.hi is not None for q in (fluence_J_cm2, sigma_abs_cm2))
    if not known:
        return Quantity(value=value)
    return Quantity(value=value, lo=max(0.0, value * (1 - down)), hi=value * (1 + up))


def particle_volume_cm3(size_nm: float, shape: Shape = "cube") -> float:
    """Volume of a particle of this edge (cube) or diameter (sphere)."""
    cube = (1e-7 * _positive(size_nm, "size", "nm")) ** 3
    return cube if shape == "cube" else math.pi / 6 * cube


def particles_per_cm3(mass_g_per_cm3: float, size_nm: float, density_g_cm3: float, shape: Shape = "cube") -> float:
    """Number of particles in a solution that holds this mass of their material."""
    per_particle = particle_volume_cm3(size_nm, shape) * _positive(density_g_cm3, "density", "g/cm³")
    return _positive(mass_g_per_cm3, "concentration", "g/cm³") / per_particle


def sigma_abs_cm2(absorbance: float, path_cm: float, particles_per_cm3: float) -> float:
    """Absorption cross section by Beer and Lambert: σ = ln(10) A/(n l), A = -log₁₀ of the transmission.

    Examples
    --------
    >>> f"{sigma_abs_cm2(0.5, 1.0, 1e14):.3g}"
    '1.15e-14'
    """
    column = _positive(particles_per_cm3, "number of particles", "1/cm³") * _positive(path_cm, "path", "cm")
    return math.log(10) * _positive(absorbance, "absorbance", "") / column


def sigma_from_size(
    absorbance: float,
    path_cm: float,
    mass_g_per_cm3: float,
    size_nm: Quantity,
    density_g_cm3: float,
    shape: Shape = "cube",
) -> Quantity:
    """Absorption cross section of a particle of a known size in a solution of known mass; σ ∝ size³."""
    value, low, high = (
        sigma_abs_cm2(absorbance, path_cm, particles_per_cm3(mass_g_per_cm3, size, density_g_cm3, shape))
        for size in _ends(size_nm, "size_nm")
    )
    return Quantity(value=value, lo=low, hi=high) if low < high else Quantity(value=value)


class PowerSeries(Document):
    """Growth y ∝ x^s over a series of excitation powers.

    Attributes
    ----------
    exponent
        s, with its interval by Student's t: the points' own uncertainties, widened where they scatter more.
    growth
        By the interval: ``linear`` if it holds 1; None if it holds both 1 and more than ±0.5 around it.
    scatter
        Root of the reduced χ²; above 1 the points scatter more than their uncertainties.
    """

    name: str = ""
    n_points: int
    exponent: Quantity
    prefactor: FiniteFloat
    scatter: float | None
    growth: Growth | None
    ci_level: float


def power_series(
    power: Sequence[float], values: Sequence[Quantity], *, name: str = "", ci_level: float = 0.95
) -> PowerSeries:
    """How a level's intensity, or the number of emitters, grows with the excitation.

    Parameters
    ----------
    power
        Shape (n,): power, fluence or ⟨N⟩; the unit does not matter.
    values
        Shape (n,): each with its interval at ``ci_level``. Where one has none, all count alike.

    Raises
    ------
    InputError
        Fewer than three points, fewer than two different powers, or something that is not positive.
    """
    if len(power) != len(values) or len(values) < 3 or len(set(power)) < 2:
        raise InputError(
            f"A power series needs three points or more at two powers or more; {name or 'this one'} has {len(values)}."
        )
    ends = [_ends(value, name or "a value of the power series") for value in values]
    x = np.log([_positive(p, "power", "") for p in power])
    y = np.log([_positive(value, name or "value", "") for value, _, _ in ends])
    widths = np.array([math.log(high / low) if 0 < low < high else 0.0 for _, low, high in ends])
    weighted = bool(np.all(widths > 0))
    n = len(x)
    normal = float(norm.ppf(0.5 + ci_level / 2))
    sigma = widths / (2 * normal) if weighted else np.ones(n)
    weights = sigma**-2.0
    centre = np.average(x, weights=weights)
    spread = float(np.sum(weights * (x - centre) ** 2))
    slope = float(np.sum(weights * (x - centre) * y) / spread)
    offset = float(np.average(y, weights=weights) - slope * centre)
    chi_squared = float(np.sum(weights * (y - offset - slope * x) ** 2)) / (n - 2)
    error = math.sqrt(max(chi_squared, 1.0) / spread) if weighted else math.sqrt(chi_squared / spread)
    # Known uncertainties that explain the scatter make the error a normal one; a scatter is itself estimated.
    factor = normal if weighted and chi_squared <= 1 else float(student.ppf(0.5 + ci_level / 2, n - 2))
    low, high = slope - factor * error, slope + factor * error
    growth: Growth | None = "superlinear" if low > 1 else "sublinear" if high < 1 else "linear"
    if growth == "linear" and (low < 0.5 or high > 1.5):
        growth = None
    return PowerSeries(
        name=name,
        n_points=n,
        exponent=Quantity(value=slope, lo=low, hi=high),
        prefactor=math.exp(offset),
        scatter=math.sqrt(chi_squared) if weighted else None,
        growth=growth,
        ci_level=ci_level,
    )


def _positive(value: float, name: str, unit: str) -> float:
    if not 0 < value < math.inf:
        raise InputError(f"The {name} must be positive, not {value}{' ' + unit if unit else ''}.")
    return value


def _ends(quantity: Quantity, name: str) -> tuple[float, float, float]:
    if quantity.value is None:
        raise InputError(f"{name} has bounds but no value; give one.")
    low = quantity.value if quantity.lo is None else quantity.lo
    return quantity.value, low, quantity.value if quantity.hi is None else quantity.hi
