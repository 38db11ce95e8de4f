"""Clusters cut from a crystal: an octahedron, an octahedron that lacks a ligand, a neutral formula unit.

Each is a ``Model(kind="cluster")`` with its centre at the origin, bare or in the point charges of the
crystal around it. Nothing here knows a material: the ligand shell ends where the distances have their
gap, and the charge is the sum of formal charges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, islice

import numpy as np
from pymatgen.core import IStructure

from midgap.structures.cutting import Cut, cut_out, formula
from midgap.structures.embedding import Embedding
from midgap.structures.errors import InputError
from midgap.structures.model import Model, Vacancy
from midgap.structures.shells import Ion, central_cation, ligand_shell, neighbours
from midgap.structures.units import COULOMB_EV_ANG
from midgap.structures.vacancies import inequivalent_sites

CRYSTAL = Embedding()
LONGEST_MOVE_ANG = 2.0
"""No atom of a relaxed vacancy is farther from its site in the perfect crystal."""


def octahedron(
    crystal: IStructure,
    center: str = "Pb",
    ligand: str = "Br",
    *,
    charges_e: Mapping[str, float] | None = None,
    cutoff_ang: float | None = None,
    embedding: Embedding | None = CRYSTAL,
    material: str | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Model:
    """A centre with its ligands, such as [PbBr6]⁴⁻.

    Parameters
    ----------
    crystal
        Any periodic structure; its primitive cell is used.
    center, ligand
        Elements. The centre may also be a label of `inequivalent_sites` (``Pb2``); otherwise it is the
        element's first site.
    charges_e
        Formal charge of each element; guessed if left out.
    cutoff_ang
        Where the ligand shell ends; found from the distances if left out.
    embedding
        Size of the point-charge crystal around the cluster; None leaves it bare.

    Raises
    ------
    InputError
        The crystal has no lattice, overlapping atoms or unbalanced charges; an element is not in it;
        the shell has no end; the embedding is too small.
    """
    cut = cut_out(crystal, center, ligand, charges_e, cutoff_ang, material, provenance)
    return cut.model("octahedron", cut.atoms, embedding)


def vacancy_octahedron(
    crystal: IStructure,
    center: str = "Pb",
    ligand: str = "Br",
    *,
    vacancy_charge: int = 0,
    missing: str | None = None,
    relaxed: Model | None = None,
    charges_e: Mapping[str, float] | None = None,
    cutoff_ang: float | None = None,
    embedding: Embedding | None = CRYSTAL,
    material: str | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Model:
    """An octahedron that lacks one ligand, with a ghost where it was.

    Its charge is the octahedron's plus the vacancy's: V_Br⁺ is [PbBr5]³⁻, V_Br⁰ is [PbBr5]⁴⁻.

    Parameters
    ----------
    vacancy_charge
        Charge state of the vacancy relative to the perfect crystal, e.
    missing
        Site label of the ligand to take out (``Br2``); the nearest ligand if left out.
    relaxed
        A periodic vacancy of the same crystal, relaxed in the frame of ``crystal``: the octahedron beside
        its vacancy is cut, with the atoms where they are there. The point charges stay on the perfect
        crystal's sites.

    Raises
    ------
    InputError
        As `octahedron`, and when no such ligand is in the shell or the relaxed cell is not of this crystal.

    Notes
    -----
    Other parameters as in `octahedron`.
    """
    cut = cut_out(crystal, center, ligand, charges_e, cutoff_ang, material, provenance)
    return _vacancy_octahedron(cut, vacancy_charge, missing, relaxed, embedding)


def formula_unit(
    crystal: IStructure,
    center: str = "Pb",
    ligand: str = "Br",
    *,
    charges_e: Mapping[str, float] | None = None,
    cutoff_ang: float | None = None,
    embedding: Embedding | None = None,
    material: str | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Model:
    """An octahedron with the nearest counter-ions that make it neutral, such as one Cs4PbBr6.

    Of counter-ions equally far from the centre, those with the least Coulomb energy of formal charges
    are taken.

    Raises
    ------
    InputError
        As `octahedron`, and when the counter-ions within 12 Å cannot make it neutral.

    Notes
    -----
    Parameters as in `octahedron`; bare by default.
    """
    cut = cut_out(crystal, center, ligand, charges_e, cutoff_ang, material, provenance)
    return cut.model("unit", [*_counter_ions(cut), *cut.atoms], embedding)


def cluster_models(
    cell: IStructure, material: str, ligand: str, charges: Sequence[int], provenance: Mapping[str, str]
) -> list[Model]:
    """The embedded octahedron, its vacancy at each inequivalent ligand in each charge, the formula unit.

    The centre is the cation of the highest formal charge; of equals the one nearest to a ligand.

    Raises
    ------
    InputError
        See `octahedron`.
    """
    cut = cut_out(cell, central_cation(cell, ligand), ligand, None, None, material, provenance)
    around = {ion.index for ion in cut.ligands}
    labels = [site.label for site in inequivalent_sites(cut.cell, ligand) if around.intersection(site.equivalent)]
    return [
        cut.model("octahedron", cut.atoms, CRYSTAL),
        *(_vacancy_octahedron(cut, charge, label, None, CRYSTAL) for label in labels for charge in charges),
        cut.model("unit", [*_counter_ions(cut), *cut.atoms], None),
    ]


def _vacancy_octahedron(
    cut: Cut, vacancy_charge: int, missing: str | None, relaxed: Model | None, embedding: Embedding | None
) -> Model:
    ligand = cut.ligands[0].symbol
    sites = inequivalent_sites(cut.cell, ligand)
    site_of = {index: site for site in sites for index in site.equivalent}
    if relaxed is None:
        hole = next((ion for ion in cut.ligands if missing in (None, site_of[ion.index].label)), None)
        if hole is None:
            around = sorted({site_of[ion.index].label for ion in cut.ligands})
            raise InputError(f"No {missing} is around the {cut.center.symbol}; there are {', '.join(around)}.")
    else:
        cut, hole = _beside(cut, relaxed)
    site, center = site_of[hole.index], cut.center.position_ang
    rest = [ion for ion in cut.atoms if ion is not hole]
    model = cut.model(
        f"V_{site.label}_q{vacancy_charge:+d}".replace("+0", "0"),
        rest,
        embedding,
        vacancy=Vacancy(
            species=ligand,
            site=site.label,
            wyckoff=site.wyckoff,
            multiplicity=site.multiplicity,
            position_ang=hole.position_ang - center,
        ),
        vacancy_charge=vacancy_charge,
    )
    if relaxed is None:
        return model
    return model.at(_moved(rest, relaxed) - center, coordinates=f"relaxed in {relaxed.name}")


def _beside(cut: Cut, relaxed: Model) -> tuple[Cut, Ion]:
    """The octahedron beside a periodic vacancy, and its ligand that is missing there."""
    if relaxed.vacancy is None or not relaxed.periodic:
        raise InputError(f"{relaxed.name} is not a periodic cell with a vacancy.")
    where, ligand = relaxed.vacancy.position_ang, relaxed.vacancy.species
    bond = max(ion.distance_ang(cut.center.position_ang) for ion in cut.ligands)
    for center in neighbours(cut.cell, where, 1.5 * bond, (cut.center.symbol,)):
        # the neighbour list knows the centre as a site of the cell; the vacancy may be beside an image of it
        shift = center.position_ang - cut.cell[center.index].coords
        shell = [
            replace(ion, position_ang=ion.position_ang + shift)
            for ion in ligand_shell(cut.cell, center.index, ligand, cut.cutoff_ang)
        ]
        hole = min(shell, key=lambda ion: ion.distance_ang(where))
        if hole.distance_ang(where) < 0.1:
            return replace(cut, center=center, ligands=shell), hole
    raise InputError(
        f"The vacancy of {relaxed.name} is at {np.round(where, 2).tolist()} Å, where this crystal has no {ligand} beside "
        f"a {cut.center.symbol}; give the crystal that it was made from."
    )


def _moved(ions: list[Ion], relaxed: Model) -> np.ndarray:
    """Where ``ions`` of the perfect crystal are in the relaxed cell, shape (n, 3), Å."""
    from scipy.optimize import linear_sum_assignment

    assert isinstance(relaxed.structure, IStructure)
    lattice = relaxed.structure.lattice
    start = lattice.get_fractional_coords([ion.position_ang for ion in ions])
    steps = _shortest_vectors(lattice.matrix, relaxed.structure.frac_coords[None] - start[:, None])
    distance = np.linalg.norm(steps, axis=-1)
    same = np.array([ion.symbol for ion in ions])[:, None] == np.array(relaxed.species)
    distance = np.where(same, distance, 1e3)
    # Two ions of the cluster that are images of one atom of the cell would have to share it.
    rows, columns = linear_sum_assignment(distance**2) if len(ions) <= distance.shape[1] else ([], [])
    if not len(rows) or distance[rows, columns].max() > LONGEST_MOVE_ANG:
        raise InputError(
            f"{relaxed.name}: not every atom of the cluster is found within {LONGEST_MOVE_ANG:g} Å of its site. The cell "
            "is too small for the cluster (two of its atoms are images of one), or is not a cell of this crystal."
        )
    return np.array([ion.position_ang for ion in ions]) + steps[rows, columns]


def _shortest_vectors(matrix: np.ndarray, frac: np.ndarray) -> np.ndarray:
    images = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = (frac - np.round(frac))[..., None, :] @ matrix + images @ matrix
    nearest = np.argmin((vectors**2).sum(axis=-1), axis=-1)
    return np.take_along_axis(vectors, nearest[..., None, None], axis=-2)[..., 0, :]


def _counter_ions(cut: Cut) -> list[Ion]:
    remaining = -cut.charge(cut.atoms)
    if abs(remaining) < 1e-6:
        return []
    sign = np.sign(remaining)
    symbols = tuple(symbol for symbol, charge in cut.charges_e.items() if charge * sign > 0)
    inside = np.array([ion.position_ang for ion in cut.atoms])
    candidates = [
        ion
        for ion in neighbours(cut.cell, cut.center.position_ang, 12.0, symbols)
        if np.linalg.norm(inside - ion.position_ang, axis=1).min() > 1e-3
    ]
    chosen: list[Ion] = []
    while abs(remaining) > 1e-6:
        candidates = [ion for ion in candidates if abs(cut.charges_e[ion.symbol]) <= abs(remaining) + 1e-6]
        if not candidates:
            raise InputError(f"No counter-ions ({', '.join(symbols)}) within 12 Å make {formula(cut.atoms)} neutral.")
        first = candidates[0]
        shell = [ion for ion in candidates if ion.symbol == first.symbol and _radius(cut, ion) == _radius(cut, first)]
        wanted = min(len(shell), int(abs(remaining / cut.charges_e[first.symbol]) + 1e-6))
        # every set of so many of the shell; of a shell with astronomically many sets, the first ones
        sets = islice(combinations(shell, wanted), 20_000)
        best = min(sets, key=lambda some: round(_coulomb_eV(cut, [*cut.atoms, *chosen, *some]), 6))
        chosen += best
        remaining -= cut.charge(best)
        candidates = [ion for ion in candidates if ion not in shell]
    return chosen


def _radius(cut: Cut, ion: Ion) -> float:
    return round(ion.distance_ang(cut.center.position_ang), 2)


def _coulomb_eV(cut: Cut, ions: list[Ion]) -> float:
    positions = np.array([ion.position_ang for ion in ions])
    q = np.array([cut.charges_e[ion.symbol] for ion in ions])
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    np.fill_diagonal(distance, np.inf)
    return float(COULOMB_EV_ANG / 2 * (q[:, None] * q / distance).sum())
