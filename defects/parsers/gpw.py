"""GPAW's own ``.gpw`` files, whoever wrote them: scalar states as they were computed, without spin-orbit coupling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import IStructure, Lattice

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.parsers.vasp_theory import mesh_of
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

FUNCTIONALS = {"PBE": "PBE", "PBESOL": "PBEsol", "LDA": "LDA", "HSE06": "HSE06", "PBE0": "PBE0"}


def read_gpw(path: Path) -> ElectronicStructure:
    """Read a ``.gpw`` file of a converged calculation.

    Raises
    ------
    InputError
        GPAW is not installed, cannot open the file, or its functional has no name here.
    """
    try:
        import gpaw
    except ImportError:
        raise InputError(f"Reading {path} needs GPAW; install it with: midgap doctor --install gpaw.") from None
    from midgap.defects.parsers.gpaw import electronic_structure

    try:
        calc = gpaw.GPAW(str(path), txt=None)
        energy = float(calc.get_potential_energy())
    except Exception as error:  # whatever GPAW says to a file that is none
        raise InputError(f"{path} cannot be read by GPAW ({type(error).__name__}: {error}).") from None
    theory = _theory(calc, path)
    structure = electronic_structure(
        calc,
        _model(calc, path),
        theory,
        (0, calc.eigenvalues().shape[2]),
        None,
        provenance=Provenance(
            engine="gpaw",
            engine_version=gpaw.__version__,
            settings={"functional": _name(calc), "read from": path.name},
        ),
        energy_terms_eV={theory.functional: energy},
    )
    if _converged_bands(calc) == "occupied":
        structure = structure.model_copy(
            update={
                "warnings": (*structure.warnings, "GPAW converged the occupied bands only: the CBM may be too high.")
            }
        )
    return structure


def _parameters(calc: Any) -> dict[str, Any]:
    parameters = calc.parameters
    return parameters.todict() if hasattr(parameters, "todict") else dict(parameters)


def _name(calc: Any) -> str:
    xc = _parameters(calc).get("xc", "LDA")
    return str(xc["name"] if isinstance(xc, dict) else getattr(xc, "name", xc))


def _converged_bands(calc: Any) -> Any:
    return dict(_parameters(calc).get("convergence") or {}).get("bands", "occupied")


def _theory(calc: Any, path: Path) -> LevelOfTheory:
    name = _name(calc)
    functional = FUNCTIONALS.get(name.upper())
    if functional is None:
        raise InputError(f"{path} was computed with {name}; levels are read from {', '.join(FUNCTIONALS.values())}.")
    settings: dict[str, Any] = {"functional": functional, "spin_orbit": False}
    mode = _parameters(calc).get("mode")
    cutoff = mode.get("ecut") if isinstance(mode, dict) else getattr(mode, "ecut", None)
    if cutoff:
        settings["cutoff_eV"] = float(cutoff)
    points = np.asarray(calc.get_bz_k_points(), dtype=float)
    if mesh := mesh_of(points, np.ones(len(points))):
        settings["kpoints"] = mesh
    return LevelOfTheory.from_dict(settings, source=str(path))


def _model(calc: Any, path: Path) -> Model:
    atoms = calc.atoms
    geometry = IStructure(
        Lattice(np.asarray(atoms.cell)),
        atoms.get_chemical_symbols(),
        atoms.positions.tolist(),
        coords_are_cartesian=True,
    )
    return Model(
        name="gpw",
        kind="pristine",
        material=geometry.composition.reduced_formula,
        structure=geometry,
        charge=round(float(_parameters(calc).get("charge", 0.0))),
    )
