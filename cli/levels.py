"""``midgap levels``: the gap and the defect levels of any finished calculation."""

from __future__ import annotations

from pathlib import Path

import typer


def command(
    folder: Path = typer.Argument(..., metavar="DIR", help="A finished calculation of any engine."),
    reference: Path | None = typer.Option(None, help="The pristine crystal in the same cell, same engine and theory."),
    defect_site: str | None = typer.Option(
        None,
        metavar="X,Y,Z",
        help="Where the missing atom was, fractional coordinates; read from the model if it is there.",
    ),
    species: str = typer.Option("", help="Element of the missing atom, with --defect-site."),
    shift: float | None = typer.Option(
        None, metavar="EV", help="Add this to the reference's energies instead of aligning."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout and nothing else."),
) -> None:
    """Find the gap and the defect levels of a finished calculation."""
    import json

    from midgap.defects.levels import identify_levels
    from midgap.defects.parsers import read_folder

    calculation = read_folder(folder)
    vacancy = calculation.vacancy if defect_site is None else _vacancy(defect_site, species, calculation)
    report = identify_levels(
        calculation.electronic_structure,
        None if reference is None else read_folder(reference).electronic_structure,
        vacancy,
        model=calculation.name,
        label=calculation.label,
        shift_eV=shift,
    )
    if as_json:
        print(json.dumps(report.to_dict(), allow_nan=False))
        return
    from midgap.cli.tables import print_report

    print_report(report)


def _vacancy(site: str, species: str, calculation):
    from pymatgen.core import IStructure

    from midgap.structures.errors import InputError
    from midgap.structures.model import Vacancy

    try:
        position = [float(part) for part in site.split(",")]
        if len(position) != 3:
            raise ValueError
    except ValueError:
        raise InputError(
            f"--defect-site takes three numbers with commas, such as 0.25,0.5,0.1; not {site!r}."
        ) from None
    geometry = calculation.electronic_structure.structure
    cartesian = geometry.lattice.get_cartesian_coords(position) if isinstance(geometry, IStructure) else position
    return Vacancy(species=species or "X", site="given", position_ang=cartesian)
