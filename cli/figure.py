"""``midgap figure``: one figure for a publication, from the files that a page is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KINDS = "levels, spectrum, evidence, sensitivity, structure, cc, line, formation, trace, g2, decay, particle, particles"


def command(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"{KINDS}.")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Levels for levels, structure, spectrum, evidence and sensitivity; an emission for cc and line; a study "
            "for formation; curves for trace, g2, decay and particle; records for particles.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FIG.pdf", help="A .pdf, .svg or .png file.")],
    records: Annotated[
        Path | None, typer.Option(help="Measured records. (default: those published of the material)")
    ] = None,
    spectrum: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A measured spectrum, for spectrum.")
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(min=1, max=2, help="Of the journal: 8.6 cm wide, or 17.8 cm. (default: what the kind needs)"),
    ] = None,
    height: Annotated[float | None, typer.Option(metavar="CM", help="(default: what its content needs)")] = None,
) -> None:
    """Draw one figure at the width of a journal's column; text stays text, and grey tells the lines apart."""
    from midgap.report.plotting import save_picture
    from midgap.report.publication import publication_figure

    figure = publication_figure(kind, file, records=records, spectra=spectrum or (), columns=columns, height_cm=height)
    typer.echo(f"Figure: {save_picture(figure, out)}", err=True)
