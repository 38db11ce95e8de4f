"""How strongly the motion after a hole is caught couples the level to the valence band, from GPAW's wavefunctions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from results import finished

from midgap.defects.configuration_coordinate import delta_q
from midgap.defects.parsers.gpaw_overlaps import coupling


def couplings(stage: Path) -> list[dict[str, Any]]:
    """W of each charge state whose wavefunctions the stage left in its own geometry and beside it.

    The carrier is in the highest filled band below the level, in the level's own spin channel.
    """
    found: dict[str, dict[float, Any]] = {}
    for folder, result in finished(stage):
        name, _, place = result.model.name.rpartition("_x")
        found.setdefault(name, {})[float(place)] = (folder / "wavefunctions.gpw", result)
    rows = []
    for places in found.values():
        if 0.0 not in places or len(places) < 2:
            continue
        here, own = places.pop(0.0)
        cell = own.electronic_structure
        assert cell is not None
        there = []
        for place, (path, result) in sorted(places.items()):
            away = delta_q(cell.structure, result.electronic_structure.structure)
            there.append((away if place > 0 else -away, path))
        level = cell.first_band + int(cell.filled(0))
        one = coupling(here, there, level - 1, level)
        rows.append(
            {
                "charge": cell.charge,
                "atoms": len(cell.structure),
                "theory": cell.theory.label,
                "volume_ang3": round(cell.structure.volume, 2),
                "displacements_amu_ang": [round(q, 3) for q, _ in there],
                **{key: value for key, value in one.to_dict().items() if not key.startswith("schema")},
            }
        )
    return rows
