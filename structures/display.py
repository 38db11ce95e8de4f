"""How a document shows itself in a notebook: its facts, then its table, small and without colours of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from pymatgen.core import IMolecule, IStructure

from midgap.structures.document import Document

MOST_ROWS = 12
MOST_WORDS, MOST_IN_A_CELL = 600, 160
"""Characters of a text that are shown before it is cut, beside a name and in a table."""


def to_html(document: Document) -> str:
    """A fragment of HTML, every word of the document escaped; of a long table the first `MOST_ROWS`."""
    left = 'style="text-align: left"'
    facts = "".join(
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(brief(value, MOST_WORDS))}</td></tr>"
        for name, value in document.facts().items()
    )
    rows = document.rows()
    head = f"<caption {left}><strong>{escape(type(document).__name__)}</strong></caption>"
    return f"<div><table>{head}{facts}</table>{_table(rows) if rows else ''}</div>"


def to_text(document: Document) -> str:
    """The facts alone, one a line."""
    lines = [f"  {name}: {brief(value, MOST_WORDS)}" for name, value in document.facts().items()]
    return "\n".join([type(document).__name__, *lines])


def brief(value: Any, most: int = MOST_IN_A_CELL) -> str:
    """One line: numbers to four digits, what is long by its size."""
    if value is None or (isinstance(value, str) and not value):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray):
        return f"{' × '.join(map(str, value.shape))} numbers" if value.size > 3 else _joined(value.ravel())
    if isinstance(value, IStructure | IMolecule):
        return f"{value.composition.reduced_formula}, {len(value)} atoms"
    if isinstance(value, Document):
        return _of_document(value, most)
    if isinstance(value, Mapping):
        return _shortened("; ".join(f"{name}: {brief(one)}" for name, one in value.items()), most)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _of_sequence(value, most)
    return _shortened(str(value), most)


def _of_document(value: Document, most: int) -> str:
    label = getattr(value, "label", "") or getattr(value, "name", "")
    return str(label) if isinstance(label, str) and label else _shortened(_pairs(value.facts()), most)


def _pairs(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {brief(one)}" for name, one in facts.items() if not isinstance(one, Document | tuple))


def _of_sequence(value: Sequence[Any], most: int) -> str:
    if not value:
        return "none"
    if all(isinstance(one, Document) for one in value):
        names = [brief(one) for one in value]
        return ", ".join(names) if len(names) <= 4 and sum(map(len, names)) < 80 else f"{len(names)}"
    if all(isinstance(one, str) for one in value):
        return _shortened(" · ".join(value), most)
    if all(isinstance(one, tuple | list) for one in value):
        value = tuple(f"({_joined(one)})" for one in value)
    if len(value) <= 8:
        return _shortened(_joined(value), most)
    return f"{len(value)}, from {brief(value[0])} to {brief(value[-1])}"


def _joined(values: Any) -> str:
    return ", ".join(brief(one) for one in values)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Columns that hold anything; a value and its interval share one."""
    rows = [_with_intervals(row) for row in rows]
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if _filled(rows, name)]
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(brief(row.get(name)))}</td>" for name in columns) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = len(rows) - MOST_ROWS
    foot = f"<p>… and {more} more: <code>to_frame()</code> has all {len(rows)}.</p>" if more > 0 else ""
    return (
        f'<div style="overflow-x: auto"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{foot}'
    )


def _with_intervals(row: Mapping[str, Any]) -> dict[str, Any]:
    """``x``, ``x_lo`` and ``x_hi`` as one cell; a bound without the other by its sign."""
    shown = {name: x for name, x in row.items() if name[-3:] not in ("_lo", "_hi") or name[:-3] not in row}
    for name in shown:
        value, lo, hi = (row.get(name + end) for end in ("", "_lo", "_hi"))
        if isinstance(lo, float) and isinstance(hi, float):
            interval = f"{brief(lo)} to {brief(hi)}"
            shown[name] = interval if value is None else f"{brief(value)} ({interval})"
        elif value is None and isinstance(lo, float):
            shown[name] = f"≥ {brief(lo)}"
        elif value is None and isinstance(hi, float):
            shown[name] = f"≤ {brief(hi)}"
    return shown


def _filled(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(row.get(name) not in (None, "", (), []) for row in rows)
