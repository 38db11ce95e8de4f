"""``midgap excite``: an electron promoted within one charge state, by total energies (ΔSCF)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.results import print_json

if TYPE_CHECKING:
    from midgap.defects.excitations import NeutralExcitation
    from midgap.structures.model import Model
    from midgap.workflows.excitation import ExcitationFlowMaker


def command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A model of `midgap build`, or the folder of a finished calculation of it."
        ),
    ],
    pristine: Annotated[
        Path | None, typer.Option(help="The crystal in the same cell, likewise: for a vacancy, whose levels it tells.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="Where the electron is taken: VBM, or level 1.")] = "VBM",
    end: Annotated[str, typer.Option("--to", help="Where it is put: CBM, or level 1.")] = "CBM",
    engine: Annotated[str, typer.Option(help="gpaw (PBE) or vasp (PBE and HSE06).")] = "gpaw",
    theory: Annotated[str, typer.Option(help="pbe or hse06.")] = "pbe",
    cutoff: Annotated[
        float | None, typer.Option(metavar="EV", help="Plane-wave cutoff. (default: the engine's for these elements)")
    ] = None,
    fmax: Annotated[float, typer.Option(metavar="EV/Å", help="Forces that a relaxation ends with.")] = 0.03,
    relax: Annotated[
        bool, typer.Option("--relax/--vertical", help="Whether the atoms answer, in both states, or stay as given.")
    ] = True,
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command in it goes on.")] = Path(
        "midgap-excite"
    ),
    cores: Annotated[int | None, typer.Option(min=1, help="Cores to use. (default: all)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")] = False,
) -> None:
    """Promote an electron, from a level to the CBM say, and tell what is absorbed and emitted, by total energies."""
    from rich.console import Console

    from midgap.cli.progress import stoppable
    from midgap.defects.excitations import NeutralExcitation
    from midgap.structures.errors import InputError
    from midgap.workflows.engines import engine_named
    from midgap.workflows.local import run_flow

    atoms, host = _model(model), None if pristine is None else _model(pristine)
    maker = _maker(engine, theory, cutoff, fmax, relax, start, end)
    flow = maker.make(atoms, host)
    if missing := engine_named(engine).missing():
        raise InputError(missing)
    talk = Console(stderr=True)
    with stoppable(talk) as progress:
        done = run_flow(flow, out, cores=cores, watch=progress)
    done.raise_for_failures()
    found = NeutralExcitation.from_dict(done.output)
    found.write(out / "excitation.json")
    if as_json:
        print_json(found)
        return
    _print(found)


def _maker(
    engine: str, theory: str, cutoff: float | None, fmax: float, relax: bool, start: str, end: str
) -> ExcitationFlowMaker:
    from midgap.structures.theory import LevelOfTheory
    from midgap.workflows.excitation import ExcitationFlowMaker
    from midgap.workflows.flows import LevelFlowMaker

    level = LevelOfTheory.named(theory, cutoff_eV=cutoff)
    levels = LevelFlowMaker(engine=engine, theory=level, relax=relax, options={"fmax_eV_per_ang": fmax})
    return ExcitationFlowMaker(levels=levels, start=start, end=end, relax=relax, theory=level)


def _model(path: Path) -> Model:
    from midgap.structures.errors import InputError
    from midgap.structures.model import Model
    from midgap.workflows.calculation import CalculationResult

    if not path.is_dir():
        return Model.read(path)
    if not (path / "result.json").is_file():
        raise InputError(f"{path} is not the folder of a calculation by midgap; give a model of midgap build.")
    return CalculationResult.read(path / "result.json").model


def _print(found: NeutralExcitation) -> None:
    from rich.console import Console

    from midgap.cli.tables import plain_table

    console = Console(highlight=False)
    console.print(
        f"[bold]{found.label}[/]  {found.start} → {found.end} (bands {found.promotion.label}), {found.theory}"
    )
    rows = []
    for name, one in (("absorption", found.absorption), ("emission", found.emission)):
        if one is None:
            continue
        parts = [_eV(value) for value in (one.energy_eV, one.determinant_eV, one.triplet_above_eV)]
        rows.append([name, *parts, _where(one.electron.by_species), _where(one.hole.by_species)])
    console.print(plain_table(["eV", "vertical", "determinant", "triplet", "electron on", "hole on"], rows))
    if found.emission is not None:
        console.print(
            f"relaxes by {_eV(found.relaxation_excited_eV)} eV excited and {_eV(found.relaxation_ground_eV)} eV after "
            f"emission; ΔQ {found.delta_q:.2f} amu^½ Å"
        )
    for warning in found.warnings:
        console.print(f"[yellow]•[/] {warning}")


def _eV(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _where(weights: dict[str, float]) -> str:
    return " ".join(f"{species} {weight:.2f}" for species, weight in weights.items())
