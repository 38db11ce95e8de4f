"""The study in one picture: python examples/study/picture.py [FILE]"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from reports import Results

from midgap.experiment.records import published_records
from midgap.report.energetics import formation_diagram
from midgap.report.palette import CONDUCTION, INK, LEVEL, MUTED, PAPER, PL, PL_BAND, PUBLISHED, VALENCE
from midgap.report.plotting import NORMAL, SMALL, dress, save_picture

FILE = Path(__file__).parents[2] / "docs" / "study.png"
PUBLISHED_LEVEL_EV = 2.4
NAMES = {1: "V⁺", 0: "V⁰", -1: "V⁻"}


def level_panel(ax: Axes, results: Results, band: tuple[float, float]) -> None:
    """Levels of each charge in both cells: as aligned (open) and without images (filled), filled by electrons or not."""
    gaps = {
        one["atoms"] - 1: one["gap_eV"]
        for one in results.levels
        if one["charge"] is None and one["stage"] in ("levels_small", "levels_large_host")
    }
    ax.axhspan(*band, color=PL_BAND.light, linewidth=0)
    ax.axhline(PUBLISHED_LEVEL_EV, color=PUBLISHED.light, linewidth=1.0, linestyle=(0, (5, 2)))
    ax.annotate(
        "published level",
        (0.01, PUBLISHED_LEVEL_EV),
        xycoords=("axes fraction", "data"),
        xytext=(0, 5),
        textcoords="offset points",
        ha="left",
        fontsize=SMALL,
        color=PUBLISHED.light,
    )
    top = max(gaps.values()) + 0.5
    ticks, labels = [], []
    for order, charge in enumerate((1, 0, -1)):
        found = [one for small in (True, False) if (one := _level(results, charge, small)) is not None]
        for i, one in enumerate(found):
            place = order + 0.4 * (i - 0.5 * (len(found) - 1))
            ticks.append(place)
            labels.append(f"{one['atoms']}")
            gap = gaps[one["atoms"]]
            ax.bar(place, top - gap, width=0.38, bottom=gap, color=CONDUCTION.light)
            for k, level in enumerate(_in_the_gap(one)[: 2 if charge == 0 else 1]):
                value = level["corrected_above_vbm_eV"]
                if value is None:
                    value = level["above_vbm_eV"]
                if abs(value - level["above_vbm_eV"]) > 0.03:
                    ax.plot(place, level["above_vbm_eV"], "_", color=MUTED.light, markersize=9, markeredgewidth=1.2)
                    ax.plot([place, place], [level["above_vbm_eV"], value], color=MUTED.light, linewidth=0.7)
                face = LEVEL.light if level["occupation"] >= 1 else PAPER.light
                ax.plot(place, value, "o", color=LEVEL.light, markerfacecolor=face, markersize=6, zorder=4)
                if k == 0:
                    ax.annotate(
                        f"{value:.2f}",
                        (place, value),
                        xytext=(0, 5 if value > level["above_vbm_eV"] else -12),
                        textcoords="offset points",
                        ha="center",
                        fontsize=SMALL,
                        color=INK.light,
                    )
        ax.annotate(
            NAMES[charge],
            (order, 1.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=NORMAL,
            color=INK.light,
        )
    ax.axhspan(-0.3, 0.0, color=VALENCE.light, linewidth=0)
    ax.set(xlim=(-0.55, 2.55), ylim=(-0.3, top), xticks=ticks)
    ax.set_xticklabels(labels)
    dress(ax, "atoms in the cell", "level above the VBM (eV)")


def _level(results: Results, charge: int, small: bool) -> dict[str, Any] | None:
    wanted = "levels_small" if small else "levels_large"
    found = [
        one
        for one in results.levels
        if one["charge"] == charge
        and (one["stage"] == wanted if small else one["stage"].startswith(wanted))
        and _in_the_gap(one)
    ]
    return found[0] if found else None


def _in_the_gap(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [level for level in one["levels"] if level["kind"] == "deep"]


def emission_panel(ax: Axes, results: Results, line: float, band: tuple[float, float]) -> None:
    """From the zero-phonon line (open) to the vertical emission (filled) of every capture."""
    ax.axvspan(*band, color=PL_BAND.light, linewidth=0)
    ax.axvline(line, color=PL.light, linewidth=1.2)
    rows: list[tuple[str, float, float]] = []
    for one in sorted(results.vertical, key=lambda one: -one["charge"]):
        other = NAMES[one["charge"]]
        hole = ("V⁰", other) if one["charge"] > 0 else (other, "V⁰")
        for carrier, (first, last), sign in (("hole", hole, "h"), ("electron", hole[::-1], "e")):
            label = f"{first} + {sign} → {last}\n{one['atoms']} atoms"
            rows.append((label, one[f"{carrier}_zero_phonon_eV"], one[f"{carrier}_emission_eV"]))
    for i, (_, zero, vertical) in enumerate(rows):
        ax.plot([zero, vertical], [i, i], color=MUTED.light, linewidth=1.0, zorder=2)
        ax.plot(zero, i, "o", color=LEVEL.light, markerfacecolor=PAPER.light, markersize=6, zorder=3)
        ax.plot(vertical, i, "o", color=LEVEL.light, markersize=6, zorder=3)
        ax.annotate(
            f"{vertical:.2f}",
            (vertical, i),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL,
            color=INK.light,
        )
    ax.set(yticks=range(len(rows)), ylim=(len(rows) - 0.4, -0.8), xlim=(-0.45, 1.1 * max(zero for _, zero, _ in rows)))
    ax.annotate(
        "light seen",
        (line, 1.02),
        xycoords=("data", "axes fraction"),
        ha="center",
        fontsize=SMALL,
        color=PL.light,
    )
    dress(ax, "photon energy (eV)", "")
    ax.set_yticklabels([label for label, _, _ in rows], fontsize=SMALL)


def study_figure(results: Results) -> Figure:
    """Levels, emission energies, formation energies side by side, as far as the results go."""
    records = published_records("Cs4PbBr6")
    peak = records.records[0].pl_peak_eV  # 520 nm, and the filter that the light passed
    assert peak is not None and peak.value is not None and peak.lo is not None and peak.hi is not None
    line, band = peak.value, (peak.lo, peak.hi)
    reports = [(size, found) for size in ("large", "small") if (found := results.formation(size)) is not None]
    size, report = max(reports, key=lambda pair: len(pair[1].conditions[0].defects), default=("", None))
    panels = 1 + bool(results.vertical) + (report is not None)
    figure = Figure(figsize=(0.5 + 3.2 * panels, 3.4), layout="constrained", facecolor="white")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    level_panel(axes.pop(0), results, band)
    if results.vertical:
        emission_panel(axes.pop(0), results, line, band)
    if report is not None:
        poor = min(report.conditions, key=lambda one: one.potentials_eV["Br"])
        formation_diagram(axes[0], poor)
        axes[0].set_title(
            f"Br-poor ({poor.condition}), {'21' if size == 'small' else '65'} atoms", fontsize=NORMAL, color=INK.light
        )
    return figure


if __name__ == "__main__":
    save_picture(study_figure(Results.read()), sys.argv[1] if len(sys.argv) > 1 else FILE)
