"""What pydefect, doped and pymatgen-analysis-defects find; run by `peers.py` in an environment that has them.

    PYTHON benchmarks/peers_inside.py CASES.JSON

Each is used with its defaults. pydefect and pymatgen-analysis-defects ask for a PROCAR; where there is none they
are given the projections of vasprun.xml in its place, as doped does it. Results that are no VASP folder are
given as arrays: eigenvalues, occupations, and one orbital a site.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure
from pymatgen.electronic_structure.core import Spin


def of_vasp(folder: str) -> SimpleNamespace:
    from pymatgen.io.vasp import Vasprun

    run = Vasprun(Path(folder) / "vasprun.xml.gz", parse_projected_eigen=True, parse_potcar_file=False)
    projections = run.projected_eigenvalues
    return SimpleNamespace(
        folder=folder,
        projections=projections,
        eigenvalues=run.eigenvalues,
        actual_kpoints=run.actual_kpoints,
        actual_kpoints_weights=run.actual_kpoints_weights,
        efermi=run.efermi,
        final_structure=run.final_structure,
        vasprun=run,
    )


def of_arrays(path: str) -> SimpleNamespace:
    data = np.load(path)
    spins = [Spin.up, Spin.down][: len(data["eigenvalues"])]
    structure = Structure(Lattice(data["lattice"]), [str(s) for s in data["species"]], data["frac"])
    return SimpleNamespace(
        folder="",
        projections={s: data["weights"][i][..., None] for i, s in enumerate(spins)},
        eigenvalues={
            s: np.stack([data["eigenvalues"][i], data["occupations"][i]], axis=-1) for i, s in enumerate(spins)
        },
        actual_kpoints=data["kpoints"].tolist(),
        actual_kpoints_weights=data["k_weights"].tolist(),
        efermi=float(data["efermi"]),
        final_structure=structure,
        vasprun=None,
    )


def _edges_by_occupation(run: SimpleNamespace) -> tuple[Any, Any]:
    """Where the highest filled and the lowest empty state of the pristine crystal are: (k-point, band)."""
    table = run.eigenvalues[Spin.up]
    filled = table[..., 1] > 0.5
    below, above = np.where(filled, table[..., 0], -np.inf), np.where(filled, np.inf, table[..., 0])
    return np.unravel_index(below.argmax(), below.shape), np.unravel_index(above.argmin(), above.shape)


def _found(states: Any) -> dict[str, Any]:
    """pydefect's BandEdgeStates in the words of the table."""
    levels, said = [], []
    for spin, state in zip(("up", "down"), states.states, strict=False):
        for orbital in state.localized_orbitals:
            levels.append(
                {
                    "spin": spin,
                    "band": orbital.band_idx + 1,
                    "energy_eV": round(float(orbital.ave_energy), 3),
                    "occupation": round(float(orbital.occupation), 2),
                }
            )
        said.append(
            f"{spin}: VBM band {state.vbm_info.band_idx + 1} at {state.vbm_info.energy:.3f} eV with "
            f"{state.vbm_hole_occupation:.2f} holes, CBM band {state.cbm_info.band_idx + 1} at {state.cbm_info.energy:.3f} eV "
            f"with {state.cbm_electron_occupation:.2f} electrons"
        )
    return {"levels": levels, "shallow": bool(states.is_shallow), "says": "; ".join(said)}


def pydefect(run: SimpleNamespace, bulk: SimpleNamespace) -> dict[str, Any]:
    from pydefect.analyzer.band_edge_states import PerfectBandEdgeState
    from pydefect.analyzer.make_band_edge_states import make_band_edge_states
    from pydefect.cli.vasp.make_band_edge_orbital_infos import make_band_edge_orbital_infos
    from pydefect.cli.vasp.make_perfect_band_edge_state import get_edge_info

    edges = []
    for k, band in _edges_by_occupation(bulk):
        where = SimpleNamespace(kpoint_index=int(k), band_index=int(band), kpoint_coords=bulk.actual_kpoints[int(k)])
        edges.append(get_edge_info(where, bulk.projections, bulk.final_structure, bulk))
    perfect = PerfectBandEdgeState(*edges)
    infos = make_band_edge_orbital_infos(
        SimpleNamespace(data=run.projections), run, perfect.vbm_info.energy, perfect.cbm_info.energy
    )
    return _found(make_band_edge_states(infos, perfect))


def doped(run: SimpleNamespace, bulk: SimpleNamespace, charge: int) -> dict[str, Any]:
    if not run.folder:
        return {"failed": "reads VASP folders only"}
    from doped.analysis import DefectParser

    parser = DefectParser.from_paths(
        defect_path=run.folder,
        bulk_path=bulk.folder,
        charge_state=charge,
        skip_corrections=True,
        parse_projected_eigen=True,
    )
    return _found(parser.defect_entry.get_eigenvalue_analysis(plot=False))


def pymatgen_analysis_defects(run: SimpleNamespace) -> dict[str, Any]:
    from pymatgen.analysis.defects.utils import get_localized_states

    bands = {spin: table[..., 0].T for spin, table in run.eigenvalues.items()}
    structure = SimpleNamespace(
        bands=bands, efermi=run.efermi, kpoints=run.actual_kpoints, nb_bands=len(next(iter(bands.values())))
    )
    levels = []
    for band, k, spin, ratio in get_localized_states(structure, SimpleNamespace(data=run.projections)):
        energy, occupation = run.eigenvalues[[Spin.up, Spin.down][spin]][k, band]
        levels.append(
            {
                "spin": ("up", "down")[spin],
                "band": band + 1,
                "energy_eV": round(float(energy), 3),
                "occupation": round(float(occupation), 2),
                "participation": round(float(ratio), 1),
            }
        )
    return {"levels": levels, "says": "the most localised state of seven on either side of the Fermi level"}


def attempt(work: Any, *arguments: Any) -> dict[str, Any]:
    try:
        return work(*arguments)
    except Exception as error:  # a peer's failure is a finding
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}


def main() -> None:
    warnings.simplefilter("ignore")
    results = []
    for case in json.loads(Path(sys.argv[1]).read_text()):
        load = of_vasp if case["kind"] == "vasp" else of_arrays
        bulk, run = load(case["reference"]), load(case["source"])
        results.append(
            {
                "case": case["name"],
                "pydefect": attempt(pydefect, run, bulk),
                "doped": attempt(doped, run, bulk, case["charge"]),
                "pymatgen-analysis-defects": attempt(pymatgen_analysis_defects, run),
            }
        )
    names = ("pydefect", "doped", "pymatgen-analysis-defects", "pymatgen", "vise")
    print(json.dumps({"versions": {name: version(name) for name in names}, "results": results}))


if __name__ == "__main__":
    main()
