"""Where a defect is and which sites surround it, told or found by comparison with the pristine crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import IMolecule, IStructure, Lattice

from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError
from midgap.structures.model import Vacancy

if TYPE_CHECKING:
    from midgap.defects.electronic_structure import ElectronicStructure

SITE_MATCH_ANG = 0.8
"""An atom that moved further than this is no longer compared with the site it came from."""

SHELL_FACTOR = 1.3
"""The neighbour shell reaches to this many times the distance of the nearest neighbour."""

SUBSTITUTION_ANG = 1.5
"""An atom added this close to the place of a missing one has taken its place."""

NEAR_ANG = 1.5
"""An atom's partner in the other crystal is looked up within this distance, and sought among all if it is not there."""

AT_SITE_ANG = 0.7
"""An atom this close to the defect's place is the defect itself, not a neighbour."""


class DefectSite(Document):
    """A point defect in a given cell.

    Attributes
    ----------
    label
        In the field's notation without the charge: ``V_Br``, ``Mg_Ga``, ``Br_i``.
    position_ang
        Cartesian, shape (3,), Å.
    missing, added
        Elements that are taken out of the pristine crystal or put into it; empty if there is none or it
        is not known.
    """

    label: str = ""
    position_ang: FloatArray
    missing: str = ""
    added: str = ""

    @classmethod
    def of(cls, vacancy: Vacancy) -> DefectSite:
        """The site of a vacancy."""
        return cls(label=f"V_{vacancy.species}", position_ang=vacancy.position_ang, missing=vacancy.species)


def site_distances(structure: ElectronicStructure, position_ang: np.ndarray) -> np.ndarray:
    """Distance in Å of every site from a point, nearest image, shape (site,)."""
    geometry = structure.structure
    if isinstance(geometry, IStructure):
        point = geometry.lattice.get_fractional_coords(position_ang)
        return geometry.lattice.get_all_distances([point], geometry.frac_coords)[0]
    return np.linalg.norm(np.asarray(geometry.cart_coords) - position_ang, axis=1)


def neighbour_shell(structure: ElectronicStructure, site: DefectSite) -> np.ndarray:
    """Indices of the sites around a defect, an atom on its very place included.

    They reach to 1.3 times the distance of the nearest neighbour of another element than the missing and
    the added one: around an anion vacancy that is a cation, and the states of an anion vacancy are made of
    cations. Where all atoms are of the defect's own elements, the nearest of those counts.
    """
    distances = site_distances(structure, site.position_ang)
    own = {site.missing, site.added}
    beside = distances > AT_SITE_ANG
    other = beside & np.array([atom.specie.symbol not in own for atom in structure.structure])
    nearest = distances[other if other.any() else beside]
    return np.flatnonzero(distances <= SHELL_FACTOR * (nearest.min() if len(nearest) else AT_SITE_ANG))


def matched_sites(defect: ElectronicStructure, reference: ElectronicStructure) -> list[tuple[int, int]]:
    """Pairs (site here, site in the reference) of equal species no more than 0.8 Å apart, nearest image, none used twice."""
    return sorted(
        (i, j) for i, j, distance in _pairs(defect.structure, reference.structure) if distance <= SITE_MATCH_ANG
    )


def find_defect(structure: ElectronicStructure, reference: ElectronicStructure) -> DefectSite | None:
    """What the pristine crystal lacks or has too much: a vacancy, a substitution or an interstitial.

    Atoms of each element are paired so that they moved as little as possible; what is left over is the defect.

    Returns
    -------
    DefectSite or None
        None if both hold the same atoms.

    Raises
    ------
    InputError
        They differ by more than one point defect; says in what, and to name the place.
    """
    here, there = structure.structure, reference.structure
    pairs = _pairs(here, there)
    used_here, used_there = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
    added = [i for i in range(len(here)) if i not in used_here]
    missing = [j for j in range(len(there)) if j not in used_there]
    if not added and not missing:
        return None
    if len(added) > 1 or len(missing) > 1:
        lost, new = _counted(there, missing), _counted(here, added)
        raise InputError(
            f"The reference differs from the defect cell by more than one site (lost: {lost}; new: {new}); "
            "say where the defect is: --defect-site X,Y,Z."
        )
    if missing and not added:
        (j,) = missing
        symbol = there[j].specie.symbol
        return DefectSite(label=f"V_{symbol}", position_ang=there[j].coords, missing=symbol)
    (i,) = added
    new = here[i].specie.symbol
    if not missing:
        return DefectSite(label=f"{new}_i", position_ang=here[i].coords, added=new)
    (j,) = missing
    symbol = there[j].specie.symbol
    distance = float(_distances(here, there, [i], [j])[0, 0])
    if distance > SUBSTITUTION_ANG:
        raise InputError(
            f"The reference has one {symbol} more and one {new} less, {distance:.1f} Å apart: that is not one substitution; "
            "say where the defect is: --defect-site X,Y,Z."
        )
    return DefectSite(label=f"{new}_{symbol}", position_ang=there[j].coords, missing=symbol, added=new)


def check_site_is_filled(site: DefectSite, reference: ElectronicStructure) -> None:
    """A pristine crystal has an atom where the defect lacks one.

    Raises
    ------
    InputError
        It has none.
    """
    distances = site_distances(reference, site.position_ang)
    own = np.array([atom.specie.symbol == site.missing for atom in reference.structure])
    nearest = distances[own].min() if own.any() else np.inf
    if nearest > SUBSTITUTION_ANG:
        raise InputError(
            f"The reference has no {site.missing} atom where the defect lacks one (the nearest is {nearest:.1f} Å away): "
            "it is a defect cell itself, or another crystal; give the pristine one."
        )


def _counted(structure: IStructure | IMolecule, sites: list[int]) -> str:
    counts: dict[str, int] = {}
    for i in sites:
        symbol = structure[i].specie.symbol
        counts[symbol] = counts.get(symbol, 0) + 1
    return ", ".join(f"{n} {symbol}" for symbol, n in sorted(counts.items())) or "nothing"


def _pairs(here: IStructure | IMolecule, there: IStructure | IMolecule) -> list[tuple[int, int, float]]:
    """Site here, site there and their distance in Å: for each element the pairing of least squared displacement."""
    from scipy.optimize import linear_sum_assignment

    rows_of, columns_of = _by_element(here), _by_element(there)
    pairs: list[tuple[int, int, float]] = []
    for symbol in sorted(rows_of.keys() & columns_of.keys()):
        rows, columns = rows_of[symbol], columns_of[symbol]
        found = _each_with_its_nearest(here, there, rows, columns)
        if found is None:
            distances = _distances(here, there, rows, columns)
            # Squares: two atoms that each move a little are likelier than one that takes the other's place.
            chosen = zip(*linear_sum_assignment(distances**2), strict=True)
            found = [(rows[r], columns[c], float(distances[r, c])) for r, c in chosen]
        pairs += found
    return pairs


def _by_element(structure: IStructure | IMolecule) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, site in enumerate(structure):
        found.setdefault(site.specie.symbol, []).append(index)
    return found


def _each_with_its_nearest(
    here: IStructure | IMolecule, there: IStructure | IMolecule, rows: list[int], columns: list[int]
) -> list[tuple[int, int, float]] | None:
    """Each atom of the fewer with its nearest of the others, if that is less than 1.5 Å away and no two have the same.

    No pairing has a smaller sum of squares, because each term is the least there is; and it takes no table of all
    distances, which for 10,000 atoms is what takes long.
    """
    if not (isinstance(here, IStructure) and isinstance(there, IStructure)):
        return None
    points, others = here.frac_coords[rows], there.frac_coords[columns]
    turned = len(rows) > len(columns)
    nearest = _nearest(here.lattice, *((others, points) if turned else (points, others)))
    if nearest is None:
        return None
    partners, distances = nearest
    if len(np.unique(partners)) < len(partners):
        return None
    found = enumerate(zip(partners.tolist(), distances.tolist(), strict=True))
    if turned:
        return [(rows[partner], columns[index], distance) for index, (partner, distance) in found]
    return [(rows[index], columns[partner], distance) for index, (partner, distance) in found]


def _nearest(lattice: Lattice, points: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Index of the nearest of ``others`` and its distance in Å for each point, None if one has none near.

    Both as fractional coordinates, shape (n, 3).
    """
    from scipy.spatial import KDTree

    # By the shortest vectors, so that what is near lies in this cell or those beside it.
    cell = lattice.get_lll_reduced_lattice().matrix
    turn = lattice.matrix @ np.linalg.inv(cell)
    margin = NEAR_ANG * np.linalg.norm(np.linalg.inv(cell), axis=0)
    if (margin > 1.0).any():
        return None
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    images = (others @ turn % 1.0)[:, None] + shifts
    kept = ((images >= -margin) & (images <= 1.0 + margin)).all(axis=-1)
    distances, found = KDTree(images[kept] @ cell).query(points @ turn % 1.0 @ cell, distance_upper_bound=NEAR_ANG)
    return (np.nonzero(kept)[0][found], distances) if np.isfinite(distances).all() else None


def _distances(
    here: IStructure | IMolecule, there: IStructure | IMolecule, rows: list[int], columns: list[int]
) -> np.ndarray:
    if isinstance(here, IStructure) and isinstance(there, IStructure):
        return here.lattice.get_all_distances(here.frac_coords[rows], there.frac_coords[columns])
    return np.linalg.norm(here.cart_coords[rows][:, None] - there.cart_coords[columns], axis=-1)
