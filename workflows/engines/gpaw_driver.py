"""The process that runs GPAW on the ``calculation.json`` of its folder.

The recipe: PBE in a plane-wave basis to self-consistency; HSE06 eigenvalues and energy to first order on the PBE
orbitals (one-shot); spin-orbit coupling by diagonalising the two-component Hamiltonian in the basis of
the scalar states (Olsen, Phys. Rev. B 94, 235106 (2016), doi 10.1103/PhysRevB.94.235106).

After a kill it goes on from ``relax.jsonl`` (geometries, energies and forces), ``wavefunctions.gpw``
and ``hybrid.json`` (one entry a k-point).
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
from midgap.workflows.engines.gpaw import (
    START,
    WAVEFUNCTIONS,
    Gpaw,
    opened,
    say,
    unrestricted,
    usual_cutoff_eV,
    write_gpw,
)
from midgap.workflows.engines.gpaw_excited import promoted
from midgap.workflows.engines.gpaw_fft import use_pyfftw
from midgap.workflows.engines.gpaw_hybrid import one_shot_hybrid
from midgap.workflows.relaxation import propose

EMPTY_BANDS_PER_ATOM = 0.5
"""Enough that the p shell of every heavy cation, which spin-orbit coupling mixes, is inside the window.

In Cs4PbBr6 more than twice as many lower the gap with spin-orbit coupling by 0.025 eV."""


def main() -> None:
    """Run the calculation of the current folder; an expected failure is left in ``failure.txt``."""
    from gpaw import KohnShamConvergenceError

    use_pyfftw()
    folder = Path.cwd()
    calculation = Calculation.read(folder / "calculation.json")
    (folder / "failure.txt").unlink(missing_ok=True)
    started = time.monotonic()
    try:
        result = {"relax": relax, "static": static, "forces": forces}[calculation.task](calculation, folder)
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
    both_spins = unrestricted(calculation)
    if calculation.model.unpaired_electrons or both_spins:
        occupations["fixmagmom"] = True
    return {
        "mode": {"name": "pw", "ecut": cutoff_eV(calculation)},
        "xc": "PBE",
        "kpts": {"size": calculation.theory.kpoints, "gamma": True},
        "charge": calculation.model.charge,
        "occupations": occupations,
        "eigensolver": {"name": "davidson", "niter": 2},
        "nbands": -(empty_bands(calculation) + int(settings.get("buffer_bands", 6))),
        "convergence": convergence(calculation),
        "maxiter": int(settings.get("maxiter", 200)),
        # An excited state need not have the symmetry of the crystal.
        **({"spinpol": True, "symmetry": "off"} if both_spins else {}),
    }


def convergence(calculation: Calculation) -> dict[str, Any]:
    """When the SCF is done: sooner for a step of a relaxation, whose forces need less than a spectrum.

    At a density of 1e-4 the forces of Cs4PbBr6 are good to 0.003 eV/Å; at 1e-3 they err by up to 0.05, which
    the relaxation would take for features of the landscape.
    """
    if calculation.task == "relax":
        return {"density": 1e-4, "eigenstates": 1e-6, "bands": "occupied"}
    if calculation.task == "forces":
        return {"density": 1e-6, "eigenstates": 1e-8, "bands": "occupied"}
    return {"density": 1e-5, "eigenstates": 1e-5, "bands": "CBM+1.0"}


def cutoff_eV(calculation: Calculation) -> float:
    """The plane-wave cutoff asked, or what the elements need."""
    return calculation.theory.cutoff_eV or usual_cutoff_eV(calculation.model.species)


def empty_bands(calculation: Calculation) -> int:
    """How many empty bands the spectrum has."""
    return calculation.empty_bands or int(np.ceil(EMPTY_BANDS_PER_ATOM * len(calculation.model.structure)))


def relax(calculation: Calculation, folder: Path) -> CalculationResult:
    """Move the atoms in the fixed cell until no force exceeds the threshold."""
    history = _read_history(folder / "relax.jsonl")
    calc = None
    while not history or history[-1]["fmax_eV_per_ang"] > calculation.fmax_eV_per_ang:
        if len(history) > calculation.max_steps:
            raise _RelaxationFailed(
                f"{calculation.max_steps} geometry steps left a force of {history[-1]['fmax_eV_per_ang']:.3f} eV/Å (wanted "
                f"{calculation.fmax_eV_per_ang}); ask for more with max_steps."
            )
        atoms = atoms_of(calculation.model)
        if history:
            atoms.positions = propose(
                [np.array(step["positions_ang"]) for step in history],
                [step["energy_eV"] for step in history],
                [np.array(step["forces_eV_per_ang"]) for step in history],
            )
        say(folder, "SCF")
        calc = calc or _self_consistent(calculation, folder)
        atoms.calc = calc
        forces = atoms.get_forces()
        history.append(
            {
                "energy_eV": float(atoms.get_potential_energy()),
                "fmax_eV_per_ang": float(np.linalg.norm(forces, axis=1).max()),
                "positions_ang": atoms.positions.tolist(),
                "forces_eV_per_ang": forces.tolist(),
            }
        )
        write_gpw(calc, folder / WAVEFUNCTIONS)
        with (folder / "relax.jsonl").open("a") as stream:
            stream.write(json.dumps(history[-1]) + "\n")
    last = history[-1]
    energies = [step["energy_eV"] for step in history]
    return CalculationResult(
        model=calculation.model.at(
            np.array(last["positions_ang"]),
            coordinates=f"relaxed with GPAW {Gpaw().version()}, PBE, {cutoff_eV(calculation):g} eV, "
            f"k {'×'.join(map(str, calculation.theory.kpoints))}, fixed cell, fmax {last['fmax_eV_per_ang']:.3f} eV/Å",
        ),
        task="relax",
        total_energy_eV=energies[-1],
        relaxation_energies_eV=tuple(energies),
        max_force_eV_per_ang=last["fmax_eV_per_ang"],
        provenance=_provenance(calculation, {"geometry steps": str(len(history))}),
    )


def _read_history(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: a kill may have cut the last one."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_atomic(path, whole)
    return [json.loads(line) for line in whole.splitlines()]


def forces(calculation: Calculation, folder: Path) -> CalculationResult:
    """Energy and forces of the geometry as it is."""
    say(folder, "SCF")
    calc = _self_consistent(calculation, folder)
    atoms = atoms_of(calculation.model)
    atoms.calc = calc
    found = np.asarray(atoms.get_forces())
    return CalculationResult(
        model=calculation.model,
        task="forces",
        total_energy_eV=float(atoms.get_potential_energy()),
        forces_eV_per_ang=found,
        max_force_eV_per_ang=float(np.linalg.norm(found, axis=1).max()),
        provenance=_provenance(calculation, {}),
    )


def static(calculation: Calculation, folder: Path) -> CalculationResult:
    """Eigenvalues, occupations and site weights at the theory asked."""
    say(folder, "SCF")
    calc = _self_consistent(calculation, folder)
    atoms = atoms_of(calculation.model)
    atoms.calc = calc
    energy = float(atoms.get_potential_energy())
    write_gpw(calc, folder / WAVEFUNCTIONS)
    window = parser.band_window(calc, empty_bands(calculation))
    eigenvalues = None
    energies = {"PBE": energy}
    settings: dict[str, str] = {}
    if calculation.theory.functional == "HSE06":
        hybrid = one_shot_hybrid(calc, window, calculation.theory.exact_exchange, folder)
        eigenvalues = hybrid.eigenvalues_eV
        energies["HSE06 - PBE"] = hybrid.energy_change_eV
        settings["hybrid"] = "one-shot on PBE orbitals, first order"
        settings["bands"] = f"{window[0] + 1}...{window[1]}"
    if calculation.promotion is not None:
        settings["promoted"] = f"{calculation.promotion.label}, maximum overlap"
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
        energy_terms_eV=energies,
    )
    assert structure.total_energy_eV is not None
    return CalculationResult(
        model=calculation.model,
        task="static",
        total_energy_eV=structure.total_energy_eV,
        electronic_structure=structure,
        provenance=structure.provenance,
    )


def _self_consistent(calculation: Calculation, folder: Path) -> Any:
    """A calculator that starts from the density and wavefunctions of an earlier run where there are any."""
    from gpaw import GPAW

    if calculation.promotion is not None:
        return promoted(calculation, folder, lambda: _ground_state(calculation, folder), _log(folder))
    for start in (folder / WAVEFUNCTIONS, folder / START):
        if start.exists():
            return opened(start, convergence(calculation), _log(folder), calculation.model.positions_ang)
    return GPAW(**parameters(calculation), txt=_log(folder))


def _ground_state(calculation: Calculation, folder: Path) -> Any:
    """A converged calculator of what an electron is promoted from."""
    from gpaw import GPAW

    atoms = atoms_of(calculation.model)
    atoms.calc = GPAW(**parameters(Gpaw().before_promotion(calculation)), txt=_log(folder))
    atoms.get_potential_energy()
    return atoms.calc


def _log(folder: Path) -> Any:
    return (folder / "gpaw.txt").open("a")


def _provenance(calculation: Calculation, settings: dict[str, str]) -> Provenance:
    theory = calculation.theory
    return Provenance(
        engine="gpaw",
        engine_version=Gpaw().version(),
        command="python -m midgap.workflows.engines.gpaw_driver",
        settings={
            "functional": "PBE",
            "plane-wave cutoff": f"{cutoff_eV(calculation):g} eV",
            "k-points": "×".join(map(str, theory.kpoints)) + ", Γ-centred",
            **settings,
        },
    )


if __name__ == "__main__":
    main()
