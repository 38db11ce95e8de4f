"""What a finished flow leaves behind for people: levels, comparison, page; the same wherever it ran."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midgap.cli.printed import Outcome
    from midgap.defects.densities import StateDensity
    from midgap.defects.report import Levels
    from midgap.structures.document import Document
    from midgap.workflows.formation import FormationFound

STOPPED = "Stopped. What is finished is kept; the same command goes on from here."
"""To whoever interrupts a flow."""


def write(
    levels: Levels,
    measured: Any,
    out: Path,
    densities: Sequence[StateDensity] = (),
    formation: FormationFound | None = None,
) -> Outcome:
    """Write what there is: after a failure too, the reports of what did not fail."""
    from midgap.cli.printed import Outcome
    from midgap.experiment.comparison import compare
    from midgap.report.exhibits import Exhibits, InputFile
    from midgap.report.page import write_page

    if not levels.reports:
        return Outcome(folder=str(out))
    written = Outcome(folder=str(out), levels=str(levels.write(out / "levels.json")), reports=levels.reports)
    if formation is not None:
        study = formation.study.with_folders(lambda folder: os.path.relpath(folder, out))
        paths = {"formation": formation.report.write(out / "formation.json"), "study": study.write(out / "study.json")}
        written = written.model_copy(update={name: str(path) for name, path in paths.items()})
    if measured is None:
        return written
    comparison = compare(levels, measured)
    shown = Exhibits(densities=tuple(densities), files=(InputFile.of("levels", out / "levels.json"),))
    return written.model_copy(
        update={
            "comparison": str(comparison.write(out / "comparison.json")),
            "answer": comparison.answer,
            "page": str(write_page(out / "report.html", levels, comparison, measured, shown)),
        }
    )


def tell(written: Outcome) -> None:
    """The gap and the levels of each model, the comparison, and where the files are."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not written.levels:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model")
    table.add_column("gap, eV", justify="right")
    table.add_column("levels above the VBM, eV")
    for report in written.reports:
        levels = ", ".join(f"{level.above_vbm_eV:.2f} ({level.kind})" for level in report.levels)
        gap = "" if report.gap_eV is None else f"{report.gap_eV:.2f}"
        table.add_row(escape(report.label), gap, levels or "none")
    out = Console()
    out.print(table)
    if written.comparison:
        from midgap.cli.compare import print_comparison
        from midgap.experiment.comparison import Comparison

        out.print()
        print_comparison(Comparison.read(written.comparison))
    else:
        out.print("No measured records of this material are known: compare with your own by midgap compare.")
    if written.formation:
        from midgap.cli.formation import print_formation
        from midgap.defects.formation_study import FormationReport

        out.print()
        print_formation(FormationReport.read(written.formation))
    for what in ("page", "levels", "comparison", "formation", "study"):
        if path := getattr(written, what):
            out.print(f"[dim]{what}[/] {escape(path)}", highlight=False, soft_wrap=True)


def print_json(document: Document) -> None:
    """One JSON object on stdout, of a kind that ``midgap schema`` describes."""
    import json

    print(json.dumps(document.to_dict(), allow_nan=False))
