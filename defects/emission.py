"""From energies of two charge states along the way between their geometries to what the defect emits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from pydantic import NonNegativeFloat
from pymatgen.core import IStructure

from midgap.defects.configuration_coordinate import (
    ConfigurationCoordinate,
    Parabola,
    delta_q,
    fit_parabola,
    with_carrier_eV,
)
from midgap.defects.corrections import (
    ChargeCorrection,
    extended_fnv,
    image_correction,
    vertical,
    vertical_fnv,
)
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.structures.document import Document
from midgap.structures.errors import InputError

OWN, OTHER = 0.0, 1.0
"""Places on the way that the corrections need: each state's own geometry, and the other's."""


class PathPoint(Document):
    """A charge state at a place on the way from its own relaxed geometry (0) to the other's (1)."""

    fraction: float
    electronic_structure: ElectronicStructure

    @property
    def energy_eV(self) -> float:
        energy = self.electronic_structure.total_energy_eV
        if energy is None:
            raise InputError("A point on the way has no total energy.")
        return energy


class Host(Document):
    """The pristine crystal in the same cell, with the edges that the carriers sit at.

    Attributes
    ----------
    vbm_eV, cbm_eV
        On the scale of ``electronic_structure``. Total energies and edges must be of one theory for the zero-phonon
        line to mean something; shapes and widths do not depend on them.
    uncertainty_eV
        Of the edges.
    """

    electronic_structure: ElectronicStructure
    vbm_eV: float
    cbm_eV: float
    uncertainty_eV: NonNegativeFloat | None = None


Constant = float | tuple[float, float, float] | tuple[tuple[float, float, float], ...]


class Screening(Document):
    """The dielectric constants that correct for images: numbers or tensors, relative to the vacuum.

    The electronic one is for geometries that did not relax with the charge: formation energies do without.
    """

    static: Constant
    electronic: Constant | None = None
    source: str = ""


def emission_diagram(
    ground: Sequence[PathPoint],
    excited: Sequence[PathPoint],
    host: Host,
    position_ang: np.ndarray,
    screening: Screening | None = None,
) -> ConfigurationCoordinate:
    """The configuration-coordinate diagram of the capture of a carrier with emission of light.

    In the ground state the defect has the charge of ``ground``; in the excited one that of ``excited``, and the
    carrier is at the band edge: an electron at the CBM if the charge is higher by one, a hole at the VBM if it is
    lower. The energies that corrections add vary along the way with the part of the polarisation that the
    atoms have: images by that part (`midgap.defects.corrections.vertical`), alignments linearly between the two
    ends.

    Parameters
    ----------
    ground, excited
        Three or more places each, 0 and 1 among them.
    position_ang
        Where the defect is, Cartesian, shape (3,), Å.
    screening
        None leaves the energies as they are, and says so.

    Raises
    ------
    InputError
        A place is missing, charges do not differ by one, or the geometries do not fit.
    """
    here, there = _by_fraction(ground, "ground"), _by_fraction(excited, "excited")
    low, high = here[OWN].electronic_structure, there[OWN].electronic_structure
    if abs(high.charge - low.charge) != 1:
        raise InputError(
            f"Ground and excited state have the charges {low.charge:+d} and {high.charge:+d}; they must differ by the one "
            "carrier that is captured."
        )
    length = delta_q(low.structure, high.structure)
    if length == 0:
        raise InputError("The two geometries are one: nothing relaxes, and there is no coordinate.")
    warnings: list[str] = []
    errors: list[float | None] = [host.uncertainty_eV]
    parabolas, points, own = [], [], []
    for name, mine, other in (("ground", here, there), ("excited", there, here)):
        correction = _Along(mine, other, host.electronic_structure, position_ang, screening)
        charge = mine[OWN].electronic_structure.charge
        errors.append(correction.uncertainty_eV)
        found = []
        for fraction, point in sorted(mine.items()):
            energy = point.energy_eV + correction.at(fraction)
            place = fraction if name == "ground" else 1.0 - fraction
            found.append((place * length, with_carrier_eV(energy, charge, low.charge, host.vbm_eV, host.cbm_eV)))
        if any(
            point.energy_eV + correction.at(f) < mine[OWN].energy_eV + correction.at(OWN) for f, point in mine.items()
        ):
            warnings.append(f"The {name} state is lower elsewhere on the way than where it was relaxed.")
        minimum = 0.0 if name == "ground" else length
        parabolas.append(_fitted(found, minimum))
        points.append(tuple(sorted(found)))
        own.append(next(energy for q, energy in found if abs(q - minimum) < 1e-9 * length))
        warnings += correction.warnings
    if screening is None:
        warnings.append(
            "Energies of charged cells are not corrected for their images: no dielectric constants were given."
        )
    theory, edges = low.energy_theory, host.electronic_structure.theory.label
    if theory == edges:
        warnings.append(f"The zero-phonon line rests on the gap of {theory}: what that misses is missing in it too.")
    else:
        warnings.append(
            f"Total energies are of {theory}, band edges of a {edges} calculation: the zero-phonon line mixes them."
        )
    known = [error for error in errors if error is not None]
    return ConfigurationCoordinate(
        delta_q=length,
        ground=parabolas[0],
        excited=parabolas[1],
        energy_difference_eV=own[1] - own[0],
        uncertainty_eV=float(np.linalg.norm(known)) if len(known) == len(errors) else None,
        ground_label=f"{low.charge:+d}" if low.charge else "0",
        excited_label=f"{high.charge:+d}" if high.charge else "0",
        points_ground=points[0],
        points_excited=points[1],
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _by_fraction(points: Sequence[PathPoint], name: str) -> dict[float, PathPoint]:
    found = {round(point.fraction, 9): point for point in points}
    if missing := [f"{place:g}" for place in (OWN, OTHER) if place not in found] or (["a third"] * (len(found) < 3)):
        raise InputError(
            f"The {name} state needs energies at 0, 1 and one place more; {', '.join(missing)} is missing."
        )
    for one, other in pairwise(found.values()):
        if one.electronic_structure.charge != other.electronic_structure.charge:
            raise InputError(f"The points of the {name} state have several charges.")
    return found


def _fitted(points: Sequence[tuple[float, float]], minimum: float) -> Parabola:
    return fit_parabola([q for q, _ in points], [energy for _, energy in points], minimum)


class _Along:
    """The correction of one charge state at each place."""

    def __init__(
        self,
        mine: dict[float, PathPoint],
        other: dict[float, PathPoint],
        host: ElectronicStructure,
        position_ang: np.ndarray,
        screening: Screening | None,
    ) -> None:
        self.screening = screening
        self.uncertainty_eV: float | None = None
        self.warnings: tuple[str, ...] = ()
        if screening is None:
            return
        if screening.electronic is None:
            raise InputError(
                "What is emitted in a geometry of another charge needs the electronic dielectric constant too: give the "
                "screening an electronic one."
            )
        first, last = mine[OWN].electronic_structure, mine[OTHER].electronic_structure
        partner = other[OWN].electronic_structure
        assert isinstance(first.structure, IStructure)
        self.lattice = first.structure.lattice.matrix
        self.charge, self.partner = first.charge, partner.charge
        if host.site_potentials_eV is None or first.site_potentials_eV is None:
            self.ends = (0.0, 0.0)
            self.warnings = ("There are no site potentials: images are corrected for, alignments are not.",)
            return
        at_home: ChargeCorrection = extended_fnv(first, host, position_ang, screening.static)
        away = vertical_fnv(last, partner, host, position_ang, screening.static, screening.electronic)
        self.ends = (at_home.alignment_term_eV, away.alignment_term_eV)
        self.uncertainty_eV = at_home.uncertainty_eV
        self.warnings = (*at_home.warnings, *away.warnings)

    def at(self, fraction: float) -> float:
        if self.screening is None or self.screening.electronic is None:
            return 0.0
        relaxed_for = (1.0 - fraction) * self.charge + fraction * self.partner
        charges = vertical(relaxed_for, self.charge - relaxed_for, self.screening.static, self.screening.electronic)
        image = image_correction(self.lattice, charges).image_term_eV
        return image + (1.0 - fraction) * self.ends[0] + fraction * self.ends[1]
