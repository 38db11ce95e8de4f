"""The options that say what is asked, the same wherever it is computed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from midgap.workflows.presets import Preset

Material = Annotated[
    str | None, typer.Option(help="Formula that midgap knows, or a structure file. (default: the preset's)")
]
PresetName = Annotated[
    str, typer.Option(help="quick, demo, standard or production; --dry-run shows what each computes.")
]
EngineName = Annotated[str | None, typer.Option(help="gpaw, cp2k, pyscf or vasp. (default: the preset's)")]
Theory = Annotated[str | None, typer.Option(help="pbe, pbe+soc, hse06 or hse06+soc. (default: the preset's)")]
Charges = Annotated[
    str | None, typer.Option(help="Charges of the vacancies, e.g. --charges=-1,0,1. (default: the preset's)")
]
Species = Annotated[str | None, typer.Option(help="Whose vacancies, e.g. O. (default: the halide)")]
MaxAtoms = Annotated[
    int | None,
    typer.Option(min=1, help="Most isotropic supercells of at most so many atoms. (default: the preset's)"),
]
Cutoff = Annotated[
    float | None,
    typer.Option(
        metavar="EV",
        help="Plane-wave cutoff. (default: the preset's, 250 for GPAW, 500 with H, B, C, N, O or F)",
    ),
]
Relax = Annotated[
    str | None,
    typer.Option(
        help="What relaxes the crystals: pbe, pbe+d3, hse06, two of them with a comma, or none. (default: pbe)"
    ),
]
KPoints = Annotated[
    str | None, typer.Option(help="Γ-centred mesh of the crystals, e.g. 2,2,2. (default: the preset's)")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the engine in its own words, as often as you like: --set ENCUT=400 --set hse06+soc:ALGO=All.",
    ),
]
Formation = Annotated[
    bool,
    typer.Option(
        "--formation",
        help="Also compute the competing phases that midgap knows, and formation energies (midgap formation).",
    ),
]
Phases = Annotated[
    list[Path] | None,
    typer.Option("--phase", help="A competing phase as CIF, POSCAR or XYZ file, for --formation; may be given again."),
]
Screened = Annotated[
    str | None,
    typer.Option(
        "--screening",
        metavar="EPS",
        help="Static dielectric constant, or three, for the corrections of charged cells in formation energies.",
    ),
]
RecordsFile = Annotated[
    Path | None, typer.Option(help="Measured records to compare with. (default: those published of the material)")
]


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``asked`` is what `question` makes of its own parameters, as options of that command."""
    options = dict(inspect.signature(question).parameters)
    own = dict(inspect.signature(command).parameters)
    place = list(own).index("asked")
    del own["asked"]
    rest = list(own.values())
    together = [*rest[:place], *options.values(), *rest[place:]]

    @functools.wraps(command)
    def taking(**given: Any) -> None:
        command(asked=question(**{name: given.pop(name) for name in options}), **given)

    # Annotations are text here; each is looked up in the module that it was written in.
    source = {one.name: question if one.name in options else command for one in together}
    hints = {name: eval(function.__annotations__[name], function.__globals__) for name, function in source.items()}
    found = [one.replace(annotation=hints[one.name], kind=one.KEYWORD_ONLY) for one in together]
    taking.__annotations__, taking.__signature__ = hints, inspect.Signature(found)  # type: ignore[attr-defined]
    del taking.__wrapped__  # type: ignore[attr-defined]
    return taking


def question(
    material: Material = None,
    preset: PresetName = "demo",
    engine: EngineName = None,
    theory: Theory = None,
    charges: Charges = None,
    relax: Relax = None,
    settings: Settings = None,
    kpoints: KPoints = None,
    species: Species = None,
    max_atoms: MaxAtoms = None,
    cutoff: Cutoff = None,
    formation: Formation = False,
    phase: Phases = None,
    screening: Screened = None,
) -> Preset:
    """The preset, changed as asked."""
    from midgap.cli.options import parse_charges, parse_dielectric, parse_mesh, parse_settings
    from midgap.structures.errors import InputError
    from midgap.workflows.engines import engine_named
    from midgap.workflows.presets import preset_named

    asked = preset_named(preset)
    change: dict[str, Any] = {}
    if material is not None:
        change["material"] = material
    if charges is not None:
        change["charges"] = parse_charges(charges)
    if species is not None:
        change["species"] = species
    if max_atoms is not None:
        change["max_atoms"] = max_atoms
    if formation:
        change |= {"formation": True, "phases": tuple(map(str, phase or ()))}
        if screening is not None:
            from midgap.defects.emission import Screening

            change["screening"] = Screening(static=parse_dielectric(screening))
    elif phase or screening:
        raise InputError("--phase and --screening are for formation energies: give --formation too.")
    asked = asked.model_copy(update=change)
    if engine is not None:
        asked = asked.with_engine(engine_named(engine).name)
    asked = asked.with_enough_cutoff() if cutoff is None else asked.with_cutoff(cutoff)
    if kpoints is not None:
        asked = asked.with_mesh(parse_mesh(kpoints))
    if relax is not None:
        asked = asked.with_relaxation(relax)
    if settings:
        asked = asked.with_settings(parse_settings(settings))
    return asked if theory is None else asked.with_theory(theory)


def records(path: Path | None, material: str) -> Any:
    """The records asked for, those published of the material, or None; read first, so that a typo costs no hours."""
    from midgap.experiment.records import published_records
    from midgap.experiment.tables import read_records
    from midgap.structures.errors import InputError

    if path is not None:
        return read_records(path).in_energy()
    try:
        return published_records(Path(material).stem if Path(material).is_file() else material)
    except InputError:
        return None
