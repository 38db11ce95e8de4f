"""Vacancies: which sites are different, and the supercell with one atom taken out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import NonNegativeInt, PositiveInt
from pymatgen.core import Element, IStructure

from midgap.structures.crystals import SYMPREC_ANG, spglib_cell
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError
from midgap.structures.model import Model, Vacancy


class Site(Document):
    """A symmetry-inequivalent site of an element.

    Attributes
    ----------
    label
        Element and running number, ``Br1``.
    index
        A representative atom in the structure searched.
    equivalent
        All atoms of the orbit.
    """

    label: str
    element: str
    wyckoff: str
    index: NonNegativeInt
    equivalent: tuple[int, ...]
    position_frac: FloatArray

    @property
    def multiplicity(self) -> PositiveInt:
        return len(self.equivalent)


LARGEST_CHARGE = 8
"""The largest oxidation state there is."""


def inequivalent_sites(structure: IStructure, species: str | None = None) -> list[Site]:
    """The symmetry-inequivalent sites, of one element or of all, in the order of the atoms.

    The Wyckoff position is named with the multiplicity in the conventional cell, as in the
    International Tables: ``36f``.

    Raises
    ------
    InputError
        The element does not occur, or the space group cannot be found.
    """
    import spglib

    symbols = [site.specie.symbol for site in structure]
    if species is not None and species not in symbols:
        raise InputError(
            f"There is no {species} in {structure.composition.reduced_formula} to take out; "
            f"choose one of {', '.join(dict.fromkeys(symbols))}."
        )
    dataset = spglib.get_symmetry_dataset(spglib_cell(structure), symprec=SYMPREC_ANG)
    if dataset is None:
        raise InputError("The space group of this structure cannot be found; are two atoms on top of each other?")
    # atoms of the conventional cell for one atom here
    per_atom = len(dataset.std_types) / len(structure)
    sites: list[Site] = []
    for index, symbol in enumerate(symbols):
        if dataset.crystallographic_orbits[index] != index or (species is not None and symbol != species):
            continue
        orbit = np.flatnonzero(dataset.crystallographic_orbits == index)
        number = 1 + sum(site.element == symbol for site in sites)
        sites.append(
            Site(
                label=f"{symbol}{number}",
                element=symbol,
                wyckoff=f"{round(len(orbit) * per_atom)}{dataset.wyckoffs[index]}",
                index=index,
                equivalent=tuple(int(i) for i in orbit),
                position_frac=structure[index].frac_coords,
            )
        )
    return sites


def usual_charges(species: str) -> tuple[int, ...]:
    """Charge states worth a look for a vacancy of an element: from neutral to without its ion, one more for a halogen.

    Taking out an ion of charge z leaves -z: Br⁻ leaves +1, O²⁻ +2, Pb²⁺ -2.
    """
    element = Element(species)
    if element.is_halogen:
        return (-1, 0, 1)
    if element.is_chalcogen:
        return (0, 1, 2)
    charge = next(iter(element.common_oxidation_states), 0)
    return tuple(range(0, -charge - 1, -1)) if charge > 0 else tuple(range(0, -charge + 1))


def check_charge(charge: int) -> None:
    """Refuse what no vacancy can hold.

    Raises
    ------
    InputError
        The charge is beyond ±8.
    """
    if abs(charge) > LARGEST_CHARGE:
        raise InputError(
            f"A vacancy of charge {charge:+d} makes no sense; give charges from -{LARGEST_CHARGE} to +{LARGEST_CHARGE}."
        )


def make_vacancy(
    host: IStructure,
    site: Site,
    position_ang: np.ndarray,
    charge: int,
    *,
    material: str,
    name: str,
    supercell_matrix: Sequence[Sequence[int]] | None = None,
    provenance: dict[str, str] | None = None,
    of_sites: int = 1,
) -> Model:
    """Take the atom at ``position_ang`` (Cartesian, shape (3,), Å) out of the supercell ``host``.

    Raises
    ------
    InputError
        No atom of the site's element is within 0.1 Å of the position.
    """
    check_charge(charge)
    target = host.lattice.get_fractional_coords(position_ang)
    distances = host.lattice.get_all_distances([target], host.frac_coords)[0]
    index = int(np.argmin(distances))
    if distances[index] > 0.1 or host[index].specie.symbol != site.element:
        raise InputError(
            f"{name}: there is no {site.element} at {np.round(position_ang, 3).tolist()} Å in the supercell."
        )
    rest = [atom for i, atom in enumerate(host) if i != index]
    return Model(
        name=name,
        kind="vacancy",
        material=material,
        structure=IStructure(host.lattice, [a.specie.symbol for a in rest], [a.frac_coords for a in rest]),
        charge=charge,
        supercell_matrix=None
        if supercell_matrix is None
        else tuple(tuple(int(x) for x in row) for row in supercell_matrix),
        vacancy=Vacancy(
            species=site.element,
            site=site.label,
            wyckoff=site.wyckoff,
            multiplicity=site.multiplicity,
            of_sites=of_sites,
            position_ang=host[index].coords,
        ),
        provenance=provenance or {},
    )


def rattle(model: Model, amplitude_ang: float, seed: int) -> Model:
    """Move every atom by a random vector, so that a relaxation can leave the host's symmetry.

    Each Cartesian component is drawn from a normal distribution with standard deviation
    ``amplitude_ang``, by NumPy's PCG64 with ``seed``: the same seed gives the same positions.

    Raises
    ------
    InputError
        The amplitude is negative or so large (over 0.5 Å) that atoms may meet.
    """
    if not 0 <= amplitude_ang <= 0.5:
        raise InputError(f"A rattle of {amplitude_ang} Å makes no sense; give 0 to 0.5 Å (0.05 is usual).")
    moves = np.random.default_rng(seed).normal(0.0, amplitude_ang, size=(len(model.structure), 3))
    moves -= moves.mean(axis=0)
    return model.at(model.positions_ang + moves, rattle=f"{amplitude_ang} Å, seed {seed}")
