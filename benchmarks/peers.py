"""The same defect cells through midgap, pydefect, doped and pymatgen-analysis-defects.

    python benchmarks/peers.py --gan FOLDER [--environment DIR] [--out benchmarks/results]

FOLDER holds ``bulk_sc`` and Mg_Ga in GaN in the charges ``q=1``, ``q=0``, ``q=-1``, ``q=-2`` (the test data of
pymatgen-analysis-defects). The bromine vacancy of Cs4PbBr6 comes from ``examples``. The peers get an environment
of their own, made on first use; each is used with its defaults. The pristine cells go through as well, as if they
held a defect. Writes ``peers.json``, prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.band_edges import band_edges
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.levels import identify_levels
from midgap.defects.parsers import read_folder

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples" / "Cs4PbBr6"
PACKAGES = ("pydefect", "doped", "pymatgen-analysis-defects")
GAN = {"bulk_sc": 0, "q=1": 1, "q=0": 0, "q=-1": -1, "q=-2": -2}
CS4PBBR6 = ("pristine", "V_Br0", "V_Br+")


def environment(folder: Path) -> Path:
    """The Python of the peers' environment; made if there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def cases(gan: Path, scratch: Path) -> list[dict[str, Any]]:
    """What is asked: a defect cell and its pristine reference."""
    asked: list[dict[str, Any]] = [
        {
            "name": f"GaN {name}",
            "kind": "vasp",
            "source": str(gan / name),
            "reference": str(gan / "bulk_sc"),
            "charge": charge,
        }
        for name, charge in GAN.items()
    ]
    for name in CS4PBBR6:
        _write_arrays(read_folder(EXAMPLES / name).electronic_structure, scratch / f"{name}.npz")
    for name in CS4PBBR6:
        asked.append(
            {
                "name": f"Cs4PbBr6 {name}",
                "kind": "arrays",
                "source": str(scratch / f"{name}.npz"),
                "reference": str(scratch / "pristine.npz"),
                "charge": read_folder(EXAMPLES / name).electronic_structure.charge,
            }
        )
    return asked


def _write_arrays(structure: ElectronicStructure, path: Path) -> None:
    edges = band_edges(structure)
    geometry: Any = structure.structure
    np.savez(
        path,
        eigenvalues=structure.eigenvalues_eV,
        occupations=structure.occupations,
        weights=structure.site_weights,
        kpoints=structure.kpoints_frac,
        k_weights=structure.k_weights,
        efermi=(edges.vbm_eV + edges.cbm_eV) / 2,
        lattice=geometry.lattice.matrix,
        frac=geometry.frac_coords,
        species=[site.specie.symbol for site in geometry],
    )


def ours(gan: Path) -> dict[str, dict[str, Any]]:
    """midgap on the same cells, with its defaults."""
    folders = {f"GaN {name}": (gan / name, gan / "bulk_sc") for name in GAN}
    folders |= {f"Cs4PbBr6 {name}": (EXAMPLES / name, EXAMPLES / "pristine") for name in CS4PBBR6}
    found = {}
    for name, (folder, reference) in folders.items():
        calculation = read_folder(folder)
        report = identify_levels(
            calculation.electronic_structure, read_folder(reference).electronic_structure, calculation.vacancy
        )
        found[name] = {
            "vbm_eV": round(report.vbm_eV or 0.0, 3),
            "cbm_eV": round(report.cbm_eV or 0.0, 3),
            "levels": [
                {
                    "kind": level.kind,
                    "spin": level.spin,
                    "band": level.band_index,
                    "energy_eV": round(level.energy_eV, 3),
                    "above_vbm_eV": round(level.above_vbm_eV, 3),
                    "electrons": round(level.occupation, 2),
                    "states": level.degeneracy,
                    "weight": _rounded(level.localization.defect_weight),
                    "host_weight": _rounded(level.localization.baseline_weight),
                }
                for level in report.levels
            ],
        }
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def table(mine: dict[str, dict[str, Any]], peers: dict[str, Any]) -> str:
    """Markdown: one row a cell, what each tool finds in it."""
    rows = ["| cell | midgap | pydefect | doped | pymatgen-analysis-defects |", "|---|---|---|---|---|"]
    for result in peers["results"]:
        name = result["case"]
        cells = [_levels_of_midgap(mine[name])]
        cells += [_levels_of_peer(result[peer]) for peer in PACKAGES]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _levels_of_midgap(found: dict[str, Any]) -> str:
    words = [
        f"{level['kind']} {level['energy_eV']:.2f} ({level['electrons']:g}/{level['states']} e, {level['weight']} at the defect, "
        f"host {level['host_weight']})"
        for level in found["levels"]
    ]
    return f"host {found['vbm_eV']:.2f} to {found['cbm_eV']:.2f}; " + ("; ".join(words) or "no level")


def _levels_of_peer(found: dict[str, Any]) -> str:
    if "failed" in found:
        return f"– ({found['failed']})"
    words = [f"{level['energy_eV']:.2f} {level['spin']} ({level['occupation']:g} e)" for level in found["levels"]]
    shallow = {True: "; called shallow", False: "; not called shallow", None: ""}[found.get("shallow")]
    return ("; ".join(words) or "no level") + shallow


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gan", type=Path, required=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    options.add_argument("--environment", type=Path, default=cache / "midgap" / "peers")
    options.add_argument("--out", type=Path, default=HERE / "results")
    given = options.parse_args()
    python = environment(given.environment)
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch) / "cases.json"
        asked.write_text(json.dumps(cases(given.gan.resolve(), Path(scratch))))
        ran = subprocess.run(
            [python, HERE / "peers_inside.py", asked],
            capture_output=True,
            text=True,
            cwd=scratch,
            env=os.environ | {"MPLBACKEND": "Agg"},
        )
    if ran.returncode:
        sys.exit(f"the peers failed:\n{ran.stderr[-3000:]}")
    peers = json.loads(ran.stdout.splitlines()[-1])
    mine = ours(given.gan)
    given.out.mkdir(parents=True, exist_ok=True)
    whole = {"versions": peers["versions"], "midgap": mine, "peers": peers["results"]}
    (given.out / "peers.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    print(table(mine, peers))


if __name__ == "__main__":
    main()
