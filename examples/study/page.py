"""The numbers of docs/study.md, written between its markers: python examples/study/page.py [--check]

``--check`` writes nothing; its exit code says whether the page has the numbers of the results.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import compared
import emission_tables
import level_tables
from reports import Results

from midgap.structures.document import write_atomic

PAGE = Path(__file__).parents[2] / "docs" / "study.md"
MARKED = re.compile(r"(<!-- table (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
TABLES: dict[str, Callable[[Results], Iterator[str]]] = {
    "published": level_tables.published,
    "relaxations": level_tables.relaxations,
    "levels": level_tables.levels,
    "settings": level_tables.settings,
    "engines": level_tables.engines,
    "clusters": level_tables.clusters,
    "contrast": level_tables.contrast,
    "formation": level_tables.formation,
    "transitions": level_tables.transitions,
    "costs": level_tables.costs,
    "emission": emission_tables.emission,
    "screening": emission_tables.screening,
    "difference": emission_tables.difference,
    "lines": emission_tables.lines,
    "modes": emission_tables.modes,
    "lifetimes": emission_tables.lifetimes,
    "capture": emission_tables.captures,
    "evidence": compared.evidence,
}


def filled(page: str, results: Results) -> str:
    """The page with its tables as the results have them."""

    def rows(match: re.Match[str]) -> str:
        return match[1] + "\n" + "\n".join(TABLES[match["name"]](results)) + "\n\n" + match[3]

    return MARKED.sub(rows, page)


def main(arguments: Sequence[str]) -> int:
    """Write the page, or say that it is behind the results."""
    page = PAGE.read_text()
    new = filled(page, Results.read())
    if "--check" in arguments:
        return int(new != page)
    write_atomic(PAGE, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
