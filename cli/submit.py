"""``midgap submit``: the flow of ``midgap run``, sent to a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.question import asking
from midgap.cli.results import print_json

if TYPE_CHECKING:
    from jobflow import Flow

    from midgap.workflows.presets import Preset

ProjectName = Annotated[str | None, typer.Option(help="Project of jobflow-remote. (default: the only one)")]
SentFrom = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that midgap submit had as --out.")]


@asking
def command(
    asked: Preset,
    worker: Annotated[str | None, typer.Option(help="Where to compute. (default: the project's first)")] = None,
    project: ProjectName = None,
    out: Annotated[Path, typer.Option(help="Folder by which the flow is known, and for its results.")] = Path(
        "midgap-run"
    ),
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Look first whether jobs can run on the worker.")
    ] = True,
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Start the runner on this machine if none runs.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what each job would ask for, and send nothing.")
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
    ] = False,
) -> None:
    """Send the flow that midgap run would run to a cluster.

    Needs a project (midgap cluster init). Follow it with midgap status, get the results with midgap fetch.
    """
    from rich.console import Console

    from midgap.workflows.cluster.inspection import refuse_unfit
    from midgap.workflows.cluster.jobs import submit
    from midgap.workflows.cluster.project import open_project, probe, queue_of, worker_named

    talk = Console(stderr=True)
    opened = open_project(project)
    name, _ = worker_named(opened, worker)
    queue = queue_of(opened, name)
    if dry_run:
        _plan(asked.flow(queue), name, json_output)
        return
    probe(opened)
    if check:
        maker = asked.maker()
        engines = dict.fromkeys(maker.engine_for(model) for model in asked.models())
        with talk.status(f"Looking at {name} ..."):
            refuse_unfit(opened, name, list(engines))
    out.mkdir(parents=True, exist_ok=True)
    sent, now = submit(lambda: asked.flow(queue), opened, name, out, asked.request())
    started = False
    if start:
        from midgap.workflows.cluster.runner import start as start_runner

        started = start_runner(opened)
    if json_output:
        from midgap.cli.printed import Sent

        print_json(Sent(folder=str(out), flow=sent.flow, project=sent.project, worker=sent.worker, sent=now))
        return
    talk.print(f"{'Sent' if now else 'It was sent already'}, to {sent.worker}.", highlight=False)
    if started:
        talk.print(
            f"The runner was started on this machine; it has to run on until all is done: midgap cluster stop {sent.project} ends it.",
            highlight=False,
        )
    talk.print(f"Follow it: midgap status {out}. Its results: midgap fetch {out}.", highlight=False)


def _plan(flow: Flow, worker: str, json_output: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    jobs = [(job, job.config.manager_config.get("resources") or {}) for job, _ in flow.iterflow()]
    if json_output:
        from midgap.cli.printed import AskedFor, SubmissionPlan

        print_json(
            SubmissionPlan(worker=worker, jobs=tuple(AskedFor(name=job.name, resources=asked) for job, asked in jobs))
        )
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("job")
    table.add_column("asks for")
    for job, asked in jobs:
        table.add_row(
            job.name, ", ".join(f"{key} {value}" for key, value in asked.items()) or "nothing: shares an allocation"
        )
    Console().print(table)
