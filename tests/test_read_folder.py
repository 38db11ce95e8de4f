"""Bare folders of GPAW and PySCF: what their own programs say of the calculation they wrote."""

import numpy as np
import pytest

from midgap.defects.band_edges import band_edges
from midgap.defects.parsers import read_folder
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

HARTREE_EV = 27.211386245988


@pytest.mark.engine("gpaw")
@pytest.mark.parametrize("mode", ["", "all"])
def test_a_gpw_file_of_ones_own(tmp_path, mode):
    import gpaw
    from ase.build import bulk

    atoms = bulk("Si")
    calc = gpaw.GPAW(
        mode=gpaw.PW(150), xc="PBE", kpts={"size": (2, 2, 2), "gamma": True}, nbands=8,
        convergence={"bands": 6, "density": 1e-3, "eigenstates": 1e-5}, txt=None,
    )  # fmt: skip
    atoms.calc = calc
    energy = atoms.get_potential_energy()
    calc.write(str(tmp_path / "si.gpw"), mode=mode)
    states = read_folder(tmp_path).electronic_structure
    assert states.theory == LevelOfTheory(functional="PBE", spin_orbit=False, cutoff_eV=150, kpoints=(2, 2, 2))
    assert (states.n_electrons, states.charge) == (8, 0)
    assert states.total_energy_eV == pytest.approx(energy)
    np.testing.assert_allclose(
        states.eigenvalues_eV[0], [calc.get_eigenvalues(kpt=k) for k in range(len(states.k_weights))], atol=1e-6
    )
    # two equal atoms share every state of the valence band equally, up to degenerate mixtures
    weights = states.site_weights[0, :, :4].sum(axis=1)
    np.testing.assert_allclose(weights[:, 0], weights[:, 1], rtol=1e-3)
    edges = band_edges(states)
    assert not edges.direct and edges.gap_eV > 0


@pytest.mark.engine("gpaw")
def test_what_is_no_gpw_file(tmp_path):
    (tmp_path / "broken.gpw").write_bytes(b"not a gpw file")
    with pytest.raises(InputError, match=r"broken\.gpw cannot be read by GPAW"):
        read_folder(tmp_path)


@pytest.mark.engine
def test_a_pyscf_checkpoint_of_ones_own(tmp_path):
    pyscf = pytest.importorskip("pyscf")
    from pyscf import dft

    mol = pyscf.gto.M(atom="Li 0 0 0; H 0 0 1.6", basis="sto-3g", verbose=0)
    mean_field = dft.RKS(mol, xc="PBE")
    mean_field.chkfile = str(tmp_path / "lih.chk")
    mean_field.kernel()
    with pytest.raises(InputError, match="name it: --theory"):
        read_folder(tmp_path)
    states = read_folder(tmp_path, LevelOfTheory.named("pbe")).electronic_structure
    np.testing.assert_allclose(states.eigenvalues_eV[0, 0], mean_field.mo_energy * HARTREE_EV)
    assert states.n_electrons == 4
