"""Corrections of charged supercells against analytic sums, published formulas and another program."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from levels_example import level
from pymatgen.core import IStructure, Lattice

from midgap.defects.corrections import (
    corrected_level_eV,
    extended_fnv,
    image_correction,
    point_charge_energy_eV,
    relaxed,
    vertical,
    vertical_fnv,
)
from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.electrostatics import (
    COULOMB_EV_ANG,
    dielectric_tensor,
    image_energy_eV,
    periodic_potential_V,
)
from midgap.defects.level_correction import corrected
from midgap.defects.report import Alignment, LevelReport
from midgap.defects.site import DefectSite
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

MADELUNG_CUBE = 2.837297
"""Of a point charge with a background in a cube (Makov and Payne, Phys. Rev. B 51, 4014 (1995))."""

CUBE = 10.0 * np.eye(3)
SKEWED = np.array([[7.0, 0.5, 0.0], [-2.0, 9.0, 1.0], [0.0, 3.0, 12.0]])
TENSOR = np.array([[8.0, 0.6, 0.0], [0.6, 9.0, 0.3], [0.0, 0.3, 14.0]])


@pytest.mark.parametrize(("charge", "dielectric"), [(1, 1.0), (-2, 1.0), (3, 12.5)])
def test_a_point_charge_in_a_cube(charge, dielectric):
    expected = -MADELUNG_CUBE * charge**2 * COULOMB_EV_ANG / (2 * dielectric * 10.0)
    assert image_energy_eV(CUBE, dielectric_tensor(dielectric), charge) == pytest.approx(expected, rel=1e-6)


def test_madelung_constant_of_rock_salt():
    """1.747565 per distance of the ions (Wells, Structural Inorganic Chemistry)."""
    fcc = 5.64 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    at = np.array([[0, 0, 0], [2.82, 0, 0]])
    here, there = periodic_potential_V(fcc, np.eye(3), at)
    assert there - here == pytest.approx(1.747565 * COULOMB_EV_ANG / 2.82, rel=1e-6)


def test_an_anisotropic_medium_is_an_isotropic_one_in_other_coordinates():
    """div ε grad V = -ρ/ε₀ becomes Laplace's operator under r → ε^-½ r."""
    values, vectors = np.linalg.eigh(TENSOR)
    squeeze = vectors @ np.diag(values**-0.5) @ vectors.T
    points = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-3.0, 0.4, 5.5]])
    anisotropic = periodic_potential_V(SKEWED, TENSOR, points)
    isotropic = periodic_potential_V(SKEWED @ squeeze, np.eye(3), points @ squeeze) / np.sqrt(np.linalg.det(TENSOR))
    np.testing.assert_allclose(anisotropic, isotropic, rtol=1e-10)


def test_the_potential_is_that_of_the_lattice_not_of_the_cell_chosen_for_it():
    point = np.array([[1.0, 2.0, 3.0]])
    other = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]]) @ SKEWED
    assert periodic_potential_V(other, TENSOR, point) == pytest.approx(periodic_potential_V(SKEWED, TENSOR, point))
    assert periodic_potential_V(SKEWED, TENSOR, point + SKEWED[1]) == pytest.approx(
        periodic_potential_V(SKEWED, TENSOR, point)
    )


def test_the_potential_solves_poissons_equation_with_a_background():
    step, at = 1e-2, np.array([1.7, -2.2, 3.1])
    stencil = [at, *(at + sign * step * axis for axis in np.eye(3) for sign in (1, -1))]
    v = periodic_potential_V(SKEWED, 5.0 * np.eye(3), np.array(stencil))
    laplacian = (v[1:].sum() - 6 * v[0]) / step**2
    assert laplacian == pytest.approx(4 * np.pi * COULOMB_EV_ANG / (5.0 * np.linalg.det(SKEWED)), rel=1e-3)


@pytest.mark.parametrize("bad", [[1.0, 2.0], 0.5, [[2, 1, 0], [0, 2, 0], [0, 0, 2]], float("nan")])
def test_what_is_no_dielectric_tensor_is_refused(bad):
    with pytest.raises(InputError, match="ielectric"):
        dielectric_tensor(bad)


def test_a_level_moves_by_minus_two_over_q_times_the_correction():
    """Chen and Pasquarello, Phys. Rev. B 88, 115104 (2013)."""
    for charge in (-2, 1, 3):
        correction = image_correction(SKEWED, relaxed(charge, TENSOR))
        expected = 1.0 - 2 / charge * correction.energy_eV
        assert corrected_level_eV(1.0, 0.2, correction) == pytest.approx(expected)
        assert np.sign(corrected_level_eV(1.0, 0.2, correction) - 1.0) == -np.sign(charge)


def test_vertical_transitions_by_two_published_formulas():
    """Gake et al. 2020 add a fast charge to a slow one; Falletta et al. 2020 count polarisation charges."""
    slow, fast = 12.0, 4.0

    def model(charge, dielectric):
        return -image_energy_eV(CUBE, dielectric_tensor(dielectric), charge)

    for initial in (-2, -1, 1, 2):
        for final in (initial + 1, initial - 1):
            polarisation = -initial * (1 - fast / slow)
            expected = model(initial, slow) + model(final + polarisation, fast) - model(initial + polarisation, fast)
            charges = vertical(initial, final - initial, slow, fast)
            assert -point_charge_energy_eV(CUBE, charges) == pytest.approx(expected)
    nothing_added = image_correction(CUBE, vertical(2, 0, slow, fast))
    assert nothing_added.energy_eV == pytest.approx(image_correction(CUBE, relaxed(2, slow)).energy_eV)


# pydefect 0.10.1, make_efnv_correction and make_gkfo_correction on the same files with the same place of the defect
# (0.25, 0.08333333, 0.49912), ε₀ = diag(8.9, 9.1, 10.4), ε∞ = diag(5.2, 5.3, 5.5), accuracy=20: eV.
PYDEFECT = {
    "q=1": -0.336766370370881,
    "q=0": 0.0,
    "q=-1": 0.2646643059914735,
    "q=-2": 0.20625923944879587,
}
PYDEFECT_VACUUM = {"q=1": -0.48985847507575864, "q=-1": 0.11154022978860789, "q=-2": -0.40620900868425736}
STATIC, ELECTRONIC = (8.9, 9.1, 10.4), (5.2, 5.3, 5.5)
PYDEFECT_VERTICAL = {
    ("q=1", "q=0"): -0.036507629557754995,
    ("q=-1", "q=-2"): 0.25933921921005154,
    ("q=-1", "q=0"): 0.011852751529866645,
    ("q=-2", "q=-1"): 0.13744836058352977,
    ("q=0", "q=1"): -0.3437851202032321,
    ("q=0", "q=-1"): 0.2576482131301029,
}


@pytest.fixture(scope="module")
def gan(shared_data):
    from midgap.defects.parsers import read_folder

    folder = shared_data / "vasp" / "GaN-Mg_Ga"
    return {name: read_folder(folder / name).electronic_structure for name in ("bulk_sc", *PYDEFECT)}


def test_against_pydefect(gan):
    host = gan["bulk_sc"]
    place = host.structure[0].coords
    for name, expected in PYDEFECT.items():
        assert extended_fnv(gan[name], host, place, STATIC).energy_eV == pytest.approx(expected, abs=1e-6)
    for name, expected in PYDEFECT_VACUUM.items():
        assert extended_fnv(gan[name], host, place, 1.0).energy_eV == pytest.approx(expected, abs=1e-6)


def test_vertical_transitions_against_pydefect(gan):
    host = gan["bulk_sc"]
    place = host.structure[0].coords
    for (initial, final), expected in PYDEFECT_VERTICAL.items():
        # The files are of relaxed states; the arithmetic is that of a transition in the geometry of the first.
        there = gan[final].model_copy(update={"structure": gan[initial].structure})
        found = vertical_fnv(there, gan[initial], host, place, STATIC, ELECTRONIC)
        assert found.energy_eV == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match="moves no atom"):
        vertical_fnv(gan["q=-2"], gan["q=0"], host, place, STATIC, ELECTRONIC)


def cell(structure, potentials, charge=0):
    return ElectronicStructure(
        structure=structure,
        theory=LevelOfTheory.named("pbe"),
        provenance=Provenance(engine="gpaw"),
        charge=charge,
        kpoints_frac=np.zeros((1, 3)),
        k_weights=[1.0],
        eigenvalues_eV=[[[0.0]]],
        occupations=[[[1.0]]],
        n_electrons=2,
        site_potentials_eV=potentials,
    )


def model_cells(charge, shift):
    """A point charge in a model crystal, and the zero of its potential moved."""
    grid = np.stack(np.meshgrid(*[np.arange(4) / 4] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    host = IStructure(Lattice(CUBE), ["Na"] * len(grid), grid)
    here = IStructure(Lattice(CUBE), ["Na"] * (len(grid) - 1), grid[1:])
    field = -charge * periodic_potential_V(CUBE, dielectric_tensor(6.0), here.cart_coords)
    return cell(here, field + shift, charge), cell(host, np.zeros(len(grid)))


def test_the_corrected_energy_does_not_depend_on_the_zero_of_the_potential():
    """Electrons that all lie higher by c cost -qc more in a cell of charge q, and that must not count."""
    correct = MADELUNG_CUBE * 4 * COULOMB_EV_ANG / (2 * 6.0 * 10.0)
    for shift in (0.0, 0.7, -0.3):
        defect, host = model_cells(2, shift)
        found = extended_fnv(defect, host, np.zeros(3), 6.0)
        assert found.alignment_eV == pytest.approx(shift, abs=1e-9)
        assert -2 * shift + found.energy_eV == pytest.approx(correct, rel=1e-6)
        assert found.uncertainty_eV == pytest.approx(0.0, abs=1e-9)
        # Aligned by the bare potentials of the far sites, the level is too low by their point charges' part.
        far = np.mean(defect.site_potentials_eV[np.linalg.norm(wrapped(defect), axis=1) >= found.beyond_ang])
        level = shift + 1.0 + found.image_potential_eV
        assert corrected_level_eV(level - far, far, found) == pytest.approx(1.0)


def wrapped(defect):
    frac = defect.structure.frac_coords
    return (frac - np.rint(frac)) @ CUBE


def test_what_cannot_be_corrected_is_said():
    defect, host = model_cells(1, 0.0)
    with pytest.raises(InputError, match="no site potentials"):
        extended_fnv(defect.model_copy(update={"site_potentials_eV": None}), host, np.zeros(3), 6.0)
    with pytest.raises(InputError, match="too small"):
        extended_fnv(defect, host, np.zeros(3), 6.0, beyond_ang=20.0)
    few = extended_fnv(defect, host, np.zeros(3), 6.0, beyond_ang=8.6)
    assert few.n_sites == 1 and few.uncertainty_eV is None and "uncertain" in few.warnings[0]


def test_a_report_is_corrected_to_the_level_of_one_defect_alone():
    """A level 1 eV above the VBM, seen in a cell whose charge repeats: images move it, and the alignment with it."""
    for charge in (1, 2, -1):
        defect, host = model_cells(charge, 0.3)
        found = extended_fnv(defect, host, np.zeros(3), 6.0)
        far = np.mean(defect.site_potentials_eV[np.linalg.norm(wrapped(defect), axis=1) >= found.beyond_ang])
        seen = 0.3 + 1.0 + found.image_potential_eV - far
        report = level_report([level(seen, 1.0), level(seen, 0.0, kind="shallow")], charge, far)
        deep, shallow = corrected(report, defect, host, 6.0).levels
        assert deep.corrected_above_vbm_eV == pytest.approx(1.0)
        assert deep.above_vbm_eV == seen
        # what is spread over the cell is no level of a point charge
        assert shallow.corrected_above_vbm_eV is None
        # without potentials the images alone are known
        blind = defect.model_copy(update={"site_potentials_eV": None})
        leading = corrected(report, blind, host, 6.0)
        expected = seen - charge * MADELUNG_CUBE * COULOMB_EV_ANG / (6.0 * 10.0)
        assert leading.levels[0].corrected_above_vbm_eV == pytest.approx(expected, rel=1e-6)
        assert leading.correction.method == "images" and "images alone" in leading.warnings[-1]


def level_report(levels, charge, shift):
    return LevelReport(
        engine="gpaw",
        theory=LevelOfTheory.named("pbe"),
        charge=charge,
        n_electrons=2,
        spin_polarized=False,
        spin_orbit=False,
        n_kpoints=1,
        gap_eV=4.0,
        vbm_eV=0.0,
        cbm_eV=4.0,
        direct=None,
        defect=DefectSite(position_ang=np.zeros(3)),
        alignment=Alignment(method="site potentials", shift_eV=shift),
        levels=levels,
        transitions=(),
        provenance=Provenance(engine="gpaw"),
    )


def test_the_command_corrects_levels_of_charged_cells(capsys, monkeypatch):
    from midgap.cli.main import main

    examples = Path(__file__).resolve().parents[1] / "examples" / "Cs4PbBr6"

    def run(folder, *options):
        words = [str(examples / folder), "--reference", str(examples / "pristine"), "--json", *options]
        monkeypatch.setattr(sys, "argv", ["midgap", "levels", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    def levels(folder, *options):
        assert not run(folder, *options)
        return json.loads(capsys.readouterr().out)

    plain, moved = levels("V_Br+"), levels("V_Br+", "--screening", "8,8,8.5")
    change = moved["correction"]["moved_by_eV"]
    # the background that makes a positive cell neutral is negative and lifts electrons: without it they lie lower
    assert change < 0 and moved["correction"]["image_potential_eV"] > 0
    for before, after in zip(plain["levels"], moved["levels"], strict=True):
        assert after["above_vbm_eV"] == before["above_vbm_eV"]
        if after["kind"] != "shallow":
            assert after["corrected_above_vbm_eV"] - before["above_vbm_eV"] == pytest.approx(change)
    assert "correction" not in plain or plain["correction"] is None
    assert levels("V_Br0", "--screening", "8") == levels("V_Br0")
    assert run("V_Br+", "--screening", "8,9") == 2
    assert "--screening takes" in capsys.readouterr().err
