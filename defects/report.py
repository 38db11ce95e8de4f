"""What level identification finds: the gap, the levels in it, and on what grounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from midgap.defects.electronic_structure import Provenance
from midgap.defects.site import DefectSite
from midgap.structures.document import Document, FloatArray
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

Energy = Annotated[float, Field(gt=-1e5, lt=1e5)]
"""eV; no one-electron energy lies beyond."""


class Thresholds(Document):
    """What separates a defect level from a band.

    Attributes
    ----------
    edge_tolerance_eV
        States closer to an edge than this (or than the alignment's uncertainty) may be the edge itself.
    shallow_eV
        A state in the gap this close to an edge follows that edge unless it is localized: at the defect, and
        shared by less than ``spread`` of the sites that share the host's states.
    spread
        Ratio of participation ratios above which a state is as extended as a hydrogenic one is in a supercell.
    band_depth_eV
        How far inside the bands resonant states are looked for.
    excess_weight
        By how much the weight at the defect must exceed the host's.
    mixing_eV
        Host states within this of each other are mixed by the defect, so that a flat band can gather them on
        a few sites without there being a level.
    degeneracy_eV
        States closer than this are one level.
    partner_overlap
        Exchange-split partners have site weights w, w' with Σ√(w w') of at least this.
    """

    edge_tolerance_eV: float = 0.05
    shallow_eV: float = 0.3
    spread: float = 1.0 / 3.0
    band_depth_eV: float = 0.5
    excess_weight: float = 0.15
    mixing_eV: float = 0.25
    degeneracy_eV: float = 0.01
    partner_overlap: float = 0.9


class Alignment(Document):
    """How energies of the defect cell were put on the pristine cell's scale.

    Attributes
    ----------
    method
        ``site potentials``, ``deep levels``, ``common zero`` (clusters of one charge in the same surroundings),
        ``valence band`` (nothing else was at hand: the defect cell's highest filled state that does not sit at the
        defect), ``given``, ``none`` (no reference) or ``self`` (it is the reference).
    shift_eV
        Added to the reference's energies to compare them with this calculation's.
    uncertainty_eV
        The larger of the standard deviation over the sampled sites and the disagreement of the second method,
        where there is one; None where there is nothing to sample. Not the standard error of their mean: what
        moves one far site in a small cell moves all of them.
    scatter_eV
        Largest minus smallest sample.
    n_samples
        How many sites were averaged.
    beyond_ang
        They lie at least so far from the defect.
    check_method, check_shift_eV
        What the other method gives for the same sites.
    """

    method: Literal["site potentials", "deep levels", "common zero", "valence band", "given", "none", "self"]
    shift_eV: float = 0.0
    uncertainty_eV: float | None = None
    scatter_eV: float | None = None
    n_samples: int = 0
    beyond_ang: float | None = None
    check_method: Literal["site potentials", "deep levels"] | None = None
    check_shift_eV: float | None = None


class Localization(Document):
    """Where a level sits.

    Attributes
    ----------
    participation_ratio
        1/Σ w² of the normalised site weights: about how many sites share the state.
    host_participation_ratio
        The median of the pristine cell's states near the same band edge.
    defect_weight
        Normalised weight within the neighbour shell of the defect.
    baseline_weight
        The largest weight that states near the pristine band edge have on the same sites.
    at_defect
        The weight exceeds the baseline by more than `Thresholds.excess_weight`; None without weights.
    strongest_site
        Index of the site with most of the state, counted from 0 in the order of the structure; with its
        ``strongest_species``, ``strongest_weight`` and distance from the defect, ``strongest_distance_ang``.
    by_species
        Normalised weight of each element.
    """

    participation_ratio: float | None = None
    host_participation_ratio: float | None = None
    defect_weight: float | None = None
    baseline_weight: float | None = None
    at_defect: bool | None = None
    strongest_site: int | None = None
    strongest_species: str = ""
    strongest_weight: float | None = None
    strongest_distance_ang: float | None = None
    by_species: dict[str, float] = {}


class Level(Document):
    """One defect level, its spin partner or Kramers pair included where they are degenerate.

    ``above_vbm_eV`` and ``below_cbm_eV`` are measured from the host's edges. ``above_cell_vbm_eV`` is
    measured from the highest filled state of the defect's own cell that does not sit at the defect: the
    unaligned figure that is often quoted, and in a small cell another one. ``corrected_above_vbm_eV`` is
    ``above_vbm_eV`` without the images of a charged cell, where that was asked for.

    Attributes
    ----------
    occupation
        Electrons in the level, at most ``degeneracy``.
    band_index
        Of its lowest band, counted from 1 with all bands of its spin channel.
    dispersion_eV
        Highest minus lowest energy over the k-points: what the level's overlap with its own images does.
    partner
        Index, in the same report, of the level of the other spin with the same orbital: the two are split by
        exchange.
    kind
        ``deep``: in the gap. ``shallow``: a state of the band edge itself, pulled a little into the gap, or
        holding the defect's electron or hole. ``resonant``: inside a band, yet at the defect.
    """

    energy_eV: Energy
    above_vbm_eV: Energy
    below_cbm_eV: Energy
    above_cell_vbm_eV: Energy | None = None
    corrected_above_vbm_eV: Energy | None = None
    occupation: float
    spin: Literal["up", "down", "both", "spinor"]
    degeneracy: int
    band_index: int
    dispersion_eV: float = 0.0
    partner: int | None = None
    localization: Localization
    kind: Literal["deep", "shallow", "resonant"]


class Bookkeeping(Document):
    """Where the electrons are, counted in states of one electron each.

    ``in_valence + in_levels + in_conduction`` is the number of electrons; ``valence_states`` less
    ``in_valence`` are holes in the valence band.

    Attributes
    ----------
    valence_states
        States below the host's VBM, those below the computed window included.
    in_valence, in_levels, in_conduction
        Electrons in them, in the levels between the edges, and above the host's CBM.
    """

    valence_states: float
    in_valence: float
    in_levels: float
    in_conduction: float


class Transition(Document):
    """An optical transition of one electron between two of: the host's edges and the levels.

    Attributes
    ----------
    upper, lower
        Index of a level in the same report; None is the CBM or the VBM.
    energy_eV
        Difference of the one-electron energies.
    emits
        It can emit in this charge state once the other carrier is there: a filled level waits for a hole, an
        empty one for an electron.
    spin_allowed
        The two have states of the same spin; None for spinors, which need not have one.
    oscillator_strength
        Dimensionless, for unpolarised light: summed over the states of the lower, averaged over those of the
        upper; None where the engine gave no dipoles.
    dipole_e_ang
        Root of the summed squared transition dipole, e·Å.
    principal_fractions
        Shares of the strength along the principal axes of its dipole tensor, largest first: 1, 0, 0 is a linear dipole.
        None where the engine kept no directions.
    """

    upper: int | None
    lower: int | None
    energy_eV: Energy
    emits: bool
    spin_allowed: bool | None = None
    oscillator_strength: float | None = None
    dipole_e_ang: float | None = None
    principal_fractions: tuple[float, float, float] | None = None

    @property
    def label(self) -> str:
        """For people: ``CBM → level``."""
        return f"{'CBM' if self.upper is None else 'level'} → {'VBM' if self.lower is None else 'level'}"


class LevelCorrection(Document):
    """What the images of a charged defect did to its levels, and was taken off.

    Attributes
    ----------
    method
        ``eFNV``, or ``images`` where there are no site potentials.
    dielectric
        That screens the defect's charge, shape (3, 3).
    moved_by_eV
        Added to each level that sits at the defect.
    image_potential_eV
        Potential energy of an electron at the defect in the field of images and background.
    alignment_eV
        Of sites far from the defect beside the pristine crystal, point charges taken off.
    uncertainty_eV
        Standard error of that average; how far the charge is from a point it does not tell.
    """

    method: Literal["images", "eFNV"]
    dielectric: FloatArray
    moved_by_eV: Energy
    image_potential_eV: Energy
    alignment_eV: Energy = 0.0
    uncertainty_eV: float | None = None


class LevelReport(Document):
    """The gap and the levels of one calculation; energies in eV on that calculation's own scale.

    ``vbm_eV`` and ``cbm_eV`` are the host's, from the aligned pristine cell where there is one; ``gap_eV`` is
    zero if bands cross. ``direct`` says that the gap lies at one k-point; ``direct_gap_eV`` is the smallest
    gap at any.
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
    gap_eV: Energy | None
    vbm_eV: Energy | None
    cbm_eV: Energy | None
    direct: bool | None
    direct_gap_eV: Energy | None = None
    metallic: bool = False
    defect: DefectSite | None = None
    alignment: Alignment
    levels: tuple[Level, ...] = ()
    transitions: tuple[Transition, ...]  # none is a statement: a report without the word is an old one
    bookkeeping: Bookkeeping | None = None
    thresholds: Thresholds | None = None
    correction: LevelCorrection | None = None
    total_energy_eV: float | None = None
    provenance: Provenance
    warnings: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        shown = super().facts()
        return {name: shown[name] for name in _SHOWN if name in shown}

    def rows(self) -> list[dict[str, Any]]:
        """One row a level, lowest first."""
        return [
            {"level": i}
            | {name: getattr(level, name) for name in _OF_A_LEVEL}
            | {name: getattr(level.localization, name) for name in _OF_ITS_PLACE}
            for i, level in enumerate(self.levels)
        ]


_SHOWN = (
    "model",
    "label",
    "engine",
    "theory",
    "charge",
    "gap_eV",
    "direct",
    "metallic",
    "defect",
    "alignment",
    "warnings",
)
_OF_A_LEVEL = (
    "energy_eV", "above_vbm_eV", "below_cbm_eV", "above_cell_vbm_eV", "kind", "occupation", "degeneracy", "spin",
    "band_index", "dispersion_eV",
)  # fmt: skip
_OF_ITS_PLACE = ("defect_weight", "baseline_weight", "participation_ratio", "strongest_species", "strongest_weight")


class Levels(Document):
    """The level reports of one question, with the models they speak of (`LevelReport.model` names one)."""

    reports: tuple[LevelReport, ...]
    models: tuple[Model, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One row a level, and one for a report without levels."""
        return [
            {
                "model": report.model,
                "label": report.label,
                "engine": report.engine,
                "theory": report.theory.label,
                "charge": report.charge,
                "gap_eV": report.gap_eV,
                "alignment": report.alignment.method,
                "alignment_uncertainty_eV": report.alignment.uncertainty_eV,
            }
            | row
            for report in self.reports
            for row in report.rows() or [{}]
        ]
