"""Defect levels: states in or near the gap of the host that sit at the defect.

A level is told by two things together: its energy, between the band edges of the pristine crystal put
on the same scale; and its weight on the sites around the defect, against what a state of the pristine
crystal has on those sites. Finding nothing is an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from midgap.defects.alignment import align
from midgap.defects.band_edges import BandEdges, band_edges
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.localization import baseline_weight, neighbour_shell, normalised_weights, participation_ratio
from midgap.defects.report import Alignment, Level, LevelReport, Localization
from midgap.structures.model import Vacancy


@dataclass(frozen=True)
class Thresholds:
    """What separates a defect level from a band.

    Attributes
    ----------
    edge_tolerance_eV
        States closer to an edge than this (or than the alignment's scatter) may be the edge itself.
    shallow_eV
        A state in the gap this close to an edge follows that edge.
    band_depth_eV
        How far inside the bands resonant states are looked for.
    excess_weight
        By how much the weight at the defect must exceed the host's.
    degeneracy_eV
        States closer than this are one level.
    """

    edge_tolerance_eV: float = 0.05
    shallow_eV: float = 0.15
    band_depth_eV: float = 0.5
    excess_weight: float = 0.15
    degeneracy_eV: float = 0.01


def identify_levels(
    structure: ElectronicStructure,
    reference: ElectronicStructure | None = None,
    vacancy: Vacancy | None = None,
    *,
    model: str = "",
    label: str = "",
    shift_eV: float | None = None,
    thresholds: Thresholds | None = None,
) -> LevelReport:
    """Find the gap and the defect levels.

    Parameters
    ----------
    structure
        The calculation to read.
    reference
        The pristine crystal in the same cell at the same theory; its edges are the host's. Without it,
        or for the pristine crystal itself, the edges are the calculation's own.
    vacancy
        What is missing and where. Without it no state is called a defect level.
    shift_eV
        Added to the reference's energies instead of the computed alignment.

    Raises
    ------
    InputError
        The reference is of another cell, theory or engine; there is no band on one side of the gap.
    """
    limits = thresholds or Thresholds()
    warnings = list(structure.warnings)
    own = band_edges(structure)
    if own.half_filled:
        warnings.append("a level is partially filled: compute with spin polarisation")
    if not structure.converged:
        warnings.append("the calculation is not converged")
    edges, alignment, baseline = own, Alignment(method="self"), None
    shell = None if vacancy is None else neighbour_shell(structure, vacancy)
    if reference is not None:
        alignment = align(structure, reference, vacancy, shift_eV)
        edges = _shifted(band_edges(reference), alignment.shift_eV)
        warnings += _reference_warnings(structure, reference, alignment)
        if shell is not None:
            baseline = _host_weight(structure, reference, shell, band_edges(reference), limits)
    elif shell is not None:
        alignment = Alignment(method="none")
        edges, baseline = _own_host_edges(structure, shell, own, limits)
        warnings.append(
            "no pristine reference: the edges are the outermost states of the defect cell that do not sit at the defect"
        )
    if structure.charge and structure.eigenvalues_eV.size and vacancy is not None:
        warnings.append(f"charged cell ({structure.charge:+d}): eigenvalues carry no image-charge correction")
    levels: tuple[Level, ...] = ()
    if shell is not None:
        if structure.site_weights is None:
            warnings.append("no site weights: levels are told by energy alone")
        tolerance = max(limits.edge_tolerance_eV, alignment.uncertainty_eV or 0.0)
        cell_vbm = _own_host_edges(structure, shell, own, limits)[0].vbm_eV
        levels = tuple(
            level.model_copy(update={"above_cell_vbm_eV": level.energy_eV - cell_vbm})
            for level in _levels(structure, shell, edges, baseline, tolerance, limits)
        )
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
        gap_eV=edges.gap_eV,
        vbm_eV=edges.vbm_eV,
        cbm_eV=edges.cbm_eV,
        direct=edges.direct,
        alignment=alignment,
        levels=levels,
        total_energy_eV=structure.total_energy_eV,
        provenance=structure.provenance,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _shifted(edges: BandEdges, shift_eV: float) -> BandEdges:
    return BandEdges(edges.vbm_eV + shift_eV, edges.cbm_eV + shift_eV, edges.vbm_k, edges.cbm_k, edges.half_filled)


def _reference_warnings(
    structure: ElectronicStructure, reference: ElectronicStructure, alignment: Alignment
) -> Iterator[str]:
    if alignment.method == "none":
        yield "the pristine reference could not be aligned: its edges are used as they are"
    if alignment.scatter_eV is not None and alignment.scatter_eV > 0.2:
        yield (
            f"alignment: the {alignment.n_samples} far sites scatter by {alignment.scatter_eV:.2f} eV; "
            "the cell is too small for a bulk-like region"
        )
    if not np.array_equal(structure.k_weights.shape, reference.k_weights.shape) or not np.allclose(
        structure.kpoints_frac, reference.kpoints_frac, atol=1e-4
    ):
        yield "defect and reference were computed at different k-points"


@dataclass(frozen=True)
class _State:
    """One band of one spin channel, averaged over the k-points."""

    spin: int
    band: int
    energy_eV: float
    electrons: float
    weights: np.ndarray | None


def _states(structure: ElectronicStructure) -> Iterator[_State]:
    weights = normalised_weights(structure)
    k = structure.k_weights
    for spin in range(structure.eigenvalues_eV.shape[0]):
        filled = structure.filled(spin)
        for band in range(structure.eigenvalues_eV.shape[2]):
            yield _State(
                spin=spin,
                band=band,
                energy_eV=float(k @ structure.eigenvalues_eV[spin, :, band]),
                electrons=structure.electrons_per_state * float(np.clip(filled - band, 0.0, 1.0)),
                weights=None if weights is None else k @ weights[spin, :, band],
            )


def _host_weight(
    structure: ElectronicStructure,
    reference: ElectronicStructure,
    shell: np.ndarray,
    edges: BandEdges,
    limits: Thresholds,
) -> float | None:
    """The most that a state at either edge of the reference has on the sites of the shell."""
    found = (
        baseline_weight(structure, reference, shell, (edges.vbm_eV - limits.band_depth_eV, edges.vbm_eV + 1e-3)),
        baseline_weight(structure, reference, shell, (edges.cbm_eV - 1e-3, edges.cbm_eV + limits.band_depth_eV)),
    )
    return max((value for value in found if value is not None), default=None)


def _own_host_edges(
    structure: ElectronicStructure, shell: np.ndarray, own: BandEdges, limits: Thresholds
) -> tuple[BandEdges, float | None]:
    """Without a reference: edges from the states that do not sit at the defect, and what those have on the shell.

    A state sits at the defect if its weight there exceeds the median over the states within 3 eV of the
    edges by `Thresholds.excess_weight`.
    """
    weights = normalised_weights(structure)
    if weights is None:
        return own, None
    at_defect = weights[..., shell].sum(axis=-1)
    energies = structure.eigenvalues_eV
    near = (energies > own.vbm_eV - 3.0) & (energies < own.cbm_eV + 3.0)
    baseline = float(np.median(at_defect[near]))
    host = at_defect <= baseline + limits.excess_weight
    filled = np.array([structure.filled(spin) for spin in range(energies.shape[0])])
    occupied = np.arange(energies.shape[2])[None, None, :] < np.round(filled)[:, None, None]
    below, above = np.where(host & occupied, energies, -np.inf), np.where(host & ~occupied, energies, np.inf)
    k_below, k_above = (
        np.unravel_index(below.argmax(), below.shape)[1],
        np.unravel_index(above.argmin(), above.shape)[1],
    )
    edges = BandEdges(float(below.max()), float(above.min()), int(k_below), int(k_above), own.half_filled)
    return edges, baseline


def _levels(
    structure: ElectronicStructure,
    shell: np.ndarray,
    edges: BandEdges,
    baseline: float | None,
    tolerance: float,
    limits: Thresholds,
) -> Iterator[Level]:
    near = [
        state
        for state in _states(structure)
        if edges.vbm_eV - limits.band_depth_eV <= state.energy_eV <= edges.cbm_eV + limits.band_depth_eV
    ]
    for group in _groups(sorted(near, key=lambda s: s.energy_eV), limits.degeneracy_eV):
        energy = float(np.mean([state.energy_eV for state in group]))
        localization = _localization(structure, group, shell, baseline)
        above, below = energy - edges.vbm_eV, edges.cbm_eV - energy
        kind = _kind(above, below, localization, tolerance, limits)
        if kind is None:
            continue
        spins = {state.spin for state in group}
        yield Level(
            energy_eV=energy,
            above_vbm_eV=above,
            below_cbm_eV=below,
            occupation=sum(state.electrons for state in group),
            spin="spinor"
            if structure.spinor
            else "both"
            if structure.electrons_per_state == 2 or len(spins) == 2
            else ("up", "down")[spins.pop()],
            degeneracy=len(group) * (2 if structure.electrons_per_state == 2 else 1),
            band_index=structure.first_band + group[0].band + 1,
            localization=localization,
            kind=kind,  # type: ignore[arg-type]
        )


def _groups(states: list[_State], width_eV: float) -> Iterator[list[_State]]:
    group: list[_State] = []
    for state in states:
        if group and state.energy_eV - group[-1].energy_eV > width_eV:
            yield group
            group = []
        group.append(state)
    if group:
        yield group


def _localization(
    structure: ElectronicStructure, group: list[_State], shell: np.ndarray, baseline: float | None
) -> Localization:
    if group[0].weights is None:
        return Localization(participation_ratio=None)
    weights = np.mean([state.weights for state in group if state.weights is not None], axis=0)
    species = [site.specie.symbol for site in structure.structure]
    return Localization(
        participation_ratio=float(participation_ratio(weights)),
        defect_weight=float(weights[shell].sum()),
        baseline_weight=baseline,
        by_species={symbol: float(weights[[s == symbol for s in species]].sum()) for symbol in dict.fromkeys(species)},
    )


def _kind(above: float, below: float, localization: Localization, tolerance: float, limits: Thresholds) -> str | None:
    """Deep, shallow, resonant, or None for a state of the host."""
    weight, baseline = localization.defect_weight, localization.baseline_weight
    localized = weight is not None and baseline is not None and weight > baseline + limits.excess_weight
    if above > tolerance and below > tolerance:
        # Nothing of the host is left between its own edges, wherever a state found there sits.
        return "deep" if min(above, below) > limits.shallow_eV else "shallow"
    return "resonant" if localized else None
