"""Band edges from the electron count.

Occupations as an engine reports them mislead: a restricted run with an odd number of electrons half
fills one level, smearing spreads electrons over the gap, spin channels differ. The number of electrons
and the number a state holds do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.structures.errors import InputError

INTEGER_TOLERANCE = 0.01
"""A band count this far from an integer means a partially filled level, not rounding."""

SAME_ENERGY_EV = 1e-3


@dataclass(frozen=True)
class BandEdges:
    """The highest filled and the lowest empty state.

    Attributes
    ----------
    vbm_eV, cbm_eV
        Energies on the calculation's own scale.
    vbm_k, cbm_k
        Indices of their k-points.
    half_filled
        A level at the edge holds a fraction of the electrons it could.
    direct_gap_eV
        The smallest gap at any one k-point; never less than ``gap_eV``.
    """

    vbm_eV: float
    cbm_eV: float
    vbm_k: int
    cbm_k: int
    half_filled: bool
    direct_gap_eV: float

    @property
    def gap_eV(self) -> float:
        """Zero for a metal or a closed gap."""
        return max(0.0, self.cbm_eV - self.vbm_eV)

    @property
    def direct(self) -> bool:
        """Whether the gap is found at one k-point, to 1 meV: flat bands have their edges everywhere."""
        return self.direct_gap_eV - self.gap_eV < SAME_ENERGY_EV

    def shifted(self, shift_eV: float) -> BandEdges:
        """The same edges on another scale."""
        return replace(self, vbm_eV=self.vbm_eV + shift_eV, cbm_eV=self.cbm_eV + shift_eV)

    @property
    def metallic(self) -> bool:
        return self.half_filled or self.cbm_eV <= self.vbm_eV


def band_edges(structure: ElectronicStructure) -> BandEdges:
    """The edges of the filled and the empty states.

    With a half-filled level the VBM is the state below it and the CBM the state above it.

    Raises
    ------
    InputError
        No band below or no band above is listed; says which to add.
    """
    energies = structure.eigenvalues_eV
    n_spin, n_k, n_band = energies.shape
    filled_tops, empty_bottoms, half = [], [], False
    top, bottom = np.full(n_k, -np.inf), np.full(n_k, np.inf)
    for spin in range(n_spin):
        count = structure.filled(spin)
        below, above = int(np.floor(count + INTEGER_TOLERANCE)), int(np.ceil(count - INTEGER_TOLERANCE))
        half = half or below != above
        if below < 0:
            raise InputError(
                f"The first band listed is number {structure.first_band + 1}, above the {count + structure.first_band:g} "
                "that are filled, so there is no VBM; keep more bands below the gap."
            )
        if below > n_band or above >= n_band:
            raise InputError(
                f"{n_band} bands were computed and {count:g} of them are filled: there is no empty band to find the CBM in; "
                "compute more bands."
            )
        if below > 0:
            top = np.maximum(top, energies[spin, :, below - 1])
            filled_tops.append((energies[spin, :, below - 1].max(), int(energies[spin, :, below - 1].argmax())))
        bottom = np.minimum(bottom, energies[spin, :, above])
        empty_bottoms.append((energies[spin, :, above].min(), int(energies[spin, :, above].argmin())))
    if not filled_tops:
        raise InputError("No filled band is listed, so there is no VBM; keep more bands below the gap.")
    vbm, vbm_k = max(filled_tops)
    cbm, cbm_k = min(empty_bottoms)
    return BandEdges(float(vbm), float(cbm), vbm_k, cbm_k, half, max(0.0, float((bottom - top).min())))
