"""``midgap fetch``: results from the cluster, as ``midgap run`` leaves them."""

from __future__ import annotations

from typing import Annotated

import typer

from midgap.cli.question import RecordsFile
from midgap.cli.question import records as measured_records
from midgap.cli.results import print_json, tell, write
from midgap.cli.submit import SentFrom


def command(
    folder: SentFrom,
    records: RecordsFile = None,
    calculations: Annotated[
        bool,
        typer.Option("--calculations", help="Also the eigenvalues and weights of each calculation, for midgap levels."),
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
    ] = False,
) -> None:
    """Write levels, comparison and page of what is done so far into DIR."""
    from midgap.workflows.cluster.jobs import SentFlow, submission_in

    submission = submission_in(folder)
    measured = measured_records(records, str(submission.request.get("material", "")))
    with SentFlow(submission) as sent:
        written = write(sent.levels(), measured, folder, sent.densities(), sent.formation())
        folders = tuple(str(path) for path in sent.write_calculations(folder / "jobs")) if calculations else ()
        views = sent.views()
    failed = [view for view in views if view.state == "failed"]
    left = sum(view.state not in ("done", "failed") for view in views)
    if json_output:
        from midgap.cli.printed import FailedJob

        told = tuple(FailedJob(job=view.name, error=view.now) for view in failed)
        print_json(written.model_copy(update={"failed": told, "not_done": left, "calculations": folders}))
        return
    tell(written)
    for one in failed:
        typer.echo(f"failed: {one.name}: {one.now}", err=True)
    if left:
        typer.echo(f"{left} of {len(views)} jobs are not done yet; the same command brings the rest later.", err=True)
