"""About how long a calculation takes, on one core: to start the longest first and to tell a person what to expect.

Power laws through times measured on Cs4PbBr6 and its vacancies, of 21 to 66 atoms, on one core of a
2023 server; another machine is off by its speed, another material by more.
"""

from __future__ import annotations

from math import prod

from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Task

RELAXATION = 5.0
"""A relaxation of eight steps, in SCFs from scratch: each step begins from the last density and needs no empty bands."""


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
        scf = 26.0 * (atoms / 22) ** 1.9 * irreducible * spin * cutoff
        hybrid = 8.0 * (atoms / 22) ** 2.6 * irreducible * (mesh / 2 if mesh > 1 else 1.0) * spin * cutoff
    if task == "relax":
        return RELAXATION * scf
    if task == "forces":
        return scf
    return scf + (hybrid if theory.functional == "HSE06" else 0.0)


def expected_memory_GB(model: Model, theory: LevelOfTheory, engine: str) -> float:
    """Memory to ask a queue for, GB: half as much again as was seen, and never less than 1 GB.

    Seen: GPAW 0.30 (22 atoms), 0.86 (22 atoms, 2×2×2), 1.0 (66), 1.5 (65, spin-polarised); CP2K 0.6 and 1.5
    with PBE, 2.5 with HSE06 (66), 4.3 for an octahedron in a box; PySCF 0.8 (7 atoms), 1.6 (11 atoms).
    """
    atoms = len(model.structure)
    spin = 1.6 if model.unpaired_electrons else 1.0
    if not model.periodic:
        seen = 4.3 * (atoms / 7) ** 0.5 if engine == "cp2k" else 0.8 * (atoms / 7) ** 1.6 * spin
    else:
        mesh = prod(theory.kpoints)
        irreducible = mesh / 2 + 1 if mesh > 1 else 1.0
        if engine == "cp2k":
            hybrid = 1.7 if theory.functional == "HSE06" else 1.0
            seen = (0.15 + 0.45 * atoms / 22) * spin * hybrid * irreducible**0.2
        else:
            cutoff = ((theory.cutoff_eV or 340.0) / 250.0) ** 1.5
            seen = 0.2 + 0.1 * (atoms / 22) ** 1.9 * irreducible * spin * cutoff
    return max(1.0, round(1.5 * seen, 1))
