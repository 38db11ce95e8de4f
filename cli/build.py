"""``midgap build``: the models of a question, as files."""

from __future__ import annotations

from pathlib import Path

import typer


def command(
    material: str = typer.Option("Cs4PbBr6", help="A known material, or a CIF, POSCAR or extended XYZ file."),
    substitute: list[str] | None = typer.Option(
        None,
        metavar="OLD=NEW",
        help="Put another element in an element's place, e.g. Br=Cl; the cell is scaled by ionic radii. Relax it.",
    ),
    out: Path = typer.Option(Path("models"), help="Folder to write to."),
    max_atoms: int | None = typer.Option(
        None, min=1, help="Most isotropic supercell of at most so many atoms (default: primitive cell)."
    ),
    conventional: bool = typer.Option(False, "--conventional", help="Use the conventional cell."),
    species: str | None = typer.Option(None, help="Whose vacancies (default: the halide)."),
    charges: str | None = typer.Option(
        None, help="Charge states, e.g. --charges=-1,0,1. (default: those usual for the element)"
    ),
    clusters: bool = typer.Option(True, "--clusters/--no-clusters", help="Also cut octahedra and the formula unit."),
    rattle: float = typer.Option(
        0.0, help="Move the atoms of vacancy cells by so many Å at random, to break symmetry."
    ),
    seed: int = typer.Option(0, help="Seed of the rattle."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout and nothing else."),
) -> None:
    """Build pristine cells, vacancies at every inequivalent site and charge, and clusters."""
    from midgap.cli.options import parse_charges, parse_replacing
    from midgap.structures.build import build_models
    from midgap.structures.export import export_models
    from midgap.structures.vacancies import rattle as rattled

    models = build_models(
        material,
        max_atoms=max_atoms,
        conventional=conventional,
        species=species,
        charges=None if charges is None else parse_charges(charges),
        clusters=clusters,
        replacing=parse_replacing(substitute or ()),
    )
    if rattle:
        models = [rattled(model, rattle, seed) if model.vacancy and model.periodic else model for model in models]
    export_models(models, out)
    if as_json:
        from midgap.cli.printed import Models
        from midgap.cli.results import print_json

        print_json(Models(models=tuple(models)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, side in (
        ("model", "left"),
        ("what", "left"),
        ("unpaired", "right"),
        ("site", "left"),
        ("× in cell", "right"),
    ):
        table.add_column(name, justify=side, no_wrap=name == "model", overflow="fold")  # type: ignore[arg-type]
    for model in models:
        site = "" if model.vacancy is None else f"{model.vacancy.site} ({model.vacancy.wyckoff})"
        times = "" if model.vacancy is None else str(model.vacancy.multiplicity)
        table.add_row(
            model.name,
            model.label,
            str(model.unpaired_electrons),
            site,
            times,
        )
    console = Console()
    console.print(table)
    console.print(f"{len(models)} models in {out}, each as JSON with CIF and POSCAR, or XYZ.", highlight=False)
