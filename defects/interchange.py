"""Results as the documents of pymatgen and atomate2, tags included, so that `monty.serialization.loadfn` opens them.

Only written, never read: what tags would have imported is for the program that opens the file to decide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition, IMolecule, IStructure, Structure
from pymatgen.entries.computed_entries import ComputedEntry, ComputedStructureEntry

from midgap.defects.configuration_coordinate import delta_q
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.emission_study import EmissionStudy
from midgap.defects.findings import Finding
from midgap.defects.formation import DefectEnergy, FormationEnergies
from midgap.defects.formation_study import FormationStudy
from midgap.defects.parsers import read_folder
from midgap.structures.errors import InputError


def computed_entry(finding: Finding) -> ComputedStructureEntry:
    """A crystal, its energy and what was found in it as pymatgen's ``ComputedStructureEntry``.

    Under ``data``: gap, edges, charge, levels; ``level_report`` is all of it. Energies of different engines or
    settings are not on one scale: ``parameters`` names both.

    Raises
    ------
    InputError
        It is a cluster, or has no total energy.
    """
    report = finding.report
    if not isinstance(finding.geometry, IStructure):
        raise InputError(f"{finding.name} is a cluster; pymatgen's ComputedStructureEntry holds crystals.")
    return ComputedStructureEntry(
        _structure(finding.geometry),
        finding.energy_eV,
        parameters={
            "engine": report.engine,
            "engine_version": report.provenance.engine_version,
            "theory": report.theory.label,
            "settings": dict(report.provenance.settings),
        },
        data={
            "label": report.label,
            "charge": report.charge,
            "band_gap": report.gap_eV,
            "vbm": report.vbm_eV,
            "cbm": report.cbm_eV,
            "levels_above_vbm_eV": [level.above_vbm_eV for level in report.levels],
            "level_report": report.to_dict(),
        },
        entry_id=finding.name,
    )


def formation_documents(study_file: Path | str) -> list[dict[str, Any]]:
    """A `FormationStudy` as atomate2's ``FormationEnergyDiagramDocument``, one a defect.

    Its ``as_formation_energy_diagram`` needs pymatgen-analysis-defects, which makes of it the formation energies
    that `FormationEnergies` gives. Defects are named, not drawn (``NamedDefect``): name and exchanged atoms.

    Raises
    ------
    InputError
        As of `FormationStudy.energies`.
    """
    path = Path(study_file)
    study, beside = FormationStudy.read(path), path.parent
    region = study.region(beside)
    energies = study.energies(beside, region)[0]
    phases = [ComputedEntry(Composition(phase.formula), phase.energy_eV) for phase in region.phases]
    host = read_folder(beside / study.host).electronic_structure
    bulk = ComputedStructureEntry(_structure(host.structure), energies.defects[0].host_energy_eV, entry_id=study.host)
    return [
        {
            "@module": "atomate2.common.schemas.defects",
            "@class": "FormationEnergyDiagramDocument",
            "bulk_entry": bulk.as_dict(),
            "defect_entries": [_defect_entry(state, energies, beside) for state in energies.states(name)],
            "pd_entries": [phase.as_dict() for phase in phases],
            "vbm": energies.vbm_eV,
            "band_gap": energies.gap_eV,
            "inc_inf_values": False,
            "bulk_sc_dir": study.host,
            "defect_sc_dirs": {str(state.charge): state.source for state in energies.states(name)},
            "dielectric": None if study.screening is None else _number_or_tensor(study.screening.static),
        }
        for name in energies.names
    ]


def _defect_entry(state: DefectEnergy, energies: FormationEnergies, beside: Path) -> dict[str, Any]:
    cell = read_folder(beside / state.source).electronic_structure
    entry = ComputedStructureEntry(_structure(cell.structure), state.energy_eV, entry_id=state.source)
    return {
        "@module": "pymatgen.analysis.defects.thermo",
        "@class": "DefectEntry",
        "defect": {
            "@module": "pymatgen.analysis.defects.core",
            "@class": "NamedDefect",
            "name": state.name,
            "bulk_formula": energies.host,
            "element_changes": state.exchanged,
        },
        "charge_state": state.charge,
        "sc_entry": entry.as_dict(),
        "corrections": {"midgap": state.correction_eV},
        "corrections_metadata": {},
        "sc_defect_frac_coords": None,
        "bulk_entry": None,
        "entry_id": state.source,
    }


def configuration_document(study_file: Path | str) -> dict[str, Any]:
    """An `EmissionStudy` as atomate2's ``CCDDocument``: 1 is the ground state, 2 the excited one.

    ``distortions`` are Q in amu^½ Å from the ground state's geometry, the drift of the whole taken out, which atomate2
    leaves in; energies are total energies, neither corrected for images nor with the carrier, which is not in that
    document.

    Raises
    ------
    InputError
        A folder cannot be read, or a state's own geometry (fraction 0) is not there.
    """
    path = Path(study_file)
    study = EmissionStudy.read(path)
    states: list[dict[float, tuple[str, ElectronicStructure]]] = []
    for which, folders in (("ground", study.ground), ("excited", study.excited)):
        if 0.0 not in folders:
            raise InputError(f'{path}: the {which} state lacks the folder of its own geometry, "0".')
        states.append(
            {f: (folder, read_folder(path.parent / folder).electronic_structure) for f, folder in folders.items()}
        )
    ground, excited = (state[0.0][1] for state in states)
    span = delta_q(ground.structure, excited.structure)
    found: dict[str, Any] = {"@module": "atomate2.common.schemas.defects", "@class": "CCDDocument"}
    for number, (state, own) in enumerate(zip(states, (ground, excited), strict=True), 1):
        places = {(f if number == 1 else 1.0 - f) * span: point for f, point in state.items()}
        order = sorted(places)
        energies = [places[q][1].total_energy_eV for q in order]
        if None in energies:
            raise InputError(f"{places[order[energies.index(None)]][0]} has no total energy.")
        found |= {
            f"q{number}": own.charge,
            f"structure{number}": _structure(own.structure).as_dict(),
            f"distortions{number}": order,
            f"energies{number}": energies,
            f"static_dirs{number}": [places[q][0] for q in order],
            f"relaxed_index{number}": order.index(0.0 if number == 1 else span),
        }
    return found


def _number_or_tensor(dielectric: Any) -> float | list[list[float]]:
    values = np.asarray(dielectric, dtype=float)
    return float(values) if values.ndim == 0 else (np.diag(values) if values.ndim == 1 else values).tolist()


def _structure(geometry: IStructure | IMolecule) -> Structure:
    """As pymatgen's mutable one; the charge stands beside it, for pymatgen warns of one without oxidation states."""
    if not isinstance(geometry, IStructure):
        raise InputError("A cluster has no place in a document of periodic defects.")
    return Structure.from_sites(list(geometry))
