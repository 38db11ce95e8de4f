"""What a person sees while a flow runs: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from midgap.cli.results import STOPPED
from midgap.structures.interrupts import asked
from midgap.workflows.tasks import TASKS

if TYPE_CHECKING:
    from midgap.workflows.local import JobView

_SIGNS = {
    "waiting": "[dim]·[/]",
    "running": "[cyan]▸[/]",
    "done": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "blocked": "[dim]–[/]",
    "stopped": "[dim]–[/]",
}
LINE_EVERY_S = 30.0
"""Outside a terminal a running job says how far it is this often."""


@contextmanager
def stoppable(talk: Console) -> Iterator[Progress]:
    """A flow's progress; an interrupt says that the command goes on, and ends it with 130."""
    import typer

    try:
        with Progress(talk) as progress:
            yield progress
    except KeyboardInterrupt:
        if asked() is None:  # else it is said when the process ends
            talk.print(STOPPED, highlight=False)
        raise typer.Exit(130) from None


def clock(seconds: float) -> str:
    """``0:07``, ``12:40``, ``3:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def about(seconds: float) -> str:
    """A time that is known only roughly: ``about 40 s``, ``about 7 min``, ``about 2 h``."""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.0f} h"


def what(job: JobView) -> str:
    """For people: ``V_Br⁰ · 21 atoms: relax, PBE``."""
    task, label = job.metadata.get("task"), job.metadata.get("label")
    if label is None:
        return job.name
    if task in TASKS:
        return f"{label}: {'' if task == 'static' else f'{task}, '}{job.metadata.get('theory', '')}"
    return f"{label}: {task}"


def stage(job: JobView) -> str:
    """How far the engine says it is."""
    from midgap.workflows.engines import engine_named

    engine = job.metadata.get("engine")
    if job.state != "running" or engine is None:
        return ""
    try:
        return engine_named(engine).progress(job.folder)
    except (OSError, ValueError):  # it is being written at this moment
        return ""


class Progress:
    """Shows the jobs of a run as they come; to be called with them, as `run_flow` does."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()
        self.live = (
            Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") if console.is_terminal else None
        )
        self._told: dict[tuple[str, int], str] = {}
        self._spoke: dict[tuple[str, int], float] = {}

    def __enter__(self) -> Self:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def __call__(self, jobs: Sequence[JobView]) -> None:
        if self.live is not None:
            self.live.update(self._picture(jobs), refresh=True)
        else:
            self._lines(jobs)

    def _picture(self, jobs: Sequence[JobView]) -> Group:
        rows = [job for job in jobs if _is_calculation(job) or job.state in ("running", "failed")]
        room = max(4, self.console.height - 6)
        left_out = 0
        if len(rows) > room:
            order = {"failed": 0, "running": 1, "waiting": 2}
            shown = sorted(rows, key=lambda job: order.get(job.state, 3))[:room]
            left_out, rows = len(rows) - room, [job for job in rows if job in shown]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("")
        table.add_column("calculation", no_wrap=True)
        table.add_column("engine")
        table.add_column("time", justify="right")
        table.add_column("expected", style="dim")
        table.add_column("now", ratio=1, overflow="ellipsis", no_wrap=True)
        pace = _pace(jobs)
        for job in rows:
            now = f"[red]{escape(job.error or '')}[/]" if job.state == "failed" else escape(stage(job))
            if job.found_done:
                now = "[dim]was already done[/]"
            table.add_row(
                _SIGNS[job.state],
                escape(what(job)),
                job.metadata.get("engine", ""),
                "" if job.elapsed_s is None else clock(job.elapsed_s),
                about(job.expected_s * pace) if job.state in ("waiting", "running") and _is_timed(job) else "",
                now,
            )
        done = sum(job.state == "done" for job in jobs)
        foot = f"{done} of {len(jobs)} jobs done · {clock(time.monotonic() - self.began)}"
        if left_out:
            foot += f" · {left_out} calculations not shown"
        return Group(table, Text(foot, style="dim"))

    def _lines(self, jobs: Sequence[JobView]) -> None:
        now = time.monotonic()
        for job in jobs:
            key = (job.uuid, job.index)
            if self._told.get(key) != job.state:
                self._told[key] = job.state
                line = _line(job)
                self._spoke[key] = now
            elif job.state == "running" and now - self._spoke.get(key, now) >= LINE_EVERY_S:
                said = stage(job)
                line = f"running  {what(job)}: {said}" if said else None
                self._spoke[key] = now
            else:
                line = None
            if line is not None:
                self.console.print(f"{time.strftime('%H:%M:%S')} {line}", markup=False, highlight=False, soft_wrap=True)


def _is_calculation(job: JobView) -> bool:
    return job.metadata.get("task") in TASKS


def _is_timed(job: JobView) -> bool:
    """Whether what is expected of it rests on measurements of its engine."""
    return _is_calculation(job) and job.metadata.get("timed", True)


def _line(job: JobView) -> str | None:
    spent = f" ({clock(job.elapsed_s)})" if job.elapsed_s is not None else ""
    if job.state == "waiting" or not (_is_calculation(job) or job.state == "failed"):
        return None
    if job.state == "running":
        expected = f", {about(job.expected_s)}" if _is_timed(job) else ""
        return f"started  {what(job)} [{job.metadata.get('engine', '')}{expected}]"
    if job.state == "failed":
        return f"failed   {what(job)}{spent}: {job.error}"
    if job.state == "done":
        return f"done     {what(job)}{' already' if job.found_done else spent}"
    return f"left out {what(job)}"


def _pace(jobs: Sequence[JobView]) -> float:
    """How much longer than expected things take here, from what is done."""
    ratios = sorted(
        job.elapsed_s / job.expected_s
        for job in jobs
        if job.state == "done" and job.elapsed_s is not None and _is_timed(job)
    )
    return ratios[len(ratios) // 2] if ratios else 1.0
