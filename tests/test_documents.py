"""Files between versions, their published schemas, and documents in a notebook."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import jsonschema
import numpy as np
import pytest

from midgap.cli.schema import PUBLISHED, published, write_schemas
from midgap.defects.configuration_coordinate import from_four_energies
from midgap.defects.densities import StateDensity
from midgap.defects.electronic_structure import Provenance
from midgap.defects.emission_study import EmissionReport, EmissionStudy
from midgap.defects.excitations import Carrier, NeutralExcitation, Promotion, VerticalExcitation
from midgap.defects.formation_study import FormationReport, FormationStudy
from midgap.defects.lineshape import Coupling, lineshape
from midgap.defects.parsers import read_folder
from midgap.defects.phases import Phase, stability_region
from midgap.defects.report import Levels
from midgap.defects.vibrations import Modes
from midgap.experiment.blinking.levels import Trace
from midgap.experiment.comparison import compare, published_values
from midgap.experiment.curves import ParticleCurves
from midgap.experiment.evidence.named_candidates import CandidateList
from midgap.experiment.phase_purity import PhaseFraction
from midgap.experiment.records import ParticleRecord, Quantity, Records, published_records
from midgap.structures.crystals import Crystal
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError
from midgap.structures.schema import breaks, json_schema
from midgap.workflows.calculation import Calculation, CalculationResult

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SCHEMAS = ROOT / "docs" / "schemas"


class Distance(Document):
    """As its third version has it: a length in Å with an uncertainty; the first was in nm, the second without."""

    SCHEMA_VERSION = 3
    UPGRADES: ClassVar = {
        1: lambda data: {"length_ang": 10 * data["length_nm"]},
        2: lambda data: data | {"uncertainty_ang": None},
    }

    length_ang: float
    uncertainty_ang: float | None


def test_older_files_are_brought_up_to_date_step_by_step():
    head = {"schema": "midgap.Distance"}
    assert Distance.from_dict(head | {"schema_version": 1, "length_nm": 0.3}).length_ang == pytest.approx(3)
    assert Distance.from_dict(head | {"schema_version": 2, "length_ang": 3.0}).uncertainty_ang is None
    now = Distance(length_ang=3.0, uncertainty_ang=0.1)
    assert Distance.from_dict(now.to_dict()) == now and now.to_dict()["schema_version"] == 3


def test_an_upgrade_leaves_what_it_was_given_alone():
    old = {"schema": "midgap.Distance", "schema_version": 1, "length_nm": 0.3}
    Distance.from_dict(old)
    assert old == {"schema": "midgap.Distance", "schema_version": 1, "length_nm": 0.3}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schema_version": 4, "length_ang": 3.0}, "f.json: was written by a newer midgap .*version 4.*up to 3"),
        ({"schema_version": 1}, "f.json: not a valid midgap.Distance of version 1"),
        ({"schema_version": 1, "length_nm": None}, "not a valid midgap.Distance of version 1"),
        ({"schema_version": 0}, "schema_version is 0, not a whole number"),
        ({"schema_version": "1"}, "schema_version is '1', not a whole number"),
        ({"schema_version": 1.0}, "schema_version is 1.0, not a whole number"),
        ({"schema_version": True}, "schema_version is True, not a whole number"),
        ({"schema_version": 3, "length_ang": 3.0, "uncertainty_ang": 0, "colour": "red"}, "colour: there is no such"),
    ],
)
def test_versions_that_cannot_be_read_are_refused_in_a_sentence(fields, said):
    with pytest.raises(InputError, match=said):
        Distance.from_dict(fields, source="f.json")


def test_a_version_without_a_way_up_is_refused():
    class Lost(Document):
        SCHEMA_VERSION = 2

    with pytest.raises(InputError, match="of version 1, which midgap no longer reads"):
        Lost.from_dict({"schema_version": 1})


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "old_files").glob("*.json")), ids=lambda path: path.stem)
def test_real_files_of_older_versions_are_read(path):
    """NAME_VERSION.json, as the midgap of that version wrote it."""
    name, version = path.stem.split("_")
    assert json.loads(path.read_text())["schema_version"] == int(version)
    document = published(name).read(path)
    jsonschema.validate(document.to_dict(), json_schema(published(name)))


def test_the_oldest_comparison_keeps_its_numbers():
    path = ROOT / "tests" / "old_files" / "Comparison_1.json"
    old, new = json.loads(path.read_text()), published("Comparison").read(path)
    assert [c["energy_eV"] for c in old["candidates"]] == [c.energy_eV for c in new.candidates]
    assert [row["published_eV"] for row in old["published"]] == [row.published_eV for row in new.published]


@pytest.fixture(scope="module")
def documents():
    """One of each published class, made from the committed results."""
    folder = EXAMPLES / "Cs4PbBr6"
    finished = read_folder(folder / "V_Br0")
    levels, records = Levels.read(folder / "levels.json"), published_records("Cs4PbBr6")
    study = FormationStudy(
        compound="Cs4PbBr6",
        host=str(folder / "pristine"),
        phases=tuple(
            {"formula": formula, "energy_eV": energy}
            for formula, energy in {
                "Cs": 0.0,
                "Pb": 0.0,
                "Br": 0.0,
                "Cs4PbBr6": -18.0,
                "CsBr": -3.9,
                "PbBr2": -2.4,
            }.items()
        ),
        defects=({"folder": str(folder / "V_Br0")}, {"folder": str(folder / "V_Br+")}),
    )
    region = stability_region("Cs4PbBr6", [Phase(formula=p.formula, energy_eV=p.energy_eV) for p in study.phases])
    energies = study.energies(folder, region)
    diagram = from_four_energies(5.0, -10.0, -9.8, -7.0, -6.8)
    coupling = Coupling.of(0.02, 3.0)
    made = [
        Crystal.read(ROOT / "structures" / "data" / "Cs4PbBr6.json"),
        StateDensity.read(next((folder / "densities").glob("*.json"))),
        ParticleCurves(particle_id="1", trace=Trace(bin_s=0.01, counts=[3, 5, 4])),
        CandidateList.read(ROOT / "experiment" / "data" / "Cs4PbBr6_candidates.json"),
        finished.model,
        finished.electronic_structure.theory,
        finished.electronic_structure,
        levels.reports[1],
        levels,
        study,
        energies[0],
        FormationReport(region=region, conditions=energies, levels=tuple(energies[0].levels("V_Br"))),
        EmissionStudy(host="host", ground={0.0: "a"}, excited={0.0: "b", 0.5: "c"}),
        diagram,
        EmissionReport(diagram=diagram, zero_phonon_line_eV=3.0, coupling=coupling, lines=(lineshape(3.0, coupling),)),
        NeutralExcitation(
            model="m", label="V", start="VBM", end="CBM", theory="PBE", promotion=Promotion(from_band=1, to_band=2),
            absorption=VerticalExcitation(
                ground_eV=-2.0, excited_eV=-1.0, electron=Carrier(band=2, spin="up", energy_eV=1.0),
                hole=Carrier(band=1, spin="up", energy_eV=0.0),
            ),
        ),
        Modes(structure=finished.model.structure, energies_eV=[0.01], eigenvectors=np.zeros((1, 21, 3))),
        Calculation(model=finished.model, theory=finished.electronic_structure.theory),
        CalculationResult(
            model=finished.model, task="static", total_energy_eV=-1.0, provenance=Provenance(engine="gpaw")
        ),
        records.records[0],
        records,
        PhaseFraction(
            trace_weight_fraction=Quantity(hi=0.01), seen=False, ci_level=0.95, strain=(0.0, None), size_nm=(26.0, None),
            chi_squared=1.0, wavelength_ang=1.54, two_theta_deg=[10.0], counts=[3.0], host=[1.0], trace=[0.0], background=[2.0],
        ),
        published_values("Cs4PbBr6"),
        compare(levels, records),
    ]  # fmt: skip
    return {type(document).__name__: document for document in made}


FILES = [name for name, home in PUBLISHED.items() if home != "cli.printed" and name != "PowerStudy"]
"""The others are in test_printed.py."""


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_fits_the_published_schema(documents, name):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    written = json.loads(json.dumps(documents[name].to_dict()))
    validator.validate(written)
    assert type(documents[name]).from_dict(written) == documents[name]
    for broken in ({"schema": "midgap.Other"}, {"schema_version": 0}, {"unheard_of": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(written | broken)


@pytest.mark.parametrize("path", [p for p in EXAMPLES.rglob("*.json") if p.stem in ("result", "levels", "comparison")], ids=lambda p: f"{p.parent.name}/{p.stem}")  # fmt: skip
def test_committed_results_fit_the_schema_of_their_version(path):
    data = json.loads(path.read_text())
    schema = json.loads((SCHEMAS / f"{data['schema'].removeprefix('midgap.')}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(data)


def test_a_schema_says_what_a_field_is():
    fields = json_schema(Levels)["$defs"]["Alignment"]["properties"]
    assert fields["beyond_ang"] == {
        "type": ["number", "null"],
        "default": None,
        "description": "They lie at least so far from the defect.",
    }
    columns = json_schema(Records)["$defs"]["ParticleRecord"]["properties"]
    assert {"g2_0", "g2_0_lo", "g2_0_hi"} <= columns.keys() and "Quantity" not in json_schema(Records)["$defs"]


def test_published_schemas_are_current():
    """If not: midgap schema --out docs/schemas, which says where the version has to be raised."""
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(PUBLISHED)
    for name in PUBLISHED:
        assert json.loads((SCHEMAS / f"{name}.json").read_text()) == json_schema(published(name)), name


def of_fields(**fields):
    return json_schema(type("Thing", (Document,), {"__annotations__": fields}))


def test_what_breaks_older_files():
    class Inner(Document):
        a: int

    class InnerNow(Document):
        a: int
        b: int

    assert breaks(of_fields(a=int), of_fields(a=float)) == []
    assert breaks(of_fields(a=int), of_fields(a=int | None)) == []
    assert breaks(of_fields(a=float), of_fields(a=int)) == ["a may no longer be number"]
    assert breaks(of_fields(a=int | None), of_fields(a=int)) == ["a may no longer be null"]
    assert breaks(of_fields(a=int), of_fields(a=int, b=int)) == ["b is demanded"]
    assert breaks(of_fields(a=int, b=int), of_fields(a=int)) == ["b is gone"]
    assert breaks(of_fields(a=FloatArray), of_fields(a=tuple[float, ...])) == ["a[] may no longer be array or null"]
    assert breaks(of_fields(a=dict[str, str]), of_fields(a=dict[str, int])) == ["a{} may no longer be string"]
    old, new = (json_schema(type("Outer", (Document,), {"__annotations__": {"one": i}})) for i in (Inner, InnerNow))
    assert breaks(old, new) == ["one.b is demanded"] and breaks(new, old) == ["one.b is gone"]


def test_a_schema_is_not_overwritten_by_one_that_breaks_files(tmp_path):
    written = write_schemas(tmp_path)
    assert write_schemas(tmp_path) == written
    path = tmp_path / "LevelOfTheory.json"
    old = json.loads(path.read_text())
    old["properties"]["smearing_eV"] = {"type": "number"}
    path.write_text(json.dumps(old))
    with pytest.raises(InputError, match=r"LevelOfTheory: files of version 1 would .*smearing_eV is gone.*UPGRADES"):
        write_schemas(tmp_path)
    assert json.loads(path.read_text()) == old


class Tags(HTMLParser):
    """Words between tags, and whether every tag was closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.seen = [], [], set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("name", FILES)
def test_every_document_shows_itself(documents, name):
    html = documents[name]._repr_html_()
    assert Tags(html).words[0] == name and len(html) < 12_000


def test_names_from_outside_stay_text(documents):
    evil = "<script>alert(1)</script>"
    record = ParticleRecord(sample_id=evil, g2_0=Quantity(value=0.1), notes={"g2_0": evil})
    found = documents["LevelReport"].model_copy(update={"label": evil, "warnings": (evil,)})
    for shown in (record, Records(records=(record,)), found, Levels(reports=(found,), models=())):
        page = Tags(shown._repr_html_())
        assert "script" not in page.seen and any(evil in word for word in page.words)


def test_long_tables_are_cut_and_say_so():
    records = Records(records=tuple(ParticleRecord(particle_id=str(i), g2_0=Quantity(value=0.1, lo=0.05, hi=0.2)) for i in range(500)))  # fmt: skip
    page = Tags(records._repr_html_())
    assert page.words.count("0.1 (0.05 to 0.2)") == 12
    assert any("488 more" in word for word in page.words) and len(records.to_frame()) == 500


def test_bounds_are_shown_as_bounds():
    record = ParticleRecord(n_emitters_M=Quantity(lo=2.0), irf_fwhm_ns=Quantity(hi=0.3))
    words = Tags(Records(records=(record,))._repr_html_()).words
    assert "≥ 2" in words and "≤ 0.3" in words


def test_tables_for_pandas(documents):
    levels = documents["Levels"].to_frame()
    assert set(levels["model"]) == {report.model for report in documents["Levels"].reports}
    deep = levels[levels["kind"] == "deep"].dropna(subset=["above_vbm_eV"])
    assert (abs(deep["above_vbm_eV"] + deep["below_cbm_eV"] - deep["gap_eV"]) < 1e-9).all()
    assert str(levels["degeneracy"].dtype) == "Int64"
    formation = documents["FormationEnergies"].to_frame()
    slopes = (formation["at_cbm_eV"] - formation["at_vbm_eV"]) / documents["FormationEnergies"].gap_eV
    assert np.allclose(slopes, formation["charge"].astype(float))
    record = documents["ParticleRecord"].to_frame().set_index("quantity")
    assert record.loc["pl_peak_nm", "value"] == 520 and "band" in record.loc["pl_peak_nm", "note"]


def test_what_holds_a_document_shows_it():
    from midgap.defects.findings import of_folder

    found = of_folder(EXAMPLES / "Cs4PbBr6" / "V_Br0", EXAMPLES / "Cs4PbBr6" / "pristine")
    assert found._repr_html_() == found.report._repr_html_()


def test_without_html_the_facts_are_printed(documents):
    from IPython.lib.pretty import pretty

    shown = pretty(documents["Comparison"])
    assert shown.startswith("Comparison\n") and documents["Comparison"].answer[:60] in shown and len(shown) < 2000
