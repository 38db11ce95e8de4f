"""Pictures of an emission line and of a powder pattern, each with its fit."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midgap.experiment.phase_purity import PhaseFraction
from midgap.experiment.spectral_lines import Line
from midgap.report.palette import INK, LEVEL, MUTED, PAPER, PL, PL_BAND, THIRD, VALENCE
from midgap.report.plotting import NORMAL, SMALL, dress, with_interval

__all__ = ["emission_line", "powder_figure", "powder_fit", "spectrum_figure"]


def emission_line(ax: Axes, line: Line) -> Axes:
    """An emission line with its fit, maximum and width."""
    ax.plot(line.x, line.intensity, ".", color=VALENCE.light, markersize=2.5)
    ax.plot(line.x, line.fitted, color=PL.light, linewidth=1.4)
    peak, fwhm = line.peak.value or 0.0, line.fwhm.value or 0.0
    below = fwhm / (1 + (line.asymmetry.value or 1.0))
    half = line.background + 0.5 * line.height
    ax.annotate(
        "",
        (peak - below, half),
        (peak - below + fwhm, half),
        arrowprops=dict(arrowstyle="<->", color=INK.light, lw=0.9),
    )
    ax.axvspan(line.peak.lo or peak, line.peak.hi or peak, color=PL_BAND.light, linewidth=0)
    ax.axvline(peak, color=PL.light, linewidth=0.8, linestyle=(0, (4, 2)))
    text = f"{with_interval(line.peak, 'eV')}\nFWHM {with_interval(line.fwhm, 'meV', 1e3)}\n{line.shape}"
    ax.text(0.98, 0.95, text, transform=ax.transAxes, ha="right", va="top", fontsize=SMALL, color=INK.light)
    window = 6 * fwhm
    ax.set(xlim=(max(line.x[0], peak - window), min(line.x[-1], peak + window)), yticks=[])
    ax.set_ylim(min(0.0, float(line.intensity.min())), 1.15 * float(max(line.intensity.max(), line.fitted.max())))
    return dress(ax, "Photon energy (eV)", "Intensity per energy (arb. u.)")


def powder_fit(ax: Axes, phases: PhaseFraction, host: str = "host", trace: str = "second phase") -> Axes:
    """A powder pattern with the fit and, below it, each phase's part."""
    ax.plot(phases.two_theta_deg, phases.counts, ".", color=VALENCE.light, markersize=1.6, label="measured")
    total = phases.host + phases.trace + phases.background
    ax.plot(phases.two_theta_deg, total, color=LEVEL.light, linewidth=0.9, label="fit")
    ax.plot(phases.two_theta_deg, phases.host, color=MUTED.light, linewidth=0.8, linestyle=(0, (4, 2)), label=host)
    ax.plot(phases.two_theta_deg, phases.trace, color=THIRD.light, linewidth=1.2, label=trace)
    ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK.light, loc="upper right", ncols=2)
    q, percent = phases.trace_weight_fraction, f"{phases.ci_level:.0%}"
    words = (
        f"{100 * (q.value or 0):.2f} wt % ({100 * (q.lo or 0):.2f} to {100 * (q.hi or 0):.2f}, {percent})"
        if phases.seen
        else f"below {100 * (q.hi or 0):.2f} wt % ({percent})"
    )
    ax.set_title(f"{trace}: {words}", fontsize=NORMAL, color=INK.light, loc="left")
    ax.set(xlim=(phases.two_theta_deg[0], phases.two_theta_deg[-1]), ylim=(0, 1.25 * float(phases.counts.max())))
    return dress(ax, "2θ (°)", "Counts")


def spectrum_figure(line: Line) -> Figure:
    """`emission_line` alone."""
    figure = Figure(figsize=(4.6, 3.2), layout="constrained", facecolor=PAPER.light)
    emission_line(figure.add_subplot(), line)
    return figure


def powder_figure(phases: PhaseFraction, host: str = "host", trace: str = "second phase") -> Figure:
    """`powder_fit` alone."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained", facecolor=PAPER.light)
    powder_fit(figure.add_subplot(), phases, host, trace)
    return figure
