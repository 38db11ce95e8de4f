"""The ``midgap`` command: reads the words, calls one room, prints the answer.

Each command is a module of this room with a function ``command``. Modules of the other rooms are
imported inside those functions, so that ``midgap --help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings

import typer

from midgap.cli import (
    build,
    cancel,
    check,
    cluster,
    compare,
    diffraction,
    doctor,
    emission,
    excite,
    export,
    fetch,
    figure,
    formation,
    levels,
    photons,
    power,
    rerun,
    run,
    schema,
    simulate,
    spectrum,
    status,
    submit,
)
from midgap.cli.results import STOPPED
from midgap.structures.interrupts import asked, end_on, listen_no_more

app = typer.Typer(
    name="midgap",
    help="Is this defect the emitter? Defect levels with HSE06 and spin-orbit coupling, held against photoluminescence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    doctor,
    build,
    run,
    levels,
    formation,
    emission,
    excite,
    photons,
    power,
    simulate,
    spectrum,
    diffraction,
    compare,
    figure,
    check,
    export,
    schema,
    submit,
    status,
    cancel,
    rerun,
    fetch,
):
    app.command(module.__name__.rpartition(".")[2])(module.command)
app.add_typer(cluster.app, name="cluster")


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the whole traceback when something fails."),
) -> None:
    if debug:
        os.environ["MIDGAP_DEBUG"] = "1"


def main() -> None:
    """Run a command; a failure is one sentence on stderr and exit code 2 (bad input) or 1 (failed)."""
    # What jobflow-remote is to change before 2028 is not for whoever submits a flow.
    warnings.filterwarnings("ignore", category=FutureWarning, module="jobflow_remote")
    end_on(signal.SIGINT, signal.SIGTERM)
    try:
        try:
            app(standalone_mode=True)
        finally:
            if (number := asked()) is not None:
                _fail(STOPPED, 128 + number)
    except OSError as error:
        if os.environ.get("MIDGAP_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}.", 1)
    except (ValueError, RuntimeError) as error:
        from midgap.structures.errors import ComputationError, InputError

        if os.environ.get("MIDGAP_DEBUG") or not isinstance(error, (InputError, ComputationError)):
            raise
        _fail(str(error), 2 if isinstance(error, InputError) else 1)


def script() -> None:
    """What the command ``midgap`` runs: `main`, and then the process ends."""
    try:
        main()
    except KeyboardInterrupt:  # in the moment between
        sys.exit(130)
    finally:
        listen_no_more()


def _fail(sentence: str, code: int) -> None:
    sys.stdout.flush()
    print(f"midgap: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    script()
