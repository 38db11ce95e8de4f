"""Competing phases: what a compound could fall apart into, as cells ready to be computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from pymatgen.core import Composition, Element, IStructure

from midgap.structures.crystals import conventional, crystal_named, known_materials, load_crystal, primitive
from midgap.structures.errors import InputError
from midgap.structures.model import Model

Mesh = tuple[int, int, int]

ALMOST = 1e-6


def competing_phases(compound: str, files: Iterable[Path | str] = ()) -> list[Model]:
    """The phases of a compound's elements that midgap knows, and those of files; a file goes before a known phase.

    Parameters
    ----------
    compound
        Formula; itself it is left out.
    files
        CIF, POSCAR or extended XYZ: other phases of the same elements, or of an impurity's.

    Returns
    -------
    list of Model
        In the cell of the file, or the measured one; the coordinates are to be relaxed.

    Raises
    ------
    InputError
        A file cannot be read, two are of one formula, or an element has no phase of its own.
    """
    own = Composition(compound)
    given: dict[str, Model] = {}
    for path in files:
        model = phase_model(*load_crystal(Path(path)))
        if model.material in given:
            raise InputError(f"{path} is a second {model.material}: give the phase that is to be computed, once.")
        given[model.material] = model
    elements = {*own.elements, *(Element(symbol) for model in given.values() for symbol in model.species)}
    found = {
        Composition(crystal.formula).reduced_formula: phase_model(
            crystal.conventional(), crystal.sources, crystal.formula
        )
        for crystal in map(crystal_named, known_materials())
        if set(Composition(crystal.formula).elements) <= elements
    }
    found |= given
    found.pop(own.reduced_formula, None)
    missing = sorted(
        element.symbol
        for element in elements
        if not any(set(model.species) == {element.symbol} for model in found.values())
    )
    if missing:
        raise InputError(
            f"Chemical potentials of {own.reduced_formula} need the elements themselves, and midgap knows no crystal of "
            f"{', '.join(missing)}: give a file of each by --phase."
        )
    return [found[name] for name in sorted(found)]


def phase_model(structure: IStructure, provenance: Mapping[str, str], formula: str | None = None) -> Model:
    """The primitive cell of a phase, or the conventional one where that leaves no electron alone."""
    cell = primitive(structure)
    if sum(site.specie.Z for site in cell) % 2:  # an odd number of electrons would be taken for a spin
        cell = conventional(cell)
    formula = formula or cell.composition.reduced_formula
    return Model(
        name=f"phase_{formula}", kind="pristine", material=formula, structure=cell, provenance=dict(provenance)
    )


def mesh_as_dense(cell: IStructure, reference: IStructure, mesh: Mesh, times: float = 1.0) -> Mesh:
    """The smallest Γ-centred mesh of a cell that samples each direction as densely as another cell's mesh samples its sparsest.

    Parameters
    ----------
    times
        Denser by this factor: for metals.
    """
    spacing = (np.array(reference.lattice.reciprocal_lattice.abc) / mesh).max() / times
    wanted = np.ceil(np.array(cell.lattice.reciprocal_lattice.abc) / spacing - ALMOST)
    n1, n2, n3 = (max(1, int(n)) for n in wanted)
    return n1, n2, n3


def is_metal(model: Model) -> bool:
    """Whether a phase is an element that is a metal."""
    kinds = set(model.species)
    return len(kinds) == 1 and Element(next(iter(kinds))).is_metal
