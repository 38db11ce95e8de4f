"""Cutting: a centre with its ligands, taken out of the crystal and made into a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.core import IMolecule, IStructure

from midgap.structures.crystals import check_distances, oxidation_states, primitive
from midgap.structures.embedding import Embedding, madelung_potentials_V, potential_V, surroundings
from midgap.structures.errors import InputError
from midgap.structures.model import Model, PointCharges, Vacancy
from midgap.structures.shells import Ion, ligand_shell, neighbours
from midgap.structures.vacancies import inequivalent_sites


@dataclass(frozen=True, eq=False)
class Cut:
    """A centre and its ligands, and the crystal they are cut from."""

    cell: IStructure
    charges_e: Mapping[str, float]
    center: Ion
    ligands: list[Ion]
    material: str
    provenance: Mapping[str, str]
    cutoff_ang: float | None = None

    @property
    def atoms(self) -> list[Ion]:
        return [self.center, *self.ligands]

    def charge(self, ions: Sequence[Ion]) -> float:
        return sum(self.charges_e[ion.symbol] for ion in ions)

    def model(
        self,
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
            name=f"{what}_{formula(atoms)}" + ("" if charges is None else "_embedded"),
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
        bond = max(ion.distance_ang(self.center.position_ang) for ion in self.ligands)
        return sum(
            len(neighbours(self.cell, ion.position_ang, 1.2 * bond, (self.center.symbol,))) > 1 for ion in self.ligands
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


def cut_out(
    crystal: IStructure,
    center: str,
    ligand: str,
    charges_e: Mapping[str, float] | None,
    cutoff_ang: float | None,
    material: str | None,
    provenance: Mapping[str, str] | None,
) -> Cut:
    """A centre and its ligands in the primitive cell; parameters and errors as `clusters.octahedron`."""
    if not isinstance(crystal, IStructure):
        raise InputError(f"A cluster is cut from a crystal, and this {type(crystal).__name__} has no lattice.")
    if not crystal.is_ordered:
        raise InputError("A cluster cannot be cut from a crystal with partially occupied sites; order it first.")
    name = crystal.composition.reduced_formula
    check_distances(crystal, name)
    cell = primitive(crystal)
    symbols = {site.specie.symbol for site in cell}
    if ligand not in symbols:
        raise InputError(f"There is no {ligand} in {name} to be a ligand; choose one of {', '.join(sorted(symbols))}.")
    sites = [site for site in inequivalent_sites(cell) if center in (site.element, site.label)]
    if not sites:
        raise InputError(
            f"There is no {center} in {name} to be the centre; choose one of {', '.join(sorted(symbols))}."
        )
    charges = dict(charges_e) if charges_e is not None else oxidation_states(cell)
    madelung_potentials_V(cell, charges)  # refuses charges that do not balance, for bare clusters too
    index = sites[0].index
    return Cut(
        cell,
        {symbol: charges[symbol] for symbol in dict.fromkeys(site.specie.symbol for site in cell)},
        Ion(cell[index].specie.symbol, index, cell[index].coords),
        ligand_shell(cell, index, ligand, cutoff_ang),
        material or name,
        provenance or {},
        cutoff_ang,
    )


def formula(ions: Sequence[Ion]) -> str:
    """Elements in the order of the ions: ``PbBr6``."""
    symbols = [ion.symbol for ion in ions]
    counts = {symbol: symbols.count(symbol) for symbol in symbols}
    return "".join(symbol + (str(count) if count > 1 else "") for symbol, count in counts.items())


def _words(charges_e: Mapping[str, float]) -> str:
    return ", ".join(f"{symbol} {charge:+g}" for symbol, charge in charges_e.items())
