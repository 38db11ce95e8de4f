"""``midgap rerun``: send failed and cancelled jobs again."""

from __future__ import annotations

from typing import Annotated

import typer

from midgap.cli.results import print_json
from midgap.cli.submit import SentFrom


def command(
    folder: SentFrom,
    jobs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB]...", help="Ids or names; all that failed or were cancelled if none."),
    ] = None,
    memory: Annotated[float | None, typer.Option(metavar="GB", min=0.1, help="Ask for so much memory instead.")] = None,
    hours: Annotated[float | None, typer.Option(metavar="H", min=0.02, help="Ask for so much time instead.")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
    ] = False,
) -> None:
    """Send failed and cancelled jobs again; engines go on from their restart files, what is done stays done."""
    from midgap.workflows.cluster.jobs import SentFlow, submission_in

    with SentFlow(submission_in(folder)) as sent:
        again = sent.rerun(sent.chosen(jobs or []), memory_GB=memory, hours=hours)
    if json_output:
        from midgap.cli.printed import SentAgain

        print_json(SentAgain(sent=tuple(job.id for job in again)))
    else:
        typer.echo(
            f"Sent again: {', '.join(job.name for job in again)}." if again else "No job failed or was cancelled."
        )
