"""CP2K: an `ElectronicStructure` from the files of a finished run.

Read are the output, the input it names, the projected densities of states and, if it was written,
the electrostatic potential. CP2K appends to its output: the last run in the file counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import IMolecule, IStructure, Lattice

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.theory import HSE_OMEGA_PER_BOHR, LevelOfTheory
from midgap.structures.units import BOHR_ANG, EV_PER_HARTREE
from midgap.structures.unpacking import CutShortError, chunks

TEST_CHARGE_ANG = 0.5
"""Width of the Gaussian over which a site's electrostatic potential is averaged."""
LOOSE_SCF = 1e-3
DEBYE_E_ANG = 0.2081943


def read_cp2k(
    folder: Path,
    *,
    structure: IStructure | IMolecule | None = None,
    theory: LevelOfTheory | None = None,
) -> ElectronicStructure:
    """Read a folder of CP2K output.

    Parameters
    ----------
    folder
        Holds the output (``output.out``, or the newest ``*.out`` or ``*.log`` of CP2K), its input, and
        ``*.pdos`` files with one ``&LDOS`` an atom if states are to be located. ``.gz`` is read too.
    structure, theory
        What was computed, where the caller knows it; else it is taken from the files.

    Raises
    ------
    InputError
        There is no CP2K output, it has no eigenvalues, or its functional is neither PBE nor HSE06.
    ComputationError
        The run did not finish.
    """
    folder = Path(folder)
    output = find_output(folder)
    text = finished_run(output)
    asked = _find_input(folder, text)
    warnings: list[str] = []
    structure = structure or _structure(folder, text, asked, warnings)
    theory = theory or _theory(text, output)
    spins = 2 if re.search(r"^ DFT\|.*\bUKS\s*$|^ DFT\| Number of spin states\s+2$", text, re.MULTILINE) else 1
    electrons = [
        int(count) for count in re.findall(r"^ Number of electrons:\s+(\d{1,9})\b", text, re.MULTILINE)[-spins:]
    ]
    if len(electrons) < spins:
        raise ComputationError(f"{output} does not say how many electrons there are: it is cut short.")
    kpoints, k_weights = _kpoints(text)
    projected = _projections(folder, asked, spins, len(structure), warnings) if len(kpoints) == 1 else None
    if len(kpoints) > 1:
        warnings.append("CP2K says where states sit at Γ only: there are no site weights on this mesh.")
    energies, occupations = _states(text, output, spins, len(kpoints), electrons, projected)
    weights = _site_weights(projected, energies, warnings)
    energies, occupations, weights = _ascending(energies, occupations, weights, warnings)
    converged = scf_converged(text)
    if not converged:
        warnings.append("The SCF did not converge: energies are not to be trusted.")
    threshold = _number(text, r"^\s+eps_scf:\s+(\S+)")
    if threshold is not None and threshold > LOOSE_SCF:
        warnings.append(f"The SCF counted as converged at a change of {threshold:g}: energies are not to be trusted.")
    warnings += _kernel_warning(text)
    energy = total_energy_eV(text)
    fields = dict(
        structure=structure,
        theory=theory,
        provenance=provenance(text, asked),
        charge=int(_number(text, r"^ DFT\| Charge\s+(-?\d{1,9})\b") or 0),
        kpoints_frac=kpoints,
        k_weights=k_weights,
        eigenvalues_eV=energies,
        occupations=occupations / (2 if spins == 1 else 1),
        site_weights=weights,
        n_electrons=sum(electrons),
        magnetization_muB=float(electrons[0] - electrons[1]) if spins == 2 else 0.0,
        site_potentials_eV=_site_potentials(folder, structure),
        total_energy_eV=energy,
        converged=converged,
        warnings=tuple(warnings),
    )
    return ElectronicStructure.from_dict(fields, source=str(output))


# --- files -------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """Text of a file, unzipped if need be; of a gzip that is cut short, what there is.

    Raises
    ------
    InputError
        The file is missing or no sound gzip, or unpacks to more than an output could.
    """
    pieces = []
    try:
        for piece in chunks(path):
            pieces.append(piece)
    except CutShortError:
        pass
    return b"".join(pieces).decode(errors="replace")


def find_output(folder: Path) -> Path:
    """CP2K's output in a folder.

    Raises
    ------
    InputError
        There is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    named = folder / "output.out"
    if named.is_file():
        return named
    candidates = [path for pattern in ("*.out", "*.log", "*.out.gz", "*.log.gz") for path in folder.glob(pattern)]
    candidates = [path for path in candidates if "CP2K|" in read_text(path)]
    if not candidates:
        raise InputError(f"{folder} holds no output of CP2K (*.out or *.log); start CP2K with -o output.out.")
    return max(candidates, key=lambda path: (path.stat().st_mtime, path.name))


def last_run(text: str) -> str:
    """The text from the last ``PROGRAM STARTED`` on."""
    return text[max(text.rfind("PROGRAM STARTED AT"), 0) :]


def finished_run(output: Path) -> str:
    """Text of the last run in an output.

    Raises
    ------
    ComputationError
        It did not come to its end; says how far, and CP2K's own words on why.
    """
    text = last_run(read_text(output))
    if "PROGRAM ENDED AT" in text:
        return text
    said = abort_message(text)
    if said:
        raise ComputationError(f"CP2K stopped in {output}: {said}")
    steps = scf_steps(text)
    reached = f"it ends at SCF step {steps[-1][0]}" if steps else "it ends before the first SCF step"
    raise ComputationError(f"{output} is cut short: {reached}, and CP2K's closing line PROGRAM ENDED is missing.")


def abort_message(text: str) -> str | None:
    """What CP2K says in its last [ABORT] box, in one line, or None if there is no such box."""
    start = text.rfind("[ABORT]")
    if start < 0:
        return None
    lines = text[start:].split("\n")[1:]
    box = []
    for line in lines:
        if set(line.strip()) <= {"*"}:
            break
        # The box begins with a drawing: / \, \___/, |, O/|, /| |.
        box.append(re.sub(r"^\s*\*[ \\/_|O]*", "", line).rstrip(" *"))
    said = [line for line in box if line]
    where = said.pop() if len(said) > 1 and re.search(r"\.F:\d+$", said[-1]) else ""
    return " ".join(said) + (f" ({where})" if where else "") or None


def scf_converged(text: str) -> bool:
    """Whether the last SCF of a run converged."""
    ends = re.findall(r"SCF run (NOT )?converged", text)
    return bool(ends) and not ends[-1]


def scf_steps(text: str) -> list[tuple[int, float]]:
    """Step and change of the SCF steps, in the order they were printed."""
    rows = re.findall(
        r"^ +(\d{1,9}) (?:\S+/Diag\.|OT \S+|Diag\S*) .*?(\d\.\d+) +-?\d+\.\d+ +[-+.\dE]+$", text, re.MULTILINE
    )
    return [(int(step), float(change)) for step, change in rows]


def total_energy_eV(text: str) -> float | None:
    """The last total energy of a run, eV."""
    found = re.findall(r"^ ENERGY\| Total FORCE_EVAL .*?:\s+(-?\d+\.\d+)", text, re.MULTILINE)
    return float(found[-1]) * EV_PER_HARTREE if found else None


DIPOLE = re.compile(r"Dipole moment \[Debye\]\s+X=\s*(\S+)\s+Y=\s*(\S+)\s+Z=\s*(\S+)")
FORCE_ROW = re.compile(
    r"^ +(?:FORCES\| +\d+|\d+ +\d+ +[A-Z][a-z]?) +(-?\d+\.\d+) +(-?\d+\.\d+) +(-?\d+\.\d+)", re.MULTILINE
)
"""Of the table of forces: with the element until 2023.1, marked FORCES| in later releases."""


def forces_au(text: str) -> np.ndarray | None:
    """The last forces that a run printed, hartree/bohr, shape (n, 3)."""
    start = max(text.rfind("ATOMIC FORCES in"), text.rfind("FORCES| Atomic forces"))
    if start < 0:
        return None
    table = re.split(r"SUM OF|FORCES\| Sum", text[start:], maxsplit=1)[0]
    return np.array(FORCE_ROW.findall(table), dtype=float).reshape(-1, 3)


def dipole_e_ang(text: str) -> np.ndarray | None:
    """The last dipole that a run printed, shape (3,), e Å."""
    found = DIPOLE.findall(text)
    return DEBYE_E_ANG * np.array(found[-1], dtype=float) if found else None


def read_frames(path: Path) -> list[tuple[float | None, np.ndarray]]:
    """The whole frames of one of CP2K's ``.xyz`` files: energy in hartree and the numbers of each atom.

    A frame that was being written when CP2K was stopped is left out.
    """
    lines = read_text(path).splitlines()
    frames: list[tuple[float | None, np.ndarray]] = []
    row = 0
    while row < len(lines) and re.match(r"\s*\d{1,9}(?:\s|$)", lines[row]):
        count = int(lines[row].split()[0])
        values = [line.split()[1:4] for line in lines[row + 2 : row + 2 + count]]
        if len(values) < count or any(len(value) < 3 for value in values):
            break
        try:
            numbers = np.array(values, dtype=float)
        except ValueError:
            break
        energy = re.search(r"E =\s+(-?\d+\.\d+)", lines[row + 1])
        frames.append((float(energy[1]) if energy else None, numbers))
        row += 2 + count
    return frames


# --- input -------------------------------------------------------------------------------------


@dataclass
class InputSection:
    """A section of a CP2K input: its parameter, keywords as written, and subsections, each by name."""

    parameter: str = ""
    keywords: dict[str, list[str]] = field(default_factory=dict)
    sections: dict[str, list[InputSection]] = field(default_factory=dict)

    def at(self, *path: str) -> InputSection:
        """A subsection by its path; an empty one if there is none."""
        found = self
        for name in path:
            found = found.sections.get(name, [InputSection()])[0]
        return found

    def value(self, name: str, default: str = "") -> str:
        return self.keywords.get(name, [default])[0]


def parse_input(text: str) -> InputSection:
    """Read CP2K's input language: sections, keywords, comments and ``@SET`` variables.

    Other files that it includes are not looked for.
    """
    root = InputSection()
    stack = [root]
    variables: dict[str, str] = {}
    for line in text.splitlines():
        line = re.split(r"[!#]", line)[0].strip()
        for name, value in variables.items():
            line = line.replace(f"${{{name}}}", value).replace(f"${name}", value)
        first, _, rest = line.partition(" ") if " " in line else line.partition("\t")
        if first.upper() == "@SET":
            name, _, value = rest.strip().partition(" ")
            variables[name] = value.strip()
        elif first.upper().startswith("&END"):
            if len(stack) > 1:
                stack.pop()
        elif first.startswith("&"):
            section = InputSection(parameter=rest.strip())
            stack[-1].sections.setdefault(first[1:].upper(), []).append(section)
            stack.append(section)
        elif first and not first.startswith("@"):
            stack[-1].keywords.setdefault(first.upper(), []).append(rest.strip())
    return root


def _find_input(folder: Path, text: str) -> InputSection:
    named = re.search(r"^ CP2K\| Input file name\s+(\S+)$", text, re.MULTILINE)
    candidates = [folder / Path(named[1]).name, folder / f"{Path(named[1]).name}.gz"] if named else []
    candidates += sorted(folder.glob("*.inp")) + sorted(folder.glob("*.inp.gz"))
    for path in candidates:
        if path.is_file():
            return parse_input(read_text(path))
    return InputSection()


# --- what was computed -------------------------------------------------------------------------


def _structure(folder: Path, text: str, asked: InputSection, warnings: list[str]) -> IStructure | IMolecule:
    block = text[text.rfind("ATOMIC COORDINATES IN") :]
    rows = re.findall(
        r"^ +\d+ +\d+ +([A-Z][a-z]?) +\d+ +(-?\d+\.\d+) +(-?\d+\.\d+) +(-?\d+\.\d+) +(\S+)", block, re.MULTILINE
    )
    if not rows:
        raise ComputationError(
            f"The CP2K output in {folder} lists no atoms: it is cut short, or was printed at a low level."
        )
    numbers = _numbers([row[1:] for row in rows], f"The table of atoms in {folder}")
    real = numbers[:, 3] > 0  # a ghost has no charge
    species, positions = [row[0] for row, atom in zip(rows, real, strict=True) if atom], numbers[real, :3]
    if asked.at("GLOBAL").value("RUN_TYPE").upper() in ("GEO_OPT", "GEOMETRY_OPTIMIZATION"):
        moved = [frame for path in sorted(folder.glob("*-pos-1.xyz*")) for frame in read_frames(path)]
        if moved and len(moved[-1][1]) >= len(positions):
            positions = moved[-1][1][: len(positions)]
    periodicity = re.search(r"^ POISSON\| Periodicity\s+(\S+)", text, re.MULTILINE)
    if periodicity and periodicity[1] == "NONE":
        return IMolecule(species, positions)
    lattice = _lattice(asked.at("FORCE_EVAL", "SUBSYS", "CELL"))
    if lattice is None:
        vectors = re.findall(r"^ CELL\| Vector [abc] \[angstrom\]:\s+(\S+)\s+(\S+)\s+(\S+)", text, re.MULTILINE)[-3:]
        if len(vectors) < 3:
            raise ComputationError(f"The CP2K output in {folder} gives no cell: it is cut short.")
        lattice = Lattice(_numbers(vectors, f"The table of cell vectors in {folder}"))
        warnings.append("The input gives no cell: it is taken from the output, to 0.001 Å.")
    finite = np.isfinite(lattice.matrix).all() and np.isfinite(positions).all()
    if not (finite and lattice.volume > 1e-6 and np.linalg.cond(lattice.matrix) < 1e8):
        raise ComputationError(f"{folder}: the cell spans no volume, or an atom is nowhere; a file of it is damaged.")
    return IStructure(lattice, species, positions.tolist(), coords_are_cartesian=True)


def _numbers(rows: list[tuple[str, ...]], what: str) -> np.ndarray:
    try:
        return np.array(rows, dtype=float)
    except ValueError as error:
        raise ComputationError(f"{what} is damaged: {error}.") from None


def _lattice(cell: InputSection) -> Lattice | None:
    def lengths(name: str) -> list[float]:
        value = cell.value(name)
        unit = BOHR_ANG if re.search(r"\[bohr\]", value, re.IGNORECASE) else 1.0
        return [float(part) * unit for part in re.sub(r"\[\w+\]", "", value).split()]

    try:
        if {"A", "B", "C"} <= cell.keywords.keys():
            return Lattice([lengths(name) for name in "ABC"])
        if "ABC" in cell.keywords:
            angles = [
                float(part) for part in re.sub(r"\[\w+\]", "", cell.value("ALPHA_BETA_GAMMA", "90 90 90")).split()
            ]
            return Lattice.from_parameters(*lengths("ABC"), *angles)
    except (ValueError, TypeError):
        return None
    return None


def _theory(text: str, output: Path) -> LevelOfTheory:
    names = set(re.findall(r"^ FUNCTIONAL\| ([A-Za-z0-9_-]+):", text, re.MULTILINE))
    fraction = _number(text, r"^\s*HFX_INFO\| FRACTION:\s+(\S+)")
    mesh = _mesh(_kpoints(text)[0])
    dispersion = "D3" if re.search(r"vdW POTENTIAL\|\s+DFT-D3", text) else None
    shared: dict[str, Any] = {"spin_orbit": False, "dispersion": dispersion, "kpoints": mesh}
    if fraction is None and names in ({"PBE"}, {"GGA_X_PBE", "GGA_C_PBE"}):
        return LevelOfTheory(functional="PBE", **shared)
    if fraction is not None and (names == {"PBE", "XWPBE"} or "HYB_GGA_XC_HSE06" in names):
        own = abs(fraction - 0.25) < 1e-6
        return LevelOfTheory(functional="HSE06", exact_exchange=None if own else fraction, **shared)
    found = " + ".join(sorted(names)) or "a functional it does not name"
    found += f" + {fraction:g} exact exchange" if fraction is not None else ""
    raise InputError(f"{output} was computed with {found}; levels are read from PBE and HSE06 calculations.")


def _kpoints(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Fractional coordinates (k, 3) and weights (k,) that sum to 1; Γ where CP2K lists none."""
    rows = re.findall(r"^ BRILLOUIN\|\s+\d+((?:\s+-?\d+\.\d+){4})$", text, re.MULTILINE)
    if not rows:
        return np.zeros((1, 3)), np.ones(1)
    table = np.array([row.split() for row in rows], dtype=float)
    count = int(_number(text, r"^ BRILLOUIN\| List of Kpoints.*?\b(\d{1,9})$") or len(table))
    return table[-count:, 1:], table[-count:, 0] / table[-count:, 0].sum()


def _mesh(kpoints: np.ndarray) -> tuple[int, int, int]:
    """How many points a mesh has along each axis, from its half that time reversal leaves."""
    both = np.round(np.concatenate([kpoints, -kpoints]) % 1.0, 4) % 1.0
    one, two, three = (len(np.unique(both[:, axis])) for axis in range(3))
    return one, two, three


def _kernel_warning(text: str) -> list[str]:
    kind = re.search(r"HFX_INFO\| Interaction Potential:\s+(.+?)\s*$", text, re.MULTILINE)
    reach = _number(text, r"HFX_INFO\| Cutoff Radius \[angstrom\]:\s+(\S+)")
    if kind is None or reach is None or "TRUNCATED" not in kind[1]:
        return []
    left = math.erfc(HSE_OMEGA_PER_BOHR * reach / BOHR_ANG)
    return [
        f"HSE06 with its exchange kernel erfc(ωr)/r cut off at {reach:.2f} Å, half the cell's width, where it is {left:.0%} "
        "of 1/r: at Γ alone the density matrix repeats with the cell. A wider cell cuts off less."
    ]


def provenance(text: str, asked: InputSection) -> Provenance:
    """Version, settings and cost of a run."""
    version = re.search(r"^ CP2K\| version string:\s+(?:CP2K version )?(.+?)\s*$", text, re.MULTILINE)
    dft = asked.at("FORCE_EVAL", "DFT")
    settings = {}
    for kind in asked.at("FORCE_EVAL", "SUBSYS").sections.get("KIND", []):
        bases = [basis.split() for basis in kind.keywords.get("BASIS_SET", [])]
        words = [" ".join(basis) for basis in bases] + kind.keywords.get("POTENTIAL", [])
        settings[f"kind {kind.parameter}"] = ", ".join(words)
    for name, section, keyword in (
        ("cutoff_Ry", dft.at("MGRID"), "CUTOFF"),
        ("rel_cutoff_Ry", dft.at("MGRID"), "REL_CUTOFF"),
        ("eps_default", dft.at("QS"), "EPS_DEFAULT"),
        ("eps_scf", dft.at("SCF"), "EPS_SCF"),
        ("admm", dft.at("AUXILIARY_DENSITY_MATRIX_METHOD"), "METHOD"),
    ):
        if keyword in section.keywords:
            settings[name] = section.value(keyword)
    kernel = re.search(r"HFX_INFO\| Interaction Potential:\s+(.+?)\s*$", text, re.MULTILINE)
    if kernel:
        reach = _number(text, r"HFX_INFO\| Cutoff Radius \[angstrom\]:\s+(\S+)")
        settings["exchange_kernel"] = kernel[1] + (f" to {reach:g} Å" if reach else "")
    return Provenance(
        engine="cp2k",
        engine_version=version[1] if version else "",
        settings=settings,
        wall_time_s=_number(text, r"^ CP2K +1 +1\.0 +\S+ +\S+ +\S+ +(\d+\.\d+)$"),
        peak_memory_MB=_number(text, r"MEMORY\| Estimated peak process memory \[MiB\]\s+(\d+)") or None,
    )


def _number(text: str, pattern: str) -> float | None:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        return None
    try:
        value = float(found[1])
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ComputationError(f"CP2K's output has no number where one belongs: {found[0].strip()}.")
    return value


# --- states ------------------------------------------------------------------------------------


def _states(
    text: str, output: Path, spins: int, n_k: int, electrons: list[int], projected: list[_Projection] | None
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
class _Projection:
    """States of one spin channel at Γ and their parts on the atoms, shape (band, site)."""

    energies_eV: np.ndarray
    occupations: np.ndarray
    weights: np.ndarray


def _projections(
    folder: Path, asked: InputSection, spins: int, atoms: int, warnings: list[str]
) -> list[_Projection] | None:
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
        found.append(_Projection(tables[0][:, 0] * EV_PER_HARTREE, tables[0][:, 1], weights))
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


def _site_weights(
    projected: list[_Projection] | None, energies_eV: np.ndarray, warnings: list[str]
) -> np.ndarray | None:
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


def _ascending(
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


# --- potential ---------------------------------------------------------------------------------


def _site_potentials(folder: Path, structure: IStructure | IMolecule) -> np.ndarray | None:
    cubes = sorted(folder.glob("*-v_hartree-1*.cube"), key=lambda path: (path.stat().st_mtime, path.name))
    if not cubes or not isinstance(structure, IStructure):
        return None
    potential = _read_cube(cubes[-1])
    if potential is None:
        return None
    return smoothed_at(potential * EV_PER_HARTREE, structure.lattice, structure.frac_coords, TEST_CHARGE_ANG)


def _read_cube(path: Path) -> np.ndarray | None:
    """Values of a cube file whose grid fills the cell, or None if it is cut short."""
    most = path.stat().st_size
    with path.open(errors="replace") as stream:
        head = [stream.readline() for _ in range(6)]
        try:
            atoms, shape = int(head[2].split()[0]), tuple(int(line.split()[0]) for line in head[3:6])
        except (ValueError, IndexError):
            return None
        if not 0 <= atoms <= most or not all(0 < n <= most for n in shape):
            return None
        for _ in range(atoms):
            stream.readline()
        try:
            values = np.fromstring(stream.read(), sep=" ")
        except ValueError:
            return None
    return values.reshape(shape) if values.size == math.prod(shape) and np.isfinite(values).all() else None


def smoothed_at(potential: np.ndarray, lattice: Lattice, frac_coords: np.ndarray, width_ang: float) -> np.ndarray:
    """A periodic potential, averaged over a Gaussian round each of some points.

    Parameters
    ----------
    potential
        On a grid that fills the cell, shape (n1, n2, n3).
    frac_coords
        Shape (point, 3).
    width_ang
        Standard deviation of the Gaussian; several times the grid's spacing, the result does not
        depend on where the points lie on the grid.

    Returns
    -------
    numpy.ndarray
        Shape (point,), in the unit of ``potential``.
    """
    waves = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in potential.shape], indexing="ij")
    order = np.stack([wave.ravel() for wave in waves], axis=1)
    squared = ((order @ lattice.reciprocal_lattice.matrix) ** 2).sum(axis=1)
    damping = np.exp(-squared * width_ang**2 / 2)
    kept = damping > 1e-9
    amplitudes = np.fft.fftn(potential).ravel()[kept] / potential.size * damping[kept]
    phases = np.exp(2j * np.pi * (np.asarray(frac_coords) @ order[kept].T))
    return (phases @ amplitudes).real
