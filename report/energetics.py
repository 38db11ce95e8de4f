"""Formation energies, configuration-coordinate diagrams and line shapes as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from midgap.defects.configuration_coordinate import ConfigurationCoordinate
from midgap.defects.formation import FormationEnergies
from midgap.defects.lineshape import Lineshape
from midgap.report.palette import CONDUCTION, INK, LEVEL, LINE, MUTED, PAPER, PL, PUBLISHED, THIRD, VALENCE
from midgap.report.plotting import NORMAL, SMALL, dress
from midgap.report.typography import mathtext

COLOURS = (LEVEL.light, PUBLISHED.light, THIRD.light, MUTED.light)
DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
"""With the colours, so that lines are told apart in grey too."""

BEYOND = 0.35
"""How far a parabola is drawn beyond the two geometries, in units of ΔQ."""


def formation_diagram(ax: Axes, energies: FormationEnergies) -> Axes:
    """Formation energy of the stable charge state of each defect against the Fermi level; dots where it changes."""
    fermi = np.linspace(0.0, energies.gap_eV, 401)
    top = 0.0
    for i, name in enumerate(energies.names):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        line = energies.lines(name, fermi)
        top = max(top, float(line.max()))
        ax.plot(fermi, line, color=colour, linewidth=1.6, linestyle=dash, label=mathtext(name), zorder=3)
        inside = [level for level in energies.levels(name) if 0 < level.above_vbm_eV < energies.gap_eV]
        for level in inside:
            height = float(energies.lines(name, [level.above_vbm_eV])[0])
            if level.uncertainty_eV:
                ax.errorbar(
                    level.above_vbm_eV, height, xerr=level.uncertainty_eV, color=colour, capsize=2, linewidth=0.9
                )
            ax.plot(
                level.above_vbm_eV, height, "o", color=colour, markersize=4.5, markerfacecolor=PAPER.light, zorder=4
            )
        edges = [0.0, *(level.above_vbm_eV for level in inside), energies.gap_eV]
        for low, high in pairwise(edges):
            middle = 0.5 * (low + high)
            charge = energies.stable(name, middle).charge
            label = f"{abs(charge) if abs(charge) > 1 else ''}{'+−'[charge < 0]}" if charge else "0"
            ax.annotate(
                label,
                (middle, float(energies.lines(name, [middle])[0])),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                color=colour,
                fontsize=NORMAL,
            )
    ax.axhline(0.0, color=LINE.light, linewidth=0.8, zorder=1)
    margin = 0.04 * energies.gap_eV
    ax.axvspan(-margin, 0.0, color=VALENCE.light, linewidth=0)
    ax.axvspan(energies.gap_eV, energies.gap_eV + margin, color=CONDUCTION.light, linewidth=0)
    ax.set_xlim(-margin, energies.gap_eV + margin)
    low = min(0.0, ax.get_ylim()[0])
    ax.set_ylim(low, top + 0.12 * (top - low))
    ax.set_title(energies.condition, fontsize=NORMAL, color=INK.light)
    return dress(ax, "Fermi level above the VBM (eV)", "Formation energy (eV)")


def formation_figure(conditions: Sequence[FormationEnergies]) -> Figure:
    """One panel for each condition, on one scale of energies."""
    figure = Figure(figsize=(0.7 + 2.9 * len(conditions), 3.1), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(conditions), sharey=True, squeeze=False)[0]
    for ax, energies in zip(axes, conditions, strict=True):
        formation_diagram(ax, energies)
    low, high = (pick(ax.get_ylim()[i] for ax in axes) for i, pick in ((0, min), (1, max)))
    for ax in axes:
        ax.set_ylim(low, high)
    for ax in axes[1:]:
        ax.set_ylabel("")
    axes[-1].legend(frameon=False, fontsize=SMALL, labelcolor=INK.light)
    return figure


def configuration_diagram(ax: Axes, diagram: ConfigurationCoordinate) -> Axes:
    """Both parabolas on the ground state's minimum, what was computed as dots, emission and absorption as arrows."""
    zero, length = diagram.ground.minimum_eV, diagram.delta_q
    # Each curve ends where it would leave the picture of the other.
    reach = np.linspace(-BEYOND, 1.0 + BEYOND, 301) * length
    states = (
        (diagram.ground, diagram.points_ground, diagram.ground_label, LEVEL.light, "solid", 0.0),
        (diagram.excited, diagram.points_excited, diagram.excited_label, PUBLISHED.light, (0, (5, 2)), length),
    )
    for parabola, points, label, colour, dash, minimum in states:
        ax.plot(reach, parabola.energy_eV(reach) - zero, color=colour, linewidth=1.6, linestyle=dash, zorder=2)
        if points:
            at, energies = np.array(points).T
            ax.plot(at, energies - zero, "o", color=colour, markersize=4, zorder=3)
        role = "ground" if colour == LEVEL.light else "excited"
        below = float(parabola.energy_eV(minimum)) - zero
        text, above = f"{role} {mathtext(label)}".strip(), -12 if role == "ground" else 9
        ax.annotate(
            text,
            (minimum, below),
            xytext=(0, above),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL,
            color=colour,
            path_effects=[Stroke(linewidth=3.0, foreground=PAPER.light), Normal()],
            zorder=3,
        )
    upper = diagram.energy_difference_eV
    _arrow(ax, length, upper, upper - diagram.emission_eV, f"emission\n{diagram.emission_eV:.2f} eV", PL.light, -1)
    _arrow(ax, 0.0, 0.0, diagram.absorption_eV, f"absorption\n{diagram.absorption_eV:.2f} eV", MUTED.light, 1)
    top = max(diagram.absorption_eV, upper) * 1.12
    ax.set_ylim(-0.1 * top, top)
    ax.set_xlim(reach[0], reach[-1])
    return dress(ax, r"Configuration coordinate Q (amu$^{1/2}$ Å)", "Energy (eV)")


def _arrow(ax: Axes, x: float, start: float, end: float, text: str, colour: str, side: int) -> None:
    """The text is on its right (1) or left (-1), where the other arrow is and no curve."""
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x, end), (x, start), arrowprops=style, zorder=4)
    ax.annotate(
        text,
        (x, 0.5 * (start + end)),
        xytext=(6 * side, 0),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=SMALL,
        color=colour,
    )


def line_diagram(ax: Axes, lines: Sequence[Lineshape]) -> Axes:
    """Line shapes of one transition, each scaled to a maximum of 1, with the zero-phonon line marked."""
    for i, line in enumerate(lines):
        shown = line.intensity_per_eV / line.intensity_per_eV.max()
        label = f"{line.temperature_K:g} K, FWHM {1e3 * line.fwhm_eV:.0f} meV"
        ax.plot(line.energies_eV, shown, color=COLOURS[i % 4], linestyle=DASHES[i % 4], linewidth=1.5, label=label)
    zero = lines[0].zero_phonon_line_eV
    ax.axvline(zero, color=MUTED.light, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.annotate("ZPL", (zero, 1.0), xytext=(3, 2), textcoords="offset points", fontsize=SMALL, color=MUTED.light)
    seen = [line.energies_eV[line.intensity_per_eV > 1e-3 * line.intensity_per_eV.max()] for line in lines]
    low, high = min(e.min() for e in seen), max([zero, *(e.max() for e in seen)])
    ax.set(xlim=(low, high + 0.04 * (high - low)), ylim=(0.0, 1.45 if len(lines) > 1 else 1.25), yticks=[])
    ax.legend(frameon=False, fontsize=SMALL, labelcolor=INK.light, loc="upper left")
    return dress(ax, "Photon energy (eV)", "Intensity (arbitrary units)")


def emission_figure(diagram: ConfigurationCoordinate | None, lines: Sequence[Lineshape]) -> Figure:
    """The diagram and the line side by side; the line alone where there is no diagram."""
    panels = 1 if diagram is None else 2
    figure = Figure(figsize=(0.6 + 3.4 * panels, 3.2), layout="constrained", facecolor="white")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    if diagram is not None:
        configuration_diagram(axes[0], diagram)
    line_diagram(axes[-1], lines)
    return figure
