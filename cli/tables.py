"""Tables for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from midgap.defects.report import LevelReport
from midgap.experiment.photon_energy import wavelength_nm

FEW = 8
"""With more transitions than this, those among the levels are left to the JSON."""


def plain_table(heads: list[str], rows: list[list[str]]) -> Table:
    """A table without lines: words on the left, numbers on the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    return table


def eV(value: float | None) -> str:
    """Two decimals, or a dash for what is not there."""
    return "–" if value is None else f"{value:.2f}"


def print_report(report: LevelReport) -> None:
    """The gap in one line, a row for each level, the warnings."""
    console = Console()
    kind = (
        (", seen at one k-point" if report.n_kpoints == 1 else "")
        if report.direct is None
        else ", direct"
        if report.direct
        else ", indirect"
    )
    console.print(
        f"[bold]{report.label or report.model or 'calculation'}[/]  {report.engine} {report.theory.label}, "
        f"{report.n_kpoints} k-point{'s' if report.n_kpoints != 1 else ''}",
        highlight=False,
    )
    console.print(
        f"host gap [bold]{eV(report.gap_eV)} eV[/]{kind}; VBM {eV(report.vbm_eV)}, CBM {eV(report.cbm_eV)} eV",
        highlight=False,
    )
    if report.defect is not None:
        console.print(f"defect: {report.defect.label or 'at the place given'}; {_alignment(report)}", highlight=False)
    if report.levels:
        table = Table(box=None, header_style="bold", pad_edge=False)
        moved = report.correction is not None
        for name in (
            "E-VBM",
            *(["corrected"] if moved else []),
            "own",
            "CBM-E",
            "e⁻",
            "spin",
            "kind",
            "sites",
            "defect",
            "host",
            "most on",
        ):
            table.add_column(name, justify="right")
        for level in report.levels:
            where = level.localization
            most = "–"
            if where.strongest_weight is not None:
                most = f"{where.strongest_species} {where.strongest_weight:.2f}, {where.strongest_distance_ang:.1f} Å"
            table.add_row(
                eV(level.above_vbm_eV),
                *([eV(level.corrected_above_vbm_eV)] if moved else []),
                eV(level.above_cell_vbm_eV),
                eV(level.below_cbm_eV),
                f"{level.occupation:.3g}/{level.degeneracy}",
                level.spin,
                level.kind,
                "–"
                if where.participation_ratio is None
                else f"{where.participation_ratio:.1f}"
                + ("" if where.host_participation_ratio is None else f"/{where.host_participation_ratio:.0f}"),
                eV(where.defect_weight),
                eV(where.baseline_weight),
                most,
            )
        console.print(table)
        if report.correction is not None:
            found = report.correction
            error = "" if found.uncertainty_eV is None else f" ± {found.uncertainty_eV:.2f}"
            console.print(
                f"corrected: by {found.moved_by_eV:+.2f}{error} eV for the images of the charge ({found.method}); shallow "
                "levels are not",
                highlight=False,
            )
        console.print(
            "[dim]eV; own: above the defect cell's own host states, not aligned; e⁻: electrons/states; sites: how many "
            "share it, of how many a host state; defect: its part around the defect; host: the most that a state at the host's edges has there; most on: the strongest "
            "site, its part and distance[/]",
            highlight=False,
        )
        _print_transitions(console, report)
    else:
        console.print(
            "no defect level"
            if report.defect is not None
            else "no defect was looked for: name the pristine cell (--reference) or its place (--defect-site) if this is a "
            "defect cell",
            highlight=False,
        )
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {warning}", highlight=False)


def _alignment(report: LevelReport) -> str:
    """How the defect cell was put on the host's scale, in words."""
    found = report.alignment
    if found.method in ("self", "none"):
        return "edges of the defect cell's own host states"
    text = f"aligned by {found.method}, shift {found.shift_eV:+.3f}"
    text += f" ± {found.uncertainty_eV:.3f} eV" if found.uncertainty_eV is not None else " eV"
    if found.n_samples and found.beyond_ang is not None:
        text += f" over {found.n_samples} sites from {found.beyond_ang:.1f} Å on, which scatter by {found.scatter_eV:.2f} eV"
    if found.check_method is not None and found.check_shift_eV is not None:
        text += f"; {found.check_method}: {found.check_shift_eV:+.3f} eV"
    return text


def _print_transitions(console: Console, report: LevelReport) -> None:
    """One row a transition."""
    if not report.transitions:
        return
    rows = []
    for one in report.transitions:
        if one.upper is not None and one.lower is not None and len(report.transitions) > FEW:
            continue
        ends = ["CBM", "VBM"]
        for i, index in enumerate((one.upper, one.lower)):
            if index is not None:
                ends[i] = eV(report.levels[index].above_vbm_eV)
        says = "forbidden by spin" if one.spin_allowed is False else "emits" if one.emits else "absorbs"
        label = one.label
        if says == "absorbs":
            label, ends = " → ".join(reversed(one.label.split(" → "))), ends[::-1]
        strength = "–" if one.oscillator_strength is None else f"{one.oscillator_strength:.2g}"
        rows.append([label, *ends, eV(one.energy_eV), f"{wavelength_nm(one.energy_eV):.0f}", strength, says])
    console.print(plain_table(["transition", "from", "to", "eV", "nm", "f", "in this charge state"], rows))
    console.print(
        "[dim]f: oscillator strength, averaged over directions; – where the engine gave no wavefunctions[/]",
        highlight=False,
    )
