"""Models as files that other programs read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pymatgen.core import IStructure, Molecule, Structure

from midgap.structures.document import write_atomic
from midgap.structures.model import Model


def export_models(models: Iterable[Model], folder: Path | str) -> list[Path]:
    """Write each model as ``NAME.json`` and as CIF and POSCAR (periodic) or XYZ (cluster).

    Returns
    -------
    list of Path
        All files written.
    """
    folder = Path(folder)
    written: list[Path] = []
    for model in models:
        written.append(model.write(folder / f"{model.name}.json"))
        if isinstance(model.structure, IStructure):
            structure = Structure.from_sites(list(model.structure))
            written.append(write_atomic(folder / f"{model.name}.cif", str(structure.to(fmt="cif"))))
            written.append(write_atomic(folder / f"{model.name}.vasp", str(structure.to(fmt="poscar"))))
        else:
            written.append(
                write_atomic(
                    folder / f"{model.name}.xyz", str(Molecule.from_sites(list(model.structure)).to(fmt="xyz"))
                )
            )
    return written
