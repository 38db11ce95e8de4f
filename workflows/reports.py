"""The level reports that a flow has brought, out of what its jobs returned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midgap.defects.report import Levels


def levels_so_far(folder: Path | str) -> Levels:
    """The reports that a run on one machine has brought so far, in the order of its models.

    Parameters
    ----------
    folder
        The folder of the run (`midgap.workflows.local.run_flow`).
    """
    from midgap.workflows.store import documents_of

    return levels_in_documents(documents_of(folder, "levels"))


def levels_in_documents(documents: Sequence[dict[str, Any]]) -> Levels:
    """The reports among the documents of a job store that have ``levels`` as their task, in the order of the models."""
    from midgap.workflows.store import by_model

    return levels_of([document["output"] for document in by_model(documents)])


def levels_of(found: Sequence[dict[str, Any]]) -> Levels:
    """Reports and models of several jobs that found levels, in their order."""
    from midgap.defects.report import Levels

    return Levels.from_dict({f"{what}s": [_bare(one[what]) for one in found] for what in ("report", "model")})


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    """Without the head that `Document.from_dict` takes only on the outermost."""
    return {
        key: value
        for key, value in document.items()
        if key not in ("schema", "schema_version") and not key.startswith("@")
    }
