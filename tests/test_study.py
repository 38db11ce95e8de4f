"""The committed study: its page says what its results say, and they say what physics demands."""

import sys
from pathlib import Path

import numpy as np
import pytest

from midgap.defects.levels import identify_levels
from midgap.defects.parsers import read_folder
from midgap.defects.report import Levels
from midgap.structures.build import build_models
from midgap.structures.document import read_json

STUDY = Path(__file__).parents[1] / "examples" / "study"
RESULTS = STUDY / "results"


@pytest.fixture
def study(monkeypatch):
    """The modules of the study, which lie beside its commands."""
    monkeypatch.syspath_prepend(str(STUDY))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(STUDY) in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_the_page_has_the_numbers_of_the_results(study):
    """Tables of docs/study.md are those that the results give now: else python examples/study/page.py."""
    import page

    assert page.main(["--check"]) == 0


def test_stages_are_listed_with_what_they_cost(study, tmp_path, capsys):
    import campaign

    assert campaign.main([str(tmp_path), "--list"]) == 0
    said = capsys.readouterr().out
    assert "relax_small" in said and said.splitlines()[-1].startswith("all")
    assert campaign.main([str(tmp_path), "--only", "nothing"]) == 2
    assert "There is no stage 'nothing'" in capsys.readouterr().err


def test_a_vacancy_brings_its_surroundings_into_a_larger_cell(study):
    """Displacements that fall off with the distance are carried over where both cells have the atom."""
    from seeds import transplant

    cells = [
        {m.charge: m for m in build_models("Cs4PbBr6", charges=(0,), clusters=False, conventional=large) if m.vacancy}[
            0
        ]
        for large in (False, True)
    ]
    small, large = cells

    def from_the_atom_beside(model):
        """Distance in Å of every atom from the one next to the vacancy."""
        lattice, atoms = model.structure.lattice, model.structure.frac_coords
        empty = lattice.get_fractional_coords(model.vacancy.position_ang)
        beside = int(lattice.get_all_distances([empty], atoms)[0].argmin())
        assert model.species[beside] == "Pb"
        return lattice.get_all_distances([atoms[beside]], atoms)[0]

    def moved(model):
        fading = np.exp(-from_the_atom_beside(model) / 3.0)
        return model.at(model.positions_ang + np.array([0.3, -0.1, 0.2]) * fading[:, None])

    distance = from_the_atom_beside(large)
    seeded = transplant(large, small, moved(small))
    error = np.linalg.norm(seeded.positions_ang - moved(large).positions_ang, axis=1)
    # The faces of the small cell are 9.8 Å apart: nothing within half of that is nearer to an image.
    assert (distance < 4.5).sum() >= 6
    assert error[distance < 4.5].max() < 1e-3
    still = np.linalg.norm(seeded.positions_ang - large.positions_ang, axis=1)[distance > 9.0]
    assert len(still) and still.max() < 1e-9


@pytest.mark.parametrize(("charge", "electrons"), [("+1", 0), ("0", 1), ("-1", 2)])
def test_the_vacancy_holds_the_electrons_of_its_charge(charge, electrons):
    """V_Br⁺ is a Br⁻ taken out; each further electron is in the level, on the Pb beside the vacancy."""
    found = read_folder(RESULTS / "small" / f"V_Br1_q{charge}_22")
    host = read_folder(RESULTS / "small" / "pristine_22").electronic_structure
    report = identify_levels(found.electronic_structure, host, found.vacancy)
    assert report.bookkeeping.in_levels == electrons
    lowest = next(level for level in report.levels if level.kind == "deep")
    assert lowest.localization.strongest_species == "Pb" and lowest.localization.at_defect


def test_energies_are_of_one_theory_and_the_sum_of_their_parts():
    for path in RESULTS.glob("*/*/result.json"):
        cell = read_folder(path.parent).electronic_structure
        assert cell.energy_theory == "HSE06+SOC", path
        assert sum(cell.energy_terms_eV.values()) == pytest.approx(cell.total_energy_eV, abs=1e-4)


def test_relaxations_ended_where_they_say():
    """The forces that the stages ask for: 0.02 eV/Å in the small cell, 0.03 in the large one, 0.05 for other phases."""
    asked = {"phases_relax": 0.05, "relax_small": 0.02, "relax_small_starts": 0.02}
    for one in read_json(RESULTS / "study.json")["relaxations"]:
        assert one["fmax_eV_per_ang"] <= asked.get(one["stage"], 0.03), one["model"]


def test_levels_for_the_comparison_are_those_of_the_tables():
    reports = {report.model: report for report in Levels.read(RESULTS / "levels.json").reports}
    stages = ("levels_small", *(f"levels_large_{one}" for one in ("host", "q+1", "q0", "q-1")))
    kept = [
        (reports[one["model"]], one) for one in read_json(RESULTS / "study.json")["levels"] if one["stage"] in stages
    ]
    assert len(kept) == 8, "the crystal and three charges in two cells"
    for report, one in kept:
        assert report.gap_eV == pytest.approx(one["gap_eV"], abs=1e-4)
        heights = [level["above_vbm_eV"] for level in one["levels"]]
        assert [level.above_vbm_eV for level in report.levels] == pytest.approx(heights, abs=1e-4)


def test_photons_and_relaxations_add_up():
    """For one pair of charge states, what a hole and an electron bring down to the lattice's ground state is the gap."""
    for one in read_json(RESULTS / "study.json")["vertical"]:
        assert one["hole_zero_phonon_eV"] + one["electron_zero_phonon_eV"] == pytest.approx(one["gap_eV"], abs=1e-6)
        for carrier in ("hole", "electron"):
            assert one[f"{carrier}_emission_eV"] < one[f"{carrier}_zero_phonon_eV"]


@pytest.fixture(scope="module")
def formation():
    from midgap.defects.formation_study import formation_report

    return {size: formation_report(RESULTS / f"formation_{size}.json") for size in ("small", "large")}


@pytest.mark.parametrize(("name", "measured_eV"), [("CsBr", 4.21), ("PbBr2", 2.89)])
def test_formation_enthalpies_are_near_the_measured_ones(formation, name, measured_eV):
    """405.8 and 278.7 kJ/mol at 298 K (CRC Handbook); one-shot hybrids without dispersion are good to some tenths of an eV."""
    region = formation["small"].region
    phase = next(phase for phase in region.phases if phase.name == name)
    formulas = phase.composition.num_atoms / phase.composition.reduced_composition.num_atoms
    elements = sum(n * region.references_eV[str(el)] for el, n in phase.composition.items())
    assert (elements - phase.energy_eV) / formulas == pytest.approx(measured_eV, abs=0.4)


def test_a_corrected_vacancy_costs_the_same_in_both_cells(formation):
    """That is what the correction is for; uncorrected, V⁺ of the two sizes would differ by the images' energies."""
    small, large = (
        next(d for d in formation[size].conditions[0].defects if d.charge == 1) for size in ("small", "large")
    )
    costs = [formation[size].conditions[0].at_vbm_eV(d) for size, d in (("small", small), ("large", large))]
    assert costs[0] == pytest.approx(costs[1], abs=0.1)
