"""``midgap schema``: the JSON schema of each kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from midgap.structures.document import Document

PUBLISHED = {
    "Crystal": "structures.crystals",
    "Model": "structures.model",
    "LevelOfTheory": "structures.theory",
    "ElectronicStructure": "defects.electronic_structure",
    "LevelReport": "defects.report",
    "Levels": "defects.report",
    "StateDensity": "defects.densities",
    "FormationStudy": "defects.formation_study",
    "FormationEnergies": "defects.formation",
    "FormationReport": "defects.formation_study",
    "EmissionStudy": "defects.emission_study",
    "ConfigurationCoordinate": "defects.configuration_coordinate",
    "EmissionReport": "defects.emission_study",
    "NeutralExcitation": "defects.excitations",
    "Modes": "defects.vibrations",
    "Calculation": "workflows.calculation",
    "CalculationResult": "workflows.calculation",
    "ParticleRecord": "experiment.records",
    "Records": "experiment.records",
    "ParticleCurves": "experiment.curves",
    "PhaseFraction": "experiment.phase_purity",
    "CandidateList": "experiment.evidence.named_candidates",
    "PublishedValues": "experiment.comparison",
    "Comparison": "experiment.comparison",
    "PowerStudy": "experiment.photons.power",
    "Models": "cli.printed",
    "Doctor": "cli.printed",
    "Outcome": "cli.printed",
    "Plan": "cli.printed",
    "Check": "cli.printed",
    "Simulation": "cli.printed",
    "Sent": "cli.printed",
    "SubmissionPlan": "cli.printed",
    "QueueState": "cli.printed",
    "Cancelled": "cli.printed",
    "SentAgain": "cli.printed",
}
"""What stands in files of its own or is printed with ``--json``, and in which module."""


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A kind of file: Levels, Records. (default: list them)",
            autocompletion=lambda: list(PUBLISHED),
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write all of them into this folder instead.")] = None,
) -> None:
    """Print the JSON schema of a kind of file."""
    import json

    from midgap.structures.errors import InputError
    from midgap.structures.schema import json_schema

    if out is not None:
        for path in write_schemas(out):
            typer.echo(path)
    elif name is None:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("file", "version", "what it holds"):
            table.add_column(column)
        for each in PUBLISHED:
            document = published(each)
            table.add_row(each, str(document.SCHEMA_VERSION), (document.__doc__ or "").strip().partition("\n")[0])
        Console().print(table)
    elif (known := name.removeprefix("midgap.")) not in PUBLISHED:
        raise InputError(f"There is no kind of file named {name!r}; there are {', '.join(PUBLISHED)}.")
    else:
        typer.echo(json.dumps(json_schema(published(known)), indent=1, ensure_ascii=False))


def published(name: str) -> type[Document]:
    """The class of a kind of file."""
    from importlib import import_module

    found: type[Document] = getattr(import_module(f"midgap.{PUBLISHED[name]}"), name)
    return found


def write_schemas(folder: Path) -> list[Path]:
    """Write every schema as ``NAME.json``.

    Raises
    ------
    InputError
        The folder holds a schema of the same version, and files that it describes would no longer be read.
    """
    import json

    from midgap.structures.document import read_json, write_atomic
    from midgap.structures.errors import InputError
    from midgap.structures.schema import breaks, json_schema, version

    made: dict[Path, dict[str, Any]] = {folder / f"{name}.json": json_schema(published(name)) for name in PUBLISHED}
    for path, new in made.items():
        old = read_json(path) if path.exists() else new
        if version(old) == version(new) and (why := breaks(old, new)):
            raise InputError(
                f"{path.stem}: files of version {version(new)} would no longer be read ({'; '.join(why)}); raise its "
                "SCHEMA_VERSION and say in UPGRADES how the older become the newer."
            )
    return [write_atomic(path, json.dumps(new, indent=1, ensure_ascii=False) + "\n") for path, new in made.items()]
