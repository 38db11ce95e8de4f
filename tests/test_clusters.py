"""Clusters and their embedding, against geometry, Madelung constants and the formal charges of chemistry."""

from pathlib import Path

import numpy as np
import pytest
from cubic import face_centred, rock_salt, zinc_blende
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import IMolecule, IStructure, Lattice, Structure

from midgap.structures.clusters import (
    cluster_models,
    formula_unit,
    octahedron,
    vacancy_octahedron,
)
from midgap.structures.crystals import load_crystal, oxidation_states, primitive
from midgap.structures.embedding import (
    COULOMB_EV_ANG,
    Embedding,
    madelung_potentials_V,
    potential_V,
    surroundings,
    window,
)
from midgap.structures.errors import InputError
from midgap.structures.model import Model, PointCharges, Vacancy
from midgap.structures.shells import ligand_shell

RELAXED = Path(__file__).parents[2] / "shared" / "data" / "structures"
needs_relaxed = pytest.mark.skipif(not RELAXED.exists(), reason=f"no relaxed structures at {RELAXED}")

ROCK_SALT = rock_salt(5.64, "Na", "Cl")
CAESIUM_CHLORIDE = IStructure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
ZINC_BLENDE = zinc_blende(5.41, "Zn", "S")
WURTZITE = IStructure.from_spacegroup(
    "P6_3mc", Lattice.hexagonal(3.0, 3.0 * np.sqrt(8 / 3)), ["Zn", "S"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 3 / 8]]
)
PEROVSKITE = IStructure(
    Lattice.cubic(5.87),
    ["Cs", "Pb", "Br", "Br", "Br"],
    [[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]],
)


@pytest.fixture(scope="module")
def zero_d():
    return load_crystal("Cs4PbBr6")[0]


def rebuilt(cluster: Model) -> np.ndarray:
    """Potential at each atom from the cluster's formal charges and its point charges, V."""
    charges = dict(part.split() for part in cluster.provenance["formal charges"].split(", "))
    own = PointCharges(positions_ang=cluster.positions_ang, charges_e=[float(charges[s]) for s in cluster.species])
    return potential_V(cluster.embedding, cluster.positions_ang) + potential_V(own, cluster.positions_ang)


# Madelung constants, referred to the nearest distance: Sakamoto, J. Chem. Phys. 28, 164 (1958); for wurtzite with
# the ideal axial ratio, the same.
@pytest.mark.parametrize(
    ("crystal", "charge", "constant"),
    [
        (ROCK_SALT, 1, 1.7475646),
        (CAESIUM_CHLORIDE, 1, 1.7626748),
        (ZINC_BLENDE, 2, 1.6380551),
        (WURTZITE, 2, 1.6413216),
    ],
)
def test_ewald_gives_the_madelung_constants(crystal, charge, constant):
    cation, anion = dict.fromkeys(site.specie.symbol for site in crystal)
    distance = min(n.nn_distance for n in crystal.get_neighbors(crystal[0], 4.0))
    potentials = madelung_potentials_V(crystal, {cation: charge, anion: -charge})
    expected = [-constant if site.specie.symbol == cation else constant for site in crystal]
    np.testing.assert_allclose(potentials * distance / COULOMB_EV_ANG / charge, expected, atol=2e-7)


def test_ewald_agrees_with_pymatgen(zero_d):
    charges = oxidation_states(zero_d)
    structure = Structure.from_sites(list(zero_d))
    structure.add_oxidation_state_by_element(charges)
    energy = EwaldSummation(structure, acc_factor=14).total_energy
    q = np.array([charges[site.specie.symbol] for site in zero_d])
    assert 0.5 * q @ madelung_potentials_V(zero_d, charges) == pytest.approx(energy, abs=1e-4)


@given(u=st.floats(-0.5, 0.5), cells=st.integers(1, 9), ramps=st.integers(0, 3))
def test_windows_of_all_translations_add_up_and_have_moments_that_do_not_depend_on_the_site(u, cells, ramps):
    cells += 2 * ramps
    at = u + np.arange(-cells, cells + 1)
    reference = np.arange(-cells, cells + 1)
    for power in range(ramps + 1):
        here, there = (float((x**power * window(x, cells, ramps)).sum()) for x in (at, reference))
        assert here == pytest.approx(there, abs=1e-6 * cells ** (power + 1))
    assert window(at, cells, ramps).sum() == pytest.approx(cells - ramps, abs=1e-8)


def test_evjen_counts_faces_edges_and_corners_by_half():
    # 1×1×1 cell of rock salt about Na: 6 Cl on faces, 12 Na on edges, 8 Cl at corners of the conventional cell
    inside = ROCK_SALT[0].coords[None]
    charges = surroundings(ROCK_SALT, {"Na": 1, "Cl": -1}, inside, Embedding(cells=1, ramps=0))
    distance = np.linalg.norm(charges.positions_ang, axis=1) / 2.82
    for r, count, each in ((1, 6, -1 / 2), (np.sqrt(2), 12, 1 / 4), (np.sqrt(3), 8, -1 / 8)):
        here = np.isclose(distance, r)
        assert here.sum() == count
        np.testing.assert_allclose(charges.charges_e[here], each)
    assert -potential_V(charges, np.zeros(3))[0] * 2.82 / COULOMB_EV_ANG == pytest.approx(
        6 / 2 - 12 / 4 / 2**0.5 + 8 / 8 / 3**0.5
    )


@pytest.mark.parametrize(
    ("crystal", "center", "ligand", "count"),
    [
        (ROCK_SALT, "Na", "Cl", 6),
        (CAESIUM_CHLORIDE, "Cs", "Cl", 8),
        (ZINC_BLENDE, "Zn", "S", 4),
        (WURTZITE, "Zn", "S", 4),
    ],
)
def test_embedded_clusters_feel_the_potential_of_the_crystal(crystal, center, ligand, count):
    cluster = octahedron(crystal, center, ligand, embedding=Embedding(cells=9))
    assert len(cluster.structure) == count + 1
    ewald = madelung_potentials_V(crystal, oxidation_states(crystal))
    symbols = [site.specie.symbol for site in crystal]
    off = rebuilt(cluster) - [ewald[symbols.index(symbol)] for symbol in cluster.species]
    assert np.ptp(off) < 0.02  # what tells one site from another
    assert abs(off).max() < 0.3  # a constant: it moves all levels together


def test_two_ramps_mend_what_evjen_leaves_in_caesium_chloride():
    ewald = madelung_potentials_V(CAESIUM_CHLORIDE, {"Cs": 1, "Cl": -1})[0]
    inside = CAESIUM_CHLORIDE[0].coords[None]
    off = {
        ramps: potential_V(
            surroundings(CAESIUM_CHLORIDE, {"Cs": 1, "Cl": -1}, inside, Embedding(11, ramps)), np.zeros(3)
        )[0]
        - ewald
        for ramps in (0, 2)
    }
    # 2π/3 · Σ q r² / V of the cell centred on Cs, with the corner ions at (√3/2) a
    assert off[0] == pytest.approx(2 * np.pi / 3 * 0.75 / 4.12 * COULOMB_EV_ANG, rel=0.01)
    assert abs(off[2]) < 0.05


def test_the_octahedron_of_the_zero_dimensional_crystal(zero_d):
    cluster = octahedron(zero_d)
    assert cluster.species == ["Pb"] + ["Br"] * 6
    assert (cluster.charge, cluster.unpaired_electrons, cluster.kind) == (-4, 0, "cluster")
    assert cluster.n_electrons == 82 + 6 * 35 + 4
    bonds = np.linalg.norm(cluster.positions_ang[1:], axis=1)
    assert np.ptp(bonds) < 1e-6 and 2.9 < bonds[0] < 3.1
    np.testing.assert_allclose(cluster.positions_ang[0], 0, atol=1e-12)
    # the crystal is neutral: what is left of it carries the opposite charge
    assert cluster.embedding.charges_e.sum() == pytest.approx(4.0, abs=1e-9)
    nearest = np.linalg.norm(cluster.embedding.positions_ang[:, None] - cluster.positions_ang, axis=-1)
    assert nearest.min() > 3.4  # Cs-Br, not an atom counted twice
    assert octahedron(zero_d, embedding=None).embedding is None
    assert Model.from_dict(cluster.to_dict()) == cluster


@needs_relaxed
def test_the_relaxed_octahedron_has_the_published_bond():
    crystal, _ = load_crystal(RELAXED / "Cs4PbBr6_primitive_pbe250.xyz")
    np.testing.assert_allclose(np.linalg.norm(octahedron(crystal).positions_ang[1:], axis=1), 3.058, atol=5e-4)


@pytest.mark.parametrize(
    ("vacancy_charge", "charge", "unpaired"),
    [(+1, -3, 0), (0, -4, 1), (-1, -5, 0)],
)
def test_a_vacancy_leaves_a_ghost_and_its_charge(zero_d, vacancy_charge, charge, unpaired):
    whole, cluster = octahedron(zero_d), vacancy_octahedron(zero_d, vacancy_charge=vacancy_charge)
    assert cluster.species == ["Pb"] + ["Br"] * 5
    assert (cluster.charge, cluster.unpaired_electrons) == (charge, unpaired)
    assert cluster.vacancy.species == "Br" and cluster.vacancy.wyckoff == "36f"
    np.testing.assert_allclose(cluster.ghosts.cart_coords[0], cluster.vacancy.position_ang)
    missing = np.linalg.norm(whole.positions_ang - cluster.vacancy.position_ang, axis=1)
    assert missing.min() < 1e-6
    # nothing of the crystal stands where the ligand was, and the whole has the vacancy's charge
    np.testing.assert_allclose(cluster.embedding.positions_ang, whole.embedding.positions_ang)
    assert cluster.charge + cluster.embedding.charges_e.sum() == pytest.approx(vacancy_charge, abs=1e-9)
    assert Model.from_dict(cluster.to_dict()) == cluster


def test_an_oxygen_vacancy_in_magnesia():
    magnesia = rock_salt(4.21, "Mg", "O")
    cluster = vacancy_octahedron(magnesia, "Mg", "O", vacancy_charge=2)
    assert (cluster.charge, cluster.species) == (-8, ["Mg"] + ["O"] * 5)  # Mg²⁺ and five O²⁻


@needs_relaxed
# Pb-Br opposite to the vacancy, from the folder's README
@pytest.mark.parametrize(("charge", "trans_ang"), [(0, 3.99), (1, 2.85), (-1, 4.34)])
def test_a_relaxed_vacancy_keeps_its_geometry(charge, trans_ang):
    crystal, _ = load_crystal(RELAXED / "Cs4PbBr6_primitive_pbe250.xyz")
    relaxed = relaxed_vacancy(crystal, charge)
    cluster = vacancy_octahedron(crystal, vacancy_charge=charge, relaxed=relaxed)
    lead, bromine = cluster.positions_ang[0], cluster.positions_ang[1:]
    to_vacancy = cluster.vacancy.position_ang - lead
    cosines = (bromine - lead) @ to_vacancy / np.linalg.norm(bromine - lead, axis=1) / np.linalg.norm(to_vacancy)
    assert np.linalg.norm(bromine[np.argmin(cosines)] - lead) == pytest.approx(trans_ang, abs=0.006)
    assert cluster.embedding.charges_e.sum() == pytest.approx(4.0, abs=1e-9)


def relaxed_vacancy(crystal: IStructure, charge: int) -> Model:
    """The relaxed cell as a model; the missing atom is the site that no Br is near."""
    structure, _ = load_crystal(RELAXED / f"V_Br_q{charge}_primitive_pbe250.xyz")
    sites = [site.coords for site in crystal if site.specie.symbol == "Br"]
    distances = [min(n.nn_distance for n in structure.get_sites_in_sphere(site, 6.0)) for site in sites]
    return Model(
        name=f"relaxed_q{charge}",
        kind="vacancy",
        material="Cs4PbBr6",
        structure=structure,
        charge=charge,
        vacancy=Vacancy(species="Br", site="Br1", position_ang=sites[int(np.argmax(distances))]),
    )


@needs_relaxed
def test_a_relaxed_cell_of_another_crystal_is_refused():
    crystal, _ = load_crystal(RELAXED / "Cs4PbBr6_primitive_pbe250.xyz")
    relaxed = relaxed_vacancy(crystal, 0)
    with pytest.raises(InputError, match="no Br beside a Pb"):
        vacancy_octahedron(PEROVSKITE, relaxed=relaxed)


def test_a_cell_too_small_for_the_cluster_is_refused():
    # one cell of the perovskite: opposite Br of the octahedron are images of one atom
    vacancy = Model(
        name="tiny",
        kind="vacancy",
        material="CsPbBr3",
        structure=IStructure.from_sites(list(PEROVSKITE)[:4]),
        charge=1,
        vacancy=Vacancy(species="Br", site="Br1", position_ang=PEROVSKITE[4].coords),
    )
    with pytest.raises(InputError, match="too small for the cluster"):
        vacancy_octahedron(PEROVSKITE, vacancy_charge=1, relaxed=vacancy)


def test_the_formula_unit_is_neutral_and_of_the_lowest_energy(zero_d):
    unit = formula_unit(zero_d)
    assert unit.species == ["Cs"] * 4 + ["Pb"] + ["Br"] * 6
    assert (unit.charge, unit.embedding) == (0, None)
    lead = unit.positions_ang[4]
    np.testing.assert_allclose(lead, 0, atol=1e-12)
    distances = np.linalg.norm(unit.positions_ang[:4], axis=1)
    np.testing.assert_allclose(distances[:2], 17.32 / 4, atol=1e-6)  # Cs1 on the axis, a quarter of c away
    # the two Cs2 stand opposite to each other: that is where like charges go
    assert np.linalg.norm(unit.positions_ang[2] + unit.positions_ang[3]) < 1e-6


def test_three_dimensional_crystals_are_told_apart(zero_d):
    assert "6 of the 6 Br" in octahedron(PEROVSKITE).provenance["caution"]
    assert "caution" not in octahedron(zero_d).provenance
    unit = formula_unit(PEROVSKITE)
    assert (unit.charge, unit.species.count("Cs")) == (0, 4)


def test_the_same_cluster_from_any_cell(zero_d):
    one = octahedron(zero_d)
    other = octahedron(IStructure.from_sites(list(primitive(zero_d) * (2, 1, 1))))
    assert other.charge == one.charge
    np.testing.assert_allclose(
        sorted(np.linalg.norm(one.positions_ang, axis=1)),
        sorted(np.linalg.norm(other.positions_ang, axis=1)),
        atol=1e-6,
    )


def test_a_distorted_shell_ends_at_its_gap():
    stretched = IStructure(Lattice.tetragonal(5.5, 6.9), PEROVSKITE.species, PEROVSKITE.frac_coords)
    shell = ligand_shell(stretched, 1, "Br")
    assert len(shell) == 6
    distances = [np.linalg.norm(ion.position_ang) for ion in shell]
    np.testing.assert_allclose(distances, [2.75] * 4 + [3.45] * 2)
    assert len(ligand_shell(stretched, 1, "Br", cutoff_ang=3.0)) == 4


def test_a_shell_without_an_end_is_refused():
    # on an Archimedean spiral in space, each ligand 5 % farther than the last
    radii, angles = 2.8 * 1.05 ** np.arange(22), 2.4 * np.arange(22)
    height = 1 - (2 * np.arange(22) + 1) / 22
    flat = np.sqrt(1 - height**2)
    ligands = radii[:, None] * np.stack([flat * np.cos(angles), flat * np.sin(angles), height], axis=1)
    cloud = IStructure(
        Lattice.cubic(40), ["Pb"] + ["Br"] * 22, np.vstack([np.zeros(3), ligands]), coords_are_cartesian=True
    )
    with pytest.raises(InputError, match="cutoff_ang"):
        ligand_shell(cloud, 0, "Br")
    assert len(ligand_shell(cloud, 0, "Br", cutoff_ang=3.0)) == 2


def test_all_clusters_of_a_build(zero_d):
    models = cluster_models(zero_d, "Cs4PbBr6", "Br", (-1, 0, 1), {"source": "here"})
    assert [m.charge for m in models] == [-4, -5, -4, -3, 0]
    assert len({m.name for m in models}) == 5
    assert all(m.provenance["source"] == "here" and m.material == "Cs4PbBr6" for m in models)
    arms = 0.2513 * np.concatenate([np.eye(3), -np.eye(3)])
    double = face_centred(
        11.25,
        ("Cs", [0.25] * 3),
        ("Cs", [0.75] * 3),
        ("Ag", [0.5] * 3),
        ("Bi", [0] * 3),
        *(("Br", arm) for arm in arms),
    )
    elpasolite = cluster_models(double, "Cs2AgBiBr6", "Br", (0,), {})
    assert elpasolite[0].species[0] == "Bi" and elpasolite[0].charge == -3  # Bi³⁺, not Ag⁺
    assert elpasolite[2].charge == 0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda c: octahedron(c, "Sn"), "no Sn .* to be the centre"),
        (lambda c: octahedron(c, "Pb9"), "no Pb9"),
        (lambda c: octahedron(c, ligand="I"), "no I .* to be a ligand"),
        (lambda c: octahedron(c, charges_e={"Cs": 1, "Pb": 4, "Br": -1}), "give charges that balance"),
        (lambda c: octahedron(c, charges_e={"Cs": 1, "Pb": 2}), "No formal charge is given for Br"),
        (lambda c: octahedron(c, charges_e={"Cs": 0.9, "Pb": 2.4, "Br": -1.0}), "give whole ones"),
        (lambda c: octahedron(c, cutoff_ang=2.0), "within 2 Å"),
        (lambda c: octahedron(c, cutoff_ang=9.5, embedding=Embedding(5)), "use cells="),
        (lambda c: octahedron(c, embedding=Embedding(4, 2)), "no room"),
        (lambda c: vacancy_octahedron(c, missing="Br7"), "there are Br1"),
        (lambda c: octahedron(IMolecule(["Pb", "Br"], [[0, 0, 0], [0, 0, 3]])), "has no lattice"),
        (lambda c: octahedron(IStructure(c.lattice, ["Pb", "Br"], [[0, 0, 0], [0, 0, 0.02]])), "overlap"),
    ],
)
def test_what_cannot_be_cut_is_told_in_a_sentence(zero_d, call, match):
    with pytest.raises(InputError, match=match) as caught:
        call(zero_d)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_only_vacancies_and_clusters_say_which_atom_is_missing():
    hole = Vacancy(species="Cl", site="Cl1", position_ang=[0, 0, 0])
    with pytest.raises(ValueError, match="no missing atom"):
        Model(name="x", kind="pristine", material="NaCl", structure=ROCK_SALT, vacancy=hole)
