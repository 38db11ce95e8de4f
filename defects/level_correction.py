"""Levels of a charged supercell as those of one defect alone."""

from __future__ import annotations

from pymatgen.core import IStructure

from midgap.defects.corrections import (
    ChargeCorrection,
    Dielectric,
    corrected_level_eV,
    extended_fnv,
    image_correction,
    relaxed,
)
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.report import LevelCorrection, LevelReport
from midgap.structures.errors import InputError


def corrected(
    report: LevelReport,
    structure: ElectronicStructure,
    reference: ElectronicStructure | None,
    static: Dielectric,
) -> LevelReport:
    """The report with its levels corrected for the images of the defect and their background.

    Levels that sit at the defect are moved (`midgap.defects.corrections.corrected_level_eV`); shallow ones, whose
    charge is spread over the cell, are not. A neutral cell is given back as it is.

    Parameters
    ----------
    structure, reference
        What the report was made from; the reference is the pristine crystal in the same cell.
    static
        The dielectric tensor that screens the defect's charge: static for relaxed atoms, electronic for atoms
        that stayed as in the crystal.

    Raises
    ------
    InputError
        A cluster, no defect or no pristine crystal, or a tensor that is none.
    """
    if not isinstance(structure.structure, IStructure):
        raise InputError("A cluster has no periodic images: its levels need no screening.")
    if report.defect is None or reference is None:
        raise InputError(
            "Levels are corrected at a defect beside the pristine crystal; give its folder as --reference."
        )
    charges = relaxed(structure.charge, static)
    if structure.charge == 0:
        return report
    correction: ChargeCorrection
    if structure.site_potentials_eV is None or reference.site_potentials_eV is None:
        correction = image_correction(structure.structure.lattice.matrix, charges)
        warning = "There are no site potentials: the levels are corrected for images alone, to leading order."
    else:
        correction = extended_fnv(structure, reference, report.defect.position_ang, static)
        warning = ""
    moved_by = corrected_level_eV(0.0, report.alignment.shift_eV, correction)
    levels = tuple(
        level
        if level.kind == "shallow"
        else level.model_copy(update={"corrected_above_vbm_eV": level.above_vbm_eV + moved_by})
        for level in report.levels
    )
    error = correction.uncertainty_eV
    return report.model_copy(
        update={
            "levels": levels,
            "correction": LevelCorrection(
                method=correction.method,
                dielectric=charges[0].dielectric,
                moved_by_eV=moved_by,
                image_potential_eV=correction.image_potential_eV,
                alignment_eV=correction.alignment_eV,
                uncertainty_eV=None if error is None else error / abs(structure.charge),
            ),
            "warnings": tuple(dict.fromkeys([*report.warnings, *correction.warnings, *filter(None, [warning])])),
        }
    )
