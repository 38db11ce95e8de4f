"""What CP2K's own data folder offers for an element: basis sets, pseudopotentials, auxiliary bases."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from midgap.structures.errors import InputError

_HEAD = re.compile(r"^\s*([A-Z][a-z]?)\s+(\S*[A-Za-z].*)$")
_VALENCE = re.compile(r"-q(\d+)$")


@dataclass(frozen=True)
class AtomicKind:
    """How CP2K treats one element.

    Attributes
    ----------
    valence
        Electrons that are not in the pseudopotential.
    basis, potential, auxiliary
        Names, as in the files ``basis_file``, ``potential_file`` and ``auxiliary_file`` of the data
        folder; ``auxiliary`` is the smaller basis that carries the exact exchange, or None.
    hardest_exponent
        Largest Gaussian exponent of the basis, bohr⁻².
    functions
        Of the basis.
    """

    element: str
    valence: int
    basis: str
    basis_file: str
    potential: str
    potential_file: str
    hardest_exponent: float
    functions: int
    auxiliary: str | None = None
    auxiliary_file: str | None = None


@dataclass(frozen=True)
class _Entry:
    """One basis set or pseudopotential, under all its names."""

    file: str
    element: str
    names: tuple[str, ...]
    rows: tuple[str, ...]


@dataclass(frozen=True)
class DataFolder:
    """CP2K's data folder, its files read when first asked for."""

    path: Path

    @cached_property
    def bases(self) -> list[_Entry]:
        """BASIS_MOLOPT's first: where a name occurs twice, CP2K takes the first."""
        found = {*self.path.glob("BASIS_MOLOPT*"), *self.path.glob("BASIS_ADMM*")}
        files = sorted(found, key=lambda file: (len(file.name), file.name))
        return [entry for file in files if file.is_file() for entry in _entries(file)]

    def bases_of(self, element: str) -> list[_Entry]:
        return [entry for entry in self.bases if entry.element == element]

    def kinds(self, elements: Sequence[str], family: str, auxiliary: str | None = None) -> dict[str, AtomicKind]:
        """Basis and pseudopotential of each element: of what fits together, the most valence electrons.

        Parameters
        ----------
        elements
            Symbols; each is answered once.
        family
            Basis without its valence, ``DZVP-MOLOPT-SR-GTH``. The families ``...-PBE-GTH`` are made
            for the pseudopotentials of POTENTIAL_UZH, the others for GTH_POTENTIALS.
        auxiliary
            Auxiliary basis of the exact exchange without its valence, ``admm-dz``.

        Raises
        ------
        InputError
            There is none for an element; says what is.
        """
        potentials = self.path / ("POTENTIAL_UZH" if "-PBE-GTH" in family else "GTH_POTENTIALS")
        if not potentials.is_file():
            raise InputError(
                f"CP2K's data folder {self.path} lacks {potentials.name}, which the basis {family} needs; update CP2K."
            )
        names = {(entry.element, name) for entry in _entries(potentials) for name in entry.names}
        return {
            element: self._kind(element, family, auxiliary, potentials.name, names)
            for element in dict.fromkeys(elements)
        }

    def _kind(
        self, element: str, family: str, auxiliary: str | None, potential_file: str, potentials: set[tuple[str, str]]
    ) -> AtomicKind:
        without_auxiliary = None
        for valence, name, entry in sorted(self._members(element, family), key=lambda member: -member[0]):
            potential = f"GTH-PBE-q{valence}"
            if (element, potential) not in potentials:
                continue
            size = _hardest_exponent(entry), _functions(entry)
            kind = AtomicKind(element, valence, name, entry.file, potential, potential_file, *size)
            if auxiliary is None:
                return kind
            for helper in self.bases_of(element):
                for helper_name in (f"{auxiliary}-q{valence}", auxiliary):
                    if helper_name in helper.names:
                        return replace(kind, auxiliary=helper_name, auxiliary_file=helper.file)
            without_auxiliary = without_auxiliary or name
        if without_auxiliary:
            raise InputError(
                f"CP2K has no auxiliary basis {auxiliary} for {element}, which HSE06 needs beside {without_auxiliary}; "
                "choose another with the engine setting aux_basis, or use --theory pbe."
            )
        families = {
            name[: found.start()]
            for entry in self.bases_of(element)
            for name in entry.names
            if "MOLOPT" in name and (found := _VALENCE.search(name))
        }
        what_else = (
            f"the engine setting basis can be {', '.join(sorted(families))}" if families else "use --engine gpaw"
        )
        raise InputError(f"CP2K has no basis {family} with a GTH-PBE pseudopotential for {element}; {what_else}.")

    def _members(self, element: str, family: str) -> Iterator[tuple[int, str, _Entry]]:
        for entry in self.bases_of(element):
            for name in entry.names:
                valence = _VALENCE.search(name)
                if valence and name[: valence.start()] == family:
                    yield int(valence[1]), name, entry


@lru_cache(maxsize=32)
def _entries(file: Path) -> tuple[_Entry, ...]:
    """Of an installation, whose files stay as they are while this process lives: reading them all takes half a second."""
    found: list[tuple[str, list[str], list[str]]] = []
    for line in file.read_text(errors="replace").splitlines():
        line = line.split("#")[0].strip()
        head = _HEAD.match(line)
        if head:
            found.append((head[1], head[2].split(), []))
        elif line and found:
            found[-1][2].append(line)
    return tuple(_Entry(file.name, element, tuple(names), tuple(rows)) for element, names, rows in found)


def _sets(entry: _Entry) -> Iterator[tuple[list[int], tuple[str, ...]]]:
    """The sets of a basis: n, lowest l, highest l, number of exponents, shells of each l; and a row an exponent."""
    row = 1
    for _ in range(int(entry.rows[0].split()[0])):
        head = [int(word) for word in entry.rows[row].split()]
        yield head, entry.rows[row + 1 : row + 1 + head[3]]
        row += 1 + head[3]


def _hardest_exponent(entry: _Entry) -> float:
    """The largest of the exponents, which lead the rows of each set of a basis."""
    return max((float(line.split()[0]) for _, rows in _sets(entry) for line in rows), default=0.0)


def _functions(entry: _Entry) -> int:
    """How many functions a basis has: 2l + 1 a shell."""
    return sum((2 * (head[1] + i) + 1) * shells for head, _ in _sets(entry) for i, shells in enumerate(head[4:]))


def find_data(program: str) -> DataFolder | None:
    """CP2K's data: where ``CP2K_DATA_DIR`` says, else beside the program, else where it was built to look."""
    prefix = Path(program).resolve().parent.parent
    given = os.environ.get("CP2K_DATA_DIR")
    if given:
        return DataFolder(Path(given)) if _is_data(Path(given)) else None
    for place in (prefix / "share/cp2k/data", prefix / "share/cp2k", prefix / "data"):
        if _is_data(place):
            return DataFolder(place)
    # Among the flags it was compiled with, printed in lines cut anywhere; asking takes a second.
    built = re.search(r'__DATA_DIR="([^"]+)"', re.sub(r"\n\s*", "", about(program)))
    return DataFolder(Path(built[1])) if built and _is_data(Path(built[1])) else None


def _is_data(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("BASIS_MOLOPT", "GTH_POTENTIALS"))


@lru_cache(maxsize=8)
def about(program: str) -> str:
    """What ``cp2k --version`` prints; nothing if it does not run."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
