import json
import re
from pathlib import Path

import pytest

from midgap.experiment.photon_energy import line_width_eV, photon_energy_eV, refractive_index_of_air, wavelength_nm
from midgap.experiment.records import ParticleRecord, Quantity, Records, published_records
from midgap.structures.errors import InputError

PAPER = next((Path(__file__).parents[2] / "shared").glob("000_*.txt"), None)


def test_photon_energy():
    assert photon_energy_eV(520) == pytest.approx(2.384, abs=5e-4)
    assert photon_energy_eV(1239.841984) == pytest.approx(1, abs=1e-9)  # hc/e, CODATA 2018, in eV nm
    assert wavelength_nm(photon_energy_eV(520)) == pytest.approx(520)
    with pytest.raises(InputError, match="must be positive"):
        photon_energy_eV(0)


@pytest.mark.parametrize(("vacuum", "air"), [(546.2268, 546.0750), (632.9912, 632.8161)])  # Hg and He-Ne, NIST
def test_lines_in_air(vacuum, air):
    assert vacuum / refractive_index_of_air(vacuum) == pytest.approx(air, abs=2e-4)
    assert photon_energy_eV(air, "air") == pytest.approx(photon_energy_eV(vacuum), abs=1e-6)


def test_line_width():
    # hc Δλ/λ² to first order, which the half-maximum points and the Jacobian change by less than 0.3 %
    assert 1e3 * line_width_eV(520, 14) == pytest.approx(64, abs=0.5)
    assert 1e3 * line_width_eV(520, 23) == pytest.approx(106, abs=1)
    for width in (14, 23):
        assert line_width_eV(520, width) == pytest.approx(1239.841984 * width / 520**2, rel=3e-3)
    with pytest.raises(InputError, match="cannot be converted"):
        line_width_eV(520, 300)


def test_line_width_is_that_of_the_spectrum_in_energy():
    """Against the half maximum of I(λ)λ² sampled finely."""
    import numpy as np

    wavelengths = np.linspace(450, 600, 300_001)
    sigma = 23 / np.sqrt(8 * np.log(2))
    intensity = np.exp(-((wavelengths - 520) ** 2) / (2 * sigma**2)) * wavelengths**2
    inside = wavelengths[intensity >= intensity.max() / 2]
    sampled = photon_energy_eV(inside.min()) - photon_energy_eV(inside.max())
    assert line_width_eV(520, 23) == pytest.approx(sampled, abs=1e-5)


@pytest.mark.parametrize("material", ["Cs4PbBr6", "CsPbBr3"])
def test_published_records_round_trip(material, tmp_path):
    records = published_records(material)
    assert records.material == material
    assert records.source.doi == "10.1038/s41467-019-10870-1"
    assert Records.read(records.write(tmp_path / "r.json")) == records
    for record in records.records:
        stated = [f for f in ("size_nm", "pl_peak_nm", "pl_fwhm_nm", "plqy", "mean_excitons", "n_emitters_M", "tau_i_ns",
                              "tau_av_ns", "irf_fwhm_ns", "exc_wavelength_nm") if getattr(record, f) is not None]  # fmt: skip
        assert stated
        assert all(field in record.notes for field in stated), "every number says where it was read"


def test_published_energies():
    ensemble, particle = published_records("Cs4PbBr6").records[:2]
    assert ensemble.pl_peak_eV.value == pytest.approx(2.384, abs=5e-4)
    assert (ensemble.pl_peak_eV.lo, ensemble.pl_peak_eV.hi) == pytest.approx((2.296, 2.480), abs=5e-4)  # 540, 500 nm
    assert ensemble.pl_fwhm_meV.value == pytest.approx(106, abs=1)
    assert particle.pl_fwhm_meV.value == pytest.approx(64, abs=0.5)
    assert particle.pl_peak_eV.value is None, "the paper's text states no maximum of the particle"
    assert particle.jacobian_applied


@pytest.mark.skipif(PAPER is None, reason="the paper's text is not here")
@pytest.mark.parametrize(
    ("phrase", "material", "index", "field", "value"),
    [
        ("average diameter of 15 and 26 nm", "Cs4PbBr6", 0, "size_nm", 26),
        ("average diameter of 15 and 26 nm", "CsPbBr3", 0, "size_nm", 15),
        ("emission monitored at 520 nm", "Cs4PbBr6", 0, "pl_peak_nm", 520),
        ("23 nm spectral bandwidth measured for ensemble", "Cs4PbBr6", 0, "pl_fwhm_nm", 23),
        ("linewidth of about 14 nm", "Cs4PbBr6", 1, "pl_fwhm_nm", 14),
        ("excitation at 350 nm", "Cs4PbBr6", 0, "exc_wavelength_nm", 350),
        ("excited at 445 nm", "Cs4PbBr6", 1, "exc_wavelength_nm", 445),
        ("contributions by M~3 emissive centers", "CsPbBr3", 2, "n_emitters_M", 3),
        ("τav = 9 ns", "Cs4PbBr6", 3, "tau_av_ns", 9),
    ],
)
def test_published_numbers_stand_in_the_paper(phrase, material, index, field, value):
    text = re.sub(r"\s+", " ", PAPER.read_text())
    assert phrase in text
    assert getattr(published_records(material).records[index], field).value == value


def test_published_lifetimes_and_bounds():
    zero_d, three_d = published_records("Cs4PbBr6").records, published_records("CsPbBr3").records
    assert {level.name: level.tau_1_ns for level in zero_d[1].levels} == {"ON": 9, "GRAY": 1}
    assert [(tau.lo, tau.hi) for tau in three_d[1].tau_i_ns] == [(2, 4), (8, 11)]
    assert (zero_d[0].plqy.lo, zero_d[0].plqy.hi) == (0.6, 0.7)
    assert zero_d[1].irf_fwhm_ns == Quantity(hi=0.3)  # "better than 300 ps"
    assert zero_d[1].g2_0 is None, "no g2(0) is stated as a number"


def test_columns():
    record = ParticleRecord(
        pl_peak_nm=Quantity(value=520, lo=515, hi=525), tau_i_ns=(Quantity(value=1), Quantity(lo=9, hi=10))
    )
    flat = record.to_dict()
    assert (flat["pl_peak_nm"], flat["pl_peak_nm_lo"], flat["pl_peak_nm_hi"]) == (520, 515, 525)
    assert (flat["tau_i_ns"], flat["tau_i_ns_lo"]) == ([1, None], [None, 9])
    assert flat["g2_0"] is None
    assert flat["g2_0_lo"] is None
    assert ParticleRecord.from_dict(json.loads(json.dumps(flat))) == record


def test_one_record_is_a_file_too(tmp_path):
    path = ParticleRecord(sample_id="a", pl_peak_nm=Quantity(value=520)).write(tmp_path / "p.json")
    assert Records.read(path).in_energy().records[0].pl_peak_eV.value == pytest.approx(2.3843, abs=1e-4)


def test_air_and_what_is_there_is_kept():
    record = ParticleRecord(
        pl_peak_nm=Quantity(value=520), medium="air", pl_fwhm_meV=Quantity(value=70), pl_fwhm_nm=Quantity(value=14)
    )
    energies = record.in_energy()
    assert energies.pl_peak_eV.value == pytest.approx(2.38365, abs=1e-5)
    assert energies.pl_fwhm_meV.value == 70
    assert energies.in_energy() == energies


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"pl_peak_um": 0.52}, r"pl_peak_um is not a known field or unit; write it as pl_peak_nm or pl_peak_eV"),
        ({"temperature_C": 20}, r"write it as temperature_K"),
        ({"pl_peek_nm": 520}, r"did you mean pl_peak_nm"),
        ({"plqy": 65}, r"plqy is a fraction between 0 and 1, not a percentage"),
        ({"pl_peak_nm": "520"}, r"pl_peak_nm is '520', not a number or null"),
        ({"pl_peak_nm": True}, r"not a number"),
        ({"pl_peak_nm": 520, "pl_peak_nm_lo": 530}, r"does not hold the value 520"),
        ({"pl_peak_nm": -520}, r"pl_peak_nm must be positive"),
        ({"tau_i_ns": [1, 2], "tau_i_ns_lo": [1]}, r"must be lists of one length"),
        ({"tau_i_ns": 9}, r"must be lists"),
        ({"notes": {"pl_peak_um": "x"}}, r"notes: pl_peak_um"),
        ({"medium": "glass"}, r"medium"),
        ({"pl_peak_nm": float("nan")}, r"pl_peak_nm"),
        ([], r"expected a JSON object"),
    ],
)
def test_refusals(data, message):
    with pytest.raises(InputError, match=message):
        ParticleRecord.from_dict(data, source="r.json")


def test_refusals_of_files(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"schema": "midgap.Levels", "records": []}')
    with pytest.raises(InputError, match=r"r\.json: holds a midgap\.Levels, not a midgap\.Records"):
        Records.read(path)
    path.write_text('{"records": [{"pl_peak_um": 1}]}')
    with pytest.raises(InputError, match=r"r\.json: .*records\.0: pl_peak_um"):
        Records.read(path)
    for name in ("CdSe", "", "../Cs4PbBr6"):
        with pytest.raises(InputError, match=r"no published records of .*Cs4PbBr6, CsPbBr3"):
            published_records(name)
