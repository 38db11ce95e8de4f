"""The committed results of real runs, read and judged as a user would, without an engine.

Numbers in the tests are those of the engines' notes for these systems, or physics; none is a copy of ours.
"""

from pathlib import Path

import pytest

from midgap.defects.levels import identify_levels
from midgap.defects.parsers import read_folder
from midgap.defects.report import Levels
from midgap.experiment.comparison import compare
from midgap.experiment.records import published_records

EXAMPLES = Path(__file__).parents[1] / "examples"


def levels_of(name, reference="pristine", material="Cs4PbBr6"):
    found = read_folder(EXAMPLES / material / name)
    host = read_folder(EXAMPLES / material / reference).electronic_structure
    return identify_levels(found.electronic_structure, host, found.vacancy, label=found.label)


@pytest.mark.parametrize(("name", "electrons"), [("V_Br+", 0), ("V_Br0", 1), ("V_Br-", 2)])
def test_the_vacancy_holds_the_electrons_of_its_charge(name, electrons):
    """V_Br⁺ is a Br⁻ taken out, so that all electrons are in the valence band; each further one is in the level."""
    report = levels_of(name)
    books = report.bookkeeping
    assert (books.in_levels, books.in_conduction) == (electrons, 0)
    assert books.in_valence == books.valence_states == 176  # 22 atoms: 184 electrons; Br⁻ takes 8 along
    lowest = report.levels[0]
    assert lowest.kind == "deep" and lowest.localization.at_defect
    # the electron sits on the Pb beside the vacancy
    assert lowest.localization.strongest_species == "Pb"
    assert lowest.localization.strongest_distance_ang < 3.5
    assert lowest.localization.participation_ratio < 0.5 * lowest.localization.host_participation_ratio


def test_the_odd_electron_and_its_empty_partner():
    filled, empty = levels_of("V_Br0").levels[:2]
    assert (filled.occupation, empty.occupation) == (1, 0)
    assert (filled.partner, empty.partner) == (1, 0)


def test_kramers_pairs_of_closed_shells():
    for name in ("V_Br+", "V_Br-"):
        assert {level.degeneracy for level in levels_of(name).levels if level.kind == "deep"} == {2}


def test_perfect_crystals_have_no_level():
    for material in ("Cs4PbBr6", "CsPbBr3"):
        host = read_folder(EXAMPLES / material / "pristine").electronic_structure
        report = identify_levels(host, host)
        assert report.levels == () and report.defect is None
        assert [t.label for t in report.transitions] == ["CBM → VBM"]


def test_the_vacancy_is_shallower_and_wider_in_the_crystal_of_joined_octahedra():
    """Isolated octahedra cannot share the electron; in CsPbBr3 each Pb has neighbours across the Br sites."""
    isolated, joined = levels_of("V_Br0").levels[0], levels_of("V_Br0", material="CsPbBr3").levels[0]
    assert joined.below_cbm_eV < 0.5 * isolated.below_cbm_eV
    assert joined.localization.participation_ratio > 2 * isolated.localization.participation_ratio


def test_octahedra():
    """Notes: intact 4.44 ± 0.1 eV; without a Br, 3.46 (+) and 3.06 (0) above their own VBM."""
    intact = read_folder(EXAMPLES / "Cs4PbBr6" / "octahedron").electronic_structure
    assert identify_levels(intact).gap_eV == pytest.approx(4.44, abs=0.1)
    plus, zero = levels_of("octahedron_V_Br+", "octahedron"), levels_of("octahedron_V_Br0", "octahedron")
    assert plus.alignment.method == "valence band" and zero.alignment.method == "common zero"
    assert plus.levels[0].above_cell_vbm_eV == pytest.approx(3.46, abs=0.1)
    (holder,) = [
        level for level in zero.levels if level.localization.strongest_species == "Pb" and level.above_vbm_eV > 1
    ]
    assert holder.above_cell_vbm_eV == pytest.approx(3.06, abs=0.1)


def test_the_readme_s_comparison_has_candidates():
    levels = Levels.read(EXAMPLES / "Cs4PbBr6" / "levels.json")
    comparison = compare(levels, published_records("Cs4PbBr6"))
    assert {"level → VBM", "CBM → level", "CBM → VBM"} == {
        c.transition for c in comparison.candidates if c.origin == "levels"
    }
    strengths = [
        t.oscillator_strength for r in levels.reports for t in r.transitions if r.levels and t.oscillator_strength
    ]
    assert strengths and all(0 < f < 2 for f in strengths)
