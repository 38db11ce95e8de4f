"""Pictures of photon statistics: trace with levels, decay with fit, g2, lifetime against intensity.

Every function draws on the Axes it is given and returns them; told apart by lightness and shape, not by hue alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from midgap.experiment.blinking.level_lifetimes import Flid
from midgap.experiment.blinking.levels import IntensityLevels, Trace, intensity_histogram
from midgap.experiment.decays.lifetimes import DecayFit
from midgap.experiment.photons.antibunching import PulsedG2
from midgap.experiment.photons.antibunching_cw import ContinuousG2
from midgap.report.palette import INK, LEVEL, LINE, MUTED, PAPER, PUBLISHED, VALENCE
from midgap.report.plotting import NORMAL, SMALL, dress, save_picture, with_interval

__all__ = [
    "continuous_g2",
    "decay",
    "intensity_trace",
    "lifetime_map",
    "particle_figure",
    "pulsed_g2",
    "rate_histogram",
    "save_picture",
]


def intensity_trace(
    ax: Axes, trace: Trace, levels: IntensityLevels | None = None, longest_s: float | None = None
) -> Axes:
    """Counts a second against time, and what the levels give in the same bins; up to ``longest_s`` if it is given.

    Levels are averaged over the bins, because an emitter that switches within them would hide its trace behind a block.
    """
    scale, unit = _kilo(float(trace.counts.max(initial=0)) / trace.bin_s)
    end = trace.counts.size * trace.bin_s if longest_s is None else min(longest_s, trace.counts.size * trace.bin_s)
    shown = trace.counts[: max(1, round(end / trace.bin_s))] / trace.bin_s / scale
    edges = np.arange(shown.size + 1) * trace.bin_s
    ax.stairs(shown, edges, color=VALENCE.light, linewidth=0.5, baseline=None, rasterized=shown.size > 20_000)
    if levels is not None:
        model = _mean_rate(levels, edges) / scale
        ax.stairs(model, edges, color=LEVEL.light, linewidth=0.9, baseline=None, rasterized=shown.size > 20_000)
    ax.set(xlim=(0, end), ylim=(0, None))
    return dress(ax, "Time (s)", f"Intensity ({unit}, {_time(trace.bin_s)} bins)")


def rate_histogram(ax: Axes, trace: Trace, levels: IntensityLevels | None = None) -> Axes:
    """How often each intensity occurs, lying on its side beside the trace; with the levels, their names and their share."""
    scale, unit = _kilo(float(trace.counts.max(initial=0)) / trace.bin_s)
    edges, number = intensity_histogram(trace)
    ax.stairs(number, edges / scale, orientation="horizontal", fill=True, color=LINE.light)
    ax.stairs(number, edges / scale, orientation="horizontal", color=MUTED.light, linewidth=0.7)
    ax.set(ylim=(0, None), xlim=(0, 1.75 * max(int(number.max(initial=1)), 1)))
    if levels is not None:
        top = 1.08 * max([edges[-1], *(q.value or 0.0 for q in levels.rate_cps)]) / scale
        ax.set_ylim(0, top)
        heights = _apart([(q.value or 0.0) / scale for q in levels.rate_cps], 0.075 * top)
        for i, (q, height) in enumerate(zip(levels.rate_cps, heights, strict=True)):
            rate = (q.value or 0.0) / scale
            ax.axhline(rate, color=LEVEL.light, linewidth=0.8, linestyle=(0, (4, 2)))
            text = f"{levels.label[i]} {levels.time_fraction[i]:.0%}"
            ax.text(
                0.98,
                height,
                text,
                transform=ax.get_yaxis_transform(),
                ha="right",
                va="bottom",
                bbox=dict(facecolor=PAPER.light, edgecolor="none", pad=0.6),
                fontsize=SMALL,
                color=LEVEL.light,
            )
    return dress(ax, "Bins", f"Intensity ({unit})")


def decay(ax: Axes, residuals: Axes | None, fit: DecayFit) -> Axes:
    """Counts and fit on a logarithmic scale, and below them what is left in standard deviations."""
    edges = (fit.first_bin + np.arange(fit.counts.size + 1)) * fit.bin_width_ns
    step = max(1, fit.counts.size // 1500)
    counts, fitted, edges = _coarse(fit.counts, step), _coarse(fit.fitted_counts, step), edges[::step]
    centres = 0.5 * (edges[:-1] + edges[1:])[: counts.size]
    ax.plot(centres, np.where(counts > 0, counts, np.nan), ".", color=VALENCE.light, markersize=2.2, label="photons")
    ax.plot(centres, fitted, "-", color=LEVEL.light, linewidth=1.2, label="fit")
    ax.set_yscale("log")
    ax.set(
        xlim=(edges[0], edges[-1]),
        ylim=(max(0.4, 0.5 * float(fitted.min())), 2.5 * float(max(counts.max(), fitted.max()))),
    )
    ax.text(0.98, 0.95, _decay_text(fit), transform=ax.transAxes, ha="right", va="top", fontsize=SMALL, color=INK.light)
    width = f"{fit.bin_width_ns * step * 1e3:.3g} ps"
    dress(ax, "" if residuals is not None else "Delay (ns)", f"Photons in {width}")
    if residuals is not None:
        left = np.sign(counts - fitted) * np.sqrt(2 * np.maximum(fitted - counts + _xlogy(counts, fitted), 0))
        residuals.plot(centres, left, ".", color=MUTED.light, markersize=1.6)
        residuals.axhline(0, color=LEVEL.light, linewidth=0.9)
        reach = max(4.0, 1.05 * float(np.abs(left).max()))
        residuals.set(xlim=(edges[0], edges[-1]), ylim=(-reach, reach))
        ax.xaxis.set_major_formatter(NullFormatter())
        dress(residuals, "Delay (ns)", "Residual (σ)")
    return ax


def pulsed_g2(ax: Axes, g2: PulsedG2, reach: int | None = None) -> Axes:
    """Pairs by pulse lag; the zero-delay peak is filled, the mean side peak a line."""
    reach = min(g2.side_n, 20) if reach is None else reach
    lag = g2.lags - g2.center_lag
    shown = np.abs(lag) <= reach
    mean = g2.side_counts / g2.side_n
    ax.bar(lag[shown], g2.counts[shown], width=0.62, color=PAPER.light, edgecolor=MUTED.light, linewidth=0.8)
    ax.bar([0], [g2.center_counts], width=0.62, color=LEVEL.light)
    ax.axhline(mean, color=INK.light, linewidth=0.8, linestyle=(0, (4, 2)))
    if g2.center_counts < 0.9 * mean:
        ax.axhline(0.5 * mean, color=PUBLISHED.light, linewidth=0.8, linestyle=(0, (1, 1.5)))
        ax.text(reach + 0.4, 0.5 * mean, "½", va="center", ha="left", fontsize=SMALL, color=PUBLISHED.light)
    ax.set(xlim=(-reach - 0.6, reach + 0.6), ylim=(0, 1.42 * float(max(g2.counts[shown].max(initial=1), 1))))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _g2_text(ax, g2)
    return dress(ax, f"Lag (pulses from lag {g2.center_lag})" if g2.center_lag else "Lag (pulses)", "Coincidences")


def continuous_g2(ax: Axes, g2: ContinuousG2) -> Axes:
    """Pairs by delay with the fitted dip."""
    width = float(np.median(np.diff(g2.lag_ns)))
    edges = np.append(g2.lag_ns - 0.5 * width, g2.lag_ns[-1] + 0.5 * width)
    ax.stairs(g2.counts, edges, color=VALENCE.light, linewidth=0.8, baseline=None)
    ax.plot(g2.lag_ns, g2.fitted_counts, color=LEVEL.light, linewidth=1.3)
    level = float(np.median(g2.fitted_counts))
    ax.axhline(0.5 * level, color=PUBLISHED.light, linewidth=0.8, linestyle=(0, (1, 1.5)))
    ax.text(
        1.01, 0.5 * level, "½", transform=ax.get_yaxis_transform(), va="center", fontsize=SMALL, color=PUBLISHED.light
    )
    ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.42 * float(max(g2.counts.max(initial=1), 1))))
    _g2_text(ax, g2)
    return dress(ax, "Delay (ns)", f"Coincidences in {width:.2g} ns")


def lifetime_map(ax: Axes, chart: Flid) -> Axes:
    """Fluorescence lifetime-intensity distribution: the darker, the more time was spent there."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    scale, unit = _kilo(float(chart.rate_edges_cps[-1]))
    shades = LinearSegmentedColormap.from_list("time", [PAPER.light, LINE.light, VALENCE.light, LEVEL.light, INK.light])
    mesh = ax.pcolormesh(
        chart.rate_edges_cps / scale,
        chart.tau_edges_ns,
        chart.time_s.T,
        cmap=shades,
        norm=PowerNorm(0.5, vmin=0),
        rasterized=True,
        linewidth=0,
    )
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=24)
    bar.set_label("Time (s)", fontsize=NORMAL, color=INK.light)
    bar.ax.tick_params(labelsize=NORMAL, colors=INK.light, width=0.8, length=3)
    bar.outline.set(edgecolor=INK.light, linewidth=0.8)  # type: ignore[operator]
    return dress(ax, f"Intensity ({unit})", "Lifetime (ns)")


def particle_figure(
    *,
    trace: Trace | None = None,
    levels: IntensityLevels | None = None,
    fit: DecayFit | None = None,
    g2: PulsedG2 | ContinuousG2 | None = None,
    chart: Flid | None = None,
    title: str = "",
) -> Figure:
    """All that is there of one particle: trace and histogram above, decay, g2 and lifetime map below."""
    below = [part for part in (fit, g2, chart) if part is not None]
    rows = (trace is not None) + bool(below)
    figure = Figure(figsize=(10.4, 0.4 + 2.8 * max(rows, 1)), layout="constrained", facecolor=PAPER.light)
    if title:
        figure.suptitle(title, fontsize=NORMAL + 1, color=INK.light)
    grid = figure.add_gridspec(max(rows, 1), 1)
    if trace is not None:
        top = grid[0].subgridspec(1, 2, width_ratios=(4, 1))
        ax = intensity_trace(figure.add_subplot(top[0]), trace, levels)
        side = rate_histogram(figure.add_subplot(top[1], sharey=ax), trace, levels)
        side.set_ylabel("")
        side.tick_params(labelleft=False)
    widths = [1.15 if isinstance(part, DecayFit) else 1.0 for part in below]
    row = grid[rows - 1].subgridspec(1, len(below), width_ratios=widths) if below else None
    for i, part in enumerate(below):
        assert row is not None
        if isinstance(part, DecayFit):
            two = row[i].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.05)
            decay(figure.add_subplot(two[0]), figure.add_subplot(two[1]), part)
        elif isinstance(part, Flid):
            lifetime_map(figure.add_subplot(row[i]), part)
        elif isinstance(part, PulsedG2):
            pulsed_g2(figure.add_subplot(row[i]), part)
        else:
            continuous_g2(figure.add_subplot(row[i]), part)
    return figure


def _mean_rate(levels: IntensityLevels, edges: np.ndarray) -> np.ndarray:
    """Mean rate of the levels between ``edges``, in counts a second, shape (n_bins,)."""
    rates = np.array([q.value or 0.0 for q in levels.rate_cps])[levels.level]
    time = np.append(levels.start_time_s, levels.end_time_s[-1])
    counts = np.concatenate([[0.0], np.cumsum(rates * np.diff(time))])
    return np.diff(np.interp(edges, time, counts)) / np.diff(edges)


def _g2_text(ax: Axes, g2: PulsedG2 | ContinuousG2) -> None:
    """g2(0) as counted, which is what the bars show, then what became of it, and the emitters that follow."""
    lines = [f"g²(0) = {with_interval(g2.g2_0_raw, '')}"]
    if g2.g2_0 is not None:
        lines.append(f"less background {with_interval(g2.g2_0, '')}")
    if isinstance(g2, PulsedG2) and g2.g2_0_gated is not None and g2.plateau is not None:
        lines.append(f"after {g2.gates[g2.plateau].gate_ns:.2g} ns {with_interval(g2.g2_0_gated, '')}")
    if (emitters := g2.n_emitters_M) is not None:
        top = "∞" if emitters.hi is None else f"{emitters.hi:.3g}"
        middle = "" if emitters.value is None else f"{emitters.value:.3g} "
        lines.append(f"M = {middle}({emitters.lo or 1:.3g} to {top})")
    ax.text(0.98, 0.98, "\n".join(lines), transform=ax.transAxes, ha="right", va="top", fontsize=SMALL, color=INK.light)


def _decay_text(fit: DecayFit) -> str:
    one = len(fit.tau_ns) == 1
    lines = [f"τ = {with_interval(fit.tau_ns[0], 'ns')}"] if one else []
    if not one:
        for i, (tau, part) in enumerate(zip(fit.tau_ns, fit.intensity_fraction, strict=True)):
            lines.append(f"{100 * (part.value or 0):.0f} %: τ{_sub(i + 1)} = {with_interval(tau, 'ns')}")
        lines.append(f"⟨τ⟩ intensity {with_interval(fit.tau_intensity_ns, 'ns')}")
        lines.append(f"⟨τ⟩ amplitude {with_interval(fit.tau_amplitude_ns, 'ns')}")
    return "\n".join([*lines, f"2I* = {fit.deviance:.0f} of {fit.dof} ({fit.deviance_z:+.1f} σ)"])


def _sub(n: int) -> str:
    return str(n).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _kilo(top_cps: float) -> tuple[float, str]:
    return (1e3, "kcps") if top_cps >= 2000 else (1.0, "cps")


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:g} ms" if seconds < 1 else f"{seconds:g} s"


def _coarse(counts: Any, step: int) -> np.ndarray:
    whole = counts.size // step * step
    return np.asarray(counts[:whole]).reshape(-1, step).sum(axis=1)


def _xlogy(d: np.ndarray, m: np.ndarray) -> np.ndarray:
    return d * np.log(np.maximum(d, 1e-300) / np.maximum(m, 1e-300)) if d.size else d


def _apart(heights: list[float], gap: float) -> list[float]:
    """Heights of labels, moved up where they would touch."""
    placed, last = list(heights), -np.inf
    for i in sorted(range(len(heights)), key=lambda j: heights[j]):
        last = placed[i] = max(heights[i], last + gap)
    return placed
