"""Clusters cut from a crystal: an octahedron, an octahedron that lacks a ligand, a neutral formula unit.

Each is a ``Model(kind="cluster")`` with its centre at the origin, bare or in the point charges of the
crystal around it. Nothing here knows a material: the ligand shell ends where the distances have their
gap, and the charge is the sum of formal charges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

import numpy as np
from pymatgen.core import IMolecule, IStructure

from midgap.structures.crystals import check_distances, oxidation_states, primitive
from midgap.structures.embedding import COULOMB_V_ANG, Embedding, madelung_potentials_V, potential_V, surroundings
from midgap.structures.errors import InputError
from midgap.structures.model import Model, PointCharges, Vacancy
from midgap.structures.vacancies import inequivalent_sites

CRYSTAL = Embedding()
SMALLEST_GAP = 1.08
"""A ligand shell ends where the next distance is at least this many times the last."""
LONGEST_MOVE_ANG = 2.0
"""No atom of a relaxed vacancy is farther from its site in the perfect crystal."""


@dataclass(frozen=True, eq=False)
class Ion:
    """One atom of the infinite crystal: which of the cell's, and where (Cartesian, Å)."""

    symbol: str
    index: int
    position_ang: np.ndarray


def ligand_shell(crystal: IStructure, center: int, ligand: str, cutoff_ang: float | None = None) -> list[Ion]:
    """The ligands around site ``center``, nearest first.

    The shell ends at the largest relative gap between successive distances, among those up to 1.8
    times the shortest; ``cutoff_ang`` ends it instead where it is given.

    Raises
    ------
    InputError
        No ligand within 8 Å or the cutoff, or no gap of 8 %: the shell has no end.
    """
    reach = 8.0 if cutoff_ang is None else cutoff_ang
    shell = _neighbours(crystal, crystal[center].coords, reach, (ligand,))
    where = f"{crystal[center].specie.symbol} (atom {center + 1})"
    if not shell:
        raise InputError(f"No {ligand} lies within {reach:g} Å of {where}; choose another centre or ligand.")
    if cutoff_ang is not None:
        return shell
    distances = np.array([np.linalg.norm(ion.position_ang - crystal[center].coords) for ion in shell] + [reach])
    ratios = np.where(distances[:-1] <= 1.8 * distances[0], distances[1:] / distances[:-1], 0.0)
    last = int(np.argmax(ratios))
    if ratios[last] < SMALLEST_GAP:
        raise InputError(
            f"The distances from {where} to {ligand} rise without a gap "
            f"({', '.join(f'{d:.2f}' for d in distances[:8])} Å…); say where the shell ends with cutoff_ang."
        )
    return shell[: last + 1]


def octahedron(
    crystal: IStructure,
    center: str = "Pb",
    ligand: str = "Br",
    *,
    charges_e: Mapping[str, float] | None = None,
    cutoff_ang: float | None = None,
    embedding: Embedding | None = CRYSTAL,
    material: str | None = None,
    name: str | None = None,
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
    cut = _cut(crystal, center, ligand, charges_e, cutoff_ang, material, provenance)
    return cut.model(name, "octahedron", cut.atoms, embedding)


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
    name: str | None = None,
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
    cut = _cut(crystal, center, ligand, charges_e, cutoff_ang, material, provenance)
    sites = inequivalent_sites(cut.cell, ligand)
    if relaxed is None:
        labelled = [site for site in sites if missing in (None, site.label)]
        hole = next((ion for ion in cut.ligands if any(ion.index in site.equivalent for site in labelled)), None)
        if hole is None:
            around = {site.label for site in sites for ion in cut.ligands if ion.index in site.equivalent}
            raise InputError(f"No {missing} is around the {cut.center.symbol}; there are {', '.join(sorted(around))}.")
    else:
        cut, hole = _beside(cut, relaxed, cutoff_ang)
    site = next(site for site in sites if hole.index in site.equivalent)
    rest = [ion for ion in cut.atoms if ion is not hole]
    vacancy = Vacancy(
        species=ligand,
        site=site.label,
        wyckoff=site.wyckoff,
        multiplicity=site.multiplicity,
        position_ang=hole.position_ang - cut.center.position_ang,
    )
    label = f"V_{site.label}_q{vacancy_charge:+d}".replace("+0", "0")
    model = cut.model(name, label, rest, embedding, vacancy=vacancy, vacancy_charge=vacancy_charge)
    if relaxed is None:
        return model
    return model.at(_moved(rest, relaxed) - cut.center.position_ang, coordinates=f"relaxed in {relaxed.name}")


def formula_unit(
    crystal: IStructure,
    center: str = "Pb",
    ligand: str = "Br",
    *,
    charges_e: Mapping[str, float] | None = None,
    cutoff_ang: float | None = None,
    embedding: Embedding | None = None,
    material: str | None = None,
    name: str | None = None,
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
    cut = _cut(crystal, center, ligand, charges_e, cutoff_ang, material, provenance)
    atoms = _counter_ions(cut) + cut.atoms
    return cut.model(name, "unit", atoms, embedding)


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
    center = _central_cation(cell, ligand)
    given = {"material": material, "provenance": provenance}
    cut = _cut(cell, center, ligand, None, None, material, provenance)
    around = {ion.index for ion in cut.ligands}
    labels = [site.label for site in inequivalent_sites(cut.cell, ligand) if around.intersection(site.equivalent)]
    return [
        octahedron(cell, center, ligand, **given),  # type: ignore[arg-type]
        *(
            vacancy_octahedron(cell, center, ligand, vacancy_charge=charge, missing=label, **given)  # type: ignore[arg-type]
            for label in labels
            for charge in charges
        ),
        formula_unit(cell, center, ligand, **given),  # type: ignore[arg-type]
    ]


@dataclass(frozen=True, eq=False)
class _Cut:
    """A centre and its ligands, and the crystal they are cut from."""

    cell: IStructure
    charges_e: Mapping[str, float]
    center: Ion
    ligands: list[Ion]
    material: str
    provenance: Mapping[str, str]

    @property
    def atoms(self) -> list[Ion]:
        return [self.center, *self.ligands]

    def charge(self, ions: Sequence[Ion]) -> float:
        return sum(self.charges_e[ion.symbol] for ion in ions)

    def model(
        self,
        name: str | None,
        what: str,
        atoms: list[Ion],
        embedding: Embedding | None,
        *,
        vacancy: Vacancy | None = None,
        vacancy_charge: int = 0,
    ) -> Model:
        """``atoms`` with the centre at the origin; ``embedding`` leaves out a vacancy's site as well."""
        complete = [
            self.center,
            *(ion for ion in (atoms if vacancy is None else self.ligands) if ion is not self.center),
        ]
        charge = self.charge(complete) + vacancy_charge
        if abs(charge - round(charge)) > 1e-6:
            raise InputError(f"The formal charges give the cluster {charge:+.3f} e; give whole ones.")
        formula = _formula([ion.symbol for ion in atoms])
        provenance = dict(self.provenance) | {"formal charges": _words(self.charges_e)}
        shared = self._shared_ligands()
        if shared:
            provenance["caution"] = (
                f"{shared} of the {len(self.ligands)} {self.ligands[0].symbol} belong to another {self.center.symbol} "
                "as well: the cluster cuts these bonds, its levels are not the crystal's"
            )
        charges = None
        if embedding is not None:
            charges = surroundings(self.cell, self.charges_e, np.array([i.position_ang for i in complete]), embedding)
            provenance["embedding"] = (
                f"{embedding}, {len(charges.charges_e)} charges; {self._quality(complete, charges)}"
            )
        return Model(
            name=name or f"{what}_{formula}" + ("" if charges is None else "_embedded"),
            kind="cluster",
            material=self.material,
            structure=IMolecule(
                [ion.symbol for ion in atoms], [ion.position_ang - self.center.position_ang for ion in atoms]
            ),
            charge=round(charge),
            vacancy=vacancy,
            ghosts=None if vacancy is None else IMolecule([vacancy.species], [vacancy.position_ang]),
            embedding=charges,
            provenance=provenance,
        )

    def _shared_ligands(self) -> int:
        """How many ligands another atom of the centre's element holds as well."""
        bond = max(np.linalg.norm(ion.position_ang - self.center.position_ang) for ion in self.ligands)
        return sum(
            len(_neighbours(self.cell, ion.position_ang, 1.2 * bond, (self.center.symbol,))) > 1 for ion in self.ligands
        )

    def _quality(self, atoms: list[Ion], around: PointCharges) -> str:
        """How well the cluster's formal charges and those around it give the crystal's own potential."""
        points = np.array([ion.position_ang - self.center.position_ang for ion in atoms])
        own = PointCharges(positions_ang=points, charges_e=[self.charges_e[ion.symbol] for ion in atoms])
        exact = madelung_potentials_V(self.cell, self.charges_e)[[ion.index for ion in atoms]]
        off = potential_V(around, points) + potential_V(own, points) - exact
        return f"potential at the atoms {np.abs(off.mean()):.1e} V off the Ewald sum, uneven by {np.ptp(off):.1e} V".replace(
            "e-0", "e-"
        )


def _cut(
    crystal: IStructure,
    center: str,
    ligand: str,
    charges_e: Mapping[str, float] | None,
    cutoff_ang: float | None,
    material: str | None,
    provenance: Mapping[str, str] | None,
) -> _Cut:
    if not isinstance(crystal, IStructure):
        raise InputError(f"A cluster is cut from a crystal, and this {type(crystal).__name__} has no lattice.")
    if not crystal.is_ordered:
        raise InputError("A cluster cannot be cut from a crystal with partially occupied sites; order it first.")
    formula = crystal.composition.reduced_formula
    check_distances(crystal, formula)
    cell = primitive(crystal)
    symbols = {site.specie.symbol for site in cell}
    if ligand not in symbols:
        raise InputError(
            f"There is no {ligand} in {formula} to be a ligand; choose one of {', '.join(sorted(symbols))}."
        )
    sites = [site for site in inequivalent_sites(cell) if center in (site.element, site.label)]
    if not sites:
        raise InputError(
            f"There is no {center} in {formula} to be the centre; choose one of {', '.join(sorted(symbols))}."
        )
    charges = dict(charges_e) if charges_e is not None else oxidation_states(cell)
    madelung_potentials_V(cell, charges)  # refuses charges that do not balance, for bare clusters too
    index = sites[0].index
    return _Cut(
        cell,
        {symbol: charges[symbol] for symbol in dict.fromkeys(site.specie.symbol for site in cell)},
        Ion(cell[index].specie.symbol, index, cell[index].coords),
        ligand_shell(cell, index, ligand, cutoff_ang),
        material or formula,
        provenance or {},
    )


def _beside(cut: _Cut, relaxed: Model, cutoff_ang: float | None) -> tuple[_Cut, Ion]:
    """The octahedron beside a periodic vacancy, and its ligand that is missing there."""
    if relaxed.vacancy is None or not relaxed.periodic:
        raise InputError(f"{relaxed.name} is not a periodic cell with a vacancy.")
    where, ligand = relaxed.vacancy.position_ang, relaxed.vacancy.species
    bond = max(np.linalg.norm(ion.position_ang - cut.center.position_ang) for ion in cut.ligands)
    for center in _neighbours(cut.cell, where, 1.5 * bond, (cut.center.symbol,)):
        # the neighbour list knows the centre as a site of the cell; the vacancy may be beside an image of it
        shift = center.position_ang - cut.cell[center.index].coords
        shell = [
            replace(ion, position_ang=ion.position_ang + shift)
            for ion in ligand_shell(cut.cell, center.index, ligand, cutoff_ang)
        ]
        hole = min(shell, key=lambda ion: float(np.linalg.norm(ion.position_ang - where)))
        if np.linalg.norm(hole.position_ang - where) < 0.1:
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


def _counter_ions(cut: _Cut) -> list[Ion]:
    remaining = -cut.charge(cut.atoms)
    if abs(remaining) < 1e-6:
        return []
    sign = np.sign(remaining)
    symbols = tuple(symbol for symbol, charge in cut.charges_e.items() if charge * sign > 0)
    inside = np.array([ion.position_ang for ion in cut.atoms])
    candidates = [
        ion
        for ion in _neighbours(cut.cell, cut.center.position_ang, 12.0, symbols)
        if np.linalg.norm(inside - ion.position_ang, axis=1).min() > 1e-3
    ]
    chosen: list[Ion] = []
    while abs(remaining) > 1e-6:
        candidates = [ion for ion in candidates if abs(cut.charges_e[ion.symbol]) <= abs(remaining) + 1e-6]
        if not candidates:
            raise InputError(
                f"No counter-ions ({', '.join(symbols)}) within 12 Å make {_formula([i.symbol for i in cut.atoms])} neutral."
            )
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


def _radius(cut: _Cut, ion: Ion) -> float:
    return round(float(np.linalg.norm(ion.position_ang - cut.center.position_ang)), 2)


def _coulomb_eV(cut: _Cut, ions: list[Ion]) -> float:
    positions = np.array([ion.position_ang for ion in ions])
    q = np.array([cut.charges_e[ion.symbol] for ion in ions])
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    np.fill_diagonal(distance, np.inf)
    return float(COULOMB_V_ANG / 2 * (q[:, None] * q / distance).sum())


def _central_cation(cell: IStructure, ligand: str) -> str:
    charges = oxidation_states(cell)
    if ligand not in charges:
        raise InputError(f"There is no {ligand} in {cell.composition.reduced_formula} to be a ligand.")
    distances: dict[str, float] = {}
    for index, site in enumerate(cell):
        symbol = site.specie.symbol
        if charges[symbol] * charges[ligand] < 0:
            nearest = min(
                (n.nn_distance for n in cell.get_neighbors(site, 8.0) if n.specie.symbol == ligand), default=9.0
            )
            distances[symbol] = min(nearest, distances.get(symbol, 9.0))
    return min(distances, key=lambda symbol: (-abs(charges[symbol]), distances[symbol]))


def _neighbours(crystal: IStructure, point: np.ndarray, reach_ang: float, symbols: tuple[str, ...]) -> list[Ion]:
    """Ions of the given elements within reach of a point but not at it; nearest first, ties by direction."""
    found = [
        Ion(n.specie.symbol, n.index, n.coords)
        for n in crystal.get_sites_in_sphere(point, reach_ang)
        if n.specie.symbol in symbols and n.nn_distance > 1e-3
    ]

    def order(ion: Ion) -> tuple[float, ...]:
        step = ion.position_ang - point
        return (round(float(np.linalg.norm(step)), 3), *(-np.round(step, 3)[::-1]))

    return sorted(found, key=order)


def _formula(symbols: list[str]) -> str:
    counts = {symbol: symbols.count(symbol) for symbol in symbols}
    return "".join(symbol + (str(count) if count > 1 else "") for symbol, count in counts.items())


def _words(charges_e: Mapping[str, float]) -> str:
    return ", ".join(f"{symbol} {charge:+g}" for symbol, charge in charges_e.items())
