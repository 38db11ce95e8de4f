"""Competing phases: where in the space of chemical potentials a compound is stable, and what limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from pydantic import NonNegativeFloat, field_validator
from pymatgen.core import Composition, Element

from midgap.structures.document import Document
from midgap.structures.errors import InputError

HULL_ROUNDING_EV = 1e-9

SAME_PHASE_EV = 1e-6
"""A potential this close to the boundary of a phase is on it."""


class Phase(Document):
    """A compound or element and its energy.

    Attributes
    ----------
    formula
        Of what the energy is given for: of a unit cell or of a formula unit.
    energy_eV
        Total energy of that many atoms, at one level of theory with all the others.
    uncertainty_eV
        Of that energy; None if it is not known.
    source
        Where it comes from: a folder, a database's entry, a paper.
    """

    formula: str
    energy_eV: float
    uncertainty_eV: NonNegativeFloat | None = None
    source: str = ""

    @field_validator("formula")
    @classmethod
    def _known(cls, formula: str) -> str:
        try:
            composition = Composition(formula)
        except Exception:
            raise ValueError(f"{formula!r} is not a chemical formula") from None
        if not composition or not all(Element.is_valid_symbol(str(el)) for el in composition):
            raise ValueError(f"{formula!r} is not a chemical formula")
        return formula

    @property
    def composition(self) -> Composition:
        return Composition(self.formula)

    @property
    def name(self) -> str:
        """Reduced formula."""
        return self.composition.reduced_formula

    @property
    def energy_eV_per_atom(self) -> float:
        return self.energy_eV / self.composition.num_atoms


class Limit(Document):
    """A corner of the region of stability.

    Attributes
    ----------
    potentials_eV
        Δμ of each element relative to its elemental phase, eV an atom, at most 0.
    phases
        The compound and what it is in equilibrium with here.
    uncertainty_eV
        Of each Δμ, from those of the phases' energies, taken as independent; None if one is not known.
    impurities_eV, precipitates
        The largest Δμ of each element that the compound does not have, and the phase that would come out beyond.
    """

    potentials_eV: dict[str, float]
    phases: tuple[str, ...]
    uncertainty_eV: dict[str, float] | None = None
    impurities_eV: dict[str, float] = {}
    precipitates: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The competing phases: ``CsBr-Pb``."""
        return "-".join(self.phases[1:])


class StabilityRegion(Document):
    """Where a compound is stable against all the phases that were considered.

    Attributes
    ----------
    compound
        Reduced formula.
    formation_energy_eV
        Of a formula unit from the elements.
    references_eV
        Energy of an atom in its elemental phase, impurities included.
    limits
        Corners of the region.
    phases
        What was considered.
    """

    compound: str
    formation_energy_eV: float
    references_eV: dict[str, float]
    limits: tuple[Limit, ...]
    phases: tuple[Phase, ...]

    def rich(self, element: str) -> Limit:
        """The corner where an element is most abundant; of equals, the first.

        Raises
        ------
        InputError
            The compound does not have the element.
        """
        return max(self.limits, key=lambda limit: self._potential(limit, element))

    def poor(self, element: str) -> Limit:
        """The corner where an element is scarcest.

        Raises
        ------
        InputError
            The compound does not have the element.
        """
        return min(self.limits, key=lambda limit: self._potential(limit, element))

    def absolute_eV(self, limit: Limit) -> dict[str, float]:
        """μ on the scale of the total energies."""
        relative = limit.potentials_eV | limit.impurities_eV
        return {element: self.references_eV[element] + value for element, value in relative.items()}

    def _potential(self, limit: Limit, element: str) -> float:
        if element not in limit.potentials_eV:
            raise InputError(f"{self.compound} has no {element}; it has {', '.join(limit.potentials_eV)}.")
        return round(limit.potentials_eV[element], 9)


def stability_region(compound: str, phases: Sequence[Phase]) -> StabilityRegion:
    """The region in which ``compound`` neither decomposes nor grows another phase.

    Σ x_i Δμ_i is the compound's formation energy, and at most that of each other phase; the corners are taken
    from pymatgen's phase diagram.

    Parameters
    ----------
    phases
        The compound, its elements, and whatever else it competes with. Of several with one formula, the lowest
        counts. Phases with a further element bound the chemical potential of that impurity.

    Raises
    ------
    InputError
        The compound or an element is missing, or the compound is unstable; says against what and by how much.
    """
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

    wanted = Composition(compound).reduced_composition
    elements = [str(el) for el in sorted(wanted.elements, key=lambda el: el.X)]
    lowest: dict[str, Phase] = {}
    for phase in phases:
        known = lowest.get(phase.name)
        if known is None or phase.energy_eV_per_atom < known.energy_eV_per_atom:
            lowest[phase.name] = phase
    own = next((phase for phase in lowest.values() if phase.composition.reduced_composition == wanted), None)
    alone = {str(phase.composition.elements[0]): phase for phase in lowest.values() if phase.composition.is_element}
    if missing := [el for el in elements if el not in alone]:
        raise InputError(
            f"The elemental phase of {', '.join(missing)} is missing; chemical potentials are told from it."
        )
    if own is None:
        raise InputError(f"{wanted.reduced_formula} itself is not among the phases.")
    pure = [phase for phase in lowest.values() if {str(el) for el in phase.composition} <= set(elements)]
    entries = {phase.name: PDEntry(phase.composition, phase.energy_eV) for phase in pure}
    diagram = PhaseDiagram(list(entries.values()))
    entry = entries[own.name]
    above = diagram.get_e_above_hull(entry) or 0.0
    if above > 1e-8:
        into = ", ".join(e.composition.reduced_formula for e in diagram.get_decomposition(own.composition))
        raise InputError(
            f"With these energies {own.name} is {1e3 * above:.1f} meV an atom above {into}: it is stable nowhere, and has "
            "no limits of its chemical potentials."
        )
    impurities = [el for el in alone if el not in elements]
    references = {el: alone[el].energy_eV_per_atom for el in [*elements, *impurities]}
    limits = []
    for potentials in diagram.get_all_chempots(own.composition).values():
        relative = {el: float(potentials[Element(el)]) - references[el] for el in elements}
        dissolved = {el: _solubility(el, relative, list(lowest.values()), references) for el in impurities}
        update = {
            "impurities_eV": {el: value for el, (value, _) in dissolved.items()},
            "precipitates": {el: phase.name for el, (_, phase) in dissolved.items()},
        }
        limits.append(_limit(relative, own, pure, references).model_copy(update=update))
    unique = {tuple(round(x, 6) for x in limit.potentials_eV.values()): limit for limit in limits}
    ordered = sorted(unique.values(), key=lambda limit: [-x for x in reversed(limit.potentials_eV.values())])
    return StabilityRegion(
        compound=own.name,
        formation_energy_eV=_formation_eV(own, references) / (own.composition.num_atoms / wanted.num_atoms),
        references_eV=references,
        limits=tuple(ordered),
        phases=tuple(lowest.values()),
    )


def _formation_eV(phase: Phase, references: Mapping[str, float]) -> float:
    """Of as many atoms as the phase's formula has."""
    return phase.energy_eV - sum(n * references[str(el)] for el, n in phase.composition.items())


def _limit(potentials: dict[str, float], own: Phase, phases: Sequence[Phase], references: Mapping[str, float]) -> Limit:
    def distance(phase: Phase) -> float:
        formed = sum(n * potentials[str(el)] for el, n in phase.composition.items())
        return abs(_formation_eV(phase, references) - formed) / phase.composition.num_atoms

    here = [own, *(phase for phase in phases if phase is not own and distance(phase) < SAME_PHASE_EV)]
    return Limit(
        potentials_eV={el: 0.0 if abs(value) < HULL_ROUNDING_EV else value for el, value in potentials.items()},
        phases=tuple(phase.name for phase in here),
        uncertainty_eV=_propagated(here, phases, list(potentials)),
    )


def _solubility(
    impurity: str, potentials: Mapping[str, float], phases: Sequence[Phase], references: Mapping[str, float]
) -> tuple[float, Phase]:
    """The Δμ of an impurity beyond which the first of its phases would precipitate, and that phase."""

    def bound(phase: Phase) -> float:
        others = sum(n * potentials[str(el)] for el, n in phase.composition.items() if str(el) != impurity)
        return (_formation_eV(phase, references) - others) / phase.composition[impurity]

    known = [
        phase
        for phase in phases
        if phase.composition[impurity] and {str(el) for el in phase.composition} <= {*potentials, impurity}
    ]
    first = min(known, key=bound)
    return bound(first), first


def _propagated(here: Sequence[Phase], phases: Sequence[Phase], elements: Sequence[str]) -> dict[str, float] | None:
    """μ - μ_element is linear in the energies of the phases that meet: exact, and correlated through shared phases."""
    independent = _independent(here, elements)
    alone = [next(p for p in phases if p.composition.elements == [Element(el)]) for el in elements]
    involved = {phase.name: phase for phase in [*independent, *alone]}
    if len(independent) < len(elements) or any(phase.uncertainty_eV is None for phase in involved.values()):
        return None
    names = list(involved)
    amounts = np.array([[phase.composition[el] for el in elements] for phase in independent])
    onto = np.zeros((len(independent), len(names)))
    for row, phase in enumerate(independent):
        onto[row, names.index(phase.name)] = 1.0
    slopes = np.linalg.solve(amounts, onto)
    for row, phase in enumerate(alone):
        slopes[row, names.index(phase.name)] -= 1.0 / phase.composition.num_atoms
    errors = np.array([involved[name].uncertainty_eV or 0.0 for name in names])
    return {el: float(np.linalg.norm(slopes[row] * errors)) for row, el in enumerate(elements)}


def _independent(here: Sequence[Phase], elements: Sequence[str]) -> list[Phase]:
    def grown(chosen: list[Phase], phase: Phase) -> list[Phase]:
        rows = [[p.composition[el] for el in elements] for p in [*chosen, phase]]
        return [*chosen, phase] if np.linalg.matrix_rank(rows) == len(rows) else chosen

    return reduce(grown, here, [])
