"""Emission of a model defect whose diagram is known, and the flows that compute one."""

import numpy as np
import pytest
from cubic import rock_salt, zinc_blende
from pymatgen.core import IStructure, Lattice

from midgap.defects.configuration_coordinate import ConfigurationCoordinate, curvature
from midgap.defects.corrections import image_correction, vertical
from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.electrostatics import dielectric_tensor, periodic_potential_V
from midgap.defects.emission import Host, PathPoint, Screening, emission_diagram
from midgap.defects.vibrations import Modes
from midgap.structures.build import periodic_models
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.emission import EmissionFlowMaker
from midgap.workflows.engines import engine_named
from midgap.workflows.execution import run
from midgap.workflows.flows import LevelFlowMaker
from midgap.workflows.local import run_flow
from midgap.workflows.phonons import PhononFlowMaker

EDGE, STATIC, ELECTRONIC = 10.0, 9.0, 3.0
LATTICE = EDGE * np.eye(3)
GRID = np.stack(np.meshgrid(*[np.arange(4) / 4] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
MOVED = 0.3
VBM, CBM = 1.5, 5.0
GROUND_EV, EXCITED_EV = 0.050, 0.060


def cell(charge, fraction, potentials, energy, host=False):
    frac = GRID.copy() if host else GRID[1:].copy()
    if not host:
        # Two atoms that move against each other leave the centre of mass where it is.
        frac[20] += [MOVED * fraction / EDGE, 0, 0]
        frac[21] -= [MOVED * fraction / EDGE, 0, 0]
    return ElectronicStructure(
        structure=IStructure(Lattice(LATTICE), ["Na"] * len(frac), frac),
        theory=LevelOfTheory.named("pbe"),
        provenance=Provenance(engine="gpaw"),
        charge=charge,
        kpoints_frac=np.zeros((1, 3)),
        k_weights=[1.0],
        eigenvalues_eV=[[[VBM, CBM]]],
        occupations=[[[1.0, 0.0]]],
        n_electrons=2,
        site_potentials_eV=potentials,
        total_energy_eV=energy,
    )


def charge_field(charge, dielectric, structure):
    return -charge * periodic_potential_V(LATTICE, dielectric_tensor(dielectric), structure.cart_coords)


LENGTH = MOVED * np.sqrt(2 * 22.98977)


def known_points(state, charge, other, minimum_eV, phonon, shift):
    """Energies as a supercell would give them: those of the isolated defect, and what images and zero add."""
    points = []
    for place in (-0.2, 0.0, 0.2, 0.5, 1.0):
        along = place if state == "ground" else 1.0 - place
        isolated = minimum_eV + 0.5 * curvature(phonon) * (place * LENGTH) ** 2
        relaxed_for = charge + place * (other - charge)
        spurious = image_correction(LATTICE, vertical(relaxed_for, charge - relaxed_for, STATIC, ELECTRONIC))
        empty = cell(charge, along, None, None).structure
        own = charge_field(relaxed_for, STATIC, empty) + charge_field(charge - relaxed_for, ELECTRONIC, empty)
        energy = isolated - spurious.image_term_eV - charge * shift
        points.append(PathPoint(fraction=place, electronic_structure=cell(charge, along, own + shift, energy)))
    return points


@pytest.mark.parametrize(("excited_charge", "carrier_eV"), [(1, CBM), (-1, -VBM)])
def test_images_and_potential_zeros_leave_no_trace(excited_charge, carrier_eV):
    ground = known_points("ground", 0, excited_charge, -20.0, GROUND_EV, 0.4)
    excited = known_points("excited", excited_charge, 0, -21.0, EXCITED_EV, 0.4)
    host = Host(
        electronic_structure=cell(0, 0, np.zeros(64), 0.0, host=True), vbm_eV=VBM, cbm_eV=CBM, uncertainty_eV=0.1
    )
    screening = Screening(static=STATIC, electronic=ELECTRONIC)
    found = emission_diagram(ground, excited, host, np.zeros(3), screening)
    assert found.delta_q == pytest.approx(LENGTH, rel=1e-5)
    assert found.energy_difference_eV == pytest.approx(-1.0 + carrier_eV, abs=1e-6)
    assert found.ground.phonon_eV == pytest.approx(GROUND_EV, rel=1e-4)
    assert found.excited.phonon_eV == pytest.approx(EXCITED_EV, rel=1e-3)
    relaxation = 0.5 * curvature(GROUND_EV) * LENGTH**2
    assert found.emission_eV == pytest.approx(-1.0 + carrier_eV - relaxation, abs=1e-4)
    assert found.uncertainty_eV == pytest.approx(0.1, rel=0.05)
    assert ConfigurationCoordinate.from_dict(found.to_dict()) == found
    bare = emission_diagram(ground, excited, host, np.zeros(3))
    assert any("not corrected" in warning for warning in bare.warnings)
    assert abs(bare.energy_difference_eV - found.energy_difference_eV) > 0.1


def test_diagrams_that_cannot_be_are_refused():
    ground = known_points("ground", 0, 1, -20.0, GROUND_EV, 0.0)
    excited = known_points("excited", 1, 0, -21.0, EXCITED_EV, 0.0)
    host = Host(electronic_structure=cell(0, 0, np.zeros(64), 0.0, host=True), vbm_eV=VBM, cbm_eV=CBM)
    with pytest.raises(InputError, match="1 is missing"):
        emission_diagram(ground[:-1], excited, host, np.zeros(3))
    with pytest.raises(InputError, match="differ by the one carrier"):
        emission_diagram(ground, ground, host, np.zeros(3))


def magnesia(matrix):
    return periodic_models(rock_salt(4.25, "Mg", "O").get_primitive_structure(), matrix, "MgO", "O", (0, 1), {})


def test_the_flow_of_an_emission():
    """Two relaxations, and each state at each place; models that do not fit are refused before anything runs."""
    pristine, neutral, charged = magnesia(((1, 0, 0), (0, 1, 0), (0, 0, 2)))
    maker = EmissionFlowMaker(
        levels=LevelFlowMaker(theory=LevelOfTheory.named("pbe")), screening=Screening(static=9.8, electronic=3.0)
    )
    flow = maker.make(neutral, charged, pristine)
    assert [job.name for job in flow.jobs] == [f"{neutral.name} relax", f"{charged.name} relax", "points on the way"]
    moved = charged.at(charged.positions_ang + np.array([[0.1, 0, 0], [-0.1, 0, 0], [0, 0, 0]]))
    points = maker.between(neutral, moved, pristine)
    *statics, host, diagram = points.jobs
    assert len(statics) == 10 and diagram.metadata["task"] == "emission" and host.metadata["model"] == pristine.name
    names = [job.metadata["model"] for job in statics]
    assert len(set(names)) == 10
    geometry = {name: Model.from_dict(job.function_args[0]) for name, job in zip(names, statics, strict=True)}
    np.testing.assert_allclose(
        geometry[f"{neutral.name}_x1.00"].positions_ang, geometry[f"{charged.name}_x0.00"].positions_ang, atol=1e-9
    )
    assert {model.charge for model in geometry.values()} == {0, 1}
    for wrong in ((neutral, neutral, pristine), (neutral, charged, neutral), (pristine, charged, pristine)):
        with pytest.raises(InputError):
            maker.make(*wrong)


def silicon():
    cell = zinc_blende(5.469, "Si", "Si").get_primitive_structure()
    return Model(name="Si_2", kind="pristine", material="Si", structure=cell)


def phonons(**theory):
    theory = LevelOfTheory.named("pbe", **theory)
    return PhononFlowMaker(levels=LevelFlowMaker(theory=theory, relax=False))


@pytest.mark.engine("gpaw")
def test_the_raman_line_of_silicon(tmp_path):
    """520.2 cm⁻¹ = 64.50 meV, threefold (Parker, Feldman and Ashkin, Phys. Rev. 155, 712 (1967)); PBE within 4 %."""
    flow = phonons(cutoff_eV=200.0, kpoints=(3, 3, 3)).make(silicon())
    modes = Modes.from_dict(run_flow(flow, tmp_path, cores=1).output)
    assert modes.stable and len(modes.energies_eV) == 3
    assert np.ptp(modes.energies_eV) < 1e-6
    assert modes.energies_eV == pytest.approx(0.06450, rel=0.04)
    # Going on in the same folder computes nothing again.
    again = run_flow(flow, tmp_path, cores=1)
    assert Modes.from_dict(again.output) == modes


@pytest.mark.engine("cp2k")
def test_forces_of_cp2k_are_the_slope_of_its_energy(tmp_path):
    start = silicon()
    way = np.array([[0.0, 0.0, 0.0], [0.8, 0.6, 0.0]])
    basis = {"basis": "SZV-MOLOPT-SR-GTH", "cutoff_Ry": 120, "rel_cutoff_Ry": 30, "site_potentials": False}

    def computed(step):
        model = start.at(start.positions_ang + (0.1 + step) * way)
        settings = basis | {"eps_scf": 1e-7}
        asked = Calculation(model=model, theory=LevelOfTheory.named("pbe"), task="forces", engine_settings=settings)
        return run(asked, "cp2k", tmp_path / f"{step}")

    low, high = computed(-0.01), computed(0.01)
    mean = (low.forces_eV_per_ang + high.forces_eV_per_ang) / 2
    assert np.abs(mean.sum(axis=0)).max() < 1e-3
    assert (mean * way).sum() == pytest.approx((low.total_energy_eV - high.total_energy_eV) / 0.02, rel=0.005)


def test_forces_are_asked_only_of_engines_that_give_them():
    asked = Calculation(model=silicon(), theory=LevelOfTheory.named("pbe"), task="forces")
    engine_named("gpaw").check(asked)
    with pytest.raises(InputError, match="PBE here"):
        engine_named("gpaw").check(asked.model_copy(update={"theory": LevelOfTheory.named("hse06")}))
    with pytest.raises(InputError, match=r"forces here; use gpaw or cp2k"):
        engine_named("vasp").check(asked)
    with pytest.raises(InputError, match="cluster"):
        from pymatgen.core import IMolecule

        phonons().make(Model(name="He", kind="cluster", material="He", structure=IMolecule(["He"], [[0, 0, 0]])))
