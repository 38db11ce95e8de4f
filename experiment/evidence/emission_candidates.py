"""A computed configuration-coordinate diagram with its line as a candidate."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from midgap.defects.configuration_coordinate import CORRECTIONS, FWHM_PER_SIGMA, ConfigurationCoordinate
from midgap.defects.emission_study import EmissionReport, emission_report
from midgap.experiment.evidence.candidates import SILENT, Candidate
from midgap.experiment.evidence.lifetimes import TRANSPARENT, Surroundings, radiative, surroundings_of
from midgap.experiment.evidence.polarisation import NO_DIRECTION, POLARISATION
from midgap.experiment.evidence.predictions import Prediction, Uncertainty
from midgap.structures.document import read_json

ROOM_TEMPERATURE_K = 300.0
STRONG = 10.0
"""From this Huang-Rhys factor on a line has the width of a reflected vibration; weaker ones have single phonons."""
REFLECTED = (
    "; from the line of the lower state's frequency to the upper state's vibration reflected at the lower one's slope"
)
OF_CELLS = {
    CORRECTIONS: "of the energies of charged cells and of the band edge that the carrier sits at",
    "size of the cell": "beyond the corrections",
}
"""Errors of energies in supercells; one of them may be known."""
ONSET = math.sqrt(2.0 * math.log(100.0))
"""So many σ from its maximum a Gaussian line has 1 % of its strength."""
WIDTHS = 5
"""So many widths stand for all between the two estimates."""


def read_emission(path: Path) -> EmissionReport:
    """What ``midgap emission --json`` printed, or the diagram or study it is made from.

    Raises
    ------
    InputError
        The file is none of them.
    """
    data = read_json(path)
    if isinstance(data, dict) and data.get("schema") == EmissionReport.schema_name():
        return EmissionReport.from_dict(data, source=str(path))
    return emission_report(path, (0.0, ROOM_TEMPERATURE_K))


def from_emission(
    report: EmissionReport, name: str, label: str = "", surroundings: Surroundings = TRANSPARENT
) -> Candidate:
    """A configuration-coordinate diagram with its line: peak, width, and the lifetime where it was computed.

    The line is the one nearest to room temperature; without one the vertical energy is all that is predicted. A
    refractive index that the emission was given goes before that of ``surroundings``.
    """
    diagram = report.diagram
    lines = {line.temperature_K: line for line in report.lines} | dict.fromkeys(report.dark_K)
    line = lines[min(lines, key=lambda one: abs(one - ROOM_TEMPERATURE_K))] if lines else None
    zero = f"zero-phonon line {report.zero_phonon_line_eV:.2f} eV"
    phonon, error = diagram.ground.phonon_eV, diagram.ground.phonon_uncertainty_eV
    # The width goes with ω^(3/2) at low and with ω at high temperature.
    relative = None if error is None else 1.5 * error / phonon
    energy = Prediction(
        observable="pl_peak_eV",
        value=diagram.emission_eV if line is None else line.peak_eV,
        uncertainties=(
            Uncertainty(
                source=diagram.uncertainty_source,
                value=diagram.uncertainty_eV,
                note=OF_CELLS.get(diagram.uncertainty_source, ""),
            ),
            Uncertainty(source="functional", note="how far the theory is off is not known from one theory"),
            *(
                Uncertainty(source=source, note=note)
                for source, note in OF_CELLS.items()
                if source != diagram.uncertainty_source
            ),
            Uncertainty(
                source="electron-hole attraction", effect="lowers", note="the carrier is at the band edge, free"
            ),
        ),
        basis=(f"vertical, {zero}" if line is None else f"maximum of the line at {line.temperature_K:g} K, {zero}")
        + (f"; {diagram.basis}" if diagram.basis else ""),
    )
    predictions, missing = [energy, _absorption(diagram, energy)], dict(SILENT) | {POLARISATION: NO_DIRECTION}
    if line is None:
        missing["pl_fwhm_meV"] = "its line reaches below zero energy"
    else:
        low, high = sorted(1e3 * width for width in (line.fwhm_eV, diagram.reflected_fwhm_eV(line.temperature_K)))
        strong = diagram.huang_rhys_emission > STRONG
        middle = math.sqrt(low * high) if strong else 1e3 * line.fwhm_eV
        width = Prediction(
            observable="pl_fwhm_meV",
            value=middle,
            alternatives=np.geomspace(low, high, WIDTHS) if strong else None,
            uncertainties=(
                Uncertainty(
                    source="anharmonicity",
                    value=None if relative is None else middle * relative,
                    note="what a cubic term would change of the effective mode, 1.5 times its relative error",
                ),
                Uncertainty(source="functional", note="forces of one theory"),
            ),
            basis=(
                f"Huang-Rhys factor {report.coupling.total:.1f}, mean phonon {1e3 * report.coupling.mean_phonon_eV:.1f} meV, "
                f"at {line.temperature_K:g} K{REFLECTED if strong else ''}"
            ),
        )
        predictions.append(width)
    if report.lifetime is not None:
        given = report.lifetime.refractive_index
        around = surroundings if given == 1 else surroundings_of("", given)
        strength = Uncertainty(source="oscillator strength", note="as given to the emission")
        found = report.lifetime
        predictions.append(radiative(found.energy_eV, found.oscillator_strength, around, (strength,)))
    else:
        missing["tau_av_ns"] = "no oscillator strength was given to the emission"
    states = (diagram.excited_label, diagram.ground_label)
    return Candidate(
        name=name,
        label=label or (f"emission {' → '.join(states)}" if all(states) else name),
        origin="emission",
        description="Recombination with the carrier at the band edge, by the configuration-coordinate diagram.",
        predictions=tuple(predictions),
        not_predicted=missing,
    )


def _absorption(diagram: ConfigurationCoordinate, energy: Prediction) -> Prediction:
    """Where the way back up begins to absorb, as uncertain as the emission."""
    width = diagram.absorbed_fwhm_eV(ROOM_TEMPERATURE_K)
    return Prediction(
        observable="absorption_eV",
        value=diagram.absorption_eV - ONSET * width / FWHM_PER_SIGMA,
        uncertainties=energy.uncertainties,
        basis=(
            f"where the line of the same transition upwards, vertical {diagram.absorption_eV:.2f} eV, {1e3 * width:.0f} meV wide "
            f"at {ROOM_TEMPERATURE_K:g} K, has 1 % of its strength"
        ),
    )
