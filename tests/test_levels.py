"""Levels of model systems whose answer is known by construction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import IStructure, Lattice

from midgap.defects.band_edges import band_edges
from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.levels import identify_levels
from midgap.defects.localization import participation_ratio
from midgap.defects.site import find_defect
from midgap.structures.errors import InputError
from midgap.structures.model import Vacancy
from midgap.structures.theory import LevelOfTheory

SIDE = 12.0
LATTICE = Lattice.cubic(SIDE)
# a rock-salt cube of 8: Pb on the even corners, Br on the odd ones
GRID = np.array([[i, j, k] for i in (0, 0.5) for j in (0, 0.5) for k in (0, 0.5)])
SPECIES = ["Pb" if round(2 * p.sum()) % 2 == 0 else "Br" for p in GRID]
VALENCE, CONDUCTION = 4, 4


def host(theory="pbe", shift=0.0, deep=0):
    """Four filled bands on Br at -1...0 eV, four empty ones on Pb at 3...4 eV, each spread over its sublattice."""
    sites = len(GRID)
    anion = np.array([s == "Br" for s in SPECIES], dtype=float)
    energies = np.concatenate([np.linspace(-1, 0, VALENCE), np.linspace(3, 4, CONDUCTION)])
    weights = np.array([anion / anion.sum()] * VALENCE + [(1 - anion) / (sites - anion.sum())] * CONDUCTION)
    return make(
        GRID, SPECIES, energies[None] + shift, weights[None], 2.0 * VALENCE, np.full(sites, 10.0) + shift, theory
    )


def make(frac, species, energies, weights, electrons, potentials, theory="pbe", moment=0.0, spinor=False, charge=0):
    n_spin, n_band = energies.shape
    return ElectronicStructure(
        structure=IStructure(LATTICE, species, frac),
        theory=LevelOfTheory.named(theory),
        provenance=Provenance(engine="gpaw"),
        charge=charge,
        spinor=spinor,
        kpoints_frac=np.zeros((1, 3)),
        k_weights=[1.0],
        eigenvalues_eV=energies[:, None, :],
        occupations=np.zeros((n_spin, 1, n_band)),
        site_weights=weights[:, None],
        n_electrons=electrons,
        magnetization_muB=moment,
        site_potentials_eV=potentials,
    )


def defect(level=2.0, electrons=1, shift=0.0, on=0.8):
    """The host without its last Br: one band less, and a level on the Pb beside the vacancy in each spin channel."""
    gone = max(i for i, s in enumerate(SPECIES) if s == "Br")
    keep = [i for i in range(len(GRID)) if i != gone]
    species = [SPECIES[i] for i in keep]
    frac = GRID[keep]
    vacancy = Vacancy(species="Br", site="Br1", position_ang=LATTICE.get_cartesian_coords(GRID[gone]))
    beside = LATTICE.get_all_distances([GRID[gone]], frac)[0] < 6.5
    cations = beside & np.array([s == "Pb" for s in species])
    anion = np.array([s == "Br" for s in species], dtype=float)
    there = on * cations / cations.sum() + (1 - on) * (~cations) / (~cations).sum()
    band = [anion / anion.sum()] * VALENCE
    empty = [(1 - anion) / (1 - anion).sum()] * CONDUCTION
    up = np.concatenate([np.linspace(-1, 0, VALENCE), [level], np.linspace(3, 4, CONDUCTION)])
    down = np.concatenate([np.linspace(-1, 0, VALENCE), [level + 0.5], np.linspace(3, 4, CONDUCTION)])
    weights = np.array([[*band, there, *empty]] * 2)
    structure = make(
        frac, species, np.array([up, down]) + shift, weights, 2.0 * VALENCE + electrons, np.full(len(keep), 10.0) + shift,
        moment=float(electrons % 2), charge=1 - electrons,
    )  # fmt: skip
    return structure, vacancy


def test_edges_by_electron_count():
    edges = band_edges(host())
    assert (edges.vbm_eV, edges.cbm_eV, edges.gap_eV) == pytest.approx((0.0, 3.0, 3.0))
    assert edges.direct and not edges.metallic


def test_one_electron_a_state_for_spinors():
    one = host()
    doubled = np.repeat(one.eigenvalues_eV[:, 0], 2, axis=1)
    weights = np.repeat(one.site_weights[:, 0], 2, axis=1)
    spinors = make(GRID, SPECIES, doubled, weights, 2.0 * VALENCE, None, "pbe+soc", spinor=True)
    assert band_edges(spinors).gap_eV == pytest.approx(3.0)
    assert spinors.filled(0) == 2 * VALENCE


def test_odd_electrons_without_spin_are_half_filled():
    structure = host().model_copy(update={"n_electrons": 2.0 * VALENCE + 1})
    edges = band_edges(structure)
    assert edges.half_filled and edges.metallic
    assert any("spin polarisation" in w for w in identify_levels(structure).warnings)


def test_a_closed_gap_is_no_gap():
    one = host()
    energies = one.eigenvalues_eV[:, 0].copy()
    energies[0, VALENCE:] -= 3.5
    # bands cross: what was the lowest empty state lies below the highest filled one at another k-point
    two = ElectronicStructure.model_validate(
        one.model_dump()
        | {
            "kpoints_frac": [[0, 0, 0], [0.5, 0, 0]],
            "k_weights": [0.5, 0.5],
            "eigenvalues_eV": np.stack([one.eigenvalues_eV[:, 0], np.sort(energies)], axis=1),
            "occupations": np.zeros((1, 2, 8)),
            "site_weights": np.repeat(one.site_weights, 2, axis=1),
        }
    )
    assert band_edges(two).gap_eV == 0.0 or band_edges(two).metallic


def test_no_empty_band_is_said():
    with pytest.raises(InputError, match="more bands"):
        band_edges(host().model_copy(update={"n_electrons": 16.0}))


def test_the_level_of_the_vacancy():
    structure, vacancy = defect(level=2.0)
    report = identify_levels(structure, host(), vacancy)
    assert report.gap_eV == pytest.approx(3.0)
    assert [(lvl.spin, lvl.kind) for lvl in report.levels] == [("up", "deep"), ("down", "deep")]
    filled, empty = report.levels
    assert (filled.above_vbm_eV, filled.below_cbm_eV) == pytest.approx((2.0, 1.0))
    assert (filled.occupation, empty.occupation) == (1.0, 0.0)
    assert filled.localization.defect_weight == pytest.approx(0.8, abs=0.01)
    # a quarter of a host conduction state sits on each Pb; three of four are beside the vacancy
    assert filled.localization.baseline_weight == pytest.approx(0.75)
    assert filled.band_index == VALENCE + 1


def test_levels_by_charge_state():
    electrons = {0: 0.0, 1: 1.0, 2: 2.0}
    for count, held in electrons.items():
        structure, vacancy = defect(electrons=count)
        if count == 2:
            structure = structure.model_copy(update={"magnetization_muB": 0.0})
        levels = identify_levels(structure, host(), vacancy).levels
        assert sum(level.occupation for level in levels) == held
    assert any("image-charge" in w for w in identify_levels(defect(electrons=0)[0], host(), vacancy).warnings)


def test_the_pristine_crystal_has_no_level():
    for theory in ("pbe", "hse06"):
        report = identify_levels(host(theory), host(theory))
        assert report.levels == ()
    # not even when it is told that something is missing there
    _, vacancy = defect()
    assert identify_levels(host(), host(), vacancy).levels == ()


def test_without_a_reference_edges_are_the_outermost_host_states():
    structure, vacancy = defect(level=2.0, on=0.98)
    report = identify_levels(structure, None, vacancy)
    assert report.gap_eV == pytest.approx(3.0)
    assert [level.kind for level in report.levels] == ["deep", "deep"]
    assert report.alignment.method == "none"


@settings(max_examples=30, deadline=None)
@given(shift=st.floats(-20, 20), reference_shift=st.floats(-20, 20), level=st.floats(0.4, 2.1))
def test_a_constant_shift_of_either_calculation_changes_nothing(shift, reference_shift, level):
    structure, vacancy = defect(level=level, shift=shift)
    report = identify_levels(structure, host(shift=reference_shift), vacancy)
    assert report.alignment.method == "site potentials"
    assert report.alignment.shift_eV == pytest.approx(shift - reference_shift, abs=1e-9)
    assert report.levels[0].above_vbm_eV == pytest.approx(level, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(7)), move=st.tuples(*[st.floats(0, 1)] * 3))
def test_order_of_atoms_and_origin_change_nothing(order, move):
    structure, vacancy = defect()
    order = list(order)
    frac = np.array([structure.structure[i].frac_coords for i in order]) + move
    moved = structure.model_copy(
        update={
            "structure": IStructure(LATTICE, [structure.structure[i].specie.symbol for i in order], frac),
            "site_weights": structure.site_weights[..., order],
            "site_potentials_eV": structure.site_potentials_eV[order],
        }
    )
    elsewhere = vacancy.model_copy(update={"position_ang": vacancy.position_ang + np.array(move) * SIDE})
    reference = host()
    reference = reference.model_copy(update={"structure": IStructure(LATTICE, SPECIES, GRID + np.array(move))})
    here, there = identify_levels(structure, host(), vacancy), identify_levels(moved, reference, elsewhere)
    assert [lvl.above_vbm_eV for lvl in here.levels] == pytest.approx([lvl.above_vbm_eV for lvl in there.levels])
    assert [lvl.localization.defect_weight for lvl in here.levels] == pytest.approx(
        [lvl.localization.defect_weight for lvl in there.levels]
    )


@settings(max_examples=20, deadline=None)
@given(electrons=st.integers(0, 2), level=st.floats(0.4, 2.1), order=st.permutations(range(3)), flip=st.booleans())
def test_order_of_k_points_and_direction_of_spin_change_nothing(electrons, level, order, flip):
    """Three k-points of unequal weight with bands that disperse; the other spin on top."""
    structure, vacancy = defect(level=level, electrons=electrons)
    if electrons == 2:
        structure = structure.model_copy(update={"magnetization_muB": 0.0})
    weights, points = np.array([0.5, 0.3, 0.2]), np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.25, 0]])
    bend = np.linspace(-0.02, 0.02, 3)[None, :, None]

    def on_mesh(one, order, flip):
        def channels(x):
            return x[::-1] if flip and x.shape[0] == 2 else x

        order = list(order)
        return ElectronicStructure.model_validate(
            one.model_dump()
            | {
                "kpoints_frac": points[order],
                "k_weights": weights[order],
                "eigenvalues_eV": (channels(one.eigenvalues_eV) + bend)[:, order],
                "occupations": np.repeat(one.occupations, 3, axis=1),
                "site_weights": np.repeat(channels(one.site_weights), 3, axis=1),
                "magnetization_muB": -one.magnetization_muB if flip else one.magnetization_muB,
            }
        )

    plain = identify_levels(on_mesh(structure, range(3), False), on_mesh(host(), range(3), False), vacancy)
    turned = identify_levels(on_mesh(structure, order, flip), on_mesh(host(), order, False), vacancy)
    assert len(plain.levels) == len(turned.levels) == 2
    swapped = {"up": "down", "down": "up"} if flip else {}
    for one, other in zip(plain.levels, turned.levels, strict=True):
        assert other.above_vbm_eV == pytest.approx(one.above_vbm_eV, abs=1e-9)
        assert (swapped.get(other.spin, other.spin), other.occupation) == (one.spin, one.occupation)
        assert other.dispersion_eV == pytest.approx(0.04)
    assert plain.bookkeeping == turned.bookkeeping


@settings(max_examples=30, deadline=None)
@given(electrons=st.integers(0, 4), level=st.floats(0.4, 2.1))
def test_electrons_are_counted_once(electrons, level):
    structure, vacancy = defect(level=level, electrons=electrons)
    structure = structure.model_copy(update={"magnetization_muB": float(electrons % 2)})
    report = identify_levels(structure, host(), vacancy)
    books = report.bookkeeping
    assert books.in_valence + books.in_levels + books.in_conduction == pytest.approx(structure.n_electrons)
    assert books.valence_states == 2 * VALENCE == books.in_valence
    assert books.in_levels == sum(lvl.occupation for lvl in report.levels if lvl.kind == "deep") == min(electrons, 2)
    assert books.in_conduction == max(0, electrons - 2)
    # what the gap's level cannot hold is a carrier in the band, and is told
    carriers = [lvl for lvl in report.levels if lvl.kind == "shallow"]
    assert sum(lvl.occupation for lvl in carriers) == max(0, electrons - 2)
    assert any("shallow donor" in w for w in report.warnings) == (electrons > 2)


def test_exchange_split_partners_know_each_other():
    up, down = identify_levels(*(lambda s, v: (s, host(), v))(*defect(level=2.0))).levels
    assert (up.partner, down.partner) == (1, 0)
    assert down.energy_eV - up.energy_eV == pytest.approx(0.5)
    # one orbital with two spins: light does not join them
    transitions = identify_levels(*(lambda s, v: (s, host(), v))(*defect(level=2.0))).transitions
    assert sorted(t.label for t in transitions) == ["CBM → level"] * 2 + ["level → VBM"] * 2
    assert [(t.label, t.emits) for t in transitions if t.upper == 0] == [("level → VBM", True)]
    assert [(t.label, t.emits) for t in transitions if t.lower == 1] == [("CBM → level", True)]


def flat_host(octahedra=4):
    """Isolated units: each has a filled state on its anion and an empty one on its cation, all degenerate."""
    lattice = Lattice.orthorhombic(8.0 * octahedra, 8.0, 8.0)
    frac = [[i / octahedra + shift / octahedra, 0, 0] for i in range(octahedra) for shift in (0.0, 0.4)]
    n = 2 * octahedra
    spread = np.zeros((2 * octahedra, n))
    spread[:octahedra, 1::2] = 1.0 / octahedra  # degenerate: any mixture will do, the engine gave this one
    spread[octahedra:, 0::2] = 1.0 / octahedra
    return ElectronicStructure(
        structure=IStructure(lattice, ["Pb", "Br"] * octahedra, frac),
        theory=LevelOfTheory.named("pbe"),
        provenance=Provenance(engine="gpaw"),
        kpoints_frac=np.zeros((1, 3)),
        k_weights=[1.0],
        eigenvalues_eV=np.concatenate([np.zeros(octahedra), np.full(octahedra, 4.0)])[None, None],
        occupations=np.zeros((1, 1, n)),
        site_weights=spread[None, None],
        n_electrons=2.0 * octahedra,
        site_potentials_eV=np.zeros(n),
    )


def broken_unit(cation_level, octahedra=4):
    """The first unit loses its anion: its cation's state moves to ``cation_level``, those of the others stay."""
    perfect = flat_host(octahedra)
    keep = [i for i in range(2 * octahedra) if i != 1]
    n_valence = octahedra - 1
    energies = np.concatenate([np.zeros(n_valence), [cation_level], np.full(octahedra - 1, 4.0)])
    weights = np.zeros((2 * octahedra - 1, len(keep)))
    weights[:n_valence, [i for i, k in enumerate(keep) if k % 2]] = 1.0 / n_valence
    weights[n_valence, 0] = 1.0
    weights[n_valence + 1 :, [i for i, k in enumerate(keep) if k % 2 == 0 and k]] = 1.0 / (octahedra - 1)
    order = np.argsort(energies, kind="stable")
    place = perfect.structure[1].coords
    structure = ElectronicStructure.model_validate(
        perfect.model_dump()
        | {
            "structure": IStructure.from_sites([perfect.structure[i] for i in keep]),
            "eigenvalues_eV": energies[order][None, None],
            "occupations": np.zeros((1, 1, len(energies))),
            "site_weights": weights[order][None, None],
            "n_electrons": 2.0 * n_valence,
            "site_potentials_eV": np.zeros(len(keep)),
        }
    )
    return structure, Vacancy(species="Br", site="Br1", position_ang=place)


def test_a_flat_band_that_gathers_at_the_defect_is_no_level():
    """All weight on one cation, as in a level; but any band of degenerate units can be gathered there."""
    structure, vacancy = broken_unit(4.1)
    assert identify_levels(structure, flat_host(), vacancy).levels == ()
    # a little below its edge it is still at the defect, and now a level
    structure, vacancy = broken_unit(3.6)
    (level,) = identify_levels(structure, flat_host(), vacancy).levels
    assert (level.kind, level.below_cbm_eV) == ("deep", pytest.approx(0.4))
    assert level.localization.at_defect and level.localization.strongest_species == "Pb"
    assert level.localization.participation_ratio == pytest.approx(1.0)


def test_a_state_in_a_band_that_the_host_cannot_gather_is_resonant():
    structure, vacancy = defect(level=3.2, on=0.99)
    wide = host()
    # the host's band is spread over the crystal: no mixture of it comes near 0.99 on three of four cations
    wide = wide.model_copy(update={"site_weights": np.full_like(wide.site_weights, 1 / 8)})
    kinds = {lvl.kind for lvl in identify_levels(structure, wide, vacancy).levels}
    assert "resonant" in kinds


def test_a_state_of_the_edge_pulled_into_the_gap_is_shallow():
    structure, vacancy = defect(level=2.9, on=0.05)
    kinds = [lvl.kind for lvl in identify_levels(structure, host(), vacancy).levels]
    assert kinds[0] == "shallow"


def test_the_defect_is_found_by_comparison():
    structure, vacancy = defect()
    found = find_defect(structure, host())
    assert (found.label, found.missing, found.added) == ("V_Br", "Br", "")
    assert found.position_ang == pytest.approx(vacancy.position_ang)
    by_hand, by_itself = identify_levels(structure, host(), vacancy), identify_levels(structure, host())
    assert by_hand.levels == by_itself.levels
    assert find_defect(host(), host()) is None

    def with_atoms(species, frac):
        n = len(species)
        return make(frac, species, np.zeros((1, 2)), np.full((1, 2, n), 1 / n), 2.0, np.zeros(n))

    swapped = list(SPECIES)
    swapped[3] = "I"
    site = find_defect(with_atoms(swapped, GRID + 0.01), host())
    assert (site.label, site.missing, site.added) == (f"I_{SPECIES[3]}", SPECIES[3], "I")
    extra = find_defect(with_atoms([*SPECIES, "Br"], np.vstack([GRID, [[0.25] * 3]])), host())
    assert (extra.label, extra.position_ang.tolist()) == ("Br_i", [3.0, 3.0, 3.0])
    with pytest.raises(InputError, match=r"more than one site.*--defect-site"):
        find_defect(with_atoms(SPECIES[:6], GRID[:6]), host())


def test_a_deep_state_elsewhere_is_told_by_its_energy_and_said_to_be_elsewhere():
    structure, vacancy = defect(level=1.5, on=0.05)
    report = identify_levels(structure, host(), vacancy)
    assert report.levels[0].kind == "deep" and report.levels[0].localization.at_defect is False
    assert any("told by energy alone" in w for w in report.warnings)


def test_half_a_kramers_pair_is_told():
    one, vacancy = defect(level=2.0, electrons=1)
    up = one.eigenvalues_eV[0]
    doubled = np.repeat(up, 2, axis=1)
    weights = np.repeat(one.site_weights[0], 2, axis=1)
    spinor = ElectronicStructure.model_validate(
        one.model_dump()
        | {
            "theory": LevelOfTheory.named("pbe+soc"),
            "spinor": True,
            "eigenvalues_eV": doubled[None],
            "occupations": np.zeros((1, *doubled.shape)),
            "site_weights": weights[None],
            "magnetization_muB": 0.0,
        }
    )
    both = make(
        GRID, SPECIES, np.repeat(host().eigenvalues_eV[:, 0], 2, axis=1), np.repeat(host().site_weights[:, 0], 2, axis=1),
        2.0 * VALENCE, np.full(8, 10.0), "pbe+soc", spinor=True,
    )  # fmt: skip
    report = identify_levels(spinor, both, vacancy)
    (level,) = report.levels
    assert (level.degeneracy, level.occupation, level.spin) == (2, 1.0, "spinor")
    assert any("degenerate states" in w for w in report.warnings)


def test_clusters_in_the_same_surroundings_share_their_zero():
    """A ligand taken out of an octahedron: its level is measured from the VBM of the intact one."""
    from pymatgen.core import IMolecule

    arms = 3.0 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])

    def cluster(ligands, energies, electrons, weights):
        return ElectronicStructure(
            structure=IMolecule(["Pb"] + ["Br"] * ligands, np.vstack([np.zeros(3), arms[:ligands]])),
            theory=LevelOfTheory.named("pbe"),
            provenance=Provenance(engine="pyscf"),
            kpoints_frac=np.zeros((1, 3)),
            k_weights=[1.0],
            eigenvalues_eV=np.array(energies)[None, None],
            occupations=np.zeros((1, 1, len(energies))),
            site_weights=np.array(weights)[None, None],
            n_electrons=electrons,
        )

    spread = [[0.3] + [0.7 / 6] * 6, [0.8] + [0.2 / 6] * 6]
    intact = cluster(6, [-5.0, 0.0], 2.0, spread)
    broken = cluster(5, [-5.5, -3.0, 0.2], 4.0, [[0.1] + [0.9 / 5] * 5, [0.99] + [0.01 / 5] * 5, [0.8] + [0.2 / 5] * 5])
    vacancy = Vacancy(species="Br", site="Br1", position_ang=arms[5])
    report = identify_levels(broken, intact, vacancy)
    assert report.alignment.method == "common zero"
    assert (report.vbm_eV, report.cbm_eV) == (-5.0, 0.0)
    assert [level.above_vbm_eV for level in report.levels if level.kind == "deep"] == pytest.approx([2.0])
    # a charge that one of them lacks shifts all its levels by volts, which says nothing of the level
    ionised = broken.model_copy(update={"charge": 1, "n_electrons": 2.0, "eigenvalues_eV": broken.eigenvalues_eV - 4.0})
    report = identify_levels(ionised, intact, vacancy)
    assert (report.alignment.method, report.gap_eV) == ("valence band", 5.0)
    assert [level.above_vbm_eV for level in report.levels if level.kind == "deep"] == pytest.approx([2.5])
    # alone, all of it is near the vacancy, and no edge is the host's
    alone = identify_levels(broken, None, vacancy)
    assert (alone.levels, alone.gap_eV) == ((), pytest.approx(3.2))
    assert any("whole cluster as the reference" in warning for warning in alone.warnings)


def test_participation_ratio_counts_sites():
    assert participation_ratio(np.eye(4)[0]) == 1.0
    assert participation_ratio(np.full(4, 0.25)) == pytest.approx(4.0)


def test_a_wrong_reference_is_refused():
    structure, vacancy = defect()
    with pytest.raises(InputError, match="one level of theory"):
        identify_levels(structure, host("hse06"), vacancy)
    other = host().model_copy(update={"structure": IStructure(Lattice.cubic(13.0), SPECIES, GRID)})
    with pytest.raises(InputError, match="same supercell"):
        identify_levels(structure, other, vacancy)
    foreign = host().model_copy(update={"provenance": Provenance(engine="cp2k")})
    with pytest.raises(InputError, match="one engine"):
        identify_levels(structure, foreign, vacancy)


def test_not_a_number_is_refused():
    broken = host().model_dump()
    broken["eigenvalues_eV"][0][0][3] = None
    with pytest.raises(InputError, match="not a number"):
        ElectronicStructure.from_dict(broken)
