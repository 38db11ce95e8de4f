"""Level reports as a database of ASE: one row a model, so that gaps and levels can be selected by."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pymatgen.core import IMolecule, IStructure

from midgap.defects.findings import Finding
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError

SUFFIXES = (".db", ".json")


def write_ase_database(findings: Iterable[Finding], path: Path | str) -> Path:
    """Write a new database (SQLite or JSON, by the file's ending), whole or not at all.

    A row holds the atoms, the total energy, as key-value pairs what `key_value_pairs` says, and the whole
    `LevelReport` under ``data["level_report"]``.

    Raises
    ------
    InputError
        The ending is neither ``.db`` nor ``.json``.
    """
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect

    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: databases of ASE end in {' or '.join(SUFFIXES)}.")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"new{path.suffix}"
        with connect(made) as database:
            for finding in findings:
                atoms = _atoms(finding.geometry)
                if finding.report.total_energy_eV is not None:
                    atoms.calc = SinglePointCalculator(atoms, energy=finding.report.total_energy_eV)
                data = {"level_report": finding.report.to_dict()}
                database.write(atoms, key_value_pairs=key_value_pairs(finding), data=data)
        return write_atomic(path, made.read_bytes())


def _atoms(geometry: IStructure | IMolecule) -> Any:
    from ase import Atoms

    cell = geometry.lattice.matrix if isinstance(geometry, IStructure) else None
    return Atoms([site.specie.symbol for site in geometry], geometry.cart_coords, cell=cell, pbc=cell is not None)


def key_value_pairs(finding: Finding) -> dict[str, Any]:
    """What a row is selected by: model, theory, gap, and each level as ``level1_above_vbm_eV`` and its kind.

    Only what is known: ASE has no word for null. ``vbm_eV`` and the levels' energies are on the scale of the row's
    own calculation.
    """
    report, model = finding.report, finding.model
    pairs: dict[str, Any] = {
        "model": finding.name,
        "engine": report.engine,
        "theory": report.theory.name,
        "total_charge": report.charge,
        "gap_eV": report.gap_eV,
        "vbm_eV": report.vbm_eV,
        "cbm_eV": report.cbm_eV,
        "alignment": report.alignment.method,
        "n_levels": len(report.levels),
    }
    if model is not None:
        pairs |= {"kind": model.kind, "material": model.material}
    if report.defect is not None and report.defect.label:
        pairs["defect"] = report.defect.label
    for i, level in enumerate(report.levels, 1):
        pairs |= {
            f"level{i}_above_vbm_eV": level.above_vbm_eV,
            f"level{i}_occupation": level.occupation,
            f"level{i}_kind": level.kind,
            f"level{i}_defect_weight": level.localization.defect_weight,
        }
    return {name: value for name, value in pairs.items() if value is not None and not _reads_as_number(value)}


def _reads_as_number(value: Any) -> bool:
    """A text that ASE would refuse, because it could be taken for a number or a truth value."""
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return value in ("True", "False", "")
    return True
