"""Elements replaced in a known crystal."""

import json

import pytest

from midgap.structures.build import build_models
from midgap.structures.crystals import load_crystal, spglib_cell
from midgap.structures.errors import InputError
from midgap.structures.substitution import substitute


def test_the_chloride_has_nearly_its_measured_volume():
    """CsPbCl3: a = 5.605 Å, cubic (Møller, Nature 182, 1436 (1958)); four formula units in the cell of CsPbBr3."""
    chloride, provenance = substitute(load_crystal("CsPbBr3")[0], {"Br": "Cl"})
    assert chloride.volume == pytest.approx(4 * 5.605**3, rel=0.015)
    assert "Br by Cl" in provenance["substitution"]


def test_the_space_group_stays():
    import spglib

    rubidium, _ = substitute(load_crystal("Cs4PbBr6")[0], {"Cs": "Rb"})
    assert spglib.get_symmetry_dataset(spglib_cell(rubidium), symprec=0.01).number == 167


def test_vacancies_are_those_of_the_new_element():
    models = build_models("Cs4PbBr6", replacing={"Br": "Cl"}, charges=[1], clusters=False)
    assert [model.material for model in models] == ["Cs4PbCl6"] * 2
    assert models[1].vacancy.species == "Cl"
    # Nothing that is known of the bromide's coordinates is claimed of the chloride's: it is relaxed first.
    assert "coordinates" not in models[0].provenance


@pytest.mark.parametrize(
    ("replacing", "said"),
    [({"Sn": "Pb"}, "no Sn to replace"), ({"Br": "Xx"}, "not a chemical element"), ({"Br": "Ar"}, "")],
)
def test_what_cannot_be_replaced_is_said(replacing, said):
    with pytest.raises(InputError, match=said) as refused:
        substitute(load_crystal("Cs4PbBr6")[0], replacing)
    assert "\n" not in str(refused.value)


def test_the_command_takes_it_and_refuses_half_of_it(tmp_path, capsys, monkeypatch):
    from typer.testing import CliRunner

    from midgap.cli.main import app

    runner = CliRunner()
    asked = ["build", "--substitute", "Br=Cl", "--no-clusters", "--charges", "1", "--json", "--out", str(tmp_path)]
    built = json.loads(runner.invoke(app, asked, catch_exceptions=False).stdout)
    assert built["models"][0]["material"] == "Cs4PbCl6"
    for words in (["Br"], ["Br=Cl", "Br=I"], ["=Cl"]):
        options = [part for word in words for part in ("--substitute", word)]
        result = runner.invoke(app, ["build", *options, "--out", str(tmp_path)])
        assert isinstance(result.exception, InputError)
