"""How many defects and carriers there are at a temperature, and the Fermi level that makes them neutral."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import PositiveFloat, model_validator
from scipy.constants import Boltzmann, e, electron_mass, hbar, pi

from midgap.defects.formation import DefectEnergy, FormationEnergies
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import ComputationError, InputError

KT_PER_K_EV = Boltzmann / e

BEYOND_THE_EDGES_EV = 1.0
"""The Fermi level is looked for so far outside the gap."""

BAND_STEPS, BAND_KT = 2000, 40.0
"""Free carriers are integrated so far into their band, in steps that grow from its edge as its states do."""


class Carriers(Document):
    """The bands of the perfect crystal, as one density of states.

    Attributes
    ----------
    energies_eV
        Above the VBM, ascending, shape (n,).
    states_per_eV_cell
        Both spins, per primitive cell, shape (n,).
    gap_eV
        What lies above is empty in the perfect crystal, what lies at or below 0 is full.
    cell_volume_ang3
        Of the primitive cell.
    """

    energies_eV: FloatArray
    states_per_eV_cell: FloatArray
    gap_eV: PositiveFloat
    cell_volume_ang3: PositiveFloat
    source: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Carriers:
        if self.energies_eV.ndim != 1 or self.energies_eV.shape != self.states_per_eV_cell.shape:
            raise ValueError("a density of states needs as many values as energies")
        if not (np.diff(self.energies_eV) > 0).all() or (self.states_per_eV_cell < 0).any():
            raise ValueError("energies of a density of states ascend, and its values are not negative")
        return self

    @classmethod
    def free(
        cls,
        gap_eV: float,
        electron_mass_me: float,
        hole_mass_me: float,
        cell_volume_ang3: float,
        temperature_K: float = 300.0,
    ) -> Carriers:
        """Parabolic bands of given density-of-states masses: N(E) = (2m)^{3/2} E^½ / (2π²ħ³).

        Parameters
        ----------
        temperature_K
            The highest it will be used at.
        """
        kT = KT_PER_K_EV * temperature_K
        depth = BAND_KT * kT * np.linspace(0.0, 1.0, BAND_STEPS + 1) ** 2

        def density(mass: float) -> np.ndarray:
            per_J_m3 = (2 * mass * electron_mass) ** 1.5 / (2 * pi**2 * hbar**3) * np.sqrt(depth * e)
            return per_J_m3 * e * 1e-30 * cell_volume_ang3

        return cls(
            energies_eV=np.concatenate([-depth[::-1], gap_eV + depth]),
            states_per_eV_cell=np.concatenate([density(hole_mass_me)[::-1], density(electron_mass_me)]),
            gap_eV=gap_eV,
            cell_volume_ang3=cell_volume_ang3,
            source=f"parabolic bands, m_e = {electron_mass_me:g}, m_h = {hole_mass_me:g}",
        )

    def per_cell(self, fermi_eV: float, temperature_K: float) -> tuple[float, float]:
        """Electrons in the conduction band and holes in the valence band, per primitive cell."""
        kT = KT_PER_K_EV * temperature_K
        x = np.clip((self.energies_eV - fermi_eV) / kT, -700, 700)
        above, below = self.energies_eV >= self.gap_eV, self.energies_eV <= 0
        electrons = np.where(above, self.states_per_eV_cell / (1 + np.exp(x)), 0.0)[above]
        holes = np.where(below, self.states_per_eV_cell / (1 + np.exp(-x)), 0.0)[below]
        return (
            float(np.trapezoid(electrons, self.energies_eV[above])),
            float(np.trapezoid(holes, self.energies_eV[below])),
        )


class Population(Document):
    """A defect in one charge state."""

    name: str
    charge: int
    per_cm3: float
    formation_energy_eV: float


class Equilibrium(Document):
    """Defects and carriers that make a neutral crystal.

    Attributes
    ----------
    fermi_eV
        Above the VBM.
    fermi_range_eV
        With donors cheaper and acceptors dearer by their uncertainties, and the other way round; None where one is
        not known, or the numbers are frozen in.
    temperature_K, frozen_at_K
        Of the carriers and charge states; and of the defects' numbers if those were fixed at another.
    net_charge_per_cm3
        What is left of it by the solution: a check.
    """

    host: str
    condition: str = ""
    temperature_K: float
    frozen_at_K: float | None = None
    fermi_eV: float
    fermi_range_eV: tuple[float, float] | None = None
    electrons_per_cm3: float
    holes_per_cm3: float
    defects: tuple[Population, ...]
    net_charge_per_cm3: float
    carriers: str = ""

    def total_per_cm3(self, name: str) -> float:
        """Of all charge states."""
        return sum(defect.per_cm3 for defect in self.defects if defect.name == name)


def equilibrium(
    energies: FormationEnergies,
    carriers: Carriers,
    temperature_K: float,
    *,
    frozen_at_K: float | None = None,
    fixed_per_cm3: Mapping[str, float] | None = None,
    dopants_per_cm3: float = 0.0,
) -> Equilibrium:
    """The Fermi level at which charges add up to nothing.

    Each charge state is occupied as N g exp(-E_f/kT) beside the empty site, so that a site holds one defect at
    most. Charges are p - n + Σ q c_q + dopants.

    Parameters
    ----------
    frozen_at_K
        Defects were formed at this temperature, and only carriers and charges equilibrate at ``temperature_K``.
    fixed_per_cm3
        Numbers of defects, all charge states together, by name: the rest equilibrates.
    dopants_per_cm3
        Charge of something else that stays as it is, donors positive, e/cm³.

    Raises
    ------
    InputError
        A temperature is not positive, or a name unknown.
    ComputationError
        No Fermi level within 1 eV of the gap makes the crystal neutral.
    """
    if not temperature_K > 0 or (frozen_at_K is not None and not frozen_at_K > 0):
        raise InputError("Temperatures are above zero kelvin.")
    fixed = {name: value / _per_cm3(carriers) for name, value in (fixed_per_cm3 or {}).items()}
    if unknown := sorted(set(fixed) - set(energies.names)):
        raise InputError(f"There is no defect {', '.join(unknown)}; there are {', '.join(energies.names)}.")
    extra = dopants_per_cm3 / _per_cm3(carriers)
    if frozen_at_K is not None:
        hot, _ = _neutral(energies, carriers, frozen_at_K, fixed, extra)
        formed = _occupied(energies, hot, frozen_at_K, fixed)
        fixed = {name: sum(formed[name, d.charge] for d in energies.states(name)) for name in energies.names}
    fermi, net = _neutral(energies, carriers, temperature_K, fixed, extra)
    electrons, holes = carriers.per_cell(fermi, temperature_K)
    populations = _occupied(energies, fermi, temperature_K, fixed)
    return Equilibrium(
        host=energies.host,
        condition=energies.condition,
        temperature_K=temperature_K,
        frozen_at_K=frozen_at_K,
        fermi_eV=fermi,
        fermi_range_eV=None if frozen_at_K is not None else _range(energies, carriers, temperature_K, fixed, extra),
        electrons_per_cm3=electrons * _per_cm3(carriers),
        holes_per_cm3=holes * _per_cm3(carriers),
        defects=tuple(
            Population(
                name=defect.name,
                charge=defect.charge,
                per_cm3=populations[defect.name, defect.charge] * _per_cm3(carriers),
                formation_energy_eV=energies.energy_eV(defect, fermi),
            )
            for defect in energies.defects
        ),
        net_charge_per_cm3=net * _per_cm3(carriers),
        carriers=carriers.source,
    )


def _per_cm3(carriers: Carriers) -> float:
    return 1e24 / carriers.cell_volume_ang3


def _occupied(
    energies: FormationEnergies, fermi_eV: float, temperature_K: float, fixed: Mapping[str, float]
) -> dict[tuple[str, int], float]:
    """Defects per primitive cell, by name and charge."""
    kT = KT_PER_K_EV * temperature_K
    found = {}
    for name in energies.names:
        states = energies.states(name)
        exponents = np.array([np.log(d.degeneracy) - energies.energy_eV(d, fermi_eV) / kT for d in states])
        highest = max(0.0, float(exponents.max()))
        weights = np.exp(exponents - highest)
        if name in fixed:
            parts = fixed[name] * weights / weights.sum()
        else:
            parts = states[0].sites_per_cell * weights / (np.exp(-highest) + weights.sum())
        found.update({(name, d.charge): float(part) for d, part in zip(states, parts, strict=True)})
    return found


def _neutral(
    energies: FormationEnergies, carriers: Carriers, temperature_K: float, fixed: Mapping[str, float], extra: float
) -> tuple[float, float]:
    """The Fermi level and the charge that is left per cell."""
    from scipy.optimize import brentq

    def charge(fermi: float) -> float:
        electrons, holes = carriers.per_cell(fermi, temperature_K)
        bound = sum(q * n for (_, q), n in _occupied(energies, fermi, temperature_K, fixed).items())
        return holes - electrons + bound + extra

    low, high = -BEYOND_THE_EDGES_EV, carriers.gap_eV + BEYOND_THE_EDGES_EV
    if charge(low) * charge(high) > 0:
        raise ComputationError(
            f"No Fermi level from {low:.1f} to {high:.1f} eV above the VBM makes the crystal neutral at {temperature_K:g} K; "
            "see whether a formation energy is below zero, or a dopant too strong."
        )
    fermi = float(brentq(charge, low, high, xtol=1e-12, rtol=8.9e-16))
    return fermi, charge(fermi)


def _range(
    energies: FormationEnergies, carriers: Carriers, temperature_K: float, fixed: Mapping[str, float], extra: float
) -> tuple[float, float] | None:
    """Donors cheaper and acceptors dearer by their uncertainties, and the other way round: the two extremes."""
    if any(defect.uncertainty_eV is None for defect in energies.defects):
        return None

    def moved(defect: DefectEnergy, way: int) -> DefectEnergy:
        change = -way * np.sign(defect.charge) * (defect.uncertainty_eV or 0.0)
        return defect.model_copy(update={"correction_eV": defect.correction_eV + float(change)})

    found = []
    for way in (-1, 1):
        shifted = energies.model_copy(update={"defects": tuple(moved(defect, way) for defect in energies.defects)})
        found.append(_neutral(shifted, carriers, temperature_K, fixed, extra)[0])
    return min(found), max(found)
