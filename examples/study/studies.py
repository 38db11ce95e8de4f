"""The studies that `midgap formation` and `midgap emission` read, and vertical energies from four calculations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from midgap.defects.band_edges import band_edges
from midgap.defects.configuration_coordinate import ConfigurationCoordinate, delta_q, from_four_energies
from midgap.defects.corrections import extended_fnv, vertical_fnv
from midgap.defects.electronic_structure import ElectronicStructure
from midgap.defects.emission import Screening
from midgap.defects.parsers import FinishedCalculation, read_folder
from midgap.structures.document import write_atomic

SITES = 12
"""Equivalent Br in the primitive cell: all of them, 36f of R-3c."""

SIGNS = {1: "+", 0: "0", -1: "-"}
RAISED = {"+": "⁺", "0": "⁰", "-": "⁻"}


def write_studies(results: Path, found: dict[str, Any], screening: Screening | None) -> None:
    """Write what the results that are there suffice for."""
    for size, atoms in (("small", 22), ("large", 66)):
        cells = sorted(path.parent.name for path in (results / size).glob(f"V_*_{atoms}/result.json"))
        if cells and any(one["stage"] == "phases" for one in found["energies"]):
            _write(results / f"formation_{size}.json", formation(results, size, atoms, cells, found, screening))
    for pair, first, second in (("0+", 0, 1), ("0-", 0, -1)):
        folder = results / f"paths_small_{pair}"
        for ground, excited in ((first, second), (second, first)):
            study = emission(folder, ground, excited, screening)
            if study is not None:
                name = f"emission_{SIGNS[excited]}_to_{SIGNS[ground]}.json"
                _write(results / name, study)
    found["vertical"] = [one for size in ("small", "large") for one in vertical_energies(results, size, screening)]
    small = {one["charge"]: one for one in found["vertical"] if one["size"] == "small"}
    for one in found["vertical"]:
        if one["size"] == "large":
            for name, diagram in diagrams(one, small.get(one["charge"])):
                _write(results / f"emission_large_{name}.json", diagram.to_dict())
    _write(results / "study.json", found)


def formation(
    results: Path, size: str, atoms: int, cells: list[str], found: dict[str, Any], screening: Screening | None
) -> dict[str, Any]:
    """A `midgap.defects.formation_study.FormationStudy`."""
    own = "large/pristine_66" if (results / "large/pristine_66/result.json").exists() else f"{size}/pristine_{atoms}"
    phases: list[dict[str, Any]] = [{"folder": own}]
    phases += [
        {
            "formula": one["formula"],
            "energy_eV": one["energy_eV"],
            "source": f"{one['energy_theory']}, k {'×'.join(map(str, one['kpoints']))}"
            + (f"; to {one['mesh_of_correction']} by PBE" if "mesh_of_correction" in one else ""),
        }
        for one in found["energies"]
        if one["stage"] == "phases"
    ]
    return {
        "compound": "Cs4PbBr6",
        "host": f"{size}/pristine_{atoms}",
        "phases": phases,
        "defects": [
            {"folder": f"{size}/{cell}", "sites_per_cell": SITES, "degeneracy": 2 if "_q0_" in cell else 1}
            for cell in cells
        ],
        "screening": None if screening is None else _bare(screening),
    }


def emission(folder: Path, ground: int, excited: int, screening: Screening | None) -> dict[str, Any] | None:
    """A `midgap.defects.emission_study.EmissionStudy`; None where its points are not there."""
    places = {charge: _places(folder, charge) for charge in (ground, excited)}
    if min(len(one) for one in places.values()) < 3:
        return None
    return {
        "host": "small/pristine_22",
        "ground": places[ground],
        "excited": places[excited],
        "screening": None if screening is None else _bare(screening),
    }


def _places(folder: Path, charge: int) -> dict[str, str]:
    label = f"_q{charge:+d}_".replace("+0", "0")
    found = {}
    for path in sorted(folder.glob(f"*{label}*_x*/result.json")):
        place = float(path.parent.name.rsplit("_x", 1)[1])
        found[f"{place:g}"] = f"{folder.name}/{path.parent.name}"
    return found


def vertical_energies(
    results: Path, size: str, screening: Screening | None, charges: tuple[int, ...] = (1, -1)
) -> list[dict[str, Any]]:
    """Emission energies between V0 and a charged state from four calculations: each in both geometries.

    A hole is captured by V0 and an electron by V+; or an electron by V0 and a hole by V-. The carrier sits at the
    band edge of the crystal of the same cell, and the energies of charged cells are corrected.
    """
    atoms = {"small": 22, "large": 66}[size]
    host_folder = results / size / f"pristine_{atoms}"
    if screening is None or not (host_folder / "result.json").exists():
        return []
    host = read_folder(host_folder).electronic_structure
    found = []
    for charge in charges:
        cells = _four(results, size, charge)
        if cells is not None:
            found.append({"size": size, "atoms": atoms - 1, "charge": charge, **_vertical(cells, host, screening)})
    return found


def diagrams(
    one: dict[str, Any], smaller: dict[str, Any] | None = None
) -> Iterator[tuple[str, ConfigurationCoordinate]]:
    """Of a hole that is captured and of an electron, from one of `vertical_energies`, by ``excited_to_ground``.

    With those of the ``smaller`` cell beside them.
    """
    charge = one["charge"]
    gains = {0: one["relaxation_of_neutral_eV"], charge: one["relaxation_of_charged_eV"]}
    others = {} if smaller is None else dict(diagrams(smaller))
    for carrier, ground in (("hole", max(0, charge)), ("electron", min(0, charge))):
        excited = charge - ground
        zero = one[f"{carrier}_zero_phonon_eV"]
        name = f"{SIGNS[excited]}_to_{SIGNS[ground]}"
        energies = (0.0, gains[ground], zero, zero + gains[excited])
        yield (
            name,
            from_four_energies(
                one["delta_q_amu_ang"],
                *energies,
                elsewhere=others.get(name),
                excited_label=f"V{RAISED[SIGNS[excited]]} + {carrier}",
                ground_label=f"V{RAISED[SIGNS[ground]]}",
                basis=(
                    f"{one['energy_theory']}, {one['atoms']} atoms, both ends of the way; images taken off by ε₀ "
                    f"{one['permittivity_static']:.1f} and ε∞ {one['permittivity_electronic']:.1f}, without that "
                    f"{one[f'{carrier}_emission_eV'] + one[f'{carrier}_images_eV']:.2f} eV vertical"
                ),
            ),
        )


def _four(results: Path, size: str, charge: int) -> dict[str, FinishedCalculation] | None:
    """Neutral and charged, each at home and away."""
    sign = SIGNS[charge]
    if size == "large":
        names = {
            "neutral": "large/V_Br1_q0_66",
            "charged": f"large/V_Br1_q{charge:+d}_66",
            "neutral away": f"large/V_Br1_q0_66_in_V{sign}",
            "charged away": f"large/V_Br1_q{charge:+d}_66_in_V0",
        }
    else:
        places = {q: _places(results / f"paths_small_0{sign}", q) for q in (0, charge)}
        names = {
            "neutral": places[0].get("0", ""),
            "charged": places[charge].get("0", ""),
            "neutral away": places[0].get("1", ""),
            "charged away": places[charge].get("1", ""),
        }
    if not all(name and (results / name / "result.json").exists() for name in names.values()):
        return None
    return {role: read_folder(results / name) for role, name in names.items()}


def _vertical(cells: dict[str, FinishedCalculation], host: ElectronicStructure, screening: Screening) -> dict[str, Any]:
    edges = band_edges(host)
    home, away = cells["neutral"].electronic_structure, cells["neutral away"].electronic_structure
    charged, charged_away = cells["charged"].electronic_structure, cells["charged away"].electronic_structure
    vacancy = cells["neutral"].vacancy
    assert vacancy is not None
    place = vacancy.position_ang
    static, electronic = screening.static, screening.electronic
    corrections = {
        "charged": extended_fnv(charged, host, place, static).energy_eV,
        "charged away": vertical_fnv(charged_away, home, host, place, static, electronic).energy_eV,
        "neutral away": vertical_fnv(away, charged, host, place, static, electronic).energy_eV,
    }
    energy = {
        "neutral": _total(home),
        "charged": _total(charged) + corrections["charged"],
        "charged away": _total(charged_away) + corrections["charged away"],
        "neutral away": _total(away) + corrections["neutral away"],
    }
    q = charged.charge
    # Of the electron that the more negative of the two has more than the other, at each geometry.
    level = q * (energy["neutral"] - energy["charged"])
    at_neutral = q * (energy["neutral"] - energy["charged away"])
    at_charged = q * (energy["neutral away"] - energy["charged"])
    negative, positive = (at_neutral, at_charged) if q > 0 else (at_charged, at_neutral)
    # What the corrections took from each of the two.
    of_neutral = q * corrections["charged away"]
    of_charged = q * (corrections["charged"] - corrections["neutral away"])
    of_hole, of_electron = (of_neutral, -of_charged) if q > 0 else (of_charged, -of_neutral)
    return {
        "energy_theory": home.energy_theory,
        "delta_q_amu_ang": delta_q(home.structure, charged.structure),
        "transition_level_above_vbm_eV": level - edges.vbm_eV,
        "gap_eV": edges.cbm_eV - edges.vbm_eV,
        "hole_zero_phonon_eV": level - edges.vbm_eV,
        "hole_emission_eV": negative - edges.vbm_eV,
        "electron_zero_phonon_eV": edges.cbm_eV - level,
        "electron_emission_eV": edges.cbm_eV - positive,
        "hole_images_eV": of_hole,
        "electron_images_eV": of_electron,
        "permittivity_static": _mean(static),
        "permittivity_electronic": _mean(electronic),
        "relaxation_of_neutral_eV": energy["neutral away"] - energy["neutral"],
        "relaxation_of_charged_eV": energy["charged away"] - energy["charged"],
        **{f"correction_{role.replace(' ', '_')}_eV": value for role, value in corrections.items()},
    }


def _mean(permittivity: Any) -> float:
    """Of a tensor, or the number itself."""
    return float(np.trace(permittivity * np.eye(3)) / 3)


def _total(cell: ElectronicStructure) -> float:
    assert cell.total_energy_eV is not None
    return cell.total_energy_eV


def _bare(screening: Screening) -> dict[str, Any]:
    return {key: value for key, value in screening.to_dict().items() if key not in ("schema", "schema_version")}


def _write(path: Path, study: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(study, indent=1, ensure_ascii=False) + "\n")
