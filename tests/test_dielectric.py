"""Dielectric tensors against measured crystals and exact models."""

import numpy as np
import pytest
from cubic import rock_salt
from pymatgen.core import IMolecule, IStructure

from midgap.defects.dielectric import FieldPoint, response_in_fields, with_vibrations
from midgap.defects.electrostatics import COULOMB_EV_ANG
from midgap.defects.vibrations import modes_of
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.dielectric import DielectricFlowMaker
from midgap.workflows.engines import engine_named

SALT = IStructure.from_sites(list(rock_salt(5.64, "Na", "Cl").get_primitive_structure()))


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


def crystal(**more):
    lithium_hydride = rock_salt(4.084, "Li", "H")
    return Model(name="LiH", material="LiH", kind="pristine", structure=lithium_hydride, **more)


def in_a_field(field=(0.0, 0.0, -0.05), model=None, **more):
    asked = {"theory": LevelOfTheory.named("pbe"), "task": "forces"} | more
    return Calculation(model=model or crystal(), electric_field_V_per_ang=field, **asked)


def test_what_fields_are_not_for():
    cp2k, gpaw = engine_named("cp2k"), engine_named("gpaw")
    cp2k.check(in_a_field())
    with pytest.raises(InputError, match="CP2K computes the forces"):
        gpaw.check(in_a_field())
    with pytest.raises(InputError, match="not asked for static in an electric field"):
        cp2k.check(in_a_field(task="static"))
    with pytest.raises(InputError, match="at Γ and with closed shells"):
        cp2k.check(in_a_field(theory=LevelOfTheory.named("pbe", kpoints=(2, 2, 2))))
    with pytest.raises(InputError, match="at Γ and with closed shells"):
        cp2k.check(in_a_field(model=crystal(charge=1)))
    with pytest.raises(InputError, match="no perfect crystal"):
        DielectricFlowMaker().make(crystal().model_copy(update={"structure": IMolecule(["H"], [[0, 0, 0]])}))


def test_the_flow_of_a_dielectric_tensor():
    """Six fields, of which the last five begin where the first ended; two displacements, by the symmetry of rock salt."""
    model = crystal().model_copy(update={"provenance": {"coordinates": "relaxed, by symmetry"}})
    flow = DielectricFlowMaker().make(model)
    fields = [job.function_args[4]["electric_field_V_per_ang"] for job in flow.jobs[:6]]
    assert np.sum(fields, axis=0) == pytest.approx(np.zeros(3))
    assert np.linalg.matrix_rank(fields) == 3
    after = [job.function_args[6] for job in flow.jobs[:6]]
    assert after[0] is None and {reference.uuid for reference in after[1:]} == {flow.jobs[0].uuid}
    assert len(flow.jobs[6].jobs) == 2 + 1
    assert len(DielectricFlowMaker(vibrations=False).make(model).jobs) == 6 + 1
