"""How long a transition takes to emit, from its oscillator strength."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat
from scipy.constants import c, e, electron_mass, epsilon_0, hbar, pi

from midgap.defects.report import Transition
from midgap.structures.document import Document
from midgap.structures.errors import InputError

LocalField = Literal["none", "virtual cavity", "real cavity"]


class RadiativeLifetime(Document):
    """The lifetime of a transition if it had nothing to do but emit.

    Attributes
    ----------
    oscillator_strength
        In emission: summed over the final states, averaged over the initial ones and over directions.
    refractive_index
        Of the surroundings at the photon's energy; the rate goes with it.
    local_field
        How the field at the defect differs from the mean one: ``none`` (an extended state), ``virtual cavity``
        ((n²+2)/3)² (Lorentz), ``real cavity`` (3n²/(2n²+1))² (Glauber and Lewenstein, Phys. Rev. A 43, 467
        (1991), doi 10.1103/PhysRevA.43.467).
    lifetime_ns
        1 / rate.
    """

    energy_eV: PositiveFloat
    oscillator_strength: PositiveFloat
    refractive_index: PositiveFloat
    local_field: LocalField
    rate_per_ns: PositiveFloat
    lifetime_ns: PositiveFloat


def radiative_lifetime(
    energy_eV: float, oscillator_strength: float, refractive_index: float = 1.0, local_field: LocalField = "none"
) -> RadiativeLifetime:
    """Einstein's A = n F e²ω² f / (2π ε₀ m c³), with the oscillator strength f in emission.

    (Hilborn, Am. J. Phys. 50, 982 (1982), doi 10.1119/1.12937, in vacuum; Stoneham, Theory of Defects in
    Solids, 1975, in a crystal.)

    Parameters
    ----------
    energy_eV
        Of the photon, eV: where a Kohn-Sham difference gave f, f itself goes with that difference, and may be
        taken to the photon's by its ratio.

    Raises
    ------
    InputError
        A value is not positive.
    """
    if not (energy_eV > 0 and oscillator_strength > 0 and refractive_index > 0):
        raise InputError(
            "A radiative lifetime needs a positive photon energy, oscillator strength and refractive index."
        )
    omega = energy_eV * e / hbar
    rate = e**2 * omega**2 * oscillator_strength / (2.0 * pi * epsilon_0 * electron_mass * c**3)
    rate *= refractive_index * local_field_factor(refractive_index, local_field) * 1e-9
    return RadiativeLifetime(
        energy_eV=energy_eV,
        oscillator_strength=oscillator_strength,
        refractive_index=refractive_index,
        local_field=local_field,
        rate_per_ns=rate,
        lifetime_ns=1.0 / rate,
    )


def local_field_factor(refractive_index: float, local_field: LocalField) -> float:
    """By how much the squared field at the emitter exceeds the mean one."""
    squared = refractive_index**2
    return {
        "none": 1.0,
        "virtual cavity": ((squared + 2.0) / 3.0) ** 2,
        "real cavity": (3.0 * squared / (2.0 * squared + 1.0)) ** 2,
    }[local_field]


def lifetime_of(
    transition: Transition,
    *,
    photon_eV: float | None = None,
    refractive_index: float = 1.0,
    local_field: LocalField = "none",
) -> RadiativeLifetime:
    """Of a transition of a level report.

    Parameters
    ----------
    photon_eV
        The photon's energy, where it is known better than by the difference of the levels; the dipole stays,
        so that the oscillator strength is scaled by the ratio of the two.

    Raises
    ------
    InputError
        The report has no oscillator strength for it, or it is forbidden.
    """
    strength = transition.oscillator_strength
    if strength is None:
        raise InputError(
            f"No oscillator strength of {transition.label} is known: its engine gave no dipoles (GPAW and PySCF do)."
        )
    if strength <= 0 or transition.energy_eV <= 0:
        raise InputError(f"{transition.label} does not emit: its oscillator strength is {strength:.2g}.")
    photon = transition.energy_eV if photon_eV is None else photon_eV
    return radiative_lifetime(photon, strength * photon / transition.energy_eV, refractive_index, local_field)
