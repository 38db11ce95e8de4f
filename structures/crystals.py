"""Crystals: those midgap knows by name, and any that a file holds."""

from __future__ import annotations

import re
import warnings
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveFloat
from pymatgen.core import Composition, Element, IStructure, Lattice, Structure

from midgap.structures.document import Document, read_json
from midgap.structures.errors import InputError

SYMPREC_ANG = 0.01
"""Tolerance within which two positions count as symmetry-equivalent."""

FARTHEST_FRAC = 1000.0
"""Cells that an atom may lie away from the first one."""
LONGEST_ANG = 1000.0
"""Longer cell edges are a slip of the unit."""


class Orbit(Document):
    """One occupied Wyckoff position: element, letter, fractional coordinates of a representative."""

    element: str
    wyckoff: str
    position_frac: tuple[float, float, float]


class Crystal(Document):
    """A crystal as crystallographers write it down.

    Attributes
    ----------
    cell_ang_deg
        a, b, c in Å and α, β, γ in degrees, conventional setting.
    sources
        Where the lattice and the coordinates come from.
    oxidation_states
        Formal charges, which fix the charges of clusters and vacancies.
    """

    formula: str
    space_group: str
    space_group_number: int
    cell_ang_deg: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat]
    orbits: tuple[Orbit, ...]
    oxidation_states: dict[str, int]
    sources: dict[str, str]

    def conventional(self) -> IStructure:
        """All atoms of the conventional cell."""
        structure = Structure.from_spacegroup(
            self.space_group_number,
            Lattice.from_parameters(*self.cell_ang_deg),
            [orbit.element for orbit in self.orbits],
            [orbit.position_frac for orbit in self.orbits],
            tol=SYMPREC_ANG,
        )
        return IStructure.from_sites(list(structure))


def known_materials() -> list[str]:
    """Formulas that `load_crystal` takes by name."""
    return sorted(path.name.removesuffix(".json") for path in files(__package__).joinpath("data").iterdir())


def crystal_named(formula: str) -> Crystal:
    """The record of a known material, with its sources.

    Raises
    ------
    InputError
        No such material; says which there are.
    """
    try:
        reduced = Composition(formula).reduced_formula
    except ValueError:
        reduced = None
    for name in known_materials():
        if reduced is not None and Composition(name).reduced_formula == reduced:
            return Crystal.from_dict(read_json(str(files(__package__).joinpath("data", f"{name}.json"))))
    raise InputError(
        f"Unknown material {formula!r}: midgap knows {', '.join(known_materials())} by name; "
        "for any other give a CIF, POSCAR or extended XYZ file."
    )


def load_crystal(material: str | Path) -> tuple[IStructure, dict[str, str]]:
    """A crystal by formula or from a file, with its provenance.

    Parameters
    ----------
    material
        A known formula (``Cs4PbBr6``) or the path of a CIF, POSCAR/CONTCAR or (extended) XYZ file.

    Returns
    -------
    structure
        As in the file, or the conventional cell of a known material.
    provenance
        In words: where lattice and coordinates come from.

    Raises
    ------
    InputError
        Unknown material or element, partial occupancies, overlapping atoms, no lattice.
    """
    path = Path(material)
    if path.is_file():
        structure = _read_structure(path)
        provenance = {"source": path.name}
    elif path.suffix.lower() in {".cif", ".vasp", ".poscar", ".xyz"} or len(path.parts) > 1:
        raise InputError(f"{path}: there is no such file.")
    else:
        crystal = crystal_named(str(material))
        structure, provenance = crystal.conventional(), dict(crystal.sources)
    check_distances(structure, str(material))
    return structure, provenance


def _read_structure(path: Path) -> IStructure:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymatgen's remarks on rounding; what matters is checked below
            if path.suffix.lower() == ".cif":
                # the default tolerance would silently scale occupancies that sum to just over 1
                from pymatgen.io.cif import CifParser

                _check_digits(path)
                structure = CifParser(str(path), occupancy_tolerance=100.0).parse_structures(primitive=False)[0]
            elif path.suffix.lower() in {".xyz", ".extxyz"}:
                structure = _read_xyz(path)
            else:
                from pymatgen.io.vasp import Poscar

                text = path.read_text()
                _check_counts(path, text)
                structure = Poscar.from_str(text).structure
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is not a readable CIF, POSCAR or extended XYZ file ({reason}).") from None
    disordered = [site for site in structure if not site.is_ordered]
    if disordered:
        raise InputError(
            f"{path}: {len(disordered)} sites are partially occupied (first: {disordered[0].species_string}); "
            "give an ordered structure, e.g. one from pymatgen's OrderDisorderedStructureTransformation."
        )
    for site in structure:
        if not isinstance(_element(site), Element):
            raise InputError(f"{path}: {site.species_string!r} is not a chemical element.")
    return IStructure(structure.lattice, [_element(site).symbol for site in structure], structure.frac_coords)


def _check_digits(path: Path) -> None:
    """Pymatgen looks for a symmetry operation in a row of digits in a time that grows with its length cubed."""
    if found := re.search(r"[\d.]{100}", path.read_text(errors="replace")):
        raise InputError(f"{path} holds a number of 100 digits or more ({found[0][:20]}...): it is damaged.")


def _check_counts(path: Path, text: str) -> None:
    """Pymatgen makes a list of as many atoms as a POSCAR claims before it looks for them."""
    rows = text.splitlines()
    for row in rows[5:7]:
        words = row.split()
        if words and words[0].isdecimal():
            counts = [word for word in words if word.isdecimal()]
            if any(len(word) > 9 for word in counts) or sum(map(int, counts)) > len(rows):
                raise InputError(f"{path} is cut short: it announces more atoms than it has lines.")


def _element(site) -> Element:
    specie = site.specie
    return getattr(specie, "element", specie)  # a Species (Pb2+) has an Element, a DummySpecies has not


def _read_xyz(path: Path) -> Structure:
    from ase.io import read

    _check_frames(path)
    atoms: Any = read(path, index=-1, format="extxyz")
    if not np.all(atoms.pbc) or abs(atoms.cell.volume) < 1e-6:
        raise InputError(f'{path} has no lattice; write it as extended XYZ with Lattice="..." in the second line.')
    return Structure(atoms.cell.array, atoms.get_chemical_symbols(), atoms.get_scaled_positions())


def _check_frames(path: Path) -> None:
    """ASE would look for as many atoms as a first line claims, for ever, and make room for as many columns as a second one does."""
    rows = path.read_text().splitlines()
    start = 0
    while start < len(rows) and rows[start].strip():
        count = rows[start].split()[0]
        if not count.isdecimal() or len(count) > 9:
            raise InputError(f"{path}: line {start + 1} is not a number of atoms ({count[:20]!r}).")
        columns = re.search(r"Properties=\"?(\S+)", " ".join(rows[start + 1 : start + 2]), re.IGNORECASE)
        announced = sum(int(word) for word in re.findall(r":(\d{1,20})", columns[1])) if columns else 0
        if announced > len(" ".join(rows[start + 2 : start + 3]).split()):
            raise InputError(f"{path}: line {start + 2} announces {announced} columns, and there are fewer below it.")
        start += 2 + int(count)
    if not 0 < start <= len(rows):
        raise InputError(
            f"{path} is cut short: it has {len(rows)} lines, the atoms it announces need {start or 'some'}."
        )


def check_distances(structure: IStructure, source: str, smallest_ang: float = 0.7) -> None:
    """Refuse structures in which atoms overlap.

    Two atoms closer than half the sum of their covalent radii (Cordero et al., Dalton Trans. 2008, 2832,
    doi 10.1039/b801115j, as in ASE), or than ``smallest_ang``, are a mistake in the file.

    Raises
    ------
    InputError
        Names the closest such pair and its distance.
    """
    if not len(structure):
        raise InputError(f"{source} holds no atoms.")
    if not (np.abs(structure.frac_coords) < FARTHEST_FRAC).all():
        raise InputError(f"{source}: an atom is far outside of the cell, or nowhere; check the coordinates.")
    # By its shortest vectors, or a skewed cell would have neighbours sought among millions of its images.
    lattice = structure.lattice
    sound = all(1.0 < length < LONGEST_ANG for length in lattice.abc) and lattice.volume >= 1.0
    reduced = lattice.get_lll_reduced_lattice() if sound else lattice
    lengths = reduced.abc
    if not sound or not all(1.0 < length < LONGEST_ANG for length in lengths) or structure.lattice.volume < 1.0:
        edges = ", ".join(f"{length:.3g}" for length in structure.lattice.abc)
        raise InputError(f"{source}: the cell has edges of {edges} Å; check its lattice and unit.")
    from ase.data import covalent_radii

    radii = np.array([covalent_radii[_element(site).Z] for site in structure])
    # The search lays cubes of its reach over the cell: in a cell of 1000 Å the empty ones would fill the memory.
    reach = max(smallest_ang, radii.max(), (lattice.volume / 1e6) ** (1 / 3))
    compact = IStructure(
        reduced, structure.species, structure.cart_coords.tolist(), coords_are_cartesian=True, to_unit_cell=True
    )
    first, second, _, distance = compact.get_neighbor_list(reach, exclude_self=True)
    limit = np.maximum(smallest_ang, 0.5 * (radii[first] + radii[second]))
    close = np.flatnonzero(distance < limit)
    if len(close):
        worst = close[np.argmin(distance[close])]
        i, j = sorted((int(first[worst]), int(second[worst])))
        raise InputError(
            f"{source}: atoms {i + 1} ({structure[i].specie.symbol}) and {j + 1} ({structure[j].specie.symbol}) are "
            f"{distance[worst]:.2f} Å apart and overlap; check the coordinates and the space-group setting."
        )


def spglib_cell(structure: IStructure) -> Any:
    """The structure as spglib takes it: lattice rows in Å, fractional positions, atomic numbers."""
    return structure.lattice.matrix, structure.frac_coords, [_element(site).Z for site in structure]


def primitive(structure: IStructure) -> IStructure:
    """The primitive cell, in the frame of the input and with its order of elements.

    Raises
    ------
    InputError
        The symmetry search fails, as it does when atoms coincide.
    """
    return _standard_cell(structure, to_primitive=True)


def conventional(structure: IStructure) -> IStructure:
    """The conventional cell, otherwise as `primitive`."""
    return _standard_cell(structure, to_primitive=False)


def _standard_cell(structure: IStructure, to_primitive: bool) -> IStructure:
    import spglib

    cell: Any = spglib.standardize_cell(
        spglib_cell(structure), to_primitive=to_primitive, no_idealize=True, symprec=SYMPREC_ANG
    )
    if cell is None:
        raise InputError("The space group of this structure cannot be found; are two atoms on top of each other?")
    lattice, positions, numbers = cell
    elements = [Element.from_Z(int(number)).symbol for number in numbers]
    by_element = list(dict.fromkeys(_element(site).symbol for site in structure))
    order = sorted(range(len(elements)), key=lambda i: by_element.index(elements[i]))
    return IStructure(Lattice(lattice), [elements[i] for i in order], positions[order] % 1.0)


def oxidation_states(structure: IStructure) -> dict[str, int]:
    """Formal charges by element, from the record of a known material or guessed by pymatgen.

    Raises
    ------
    InputError
        No charge-balanced integer assignment exists.
    """
    composition = structure.composition.reduced_formula
    for name in known_materials():
        if Composition(name).reduced_formula == composition:
            return dict(crystal_named(name).oxidation_states)
    guesses = structure.composition.reduced_composition.oxi_state_guesses()
    if not guesses or any(value != int(value) for value in guesses[0].values()):
        raise InputError(
            f"No integer oxidation states balance {composition}; give them, e.g. oxidation_states={{'Pb': 2}}."
        )
    return {element: int(value) for element, value in guesses[0].items()}
