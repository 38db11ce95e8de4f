"""Where the levels of a flow are, read from the wavefunctions that its engine left in the folder of the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import job

from midgap.structures.errors import ComputationError, InputError

if TYPE_CHECKING:
    from midgap.defects.densities import StateDensity

Plain = dict[str, Any]

LEAVES_WAVEFUNCTIONS = ("gpaw",)
"""Engines whose runs leave what densities are read from, without being asked."""


@job
def level_densities(folder: str, report: Plain) -> Plain:
    """The density of each level between the band edges.

    Parameters
    ----------
    folder
        Of the static run.
    report
        The `LevelReport` of it.

    Returns
    -------
    dict
        ``densities``, a list of `midgap.defects.densities.StateDensity`, and ``why`` there are none: a picture that
        cannot be had is no reason to stop a flow.
    """
    from midgap.defects.parsers import densities
    from midgap.defects.report import LevelReport

    try:
        found = densities.level_densities(folder, LevelReport.from_dict(report))
    except (InputError, ComputationError) as error:
        return {"densities": [], "why": str(error)}
    return {"densities": [density.to_dict() for density in found], "why": ""}


def densities_so_far(folder: Path | str) -> list[StateDensity]:
    """The densities that a run on one machine has brought so far, in the order of its models.

    Parameters
    ----------
    folder
        The folder of the run (`midgap.workflows.local.run_flow`).
    """
    from midgap.workflows.store import documents_of

    return densities_in_documents(documents_of(folder, "densities"))


def densities_in_documents(documents: Sequence[Plain]) -> list[StateDensity]:
    """Those in the documents of a job store that have ``densities`` as their task, in the order of the models."""
    from midgap.defects.densities import StateDensity
    from midgap.workflows.store import by_model

    return [StateDensity.from_dict(one) for document in by_model(documents) for one in document["output"]["densities"]]
