"""Atoms of a defect cell and of the pristine one are paired as SciPy's assignment pairs them, and as fast in large cells."""

import numpy as np
import pytest
from pymatgen.core import IStructure, Lattice
from pymatgen.io.vasp import Poscar
from scipy.optimize import linear_sum_assignment

from midgap.defects import site
from midgap.structures.export import poscar

SPECIES = ["Cs"] * 5 + ["Br"] * 9


def moved_apart(seed: int, move_ang: float, shear_ang: float, lacking: bool) -> tuple[IStructure, IStructure]:
    """A random crystal, and the same with its atoms moved, in other cells, in another order and perhaps without one."""
    rng = np.random.default_rng(seed)
    lattice = Lattice(np.diag([9.0, 10.0, 11.0]) + rng.normal(size=(3, 3)) + [[0, 0, 0], [shear_ang, 0, 0], [0, 0, 0]])
    frac = rng.uniform(size=(len(SPECIES), 3))
    away = lattice.get_fractional_coords(rng.normal(scale=move_ang, size=frac.shape)) + rng.integers(-1, 2, frac.shape)
    order = rng.permutation(len(SPECIES))[int(lacking) :]
    return IStructure(lattice, SPECIES, frac), IStructure(lattice, [SPECIES[i] for i in order], (frac + away)[order])


@pytest.mark.parametrize("move_ang", [0.02, 0.3, 2.0])
@pytest.mark.parametrize("shear_ang", [0.0, 35.0])
@pytest.mark.parametrize("lacking", [False, True])
def test_pairs_are_those_of_the_assignment_over_all_distances(move_ang, shear_ang, lacking):
    for seed in range(4):
        for one, other in (structures := moved_apart(seed, move_ang, shear_ang, lacking)), structures[::-1]:
            found = site._pairs(one, other)
            wanted = []
            for symbol in ("Br", "Cs"):
                rows, columns = ([i for i, atom in enumerate(s) if atom.specie.symbol == symbol] for s in (one, other))
                distances = one.lattice.get_all_distances(one.frac_coords[rows], other.frac_coords[columns])
                chosen = zip(*linear_sum_assignment(distances**2), strict=True)
                wanted += [(rows[r], columns[c], distances[r, c]) for r, c in chosen]
            assert [pair[:2] for pair in sorted(found)] == [pair[:2] for pair in sorted(wanted)]
            np.testing.assert_allclose([p[2] for p in sorted(found)], [p[2] for p in sorted(wanted)], atol=1e-9)


def test_atoms_that_moved_little_are_paired_without_a_table_of_all_distances(monkeypatch):
    one, other = moved_apart(0, 0.02, 35.0, lacking=True)
    monkeypatch.setattr(site, "_distances", None)
    assert len(site._pairs(one, other)) == len(SPECIES) - 1


def test_a_poscar_holds_the_crystal_as_pymatgen_reads_it():
    structure, _ = moved_apart(1, 0.1, 35.0, lacking=False)
    back = Poscar.from_str(poscar(structure)).structure
    assert [atom.specie.symbol for atom in back] == SPECIES
    np.testing.assert_allclose(back.lattice.matrix, structure.lattice.matrix, atol=1e-12)
    np.testing.assert_allclose(back.frac_coords, structure.frac_coords, atol=1e-12)
