"""Reading CP2K's files; what a run of CP2K itself gives is in test_cp2k_engine.py."""

import gzip
import shutil

import numpy as np
import pytest
from pymatgen.core import Lattice

from midgap.defects.band_edges import band_edges
from midgap.defects.parsers import read_folder
from midgap.defects.parsers.cp2k import read_cp2k, smoothed_at
from midgap.defects.parsers.cp2k_output import abort_message, parse_input, read_frames, scf_steps
from midgap.defects.parsers.cp2k_states import ascending
from midgap.structures.errors import ComputationError, InputError

HARTREE = 27.211386245988


@pytest.fixture
def silicon(shared_data, tmp_path):
    """Silicon by CP2K 2022.1, spin-polarised, one SCF step; from pymatgen's test files (MIT)."""
    folder = tmp_path / "Si"
    shutil.copytree(shared_data / "cp2k" / "Si", folder)
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def edit(folder, old, new, count=-1):
    path = folder / "cp2k.out"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_silicon_of_another_version(silicon):
    """The energy is the one that pymatgen's tests assert; the band edges are those CP2K printed, in hartree."""
    states = read_cp2k(silicon)
    assert states.total_energy_eV == pytest.approx(-197.40000342, abs=1e-8)
    assert states.eigenvalues_eV.shape == (2, 1, 26)
    assert states.n_electrons == 8
    assert states.magnetization_muB == 0
    edges = band_edges(states)
    assert edges.vbm_eV == pytest.approx(0.18727300 * HARTREE, abs=1e-9)
    assert edges.cbm_eV == pytest.approx(0.28117070 * HARTREE, abs=1e-9)
    np.testing.assert_array_equal(states.occupations[0, 0], [1.0] * 4 + [0.0] * 22)
    assert states.theory.name == "pbe"
    assert states.provenance.engine_version == "2022.1"
    assert states.structure.lattice.volume == pytest.approx(40.888293, abs=1e-5)
    assert states.structure.composition.reduced_formula == "Si"


def test_what_silicon_lacks_is_said(silicon):
    """Its projections are by kind, not by atom, and its SCF was asked to converge to 1."""
    states = read_cp2k(silicon)
    assert states.site_weights is None
    assert any("no site weights" in warning and "&LDOS LIST" in warning for warning in states.warnings)
    assert any("change of 1" in warning for warning in states.warnings)


def test_the_last_of_two_runs_in_a_file_counts(silicon):
    """The file begins with a run that was broken off; a third, unfinished, makes the whole unfinished."""
    edit(silicon, "PROGRAM ENDED AT", "PROGRAM ENDED AT 1\n PROGRAM STARTED AT 2\n")
    with pytest.raises(ComputationError, match="before the first SCF step, and CP2K's closing line PROGRAM ENDED"):
        read_cp2k(silicon)


def test_a_file_cut_short(silicon):
    path = silicon / "cp2k.out"
    path.write_text(path.read_text().split("*** SCF run converged")[0])
    with pytest.raises(ComputationError, match="it ends at SCF step 1"):
        read_cp2k(silicon)


def test_eigenvalues_missing(silicon):
    edit(silicon, "Eigenvalues of the occupied subspace spin            2", "Eigenvalues of what spin 2")
    with pytest.raises(ComputationError, match="lacks the eigenvalues of spin 2, k-point 1"):
        read_cp2k(silicon)
    edit(silicon, "Eigenvalues of the occupied subspace spin", "Eigenvalues of what")
    with pytest.raises(InputError, match="run CP2K with &DFT &PRINT &MO"):
        read_cp2k(silicon)


def test_another_functional_is_refused(silicon):
    edit(silicon, "FUNCTIONAL| PBE:", "FUNCTIONAL| BLYP:")
    with pytest.raises(InputError, match="computed with BLYP"):
        read_cp2k(silicon)


def test_an_scf_that_did_not_converge(silicon):
    edit(silicon, "SCF run converged in", "SCF run NOT converged in")
    states = read_cp2k(silicon)
    assert not states.converged
    assert any("did not converge" in warning for warning in states.warnings)


def test_zipped_files_are_read(silicon):
    whole = read_cp2k(silicon)
    for name in ("cp2k.out", "cp2k.inp"):
        (silicon / f"{name}.gz").write_bytes(gzip.compress((silicon / name).read_bytes()))
        (silicon / name).unlink()
    assert read_cp2k(silicon) == whole


def test_without_its_input_the_cell_comes_from_the_output(silicon):
    (silicon / "cp2k.inp").unlink()
    states = read_cp2k(silicon)
    assert states.structure.lattice.volume == pytest.approx(40.888, abs=0.03)
    assert any("0.001 Å" in warning for warning in states.warnings)


def test_any_folder_is_told_by_its_files(silicon):
    assert read_folder(silicon).electronic_structure.n_electrons == 8


def test_nothing_of_cp2k(tmp_path):
    with pytest.raises(InputError, match="no output of CP2K"):
        read_cp2k(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_cp2k(tmp_path / "nowhere")


def test_why_cp2k_stopped_in_one_line():
    """A box as CP2K 2023.1 draws it."""
    box = r"""
 *******************************************************************************
 *   ___                                                                       *
 *  /   \                                                                      *
 * [ABORT]                                                                     *
 *  \___/         Cholesky decomposition failed. Matrix ill conditioned ?      *
 *    |                                                                        *
 *  O/|                                                                        *
 * /| |                                                                        *
 * / \                                                 cp_dbcsr_cholesky.F:120 *
 *******************************************************************************
"""
    assert abort_message(box) == "Cholesky decomposition failed. Matrix ill conditioned ? (cp_dbcsr_cholesky.F:120)"
    assert abort_message("all is well") is None


def test_states_of_a_minimizer_are_put_in_order_of_energy():
    """Occupied 1 and 4, empty 3: states go with what belongs to them, and that they cross is said."""
    warnings: list[str] = []
    energies, filled = np.array([[[1.0, 4.0, 3.0, 9.0]]]), np.array([[[1.0, 1.0, 0.0, 0.0]]])
    weights = np.arange(4.0).reshape(1, 1, 4, 1)
    energies, filled, weights = ascending(energies, filled, weights, warnings)
    assert energies.ravel().tolist() == [1, 3, 4, 9] and filled.ravel().tolist() == [1, 0, 1, 0]
    assert weights.ravel().tolist() == [0, 2, 1, 3]
    assert len(warnings) == 1 and "1.000 eV above an empty one" in warnings[0]


def test_scf_steps_of_each_method():
    lines = """
     1 NoMix/Diag. 0.30E+00    2.6     0.76838109      -330.5898238872 -3.31E+02
    12 Broy./Diag. 0.30E+00    4.7     0.00001396      -330.5499654053 -2.99E-05
     3 OT DIIS     0.15E+00    3.7     0.02077804      -329.4063116106 -2.11E+00
"""
    assert scf_steps(lines) == [(1, 0.76838109), (12, 0.00001396), (3, 0.02077804)]


def test_input_language():
    text = """
@SET width 5.4
&FORCE_EVAL   ! a comment
  &SUBSYS
    &CELL
      ABC ${width} $width 6.0
    &END CELL
    &KIND Si_1
      BASIS_SET DZVP
      basis_set AUX_FIT cFIT3   # another
    &END
  &END
&END FORCE_EVAL
"""
    section = parse_input(text).at("FORCE_EVAL", "SUBSYS")
    assert section.at("CELL").value("ABC") == "5.4 5.4 6.0"
    assert section.at("KIND").parameter == "Si_1"
    assert section.at("KIND").keywords["BASIS_SET"] == ["DZVP", "AUX_FIT cFIT3"]
    assert section.at("NOT", "THERE").value("X", "0") == "0"


def test_a_frame_cut_short_is_left_out(tmp_path):
    frame = "2\n i = {}, E = -1.5\n H 0.0 0.0 {}\n H 0.0 0.0 0.0\n"
    (tmp_path / "pos.xyz").write_text(frame.format(0, 1.0) + frame.format(1, 2.0) + frame.format(2, 3.0)[:-20])
    frames = read_frames(tmp_path / "pos.xyz")
    assert [(energy, positions[0, 2]) for energy, positions in frames] == [(-1.5, 1.0), (-1.5, 2.0)]


@pytest.mark.parametrize("shift", [0.0, 0.13])
def test_a_wave_averaged_over_a_gaussian(shift):
    """⟨cos G·r⟩ over a Gaussian of width σ is exp(-G²σ²/2) cos G·r₀, wherever r₀ lies on the grid."""
    lattice = Lattice([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, 2.0, 6.0]])
    shape, order, width = (12, 15, 18), np.array([1, -2, 1]), 0.4
    grid = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), axis=-1)
    wave = np.cos(2 * np.pi * grid @ order)
    point = np.array([[shift, 0.2, 0.7]])
    squared = ((order @ lattice.reciprocal_lattice.matrix) ** 2).sum()
    expected = np.exp(-squared * width**2 / 2) * np.cos(2 * np.pi * point @ order)
    np.testing.assert_allclose(smoothed_at(wave, lattice, point, width), expected, atol=1e-12)


def test_moments_go_to_atoms_that_have_room_for_one():
    """Ground states of free atoms: CP2K refuses MAGNETIZATION on closed shells such as Mg's 3s², beside a vacancy in MgO."""
    from midgap.workflows.engines.cp2k_input import _has_open_shell

    assert [symbol for symbol in ("Mg", "Zn", "Ca", "Pb", "Cs", "O", "Fe") if _has_open_shell(symbol)] == [
        "Pb", "Cs", "O", "Fe",
    ]  # fmt: skip
