"""What one run of an engine is asked for, and what comes back."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.excitations import Promotion
from midgap.structures.document import Document, FloatArray
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.tasks import Task as Task


class Calculation(Document):
    """One model, one theory, one task.

    Attributes
    ----------
    task
        ``relax`` moves the atoms in a fixed cell; ``static`` computes eigenvalues and where states sit;
        ``forces`` the energy and what each atom feels, converged well enough to be differentiated.
    fmax_eV_per_ang
        A relaxation ends when no atom feels more.
    max_steps
        A relaxation that needs more geometry steps has failed.
    empty_bands
        Bands above the occupied ones, a spin channel; None is the engine's default.
    electric_field_V_per_ang
        A uniform field that the atoms are held in, for ``forces`` on a crystal.
    promotion
        The excited state with this electron promoted, instead of the ground state.
    engine_settings
        Settings of one engine in that engine's own words, over everything else.
    """

    model: Model
    theory: LevelOfTheory
    task: Task = "static"
    fmax_eV_per_ang: PositiveFloat = 0.05
    max_steps: PositiveInt = 200
    empty_bands: PositiveInt | None = None
    electric_field_V_per_ang: tuple[float, float, float] | None = None
    promotion: Promotion | None = None
    engine_settings: dict[str, str | int | float | bool] = {}


class CalculationResult(Document):
    """What an engine found.

    ``model`` carries the final positions; ``electronic_structure`` is there after a static run,
    ``forces_eV_per_ang`` (shape (n, 3)) after one of forces, in a field with ``dipole_e_ang`` (shape (3,)), which is
    known up to a vector of the lattice times e.
    """

    model: Model
    task: Task
    total_energy_eV: float
    electronic_structure: ElectronicStructure | None = None
    relaxation_energies_eV: tuple[float, ...] = ()
    max_force_eV_per_ang: float | None = None
    forces_eV_per_ang: FloatArray | None = None
    dipole_e_ang: FloatArray | None = None
    provenance: Provenance
