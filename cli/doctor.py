"""``midgap doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from midgap.workflows.installation import Finding


def command(
    install: str | None = typer.Option(None, metavar="ENGINE", help="Install an engine: gpaw or pyscf, without root."),
    worker: str | None = typer.Option(None, help="Look at this worker of a cluster instead of this machine."),
    project: str | None = typer.Option(None, help="Project of jobflow-remote, with --worker. (default: the only one)"),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout and nothing else."),
) -> None:
    """Say what is installed, which engines run here or on a cluster, what is missing and how to get it."""
    from midgap.workflows.installation import examine

    if install is not None:
        _install(install, quiet=as_json)
    findings = list(examine()) if worker is None and project is None else _of_worker(project, worker)
    broken = any(finding.essential and not finding.present for finding in findings)
    if as_json:
        from midgap.cli.printed import Doctor
        from midgap.cli.results import print_json

        print_json(Doctor(findings=tuple(findings)))
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False)
        for finding in findings:
            mark = "[green]✓[/]" if finding.present else "[red]✗[/]" if finding.essential else "[yellow]–[/]"
            remedy = "" if finding.present else finding.remedy
            table.add_row(mark, *map(Text, (finding.name, finding.detail, remedy)))  # midgap[pyscf] is no markup
        Console().print(table)
    if broken:
        raise typer.Exit(1)


def _of_worker(project: str | None, worker: str | None) -> list[Finding]:
    """The database from here, and everything else from the worker."""
    from midgap.structures.errors import ComputationError
    from midgap.workflows.cluster.inspection import inspect_worker
    from midgap.workflows.cluster.project import open_project, probe, worker_named
    from midgap.workflows.installation import Finding

    opened = open_project(project)
    name, _ = worker_named(opened, worker)
    try:
        probe(opened)
        database = Finding("database", True, "answers this machine")
    except ComputationError as error:
        database = Finding("database", False, str(error), "", True)
    try:
        return [database, *inspect_worker(opened, name)]
    except ComputationError as error:
        return [database, Finding(name, False, str(error), "", True)]


def _install(engine: str, quiet: bool) -> None:
    from rich.console import Console

    from midgap.structures.errors import InputError
    from midgap.workflows.installation import install_gpaw, install_pyscf

    installers = {"gpaw": install_gpaw, "pyscf": install_pyscf}
    if engine not in installers:
        raise InputError(
            f"{engine!r} is not something midgap installs ({', '.join(installers)}); CP2K comes from: apt-get install cp2k."
        )
    console = Console(stderr=True, quiet=quiet)
    with console.status(f"Installing {engine} (gpaw: about a minute) ..."):
        version = installers[engine]()
    console.print(f"{engine} {version} is installed.", highlight=False)
