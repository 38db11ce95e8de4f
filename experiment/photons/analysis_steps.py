"""The steps of an analysis, each of which notes what it could not do and goes on.

Each takes what was found so far and gives the fields of the record that it settles.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.blinking.change_points import find_change_points
from midgap.experiment.blinking.dwell_times import dwell_times, fit_power_law
from midgap.experiment.blinking.level_lifetimes import fit_bursts, fit_segments
from midgap.experiment.blinking.levels import IntensityLevels, cluster_levels, on_fraction
from midgap.experiment.blinking.molecule_like import level_sharpness, lifetime_over_intensity
from midgap.experiment.counting import poisson_interval
from midgap.experiment.decays.lifetimes import fit_decay
from midgap.experiment.decays.responses import Response, gaussian_response
from midgap.experiment.photons.antibunching import BIEXCITON_CAVEAT, PulsedG2, pulsed_g2
from midgap.experiment.photons.antibunching_cw import ContinuousG2, continuous_g2
from midgap.experiment.photons.coincidences import time_pairs
from midgap.experiment.photons.gate_choice import NEGLIGIBLE
from midgap.experiment.photons.gated_pairs import Background
from midgap.experiment.photons.particle_analysis import ParticleAnalysis
from midgap.experiment.photons.stream import PhotonStream
from midgap.experiment.records import IntensityLevel, Quantity
from midgap.structures.errors import ComputationError, InputError

GUESSED_IRF_NS = 0.3
"""Where the width of a Gaussian response function begins to be fitted if none is given."""
MOST_BURSTS = 5000
"""Longer measurements are cut into longer bursts."""
NOT_YET = 1e-3
"""An emitter is taken for dark again when no more than this part of its photons is still to come."""
DARK_AFTER_LIFETIMES = 10.0
"""So many of the longest lifetime after the rise, a decay is taken for background alone."""
DARK_PART = 0.05
"""And that must be at least this part of the laser's period."""


def fit_whole_decay(found: ParticleAnalysis, units: PhotonStream) -> dict[str, Any]:
    """The decay of the whole measurement, all its levels together."""
    counts, options = found.survey, found.options
    if counts.decays is None:
        found.notes["tau_i_ns"] = "T2: the photons are not timed against laser pulses"
        return {}
    decay = counts.aligned_decay()
    bin_ns = 1e9 * units.time_unit_s / units.period_bins
    period_ns = 1e9 * units.time_unit_s if units.delay_bins == units.period_bins else None
    response = options.response or gaussian_response(
        options.irf_fwhm_ns or GUESSED_IRF_NS, bin_ns, len(decay), fit_width=options.irf_fwhm_ns is None
    )
    try:
        fit = fit_decay(
            decay,
            bin_ns,
            period_ns=period_ns,
            response=response,
            n_components=options.components,
            ci_level=options.ci_level,
        )
    except (InputError, ComputationError) as error:
        if options.response is not None and abs(options.response.bin_width_ns - bin_ns) > 1e-3 * bin_ns:
            raise  # what was asked for cannot be done
        found.notes["tau_i_ns"] = str(error)
        return {}
    found.decay = fit
    said = ["of the whole trace, all levels and both detectors together", *fit.warnings]
    found.notes["tau_i_ns"] = "; ".join(said)
    return fit.record_fields()


def find_background(found: ParticleAnalysis, units: PhotonStream) -> Background | None:
    """Of each detector: as given, or the flat part of its decay between the pulses."""
    options, counts = found.options, found.survey
    if options.background_cps is not None:
        first, second = options.background_cps
        return Background(cps=(Quantity(value=first), Quantity(value=second)), source="as given")
    if options.background == "none" or counts.alignment is None or found.decay is None or counts.decays is None:
        return None
    alignment = counts.alignment
    longest = max(tau.value or 0.0 for tau in found.decay.tau_ns)
    begin = alignment.rise_bins + round(DARK_AFTER_LIFETIMES * longest / alignment.bin_ns)
    n_dark = alignment.n_bins - begin
    if n_dark < DARK_PART * alignment.n_bins:
        found.notes["signal_fraction_rho"] = (
            f"no background is corrected: {DARK_AFTER_LIFETIMES:g} of the longest lifetime, {longest:.3g} ns, leave no flat "
            "part of the decay; give it as counts a second of each detector"
        )
        return None
    rates = []
    for channel, start in zip(alignment.detectors, alignment.start_bins, strict=True):
        dark = int(np.roll(counts.decays[channel], -start)[begin:].sum())
        scale = alignment.n_bins / n_dark / units.duration_s
        low, high = poisson_interval(dark, options.ci_level)
        rates.append(Quantity(value=dark * scale, lo=low * scale, hi=high * scale))
    return Background(
        cps=(rates[0], rates[1]),
        source=f"flat part of each detector's decay, from {begin * alignment.bin_ns:.3g} ns after the pulse on; "
        "emission that is slower than the fitted lifetimes counts as background",
    )


def correlate(found: ParticleAnalysis, stream: PhotonStream | None, units: PhotonStream) -> dict[str, Any]:
    """g2(0), pulsed or continuous, and the number of emitters."""
    options, counts = found.options, found.survey
    try:
        if units.mode == "T3":
            if counts.pairs is None:
                raise InputError(counts.no_pairs or "There are no pairs.")
            g2: PulsedG2 | ContinuousG2 = pulsed_g2(
                counts.pairs,
                found.background,
                center_lag=options.center_lag,
                side_n=options.side_n,
                memory_ns=_memory_ns(found),
                gate_ns=options.gate_ns,
                ci_level=options.ci_level,
            )
        else:
            if stream is None:
                raise InputError("Continuous g2 needs all photons in memory, and there are too many.")
            pair = options.detectors or counts.detectors.pair()
            found.pairs = time_pairs(stream, pair, options.cw_bin_ns, options.cw_reach_ns)
            jitter = 0.0 if options.irf_fwhm_ns is None else 2**0.5 * options.irf_fwhm_ns
            g2 = continuous_g2(found.pairs, found.background, jitter_fwhm_ns=jitter, ci_level=options.ci_level)
    except InputError as error:
        found.notes["g2_0_raw"] = str(error)
        return {}
    found.g2 = g2
    found.warnings += g2.warnings
    if units.header.shared_timing:
        found.warnings.append(
            "This instrument times all detectors by one circuit, whose dead time hides second photons of a pulse: "
            "pairs at zero delay may be missing for that reason alone."
        )
    return _g2_fields(found, g2)


def _g2_fields(found: ParticleAnalysis, g2: PulsedG2 | ContinuousG2) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "g2_0_raw": g2.g2_0_raw,
        "g2_0": g2.g2_0,
        "g2_ci_level": g2.ci_level,
        "signal_fraction_rho": g2.signal_fraction_rho,
        "n_emitters_M": g2.n_emitters_M,
    }
    settled = {True: "a single emitter", False: "not a single emitter", None: "not settled whether a single emitter"}
    verdict = f"{settled[g2.single]} (upper bound of g2(0) against 0.5)"
    if found.background is not None:
        found.notes["signal_fraction_rho"] = f"background: {found.background.source}"
    if g2.g2_0 is None:
        found.notes["g2_0"] = "no background is known, so nothing is corrected for it; see g2_0_raw"
    if isinstance(g2, ContinuousG2):
        found.notes["g2_0_raw"] = (
            f"continuous excitation, fitted dip; counts far from it are {g2.bunching:.3g} times those of the mean rates"
        )
        found.notes["n_emitters_M"] = f"{verdict}. {BIEXCITON_CAVEAT}"
        return fields
    gate = 0.0 if g2.plateau is None else g2.gates[g2.plateau].gate_ns
    far = g2.g2_0_far
    found.notes["g2_0_raw"] = (
        f"next to {g2.side_n} side peaks from pulse lag {g2.side_from} on, exact interval; against the mean rates {far.value:.3g} "
        f"({far.lo:.3g} to {far.hi:.3g}); near side peaks are {g2.bunching:.3g} times those of the mean rates"
    )
    if (note := _gate_note(g2)) is not None:
        found.notes["g2_0_gated"] = note
    found.notes["n_emitters_M"] = f"from the {g2.n_emitters_from} g2(0): {verdict}. {BIEXCITON_CAVEAT}"
    return fields | {
        "g2_center_counts": g2.center_counts,
        "g2_side_counts": g2.side_counts,
        "g2_side_n": g2.side_n,
        "g2_center_lag_pulses": g2.center_lag,
        "g2_gate_ns": gate if g2.g2_0_gated is not None else None,
        "g2_0_gated": g2.g2_0_gated,
    }


def _memory_ns(found: ParticleAnalysis) -> float:
    """After which all but `NOT_YET` of the photons of a pulse have come, by the fitted decay."""
    if found.decay is None:
        return 0.0
    parts = [
        (tau.value or 0.0, part.value or 0.0)
        for tau, part in zip(found.decay.tau_ns, found.decay.intensity_fraction, strict=True)
    ]
    late = max(tau for tau, _ in parts)
    times = np.linspace(0, 10 * late, 2000)
    left = sum((part * np.exp(-times / max(tau, 1e-9)) for tau, part in parts), np.zeros(2000))
    return float(times[np.argmax(left < NOT_YET)])


def _gate_note(g2: PulsedG2) -> str | None:
    if g2.plateau is None:
        return "no gate behind which the biexciton is negligible"
    if g2.plateau == 0 and g2.gate_from == "given":
        return "pairs of all delays, as asked; no gate was looked for"
    if g2.plateau == 0:
        return "pairs of short delays are no more than at the side peaks, beyond chance; no gate is needed"
    said = f"both photons later than {g2.gates[g2.plateau].gate_ns:.3g} ns after the pulse"
    if g2.gate_from == "given":
        return f"{said}, as given"
    tau = g2.biexciton_lifetime_ns
    if tau is None:
        return f"{said}: emission outlasts the period, and earlier photons may still be the last pulse's"
    return (
        f"{said}, where the biexciton, of {tau.value:.2g} ns by the pairs' delays, adds less than {NEGLIGIBLE:g} of the "
        "counting error"
    )


def follow_blinking(found: ParticleAnalysis, stream: PhotonStream) -> dict[str, Any]:
    """Change points, levels, the lifetime of each stay in a level, and how long the stays are."""
    options = found.options
    own = stream.only(found.survey.detectors.active) if found.survey.detectors.nearly_empty else stream
    time_s = own.times_s()
    if np.any(np.diff(time_s) < 0):  # two photons of one pulse may stand in either order
        order = np.argsort(time_s, kind="stable")
        own, time_s = own[order], time_s[order]
    duration_s = max(stream.duration_s, float(time_s[-1]))
    dark_cps = 0.0 if found.background is None else sum(rate.value or 0.0 for rate in found.background.cps)
    try:
        changes = find_change_points(time_s, confidence=options.confidence)
        levels = cluster_levels(time_s, changes, duration_s, background_cps=dark_cps)
    except (InputError, ComputationError) as error:
        found.notes["levels"] = str(error)
        return {}
    found.levels = levels
    if (short := levels.short_stays()) is not None:
        found.warnings.append(short)
    segments = levels.segments()
    if own.dtime is not None and found.decay is not None:
        segments = _with_lifetimes(found, own, time_s, levels, segments)
    with suppress(InputError):  # too short for it
        found.level_sharpness = level_sharpness(found.trace, levels, options.ci_level)
    found.notes["levels"] = (
        f"{len(changes.photon)} change points, {len(levels.rate_cps)} levels by BIC of the paths through them; ON from {levels.on_above:.0%} and OFF "
        f"below {levels.off_below:.0%} of the brightest substantial level's rate, GRAY between; tau_1_ns by one exponential from "
        f"{options.min_photons} photons on"
    )
    fields: dict[str, Any] = {"levels": segments, "on_fraction": on_fraction(levels, options.ci_level)}
    for name, label in (("alpha_on", "ON"), ("alpha_off", "OFF")):
        try:
            law = fit_power_law(dwell_times(levels, (label,)), ci_level=options.ci_level)  # type: ignore[arg-type]
        except InputError as error:
            found.notes[name] = str(error)
            continue
        fields[name] = law.alpha
        found.notes[name] = f"{law.n_dwells} times from {law.t_min_s:.3g} s on, {law.n_censored} of them censored"
    return fields


def _with_lifetimes(
    found: ParticleAnalysis,
    own: PhotonStream,
    time_s: NDArray[np.float64],
    levels: IntensityLevels,
    segments: tuple[IntensityLevel, ...],
) -> tuple[IntensityLevel, ...]:
    alignment, decay, options = found.survey.alignment, found.decay, found.options
    assert own.dtime is not None and decay is not None
    delay = own.dtime
    if alignment is not None:
        late = own.channel == alignment.detectors[1]
        delay = np.where(late, (delay - alignment.shift_bins) % alignment.n_bins, delay)
    dark = None if found.background is None else sum(rate.value or 0.0 for rate in found.background.cps)
    model: dict[str, Any] = {
        "bin_width_ns": decay.bin_width_ns,
        "n_bins": own.delay_bins,
        "period_ns": 1e9 * own.time_unit_s if own.delay_bins == own.period_bins else None,
        "response": _fitted_response(found),
        "shift_ns": decay.shift_ns,
        "background_cps": dark,
        "min_photons": options.min_photons,
        "ci_level": options.ci_level,
    }
    burst_s = max(1e-3 * options.burst_ms, found.duration_s / MOST_BURSTS)
    try:
        found.lifetimes = lifetimes = fit_segments(
            delay, levels.first_photon, levels.num_photons, levels.start_time_s, levels.end_time_s, **model
        )
        if burst_s <= found.duration_s:
            found.bursts = fit_bursts(delay, time_s, found.duration_s, burst_s, **model)
            with suppress(InputError):  # too few bursts with enough photons
                found.lifetime_over_intensity = lifetime_over_intensity(found.bursts, dark or 0.0, options.ci_level)
    except (InputError, ComputationError) as error:
        found.warnings.append(f"No lifetimes of levels: {error}")
        return segments
    return tuple(
        segment.model_copy(update={"tau_1_ns": float(tau)}) if np.isfinite(tau) else segment
        for segment, tau in zip(segments, lifetimes.tau_ns, strict=True)
    )


def _fitted_response(found: ParticleAnalysis) -> Response:
    """The response function as the fit of the whole decay left it."""
    assert found.decay is not None
    if found.options.response is not None:
        return found.options.response
    width = found.decay.response_fwhm_ns or found.options.irf_fwhm_ns or GUESSED_IRF_NS
    return gaussian_response(width, found.decay.bin_width_ns, len(found.survey.aligned_decay()))
