"""``midgap cancel``: end jobs of a flow that was sent to a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from midgap.cli.results import print_json
from midgap.cli.submit import SentFrom


def command(
    folder: SentFrom,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Ids or names; all if none.")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
    ] = False,
) -> None:
    """End jobs, in the queue too; what they have computed stays, and midgap rerun goes on from it."""
    from midgap.workflows.cluster.jobs import SentFlow, submission_in

    with SentFlow(submission_in(folder)) as sent:
        ended = sent.cancel(sent.chosen(jobs or []))
    if json_output:
        from midgap.cli.printed import Cancelled

        print_json(Cancelled(cancelled=tuple(job.id for job in ended)))
    else:
        typer.echo(f"Cancelled: {', '.join(job.name for job in ended)}." if ended else "Nothing was left to cancel.")
