"""``midgap run``: build, compute, find the levels, compare, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.question import RecordsFile, asking
from midgap.cli.question import records as measured_records
from midgap.cli.results import print_json, tell, write

if TYPE_CHECKING:
    from midgap.workflows.presets import Preset


@asking
def command(
    asked: Preset,
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command in it goes on.")] = Path("midgap-run"),
    cores: Annotated[int | None, typer.Option(min=1, help="Cores to use. (default: all)")] = None,
    records: RecordsFile = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, write VASP's inputs, and compute nothing.")
    ] = False,
) -> None:
    """Compute the levels of a material's vacancies and hold them against what was measured.

    Everything is kept in the folder of the run. Stop it when you like: what is finished is not
    computed again.
    """
    from rich.console import Console

    talk = Console(stderr=True)
    if not dry_run:
        talk.print(f"[bold]{asked.material}[/]: {asked.in_words}", highlight=False)
    measured = measured_records(records, asked.material)
    if dry_run:
        _plan(asked, out, cores, json_output)
        return

    from midgap.cli.progress import stoppable
    from midgap.workflows.densities import densities_so_far
    from midgap.workflows.formation import formation_so_far
    from midgap.workflows.local import run_flow
    from midgap.workflows.reports import levels_so_far

    flow = asked.flow()
    _refuse_missing(asked)
    with stoppable(talk) as progress:
        result = run_flow(flow, out, cores=cores, request=asked.request(), watch=progress)
    found = levels_so_far(result.folder), measured, out, densities_so_far(result.folder)
    written = write(*found, formation_so_far(result.folder))
    if json_output:
        from midgap.cli.printed import FailedJob

        failed = tuple(FailedJob(job=job.name, error=job.error) for job in result.failed)
        print_json(written.model_copy(update={"failed": failed}))
    else:
        tell(written)
    result.raise_for_failures()


def _refuse_missing(question: Preset) -> None:
    """Say what is not installed before anything has run for hours."""
    from midgap.structures.errors import InputError
    from midgap.workflows.engines import engine_named

    maker = question.maker()
    for name in dict.fromkeys(maker.engine_for(model) for model in question.models()):
        if missing := engine_named(name).missing():
            raise InputError(missing)


def _plan(question: Preset, out: Path, cores: int | None, json_output: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from midgap.cli.progress import about
    from midgap.workflows.inputs import write_inputs
    from midgap.workflows.local import cores_here
    from midgap.workflows.models import is_relaxed
    from midgap.workflows.schedule import expected_makespan_s

    models, maker = question.models(), question.maker()
    flow = maker.make(models)
    cores = cores or cores_here()
    jobs = [job for job in flow.jobs if job.metadata.get("task") in ("relax", "static")]
    timed = all(job.metadata["timed"] for job in jobs)
    total = expected_makespan_s(flow, cores)
    inputs = write_inputs(maker, models, out / "inputs")
    if json_output:
        from midgap.cli.printed import Plan

        print_json(
            Plan(
                request=question.request(),
                cores=cores,
                expected_s=round(total) if timed else None,
                jobs=tuple({"name": job.name, **job.metadata} for job in jobs),
                inputs=tuple(str(folder) for folder in inputs.folders),
                notes=tuple(inputs.notes),
            )
        )
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("calculation", "task", "theory", "engine", "alone, on one core"):
        table.add_column(column)
    for job in jobs:
        data = job.metadata
        time = about(data["cost_s"]) if data["timed"] else "[dim]not timed[/]"
        table.add_row(data["label"], data["task"], data["theory"], data["engine"], time)
    console = Console()
    console.print(
        f"{question.material}, preset {question.name} ({question.about}): {question.in_words}", highlight=False
    )
    console.print(table)
    host = next((model for model in models if model.kind == "pristine"), None)
    if question.relax and host is not None and not is_relaxed(host):
        console.print("The primitive cell is relaxed first, and the rest is cut from it.")
    if timed:
        console.print(f"Together {about(total)} on {cores} cores.", highlight=False)
    if inputs.folders:
        console.print(
            f"Inputs of {len(inputs.folders)} runs: [dim]{out / 'inputs'}[/]", highlight=False, soft_wrap=True
        )
    for note in inputs.notes:
        console.print(note, highlight=False, soft_wrap=True)
