"""Every reader of foreign files, with small sound files to begin from: what the fuzzing and its regression tests share.

A reader is called with a folder; it gives a result, or says in one sentence what is wrong.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import vasp_files

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SEEDS = Path(__file__).parent / "fuzz_corpus" / "seeds"
"""Outputs of real engines, cut down to what is read."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A reader, by name: how to call it, and sound inputs for it."""

    read: Callable[[Path], object]
    seeds: Callable[[], list[Files]]


def kept(name: str) -> list[Files]:
    """Seeds that lie beside the tests, one folder each."""
    return [{path.name: path.read_bytes() for path in one.iterdir()} for one in sorted((SEEDS / name).iterdir())]


# --- electronic structures ---------------------------------------------------------------------


def electronic_structure(folder: Path) -> object:
    """Read as ``midgap levels`` does, find the levels, and write what it would print."""
    from midgap.defects.levels import identify_levels
    from midgap.defects.parsers import read_folder
    from midgap.structures.theory import LevelOfTheory

    found = read_folder(folder, LevelOfTheory.named("pbe"))
    printed(found.electronic_structure)
    report = identify_levels(found.electronic_structure, None, found.vacancy)
    printed(report)
    return report


def printed(document) -> None:
    """It can be written: no number in it that JSON has no word for."""
    json.dumps(document.to_dict(), allow_nan=False)


def _bands(spins: int = 1, n_k: int = 2, n_band: int = 6):
    energies = np.sort(np.random.default_rng(1).uniform(-5, 5, (spins, n_k, n_band)), axis=2)
    filled = np.broadcast_to(np.arange(n_band) < 4, energies.shape).astype(float)
    parts = np.random.default_rng(2).uniform(0, 0.4, (spins, n_k, n_band, 2, 3))
    return energies, filled, parts


OUTCAR = (
    " vasp.6.4.2 (build) complex\n executed on LinuxGNU date 2024.03.01  10:00:00\n"
    "   NELECT =      8.0000    total number of electrons\n"
    " average (electrostatic) potential at core\n  the test charge radii are     1.0714\n"
    "  (the norm of the test charge is              1.0000)\n"
    "       1 -104.2345       2 -63.8283\n \n"
    "------ aborting loop because EDIFF is reached ----------\n"
    "                  Maximum memory used (kb):      100000.\n"
    "                         Elapsed time (sec):       10.000\n"
)


def vasprun_seeds() -> list[Files]:
    energies, filled, parts = _bands()
    spin_energies, spin_filled, spin_parts = _bands(2)
    whole = vasp_files.vasprun(energies, filled, parts).encode()
    both = vasp_files.vasprun(spin_energies, spin_filled, spin_parts).encode()
    return [
        {"vasprun.xml": whole},
        {"vasprun.xml": both, "OUTCAR": OUTCAR.encode()},
        {"vasprun.xml.gz": gzip.compress(whole)},
    ]


def procar_seeds() -> list[Files]:
    energies, filled, parts = _bands()
    kpoints, weights = np.array([[0.0, 0, 0], [0.5, -0.5, 0]]), np.array([0.5, 0.5])
    procar = vasp_files.procar(kpoints, weights, energies, filled, parts).encode()
    bare = vasp_files.vasprun(energies, filled).encode()
    return [{"vasprun.xml": bare, "PROCAR": procar, "OUTCAR": OUTCAR.encode()}]


def vaspout_seeds() -> list[Files]:
    import io

    import h5py

    energies, filled, parts = _bands()
    blob = io.BytesIO()
    with h5py.File(blob, "w", libver="earliest") as file:
        for name, value in {
            "version/major": 6, "version/minor": 4, "version/patch": 2, "input/incar/GGA": b"PE",
            "input/potcar/content": b"TITEL  = PAW_PBE Ga\n ZVAL   =    4.000\n",
            "results/positions/ion_types": np.array([b"Ga"]), "results/positions/number_ion_types": [2],
            "intermediate/ion_dynamics/lattice_vectors": 5.0 * np.eye(3)[None],
            "intermediate/ion_dynamics/position_ions": np.array([[[0.0, 0, 0], [0.5, 0.5, 0.5]]]),
            "results/electron_eigenvalues/eigenvalues": energies,
            "results/electron_eigenvalues/fermiweights": filled,
            "results/electron_eigenvalues/kpoint_coords": [[0.0, 0, 0], [0.5, 0.5, 0]],
            "results/electron_eigenvalues/kpoints_symmetry_weight": [0.5, 0.5],
            "results/electron_eigenvalues/nelectrons": 8.0,
            "results/projectors/par": np.moveaxis(parts, (3, 4), (1, 2)),
        }.items():  # fmt: skip
            file[name] = value
    return [{"vaspout.h5": blob.getvalue()}, {"vaspout.h5": blob.getvalue(), "OUTCAR": OUTCAR.encode()}]


def own_result_seeds() -> list[Files]:
    """Two bands of a real result, so that a change has a chance to matter."""
    data = json.loads((EXAMPLES / "Cs4PbBr6" / "V_Br+" / "result.json").read_text())
    return [{"result.json": json.dumps(trimmed(data)).encode()}]


def trimmed(result: dict) -> dict:
    """A result with fewer bands, for a file of a few kB."""
    states = result["electronic_structure"]
    filled = round(states["n_electrons"] / (1 if states["spinor"] else 2)) - states.get("first_band", 0)
    window = slice(filled - 10, filled + 10)
    for name in ("eigenvalues_eV", "occupations", "site_weights"):
        states[name] = np.array(states[name])[:, :, window].round(4).tolist()
    states["first_band"] = states.get("first_band", 0) + window.start
    states["dipoles"] = None
    return result


# --- crystals ----------------------------------------------------------------------------------


def crystal(folder: Path) -> object:
    """Read as ``midgap build`` does, up to the primitive cell."""
    from midgap.structures.crystals import load_crystal, primitive

    (path,) = folder.iterdir()
    structure, _ = load_crystal(path)
    return primitive(structure)


def crystal_seeds(suffix: str) -> list[Files]:
    from pymatgen.core import Structure

    from midgap.structures.crystals import load_crystal

    structure = Structure.from_sites(list(load_crystal("CsPbBr3")[0]))
    if suffix == "xyz":
        lattice = " ".join(f"{x:.6f}" for x in structure.lattice.matrix.ravel())
        rows = "".join(f"{s.specie.symbol} {s.x:.6f} {s.y:.6f} {s.z:.6f}\n" for s in structure)
        head = f'{len(structure)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
        return [{"a.xyz": (head + rows).encode()}]
    if suffix == "vasp":
        return [{"a.vasp": str(structure.to(fmt="poscar")).encode()}]
    symmetric = (
        "data_CsPbBr3\n_cell_length_a 8.2563\n_cell_length_b 11.7608\n_cell_length_c 8.2036\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 90\n_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P n m a'\n"
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        "_atom_site_occupancy\nCs1 Cs 0.475 0.25 0.007 1\nPb1 Pb 0 0 0 1\nBr1 Br 0.507 0.25 0.554 1\n"
        "Br2 Br 0.206 0.027 0.794 1.0\n"
    )
    return [{"a.cif": symmetric.encode()}, {"a.cif": str(structure.to(fmt="cif")).encode()}]


# --- our documents -----------------------------------------------------------------------------


def documents(folder: Path) -> object:
    """Read the file as the class that its name says, and write it again."""
    (path,) = folder.iterdir()
    found = _document_classes()[path.name.partition(".")[0]].read(path)
    printed(found)
    return found


@functools.cache
def _document_classes() -> dict:
    from midgap.defects.emission_study import EmissionStudy
    from midgap.defects.formation_study import FormationStudy
    from midgap.defects.report import Levels
    from midgap.experiment.comparison import Comparison
    from midgap.experiment.records import Records
    from midgap.structures.crystals import Crystal
    from midgap.structures.model import Model
    from midgap.workflows.calculation import Calculation

    classes = (Crystal, Model, Levels, Calculation, Records, Comparison, FormationStudy, EmissionStudy)
    return {one.__name__: one for one in classes}


def document_seeds() -> list[Files]:
    from midgap.structures.build import build_models
    from midgap.structures.theory import LevelOfTheory
    from midgap.workflows.calculation import Calculation

    model = build_models("Cs4PbBr6", charges=[1], clusters=False)[1]
    asked = Calculation(model=model, theory=LevelOfTheory.named("hse06+soc", cutoff_eV=250.0))
    levels = json.loads((EXAMPLES / "Cs4PbBr6" / "levels.json").read_text())
    levels = {**levels, "reports": levels["reports"][1:2], "models": levels["models"][1:2]}
    data = ROOT / "experiment" / "data"
    found = {
        "Crystal.json": (ROOT / "structures" / "data" / "Cs4PbBr6.json").read_bytes(),
        "Model.json": json.dumps(model.to_dict()).encode(),
        "Model.json.gz": gzip.compress(json.dumps(model.to_dict()).encode()),
        "Calculation.json": json.dumps(asked.to_dict()).encode(),
        "Levels.json": json.dumps(levels).encode(),
        "Records.json": (data / "CsPbBr3_records.json").read_bytes(),
        "Comparison.json": (EXAMPLES / "Cs4PbBr6" / "comparison.json").read_bytes(),
        "FormationStudy.json": (SEEDS / "studies" / "FormationStudy.json").read_bytes(),
        "EmissionStudy.json": (SEEDS / "studies" / "EmissionStudy.json").read_bytes(),
    }
    return [{name: content} for name, content in found.items()]


# --- what was measured -------------------------------------------------------------------------


def photons(folder: Path) -> object:
    """Read as ``midgap photons`` does: all photons, and the one pass of counting."""
    from midgap.experiment.photons.files import open_photons
    from midgap.experiment.photons.survey import survey

    (path,) = folder.iterdir()
    return survey(open_photons(path).chunks())


def photon_seeds(suffix: str) -> list[Files]:
    """A few thousand simulated photons: pulsed (T3) and continuous (T2), or pulsed as Photon-HDF5."""
    import io
    import tempfile

    from midgap.experiment.photons.ptu_writer import write_ptu
    from midgap.experiment.photons.simulation import Experiment, simulate

    pulsed = simulate(Experiment(duration_s=0.05, detected_fraction=0.2))
    if suffix == "ptu":
        found = []
        for stream in (pulsed, simulate(Experiment(duration_s=0.01, excitation_rate_Hz=1e5, detected_fraction=0.5))):
            with tempfile.TemporaryDirectory() as folder:
                found.append({"a.ptu": write_ptu(Path(folder) / "a.ptu", stream).read_bytes()})
        return found
    import h5py

    blob = io.BytesIO()
    with h5py.File(blob, "w", libver="earliest") as file:
        for name, value in {
            "timestamps": pulsed.time, "detectors": pulsed.channel, "nanotimes": pulsed.dtime.astype(np.uint16),
            "timestamps_specs/timestamps_unit": pulsed.time_unit_s, "nanotimes_specs/tcspc_unit": pulsed.dtime_unit_s,
        }.items():  # fmt: skip
            file[f"photon_data/{name}"] = value
        file["setup/laser_repetition_rates"] = [1 / pulsed.time_unit_s]
    return [{"a.h5": blob.getvalue()}]


def records(folder: Path) -> object:
    from midgap.experiment.tables import read_records

    (path,) = folder.iterdir()
    found = read_records(path)
    printed(found)
    return found.in_energy()


def record_seeds() -> list[Files]:
    import io

    import pyarrow
    import pyarrow.parquet

    table = "sample_id,particle_id,pl_peak_eV,pl_peak_eV_lo,pl_peak_eV_hi,tau_i_ns\n"
    table += 'a,1,2.38,2.3,2.48,"[1.5, 9.0]"\na,2,2.40,,,\n'
    levels = "start_time_s,end_time_s,dwell_time_s,num_photons,intensity_cps\n0.0,1.5,1.5,1500,1000\n1.5,2,0.5,50,100\n"
    fits = "particle_id,level_or_group_id,num_exponentials,tau_1_ns,tau_1_std,avg_lifetime_ns\np,w,1,9.1,0.2,9.1\np,0,1,8,1,8\n"
    blob = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"particle_id": ["1", "2"], "pl_peak_eV": [2.38, 2.4]}), blob)
    return [
        {"a.csv": table.encode()},
        {"levels.csv": levels.encode()},
        {"fits.csv": fits.encode()},
        {"a.parquet": blob.getvalue()},
    ]


def spectra(folder: Path) -> object:
    """Read, bring to energies, and fit the line."""
    from midgap.experiment.spectra import read_spectrum

    (path,) = folder.iterdir()
    spectrum = read_spectrum(path)
    printed(spectrum)
    return spectrum.in_energy()


def spectrum_seeds() -> list[Files]:
    x = np.linspace(480, 560, 40)
    y = 1000 * np.exp(-(((x - 520) / 10) ** 2))
    rows = list(zip(x, y, strict=True))
    plain = "Wavelength (nm),Counts\n" + "".join(f"{a:.2f},{b:.1f}\n" for a, b in rows)
    comma = "Energie [eV];Zähler\n" + "".join(f"{1239.84 / a:.4f};{b:.1f}\n".replace(".", ",") for a, b in rows)
    wide = "# cm-1 counts dark\n" + "".join(f"{1e7 / a:.2f}\t{b:.1f}\t3\n" for a, b in rows)
    return [{"a.csv": plain.encode()}, {"b.txt": comma.encode()}, {"c.txt": wide.encode("utf-16")}]


def responses(folder: Path) -> object:
    from midgap.experiment.decays.response_files import read_response

    (path,) = folder.iterdir()
    return read_response(path)


def response_seeds() -> list[Files]:
    t = np.arange(60) * 0.05
    counts = np.round(5000 * np.exp(-(((t - 0.8) / 0.1) ** 2)) + 2)
    rows = "".join(f"{a:.3f} {b:.0f}\n" for a, b in zip(t, counts, strict=True))
    return [{"irf.txt": ("# ns counts\n" + rows).encode()}]


def checkpoint_seeds() -> list[Files]:
    """Lithium hydride in the smallest basis."""
    import tempfile

    from pyscf import dft, gto

    molecule = gto.M(atom="Li 0 0 0; H 0 0 1.6", basis="sto-3g", verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        run = dft.RKS(molecule, xc="PBE")
        run.chkfile = str(Path(folder) / "lih.chk")
        run.kernel()
        return [{"lih.chk": Path(run.chkfile).read_bytes()}]


READERS: dict[str, Reader] = {
    "vasprun": Reader(electronic_structure, vasprun_seeds),
    "procar": Reader(electronic_structure, procar_seeds),
    "vaspout": Reader(electronic_structure, vaspout_seeds),
    "cp2k": Reader(electronic_structure, lambda: kept("cp2k")),
    "result": Reader(electronic_structure, own_result_seeds),
    "checkpoint": Reader(electronic_structure, checkpoint_seeds),
    "documents": Reader(documents, document_seeds),
    "cif": Reader(crystal, lambda: crystal_seeds("cif")),
    "poscar": Reader(crystal, lambda: crystal_seeds("vasp")),
    "xyz": Reader(crystal, lambda: crystal_seeds("xyz")),
    "ptu": Reader(photons, lambda: photon_seeds("ptu")),
    "photon_hdf5": Reader(photons, lambda: photon_seeds("h5")),
    "records": Reader(records, record_seeds),
    "spectra": Reader(spectra, spectrum_seeds),
    "responses": Reader(responses, response_seeds),
}
