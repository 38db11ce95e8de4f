"""``midgap emission``: from energies along the configuration coordinate to a line and its width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.results import print_json

if TYPE_CHECKING:
    from midgap.defects.emission_study import EmissionReport


def command(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY.json",
            help='host (folder), ground and excited (folder by fraction of the way to the other geometry, {"0": DIR, '
            '"0.2": DIR, "1": DIR}), screening (static, electronic), vbm_eV, cbm_eV; or the diagram that a flow left.',
        ),
    ],
    temperature: Annotated[
        list[float] | None, typer.Option(metavar="K", help="Of the line; may be given again. (default: 0 and 300)")
    ] = None,
    modes: Annotated[
        Path | None,
        typer.Option(
            help="Couple to these modes instead of one: a phonopy.yaml with force constants, or midgap's modes."
        ),
    ] = None,
    zpl: Annotated[
        float | None,
        typer.Option(metavar="EV", help="The zero-phonon line of a better theory, instead of the diagram's."),
    ] = None,
    broadening: Annotated[
        float | None,
        typer.Option(metavar="MEV", help="Standard deviation of each phonon line. (default: 0.6 of the mean phonon)"),
    ] = None,
    oscillator_strength: Annotated[
        float | None,
        typer.Option(metavar="F", help="Of the emission, as midgap levels tells it: for the radiative lifetime."),
    ] = None,
    refractive_index: Annotated[float, typer.Option(metavar="N", help="Of the surroundings, for the lifetime.")] = 1.0,
    coupling: Annotated[
        float | None,
        typer.Option(
            metavar="W",
            help="Electron-phonon coupling of carrier and level, eV/(amu^½ Å): for the capture without light.",
        ),
    ] = None,
    volume: Annotated[
        float | None, typer.Option(metavar="ANG3", help="Of the cell that the coupling was computed in.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw diagram and line: a .png, .pdf or .svg file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")] = False,
) -> None:
    """Vertical and zero-phonon energies, Huang-Rhys factors, the emission line and its width."""
    from midgap.defects.emission_study import emission_report

    report = emission_report(
        study,
        tuple(temperature or (0.0, 300.0)),
        modes=modes,
        zero_phonon_line_eV=zpl,
        sigma_eV=None if broadening is None else broadening / 1e3,
        oscillator_strength=oscillator_strength,
        refractive_index=refractive_index,
        coupling_eV=coupling,
        volume_ang3=volume,
    )
    if picture is not None:
        from midgap.report.energetics import emission_figure
        from midgap.report.plotting import save_picture

        save_picture(emission_figure(report.diagram, report.lines), picture)
    if as_json:
        print_json(report)
        return
    _print(report)


def _print(report: EmissionReport) -> None:
    from rich.console import Console

    from midgap.cli.tables import plain_table

    console, diagram = Console(highlight=False), report.diagram
    known = diagram.emission_uncertainty_eV
    error = "" if known is None else f" ± {known:.2f}"
    console.print(
        f"emission [bold]{diagram.emission_eV:.2f}{error} eV[/] vertical, zero-phonon line {diagram.zero_phonon_line_eV:.2f}, "
        f"absorption {diagram.absorption_eV:.2f} eV; Stokes shift {diagram.stokes_shift_eV:.2f} eV"
    )
    rows = []
    for name, parabola, strength, relaxation in (
        ("ground", diagram.ground, diagram.huang_rhys_emission, diagram.relaxation_ground_eV),
        ("excited", diagram.excited, diagram.huang_rhys_absorption, diagram.relaxation_excited_eV),
    ):
        spread = "–" if parabola.phonon_uncertainty_eV is None else f"{1e3 * parabola.phonon_uncertainty_eV:.1f}"
        rows.append([name, f"{1e3 * parabola.phonon_eV:.1f}", spread, f"{strength:.1f}", f"{relaxation:.3f}"])
    console.print(plain_table(["state", "ħω, meV", "±", "Huang-Rhys", "relaxes by, eV"], rows))
    console.print(
        f"ΔQ {diagram.delta_q:.2f} amu^½ Å; coupled to {len(report.coupling.phonons_eV)} mode(s), S {report.coupling.total:.1f}"
    )
    rows = [
        [f"{line.temperature_K:g}", f"{line.peak_eV:.3f}", f"{1e3 * line.fwhm_eV:.0f}", f"{1e3 * line.sigma_eV:.1f}"]
        for line in report.lines
    ]
    if rows:
        console.print(plain_table(["T, K", "peak, eV", "FWHM, meV", "broadened by, meV"], rows))
    if report.lifetime is not None:
        found = report.lifetime
        console.print(
            f"radiative lifetime [bold]{found.lifetime_ns:.3g} ns[/] at {found.energy_eV:.2f} eV, n = {found.refractive_index:g}"
        )
    if report.capture is not None:
        barrier = "none" if report.capture.barrier_eV is None else f"{report.capture.barrier_eV:.2f} eV"
        console.print(f"capture without light, one mode; the parabolas cross above the excited minimum by {barrier}")
        rates = zip(report.capture.temperatures_K, report.capture.coefficient_cm3_per_s, strict=True)
        console.print(plain_table(["T, K", "C, cm³/s"], [[f"{t:g}", f"{c:.2e}"] for t, c in rates]))
    for warning in report.warnings:
        console.print(f"[yellow]•[/] {warning}")
