"""A run of which only PROCAR and OUTCAR were kept: states from the one, everything else from the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from midgap.defects.parsers.procar import read_procar
from midgap.defects.parsers.streams import lines
from midgap.defects.parsers.vasp_output import SMALLEST_CELL_ANG3, VaspOutput
from midgap.structures.errors import InputError

TAGS = re.compile(
    r"(?:^|;)\s*(ISPIN|LNONCOLLINEAR|LSORBIT|NELECT|NUPDOWN|LHFCALC|AEXX|HFSCREEN|GGA|METAGGA|LUSE_VDW|LDAU|ENCUT|NELM|EDIFF"
    r"|NSW|ISMEAR|SIGMA|LORBIT|IVDW|ALGO|PREC|LASPH)\s*=\s*([^\s;]+)"
)
NUMBER = re.compile(r"-?\d+\.\d+")
ITERATION = re.compile(r"-\s*Iteration\s+(\d{1,9})\(\s*(\d{1,9})\)")


def read_procar_run(procar: Path, outcar: Path) -> VaspOutput:
    """Read PROCAR and OUTCAR of one run.

    PROCAR rounds weights to three decimals and, in the ionic steps of a relaxation, is that of the last one.

    Raises
    ------
    InputError
        One of them is missing, damaged or cut short, or they are of different cells.
    ComputationError
        A number is none.
    """
    states = read_procar(procar)
    out = VaspOutput(
        source=procar,
        finished=False,
        missing="only the end of OUTCAR",
        kpoints_frac=states.kpoints_frac,
        k_weights=states.k_weights,
        eigenvalues_eV=states.eigenvalues_eV,
        occupations=states.occupations,
        site_weights=states.site_weights,
    )
    _read_outcar(outcar, out)
    if states.site_weights.shape[3] != len(out.species):
        raise InputError(
            f"{procar.name} has {states.site_weights.shape[3]} atoms, {outcar.name} {len(out.species)}: they are of different runs."
        )
    return out


def _read_outcar(path: Path, out: VaspOutput) -> None:
    symbols: list[str] = []
    counts: list[int] = []
    valences: list[float] = []
    lattice, positions = np.zeros((0, 3)), np.zeros((0, 3))
    energies: list[float] = []
    rows = lines(path)
    for line in rows:
        if "=" in line:
            for name, value in TAGS.findall(line):
                out.tags[name] = value
            if found := re.search(r"VRHFIN\s*=\s*([A-Z][a-z]?)", line):
                symbols.append(found[1])
            elif found := re.search(r"TITEL\s*=\s*(\S.*)", line):
                out.potentials.append(found[1])
            elif found := re.match(r"\s+ions per type =(.*)", line):
                counts = [int(word) for word in re.findall(r"\b\d{1,7}\b", found[1])]
            elif found := re.match(r"\s+ZVAL\s*=((?:\s*\d+\.\d+)+)\s*$", line):
                valences = [float(word) for word in NUMBER.findall(found[1])]
            elif found := re.search(r"energy\(sigma->0\)\s*=\s*(-?\d+\.\d+)", line):
                energies.append(float(found[1]))
        elif found := ITERATION.search(line):
            out.ionic_steps, out.scf_steps = int(found[1]), int(found[2])
        elif "direct lattice vectors" in line:
            lattice = _vectors(rows, 3)
        elif "position of ions in cartesian coordinates" in line:
            positions = _vectors(rows, sum(counts))
        elif "POSITION" in line and "TOTAL-FORCE" in line:
            next(rows, None)  # a rule
            positions = _vectors(rows, sum(counts))
        elif "General timing" in line:
            out.finished, out.missing = True, ""
        elif not out.version and (found := re.match(r"\s*vasp\.(\S+)", line)):
            out.version = found[1]
    if not symbols or len(symbols) != len(counts) or len(lattice) != 3 or len(positions) != sum(counts):
        raise InputError(f"{path} does not say where which atoms are: it is cut short or no OUTCAR.")
    out.species = [symbol for symbol, count in zip(symbols, counts, strict=True) for _ in range(count)]
    if len(valences) == len(counts):
        out.valences = [value for value, count in zip(valences, counts, strict=True) for _ in range(count)]
    if not abs(np.linalg.det(lattice)) > SMALLEST_CELL_ANG3:
        raise InputError(f"{path}: its lattice vectors span no volume; it is damaged.")
    out.lattice_ang, out.positions_frac = lattice, positions @ np.linalg.inv(lattice)
    out.total_energy_eV = energies[-1] if energies else None
    out.last_change_eV = abs(energies[-1] - energies[-2]) if len(energies) > 1 else None


def _vectors(rows: Iterator[str], count: int) -> np.ndarray:
    """The first three numbers of each of the next lines; fewer rows than asked where some are no vectors."""
    found = [NUMBER.findall(row)[:3] for _, row in zip(range(count), rows, strict=False)]
    return np.array([row for row in found if len(row) == 3], dtype=float).reshape(-1, 3)
