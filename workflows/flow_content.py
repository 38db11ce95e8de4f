"""What a serialised flow names and holds: the code it would load, and its content apart from names drawn anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobflow import Flow
from monty.json import MontyEncoder

from midgap.structures.errors import InputError


def _modules(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if isinstance(data.get("@module"), str):
            yield data["@module"]
        for value in data.values():
            yield from _modules(value)
    elif isinstance(data, list):
        for value in data:
            yield from _modules(value)


def packages(flow: Flow) -> frozenset[str]:
    """Those that the functions and classes of a flow are from."""
    plain = json.loads(json.dumps(flow, cls=MontyEncoder))
    return frozenset(name.partition(".")[0] for name in _modules(plain))


def refuse_foreign(data: Any, trusted: frozenset[str], source: Path) -> None:
    """Serialised jobs name the code they run; only what the caller's own flow is made of may be named.

    Raises
    ------
    InputError
        Something else is.
    """
    for name in _modules(data):
        if name.partition(".")[0] not in trusted:
            raise InputError(f"{source} names the module {name}, which this run has no use for; it is not loaded.")


def anonymous(flow: Flow) -> Any:
    """The content of a flow without the names that are drawn anew each time it is built."""
    text = json.dumps(flow, cls=MontyEncoder)
    plain = json.loads(text)
    drawn: dict[str, str] = {}

    def collect(data: Any) -> None:
        if isinstance(data, dict):
            if isinstance(data.get("uuid"), str):
                drawn.setdefault(data["uuid"], f"#{len(drawn)}")
            for value in data.values():
                collect(value)
        elif isinstance(data, list):
            for value in data:
                collect(value)

    def rename(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: rename(value) for key, value in data.items() if key != "@version"}
        if isinstance(data, list):
            return [rename(value) for value in data]
        return drawn.get(data, data) if isinstance(data, str) else data

    collect(plain)
    return rename(plain)
