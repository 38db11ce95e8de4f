"""The numbers of a study as Markdown tables, made from the results folder alone.

python examples/study/tables.py writes them between the markers of docs/study.md; --check says whether they are there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reports import Results

from midgap.structures.document import write_atomic

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "study.md"
MARKED = re.compile(r"(<!-- table (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)

NAMES = {1: "V⁺", 0: "V⁰", -1: "V⁻", None: "crystal"}
SETTINGS = {
    "levels_small": "as in the rest",
    "cutoff_small": "plane waves to {cutoff_eV:g} eV",
    "bands_small": "{bands} bands",
    "exchange_small": "{exact_exchange:g} exact exchange",
    "mesh_small": "{theory}, k {mesh}",
}


def relaxations(results: Results) -> Iterator[str]:
    """Every relaxation of the vacancy, against the lowest of its charge and size."""
    rows = [one for one in results.relaxations if one["charge"] is not None]
    lowest = {key: min(one["energy_eV"] for one in group) for key, group in _grouped(rows, "atoms", "charge").items()}
    yield from _table(
        ["atoms", "charge", "start", "eV above the lowest", "Pb to Br across", "fmax, eV/Å", "steps", "wall time, min"],
        [
            [
                one["atoms"],
                NAMES[one["charge"]],
                one["start"],
                f"{one['energy_eV'] - lowest[one['atoms'], one['charge']]:.3f}",
                f"{one['across_ang']:.2f} Å",
                f"{one['fmax_eV_per_ang']:.3f}",
                one["steps"],
                f"{one['wall_s'] / 60:.0f}",
            ]
            for one in sorted(rows, key=lambda one: (one["atoms"], -one["charge"], one["energy_eV"]))
        ],
    )


def levels(results: Results) -> Iterator[str]:
    """The level that the vacancy's electron sits in, or would, in both sizes of cell."""
    rows = []
    for one in results.levels:
        if one["stage"] not in ("levels_small",) and not one["stage"].startswith("levels_large"):
            continue
        if one["charge"] is None:
            rows.append([one["atoms"], NAMES[None], f"{one['gap_eV']:.2f}", *["–"] * 6])
            continue
        first = one["levels"][0] if one["levels"] else None
        if first is None:
            rows.append([one["atoms"], NAMES[one["charge"]], f"{one['gap_eV']:.2f}", "none", *["–"] * 5])
            continue
        rows.append(
            [
                one["atoms"],
                NAMES[one["charge"]],
                f"{one['gap_eV']:.2f}",
                f"{first['occupation']:g}",
                _eV(first["above_cell_vbm_eV"]),
                f"{_eV(first['above_vbm_eV'])} ± {_eV(one['alignment_uncertainty_eV'])}",
                _eV(first["corrected_above_vbm_eV"]),
                _eV(first["below_cbm_eV"]),
                _eV(first["defect_weight"]),
            ]
        )
    order = {name: i for i, name in enumerate(NAMES.values())}
    yield from _table(
        [
            "atoms",
            "",
            "gap of the crystal",
            "electrons",
            "above the cell's own VBM",
            "aligned",
            "and corrected",
            "below the CBM",
            "weight at the vacancy",
        ],
        sorted(rows, key=lambda row: (row[0] > 30, order[str(row[1])])),
    )


def settings(results: Results) -> Iterator[str]:
    """Gap and level of V0, and the level of V+, in the small cell at fixed geometry under other settings."""
    groups: dict[str, dict[int | None, dict[str, Any]]] = {}
    for one in results.levels:
        if one["stage"] in SETTINGS and one["atoms"] < 30:
            mesh = "×".join(map(str, one["kpoints"]))
            groups.setdefault(SETTINGS[one["stage"]].format(mesh=mesh, **one), {})[one["charge"]] = one
    rows = []
    for name, group in groups.items():
        gap = group[None]["gap_eV"] if None in group else None
        found = [_first(group.get(charge)) for charge in (0, 1)]
        own = [None if one is None else one["above_cell_vbm_eV"] for one in found]
        aligned = [None if one is None else one["above_vbm_eV"] for one in found]
        below = [None if one is None else one["below_cbm_eV"] for one in found]
        rows.append([name, _eV(gap), _eV(aligned[0]), _eV(own[0]), _eV(below[0]), _eV(aligned[1])])
    heads = ["setting", "gap", "V⁰ above VBM, aligned", "above the cell's own", "below CBM", "V⁺ above VBM, aligned"]
    yield from _table(heads, rows)


def formation(results: Results) -> Iterator[str]:
    """Where the compound is stable, and what the vacancy costs there with the Fermi level at the VBM."""
    rows = []
    for size in ("small", "large"):
        report = results.formation(size)
        if report is None:
            continue
        for limit, energies in zip(report.region.limits, report.conditions, strict=True):
            rows.append(
                [
                    limit.name,
                    *(f"{limit.potentials_eV[element]:.2f}" for element in ("Cs", "Pb", "Br")),
                    {"small": 21, "large": 65}[size],
                    *(_of(energies, charge) for charge in (1, 0, -1)),
                ]
            )
    yield from _table(["in equilibrium with", "Δμ Cs", "Δμ Pb", "Δμ Br", "atoms", "V⁺", "V⁰", "V⁻"], rows)


def transitions(results: Results) -> Iterator[str]:
    """Charge transition levels."""
    rows = []
    for size in ("small", "large"):
        report = results.formation(size)
        if report is not None:
            for one in report.levels:
                rows.append(
                    [
                        {"small": 21, "large": 65}[size],
                        one.label,
                        _eV(one.above_vbm_eV),
                        _eV(report.conditions[0].gap_eV - one.above_vbm_eV),
                    ]
                )
    yield from _table(["atoms", "level", "above the VBM", "below the CBM"], rows)


def emission(results: Results) -> Iterator[str]:
    """What would be emitted, from energies of both charge states in both geometries."""
    rows = []
    for one in results.vertical:
        other = NAMES[one["charge"]]
        hole = ("V⁰", other) if one["charge"] > 0 else (other, "V⁰")
        for carrier, (first, last) in (("hole", hole), ("electron", hole[::-1])):
            rows.append(
                [
                    one["atoms"],
                    f"{first} + {carrier} → {last}",
                    _eV(one[f"{carrier}_zero_phonon_eV"]),
                    _eV(one[f"{carrier}_emission_eV"]),
                    _eV(abs(one[f"{carrier}_zero_phonon_eV"] - one[f"{carrier}_emission_eV"])),
                    one["energy_theory"],
                ]
            )
    yield from _table(["atoms", "", "zero-phonon line", "vertical emission", "lattice relaxation", "energies"], rows)


def lines(results: Results) -> Iterator[str]:
    """The lines of the effective mode."""
    rows = []
    for name, report in results.emissions().items():
        diagram = report.diagram
        warm = next((line for line in report.lines if line.temperature_K == 300), report.lines[-1])
        rows.append(
            [
                name,
                f"{diagram.delta_q:.1f}",
                f"{1e3 * diagram.ground.phonon_eV:.1f}",
                f"{diagram.huang_rhys_emission:.0f}",
                f"{diagram.emission_eV:.2f}",
                f"{1e3 * warm.fwhm_eV:.0f}",
            ]
        )
    yield from _table(["", "ΔQ, amu^½ Å", "ħω, meV", "Huang-Rhys", "vertical, eV", "FWHM at 300 K, meV"], rows)


def costs(results: Results) -> Iterator[str]:
    """What each stage took."""
    rows = [
        [stage, one["calculations"], f"{one['wall_s'] / 60:.0f}", f"{one['peak_memory_MB'] / 1e3:.1f}"]
        for stage, one in results.costs.items()
        if one["calculations"]
    ]
    total = sum(one["wall_s"] for one in results.costs.values())
    count = sum(one["calculations"] for one in results.costs.values())
    rows.append(["all", count, f"{total / 60:.0f}", ""])
    yield from _table(["stage", "calculations", "wall time of one core, min", "memory, GB"], rows)


TABLES: dict[str, Callable[[Results], Iterator[str]]] = {
    one.__name__: one for one in (relaxations, levels, settings, formation, transitions, emission, lines, costs)
}


def filled(page: str, results: Results) -> str:
    """The page with its tables as the results have them."""

    def table(match: re.Match[str]) -> str:
        return match[1] + "\n" + "\n".join(TABLES[match["name"]](results)) + "\n\n" + match[3]

    return MARKED.sub(table, page)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"


def _eV(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _first(one: dict[str, Any] | None) -> dict[str, Any] | None:
    return one["levels"][0] if one and one["levels"] else None


def _grouped(rows: Sequence[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in rows:
        groups.setdefault(tuple(one[key] for key in keys), []).append(one)
    return groups


def _of(energies: Any, charge: int) -> str:
    found = [one for one in energies.defects if one.charge == charge]
    return f"{energies.at_vbm_eV(found[0]):.2f}" if found else "–"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or say that it is behind the results."""
    page = PAGE.read_text()
    new = filled(page, Results.read())
    if "--check" in arguments:
        return int(new != page)
    write_atomic(PAGE, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
