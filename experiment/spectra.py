"""Spectra of two columns: read with their units, put on an axis of energy, compared.

I(E) = I(λ) λ²/hc for emission, whose intensity is per wavelength; absorption is not a density and keeps its values.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.constants import c, e, h

from midgap.experiment.photon_energy import HC_EV_NM, Medium, refractive_index_of_air
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

Unit = Literal["nm", "eV", "cm-1"]
Kind = Literal["emission", "excitation", "absorption"]

UNITS: dict[str, Unit] = {"nm": "nm", "nanometer": "nm", "nanometers": "nm", "ev": "eV", "cm-1": "cm-1", "1/cm": "cm-1"}
UNITS |= {"cm^-1": "cm-1", "cm⁻¹": "cm-1", "nanometre": "nm", "nanometres": "nm"}
LARGEST_FILE = 100_000_000
# "350 nm" is the wavelength of a laser, not the unit of a column.
_UNIT = re.compile(
    r"(?<![a-zA-Z])(?<!\d)(?<!\d\s)(nanomet(?:er|re)s?|nm|ev|cm-1|1/cm|cm\^-1|cm⁻¹)(?![a-zA-Z])", re.IGNORECASE
)
_FOREIGN = re.compile(
    r"(?<![a-zA-Z])(?<!\d)(?<!\d\s)(mev|kev|[uµμ]m|thz|ghz|angstroms?|Å|pixels?|a\.?u\.?)(?![a-zA-Z])", re.IGNORECASE
)


class Spectrum(Document):
    """A spectrum as measured.

    Attributes
    ----------
    x, intensity
        Shape (n,); ``x`` ascends, in ``unit``.
    medium
        Of wavelengths or wavenumbers; None if it is not stated, which counts as vacuum.
    """

    x: FloatArray
    intensity: FloatArray
    unit: Unit
    kind: Kind = "emission"
    medium: Medium | None = None
    source_file: str | None = None
    notes: tuple[str, ...] = ()

    def in_energy(self) -> tuple[np.ndarray, np.ndarray]:
        """Photon energy in eV, ascending, and the intensity per energy, both of shape (n,)."""
        if self.unit == "eV":
            return self.x, self.intensity
        wavelength = self.x if self.unit == "nm" else 1e7 / self.x
        index = np.array([refractive_index_of_air(w) for w in wavelength]) if self.medium == "air" else 1.0
        energy = HC_EV_NM / (index * wavelength)
        if self.kind != "emission":
            density = self.intensity
        elif self.unit == "nm":
            density = self.intensity * wavelength**2 / HC_EV_NM
        else:
            # Per wavenumber is per energy up to a constant.
            density = self.intensity / (100 * h * c / e)
        order = np.argsort(energy)
        return energy[order], density[order]


def read_spectrum(
    path: Path | str,
    *,
    unit: str | None = None,
    kind: Kind = "emission",
    medium: Medium | None = None,
    column: int = 2,
) -> Spectrum:
    """Read a text file of columns: commas, semicolons, tabs or blanks between them, decimal points or commas.

    Parameters
    ----------
    unit
        ``nm``, ``eV`` or ``cm-1``; None takes what the header says.
    column
        Which column holds the intensity, the first being 1.

    Raises
    ------
    InputError
        No such file, not text, no columns, or units that are not told, not known, or told twice and differently.
    """
    path = Path(path)
    lines = _lines(path)
    header, rows = _table(path, lines)
    # The nearest line above the numbers speaks of them.
    told = [UNITS[match.lower()] for line in reversed(header) for match in _UNIT.findall(line)][:1]
    given = _unit(unit) if unit else None
    if given and told and given != told[0]:
        raise InputError(f"{path}: the header says {told[0]}, but {given} was given; one of them is wrong.")
    if not given and not told:
        foreign = [match for line in header[-3:] for match in _FOREIGN.findall(line)]
        why = f"its header says {foreign[0]}, which is not known" if foreign else "it does not say its unit"
        raise InputError(f"{path}: {why}; give the unit of its first column, nm, eV or cm-1, with --unit.")
    width = min(len(row) for row in rows)
    if not 2 <= column <= width:
        raise InputError(f"{path}: has {width} columns; {column} cannot hold the intensity.")
    notes = (f"column {column} of {width} was taken",) if width > 2 else ()
    data = np.array([[row[0], row[column - 1]] for row in rows])
    return spectrum(
        data[:, 0], data[:, 1], given or told[0], kind=kind, medium=medium, source_file=str(path), notes=notes
    )


def read_columns(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """The first two columns of a text file, as `read_spectrum` reads them, without units.

    Raises
    ------
    InputError
        No such file, not text, or no columns.
    """
    data = np.array([row[:2] for row in _table(Path(path), _lines(Path(path)))[1]])
    return data[:, 0], data[:, 1]


def spectrum(x: Any, intensity: Any, unit: str, **more: Any) -> Spectrum:
    """A `Spectrum` of two columns, sorted, repeated values of ``x`` averaged.

    Raises
    ------
    InputError
        Columns that are not finite numbers of one length, an ``x`` that is not positive or cannot be in this unit, or fewer
        than 8 points.
    """
    unit = _unit(unit)
    x, intensity = np.asarray(x, dtype=float), np.asarray(intensity, dtype=float)
    where = f"{more.get('source_file')}: " if more.get("source_file") else ""
    if x.shape != intensity.shape or x.ndim != 1 or x.size < 8 or not (np.isfinite(x) & np.isfinite(intensity)).all():
        raise InputError(f"{where}a spectrum needs at least 8 points, each with a finite energy and intensity.")
    energy = {"nm": HC_EV_NM / np.maximum(x, 1e-9), "eV": x, "cm-1": x * HC_EV_NM / 1e7}[unit]
    if not (x > 0).all() or not (0.05 < np.median(energy) < 50):
        raise InputError(
            f"{where}{x.min():g} to {x.max():g} {unit} is no optical spectrum; check the unit of its first column."
        )
    values, inverse, number = np.unique(x, return_inverse=True, return_counts=True)
    return Spectrum(x=values, intensity=np.bincount(inverse, weights=intensity) / number, unit=unit, **more)


def overlap(one: Spectrum, other: Spectrum) -> float:
    """Overlap ∫ f g dE / √(∫ f² dE ∫ g² dE) of two spectra, 0 to 1, each zero outside of its range.

    Of emission and excitation spectra it says how much of the light comes from where it is absorbed.
    """
    (e1, f), (e2, g) = one.in_energy(), other.in_energy()
    step = min(np.diff(e1).min(), np.diff(e2).min(), 1e-3)
    step = max(step, (max(e1[-1], e2[-1]) - min(e1[0], e2[0])) / 200_000)
    grid = np.arange(min(e1[0], e2[0]), max(e1[-1], e2[-1]), step)
    f = np.interp(grid, e1, np.maximum(f, 0), left=0, right=0)
    g = np.interp(grid, e2, np.maximum(g, 0), left=0, right=0)
    norm = float(np.sqrt((f @ f) * (g @ g)))
    if norm == 0:
        raise InputError("A spectrum without intensity overlaps with nothing.")
    return float(f @ g) / norm


def _unit(text: str) -> Unit:
    try:
        return UNITS[text.strip().lower()]
    except KeyError:
        raise InputError(f"The unit {text!r} of a spectrum is not known; use nm, eV or cm-1.") from None


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB are no spectrum.")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace").splitlines()
    if b"\0" in raw:
        raise InputError(f"{path}: is a binary file; export the spectrum as text with two columns.")
    try:
        return raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return raw.decode("latin-1").splitlines()


def _table(path: Path, lines: list[str]) -> tuple[list[str], list[list[float]]]:
    """What stands before the numbers, and the first block of at least 8 rows of numbers."""
    start, rows = 0, list[list[float]]()
    for i, line in enumerate(lines):
        numbers = _numbers(line)
        if numbers is not None and (not rows or len(numbers) == len(rows[0])):
            start = start if rows else i
            rows.append(numbers)
        elif line.strip() and len(rows) < 8:
            rows = [numbers] if numbers else []
            start = i
        elif line.strip():
            break
    if len(rows) < 8:
        raise InputError(f"{path}: has no table of at least 8 rows with two columns of numbers.")
    return lines[:start], rows


def _numbers(line: str) -> list[float] | None:
    line = line.strip()
    if ";" in line or "\t" in line:
        fields = re.split(r"[;\t]\s*", line)
        if "." not in line:
            fields = [field.replace(",", ".") for field in fields]
    else:
        fields = re.split(r"\s*,\s*|\s+", line)
    fields = [field.strip().strip('"') for field in fields]
    while fields and not fields[-1]:
        fields.pop()
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    return numbers if len(numbers) >= 2 else None
