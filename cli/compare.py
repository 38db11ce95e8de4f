"""``midgap compare``: candidate emitters against what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.results import print_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from midgap.defects.report import Levels
    from midgap.experiment.comparison import Candidate, Comparison, Row
    from midgap.experiment.evidence.predictions import Assumption
    from midgap.experiment.records import Records


def command(
    levels: Annotated[Path, typer.Option("--levels", help="What `midgap run` or `midgap levels --json` wrote.")],
    records: Annotated[
        Path | None,
        typer.Option(
            "--records",
            help="Measured records, JSON, CSV or Parquet, one or hundreds. (default: those published of the material)",
        ),
    ] = None,
    spectrum: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A measured spectrum, as one more record; may be given again."),
    ] = None,
    emission: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="A computed emission as one more candidate: what `midgap emission --json` printed, or its diagram or study. "
            "With the NAME of a transition between levels it takes that one's place.",
        ),
    ] = None,
    candidates: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Candidates of your own, JSON or YAML; may be given again."),
    ] = None,
    priors: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="NAME=WEIGHT,NAME=WEIGHT or uniform: probabilities beside the evidence. (default: none are given)",
        ),
    ] = None,
    unknown: Annotated[
        float | None,
        typer.Option(
            metavar="EV",
            help="What errors not estimated are taken to add to energies, standard deviation. (default: 0.2, beside 0 to 0.5)",
        ),
    ] = None,
    refractive_index: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N]",
            help="Of the surroundings, or between which it lies, for radiative lifetimes. (default: what midgap holds of the "
            "material, else 1.5,2.5)",
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write the report as one HTML file here.")] = None,
    curves: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|FILE",
            help="With --report: traces, g2 and decays of chosen particles, as `midgap photons --out` wrote them; again for more.",
        ),
    ] = None,
    densities: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|FILE",
            help="With --report: where the levels are, as `midgap levels --density` wrote it; again for more.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the comparison as JSON here.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="A row for each prediction: .csv or .parquet.")
    ] = None,
    particles: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A row for each particle and prediction: .csv or .parquet.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="The table of evidence in Markdown.")] = None,
    latex: Annotated[Path | None, typer.Option(metavar="FILE", help="The table of evidence in LaTeX.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Hold candidate emitters against what was measured, and say what to measure or compute next."""
    from midgap.experiment.comparison import compare
    from midgap.experiment.evidence import tables
    from midgap.experiment.evidence.lifetimes import parse_refractive_index
    from midgap.experiment.evidence.odds import parse_priors
    from midgap.structures.document import write_atomic

    computed = _read_levels(levels)
    index = None if refractive_index is None else parse_refractive_index(refractive_index)
    measured = _measured(records, spectrum or (), computed)
    assumptions, reference = _assumptions(unknown)
    with _Progress(len(measured.records)) as progress:
        comparison = compare(
            computed,
            measured,
            others=_others(computed, emission or (), candidates or (), index),
            priors=None if priors is None else parse_priors(priors),
            assumptions=assumptions,
            reference=reference,
            refractive_index=index,
            progress=progress,
        )
    if out is not None:
        comparison.write(out)
    if csv is not None:
        tables.write_rows(comparison.rows(), csv)
    if particles is not None:
        tables.write_rows(list(tables.rows_by_particle(comparison, measured)), particles)
    for path, text in ((markdown, tables.markdown), (latex, tables.latex)):
        if path is not None:
            write_atomic(path, text(comparison))
    if report is not None:
        from midgap.report.exhibits import read_exhibits
        from midgap.report.page import write_page

        files = [("levels", levels), *(("records", path) for path in (records,) if path is not None)]
        shown = read_exhibits(
            curves=curves or (),
            densities=densities or (),
            emissions=[_named_file(word)[1] for word in emission or ()],
            spectra=spectrum or (),
            others=[*files, *(("candidates", path) for path in candidates or ())],
        )
        write_page(report, computed, comparison, measured, shown)
    if as_json:
        print_json(comparison)
    else:
        print_comparison(comparison)
        if report is not None:
            typer.echo(f"Report: {report}")


def _read_levels(path: Path) -> Levels:
    """A `Levels` file, or one with a single `LevelReport`."""
    from midgap.defects.report import LevelReport, Levels
    from midgap.structures.document import read_json

    data = read_json(path)
    if isinstance(data, dict) and data.get("schema") == LevelReport.schema_name():
        return Levels(reports=(LevelReport.from_dict(data, source=str(path)),), models=())
    return Levels.from_dict(data, source=str(path))


def _measured(path: Path | None, spectra: Sequence[Path], computed: Levels) -> Records:
    from midgap.experiment.records import ParticleRecord, Records, published_records
    from midgap.experiment.spectra import read_spectrum
    from midgap.experiment.spectral_lines import emission_fields
    from midgap.experiment.tables import read_records

    more = tuple(
        ParticleRecord(
            kind="ensemble", sample_id=file.stem, source_file=str(file), **emission_fields(read_spectrum(file))[0]
        )
        for file in spectra
    )
    if path is None and more:
        return Records(material=computed.models[0].material if computed.models else "", records=more).in_energy()
    found = read_records(path) if path is not None else published_records(_material(computed))
    return found.model_copy(update={"records": found.records + more}).in_energy()


def _material(levels: Levels) -> str:
    from midgap.structures.errors import InputError

    if not levels.models:
        raise InputError("The levels do not say of which material they are; give measured records with --records.")
    return levels.models[0].material


def _others(
    computed: Levels, emissions: Sequence[str], files: Sequence[Path], index: Sequence[float] | None
) -> tuple[Candidate, ...]:
    from midgap.experiment.evidence.emission_candidates import from_emission, read_emission
    from midgap.experiment.evidence.lifetimes import surroundings_of
    from midgap.experiment.evidence.named_candidates import known_candidates, read_candidates

    material = computed.models[0].material if computed.models else ""
    around = surroundings_of(material, index)
    found = list(known_candidates(material)) if computed.models else []
    for word in emissions:
        label, path = _named_file(word)
        found.append(from_emission(read_emission(path), label, label, around))
    return (*found, *(candidate for path in files for candidate in read_candidates(path)))


def _named_file(word: str) -> tuple[str, Path]:
    """``NAME=FILE``, or a file that is named as it is."""
    name, equals, rest = word.partition("=")
    path = Path(rest) if equals and not Path(word).exists() else Path(word)
    return (name if equals and path != Path(word) else path.stem), path


def _assumptions(unknown: float | None) -> tuple[tuple[Assumption, ...], int]:
    """Those of midgap, and the one that was asked for among them, as the reference."""
    from midgap.experiment.comparison import REFERENCE
    from midgap.experiment.evidence.predictions import ASSUMPTIONS
    from midgap.structures.errors import InputError

    if unknown is None:
        return ASSUMPTIONS, REFERENCE
    if not 0 <= unknown < 100:
        raise InputError(f"--unknown is an energy in eV, not below zero; not {unknown:g}.")
    given = ASSUMPTIONS[REFERENCE].model_copy(update={"unknown_eV": unknown})
    kept = [a for a in ASSUMPTIONS if a.unknown_eV != unknown]
    ordered = sorted([*kept, given], key=lambda a: a.unknown_eV)
    return tuple(ordered), ordered.index(given)


MANY = 50
"""Of so many records, a person who waits is told how far it is."""


class _Progress:
    """A bar on stderr, in a terminal and for many records only."""

    def __init__(self, n_records: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self.bar = Progress(console=console, transient=True, disable=n_records < MANY or not console.is_terminal)
        self.task = self.bar.add_task("comparing", total=None)

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, done: int, of: int) -> None:
        self.bar.update(self.task, completed=done, total=of)


def print_comparison(comparison: Comparison) -> None:
    """Ours beside published, candidates beside what was measured, what to do next, the answer and its caveats."""
    from itertools import groupby

    from rich.console import Console

    console = Console()
    head = {"Model": 28, "Ours": 5, "Publ.": 5, "Diff.": 6, "Note": None}
    if comparison.published:
        console.print(f"Ours and published, eV ({comparison.published_source.reference})", style="bold", markup=False)
    for name, rows in groupby(comparison.published, key=lambda row: f"{row.quantity}, {row.theory.label}"):
        _print_group(console, name, head, map(_published_line, rows))
    _print_evidence(console, comparison)
    _print_totals(console, comparison)
    _print_next(console, comparison)
    for statement in comparison.statements or (comparison.answer,):
        console.print(statement, markup=False, highlight=False)
    for caveat in comparison.caveats:
        console.print(f"- {caveat}", markup=False, highlight=False)


def _published_line(row: Row) -> tuple[str, ...]:
    return row.label, _fixed(row.ours_eV), f"{row.published_eV:.1f}", _fixed(row.difference_eV, "+"), row.note


def _print_evidence(console: Console, comparison: Comparison) -> None:
    from itertools import groupby

    from midgap.experiment.evidence.likelihoods import uncounted
    from midgap.experiment.evidence.observables import OBSERVABLES
    from midgap.experiment.evidence.stated import measured, predicted, signed, text

    head = {"Candidate": 46, "Predicted": 18, "Residual": 8, "ln evid.": 8}
    assumption = comparison.assumptions[comparison.reference]
    console.print("Candidates and what was measured (± known ± assumed for errors not estimated)", style="bold")
    found = [(p.observable, c, p) for c in comparison.candidates for p in c.predictions]
    order, left_out = list(OBSERVABLES), uncounted(comparison.evidence)
    for name, group in groupby(sorted(found, key=lambda row: order.index(row[0])), key=lambda row: row[0]):
        observable, ensemble = OBSERVABLES[name], comparison.ensemble(name)
        mean = "not measured" if ensemble is None else text(measured(ensemble, unit=False))
        title = f"{observable.label}{f', {observable.unit}' if observable.unit else ''}: {mean}"
        if ensemble is not None and ensemble.n > 1:
            title += f", {ensemble.n} records"
        if ensemble is not None and ensemble.note:
            title += f" ({ensemble.note})"
        if name in left_out:
            title += f"; not counted beside {left_out[name]}"
        lines, inside = [], []
        for _, candidate, prediction in group:
            evidence = comparison.of(candidate.name, name)
            residual = None if evidence is None else evidence.ensemble_residual
            lines.append(
                (
                    candidate.title if candidate.counted else f"({candidate.title})",
                    text(predicted(prediction, assumption, unit=False)),
                    "" if residual is None else signed(residual),
                    "" if evidence is None else signed(evidence.log_evidence[comparison.reference]),
                )
            )
            inside.append(residual is not None and abs(residual) < 1 and candidate.counted)
        _print_group(console, title, head, lines, inside)


def _print_totals(console: Console, comparison: Comparison) -> None:
    """Evidence, or probabilities beside their priors, against what is assumed of the unknown."""
    from midgap.experiment.evidence.observables import OBSERVABLES
    from midgap.experiment.evidence.stated import listed, signed

    total, odds = comparison.totals, comparison.odds
    if len(total.candidates) < 2 or not total.observables:
        return
    names = ", ".join(OBSERVABLES[name].label for name in total.observables)
    what = f"ln evidence less that of the best, by {names}" if odds is None else "Probability, with these priors"
    console.print(f"{what}, if errors not estimated add", style="bold", markup=False)
    if odds is not None:
        console.print(odds.note, markup=False, highlight=False)
    head: dict[str, int | None] = {"Candidate": 46}
    if odds is not None:
        head["prior"] = 6
    head |= {f"± {a.unknown_eV:g} eV": 8 for a in comparison.assumptions}
    lines = []
    for i, name in enumerate(total.candidates):
        if odds is None:
            numbers = [signed(float(total.relative(a)[i])) for a in range(len(comparison.assumptions))]
        else:
            numbers = [
                f"{odds.priors[name]:.2f}",
                *(f"{p:.2g}" if p < 0.01 else f"{p:.2f}" for p in odds.probability[:, i]),
            ]
        lines.append((comparison.candidate(name).title, *numbers))
    _print_group(console, "", head, lines)
    left = comparison.narrowed
    if left.observables != total.observables:
        names = listed([OBSERVABLES[name].label for name in left.observables])
        console.print(f"ln evidence of those that are left, by {names}", style="bold", markup=False)
        lines = [
            (
                comparison.candidate(name).title,
                *(signed(float(left.relative(a)[i])) for a in range(len(comparison.assumptions))),
            )
            for i, name in enumerate(left.candidates)
        ]
        _print_group(console, "", {key: width for key, width in head.items() if key != "prior"}, lines)


def _print_next(console: Console, comparison: Comparison) -> None:
    if not comparison.next_steps:
        return
    possible = comparison.next_steps[0].possible_bits
    console.print(f"What would tell most, of {possible:.2f} bits that are open", style="bold")
    lines = [(step.sentence, f"{step.information_bits:.2f}") for step in comparison.next_steps]
    _print_group(console, "", {"Step": None, "bits": 5}, lines)


def _print_group(
    console: Console,
    name: str,
    head: Mapping[str, int | None],
    lines: Iterable[Sequence[str]],
    bold: Sequence[bool] = (),
) -> None:
    """A headed block of lines; blocks of one head line up under each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(name) if name else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for heading, width in head.items():
        words = heading in ("Model", "Candidate", "Predicted", "Note", "Step")
        # A column of words may become narrower where the terminal is.
        table.add_column(
            heading, justify="left" if words else "right", min_width=None if words else width, max_width=width
        )
    for i, line in enumerate(lines):
        table.add_row(*map(Text, line), style="bold" if i < len(bold) and bold[i] else None)
    console.print(table)
    console.print()


def _fixed(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"
