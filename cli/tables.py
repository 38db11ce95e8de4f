"""Tables for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from midgap.defects.report import LevelReport


def eV(value: float | None) -> str:
    """Two decimals, or a dash for what is not there."""
    return "–" if value is None else f"{value:.2f}"


def print_report(report: LevelReport) -> None:
    """The gap in one line, a row for each level, the warnings."""
    console = Console()
    kind = "" if report.direct is None else ", direct" if report.direct else ", indirect"
    console.print(
        f"[bold]{report.label or report.model or 'calculation'}[/]  {report.engine} {report.theory.label}, "
        f"{report.n_kpoints} k-point{'s' if report.n_kpoints != 1 else ''}",
        highlight=False,
    )
    console.print(
        f"host gap [bold]{eV(report.gap_eV)} eV[/]{kind}; VBM {eV(report.vbm_eV)}, CBM {eV(report.cbm_eV)} eV; "
        f"alignment: {report.alignment.method}"
        + (f", shift {report.alignment.shift_eV:+.3f} eV" if report.alignment.method not in ("self", "none") else ""),
        highlight=False,
    )
    if report.levels:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("E-VBM", "unaligned", "CBM-E", "electrons", "spin", "kind", "sites", "at defect", "host"):
            table.add_column(name, justify="right")
        for level in report.levels:
            where = level.localization
            table.add_row(
                eV(level.above_vbm_eV),
                eV(level.above_cell_vbm_eV),
                eV(level.below_cbm_eV),
                f"{level.occupation:g} of {level.degeneracy}",
                level.spin,
                level.kind,
                "–" if where.participation_ratio is None else f"{where.participation_ratio:.1f}",
                eV(where.defect_weight),
                eV(where.baseline_weight),
            )
        console.print(table)
        console.print(
            "[dim]energies in eV; unaligned: above the defect cell's own host states; sites: participation ratio; "
            "at defect: weight around the vacancy; host: what host states have there[/]",
            highlight=False,
        )
    else:
        console.print("no defect level", highlight=False)
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {warning}", highlight=False)
