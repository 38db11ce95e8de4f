"""The published JSON schema of a document class, and what would keep older files from being read."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from midgap.structures.document import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(document: type[Document]) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a class's files, made from the class.

    What the docstring says of an attribute is its ``description``. The schema holds shapes and types; that
    numbers fit each other is checked when a file is read.
    """
    schema = document.model_json_schema(schema_generator=_Untitled)
    if "$ref" in schema:  # of a class that may hold itself
        own = schema.pop("$ref").removeprefix("#/$defs/")
        schema = {
            key: dict(part) if key == "properties" else part for key, part in schema["$defs"][own].items()
        } | schema
    head = {
        "schema": {"type": "string", "const": document.schema_name()},
        "schema_version": {"type": "integer", "const": document.SCHEMA_VERSION},
    }
    for part in (schema, *schema.get("$defs", {}).values()):
        _describe(part)
    schema = _shorter(schema)
    schema["properties"] = head | schema.get("properties", {})
    about = {"$schema": DIALECT, "$id": f"urn:midgap:{document.__name__}:{document.SCHEMA_VERSION}"}
    return about | schema


class _Untitled(GenerateJsonSchema):
    """Fields without titles: pydantic's are their names in capitals, units and all."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _describe(part: dict[str, Any]) -> None:
    text = inspect.cleandoc(part.get("description", ""))
    summary, _, attributes = text.partition("\nAttributes\n----------\n")
    if text:
        part["description"] = _one_line(summary)
    for names, description in _attributes(attributes):
        for name in names:
            if name in part.get("properties", {}):
                part["properties"][name]["description"] = description


def _shorter(part: Any) -> Any:
    """``{"type": ["number", "null"]}`` for a choice between bare types."""
    if isinstance(part, list):
        return [_shorter(one) for one in part]
    if not isinstance(part, dict):
        return part
    choices = part.get("anyOf", [])
    if choices and all(isinstance(one, dict) and list(one) == ["type"] for one in choices):
        part = {"type": [one["type"] for one in choices]} | {key: one for key, one in part.items() if key != "anyOf"}
    return {key: _shorter(one) for key, one in part.items()}


def _attributes(section: str) -> Iterator[tuple[list[str], str]]:
    """Names and text of a numpydoc section, whose names alone begin at the margin."""
    for block in re.split(r"\n(?=\S)", section):
        names, _, text = block.partition("\n")
        if text.strip():
            yield [name.strip() for name in names.split(",")], _one_line(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Why files of one schema are no longer read by the other, or as something else; empty if they are.

    Taken away: a field, a type, a word of a list. Demanded: a field that was not. Limits on numbers are not looked at.
    """
    return list(dict.fromkeys(_breaks(old, new, old, new, "", frozenset())))


def _breaks(
    old: Any, new: Any, old_root: dict[str, Any], new_root: dict[str, Any], place: str, above: frozenset[str]
) -> Iterator[str]:
    new = _followed(new, new_root)
    choices = [_followed(one, new_root) for one in new.get("anyOf", [new])]
    for one in _choices(old, old_root):
        inside = above | {one["$ref"]} if "$ref" in one else above
        if "$ref" in one and inside == above:
            continue  # a class that holds itself, compared already
        alone = _followed(one, old_root)
        found = [list(_breaks_alone(alone, other, old_root, new_root, place, inside)) for other in choices]
        yield from min(found, key=len)


def _choices(part: dict[str, Any], root: dict[str, Any]) -> list[dict[str, Any]]:
    """What a part may be; a name of one thing alone stays a name."""
    choices: list[dict[str, Any]] = _followed(part, root).get("anyOf", [part])
    return choices


def _breaks_alone(
    old: dict[str, Any],
    new: dict[str, Any],
    old_root: dict[str, Any],
    new_root: dict[str, Any],
    place: str,
    above: frozenset[str],
) -> Iterator[str]:
    where = place or "the whole"
    if "type" in new and not _types(old) <= _types(new):
        yield f"{where} may no longer be {' or '.join(sorted(_types(old) - _types(new))) or 'of any type'}"
        return
    allowed = _words(new)
    if allowed is not None and (_words(old) is None or set(_words(old) or ()) - set(allowed)):
        yield f"{where} takes fewer words"
    before, now = old.get("properties", {}), new.get("properties", {})
    if new.get("additionalProperties") is False:
        yield from (f"{_inside(place, name)} is gone" for name in before if name not in now)
    yield from (
        f"{_inside(place, name)} is demanded" for name in new.get("required", []) if name not in old.get("required", [])
    )
    for name in before.keys() & now.keys() - {"schema", "schema_version"}:
        yield from _breaks(before[name], now[name], old_root, new_root, _inside(place, name), above)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _breaks(old[key], new[key], old_root, new_root, place + mark, above)


def _followed(part: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    return root["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def _types(part: dict[str, Any]) -> set[str]:
    if "type" not in part:
        return set()
    types = {part["type"]} if isinstance(part["type"], str) else set(part["type"])
    return types | {"integer"} if "number" in types else types


def _words(part: dict[str, Any]) -> list[Any] | None:
    return [part["const"]] if "const" in part else part.get("enum")


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def version(schema: dict[str, Any]) -> int:
    """The version of the files that a schema of `json_schema` describes."""
    return int(schema["properties"]["schema_version"]["const"])
