"""What VASP's output files tell, before it is judged: filled by the readers of vasprun.xml, vaspout.h5 and PROCAR."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

SMALLEST_CELL_ANG3 = 1.0
"""No crystal has a smaller cell."""


@dataclass
class VaspOutput:
    """One calculation as VASP wrote it.

    Attributes
    ----------
    tags
        INCAR tags by upper-case name, as text: what VASP took, or else what was set.
    valences
        Electrons that each atom's POTCAR brings, shape (site,); empty if not known.
    lattice_ang, positions_frac
        Shapes (3, 3) and (site, 3), of the ionic step that the eigenvalues belong to.
    k_weights
        As written, shape (k,); points of weight zero included.
    mesh
        Divisions of an automatic mesh.
    eigenvalues_eV, occupations
        Shape (spin, k, band).
    site_weights
        Shape (spin, k, band, site), summed over orbitals; of spinors the part of the total charge.
    scf_steps, ionic_steps
        Electronic steps of that ionic step, and the number of ionic steps begun.
    finished
        The file comes to its end.
    missing
        What an unfinished file lacks, in words.
    """

    source: Path
    version: str = ""
    started: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)
    species: list[str] = field(default_factory=list)
    valences: list[float] = field(default_factory=list)
    potentials: list[str] = field(default_factory=list)
    lattice_ang: np.ndarray | None = None
    positions_frac: np.ndarray | None = None
    kpoints_frac: np.ndarray | None = None
    k_weights: np.ndarray | None = None
    mesh: tuple[int, int, int] | None = None
    eigenvalues_eV: np.ndarray | None = None
    occupations: np.ndarray | None = None
    site_weights: np.ndarray | None = None
    total_energy_eV: float | None = None
    last_change_eV: float | None = None
    scf_steps: int = 0
    ionic_steps: int = 0
    finished: bool = True
    missing: str = ""
    warnings: list[str] = field(default_factory=list)

    def text(self, tag: str, default: str = "") -> str:
        """A tag's value without the comment that may follow it."""
        return self.tags.get(tag, default).split("!")[0].split("#")[0].strip()

    def number(self, tag: str) -> float | None:
        """A tag's first number, or None."""
        try:
            return float(self.text(tag).split()[0])
        except (IndexError, ValueError):
            return None

    def flag(self, tag: str) -> bool:
        """Whether a logical tag is true."""
        return self.text(tag).lstrip(".").upper()[:1] in ("T", "1")

    @property
    def spinor(self) -> bool:
        return self.flag("LNONCOLLINEAR") or self.flag("LSORBIT")

    @property
    def spins(self) -> int:
        return 2 if self.number("ISPIN") == 2 and not self.spinor else 1
