"""Configuration coordinate, line shapes, vibrations and lifetimes against results that are known exactly."""

import numpy as np
import pytest
from numpy.random import default_rng
from pymatgen.core import IMolecule, IStructure, Lattice
from scipy.special import ive
from scipy.stats import poisson

from midgap.defects.configuration_coordinate import (
    ENERGY_OF_ROOT_CURVATURE,
    along,
    curvature,
    delta_q,
    displacements_ang,
    fit_parabola,
    from_four_energies,
    from_points,
    with_carrier_eV,
)
from midgap.defects.lineshape import KT_PER_K_EV, Coupling, lineshape
from midgap.defects.radiative import lifetime_of, local_field_factor, radiative_lifetime
from midgap.defects.report import Transition
from midgap.defects.vibrations import couple, couple_forces, modes_of
from midgap.structures.errors import InputError


def test_the_vibration_of_carbon_monoxide():
    """ω_e = 2169.8 cm⁻¹ and k = 19.02 mdyn/Å (Huber and Herzberg, 1979); 1 cm⁻¹ = 0.12398 meV."""
    reduced = 12.0 * 15.9949 / 27.9949
    per_ang2 = 19.02e2 / 1.602177e-19 * 1e-20
    assert ENERGY_OF_ROOT_CURVATURE * np.sqrt(per_ang2 / reduced) == pytest.approx(2169.8 * 1.239842e-4, rel=1e-3)


def crystal(frac, lattice=None):
    return IStructure(Lattice(np.eye(3) * 6.0) if lattice is None else lattice, ["Cs", "Br", "Br"], frac)


HERE = [[0.0, 0.0, 0.02], [0.5, 0.5, 0.5], [0.99, 0.5, 0.2]]


def test_displacements_cross_the_boundary_and_drop_the_drift():
    moved = np.array([[0.1, 0.0, -0.2], [0.0, 0.3, 0.0], [0.12, 0.0, 0.05]])
    masses = np.array([132.90545, 79.904, 79.904])
    start = crystal(HERE)
    end = crystal((np.asarray(HERE) + (moved + np.array([0.4, -0.2, 0.1])) / 6.0) % 1.0)
    expected = moved - masses @ moved / masses.sum()
    np.testing.assert_allclose(displacements_ang(start, end), expected, atol=1e-9)
    assert delta_q(start, end) == pytest.approx(np.sqrt(masses @ (expected**2).sum(axis=1)), rel=1e-6)
    assert delta_q(start, start) == 0.0
    halfway = crystal(along(start, end, 0.5) / 6.0)
    assert delta_q(start, halfway) == pytest.approx(delta_q(start, end) / 2)
    assert delta_q(start, crystal(along(start, end, -0.3) / 6.0)) == pytest.approx(0.3 * delta_q(start, end))


def test_the_nearest_image_in_a_skewed_cell():
    lattice = Lattice([[6.0, 0, 0], [5.5, 2.5, 0], [0, 0, 6.0]])
    start, end = (crystal([[0, 0, 0], [0.5, 0.5, 0.5], [x, y, 0.25]], lattice) for x, y in ((0, 0), (0.45, -0.45)))
    # By rounding it would be (0.225, -1.125): the difference of fractions is already less than a half.
    direct = 0.45 * lattice.matrix[0] - 0.45 * lattice.matrix[1]
    raw = displacements_ang(start, end)
    assert np.linalg.norm(raw[2] - raw[0]) == pytest.approx(np.linalg.norm(direct))
    beyond = crystal([[0, 0, 0], [0.5, 0.5, 0.5], [0.48, 0.48, 0.25]], lattice)
    there = displacements_ang(start, beyond)
    images = [np.linalg.norm([0.48 + i, 0.48 + j, 0] @ lattice.matrix) for i in (-2, -1, 0, 1) for j in (-2, -1, 0, 1)]
    assert np.linalg.norm(there[2] - there[0]) == pytest.approx(min(images))


def test_other_atoms_are_refused():
    start = crystal(HERE)
    with pytest.raises(InputError, match="another order"):
        delta_q(start, IStructure(start.lattice, ["Br", "Cs", "Br"], HERE))
    with pytest.raises(InputError, match="other lattices"):
        delta_q(start, crystal(HERE, Lattice.cubic(6.1)))
    with pytest.raises(InputError, match="cluster"):
        delta_q(start, IMolecule(["Cs", "Br", "Br"], np.zeros((3, 3))))


def test_a_parabola_is_found_in_exact_points_and_its_error_in_noisy_ones():
    q = np.linspace(-1.0, 2.0, 7)
    exact = 0.4 + 0.5 * curvature(0.02) * (q - 0.7) ** 2
    found = fit_parabola(q, exact)
    assert (found.phonon_eV, found.minimum_q, found.minimum_eV) == pytest.approx((0.02, 0.7, 0.4))
    assert found.phonon_uncertainty_eV == pytest.approx(0.0, abs=1e-9)
    rng, inside = default_rng(1), 0
    for _ in range(300):
        noisy = fit_parabola(q, exact + rng.normal(0, 0.002, len(q)))
        inside += abs(noisy.phonon_eV - 0.02) <= noisy.phonon_uncertainty_eV
    assert inside >= 0.6 * 300
    cubic = fit_parabola(q, exact + 0.01 * (q - 0.7) ** 3, 0.7)
    assert cubic.phonon_uncertainty_eV == pytest.approx(abs(cubic.phonon_eV - 0.02)) and cubic.phonon_uncertainty_eV > 0
    for bad in ([0, 1], [0, 1, 0]):
        with pytest.raises(InputError, match="3 or more"):
            fit_parabola(bad, bad)
    with pytest.raises(InputError, match="upwards"):
        fit_parabola([0, 1, 2], [0, 1, 0])


def test_a_diagram_of_known_parabolas():
    """S = ΔE/ħω and all energies by hand for ħω = 20 and 25 meV, ΔQ = 4 amu^½ Å, 2.5 eV apart."""
    low, high = (0.5 * curvature(phonon) * 16.0 for phonon in (0.020, 0.025))
    diagram = from_four_energies(4.0, -10.0, -10.0 + low, -7.5, -7.5 + high, uncertainty_eV=0.1)
    assert diagram.ground.phonon_eV == pytest.approx(0.020) and diagram.excited.phonon_eV == pytest.approx(0.025)
    assert diagram.emission_eV == pytest.approx(2.5 - low) and diagram.absorption_eV == pytest.approx(2.5 + high)
    assert diagram.stokes_shift_eV == pytest.approx(low + high)
    assert diagram.huang_rhys_emission == pytest.approx(low / 0.020)
    assert diagram.zero_phonon_line_eV == pytest.approx(2.5 + 0.0025)
    assert diagram.crossing_eV is None  # the difference of the two is positive everywhere
    soft = diagram.model_copy(update={"excited": diagram.excited.model_copy(update={"phonon_eV": 0.015})})
    q = np.linspace(-60, 60, 1200001)
    difference = soft.excited.energy_eV(q) - soft.ground.energy_eV(q)
    crossings = q[np.flatnonzero(np.diff(np.sign(difference)))]
    assert soft.crossing_eV == pytest.approx(min(soft.excited.energy_eV(crossings)) + 7.5, rel=1e-3)
    ground = [(x, float(diagram.ground.energy_eV(x))) for x in (-1.0, 0.0, 1.0, 2.0)]
    excited = [(x, float(diagram.excited.energy_eV(x))) for x in (2.0, 3.0, 4.0, 5.0)]
    again = from_points(4.0, ground, excited)
    assert again.emission_eV == pytest.approx(diagram.emission_eV)
    assert type(again).from_dict(again.to_dict()) == again
    with pytest.raises(InputError, match="wrong minimum"):
        from_four_energies(4.0, -10.0, -10.1, -7.5, -7.0)


def test_the_carrier_at_the_edge_makes_transition_levels_of_total_energies():
    """Capture of an electron by D⁺ releases E_CBM - ε(+/0), of a hole by D⁻ ε(0/-) - E_VBM."""
    vbm, cbm = 1.0, 5.0
    plus, zero, minus = -20.0, -17.6, -14.0
    level_plus = zero - plus - vbm
    level_minus = minus - zero - vbm
    assert with_carrier_eV(plus, 1, 0, vbm, cbm) - zero == pytest.approx((cbm - vbm) - level_plus)
    assert with_carrier_eV(minus, -1, 0, vbm, cbm) - zero == pytest.approx(level_minus)


@pytest.mark.parametrize("strength", [0.3, 1.0, 5.0, 20.0])
def test_poisson_at_zero_temperature(strength):
    """S^n e^-S / n! (Huang and Rhys, Proc. R. Soc. A 204, 406 (1950)), each line by the area beneath it."""
    phonon = 0.02
    line = lineshape(2.4, Coupling.of(phonon, strength), sigma_eV=0.0012, quantity="spectral function", kind="emission")
    for n in range(int(strength + 4 * np.sqrt(strength)) + 1):
        weight = area(line, 2.4 - n * phonon, phonon)
        assert weight == pytest.approx(poisson.pmf(n, strength), rel=1e-4, abs=1e-6)
    absorbed = lineshape(2.4, line.coupling, sigma_eV=0.0012, quantity="spectral function", kind="absorption")
    assert area(absorbed, 2.4 + 2 * phonon, phonon) == pytest.approx(poisson.pmf(2, strength), rel=1e-4)


def area(line, centre, width):
    inside = np.abs(line.energies_eV - centre) < width / 2
    return line.intensity_per_eV[inside].sum() * (line.energies_eV[1] - line.energies_eV[0])


@pytest.mark.parametrize(("strength", "temperature"), [(1.5, 300.0), (8.0, 77.0), (8.0, 300.0)])
def test_bessel_functions_at_finite_temperature(strength, temperature):
    """e^{-S(2n+1)} ((n+1)/n)^{p/2} I_p(2S √(n(n+1))) (Huang and Rhys 1950; Markham, Rev. Mod. Phys. 31, 956)."""
    phonon = 0.02
    n = 1.0 / np.expm1(phonon / (KT_PER_K_EV * temperature))
    coupling = Coupling.of(phonon, strength)
    line = lineshape(2.4, coupling, temperature_K=temperature, sigma_eV=0.0012, quantity="spectral function")
    x = 2 * strength * np.sqrt(n * (n + 1))
    for p in range(-6, 20):
        expected = np.exp(-strength * (2 * n + 1) + x) * ((n + 1) / n) ** (p / 2) * ive(p, x)
        assert area(line, 2.4 - p * phonon, phonon) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_moments_of_many_modes_are_exact():
    """Lax 1952: mean E_ZPL - Σ Sħω at any temperature, variance Σ S (ħω)² coth(ħω/2kT)."""
    coupling = Coupling(phonons_eV=[0.004, 0.011, 0.02, 0.07], huang_rhys=[3.0, 1.2, 4.0, 0.3])
    for temperature in (0.0, 10.0, 300.0):
        line = lineshape(2.6, coupling, temperature_K=temperature, sigma_eV=0.003, quantity="spectral function")
        assert line.mean_eV == pytest.approx(2.6 - coupling.relaxation_eV, abs=1e-6)
        spread = np.trapezoid((line.energies_eV - line.mean_eV) ** 2 * line.intensity_per_eV, line.energies_eV)
        kT = max(temperature, 1e-3) * KT_PER_K_EV
        coth = 1 / np.tanh(coupling.phonons_eV / (2 * kT))
        assert spread == pytest.approx(coupling.huang_rhys @ (coupling.phonons_eV**2 * coth) + 0.003**2, rel=1e-6)


def test_the_width_of_a_strongly_coupled_line():
    """Semiclassically 2.355 ħω (S coth(ħω/2kT))^½ (Stoneham, Theory of Defects in Solids, 1975, ch. 10)."""
    coupling = Coupling.of(0.01, 400.0)
    semiclassical_eV = 2.35482 * 0.01 * np.sqrt(400.0 / np.tanh(0.01 / (2 * KT_PER_K_EV * 300.0)))
    line = lineshape(8.0, coupling, temperature_K=300.0, quantity="spectral function", sigma_eV=0.006)
    broadened = np.hypot(semiclassical_eV, 2.35482 * 0.006)
    assert line.fwhm_eV == pytest.approx(broadened, rel=2e-3)
    photons = lineshape(8.0, coupling, temperature_K=300.0, sigma_eV=0.006)
    # Moments of E³ times a Gaussian of mean 4 eV.
    variance = (line.fwhm_eV / 2.35482) ** 2
    moved = (4.0**4 + 6 * 16 * variance + 3 * variance**2) / (4.0**3 + 12 * variance) - 4.0
    assert photons.mean_eV - line.mean_eV == pytest.approx(moved, rel=0.02)
    assert lineshape(8.0, Coupling.of(0.01, 0.0), sigma_eV=0.004).fwhm_eV == pytest.approx(0.004 * 2.35482, rel=1e-3)


def test_the_reflected_width():
    """Of equal frequencies σ² = S (ħω)² coth(ħω/2kT), that of the line; of others it goes with the root of their ratio at low T."""
    same = from_four_energies(5.0, 0.0, 0.4, 2.0, 2.4)
    coupling = Coupling.of(same.ground.phonon_eV, same.huang_rhys_emission)
    for temperature in (0.0, 300.0):
        sigma = np.sqrt(coupling.variance_eV2(temperature))
        assert same.reflected_fwhm_eV(temperature) == pytest.approx(2.354820 * sigma, rel=1e-5)
    softer = from_four_energies(5.0, 0.0, 0.4, 2.0, 2.1)  # half the frequency before the emission
    assert softer.reflected_fwhm_eV(0.0) / same.reflected_fwhm_eV(0.0) == pytest.approx(np.sqrt(2.0))
    assert softer.reflected_fwhm_eV(3000.0) / same.reflected_fwhm_eV(3000.0) == pytest.approx(2.0, rel=1e-2)


def test_many_equal_modes_are_one():
    one = lineshape(2.4, Coupling.of(0.015, 6.0), temperature_K=100, sigma_eV=0.004)
    many = lineshape(
        2.4, Coupling(phonons_eV=[0.015] * 3, huang_rhys=[1.0, 2.0, 3.0]), temperature_K=100, sigma_eV=0.004
    )
    np.testing.assert_allclose(many.intensity_per_eV, one.intensity_per_eV, atol=1e-9 * one.intensity_per_eV.max())


def test_lines_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="below zero energy"):
        lineshape(1.0, Coupling.of(0.02, 60.0))
    with pytest.raises(InputError, match="too small"):
        lineshape(9.0, Coupling.of(0.05, 100.0), sigma_eV=1e-6)
    for wrong in ({"phonons_eV": [-0.01], "huang_rhys": [1.0]}, {"phonons_eV": [0.01], "huang_rhys": [1.0, 2.0]}):
        with pytest.raises(InputError):
            Coupling.from_dict(wrong)


def springs(structure, rng):
    """Force constants of random springs between all atoms: symmetric, stable, blind to rigid shifts."""
    n = len(structure)
    constants = np.zeros((n, n, 3, 3))
    for i in range(n):
        for j in range(i):
            root = rng.normal(size=(3, 3))
            block = root @ root.T
            constants[i, j] -= block
            constants[j, i] -= block
            constants[i, i] += block
            constants[j, j] += block
    return constants


def test_modes_share_out_a_displacement_completely():
    """Σ q_k² = ΔQ² and Σ S_k ħω_k = ½ ΔR Φ ΔR, whatever the modes are."""
    rng = default_rng(3)
    start = crystal(HERE)
    end = crystal(np.asarray(HERE) + rng.normal(0, 0.02, (3, 3)))
    constants = springs(start, rng)
    modes = modes_of(start, constants)
    assert modes.stable and len(modes.energies_eV) == 6
    gram = np.einsum("kai,lai->kl", modes.eigenvectors, modes.eigenvectors)
    np.testing.assert_allclose(gram, np.eye(6), atol=1e-10)
    found = couple(modes, start, end)
    moved = displacements_ang(start, end)
    assert found.delta_q == pytest.approx(delta_q(start, end))
    energy = 0.5 * np.einsum("ai,abij,bj->", moved, constants, moved)
    assert found.coupling.relaxation_eV == pytest.approx(energy)
    forces = np.einsum("abij,bj->ai", constants, moved)
    np.testing.assert_allclose(couple_forces(modes, forces).huang_rhys, found.huang_rhys, rtol=1e-8)


def test_a_diatomic_molecule_in_a_cell():
    """One mode, of ω² = k/μ along the bond, and three rigid ones that are left out."""
    pair = IStructure(Lattice.cubic(9.0), ["C", "O"], [[0, 0, 0], [0, 0, 0.125]])
    stiff = np.zeros((2, 2, 3, 3))
    stiff[:, :, 2, 2] = 100.0 * np.array([[1, -1], [-1, 1]])
    stiff += 1e-3 * np.einsum("ab,ij->abij", [[1, -1], [-1, 1]], np.eye(3))
    modes = modes_of(pair, stiff)
    reduced = 12.0107 * 15.9994 / (12.0107 + 15.9994)
    assert modes.energies_eV[-1] == pytest.approx(ENERGY_OF_ROOT_CURVATURE * np.sqrt(100.001 / reduced), rel=1e-4)
    assert len(modes.energies_eV) == 3


def test_an_imaginary_mode_is_told_and_its_part_of_the_way_too():
    pair = IStructure(Lattice.cubic(9.0), ["C", "O"], [[0, 0, 0], [0, 0, 0.125]])
    bent = np.einsum("ab,ij->abij", [[1.0, -1.0], [-1.0, 1.0]], np.diag([-0.5, 2.0, 3.0]))
    modes = modes_of(pair, bent)
    assert not modes.stable and modes.imaginary.tolist() == [True, False, False] and "imaginary" in modes.warnings[0]
    end = IStructure(pair.lattice, ["C", "O"], np.array([[0, 0, 0], [0.1, 0.1, 1.125]]) / 9.0)
    found = couple(modes, pair, end)
    assert found.lost == pytest.approx(0.5) and "50 %" in found.warnings[0]


def test_phonopys_frequencies_of_its_own_force_constants(tmp_path):
    """Γ of a supercell holds the modes of all its commensurate q-points, as phonopy itself computes them."""
    import phonopy
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    from midgap.defects.vibrations import read_phonopy

    cell = PhonopyAtoms(
        symbols=["Mg", "O"], scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=2.1 * (np.ones((3, 3)) - np.eye(3))
    )
    phonon = Phonopy(cell, np.diag([2, 2, 2]), primitive_matrix=np.eye(3))
    supercell = phonon.supercell
    structure = IStructure(Lattice(supercell.cell), supercell.symbols, supercell.scaled_positions)
    between = structure.lattice.get_all_distances(structure.frac_coords, structure.frac_coords)
    constants = np.zeros((16, 16, 3, 3))
    for i in range(16):
        for j in range(16):
            if i != j and between[i, j] < 2.2:
                sites = structure.lattice.get_distance_and_image(structure.frac_coords[i], structure.frac_coords[j])[1]
                bond = structure.lattice.get_cartesian_coords(
                    structure.frac_coords[j] + sites - structure.frac_coords[i]
                )
                stiff = 6.0 * np.outer(bond, bond) / (bond @ bond) + 0.8 * np.eye(3)
                constants[i, j] -= stiff
                constants[i, i] += stiff
    phonon.force_constants = constants
    points = np.stack(np.meshgrid(*[[0, 0.5]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    phonon.run_qpoints(points)
    expected = np.sort(phonon.qpoints.frequencies.ravel())[3:] * 4.135667696e-3
    path = tmp_path / "phonopy_params.yaml"
    phonon.save(path, settings={"force_constants": True})
    found = read_phonopy(path)
    assert phonopy.load(path, is_nac=False).force_constants is not None
    # phonopy's table of masses has other last digits than pymatgen's.
    np.testing.assert_allclose(found.energies_eV, expected, rtol=1e-4)
    (tmp_path / "other.yaml").write_text("a: [1")
    for bad in ("other.yaml", "missing.yaml"):
        with pytest.raises(InputError):
            read_phonopy(tmp_path / bad)


def test_the_lifetime_of_hydrogens_2p():
    """1.596 ns (NIST ASD, A = 6.2649e8 /s): f in emission is a third of f(1s → 2p) = 0.41620, ΔE = 10.1988 eV."""
    found = radiative_lifetime(10.1988, 0.41620 / 3)
    assert found.lifetime_ns == pytest.approx(1.596, rel=1e-3)
    assert found.rate_per_ns == pytest.approx(0.62649, rel=1e-3)


def test_the_lifetime_of_sodiums_d_line():
    """NIST ASD: 3p₃/₂ → 3s, 589.158 nm, f(3s → 3p₃/₂) = 0.641, A = 6.16e7 /s; the upper state has twice the states."""
    found = radiative_lifetime(1239.84198 / 589.158, 0.641 / 2)
    assert found.rate_per_ns == pytest.approx(0.0616, rel=2e-3)


def test_surroundings_and_reports():
    bare = radiative_lifetime(2.4, 0.5)
    assert radiative_lifetime(2.4, 0.5, 1.8).lifetime_ns == pytest.approx(bare.lifetime_ns / 1.8)
    assert local_field_factor(1.5, "virtual cavity") == pytest.approx((4.25 / 3) ** 2)
    assert local_field_factor(1.5, "real cavity") == pytest.approx((6.75 / 5.5) ** 2)
    transition = Transition(upper=0, lower=None, energy_eV=2.4, emits=True, oscillator_strength=0.5, dipole_e_ang=1.0)
    assert lifetime_of(transition).lifetime_ns == pytest.approx(bare.lifetime_ns)
    # With the dipole held, the rate goes with the third power of the photon's energy.
    assert lifetime_of(transition, photon_eV=1.2).rate_per_ns == pytest.approx(bare.rate_per_ns / 8)
    with pytest.raises(InputError, match="No oscillator strength"):
        lifetime_of(transition.model_copy(update={"oscillator_strength": None}))
    with pytest.raises(InputError, match="does not emit"):
        lifetime_of(transition.model_copy(update={"oscillator_strength": 0.0}))
