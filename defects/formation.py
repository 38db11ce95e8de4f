"""Formation energies of charged defects, and the levels at which their charge changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from midgap.structures.document import Document
from midgap.structures.errors import InputError


class DefectEnergy(Document):
    """A supercell with a defect in one charge state.

    Attributes
    ----------
    name
        Of the defect, without its charge: ``V_Br1``.
    energy_eV, host_energy_eV
        Total energies of the supercell with and without the defect, by one engine at one level of theory.
    exchanged
        Atoms of each element that were put in (positive) or taken out (negative): ``{"Br": -1}``.
    correction_eV
        For finite size, to be added; see `midgap.defects.corrections.ChargeCorrection.energy_eV`.
    sites_per_cell
        Equivalent sites in the host's primitive cell.
    degeneracy
        Of spin and orientation, over that of the perfect site.
    uncertainty_eV
        Of the formation energy, chemical potentials aside; None if it is not known.
    """

    name: str
    charge: int
    energy_eV: float
    host_energy_eV: float
    exchanged: dict[str, int]
    correction_eV: float = 0.0
    sites_per_cell: PositiveFloat = 1.0
    degeneracy: PositiveFloat = 1.0
    uncertainty_eV: NonNegativeFloat | None = None
    source: str = ""


class TransitionLevel(Document):
    """The Fermi energy at which two charge states cost the same: ε(q/q').

    Attributes
    ----------
    charges
        The more positive one first: it is stable below the level.
    above_vbm_eV
        Of the host.
    uncertainty_eV
        From those of the two energies, taken as independent; None if one is not known.
    """

    name: str
    charges: tuple[int, int]
    above_vbm_eV: float
    uncertainty_eV: float | None = None

    @property
    def label(self) -> str:
        """``ε(+1/0)``."""
        return f"ε({'/'.join(f'{q:+d}' if q else '0' for q in self.charges)})"


class FormationEnergies(Document):
    """Defects of one host at one point in the space of chemical potentials.

    Attributes
    ----------
    vbm_eV
        Of the host, on the scale of its own calculation; charged cells are aligned to it by their corrections.
    gap_eV
        Of the host, by the theory that the levels are to be read against.
    potentials_eV
        Absolute chemical potentials on the scale of the total energies, eV an atom.
    condition
        In words: ``Br-poor``.
    """

    host: str
    vbm_eV: float
    gap_eV: PositiveFloat
    potentials_eV: dict[str, float]
    condition: str = ""
    defects: tuple[DefectEnergy, ...]
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> FormationEnergies:
        needed = {element for defect in self.defects for element, n in defect.exchanged.items() if n}
        if missing := sorted(needed - set(self.potentials_eV)):
            raise ValueError(f"the chemical potential of {', '.join(missing)} is missing")
        states = [(defect.name, defect.charge) for defect in self.defects]
        if len(set(states)) < len(states):
            raise ValueError("a defect is there twice in one charge state; keep the one of lowest energy")
        return self

    def facts(self) -> dict[str, Any]:
        return {name: value for name, value in super().facts().items() if name != "defects"}

    def rows(self) -> list[dict[str, Any]]:
        """One row a charge state, the most positive of each defect first."""
        return [
            {
                "name": state.name,
                "charge": state.charge,
                "at_vbm_eV": self.at_vbm_eV(state),
                "at_cbm_eV": self.energy_eV(state, self.gap_eV),
                "correction_eV": state.correction_eV,
                "uncertainty_eV": state.uncertainty_eV,
            }
            for name in self.names
            for state in self.states(name)
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The defects, each once."""
        return tuple(dict.fromkeys(defect.name for defect in self.defects))

    def at_vbm_eV(self, defect: DefectEnergy) -> float:
        """Formation energy with the Fermi level at the VBM: the intercept of its line of slope q."""
        exchanged = sum(n * self.potentials_eV[element] for element, n in defect.exchanged.items())
        bound = defect.energy_eV + defect.correction_eV - defect.host_energy_eV
        return bound - exchanged + defect.charge * self.vbm_eV

    def energy_eV(self, defect: DefectEnergy, fermi_eV: float) -> float:
        """E_f = E_D + E_corr - E_host - Σ n_i μ_i + q (E_VBM + E_F).

        (Zhang and Northrup, Phys. Rev. Lett. 67, 2339 (1991); Freysoldt et al., Rev. Mod. Phys. 86, 253 (2014),
        doi 10.1103/RevModPhys.86.253.)

        Parameters
        ----------
        fermi_eV
            Above the VBM.
        """
        return self.at_vbm_eV(defect) + defect.charge * fermi_eV

    def states(self, name: str) -> list[DefectEnergy]:
        """The charge states of a defect, the most positive first."""
        found = sorted((d for d in self.defects if d.name == name), key=lambda d: -d.charge)
        if not found:
            raise InputError(f"There is no defect {name!r}; there are {', '.join(self.names)}.")
        return found

    def stable(self, name: str, fermi_eV: float) -> DefectEnergy:
        """The charge state of lowest energy."""
        return min(self.states(name), key=lambda defect: self.energy_eV(defect, fermi_eV))

    def levels(self, name: str) -> list[TransitionLevel]:
        """Levels between neighbours among the stable charge states, ascending, in the gap or not.

        Charge states that are lowest at no Fermi energy are passed over: their levels are crossings of lines
        above the lower envelope (negative U).
        """
        lower: list[DefectEnergy] = []
        for state in self.states(name):
            while len(lower) > 1 and self._crossing(lower[-1], state) <= self._crossing(lower[-2], lower[-1]):
                lower.pop()
            lower.append(state)
        return [self.level(one, other) for one, other in pairwise(lower)]

    def level(self, one: DefectEnergy, other: DefectEnergy) -> TransitionLevel:
        """ε(q/q') of any two charge states, thermodynamically stable or not."""
        high, low = sorted((one, other), key=lambda defect: -defect.charge)
        error = None
        if high.uncertainty_eV is not None and low.uncertainty_eV is not None:
            error = float(np.hypot(high.uncertainty_eV, low.uncertainty_eV)) / (high.charge - low.charge)
        return TransitionLevel(
            name=high.name,
            charges=(high.charge, low.charge),
            above_vbm_eV=self._crossing(high, low),
            uncertainty_eV=error,
        )

    def _crossing(self, one: DefectEnergy, other: DefectEnergy) -> float:
        return (self.at_vbm_eV(other) - self.at_vbm_eV(one)) / (one.charge - other.charge)

    def lines(self, name: str, fermi_eV: Sequence[float] | np.ndarray) -> np.ndarray:
        """Energy of the stable charge state at each Fermi energy, shape (n,), eV: what is usually drawn."""
        fermi = np.asarray(fermi_eV, dtype=float)
        return np.min([self.at_vbm_eV(d) + d.charge * fermi for d in self.states(name)], axis=0)

    def under(self, potentials_eV: Mapping[str, float], condition: str = "") -> FormationEnergies:
        """The same defects at other absolute chemical potentials."""
        return FormationEnergies(
            **{
                name: getattr(self, name)
                for name in type(self).model_fields
                if name not in ("potentials_eV", "condition")
            },
            potentials_eV=dict(potentials_eV),
            condition=condition,
        )
