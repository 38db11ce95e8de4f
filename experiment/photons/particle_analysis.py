"""What an analysis of one particle is asked, and all that it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from midgap.experiment.blinking.level_lifetimes import SegmentLifetimes
from midgap.experiment.blinking.levels import IntensityLevels, Trace
from midgap.experiment.blinking.molecule_like import LevelSharpness, LifetimeOverIntensity
from midgap.experiment.decays.lifetimes import DecayFit
from midgap.experiment.decays.responses import Response
from midgap.experiment.photons.antibunching import PulsedG2
from midgap.experiment.photons.antibunching_cw import ContinuousG2
from midgap.experiment.photons.coincidences import TimePairs
from midgap.experiment.photons.gated_pairs import Background
from midgap.experiment.photons.survey import Survey
from midgap.experiment.records import ParticleRecord
from midgap.structures.document import Document


class Options(Document):
    """What the measurement does not say of itself, and how it is to be analysed.

    Attributes
    ----------
    detectors
        The two channels that are correlated; None takes the two with the most photons.
    center_lag
        Pulse lag of zero delay; None finds it.
    gate_ns
        Both photons of a pair later than this after the pulse's light; None finds whether a gate is needed, and which; 0
        takes all pairs and looks for none.
    background
        ``decay``: the flat part of the decay between the pulses, where there is one; ``none``.
    background_cps
        Of each detector, from a measurement without particle; goes before ``background``.
    irf_fwhm_ns
        Gaussian response function; None fits its width.
    bin_ms, burst_ms
        Bins of the trace, and of the map of lifetime against intensity.
    cw_bin_ns, cw_reach_ns
        Of the pairs of continuous excitation.
    blinking
        Whether to look for change points, levels, and their lifetimes.
    """

    sample_id: str | None = None
    particle_id: str | None = None
    exc_wavelength_nm: PositiveFloat | None = None
    fluence_J_cm2: PositiveFloat | None = None
    sigma_abs_cm2: PositiveFloat | None = None
    temperature_K: PositiveFloat | None = None
    detectors: tuple[int, int] | None = None
    center_lag: int | None = None
    gate_ns: NonNegativeFloat | None = None
    side_n: PositiveInt = 40
    background: Literal["decay", "none"] = "decay"
    background_cps: tuple[NonNegativeFloat, NonNegativeFloat] | None = None
    irf_fwhm_ns: PositiveFloat | None = None
    response: Response | None = None
    components: Annotated[int, Field(ge=1, le=3)] | None = None
    bin_ms: PositiveFloat = 10.0
    burst_ms: PositiveFloat = 100.0
    cw_bin_ns: PositiveFloat = 0.5
    cw_reach_ns: PositiveFloat = 200.0
    blinking: bool = True
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.99
    min_photons: PositiveInt = 100
    ci_level: Annotated[float, Field(gt=0, lt=1)] = 0.95


@dataclass
class ParticleAnalysis:
    """The record, and what pictures and further questions need; None where it could not be had.

    ``notes`` says by field of the record why, and what a number rests on; ``warnings`` what contradicts itself;
    ``comment`` is what the file says of itself.
    """

    record: ParticleRecord
    survey: Survey
    options: Options
    g2: PulsedG2 | ContinuousG2 | None = None
    pairs: TimePairs | None = None
    decay: DecayFit | None = None
    background: Background | None = None
    levels: IntensityLevels | None = None
    lifetimes: SegmentLifetimes | None = None
    bursts: SegmentLifetimes | None = None
    lifetime_over_intensity: LifetimeOverIntensity | None = None
    level_sharpness: LevelSharpness | None = None
    duration_s: float = 0.0
    comment: str = ""
    warnings: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def trace(self) -> Trace:
        """Photons a bin."""
        return Trace(bin_s=self.survey.bin_s, counts=self.survey.trace)

    def _repr_html_(self) -> str:
        """In a notebook: its record."""
        return self.record._repr_html_()

    def forget(self) -> None:
        """Let go of what only pictures need, so that many particles fit into memory."""
        self.pairs = self.decay = self.lifetimes = self.bursts = None
