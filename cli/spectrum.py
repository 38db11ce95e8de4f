"""``midgap spectrum``: peak and width of an emission spectrum, Urbach energy of an absorption spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from midgap.cli.results import print_json


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Text with columns: wavelength or energy, intensity.")],
    unit: Annotated[str | None, typer.Option(help="Of the first column: nm, eV or cm-1; else its header says.")] = None,
    kind: Annotated[str, typer.Option(help="emission, excitation or absorption.")] = "emission",
    medium: Annotated[str | None, typer.Option(help="Wavelengths in air or in vacuum.")] = None,
    column: Annotated[int, typer.Option(help="Column that holds the intensity.")] = 2,
    urbach: Annotated[
        str | None, typer.Option(metavar="LO,HI", help="Fit the Urbach energy between these energies in eV.")
    ] = None,
    excitation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A PLE spectrum: how much of it overlaps with this emission.")
    ] = None,
    sample: Annotated[str | None, typer.Option(help="Sample id of the record.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="RECORD.json", help="Write the record here.")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the line and its fit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object: the record.")] = False,
) -> None:
    """Read a spectrum: peak and width in eV, with the Jacobian; Urbach energy; overlap with excitation."""
    from midgap.experiment.records import ParticleRecord
    from midgap.experiment.spectra import overlap, read_spectrum
    from midgap.experiment.spectral_lines import emission_fields, urbach_energy
    from midgap.structures.errors import InputError

    kinds: dict[str, Literal["emission", "excitation", "absorption"]]
    kinds = {"emission": "emission", "excitation": "excitation", "absorption": "absorption"}
    media: dict[str | None, Literal["air", "vacuum"] | None] = {"air": "air", "vacuum": "vacuum", None: None}
    if kind not in kinds:
        raise InputError(f"--kind is emission, excitation or absorption, not {kind!r}.")
    if medium not in media:
        raise InputError(f"--medium is air or vacuum, not {medium!r}.")
    spectrum = read_spectrum(file, unit=unit, kind=kinds[kind], medium=media[medium], column=column)
    fields: dict = {"notes": {}}
    line = None
    if kind == "emission":
        fields, line = emission_fields(spectrum)
    if urbach is not None:
        fit = urbach_energy(spectrum, *_range(urbach))
        fields["urbach_meV"] = fit.urbach_meV
        fields["notes"]["urbach_meV"] = (
            f"fitted from {fit.low_eV:g} to {fit.high_eV:g} eV with a constant; rms misfit {fit.residual_part:.1%} of the rise"
        )
    if excitation is not None:
        both = overlap(spectrum, read_spectrum(excitation, unit=unit, kind="excitation", medium=media[medium]))
        fields["notes"]["pl_peak_eV"] = (
            f"{fields['notes'].get('pl_peak_eV', '')}; overlap with excitation {both:.3f}".strip("; ")
        )
    if spectrum.notes:
        fields["notes"]["source_file"] = "; ".join(spectrum.notes)
    record = ParticleRecord(kind="ensemble", sample_id=sample, source_file=str(file), **fields)
    if out is not None:
        record.write(out)
    if picture is not None:
        from midgap.report.plotting import save_picture
        from midgap.report.spectrum_figures import spectrum_figure

        if line is None:
            raise InputError("--picture draws emission lines only.")
        save_picture(spectrum_figure(line), picture)
    if as_json:
        print_json(record)
    else:
        _print(record, line.shape if line else None)


def _range(text: str) -> tuple[float, float]:
    from midgap.structures.errors import InputError

    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--urbach takes two energies in eV with a comma, such as 2.2,2.9; not {text!r}.") from None
    return low, high


def _print(record, shape: str | None) -> None:
    from rich.console import Console

    console = Console()
    units = {"pl_peak_eV": "eV", "pl_fwhm_meV": "meV", "pl_peak_nm": "nm", "pl_fwhm_nm": "nm", "urbach_meV": "meV"}
    names = {
        "pl_peak_eV": "peak of I(E)",
        "pl_fwhm_meV": "FWHM of I(E)",
        "pl_peak_nm": "peak of I(λ)",
        "pl_fwhm_nm": "FWHM of I(λ)",
        "urbach_meV": "Urbach energy",
    }
    for field, unit in units.items():
        quantity = getattr(record, field)
        if quantity is not None:
            digits = 4 if unit == "eV" else 2
            console.print(
                f"{names[field]:14} [bold]{quantity.value:.{digits}f}[/] {unit}  "
                f"({quantity.lo:.{digits}f} to {quantity.hi:.{digits}f})",
                highlight=False,
            )
    if shape:
        medium = record.medium or "medium not stated, taken as vacuum"
        console.print(
            f"[dim]{shape}; wavelengths: {medium}; 95 % intervals from the scatter of the points[/]", highlight=False
        )
    for field, note in record.notes.items():
        console.print(f"[dim]{field}: {note}[/]", highlight=False)
