"""Spectra: units, Jacobian, lines and tails against closed forms and known truth."""

import json
import math

import numpy as np
import pytest
from scipy.constants import c, e, h

from midgap.experiment.photon_energy import line_width_eV
from midgap.experiment.records import ParticleRecord
from midgap.experiment.spectra import overlap, read_spectrum, spectrum
from midgap.experiment.spectral_lines import emission_fields, fit_line, line_shape, urbach_energy
from midgap.structures.errors import InputError

NM = np.arange(450.0, 650.0, 0.5)
GREEN = 1000 * np.exp(-4 * math.log(2) * ((NM - 520) / 23) ** 2)


def write(path, text):
    path.write_text(text)
    return path


def test_density_changes_with_the_jacobian_and_absorption_does_not():
    energy, density = spectrum(NM, GREEN, "nm").in_energy()
    assert np.trapezoid(density, energy) == pytest.approx(np.trapezoid(GREEN, NM), rel=1e-4)
    i = np.searchsorted(NM, 520.0)
    assert energy[::-1][i] == pytest.approx(h * c / e / 520e-9)
    assert density[::-1][i] == pytest.approx(GREEN[i] * 520**2 / (h * c / e * 1e9))
    _, absorbance = spectrum(NM, GREEN, "nm", kind="absorption").in_energy()
    assert absorbance[::-1] == pytest.approx(GREEN)
    wavenumber, per_wavenumber = spectrum(1e7 / NM, GREEN * NM**2 / 1e7, "cm-1").in_energy()
    assert wavenumber == pytest.approx(energy) and per_wavenumber == pytest.approx(density, rel=1e-6)


def test_air_lowers_the_energy_by_its_index():
    vacuum = spectrum(NM, GREEN, "nm", medium="vacuum").in_energy()[0]
    air = spectrum(NM, GREEN, "nm", medium="air").in_energy()[0]
    # Standard air at 520 nm: n - 1 = 2.78e-4 (CRC Handbook).
    assert (vacuum / air - 1)[::-1][np.searchsorted(NM, 520.0)] == pytest.approx(2.78e-4, rel=0.01)


def test_line_in_wavelength_and_in_energy():
    rng = np.random.default_rng(1)
    fields, line = emission_fields(spectrum(NM, GREEN + 50 + rng.normal(0, 10, NM.size), "nm"), ci_level=0.999)
    record = ParticleRecord(**fields)
    assert record.pl_peak_nm.contains(520.0) and record.pl_fwhm_nm.contains(23.0)
    # The maximum of I(E) lies at λ (1 + √(1 + 8σ²/λ²))/2.
    sigma = 23 / math.sqrt(8 * math.log(2))
    top = 0.5 * (520 + math.sqrt(520**2 + 8 * sigma**2))
    assert record.pl_peak_eV.value == pytest.approx(h * c / e * 1e9 / top, abs=1e-3)
    assert record.pl_fwhm_meV.value == pytest.approx(1e3 * line_width_eV(520, 23), rel=0.02)
    assert record.jacobian_applied and line.r_squared > 0.99


@pytest.mark.parametrize("correlated", [False, True])
def test_intervals_of_peak_and_width_hold_the_truth(correlated):
    rng, x, runs, level = np.random.default_rng(2), np.linspace(2.1, 2.7, 300), 120, 0.9
    truth = np.array([1.0, 2.38, math.log(0.05), 0.02, math.log(0.03), 0.3])
    clean, hits = line_shape(truth, x, "asymmetric pseudo-Voigt"), np.zeros(2)
    for _ in range(runs):
        noise = rng.normal(0, 0.01, x.size + 4)
        # A monochromator's slit makes neighbours go together.
        noise = np.convolve(noise, np.ones(5) / math.sqrt(5), "valid") if correlated else noise[4:]
        line = fit_line(x, clean + noise, shapes=("asymmetric pseudo-Voigt",), ci_level=level)
        hits += line.peak.contains(2.38), line.fwhm.contains(0.08)
    assert hits / runs == pytest.approx(
        level, abs=3 * math.sqrt(level * (1 - level) / runs) + (0.03 if correlated else 0)
    )


def test_shape_is_no_more_than_the_data_ask_for():
    rng, x = np.random.default_rng(3), np.linspace(2.1, 2.7, 300)
    gauss = np.exp(-4 * math.log(2) * ((x - 2.4) / 0.1) ** 2)
    assert sum(fit_line(x, gauss + rng.normal(0, 0.02, x.size)).shape == "gaussian" for _ in range(20)) >= 18
    skewed = line_shape(np.array([1, 2.4, math.log(0.06), 0, math.log(0.04)]), x, "asymmetric gaussian")
    line = fit_line(x, skewed + rng.normal(0, 0.02, x.size))
    assert line.shape == "asymmetric gaussian" and line.asymmetry.contains(2 / 3) and line.asymmetry.hi < 1


def test_urbach_energy_on_scattered_light():
    rng, hits = np.random.default_rng(4), 0
    for _ in range(50):
        x = np.linspace(2.0, 3.2, 200)
        y = 0.05 + np.exp((x - 3.0) / 0.12) + rng.normal(0, 0.003, x.size)
        hits += bool(urbach_energy(spectrum(x, y, "eV", kind="absorption"), 2.1, 2.9).urbach_meV.contains(120))
    assert hits >= 43
    with pytest.raises(InputError, match="does not rise"):
        urbach_energy(spectrum(x, -y + 5, "eV", kind="absorption"), 2.1, 2.9)
    with pytest.raises(InputError, match="needs at least 8"):
        urbach_energy(spectrum(x, y, "eV", kind="absorption"), 2.1, 2.11)


def test_overlap_of_gaussians_is_that_of_the_closed_form():
    x = np.linspace(1.5, 3.5, 2000)

    def gauss(centre, sigma):
        return spectrum(x, np.exp(-((x - centre) ** 2) / (2 * sigma**2)), "eV")

    a, b, d = 0.05, 0.08, 0.1
    expected = math.sqrt(2 * a * b / (a**2 + b**2)) * math.exp(-(d**2) / (2 * (a**2 + b**2)))
    assert overlap(gauss(2.4, a), gauss(2.5, b)) == pytest.approx(expected, rel=1e-4)
    assert overlap(gauss(2.4, a), gauss(2.4, a)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text",
    [
        "Wavelength (nm),Intensity\n" + "\n".join(f"{x},{2 * x}" for x in range(500, 520)),
        "# emission\nlambda/nm\tcounts\n" + "\n".join(f"{x}\t{2 * x}" for x in range(500, 520)),
        "Wellenlänge [nm];Intensität\n" + "\n".join(f"{x},0;{2 * x},0" for x in range(500, 520)) + "\nEnde\n",
        "JASCO\nXUNITS\tNANOMETERS\nEXCITATION\t2.8 eV\nNPOINTS\t20\nXYDATA\n"
        + "\n".join(f"{x}\t{2 * x}" for x in range(500, 520)),
        "2024;1\nnm\n" + "\r\n".join(f"  {x:.1f}   {2 * x:.3e}" for x in range(500, 520)),
    ],
)
def test_files_of_many_makes(tmp_path, text):
    read = read_spectrum(write(tmp_path / "pl.txt", text))
    assert read.unit == "nm" and read.x[0] == 500 and read.intensity[-1] == 2 * 519


def test_units_must_be_told(tmp_path):
    rows = "\n".join(f"{x} {2 * x}" for x in range(500, 520))
    bare = write(tmp_path / "bare.txt", rows)
    with pytest.raises(InputError, match="does not say its unit"):
        read_spectrum(bare)
    assert read_spectrum(bare, unit="nm").unit == "nm"
    with pytest.raises(InputError, match="header says nm, but eV was given"):
        read_spectrum(write(tmp_path / "nm.txt", "nm counts\n" + rows), unit="eV")
    with pytest.raises(InputError, match="does not say its unit"):
        read_spectrum(write(tmp_path / "laser.txt", "excited at 350 nm\n" + rows))
    with pytest.raises(InputError, match="says µm, which is not known"):
        read_spectrum(write(tmp_path / "um.txt", "µm counts\n" + rows))
    with pytest.raises(InputError, match="'furlong' of a spectrum is not known"):
        read_spectrum(bare, unit="furlong")
    with pytest.raises(InputError, match="no optical spectrum"):
        read_spectrum(bare, unit="eV")


def test_what_is_no_spectrum_is_refused(tmp_path):
    binary = tmp_path / "a.spc"
    binary.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError, match="binary file"):
        read_spectrum(binary)
    with pytest.raises(InputError, match="no such file"):
        read_spectrum(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no table"):
        read_spectrum(write(tmp_path / "words.txt", "nm\nthere is nothing here\n1 2\n"))
    with pytest.raises(InputError, match="not all the same"):
        fit_line(NM, np.ones(NM.size))


def test_command_prints_one_record_and_draws(tmp_path, monkeypatch, capsys):
    from midgap.cli.main import main

    rng = np.random.default_rng(5)
    noisy = GREEN + rng.normal(0, 5, NM.size)
    file = write(tmp_path / "pl.csv", "nm,cps\n" + "\n".join(f"{x},{y}" for x, y in zip(NM, noisy, strict=True)))
    command = ["midgap", "spectrum", str(file), "--json", "--medium", "air"]
    monkeypatch.setattr("sys.argv", [*command, "--picture", str(tmp_path / "pl.png")])
    with pytest.raises(SystemExit) as ended:
        main()
    record = ParticleRecord.from_dict(json.loads(capsys.readouterr().out))
    assert not ended.value.code
    assert record.pl_peak_nm.value == pytest.approx(520, abs=0.2) and record.medium == "air"
    assert (tmp_path / "pl.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("sys.argv", [*command, "--unit", "eV"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2 and "one of them is wrong" in said.err and not said.out


def test_any_bytes_are_a_spectrum_or_a_sentence(tmp_path):
    rng, file = np.random.default_rng(6), tmp_path / "any.txt"
    words = [b"nm", b"1,5", b"2.0", b"1e400", b"-3", b"nan", b";", b"\t", b",", b"\n", b"\r\n", b"\xff", b"500 2", b" "]
    for _ in range(300):
        file.write_bytes(b"".join(words[i] for i in rng.integers(len(words), size=200)))
        try:
            read = read_spectrum(file, unit="nm")
        except InputError:
            continue
        assert np.isfinite(read.intensity).all()
