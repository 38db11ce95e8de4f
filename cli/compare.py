"""``midgap compare``: computed levels against measured photoluminescence and published values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from midgap.defects.report import Levels
    from midgap.experiment.comparison import Candidate, Comparison, Row


def command(
    levels: Annotated[Path, typer.Option("--levels", help="What `midgap run` or `midgap levels --json` wrote.")],
    records: Annotated[
        Path | None, typer.Option("--records", help="Measured records; without it the published ones of the material.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write the report as one HTML file here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Hold computed levels against measured photoluminescence."""
    import json

    from midgap.experiment.comparison import compare
    from midgap.experiment.records import published_records
    from midgap.experiment.tables import read_records

    computed = _read_levels(levels)
    measured = read_records(records).in_energy() if records is not None else published_records(_material(computed))
    comparison = compare(computed, measured)
    if report is not None:
        from midgap.report.page import write_page

        write_page(report, computed, comparison, measured)
    if as_json:
        print(json.dumps(comparison.to_dict(), allow_nan=False))
    else:
        print_comparison(comparison)
        if report is not None:
            typer.echo(f"Report: {report}")


def _read_levels(path: Path) -> Levels:
    """A `Levels` file, or one with a single `LevelReport`."""
    from midgap.defects.report import LevelReport, Levels
    from midgap.structures.document import read_json

    data = read_json(path)
    if isinstance(data, dict) and data.get("schema") == LevelReport.schema_name():
        return Levels(reports=(LevelReport.from_dict(data, source=str(path)),), models=())
    return Levels.from_dict(data, source=str(path))


def _material(levels: Levels) -> str:
    from midgap.structures.errors import InputError

    if not levels.models:
        raise InputError("The levels do not say of which material they are; give measured records with --records.")
    return levels.models[0].material


def print_comparison(comparison: Comparison) -> None:
    """Ours beside published, transitions beside photoluminescence, the answer and its caveats."""
    from itertools import groupby

    from rich.console import Console

    console = Console()
    head = {"Model": 28, "Ours": 5, "Publ.": 5, "Diff.": 6, "Note": None}
    if comparison.published:
        console.print(f"Ours and published, eV ({comparison.published_source.reference})", style="bold", markup=False)
    for name, rows in groupby(comparison.published, key=lambda row: f"{row.quantity}, {row.theory.label}"):
        _print_group(console, name, head, map(_published_line, rows))
    head = {"Model": 28, "Transition": 18, "E (eV)": 11, "nm": 4, "E-PL": 5, "Fits": 4}
    console.print("Transitions and photoluminescence (PL)", style="bold")
    by_theory = sorted(comparison.candidates, key=lambda c: c.theory.label, reverse=True)
    for name, candidates in groupby(by_theory, key=lambda c: c.theory.label):
        _print_group(console, name, head, map(_candidate_line, candidates))
    console.print(comparison.answer, markup=False, highlight=False)
    for caveat in comparison.caveats:
        console.print(f"- {caveat}", markup=False, highlight=False)


def _published_line(row: Row) -> tuple[str, ...]:
    return row.label, _fixed(row.ours_eV), f"{row.published_eV:.1f}", _fixed(row.difference_eV, "+"), row.note


def _candidate_line(candidate: Candidate) -> tuple[str, ...]:
    from midgap.experiment.comparison import rounded_up

    test, known = candidate.main_test, candidate.known_uncertainty_eV
    energy = _fixed(candidate.energy_eV) + ("" if known is None else f" ± {rounded_up(known)}")
    difference = "-" if test is None else _fixed(test.difference, "+")
    fits = "-" if test is None or test.inside is None else "yes" if test.inside else "no"
    return candidate.label, candidate.transition_label, energy, f"{candidate.wavelength_nm:.0f}", difference, fits


def _print_group(console: Console, name: str, head: Mapping[str, int | None], lines: Iterable[Sequence[str]]) -> None:
    """A headed block of lines; blocks of one head line up under each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(name), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim"
    )
    for heading, width in head.items():
        words = heading in ("Model", "Transition", "Note", "Fits")
        table.add_column(heading, justify="left" if words else "right", min_width=width, max_width=width)
    for line in lines:
        table.add_row(*map(Text, line), style="bold" if line[-1] == "yes" else None)
    console.print(table)
    console.print()


def _fixed(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"
