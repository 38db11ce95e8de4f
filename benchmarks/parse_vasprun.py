"""Reading VASP's output: midgap against pymatgen and py4vasp, time and peak memory, each in a process of its own.

    python benchmarks/parse_vasprun.py VASPRUN.XML.GZ... [--megabytes 500] [--py4vasp PYTHON]

Each vasprun.xml is read as it is and enlarged: its k-points are repeated until the XML has the size asked,
counted on as VASP would. pymatgen is asked for its projections, without which no state can be located.
py4vasp reads vaspout.h5 only: with ``--py4vasp`` (a Python that has it) the same numbers are read from there.
Prints a JSON object; both readers must find the same numbers, or it stops.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

READERS = {
    "midgap": """
from midgap.defects.parsers.vasp import read_vasp
def read(path):
    found = read_vasp(path.parent)
    return found.eigenvalues_eV.shape, found.site_weights.sum()
""",
    "pymatgen": """
from pymatgen.io.vasp import Vasprun
def read(path):
    found = Vasprun(path, parse_projected_eigen=True, parse_potcar_file=False)
    bands = list(found.eigenvalues.values())
    return (len(bands), *bands[0].shape[:2]), sum(p.sum() for p in found.projected_eigenvalues.values())
""",
    "py4vasp": """
import py4vasp
def read(path):
    band = py4vasp.Calculation.from_path(path.parent).band
    symbols = py4vasp.Calculation.from_path(path.parent).structure.to_dict()["elements"]
    found = band.to_dict(selection=", ".join(str(i + 1) for i in range(len(symbols))))
    names = [name for name in found if name in ("bands", "bands_up", "bands_down")]
    weights = [value for name, value in found.items() if name.split("_")[0] in symbols or name[:2].strip("_") in symbols]
    return (len(names), *found[names[0]].shape), sum(w.sum() for w in weights)
""",
}
MEASURE = """
import json, re, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
def peak_MB():  # ru_maxrss would carry over what the process that started this one had used
    return round(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
at_start = peak_MB()
start, cpu = time.perf_counter(), time.process_time()
shape, total = read(Path(sys.argv[1]))
print(json.dumps({"time_s": round(time.perf_counter() - start, 3), "cpu_s": round(time.process_time() - cpu, 3), "imports_MB": at_start, "peak_MB": peak_MB(),
                  "states": [int(n) for n in shape], "sum_of_weights": float(total)}))
"""


def enlarge(source: Path, target: Path, megabytes: float) -> int:
    """Write ``source`` with every k-point ``times`` over, so that it has about ``megabytes``; returns ``times``."""
    rows = sum(map(len, _k_rows(source)))
    size = sum(len(line) for line in _lines(source))
    times = max(1, round((megabytes * 1e6 - size) / rows + 1))
    with target.open("w", encoding="latin-1") as out:
        _write(source, out, times)
    return times


def _lines(source: Path) -> Iterator[str]:
    opened = gzip.open(source, "rt", encoding="latin-1") if source.suffix == ".gz" else source.open(encoding="latin-1")  # noqa: SIM115
    with opened as stream:
        yield from stream


def _k_rows(source: Path) -> Iterator[str]:
    """The lines of the sets that are listed for each k-point."""
    indent = None
    for line in _lines(source):
        if '<set comment="kpoint' in line:
            indent = line[: line.index("<")]
        if indent is not None:
            yield line
            if line.startswith(f"{indent}</set>"):
                indent = None


def _write(source: Path, out: TextIO, times: int) -> None:
    sets: list[str] = []
    indent, array = None, ""
    for line in _lines(source):
        if found := re.search(r'<varray name="(kpointlist|weights)"', line):
            array = found[1]
        if '<set comment="kpoint' in line:
            indent = line[: line.index("<")]
        if indent is not None or (array and "<v>" in line):
            if array == "weights":
                line = re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]) / times:.8f}", line)
            sets.append(line)
            if indent is not None and line.startswith(f"{indent}</set>"):
                indent = None
            continue
        if sets:
            _repeat("".join(sets), out, times)
            sets, array = [], ""
        out.write(line)


def _repeat(text: str, out: TextIO, times: int) -> None:
    parts = re.split(r'(?<=comment="kpoint )\s*\d+(?=">)', text)
    number = 0
    for _ in range(times):
        out.write(parts[0])
        for part in parts[1:]:
            number += 1
            out.write(f"{number}{part}")


def write_vaspout(vasprun: Path, target: Path) -> None:
    """The states of a vasprun.xml in the layout of vaspout.h5, each site's weight in the first of nine orbitals."""
    import h5py
    import numpy as np

    from midgap.defects.parsers.vasprun import read_vasprun

    run = read_vasprun(vasprun)
    assert run.eigenvalues_eV is not None and run.site_weights is not None and run.lattice_ang is not None
    kinds = list(dict.fromkeys(run.species))
    projections = np.zeros((*run.site_weights.shape[:1], len(run.species), 9, *run.eigenvalues_eV.shape[1:]))
    projections[:, :, 0] = run.site_weights.transpose(0, 3, 1, 2)
    contents: dict[str, Any] = {
        "version/major": 6,
        "version/minor": 4,
        "version/patch": 2,
        "input/incar/SYSTEM": b"enlarged",
        "input/incar/GGA": b"PE",
        "input/kpoints/mode": b"e",
        "input/kpoints/number_kpoints": len(run.k_weights),  # type: ignore[arg-type]
        "results/positions/ion_types": np.array([kind.encode() for kind in kinds]),
        "results/positions/number_ion_types": [run.species.count(kind) for kind in kinds],
        "intermediate/ion_dynamics/scale": 1.0,
        "intermediate/ion_dynamics/lattice_vectors": run.lattice_ang[None],
        "intermediate/ion_dynamics/position_ions": run.positions_frac[None],  # type: ignore[index]
        "results/electron_dos/efermi": 0.0,
        "results/electron_eigenvalues/eigenvalues": run.eigenvalues_eV,
        "results/electron_eigenvalues/fermiweights": run.occupations,
        "results/electron_eigenvalues/kpoint_coords": run.kpoints_frac,
        "results/electron_eigenvalues/kpoints_symmetry_weight": run.k_weights,
        "results/electron_eigenvalues/nelectrons": run.number("NELECT"),
        "results/projectors/lchar": np.array([b"s ", b"py", b"pz", b"px", b"dxy", b"dyz", b"dz2", b"dxz", b"x2-y2"]),
        "results/projectors/par": projections,
    }
    with h5py.File(target, "w") as file:
        for name, value in contents.items():
            file[name] = value


def measure(reader: str, path: Path, python: str = sys.executable) -> dict[str, Any]:
    """Read ``path`` in a process of its own."""
    ran = subprocess.run([python, "-c", READERS[reader] + MEASURE, str(path)], capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{reader} failed on {path}:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def compare(path: Path, other: str, python: str = sys.executable) -> dict[str, Any]:
    """midgap and another reader on one file, and how many times more the other takes."""
    ours, theirs = measure("midgap", path), measure(other, path, python)
    if ours["states"] != theirs["states"] or abs(ours["sum_of_weights"] / theirs["sum_of_weights"] - 1) > 1e-5:
        sys.exit(f"midgap and {other} read different numbers from {path}: {ours}, {theirs}")
    return {
        "file_MB": round(path.stat().st_size / 1e6, 1),
        "midgap": ours,
        other: theirs,
        "times_faster": round(theirs["time_s"] / ours["time_s"], 1),
        "times_less_cpu": round(theirs["cpu_s"] / ours["cpu_s"], 1),
        "peak_memory_of_theirs": round(ours["peak_MB"] / theirs["peak_MB"], 3),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("vasprun", type=Path, nargs="+")
    options.add_argument("--megabytes", type=float, default=500.0)
    options.add_argument("--py4vasp", metavar="PYTHON", help="a Python that has py4vasp")
    options.add_argument("--out", type=Path, help="also write the JSON there")
    given = options.parse_args()
    results: dict[str, Any] = {}
    for source in given.vasprun:
        name = source.parent.name
        with tempfile.TemporaryDirectory() as folder:
            large = Path(folder) / "vasprun.xml"
            results[f"{name}, as it is"] = compare(source, "pymatgen")
            times = enlarge(source, large, given.megabytes)
            results[f"{name}, k-points × {times}"] = compare(large, "pymatgen")
            if given.py4vasp:
                alone = Path(folder) / "h5" / "vaspout.h5"
                alone.parent.mkdir()
                write_vaspout(large, alone)
                results[f"{name}, k-points × {times}, vaspout.h5"] = compare(alone, "py4vasp", given.py4vasp)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
