"""The process that runs PySCF on the ``calculation.json`` of its folder.

The recipe: restricted Kohn-Sham, unrestricted if electrons are unpaired, in compact double-zeta bases with
density-fitted Coulomb and exchange integrals; the crystal around a cluster is PySCF's ``mm_charge``;
spin-orbit coupling is one-shot on all orbitals (see `midgap.defects.parsers.pyscf`).

The self-consistent field is first converged loosely on a coarse integration grid, then on the final
one. After a kill it goes on from the orbitals in ``scf.chk``, which PySCF writes in every cycle.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from midgap.defects.electronic_structure import Provenance
from midgap.defects.parsers import pyscf as parser
from midgap.structures.document import write_atomic
from midgap.structures.errors import ComputationError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.structures.units import EV_PER_HARTREE
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines.pyscf import CHECKPOINT, FAILURE, LOG, RESULT, Pyscf

FITTING = "def2-universal-jkfit"
COARSE_GRID, GRID = 1, 2
"""PySCF's grid levels. From 2 to 4 the gap of [PbBr6]⁴⁻ moves by 0.03 meV."""

STUTTGART = ("ecpds10mdfso", "ecpds28mdfso", "ecpds60mdfso")
"""Small-core relativistic potentials with spin-orbit parts, for 10, 28 and 60 electrons."""


class Basis(NamedTuple):
    """Names of PySCF's basis and core potential of an element; no potential is None."""

    basis: str
    potential: str | None = None


def main() -> None:
    """Run the calculation of the current folder; a failure is left in ``failure.txt`` as one sentence."""
    folder = Path.cwd()
    calculation = Calculation.read(folder / "calculation.json")
    (folder / FAILURE).unlink(missing_ok=True)
    use_fast_blas()
    try:
        compute(calculation, folder).write(folder / RESULT)
    except ComputationError as error:
        write_atomic(folder / FAILURE, f"{error}\n")
        raise SystemExit(1) from None
    except MemoryError:
        write_atomic(
            folder / FAILURE, "ran out of memory; give engine_settings max_memory (MB) or a smaller cluster.\n"
        )
        raise


def use_fast_blas() -> None:
    """Tell PySCF's own OpenBLAS what the processor is; call it before PySCF is imported.

    The wheels carry an OpenBLAS of 2018, which takes newer processors for ones without AVX and multiplies
    matrices at less than half the speed.
    """
    cpu = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and cpu.exists() and {"avx2", "fma"} <= set(cpu.read_text().split()):
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")


def compute(calculation: Calculation, folder: Path) -> CalculationResult:
    """Eigenvalues, occupations and site weights of a cluster at the theory asked.

    Raises
    ------
    ComputationError
        The self-consistent field did not converge.
    """
    started = time.monotonic()
    model, theory = calculation.model, calculation.theory
    mol = molecule(model, folder / "pyscf.out", calculation.engine_settings.get("max_memory"))
    mean_field = self_consistent(calculation, mol, folder)
    cautions = []
    if mol.spin:
        square, _ = mean_field.spin_square()
        ideal = mol.spin / 2 * (mol.spin / 2 + 1)
        if square - ideal > 0.1:
            cautions.append(f"the open shell is spin-contaminated: ⟨S²⟩ is {square:.2f}, not {ideal:.2f}")
    highest = float(np.max(np.asarray(mean_field.mo_energy)[np.asarray(mean_field.mo_occ) > 0])) * EV_PER_HARTREE
    if model.embedding is None and highest > 0:
        cautions.append(
            f"the highest electrons are unbound ({highest:+.1f} eV), held by the basis alone: embed the cluster"
        )
    if theory.dispersion is not None:
        cautions.append(f"{theory.dispersion} is left out of the total energy; it moves no level")
    say(folder, "spin-orbit coupling" if theory.spin_orbit else "populations")
    bases = {symbol: basis_of(symbol) for symbol in dict.fromkeys(model.species)}
    provenance = Provenance(
        engine="pyscf",
        engine_version=Pyscf().version(),
        command="python -m midgap.workflows.engines.pyscf_driver",
        settings={
            "functional": functional(theory),
            "basis": ", ".join(f"{symbol} {b.basis}" for symbol, b in bases.items()),
            "core potentials": ", ".join(f"{s} {b.potential}" for s, b in bases.items() if b.potential) or "none",
            "density fitting": FITTING,
            "grid level": str(mean_field.grids.level),
            "spin": "unrestricted" if mol.spin else "restricted",
            "embedding": "none"
            if model.embedding is None
            else model.provenance.get("embedding", f"{len(model.embedding.charges_e)} point charges"),
            **({"spin-orbit": "one-shot on all scalar orbitals"} if theory.spin_orbit else {}),
        },
        wall_time_s=round(time.monotonic() - started, 1),
        peak_memory_MB=round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
        ),
    )
    energy = float(mean_field.e_tot) * EV_PER_HARTREE
    structure = parser.electronic_structure(
        mol,
        parser.Orbitals.of(mean_field),
        theory,
        provenance=provenance,
        embedding=model.embedding,
        empty=calculation.empty_bands,
        total_energy_eV=energy,
        warnings=tuple(cautions),
    )
    say(folder, "done")
    return CalculationResult(
        model=model, task="static", total_energy_eV=energy, electronic_structure=structure, provenance=provenance
    )


def basis_of(symbol: str) -> Basis:
    """Basis and core potential of an element.

    Elements with a correlation-consistent pseudopotential basis (Cu-Kr, Y-Xe, Hf-Rn) take cc-pVDZ-PP,
    and of the Stuttgart potentials with spin-orbit parts the one whose scalar part is the basis' own.
    Up to argon the basis is cc-pVDZ with all electrons; whatever is left takes def2-SVP with its
    potential. The last two have no spin-orbit coupling, which is small for the lightest of them and
    deep in energy for Cs⁺ and its like.
    """
    from pyscf.data.elements import charge
    from pyscf.gto import basis

    if charge(symbol) <= 18:
        return Basis("cc-pvdz")
    if not _exists(basis.load, "cc-pvdz-pp", symbol):
        return Basis("def2-svp", "def2-svp" if _exists(basis.load_ecp, "def2-svp", symbol) else None)
    own = basis.load_ecp("cc-pvdz-pp", symbol)
    for name in STUTTGART:
        if _exists(basis.load_ecp, name, symbol) and _scalar(basis.load_ecp(name, symbol)) == _scalar(own):
            return Basis("cc-pvdz-pp", name)
    return Basis("cc-pvdz-pp", "cc-pvdz-pp")


def _exists(load: Callable[[str, str], Any], name: str, symbol: str) -> bool:
    from pyscf.lib.exceptions import BasisNotFoundError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PySCF advises to look for it elsewhere
            return bool(load(name, symbol))
    except (BasisNotFoundError, KeyError):
        return False


def _scalar(potential: Any) -> Any:
    """A core potential without its spin-orbit coefficients, in an order that can be compared."""
    core, terms = potential
    return core, {
        angular: sorted((power, *np.round(term[:2], 5)) for power, row in enumerate(rows) for term in row)
        for angular, rows in terms
    }


def molecule(model: Model, output: Path, max_memory: Any = None) -> Any:
    """PySCF's ``Mole``: the atoms, then the ghosts, which carry functions but no charge."""
    from pyscf import gto

    atoms = list(zip(model.species, model.positions_ang.tolist(), strict=True))
    ghosts = [] if model.ghosts is None else [(site.specie.symbol, site.coords.tolist()) for site in model.ghosts]
    bases = {symbol: basis_of(symbol) for symbol, _ in atoms + ghosts}
    return gto.M(
        atom=atoms + [(f"GHOST-{symbol}", position) for symbol, position in ghosts],
        basis={symbol: bases[symbol].basis for symbol, _ in atoms}
        | {f"GHOST-{symbol}": gto.basis.load(bases[symbol].basis, symbol) for symbol, _ in ghosts},
        ecp={symbol: bases[symbol].potential for symbol, _ in atoms if bases[symbol].potential},
        charge=model.charge,
        spin=model.unpaired_electrons,
        verbose=4,
        output=str(output),
        **({"max_memory": max_memory} if max_memory else {}),  # otherwise PYSCF_MAX_MEMORY, or 4 GB
    )


def functional(theory: LevelOfTheory) -> str:
    """PySCF's name of the functional.

    HSE06 differs from PBE only by its exchange at short range, in proportion to the fraction of exact
    exchange, so another fraction is a mixture of the two.
    """
    if theory.functional == "PBE":
        return "PBE"
    if theory.exact_exchange is None:
        return "HSE06"
    share = theory.exact_exchange / 0.25
    return f"{share:.6f}*HSE06 + {1 - share:.6f}*GGA_X_PBE + {1 - share:.6f}*GGA_C_PBE"


def self_consistent(calculation: Calculation, mol: Any, folder: Path) -> Any:
    """The converged mean field.

    Raises
    ------
    ComputationError
        It did not converge.
    """
    from pyscf import dft, qmmm

    say(folder, "integrals")
    model, settings = calculation.model, calculation.engine_settings
    kind = dft.UKS if mol.spin else dft.RKS
    mean_field = kind(mol, xc=functional(calculation.theory)).density_fit(auxbasis=FITTING)
    if model.embedding is not None:
        mean_field = qmmm.mm_charge(mean_field, model.embedding.positions_ang, model.embedding.charges_e, unit="Ang")
    core = mean_field.get_hcore()  # thousands of charges: once, not in each stage
    mean_field._keys = mean_field._keys | {"get_hcore"}  # tells PySCF that this is meant
    mean_field.get_hcore = lambda *_: core
    # All in memory and from the orbitals: a fraction of the cost of incremental builds.
    mean_field.with_df.build()
    mean_field.direct_scf = False
    mean_field.level_shift = float(settings.get("level_shift", 0.0))
    mean_field.damp = float(settings.get("damp", 0.0))
    mean_field.max_cycle = int(settings.get("max_cycle", 100))
    density = restart_density(folder / CHECKPOINT, mean_field)
    if density is None:
        density = mean_field.get_init_guess(key=str(settings.get("init_guess", "atom")))
    mean_field.chkfile = str(folder / CHECKPOINT)
    final = int(settings.get("grid_level", GRID))
    stages = [(COARSE_GRID, 1e-5, 1e-3)] if final > COARSE_GRID and not settings.get("newton") else []
    tolerance = float(settings.get("conv_tol", 1e-7))
    for grid, energy, gradient in [*stages, (final, tolerance, 1e-4)]:
        mean_field.grids.level = grid
        mean_field.grids.coords = mean_field.grids.non0tab = None
        mean_field.conv_tol, mean_field.conv_tol_grad = energy, gradient
        mean_field.conv_check = bool(mean_field.level_shift) and grid == final  # one cycle more, without the shift
        solver = mean_field.newton() if settings.get("newton") else mean_field
        solver.callback = reporter(folder, f"{calculation.theory.functional} grid {grid}")
        solver.kernel(dm0=density)
        if not solver.converged and grid == final:
            raise ComputationError(
                f"the SCF did not converge in {mean_field.max_cycle} cycles; "
                "try engine_settings level_shift=0.3, damp=0.3 or newton=True: it goes on from the last orbitals."
            )
        density = solver.make_rdm1()
        if solver is not mean_field:
            for name in ("mo_energy", "mo_coeff", "mo_occ", "e_tot", "converged"):
                setattr(mean_field, name, getattr(solver, name))
    return mean_field


def restart_density(path: Path, mean_field: Any) -> np.ndarray | None:
    """Density matrix of the orbitals of an earlier run, or None if there are none that fit; a broken file goes.

    PySCF's own reader evaluates strings of the file; here only arrays are read.
    """
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path, "r") as file:
            coefficients = np.asarray(file["scf/mo_coeff"][()])
            occupations = np.asarray(file["scf/mo_occ"][()])
    except (OSError, KeyError):  # none, or a kill cut it short: PySCF could not write to such a file
        path.unlink(missing_ok=True)
        return None
    spins = (2,) if mean_field.mol.spin else ()
    if coefficients.shape[:-1] != (*spins, mean_field.mol.nao) or round(occupations.sum()) != mean_field.mol.nelectron:
        return None
    return mean_field.make_rdm1(coefficients, occupations)


def reporter(folder: Path, stage: str) -> Callable[[dict[str, Any]], None]:
    """PySCF's callback: a line for each cycle."""

    def report(state: dict[str, Any]) -> None:
        change = (state["e_tot"] - state["last_hf_e"]) * EV_PER_HARTREE if "last_hf_e" in state else float("nan")
        say(folder, f"{stage}, cycle {state.get('cycle', state.get('imacro', 0)) + 1}, ΔE {change:.1e} eV")

    return report


def say(folder: Path, line: str) -> None:
    """Add a line with the time to the log."""
    with (folder / LOG).open("a") as log:
        log.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {line}\n")


if __name__ == "__main__":
    main()
