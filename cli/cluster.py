"""``midgap cluster``: a project for a cluster, and the runner that keeps its jobs moving."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Prepare a cluster, start and stop the runner.", no_args_is_help=True)

PASSWORD = "MIDGAP_DATABASE_PASSWORD"


@app.command()
def init(
    work_dir: Annotated[
        str,
        typer.Option(
            prompt="Folder for jobs on the cluster (absolute, on scratch)", help="Folder for jobs on the cluster."
        ),
    ],
    scheduler: Annotated[
        str, typer.Option(prompt="Batch system: slurm, pbs or shell", help="slurm, pbs or shell (none).")
    ] = "slurm",
    partition: Annotated[
        str,
        typer.Option(prompt="Partition or queue (empty: the default one)", help="Partition (Slurm) or queue (PBS)."),
    ] = "",
    account: Annotated[str, typer.Option(prompt="Account to charge (empty: none)", help="Account to charge.")] = "",
    hours: Annotated[
        float,
        typer.Option(prompt="Longest time the queue grants, h", min=0.02, help="Longest time the queue grants, h."),
    ] = 24.0,
    host: Annotated[
        str,
        typer.Option(
            prompt="SSH host (empty: this machine submits)",
            help="Reach the cluster by SSH; without it this machine submits.",
        ),
    ] = "",
    database: Annotated[
        str,
        typer.Option(
            prompt="MongoDB: host, host:port or mongodb:// address",
            help="MongoDB: host, host:port or mongodb:// address, without password.",
        ),
    ] = "127.0.0.1",
    username: Annotated[
        str, typer.Option(prompt="User of the database (empty: none)", help="User of the database.")
    ] = "",
    database_name: Annotated[str, typer.Option(help="Database to use; several projects may share one.")] = "midgap",
    name: Annotated[str, typer.Option(help="Name of the project.")] = "midgap",
    worker: Annotated[str, typer.Option(help="How to call the cluster.")] = "cluster",
    user: Annotated[str | None, typer.Option(help="User on the SSH host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the SSH host.")] = None,
    key: Annotated[str | None, typer.Option(help="Private key for the SSH host.")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="The SSH host asks for a second factor.")] = False,
    pre_run: Annotated[
        str | None, typer.Option(help="Shell command that sets up midgap's Python there. (default: this one's)")
    ] = None,
    cores_per_node: Annotated[int | None, typer.Option(min=1, help="Cores of a node.")] = None,
    memory_per_node: Annotated[float | None, typer.Option(metavar="GB", min=0.1, help="Memory of a node.")] = None,
    ranks: Annotated[
        list[str] | None, typer.Option(metavar="ENGINE=N", help="MPI ranks an engine may use, e.g. vasp=64.")
    ] = None,
    modules: Annotated[
        list[str] | None, typer.Option(metavar="ENGINE=M1,M2", help="Modules to load for an engine.")
    ] = None,
    max_jobs: Annotated[int, typer.Option(min=1, help="Jobs in the queue at once, at most.")] = 50,
    pilot: Annotated[
        int | None, typer.Option(min=1, help="Also a worker WORKER-pilot: so many jobs side by side in one allocation.")
    ] = None,
    pilot_wait: Annotated[
        float, typer.Option(metavar="S", min=1, help="An allocation without work ends after so many seconds.")
    ] = 600,
    poll: Annotated[
        float,
        typer.Option(
            metavar="S", min=0.5, help="How often the runner looks at its jobs; at the queue a third as often."
        ),
    ] = 10,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a project of the same name.")] = False,
) -> None:
    """Write a project of jobflow-remote, each line explained; asks for what is not given."""
    import os
    import re

    from midgap.structures.errors import InputError
    from midgap.workflows.cluster.site import Site, pre_run_here, write_project

    found = re.fullmatch(r"([^:/]+):(\d+)", database)
    address, database_port = (found[1], int(found[2])) if found else (database, 27017)
    if re.search(r"//[^/@]*:[^/@]*@", address):
        raise InputError(f"Leave the password out of the address: give it in the variable {PASSWORD}, or when asked.")
    password = os.environ.get(PASSWORD, "")
    if username and not password:
        password = typer.prompt("Password of the database", hide_input=True, err=True)
    if pre_run is None:
        if host:
            raise InputError(
                "Say how midgap's Python is set up on the SSH host: --pre-run 'source ~/venv/bin/activate'."
            )
        pre_run = pre_run_here()
    resources = {"account": account, ("queue" if scheduler == "pbs" else "partition"): partition}
    engines, exec_config = _engines(ranks or [], modules or [])
    site = Site.from_dict(
        {
            "name": name,
            "worker": worker,
            "scheduler": scheduler,
            "host": host or None,
            "user": user,
            "port": port,
            "key": key,
            "interactive": interactive,
            "work_dir": work_dir,
            "pre_run": pre_run,
            "resources": {key: value for key, value in resources.items() if value and scheduler != "shell"},
            "max_jobs": max_jobs,
            "max_walltime_h": hours,
            "cores_per_node": cores_per_node,
            "memory_per_node_GB": memory_per_node,
            "engines": engines,
            "exec_config": exec_config,
            "pilot": pilot,
            "pilot_wait_s": pilot_wait,
            "pilot_sleep_s": min(10.0, poll),
            "database": address,
            "database_port": database_port,
            "database_name": database_name,
            "username": username,
            "password": password,
            "poll_s": poll,
            "poll_queue_s": 3 * poll if poll > 2 else poll,
        },
        source="the answers",
    )
    path = write_project(site, overwrite=overwrite)
    typer.echo(f"{path} is written; only you can read it.")
    typer.echo(f"Next: midgap doctor --worker {worker} --project {name}; then: midgap submit --project {name}.")


@app.command()
def start(
    project: Annotated[str | None, typer.Argument(help="Project. (default: the only one)")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for second factors now.")] = False,
) -> None:
    """Start the runner on this machine, in the background."""
    from midgap.workflows.cluster.project import controller, open_project
    from midgap.workflows.cluster.runner import start as start_runner

    opened = open_project(project)
    controller(opened).close()
    started = start_runner(opened, interactive=interactive)
    typer.echo("The runner is at work." if started else "The runner was at work already.")


@app.command()
def stop(project: Annotated[str | None, typer.Argument(help="Project. (default: the only one)")] = None) -> None:
    """Stop the runner on this machine; what is in the queue runs on."""
    from midgap.workflows.cluster.project import open_project
    from midgap.workflows.cluster.runner import stop as stop_runner

    typer.echo("The runner has stopped." if stop_runner(open_project(project)) else "No runner was at work.")


def _engines(ranks: list[str], modules: list[str]) -> tuple[dict[str, dict], dict[str, dict]]:
    """``vasp=64`` and ``vasp=VASP/6.4,MKL`` as entries of the project."""
    from midgap.structures.errors import InputError
    from midgap.workflows.engines import engine_named

    engines: dict[str, dict] = {}
    exec_config: dict[str, dict] = {}
    for text in ranks:
        engine, _, number = text.partition("=")
        if not number.isdigit() or int(number) < 1:
            raise InputError(f"--ranks takes an engine and a number, such as vasp=64; not {text!r}.")
        engines.setdefault(engine_named(engine).name, {})["max_ranks"] = int(number)
    for text in modules:
        engine, _, names = text.partition("=")
        if not names:
            raise InputError(f"--modules takes an engine and its modules, such as vasp=VASP/6.4,MKL; not {text!r}.")
        engine = engine_named(engine).name
        engines.setdefault(engine, {})["exec_config"] = engine
        exec_config[engine] = {"modules": names.split(",")}
    return engines, exec_config
