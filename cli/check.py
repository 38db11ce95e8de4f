"""``midgap check``: did the gaps and levels of a new run move away from those that were expected?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    expected: Annotated[Path, typer.Argument(metavar="EXPECTED.json", help="The levels.json of an earlier run.")],
    now: Annotated[Path, typer.Argument(metavar="NOW.json", help="The levels.json of this run.")],
    within: Annotated[float, typer.Option(metavar="EV", help="How far a gap or a level in it may move.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")] = False,
) -> None:
    """Hold the gaps and levels of a run against those of an earlier one; exit code 1 if any moved."""
    from midgap.cli.results import print_json
    from midgap.cli.tables import plain_table
    from midgap.defects.changes import COUNT, changes
    from midgap.defects.report import Levels

    found = changes(Levels.read(expected), Levels.read(now), within)
    moved = [change for change in found if change.moved]
    if as_json:
        from midgap.cli.printed import Check

        print_json(Check(within_eV=within, moved=len(moved), changes=found))
    else:
        from rich.console import Console
        from rich.markup import escape

        rows = []
        for one in found:
            form = "{:.0f}" if one.quantity == COUNT else "{:.3f}"
            before, after = ("–" if value is None else form.format(value) for value in (one.expected, one.now))
            name = escape(f"{one.model}, {one.theory}: {one.quantity}")
            rows.append([name, before, after, "[red]moved[/]" if one.moved else "ok"])
        console = Console()
        console.print(plain_table(["", "expected", "now", f"within {within:g} eV"], rows))
        console.print(f"{len(moved)} of {len(found)} moved." if moved else "Nothing moved.", highlight=False)
    if moved:
        raise typer.Exit(1)
