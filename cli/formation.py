"""``midgap formation``: formation energies, charge transition levels and concentrations of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.results import print_json

if TYPE_CHECKING:
    from midgap.defects.formation_study import FormationReport


def command(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY.json",
            help="compound, host (folder), phases (formula and energy_eV, or folder), defects (folder), screening (static, "
            "electronic), vbm_eV, gap_eV, carriers; folders are relative to the file.",
        ),
    ],
    temperature: Annotated[
        float | None, typer.Option(metavar="K", help="Concentrations and the Fermi level at this temperature.")
    ] = None,
    formed_at: Annotated[
        float | None, typer.Option(metavar="K", help="The defects were formed at this temperature and frozen in.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw formation energies against the Fermi level: a .png, .pdf or .svg file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")] = False,
) -> None:
    """Formation energies at each limit of the chemical potentials, charge transition levels, concentrations."""
    from midgap.defects.formation_study import formation_report
    from midgap.structures.errors import InputError

    if formed_at is not None and temperature is None:
        raise InputError("--formed-at needs --temperature, at which carriers and charges are counted.")
    report = formation_report(study, temperature_K=temperature, formed_at_K=formed_at)
    if picture is not None:
        from midgap.report.energetics import formation_figure
        from midgap.report.plotting import save_picture

        save_picture(formation_figure(report.conditions), picture)
    if as_json:
        print_json(report)
        return
    print_formation(report)


def print_formation(report: FormationReport) -> None:
    """Chemical potentials, formation energies and transition levels as tables."""
    from rich.console import Console

    from midgap.cli.tables import eV, plain_table

    console = Console(highlight=False)
    region = report.region
    console.print(f"[bold]{region.compound}[/]  formed with {eV(region.formation_energy_eV)} eV a formula unit")
    elements, gap = list(region.references_eV), report.conditions[0].gap_eV
    rows = [
        [limit.name, *(eV((limit.potentials_eV | limit.impurities_eV).get(element)) for element in elements)]
        for limit in region.limits
    ]
    console.print(plain_table(["in equilibrium with", *(f"Δμ {element}" for element in elements)], rows))
    console.print()
    rows = [
        [f"{d.name} {d.charge:+d}" if d.charge else f"{d.name} 0"]
        + [eV(condition.at_vbm_eV(d)) for condition in report.conditions]
        + [f"{d.correction_eV:+.3f}", "–" if d.uncertainty_eV is None else f"{d.uncertainty_eV:.3f}"]
        for d in report.conditions[0].defects
    ]
    heads = ["formation energy, E_F = VBM", *(condition.condition for condition in report.conditions)]
    console.print(plain_table([*heads, "corrected by", "±"], rows))
    console.print()
    rows = [
        [level.name, level.label, *map(eV, (level.above_vbm_eV, level.uncertainty_eV, gap - level.above_vbm_eV))]
        for level in report.levels
    ]
    console.print(plain_table(["defect", "level", "E-VBM", "±", "CBM-E"], rows))
    for one in report.equilibria:
        console.print()
        formed = f", defects formed at {one.frozen_at_K:g} K" if one.frozen_at_K else ""
        console.print(
            f"{one.condition}: Fermi level {one.fermi_eV:.2f} eV above the VBM at {one.temperature_K:g} K{formed}"
        )
        rows = [[f"{d.name} {d.charge:+d}", f"{d.per_cm3:.2e}"] for d in one.defects]
        rows += [["electrons", f"{one.electrons_per_cm3:.2e}"], ["holes", f"{one.holes_per_cm3:.2e}"]]
        console.print(plain_table(["", "per cm³"], rows))
    for warning in report.warnings:
        console.print(f"[yellow]•[/] {warning}")
    console.print("[dim]eV[/]")
