"""CP2K's files as text: the output of a run, its frames, and the input it read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from midgap.structures.errors import ComputationError, InputError
from midgap.structures.units import EV_PER_HARTREE
from midgap.structures.unpacking import CutShortError, chunks

DEBYE_E_ANG = 0.2081943


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


def number(text: str, pattern: str) -> float | None:
    """What a pattern finds in an output, or None.

    Raises
    ------
    ComputationError
        It is no number.
    """
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


def find_input(folder: Path, text: str) -> InputSection:
    """The input that an output names, or one that lies beside it; an empty one if there is none."""
    named = re.search(r"^ CP2K\| Input file name\s+(\S+)$", text, re.MULTILINE)
    candidates = [folder / Path(named[1]).name, folder / f"{Path(named[1]).name}.gz"] if named else []
    candidates += sorted(folder.glob("*.inp")) + sorted(folder.glob("*.inp.gz"))
    for path in candidates:
        if path.is_file():
            return parse_input(read_text(path))
    return InputSection()
