"""One electronic structure, whichever engine computed it."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from midgap.structures.document import Document, FloatArray, Geometry
from midgap.structures.theory import LevelOfTheory


class Provenance(Document):
    """By what a result was computed, and at what cost."""

    engine: str
    engine_version: str = ""
    command: str = ""
    settings: dict[str, str] = {}
    wall_time_s: NonNegativeFloat | None = None
    peak_memory_MB: NonNegativeFloat | None = None


FARTHEST_EV = 1e5
"""No level of an electron that is looked at here is farther from zero, nor the potential at a site; a number beyond is damage."""

NEAR_THE_GAP = 12
"""Scalar bands below and above the gap whose dipoles are kept; twice as many spinors."""


def near_the_gap(filled: tuple[int, int], n_band: int, *, spinors: bool = False) -> tuple[int, int]:
    """The bands [first, last) whose dipoles are kept; ``filled`` is the fewest and the most in any spin channel."""
    each = NEAR_THE_GAP * (2 if spinors else 1)
    return max(0, filled[0] - each), min(n_band, filled[1] + each)


class TransitionDipoles(Document):
    """Squared matrix elements of the position operator between neighbouring bands.

    Attributes
    ----------
    first_band
        Index, among the listed bands, of the first one taken.
    squared_ang2
        |⟨i|r|j⟩|² for x, y and z, Å²: shape (spin, k, band, band, 3), symmetric in the bands. Between
        bands that are degenerate by symmetry only their sum means something.
    mixed_ang2
        Re ⟨i|r|j⟩⟨i|r'|j⟩* of the pairs yz, xz and xy, likewise: with the squares the tensor that says which way light is
        polarised. None where directions were not kept, or stand for others by symmetry.
    """

    first_band: NonNegativeInt = 0
    squared_ang2: FloatArray
    mixed_ang2: FloatArray | None = None

    @classmethod
    def of(cls, first_band: int, elements_ang: np.ndarray, *, directions: bool = True) -> TransitionDipoles:
        """From ⟨i|r|j⟩ itself, shape (spin, k, 3, band, band)."""
        x, y, z = np.moveaxis(elements_ang, 2, 0)
        mixed = np.stack([(one * other.conj()).real for one, other in ((y, z), (x, z), (x, y))], axis=-1)
        squared = np.moveaxis(np.abs(elements_ang) ** 2, 2, -1)
        return cls(
            first_band=first_band, squared_ang2=squared.round(8), mixed_ang2=mixed.round(8) if directions else None
        )

    @model_validator(mode="after")
    def _square(self) -> TransitionDipoles:
        shape = self.squared_ang2.shape
        if len(shape) != 5 or shape[2] != shape[3] or shape[4] != 3:
            raise ValueError(f"squared dipoles need the shape (spin, k, band, band, 3), not {shape}")
        if self.mixed_ang2 is not None and self.mixed_ang2.shape != shape:
            raise ValueError(f"mixed dipoles need the shape of the squared ones, {shape}, not {self.mixed_ang2.shape}")
        return self


class ElectronicStructure(Document):
    """Eigenvalues and where in the crystal their states sit.

    Attributes
    ----------
    structure
        The atoms, in the order of ``site_weights``' and ``site_potentials_eV``'s last axis.
    charge
        Total charge, e.
    spinor
        States are two-component spinors: one electron a state, one spin channel.
    kpoints_frac, k_weights
        Shapes (k, 3) and (k,); weights sum to 1.
    eigenvalues_eV
        Shape (spin, k, band), ascending in the band, relative to the engine's own zero.
    occupations
        Shape (spin, k, band), 0...1: the fraction of the electrons that a state can hold. What the
        engine reported; band edges are taken from the electron count instead.
    site_weights
        Shape (spin, k, band, site) or None: the part of each state on each site, as projected; a
        row sums to at most about 1.
    n_electrons
        Electrons that the engine treated (valence), those below the window included.
    magnetization_muB
        N↑ - N↓ of a collinear calculation.
    first_band
        How many states of each spin channel lie below the first band listed.
    site_potentials_eV
        Electrostatic potential energy of an electron at each site, shape (site,), or None. Only
        differences between two calculations of the same engine and settings mean something.
    dipoles
        For optical transitions between bands near the gap, where the engine gives wavefunctions.
    total_energy_eV
        Of the cell, relative to the engine's own zero.
    energy_terms_eV
        What it is the sum of, where parts were computed one after the other: ``PBE``, ``HSE06 - PBE`` (what the
        hybrid changes for PBE's orbitals), ``SOC`` (what spin-orbit coupling changes in the sum of the occupied
        eigenvalues).
    """

    structure: Geometry
    theory: LevelOfTheory
    provenance: Provenance
    charge: int = 0
    spinor: bool = False
    kpoints_frac: FloatArray
    k_weights: FloatArray
    eigenvalues_eV: FloatArray
    occupations: FloatArray
    site_weights: FloatArray | None = None
    n_electrons: PositiveFloat
    magnetization_muB: float = 0.0
    first_band: NonNegativeInt = 0
    site_potentials_eV: FloatArray | None = None
    dipoles: TransitionDipoles | None = None
    total_energy_eV: float | None = None
    energy_terms_eV: dict[str, float] = {}
    converged: bool = True
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _shapes_agree(self) -> ElectronicStructure:
        if self.eigenvalues_eV.ndim != 3:
            raise ValueError(f"eigenvalues need the shape (spin, k, band), not {self.eigenvalues_eV.shape}")
        n_spin, n_k, n_band = self.eigenvalues_eV.shape
        if n_spin not in (1, 2) or (self.spinor and n_spin != 1):
            raise ValueError(f"{n_spin} spin channels{' of spinors' if self.spinor else ''} are not possible")
        if self.occupations.shape != self.eigenvalues_eV.shape:
            raise ValueError(f"occupations {self.occupations.shape} do not fit eigenvalues {self.eigenvalues_eV.shape}")
        if self.kpoints_frac.shape != (n_k, 3) or self.k_weights.shape != (n_k,):
            raise ValueError(
                f"{n_k} k-points of eigenvalues, but {self.kpoints_frac.shape} coordinates and {self.k_weights.shape} weights"
            )
        sound = np.abs(self.eigenvalues_eV) < FARTHEST_EV  # false for what is no number
        if not sound.all():
            spin, k, band = np.argwhere(~sound)[0]
            raise ValueError(
                f"the eigenvalue of spin {spin + 1}, k-point {k + 1}, band {band + 1} is not a number within ±10⁵ eV"
            )
        for name in ("k_weights", "kpoints_frac", "occupations", "site_weights", "site_potentials_eV"):
            values = getattr(self, name)
            if values is not None and not (np.abs(values) < FARTHEST_EV).all():
                raise ValueError(f"{name} holds what is not a number within ±10⁵")
        if not abs(self.magnetization_muB) <= self.n_electrons + 1e-3:
            raise ValueError(f"{self.n_electrons:g} electrons cannot have N↑ - N↓ = {self.magnetization_muB:g}")
        if self.dipoles is not None:
            given = self.dipoles.squared_ang2.shape
            if given[:2] != (n_spin, n_k) or self.dipoles.first_band + given[2] > n_band:
                raise ValueError(f"dipoles {given} do not fit eigenvalues {(n_spin, n_k, n_band)}")
        sites = len(self.structure)
        if self.site_weights is not None and self.site_weights.shape != (n_spin, n_k, n_band, sites):
            raise ValueError(f"site weights {self.site_weights.shape} do not fit {(n_spin, n_k, n_band, sites)}")
        if self.site_potentials_eV is not None and self.site_potentials_eV.shape != (sites,):
            raise ValueError(f"{self.site_potentials_eV.shape} site potentials for {sites} sites")
        return self

    @property
    def electrons_per_state(self) -> int:
        """2 for a restricted calculation, otherwise 1."""
        return 2 if self.eigenvalues_eV.shape[0] == 1 and not self.spinor else 1

    @property
    def energy_theory(self) -> str:
        """What the total energy was computed with: without what came after the SCF and brought eigenvalues alone."""
        if self.energy_terms_eV:
            whole = any(term.startswith(self.theory.functional) for term in self.energy_terms_eV)
            return (self.theory.functional if whole else "PBE") + ("+SOC" if "SOC" in self.energy_terms_eV else "")
        settings = self.provenance.settings
        hybrid = self.theory.functional == "HSE06" and settings.get("hybrid", "").startswith("one-shot on PBE")
        after = settings.get("spin-orbit", "").startswith(("one-shot", "second variation"))
        return ("PBE" if hybrid else self.theory.functional) + ("+SOC" if self.theory.spin_orbit and not after else "")

    def filled(self, spin: int) -> float:
        """How many of the listed bands of a spin channel the electron count fills at each k-point.

        Not an integer for a half-filled level of a restricted calculation or for a fractional
        magnetization.
        """
        if self.eigenvalues_eV.shape[0] == 2:
            electrons = (self.n_electrons + (self.magnetization_muB if spin == 0 else -self.magnetization_muB)) / 2
        else:
            electrons = self.n_electrons / self.electrons_per_state
        return electrons - self.first_band
