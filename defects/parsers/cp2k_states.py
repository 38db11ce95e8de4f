"""CP2K: eigenvalues, occupations, and where states sit, from every place where it may say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from midgap.defects.parsers.cp2k_output import InputSection, read_text
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.units import EV_PER_HARTREE


def states(
    text: str, output: Path, spins: int, n_k: int, electrons: list[int], projected: list[Projection] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (eV) and occupations, shapes (spin, k, band), of the source that lists the most states."""
    sources = [_mo_tables(text, spins, n_k)]
    if n_k == 1:
        sources.append(_subspaces(text, spins, electrons))
        if projected is not None:
            sources.append({(s, 0): (p.energies_eV, p.occupations) for s, p in enumerate(projected)})
    wanted = [(spin, k) for spin in range(spins) for k in range(n_k)]
    whole = [source for source in sources if all(len(source.get(key, ([], []))[0]) for key in wanted)]
    if not whole:
        begun = next((source for source in sources if source), None)
        if begun:
            spin, k = next(key for key in wanted if not len(begun.get(key, ([], []))[0]))
            raise ComputationError(f"{output} lacks the eigenvalues of spin {spin + 1}, k-point {k + 1}.")
        raise InputError(
            f"{output} lists no eigenvalues; run CP2K with &DFT &PRINT &MO EIGENVALUES OCCUPATION_NUMBERS, and ADDED_MOS in &SCF."
        )
    source = max(whole, key=lambda states: min(len(states[key][0]) for key in wanted))
    bands = min(len(source[key][0]) for key in wanted)
    energies, occupations = (
        np.array([[source[spin, k][i][:bands] for k in range(n_k)] for spin in range(spins)]) for i in (0, 1)
    )
    return energies, occupations


States = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]


def _mo_tables(text: str, spins: int, n_k: int) -> States:
    """The last table of each spin and k-point that ``&PRINT &MO`` wrote."""
    states: States = {}
    for block in re.split(r"^ MO\| (?=(?:ALPHA |BETA )?EIGENVALUES)", text, flags=re.MULTILINE)[1:]:
        title, _, table = block.partition("\n")
        if "AND OCCUPATION NUMBERS" not in title:
            continue  # with eigenvectors: another layout
        k = re.search(r"K POINT\s+(\d{1,9})\b", title)
        key = (1 if title.startswith("BETA") else 0, int(k[1]) - 1 if k else 0)
        rows = re.findall(
            r"^ MO\|\s+\d+\s+-?\d+\.\d+\s+(-?\d+\.\d+)\s+(\d+\.\d+)\s*$", table.split("MO| Sum")[0], re.MULTILINE
        )
        if rows and "MO| Sum" in table:
            values = np.array(rows, dtype=float)
            states[key] = values[:, 0], values[:, 1]
    return {key: value for key, value in states.items() if key[0] < spins and key[1] < n_k}


def _subspaces(text: str, spins: int, electrons: list[int]) -> States:
    """The lists of occupied and unoccupied eigenvalues that runs with orbital output end with."""
    states: States = {}
    for spin in range(spins):
        found = []
        for which in ("Eigenvalues of the occupied", "Lowest eigenvalues of the unoccupied"):
            blocks = re.findall(
                rf"{which} subspace spin\s+{spin + 1}\s*\n\s*-+\s*\n((?:(?:\s+-?\d+\.\d+)+\s*\n)*)", text
            )
            found.append(np.array(blocks[-1].split() if blocks else [], dtype=float) * EV_PER_HARTREE)
        occupied, empty = found
        full = 2.0 if spins == 1 else 1.0
        if len(occupied) == electrons[spin] / full:
            states[spin, 0] = (
                np.concatenate([occupied, empty]),
                np.repeat([full, 0.0], [len(occupied), len(empty)]),
            )
    return states


@dataclass(frozen=True)
class Projection:
    """States of one spin channel at Γ and their parts on the atoms, shape (band, site)."""

    energies_eV: np.ndarray
    occupations: np.ndarray
    weights: np.ndarray


def projections(
    folder: Path, asked: InputSection, spins: int, atoms: int, warnings: list[str]
) -> list[Projection] | None:
    """What ``&LDOS`` lists of one atom each say of every state at Γ; None with a warning where one is missing."""
    lists = [_atoms_of(ldos) for ldos in asked.at("FORCE_EVAL", "DFT", "PRINT", "PDOS").sections.get("LDOS", [])]
    wanted = {members[0]: number + 1 for number, members in enumerate(lists) if len(members) == 1}
    files = dict(_pdos_files(folder))
    channels = ["ALPHA", "BETA"] if spins == 2 else [""]
    missing = [
        atom for atom in range(1, atoms + 1) if any((channel, wanted.get(atom, 0)) not in files for channel in channels)
    ]
    if missing:
        which = f"{len(missing)} of {atoms} atoms" if len(missing) < atoms else "the atoms"
        warnings.append(
            f"There is no projection on {which}, so there are no site weights: run CP2K with &PRINT &PDOS and one &LDOS LIST an atom."
        )
        return None
    found = []
    for channel in channels:
        tables = [_pdos(files[channel, wanted[atom]]) for atom in range(1, atoms + 1)]
        if len({table.shape[0] for table in tables}) != 1 or tables[0].shape[0] == 0:
            warnings.append(
                "The projections on the atoms differ in their number of states, so there are no site weights."
            )
            return None
        weights = np.stack([table[:, 2:].sum(axis=1) for table in tables], axis=1)
        found.append(Projection(tables[0][:, 0] * EV_PER_HARTREE, tables[0][:, 1], weights))
    return found


def _atoms_of(ldos: InputSection) -> list[int]:
    """Atoms of an ``&LDOS``: ``LIST 1 2 3`` or ``LIST 1..3``, counted from 1."""
    atoms: list[int] = []
    for part in " ".join(ldos.keywords.get("LIST", [])).split():
        first, _, last = part.partition("..")
        if all(word.isdecimal() and len(word) < 8 for word in (first, last or first)):
            # Lists of one atom are wanted; of a longer one it is enough to see that it is longer.
            atoms += range(int(first), min(int(last or first), int(first) + 1) + 1)
    return atoms


def _pdos_files(folder: Path) -> Iterator[tuple[tuple[str, int], Path]]:
    """Files of ``&LDOS`` lists by spin channel and number, later geometry steps last."""

    def step(path: Path) -> int:
        found = re.search(r"-1_(\d{1,9})\.pdos", path.name)
        return int(found[1]) if found else 0

    for path in sorted(folder.glob("*list*.pdos*"), key=lambda path: (step(path), path.name)):
        found = re.search(r"(?:^|-)(?:(ALPHA|BETA)_)?list(\d{1,9})-1(?:_\d{1,9})?\.pdos(?:\.gz)?$", path.name)
        if found:
            yield (found[1] or "", int(found[2])), path


def _pdos(path: Path) -> np.ndarray:
    """Columns eigenvalue (hartree), occupation, and one an angular momentum."""
    rows = [line.split()[1:] for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    width = len(rows[0]) if rows else 0
    try:
        return np.array([row for row in rows if len(row) == width], dtype=float).reshape(-1, max(width, 1))
    except ValueError:
        return np.zeros((0, 1))


def site_weights(projected: list[Projection] | None, energies_eV: np.ndarray, warnings: list[str]) -> np.ndarray | None:
    """Parts of the states on the sites, shape (spin, 1, band, site), where the projections are of these states."""
    if projected is None:
        return None
    bands = energies_eV.shape[2]
    fits = all(
        len(p.energies_eV) >= bands and np.allclose(p.energies_eV[:bands], energies_eV[spin, 0], atol=1e-3)
        for spin, p in enumerate(projected)
    )
    if not fits:
        warnings.append("The projections on the atoms belong to other eigenvalues, so there are no site weights.")
        return None
    return np.array([[p.weights[:bands]] for p in projected])


def ascending(
    energies: np.ndarray, occupations: np.ndarray, weights: np.ndarray | None, warnings: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """States in order of energy: a minimizer lists the empty ones after the occupied ones, wherever they lie."""
    highest = np.where(occupations > 0, energies, -np.inf).max(axis=2)
    lowest = np.where(occupations > 0, np.inf, energies).min(axis=2)
    if (above := float((highest - lowest).max())) > 1e-4:
        warnings.append(
            f"An occupied state lies {above:.3f} eV above an empty one: the energy was minimized with whole electrons in "
            "orbitals, and is not that of states filled in order of energy, as the levels are."
        )
    order = np.argsort(energies, axis=2, kind="stable")
    energies, occupations = (np.take_along_axis(values, order, axis=2) for values in (energies, occupations))
    return energies, occupations, None if weights is None else np.take_along_axis(weights, order[..., None], axis=2)
