"""OUTCAR: the potential at each atom, and what the run cost.

VASP writes the electrostatic potential averaged over a test charge inside each atom's sphere, as electrons
feel it: it is the lower, the more positive the charge around. It is the potential *energy* of an electron in
eV, so it shifts with the eigenvalues and needs no change of sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from midgap.defects.parsers.streams import lines

HEADING = "average (electrostatic) potential at core"
ENTRY = re.compile(r"\s*(\d{1,9})\s*(-?\d{1,9}\.\d{1,9}|\*+)")


@dataclass
class Outcar:
    """What is taken from an OUTCAR; `site_potentials_eV`, shape (site,), and `scf_converged` of the last ionic step."""

    site_potentials_eV: np.ndarray | None = None
    test_charge_radii_ang: tuple[float, ...] = ()
    wall_time_s: float | None = None
    memory_per_rank_MB: float | None = None
    finished: bool = False
    scf_converged: bool | None = None
    started: datetime | None = None


def read_outcar(path: Path) -> Outcar:
    """Read ``OUTCAR`` or ``OUTCAR.gz``, line by line; an unfinished one gives what it holds.

    Raises
    ------
    InputError
        No such file, or a damaged one.
    """
    out = Outcar()
    found: list[str] | None = None
    for line in lines(path):
        if HEADING in line:
            found = []
        elif found is not None:
            if "test charge radii are" in line:
                out.test_charge_radii_ang = tuple(float(word) for word in re.findall(r"\d{1,9}\.\d{1,9}", line))
            elif "norm of the test charge" in line:
                continue
            elif line.strip():
                found.append(line)
            else:
                potentials = _potentials(found)
                out.site_potentials_eV = out.site_potentials_eV if potentials is None else potentials
                found = None
        elif out.started is None and "executed on" in line:
            out.started = _time(line)
        elif "aborting loop" in line and "EDIFF" in line:
            out.scf_converged = "not reached" not in line
        elif "Elapsed time (sec):" in line:
            out.wall_time_s = _last_number(line)
            out.finished = True
        elif "Maximum memory used (kb):" in line:
            kilobytes = _last_number(line)
            out.memory_per_rank_MB = None if kilobytes is None else kilobytes / 1024
    return out


def _potentials(rows: list[str]) -> np.ndarray | None:
    """Numbered from 1 without a gap, or the block is not whole; a number may stick to its index: ``1-104.2345``."""
    entries = [entry for row in rows for entry in ENTRY.findall(row)]
    if not entries or [int(number) for number, _ in entries] != list(range(1, len(entries) + 1)):
        return None
    return np.array([float("nan") if value.startswith("*") else float(value) for _, value in entries])


def _last_number(line: str) -> float | None:
    words = re.findall(r"\d+\.?\d*", line)
    value = float(words[-1]) if words else np.inf
    return value if np.isfinite(value) else None


def _time(line: str) -> datetime | None:
    found = re.search(r"date (\d+\.\d+\.\d+) +(\d+:\d+:\d+)", line)
    try:
        return None if found is None else datetime.strptime(f"{found[1]} {found[2]}", "%Y.%m.%d %H:%M:%S")
    except ValueError:
        return None
