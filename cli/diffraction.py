"""``midgap diffraction``: how much of a second phase a powder pattern shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from midgap.cli.results import print_json


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Text with two columns: 2θ in degrees, counts.")],
    host: Annotated[str, typer.Option(help="The phase it should be: a material midgap knows, or a structure file.")],
    trace: Annotated[str, typer.Option(help="The phase it may be mixed with, likewise.")],
    wavelength: Annotated[float, typer.Option(metavar="ANGSTROM", help="Of the X-rays; Cu Kα1 by default.")] = 1.54060,
    kalpha2: Annotated[bool, typer.Option("--kalpha2", help="The pattern holds Cu Kα2 as well.")] = False,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the pattern and the phases.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Hold a powder pattern against two structures: weight fraction of the second, or an upper bound."""
    from midgap.experiment.phase_purity import CU_KALPHA2_ANG, trace_fraction
    from midgap.experiment.spectra import read_columns
    from midgap.structures.crystals import load_crystal

    two_theta, counts = read_columns(file)
    (one, _), (other, _) = load_crystal(host), load_crystal(trace)
    second = CU_KALPHA2_ANG if kalpha2 else None
    found = trace_fraction(two_theta, counts, one, other, wavelength_ang=wavelength, kalpha2_ang=second)
    if picture is not None:
        from midgap.report.plotting import save_picture
        from midgap.report.spectrum_figures import powder_figure
        from midgap.report.typography import formula

        save_picture(powder_figure(found, formula(Path(host).stem), formula(Path(trace).stem)), picture)
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    console = Console()
    q = found.trace_weight_fraction
    if found.seen:
        told = f"{100 * (q.value or 0):.2f} % by weight ({100 * (q.lo or 0):.2f} to {100 * (q.hi or 0):.2f})"
    else:
        told = f"not seen: below {100 * (q.hi or 0):.2f} % by weight"
    console.print(f"{trace} in {host}: [bold]{told}[/], {found.ci_level:.0%} confidence", highlight=False)
    console.print(
        f"{host}: lattice {found.strain[0]:+.2%}, {found.size_nm[0]:.0f} nm; χ² per degree of freedom {found.chi_squared:.2f}",
        highlight=False,
    )
    for caveat in found.caveats:
        console.print(f"[dim]{caveat}[/]", highlight=False)
