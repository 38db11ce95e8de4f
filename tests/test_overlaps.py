"""Derivatives of GPAW's states as atoms move, against momenta, and against what orthogonality asks."""

import numpy as np
import pytest

from midgap.defects.parsers.gpaw_overlaps import _overlaps, coupling
from midgap.structures.errors import InputError

pytestmark = pytest.mark.engine("gpaw")

STEP_ANG = 0.01


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """HCl in a small box, real orbitals at Γ, moved as a whole and with the Cl alone."""
    from ase import Atoms
    from gpaw import GPAW

    folder = tmp_path_factory.mktemp("moved")
    files = {}
    for name, shift in {
        "here": 0.0,
        "all+": STEP_ANG * np.ones((2, 1)),
        "all-": -STEP_ANG * np.ones((2, 1)),
        "Cl+": np.array([[STEP_ANG], [0.0]]),
        "Cl-": np.array([[-STEP_ANG], [0.0]]),
    }.items():
        atoms = Atoms("ClH", positions=[[2.0, 2.1, 2.2], [2.1, 2.0, 3.5]], cell=[4.2, 4.3, 5.0], pbc=True)
        atoms.positions += shift * np.array([0.6, 0.0, 0.8])
        atoms.calc = GPAW(
            mode={"name": "pw", "ecut": 250}, xc="PBE", nbands=8, symmetry="off", txt=None,
            convergence={"density": 1e-7, "eigenstates": 1e-10, "bands": 6},
        )  # fmt: skip
        atoms.get_potential_energy()
        files[name] = folder / f"{name}.gpw"
        atoms.calc.write(str(files[name]), mode="all")
    return files


def opened(path):
    from gpaw import GPAW

    calc = GPAW(str(path), txt=None)
    calc.get_pseudo_wave_function(0, 0, 0)
    return calc


def test_states_of_one_geometry_are_orthonormal(moved):
    here = opened(moved["here"])
    assert np.abs(_overlaps(here, here, 0) - np.eye(8)).max() < 1e-6


def test_a_crystal_moved_as_a_whole_gives_the_momenta(moved):
    """ψ(r - R): the derivative is -∇ψ, and ⟨m|∇|n⟩ = i ⟨m|p|n⟩ as the dipoles have it."""
    from ase.units import Bohr

    from midgap.defects.parsers.gpaw_dipoles import _momentum

    gradient = np.einsum("v,vmn->mn", [0.6, 0.0, 0.8], 1j * _momentum(opened(moved["here"]), 0, 0, slice(0, 8))).real
    energies = opened(moved["here"]).eigenvalues()[0, 0]
    there = [(STEP_ANG, moved["all+"]), (-STEP_ANG, moved["all-"])]
    for i, f in ((4, 5), (3, 5), (1, 5), (2, 4)):
        found = coupling(moved["here"], there, i, f)
        expected = abs(gradient[i - 1, f - 1]) / Bohr
        assert found.derivative == pytest.approx(expected, rel=0.01, abs=2e-3)
        assert found.matrix_element_eV == pytest.approx(found.derivative * abs(energies[f - 1] - energies[i - 1]))
    assert expected > 0 and max(abs(gradient[:5, 5])) > 0.05


def test_one_atom_moved_keeps_states_orthogonal(moved):
    both = [(STEP_ANG, moved["Cl+"]), (-STEP_ANG, moved["Cl-"])]
    found = coupling(moved["here"], both, 4, 5)
    assert found.antisymmetry < 0.02
    one = coupling(moved["here"], both[:1], 4, 5)
    # one side alone errs in the first order of the step
    assert one.derivative == pytest.approx(found.derivative, rel=0.15)


def test_what_is_no_neighbour_is_refused(moved, tmp_path):
    with pytest.raises(InputError, match="that is displaced"):
        coupling(moved["here"], [], 4, 5)
    (tmp_path / "none.gpw").write_text("none")
    with pytest.raises(InputError, match="no wavefunctions"):
        coupling(moved["here"], [(0.1, tmp_path / "none.gpw")], 4, 5)
