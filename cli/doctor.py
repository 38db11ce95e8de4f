"""``midgap doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import typer


def command(
    install: str | None = typer.Option(None, metavar="ENGINE", help="Install an engine: gpaw or pyscf, without root."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout and nothing else."),
) -> None:
    """Say what is installed, which engines run here, what is missing and how to get it."""
    import json
    from dataclasses import asdict

    from midgap.workflows.installation import examine

    if install is not None:
        _install(install, quiet=as_json)
    findings = list(examine())
    broken = any(finding.essential and not finding.present for finding in findings)
    if as_json:
        print(json.dumps({"schema": "midgap.Doctor", "schema_version": 1, "findings": [asdict(f) for f in findings]}))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False)
        for finding in findings:
            mark = "[green]✓[/]" if finding.present else "[red]✗[/]" if finding.essential else "[yellow]–[/]"
            table.add_row(mark, finding.name, finding.detail, "" if finding.present else finding.remedy)
        Console().print(table)
    if broken:
        raise typer.Exit(1)


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
