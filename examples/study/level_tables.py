"""Tables of geometries, levels, formation energies and costs, made from the results folder alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cells import HOLE, NAMES, WARM_K, eV, lowest_level, table, value
from reports import Results

from midgap.defects.emission_study import EmissionReport

SETTINGS = {
    "levels_small": "as in the rest",
    "cutoff_small": "plane waves to {cutoff_eV:g} eV",
    "bands_small": "three times the empty bands",
    "exchange_small": "{exact_exchange:g} exact exchange",
    "mesh_small": "{theory}, k {mesh}",
}


def published(results: Results) -> Iterator[str]:
    """Ours beside what was published and measured."""
    small, large = (
        {one["charge"]: one for one in results.levels if one["stage"].startswith(stage)}
        for stage in ("levels_small", "levels_large")
    )
    verticals = {(one["size"], one["charge"]): one for one in results.vertical}
    rows = [
        ["gap of the crystal", *(eV(value(cells.get(None), "gap_eV")) for cells in (small, large)), "3.9 (computed)"]
    ]
    for charge, of in ((0, "its electron"), (1, "empty"), (-1, "its two electrons")):
        row = [f"level of {NAMES[charge]} ({of}) above the VBM"]
        row += [eV(value(lowest_level(cells.get(charge)), "corrected_above_vbm_eV")) for cells in (small, large)]
        rows.append([*row, "2.4 (computed, charge not stated)"])
    stable = [
        {} if report is None else {one.label: one.above_vbm_eV for one in report.levels}
        for report in (results.formation(size) for size in ("small", "large"))
    ]
    for label, name in (("ε(+1/0)", "ε(+/0)"), ("ε(0/-1)", "ε(0/−)")):
        rows.append([f"{name} above the VBM", *(eV(levels.get(label)) for levels in stable), "–"])
    for charge, key, name in (
        (1, "hole_emission_eV", "photon of V⁰ + hole → V⁺"),
        (1, "electron_emission_eV", "photon of V⁺ + electron → V⁰"),
        (-1, "hole_emission_eV", "photon of V⁻ + hole → V⁰"),
        (-1, "electron_emission_eV", "photon of V⁰ + electron → V⁻"),
    ):
        row = [name, *(eV(value(verticals.get((size, charge)), key)) for size in ("small", "large"))]
        rows.append([*row, "2.38 (detected from 2.30 to 2.48)"])
    widths = [_widths(results.emissions().get((atoms, HOLE))) for atoms in (21, 65)]
    rows.append([f"width of {HOLE} at 300 K", *widths, "0.064 (one particle), 0.106 (many), measured"])
    yield from table(["HSE06+SOC, eV", "21 or 22 atoms", "65 or 66 atoms", "published"], rows)


def _widths(report: EmissionReport | None) -> str:
    if report is None:
        return "–"
    warm = next(line for line in report.lines if line.temperature_K == WARM_K)
    low, high = sorted((report.diagram.reflected_fwhm_eV(WARM_K), warm.fwhm_eV))
    return f"{low:.2f} to {high:.2f}"


def relaxations(results: Results) -> Iterator[str]:
    """Every relaxation of the vacancy, against the lowest of its charge and size."""
    rows = [one for one in results.relaxations if one["charge"] is not None]
    lowest = {key: min(one["energy_eV"] for one in group) for key, group in _grouped(rows, "atoms", "charge").items()}
    there = [one for one in results.levels if one["stage"].startswith(("levels_small", "levels_large"))]
    found = {one["model"]: value(lowest_level(one), "corrected_above_vbm_eV") for one in there}
    heads = ["atoms", "charge", "start", "eV above the lowest", "Pb to Br across", "level above the VBM"]
    yield from table(
        [*heads, "fmax, eV/Å", "steps", "wall time, min"],
        [
            [
                one["atoms"],
                NAMES[one["charge"]],
                one["start"],
                f"{one['energy_eV'] - lowest[one['atoms'], one['charge']]:.3f}",
                f"{one['across_ang']:.2f} Å",
                eV(found.get(one["model"])),
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
        first = lowest_level(one)
        if first is None:
            rows.append([one["atoms"], NAMES[one["charge"]], f"{one['gap_eV']:.2f}", "none", *["–"] * 5])
            continue
        rows.append(
            [
                one["atoms"],
                NAMES[one["charge"]],
                f"{one['gap_eV']:.2f}",
                f"{first['occupation']:g}",
                eV(first["above_cell_vbm_eV"]),
                f"{eV(first['above_vbm_eV'])} ± {eV(one['alignment_uncertainty_eV'])}",
                eV(first["corrected_above_vbm_eV"]),
                eV(first["below_cbm_eV"]),
                eV(first["defect_weight"]),
            ]
        )
    order = {name: i for i, name in enumerate(NAMES.values())}
    yield from table(
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
        found = [lowest_level(group.get(charge)) for charge in (0, 1)]
        own = [None if one is None else one["above_cell_vbm_eV"] for one in found]
        aligned = [None if one is None else one["above_vbm_eV"] for one in found]
        below = [None if one is None else one["below_cbm_eV"] for one in found]
        rows.append([name, eV(gap), eV(aligned[0]), eV(own[0]), eV(below[0]), eV(aligned[1])])
    heads = ["setting", "gap", "V⁰ above VBM, aligned", "above the cell's own", "below CBM", "V⁺ above VBM, aligned"]
    yield from table(heads, rows)


def engines(results: Results) -> Iterator[str]:
    """The large cell by two engines, without spin-orbit coupling."""
    found = [one for one in results.found["engines"] if one["stage"] in ("scalar_large", "cp2k_large")]
    rows = []
    for one in sorted(found, key=lambda one: (one["stage"] == "cp2k_large", one["charge"] is not None)):
        first = lowest_level(one)
        rows.append(
            [
                one["engine"].upper(),
                NAMES[one["charge"]],
                eV(one["gap_eV"]),
                *(eV(value(first, name)) for name in ("above_cell_vbm_eV", "above_vbm_eV", "below_cbm_eV")),
                eV(value(first, "defect_weight")),
            ]
        )
    heads = ["HSE06 by", "", "gap of the crystal", "above the cell's own VBM", "aligned", "below the CBM"]
    yield from table([*heads, "weight at the vacancy"], rows)


def clusters(results: Results) -> Iterator[str]:
    """The octahedron in the field of the crystal, whole and without a Br, and the formula unit alone."""
    names = {
        "octahedron_PbBr6_embedded": "[PbBr6]⁴⁻ in the crystal's field",
        "V_Br1_q+1_PbBr5_embedded": "the same without a Br⁻, as cut: the empty level",
        "V_Br1_q0_PbBr5_embedded": "the same without a Br, as cut: the level with one electron",
        "unit_Cs4PbBr6": "Cs4PbBr6 alone",
    }
    by_model = {one["model"]: one for one in results.found["engines"] if one["stage"] == "clusters"}
    rows = []
    for model, name in names.items():
        one = by_model.get(model)
        if one is not None:
            at_vacancy = max(one["levels"], key=lambda level: level["defect_weight"], default=None)
            cells = [eV(value(at_vacancy, key)) for key in ("above_vbm_eV", "below_cbm_eV", "defect_weight")]
            rows.append([name, eV(one["gap_eV"]), *cells])
    yield from table(["", "gap", "level above the VBM", "below the CBM", "weight at the vacancy"], rows)


def contrast(results: Results) -> Iterator[str]:
    """The vacancy where octahedra share their corners, beside that of the large cell."""
    cells = [("Cs4PbBr6", one) for one in results.levels if one["stage"] == "levels_large_q0"]
    cells += [("CsPbBr3", one) for one in results.found["engines"] if one["stage"] == "contrast" and one["charge"] == 0]
    rows = []
    for material, one in cells:
        filled = next((level for level in one["levels"] if level["occupation"]), None)
        rows.append(
            [
                material,
                one["atoms"],
                eV(one["gap_eV"]),
                f"{eV(value(filled, 'above_vbm_eV'))} ± {eV(one['alignment_uncertainty_eV'])}",
                eV(value(filled, "above_cell_vbm_eV")),
                eV(value(filled, "below_cbm_eV")),
                eV(value(filled, "defect_weight")),
                f"{one['across_ang']:.2f} Å",
            ]
        )
    heads = ["", "atoms", "gap of the crystal", "electron of V⁰ above the VBM, aligned", "above the cell's own"]
    yield from table([*heads, "below the CBM", "weight at the vacancy", "Pb to Br across"], rows)


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
    yield from table(["in equilibrium with", "Δμ Cs", "Δμ Pb", "Δμ Br", "atoms", "V⁺", "V⁰", "V⁻"], rows)


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
                        eV(one.above_vbm_eV),
                        eV(report.conditions[0].gap_eV - one.above_vbm_eV),
                    ]
                )
    yield from table(["atoms", "level", "above the VBM", "below the CBM"], rows)


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
    yield from table(["stage", "calculations", "wall time of one core, min", "memory, GB"], rows)


def _grouped(rows: Sequence[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in rows:
        groups.setdefault(tuple(one[key] for key in keys), []).append(one)
    return groups


def _of(energies: Any, charge: int) -> str:
    found = [one for one in energies.defects if one.charge == charge]
    return f"{energies.at_vbm_eV(found[0]):.2f}" if found else "–"
