"""Models as files that other programs read."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import numpy as np
from pymatgen.core import IStructure, Molecule, Structure

from midgap.structures.document import FloatArray, write_atomic
from midgap.structures.model import Model


def export_models(models: Iterable[Model], folder: Path | str) -> list[Path]:
    """Write each model as ``NAME.json`` and as CIF and POSCAR (periodic) or XYZ (cluster).

    Returns
    -------
    list of Path
        All files written.
    """
    from pymatgen.io.cif import CifWriter

    folder = Path(folder)
    written: list[Path] = []
    for model in models:
        written.append(model.write(folder / f"{model.name}.json"))
        if isinstance(model.structure, IStructure):
            writer = CifWriter(Structure.from_sites(list(model.structure)))
            written.append(write_atomic(folder / f"{model.name}.cif", str(writer)))
            written.append(write_atomic(folder / f"{model.name}.vasp", poscar(model.structure)))
        else:
            written.append(
                write_atomic(
                    folder / f"{model.name}.xyz", str(Molecule.from_sites(list(model.structure)).to(fmt="xyz"))
                )
            )
    return written


def poscar(structure: IStructure) -> str:
    """A crystal as POSCAR, its atoms in the order they have.

    By ASE: pymatgen's writer looks through all atoms again for each one.
    """
    from ase import Atoms
    from ase.io.vasp import write_vasp

    symbols = [site.specie.symbol for site in structure]
    atoms = Atoms(symbols, cell=structure.lattice.matrix, scaled_positions=structure.frac_coords, pbc=True)
    text = StringIO()
    write_vasp(text, atoms, direct=True)
    return text.getvalue()


def cif(
    structure: IStructure, what: str, charge: int = 0, missing: str = "", position_ang: FloatArray | None = None
) -> str:
    """A crystal as CIF; where an atom is missing, its place is marked by a dummy site ``X`` of occupancy 0.

    CIF has no word for a vacancy. A site of the missing element itself with occupancy 0 would be an atom to readers
    that pass over occupancies (ASE does); a dummy is none to any, and pymatgen leaves it out by itself.

    Parameters
    ----------
    what, charge
        In a few words, and that of the cell in e; CIF has no items for them, so they stand in comments.
    missing, position_ang
        Element that is not there, and where it was, Cartesian, shape (3,), Å.
    """
    from pymatgen.io.cif import CifWriter

    writer = CifWriter(Structure.from_sites(list(structure)))
    said = [what, f"charge of the cell: {charge:+d} e" if charge else "the cell is neutral"]
    if missing and position_ang is not None:
        (block,) = writer.cif_file.data.values()
        x, y, z = np.mod(structure.lattice.get_fractional_coords(position_ang), 1.0)
        dummy = {
            "_atom_site_type_symbol": "X",
            "_atom_site_label": f"V_{missing}",
            "_atom_site_symmetry_multiplicity": "1",
            "_atom_site_fract_x": f"{x:.8f}",
            "_atom_site_fract_y": f"{y:.8f}",
            "_atom_site_fract_z": f"{z:.8f}",
            "_atom_site_occupancy": "0",
        }
        for name, value in dummy.items():
            block.data[name] = [*block.data[name], value]
        said.append(f"site V_{missing} (type X, occupancy 0) is no atom: it marks where {missing} is missing")
    comments = "".join(f"# {' '.join(line.split())}\n" for line in said)
    return comments.encode("ascii", "replace").decode() + str(writer)  # CIF 1.1 is ASCII
