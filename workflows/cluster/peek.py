"""How far running engines say they are: ``python -m midgap.workflows.cluster.peek JOBS`` runs on the worker.

``JOBS`` is a JSON list of engine and folder; the answer is one line, ``MIDGAP`` and a JSON list of words.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from midgap.workflows.cluster.selfcheck import MARK
from midgap.workflows.engines import engine_named


def words(jobs: Sequence[tuple[str, str]]) -> list[str]:
    """What each engine says in its folder; nothing where it has not begun to."""
    said = []
    for engine, folder in jobs:
        try:
            said.append(engine_named(engine).progress(Path(folder)))
        except (OSError, ValueError):  # it is being written at this moment
            said.append("")
    return said


if __name__ == "__main__":
    print(MARK + json.dumps(words(json.loads(sys.argv[1]))))
