"""A model: the atoms an engine computes, and what they stand for."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from pymatgen.core import Element, IMolecule, IStructure

from midgap.structures.document import Document, FloatArray, Geometry

Kind = Literal["pristine", "vacancy", "cluster"]


SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


class Vacancy(Document):
    """An atom that is not there.

    Attributes
    ----------
    species
        Element of the missing atom.
    site
        Label of the symmetry-inequivalent site, e.g. ``Br1``; numbered in the order of the host's atoms.
    wyckoff
        Wyckoff position in the host, e.g. ``36f``.
    multiplicity
        Number of equivalent sites in the host's primitive cell.
    of_sites
        How many inequivalent sites of the element the host has.
    position_ang
        Where the atom was, Cartesian, in the frame of the model, shape (3,), Å.
    """

    species: str
    site: str
    wyckoff: str = ""
    multiplicity: PositiveInt = 1
    of_sites: PositiveInt = 1
    position_ang: FloatArray

    @model_validator(mode="after")
    def _is_a_place(self) -> Vacancy:
        if self.position_ang.shape != (3,) or not np.isfinite(self.position_ang).all():
            raise ValueError("the position of a vacancy is three numbers, in Å")
        return self


class PointCharges(Document):
    """The crystal around a cluster, as point charges.

    Attributes
    ----------
    positions_ang
        Shape (n, 3), Å.
    charges_e
        Shape (n,), elementary charges.
    """

    positions_ang: FloatArray
    charges_e: FloatArray


def _odd_electrons(data: dict[str, Any]) -> int:
    if "structure" not in data or "charge" not in data:  # they failed their own checks, which will be told
        return 0
    return (sum(site.specie.Z for site in data["structure"]) - data["charge"]) % 2


class Model(Document):
    """A pristine supercell, a supercell with a vacancy, or a cluster cut from a crystal.

    Attributes
    ----------
    name
        Unique within a build, and a file name: ``V_Br1_q0_22``.
    structure
        pymatgen ``IStructure`` (periodic) or ``IMolecule`` (cluster).
    charge
        Total charge in e.
    unpaired_electrons
        2S. Left out, it is 0 for an even number of electrons and 1 for an odd one.
    supercell_matrix
        Rows express the supercell's vectors in the primitive ones, shape (3, 3).
    ghosts
        Sites of a cluster that carry basis functions but no atom, e.g. the place of a removed ligand.
    provenance
        Where the geometry comes from, in words, by aspect: ``lattice``, ``coordinates``, ``source``...
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+\-]*$", max_length=80)
    kind: Kind
    material: str
    structure: Geometry
    charge: int = 0
    unpaired_electrons: NonNegativeInt = Field(default_factory=lambda data: _odd_electrons(data))
    supercell_matrix: tuple[tuple[int, int, int], ...] | None = None
    vacancy: Vacancy | None = None
    embedding: PointCharges | None = None
    ghosts: Geometry | None = None
    provenance: dict[str, str] = {}

    @model_validator(mode="after")
    def _possible(self) -> Model:
        electrons = self.n_electrons
        if electrons <= 0:
            raise ValueError(f"charge {self.charge:+d} leaves no electrons")
        if (electrons - self.unpaired_electrons) % 2 or self.unpaired_electrons > electrons:
            raise ValueError(
                f"{electrons} electrons cannot leave {self.unpaired_electrons} unpaired; "
                f"give an {'odd' if electrons % 2 else 'even'} number"
            )
        if self.kind == "vacancy" and self.vacancy is None:
            raise ValueError("a vacancy model says which atom is missing")
        if self.kind == "pristine" and self.vacancy is not None:
            raise ValueError("a pristine model has no missing atom")
        if self.kind == "cluster" and self.periodic:
            raise ValueError("a cluster has no lattice")
        return self

    def facts(self) -> dict[str, Any]:
        shown = {"label": self.label} | super().facts()
        if isinstance(self.structure, IStructure):
            shown["lattice"] = "{:.3f} {:.3f} {:.3f} Å, {:.1f} {:.1f} {:.1f}°".format(
                *self.structure.lattice.parameters
            )
        if self.vacancy is not None:
            shown["vacancy"] = f"{self.vacancy.species} of {self.vacancy.site}"
        if self.embedding is not None:
            shown["embedding"] = f"{len(self.embedding.charges_e)} point charges"
        return shown

    @property
    def periodic(self) -> bool:
        return isinstance(self.structure, IStructure)

    @property
    def species(self) -> list[str]:
        """Chemical symbols, one an atom."""
        return [site.specie.symbol for site in self.structure]

    @property
    def positions_ang(self) -> np.ndarray:
        """Cartesian positions, shape (n, 3), Å."""
        return np.asarray(self.structure.cart_coords, dtype=float)

    @property
    def n_electrons(self) -> int:
        """All electrons, core included: ΣZ - charge."""
        return sum(Element(symbol).Z for symbol in self.species) - self.charge

    @property
    def label(self) -> str:
        """For people: ``V_Br⁰ · 21 atoms``."""
        number = str(abs(self.charge)) if abs(self.charge) > 1 else ""
        sign = f"{number}{'+-'[self.charge < 0] if self.charge else '0'}".translate(SUPERSCRIPTS)
        if self.vacancy is not None and self.periodic:
            where = self.vacancy.site if self.vacancy.of_sites > 1 else self.vacancy.species
            what = f"V_{where}{sign}"
        elif self.kind == "pristine":
            what = f"{self.material} pristine"
        else:
            counts: dict[str, int] = {}
            for symbol in self.species:
                counts[symbol] = counts.get(symbol, 0) + 1
            formula = "".join(s + (str(n) if n > 1 else "") for s, n in counts.items())
            what = f"[{formula}]{sign}" if self.charge else formula
            what += " embedded" if self.embedding is not None else ""
        return f"{what} · {len(self.structure)} atoms"

    def at(self, positions_ang: np.ndarray, **provenance: str) -> Model:
        """The same model with its atoms moved to ``positions_ang`` (shape (n, 3), Å)."""
        geometry: IStructure | IMolecule
        if isinstance(self.structure, IStructure):
            geometry = IStructure(self.structure.lattice, self.species, positions_ang, coords_are_cartesian=True)  # type: ignore[arg-type]
        else:
            geometry = IMolecule(self.species, positions_ang)
        return self.model_copy(update={"structure": geometry, "provenance": self.provenance | provenance})
