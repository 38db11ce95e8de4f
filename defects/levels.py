"""Defect levels: states in or near the gap of the host that sit at the defect.

A level is told by two things together: its energy, between the band edges of the pristine crystal put
on the same scale; and its weight on the sites around the defect, against what states of the pristine
crystal have on those sites. Finding nothing is an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from pymatgen.core import IMolecule, IStructure

from midgap.defects.alignment import align, check_same_cell
from midgap.defects.band_edges import BandEdges, band_edges
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.localization import HostStates, localization, normalised_weights
from midgap.defects.report import (
    Alignment,
    Bookkeeping,
    Level,
    LevelReport,
    Localization,
    Thresholds,
    Transition,
)
from midgap.defects.site import DefectSite, check_site_is_filled, find_defect, neighbour_shell, site_distances
from midgap.defects.states import State, degenerate_groups, mean_weights, states_of
from midgap.defects.transitions import FEW_ELECTRONS, across_the_gap, optical_transitions
from midgap.structures.model import Vacancy

LARGE_SCATTER_EV = 0.15
"""Potentials of far sites that differ by more than this are not those of a bulk-like region."""

NOTABLE_EV = 0.1


def identify_levels(
    structure: ElectronicStructure,
    reference: ElectronicStructure | None = None,
    defect: DefectSite | Vacancy | None = None,
    *,
    model: str = "",
    label: str = "",
    shift_eV: float | None = None,
    thresholds: Thresholds | None = None,
) -> LevelReport:
    """Find the gap, the defect levels, the electrons in them and the optical transitions.

    Parameters
    ----------
    structure
        The calculation to read.
    reference
        The pristine crystal in the same cell at the same theory; its edges are the host's. Without it,
        or for the pristine crystal itself, the edges are the calculation's own; in a cluster no state is then called a
        defect level.
    defect
        Where the defect is. Left out, it is found by comparison with the reference; without a reference no
        state is called a defect level.
    shift_eV
        Added to the reference's energies instead of the computed alignment.

    Raises
    ------
    InputError
        The reference is of another cell, theory or engine; the defect is not a point defect; there is no
        band on one side of the gap.
    """
    limits = thresholds or Thresholds()
    own = band_edges(structure)
    site = DefectSite.of(defect) if isinstance(defect, Vacancy) else defect
    if reference is None and isinstance(structure.structure, IMolecule):
        site = None  # all of a cluster is near its defect: no state of it is the host's
    alignment, pristine = Alignment(method="self"), None
    if reference is not None:
        check_same_cell(structure, reference)
        if site is None:
            site = find_defect(structure, reference)
        elif site.missing:
            check_site_is_filled(site, reference)
        alignment = align(structure, reference, site, shift_eV)
        pristine = band_edges(reference)
    host = own if pristine is None else pristine.shifted(alignment.shift_eV)
    finding = None
    if site is not None:
        finding = _Finding(structure, reference, site, own, pristine, alignment, limits)
        alignment, host = finding.alignment, finding.host
    levels = [] if finding is None else finding.levels()
    return LevelReport(
        model=model,
        label=label,
        engine=structure.provenance.engine,
        theory=structure.theory,
        charge=structure.charge,
        n_electrons=structure.n_electrons,
        spin_polarized=structure.eigenvalues_eV.shape[0] == 2,
        spin_orbit=structure.theory.spin_orbit,
        n_kpoints=structure.eigenvalues_eV.shape[1],
        gap_eV=host.gap_eV,
        vbm_eV=host.vbm_eV,
        cbm_eV=host.cbm_eV,
        direct=None if _one_of_many(reference or structure) else host.direct,
        direct_gap_eV=host.direct_gap_eV,
        metallic=host.metallic,
        defect=site,
        alignment=alignment,
        levels=tuple(level for level, _ in levels),
        transitions=across_the_gap(host) if finding is None else finding.transitions(levels),
        bookkeeping=None if finding is None else finding.bookkeeping(),
        thresholds=None if finding is None else limits,
        total_energy_eV=structure.total_energy_eV,
        provenance=structure.provenance,
        warnings=tuple(
            dict.fromkeys(
                [
                    *structure.warnings,
                    *_warnings(structure, reference, own, alignment, defect is not None),
                    *([] if finding is None else finding.warnings([level for level, _ in levels])),
                ]
            )
        ),
    )


def _one_of_many(structure: ElectronicStructure) -> bool:
    """A single k-point of a crystal: whether its gap is direct cannot be seen."""
    return isinstance(structure.structure, IStructure) and len(structure.kpoints_frac) == 1


def _warnings(
    structure: ElectronicStructure,
    reference: ElectronicStructure | None,
    own: BandEdges,
    alignment: Alignment,
    defective: bool,
) -> Iterator[str]:
    if own.half_filled:
        yield "a level is partially filled: compute with spin polarisation"
    elif own.metallic:
        yield "no gap: the highest filled and the lowest empty states cross, as in a metal or a half-filled degenerate level"
    if not structure.converged:
        yield "the calculation is not converged"
    if reference is None:
        if defective and isinstance(structure.structure, IMolecule):
            yield (
                "a cluster without a reference: its gap is from its own highest filled to its own lowest empty state; give "
                "the whole cluster as the reference to see the defect's levels"
            )
        return
    if abs(reference.magnetization_muB) > 0.5:
        yield (
            f"the reference has unpaired electrons (N↑ - N↓ = {reference.magnetization_muB:g}): is it the pristine crystal, "
            "or were the two folders swapped?"
        )
    if not reference.converged:
        yield "the pristine reference is not converged"
    if alignment.method == "valence band":
        yield (
            "the pristine reference could not be aligned by potentials or deep levels: its VBM is put on the highest filled "
            "state of the defect cell that does not sit at the defect"
        )
    if alignment.scatter_eV is not None and alignment.scatter_eV > LARGE_SCATTER_EV:
        yield (
            f"alignment: the {alignment.n_samples} far sites scatter by {alignment.scatter_eV:.2f} eV; "
            "the cell is too small for a bulk-like region"
        )
    if structure.kpoints_frac.shape != reference.kpoints_frac.shape or not np.allclose(
        structure.kpoints_frac, reference.kpoints_frac, atol=1e-4
    ):
        yield "defect and reference were computed at different k-points"


Side = Literal["valence", "gap", "conduction"]


@dataclass(frozen=True)
class _Found:
    """A group of degenerate states on one side of the host's edges."""

    states: tuple[State, ...]
    side: Side


class _Finding:
    """The levels of one defect, and what was compared to find them."""

    def __init__(
        self,
        structure: ElectronicStructure,
        reference: ElectronicStructure | None,
        site: DefectSite,
        own: BandEdges,
        pristine: BandEdges | None,
        alignment: Alignment,
        limits: Thresholds,
    ):
        host = own if pristine is None else pristine.shifted(alignment.shift_eV)
        self.structure, self.site, self.limits = structure, site, limits
        self.shell = neighbour_shell(structure, site)
        self.distances = site_distances(structure, site.position_ang)
        aligned = pristine is not None and alignment.method != "none"
        # Electrons in the conduction band do not make it the valence band.
        middle = 0.5 * (host.vbm_eV + host.cbm_eV) if aligned else np.inf
        self.cell_host, median = _own_host_edges(structure, self.shell, own, limits, middle)
        if not aligned and pristine is not None:
            alignment = Alignment(method="valence band", shift_eV=self.cell_host.vbm_eV - pristine.vbm_eV)
            host = pristine.shifted(alignment.shift_eV)
        self.alignment = Alignment(method="none") if pristine is None else alignment
        self.host = self.cell_host if pristine is None else host
        self.reference = None
        self.baselines: dict[Side, float | None] = {"valence": median, "conduction": median}
        self.participations: dict[Side, float | None] = {"valence": None, "conduction": None}
        if reference is not None and pristine is not None:
            self.reference = HostStates(structure, reference, self.shell)
            near: dict[Side, tuple[float, float]] = {
                "valence": (pristine.vbm_eV - limits.band_depth_eV, pristine.vbm_eV + 1e-3),
                "conduction": (pristine.cbm_eV - 1e-3, pristine.cbm_eV + limits.band_depth_eV),
            }
            self.baselines = {side: self.reference.baseline(*energies) for side, energies in near.items()}
            self.participations = {side: self.reference.participation(*energies) for side, energies in near.items()}
        self.tolerance = max(limits.edge_tolerance_eV, self.alignment.uncertainty_eV or 0.0)
        self.states = states_of(structure)

    # --- where states lie --------------------------------------------------------------------

    def side(self, energy_eV: float) -> Side:
        """On which side of the host's edges an energy lies; closer to one than the tolerance is the band itself."""
        to_vbm, to_cbm = energy_eV - self.host.vbm_eV, self.host.cbm_eV - energy_eV
        if min(to_vbm, to_cbm) > self.tolerance:
            return "gap"
        return "valence" if to_vbm < to_cbm else "conduction"

    def levels(self) -> list[tuple[Level, tuple[State, ...]]]:
        """Levels in order of energy, each with its states."""
        found = [(level, group.states) for group in self._groups() if (level := self._level(group)) is not None]
        found.sort(key=lambda pair: pair[0].energy_eV)
        return self._partnered(found)

    def _groups(self) -> Iterator[_Found]:
        depth = self.limits.band_depth_eV
        near = [s for s in self.states if self.host.vbm_eV - depth <= s.energy_eV <= self.host.cbm_eV + depth]
        elsewhere = self._carriers - {(s.spin, s.band) for s in near}
        # A state of a band that holds the defect's carrier counts wherever it lies.
        beyond = [s for s in self.states if (s.spin, s.band) in elsewhere]
        # In an open shell the spins are different states even where their energies meet.
        together = abs(self.structure.magnetization_muB) < FEW_ELECTRONS
        sets = [near + beyond] if together else [[s for s in near + beyond if s.spin == spin] for spin in (0, 1)]
        for group in (group for states in sets for group in degenerate_groups(states, self.limits.degeneracy_eV)):
            yield _Found(tuple(group), self.side(float(np.mean([s.energy_eV for s in group]))))

    @cached_property
    def _carriers(self) -> set[tuple[int, int]]:
        """Spin and band of states of the conduction band that hold electrons, and of the valence band that hold holes."""
        full = self.structure.electrons_per_state
        sides = [(state, self.side(state.energy_eV)) for state in self.states]
        return {
            (state.spin, state.band)
            for state, side in sides
            if (side == "conduction" and state.electrons > FEW_ELECTRONS)
            or (side == "valence" and full - state.electrons > FEW_ELECTRONS)
        }

    # --- what they are -----------------------------------------------------------------------

    def _level(self, group: _Found) -> Level | None:
        energy = float(np.mean([state.energy_eV for state in group.states]))
        above, below = energy - self.host.vbm_eV, self.host.cbm_eV - energy
        nearer: Side = "valence" if above < below else "conduction"
        where = localization(
            self.structure,
            mean_weights(group.states),
            self.shell,
            self.distances,
            self._baseline(group.side),
            self.limits.excess_weight,
            self.participations[nearer],
        )
        kind = self._kind(group, energy, where)
        if kind is None:
            return None
        spins = {state.spin for state in group.states}
        per_state = self.structure.electrons_per_state
        return Level(
            energy_eV=energy,
            above_vbm_eV=above,
            below_cbm_eV=below,
            above_cell_vbm_eV=energy - self.cell_host.vbm_eV,
            occupation=sum(state.electrons for state in group.states),
            spin="spinor"
            if self.structure.spinor
            else "both"
            if per_state == 2 or len(spins) == 2
            else ("up", "down")[spins.pop()],
            degeneracy=len(group.states) * per_state,
            band_index=self.structure.first_band + min(state.band for state in group.states) + 1,
            dispersion_eV=max(s.highest_eV - s.lowest_eV for s in group.states),
            localization=where,
            kind=kind,
        )

    def _baseline(self, side: Side) -> float | None:
        sides: tuple[Side, ...] = ("valence", "conduction") if side == "gap" else (side,)
        return max((b for name in sides if (b := self.baselines[name]) is not None), default=None)

    def _kind(self, group: _Found, energy: float, where: Localization) -> Literal["deep", "shallow", "resonant"] | None:
        limits = self.limits
        if group.side == "gap":
            nearest = min(energy - self.host.vbm_eV, self.host.cbm_eV - energy)
            # Nothing of the host is left far from its own edges, wherever a state found there sits.
            return "shallow" if nearest <= limits.shallow_eV and not self._localized(where) else "deep"
        if any((state.spin, state.band) in self._carriers for state in group.states):
            return "shallow"
        if where.at_defect and where.defect_weight is not None and self.reference is not None:
            there = energy - self.alignment.shift_eV
            capacity = self.reference.capacity(there - limits.mixing_eV, there + limits.mixing_eV)
            if where.defect_weight > capacity + limits.excess_weight:
                return "resonant"
        return None

    def _localized(self, where: Localization) -> bool:
        """At the defect, and shared by far fewer sites than the host's states."""
        if where.participation_ratio is None or where.host_participation_ratio is None:
            return bool(where.at_defect)
        return bool(where.at_defect) and (
            where.participation_ratio < self.limits.spread * where.host_participation_ratio
        )

    def _partnered(self, found: list[tuple[Level, tuple[State, ...]]]) -> list[tuple[Level, tuple[State, ...]]]:
        """Each level with the index of the one that exchange split from it."""
        levels = [level for level, _ in found]
        weights = [states[0].weights for _, states in found]
        partner: dict[int, int] = {}
        pairs = sorted(
            (
                (-_overlap(weights[i], weights[j]), i, j)
                for i in range(len(levels))
                for j in range(i)
                if _may_be_partners(levels[i], levels[j])
            ),
        )
        for minus_overlap, i, j in pairs:
            if -minus_overlap >= self.limits.partner_overlap and i not in partner and j not in partner:
                partner[i], partner[j] = j, i
        return [(level.model_copy(update={"partner": partner.get(i)}), s) for i, (level, s) in enumerate(found)]

    # --- electrons and light -----------------------------------------------------------------

    def bookkeeping(self) -> Bookkeeping:
        """Count states and electrons by the side they are on."""
        per_state, channels = self.structure.electrons_per_state, self.structure.eigenvalues_eV.shape[0]
        below = self.structure.first_band * per_state * channels
        sides = [self.side(state.energy_eV) for state in self.states]

        def electrons(wanted: Side) -> float:
            return sum(s.electrons for s, side in zip(self.states, sides, strict=True) if side == wanted)

        return Bookkeeping(
            valence_states=below + per_state * sides.count("valence"),
            in_valence=below + electrons("valence"),
            in_levels=electrons("gap"),
            in_conduction=electrons("conduction"),
        )

    def transitions(self, levels: Sequence[tuple[Level, tuple[State, ...]]]) -> tuple[Transition, ...]:
        """Between the levels in the gap and the edges."""
        bands = {side: [s for s in self.states if self.side(s.energy_eV) == side] for side in ("valence", "conduction")}
        return optical_transitions(self.structure, levels, bands["valence"], bands["conduction"])

    def warnings(self, levels: Sequence[Level]) -> Iterator[str]:
        """What a careful reader should know of these levels."""
        structure = self.structure
        if self.reference is None:
            yield "no pristine reference: the edges are the outermost states of the defect cell that do not sit at the defect"
        if structure.charge:
            yield f"charged cell ({structure.charge:+d}): eigenvalues carry no image-charge correction"
        if structure.site_weights is None:
            yield "no site weights: levels are told by energy alone"
        apart = abs(self.host.vbm_eV - self.cell_host.vbm_eV)
        if self.reference is not None and apart > NOTABLE_EV:
            yield (
                f"the cell's own host states end {apart:.2f} eV from the aligned host's VBM: so much depends on the size of "
                "the cell"
            )
        books = self.bookkeeping()
        if books.in_conduction > FEW_ELECTRONS:
            yield f"{books.in_conduction:g} electron(s) are in the conduction band: a shallow donor, or the wrong reference"
        if (holes := books.valence_states - books.in_valence) > FEW_ELECTRONS:
            yield f"{holes:g} hole(s) are in the valence band: a shallow acceptor, or the wrong reference"
        elsewhere = [lvl for lvl in levels if lvl.kind == "deep" and lvl.localization.at_defect is False]
        if elsewhere:
            energies = ", ".join(f"{level.above_vbm_eV:.2f}" for level in elsewhere)
            yield (
                f"told by energy alone ({energies} eV): these have no more weight at the defect than the host's states can "
                "have there; another defect, a trapped carrier or the alignment may be behind them"
            )
        for level in levels:
            partly = FEW_ELECTRONS < level.occupation < level.degeneracy - FEW_ELECTRONS
            if partly and level.kind != "resonant" and level.degeneracy > 1 and structure.electrons_per_state == 1:
                yield (
                    f"the level at {level.above_vbm_eV:.2f} eV holds {level.occupation:g} electron(s) in {level.degeneracy} "
                    "degenerate states: a lower symmetry (Jahn-Teller) or magnetic order would split it"
                )


def _may_be_partners(one: Level, other: Level) -> bool:
    """Opposite spins, or spinors whose Kramers pair is broken; a filled and an empty one."""
    if "both" in (one.spin, other.spin) or "resonant" in (one.kind, other.kind):
        return False
    if one.degeneracy != other.degeneracy:
        return False
    if one.spin == "spinor":
        return one.degeneracy == 1 and abs(one.occupation - other.occupation) > 0.5
    return one.spin != other.spin


def _overlap(one: np.ndarray | None, other: np.ndarray | None) -> float:
    """Σ√(w w'): 1 if two states share the sites in the same way (Bhattacharyya's coefficient)."""
    return 0.0 if one is None or other is None else float(np.sqrt(one * other).sum())


def _own_host_edges(
    structure: ElectronicStructure, shell: np.ndarray, own: BandEdges, limits: Thresholds, middle_eV: float
) -> tuple[BandEdges, float | None]:
    """The edges of the states that do not sit at the defect, and what those have on the shell.

    Filled states above ``middle_eV`` are none of the valence band.

    A state sits at the defect if its weight there exceeds the median over the states within 3 eV of the
    edges by `Thresholds.excess_weight`.
    """
    weights = normalised_weights(structure)
    if weights is None:
        return own, None
    at_defect = weights[..., shell].sum(axis=-1)
    energies = structure.eigenvalues_eV
    near = (energies > own.vbm_eV - 3.0) & (energies < own.cbm_eV + 3.0)
    median = float(np.median(at_defect[near]))
    host = at_defect <= median + limits.excess_weight
    filled = np.array([structure.filled(spin) for spin in range(energies.shape[0])])
    occupied = np.arange(energies.shape[2])[None, None, :] < np.round(filled)[:, None, None]
    below = np.where(host & occupied & (energies < middle_eV), energies, -np.inf)
    above = np.where(host & ~occupied, energies, np.inf)
    if not np.isfinite(below.max()) or not np.isfinite(above.min()):
        return own, median
    k_below, k_above = (
        int(np.unravel_index(below.argmax(), below.shape)[1]),
        int(np.unravel_index(above.argmin(), above.shape)[1]),
    )
    direct = float((above.min(axis=(0, 2)) - below.max(axis=(0, 2))).min())
    return BandEdges(float(below.max()), float(above.min()), k_below, k_above, own.half_filled, direct), median
