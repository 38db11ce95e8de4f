"""Optical dipoles against the hydrogen atom, and two engines against each other."""

import numpy as np
import pytest
from pymatgen.core import IMolecule, IStructure, Lattice

from midgap.defects.electronic_structure import ElectronicStructure, Provenance, TransitionDipoles
from midgap.defects.states import states_of
from midgap.defects.transitions import TWO_M_OVER_HBAR2, dipole_tensor_ang2, principal_fractions
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.execution import run

PBE = LevelOfTheory.named("pbe")


def test_the_first_line_of_hydrogen():
    """f(1s → 2p) = 2¹³/3⁹ = 0.4162 (Bethe and Salpeter, 1957), one third of it per 2p state in emission."""
    pytest.importorskip("pyscf")
    from pyscf import gto
    from pyscf.scf.hf import eig

    from midgap.defects.parsers.pyscf import Orbitals, electronic_structure

    even_tempered = [[0, [0.005 * 2.2**i, 1.0]] for i in range(16)] + [[1, [0.004 * 2.2**i, 1.0]] for i in range(10)]
    mol = gto.M(atom="H 0 0 0", basis={"H": even_tempered}, charge=-1, verbose=0)
    energies, orbitals = eig(mol.intor("int1e_kin") + mol.intor("int1e_nuc"), mol.intor("int1e_ovlp"))
    assert energies[0] == pytest.approx(-0.5, abs=1e-4) and energies[1:5] == pytest.approx(-0.125, abs=1e-4)
    filled = np.where(np.arange(len(energies)) < 1, 2.0, 0.0)
    atom = electronic_structure(
        mol, Orbitals.from_arrays(energies, orbitals, filled), PBE, provenance=Provenance(engine="pyscf")
    )
    ground, *excited = states_of(atom)[:5]
    squared = np.trace(tensor := dipole_tensor_ang2(atom, excited, [ground]))  # 2s is among the four and forbidden
    emission = TWO_M_OVER_HBAR2 * (excited[0].energy_eV - ground.energy_eV) * squared / 3.0
    assert 4 * emission == pytest.approx(2**13 / 3**9, rel=1e-3)
    assert 4 * squared == pytest.approx(np.trace(dipole_tensor_ang2(atom, [ground], excited)), rel=1e-9)
    assert principal_fractions(tensor) == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-6)
    lines = [principal_fractions(dipole_tensor_ang2(atom, [one], [ground])) for one in excited]
    assert sum(line == pytest.approx((1.0, 0.0, 0.0), abs=1e-6) for line in lines if line) == 3


@pytest.mark.engine("gpaw")
def test_plane_waves_and_gaussians_agree_on_a_molecule(tmp_path):
    """5σ → 2π* of CO with PBE: GPAW's momentum in a box against PySCF's position in aug-cc-pVTZ."""
    pytest.importorskip("pyscf")
    from pyscf import dft, gto

    from midgap.defects.parsers.pyscf import Orbitals, electronic_structure

    atoms = np.array([[4.0, 4.0, 3.5], [4.0, 4.0, 4.628]])
    box = IStructure(Lattice.cubic(8.0), ["C", "O"], atoms, coords_are_cartesian=True)
    model = Model(name="CO", kind="pristine", material="CO", structure=box)
    theory = PBE.model_copy(update={"cutoff_eV": 400.0})
    asked = Calculation(model=model, theory=theory, task="static", empty_bands=6)
    in_box = run(asked, "gpaw", tmp_path).electronic_structure

    mol = gto.M(atom=[("C", atoms[0]), ("O", atoms[1])], basis="aug-cc-pvtz", verbose=0)
    field = dft.RKS(mol, xc="pbe").density_fit().run()
    alone = electronic_structure(mol, Orbitals.of(field), PBE, provenance=Provenance(engine="pyscf"), empty=4)

    def line(structure):
        homo = round(structure.filled(0)) - 1
        states = states_of(structure)
        upper = states[homo + 1 : homo + 3]
        assert upper[0].energy_eV == pytest.approx(upper[1].energy_eV, abs=1e-3)
        return upper[0].energy_eV - states[homo].energy_eV, dipole_tensor_ang2(structure, [states[homo]], upper)

    (energy, tensor), (expected_energy, expected) = line(in_box), line(alone)
    assert energy == pytest.approx(expected_energy, abs=0.05)
    assert np.trace(tensor) == pytest.approx(np.trace(expected), rel=0.05)
    # Σ → Π: across the axis, both ways alike.
    assert principal_fractions(tensor) == pytest.approx((0.5, 0.5, 0.0), abs=1e-3)
    assert principal_fractions(expected) == pytest.approx((0.5, 0.5, 0.0), abs=1e-3)
    turned = in_box.dipoles.model_copy(update={"mixed_ang2": None})
    blind = dipole_tensor_ang2(
        in_box.model_copy(update={"dipoles": turned}), states_of(in_box)[:1], states_of(in_box)[5:6]
    )
    assert principal_fractions(blind) is None and np.trace(blind) > 0


def test_dipoles_that_were_not_computed_are_not_made_up():
    structure = ElectronicStructure(
        structure=IMolecule(["He"], [[0, 0, 0]]),
        theory=PBE,
        provenance=Provenance(engine="pyscf"),
        kpoints_frac=np.zeros((1, 3)),
        k_weights=[1.0],
        eigenvalues_eV=[[[-10.0, 1.0, 2.0]]],
        occupations=[[[1.0, 0.0, 0.0]]],
        n_electrons=2,
        dipoles=TransitionDipoles(first_band=0, squared_ang2=np.ones((1, 1, 2, 2, 3))),
    )
    one, two, three = states_of(structure)
    assert np.trace(dipole_tensor_ang2(structure, [two], [one])) == 3.0
    assert dipole_tensor_ang2(structure, [three], [one]) is None
