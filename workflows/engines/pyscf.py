"""PySCF: molecular orbitals of clusters, bare or in point charges; wheels only, no compiler."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines.base import Engine

SETTINGS: dict[str, type] = {
    "conv_tol": float,
    "max_cycle": int,
    "grid_level": int,
    "init_guess": str,
    "level_shift": float,
    "damp": float,
    "newton": bool,
    "max_memory": int,
}
"""What ``engine_settings`` may hold, in PySCF's words and units: Ha, MB."""

LOG, RESULT, FAILURE, CHECKPOINT = "pyscf.log", "pyscf_result.json", "failure.txt", "scf.chk"


class Pyscf(Engine):
    """Kohn-Sham in a Gaussian basis with density fitting, and one-shot spin-orbit coupling on it."""

    name = "pyscf"
    theories = ("pbe", "pbe+soc", "hse06", "hse06+soc")
    periodic = False
    clusters = True
    embeds = True

    def missing(self) -> str | None:
        try:
            version("pyscf")
        except PackageNotFoundError:
            return "PySCF is not installed; install it with: pip install 'midgap[pyscf]'"
        return None

    def version(self) -> str:
        return version("pyscf")

    def command(self, calculation: Calculation) -> list[str]:
        # -P: a file called like a module, in the folder, must not be imported in its place.
        return [sys.executable, "-P", "-m", "midgap.workflows.engines.pyscf_driver"]

    def check(self, calculation: Calculation) -> None:
        super().check(calculation)
        model = calculation.model
        if calculation.task == "relax":
            raise InputError(
                f"PySCF does not relax clusters here: {model.name} would leave the crystal it was cut from; "
                "relax the periodic cell, with gpaw, cp2k or vasp, and cut the cluster from that."
            )
        unknown = calculation.engine_settings.keys() - SETTINGS.keys()
        if unknown:
            raise InputError(f"PySCF has no setting {', '.join(sorted(unknown))}; it has {', '.join(SETTINGS)}.")
        for key, value in calculation.engine_settings.items():
            wanted = (int, float) if SETTINGS[key] is float else SETTINGS[key]
            if not isinstance(value, wanted):
                raise InputError(f"PySCF's setting {key} is a {SETTINGS[key].__name__}, not {value!r}.")
        for site in model.structure:
            if 58 <= site.specie.Z <= 71 or site.specie.Z > 86:
                raise InputError(f"PySCF has no basis set for {site.specie.symbol}; use gpaw or vasp.")

    def write_input(self, calculation: Calculation, folder: Path) -> None:
        (folder / FAILURE).unlink(missing_ok=True)
        calculation.write(folder / "calculation.json")

    def read_result(self, calculation: Calculation, folder: Path) -> CalculationResult:
        if (folder / RESULT).exists():
            return CalculationResult.read(folder / RESULT)
        if (folder / FAILURE).exists():
            raise ComputationError(f"PySCF, {calculation.model.name}: {(folder / FAILURE).read_text().strip()}")
        raise ComputationError(
            f"PySCF ended without a result for {calculation.model.name}; {LOG} and stderr.txt in {folder} say how far it came."
        )

    def progress(self, folder: Path) -> str:
        """The last SCF cycle: ``HSE06 grid 2, cycle 4, ΔE 1.2e-05 eV``."""
        path = folder / LOG
        if not path.exists():
            return ""
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 2048))
            lines = stream.read().decode(errors="replace").splitlines()
        return re.sub(r"^\S+ ", "", lines[-1]) if lines else ""

    def remedy(self, calculation: Calculation, folder: Path, failures: int) -> Calculation | None:
        """First a level shift, then the second-order solver; the checkpoint is the guess for both."""
        failure = folder / FAILURE
        if not failure.exists() or "did not converge" not in failure.read_text():
            return None
        gentler: dict[int, dict[str, float | bool | int]] = {
            1: {"level_shift": 0.3, "max_cycle": 150},
            2: {"level_shift": 0.0, "newton": True, "max_cycle": 50},
        }
        if failures not in gentler:
            return None
        return calculation.model_copy(update={"engine_settings": dict(calculation.engine_settings) | gentler[failures]})
