"""About how long a calculation takes, on one core: to start the longest first and to tell a person what to expect.

Power laws through times measured on Cs4PbBr6 and its vacancies, of 21 to 66 atoms, on one core of a
2023 server; another machine is off by its speed, another material by more.
"""

from __future__ import annotations

from math import prod

from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Task

RELAXATION = 3.5
"""A relaxation of a dozen steps, in SCFs from scratch: each step begins from the last density and needs no empty bands."""


def expected_s(model: Model, theory: LevelOfTheory, task: Task, engine: str) -> float:
    """Expected wall time in s; good within a factor of a few."""
    atoms = len(model.structure)
    spin = 1.7 if model.unpaired_electrons else 1.0
    if not model.periodic:
        return 40.0 * (atoms / 7) ** 2.3 * spin
    mesh = prod(theory.kpoints)
    irreducible = mesh / 2 + 1 if mesh > 1 else 1.0  # time reversal alone
    if engine == "cp2k":
        scf = 35.0 * (atoms / 22) ** 1.1 * irreducible * spin
        hybrid = 4.0 * scf
    else:
        cutoff = ((theory.cutoff_eV or 340.0) / 250.0) ** 1.5
        scf = 38.0 * (atoms / 22) ** 2.5 * irreducible * spin * cutoff
        hybrid = 9.0 * (atoms / 22) ** 2.8 * irreducible * (mesh / 2 if mesh > 1 else 1.0) * spin * cutoff
    if task == "relax":
        return RELAXATION * scf
    return scf + (hybrid if theory.functional == "HSE06" else 0.0)
