"""``midgap run``: build, compute, find the levels, compare, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from midgap.workflows.local import RunResult
    from midgap.workflows.presets import Preset


def command(
    material: Annotated[
        str | None, typer.Option(help="Formula that midgap knows, or a structure file. (default: the preset's)")
    ] = None,
    preset: Annotated[str, typer.Option(help="quick, demo or standard; --dry-run shows what each computes.")] = "demo",
    engine: Annotated[str | None, typer.Option(help="gpaw, cp2k or pyscf. (default: the preset's)")] = None,
    theory: Annotated[
        str | None, typer.Option(help="pbe, pbe+soc, hse06 or hse06+soc. (default: the preset's)")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command in it goes on.")] = Path("midgap-run"),
    cores: Annotated[int | None, typer.Option(min=1, help="Cores to use. (default: all)")] = None,
    charges: Annotated[
        str | None, typer.Option(help="Charges of the vacancies, e.g. --charges=-1,0,1. (default: the preset's)")
    ] = None,
    records: Annotated[
        Path | None, typer.Option(help="Measured records to compare with. (default: those published of the material)")
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and compute nothing.")] = False,
) -> None:
    """Compute the levels of a material's vacancies and hold them against what was measured.

    Everything is kept in the folder of the run. Stop it when you like: what is finished is not
    computed again.
    """
    from rich.console import Console

    talk = Console(stderr=True)
    question = _question(preset, material, engine, theory, charges)
    if not dry_run:
        talk.print(f"[bold]{question.material}[/]: {question.about}", highlight=False)
    measured = _records(records, question.material)
    if dry_run:
        _plan(question, cores, json_output)
        return

    from midgap.cli.progress import Progress
    from midgap.workflows.local import run_flow

    flow = question.flow()
    _refuse_missing(question)
    try:
        with Progress(talk) as progress:
            result = run_flow(flow, out, cores=cores, request=question.request(), watch=progress)
    except KeyboardInterrupt:
        talk.print("Stopped. What is finished is kept; the same command goes on from here.", highlight=False)
        raise typer.Exit(130) from None
    written = _write(result, measured, out)
    if json_output:
        _print_json(written | {"failed": [{"job": job.name, "error": job.error} for job in result.failed]})
    else:
        _tell(written, talk)
    result.raise_for_failures()


def _question(preset: str, material: str | None, engine: str | None, theory: str | None, charges: str | None) -> Preset:
    from midgap.cli.options import parse_charges
    from midgap.workflows.engines import engine_named
    from midgap.workflows.presets import preset_named

    question = preset_named(preset)
    change: dict[str, Any] = {}
    if material is not None:
        change["material"] = material
    if charges is not None:
        change["charges"] = parse_charges(charges)
    question = question.model_copy(update=change)
    if engine is not None:
        question = question.with_engine(engine_named(engine).name)
    return question if theory is None else question.with_theory(theory)


def _records(path: Path | None, material: str) -> Any:
    """The records asked for, those published of the material, or None; read first, so that a typo costs no hours."""
    from midgap.experiment.records import Records, published_records
    from midgap.structures.errors import InputError

    if path is not None:
        return Records.read(path).in_energy()
    try:
        return published_records(Path(material).stem if Path(material).is_file() else material)
    except InputError:
        return None


def _refuse_missing(question: Preset) -> None:
    """Say what is not installed before anything has run for hours."""
    from midgap.structures.errors import InputError
    from midgap.workflows.engines import engine_named

    maker = question.maker()
    for name in dict.fromkeys(maker.engine_for(model) for model in question.models()):
        if missing := engine_named(name).missing():
            raise InputError(missing)


def _plan(question: Preset, cores: int | None, json_output: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from midgap.cli.progress import about
    from midgap.workflows.flows import is_relaxed
    from midgap.workflows.local import cores_here
    from midgap.workflows.schedule import expected_makespan_s

    models = question.models()
    flow = question.maker().make(models)
    cores = cores or cores_here()
    jobs = [job for job in flow.jobs if job.metadata.get("task") in ("relax", "static")]
    total = expected_makespan_s(flow, cores)
    if json_output:
        _print_json(
            {
                "request": question.request(),
                "cores": cores,
                "expected_s": round(total),
                "jobs": [{"name": job.name, **job.metadata} for job in jobs],
            }
        )
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("calculation", "task", "theory", "engine", "alone, on one core"):
        table.add_column(column)
    for job in jobs:
        data = job.metadata
        table.add_row(data["label"], data["task"], data["theory"], data["engine"], about(data["cost_s"]))
    console = Console()
    console.print(f"{question.material}, preset {question.name}: {question.about}", highlight=False)
    console.print(table)
    host = next((model for model in models if model.kind == "pristine"), None)
    if question.relax and host is not None and not is_relaxed(host):
        console.print("The primitive cell is relaxed first, and the rest is cut from it.")
    console.print(f"Together {about(total)} on {cores} cores.", highlight=False)


def _write(result: RunResult, measured: Any, out: Path) -> dict[str, Any]:
    """Write what there is: after a failure too, the reports of what did not fail."""
    from midgap.experiment.comparison import compare
    from midgap.report.page import write_page
    from midgap.workflows.flows import levels_so_far

    levels = levels_so_far(result.folder)
    written: dict[str, Any] = {"folder": str(out), "levels": None, "comparison": None, "page": None}
    if not levels.reports:
        return written
    written["levels"] = str(levels.write(out / "levels.json"))
    written["reports"] = [report.to_dict() for report in levels.reports]
    if measured is not None:
        comparison = compare(levels, measured)
        written["comparison"] = str(comparison.write(out / "comparison.json"))
        written["answer"] = comparison.answer
        written["page"] = str(write_page(out / "report.html", levels, comparison, measured))
    return written


def _tell(written: dict[str, Any], console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    if not written["levels"]:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model")
    table.add_column("gap, eV", justify="right")
    table.add_column("levels above the VBM, eV")
    for report in written["reports"]:
        levels = ", ".join(f"{level['above_vbm_eV']:.2f} ({level['kind']})" for level in report["levels"])
        gap = "" if report["gap_eV"] is None else f"{report['gap_eV']:.2f}"
        table.add_row(escape(report["label"]), gap, levels or "none")
    out = type(console)()
    out.print(table)
    if written["comparison"]:
        from midgap.cli.compare import print_comparison
        from midgap.experiment.comparison import Comparison

        out.print()
        print_comparison(Comparison.read(written["comparison"]))
    else:
        out.print("No measured records of this material are known: compare with your own by midgap compare.")
    for what in ("page", "levels", "comparison"):
        if written[what]:
            out.print(f"[dim]{what}[/] {escape(written[what])}", highlight=False, soft_wrap=True)


def _print_json(data: dict[str, Any]) -> None:
    import json

    print(json.dumps(data, allow_nan=False))
