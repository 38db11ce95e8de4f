"""The process that runs GPAW on the ``calculation.json`` of its folder.

The recipe: PBE in a plane-wave basis to self-consistency; HSE06 eigenvalues to first order on the PBE
orbitals (one-shot); spin-orbit coupling by diagonalising the two-component Hamiltonian in the basis of
the scalar states (Olsen, Phys. Rev. B 94, 235106 (2016), doi 10.1103/PhysRevB.94.235106).

After a kill it goes on from ``relax.jsonl`` (geometries and forces, with which the Hessian is rebuilt),
``wavefunctions.gpw`` and ``hybrid.json`` (one entry a k-point).
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.electronic_structure import Provenance
from midgap.defects.parsers import gpaw as parser
from midgap.structures.document import write_atomic
from midgap.structures.model import Model
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines.gpaw import Gpaw, say

CUTOFF_EV = 340.0
"""GPAW's own default."""

EMPTY_BANDS_PER_ATOM = 1.2
"""Enough that the p shell of every heavy cation, which spin-orbit coupling mixes, is inside the window."""

WAVEFUNCTIONS = "wavefunctions.gpw"


def main() -> None:
    """Run the calculation of the current folder; an expected failure is left in ``failure.txt``."""
    from gpaw import KohnShamConvergenceError

    folder = Path.cwd()
    calculation = Calculation.read(folder / "calculation.json")
    (folder / "failure.txt").unlink(missing_ok=True)
    started = time.monotonic()
    try:
        result = relax(calculation, folder) if calculation.task == "relax" else static(calculation, folder)
    except KohnShamConvergenceError:
        maxiter = calculation.engine_settings.get("maxiter", 200)
        write_atomic(
            folder / "failure.txt",
            f"the SCF did not converge in {maxiter} iterations; try engine_settings smearing_eV=0.1 or a larger maxiter.\n",
        )
        raise SystemExit(1) from None
    except _RelaxationFailed as failure:
        write_atomic(folder / "failure.txt", f"{failure}\n")
        raise SystemExit(1) from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    provenance = result.provenance.model_copy(
        update={"wall_time_s": round(time.monotonic() - started, 1), "peak_memory_MB": round(peak)}
    )
    update: dict[str, Any] = {"provenance": provenance}
    if result.electronic_structure is not None:
        update["electronic_structure"] = result.electronic_structure.model_copy(update={"provenance": provenance})
    result.model_copy(update=update).write(folder / "gpaw_result.json")


class _RelaxationFailed(Exception):
    pass


def atoms_of(model: Model) -> Any:
    """ASE atoms with the starting moments of an odd electron on the cations next to the vacancy."""
    from ase import Atoms

    atoms = Atoms(model.species, positions=model.positions_ang, cell=model.structure.lattice.matrix, pbc=True)  # type: ignore[union-attr]
    if model.unpaired_electrons:
        moments = np.zeros(len(atoms))
        if model.vacancy is not None:
            distance = neighbour_distances(model)
            near = distance < 1.15 * distance.min()
        else:
            near = np.ones(len(atoms), dtype=bool)
        moments[near] = model.unpaired_electrons / near.sum()
        atoms.set_initial_magnetic_moments(moments)
    return atoms


def neighbour_distances(model: Model) -> np.ndarray:
    """Distance in Å of every atom from the vacancy, nearest image, shape (n,)."""
    assert model.vacancy is not None
    lattice = model.structure.lattice  # type: ignore[union-attr]
    vacancy = lattice.get_fractional_coords(model.vacancy.position_ang)
    return lattice.get_all_distances([vacancy], model.structure.frac_coords)[0]  # type: ignore[union-attr]


def parameters(calculation: Calculation) -> dict[str, Any]:
    """The keywords of the GPAW calculator."""
    settings = calculation.engine_settings
    occupations: dict[str, Any] = {"name": "fermi-dirac", "width": float(settings.get("smearing_eV", 0.02))}
    if calculation.model.unpaired_electrons:
        occupations["fixmagmom"] = True
    keywords: dict[str, Any] = {
        "mode": {"name": "pw", "ecut": calculation.theory.cutoff_eV or CUTOFF_EV},
        "xc": "PBE",
        "kpts": {"size": calculation.theory.kpoints, "gamma": True},
        "charge": calculation.model.charge,
        "occupations": occupations,
        "maxiter": int(settings.get("maxiter", 200)),
    }
    if calculation.task == "relax":
        keywords |= {
            "nbands": -4,
            "convergence": {"density": 1e-3, "eigenstates": 1e-5, "energy": 1e-4, "bands": "occupied"},
        }
    else:
        empty = empty_bands(calculation)
        buffer = int(settings.get("buffer_bands", 6))
        keywords |= {
            "nbands": -(empty + buffer),
            "convergence": {"density": 1e-4, "eigenstates": 1e-7, "bands": -buffer},
        }
    return keywords


def empty_bands(calculation: Calculation) -> int:
    return calculation.empty_bands or int(np.ceil(EMPTY_BANDS_PER_ATOM * len(calculation.model.structure)))


def relax(calculation: Calculation, folder: Path) -> CalculationResult:
    """Move the atoms in the fixed cell by BFGS until no force exceeds the threshold."""
    from ase.optimize import BFGS
    from gpaw import GPAW

    model = calculation.model
    atoms = atoms_of(model)
    history = _read_history(folder / "relax.jsonl")
    gpw = folder / WAVEFUNCTIONS
    if history and gpw.exists():
        calc = GPAW(str(gpw), txt=str(folder / "gpaw.txt"))
    else:
        calc = GPAW(**parameters(calculation), txt=str(folder / "gpaw.txt"))
    atoms.calc = calc
    settings = calculation.engine_settings
    # Halide crystals are soft: ASE's default initial curvature of 70 eV/Å² makes the first steps far too short.
    optimizer = BFGS(
        atoms,
        logfile=None,
        alpha=float(settings.get("alpha", 20.0)),
        maxstep=float(settings.get("maxstep_ang", 0.3)),
    )
    for step in history:
        positions, forces = np.array(step["positions_ang"]), np.array(step["forces_eV_per_ang"])
        _teach(optimizer, positions, forces)
        atoms.positions = positions
    say(folder, "SCF")
    energies = [step["energy_eV"] for step in history]
    fmax = float(history[-1]["fmax_eV_per_ang"]) if history else np.inf
    while fmax > calculation.fmax_eV_per_ang:
        if len(energies) > calculation.max_steps:
            raise _RelaxationFailed(
                f"{calculation.max_steps} geometry steps left a force of {fmax:.3f} eV/Å (wanted {calculation.fmax_eV_per_ang}); "
                "run again with a larger max_steps: it goes on from the last geometry."
            )
        if energies:
            optimizer.step(_last_forces(history))
        forces = atoms.get_forces()
        fmax = float(np.linalg.norm(forces, axis=1).max())
        energies.append(float(atoms.get_potential_energy()))
        history.append(
            {
                "energy_eV": energies[-1],
                "fmax_eV_per_ang": fmax,
                "positions_ang": atoms.positions.tolist(),
                "forces_eV_per_ang": forces.tolist(),
            }
        )
        _write_gpw(calc, gpw)
        with (folder / "relax.jsonl").open("a") as stream:
            stream.write(json.dumps(history[-1]) + "\n")
            stream.flush()
    return CalculationResult(
        model=model.at(
            np.array(history[-1]["positions_ang"]),
            coordinates=f"relaxed with GPAW {Gpaw().version()}, PBE, {calculation.theory.cutoff_eV or CUTOFF_EV:g} eV, "
            f"k {'×'.join(map(str, calculation.theory.kpoints))}, fixed cell, fmax {fmax:.3f} eV/Å",
        ),
        task="relax",
        total_energy_eV=energies[-1],
        relaxation_energies_eV=tuple(energies),
        max_force_eV_per_ang=fmax,
        provenance=_provenance(calculation, {"optimizer": f"BFGS, {len(energies)} geometries"}),
    )


def _teach(optimizer: Any, positions: np.ndarray, forces: np.ndarray) -> None:
    """Let the Hessian learn from a geometry of an earlier run."""
    if optimizer.H0 is not None and optimizer.H is None:
        optimizer.H = optimizer.H0
    if optimizer.pos0 is not None:
        optimizer.update(positions.ravel(), forces.ravel(), optimizer.pos0, optimizer.forces0)
    optimizer.pos0, optimizer.forces0 = positions.ravel().copy(), forces.ravel().copy()


def _last_forces(history: list[dict[str, Any]]) -> np.ndarray:
    return np.array(history[-1]["forces_eV_per_ang"])


def _read_history(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: a kill may have cut the last one."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_atomic(path, whole)
    return [json.loads(line) for line in whole.splitlines()]


def static(calculation: Calculation, folder: Path) -> CalculationResult:
    """Eigenvalues, occupations and site weights at the theory asked."""
    from gpaw import GPAW

    atoms = atoms_of(calculation.model)
    gpw = folder / WAVEFUNCTIONS
    if gpw.exists():
        calc = GPAW(str(gpw), txt=str(folder / "gpaw.txt"))
    else:
        say(folder, "SCF")
        calc = GPAW(**parameters(calculation), txt=str(folder / "gpaw.txt"))
        atoms.calc = calc
        atoms.get_potential_energy()
        _write_gpw(calc, gpw)
    energy = float(calc.get_potential_energy())
    window = parser.band_window(calc, empty_bands(calculation), float(calculation.engine_settings.get("depth_eV", 7.0)))
    eigenvalues = None
    settings: dict[str, str] = {}
    if calculation.theory.functional == "HSE06":
        eigenvalues = hybrid_eigenvalues(calc, window, calculation.theory.exact_exchange, folder)
        settings["hybrid"] = "one-shot on PBE orbitals, first order"
        settings["bands"] = f"{window[0] + 1}...{window[1]}"
    if calculation.theory.spin_orbit:
        say(folder, "spin-orbit coupling")
        settings["spin-orbit"] = "second variation in the window of bands"
    structure = parser.electronic_structure(
        calc,
        calculation.model,
        calculation.theory,
        window,
        eigenvalues,
        provenance=_provenance(calculation, settings),
        total_energy_eV=energy,
    )
    return CalculationResult(
        model=calculation.model,
        task="static",
        total_energy_eV=energy,
        electronic_structure=structure,
        provenance=structure.provenance,
    )


def hybrid_eigenvalues(calc: Any, window: tuple[int, int], exact_exchange: float | None, folder: Path) -> np.ndarray:
    """HSE06 eigenvalues of the bands in ``window``, shape (spin, irreducible k, band), eV.

    The correction to PBE is linear in the fraction of exact exchange, so any fraction follows from
    the one of HSE06. Each k-point is kept as soon as it is done.
    """
    from gpaw.new.pw.nschse import NonSelfConsistentHybridXCCalculator

    path = folder / "hybrid.json"
    done: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    ibzwfs = calc.dft.ibzwfs
    count = len(ibzwfs.ibz)
    hybrid = None
    for k in range(count):
        key = f"{k}:{window[0]}:{window[1]}"
        if key in done:
            continue
        say(folder, f"HSE06 exchange, k-point {k + 1} of {count}")
        hybrid = hybrid or NonSelfConsistentHybridXCCalculator.from_dft_calculation(calc.dft, "HSE06", log=None)
        pbe, semilocal, nonlocal_ = hybrid._calculate(ibzwfs, *window, [k])
        done[key] = {"pbe_eV": pbe[:, 0].tolist(), "correction_eV": (nonlocal_ - semilocal)[:, 0].tolist()}
        write_atomic(path, json.dumps(done))
    scale = 1.0 if exact_exchange is None else exact_exchange / 0.25
    rows = [done[f"{k}:{window[0]}:{window[1]}"] for k in range(count)]
    return np.stack([np.array(row["pbe_eV"]) + scale * np.array(row["correction_eV"]) for row in rows], axis=1)


def _write_gpw(calc: Any, path: Path) -> None:
    partial = path.with_name(f".{path.name}")
    calc.write(str(partial), mode="all")
    partial.replace(path)


def _provenance(calculation: Calculation, settings: dict[str, str]) -> Provenance:
    theory = calculation.theory
    return Provenance(
        engine="gpaw",
        engine_version=Gpaw().version(),
        command="python -m midgap.workflows.engines.gpaw_driver",
        settings={
            "functional": "PBE",
            "plane-wave cutoff": f"{theory.cutoff_eV or CUTOFF_EV:g} eV",
            "k-points": "×".join(map(str, theory.kpoints)) + ", Γ-centred",
            **settings,
        },
    )


if __name__ == "__main__":
    main()
