"""Force constants by finite displacements, with any engine that gives forces, as one jobflow flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jobflow import Flow, Maker, Response, job
from pymatgen.core import IStructure

from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.flows import LevelFlowMaker, Plain

DISTANCE_ANG = 0.01
"""phonopy's own: far enough that forces are not noise, near enough that they are linear."""


@job
def displacements_of(model: Plain, maker: PhononFlowMaker) -> Response:
    """Displace and compute, in place of this job, when the relaxed geometry is there."""
    return Response(replace=maker.displaced(Model.from_dict(model)))


@job
def vibrations_of(model: Plain, results: Sequence[Plain], distance_ang: float) -> Plain:
    """The modes at Γ of the cell, from the forces on its displaced copies.

    Returns
    -------
    dict
        A `midgap.defects.vibrations.Modes`.
    """
    from midgap.defects.vibrations import modes_of

    atoms = Model.from_dict(model)
    assert isinstance(atoms.structure, IStructure)
    phonon = displaced_cells(atoms.structure, distance_ang)
    phonon.forces = np.array([result["forces_eV_per_ang"] for result in results])
    phonon.produce_force_constants(calculate_full_force_constants=True)
    phonon.symmetrize_force_constants(show_drift=False)
    return modes_of(atoms.structure, phonon.force_constants).to_dict()


def displaced_cells(structure: IStructure, distance_ang: float = DISTANCE_ANG) -> Any:
    """A phonopy object whose supercell is the structure itself, with as few displacements as its symmetry leaves."""
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        symbols=[site.specie.symbol for site in structure],
        cell=structure.lattice.matrix,
        scaled_positions=structure.frac_coords,
    )
    # A relaxed geometry is symmetric to what its forces were relaxed to, not to phonopy's 1e-5 Å.
    phonon = Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=np.eye(3), symprec=1e-3, log_level=0)
    phonon.generate_displacements(distance=distance_ang)
    return phonon


@dataclass
class PhononFlowMaker(Maker):
    """Relax a model, displace its atoms, and find its vibrations at Γ.

    Of a supercell, these are the modes that a defect couples to, and those of the crystal at all q-points that
    the cell folds onto Γ. Imaginary ones say that the structure is no minimum.

    Parameters
    ----------
    name
        Name of the flows.
    levels
        How the model is relaxed, by which engine and with which options. Forces of 0.05 eV/Å, enough for
        levels, leave soft modes uncertain: relax further, by ``options={"fmax_eV_per_ang": 0.005}``.
    theory
        Of the forces; None is that of the relaxation.
    distance_ang
        By how much atoms are displaced.
    """

    name: str = "phonons"
    levels: LevelFlowMaker = field(default_factory=LevelFlowMaker)
    theory: LevelOfTheory | None = None
    distance_ang: float = DISTANCE_ANG

    def __post_init__(self) -> None:
        if isinstance(self.theory, dict):
            self.theory = LevelOfTheory.from_dict(self.theory)

    def make(self, model: Model) -> Flow:
        """Make the flow; its output is a `midgap.defects.vibrations.Modes`.

        Raises
        ------
        InputError
            The model is a cluster, or the engine gives no forces.
        """
        if not isinstance(model.structure, IStructure):
            raise InputError(f"{model.name} is a cluster; vibrations are computed of crystals here.")
        self._forces(model)  # refused now rather than after the relaxation
        if not self.levels.relaxations_of(model):
            return self.displaced(model)
        steps = self.levels.relaxation(model)
        rest = displacements_of(steps[-1].output["model"], self)
        return self.levels.relaxed_then(steps, rest, "displace the atoms", self.name)

    def displaced(self, model: Model) -> Flow:
        """The flow of a geometry that is relaxed already."""
        assert isinstance(model.structure, IStructure)
        jobs = []
        for i, cell in enumerate(displaced_cells(model.structure, self.distance_ang).supercells_with_displacements):
            there = model.at(cell.positions, displaced=f"by {self.distance_ang:g} Å, number {i + 1}")
            jobs.append(self._forces(there.model_copy(update={"name": f"{model.name}_d{i + 1:04d}"})))
        modes = vibrations_of(model.to_dict(), [one.output for one in jobs], self.distance_ang)
        modes.metadata.update(task="phonons", cost_s=5.0)
        self.levels.placed(modes)
        return Flow([*jobs, modes], output=modes.output, name=self.name)

    def _forces(self, model: Model) -> Any:
        theory = self.theory or self.levels.theory_for(model, "relax")
        return self.levels.as_job(self.levels.calculation(model, "forces", theory))
