"""VASP's three programs: which one a calculation needs, how it is started, and over how many ranks."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from midgap.structures.errors import InputError
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines.vasp_settings import VaspSettings

Program = Literal["std", "gam", "ncl"]

SETTING: dict[Program, str] = {"std": "VASP_CMD", "gam": "VASP_GAMMA_CMD", "ncl": "VASP_NCL_CMD"}
"""atomate2's names for the commands, so that who uses it has nothing more to set."""


def program_for(calculation: Calculation) -> Program:
    """``ncl`` for spinors, ``gam`` where Γ is the only k-point and it is here, else ``std``; or what ``program`` says.

    Raises
    ------
    InputError
        The program that was asked for cannot do it.
    """
    theory = calculation.theory
    only_gamma = theory.kpoints == (1, 1, 1)
    asked = VaspSettings.of(calculation).program
    if asked is None:
        if theory.spin_orbit:
            return "ncl"
        return "gam" if only_gamma and absent("gam") is None else "std"
    if asked not in get_args(Program):
        raise InputError(f"program={asked} is none of VASP's; choose std, gam or ncl.")
    if theory.spin_orbit and asked != "ncl":
        raise InputError(f"Spin-orbit coupling needs vasp_ncl; program={asked} cannot do it.")
    if asked == "gam" and not only_gamma:
        raise InputError(f"vasp_gam knows Γ only, not a {'×'.join(map(str, theory.kpoints))} mesh; use program=std.")
    return asked  # type: ignore[return-value]


def words(program: Program) -> list[str]:
    """The words that start a program, as atomate2's settings have them (``~/.atomate2.yaml`` or the environment)."""
    from atomate2.settings import Atomate2Settings

    asked = str(getattr(Atomate2Settings(), SETTING[program]))
    return shlex.split(os.path.expandvars(asked))


def updates() -> dict[str, Any]:
    """INCAR tags that atomate2 is told to set in every run (VASP_INCAR_UPDATES)."""
    from atomate2.settings import Atomate2Settings

    return dict(Atomate2Settings().VASP_INCAR_UPDATES)


def program_word(command: Sequence[str]) -> int:
    """Where in a command VASP itself is: the last word that is named like it, else the last one."""
    named = [at for at, word in enumerate(command) if "vasp" in Path(word).name.lower() and not word.startswith("-")]
    return named[-1] if named else len(command) - 1


def absent(program: Program) -> str | None:
    """One sentence if the program, or what starts it, is not here."""
    command = words(program)
    if not command:
        return f"{SETTING[program]} is empty; name the command that starts vasp_{program}."
    for word in dict.fromkeys((command[0], command[program_word(command)])):
        if shutil.which(word) is None:
            return (
                f"VASP is not here: {SETTING[program]} is {shlex.join(command)!r}, and there is no program {word}; put "
                f"what starts yours into ~/.atomate2.yaml ({SETTING[program]}: srun /path/to/vasp_{program}) or set "
                f"ATOMATE2_{SETTING[program]}."
            )
    return None


def ranks(command: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """MPI ranks that a command starts: as it says (``-n``, ``-np``, ``--ntasks``), else as the queue says, else 1."""
    text = shlex.join(command[: program_word(command)])
    said = re.search(r"(?:^|\s)(?:-n|-np|--np|--ntasks)(?:\s+|=)(\d+)(?=\s|$)", text)
    if said:
        return int(said[1])
    if program_word(command) == 0:  # no mpirun, no srun: one process
        return 1
    for name in ("SLURM_NTASKS", "PBS_NP", "NSLOTS"):
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return 1


def parallel(total: int, kpoints: Sequence[int], threads: int = 1) -> dict[str, int]:
    """``KPAR`` and ``NCORE`` for so many ranks.

    Groups of ranks take k-points apart first, which scales best; within a group about √ranks share an
    orbital, as VASP's documentation of NCORE advises, and one does below 8. With OpenMP threads VASP
    allows NCORE = 1 only.
    """
    irreducible = math.prod(kpoints) // 2 + 1 if math.prod(kpoints) > 1 else 1  # time reversal alone
    kpar = max(n for n in range(1, total + 1) if total % n == 0 and n <= irreducible)
    group = total // kpar
    if group < 8 or threads > 1:
        return {"KPAR": kpar, "NCORE": 1}
    return {"KPAR": kpar, "NCORE": max(n for n in range(1, math.isqrt(group) + 1) if group % n == 0)}
