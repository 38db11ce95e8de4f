"""CP2K: the open engine for large cells; PBE and HSE06 with exchange in an auxiliary basis (ADMM)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from midgap.defects.parsers import cp2k, cp2k_output
from midgap.structures.document import copy_atomic, write_atomic
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.units import BOHR_ANG, EV_PER_HARTREE
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines.base import Engine
from midgap.workflows.engines.cp2k_data import DataFolder, about, find_data
from midgap.workflows.engines.cp2k_input import (
    PROJECT,
    Cp2kSettings,
    box,
    has_first_guess,
    input_text,
    scf_threshold,
)

PROGRAMS = ("cp2k.psmp", "cp2k.popt", "cp2k.ssmp", "cp2k.sopt", "cp2k")
INPUT, OUTPUT = "input.inp", "output.out"
FIRST_INPUT, FIRST_OUTPUT = "first_guess.inp", "first_guess.out"
WAVEFUNCTIONS = (f"{PROJECT}-RESTART.wfn", f"{PROJECT}-RESTART.kp")
GEOMETRY_RESTART, HESSIAN = f"{PROJECT}-1.restart", f"{PROJECT}-BFGS.Hessian"


class Cp2k(Engine):
    """Gaussians and plane waves; no spin-orbit coupling.

    ``MIDGAP_CP2K`` names the program, with what starts it: ``mpirun -np 8 cp2k.psmp``.
    """

    name = "cp2k"
    theories = ("pbe", "hse06")
    tasks = ("relax", "static", "forces")
    periodic = True
    clusters = True
    fields = True

    def missing(self) -> str | None:
        words = _program()
        if words is None:
            asked = os.environ.get("MIDGAP_CP2K")
            if asked:
                return f"MIDGAP_CP2K asks for {asked!r}, and there is no such program; correct it or unset it."
            return (
                "CP2K is not installed; get it with apt-get install cp2k, or from conda-forge with conda install "
                "-c conda-forge cp2k, or name its program in MIDGAP_CP2K."
            )
        if find_data(words[-1]) is None:
            return f"{words[-1]} is here but its basis sets are not; set CP2K_DATA_DIR to the folder with BASIS_MOLOPT and GTH_POTENTIALS."
        return None

    def version(self) -> str:
        words = _program()
        found = re.search(r"CP2K version\s+(\S+)", about(words[-1])) if words else None
        return found[1] if found else ""

    def command(self, calculation: Calculation) -> list[str]:
        words = _program()
        if words is None:
            raise InputError(str(self.missing()))
        run = [*words, "-i", INPUT, "-o", OUTPUT]
        if not has_first_guess(calculation):
            return run
        # A hybrid starts from a finished PBE wavefunction: half the steps, and the integrals worth
        # computing can be told from its density.
        first = shlex.join([*words, "-i", FIRST_INPUT, "-o", FIRST_OUTPUT])
        return ["sh", "-c", f"{{ grep -qs 'PROGRAM ENDED' {FIRST_OUTPUT} || {first}; }} && exec {shlex.join(run)}"]

    def check(self, calculation: Calculation) -> None:
        super().check(calculation)
        model, theory = calculation.model, calculation.theory
        settings = Cp2kSettings.of(calculation)
        hybrid = theory.functional == "HSE06"
        if model.embedding is not None:
            raise InputError(
                f"CP2K is used here without point charges, and {model.name} is embedded in them: use --engine pyscf."
            )
        if theory.cutoff_eV is not None:
            raise InputError(
                f"cutoff_eV = {theory.cutoff_eV:g} is for plane waves, and CP2K's orbitals are Gaussians; leave it out, and set "
                "the density grid, if need be, with the engine setting cutoff_Ry."
            )
        if hybrid and theory.kpoints != (1, 1, 1):
            raise InputError(
                f"CP2K computes exact exchange at Γ only, not on a {'×'.join(map(str, theory.kpoints))} mesh: "
                "use a supercell with kpoints (1, 1, 1), or --engine gpaw."
            )
        if settings.minimize and theory.kpoints != (1, 1, 1):
            raise InputError(
                f"CP2K minimizes at Γ only, not on a {'×'.join(map(str, theory.kpoints))} mesh: leave out the engine setting "
                "minimize, or use a supercell with kpoints (1, 1, 1)."
            )
        if calculation.electric_field_V_per_ang is not None and (
            theory.kpoints != (1, 1, 1) or model.unpaired_electrons
        ):
            raise InputError(
                "CP2K computes a crystal in an electric field at Γ and with closed shells only: use a supercell with kpoints "
                "(1, 1, 1), without unpaired electrons."
            )
        if not model.periodic and theory.kpoints != (1, 1, 1):
            raise InputError(f"{model.name} is a cluster and has no k-points; use kpoints (1, 1, 1).")
        data = _data()
        if data is not None:
            input_text(calculation, data)

    def adopt(self, calculation: Calculation, finished: Path, folder: Path) -> None:
        """Start from the wavefunction that a relaxation ended with."""
        for name in WAVEFUNCTIONS:
            if (finished / name).is_file() and not (folder / name).exists():
                copy_atomic(finished / name, folder / name)

    def write_input(self, calculation: Calculation, folder: Path) -> None:
        data = _data()
        if data is None:
            raise InputError(str(self.missing()))
        folder.mkdir(parents=True, exist_ok=True)
        _drop_broken_restarts(folder)
        if has_first_guess(calculation):
            write_atomic(folder / FIRST_INPUT, input_text(calculation, data, first_guess=True))
        # What is there belongs to this calculation: a folder holds one.
        geometry = GEOMETRY_RESTART if (folder / GEOMETRY_RESTART).exists() else None
        hessian = HESSIAN if geometry and (folder / HESSIAN).exists() else None
        write_atomic(folder / INPUT, input_text(calculation, data, geometry_restart=geometry, hessian=hessian))

    def read_result(self, calculation: Calculation, folder: Path) -> CalculationResult:
        model, settings = calculation.model, Cp2kSettings.of(calculation)
        text = _finished(folder, model.name)
        if not cp2k_output.scf_converged(text):
            raise ComputationError(_not_converged(text, calculation, settings))
        relaxed = _relaxation(text, calculation, folder) if calculation.task == "relax" else {}
        if calculation.task == "forces":
            relaxed = _forces(text, calculation, folder)
        structure = None
        if calculation.task == "static":
            structure = cp2k.read_cp2k(folder, structure=model.structure, theory=calculation.theory)
        energy = cp2k_output.total_energy_eV(text)
        if energy is None:
            raise ComputationError(f"{folder / OUTPUT} holds no total energy.")
        provenance = cp2k.provenance(text, cp2k_output.parse_input((folder / INPUT).read_text()))
        if _program() is not None:
            provenance = provenance.model_copy(update={"command": shlex.join(self.command(calculation))})
        if structure is not None:
            structure = structure.model_copy(update={"provenance": provenance})
        result = {
            "model": model,
            "task": calculation.task,
            "total_energy_eV": energy,
            "electronic_structure": structure,
        }
        return CalculationResult(**(result | relaxed | {"provenance": provenance}))

    def remedy(self, calculation: Calculation, folder: Path, failures: int) -> Calculation | None:
        """Where the SCF did not converge, mix more carefully; where it swung, minimize."""
        settings = Cp2kSettings.of(calculation)
        try:
            text = _finished(folder, calculation.model.name)
        except ComputationError:
            return None
        if cp2k_output.scf_converged(text):
            return None
        at_gamma = calculation.theory.kpoints == (1, 1, 1)
        if at_gamma and not settings.minimize and _swings([change for _, change in cp2k_output.scf_steps(text)]):
            for name in (FIRST_OUTPUT, *WAVEFUNCTIONS):  # orbitals that swung are no start
                for path in (folder / name, folder / f"{name}.bak-1"):
                    path.unlink(missing_ok=True)
            return calculation.model_copy(update={"engine_settings": calculation.engine_settings | {"minimize": True}})
        if settings.minimize:
            if settings.max_scf > 100:
                return None
            patient = {"max_scf": 2 * settings.max_scf}
            return calculation.model_copy(update={"engine_settings": calculation.engine_settings | patient})
        if settings.mixing_alpha < 0.1:
            return None
        careful = {
            "mixing_alpha": round(settings.mixing_alpha / 3, 3),
            "mixing_history": max(settings.mixing_history, 12),
            "max_scf": 2 * settings.max_scf,
        }
        return calculation.model_copy(update={"engine_settings": calculation.engine_settings | careful})

    def progress(self, folder: Path) -> str:
        for output, stage in ((folder / OUTPUT, ""), (folder / FIRST_OUTPUT, "PBE first")):
            if output.is_file():
                text = cp2k_output.last_run(_tail(output))
                return ", ".join(part for part in (stage, *_progress(text)) if part)
        return ""


def _program() -> list[str] | None:
    """The words that start CP2K, the program last, or None if there is none."""
    asked = shlex.split(os.environ.get("MIDGAP_CP2K", ""))
    if asked:
        found = shutil.which(asked[-1])
        return [*asked[:-1], found] if found and shutil.which(asked[0]) else None
    return next(([found] for program in PROGRAMS if (found := shutil.which(program))), None)


def _data() -> DataFolder | None:
    words = _program()
    return find_data(words[-1]) if words else None


def _finished(folder: Path, name: str) -> str:
    """Text of the last run, or why there is none."""
    for output in (folder / OUTPUT, folder / FIRST_OUTPUT):
        if output.is_file():
            try:
                text = cp2k_output.finished_run(output)
            except ComputationError as error:
                raise ComputationError(f"{name}: {error}") from None
            if output.name == OUTPUT:
                return text
    said = (folder / "stdout.txt").read_text(errors="replace") if (folder / "stdout.txt").is_file() else ""
    why = cp2k_output.abort_message(said)
    raise ComputationError(f"{name}: CP2K stopped: {why}" if why else f"{name}: CP2K left no output in {folder}.")


def _not_converged(text: str, calculation: Calculation, settings: Cp2kSettings) -> str:
    steps = cp2k_output.scf_steps(text)
    last = (
        f", where the density still changed by {steps[-1][1]:.1e} (asked: {scf_threshold(calculation, settings):g})"
        if steps
        else ""
    )
    gently = "" if settings.minimize else f"mixing_alpha={settings.mixing_alpha / 3:.2g} and "
    return (
        f"The SCF of {calculation.model.name} did not converge in {settings.max_scf} steps{last}; "
        f"try the engine settings {gently}max_scf={2 * settings.max_scf}."
    )


def _swings(changes: list[float]) -> bool:
    """Whether the change of the density stopped falling: by less than a factor of 3 from one half of the steps to the other."""
    half = len(changes) // 2
    return half >= 6 and float(np.median(changes[half:])) > float(np.median(changes[:half])) / 3


def _relaxation(text: str, calculation: Calculation, folder: Path) -> dict[str, object]:
    """What a finished relaxation adds to the result: the steps are in files that restarts add to."""
    model = calculation.model
    positions = cp2k_output.read_frames(folder / f"{PROJECT}-pos-1.xyz")
    forces = cp2k_output.read_frames(folder / f"{PROJECT}-frc-1.xyz")
    if not positions or not forces:
        raise ComputationError(
            f"{folder} lacks the geometry steps of {model.name} ({PROJECT}-pos-1.xyz, {PROJECT}-frc-1.xyz)."
        )
    atoms = len(model.structure)
    fmax = _largest(forces[-1][1][:atoms])
    if "GEOMETRY OPTIMIZATION COMPLETED" not in text:
        raise ComputationError(
            f"{model.name} was not relaxed after {calculation.max_steps} steps: the largest force is {fmax:.3f} eV/Å "
            f"(asked: {calculation.fmax_eV_per_ang:g}); allow more with max_steps."
        )
    final = positions[-1][1][:atoms]
    if len(positions) > 1 and np.array_equal(positions[-1][1], positions[-2][1]):
        positions.pop()  # CP2K writes the last geometry once more at the end
    if not model.periodic:
        ghosts = np.asarray(model.ghosts.cart_coords) if model.ghosts is not None else np.empty((0, 3))
        final = final - box(np.concatenate([model.positions_ang, ghosts]), Cp2kSettings.of(calculation))[1]
    return {
        "model": model.at(final, coordinates=f"relaxed by CP2K, {calculation.theory.label}"),
        "relaxation_energies_eV": tuple(energy * EV_PER_HARTREE for energy, _ in positions if energy is not None),
        "max_force_eV_per_ang": fmax,
    }


def _forces(text: str, calculation: Calculation, folder: Path) -> dict[str, object]:
    """What a single point adds to the result; ghosts, which come last, feel nothing that counts."""
    forces = cp2k_output.forces_au(text)
    atoms = len(calculation.model.structure)
    if forces is None or len(forces) < atoms:
        raise ComputationError(f"{folder / OUTPUT} lacks the forces on the atoms of {calculation.model.name}.")
    found: dict[str, object] = {
        "forces_eV_per_ang": forces[:atoms] * EV_PER_HARTREE / BOHR_ANG,
        "max_force_eV_per_ang": _largest(forces[:atoms]),
    }
    if calculation.electric_field_V_per_ang is not None:
        dipole = cp2k_output.dipole_e_ang(text)
        if dipole is None:
            raise ComputationError(f"{folder / OUTPUT} lacks the dipole of {calculation.model.name}.")
        found["dipole_e_ang"] = dipole
    return found


def _largest(forces_au: np.ndarray) -> float:
    return float(np.linalg.norm(forces_au, axis=1).max() * EV_PER_HARTREE / BOHR_ANG)


def _drop_broken_restarts(folder: Path) -> None:
    """A restart file cut short by a kill gives way to the one before, or to none."""
    for name in (*WAVEFUNCTIONS, HESSIAN):
        _prefer_whole(folder / name, _whole_records)
    if not any((folder / name).exists() for name in WAVEFUNCTIONS):
        (folder / FIRST_OUTPUT).unlink(missing_ok=True)  # or a hybrid would count on what it left
    _prefer_whole(folder / GEOMETRY_RESTART, lambda path: "&END FORCE_EVAL" in path.read_text(errors="replace")[-200:])


def _prefer_whole(path: Path, whole: Callable[[Path], bool]) -> None:
    if path.exists() and whole(path):
        return
    path.unlink(missing_ok=True)
    before = path.with_name(f"{path.name}.bak-1")
    if before.exists() and whole(before):
        before.rename(path)


def _whole_records(path: Path) -> bool:
    """Whether a Fortran file of records ends with one: each is between two copies of its length."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as stream:
        while at < size:
            head = stream.read(4)
            length = int.from_bytes(head, "little")
            stream.seek(length, os.SEEK_CUR)
            if len(head) < 4 or stream.read(4) != head:
                return False
            at += length + 8
    return size > 0


def _tail(path: Path, size: int = 65536) -> str:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - size))
        return stream.read().decode(errors="replace")


def _progress(text: str) -> list[str]:
    parts = []
    geometry = re.findall(r"OPTIMIZATION STEP:\s+(\d+)", text)
    if geometry:
        parts.append(f"relax step {geometry[-1]}")
    gradient = re.findall(r"Max\. gradient\s+=\s+(\S+)", text)
    if gradient:
        parts.append(f"largest force component {float(gradient[-1]) * EV_PER_HARTREE / BOHR_ANG:.2f} eV/Å")
    steps = cp2k_output.scf_steps(text)
    if steps:
        parts.append(f"SCF step {steps[-1][0]}, change {steps[-1][1]:.1e}")
        energies = re.findall(r"^ +\d+ (?:\S+/Diag\.|OT ).* (-\d+\.\d+) +[-+.\dE]+$", text, re.MULTILINE)
        if energies:
            parts.append(f"{float(energies[-1]) * EV_PER_HARTREE:.3f} eV")
    return parts
