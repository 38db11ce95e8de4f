"""Photons of emitters that are known: for tests, for planning a measurement, for teaching.

Pulsed: in each emitter a pulse makes a Poisson number of excitons (mean ⟨N⟩). One or more give an exciton
photon, two or more a biexciton photon before it; each is detected with its probability, and goes to one
of two detectors with probability ½. Excitations beyond the second are lost. The level the emitter is in
scales yields and lifetimes. A pulse that finds an emitter still excited can add a biexciton photon, but no second
exciton photon. Continuous: each emitter is excited at a rate and emits after its lifetime.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from midgap.experiment.compiled import compiled
from midgap.experiment.photons.stream import Header, Ints, PhotonStream
from midgap.structures.document import Document

Fraction = Annotated[float, Field(ge=0, le=1)]
Floats = NDArray[np.float64]

FORGOTTEN = 20.0
"""Periods longer than so many lifetimes find every emitter in its ground state."""


class Dwell(Document):
    """How long an emitter stays in a level.

    Attributes
    ----------
    law
        ``exponential`` with mean ``mean_s``, or ``power``: p(t) ∝ t^-α from ``t_min_s`` to ``t_max_s``.
    """

    law: Literal["exponential", "power"] = "exponential"
    mean_s: PositiveFloat = 0.5
    alpha: PositiveFloat = 1.5
    t_min_s: PositiveFloat = 0.01
    t_max_s: PositiveFloat = 10.0

    def draw(self, random: np.random.Generator, n: int) -> Floats:
        """Dwell times in s, shape (n,); the power law by inverting its distribution."""
        if self.law == "exponential":
            return random.exponential(self.mean_s, n)
        u = random.random(n)
        if abs(self.alpha - 1) < 1e-9:
            return self.t_min_s * (self.t_max_s / self.t_min_s) ** u
        low, high = self.t_min_s ** (1 - self.alpha), self.t_max_s ** (1 - self.alpha)
        return (low + u * (high - low)) ** (1 / (1 - self.alpha))


class BlinkingLevel(Document):
    """A state of an emitter: its yield and lifetime relative to the brightest, and how long it lasts."""

    name: str = "ON"
    relative_yield: Fraction = 1.0
    relative_lifetime: PositiveFloat = 1.0
    dwell: Dwell = Dwell()


class Experiment(Document):
    """A measurement to simulate.

    Attributes
    ----------
    n_emitters
        M, independent and identical.
    mean_excitons
        ⟨N⟩ a pulse and emitter (pulsed).
    biexciton_ratio
        r, the quantum yield of the biexciton over that of the exciton.
    detected_fraction
        Of the excitations in the brightest level that give a photon that is counted.
    excitation_rate_Hz
        Continuous excitation of an emitter in its ground state; None for pulses at ``rep_rate_Hz``.
    levels
        In turn, each emitter on its own; the next level is drawn evenly among the others.
    background_cps
        Uniform, of both detectors together.
    light_delay_ns
        From the sync signal to the light's arrival at detector 0.
    cable_delay_ns
        By how much detector 1 is later than detector 0; may be several periods.
    dead_time_ns
        Of each detector with its timing channel.
    irf_fwhm_ns
        Gaussian jitter of a detected time.
    """

    n_emitters: PositiveInt = 1
    rep_rate_Hz: PositiveFloat = 2.5e6
    duration_s: PositiveFloat = 10.0
    mean_excitons: PositiveFloat = 0.1
    lifetime_ns: PositiveFloat = 9.0
    biexciton_lifetime_ns: PositiveFloat = 1.0
    biexciton_ratio: Fraction = 0.0
    detected_fraction: Fraction = 0.05
    excitation_rate_Hz: PositiveFloat | None = None
    levels: tuple[BlinkingLevel, ...] = (BlinkingLevel(),)
    background_cps: NonNegativeFloat = 0.0
    light_delay_ns: NonNegativeFloat = 5.0
    cable_delay_ns: float = 0.0
    dead_time_ns: NonNegativeFloat = 0.0
    irf_fwhm_ns: NonNegativeFloat = 0.3
    resolution_ns: PositiveFloat = 0.064
    seed: int = 0

    @model_validator(mode="after")
    def _possible(self) -> Experiment:
        if not self.levels or max(level.relative_yield for level in self.levels) < 1:
            raise ValueError("levels: one must have the relative yield 1, to which the others refer")
        if self.excitation_rate_Hz is None and 1e9 / self.rep_rate_Hz / self.resolution_ns >= 1 << 15:
            raise ValueError("resolution_ns: a period has more bins than the 15 bits of a T3 record can count")
        return self

    @property
    def g2_0(self) -> float:
        """E[n(n-1)]/E[n]² of the photons of one pulse, exact, without background, blinking and dead time.

        Of lifetimes much shorter than the period. For ⟨N⟩ → 0 it becomes 1 - (1 - r)/M: G. Nair et al., ACS Nano 5, 1188 (2011).
        """
        once, twice = _excited(self.mean_excitons)
        mean = once + self.biexciton_ratio * twice
        return 1 - 1 / self.n_emitters + 2 * self.biexciton_ratio * twice / (mean**2 * self.n_emitters)

    @property
    def signal_cps(self) -> float:
        """Photons of the emitters counted a second, all in the brightest level, of lifetimes much shorter than the period."""
        if self.excitation_rate_Hz is not None:
            cycle_s = 1 / self.excitation_rate_Hz + 1e-9 * self.lifetime_ns
            return self.n_emitters * self.detected_fraction / cycle_s
        once, twice = _excited(self.mean_excitons)
        return self.n_emitters * self.rep_rate_Hz * self.detected_fraction * (once + self.biexciton_ratio * twice)

    @property
    def signal_fraction(self) -> float:
        """ρ, the part of all counts that is the emitters', without blinking."""
        return self.signal_cps / (self.signal_cps + self.background_cps)


def simulate(experiment: Experiment) -> PhotonStream:
    """Photons as the electronics would give them: T3 for pulsed excitation, T2 (in ps) for continuous."""
    random = np.random.default_rng(experiment.seed)
    pulsed = experiment.excitation_rate_Hz is None
    # Times are a whole number of periods (continuous: of µs) and a rest in ns, so that no digit is lost.
    period_ns = 1e9 / experiment.rep_rate_Hz if pulsed else 1e3
    last = round(experiment.duration_s * 1e9 / period_ns)
    emit = _pulsed if pulsed else _continuous
    photons = [emit(experiment, last, random) for _ in range(experiment.n_emitters)]
    n = random.poisson(experiment.background_cps * experiment.duration_s)
    photons.append((random.integers(0, last, n), random.uniform(0, period_ns, n)))
    coarse, fine = (np.concatenate(part) for part in zip(*photons, strict=True))
    channel = random.integers(0, 2, len(coarse)).astype(np.uint8)
    fine += experiment.light_delay_ns + experiment.cable_delay_ns * channel
    fine += random.normal(0, experiment.irf_fwhm_ns / math.sqrt(8 * math.log(2)), len(fine))
    turns = np.floor(fine / period_ns).astype(np.int64)
    coarse, fine = coarse + turns, fine - turns * period_ns
    order = np.lexsort((fine, coarse))
    order = order[(coarse[order] >= 0) & (coarse[order] < last)]
    order = order[_seen(coarse[order] * period_ns + fine[order], channel[order], experiment.dead_time_ns)]
    return _stream(experiment, coarse[order], fine[order], channel[order], last)


def _excited(mean: float) -> tuple[float, float]:
    """Probabilities of at least one and of at least two excitons."""
    return -math.expm1(-mean), -math.expm1(-mean) - mean * math.exp(-mean)


def _pulsed(experiment: Experiment, n_pulses: int, random: np.random.Generator) -> tuple[Ints, Floats]:
    """Pulse and delay in ns of the photons of one emitter.

    Pulses that give a photon in the brightest level are drawn by the gaps between them; darker levels
    then lose some of their photons.
    """
    longest_ns = experiment.lifetime_ns * max(level.relative_lifetime for level in experiment.levels)
    if FORGOTTEN * longest_ns > 1e9 / experiment.rep_rate_Hz:
        return _overlapping(experiment, n_pulses, random)
    once, twice = _excited(experiment.mean_excitons)
    seen = experiment.detected_fraction
    seen_bi = seen * experiment.biexciton_ratio
    # exciton alone; exciton after an unseen biexciton; biexciton, exciton unseen; both
    ways = np.array(
        [(once - twice) * seen, twice * seen * (1 - seen_bi), twice * (1 - seen) * seen_bi, twice * seen * seen_bi]
    )
    pulse = _bernoulli(random, ways.sum(), n_pulses)
    way = random.choice(4, len(pulse), p=ways / ways.sum()) if len(pulse) else np.empty(0, int)
    level = _levels(experiment, pulse / experiment.rep_rate_Hz, random)
    relative_yield = np.array([each.relative_yield for each in experiment.levels])[level]
    stretch = np.array([each.relative_lifetime for each in experiment.levels])[level]
    biexciton = random.exponential(experiment.biexciton_lifetime_ns, len(pulse)) * stretch
    exciton = random.exponential(experiment.lifetime_ns, len(pulse)) * stretch + np.where(way == 0, 0, biexciton)
    has_exciton = (way != 2) & (random.random(len(pulse)) < relative_yield)
    has_biexciton = (way >= 2) & (random.random(len(pulse)) < relative_yield)
    return (
        np.concatenate([pulse[has_exciton], pulse[has_biexciton]]),
        np.concatenate([exciton[has_exciton], biexciton[has_biexciton]]),
    )


def _overlapping(experiment: Experiment, n_pulses: int, random: np.random.Generator) -> tuple[Ints, Floats]:
    """The same where an emitter may still be excited when the next pulse comes: every excitation is drawn.

    What the pulse adds to an exciton is a biexciton; the exciton's photon then comes as if nothing had happened, because a
    decay that is exponential does not remember.
    """
    once, twice = _excited(experiment.mean_excitons)
    pulse = _bernoulli(random, once, n_pulses)
    level = _levels(experiment, pulse / experiment.rep_rate_Hz, random)
    seen = experiment.detected_fraction * np.array([each.relative_yield for each in experiment.levels])[level]
    stretch = np.array([each.relative_lifetime for each in experiment.levels])[level]
    two = random.random(len(pulse)) < twice / once
    biexciton = random.exponential(experiment.biexciton_lifetime_ns, len(pulse)) * stretch
    exciton = random.exponential(experiment.lifetime_ns, len(pulse)) * stretch + np.where(two, biexciton, 0)
    dark = np.empty(len(pulse), bool)
    compiled("photons.kernels").found_dark(1e9 / experiment.rep_rate_Hz, pulse, exciton, dark)
    has_exciton = dark & (random.random(len(pulse)) < seen)
    has_biexciton = (two | ~dark) & (random.random(len(pulse)) < seen * experiment.biexciton_ratio)
    return (
        np.concatenate([pulse[has_exciton], pulse[has_biexciton]]),
        np.concatenate([exciton[has_exciton], biexciton[has_biexciton]]),
    )


def _bernoulli(random: np.random.Generator, probability: float, n: int) -> Ints:
    """Which of ``n`` trials succeed, ascending."""
    found, last = [], -1
    while last < n and probability > 0:
        expected = (n - last) * probability
        gaps = random.geometric(probability, int(expected + 5 * math.sqrt(expected)) + 10)
        found.append(last + np.cumsum(gaps))
        last = int(found[-1][-1])
    trials = np.concatenate(found) if found else np.empty(0, np.int64)
    return trials[trials < n]


def _continuous(experiment: Experiment, n_us: int, random: np.random.Generator) -> tuple[Ints, Floats]:
    """µs and rest in ns of the photons of one emitter: each comes a number of cycles after the one before.

    A cycle is a wait for excitation and one for emission; the number of cycles to the next detected
    photon is geometric, so the waits' sums are gamma distributed.
    """
    assert experiment.excitation_rate_Hz is not None
    wait_ns, end, found = 1e9 / experiment.excitation_rate_Hz, 1e3 * n_us, []
    cycle_ns = wait_ns + experiment.lifetime_ns
    last = 0.0
    while last < end and experiment.detected_fraction > 0:
        expected = (end - last) / cycle_ns * experiment.detected_fraction
        cycles = random.geometric(experiment.detected_fraction, int(expected + 5 * math.sqrt(expected)) + 10)
        gaps = wait_ns * random.standard_gamma(cycles) + experiment.lifetime_ns * random.standard_gamma(cycles)
        found.append(last + np.cumsum(gaps))
        last = float(found[-1][-1])
    time_ns = np.concatenate(found) if found else np.empty(0)
    time_ns = time_ns[time_ns < end]
    level = _levels(experiment, 1e-9 * time_ns, random)
    kept = random.random(len(level)) < np.array([each.relative_yield for each in experiment.levels])[level]
    time_ns = time_ns[kept]
    whole = np.floor(time_ns / 1e3)
    return whole.astype(np.int64), time_ns - 1e3 * whole


def _levels(experiment: Experiment, time_s: Floats, random: np.random.Generator) -> Ints:
    """Index of the level an emitter is in at ascending times."""
    n_levels = len(experiment.levels)
    if n_levels == 1:
        return np.zeros(len(time_s), np.int64)
    begins, states = [0.0], [int(random.integers(n_levels))]
    while begins[-1] < experiment.duration_s:
        begins.append(begins[-1] + float(experiment.levels[states[-1]].dwell.draw(random, 1)[0]))
        other = int(random.integers(n_levels - 1))
        states.append(other + (other >= states[-1]))
    return np.array(states)[np.searchsorted(begins, time_s, side="right") - 1]


def _seen(time_ns: Floats, channel: NDArray[np.uint8], dead_ns: float) -> NDArray[np.bool_]:
    seen = np.ones(len(time_ns), bool)
    if dead_ns > 0:
        for detector in (0, 1):
            mine = channel == detector
            kept = np.empty(np.count_nonzero(mine), bool)
            time_ps = (1e3 * time_ns[mine]).astype(np.int64)
            compiled("photons.kernels").dead_time(time_ps, round(1e3 * dead_ns), kept)
            seen[mine] = kept
    return seen


def _stream(experiment: Experiment, coarse: Ints, fine: Floats, channel: NDArray[np.uint8], last: int) -> PhotonStream:
    header = Header(instrument="simulated", acquisition_s=experiment.duration_s)
    if experiment.excitation_rate_Hz is not None:
        time_ps = coarse * 1_000_000 + np.minimum(fine * 1e3, 999_999).astype(np.int64)
        return PhotonStream("T2", time_ps, channel, 1e-12, duration=last * 1_000_000, header=header)
    dtime = (fine / experiment.resolution_ns).astype(np.int32)
    return PhotonStream(
        "T3", coarse, channel, 1 / experiment.rep_rate_Hz, dtime, 1e-9 * experiment.resolution_ns, last, header
    )
