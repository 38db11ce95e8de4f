"""What every object that crosses rooms is: immutable, validated, plain JSON both ways.

Result files are data. They are read field by field into the class that the *caller* names; nothing
in a file chooses what is imported or run, unlike the ``@module``/``@class`` tags of MSONable JSON.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError
from pymatgen.core import IMolecule, IStructure

from midgap.structures.errors import InputError, one_line
from midgap.structures.fields import FloatArray, Geometry, IntArray, geometry_to_dict
from midgap.structures.unpacking import CutShortError, chunks

if TYPE_CHECKING:
    import pandas

__all__ = [
    "Document",
    "FloatArray",
    "Geometry",
    "IntArray",
    "Upgrade",
    "first_fault",
    "geometry_to_dict",
    "read_json",
    "write_atomic",
]

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""The fields of a file of one version as those of the next; a pure function."""


def write_atomic(path: Path | str, data: str | bytes) -> Path:
    """Write ``data`` to ``path`` so that at any moment the file is the old one or the new one, whole."""
    path = Path(path)
    try:
        return _write_whole(path, data)
    except OSError as error:
        # Of the file that was asked for, not of the temporary one.
        raise type(error)(error.errno, error.strerror, str(path)) from None


def _write_whole(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is known before the file is there: an interrupt right after its making finds it.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def copy_atomic(source: Path, target: Path) -> None:
    """Copy a file of any size so that ``target`` is there whole or not at all."""
    partial = target.with_name(f".{target.name}")
    shutil.copyfile(source, partial)
    partial.replace(target)


def read_json(path: Path | str) -> Any:
    """Read a JSON file (or ``.json.gz``).

    Raises
    ------
    InputError
        The file is missing, unreadable or not JSON.
    """
    path = Path(path)
    try:
        raw = b"".join(chunks(path))
        finite: dict[str, Any] = {"parse_float": _finite} if _LONG_EXPONENT.search(raw) else {}
        return json.loads(raw, parse_constant=_refuse_constant, **finite)
    except CutShortError:
        raise InputError(f"{path} is cut short; copy it again.") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply to be one of midgap's files.") from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from None


_LONG_EXPONENT = re.compile(rb"[eE]\+?\d{3}")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is beyond all numbers")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def first_fault(error: ValidationError) -> str:
    """Where the first thing lies that does not fit and why, in one line: ``fmax_eV_per_ang: Input should be ...``."""
    first = error.errors()[0]
    place = one_line(".".join(str(part) for part in first["loc"]), 100) or "the whole"
    message = one_line(first["msg"].removeprefix("Value error, ").partition("\n")[0], 300)
    if first["type"] == "extra_forbidden":
        message = "there is no such field"
    return f"{place}: {message}" + (f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else "")


class Document(BaseModel):
    """Base of all result objects.

    `to_dict` and `from_dict` add and check ``schema`` and ``schema_version``. A file of another
    schema, or of a newer version than this midgap knows, is refused with a sentence that says so. One of
    an older version is brought up to date by ``UPGRADES``: by version, what makes the next one of its fields.
    A change after which older files would not be read, or read as something else, raises ``SCHEMA_VERSION``,
    also of the classes that hold this one, since only the whole file carries a version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
    SCHEMA_VERSION: ClassVar[int] = 1
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {}

    @classmethod
    def schema_name(cls) -> str:
        return f"midgap.{cls.__name__}"

    def to_dict(self) -> dict[str, Any]:
        head = {"schema": self.schema_name(), "schema_version": self.SCHEMA_VERSION}
        try:
            return head | self.model_dump(mode="json")
        except PydanticSerializationError as error:
            # pydantic makes one of an interrupt too.
            if isinstance(error.__cause__, (KeyboardInterrupt, SystemExit)):
                raise error.__cause__ from None
            raise

    def as_dict(self) -> dict[str, Any]:
        """What monty, and with it jobflow, calls."""
        return self.to_dict()

    @classmethod
    def from_dict(cls, data: Any, source: str = "") -> Self:
        """Build from `to_dict`'s result.

        Raises
        ------
        InputError
            Foreign schema, newer version, or a field that does not fit; ``source`` names the file.
        """
        where = f"{source}: " if source else ""
        if not isinstance(data, dict):
            raise InputError(f"{where}expected a JSON object with a {cls.schema_name()}, found {type(data).__name__}.")
        data = {key: value for key, value in data.items() if not key.startswith("@")}
        schema, version = data.pop("schema", None), data.pop("schema_version", None)
        if schema is not None and schema != cls.schema_name():
            raise InputError(f"{where}holds a {one_line(str(schema), 100)}, not a {cls.schema_name()}.")
        data = cls._upgraded(data, version, where)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"{where}not a valid {cls.schema_name()}: {first_fault(error)}.") from None

    @classmethod
    def _upgraded(cls, data: dict[str, Any], version: Any, where: str) -> dict[str, Any]:
        """Fields of this version; without a version they are taken for it."""
        name, known = cls.schema_name(), cls.SCHEMA_VERSION
        if version is None:
            return data
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise InputError(f"{where}schema_version is {version!r}, not a whole number from 1.")
        if version > known:
            raise InputError(
                f"{where}was written by a newer midgap ({name} version {version}, this one reads up to "
                f"{known}); update midgap with: pip install -U midgap."
            )
        for older in range(version, known):
            if older not in cls.UPGRADES:
                raise InputError(
                    f"{where}is a {name} of version {version}, which midgap no longer reads; make it anew with this one."
                )
            try:
                data = cls.UPGRADES[older](data)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError):
                raise InputError(f"{where}not a valid {name} of version {older}.") from None
        return data

    def rows(self) -> list[dict[str, Any]]:
        """What a table of it holds, one flat mapping a row; none where a table is not its natural form."""
        return []

    def to_frame(self) -> pandas.DataFrame:
        """`rows` as a pandas table."""
        import pandas

        rows = self.rows()
        frame = pandas.DataFrame(rows)
        # With a gap in it a column of whole numbers would become one of decimals.
        return frame.astype({name: "Int64" for name in frame if _whole([row.get(name) for row in rows])})

    def facts(self) -> dict[str, Any]:
        """What is shown of it above its table: by default, the fields that hold something."""
        return {name: value for name in type(self).model_fields if not _empty(value := getattr(self, name))}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Of a long document's many fields, those that hold something."""
        return ((name, value) for name, value in super().__repr_args__() if not _empty(value))

    def _repr_html_(self) -> str:
        from midgap.structures.display import to_html

        return to_html(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython prints where it cannot show HTML; `repr` stays whole."""
        from midgap.structures.display import to_text

        printer.text(to_text(self))

    def write(self, path: Path | str) -> Path:
        """Write as JSON, whole or not at all."""
        return write_atomic(path, json.dumps(self.to_dict(), allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path | str) -> Self:
        return cls.from_dict(read_json(path), source=str(path))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            _same(getattr(self, name), getattr(other, name)) for name in type(self).model_fields
        )

    __hash__ = None  # type: ignore[assignment]


def _whole(values: list[Any]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(value, int) and not isinstance(value, bool) for value in there)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | tuple | dict) and not value)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (IStructure, IMolecule)) and isinstance(b, (IStructure, IMolecule)):
        # To the micro-ångström: fractional coordinates do not survive a round trip to the last bit.
        one, two = geometry_to_dict(a), geometry_to_dict(b)
        return one["species"] == two["species"] and all(
            (one[key] is None and two[key] is None)
            or (one[key] is not None and two[key] is not None and np.allclose(one[key], two[key], atol=1e-6, rtol=0))
            for key in ("lattice_ang", "positions_ang")
        )
    return bool(a == b)
