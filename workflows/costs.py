"""About how long a calculation takes, on one core: to start the longest first and to tell a person what to expect.

Power laws through times measured on Cs4PbBr6 and its vacancies, of 21 to 66 atoms, on one core of a
2023 server; another machine is off by its speed, another material by more.
"""

from __future__ import annotations

from math import prod

from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Task

GEOMETRY_STEPS = 25
STEP_SHARE = 0.4
"""A geometry step begins from the last density: this part of an SCF from scratch."""


def expected_s(model: Model, theory: LevelOfTheory, task: Task, engine: str) -> float:
    """Expected wall time in s; good within a factor of a few."""
    atoms = len(model.structure)
    spin = 2.0 if model.unpaired_electrons else 1.0
    if not model.periodic:
        return 75.0 * (atoms / 7) ** 2.3 * (spin * 0.75 if spin > 1 else 1.0)
    mesh = prod(theory.kpoints)
    irreducible = mesh / 2 + 1 if mesh > 1 else 1.0  # time reversal alone
    cutoff = ((theory.cutoff_eV or 340.0) / 250.0) ** 1.5
    scf = 40.0 * (atoms / 22) ** 1.6 * irreducible * spin * cutoff
    if engine == "cp2k":
        scf = 35.0 * (atoms / 22) ** 1.1 * irreducible * spin
    if task == "relax":
        return GEOMETRY_STEPS * STEP_SHARE * scf
    hybrid = 0.0
    if theory.functional == "HSE06":
        hybrid = 8.0 * (atoms / 22) ** 2 * irreducible * (mesh / 2 if mesh > 1 else 1.0) * spin * cutoff
        if engine == "cp2k":
            hybrid = 4.0 * scf
    return scf + hybrid
