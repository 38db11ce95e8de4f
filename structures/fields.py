"""What fields of documents hold beside plain JSON: numpy arrays and pymatgen geometries, both ways."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pymatgen.core import Element, IMolecule, IStructure, Lattice


def _frozen_array(value: Any, dtype: type) -> np.ndarray:
    try:
        array: np.ndarray = np.array(value, dtype=dtype)
    except (TypeError, OverflowError, RecursionError):
        raise ValueError("not an array of numbers") from None
    array.setflags(write=False)
    return array


def _plain(array: np.ndarray) -> Any:
    """Nested lists; NaN and infinity, which JSON has no word for, become null."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return np.where(np.isfinite(array), array.astype(object), None).tolist()  # type: ignore[call-overload]
    return array.tolist()


def _array_type(dtype: type) -> Any:
    return Annotated[
        np.ndarray,
        BeforeValidator(lambda value: _frozen_array(value, dtype)),
        PlainSerializer(_plain),
        WithJsonSchema({"type": "array", "items": {"type": ["array", "number", "null"]}}),
    ]


FloatArray = _array_type(float)
IntArray = _array_type(int)


FARTHEST_ANG = 1e6
"""No atom of a model is farther from the origin."""


def geometry_to_dict(geometry: IStructure | IMolecule) -> dict[str, Any]:
    """Species and Cartesian positions in Å, with the lattice rows if there is one."""
    lattice = geometry.lattice.matrix.tolist() if isinstance(geometry, IStructure) else None
    return {
        "lattice_ang": lattice,
        "species": [str(site.specie.symbol) for site in geometry],
        "positions_ang": np.asarray(geometry.cart_coords, dtype=float).tolist(),
    }


def geometry_from_dict(data: Any) -> IStructure | IMolecule:
    """The inverse of `geometry_to_dict`; pymatgen objects pass through as immutable copies."""
    if isinstance(data, IStructure):
        return IStructure.from_sites([s for s in data]) if type(data) is not IStructure else data
    if isinstance(data, IMolecule):
        return IMolecule.from_sites([s for s in data]) if type(data) is not IMolecule else data
    if not isinstance(data, dict) or not {"species", "positions_ang"} <= data.keys():
        raise ValueError("a geometry needs species and positions_ang (and lattice_ang if periodic)")
    species, rows = data["species"], data.get("lattice_ang")
    if not isinstance(species, list | tuple) or not all(map(_is_element, species)):
        raise ValueError("species are not a list of elements")
    positions = _frozen_array(data["positions_ang"], float).reshape(-1, 3)
    if len(positions) != len(species):
        raise ValueError(f"there are {len(species)} species, but {len(positions)} positions")
    if not (abs(positions) < FARTHEST_ANG).all():
        raise ValueError("a position is not a finite number of Å")
    if rows is None:
        return IMolecule(species, positions)  # type: ignore[arg-type]
    lattice = _frozen_array(rows, float)
    if lattice.shape != (3, 3) or not (abs(lattice) < FARTHEST_ANG).all() or not abs(np.linalg.det(lattice)) > 1e-3:
        raise ValueError("the lattice vectors span no volume")
    return IStructure(Lattice(lattice), species, positions, coords_are_cartesian=True)  # type: ignore[arg-type]


def _is_element(symbol: Any) -> bool:
    return isinstance(symbol, str) and Element.is_valid_symbol(symbol)


_VECTORS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}}
_GEOMETRY_SCHEMA = {
    "type": "object",
    "description": "Atoms in Cartesian coordinates; lattice_ang has the lattice vectors as rows, null is a cluster.",
    "properties": {
        "lattice_ang": {"anyOf": [_VECTORS | {"minItems": 3, "maxItems": 3}, {"type": "null"}], "default": None},
        "species": {"type": "array", "items": {"type": "string"}},
        "positions_ang": _VECTORS,
    },
    "required": ["species", "positions_ang"],
}

Geometry = Annotated[
    IStructure | IMolecule,
    BeforeValidator(geometry_from_dict),
    PlainSerializer(geometry_to_dict),
    WithJsonSchema(_GEOMETRY_SCHEMA),
]
