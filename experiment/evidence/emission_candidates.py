"""A computed configuration-coordinate diagram with its line as a candidate."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from midgap.defects.configuration_coordinate import ConfigurationCoordinate
from midgap.defects.emission_study import EmissionReport, emission_report
from midgap.defects.lineshape import FWHM_PER_SIGMA, Lineshape
from midgap.experiment.evidence.candidates import SILENT, Candidate
from midgap.experiment.evidence.lifetimes import TRANSPARENT, Surroundings, radiative, surroundings_of
from midgap.experiment.evidence.polarisation import NO_DIRECTION, POLARISATION
from midgap.experiment.evidence.predictions import CELL, FUNCTIONAL, Prediction, Uncertainty
from midgap.structures.document import read_json

ROOM_TEMPERATURE_K = 300.0
STRONG = 10.0
"""From this Huang-Rhys factor on a line has the width of a reflected vibration; weaker ones have single phonons."""
REFLECTED = (
    "; from the line of the lower state's frequency to the upper state's vibration reflected at the lower one's slope"
)
ONSET = math.sqrt(2.0 * math.log(100.0))
"""So many σ from its maximum a Gaussian line has 1 % of its strength."""
FORCES = Uncertainty(source="functional", note="forces of one theory")
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
    """A configuration-coordinate diagram with its line: maximum, width, Stokes shift, and the lifetime where it was computed.

    The line is the one nearest to room temperature; without one the vertical energy stands for its maximum. A
    refractive index that the emission was given goes before that of ``surroundings``.
    """
    diagram = report.diagram
    lines = {line.temperature_K: line for line in report.lines} | dict.fromkeys(report.dark_K)
    line = lines[min(lines, key=lambda one: abs(one - ROOM_TEMPERATURE_K))] if lines else None
    predictions = [_energy(report, line), _stokes_shift(diagram, line)]
    missing = dict(SILENT) | {POLARISATION: NO_DIRECTION}
    if line is None:
        missing["pl_fwhm_meV"] = "its line reaches below zero energy"
    else:
        predictions.append(_width(report, line))
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


def _energy(report: EmissionReport, line: Lineshape | None) -> Prediction:
    diagram = report.diagram
    how = f"vertical {diagram.emission_eV:.2f} eV, zero-phonon line {report.zero_phonon_line_eV:.2f} eV"
    if line is not None:
        how = f"maximum of the line at {line.temperature_K:g} K, with the rate's E³; {how}"
    return Prediction(
        observable="pl_peak_eV",
        value=_maximum_eV(diagram, line),
        uncertainties=(
            Uncertainty(
                source="corrections and alignment",
                value=diagram.uncertainty_eV,
                note="of the energies of charged cells and of the band edge that the carrier sits at",
            ),
            _from_cell_to_cell(diagram, lambda one: one.emission_eV),
            FUNCTIONAL,
            Uncertainty(source="k-points, cutoff, geometries", note="one of each"),
            Uncertainty(
                source="electron-hole attraction", effect="lowers", note="the carrier is at the band edge, free"
            ),
        ),
        basis="; ".join(part for part in (how, diagram.basis) if part),
    )


def _maximum_eV(diagram: ConfigurationCoordinate, line: Lineshape | None) -> float:
    return diagram.emission_eV if line is None else line.peak_eV


def _stokes_shift(diagram: ConfigurationCoordinate, line: Lineshape | None) -> Prediction:
    """From where the way back up begins to absorb; what both ends are off by, as a gap or a correction, is not in it."""

    def onset_eV(one: ConfigurationCoordinate) -> float:
        return one.absorption_eV - ONSET * one.absorbed_fwhm_eV(ROOM_TEMPERATURE_K) / FWHM_PER_SIGMA

    return Prediction(
        observable="stokes_shift_eV",
        value=onset_eV(diagram) - _maximum_eV(diagram, line),
        uncertainties=(
            _from_cell_to_cell(diagram, lambda one: onset_eV(one) - one.emission_eV),
            FORCES,
            Uncertainty(source="another absorber", effect="lowers", note="what else absorbs and passes carriers on"),
        ),
        basis=(
            f"from {onset_eV(diagram):.2f} eV, where the line of the same transition upwards (vertical {diagram.absorption_eV:.2f} eV, "
            f"{1e3 * diagram.absorbed_fwhm_eV(ROOM_TEMPERATURE_K):.0f} meV wide at {ROOM_TEMPERATURE_K:g} K) has 1 % of its height, "
            "to the maximum of the emission"
        ),
    )


def _width(report: EmissionReport, line: Lineshape) -> Prediction:
    diagram, temperature = report.diagram, line.temperature_K
    phonon, error = diagram.ground.phonon_eV, diagram.ground.phonon_uncertainty_eV
    low, high = sorted(1e3 * width for width in (line.fwhm_eV, diagram.reflected_fwhm_eV(temperature)))
    strong = diagram.huang_rhys_emission > STRONG
    middle = math.sqrt(low * high) if strong else 1e3 * line.fwhm_eV
    return Prediction(
        observable="pl_fwhm_meV",
        value=middle,
        alternatives=np.geomspace(low, high, WIDTHS) if strong else None,
        uncertainties=(
            _from_cell_to_cell(
                diagram, lambda one: middle * math.log(one.reflected_fwhm_eV(temperature)), "ratio to the width in"
            ),
            Uncertainty(
                source="anharmonicity",
                # The width goes with ω^(3/2) at low and with ω at high temperature.
                value=None if error is None else middle * 1.5 * error / phonon,
                note="only the two ends were computed"
                if error is None
                else "of a cubic term through the points between",
            ),
            FORCES,
        ),
        basis=(
            f"Huang-Rhys factor {report.coupling.total:.1f}, mean phonon {1e3 * report.coupling.mean_phonon_eV:.1f} meV, "
            f"at {temperature:g} K{REFLECTED if strong else ''}"
        ),
    )


def _from_cell_to_cell(
    diagram: ConfigurationCoordinate, number: Callable[[ConfigurationCoordinate], float], what: str = "difference to"
) -> Uncertainty:
    """How far a number is from that of the other cell."""
    if diagram.elsewhere is None:
        return Uncertainty(source=CELL, note="one cell")
    return Uncertainty(source=CELL, value=abs(number(diagram) - number(diagram.elsewhere)), note=f"{what} another cell")
