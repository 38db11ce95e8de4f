"""The curves behind one particle's record, kept beside it: pairs, decay with its fit, trace with its levels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from midgap.experiment.blinking.levels import IntensityLevels, Trace
from midgap.experiment.decays.lifetimes import DecayFit
from midgap.experiment.photons.antibunching import PulsedG2
from midgap.experiment.photons.antibunching_cw import ContinuousG2
from midgap.structures.document import Document
from midgap.structures.file_names import files_ending

if TYPE_CHECKING:
    from midgap.experiment.photons.particle_analysis import ParticleAnalysis

SUFFIX = ".curves.json"
FEW_BINS = 1500


class ParticleCurves(Document):
    """What the numbers of a record were read from; None where it was not had.

    Attributes
    ----------
    particle_id, sample_id
        As in the record.
    comment
        What the file of photons says of itself: a simulation says so there.
    bins_joined
        How many bins of the measurement one of ``decay`` and one of ``trace`` here holds.
    """

    particle_id: str | None = None
    sample_id: str | None = None
    comment: str = ""
    g2: PulsedG2 | ContinuousG2 | None = None
    decay: DecayFit | None = None
    trace: Trace | None = None
    levels: IntensityLevels | None = None
    bins_joined: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, analysis: ParticleAnalysis) -> ParticleCurves:
        """Of an analysis that still holds them."""
        return cls(
            particle_id=analysis.record.particle_id,
            sample_id=analysis.record.sample_id,
            comment=analysis.comment,
            g2=analysis.g2,
            decay=analysis.decay,
            trace=analysis.trace if len(analysis.survey.trace) > 1 else None,
            levels=analysis.levels,
        )

    @property
    def label(self) -> str:
        """That of the record."""
        return " · ".join(part for part in (self.sample_id, self.particle_id or "particle") if part)

    @property
    def simulated(self) -> bool:
        """Whether the file of photons says that no one measured it."""
        return "simulat" in self.comment.lower()

    def thinned(self, most: int = FEW_BINS) -> ParticleCurves:
        """The same with neighbouring bins of decay and trace added up until at most ``most`` are left of each."""
        decay, trace = self.decay, self.trace
        of_decay = 1 if decay is None else -(-decay.counts.size // most)
        of_trace = 1 if trace is None else -(-trace.counts.size // most)
        if decay is not None and of_decay > 1:
            decay = decay.model_copy(
                update={
                    "bin_width_ns": decay.bin_width_ns * of_decay,
                    "first_bin": decay.first_bin // of_decay,
                    "counts": _joined(decay.counts, of_decay),
                    "fitted_counts": _joined(decay.fitted_counts, of_decay),
                }
            )
        if trace is not None and of_trace > 1:
            trace = Trace(bin_s=trace.bin_s * of_trace, counts=_joined(trace.counts, of_trace))
        joined = (self.bins_joined[0] * of_decay, self.bins_joined[1] * of_trace)
        return self.model_copy(update={"decay": decay, "trace": trace, "bins_joined": joined})


def _joined(counts: np.ndarray, n: int) -> np.ndarray:
    whole = counts.size // n * n
    return np.asarray(counts[:whole]).reshape(-1, n).sum(axis=1)


def curve_files(paths: Sequence[Path | str]) -> list[Path]:
    """The files themselves, and all ``*.curves.json`` in folders, each once and in order.

    Raises
    ------
    InputError
        A folder holds none.
    """
    return files_ending(paths, SUFFIX, "`midgap photons --out` writes them beside the records")


def read_curves(paths: Sequence[Path | str]) -> list[ParticleCurves]:
    """From files, and from all ``*.curves.json`` in folders.

    Raises
    ------
    InputError
        A folder holds none, or a file is of another kind.
    """
    return [ParticleCurves.read(path) for path in curve_files(paths)]
