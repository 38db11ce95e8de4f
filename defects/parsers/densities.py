"""Densities of levels from what engines leave: GPAW's wavefunctions, CP2K's orbital cubes, VASP's PARCHG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.densities import StateDensity
from midgap.defects.report import Level, LevelReport
from midgap.structures.errors import InputError
from midgap.structures.file_names import file_name

SUFFIX = ".density.json"
_ORBITAL = re.compile(r"WFN_0*(\d+)_([12])", re.IGNORECASE)
_PARTIAL = re.compile(r"PARCHG\.0*(\d+)\.", re.IGNORECASE)


def level_densities(folder: Path | str, report: LevelReport) -> list[StateDensity]:
    """The density of every level between the band edges that the folder's files hold.

    Read are GPAW's ``wavefunctions.gpw`` (or any ``*.gpw`` with wavefunctions), CP2K's ``*WFN_<orbital>_<spin>*.cube``,
    VASP's ``PARCHG.<band>.*``, or a single ``PARCHG`` where there is a single level.

    Raises
    ------
    InputError
        The folder holds none of them; says how each engine is made to write them.
    """
    folder = Path(folder)
    wanted = [(i, level) for i, level in enumerate(report.levels) if level.kind != "resonant"]
    if not wanted:
        return []
    gpw = sorted(folder.glob("*.gpw"), key=lambda path: (path.name != "wavefunctions.gpw", path.name))
    if gpw:
        from midgap.defects.parsers.gpaw_densities import gpaw_densities

        return gpaw_densities(gpw[0], report, wanted)
    cubes = [(path, found) for path in sorted(folder.glob("*.cube")) if (found := _ORBITAL.search(path.name))]
    if cubes:
        return _from_cubes({(int(m[1]), int(m[2])): path for path, m in cubes}, report, wanted)
    partial = sorted(path for path in folder.glob("PARCHG*") if path.is_file())
    if partial:
        return _from_parchg(partial, report, wanted)
    raise InputError(
        f"{folder} holds no wavefunctions or densities of states: GPAW leaves wavefunctions.gpw, CP2K writes cubes with "
        "&MO_CUBES, VASP writes PARCHG with LPARD=.TRUE. and LSEPB=.TRUE."
    )


def write_densities(folder: Path | str, report: LevelReport, out: Path | str) -> list[Path]:
    """`level_densities`, one file each: ``<model>_level<number>.density.json``.

    Raises
    ------
    InputError
        As `level_densities`.
    """
    return [
        found.write(Path(out) / f"{file_name(found.model, 'model')}_level{found.level}{SUFFIX}")
        for found in level_densities(folder, report)
    ]


def bands_of(level: Level, spin_channels: int, spinor: bool) -> list[tuple[int, int]]:
    """The states of a level as (spin channel, band), both from 0."""
    first = level.band_index - 1
    if spinor:
        return [(0, first + i) for i in range(level.degeneracy)]
    channels = {"up": [0], "down": [1]}.get(level.spin, [0, 1] if spin_channels == 2 else [0])
    each = level.degeneracy if level.spin in ("up", "down") else max(1, level.degeneracy // 2)
    return [(spin, first + i) for spin in channels for i in range(each)]


def named(report: LevelReport, index: int, source: str) -> dict[str, object]:
    """What every density of a level says of itself."""
    level = report.levels[index]
    return {
        "model": report.model,
        "label": report.label,
        "level": index,
        "name": f"level at {level.above_vbm_eV:.2f} eV above the VBM",
        "source": source,
    }


def _from_cubes(
    cubes: dict[tuple[int, int], Path], report: LevelReport, wanted: list[tuple[int, Level]]
) -> list[StateDensity]:
    from ase.io.cube import read_cube

    found = []
    for index, level in wanted:
        states = bands_of(level, 2 if report.spin_polarized else 1, report.spin_orbit)
        paths = [cubes[(band + 1, spin + 1)] for spin, band in states if (band + 1, spin + 1) in cubes]
        if not paths:
            continue
        density = np.zeros(())
        grid: dict[str, Any] = {}
        for path in paths:
            try:
                with path.open() as stream:
                    grid = read_cube(stream, verbose=False)
                values = np.asarray(grid["data"], dtype=float)
            except (ValueError, IndexError, KeyError) as error:
                raise InputError(f"{path} is no cube file that can be read ({error}).") from None
            density = density + values**2
        vectors = np.asarray(grid["spacing"]) * np.array(np.shape(density))[:, None]
        source = f"orbital{'s' if len(paths) > 1 else ''} of {', '.join(path.name for path in paths)}, pseudo"
        found.append(
            StateDensity.of(
                density,
                vectors,
                np.asarray(grid["origin"])[:3],
                periodic=bool(np.any(grid["atoms"].pbc)) and not report.model.endswith("embedded"),
                **named(report, index, source),  # type: ignore[arg-type]
            )
        )
    return found


def _from_parchg(paths: list[Path], report: LevelReport, wanted: list[tuple[int, Level]]) -> list[StateDensity]:
    by_band = {int(match[1]): path for path in paths if (match := _PARTIAL.search(path.name))}
    if not by_band and len(wanted) > 1:
        raise InputError(
            f"{paths[0]} is one density for {len(wanted)} levels; have VASP write one a band with LSEPB=.TRUE."
        )
    found = []
    for index, level in wanted:
        states = bands_of(level, 2 if report.spin_polarized else 1, report.spin_orbit)
        chosen = [by_band[band + 1] for _, band in states if band + 1 in by_band] if by_band else paths[:1]
        if not chosen:
            continue
        partial = [_parchg(path, level.spin) for path in dict.fromkeys(chosen)]
        lattice, density = partial[0][0], sum(values for _, values in partial)
        source = f"{', '.join(dict.fromkeys(path.name for path in chosen))}, pseudo density"
        found.append(StateDensity.of(density, lattice, **named(report, index, source)))  # type: ignore[arg-type]
    return found


def _parchg(path: Path, spin: str) -> tuple[np.ndarray, np.ndarray]:
    from pymatgen.io.vasp.outputs import VolumetricData

    try:
        poscar, data, _ = VolumetricData.parse_file(str(path))
        total = np.asarray(data["total"], dtype=float)
        difference = np.asarray(data.get("diff", total * 0.0), dtype=float)
    except Exception as error:  # whatever pymatgen says to a file that is none
        raise InputError(f"{path} is no PARCHG that can be read ({type(error).__name__}: {error}).") from None
    sign = {"up": 1.0, "down": -1.0}.get(spin, 0.0) if "diff" in data else 0.0
    return np.array(poscar.structure.lattice.matrix), total + sign * difference
