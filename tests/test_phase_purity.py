"""Weight fractions from powder patterns, against published intensity ratios and mixtures of known weight."""

import numpy as np
import pytest
from cubic import rock_salt, zinc_blende
from pymatgen.analysis.diffraction.xrd import XRDCalculator
from pymatgen.core import Lattice, Structure

from midgap.experiment.phase_purity import reference_intensity, trace_fraction
from midgap.structures.crystals import load_crystal
from midgap.structures.errors import InputError

ANGLES = np.arange(10.0, 45.0, 0.04)


@pytest.fixture(scope="module")
def phases():
    return load_crystal("Cs4PbBr6")[0], load_crystal("CsPbBr3")[0]


def mixture(rng, phases, weight_fraction, counts=20_000, sizes_nm=(26.0, 15.0), background=200.0):
    """Counts of a mixture by volume: each cell scatters |F|²/V² a volume, and a phase has mass by its density."""
    volume = np.array([(1 - weight_fraction) / phases[0].density, weight_fraction / phases[1].density])
    pattern = np.zeros(ANGLES.size)
    for structure, part, size in zip(phases, volume, sizes_nm, strict=True):
        calculated = XRDCalculator(wavelength=1.5406).get_pattern(
            Structure.from_sites(list(structure)), scaled=False, two_theta_range=(5, 60)
        )
        for angle, intensity in zip(calculated.x, calculated.y, strict=True):
            fwhm = np.degrees(0.9 * 1.5406 / (10 * size * np.cos(np.radians(angle / 2))))
            line = np.exp(-4 * np.log(2) * ((ANGLES - angle) / fwhm) ** 2) / fwhm
            pattern += part * intensity / structure.volume**2 * line
    return rng.poisson(pattern / pattern.max() * counts + background * (1 + 3 * np.exp(-ANGLES / 15)))


def test_reference_intensity_ratios_are_the_published_ones():
    corundum = Structure.from_spacegroup(
        "R-3c", Lattice.hexagonal(4.7588, 12.992), ["Al", "O"], [[0, 0, 0.35216], [0.30624, 0, 0.25]]
    )
    silicon = zinc_blende(5.4309, "Si", "Si")
    halite = rock_salt(5.6402, "Na", "Cl")
    # I/I_c of the Powder Diffraction File: 4.7 (27-1402) and 4.4 (5-628), measured. Thermal motion is not in ours.
    unit = reference_intensity(corundum)
    assert reference_intensity(silicon) / unit == pytest.approx(4.7, rel=0.1)
    assert reference_intensity(halite) / unit == pytest.approx(4.4, rel=0.1)
    # Of the material, not of the cell it is described in.
    assert reference_intensity(silicon.get_primitive_structure()) == pytest.approx(reference_intensity(silicon))


def test_three_percent_are_found_with_their_interval(phases):
    found = trace_fraction(ANGLES, mixture(np.random.default_rng(1), phases, 0.03), *phases, ci_level=0.997)
    q = found.trace_weight_fraction
    assert found.seen and q.contains(0.03) and q.hi - q.lo < 0.01
    assert found.size_nm == pytest.approx((26.0, 15.0), rel=0.1)
    assert found.strain == pytest.approx((0.0, 0.0), abs=5e-4)
    assert found.chi_squared == pytest.approx(1.0, abs=0.15)


def test_a_pure_sample_gives_an_upper_bound(phases):
    found = trace_fraction(ANGLES, mixture(np.random.default_rng(2), phases, 0.0), *phases)
    q = found.trace_weight_fraction
    assert not found.seen and q.lo is None and 0 < q.hi < 0.005
    # Fewer photons exclude less.
    weak = trace_fraction(ANGLES, mixture(np.random.default_rng(3), phases, 0.0, counts=500), *phases)
    assert weak.trace_weight_fraction.hi > 2 * q.hi


def test_command_says_how_much(tmp_path, phases, monkeypatch, capsys):
    from midgap.cli.main import main

    np.savetxt(tmp_path / "xrd.csv", np.c_[ANGLES, mixture(np.random.default_rng(4), phases, 0.05)], delimiter=",")
    command = ["midgap", "diffraction", str(tmp_path / "xrd.csv"), "--host", "Cs4PbBr6", "--trace", "CsPbBr3"]
    monkeypatch.setattr("sys.argv", [*command, "--picture", str(tmp_path / "xrd.png")])
    with pytest.raises(SystemExit):
        main()
    assert "CsPbBr3 in Cs4PbBr6: " in (said := capsys.readouterr().out)
    assert float(said.split("Cs4PbBr6: ")[1].split(" %")[0]) == pytest.approx(5.0, abs=0.3)
    assert (tmp_path / "xrd.png").read_bytes().startswith(b"\x89PNG")


def test_a_pattern_must_be_one(phases):
    with pytest.raises(InputError, match="must ascend"):
        trace_fraction(ANGLES[::-1], np.ones(ANGLES.size), *phases)
    with pytest.raises(InputError, match="at least 50"):
        trace_fraction(ANGLES[:10], np.ones(10), *phases)
