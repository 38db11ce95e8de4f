"""What other programs read of ours: opened with those programs, and worked out again by them."""

import json
import shutil
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from monty.serialization import loadfn
from pymatgen.core import IStructure, Structure
from pymatgen.io.cif import CifParser

from midgap.defects.ase_database import write_ase_database
from midgap.defects.findings import of_folder, of_levels
from midgap.defects.formation_study import formation_report
from midgap.defects.interchange import computed_entry, configuration_document, formation_documents
from midgap.defects.parsers import read_folder
from midgap.defects.report import LevelReport, Levels
from midgap.experiment.records import ParticleRecord, Quantity, Records, published_records
from midgap.experiment.tables import read_records
from midgap.structures.errors import InputError
from midgap.structures.export import cif

EXAMPLES = Path(__file__).parents[1] / "examples" / "Cs4PbBr6"


@pytest.fixture(scope="module")
def findings():
    return of_levels(Levels.read(EXAMPLES / "levels.json"))


def same_places(structure, other):
    frac = structure.frac_coords - other.frac_coords
    return structure.species == other.species and np.abs(frac - np.round(frac)).max() < 1e-6


@pytest.mark.parametrize("folder", ["V_Br0", "V_Br+"])
def test_a_marked_vacancy_is_no_atom_to_pymatgen_and_ase(tmp_path, folder):
    model = read_folder(EXAMPLES / folder).model
    path = tmp_path / "v.cif"
    path.write_text(cif(model.structure, model.label, model.charge, "Br", model.vacancy.position_ang), encoding="ascii")
    (found,) = CifParser(path, check_cif=False).parse_structures(primitive=False)
    assert same_places(found, Structure.from_sites(list(model.structure)))
    atoms = ase.io.read(path)
    assert atoms.symbols.count("X") == 1 and atoms[-1].number == 0
    assert sorted(atoms[:-1].symbols) == sorted(model.species)
    x, y, z = atoms.get_scaled_positions()[-1] - model.structure.lattice.get_fractional_coords(
        model.vacancy.position_ang
    )
    assert np.allclose([x % 1 % 1, y % 1, z % 1], 0, atol=1e-6) or np.allclose(
        np.round([x, y, z]), [x, y, z], atol=1e-6
    )
    assert ("+1 e" if model.charge else "neutral") in path.read_text().splitlines()[1]


def test_a_pristine_crystal_has_no_mark():
    model = read_folder(EXAMPLES / "pristine").model
    text = cif(model.structure, model.name)
    assert " X " not in text and same_places(
        Structure.from_str(text, "cif"), Structure.from_sites(list(model.structure))
    )


@pytest.mark.parametrize("ending", ["db", "json"])
def test_a_database_is_selected_from_by_ase(tmp_path, findings, ending):
    database = ase.db.connect(write_ase_database(findings, tmp_path / f"levels.{ending}"))
    assert len(database) == len(findings)
    (row,) = database.select("total_charge=1,level1_above_vbm_eV>1")
    (wanted,) = [finding for finding in findings if finding.report.charge == 1]
    assert row.energy == wanted.report.total_energy_eV and row.defect == "V_Br" and row.material == "Cs4PbBr6"
    assert LevelReport.from_dict(row.data["level_report"]) == wanted.report
    atoms = row.toatoms()
    assert np.allclose(atoms.positions, wanted.geometry.cart_coords) and atoms.pbc.all()
    cluster = database.get(kind="cluster")
    assert not any(cluster.pbc) and cluster.get("level1_above_vbm_eV") is None


def test_names_that_are_numbers_stay_out_of_the_keys(tmp_path, findings):
    odd = findings[0].report.model_copy(update={"model": "123"})
    path = write_ase_database([type(findings[0])(odd, findings[0].geometry)], tmp_path / "x.db")
    row = ase.db.connect(path).get(1)
    assert "model" not in row.key_value_pairs and row.data["level_report"]["model"] == "123"


def test_a_failed_database_leaves_the_old_one(tmp_path, findings):
    path = write_ase_database(findings, tmp_path / "levels.db")
    before = path.read_bytes()

    def broken():
        yield findings[0]
        raise InputError("the second is no good")

    with pytest.raises(InputError):
        write_ase_database(broken(), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["levels.db"]


def test_entries_are_opened_by_pymatgen(tmp_path, midgap):
    midgap("export", EXAMPLES / "levels.json", "--to", "pymatgen", "--out", tmp_path / "entries.json")
    entries = {entry.entry_id: entry for entry in loadfn(tmp_path / "entries.json")}
    own = read_folder(EXAMPLES / "V_Br0")
    entry = entries["V_Br1_q0_22"]
    assert entry.energy == own.electronic_structure.total_energy_eV
    assert same_places(entry.structure, own.electronic_structure.structure)
    assert entry.composition.formula == "Cs8 Pb2 Br11" and entry.parameters["engine"] == "gpaw"
    assert isinstance(entry.data["level_report"], dict)


def test_clusters_and_missing_energies_are_told(findings):
    cluster = next(finding for finding in findings if not isinstance(finding.geometry, IStructure))
    with pytest.raises(InputError, match="is a cluster"):
        computed_entry(cluster)
    without = findings[0].report.model_copy(update={"total_energy_eV": None})
    with pytest.raises(InputError, match="pristine_22 has no total energy"):
        computed_entry(type(findings[0])(without, findings[0].geometry))


def test_atomate2_makes_the_same_formation_energies(tmp_path, shared_data):
    """pymatgen-analysis-defects, from our document: Mg in GaN, energies of the competing phases made up."""
    from atomate2.common.schemas.defects import FormationEnergyDiagramDocument

    folder = shared_data / "vasp" / "GaN-Mg_Ga"
    phases = {"Ga": -3.5, "N2": -17.0, "Mg": -1.7, "Mg3N2": -26.0}
    path = tmp_path / "study.json"
    path.write_text(
        json.dumps(
            {
                "compound": "GaN",
                "host": str(folder / "bulk_sc"),
                "phases": [
                    {"folder": str(folder / "bulk_sc")},
                    *({"formula": name, "energy_eV": energy} for name, energy in phases.items()),
                ],
                "defects": [{"folder": str(folder / f"q={q}"), "name": "Mg"} for q in (1, 0, -1, -2)],
                "screening": {"static": [8.9, 9.1, 10.4], "electronic": [5.2, 5.3, 5.5]},
            }
        )
    )
    ours = formation_report(path)
    (written,) = formation_documents(path)
    (tmp_path / "document.json").write_text(json.dumps(written))
    document = loadfn(tmp_path / "document.json")
    assert isinstance(document, FormationEnergyDiagramDocument)
    assert np.allclose(document.dielectric, np.diag([8.9, 9.1, 10.4]))
    theirs = document.as_formation_energy_diagram()
    levels = {
        level.charges: level.above_vbm_eV for level in ours.levels if 0 < level.above_vbm_eV < ours.conditions[0].gap_eV
    }
    limits = theirs.get_chempots("Ga")
    crossings = [x for x, _ in theirs.get_transitions(limits, 0, theirs.band_gap)]
    assert sorted(levels.values()) == pytest.approx([x for x in crossings if 0 < x < theirs.band_gap], abs=1e-6)
    # N-rich, and as Ga-rich as it can be; the chemical potential of Mg is that of its nitride or metal in both.
    for element in ("Ga", "N"):
        potentials = {str(el): mu for el, mu in theirs.get_chempots(element).items()}
        condition = next(
            one
            for one, limit in zip(ours.conditions, ours.region.limits, strict=True)
            if all(limit.potentials_eV[el] == pytest.approx(potentials[el], abs=0.01) for el in ("Ga", "N"))
        )
        references = ours.region.references_eV
        same = condition.under({el: references[el] + mu for el, mu in potentials.items()})
        for fermi in (0.0, 1.0, 3.0):
            their_energy = theirs.get_formation_energy(fermi, theirs.get_chempots(element))
            assert same.lines("Mg", [fermi])[0] == pytest.approx(their_energy, abs=1e-6)


def test_atomate2_opens_a_configuration_coordinate(tmp_path):
    """ΔQ by pymatgen-analysis-defects from the structures in the document, which leaves the drift of the whole in."""
    from atomate2.common.schemas.defects import CCDDocument
    from pymatgen.analysis.defects.ccd import get_dQ

    study = tmp_path / "study.json"
    folders = {name: str(EXAMPLES / name) for name in ("pristine", "V_Br0", "V_Br+")}
    study.write_text(
        json.dumps(
            {
                "host": folders["pristine"],
                "ground": {"0": folders["V_Br0"], "0.4": folders["V_Br0"], "1": folders["V_Br+"]},
                "excited": {"0": folders["V_Br+"], "0.4": folders["V_Br+"]},
            }
        )
    )
    (tmp_path / "ccd.json").write_text(json.dumps(configuration_document(study)))
    document = loadfn(tmp_path / "ccd.json")
    assert isinstance(document, CCDDocument)
    one, two = document.structure1, document.structure2
    masses = np.array([float(site.specie.atomic_mass) for site in one])
    frac = two.frac_coords - one.frac_coords
    drift = masses @ ((frac - np.round(frac)) @ one.lattice.matrix)
    span = np.sqrt(get_dQ(one, two) ** 2 - drift @ drift / masses.sum())
    assert document.distortions1 == pytest.approx([0, 0.4 * span, span], rel=1e-6)
    assert document.distortions2 == pytest.approx([0.6 * span, span], rel=1e-6)
    assert (document.q1, document.q2, document.relaxed_index1, document.relaxed_index2) == (0, 1, 0, 1)
    energy = read_folder(EXAMPLES / "V_Br+").electronic_structure.total_energy_eV
    assert document.energies2[1] == energy
    study.write_text(json.dumps({"host": "x", "ground": {"1": "x"}, "excited": {"0": "x"}}))
    with pytest.raises(InputError, match="ground state lacks the folder of its own geometry"):
        configuration_document(study)


def test_folders_are_findings_too():
    finding = of_folder(EXAMPLES / "V_Br+", EXAMPLES / "pristine")
    assert finding.report.alignment.method == "site potentials" and finding.name == "V_Br1_q+1_22"


def test_exports_on_the_command_line(tmp_path, midgap):
    shutil.copy(EXAMPLES / "levels.json", tmp_path / "levels.json")
    said = midgap("export", tmp_path / "levels.json", "--to", "cif", "--out", tmp_path / "cif").out.split()
    assert len(said) == 4 and all(Path(name).read_text().count("_atom_site_occupancy") == 1 for name in said)
    midgap(
        "export", EXAMPLES / "V_Br0", "--reference", EXAMPLES / "pristine", "--to", "ase", "--out", tmp_path / "a.db"
    )
    assert ase.db.connect(tmp_path / "a.db").get(1).alignment == "site potentials"
    midgap("export", tmp_path / "levels.json", "--to", "csv", "--out", tmp_path / "levels.csv")
    table = Levels.read(tmp_path / "levels.json").to_frame()
    assert len((tmp_path / "levels.csv").read_text().splitlines()) == len(table) + 1
    records = published_records("Cs4PbBr6").write(tmp_path / "records.json")
    midgap("export", records, "--to", "parquet", "--out", tmp_path / "r")
    assert read_records(tmp_path / "r.parquet") == published_records("Cs4PbBr6")
    midgap("export", tmp_path / "r.parquet", "--to", "csv", "--out", tmp_path / "r.csv")
    assert [r.pl_peak_nm for r in read_records(tmp_path / "r.csv").records] == [
        r.pl_peak_nm for r in published_records("Cs4PbBr6").records
    ]
    alone = ParticleRecord(g2_0=Quantity(value=0.1)).write(tmp_path / "one.json")
    midgap("export", alone, "--to", "parquet", "--out", tmp_path / "one.parquet")
    assert read_records(tmp_path / "one.parquet") == Records(records=(ParticleRecord(g2_0=Quantity(value=0.1)),))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.json", "--to", "csv", "--out", "x"], "no such file"),
        (["{levels}", "--to", "parquet", "--out", "x"], "Parquet is for records"),
        (["{levels}", "{levels}", "--to", "csv", "--out", "x"], "made of one file"),
        (["{levels}", "--to", "ase", "--out", "x.xls"], "databases of ASE end in .db"),
        (["{levels}", "--to", "atomate2", "--out", "x"], "holds a midgap.Levels, not a midgap.FormationStudy"),
        (["{folder}/octahedron", "--to", "cif", "--out", "x"], "no crystal"),
        (["{folder}/octahedron", "--to", "pymatgen", "--out", "x"], "no crystal"),
        (["{folder}", "--to", "csv", "--out", "x"], "is a folder"),
        (["{folder}/pristine/result.json", "--to", "ase", "--out", "x.db"], "give level reports or folders"),
        (["{folder}/pristine/result.json", "--to", "csv", "--out", "x"], "which is no table"),
        (["{evil}", "--to", "csv", "--out", "x"], "does not name one of midgap's schemas"),
    ],
)
def test_what_cannot_be_exported_is_told(tmp_path, monkeypatch, midgap, words, said):
    monkeypatch.chdir(tmp_path)
    evil = tmp_path / "evil.json"
    evil.write_text(json.dumps({"schema": "os.system", "@module": "os", "@class": "system"}))
    words = [word.format(levels=EXAMPLES / "levels.json", folder=EXAMPLES, evil=evil) for word in words]
    assert said in midgap("export", *words, code=2).err and not list(tmp_path.glob("x*"))
