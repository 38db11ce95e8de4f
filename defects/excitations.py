"""Neutral excitations as differences of total energies (ΔSCF): which electron goes where, and what that costs."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from pydantic import PositiveInt

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.localization import normalised_weights, participation_ratio
from midgap.defects.parsers.densities import bands_of
from midgap.defects.report import LevelReport
from midgap.structures.document import Document
from midgap.structures.errors import InputError

Spin = Literal["up", "down"]
CHANNELS: tuple[Spin, Spin] = ("up", "down")

FALLEN_EV = 0.01
"""An excited state that lies less above the ground state is the ground state again."""


class Promotion(Document):
    """One electron taken out of a filled band and put into an empty one.

    Attributes
    ----------
    from_band, to_band
        Counted from 1 with all bands of the spin channel, by energy in the ground state.
    spin
        Of the electron before.
    flips
        It is turned over on the way: ``to_band`` is one of the other channel.
    """

    from_band: PositiveInt
    to_band: PositiveInt
    spin: Spin = "up"
    flips: bool = False

    @property
    def to_spin(self) -> Spin:
        return self.spin if not self.flips else CHANNELS[1 - CHANNELS.index(self.spin)]

    @property
    def label(self) -> str:
        return f"{self.from_band}{_arrow(self.spin)} → {self.to_band}{_arrow(self.to_spin)}"

    def flipped(self) -> Promotion:
        """The same orbitals, and the electron turned over: the triplet of a closed shell."""
        return self.model_copy(update={"flips": not self.flips})

    def of(self, ground: np.ndarray) -> np.ndarray:
        """The occupations afterwards, shape (2, band).

        Parameters
        ----------
        ground
            Those before, 0 or 1, shape (2, band).

        Raises
        ------
        InputError
            There is no electron to take, or no room for it.
        """
        start, end = CHANNELS.index(self.spin), CHANNELS.index(self.to_spin)
        if max(self.from_band, self.to_band) > ground.shape[1]:
            raise InputError(f"There are {ground.shape[1]} bands; {self.label} needs more: ask for more empty bands.")
        if ground[start, self.from_band - 1] < 0.5 or ground[end, self.to_band - 1] > 0.5:
            raise InputError(f"{self.label} takes no electron from a filled band to an empty one.")
        found = np.array(ground, dtype=float)
        found[start, self.from_band - 1] -= 1.0
        found[end, self.to_band - 1] += 1.0
        return found


def _arrow(spin: Spin) -> str:
    return "↑" if spin == "up" else "↓"


def promotion(report: LevelReport, ground: ElectronicStructure, start: str, end: str) -> Promotion:
    """The bands that are meant by words, without a flip of the spin.

    Parameters
    ----------
    report
        Of ``ground``, without spin-orbit coupling.
    ground
        Both spin channels, at Γ.
    start, end
        ``VBM``, ``CBM``, or ``level 1`` for the lowest level in the gap, resonant ones not counted. The edges are the
        highest filled and the lowest empty band of the channel that are no such level. Two edges: spin up.

    Raises
    ------
    InputError
        A word is none of these, the spins do not fit, or the calculation is of another kind.
    """
    if ground.spinor or len(ground.eigenvalues_eV) != 2 or ground.eigenvalues_eV.shape[1] != 1:
        raise InputError("An electron is promoted between scalar bands of both spins at one k-point.")
    chosen = [_level(report, word) for word in (start, end)]
    spins = [level_spin for level in chosen if level is not None and (level_spin := _own_spin(report, level))]
    if len(set(spins)) > 1:
        raise InputError(f"{start} and {end} have different spins; light does not turn the electron over.")
    spin: Spin = spins[0] if spins else "up"
    channel = CHANNELS.index(spin)
    levels = {
        band
        for level in report.levels
        if level.kind != "resonant"
        for of, band in bands_of(level, 2, spinor=False)
        if of == channel
    }
    filled = round(ground.filled(channel)) + ground.first_band
    last = ground.first_band + ground.eigenvalues_eV.shape[2]
    edges = {
        "vbm": max((band for band in range(filled) if band not in levels), default=None),
        "cbm": min((band for band in range(filled, last) if band not in levels), default=None),
    }
    found = []
    for word, level in zip((start, end), chosen, strict=True):
        if level is None:
            band = edges[word.strip().lower()]
        else:
            mine = [band for of, band in bands_of(report.levels[level], 2, spinor=False) if of == channel]
            # Of a degenerate level the electron nearest to the other edge goes, or stays nearest to it.
            band = max(mine) if word is start else min(mine)
        if band is None:
            raise InputError(f"The bands of the calculation do not reach to the {word}.")
        found.append(band + 1)
    made = Promotion(from_band=found[0], to_band=found[1], spin=spin)
    if found[0] > filled or found[1] <= filled:
        raise InputError(f"{start} → {end} takes no electron from a filled band to an empty one.")
    return made


def _level(report: LevelReport, word: str) -> int | None:
    """Index of the level that a word means; None for an edge."""
    if word.strip().lower() in ("vbm", "cbm"):
        return None
    number = re.fullmatch(r"(?:level\s*)?(\d+)", word.strip().lower())
    if number is None:
        raise InputError(f"{word!r} is no place of an electron; say VBM, CBM, or level 1.")
    inside = [index for index, level in enumerate(report.levels) if level.kind != "resonant"]
    place = int(number[1]) - 1
    if not 0 <= place < len(inside):
        raise InputError(f"There is no {word}: {report.model} has {len(inside)} level(s) in the gap.")
    return inside[place]


def _own_spin(report: LevelReport, index: int) -> Spin | None:
    spin = report.levels[index].spin
    if spin == "spinor":
        raise InputError("An electron is promoted between scalar bands; find the levels without spin-orbit coupling.")
    return None if spin == "both" else spin


class Carrier(Document):
    """Where the promoted electron, or the hole that it leaves, sits.

    Attributes
    ----------
    band
        Counted from 1, by energy in the excited state.
    participation_ratio
        1/Σ w²: about how many sites share it.
    sites, weights
        The sites that hold most of it, counted from 0, with the part of each, down to nine tenths of the whole.
    """

    band: int
    spin: Spin
    energy_eV: float
    participation_ratio: float | None = None
    sites: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    by_species: dict[str, float] = {}


def carriers(excited: ElectronicStructure, promoted: Promotion) -> tuple[Carrier, Carrier]:
    """The electron and the hole of an excited state, by its occupations.

    Where the electrons of a channel fill its lowest bands, as in a triplet, the electron is in the highest filled one,
    and the hole in the lowest empty one.
    """
    weights = normalised_weights(excited)

    def carrier(spin: Spin, electron: bool) -> Carrier:
        channel = CHANNELS.index(spin)
        filled = excited.occupations[channel, 0] > 0.5
        count = int(filled.sum())
        odd = np.flatnonzero(filled[count:]) + count if electron else np.flatnonzero(~filled[:count])
        band = int(odd[0]) if len(odd) else (count - 1 if electron else count)
        where: dict[str, object] = {}
        if weights is not None:
            mine = weights[channel, 0, band]
            order = np.argsort(-mine)
            enough = int(np.searchsorted(np.cumsum(mine[order]), 0.9)) + 1
            species = [site.specie.symbol for site in excited.structure]
            where = {
                "participation_ratio": float(participation_ratio(mine)),
                "sites": tuple(int(site) for site in order[:enough]),
                "weights": tuple(round(float(mine[site]), 4) for site in order[:enough]),
                "by_species": {
                    one: round(float(sum(w for s, w in zip(species, mine, strict=True) if s == one)), 4)
                    for one in dict.fromkeys(species)
                },
            }
        return Carrier.from_dict(
            {
                "band": band + 1 + excited.first_band,
                "spin": spin,
                "energy_eV": float(excited.eigenvalues_eV[channel, 0, band]),
                **where,
            }
        )

    return carrier(promoted.to_spin, True), carrier(promoted.spin, False)


class VerticalExcitation(Document):
    """Ground and excited state in one geometry.

    Attributes
    ----------
    ground_eV, excited_eV
        Total energies; the excited state is one determinant, the electron with its old spin.
    triplet_eV
        With the electron turned over: where the ground state is a closed shell, else None.
    """

    ground_eV: float
    excited_eV: float
    triplet_eV: float | None = None
    electron: Carrier
    hole: Carrier

    @property
    def determinant_eV(self) -> float:
        """Excited determinant less ground state."""
        return self.excited_eV - self.ground_eV

    @property
    def singlet_eV(self) -> float | None:
        """The open-shell singlet, 2 E(mixed) - E(triplet): the determinant is half singlet, half triplet.

        Ziegler, Rauk and Baerends, Theor. Chim. Acta 43, 261 (1977), doi 10.1007/BF00551551.
        """
        return None if self.triplet_eV is None else 2 * self.determinant_eV - (self.triplet_eV - self.ground_eV)

    @property
    def triplet_above_eV(self) -> float | None:
        """The triplet less the ground state."""
        return None if self.triplet_eV is None else self.triplet_eV - self.ground_eV

    @property
    def energy_eV(self) -> float:
        """What light of this geometry has: the singlet of a closed shell, else the determinant."""
        singlet = self.singlet_eV
        return self.determinant_eV if singlet is None else singlet


class NeutralExcitation(Document):
    """An electron moved within one charge state: absorbed where the ground state rests, emitted where the excited one does.

    Attributes
    ----------
    start, end
        As asked.
    theory
        Of the total energies.
    emission
        In the geometry that the excited determinant relaxed to; None if it was not relaxed.
    delta_q
        From one geometry to the other, amu^½ Å.
    """

    model: str
    label: str
    start: str
    end: str
    theory: str
    promotion: Promotion
    absorption: VerticalExcitation
    emission: VerticalExcitation | None = None
    delta_q: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def relaxation_excited_eV(self) -> float | None:
        """What the excited determinant gains by relaxing."""
        return None if self.emission is None else self.absorption.excited_eV - self.emission.excited_eV

    @property
    def relaxation_ground_eV(self) -> float | None:
        """What the ground state gains by going back."""
        return None if self.emission is None else self.emission.ground_eV - self.absorption.ground_eV

    def rows(self) -> list[dict[str, object]]:
        """One row a geometry."""
        return [
            {
                "geometry": name,
                "energy_eV": one.energy_eV,
                "determinant_eV": one.determinant_eV,
                "triplet_eV": one.triplet_above_eV,
                "electron_on": one.electron.by_species,
                "hole_on": one.hole.by_species,
            }
            for name, one in (("ground", self.absorption), ("excited", self.emission))
            if one is not None
        ]


def warnings_of(points: list[VerticalExcitation]) -> tuple[str, ...]:
    """What is doubtful about vertical excitations."""
    found = []
    for one in points:
        if one.determinant_eV < FALLEN_EV:
            found.append(
                f"The excited state lies {one.determinant_eV:.3f} eV above the ground state: the electron fell back, or the "
                "states cross."
            )
        if one.triplet_eV is not None and one.triplet_eV > one.excited_eV + FALLEN_EV:
            found.append("The triplet lies above the mixed determinant: the two are not of the same orbitals.")
    return tuple(dict.fromkeys(found))
