"""vaspout.h5, which VASP writes from version 6 on. The names in it are those that py4vasp's definition lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.parsers.hdf5 import check_size, dataset
from midgap.defects.parsers.vasp_output import VaspOutput
from midgap.structures.errors import InputError
from midgap.structures.hdf5_trial import refuse_endless

BANDS = "results/electron_eigenvalues"
STEPS = "intermediate/ion_dynamics"


def read_vaspout(path: Path) -> VaspOutput:
    """Read ``vaspout.h5``.

    It holds the tags that were set, not what VASP took for the others, and nothing of the SCF steps.

    Raises
    ------
    InputError
        h5py is not installed, or the file is not VASP's, unfinished or damaged.
    """
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise InputError("Reading vaspout.h5 needs h5py; install it with: pip install 'midgap[vasp]'.") from None
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    refuse_endless(path)
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file)
    except KeyError as error:
        raise InputError(
            f"{path} lacks what a finished VASP run writes: {str(error.args[0]).strip(chr(34))}."
        ) from None
    except (
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
        AttributeError,
        IndexError,
        OverflowError,
        MemoryError,
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path} cannot be read as HDF5 ({reason}); a run that is going on or was killed leaves it so."
        ) from None


def _read(path: Path, file: Any) -> VaspOutput:
    out = VaspOutput(source=path)
    out.version = ".".join(str(dataset(file, f"version/{part}")) for part in ("major", "minor", "patch"))
    out.tags = {name.upper(): _text(dataset(file, f"input/incar/{name}")) for name in file["input/incar"]}
    counts = np.asarray(dataset(file, "results/positions/number_ion_types"), dtype=int).reshape(-1)
    symbols = [_text(name).split("_")[0].split("/")[0] for name in dataset(file, "results/positions/ion_types")]
    out.species = [symbol for symbol, count in zip(symbols, counts, strict=True) for _ in range(count)]
    out.ionic_steps = len(file[f"{STEPS}/position_ions"])
    scale = float(dataset(file, f"{STEPS}/scale")) if f"{STEPS}/scale" in file else 1.0
    out.lattice_ang = scale * np.asarray(file[f"{STEPS}/lattice_vectors"][-1], dtype=float)
    out.positions_frac = np.asarray(file[f"{STEPS}/position_ions"][-1], dtype=float)
    out.kpoints_frac = np.asarray(dataset(file, f"{BANDS}/kpoint_coords"), dtype=float)
    out.k_weights = np.asarray(dataset(file, f"{BANDS}/kpoints_symmetry_weight"), dtype=float)
    out.eigenvalues_eV = np.asarray(dataset(file, f"{BANDS}/eigenvalues"), dtype=float)
    out.occupations = np.asarray(dataset(file, f"{BANDS}/fermiweights"), dtype=float)
    out.tags["NELECT"] = str(float(dataset(file, f"{BANDS}/nelectrons")))
    out.tags.setdefault("ISPIN", str(len(out.eigenvalues_eV)))
    if "results/projectors/par" in file:
        out.site_weights = _site_weights(file["results/projectors/par"], len(out.eigenvalues_eV))
    out.mesh = _mesh(file)
    out.total_energy_eV = _energy(file)
    _potcars(file, out, counts)
    if "results/electron_eigenvalues_kpoints_opt" in file:
        out.warnings.append("The k-points of KPOINTS_OPT are not read: the levels are those of KPOINTS.")
    return out


def _site_weights(projections: Any, spins: int) -> np.ndarray:
    """Summed over orbitals, an atom at a time; stored as (spin or charge and moments, site, orbital, k, band)."""
    check_size(projections)
    _, sites, _, n_k, n_band = projections.shape
    weights = np.empty((spins, sites, n_k, n_band), dtype=np.float32)
    for spin in range(spins):
        for site in range(sites):
            weights[spin, site] = np.asarray(projections[spin, site]).sum(axis=0)
    return weights.transpose(0, 2, 3, 1)


def _mesh(file: Any) -> tuple[int, int, int] | None:
    names = [f"input/kpoints/nkp{axis}" for axis in "xyz"]
    if not all(name in file for name in names):
        return None
    one, two, three = (int(dataset(file, name)) for name in names)
    return (one, two, three) if min(one, two, three) > 0 else None


def _energy(file: Any) -> float | None:
    if f"{STEPS}/energies" not in file:
        return None
    labels = [_text(label).strip() for label in dataset(file, f"{STEPS}/energies_tags")]
    values = np.atleast_2d(dataset(file, f"{STEPS}/energies"))
    return float(values[-1, labels.index("energy(sigma->0)")]) if "energy(sigma->0)" in labels else None


def _potcars(file: Any, out: VaspOutput, counts: np.ndarray) -> None:
    content = _text(dataset(file, "input/potcar/content")) if "input/potcar/content" in file else ""
    out.potentials = re.findall(r"TITEL\s*=\s*(.+)", content)
    valences = [float(found) for found in re.findall(r"ZVAL\s*=\s*([\d.]+)", content)]
    if len(valences) == len(counts):
        out.valences = [value for value, count in zip(valences, counts, strict=True) for _ in range(count)]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, np.ndarray):
        return " ".join(_text(part) for part in value.reshape(-1))
    if isinstance(value, bool | np.bool_):
        return "T" if value else "F"
    return str(value)
