"""The whole flow on other materials, with nothing changed but the input.

    python benchmarks/generality.py [--only NAME ...] [--cores 1] [--folder DIR]

A chloride made from the bromide by substitution, a 3D perovskite, and an oxide from a CIF, this one with both open
crystal engines: build, compute, levels, comparison with measured luminescence, page; all by the command line. Small
unrelaxed cells at Γ: the numbers show that the machinery works, they are no predictions. Writes
``results/generality.json`` and ``generality.md``, with versions and CPU times; what is not asked for keeps its rows.

Expected time: about 30 minutes of one core, of which CP2K takes 25.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MIDGAP = [sys.executable, "-m", "midgap.cli.main"]

MGO = """data_MgO
_cell_length_a 4.2112
_cell_length_b 4.2112
_cell_length_c 4.2112
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Mg1 Mg 0 0 0
O1 O 0.5 0.5 0.5
"""

F_CENTRES = {
    "schema": "midgap.Records",
    "schema_version": 1,
    "material": "MgO",
    "source": {"reference": "Kappers, Kroes and Hensley, Phys. Rev. B 1, 4151 (1970)"},
    "records": [
        {"sample_id": "F+ centre of MgO", "kind": "ensemble", "pl_peak_eV": 3.13},
        {"sample_id": "F centre of MgO", "kind": "ensemble", "pl_peak_eV": 2.4},
    ],
}

OXIDE = ["--material", "MgO.cif", "--species", "O", "--max-atoms", "16", "--charges=0,1,2", "--theory", "pbe"]
CASES: dict[str, list[str]] = {
    "Cs4PbCl6": ["--material", "Cs4PbCl6/pristine_22.cif"],
    "CsPbBr3": ["--material", "CsPbBr3"],
    "MgO, GPAW": [*OXIDE, "--records", "F_centres.json"],
    "MgO, CP2K": [*OXIDE, "--records", "F_centres.json", "--engine", "cp2k"],
}


def inputs(folder: Path) -> None:
    """What a user would bring: a CIF by hand, one by substitution, and measured luminescence."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MgO.cif").write_text(MGO)
    (folder / "F_centres.json").write_text(json.dumps(F_CENTRES))
    build = ["build", "--material", "Cs4PbBr6", "--substitute", "Br=Cl", "--no-clusters", "--out", "Cs4PbCl6"]
    subprocess.run([*MIDGAP, *build], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def run(name: str, words: list[str], folder: Path, cores: int) -> dict[str, Any]:
    """One material through the command line."""
    out = folder / "".join(letter if letter.isalnum() else "_" for letter in name)
    command = [*MIDGAP, "run", "--preset", "quick", *words, "--cores", str(cores), "--json", "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found: dict[str, Any] = {
        "name": name,
        "command": f"midgap run --preset quick {' '.join(words)}",
        "exit_code": done.returncode,
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
    }
    if done.returncode:
        return found
    said = json.loads(done.stdout)
    found["page_kB"] = round(Path(folder, said["page"]).stat().st_size / 1024) if said["page"] else None
    found["answer"] = said.get("answer")
    found["models"] = [shown(report) for report in said["reports"]]
    return found


def shown(report: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of a report."""
    provenance = report["provenance"]
    return {
        "model": report["label"],
        "engine": f"{provenance['engine']} {provenance['engine_version']}",
        "theory": report["theory"]["functional"] + ("+SOC" if report["theory"]["spin_orbit"] else ""),
        "gap_eV": report["gap_eV"],
        "levels": [[level["above_vbm_eV"], level["occupation"], level["kind"]] for level in report["levels"]],
        "alignment": report["alignment"]["method"],
        "alignment_uncertainty_eV": report["alignment"]["uncertainty_eV"],
        "warnings": len(report["warnings"]),
    }


def table(found: list[dict[str, Any]]) -> str:
    """Markdown, one row a model."""
    lines = [
        "| run | model | engine | theory | gap, eV | levels above the VBM, eV (electrons, kind) | aligned by |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        for model in one.get("models", []):
            levels = "; ".join(f"{energy:.2f} ({held:.3g}, {kind})" for energy, held, kind in model["levels"])
            gap = "" if model["gap_eV"] is None else f"{model['gap_eV']:.2f}"
            cells = (one["name"], model["model"], model["engine"], model["theory"], gap, levels or "none")
            lines.append(f"| {' | '.join(cells)} | {model['alignment']} |")
    lines += ["", "| run | ended with | CPU, s | page, kB |", "|---|---|---|---|"]
    for one in found:
        page = one.get("page_kB") or "no records"
        lines.append(f"| {one['name']} | {one['exit_code']} | {one['cpu_s']} | {page} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="generality-"))).resolve()
    inputs(folder)
    asked.out.mkdir(parents=True, exist_ok=True)
    kept = asked.out / "generality.json"
    rows = {one["name"]: one for one in json.loads(kept.read_text())} if kept.exists() else {}
    for name in asked.only:
        rows[name] = run(name, CASES[name], folder, asked.cores)
        print(table([rows[name]]), flush=True)
        found = [rows[one] for one in CASES if one in rows]
        kept.write_text(json.dumps(found, indent=1) + "\n")
        (asked.out / "generality.md").write_text(table(found))
    sys.exit(any(rows[name]["exit_code"] for name in asked.only))


if __name__ == "__main__":
    main()
