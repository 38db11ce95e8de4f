"""Result tables: our own there and back, those of others in; what has no known unit stays out."""

import csv

import pytest

from midgap.experiment.records import IntensityLevel, ParticleRecord, Quantity, Records, published_records
from midgap.experiment.tables import read_records, write_table
from midgap.structures.errors import InputError

PARTICLE = ParticleRecord(
    sample_id="0D",
    particle_id="17",
    g2_0=Quantity(value=0.12, lo=0.05, hi=0.2),
    n_emitters_M=Quantity(lo=1.5),
    tau_i_ns=(Quantity(value=1.0, lo=0.9, hi=1.1), Quantity(value=9.0, lo=8.8, hi=9.3)),
    frac_i=(Quantity(value=0.3), Quantity(value=0.7)),
    jacobian_applied=True,
    pl_peak_nm=Quantity(value=520.0),
)


def test_there_and_back(tmp_path):
    records = (PARTICLE, ParticleRecord(particle_id="x"), *published_records("Cs4PbBr6").records)
    back = read_records(write_table(Records(records=records), tmp_path / "particles.csv")).records
    flat = [record.model_copy(update={"levels": (), "notes": {}}) for record in records]
    assert list(back) == flat


TENTH = 0.1 + 0.2  # not 0.3: the last bit has to survive
BLINKING = ParticleRecord(
    particle_id="018",
    levels=(IntensityLevel(name="ON", group_id=1, intensity_cps=TENTH, num_photons=3), IntensityLevel()),
    tau_i_ns=(Quantity(value=TENTH), Quantity(hi=2.0)),
    g2_side_n=20,
    notes={"g2_0": "ü, ⟨N⟩; \n", "levels": ""},
)


@pytest.mark.parametrize(
    "records",
    [
        published_records("Cs4PbBr6"),
        Records(material="Cs4PbBr6", records=(PARTICLE, BLINKING, ParticleRecord())),
        Records(records=()),
    ],
    ids=["published", "everything", "nothing"],
)
def test_parquet_keeps_everything(tmp_path, records):
    path = write_table(records, tmp_path / "particles.parquet")
    assert read_records(path) == records
    assert read_records(path).to_dict() == records.to_dict()


def test_parquet_says_its_units_to_others(tmp_path):
    """As any reader of Arrow sees them; empty columns are of their type too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(write_table(Records(records=(BLINKING,)), tmp_path / "p.parquet"))
    units = {"tau_av_ns_hi": b"ns", "pl_fwhm_meV": b"meV", "sigma_abs_cm2": "cm²".encode()}
    assert {name: schema.field(name).metadata[b"unit"] for name in units} == units
    assert schema.field("g2_0").metadata is None and schema.field("g2_0").type == pa.float64()
    assert schema.field("levels").type.value_type.field("intensity_cps").metadata == {b"unit": b"1/s"}
    assert pq.read_table(tmp_path / "p.parquet").to_pandas()["g2_side_n"].tolist() == [20]


def test_parquet_of_a_newer_midgap_is_refused(tmp_path):
    import pyarrow.parquet as pq

    path = write_table(Records(records=(PARTICLE,)), tmp_path / "p.parquet")
    for said, what in (
        ('{"schema": "midgap.Records", "schema_version": 99}', "newer midgap"),
        ('{"schema": "midgap.Levels"}', "holds a midgap.Levels"),
        ("[1]", "not a JSON object"),
        ("{", "not a JSON object"),
    ):
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({"midgap": said}), tmp_path / "other.parquet")
        with pytest.raises(InputError, match=what):
            read_records(tmp_path / "other.parquet")


def test_parquet_of_another_origin(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"particle_id": ["1"], "g2_0": [0.1]}), tmp_path / "mine.parquet")
    assert read_records(tmp_path / "mine.parquet").records == (
        ParticleRecord(particle_id="1", g2_0=Quantity(value=0.1)),
    )


def test_json_is_read_too(tmp_path):
    path = Records(records=(PARTICLE,)).write(tmp_path / "records.json")
    assert read_records(path).records == (PARTICLE,)


def test_tables_by_hand_with_other_delimiters(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("# my notes\nparticle_id;g2_0;g2_0_lo;g2_0_hi;pl_peak_nm\n1;0.1;0.05;0.2;518\n2;;;;521\n")
    first, second = read_records(path).records
    assert first.particle_id == "1" and first.g2_0 == Quantity(value=0.1, lo=0.05, hi=0.2)
    assert second.g2_0 is None and second.pl_peak_nm == Quantity(value=521)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("particle_id,pl_peak\n1,520\n", "pl_peak is not a known field or unit; write it as pl_peak_nm or pl_peak_eV"),
        ("particle_id,tau_av_us\n1,0.009\n", "tau_av_us is not a known field"),
        ("particle_id,g2_0,g2_0_lo\n1,0.1,0.3\n", "does not hold the value"),
        ("particle_id,g2_0\n1,0.1,7\n", "not as many cells"),
        ("particle_id,g2_0\n1,high\n", "row 1: .*'high', not a number"),
        ("", "is empty"),
        ("particle_id,g2_0\n", "no rows"),
    ],
)
def test_unknown_units_and_broken_tables_are_refused(tmp_path, text, what):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=what):
        read_records(path)


def test_other_endings_and_damaged_parquet(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00g")
    for name, what in (("a.xlsx", "not '.xlsx'"), ("a.parquet", "not a readable Parquet"), ("a.csv", "UTF-8")):
        with pytest.raises(InputError, match=what):
            read_records(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_records(tmp_path / "none.csv")


def test_levels_exported_by_full_sms(tmp_path):
    """Column names as Full SMS writes them."""
    path = tmp_path / "particle_3_levels.csv"
    columns = (
        "level_index", "start_time_s", "end_time_s", "dwell_time_s", "num_photons", "intensity_cps", "group_id",
        "tau_1_ns", "tau_1_std", "amp_1", "avg_lifetime_ns", "chi_squared", "durbin_watson",
    )  # fmt: skip
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerow([0, "0.000000", "1.500000", "1.500000", 15000, "10000.00", 1, "9.0000", "0.1", "1.0", "9.0", "1.05", "2.0"])  # fmt: skip
        writer.writerow([1, "1.500000", "2.000000", "0.500000", 100, "200.00", "", "", "", "", "", "", ""])
    (record,) = read_records(path).records
    assert record.particle_id == "particle_3_levels" and record.software == "Full SMS"
    assert record.levels[0] == IntensityLevel(
        group_id=1, start_time_s=0, end_time_s=1.5, dwell_time_s=1.5, num_photons=15000, intensity_cps=1e4,
        tau_1_ns=9, amp_1=1, avg_lifetime_ns=9, chi_squared=1.05,
    )  # fmt: skip
    assert record.levels[1].tau_1_ns is None and record.levels[1].group_id is None
    assert "durbin_watson" in record.notes["levels"]


def test_fits_exported_by_full_sms(tmp_path):
    path = tmp_path / "fits.csv"
    path.write_text(
        "particle_id,channel,level_or_group_id,num_exponentials,tau_1_ns,tau_1_std,amp_1,tau_2_ns,tau_2_std,amp_2,"
        "tau_3_ns,tau_3_std,amp_3,avg_lifetime_ns,chi_squared,durbin_watson,shift,background\n"
        "1,0,-1,2,1.0,0.1,0.3,9.0,0.2,0.7,,,,6.6,1.02,2.0,0.1,3\n"
        "1,0,2,1,8.9,0.3,1.0,,,,,,,8.9,1.1,2.0,0.1,3\n"
        "2,0,-1,1,4.0,0.2,1.0,,,,,,,4.0,1.0,2.0,0.1,3\n"
    )
    first, second = read_records(path).records
    assert [q.value for q in first.tau_i_ns] == [1.0, 9.0] and first.tau_i_ns[1].lo == pytest.approx(8.8)
    assert first.levels[0].group_id == 2 and first.levels[0].tau_1_ns == 8.9
    assert second.particle_id == "2" and second.tau_av_ns.value == 4.0
    assert "does not say how it is weighted" in first.notes["tau_av_ns"]
