"""All models of a question: the pristine crystal, its vacancies, its octahedra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pymatgen.core import Element, IStructure

from midgap.structures.crystals import check_distances, load_crystal, primitive
from midgap.structures.crystals import conventional as conventional_cell
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.substitution import substitute
from midgap.structures.supercells import Matrix, as_matrix, image_distance_ang, most_isotropic, supercell
from midgap.structures.vacancies import inequivalent_sites, make_vacancy, usual_charges

HALIDES = ("F", "Cl", "Br", "I")


def build_models(
    material: str | Path,
    *,
    max_atoms: int | None = None,
    conventional: bool = False,
    species: str | None = None,
    charges: Sequence[int] | None = None,
    clusters: bool = True,
    replacing: Mapping[str, str] | None = None,
) -> list[Model]:
    """Build the pristine cell, its vacancies and, if asked, its clusters.

    Parameters
    ----------
    material
        A known formula or a structure file.
    max_atoms
        Use the most isotropic supercell of at most so many atoms; None is the primitive cell.
    conventional
        Use the conventional cell instead.
    species
        Whose vacancies; None is the crystal's halide.
    charges
        Charge states, in e.
    clusters
        Also cut the octahedron, the octahedron with the vacancy in each charge, and the formula unit.
    replacing
        Elements to replace first, see `midgap.structures.substitution.substitute`.

    Returns
    -------
    list of Model
        The pristine model first.

    Raises
    ------
    InputError
        See `load_crystal`, `substitute`, `inequivalent_sites`, `most_isotropic`.
    """
    structure, provenance = load_crystal(material)
    if replacing:
        structure, changed = substitute(structure, replacing)
        # What is known of the crystal's coordinates is not known of its relative's.
        provenance = {"from": str(material)} | changed
    cell = primitive(structure)
    species = halide(cell) if species is None else _known_element(species)
    charges = usual_charges(species) if charges is None else charges
    formula = (
        cell.composition.reduced_formula
        if replacing or not isinstance(material, str) or Path(material).is_file()
        else material
    )
    matrix: Matrix
    if conventional:
        matrix = conventional_matrix(cell)
    elif max_atoms is None:
        matrix = as_matrix(np.eye(3))
    else:
        matrix = most_isotropic(cell, max_atoms)
    models = periodic_models(cell, matrix, formula, species, charges, provenance)
    if clusters:
        from midgap.structures.clusters import cluster_models

        models += cluster_models(cell, formula, species, charges, provenance)
    return models


def periodic_models(
    cell: IStructure,
    matrix: Matrix,
    material: str,
    species: str,
    charges: Sequence[int],
    provenance: dict[str, str],
) -> list[Model]:
    """The pristine supercell, and a vacancy of ``species`` at each inequivalent site in each charge.

    ``cell`` is primitive, ``matrix`` as in `supercell`.
    """
    host = supercell(cell, matrix)
    check_distances(host, material)
    provenance = provenance | {"image distance": f"{image_distance_ang(host.lattice.matrix):.2f} Å"}
    models = [
        Model(
            name=f"pristine_{len(host)}",
            kind="pristine",
            material=material,
            structure=host,
            supercell_matrix=matrix,
            provenance=provenance,
        )
    ]
    sites = inequivalent_sites(cell, species)
    for site in sites:
        for charge in charges:
            models.append(
                make_vacancy(
                    host,
                    site,
                    cell.lattice.get_cartesian_coords(site.position_frac),
                    charge,
                    material=material,
                    name=f"V_{site.label}_q{charge:+d}_{len(host)}".replace("+0", "0"),
                    supercell_matrix=matrix,
                    provenance=provenance,
                    of_sites=len(sites),
                )
            )
    return models


def conventional_matrix(cell: IStructure) -> Matrix:
    """The conventional cell in terms of the primitive one."""
    return as_matrix(conventional_cell(cell).lattice.matrix @ np.linalg.inv(cell.lattice.matrix))


def halide(structure: IStructure) -> str:
    """The one halogen of a structure.

    Raises
    ------
    InputError
        There is none, or more than one.
    """
    found = [symbol for symbol in HALIDES if symbol in {site.specie.symbol for site in structure}]
    if len(found) != 1:
        which = "no halogen" if not found else f"several halogens ({', '.join(found)})"
        raise InputError(
            f"{structure.composition.reduced_formula} has {which}; say whose vacancies to make, e.g. --species O."
        )
    return found[0]


def _known_element(symbol: str) -> str:
    if not Element.is_valid_symbol(symbol):
        raise InputError(f"{symbol!r} is not a chemical element.")
    return symbol
