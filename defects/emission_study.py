"""A study of an emission, written by a person as one JSON file that names the folders of its points."""

from __future__ import annotations

from pathlib import Path

from pydantic import PositiveFloat

from midgap.defects.band_edges import band_edges
from midgap.defects.configuration_coordinate import ConfigurationCoordinate
from midgap.defects.emission import Host, PathPoint, Screening, emission_diagram
from midgap.defects.lineshape import Coupling, Lineshape, NoLight, lineshape
from midgap.defects.nonradiative import Capture, capture
from midgap.defects.parsers import read_folder
from midgap.defects.radiative import RadiativeLifetime, radiative_lifetime
from midgap.defects.site import DefectSite, find_defect
from midgap.defects.vibrations import Modes, PartialCoupling, couple, read_phonopy
from midgap.structures.document import Document, read_json
from midgap.structures.errors import InputError


class EmissionStudy(Document):
    """Folders of static calculations, relative to the file.

    Attributes
    ----------
    host
        The pristine crystal in the same cell.
    ground, excited
        Folder by fraction of the way from that state's own relaxed geometry, ``"0"``, to the other's, ``"1"``.
    screening
        For the corrections of charged cells.
    vbm_eV, cbm_eV
        Instead of those of the host's calculation: of a better theory, on the same scale.
    edge_uncertainty_eV
        Of those edges.
    """

    host: str
    ground: dict[float, str]
    excited: dict[float, str]
    screening: Screening | None = None
    vbm_eV: float | None = None
    cbm_eV: float | None = None
    edge_uncertainty_eV: PositiveFloat | None = None

    def diagram(self, beside: Path) -> ConfigurationCoordinate:
        """The configuration-coordinate diagram.

        Raises
        ------
        InputError
            A folder cannot be read, or the points do not make a diagram.
        """
        crystal = read_folder(beside / self.host).electronic_structure
        edges = band_edges(crystal)
        states = [
            [
                PathPoint(fraction=fraction, electronic_structure=read_folder(beside / folder).electronic_structure)
                for fraction, folder in state.items()
            ]
            for state in (self.ground, self.excited)
        ]
        site = self._site(beside)
        return emission_diagram(
            states[0],
            states[1],
            Host(
                electronic_structure=crystal,
                vbm_eV=edges.vbm_eV if self.vbm_eV is None else self.vbm_eV,
                cbm_eV=edges.cbm_eV if self.cbm_eV is None else self.cbm_eV,
                uncertainty_eV=self.edge_uncertainty_eV,
            ),
            site.position_ang,
            self.screening,
        )

    def coupling(self, beside: Path, modes: Modes) -> PartialCoupling:
        """How the way from one geometry to the other divides among modes of the ground state."""
        ground, excited = (
            read_folder(beside / _own(state)).electronic_structure for state in (self.ground, self.excited)
        )
        return couple(modes, ground.structure, excited.structure)

    def _site(self, beside: Path) -> DefectSite:
        finished = read_folder(beside / _own(self.ground))
        if finished.vacancy is not None:
            return DefectSite.of(finished.vacancy)
        found = find_defect(finished.electronic_structure, read_folder(beside / self.host).electronic_structure)
        if found is None:
            raise InputError(f"{_own(self.ground)} holds the same atoms as the host: there is no defect in it.")
        return found


def _own(state: dict[float, str]) -> str:
    if 0.0 not in state:
        raise InputError('The study lacks the folder at "0", the relaxed geometry, of a state.')
    return state[0.0]


def read_diagram(path: Path) -> ConfigurationCoordinate:
    """A diagram as a flow or `midgap emission --json` left it, or the one of a study.

    Raises
    ------
    InputError
        The file is neither.
    """
    data = read_json(path)
    if isinstance(data, dict) and data.get("schema") == ConfigurationCoordinate.schema_name():
        return ConfigurationCoordinate.from_dict(data, source=str(path))
    return EmissionStudy.from_dict(data, source=str(path)).diagram(path.parent)


def read_coupling(path: Path, diagram: ConfigurationCoordinate, modes: Path | None) -> tuple[Coupling, tuple[str, ...]]:
    """The effective mode of a diagram, or the partial coupling of a study to the modes of a file; with warnings.

    Parameters
    ----------
    modes
        midgap's own `Modes`, or a ``phonopy.yaml`` with force constants.

    Raises
    ------
    InputError
        Modes were given for a diagram, which has no geometries.
    """
    if modes is None:
        return Coupling.of(diagram.ground.phonon_eV, diagram.huang_rhys_emission), ()
    data = read_json(path)
    if isinstance(data, dict) and data.get("schema") == ConfigurationCoordinate.schema_name():
        raise InputError(f"{path} is a diagram, without geometries that modes could be held against; give the study.")
    found = Modes.read(modes) if modes.suffix in (".json", ".gz") else read_phonopy(modes)
    partial = EmissionStudy.from_dict(data, source=str(path)).coupling(path.parent, found)
    return partial.coupling, (*found.warnings, *partial.warnings)


class EmissionReport(Document):
    """What a defect emits, by its diagram and the modes it couples to.

    Attributes
    ----------
    lines
        The emission at each temperature, from the zero-phonon line.
    dark_K
        Temperatures at which it would reach below zero energy, and is left out.
    lifetime
        Radiative, at the mean energy of the first line; None where no oscillator strength was given or there is no line.
    capture
        Without light, at the temperatures above zero; None where no coupling was given.
    """

    diagram: ConfigurationCoordinate
    zero_phonon_line_eV: float
    coupling: Coupling
    lines: tuple[Lineshape, ...]
    dark_K: tuple[float, ...] = ()
    lifetime: RadiativeLifetime | None = None
    capture: Capture | None = None
    warnings: tuple[str, ...] = ()


def emission_report(
    path: Path,
    temperatures_K: tuple[float, ...],
    *,
    modes: Path | None = None,
    zero_phonon_line_eV: float | None = None,
    sigma_eV: float | None = None,
    oscillator_strength: float | None = None,
    refractive_index: float = 1.0,
    coupling_eV: float | None = None,
    volume_ang3: float | None = None,
) -> EmissionReport:
    """The report of a study or a diagram.

    Parameters
    ----------
    path
        See `read_diagram`.
    modes
        See `read_coupling`.
    zero_phonon_line_eV
        Instead of the diagram's: from a better theory.
    sigma_eV
        See `midgap.defects.lineshape.lineshape`.
    oscillator_strength, refractive_index
        For the lifetime: of the emission, as `midgap levels` gives it, and of the surroundings.
    coupling_eV, volume_ang3
        For the capture without light: see `midgap.defects.nonradiative.capture`.

    Raises
    ------
    InputError
        The file is no study, or a coupling comes without its volume or a temperature.
    """
    diagram = read_diagram(path)
    coupling, warnings = read_coupling(path, diagram, modes)
    zero = diagram.zero_phonon_line_eV if zero_phonon_line_eV is None else zero_phonon_line_eV
    lines: list[Lineshape] = []
    dark: list[float] = []
    for t in temperatures_K:
        try:
            lines.append(lineshape(zero, coupling, temperature_K=t, sigma_eV=sigma_eV))
        except NoLight as error:
            dark.append(t)
            warnings = (*warnings, f"No line at {t:g} K: {error}")
    lifetime = None
    if oscillator_strength is not None and lines:
        lifetime = radiative_lifetime(lines[0].mean_eV, oscillator_strength, refractive_index)
    captured = None
    if coupling_eV is not None:
        warm = [t for t in temperatures_K if t > 0]
        if volume_ang3 is None or not warm or coupling_eV <= 0 or volume_ang3 <= 0:
            raise InputError(
                "Capture without light needs a coupling and the volume of its cell, both positive, and a temperature above "
                "zero."
            )
        captured = capture(diagram, coupling_eV, volume_ang3, warm, zero_phonon_line_eV=zero)
    return EmissionReport(
        diagram=diagram,
        zero_phonon_line_eV=zero,
        coupling=coupling,
        lines=tuple(lines),
        dark_K=tuple(dark),
        lifetime=lifetime,
        capture=captured,
        warnings=(*diagram.warnings, *warnings),
    )
