"""Measured photoluminescence over what each candidate predicts: the line above, energies and widths below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midgap.defects.lineshape import Lineshape
from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.predictions import Assumption, Prediction
from midgap.experiment.records import Quantity
from midgap.experiment.spectral_lines import Line
from midgap.report.palette import CONDUCTION, LEVEL, LINE, MUTED, PAPER, PL, PL_BAND, VALENCE
from midgap.report.plotting import LINES, SMALL, dress, legend_above
from midgap.report.typography import folded, mathtext


def measured_lines(
    ax: Axes,
    spectra: Sequence[tuple[str, Line]],
    computed: Sequence[tuple[str, Lineshape]] = (),
    peak: Quantity | None = None,
) -> Axes:
    """Emission lines scaled to a maximum of 1: measured points with their fit, computed ones dashed.

    ``peak`` shades the measured interval of the maximum.
    """
    if peak is not None:
        _band(ax, peak)
    for name, line in spectra:
        top = float(line.fitted.max()) or 1.0
        ax.plot(line.x, line.intensity / top, ".", color=VALENCE.light, markersize=2.5)
        ax.plot(line.x, line.fitted / top, color=PL.light, linewidth=1.5, label=f"{mathtext(folded(name))}, measured")
    for i, (name, shape) in enumerate(computed):
        colour, dash, _ = LINES[1 + i % (len(LINES) - 1)]  # the first is solid, as a measured line is
        ax.plot(
            shape.energies_eV,
            shape.intensity_per_eV / shape.intensity_per_eV.max(),
            color=colour.light,
            linestyle=dash,
            linewidth=1.3,
            label=f"{mathtext(folded(name))}, computed, {shape.temperature_K:g} K",
        )
    if spectra or computed:
        legend_above(ax, 2, "lower right")
    ax.set(ylim=(0, 1.1), yticks=[])
    return dress(ax, "Photon energy (eV)", "PL (norm.)")


def predicted_energies(
    ax: Axes,
    candidates: Sequence[Candidate],
    peak: Quantity | None,
    width_eV: float | None,
    assumption: Assumption | None = None,
    from_band: bool = False,
) -> Axes:
    """One row a candidate: its PL energy, the known part of its error as a bar with caps, its width as a thick one.

    The first row is what was measured. Open marks have an error of which nothing is known.

    Parameters
    ----------
    assumption
        A line without caps adds what is assumed for errors that are not estimated.
    from_band
        What was measured is the band in which light was detected.
    """
    rows = [c for c in candidates if c.energy_eV is not None]
    if peak is not None:
        _band(ax, peak)
        _measured_row(ax, peak, width_eV)
    for row, candidate in enumerate(rows, start=1):
        _row(ax, row, candidate, assumption)
    names = ["detection band" if from_band else "measured", *(mathtext(folded(candidate.title)) for candidate in rows)]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", color=CONDUCTION.light, linewidth=0.8)
    ax.set_axisbelow(True)
    dress(ax, "Photon energy (eV)", "")
    ax.tick_params(axis="y", length=0, labelsize=SMALL)
    return ax


def _band(ax: Axes, peak: Quantity) -> None:
    if peak.lo is not None and peak.hi is not None:
        ax.axvspan(peak.lo, peak.hi, color=PL_BAND.light, linewidth=0, zorder=0)
    if peak.value is not None:
        ax.axvline(peak.value, color=PL.light, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)


def _measured_row(ax: Axes, peak: Quantity, width_eV: float | None) -> None:
    if peak.value is None:
        if peak.lo is not None and peak.hi is not None:
            ax.plot([peak.lo, peak.hi], [0, 0], color=PL.light, linewidth=6, alpha=0.35, solid_capstyle="butt")
        return
    if width_eV is not None:
        ends = peak.value + 0.5 * width_eV * np.array([-1, 1])
        ax.plot(ends, [0, 0], color=PL.light, linewidth=6, alpha=0.35, solid_capstyle="butt")
    ax.plot([peak.value], [0], "D", color=PL.light, markersize=4.5)


def _row(ax: Axes, row: int, candidate: Candidate, assumption: Assumption | None) -> None:
    energy, width = candidate.prediction("pl_peak_eV"), candidate.prediction("pl_fwhm_meV")
    assert energy is not None
    if width is not None and width.relation == "equals":
        half = 0.5e-3 * width.value
        ends = [energy.value - half, energy.value + half]
        ax.plot(ends, [row, row], color=LINE.light, linewidth=6, solid_capstyle="butt")
    if energy.alternatives is not None:
        ends = [float(energy.alternatives.min()), float(energy.alternatives.max())]
        _whole(ax, row, ends, energy, assumption)
        ax.plot(ends, [row, row], color=LEVEL.light, linewidth=2.6, solid_capstyle="butt")
        return
    _whole(ax, row, [energy.value] * 2, energy, assumption)
    known = energy.known_uncertainty
    if known is not None:
        ax.errorbar([energy.value], [row], xerr=known, color=LEVEL.light, linewidth=1.1, capsize=2.5, zorder=3)
    face = PAPER.light if known is None else LEVEL.light
    ax.plot([energy.value], [row], "o", color=LEVEL.light, markerfacecolor=face, markersize=5, zorder=4)


def _ends(candidate: Candidate, assumption: Assumption | None) -> list[float]:
    """How far its row reaches."""
    energy, width = candidate.prediction("pl_peak_eV"), candidate.prediction("pl_fwhm_meV")
    if energy is None:
        return []
    middle = [energy.value] if energy.alternatives is None else [energy.alternatives.min(), energy.alternatives.max()]
    half = 0.0 if width is None or width.relation != "equals" else 0.5e-3 * width.value
    known = energy.known_uncertainty or 0.0
    below, above = (known, known) if assumption is None else energy.widths(assumption)
    return [float(min(middle)) - max(half, below), float(max(middle)) + max(half, above)]


def _whole(ax: Axes, row: int, ends: Sequence[float], energy: Prediction, assumption: Assumption | None) -> None:
    """A line as far as all errors reach, those that are assumed too."""
    if assumption is None:
        return
    below, above = energy.widths(assumption)
    ax.plot([ends[0] - below, ends[1] + above], [row, row], color=MUTED.light, linewidth=1.0, zorder=2)


def line_figure(
    candidates: Sequence[Candidate],
    peak: Quantity | None,
    width_eV: float | None = None,
    spectra: Sequence[tuple[str, Line]] = (),
    computed: Sequence[tuple[str, Lineshape]] = (),
    width_in: float = 7.0,
    assumption: Assumption | None = None,
    from_band: bool = False,
) -> Figure:
    """Both on one scale of energies; the lines only where there are any."""
    titles = [folded(candidate.title) for candidate in candidates if candidate.energy_eV is not None]
    row_in = 0.34 if any("\n" in title for title in titles) else 0.24
    below = 0.55 + row_in * (1 + len(titles))
    above = 1.7 if spectra or computed else 0.0
    figure = Figure(figsize=(width_in, below + above), layout="constrained", facecolor="none")
    if not above:
        predicted_energies(figure.add_subplot(), candidates, peak, width_eV, assumption, from_band)
        return figure
    grid = figure.add_gridspec(2, 1, height_ratios=(above, below))
    low = predicted_energies(figure.add_subplot(grid[1]), candidates, peak, width_eV, assumption, from_band)
    top = measured_lines(figure.add_subplot(grid[0], sharex=low), spectra, computed, peak)
    top.set_xlabel("")
    top.tick_params(labelbottom=False)
    energies = [end for candidate in candidates for end in _ends(candidate, assumption)]
    seen = [] if peak is None else [x for x in (peak.lo, peak.value, peak.hi) if x is not None]
    for _, line in spectra:
        centre, half = line.peak.value or 0.0, line.fwhm.value or 0.1
        seen += [max(line.x[0], centre - 2.5 * half), min(line.x[-1], centre + 2.5 * half)]
    for _, shape in computed:
        strong = shape.energies_eV[shape.intensity_per_eV > 1e-2 * shape.intensity_per_eV.max()]
        seen += [strong.min(), strong.max()]
    inside = [*energies, *seen]
    if inside:
        margin = 0.06 * (max(inside) - min(inside) or 1.0)
        low.set_xlim(min(inside) - margin, max(inside) + margin)
    return figure
