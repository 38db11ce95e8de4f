"""What a page shows beside levels, records and their comparison, and which files all of it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from midgap.defects.densities import StateDensity
from midgap.defects.emission_study import EmissionReport
from midgap.experiment.curves import ParticleCurves
from midgap.experiment.spectral_lines import Line
from midgap.structures.document import Document
from midgap.structures.file_names import files_ending


class InputFile(Document):
    """A file that a page was made from.

    Attributes
    ----------
    role
        What was in it: ``levels``, ``records``, ``curves``...
    sha256
        Of its bytes.
    """

    role: str
    name: str
    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, role: str, path: Path | str) -> InputFile:
        """A file as it is now."""
        content = Path(path).read_bytes()
        return cls(role=role, name=str(path), sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


class MeasuredSpectrum(Document):
    """An emission line as measured, with its fit, and where it was read."""

    name: str
    line: Line


@dataclass(frozen=True)
class Exhibits:
    """All that is optional; a page without any still answers."""

    curves: tuple[ParticleCurves, ...] = ()
    densities: tuple[StateDensity, ...] = ()
    emissions: tuple[EmissionReport, ...] = ()
    spectra: tuple[MeasuredSpectrum, ...] = ()
    files: tuple[InputFile, ...] = ()


def density_files(paths: Sequence[Path | str]) -> list[Path]:
    """The files themselves, and all ``*.density.json`` in folders.

    Raises
    ------
    InputError
        A folder holds none.
    """
    return files_ending(paths, ".density.json", "`midgap levels --density` writes them")


def read_densities(paths: Sequence[Path | str]) -> list[StateDensity]:
    """From files, and from all ``*.density.json`` in folders, each once and in order.

    Raises
    ------
    InputError
        A folder holds none, or a file is of another kind.
    """
    return [StateDensity.read(path) for path in density_files(paths)]


def read_spectra(paths: Sequence[Path | str], unit: str | None = None) -> list[MeasuredSpectrum]:
    """Emission spectra with the fit of their line.

    Raises
    ------
    InputError
        A file is no spectrum, or has no line.
    """
    from midgap.experiment.spectra import read_spectrum
    from midgap.experiment.spectral_lines import emission_fields

    return [
        MeasuredSpectrum(name=Path(path).name, line=emission_fields(read_spectrum(path, unit=unit))[1])
        for path in paths
    ]


def read_exhibits(
    *,
    curves: Sequence[Path] = (),
    densities: Sequence[Path] = (),
    emissions: Sequence[Path] = (),
    spectra: Sequence[Path] = (),
    others: Sequence[tuple[str, Path]] = (),
) -> Exhibits:
    """Everything from its files; ``others`` are only named, by what they held.

    Raises
    ------
    InputError
        A file cannot be read, or is of another kind.
    """
    from midgap.experiment.curves import curve_files, read_curves
    from midgap.experiment.evidence.emission_candidates import read_emission

    roles = [
        *others,
        *(("emission", path) for path in emissions),
        *(("spectrum", path) for path in spectra),
        *(("density", path) for path in density_files(densities)),
        *(("curves", path) for path in curve_files(curves)),
    ]
    return Exhibits(
        curves=tuple(read_curves(curves)),
        densities=tuple(read_densities(densities)),
        emissions=tuple(read_emission(path) for path in emissions),
        spectra=tuple(read_spectra(spectra)),
        files=tuple(InputFile.of(role, path) for role, path in roles),
    )
