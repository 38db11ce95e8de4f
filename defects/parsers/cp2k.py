"""CP2K: an `ElectronicStructure` from the files of a finished run.

Read are the output, the input it names, the projected densities of states and, if it was written,
the electrostatic potential. CP2K appends to its output: the last run in the file counts.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import IMolecule, IStructure, Lattice

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.parsers.cp2k_output import (
    InputSection,
    find_input,
    find_output,
    finished_run,
    number,
    read_frames,
    scf_converged,
    total_energy_eV,
)
from midgap.defects.parsers.cp2k_states import ascending, projections, site_weights, states
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.theory import HSE_OMEGA_PER_BOHR, LevelOfTheory
from midgap.structures.units import BOHR_ANG, EV_PER_HARTREE

TEST_CHARGE_ANG = 0.5
"""Width of the Gaussian over which a site's electrostatic potential is averaged."""
LOOSE_SCF = 1e-3


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
    asked = find_input(folder, text)
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
    projected = projections(folder, asked, spins, len(structure), warnings) if len(kpoints) == 1 else None
    if len(kpoints) > 1:
        warnings.append("CP2K says where states sit at Γ only: there are no site weights on this mesh.")
    energies, occupations = states(text, output, spins, len(kpoints), electrons, projected)
    weights = site_weights(projected, energies, warnings)
    energies, occupations, weights = ascending(energies, occupations, weights, warnings)
    converged = scf_converged(text)
    if not converged:
        warnings.append("The SCF did not converge: energies are not to be trusted.")
    threshold = number(text, r"^\s+eps_scf:\s+(\S+)")
    if threshold is not None and threshold > LOOSE_SCF:
        warnings.append(f"The SCF counted as converged at a change of {threshold:g}: energies are not to be trusted.")
    warnings += _kernel_warning(text)
    energy = total_energy_eV(text)
    fields = dict(
        structure=structure,
        theory=theory,
        provenance=provenance(text, asked),
        charge=int(number(text, r"^ DFT\| Charge\s+(-?\d{1,9})\b") or 0),
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
    fraction = number(text, r"^\s*HFX_INFO\| FRACTION:\s+(\S+)")
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
    count = int(number(text, r"^ BRILLOUIN\| List of Kpoints.*?\b(\d{1,9})$") or len(table))
    return table[-count:, 1:], table[-count:, 0] / table[-count:, 0].sum()


def _mesh(kpoints: np.ndarray) -> tuple[int, int, int]:
    """How many points a mesh has along each axis, from its half that time reversal leaves."""
    both = np.round(np.concatenate([kpoints, -kpoints]) % 1.0, 4) % 1.0
    one, two, three = (len(np.unique(both[:, axis])) for axis in range(3))
    return one, two, three


def _kernel_warning(text: str) -> list[str]:
    kind = re.search(r"HFX_INFO\| Interaction Potential:\s+(.+?)\s*$", text, re.MULTILINE)
    reach = number(text, r"HFX_INFO\| Cutoff Radius \[angstrom\]:\s+(\S+)")
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
        reach = number(text, r"HFX_INFO\| Cutoff Radius \[angstrom\]:\s+(\S+)")
        settings["exchange_kernel"] = kernel[1] + (f" to {reach:g} Å" if reach else "")
    return Provenance(
        engine="cp2k",
        engine_version=version[1] if version else "",
        settings=settings,
        wall_time_s=number(text, r"^ CP2K +1 +1\.0 +\S+ +\S+ +\S+ +(\d+\.\d+)$"),
        peak_memory_MB=number(text, r"MEMORY\| Estimated peak process memory \[MiB\]\s+(\d+)") or None,
    )


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
