"""Dielectric tensors against measured crystals and exact models."""

import numpy as np
import pytest
from pymatgen.core import IStructure, Lattice

from midgap.defects.dielectric import FieldPoint, response_in_fields, with_vibrations
from midgap.defects.electrostatics import COULOMB_EV_ANG
from midgap.defects.vibrations import modes_of
from midgap.structures.errors import InputError

SALT = IStructure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
SALT = IStructure.from_sites(list(SALT.get_primitive_structure()))


def in_fields(structure, electronic, born, fields, dipole=(0.3, -0.2, 5.0)):
    """What a crystal does that answers linearly; its dipole is known up to the lattice."""
    polarised = (np.asarray(electronic) - np.eye(3)) * structure.volume / (4 * np.pi * COULOMB_EV_ANG)
    return [
        FieldPoint(
            field_V_per_ang=field,
            dipole_e_ang=np.array(dipole) + polarised @ field + (i % 2) * structure.lattice.matrix[i % 3],
            forces_eV_per_ang=0.01 + np.asarray(born) @ field,
        )
        for i, field in enumerate(np.asarray(fields, dtype=float))
    ]


def test_rock_salt_from_what_is_measured_of_it():
    """ε∞ 2.33, TO 164 cm⁻¹, ε₀ 5.90 (Kittel; Lowndes and Martin, Proc. R. Soc. A 308, 473 (1969)); Z* 1.10 by DFT."""
    charges = np.array([1.10, -1.10])[:, None, None] * np.eye(3)
    fields = 0.05 * np.concatenate([np.eye(3), -np.eye(3)])
    response = response_in_fields(SALT, in_fields(SALT, 2.33 * np.eye(3), charges, fields))
    assert response.electronic == pytest.approx(2.33 * np.eye(3), abs=1e-9)
    assert response.born_charges_e == pytest.approx(charges, abs=1e-9)
    assert response.static is None
    with pytest.raises(InputError, match="only ε∞"):
        response.screening()
    quantum, reduced = 164 / 8065.544, 22.990 * 35.45 / (22.990 + 35.45)
    spring = reduced * (quantum / 0.0646541) ** 2
    constants = spring * np.einsum("ab,ij->abij", [[1, -1], [-1, 1]], np.eye(3))
    full = with_vibrations(response, modes_of(SALT, constants))
    assert full.static == pytest.approx(5.90 * np.eye(3), abs=0.15)
    # Lyddane, Sachs and Teller: LO is measured at 264 cm⁻¹
    assert np.sqrt(full.static[0, 0] / 2.33) == pytest.approx(264 / 164, rel=0.03)
    assert full.screening().static[2][2] == pytest.approx(full.static[2, 2])


def test_a_tensor_and_charges_without_symmetry():
    cell = IStructure([[4.0, 0, 0], [0.5, 5.0, 0], [-1.0, 0.3, 6.0]], ["Cs", "Br"], [[0, 0, 0], [0.4, 0.5, 0.6]])
    tensor = np.array([[3.0, 0.2, 0.1], [0.2, 4.0, -0.3], [0.1, -0.3, 2.5]])
    one = np.array([[1.2, 0.1, 0], [0.0, 1.4, 0.2], [-0.1, 0, 0.9]])
    fields = [[0.05, 0, 0], [0, 0.05, 0], [0.02, 0, 0.05], [0, 0, 0]]
    points = in_fields(cell, tensor, [one, 0.04 * np.eye(3) - one], fields)
    found = response_in_fields(cell, points)
    assert found.electronic == pytest.approx(tensor, abs=1e-9)
    assert found.not_neutral_e == pytest.approx(0.02)
    assert found.born_charges_e.sum(axis=0) == pytest.approx(np.zeros((3, 3)), abs=1e-12)
    with pytest.raises(InputError, match="three directions"):
        response_in_fields(cell, points[:2])
    imaginary = with_vibrations(found, modes_of(cell, -np.einsum("ab,ij->abij", [[1, -1], [-1, 1]], np.eye(3))))
    assert "lower bound" in imaginary.warnings[-1]
    with pytest.raises(InputError, match="different cells"):
        with_vibrations(found, modes_of(SALT, np.zeros((2, 2, 3, 3))))
