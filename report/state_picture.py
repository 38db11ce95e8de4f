"""Every state near the gap of one calculation, and how much of it sits at the defect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.localization import normalised_weights
from midgap.defects.report import LevelReport
from midgap.defects.site import matched_sites, neighbour_shell
from midgap.report.palette import CONDUCTION, INK, LEVEL, MUTED, VALENCE
from midgap.report.plotting import save_picture
from midgap.report.typography import mathtext, short
from midgap.structures.errors import InputError

AROUND_EV = 1.2
"""How far into the bands the picture reaches."""

WEIGHTS = LinearSegmentedColormap.from_list("weight at the defect", ["#b9c2cd", "#7f8fb0", LEVEL.light, "#050b18"])


def state_picture(
    ax: Axes, structure: ElectronicStructure, report: LevelReport, reference: ElectronicStructure | None = None
) -> Axes:
    """Draw the states as lines: darker and thicker, the more of one sits at the defect.

    Energies are above the host's VBM; the host's bands are shaded. The pristine cell's states stand at the
    left on the same scale, coloured by their weight on the same sites; then one column a spin channel. A dot
    marks a level that holds electrons. With several k-points each has its own short line, from left to right.

    Raises
    ------
    InputError
        The report gives no edges.
    """
    if report.vbm_eV is None or report.gap_eV is None:
        raise InputError("There are no band edges to draw the states against.")
    shell = np.empty(0, dtype=int) if report.defect is None else neighbour_shell(structure, report.defect)
    columns: list[tuple[str, np.ndarray, np.ndarray | None]] = []
    if reference is not None and report.defect is not None:
        partner = dict(matched_sites(structure, reference))
        there = [partner[i] for i in shell if i in partner]
        weights = _on(reference, there)
        for spin in range(reference.eigenvalues_eV.shape[0])[:1]:
            energies = reference.eigenvalues_eV[spin] + report.alignment.shift_eV
            columns.append(("pristine", energies, None if weights is None else weights[spin]))
    weights = _on(structure, shell)
    names = ("spin up", "spin down") if structure.eigenvalues_eV.shape[0] == 2 else ("",)
    for spin, name in enumerate(names):
        title = "\n".join(part for part in (mathtext(short(_name(report))), name) if part)
        columns.append((title, structure.eigenvalues_eV[spin], None if weights is None else weights[spin]))
    low, high = -AROUND_EV, report.gap_eV + AROUND_EV
    ax.axhspan(low, 0.0, color=VALENCE.light, alpha=0.35, lw=0)
    ax.axhspan(report.gap_eV, high, color=CONDUCTION.light, lw=0)
    for x, (_, energies, on) in enumerate(columns):
        _column(ax, x, energies - report.vbm_eV, on, (low, high))
    _labels(ax, report, names, len(columns))
    ax.set(xlim=(-0.6, len(columns) - 0.1), ylim=(low, high))
    ax.set_xticks(range(len(columns)), [title for title, *_ in columns], color=INK.light)
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel("Energy above the host's VBM (eV)", color=INK.light)
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    return ax


def _name(report: LevelReport) -> str:
    if report.model or report.defect is None or not report.defect.label:
        return report.label or report.model
    sign = "" if not report.charge else f" ({report.charge:+d})"
    return f"{report.defect.label}{sign}"


def write_state_picture(
    path: Path, structure: ElectronicStructure, report: LevelReport, reference: ElectronicStructure | None = None
) -> Path:
    """`state_picture` with the scale of its colours, in a file.

    Raises
    ------
    InputError
        The file's name ends in none of .png, .pdf and .svg.
    """
    n = structure.eigenvalues_eV.shape[0] + (reference is not None)
    figure = Figure(figsize=(2.6 + 1.55 * n, 4.6), layout="constrained")
    ax = figure.add_subplot()
    state_picture(ax, structure, report, reference)
    if structure.site_weights is not None and report.defect is not None:
        bar = figure.colorbar(ScalarMappable(Normalize(0, 1), WEIGHTS), ax=ax, shrink=0.6, aspect=24)
        bar.set_label("Part of the state at the defect", color=INK.light)
        bar.outline.set_visible(False)  # type: ignore[operator]
    return save_picture(figure, path)


def _on(structure: ElectronicStructure, sites: Sequence[int] | np.ndarray) -> np.ndarray | None:
    weights = normalised_weights(structure)
    return None if weights is None or not len(sites) else weights[..., list(sites)].sum(axis=-1)


def _column(ax: Axes, x: float, energies: np.ndarray, weights: np.ndarray | None, shown: tuple[float, float]) -> None:
    """States of one spin channel: energies and weights of the shape (k, band)."""
    n_k = len(energies)
    width = 0.72 / n_k
    for k, band in np.argwhere((energies > shown[0]) & (energies < shown[1])):
        left = x - 0.36 + k * width
        weight = 0.0 if weights is None else float(np.clip(weights[k, band], 0.0, 1.0))
        colour = INK.light if weights is None else WEIGHTS(weight)
        y = energies[k, band]
        ends = (left, left + width * (0.9 if n_k > 1 else 1.0))
        ax.plot(ends, (y, y), color=colour, linewidth=0.7 + 2.3 * weight, solid_capstyle="butt", zorder=3 + weight)


def _labels(ax: Axes, report: LevelReport, names: tuple[str, ...], n: int) -> None:
    first = n - len(names)
    last = -np.inf
    for level in report.levels:
        if level.kind == "resonant":
            continue
        x = first + (1 if level.spin == "down" and len(names) == 2 else 0)
        y = max(level.above_vbm_eV, last + 0.16)
        ax.text(x + 0.38, y, f"{level.above_vbm_eV:.2f}", va="center", fontsize=8, color=LEVEL.light)
        last = y if x == n - 1 else last
        if level.occupation > 0.5:
            ax.plot([x - 0.22], [level.above_vbm_eV], "o", color=INK.light, markersize=4.5, zorder=6)
    gap = report.gap_eV or 0.0
    for y, text, align in ((0.03, "VBM", "bottom"), (gap - 0.03, f"CBM {gap:.2f}", "top")):
        ax.text(-0.57, y, text, va=align, fontsize=7.5, color=MUTED.light)
