"""``midgap export``: results in the formats of other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from midgap.defects.findings import Finding
    from midgap.structures.document import Document


class Format(StrEnum):
    """What is written, and from what."""

    cif = "cif"
    ase = "ase"
    pymatgen = "pymatgen"
    atomate2 = "atomate2"
    parquet = "parquet"
    csv = "csv"


def command(
    sources: Annotated[
        list[Path], typer.Argument(metavar="FILE|DIR...", help="Files of midgap, or folders of finished calculations.")
    ],
    to: Annotated[
        Format,
        typer.Option(
            help="cif: vacancies marked. ase: a database of levels. pymatgen: entries. atomate2: the documents of a "
            "formation or emission study. parquet: records, whole. csv: the table of anything."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write; for cif the folder.")],
    reference: Annotated[
        Path | None, typer.Option(help="Folder of the pristine crystal, for levels of folders.")
    ] = None,
) -> None:
    """Write results in the formats of other programs."""
    if to is Format.cif:
        written = _write_cif(sources, out, reference)
    elif to is Format.ase:
        from midgap.defects.ase_database import write_ase_database

        written = [write_ase_database(_findings(sources, reference), out)]
    elif to is Format.pymatgen:
        from midgap.defects.interchange import computed_entry

        crystals = [finding for finding in _findings(sources, reference) if hasattr(finding.geometry, "lattice")]
        written = [_write_json(out, [computed_entry(finding).as_dict() for finding in crystals])]
    elif to is Format.atomate2:
        written = [_write_json(out, [document for path in sources for document in _documents(path)])]
    else:
        written = [_write_table(sources, out, to)]
    for path in written:
        typer.echo(path)


def _findings(sources: Sequence[Path], reference: Path | None) -> Iterator[Finding]:
    from midgap.defects.findings import of_folder, of_levels
    from midgap.defects.report import LevelReport, Levels
    from midgap.structures.errors import InputError

    for path in sources:
        if path.is_dir():
            yield of_folder(path, reference)
            continue
        document = _read(path)
        if isinstance(document, LevelReport):
            document = Levels(reports=(document,), models=())
        if not isinstance(document, Levels):
            raise InputError(f"{path} holds a {document.schema_name()}; give level reports or folders of calculations.")
        yield from of_levels(document)


def _write_cif(sources: Sequence[Path], out: Path, reference: Path | None) -> list[Path]:
    """One file a crystal; clusters have no lattice and are left out."""
    from pymatgen.core import IStructure

    from midgap.structures.document import write_atomic
    from midgap.structures.errors import InputError
    from midgap.structures.export import cif
    from midgap.structures.file_names import file_name
    from midgap.structures.model import Model

    texts: dict[str, str] = {}
    for path in sources:
        document = None if path.is_dir() else _read(path)
        if isinstance(document, Model):
            if isinstance(document.structure, IStructure):
                gone = document.vacancy
                marked = ("", None) if gone is None else (gone.species, gone.position_ang)
                texts[document.name] = cif(document.structure, document.name, document.charge, *marked)
            continue
        for finding in _findings([path], reference):
            report, site = finding.report, finding.report.defect
            if isinstance(finding.geometry, IStructure):
                marked = ("", None) if site is None else (site.missing, site.position_ang)
                texts[finding.name] = cif(finding.geometry, finding.name, report.charge, *marked)
    if not texts:
        raise InputError("There is no crystal in what was given; CIF has no place for clusters.")
    return [write_atomic(out / f"{file_name(name)}.cif", text) for name, text in texts.items()]


def _documents(path: Path) -> list[dict[str, Any]]:
    """Of a study, told apart by its fields."""
    from midgap.defects.interchange import configuration_document, formation_documents
    from midgap.structures.document import read_json

    data = read_json(path)
    if isinstance(data, dict) and "ground" in data:
        return [configuration_document(path)]
    return formation_documents(path)


def _write_table(sources: Sequence[Path], out: Path, to: Format) -> Path:
    from midgap.experiment.records import ParticleRecord, Records
    from midgap.experiment.tables import read_records, write_table
    from midgap.structures.document import write_atomic
    from midgap.structures.errors import InputError

    if len(sources) > 1:
        raise InputError(f"A table is made of one file, not of {len(sources)}.")
    (path,) = sources
    if path.is_dir():
        raise InputError(f"{path} is a folder; tables are made of files, such as levels.json or records.json.")
    document = _read(path) if path.suffix in (".json", ".gz") else read_records(path)
    if isinstance(document, ParticleRecord):
        document = Records(records=(document,))
    out = out.with_name(f"{out.name}.{to}") if out.suffix != f".{to}" else out
    if isinstance(document, Records):
        return write_table(document, out)
    if to is Format.parquet:
        raise InputError(f"{path} holds a {document.schema_name()}; Parquet is for records, csv for any table.")
    if not (frame := document.to_frame()).size:
        raise InputError(f"{path} holds a {document.schema_name()}, which is no table.")
    return write_atomic(out, frame.to_csv(index=False))


def _read(path: Path) -> Document:
    """A file of midgap, by the schema that it names."""
    from midgap.cli.schema import PUBLISHED, published
    from midgap.structures.document import read_json
    from midgap.structures.errors import InputError

    data = read_json(path)
    name = str(data.get("schema")).removeprefix("midgap.") if isinstance(data, dict) else ""
    if name not in PUBLISHED:
        raise InputError(f"{path} does not name one of midgap's schemas, of which `midgap schema` shows a list.")
    return published(name).from_dict(data, source=str(path))


def _write_json(out: Path, data: list[dict[str, Any]]) -> Path:
    import json

    from midgap.structures.document import write_atomic
    from midgap.structures.errors import InputError

    if not data:
        raise InputError("There is no crystal in what was given.")
    return write_atomic(out, json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")
