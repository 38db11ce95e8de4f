"""Cells and tables in Markdown, and what all tables ask of a calculation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

NAMES = {1: "V⁺", 0: "V⁰", -1: "V⁻", None: "crystal"}
HOLE = "V⁰ + hole → V⁺"
WARM_K = 300.0


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Line by line."""
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"


def eV(value: float | None) -> str:
    """To a hundredth; a dash where there is nothing."""
    return "–" if value is None else f"{value:.2f}"


def value(one: dict[str, Any] | None, name: str) -> float | None:
    """What a calculation has under a name, if there is one."""
    return None if one is None else one.get(name)


def lowest_level(one: dict[str, Any] | None) -> dict[str, Any] | None:
    """The lowest level in the gap."""
    found = [] if one is None else [level for level in one["levels"] if level["kind"] != "resonant"]
    return found[0] if found else None
