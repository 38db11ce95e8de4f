"""Records as Parquet, whole: units of every column in the file's metadata, levels and notes as nested columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from midgap.experiment.extras import missing
from midgap.experiment.records import Records
from midgap.structures.document import write_atomic
from midgap.structures.errors import InputError
from midgap.structures.schema import json_schema

KEY = b"midgap"
"""Of the table's metadata: schema, version, material and source as JSON. A column's own has its ``unit``."""

UNITS = {
    "J_cm2": "J/cm²",
    "cm2": "cm²",
    "meV": "meV",
    "eV": "eV",
    "cps": "1/s",
    "nm": "nm",
    "ns": "ns",
    "ms": "ms",
    "Hz": "Hz",
    "K": "K",
    "s": "s",
}
"""By the end of a field's name; fractions and counts have none."""


def unit(name: str) -> str:
    """The unit that a field's name says, ``x_lo`` and ``x_hi`` like ``x``; empty for a pure number."""
    bare = name.removesuffix("_lo").removesuffix("_hi")
    return next((sign for end, sign in UNITS.items() if bare.endswith(f"_{end}")), "")


def write_parquet(records: Records, path: Path | str) -> Path:
    """Write records so that `read_parquet` gives them back to the last bit."""
    pyarrow, parquet = _pyarrow()
    schema = _schema(pyarrow, records)
    rows = []
    for record in records.records:
        row = record.model_dump()
        row["notes"] = list(row["notes"].items())
        rows.append(row)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), sink)
    return write_atomic(path, sink.getvalue().to_pybytes())


def read_parquet(path: Path | str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of a Parquet file, and what `write_parquet` said of them all; nothing for a file of another origin.

    Raises
    ------
    InputError
        It is no Parquet file, or its metadata are broken.
    """
    pyarrow, parquet = _pyarrow()
    try:
        table = parquet.read_table(path)
        rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise InputError(
            f"{path} is not a readable Parquet file ({str(error)[:120] or type(error).__name__})."
        ) from None
    raw = (table.schema.metadata or {}).get(KEY)
    try:
        head = {} if raw is None else json.loads(raw)
    except ValueError:
        head = None
    if not isinstance(head, dict):
        raise InputError(f"{path}: what the file says of its records is not a JSON object.")
    for row in rows:
        if isinstance(row.get("notes"), list):
            row["notes"] = dict(row["notes"])
    return rows, head


def _schema(pyarrow: Any, records: Records) -> Any:
    """Of every field, filled or not, so that tables of other particles can be put below each other."""
    published = json_schema(Records)
    said = {name: value for name, value in records.to_dict().items() if name != "records"}
    return pyarrow.schema(
        _columns(pyarrow, published["$defs"]["ParticleRecord"], published["$defs"]),
        metadata={KEY: json.dumps(said, ensure_ascii=False)},
    )


def _columns(pyarrow: Any, fields: dict[str, Any], classes: dict[str, Any]) -> list[Any]:
    return [
        pyarrow.field(name, _kind(pyarrow, part, classes), metadata={"unit": unit(name)} if unit(name) else None)
        for name, part in fields["properties"].items()
    ]


def _kind(pyarrow: Any, part: dict[str, Any], classes: dict[str, Any]) -> Any:
    """The column type of a field of a JSON schema, null aside."""
    if "anyOf" in part:
        part = next(one for one in part["anyOf"] if one.get("type") != "null")
    if "$ref" in part:
        return pyarrow.struct(_columns(pyarrow, classes[part["$ref"].rpartition("/")[2]], classes))
    kinds = [part["type"]] if isinstance(part["type"], str) else part["type"]
    kind = next(one for one in kinds if one != "null")
    if kind == "array":
        return pyarrow.list_(_kind(pyarrow, part["items"], classes))
    if kind == "object":
        return pyarrow.map_(pyarrow.string(), _kind(pyarrow, part["additionalProperties"], classes))
    plain = {"number": pyarrow.float64, "integer": pyarrow.int64, "boolean": pyarrow.bool_, "string": pyarrow.string}
    return plain[kind]()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise missing("pyarrow", "Reading and writing Parquet") from None
    return pyarrow, pyarrow.parquet
