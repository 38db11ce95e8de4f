"""What building, reading and level finding cost by the size of the cell, from 22 to 10,000 atoms.

    python benchmarks/size.py [--atoms 22 66 ...] [--out benchmarks/results]

Real supercells of Cs4PbBr6 and its bromine vacancy; eigenvalues and site weights are made up, 400 states round the gap,
one of them at the vacancy, and go through the code that real ones go through. CPU time of one process, the best of
three where it is short; ``exponent`` is the slope of time against atoms between the two largest cells. Writes
``size.json`` and ``size.md``.

Expected time: 4 minutes of one core, 3 GB.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.levels import identify_levels
from midgap.structures.build import periodic_models
from midgap.structures.crystals import load_crystal, primitive
from midgap.structures.export import export_models
from midgap.structures.model import Model
from midgap.structures.supercells import most_isotropic
from midgap.structures.theory import LevelOfTheory

HERE = Path(__file__).resolve().parent
REPEATS = {
    22: (1, 1, 1),
    66: (3, 1, 1),
    176: (2, 2, 2),
    594: (3, 3, 3),
    1408: (4, 4, 4),
    4752: (6, 6, 6),
    9856: (7, 8, 8),
}
STATES = 400
LEVEL_eV = 2.0


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and what came out."""
    best, spent, result = math.inf, 0.0, None
    for _ in range(3):
        begun = time.process_time()
        result = work()
        took = time.process_time() - begun
        best, spent = min(best, took), spent + took
        if spent > 2.0:
            break
    return best, result


def made_up(model: Model, rng: np.random.Generator) -> ElectronicStructure:
    """Flat bands spread over all sites; in the vacancy one more state, empty, on the lead atoms beside it."""
    sites = len(model.structure)
    half = STATES // 2
    energies = np.concatenate([np.linspace(-1.5, 0.0, half), np.linspace(4.0, 5.5, half)])
    weights = rng.uniform(0.5, 1.0, (STATES, sites)) / sites
    if model.vacancy is not None:
        energies[half] = LEVEL_eV
        distances = model.structure.lattice.get_all_distances(
            model.structure.lattice.get_fractional_coords(model.vacancy.position_ang), model.structure.frac_coords
        )[0]
        weights[half] = 1e-4 / sites
        weights[half, np.argmin(distances)] = 0.8
    order = np.argsort(energies)
    return ElectronicStructure(
        structure=model.structure,
        theory=LevelOfTheory.named("pbe+soc"),
        provenance=Provenance(engine="synthetic"),
        charge=model.charge,
        spinor=True,
        kpoints_frac=np.zeros((1, 3)),
        k_weights=np.ones(1),
        eigenvalues_eV=energies[order][None, None],
        occupations=(np.arange(STATES) < half)[None, None].astype(float),
        site_weights=weights[order][None, None],
        n_electrons=half + 2 * sites,
        first_band=2 * sites,
        site_potentials_eV=np.array([-10.0 * site.specie.Z for site in model.structure]) / 10,
    )


def measure(repeats: tuple[int, int, int], folder: Path) -> dict[str, Any]:
    """CPU seconds of each step for one size."""
    structure, provenance = load_crystal("Cs4PbBr6")
    cell = primitive(structure)
    matrix: Any = tuple(tuple(int(x) for x in row) for row in np.diag(repeats))
    steps: dict[str, float] = {}
    steps["build"], models = timed(lambda: periodic_models(cell, matrix, "Cs4PbBr6", "Br", (1,), provenance))
    pristine, vacancy = models[:2]
    atoms = len(pristine.structure)
    steps["write CIF, POSCAR, JSON"], _ = timed(lambda: export_models([vacancy], folder))
    if atoms <= 600:
        steps["search of the most isotropic cell"], _ = timed(lambda: most_isotropic(cell, atoms))
    rng = np.random.default_rng(1)
    reference, defect = made_up(pristine, rng), made_up(vacancy, rng)
    path = folder / "states.json"
    steps["write states"], _ = timed(lambda: defect.write(path))
    size_MB = path.stat().st_size / 1e6
    steps["read states"], defect_read = timed(lambda: ElectronicStructure.read(path))

    def identify() -> Any:
        # Fresh objects, for what is kept with them would be found again.
        fresh = [one.model_copy() for one in (defect_read, reference)]
        for one in fresh:
            one.__dict__.pop("_normalised_weights", None)
        return identify_levels(fresh[0], fresh[1], vacancy.vacancy)

    steps["identify"], report = timed(identify)
    (level,) = [level for level in report.levels if level.kind == "deep"]
    assert abs(level.above_vbm_eV - LEVEL_eV) < 0.01, level
    peak_MB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "atoms": atoms,
        "states_MB": round(size_MB, 1),
        "cpu_s": {name: round(value, 3) for name, value in steps.items()},
        "peak_MB_so_far": round(peak_MB),
    }


def exponents(found: list[dict[str, Any]]) -> dict[str, float]:
    """Slope of log time against log atoms between the two largest cells that have a step."""
    slopes = {}
    for name in found[0]["cpu_s"]:
        have = [one for one in found if one["cpu_s"].get(name, 0.0) > 0.0]
        if len(have) > 1:
            (small, large) = have[-2:]
            ratio = large["cpu_s"][name] / small["cpu_s"][name]
            slopes[name] = round(math.log(ratio) / math.log(large["atoms"] / small["atoms"]), 2)
    return slopes


def table(found: list[dict[str, Any]], slopes: dict[str, float]) -> str:
    names = list(found[0]["cpu_s"])
    lines = [f"| atoms | {' | '.join(f'{name}, s' for name in names)} | peak, MB |", "|---" * (len(names) + 2) + "|"]
    for one in found:
        cells = [f"{one['cpu_s'][name]:.3f}" if name in one["cpu_s"] else "" for name in names]
        lines.append(f"| {one['atoms']} | {' | '.join(cells)} | {one['peak_MB_so_far']} |")
    lines.append(f"| exponent | {' | '.join(str(slopes.get(name, '')) for name in names)} | |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, nargs="+", choices=list(REPEATS), default=list(REPEATS))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for atoms in asked.atoms:
            found.append(measure(REPEATS[atoms], Path(folder)))
            print(json.dumps(found[-1]), flush=True)
    slopes = exponents(found)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "size.json").write_text(json.dumps({"cells": found, "exponents": slopes}, indent=1) + "\n")
    (asked.out / "size.md").write_text(table(found, slopes))
    print(table(found, slopes))


if __name__ == "__main__":
    main()
