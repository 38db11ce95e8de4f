"""What commands print with ``--json`` where it is no result file: one class each, with a published schema."""

from __future__ import annotations

from typing import Any

from midgap.defects.changes import Change
from midgap.defects.report import LevelReport
from midgap.experiment.photons.simulation import Experiment
from midgap.structures.document import Document
from midgap.structures.model import Model
from midgap.workflows.cluster.view import State
from midgap.workflows.installation import Finding


class Models(Document):
    """What ``midgap build`` built.

    Attributes
    ----------
    models
        The pristine one first.
    """

    models: tuple[Model, ...]


class Doctor(Document):
    """What ``midgap doctor`` found.

    Attributes
    ----------
    findings
        One line each of its report.
    """

    findings: tuple[Finding, ...]


class Truth(Document):
    """What the analysis of simulated photons should find.

    Attributes
    ----------
    signal_fraction_rho
        Of the photons, in the brightest level.
    g2_0
        Without background and blinking; null for continuous excitation.
    """

    photons: int
    signal_fraction_rho: float
    g2_0: float | None = None


class Simulation(Document):
    """What ``midgap simulate`` wrote.

    Attributes
    ----------
    file
        The PTU file.
    experiment
        All that was simulated, defaults included.
    """

    file: str
    truth: Truth
    experiment: Experiment


class Check(Document):
    """What ``midgap check`` found moved.

    Attributes
    ----------
    moved
        How many of the changes are beyond ``within_eV``; the exit code is 1 if it is not 0.
    """

    within_eV: float
    moved: int
    changes: tuple[Change, ...]


class FailedJob(Document):
    """A job of a flow that failed, and why."""

    job: str
    error: str


class Outcome(Document):
    """What ``midgap run`` and ``midgap fetch`` leave behind.

    Attributes
    ----------
    levels, comparison, page, formation, study
        Files in ``folder``; null if there was nothing to write.
    reports
        As in the file of levels.
    answer
        Of the comparison.
    not_done
        Jobs on the cluster that are neither done nor failed; null where all is computed here.
    calculations
        Folders that were written, with ``midgap fetch --calculations``.
    """

    folder: str
    levels: str | None = None
    comparison: str | None = None
    page: str | None = None
    formation: str | None = None
    study: str | None = None
    reports: tuple[LevelReport, ...] = ()
    answer: str | None = None
    failed: tuple[FailedJob, ...] = ()
    not_done: int | None = None
    calculations: tuple[str, ...] = ()


class Plan(Document):
    """What ``midgap run --dry-run`` would compute.

    Attributes
    ----------
    request
        What is asked, in the words of the command line.
    expected_s
        Wall time; null where an engine was not timed.
    jobs
        Name of each calculation, and what it is: ``model``, ``task``, ``theory``, ``engine``, ``cost_s`` (s alone on one core).
    inputs
        Folders with inputs that were written.
    """

    request: dict[str, Any]
    cores: int
    expected_s: int | None
    jobs: tuple[dict[str, Any], ...]
    inputs: tuple[str, ...]
    notes: tuple[str, ...]


class Sent(Document):
    """What ``midgap submit`` sent.

    Attributes
    ----------
    flow
        The flow's id in jobflow-remote.
    sent
        Whether it was now; a flow that was sent before is not sent again.
    """

    folder: str
    flow: str
    project: str
    worker: str
    sent: bool


class AskedFor(Document):
    """What a job asks of the batch system; nothing where it shares an allocation."""

    name: str
    resources: dict[str, Any]


class SubmissionPlan(Document):
    """What ``midgap submit --dry-run`` would send."""

    worker: str
    jobs: tuple[AskedFor, ...]


class ShownJob(Document):
    """A job on a cluster.

    Attributes
    ----------
    id, uuid
        jobflow-remote's short id and jobflow's.
    queue_id
        What the batch system calls it.
    allocation
        The how many-th allocation it is in: one more each time that the queue's time was up.
    now
        How far the engine says it is, or what went wrong.
    """

    id: str
    uuid: str
    name: str
    state: State
    queue_id: str | None
    allocation: int
    elapsed_s: float | None
    folder: str | None
    now: str
    model: str | None
    task: str | None
    theory: str | None
    engine: str | None


class QueueState(Document):
    """What ``midgap status`` sees.

    Attributes
    ----------
    runner
        Whether one is at work on this machine.
    """

    worker: str
    runner: bool
    jobs: tuple[ShownJob, ...]


class Cancelled(Document):
    """Ids of the jobs that ``midgap cancel`` ended."""

    cancelled: tuple[str, ...]


class SentAgain(Document):
    """Ids of the jobs that ``midgap rerun`` sent again."""

    sent: tuple[str, ...]
