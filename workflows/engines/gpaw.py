"""GPAW: the open engine with spin-orbit coupling for crystals; pip alone, no root, no MPI."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from midgap.structures.document import copy_atomic, write_atomic
from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines.base import Engine

SETTINGS = ("smearing_eV", "maxiter", "buffer_bands", "unrestricted")
"""What ``engine_settings`` may hold; see `midgap.workflows.engines.gpaw_driver`."""

CUTOFF_EV = 340.0
"""GPAW's own default."""

HARD = frozenset(("H", "B", "C", "N", "O", "F"))
"""Elements whose valence orbitals need more: at 250, 340, 450 and 600 eV the gap of MgO at Γ is 3.09, 4.27, 4.45 and
4.53 eV, where that of NaCl stays within 0.003 (PBE)."""

HARD_CUTOFF_EV = 500.0

START, WAVEFUNCTIONS = "start.gpw", "wavefunctions.gpw"
"""What an earlier run of the same atoms left; the ground state of this one."""


class Gpaw(Engine):
    """PBE, one-shot HSE06 on PBE orbitals, and second-variational spin-orbit coupling on either."""

    name = "gpaw"
    theories = ("pbe", "pbe+soc", "hse06", "hse06+soc")
    periodic = True
    clusters = False
    tasks = ("relax", "static", "forces")
    promotes = True

    def missing(self) -> str | None:
        try:
            version("gpaw")
        except PackageNotFoundError:
            return "GPAW is not installed; build it, without root, with: midgap doctor --install gpaw"
        return None

    def version(self) -> str:
        return version("gpaw")

    def command(self, calculation: Calculation) -> list[str]:
        return [sys.executable, "-m", "midgap.workflows.engines.gpaw_driver"]

    def check(self, calculation: Calculation) -> None:
        super().check(calculation)
        unknown = set(calculation.engine_settings) - set(SETTINGS)
        if unknown:
            raise InputError(f"GPAW has no setting {', '.join(sorted(unknown))}; it has {', '.join(SETTINGS)}.")
        if calculation.task != "static" and calculation.theory.name != "pbe":
            raise InputError(
                f"GPAW computes forces with PBE here, not with {calculation.theory.label}: its other theories give none."
            )
        if calculation.promotion is not None and calculation.theory.name != "pbe":
            raise InputError(f"GPAW promotes electrons with PBE here, not with {calculation.theory.label}.")
        if calculation.theory.screening_per_ang is not None:
            raise InputError("GPAW is used with HSE06's own screening here; leave screening_per_ang out.")
        if calculation.theory.dispersion is not None:
            raise InputError("GPAW is used without dispersion here; for PBE+D3 use --engine cp2k or vasp.")

    def before_promotion(self, calculation: Calculation) -> Calculation:
        settings = {**calculation.engine_settings, "unrestricted": True}
        return super().before_promotion(calculation).model_copy(update={"engine_settings": settings})

    def adopt(self, calculation: Calculation, finished: Path, folder: Path) -> None:
        """Start from the density and wavefunctions that a relaxation ended with.

        They bring their own mesh and cutoff, so only those of the same are taken.
        """
        earlier, start = finished / WAVEFUNCTIONS, folder / START
        if earlier.is_file() and not start.exists() and _same_basis(calculation, finished):
            copy_atomic(earlier, start)

    def write_input(self, calculation: Calculation, folder: Path) -> None:
        calculation.write(folder / "calculation.json")

    def read_result(self, calculation: Calculation, folder: Path) -> CalculationResult:
        result = folder / "gpaw_result.json"
        if result.exists():
            return CalculationResult.read(result)
        failure = folder / "failure.txt"
        if failure.exists():
            raise ComputationError(f"GPAW, {calculation.model.name}: {failure.read_text().strip()}")
        raise ComputationError(
            f"GPAW ended without a result for {calculation.model.name}; the last lines of gpaw.txt and stderr.txt in {folder} say why."
        )

    def progress(self, folder: Path) -> str:
        parts = []
        steps = folder / "relax.jsonl"
        if steps.exists():
            lines = steps.read_text().splitlines()
            with contextlib.suppress(IndexError, ValueError):  # a step is being written
                parts.append(f"relaxed {len(lines)} steps, fmax {json.loads(lines[-1])['fmax_eV_per_ang']:.2f} eV/Å")
        stage = folder / "stage.txt"
        if stage.exists():
            parts.append(stage.read_text().strip())
        log = folder / "gpaw.txt"
        if log.exists() and stage.exists() and stage.read_text().strip() == "SCF":
            with log.open("rb") as stream:
                stream.seek(max(0, log.stat().st_size - 4096))
                tail = stream.read().decode(errors="replace")
            found = re.findall(r"\|iter:\s*(\d+)\|[^|]*\|\s*(-?\d+\.\d+)c?\|", tail)
            if found:
                parts.append(f"iteration {found[-1][0]}, {float(found[-1][1]):.3f} eV")
        return ", ".join(parts)


def _same_basis(calculation: Calculation, finished: Path) -> bool:
    try:
        before = Calculation.read(finished / "calculation.json")
    except InputError:
        return False
    now, then = calculation.theory, before.theory
    if before.promotion is not None and before.promotion != calculation.promotion:
        return False  # an excited state is no start of another state
    return (now.kpoints, now.cutoff_eV, unrestricted(calculation)) == (
        then.kpoints,
        then.cutoff_eV,
        unrestricted(before),
    )


def unrestricted(calculation: Calculation) -> bool:
    """Whether both spins have orbitals of their own and no symmetry is imposed, as for a promoted electron."""
    return calculation.promotion is not None or bool(calculation.engine_settings.get("unrestricted", False))


def usual_cutoff_eV(elements: Iterable[str]) -> float:
    """The plane-wave cutoff of a crystal of these elements, where nothing else is asked."""
    return HARD_CUTOFF_EV if HARD & set(elements) else CUTOFF_EV


def opened(path: Path, convergence: dict[str, Any], log: Any, positions_ang: Any) -> Any:
    """The calculator of a file, to be converged as asked.

    ``GPAW(file, convergence=...)`` goes by what the file was converged to: after a relaxation that is the occupied bands
    alone, and nothing would be computed. Where atoms move, be it in the last digit, GPAW forgets the eigenvalues but not
    the Fermi level, and then looks for the CBM among them: without that level it waits for the first iteration.

    Parameters
    ----------
    positions_ang
        Where the atoms will be in the first calculation, shape (n, 3), Å.
    """
    from gpaw import GPAW

    calc = GPAW(str(path), txt=log)
    calc.dft.change(convergence=convergence)
    if (calc.atoms.positions != positions_ang).any():
        calc.dft.ibzwfs.fermi_levels = None
    return calc


def write_gpw(calc: Any, path: Path) -> None:
    """Density and wavefunctions, whole or not at all."""
    partial = path.with_name(f".{path.name}")
    calc.write(str(partial), mode="all")
    partial.replace(path)


def say(folder: Path, stage: str) -> None:
    """Leave a word on what runs now, for `Gpaw.progress`."""
    write_atomic(folder / "stage.txt", stage + "\n")
