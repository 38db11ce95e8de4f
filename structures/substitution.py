"""One element in place of another: a relative of a crystal whose own structure nobody has at hand."""

from __future__ import annotations

from collections.abc import Mapping

from pymatgen.core import Element, IStructure, Structure

from midgap.structures.crystals import check_distances, oxidation_states
from midgap.structures.errors import InputError


def substitute(structure: IStructure, replacing: Mapping[str, str]) -> tuple[IStructure, dict[str, str]]:
    """The same arrangement of other elements, in a cell scaled by their ionic radii.

    Fractional coordinates stay; the volume is scaled as pymatgen's ``RLSVolumePredictor`` does it, by the cube of
    the ratio of the shortest bonds' ionic radii (Shannon). A starting point for a relaxation, no crystal structure.

    Parameters
    ----------
    replacing
        New element by old: ``{"Br": "Cl"}``.

    Returns
    -------
    structure
        Atoms in the order of ``structure``.
    provenance
        In words: what was replaced, and how the cell was scaled.

    Raises
    ------
    InputError
        An element is none or not in the crystal, the charges do not balance, no ionic radius is known, or atoms overlap.

    Examples
    --------
    >>> from midgap.structures.crystals import load_crystal
    >>> chloride, _ = substitute(load_crystal("Cs4PbBr6")[0], {"Br": "Cl"})
    >>> chloride.composition.reduced_formula
    'Cs4PbCl6'
    """
    from pymatgen.analysis.structure_prediction.volume_predictor import RLSVolumePredictor

    present = {site.specie.symbol for site in structure}
    for old, new in replacing.items():
        if old not in present:
            raise InputError(f"There is no {old} to replace; choose one of {', '.join(sorted(present))}.")
        if not Element.is_valid_symbol(new):
            raise InputError(f"{new!r} is not a chemical element.")
    before, after = Structure.from_sites(list(structure)), Structure.from_sites(list(structure))
    after.replace_species({Element(old): Element(new) for old, new in replacing.items()})
    formula = after.composition.reduced_formula
    for cell in (before, after):
        states = oxidation_states(IStructure.from_sites(list(cell)))
        cell.add_oxidation_state_by_element({element: float(state) for element, state in states.items()})
    try:
        volume_ang3 = RLSVolumePredictor(radii_type="ionic").predict(after, before)
    except (KeyError, ValueError):
        raise InputError(f"No ionic radii are known for all elements of {formula}; give a CIF of it.") from None
    scale = (volume_ang3 / before.volume) ** (1 / 3)
    after.scale_lattice(volume_ang3)
    after.remove_oxidation_states()
    made = IStructure.from_sites(list(after))
    check_distances(made, formula)
    words = ", ".join(f"{old} by {new}" for old, new in replacing.items())
    return made, {"substitution": f"{words}; cell edges × {scale:.4f} from ionic radii, coordinates as they were"}
