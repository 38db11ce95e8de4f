"""What a VASP run left: how far it came, where its atoms are, and what the next one can begin from."""

from __future__ import annotations

import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from midgap.structures.document import read_json

CORRECTIONS = "corrections.json"

HEAD, TAIL = 1 << 20, 1 << 23
"""How much of an OUTCAR is looked at: NELECT stands in the first MB, the last step in the last 8."""


@dataclass(frozen=True)
class RunState:
    """How far a run came, as its OUTCAR has it.

    Attributes
    ----------
    finished
        VASP ended by itself: its accounting of time is there.
    stopped
        It was asked to, by a STOPCAR.
    scf_converged, relaxed
        The last SCF reached EDIFF; the forces reached EDIFFG.
    energy_eV
        Energy of the last geometry, extrapolated to σ → 0.
    max_force_eV_per_ang
        Largest force on an atom there.
    """

    finished: bool = False
    stopped: bool = False
    scf_converged: bool = False
    relaxed: bool = False
    gamma_only: bool = False
    n_electrons: float | None = None
    energy_eV: float | None = None
    max_force_eV_per_ang: float | None = None


def run_state(folder: Path) -> RunState:
    """Read the OUTCAR of a folder; a `RunState` of nothing if there is none."""
    outcar = folder / "OUTCAR"
    if not outcar.is_file():
        return RunState()
    head, tail = _ends(outcar)
    electrons = re.search(r"NELECT =\s*([\d.]+)\s+total number of electrons", head)
    last_scf = tail[tail.rfind("(   1)  ---") :] if "(   1)  ---" in tail else tail
    energies = re.findall(r"energy\(sigma->0\) =\s*(-?[\d.]+)", tail)
    return RunState(
        finished="General timing and accounting" in tail[-20000:],
        stopped="stop encountered" in tail or "stop encountered" in last_words(folder),
        scf_converged="aborting loop because EDIFF is reached" in last_scf,
        relaxed="reached required accuracy - stopping structural energy minimisation" in tail,
        gamma_only="gamma-only" in head[:200],
        n_electrons=float(electrons[1]) if electrons else None,
        energy_eV=float(energies[-1]) if energies else None,
        max_force_eV_per_ang=_largest_force(tail),
    )


def longest_steps_s(folder: Path) -> tuple[float, float]:
    """Longest electronic and ionic step among the last ones, s; 0 where none has ended."""
    outcar = folder / "OUTCAR"
    if not outcar.is_file():
        return 0.0, 0.0
    tail = _ends(outcar)[1]

    def longest(name: str) -> float:
        return max((float(t) for t in re.findall(rf"{name}:.*?real time\s*([\d.]+)", tail)), default=0.0)

    return longest(r" LOOP"), longest(r"LOOP\+")


def ionic_energies_eV(folder: Path) -> list[float]:
    """Energies (σ → 0) of all geometries so far, of earlier runs (``OSZICAR.1``...) too."""
    return [
        float(energy)
        for path in [*archived_steps(folder), folder / "OSZICAR"]
        if path.is_file()
        for energy in re.findall(r" E0=\s*(\S+)", path.read_text(errors="replace"))
    ]


def archived_steps(folder: Path) -> list[Path]:
    """The OSZICARs of earlier runs, oldest first."""
    found = [path for path in folder.glob("OSZICAR.*") if path.suffix[1:].isdigit()]
    return sorted(found, key=lambda path: int(path.suffix[1:]))


def archive_steps(folder: Path) -> None:
    """Put the OSZICAR of the last run aside, before VASP writes the next."""
    oszicar = folder / "OSZICAR"
    if oszicar.is_file() and "E0=" in oszicar.read_text(errors="replace"):
        oszicar.replace(folder / f"OSZICAR.{len(archived_steps(folder)) + 1}")


def electronic_steps(folder: Path) -> list[tuple[str, float]]:
    """Algorithm and change of energy in eV of each electronic step of the last geometry."""
    path = folder / "OSZICAR"
    if not path.is_file():
        return []
    steps: list[tuple[str, float]] = []
    over = False
    for line in path.read_text(errors="replace").splitlines():
        if "E0=" in line:
            over = True
        elif found := re.match(r"\s*([A-Z]{3}):\s+\d+\s+\S+\s+(\S+)", line):
            if over:
                steps, over = [], False
            try:
                steps.append((found[1], float(found[2])))
            except ValueError:  # ****
                steps.append((found[1], float("nan")))
    return steps


def last_geometry(folder: Path, like: Structure) -> np.ndarray | None:
    """Where a relaxation came to, fractional, shape (n, 3): from CONTCAR, or if that was cut short, from XDATCAR.

    VASP writes both after every ionic step. None if neither holds the atoms of ``like``.
    """
    frac = geometry_in(folder / "CONTCAR", like)
    return frac if frac is not None else _last_frame(folder / "XDATCAR", len(like))


def geometry_in(path: Path, like: Structure) -> np.ndarray | None:
    """Fractional positions in a POSCAR or CONTCAR, or None if it does not hold the atoms of ``like``, shape (n, 3)."""
    from pymatgen.io.vasp.inputs import Poscar

    if not path.is_file() or path.stat().st_size == 0:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Poscar.from_file(path, check_for_potcar=False, read_velocities=False).structure
    except Exception:  # pymatgen fails in many ways on half a file
        return None
    same = [site.specie.symbol for site in found] == [site.specie.symbol for site in like]
    return np.asarray(found.frac_coords) if same and np.isfinite(found.frac_coords).all() else None


def _last_frame(path: Path, atoms: int) -> np.ndarray | None:
    if not path.is_file():
        return None
    blocks = re.split(r"Direct configuration=\s*\d+\s*\n", path.read_text(errors="replace"))[1:]
    for block in reversed(blocks):
        rows = [line.split() for line in block.splitlines()[:atoms]]
        if len(rows) == atoms and all(len(row) == 3 for row in rows) and block.count("\n") >= atoms:
            try:
                return np.array(rows, dtype=float)
            except ValueError:
                continue
    return None


@dataclass(frozen=True)
class Wavecar:
    """The head of a WAVECAR."""

    spins: int
    kpoints: int
    bands: int
    cutoff_eV: float


def wavecar(path: Path) -> Wavecar | None:
    """The head of a WAVECAR, None if there is none or it was cut short.

    Records of one length: two of heads, then for each spin and k-point one with eigenvalues and one a
    band (as read by ``pymatgen.io.vasp.outputs.Wavecar``).
    """
    if not path.is_file():
        return None
    size = path.stat().st_size
    with path.open("rb") as stream:
        first = stream.read(24)
        length, spins, _ = struct.unpack("<3d", first) if len(first) == 24 else (0.0, 0.0, 0.0)
        # Comparisons that a NaN fails: half a file may hold anything.
        if not (96 <= length <= size / 2 and spins in (1.0, 2.0)):
            return None
        stream.seek(int(length))
        kpoints, bands, cutoff = struct.unpack("<3d", stream.read(24))
    if not (1 <= kpoints <= size and 1 <= bands <= size and size >= length * (2 + spins * kpoints * (1 + bands))):
        return None
    return Wavecar(int(spins), int(kpoints), int(bands), cutoff)


def density_is_whole(path: Path) -> bool:
    """Whether a CHGCAR holds all the numbers that its grid has, 18 characters each."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        grid = re.search(rb"\n\s*\n\s*(\d+)\s+(\d+)\s+(\d+)\s*\n", head)
        if grid is None:
            return False
        points = int(grid[1]) * int(grid[2]) * int(grid[3])
        return path.stat().st_size - grid.end() >= 18 * points


FATAL: tuple[tuple[str, str], ...] = (
    (
        r"non ?collinear calculations require|compiled without.*NGZhalf|compiled with.*NGZhalf",
        "VASP_NCL_CMD starts a VASP that cannot do spin-orbit coupling; let it start vasp_ncl",
    ),
    (
        r"number of potentials on File POTCAR incompatible",
        "POTCAR has not one potential for each species of the POSCAR; delete POTCAR and start again",
    ),
    (r"Error reading item '?(\w+)'?", "VASP cannot read {0} in the INCAR; correct it with --set"),
    (r"No space left on device|[Dd]isk quota exceeded", "the disk is full; make room for WAVECAR and CHGCAR"),
    (
        r"insufficient virtual memory|Allocation would exceed|[Oo]ut [Oo]f [Mm]emory|oom-kill",
        "there was not enough memory; take more nodes, or fewer ranks a node, or --set KPAR=1",
    ),
)
"""What VASP or the machine says where another try would end the same way, and what to do."""


def fatal(folder: Path) -> str | None:
    """Part of a sentence on why the run cannot be gone on with as it is, or None."""
    said = last_words(folder)
    for pattern, sentence in FATAL:
        if found := re.search(pattern, said):
            return sentence.format(*found.groups())
    return None


def complaint(folder: Path) -> str:
    """The last line in which VASP speaks of an error, or nothing."""
    framed = (line.strip(" |*\t") for line in last_words(folder).splitlines())
    lines = [line for line in framed if re.search(r"\b(error|fatal|fails?|failed|severe|VERY BAD NEWS)\b", line, re.I)]
    return lines[-1][:200] if lines else ""


def last_words(folder: Path) -> str:
    """The ends of stdout and stderr."""
    return "\n".join(
        _ends(path)[1][-65536:] for name in ("stdout.txt", "stderr.txt") if (path := folder / name).is_file()
    )


def corrections(folder: Path) -> dict[str, Any]:
    """INCAR tags that handlers have changed in a folder; None is a tag that was taken out."""
    path = folder / CORRECTIONS
    if not path.is_file():
        return {}
    found = read_json(path)
    return found if isinstance(found, dict) else {}


def ends_with(path: Path, word: str) -> bool:
    """Whether a file ends with a word, white space aside."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 200))
        return stream.read().decode(errors="replace").rstrip().endswith(word)


def _ends(path: Path) -> tuple[str, str]:
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        stream.seek(max(0, path.stat().st_size - TAIL))
        return head.decode(errors="replace"), stream.read().decode(errors="replace")


def _largest_force(text: str) -> float | None:
    at = text.rfind("TOTAL-FORCE (eV/Angst)")
    if at < 0:
        return None
    forces = []
    for line in text[at:].splitlines()[2:]:
        row = line.split()
        if len(row) != 6:
            break
        try:
            forces.append([float(number) for number in row[3:]])
        except ValueError:
            return None
    return float(np.linalg.norm(np.array(forces), axis=1).max()) if forces else None
