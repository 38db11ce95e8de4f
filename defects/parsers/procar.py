"""PROCAR: where states sit, for runs whose vasprun.xml has lost its projections or was not kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from midgap.defects.parsers.streams import lines
from midgap.structures.errors import ComputationError, InputError

COUNTS = re.compile(r"# of k-points:\s*(\d{1,7})\s+# of bands:\s*(\d{1,7})\s+# of ions:\s*(\d{1,7})\b")
KPOINT = re.compile(r"^\s*k-point\s+\d+\s*:(.*?)weight\s*=\s*(\S+)")
BAND = re.compile(r"^\s*band\s+\S+\s*#\s*energy\s+(\S+)\s*#\s*occ\.\s+(\S+)")
NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass
class Procar:
    """Shapes (k, 3), (k,), (spin, k, band) twice and (spin, k, band, site)."""

    kpoints_frac: np.ndarray
    k_weights: np.ndarray
    eigenvalues_eV: np.ndarray
    occupations: np.ndarray
    site_weights: np.ndarray


def read_procar(path: Path) -> Procar:
    """Read ``PROCAR`` or ``PROCAR.gz``.

    An atom's weight is its ``tot`` column; of the four blocks of a spinor the first, the total charge.

    Raises
    ------
    InputError
        Not a PROCAR, or some of its bands or atoms are missing.
    ComputationError
        A number is none.
    """
    kpoints: list[list[float]] = []
    k_weights: list[float] = []
    bands: list[list[float]] = []
    rows: list[np.ndarray] = []
    counts: tuple[int, int, int] | None = None
    channels, awaited = 0, 0
    current: np.ndarray | None = None
    for line in lines(path):
        if awaited and current is not None:
            words = line.split()
            if not words or not words[0].isdigit():
                raise InputError(
                    f"{path}: {awaited} atoms are missing in state {len(rows) + 1}: it is cut short or damaged."
                )
            current[len(current) - awaited] = _number(words[-1], path, len(rows))
            awaited -= 1
            if not awaited:
                rows.append(current)
                current = None
        elif found := BAND.match(line):
            bands.append([_number(found[1], path, len(rows)), _number(found[2], path, len(rows))])
            current = None if counts is None else np.empty(counts[2], dtype=np.float32)
        elif current is not None and line.lstrip().startswith("ion") and counts is not None:
            awaited = counts[2]
        elif found := KPOINT.match(line):
            # Two negative coordinates stick together: 0.50000000-0.50000000.
            kpoints.append([float(word) for word in NUMBER.findall(found[1])])
            k_weights.append(_number(found[2], path, len(rows)))
        elif found := COUNTS.search(line):
            counts = (int(found[1]), int(found[2]), int(found[3]))
            channels += 1
    if counts is None:
        raise InputError(f"{path} is no PROCAR of VASP: it does not say how many k-points, bands and ions it lists.")
    n_k, n_band, n_site = counts
    if len(rows) != channels * n_k * n_band or len(bands) != len(rows) or any(len(k) != 3 for k in kpoints):
        raise InputError(
            f"{path} holds {len(rows)} states, but {channels} spin × {n_k} k-points × {n_band} bands are "
            f"{channels * n_k * n_band}: it is cut short or damaged."
        )
    table = np.array(bands).reshape(channels, n_k, n_band, 2)
    return Procar(
        kpoints_frac=np.array(kpoints[:n_k]),
        k_weights=np.array(k_weights[:n_k]),
        eigenvalues_eV=table[..., 0],
        occupations=table[..., 1],
        site_weights=np.array(rows, dtype=np.float32).reshape(channels, n_k, n_band, n_site),
    )


def _number(word: str, path: Path, state: int) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ComputationError(f"{path}: state {state + 1} reads '{word[:40]}': the calculation broke down.")
    return value
