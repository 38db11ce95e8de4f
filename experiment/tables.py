"""Result tables of others and of our own as records: JSON, CSV, Parquet, exports of Full SMS.

One row is one particle, its columns the fields of a `ParticleRecord`: ``x``, ``x_lo``, ``x_hi``, the unit in
the name. A column that is none of these is refused, so that no number enters with an unknown unit.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from midgap.experiment.parquet import read_parquet, write_parquet
from midgap.experiment.records import IntensityLevel, ParticleRecord, Records
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError

LEVEL_COLUMNS = {"start_time_s", "end_time_s", "dwell_time_s", "num_photons", "intensity_cps"}
"""What tells an export of levels by Full SMS from a table of particles."""
FIT_COLUMNS = {"particle_id", "level_or_group_id", "num_exponentials", "tau_1_ns"}
"""And one of its fits."""


def read_records(path: Path | str) -> Records:
    """Read measured records from a table or our JSON, told by the file's ending.

    Exports of Full SMS become one record with its ``levels`` (an export of levels) or one a particle
    (an export of fits).

    Raises
    ------
    InputError
        The file is missing, of another kind, or has a column that is no known field with its unit.
    """
    path = Path(path)
    if path.suffix.lower() in (".json", ".gz"):
        return Records.read(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    said: dict[str, Any] = {}
    if path.suffix.lower() == ".parquet":
        rows, said = read_parquet(path)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        rows = _csv_rows(path)
    else:
        raise InputError(f"{path}: records are read from .json, .csv, .tsv and .parquet files, not {path.suffix!r}.")
    if said:
        return Records.from_dict(said | {"records": rows}, source=str(path))
    if not rows:
        raise InputError(f"{path} has no rows.")
    columns = set(rows[0])
    if columns >= LEVEL_COLUMNS:
        return Records(records=(_particle_of_levels(rows, path),))
    if columns >= FIT_COLUMNS:
        return Records(records=tuple(_particles_of_fits(rows, path)))
    return Records(records=tuple(_record(row, f"{path}, row {i + 1}") for i, row in enumerate(rows)))


def write_table(records: Records, path: Path | str) -> Path:
    """Write records as a table, one row a particle, by the file's ending: CSV, flat, or Parquet, whole.

    CSV has no place for the levels of each trace and for notes; Parquet has, and for units, material and source.
    """
    path = Path(path)
    if path.suffix.lower() == ".parquet":
        return write_parquet(records, path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: tables are written as .csv or .parquet.")
    rows = records.rows()
    columns = list(rows[0]) if rows else []
    lines: list[str] = []

    class _Lines:
        def write(self, line: str) -> None:
            lines.append(line)

    writer = csv.DictWriter(_Lines(), columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: json.dumps(x) if isinstance(x, list) else x for name, x in row.items()})
    return write_atomic(path, "".join(lines))


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8.") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(f"{path} is empty.")
    delimiter = max("\t;,", key=lines[0].count)
    rows: list[dict[str, Any]] = []
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"{path}: row {len(rows) + 1} has not as many cells as the header.")
            rows.append({name.strip(): _cell(text) for name, text in row.items()})
    except csv.Error as error:
        raise InputError(f"{path}: row {len(rows) + 1}: {error}.") from None
    return rows


def _cell(text: str) -> Any:
    """A cell as what it says: nothing, a truth value, a number, a list of numbers, or words."""
    text = text.strip()
    if text in ("", "nan", "NaN", "null", "None"):
        return None
    if text in ("True", "False", "true", "false"):
        return text.lower() == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    if text.startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text


def _record(row: Mapping[str, Any], where: str) -> ParticleRecord:
    fields = {name: x for name, x in row.items() if x is not None and name not in ("schema", "schema_version")}
    for name in ("sample_id", "particle_id"):
        if name in fields:
            fields[name] = str(fields[name])
    return ParticleRecord.from_dict(fields, source=where)


def _particle_of_levels(rows: list[dict[str, Any]], path: Path) -> ParticleRecord:
    known = set(IntensityLevel.model_fields)
    levels = [
        IntensityLevel.from_dict(
            {k: v for k, v in row.items() if k in known and v is not None}, source=f"{path}, row {number + 1}"
        )
        for number, row in enumerate(rows)
    ]
    left_out = sorted(set(rows[0]) - known - {"level_index", "level"})
    note = f"exported by Full SMS, {path.name}"
    if left_out:
        note += f"; not taken over: {', '.join(left_out)}"
    fields = {"software": "Full SMS", "source_file": path.name, "particle_id": path.stem}
    return ParticleRecord.from_dict(fields | {"levels": tuple(levels), "notes": {"levels": note}}, source=str(path))


def _particles_of_fits(rows: list[dict[str, Any]], path: Path) -> Iterable[ParticleRecord]:
    """The fits of whole traces as decays; those of single levels or groups as levels."""
    by_particle: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_particle.setdefault(str(row["particle_id"]), []).append(row)
    for particle, fits in by_particle.items():
        levels, whole = [], None
        for fit in fits:
            group = fit["level_or_group_id"]
            if isinstance(group, int) and group >= 0:
                names = ("tau_1_ns", "amp_1", "avg_lifetime_ns", "chi_squared")
                fields = {"group_id": group} | {name: fit.get(name) for name in names}
                levels.append(IntensityLevel.from_dict(fields, source=f"{path}, particle {particle}"))
            else:
                whole = fit
        yield _fitted(particle, whole, levels, path)


def _fitted(particle: str, fit: dict[str, Any] | None, levels: list[IntensityLevel], path: Path) -> ParticleRecord:
    fields: dict[str, Any] = {
        "software": "Full SMS",
        "source_file": path.name,
        "particle_id": particle,
        "levels": tuple(levels),
        "notes": {},
    }
    if fit is not None:
        n = range(1, 4)
        components = [k for k in n if fit.get(f"tau_{k}_ns") is not None]
        for name, value in fit.items():
            if name.startswith("tau_") and value is not None and not isinstance(value, int | float):
                raise InputError(f"{path}, particle {particle}: {name} is {value!r}, not a number.")
        fields["tau_i_ns"] = [fit[f"tau_{k}_ns"] for k in components]
        for end, sign in (("lo", -1), ("hi", 1)):
            fields[f"tau_i_ns_{end}"] = [fit[f"tau_{k}_ns"] + sign * (fit.get(f"tau_{k}_std") or 0) for k in components]
        fields["notes"]["tau_i_ns"] = "intervals are ± the exported standard deviation"
        fields["lifetime_model"] = f"{len(components)} exponentials, {path.name}"
        if fit.get("avg_lifetime_ns") is not None:
            fields["tau_av_ns"] = fit["avg_lifetime_ns"]
            fields["notes"]["tau_av_ns"] = "avg_lifetime_ns as exported; the export does not say how it is weighted"
    return ParticleRecord.from_dict(fields, source=f"{path}, particle {particle}")
