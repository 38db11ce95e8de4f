"""What level identification finds: the gap, the levels in it, and on what grounds."""

from __future__ import annotations

from typing import Literal

from midgap.defects.electronic_structure import Provenance
from midgap.structures.document import Document
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory


class Alignment(Document):
    """How energies of the defect cell were put on the pristine cell's scale.

    Attributes
    ----------
    method
        ``site potentials``, ``deep levels``, ``common zero`` (clusters in the same surroundings), ``given``, ``none``
        (no reference) or ``self`` (it is the reference).
    shift_eV
        Added to the reference's energies to compare them with this calculation's.
    uncertainty_eV
        Standard error of the mean over the sampled sites or levels; None where there is nothing to sample.
    scatter_eV
        Largest minus smallest sample.
    n_samples
        How many sites or levels were averaged.
    """

    method: Literal["site potentials", "deep levels", "common zero", "given", "none", "self"]
    shift_eV: float = 0.0
    uncertainty_eV: float | None = None
    scatter_eV: float | None = None
    n_samples: int = 0


class Localization(Document):
    """Where a level sits.

    Attributes
    ----------
    participation_ratio
        1/Σ w² of the normalised site weights: about how many sites share the state.
    defect_weight
        Normalised weight within the vacancy's neighbour shell.
    baseline_weight
        The largest weight that states near the pristine band edges have on the same sites.
    by_species
        Normalised weight of each element.
    """

    participation_ratio: float | None = None
    defect_weight: float | None = None
    baseline_weight: float | None = None
    by_species: dict[str, float] = {}


class Level(Document):
    """One defect level, its spin partner or Kramers pair included where they are degenerate.

    ``above_vbm_eV`` and ``below_cbm_eV`` are measured from the host's edges. ``above_cell_vbm_eV`` is
    measured from the highest filled state of the defect's own cell that does not sit at the defect: the
    unaligned figure that is often quoted, and in a small cell another one.
    """

    energy_eV: float
    above_vbm_eV: float
    below_cbm_eV: float
    above_cell_vbm_eV: float | None = None
    occupation: float
    spin: Literal["up", "down", "both", "spinor"]
    degeneracy: int
    band_index: int
    localization: Localization
    kind: Literal["deep", "shallow", "resonant"]


class LevelReport(Document):
    """The gap and the levels of one calculation; energies in eV on that calculation's own scale.

    ``vbm_eV`` and ``cbm_eV`` are the host's, from the aligned pristine cell where there is one.
    """

    model: str = ""
    label: str = ""
    engine: str
    theory: LevelOfTheory
    charge: int = 0
    n_electrons: float
    spin_polarized: bool
    spin_orbit: bool
    n_kpoints: int
    gap_eV: float | None
    vbm_eV: float | None
    cbm_eV: float | None
    direct: bool | None
    alignment: Alignment
    levels: tuple[Level, ...] = ()
    total_energy_eV: float | None = None
    provenance: Provenance
    warnings: tuple[str, ...] = ()


class Levels(Document):
    """The level reports of one question, with the models they speak of (`LevelReport.model` names one)."""

    reports: tuple[LevelReport, ...]
    models: tuple[Model, ...]
