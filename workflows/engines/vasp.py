"""VASP: plane waves and PAW, self-consistent HSE06 with spin-orbit coupling; for production on clusters."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from midgap.structures.document import copy_atomic, read_json, write_atomic
from midgap.structures.errors import InputError
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines import vasp_files as files
from midgap.workflows.engines.base import Engine
from midgap.workflows.engines.vasp_geometry import poscar_structure
from midgap.workflows.engines.vasp_incar import Run, Start, Tag, incar, n_electrons, text
from midgap.workflows.engines.vasp_potentials import (
    HOW_TO_GET,
    Potential,
    library,
    potential,
    potentials_here,
    write_potcar,
)
from midgap.workflows.engines.vasp_programs import absent, parallel, program_for, ranks, updates, words
from midgap.workflows.engines.vasp_result import read_result
from midgap.workflows.engines.vasp_settings import BY_HAND, VaspSettings, by_hand, for_step

if TYPE_CHECKING:
    from custodian.custodian import ErrorHandler

LEAD_S = 120.0
"""Time to write WAVECAR and CHGCAR after the last step."""


class Vasp(Engine):
    """PBE and HSE06, each self-consistent with spin-orbit coupling on top, crystals and clusters in a box.

    The commands are atomate2's VASP_CMD, VASP_GAMMA_CMD and VASP_NCL_CMD, the potentials those that
    pymatgen finds.
    """

    name = "vasp"
    theories = ("pbe", "pbe+soc", "hse06", "hse06+soc")
    periodic = True
    clusters = True
    inputs_for_people = True
    promotes = True
    timed = False
    preload = ("midgap.workflows.engines.vasp_handlers", "midgap.defects.parsers.vasp", "atomate2.settings")

    def missing(self) -> str | None:
        return absent("std") or (None if potentials_here() else f"{HOW_TO_GET}.")

    def incomplete(self) -> str | None:
        if potentials_here():
            return None
        return f"{HOW_TO_GET}; until then POTCAR.spec names them, and the same command writes POTCAR."

    def version(self) -> str:
        return ""  # VASP tells only when it runs; the result has it

    def command(self, calculation: Calculation) -> list[str]:
        program = program_for(calculation)
        if missing := absent(program):
            raise InputError(missing)
        return words(program)

    def cores(self) -> int:
        return ranks(words("std"))

    def check(self, calculation: Calculation) -> None:
        super().check(calculation)
        model, theory = calculation.model, calculation.theory
        if model.embedding is not None:
            raise InputError(f"VASP knows no point charges, and {model.name} is embedded in them: use --engine pyscf.")
        if not model.periodic and theory.kpoints != (1, 1, 1):
            raise InputError(f"{model.name} is a cluster and has no k-points; use kpoints (1, 1, 1).")
        if theory.dispersion and theory.functional != "PBE":
            raise InputError(f"VASP has D3's parameters for PBE, not for {theory.label}: leave the dispersion out.")
        if theory.spin_orbit and calculation.promotion is not None:
            raise InputError(
                "VASP promotes electrons here without spin-orbit coupling, whose spinors have no spin to keep."
            )
        if theory.spin_orbit and calculation.task == "relax":
            raise InputError(
                "VASP relaxes here without spin-orbit coupling, which hardly moves atoms and costs 8 times."
            )
        self._incar(calculation, "scratch", 0)

    def steps(self, calculation: Calculation) -> tuple[Calculation, ...]:
        """PBE, then HSE06, then spin-orbit coupling: each begins from the orbitals of the one before.

        For spinors all of them are by vasp_std, whose WAVECAR vasp_ncl reads, and on the k-points that
        spin-orbit coupling leaves, which are all of the mesh.
        """
        theory = calculation.theory
        if calculation.task == "relax" or calculation.promotion is not None:
            return (calculation,)
        before = [("PBE", False)] if (theory.functional, theory.spin_orbit) != ("PBE", False) else []
        if theory.functional == "HSE06" and theory.spin_orbit:
            before.append(("HSE06", False))
        asked = dict(calculation.engine_settings)
        if theory.spin_orbit:
            asked = {"pbe:program": "std", "hse06:program": "std", "ISYM": -1, **asked}
        earlier = []
        for functional, soc in before:
            change: dict[str, object] = {"functional": functional, "spin_orbit": soc}
            if functional != "HSE06":
                change |= {"exact_exchange": None, "screening_per_ang": None}
            earlier.append(
                calculation.model_copy(
                    update={"theory": theory.model_copy(update=change), "engine_settings": dict(asked)}
                )
            )
        return (*earlier, calculation)

    def before_promotion(self, calculation: Calculation) -> Calculation:
        # A closed shell would have no spins to tell apart, and symmetry would leave fewer k-points in the WAVECAR.
        open_shell = {"ISPIN": 2, "NUPDOWN": calculation.model.unpaired_electrons, "ISYM": 0}
        settings = {**open_shell, **calculation.engine_settings}
        return super().before_promotion(calculation).model_copy(update={"engine_settings": settings})

    def handlers(self, calculation: Calculation, folder: Path) -> list[ErrorHandler]:
        from midgap.workflows.engines.vasp_handlers import handlers_for

        return handlers_for(calculation, folder)

    # Before the run

    def adopt(self, calculation: Calculation, finished: Path, folder: Path) -> None:
        """Begin from the orbitals of another run if the program can read them, and from its density in any case."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._reads_orbitals(calculation, finished):
            copy_atomic(finished / "WAVECAR", folder / "WAVECAR")
        elif files.density_is_whole(finished / "CHGCAR"):
            copy_atomic(finished / "CHGCAR", folder / "CHGCAR")

    def write_input(self, calculation: Calculation, folder: Path) -> None:
        """Write INCAR, KPOINTS, POSCAR and POTCAR (or POTCAR.spec), such that VASP goes on from what is there."""
        from pymatgen.io.vasp.inputs import Kpoints, Poscar

        folder.mkdir(parents=True, exist_ok=True)
        (folder / "STOPCAR").unlink(missing_ok=True)
        settings = VaspSettings.of(calculation)
        structure = poscar_structure(calculation.model, settings.vacuum_ang)
        if calculation.task == "relax":
            files.archive_steps(folder)
            frac = files.last_geometry(folder, structure)
            if frac is None:
                frac = files.geometry_in(folder / "POSCAR", structure)
            if frac is not None:
                for site, place in zip(structure, frac, strict=True):
                    site.frac_coords = place
        steps_done = len(files.ionic_energies_eV(folder))
        wanted = {line.name: line.value for line in _corrected(self._incar(calculation, "scratch", 0), folder)}
        start = _start(folder, calculation, int(wanted["NBANDS"]))
        lines = self._incar(calculation, start, steps_done)
        write_atomic(folder / "INCAR", text(_corrected(lines, folder)))
        write_atomic(folder / "KPOINTS", str(Kpoints.gamma_automatic(calculation.theory.kpoints)))
        write_atomic(
            folder / "POSCAR", Poscar(structure, comment=calculation.model.name).get_str(significant_figures=12)
        )
        write_potcar(_potentials(calculation), folder, library(for_step(calculation)))

    def _incar(self, calculation: Calculation, start: Start, steps_done: int) -> list[Tag]:
        program = program_for(calculation)
        total = ranks(words(program))
        threads = os.environ.get("OMP_NUM_THREADS", "1")
        run = Run(
            _potentials(calculation),
            parallel(total, calculation.theory.kpoints, int(threads) if threads.isdigit() else 1),
            total,
            program=program,
            start=start,
            steps_done=steps_done,
            updates=updates(),
        )
        return incar(calculation, run)

    def _reads_orbitals(self, calculation: Calculation, finished: Path) -> bool:
        head = files.wavecar(finished / "WAVECAR")
        try:
            before = Calculation.from_dict(read_json(finished / "asked.json")["calculation"])
        except (InputError, KeyError, TypeError):
            return False
        if head is None or before.theory.kpoints != calculation.theory.kpoints:
            return False
        mine = {line.name: line.value for line in self._incar(calculation, "scratch", 0)}
        theirs = {line.name: line.value for line in self._incar(before, "scratch", 0)}
        only_gamma = calculation.theory.kpoints == (1, 1, 1)
        # Symmetry decides which k-points are in the file: 2 and 3 leave the same ones.
        same_points = only_gamma or {2: 3}.get(int(mine["ISYM"]), mine["ISYM"]) == {2: 3}.get(
            int(theirs["ISYM"]), theirs["ISYM"]
        )
        gamma_only = program_for(calculation) == "gam"
        return (
            same_points
            and mine["ENCUT"] == theirs["ENCUT"]
            and gamma_only == files.run_state(finished).gamma_only
            and (calculation.theory.spin_orbit or not before.theory.spin_orbit)
        )

    # While it runs

    def progress(self, folder: Path) -> str:
        parts = []
        energies = files.ionic_energies_eV(folder)
        if energies:
            parts.append(f"{len(energies)} ionic steps, {energies[-1]:.3f} eV")
        steps = files.electronic_steps(folder)
        if steps:
            parts.append(f"{steps[-1][0]} step {len(steps)}, dE {steps[-1][1]:.1e} eV")
        return ", ".join(parts)

    def wind_down(self, calculation: Calculation, folder: Path, left_s: float) -> bool:
        """Write a STOPCAR: to end with this geometry if another does not fit, with this electronic step if need be."""
        stopcar = folder / "STOPCAR"
        electronic, ionic = files.longest_steps_s(folder)
        if left_s < LEAD_S + 2 * electronic:
            write_atomic(stopcar, "LABORT = .TRUE.\n")
            return True
        if calculation.task == "relax" and ionic and left_s < LEAD_S + 2 * ionic:
            if not stopcar.exists():
                write_atomic(stopcar, "LSTOP = .TRUE.\n")
            return True
        return False

    def lead_s(self) -> float:
        return LEAD_S

    def advanced(self, calculation: Calculation, folder: Path) -> bool:
        return files.wavecar(folder / "WAVECAR") is not None or bool(files.ionic_energies_eV(folder))

    # After the run

    def read_result(self, calculation: Calculation, folder: Path) -> CalculationResult:
        result = read_result(calculation, folder, n_electrons(calculation.model, _potentials(calculation)))
        provenance = result.provenance.model_copy(update={"command": shlex.join(words(program_for(calculation)))})
        update: dict[str, object] = {"provenance": provenance}
        if result.electronic_structure is not None:
            update["electronic_structure"] = result.electronic_structure.model_copy(update={"provenance": provenance})
        return result.model_copy(update=update)

    def remedy(self, calculation: Calculation, folder: Path, failures: int) -> Calculation | None:
        """Go on once after a crash, or after outputs that cannot be read; not where it would end the same way."""
        state = files.run_state(folder)
        if failures > 1 or files.fatal(folder):
            return None
        unreadable = state.scf_converged and not state.stopped and calculation.task == "static"
        expected = n_electrons(calculation.model, _potentials(calculation))
        miscounted = state.n_electrons is not None and abs(state.n_electrons - expected) > 1e-3
        return calculation if (unreadable or not state.finished) and not miscounted else None


def _potentials(calculation: Calculation) -> list[Potential]:
    settings = for_step(calculation)
    return [potential(element, settings) for element in dict.fromkeys(calculation.model.species)]


def _start(folder: Path, calculation: Calculation, bands: int) -> Start:
    """What is whole in the folder, and fits; what is not is put away, or VASP would read it.

    A WAVECAR with fewer bands than asked for does not fit; one of a collinear run counts twice for spinors.
    VASP rounds NBANDS up to its groups of ranks, so that there may be more.
    """
    head = files.wavecar(folder / "WAVECAR")
    changed = "NBANDS" in files.corrections(folder) or "NBANDS" in by_hand(folder)
    spinors = 2 if calculation.theory.spin_orbit and not changed else 1
    if head is not None and head.bands * spinors >= bands:
        return "wavefunctions"
    (folder / "WAVECAR").unlink(missing_ok=True)
    if files.density_is_whole(folder / "CHGCAR"):
        return "density"
    (folder / "CHGCAR").unlink(missing_ok=True)
    return "scratch"


def _corrected(lines: list[Tag], folder: Path) -> list[Tag]:
    """With what custodian and the user have changed in this folder."""
    named = {line.name: line for line in lines}
    for name, value in files.corrections(folder).items():
        named.pop(name, None)
        if value is not None:
            named[name] = Tag(name, value, "by custodian, after an error")
    for name, value in by_hand(folder).items():
        named[name] = Tag(name, value, f"by {BY_HAND}")
    return list(named.values())
