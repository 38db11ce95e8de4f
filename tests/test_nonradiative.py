"""Multiphonon capture against closed formulas and another program."""

import json

import numpy as np
import pytest
from scipy.special import gammaln

from midgap.defects.configuration_coordinate import ENERGY_OF_ROOT_CURVATURE, ConfigurationCoordinate, Parabola
from midgap.defects.nonradiative import _matrix_elements, capture, classical_barrier_eV
from midgap.structures.errors import InputError


def diagram(delta_q, ground_eV, excited_eV, energy_eV):
    def parabola(phonon, q, energy):
        return Parabola(phonon_eV=phonon, minimum_q=q, minimum_eV=energy)

    return ConfigurationCoordinate(
        delta_q=delta_q,
        ground=parabola(ground_eV, 0.0, 0.0),
        excited=parabola(excited_eV, delta_q, energy_eV),
        energy_difference_eV=energy_eV,
        ground_label="0",
        excited_label="+1",
    )


GAN = diagram(2.008, 0.0339920265573, 0.0306775211118, 1.0102)
"""What nonrad's own tests take as an example."""


def test_as_nonrad():
    """Printed by nonrad 1.2.0: get_C(dQ, dE, wi, wf, Wif, 1100, T=..., sigma=..., occ_tol=1e-10)."""
    for width, expected in (
        (0.017, [1.82989201e-10, 6.27240650e-10, 1.33116006e-09]),
        (0.034, [1.99219192e-10, 6.51350950e-10, 1.35374395e-09]),
    ):
        found = capture(GAN, 0.00669174, 1100.0, [100.0, 300.0, 600.0], zero_phonon_line_eV=1.0102, width_eV=width)
        assert found.coefficient_cm3_per_s == pytest.approx(expected, rel=1e-6)
    assert classical_barrier_eV(2.008, 1.0102, 0.0306775211118, 0.0339920265573) == pytest.approx(0.06979358, abs=1e-7)


@pytest.mark.parametrize(("phonon", "factor", "quanta"), [(0.030, 2.0, 40), (0.007, 180.0, 450)])
def test_matrix_elements_of_equal_oscillators(phonon, factor, quanta):
    """⟨0|Q - ΔQ|n⟩ = l/√2 (n/√S + √S) (-1)^(n+1) √(e^-S S^n/n!), by the ladder operators."""
    length = ENERGY_OF_ROOT_CURVATURE / np.sqrt(phonon)
    n = np.arange(quanta)
    poisson = np.exp(0.5 * (-factor + n * np.log(factor) - gammaln(n + 1)))
    expected = length / np.sqrt(2) * (n / np.sqrt(factor) + np.sqrt(factor)) * poisson
    found = _matrix_elements(length * np.sqrt(2 * factor), phonon, phonon, 3, quanta)[0]
    assert np.abs(found) == pytest.approx(expected, abs=1e-9 * expected.max())


def test_hot_and_soft_is_activated_by_the_barrier():
    """Marcus: the classical rate goes with T^-½ exp(-E_b/kT), E_b = (λ - ΔE)²/4λ."""
    phonon, factor = 0.005, 100.0
    relaxation = factor * phonon
    energy = 1.4 * relaxation
    length = ENERGY_OF_ROOT_CURVATURE * np.sqrt(2 * factor / phonon)
    soft = diagram(length, phonon, phonon, energy)
    barrier = (relaxation - energy) ** 2 / (4 * relaxation)
    assert classical_barrier_eV(length, energy, phonon, phonon) == pytest.approx(barrier)
    temperatures = np.array([300.0, 500.0])
    found = capture(soft, 0.01, 1000.0, temperatures)
    kT = 8.617333e-5 * temperatures
    # at the crossing Q - Q₀ is the same for both
    expected = (kT[1] / kT[0]) ** -0.5 * np.exp(-barrier * (1 / kT[1] - 1 / kT[0]))
    assert found.coefficient_cm3_per_s[1] / found.coefficient_cm3_per_s[0] == pytest.approx(expected, rel=0.05)


def test_the_command_line_of_capture(midgap, tmp_path):
    """nonrad's example once more; half a quantum is 17 meV."""
    path = GAN.write(tmp_path / "diagram.json")
    words = ("emission", path, "--zpl", 1.0102, "--temperature", 0, "--temperature", 300, "--coupling", 0.00669174)
    found = json.loads(midgap(*words, "--volume", 1100, "--json").out)["capture"]
    assert found["temperatures_K"] == [300.0]
    assert found["coefficient_cm3_per_s"] == pytest.approx([6.2724e-10], rel=1e-3)
    assert "6.27e-10" in midgap(*words, "--volume", 1100).out
    assert "needs a coupling and the volume" in midgap(*words, code=2).err


def test_what_cannot_be_captured_is_refused():
    with pytest.raises(InputError, match="one-mode picture"):
        capture(diagram(5.0, 1e-4, 1e-4, 2.0), 0.01, 1000.0, [10.0])
    with pytest.raises(InputError, match="positive numbers"):
        capture(GAN, 0.01, 1000.0, [0.0])
