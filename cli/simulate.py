"""``midgap simulate``: the photons of emitters that are known, as a PTU file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Argument(metavar="FILE.ptu", help="The file to write.")],
    emitters: Annotated[int, typer.Option(min=1, help="Independent, identical emitters.")] = 1,
    duration: Annotated[float, typer.Option(metavar="S", help="Length of the measurement.")] = 10.0,
    rep_rate: Annotated[float, typer.Option(metavar="HZ", help="Laser pulses a second.")] = 2.5e6,
    excitons: Annotated[float, typer.Option(metavar="N", help="Mean number of excitons a pulse and emitter.")] = 0.1,
    continuous: Annotated[
        float | None, typer.Option(metavar="HZ", help="Excite continuously at this rate instead: a T2 stream.")
    ] = None,
    detected: Annotated[float, typer.Option(min=0, max=1, help="Detected part of the emission.")] = 0.05,
    lifetime: Annotated[float, typer.Option(metavar="NS", help="Of the exciton.")] = 9.0,
    biexciton: Annotated[
        float, typer.Option(min=0, max=1, help="Quantum yield of the biexciton over the exciton's.")
    ] = 0.0,
    biexciton_lifetime: Annotated[float, typer.Option(metavar="NS", help="Of the biexciton.")] = 1.0,
    blink: Annotated[
        str | None,
        typer.Option(metavar="exponential|power", help="Blink between ON and a gray level. (default: steady)"),
    ] = None,
    gray: Annotated[float, typer.Option(min=0, max=1, help="Yield and lifetime of the gray level over ON's.")] = 0.1,
    background: Annotated[float, typer.Option(metavar="CPS", help="Counts a second, both detectors.")] = 0.0,
    cable_delay: Annotated[float, typer.Option(metavar="NS", help="By how much detector 1 is later.")] = 0.0,
    dead_time: Annotated[float, typer.Option(metavar="NS", help="Of each detector.")] = 0.0,
    irf_fwhm: Annotated[float, typer.Option(metavar="NS", help="Jitter of a detected time.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Another seed, another realisation.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was simulated as one JSON object.")] = False,
) -> None:
    """Simulate a single-particle measurement whose answer is known: to plan one, to teach, to test."""
    from pydantic import ValidationError

    from midgap.experiment.photons.ptu_writer import write_ptu
    from midgap.experiment.photons.simulation import BlinkingLevel, Dwell, Experiment, simulate
    from midgap.structures.document import first_fault
    from midgap.structures.errors import InputError

    try:
        on = BlinkingLevel(dwell=Dwell(law=blink or "exponential"))  # type: ignore[arg-type]
        dim = on.model_copy(update={"name": "GRAY", "relative_yield": gray, "relative_lifetime": max(gray, 1e-3)})
        experiment = Experiment(
            n_emitters=emitters,
            duration_s=duration,
            rep_rate_Hz=rep_rate,
            mean_excitons=excitons,
            excitation_rate_Hz=continuous,
            detected_fraction=detected,
            lifetime_ns=lifetime,
            biexciton_ratio=biexciton,
            biexciton_lifetime_ns=biexciton_lifetime,
            levels=(on, dim) if blink else (on,),
            background_cps=background,
            cable_delay_ns=cable_delay,
            dead_time_ns=dead_time,
            irf_fwhm_ns=irf_fwhm,
            seed=seed,
        )
    except ValidationError as error:
        raise InputError(f"{first_fault(error)}.") from None
    stream = simulate(experiment)
    write_ptu(out, stream, comment="simulated by midgap")
    if as_json:
        from midgap.cli.printed import Simulation, Truth
        from midgap.cli.results import print_json

        truth = Truth(
            photons=len(stream),
            signal_fraction_rho=experiment.signal_fraction,
            g2_0=experiment.g2_0 if continuous is None else None,
        )
        print_json(Simulation(file=str(out), truth=truth, experiment=experiment))
        return
    typer.echo(
        f"{out}: {len(stream)} photons; signal fraction {experiment.signal_fraction:.3g} in the brightest level."
    )
    if continuous is None:
        typer.echo(f"g2(0) without background and blinking: {experiment.g2_0:.4g}.")
