import json

import numpy as np
import pytest
from cubic import rock_salt
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from midgap.structures.build import build_models
from midgap.structures.crystals import conventional, known_materials, load_crystal, oxidation_states, primitive
from midgap.structures.document import geometry_to_dict
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.powder import powder_pattern
from midgap.structures.supercells import image_distance_ang, most_isotropic, supercell
from midgap.structures.vacancies import inequivalent_sites, rattle


def distances(structure, one, other):
    i = [k for k, s in enumerate(structure) if s.specie.symbol == one]
    j = [k for k, s in enumerate(structure) if s.specie.symbol == other]
    d = structure.distance_matrix[np.ix_(i, j)]
    return d[d > 1e-6]


def test_cs4pbbr6_is_the_k4cdcl6_type():
    structure, provenance = load_crystal("Cs4PbBr6")
    assert structure.get_space_group_info() == ("R-3c", 167)
    assert structure.composition.formula == "Cs24 Pb6 Br36"
    # International Tables A, No. 167: the positions that K4CdCl6 (Bergerhoff & Schmitz-Dumont 1956) fills
    sites = {s.label: s.wyckoff for s in inequivalent_sites(primitive(structure))}
    assert sites == {"Cs1": "6a", "Cs2": "18e", "Pb1": "6b", "Br1": "36f"}
    assert "lattice" in provenance and "coordinates" in provenance


def test_cs4pbbr6_bonds_are_those_of_the_right_handedness():
    structure, _ = load_crystal("Cs4PbBr6")
    pb_br = np.sort(distances(structure, "Pb", "Br"))
    # six equal ligands a lead, then nothing for more than an ångström: isolated octahedra
    assert pb_br[: 6 * 6] == pytest.approx(pb_br[0], abs=1e-3)
    assert 2.9 < pb_br[0] < 3.1
    assert pb_br[36] > pb_br[0] + 1.0
    assert distances(structure, "Cs", "Br").min() > 3.5


def test_cspbbr3_is_orthorhombic():
    structure, _ = load_crystal("CsPbBr3")
    assert structure.get_space_group_info() == ("Pnma", 62)
    assert structure.composition.formula == "Cs4 Pb4 Br12"
    assert {s.wyckoff for s in inequivalent_sites(structure, "Br")} == {"4c", "8d"}
    pb_br = np.sort(distances(structure, "Pb", "Br"))
    assert pb_br[0] > 2.9 and pb_br[23] < 3.1 and pb_br[24] > 4.0


def test_every_known_material_says_where_it_comes_from():
    for name in known_materials():
        _, provenance = load_crystal(name)
        assert {"lattice", "coordinates"} <= provenance.keys()


def test_models_of_cs4pbbr6():
    models = {m.name: m for m in build_models("Cs4PbBr6", clusters=False)}
    assert list(models) == ["pristine_22", "V_Br1_q-1_22", "V_Br1_q0_22", "V_Br1_q+1_22"]
    # ΣZ: 8 Cs (55), 2 Pb (82), 12 Br (35)
    assert models["pristine_22"].n_electrons == 8 * 55 + 2 * 82 + 12 * 35
    neutral = models["V_Br1_q0_22"]
    assert neutral.n_electrons == 8 * 55 + 2 * 82 + 11 * 35
    assert neutral.unpaired_electrons == 1
    assert [models[f"V_Br1_q{q}_22"].unpaired_electrons for q in ("-1", "+1")] == [0, 0]
    vacancy = neutral.vacancy
    assert vacancy.species == "Br" and vacancy.wyckoff == "36f" and vacancy.multiplicity == 12
    host = models["pristine_22"].structure
    frac = host.lattice.get_fractional_coords(vacancy.position_ang)
    at = host.lattice.get_all_distances([frac], host.frac_coords)[0]
    assert at.min() < 1e-6 and host[int(at.argmin())].specie.symbol == "Br"


def test_labels_carry_the_charge():
    models = build_models("Cs4PbBr6", charges=(-2, 0, 1), clusters=False)
    assert [m.label for m in models[1:]] == ["V_Br²⁻ · 21 atoms", "V_Br⁰ · 21 atoms", "V_Br⁺ · 21 atoms"]


def test_conventional_cell_is_three_primitive_ones():
    pristine = build_models("Cs4PbBr6", conventional=True, clusters=False)[0]
    assert len(pristine.structure) == 66
    assert pristine.structure.lattice.abc == pytest.approx((13.73, 13.73, 17.32), abs=1e-6)


@pytest.mark.parametrize("atoms, count, distance", [(22, 22, 9.8066), (44, 44, 13.73), (88, 88, 16.8725)])
def test_most_isotropic_supercell(atoms, count, distance):
    cell = primitive(load_crystal("Cs4PbBr6")[0])
    matrix = most_isotropic(cell, atoms)
    big = supercell(cell, matrix)
    assert len(big) == count
    assert image_distance_ang(big.lattice.matrix) == pytest.approx(distance, abs=1e-3)


def test_most_isotropic_supercell_of_a_cube_is_body_centred():
    """Of all lattices of 4 cells of a cube, the body-centred one of side 2 a keeps images farthest apart: √3 a."""
    cube = Structure(Lattice.cubic(4.0), ["Cs", "Br"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    matrix = np.array(most_isotropic(cube, 8))
    assert abs(round(np.linalg.det(matrix))) == 4
    assert image_distance_ang(matrix @ cube.lattice.matrix) == pytest.approx(4 * 3**0.5, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-2, 2), min_size=9, max_size=9))
def test_supercell_keeps_density_and_neighbours(numbers):
    cell = Structure(Lattice.orthorhombic(4.0, 5.0, 6.0), ["Mg", "O"], [[0, 0, 0], [0.4, 0.5, 0.6]])
    matrix = np.array(numbers).reshape(3, 3)
    if round(np.linalg.det(matrix)) == 0:
        refused(lambda: supercell(cell, matrix), "non-zero determinant")
        return
    big = supercell(cell, matrix)
    assert len(big) == 2 * abs(round(np.linalg.det(matrix)))
    assert big.lattice.volume / len(big) == pytest.approx(cell.lattice.volume / 2)
    nearest = [min(n.nn_distance for n in big.get_neighbors(site, 6.0)) for site in big]
    assert nearest == pytest.approx([nearest[0]] * len(big), abs=1e-6)


def test_primitive_cell_stays_in_the_frame_of_the_crystal():
    structure, _ = load_crystal("Cs4PbBr6")
    cell = primitive(structure)
    assert len(cell) == 22
    frac = structure.lattice.get_fractional_coords(cell.cart_coords)
    nearest = structure.lattice.get_all_distances(frac, structure.frac_coords).min(axis=1)
    assert nearest.max() < 1e-3
    assert len(conventional(cell)) == 66


def test_oxidation_states():
    assert oxidation_states(load_crystal("Cs4PbBr6")[0]) == {"Cs": 1, "Pb": 2, "Br": -1}
    mgo = rock_salt(4.21, "Mg", "O")
    assert oxidation_states(mgo) == {"Mg": 2, "O": -2}


def test_rattle_is_reproducible_and_of_the_size_asked():
    model = build_models("Cs4PbBr6", clusters=False)[2]
    once, again, other = rattle(model, 0.05, 1), rattle(model, 0.05, 1), rattle(model, 0.05, 2)
    assert np.array_equal(once.positions_ang, again.positions_ang)
    assert not np.allclose(once.positions_ang, other.positions_ang, atol=1e-3)
    assert (once.positions_ang - model.positions_ang).std() == pytest.approx(0.05, rel=0.25)


def test_powder_pattern_obeys_bragg():
    structure, _ = load_crystal("Cs4PbBr6")
    pattern = powder_pattern(structure)
    d = pattern.wavelength_ang / (2 * np.sin(np.radians(pattern.two_theta_deg / 2)))
    assert d == pytest.approx(pattern.d_ang, rel=1e-6)
    # d(110) = a/2 in the hexagonal setting: 6.865 Å, 12.88° for Cu Kα1
    assert np.abs(pattern.two_theta_deg - 12.885).min() < 0.02


def test_any_crystal_and_any_vacancy(tmp_path):
    mgo = rock_salt(4.21, "Mg", "O")
    path = tmp_path / "MgO.cif"
    mgo.to(filename=str(path))
    models = build_models(path, species="O", max_atoms=16, charges=(0, 1, 2), clusters=False)
    assert [m.charge for m in models] == [0, 0, 1, 2]
    assert models[0].material == "MgO" and len(models[0].structure) == 16
    assert [m.unpaired_electrons for m in models] == [0, 0, 1, 0]
    for fmt in ("POSCAR", "MgO.xyz"):
        again = tmp_path / fmt
        if fmt == "POSCAR":
            mgo.to(filename=str(again), fmt="poscar")
        else:
            from ase.io import write
            from pymatgen.io.ase import AseAtomsAdaptor

            write(again, AseAtomsAdaptor.get_atoms(mgo), format="extxyz")
        assert len(primitive(load_crystal(again)[0])) == 2


def test_documents_survive_json(tmp_path):
    for model in build_models("Cs4PbBr6", clusters=False):
        path = model.write(tmp_path / "m.json")
        again = Model.read(path)
        assert again == model
        assert geometry_to_dict(again.structure)["species"] == model.species


# --- bad input: one sentence that says what, where and what to do ---


def refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_unknown_material():
    refused(lambda: load_crystal("Cs9PbBr6"), "Cs9PbBr6", "Cs4PbBr6", "CIF")
    refused(lambda: load_crystal("nonsense"), "nonsense")
    refused(lambda: load_crystal("no/such.cif"), "no such file")


def test_partial_occupancy(tmp_path):
    disordered = Structure(Lattice.cubic(5.9), ["Cs", {"Br": 0.5, "I": 0.5}], [[0, 0, 0], [0.5, 0.5, 0.5]])
    path = tmp_path / "mixed.cif"
    disordered.to(filename=str(path))
    refused(lambda: load_crystal(path), "partially occupied", "mixed.cif")


def test_overlapping_atoms(tmp_path):
    path = tmp_path / "POSCAR"
    Structure(Lattice.cubic(5.9), ["Cs", "Br"], [[0, 0, 0], [0.1, 0, 0]]).to(filename=str(path), fmt="poscar")
    refused(lambda: load_crystal(path), "0.59 Å", "overlap")


def test_not_an_element(tmp_path):
    path = tmp_path / "x.xyz"
    path.write_text('1\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3\nQq 0 0 0\n')
    refused(lambda: load_crystal(path), "x.xyz")


def test_no_lattice(tmp_path):
    path = tmp_path / "x.xyz"
    path.write_text("1\n\nHe 0 0 0\n")
    refused(lambda: load_crystal(path), "no lattice")


def test_garbage_file(tmp_path):
    path = tmp_path / "x.cif"
    path.write_bytes(bytes(range(256)))
    refused(lambda: load_crystal(path), "x.cif")


def test_absent_species():
    refused(lambda: build_models("Cs4PbBr6", species="I", clusters=False), "no I", "Cs, Pb, Br")
    refused(lambda: build_models("Cs4PbBr6", species="Xx", clusters=False), "not a chemical element")


def test_supercell_too_small():
    refused(lambda: build_models("Cs4PbBr6", max_atoms=10, clusters=False), "22 atoms")


def test_impossible_charge_and_spin():
    model = build_models("Cs4PbBr6", clusters=False)[0]
    refused(lambda: Model.from_dict(model.to_dict() | {"charge": 5000, "unpaired_electrons": 0}), "no electrons")
    refused(lambda: Model.from_dict(model.to_dict() | {"unpaired_electrons": 1}), "unpaired", "even")


def test_foreign_and_newer_files(tmp_path):
    model = build_models("Cs4PbBr6", clusters=False)[0]
    foreign, newer, broken = (tmp_path / name for name in ("foreign.json", "newer.json", "broken.json"))
    foreign.write_text(json.dumps({"schema": "other.Thing"}))
    newer.write_text(json.dumps(model.to_dict() | {"schema_version": 99}))
    broken.write_text(json.dumps(model.to_dict())[:-20])
    refused(lambda: Model.read(foreign), "foreign.json", "other.Thing")
    refused(lambda: Model.read(newer), "newer midgap", "pip install")
    refused(lambda: Model.read(broken), "not valid JSON")
    refused(lambda: Model.read(tmp_path / "none.json"), "no such file")
    refused(lambda: Model.from_dict(model.to_dict() | {"spin": 1}), "spin")
