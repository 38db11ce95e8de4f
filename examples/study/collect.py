"""Keep what a campaign found: python examples/study/collect.py OUT

Writes ``results/study.json`` (every calculation in numbers), ``results/levels.json`` for `midgap compare`, and, for what
`midgap formation`, `midgap emission` and `midgap levels` read, ``results/<folder>/result.json``, without wavefunctions
and without weights nobody needs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from couplings import couplings
from results import Cost, cost_of, finished, level, relaxation, report_of
from studies import write_studies

from midgap.defects.band_edges import band_edges
from midgap.defects.dielectric import DielectricResponse
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.emission import Screening
from midgap.defects.report import Levels
from midgap.defects.vibrations import Modes
from midgap.structures.document import read_json, write_atomic
from midgap.workflows.calculation import CalculationResult

HERE = Path(__file__).parent
RESULTS = HERE / "results"

RELAXATIONS = (
    *("relax_small", "relax_small_starts", "relax_large_host", "relax_large_q+1", "relax_large_q0", "relax_large_q-1"),
    "phases_relax",
)
LEVELS = ("levels_small", "levels_small_starts", "exchange_small", "mesh_small", "cutoff_small", "bands_small")
LARGE = ("levels_large_host", "levels_large_q+1", "levels_large_q0", "levels_large_q-1")
ENGINES = ("scalar_large", "cp2k_large", "clusters", "contrast")
ENDS = ("ends_large", "ends_large_0-")
POINTS = ("paths_small_0+", "paths_small_0-", *ENDS)
ENERGIES = ("phases",)

KEPT = {"levels_small": "small", **dict.fromkeys((*LARGE, *ENDS), "large")}
"""Stages whose results are kept whole enough for `midgap levels`, and where."""

DEEP_EV, HIGH_EV = 2.0, 1.5
"""Of a large cell, states so far below the highest filled and above the lowest empty one are kept."""


def main(out: Path, screening: Screening) -> None:
    """Read the stages that are there, and write the results folder."""
    found: dict[str, Any] = {"relaxations": [], "levels": [], "engines": [], "energies": [], "costs": {}}
    for stage in RELAXATIONS:
        found["relaxations"] += [relaxation(stage, r) for _, r in finished(out / stage) if r.task == "relax"]
    computed = [(stage, r) for stage in (*LEVELS, *LARGE, *ENGINES) for _, r in finished(out / stage)]
    statics = [(stage, r) for stage, r in computed if r.electronic_structure is not None]
    hosts = [r for _, r in statics if r.model.vacancy is None]
    kept = []
    for stage, result in statics:
        images, host = screening if result.model.periodic else None, _host(result, hosts)
        report = report_of(result, host)
        found["engines" if stage in ENGINES else "levels"].append(level(stage, result, host, report, images))
        if stage in KEPT:
            _keep(result, KEPT[stage])
            kept.append((report, result.model))
    for stage in (*ENERGIES, *POINTS):
        for _, result in finished(out / stage):
            found["energies"].append(energy(stage, result))
            if stage in POINTS:
                _keep(result, KEPT.get(stage, stage), bare=True)
    _finer(found["energies"], found["relaxations"])
    found["couplings"] = couplings(out / "coupling_small")
    stages = sorted(path.name for path in out.iterdir() if (path / "flow.json").exists())
    found["costs"] = {stage: _cost(cost_of(out / stage)) for stage in stages if not stage.startswith("old")}
    found["screening"] = screening.to_dict()
    RESULTS.mkdir(exist_ok=True)
    write_atomic(RESULTS / "study.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _keep_modes(out)
    write_studies(RESULTS, found, screening)
    reports, models = zip(*kept, strict=True)
    Levels(reports=reports, models=models).write(RESULTS / "levels.json")


def _keep_modes(out: Path) -> None:
    """Vibrations of the crystal, which its dielectric constants came with, and of V+."""
    for name, pattern in (
        ("crystal", "dielectric/jobs/vibrations_of-*"),
        ("V+", "modes_small_q+1/jobs/vibrations_of-*"),
    ):
        for path in out.glob(f"{pattern}/response.json"):
            modes = Modes.from_dict(read_json(path)["output"], source=str(path))
            write_atomic(
                RESULTS / f"modes_{name}.json", json.dumps(_rounded(modes.to_dict()), ensure_ascii=False) + "\n"
            )


def energy(stage: str, result: CalculationResult) -> dict[str, Any]:
    """The energy of one calculation, by its parts."""
    cell = result.electronic_structure
    assert cell is not None
    return {
        "stage": stage,
        "model": result.model.name,
        "material": result.model.material,
        "charge": cell.charge,
        "formula": cell.structure.composition.formula.replace(" ", ""),
        "atoms": len(cell.structure),
        "kpoints": list(cell.theory.kpoints),
        "gap_eV": _gap(cell),
        "energy_eV": cell.total_energy_eV,
        "energy_theory": cell.energy_theory,
        "terms_eV": {name: round(value, 5) for name, value in cell.energy_terms_eV.items()},
        "sources": {k: v for k, v in result.model.provenance.items() if k in ("lattice", "coordinates", "place")},
        "wall_s": None if result.provenance.wall_time_s is None else round(result.provenance.wall_time_s),
    }


def _finer(energies: list[dict[str, Any]], relaxations: Sequence[dict[str, Any]]) -> None:
    """Add what PBE gains by the denser mesh of a phase's relaxation, whose last geometry this is."""
    relaxed = {one["model"]: one for one in relaxations if one["stage"] == "phases_relax"}
    for one in energies:
        there = relaxed.get(one["model"])
        if one["stage"] == "phases" and there is not None:
            gain = there["energy_eV"] - one["terms_eV"]["PBE"]
            mesh = there["settings"]["k-points"].split(",")[0]
            if mesh != "×".join(map(str, one["kpoints"])):
                one["energy_eV"] += gain
                one["mesh_correction_eV"] = round(gain, 4)
                one["mesh_of_correction"] = mesh


def _gap(cell: ElectronicStructure) -> float | None:
    edges = band_edges(cell)
    return None if edges.gap_eV is None else round(edges.gap_eV, 4)


def _host(result: CalculationResult, hosts: Sequence[CalculationResult]) -> ElectronicStructure | None:
    """The crystal of the same size and theory."""
    for host in hosts:
        assert host.electronic_structure is not None and result.electronic_structure is not None
        same = host.electronic_structure.theory == result.electronic_structure.theory
        missing = 0 if result.model.vacancy is None else 1
        if same and len(host.model.structure) == len(result.model.structure) + missing:
            return host.electronic_structure
    return None


def _cost(cost: Cost) -> dict[str, float]:
    return {
        "calculations": cost.calculations,
        "wall_s": round(cost.wall_s),
        "peak_memory_MB": round(cost.peak_memory_MB),
    }


def _keep(result: CalculationResult, folder: str, *, bare: bool = False) -> None:
    """A copy small enough to be committed."""
    cell = result.electronic_structure
    assert cell is not None
    kept = cell.model_copy(update={"site_weights": None, "dipoles": None}) if bare else cell
    if bare or len(cell.structure) > 30:
        kept = _near_the_gap(kept)
    data = result.model_copy(update={"electronic_structure": kept}).to_dict()
    path = RESULTS / folder / result.model.name / "result.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(_rounded(data), ensure_ascii=False) + "\n")


def _near_the_gap(cell: ElectronicStructure) -> ElectronicStructure:
    """The same with the bands about the gap alone; those below are counted in ``first_band``."""
    values = cell.eigenvalues_eV
    filled = int(cell.filled(0))
    below = values[0, :, :].max(axis=0) > values[0, :, filled - 1].max() - DEEP_EV
    above = values[0, :, :].min(axis=0) < values[0, :, min(filled, values.shape[2] - 1)].min() + HIGH_EV
    keep = (below & above).nonzero()[0]
    first, last = int(keep[0]), int(keep[-1]) + 1
    dipoles = cell.dipoles
    if dipoles is not None:
        width = dipoles.squared_ang2.shape[2]
        low = max(0, first - dipoles.first_band)
        high = min(width, last - dipoles.first_band)
        dipoles = dipoles.model_copy(
            update={
                "first_band": dipoles.first_band + low - first,
                "squared_ang2": dipoles.squared_ang2[:, :, low:high, low:high],
                "mixed_ang2": None if dipoles.mixed_ang2 is None else dipoles.mixed_ang2[:, :, low:high, low:high],
            }
        )
    return cell.model_copy(
        update={
            "eigenvalues_eV": values[:, :, first:last],
            "occupations": cell.occupations[:, :, first:last],
            "site_weights": None if cell.site_weights is None else cell.site_weights[:, :, first:last],
            "first_band": cell.first_band + first,
            "dipoles": dipoles,
        }
    )


def _rounded(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return round(data, 6) if isinstance(data, float) else data


def read_screening(out: Path) -> Screening:
    """The dielectric constants that the campaign computed, or the estimate beside this file."""
    path = out / "dielectric" / "output.json"
    if path.exists():
        return DielectricResponse.read(path).screening()
    return Screening.read(HERE / "screening.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the campaign")
    asked = parser.parse_args()
    main(asked.out.resolve(), read_screening(asked.out))
