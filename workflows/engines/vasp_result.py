"""The result of a VASP run, or one sentence on why there is none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.calculation import Calculation, CalculationResult
from midgap.workflows.engines import vasp_files as files
from midgap.workflows.engines.vasp_geometry import order, poscar_structure, positions_in_model
from midgap.workflows.engines.vasp_settings import BY_HAND, VaspSettings, by_hand


def read_result(calculation: Calculation, folder: Path, electrons: float) -> CalculationResult:
    """Read what the finished process left.

    Parameters
    ----------
    electrons
        How many there have to be.

    Raises
    ------
    ComputationError
        VASP did not end by itself, had other electrons, did not converge, or wrote outputs that cannot be read.
    """
    model, state = calculation.model, files.run_state(folder)
    if not state.finished:
        raise ComputationError(_why_unfinished(calculation, folder))
    if state.n_electrons is not None and abs(state.n_electrons - electrons) > 1e-3:
        raise ComputationError(
            f"VASP computed {model.name} with {state.n_electrons:g} electrons, not {electrons:g}: its POTCAR has other "
            "potentials than NELECT was counted with."
        )
    done = state.relaxed if calculation.task == "relax" else state.scf_converged
    if state.stopped and not done:
        raise ComputationError(f"{model.name} was stopped by a STOPCAR before it was done; start it again to go on.")
    if not state.scf_converged:
        raise ComputationError(_not_converged(calculation, folder))
    if calculation.task == "relax":
        return _relaxation(calculation, folder, state)
    structure = _electronic_structure(calculation, folder)
    energy = structure.total_energy_eV if structure.total_energy_eV is not None else state.energy_eV
    if energy is None:
        raise ComputationError(f"{folder} holds no total energy.")
    return CalculationResult(
        model=model,
        task="static",
        total_energy_eV=energy,
        electronic_structure=structure,
        provenance=structure.provenance,
    )


def _why_unfinished(calculation: Calculation, folder: Path) -> str:
    name = calculation.model.name
    if reason := files.fatal(folder):
        return f"VASP, {name}: {reason}."
    if said := files.complaint(folder):
        return f"VASP ended before it was done with {name}; it said: {said}"
    return f"VASP ended before it was done with {name}; the ends of OUTCAR and stdout.txt in {folder} may say why."


def _not_converged(calculation: Calculation, folder: Path) -> str:
    steps = files.electronic_steps(folder)
    last = f" after {len(steps)} steps, the energy still changing by {abs(steps[-1][1]):.1e} eV" if steps else ""
    return (
        f"The SCF of {calculation.model.name} with {calculation.theory.label} did not converge{last}; put "
        f"another ALGO or TIME into {folder / BY_HAND} and start again, or see whether charge and spin make sense."
    )


def _relaxation(calculation: Calculation, folder: Path, state: files.RunState) -> CalculationResult:
    model = calculation.model
    energies = files.ionic_energies_eV(folder)
    vacuum = VaspSettings.of(calculation).vacuum_ang
    frac = files.last_geometry(folder, poscar_structure(model, vacuum))
    if frac is None or not energies:
        raise ComputationError(f"{folder} lacks the geometry of {model.name}: CONTCAR or OSZICAR was cut short.")
    fmax = state.max_force_eV_per_ang
    if not state.relaxed:
        reached = f": the largest force is {fmax:.3f} eV/Å" if fmax is not None else ""
        raise ComputationError(
            f"{model.name} was not relaxed after {len(energies)} steps{reached} (asked: "
            f"{calculation.fmax_eV_per_ang:g}); allow more with max_steps."
        )
    return CalculationResult(
        model=model.at(
            positions_in_model(model, frac, vacuum), coordinates=f"relaxed by VASP, {calculation.theory.label}"
        ),
        task="relax",
        total_energy_eV=state.energy_eV if state.energy_eV is not None else energies[-1],
        relaxation_energies_eV=tuple(energies),
        max_force_eV_per_ang=fmax,
        provenance=Provenance(engine="vasp", engine_version=_version(folder), settings=_corrected(folder)),
    )


def _version(folder: Path) -> str:
    with (folder / "OUTCAR").open(errors="replace") as stream:
        found = re.search(r"vasp\.(\S+)", stream.readline())
    return found[1] if found else ""


def _electronic_structure(calculation: Calculation, folder: Path) -> ElectronicStructure:
    """As the parser has it, with the atoms in the model's order and in its frame."""
    from midgap.defects.parsers.vasp import read_vasp

    model = calculation.model
    if not files.ends_with(folder / "vasprun.xml", "</modeling>"):
        raise ComputationError(f"vasprun.xml of {model.name} in {folder} was cut short.")
    try:
        found = read_vasp(folder)
    except InputError as error:
        raise ComputationError(f"{model.name}: {error}") from None
    if found.spinor != calculation.theory.spin_orbit:
        raise ComputationError(f"{folder} holds a run of {model.name} that is not {calculation.theory.label}.")
    back = np.argsort(order(model))
    provenance = found.provenance.model_copy(update={"settings": found.provenance.settings | _corrected(folder)})
    update: dict[str, object] = {"structure": model.structure, "charge": model.charge, "provenance": provenance}
    if found.site_weights is not None:
        update["site_weights"] = found.site_weights[..., back]
    if found.site_potentials_eV is not None:
        update["site_potentials_eV"] = found.site_potentials_eV[back]
    return found.model_copy(update=update)


def _corrected(folder: Path) -> dict[str, str]:
    """What custodian and the user changed in this folder, for the record."""
    found = {"corrected by custodian": files.corrections(folder), f"set by {BY_HAND}": by_hand(folder)}
    return {
        who: ", ".join(f"{name} = {value}" if value is not None else f"no {name}" for name, value in changed.items())
        for who, changed in found.items()
        if changed
    }
