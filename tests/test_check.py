"""Gaps and levels against those expected: what a change by hand must show, through the command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from midgap.cli.main import app
from midgap.defects.changes import changes
from midgap.defects.report import Levels
from midgap.structures.errors import InputError

COMPUTED = Path(__file__).parents[1] / "examples" / "Cs4PbBr6" / "levels.json"


@pytest.fixture(scope="module")
def data():
    return json.loads(COMPUTED.read_text())


def changed(data, edit):
    copy = json.loads(json.dumps(data))
    vacancy = next(r for r in copy["reports"] if r["levels"])
    edit(copy, vacancy)
    return Levels.from_dict(copy)


def moved(data, edit, within=0.05):
    return [change for change in changes(Levels.from_dict(data), changed(data, edit), within) if change.moved]


def shift_gap(by):
    def edit(_, report):
        report["gap_eV"] += by

    return edit


def test_what_is_the_same_has_not_moved(data):
    found = changes(Levels.from_dict(data), Levels.from_dict(data), 0.0)
    assert len(found) > len(data["reports"]) and not any(change.moved for change in found)


def test_a_gap_moves_by_more_than_is_allowed_or_not(data):
    assert moved(data, shift_gap(0.04)) == []
    (gap,) = moved(data, shift_gap(-0.06))
    assert gap.quantity == "gap" and gap.now - gap.expected == pytest.approx(-0.06)


def test_a_level_that_moves_and_one_that_is_lost(data):
    def lift(_, report):
        lowest = min(report["levels"], key=lambda level: level["above_vbm_eV"])
        lowest["above_vbm_eV"] += 0.07

    def lose(_, report):
        report["levels"], report["transitions"] = [], []

    assert [change.quantity for change in moved(data, lift)] == ["level 1 above VBM"]
    (lost,) = moved(data, lose)
    assert lost.quantity == "number of levels" and lost.now == 0


def test_a_calculation_that_is_missing_or_of_another_mesh_has_moved(data):
    def drop(levels, report):
        levels["reports"].remove(report)

    def remesh(_, report):
        report["theory"]["kpoints"] = [2, 2, 2]

    for edit in (drop, remesh):
        gone = moved(data, edit)
        assert gone and {change.now for change in gone} == {None}


def test_a_gap_that_became_a_metal_has_moved(data):
    def metal(_, report):
        report["gap_eV"] = None

    assert [change.now for change in moved(data, metal, within=100.0)] == [None]


def test_the_command_says_so_by_its_exit_code(data, tmp_path):
    other = changed(data, shift_gap(0.5)).write(tmp_path / "now.json")
    same = CliRunner().invoke(app, ["check", str(COMPUTED), str(COMPUTED)])
    assert same.exit_code == 0 and "Nothing moved." in same.stdout
    now = CliRunner().invoke(app, ["check", str(COMPUTED), str(other)])
    assert now.exit_code == 1 and "1 of " in now.stdout
    assert CliRunner().invoke(app, ["check", str(COMPUTED), str(other), "--within", "0.6"]).exit_code == 0
    told = json.loads(CliRunner().invoke(app, ["check", str(COMPUTED), str(other), "--json"]).stdout)
    assert told["moved"] == 1


def test_nothing_expected_is_no_success(data):
    with pytest.raises(InputError, match="Nothing is expected"):
        changes(Levels(reports=(), models=()), Levels.from_dict(data))
    with pytest.raises(InputError, match="zero or more"):
        changes(Levels.from_dict(data), Levels.from_dict(data), -0.1)
