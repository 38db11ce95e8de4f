"""Tables of what would be emitted: lines, widths, lifetimes, and what their energies rest on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from cells import HOLE, NAMES, WARM_K, eV, lowest_level, table
from reports import Results
from studies import diagrams, vertical_energies

from midgap.defects.electrostatics import dielectric_tensor
from midgap.defects.emission import Screening
from midgap.defects.nonradiative import ANG3_IN_CM3, capture
from midgap.defects.radiative import radiative_lifetime

PLAIN = ("levels_small",)
CAPTURE_K = (77.0, 300.0)
SCREENINGS = ((7.0, 3.0), (8.0, 3.5), (12.0, 3.5))
"""Static and electronic constants that others might take."""


def emission(results: Results) -> Iterator[str]:
    """What would be emitted, from energies of both charge states in both geometries.

    The barrier is where the two parabolas cross, each with the curvature that its own relaxation gives it: where it is a
    few kT, the carrier is captured without light.
    """
    rows = []
    for one in results.vertical:
        other = NAMES[one["charge"]]
        hole = ("V⁰", other) if one["charge"] > 0 else (other, "V⁰")
        pairs = (("hole", hole), ("electron", hole[::-1]))
        for (carrier, (first, last)), (_, diagram) in zip(pairs, diagrams(one), strict=True):
            zero, vertical = one[f"{carrier}_zero_phonon_eV"], one[f"{carrier}_emission_eV"]
            relaxation = zero - vertical
            name = f"{first} + {carrier} → {last}"
            rows.append([one["atoms"], name, eV(zero), eV(vertical), eV(relaxation), eV(diagram.crossing_eV)])
    heads = ["atoms", "", "zero-phonon line", "vertical emission", "lattice relaxation", "barrier without light"]
    yield from table(heads, rows)


def screening(results: Results) -> Iterator[str]:
    """How much of the energies of captured holes is the correction for images, and what other constants would do."""
    rows = []
    own = results.screening
    others = [Screening(static=static, electronic=electronic) for static, electronic in SCREENINGS]
    for size in ("small", "large"):
        for constants in (own, *others):
            found = {one["charge"]: one for one in vertical_energies(results.folder, size, constants)}
            row: list[Any] = [f"{_mean(constants.static):.1f}, {_mean(constants.electronic):.1f}"]
            for charge in (1, -1):
                one = found.get(charge)
                if one is None:
                    row += ["–"] * 3
                    continue
                corrected = one["correction_charged_away_eV" if charge > 0 else "correction_neutral_away_eV"]
                corrected -= 0.0 if charge > 0 else one["correction_charged_eV"]
                emitted = one["hole_emission_eV"]
                row += [eV(one["transition_level_above_vbm_eV"]), eV(emitted), eV(emitted + corrected)]
            rows.append([next(iter(found.values()))["atoms"], *row])
    heads = ["atoms", "ε₀, ε∞", "ε(+/0)", HOLE, "uncorrected", "ε(0/−)", "V⁻ + hole → V⁰", "uncorrected"]
    yield from table(heads, rows)


def _mean(constant: Any) -> float:
    return float(np.trace(dielectric_tensor(constant)) / 3)


def difference(results: Results) -> Iterator[str]:
    """The electron's energy from its Kohn-Sham level and from total energies, at each of the two geometries."""
    own = {one["model"]: one for one in results.levels if one["stage"] in PLAIN or "large" in one["stage"]}
    rows = []
    for one in results.vertical:
        name = "V_Br1_q{}_22" if one["size"] == "small" else "V_Br1_q{}_66"
        charge = one["charge"]
        pair = f"{NAMES[max(0, charge)]} / {NAMES[min(0, charge)]}"
        for geometry in (0, charge):
            found = own.get(name.format(f"{geometry:+d}" if geometry else "0"))
            deep = [] if found is None else [level for level in found["levels"] if level["kind"] == "deep"]
            # The electron that one of the two has more: the highest filled level of that one, the lowest empty one of the other.
            more = geometry < max(0, charge)
            deep = [level for level in deep if bool(level["occupation"]) == more]
            if not deep:
                continue
            level = deep[-1 if more else 0]["corrected_above_vbm_eV"]
            total = one["hole_emission_eV"] if more else one["gap_eV"] - one["electron_emission_eV"]
            where = f"{pair} at the geometry of {NAMES[geometry]}"
            rows.append([one["atoms"], where, f"{eV(level)} ({'filled' if more else 'empty'})", eV(total)])
    yield from table(["atoms", "", "Kohn-Sham level above the VBM", "from total energies"], rows)


def lines(results: Results) -> Iterator[str]:
    """The lines: of the effective mode, and by the slope of the lower state where the upper one sits."""
    rows = []
    for (atoms, name), report in results.emissions().items():
        diagram = report.diagram
        warm = next((line for line in report.lines if line.temperature_K == WARM_K), None)
        error = diagram.ground.phonon_uncertainty_eV
        rows.append(
            [
                atoms,
                name,
                f"{diagram.delta_q:.1f}",
                f"{1e3 * diagram.ground.phonon_eV:.1f}" + ("" if error is None else f" ± {1e3 * error:.1f}"),
                f"{diagram.huang_rhys_emission:.0f}",
                eV(diagram.emission_eV),
                "no light" if warm is None else f"{1e3 * warm.fwhm_eV:.0f}",
                "–" if warm is None else f"{1e3 * diagram.reflected_fwhm_eV(WARM_K):.0f}",
            ]
        )
    heads = [
        "atoms",
        "",
        "ΔQ, amu^½ Å",
        "ħω, meV",
        "Huang-Rhys",
        "vertical, eV",
        "FWHM at 300 K, meV",
        "by the slope, meV",
    ]
    yield from table(heads, rows)


def modes(results: Results) -> Iterator[str]:
    """The vibrations at Γ of the small cell."""
    rows = []
    for name, title in (("crystal", "crystal (CP2K)"), ("V+", "V⁺ (GPAW)")):
        found = results.modes(name)
        if found is not None:
            energies = 1e3 * found.energies_eV
            way = eV(results.relaxation_by_modes_eV()) if name == "V+" else "–"
            cells = [f"{energies[0]:.1f}", f"{energies[-1]:.1f}", int(found.imaginary.sum())]
            rows.append([title, len(energies), *cells, way])
    yield from table(["", "modes", "lowest, meV", "highest, meV", "imaginary", "way from V⁰ if harmonic, eV"], rows)


def lifetimes(results: Results) -> Iterator[str]:
    """Radiative lifetimes of the levels' transitions to the band edges, at the energies that Kohn and Sham give."""
    index = results.refractive_index
    rows = []
    for one in results.levels:
        first = lowest_level(one)
        if first is None or one["stage"] not in (
            "levels_small",
            "levels_large_q0",
            "levels_large_q+1",
            "levels_large_q-1",
        ):
            continue
        gap = first["above_vbm_eV"] + first["below_cbm_eV"]
        for label, energy in (("level → VBM", first["above_vbm_eV"]), ("CBM → level", gap - first["above_vbm_eV"])):
            strength = first["oscillator_strengths"].get(label)
            if strength:
                times = [
                    f"{radiative_lifetime(energy, strength, index, field).lifetime_ns:.0f}"
                    for field in ("none", "virtual cavity")
                ]
                rows.append([one["atoms"], NAMES[one["charge"]], label, eV(energy), f"{strength:.4f}", *times])
    heads = [
        "atoms",
        "",
        "transition",
        "energy, eV",
        "oscillator strength",
        "lifetime, ns",
        "with a cavity's field, ns",
    ]
    yield from table(heads, rows)


def captures(results: Results) -> Iterator[str]:
    """A hole caught without light, beside one caught with it: one hole and one vacancy in a cell.

    W² V, which does not depend on how far the carrier spreads, is of the small cell for both.
    """
    index = results.refractive_index
    rows = []
    for (atoms, name), report in results.emissions().items():
        strength = next(
            (one for one in results.found["couplings"] if name.startswith(f"{NAMES[one['charge']]} + hole")), None
        )
        cells = [
            one
            for one in results.levels
            if one["atoms"] == atoms and one["stage"].startswith(("levels_small", "levels_large"))
        ]
        level = next((lowest_level(one) for one in cells if strength and one["charge"] == strength["charge"]), None)
        if strength is None or level is None:
            continue
        volume = strength["volume_ang3"]
        caught = capture(report.diagram, strength["matrix_element_eV"], volume, list(CAPTURE_K))
        light = radiative_lifetime(level["above_vbm_eV"], level["oscillator_strengths"]["level → VBM"], index)
        coefficients = [float(c) for c in caught.coefficient_cm3_per_s]
        cell_cm3 = volume * (atoms + 1) / (strength["atoms"] + 1) * ANG3_IN_CM3
        share = [1.0 / (1.0 + 1e-9 * light.lifetime_ns * c / cell_cm3) for c in coefficients]
        rows.append(
            [
                atoms,
                name,
                f"{1e3 * strength['matrix_element_eV']:.2f}",
                eV(caught.barrier_eV),
                *(f"{c:.0e}" for c in coefficients),
                *(f"{100 * one:.3g} %" for one in share),
            ]
        )
    at = [f"{t:g} K" for t in CAPTURE_K]
    heads = [
        "atoms",
        "",
        "W, meV/(amu^½ Å)",
        "barrier, eV",
        *(f"C at {t}, cm³/s" for t in at),
        *(f"with light, {t}" for t in at),
    ]
    yield from table(heads, rows)
