"""How long a blinking emitter stays on, and how long off: power laws by maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence

from midgap.experiment.blinking import IntensityLevels, Label
from midgap.experiment.records import Quantity
from midgap.structures.document import Document, FloatArray, IntArray


class DwellTimes(Document):
    """Times spent without interruption in levels of some labels; ``censored`` (0 or 1) marks lower bounds."""

    duration_s: FloatArray
    censored: IntArray


class DwellLaw(Document):
    """p(t) ∝ t^-α e^{-t/t_c} from ``t_min_s`` on; without ``cutoff_s`` a plain power law."""

    alpha: Quantity
    cutoff_s: Quantity | None
    t_min_s: float
    n_dwells: int
    n_censored: int
    log_likelihood: float
    ci_level: float


def dwell_times(levels: IntensityLevels, labels: Sequence[Label] = ("ON",)) -> DwellTimes:
    """Dwell times; the first and the last of the trace are censored."""
    raise NotImplementedError


def fit_power_law(dwells: DwellTimes, t_min_s: float | None = None, ci_level: float = 0.95) -> DwellLaw:
    """Power law."""
    raise NotImplementedError


def fit_truncated_power_law(dwells: DwellTimes, t_min_s: float | None = None, ci_level: float = 0.95) -> DwellLaw:
    """Power law with an exponential cut-off."""
    raise NotImplementedError
