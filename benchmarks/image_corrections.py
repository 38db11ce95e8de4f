"""A charged vacancy in cells of several sizes: how far apart its formation energies are, before and after correction.

    python benchmarks/image_corrections.py [--folder DIR] [--largest ATOMS]

V_H⁺ of LiH, atoms where the crystal has them, PBE with CP2K: the electrons alone screen, so the dielectric constant is
ε∞, 3.66, of the same program and functional by electric fields (measured: 3.61). The energy of H⁻'s reservoir is the same
in all cells and left out, and the electron is put back at the VBM of each cell's own crystal, so that only differences
between sizes mean something. Corrections know nothing of another size. What is finished in DIR is not computed again.
Writes ``results/image_corrections.json`` and ``image_corrections.md``.

Expected time: about 10 minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from midgap.defects.band_edges import band_edges
from midgap.defects.corrections import extended_fnv, image_correction, relaxed
from midgap.structures.build import periodic_models
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.execution import run

HERE = Path(__file__).resolve().parent
LATTICE_ANG = 4.083
EPSILON = 3.66
CELLS = (("conventional", 2), ("primitive", 4), ("conventional", 3))
"""Multiples of a cell at Γ; in the first two it folds onto X, where LiH has its VBM."""


def cell(kind: str, times: int, folder: Path) -> dict[str, Any]:
    """The vacancy in one cell, in eV."""
    conventional = Structure.from_spacegroup("Fm-3m", Lattice.cubic(LATTICE_ANG), ["Li", "H"], [[0] * 3, [0.5] * 3])
    matrix = ((times, 0, 0), (0, times, 0), (0, 0, times))
    unit = conventional if kind == "conventional" else conventional.get_primitive_structure()
    models = periodic_models(unit, matrix, "LiH", "H", (1,), {})
    theory = LevelOfTheory.named("pbe")
    host, charged = (
        run(
            Calculation(model=model, theory=theory, empty_bands=4, engine_settings={"eps_scf": 1e-6}),
            "cp2k",
            folder / model.name,
        )
        for model in models
    )
    pristine, vacancy = host.electronic_structure, charged.electronic_structure
    assert pristine is not None and vacancy is not None
    assert models[1].vacancy is not None
    found = extended_fnv(vacancy, pristine, models[1].vacancy.position_ang, EPSILON)
    raw = charged.total_energy_eV - host.total_energy_eV + band_edges(pristine).vbm_eV
    images = image_correction(np.asarray(models[0].structure.lattice.matrix), relaxed(1, EPSILON)).image_term_eV  # type: ignore[union-attr]
    return {
        "atoms": len(models[0].structure),
        "uncorrected_eV": raw,
        "images_eV": images,
        "alignment_eV": found.alignment_term_eV,
        "uncertainty_eV": found.uncertainty_eV,
        "engine": f"CP2K {host.provenance.engine_version}",
    }


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown; energies relative to the largest cell's corrected one."""
    zero = rows[-1]["uncorrected_eV"] + rows[-1]["images_eV"] + rows[-1]["alignment_eV"]
    lines = [
        "# V_H⁺ of LiH in cells of several sizes",
        "",
        "eV, relative to the corrected energy in the largest cell.",
        "",
        "| atoms | as computed | with images | with images and alignment | ± of the alignment |",
        "|---|---|---|---|---|",
    ]
    columns: list[list[float]] = []
    for row in rows:
        raw = row["uncorrected_eV"] - zero
        steps = [raw, raw + row["images_eV"], raw + row["images_eV"] + row["alignment_eV"]]
        columns.append(steps)
        cells = " | ".join(f"{one:+.3f}" for one in steps)
        lines.append(f"| {row['atoms']} | {cells} | {row['uncertainty_eV'] or 0:.3f} |")
    spread = np.ptp(np.array(columns), axis=0)
    lines.append("| spread | " + " | ".join(f"{one:.3f}" for one in spread) + " | |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compute, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--folder", type=Path, default=Path("image_corrections"))
    parser.add_argument("--largest", type=int, default=128, help="atoms")
    asked = parser.parse_args()
    rows = []
    for kind, times in CELLS:
        atoms = times**3 * (8 if kind == "conventional" else 2)
        if atoms <= asked.largest:
            rows.append(cell(kind, times, asked.folder / str(atoms)))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    found = {"machine": platform.processor() or platform.machine(), "epsilon": EPSILON, "cells": rows}
    (results / "image_corrections.json").write_text(json.dumps(found, indent=1) + "\n")
    (results / "image_corrections.md").write_text(table(rows))
    print(table(rows), f"CPU of this run: {used.ru_utime + used.ru_stime:.0f} s")


if __name__ == "__main__":
    main()
