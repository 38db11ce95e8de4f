"""``midgap photons``: from the detectors' streams to the record of each particle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from midgap.cli.results import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midgap.experiment.photons.particle_analysis import Options, ParticleAnalysis
    from midgap.experiment.records import Quantity


def command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="PTU or Photon-HDF5 files, or folders with such files.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write records (JSON, CSV) and pictures here.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: the record of one file, or the records of several.")
    ] = False,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="With --out: draw each particle.")] = True,
    sample: Annotated[str | None, typer.Option(help="Name of the sample, for the records.")] = None,
    wavelength: Annotated[float | None, typer.Option(metavar="NM", help="Of the excitation.")] = None,
    fluence: Annotated[float | None, typer.Option(metavar="J/CM2", help="Energy a pulse and area.")] = None,
    sigma: Annotated[
        float | None,
        typer.Option(metavar="CM2", help="Absorption cross section; with fluence and wavelength it gives ⟨N⟩."),
    ] = None,
    detectors: Annotated[
        str | None, typer.Option(metavar="A,B", help="Channels to correlate. (default: the two busiest)")
    ] = None,
    lag: Annotated[
        int | None, typer.Option(metavar="PULSES", help="Pulse lag of zero delay. (default: found from the dip)")
    ] = None,
    gate_ns: Annotated[
        float | None,
        typer.Option(
            metavar="NS", help="Count pairs later than this after the pulse; 0: all. (default: found, if needed)"
        ),
    ] = None,
    background: Annotated[
        str,
        typer.Option(metavar="decay|none|A,B", help="Flat part of the decays, or counts a second of each detector."),
    ] = "decay",
    irf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measured response: a stream, or a text table of ns and counts.")
    ] = None,
    irf_fwhm: Annotated[
        float | None, typer.Option(metavar="NS", help="Width of a Gaussian response. (default: fitted)")
    ] = None,
    components: Annotated[
        int | None, typer.Option(min=1, max=3, help="Exponentials of the decay. (default: by BIC)")
    ] = None,
    bin_ms: Annotated[float, typer.Option(metavar="MS", help="Bins of the intensity trace.")] = 10.0,
    blinking: Annotated[
        bool, typer.Option("--blinking/--no-blinking", help="Look for change points, levels and their lifetimes.")
    ] = True,
) -> None:
    """Count, correlate, follow and fit the photons of single particles: one record a file."""
    from midgap.experiment.records import Records

    options = _options(
        sample_id=sample,
        exc_wavelength_nm=wavelength,
        fluence_J_cm2=fluence,
        sigma_abs_cm2=sigma,
        detectors=_pair(detectors, int, "--detectors"),
        center_lag=lag,
        gate_ns=gate_ns,
        **_background(background),
        irf_fwhm_ns=irf_fwhm,
        response=_response(irf),
        components=components,
        bin_ms=bin_ms,
        blinking=blinking,
    )
    found, failed = _analyse_all(_streams(files), options, out, pictures)
    records = Records(records=tuple(analysis.record for analysis in found))
    if out is not None:
        from midgap.experiment.tables import write_table

        records.write(out / "records.json")
        write_table(records, out / "particles.csv")
    one = len(files) == 1 and files[0].is_file()
    if as_json:
        print_json(found[0].record if one else records)
    elif one:
        _tell(found[0])
    else:
        _tell_all(found)
    if out is not None and not as_json:
        typer.echo(f"Written to {out}: records.json, particles.csv{', pictures' if pictures else ''}.")
    if failed:
        raise typer.Exit(1)


def _streams(files: Sequence[Path]) -> list[Path]:
    """Each file, and the files of photons in each folder."""
    from midgap.experiment.photons.files import SUFFIXES
    from midgap.structures.errors import InputError

    streams = []
    for path in files:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path} holds no files of photons ({', '.join(SUFFIXES)}).")
        streams += inside
    return streams


def _analyse_all(
    streams: Sequence[Path], options: Options, out: Path | None, pictures: bool
) -> tuple[list[ParticleAnalysis], list[str]]:
    """Every file; one that cannot be analysed is told, and the others go on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from midgap.experiment.photons.analysis import analyse_file
    from midgap.structures.errors import ComputationError, InputError

    talk = Console(stderr=True)
    found, failed = [], []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk, disable=len(streams) == 1 or not talk.is_terminal) as progress:
        task = progress.add_task("", total=len(streams))
        names = _names(streams)
        for path, name in zip(streams, names, strict=True):
            progress.update(task, description=path.name)
            try:
                analysis = analyse_file(path, options.model_copy(update={"particle_id": name}))
                if out is not None:
                    _write(analysis, out, name, pictures)
                if len(streams) > 1:
                    for warning in analysis.warnings:
                        talk.print(f"{name}: {warning}", markup=False, highlight=False, soft_wrap=True)
                analysis.forget()
                found.append(analysis)
            except (InputError, ComputationError) as error:
                if len(streams) == 1:
                    raise
                failed.append(str(error))
                talk.print(f"left out: {error}", markup=False, highlight=False, soft_wrap=True)
            progress.advance(task)
    if not found:
        raise InputError(f"None of the {len(streams)} files could be analysed; the first: {failed[0]}")
    return found, failed


def _names(streams: Sequence[Path]) -> list[str]:
    """What tells the particles apart: the files' names, with their folders where those repeat or are ours (``records.json``)."""
    stems = [path.stem for path in streams]
    if len(set(stems)) == len(stems) and "records" not in stems:
        return stems
    names = ["_".join((*path.parts[-3:-1], path.stem)).replace("/", "") for path in streams]
    return [f"{name}_{i + 1}" if names.count(name) > 1 or name == "records" else name for i, name in enumerate(names)]


def _write(analysis: ParticleAnalysis, out: Path, name: str, pictures: bool) -> None:
    from midgap.experiment.curves import SUFFIX, ParticleCurves

    analysis.record.write(out / f"{name}.json")
    ParticleCurves.of(analysis).write(out / f"{name}{SUFFIX}")
    if pictures:
        from midgap.experiment.blinking.level_lifetimes import flid
        from midgap.report.photon_figures import particle_figure, save_picture

        bursts = analysis.bursts
        has_map = bursts is not None and any(tau == tau for tau in bursts.tau_ns)  # NaN where there are too few photons
        figure = particle_figure(
            trace=analysis.trace if len(analysis.survey.trace) > 1 else None,
            levels=analysis.levels,
            fit=analysis.decay,
            g2=analysis.g2,
            chart=flid(bursts) if bursts is not None and has_map else None,
            title=analysis.record.label,
        )
        save_picture(figure, out / f"{name}.png")


def _options(**given: Any) -> Options:
    from pydantic import ValidationError

    from midgap.experiment.photons.particle_analysis import Options
    from midgap.structures.document import first_fault
    from midgap.structures.errors import InputError

    try:
        return Options(**given)
    except ValidationError as error:
        raise InputError(f"{first_fault(error)}.") from None


def _background(text: str) -> dict[str, Any]:
    if text in ("decay", "none"):
        return {"background": text}
    return {"background_cps": _pair(text, float, "--background")}


def _pair(text: str | None, kind: Callable[[str], Any], option: str) -> tuple[Any, Any] | None:
    from midgap.structures.errors import InputError

    if text is None:
        return None
    try:
        first, second = (kind(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} takes two numbers with a comma, one a detector; not {text!r}.") from None
    return first, second


def _response(path: Path | None) -> Any:
    if path is None:
        return None
    from midgap.experiment.decays.response_files import read_response

    return read_response(path)


def _tell(analysis: ParticleAnalysis) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    record, console = analysis.record, Console()
    counts = analysis.survey.detectors.counts
    channels = ", ".join(f"channel {channel}: {n}" for channel, n in counts.items())
    console.print(
        f"[bold]{record.particle_id}[/]  {sum(counts.values())} photons in {analysis.duration_s:.4g} s ({channels})",
        highlight=False,
    )
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value, note in _lines(analysis):
        table.add_row(Text(name), Text(value), Text(note, style="dim"))
    console.print(table)
    for warning in analysis.warnings:
        console.print(f"[yellow]note:[/] {warning}", highlight=False, soft_wrap=True)


def _lines(analysis: ParticleAnalysis) -> list[tuple[str, str, str]]:
    record, notes = analysis.record, analysis.record.notes
    single = {True: "a single emitter", False: "not a single emitter", None: "one or more emitters: not settled"}
    verdict = "" if analysis.g2 is None else single[analysis.g2.single]
    lines = [("g2(0), raw", _shown(record.g2_0_raw), notes.get("g2_0_raw", ""))]
    if analysis.g2 is not None:
        lines += [
            ("g2(0), background corrected", _shown(record.g2_0), notes.get("g2_0", "")),
            ("g2(0), gated", _shown(record.g2_0_gated), notes.get("g2_0_gated", _gate(record.g2_gate_ns))),
            ("signal fraction ρ", _shown(record.signal_fraction_rho), notes.get("signal_fraction_rho", "")),
            ("emitters M", _shown(record.n_emitters_M), verdict),
        ]
    taus = record.tau_i_ns or ()
    fractions = record.frac_i or (None,) * len(taus)
    for tau, fraction in zip(taus, fractions, strict=True):
        part = "" if fraction is None else f"{_shown(fraction)} of the photons"
        lines.append(("lifetime, ns", _shown(tau), part))
    if record.tau_av_ns is not None and len(taus) > 1:
        lines.append(("average lifetime, ns", _shown(record.tau_av_ns), f"weighted by {record.frac_basis}"))
    elif not taus:
        lines.append(("lifetime, ns", "–", notes.get("tau_i_ns", "")))
    if analysis.levels is not None:
        lines.append(("levels", str(len(analysis.levels.rate_cps)), notes.get("levels", "")))
        lines.append(("time ON", _shown(record.on_fraction), ""))
        lines.append(("α ON", _shown(record.alpha_on), notes.get("alpha_on", "")))
        lines.append(("α OFF", _shown(record.alpha_off), notes.get("alpha_off", "")))
    if (observed := analysis.lifetime_over_intensity) is not None:
        lines.append(
            ("s of τ ∝ Iˢ", _shown(observed.exponent), "1: only the dark decay changes; 0: τ does not follow I")
        )
        lines.append(("scatter of τ", _shown(observed.spread), "relative, beyond counting"))
    if (sharpness := analysis.level_sharpness) is not None:
        lines.append(("noise within levels", _shown(sharpness.fano), "variance over mean; 1: photon noise alone"))
    return lines


def _gate(gate_ns: float | None) -> str:
    return "" if gate_ns is None else f"both photons later than {gate_ns:.3g} ns after the pulse"


def _tell_all(found: Sequence[ParticleAnalysis]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("particle")
    for name in ("photons", "g2(0)", "emitters M", "average lifetime, ns", "time ON"):
        table.add_column(name, justify="right")
    for analysis in found:
        record = analysis.record
        table.add_row(
            record.particle_id,
            str(analysis.survey.n_photons),
            _shown(record.g2_0 or record.g2_0_raw),
            _shown(record.n_emitters_M),
            _shown(record.tau_av_ns),
            _shown(record.on_fraction),
        )
    Console().print(table)


def _shown(quantity: Quantity | None) -> str:
    """``0.12 (0.09 to 0.15)``."""
    if quantity is None:
        return "–"
    value = "?" if quantity.value is None else f"{quantity.value:.3g}"
    if quantity.lo is None and quantity.hi is None:
        return value
    low = "…" if quantity.lo is None else f"{quantity.lo:.3g}"
    return f"{value} ({low} to {'∞' if quantity.hi is None else f'{quantity.hi:.3g}'})"
