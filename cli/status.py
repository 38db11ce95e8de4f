"""``midgap status``: the jobs of a flow that was sent to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.results import print_json
from midgap.cli.submit import SentFrom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Group

    from midgap.cli.printed import ShownJob
    from midgap.workflows.cluster.view import QueueJob

_SIGNS = {
    "waiting": "[dim]·[/]",
    "ready": "[dim]·[/]",
    "queued": "[yellow]…[/]",
    "running": "[cyan]▸[/]",
    "ending": "[cyan]▸[/]",
    "done": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "cancelled": "[dim]–[/]",
    "paused": "[dim]–[/]",
}
WIDE = 110
ACTIVE = ("ready", "queued", "running", "ending")


def command(
    folder: SentFrom,
    live: Annotated[bool, typer.Option("--live", "-f", help="Look again and again until nothing runs.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between looks, with --live.")] = 10.0,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
    ] = False,
) -> None:
    """Show each job: what it computes, where it stands, what its engine says."""
    import time

    from rich.console import Console
    from rich.live import Live

    from midgap.workflows.cluster.jobs import SentFlow, submission_in
    from midgap.workflows.cluster.runner import running

    with SentFlow(submission_in(folder)) as sent:

        def look() -> tuple[QueueJob, ...]:
            return sent.with_progress(sent.views())

        if json_output:
            from midgap.cli.printed import QueueState

            seen = tuple(plain(view) for view in look())
            print_json(QueueState(worker=sent.sent.worker, runner=bool(running(sent.project)), jobs=seen))
            return
        console = Console()
        if not live:
            console.print(picture(look(), console.width))
        else:
            with Live(console=console, auto_refresh=False, vertical_overflow="visible") as shown:
                while True:
                    views = look()
                    shown.update(picture(views, console.width), refresh=True)
                    if not any(view.state in ACTIVE for view in views):
                        break
                    time.sleep(every)
        if not running(sent.project) and any(view.state in ACTIVE for view in sent.views()):
            console.print("No runner is at work on this machine: midgap cluster start.", style="yellow")


def plain(job: QueueJob) -> ShownJob:
    """A job as it is printed as JSON."""
    from midgap.cli.printed import ShownJob

    return ShownJob(
        id=job.id,
        uuid=job.uuid,
        name=job.name,
        state=job.state,
        queue_id=job.queue_id,
        allocation=job.allocation,
        elapsed_s=job.elapsed_s,
        folder=None if job.folder is None else str(job.folder),
        now=job.now,
        **{key: job.metadata.get(key) for key in ("model", "task", "theory", "engine")},
    )


def picture(jobs: Sequence[QueueJob], width: int) -> Group:
    """The table of a flow; jobs that take a second appear only while they do not go well.

    What engines say gets a column where the terminal is ``width`` enough, else lines below the table.
    """
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from midgap.cli.progress import clock

    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("id", justify="right")
    table.add_column("model", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("queue id", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    if wide:
        table.add_column("now", ratio=1, overflow="fold")
    below = []
    for job in jobs:
        if not job.calculates and job.state in ("waiting", "done"):
            continue
        data = job.metadata
        words = ("relax" if data.get("task") == "relax" else "", data.get("theory", ""), data.get("engine", ""))
        now = job.now if job.allocation == 1 else f"allocation {job.allocation}{': ' if job.now else ''}{job.now}"
        row = [
            _SIGNS[job.state],
            job.id,
            escape(str(data.get("label", job.name))),
            " ".join(filter(None, words)) or str(data.get("task", "")),
            job.state,
            job.queue_id or "",
            "" if job.elapsed_s is None else clock(job.elapsed_s),
        ]
        style = "red" if job.state == "failed" else ""
        if wide:
            row.append(f"[{style}]{escape(now)}[/]" if style and now else escape(now))
        elif now:
            below.append(Text(f"{job.id}: {now}", style=style))
        table.add_row(*row)
    done = sum(job.state == "done" for job in jobs)
    return Group(table, *below, Text(f"{done} of {len(jobs)} jobs done", style="dim"))
