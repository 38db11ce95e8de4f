"""``midgap power``: how intensity levels and the number of emitters grow with the excitation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.results import print_json

if TYPE_CHECKING:
    from midgap.experiment.photons.power import PowerStudy


def command(
    records: Annotated[
        Path, typer.Argument(metavar="RECORDS", help="One particle at several powers, as midgap photons writes them.")
    ],
    powers: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv",
            help="Columns particle_id and one of powers, whose name says the unit. (default: ⟨N⟩ or fluence of the records)",
        ),
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the series.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Growth with power: linear or superlinear (photobrightening) for each level; number of emitters; g2(0)."""
    from midgap.experiment.photons.power import power_study
    from midgap.experiment.tables import read_records

    found = read_records(records).records
    if powers is None:
        study = power_study(found)
    else:
        axis, given = _table(powers)
        study = power_study(found, given, axis)
    if picture is not None:
        from midgap.report.power_figures import power_figure, save_picture

        save_picture(power_figure(study), picture)
    if as_json:
        print_json(study)
    else:
        _tell(study)


def _table(path: Path) -> tuple[str, dict[str, float]]:
    """Name of the column of powers, and the powers by particle_id."""
    import csv

    from midgap.structures.errors import InputError

    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from None
    columns = [name for name in (rows[0] if rows else {}) if name]
    if "particle_id" not in columns or len(columns) != 2:
        raise InputError(
            f"{path} needs two columns, particle_id and one of powers; it has {', '.join(columns) or 'none'}."
        )
    axis = next(name for name in columns if name != "particle_id")
    try:
        return axis, {row["particle_id"]: float(row[axis]) for row in rows}
    except (TypeError, ValueError):
        raise InputError(f"{path}: a value of {axis} is no number.") from None


def _tell(study: PowerStudy) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in (f"against {study.axis}", "points", "exponent", "growth"):
        table.add_column(name)
    for points in study.points:
        growth = points.growth
        if growth is None:
            table.add_row(points.name, str(len(points.power)), "–", "")
            continue
        s = growth.exponent
        flat = s.lo is not None and s.hi is not None and s.lo < 0 < s.hi
        said = "no change beyond chance" if flat else growth.growth or "not settled"
        table.add_row(points.name, str(growth.n_points), f"{s.value:.3g} ({s.lo:.3g} to {s.hi:.3g})", said)
    console = Console()
    console.print(table)
    if (line := study.g2_over_power) is not None:
        s = line.slope
        console.print(
            f"g2(0) changes by {s.value:.3g} ({s.lo:.3g} to {s.hi:.3g}) per unit of {study.axis}", highlight=False
        )
    for note in study.notes:
        console.print(f"[yellow]note:[/] {note}", highlight=False, soft_wrap=True)
