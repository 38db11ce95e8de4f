"""VASP's files: real ones against pymatgen's readers and the published figures, made ones against what was put in."""

import gzip
import json
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vasp_files import bands, procar, vasprun, write

from midgap.defects.band_edges import band_edges
from midgap.defects.parsers import read_folder
from midgap.defects.parsers.outcar import read_outcar
from midgap.defects.parsers.procar import read_procar
from midgap.defects.parsers.rows import BadNumberError, row_sums
from midgap.defects.parsers.vasp import read_vasp
from midgap.defects.parsers.vasp_output import VaspOutput
from midgap.defects.parsers.vasp_theory import level_of_theory, mesh_of
from midgap.defects.parsers.vasprun import read_vasprun
from midgap.structures import unpacking
from midgap.structures.errors import InputError

GAN = ("bulk_sc", "q=1", "q=0", "q=-1", "q=-2")


@pytest.fixture(scope="module")
def spinors(shared_data):
    return read_vasp(shared_data / "vasp" / "Cs2SnI6-hse06-soc")


@pytest.fixture(scope="module")
def gan(shared_data):
    return {name: read_vasp(shared_data / "vasp" / "GaN-Mg_Ga" / name) for name in GAN}


# --- real files ----------------------------------------------------------------------------------


def test_spinors_of_a_hybrid(spinors):
    """The gap, edges and electron count that the file is known for."""
    edges = band_edges(spinors)
    assert (edges.vbm_eV, edges.cbm_eV) == (0.9064, 1.8224)
    assert edges.gap_eV == pytest.approx(0.9160)
    assert edges.direct
    assert spinors.n_electrons == 74 and spinors.spinor and spinors.charge == 0
    assert spinors.eigenvalues_eV.shape == (1, 8, 128)
    assert spinors.theory.name == "hse06+soc"
    assert spinors.theory.kpoints == (4, 4, 4)
    assert spinors.converged
    assert spinors.structure.composition.reduced_formula == "Cs2SnI6"


def test_the_same_as_pymatgen_reads(spinors, gan, shared_data):
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp import Vasprun

    for ours, folder in ((spinors, "Cs2SnI6-hse06-soc"), (gan["q=0"], "GaN-Mg_Ga/q=0")):
        theirs = Vasprun(
            shared_data / "vasp" / folder / "vasprun.xml.gz",
            parse_dos=False, parse_projected_eigen=True, parse_potcar_file=False,
        )  # fmt: skip
        as_written = read_vasprun(shared_data / "vasp" / folder / "vasprun.xml.gz")
        for spin, channel in enumerate([Spin.up, Spin.down][: len(ours.eigenvalues_eV)]):
            np.testing.assert_array_equal(as_written.eigenvalues_eV[spin], theirs.eigenvalues[channel][..., 0])
            np.testing.assert_array_equal(as_written.occupations[spin], theirs.eigenvalues[channel][..., 1])
            np.testing.assert_allclose(
                as_written.site_weights[spin], theirs.projected_eigenvalues[channel].sum(axis=-1), atol=1e-6
            )
        assert ours.total_energy_eV == pytest.approx(float(theirs.final_energy), abs=1e-8)
        np.testing.assert_allclose(ours.k_weights, theirs.actual_kpoints_weights)
        np.testing.assert_allclose(ours.structure.frac_coords, theirs.final_structure.frac_coords, atol=1e-8)
        np.testing.assert_allclose(ours.structure.lattice.matrix, theirs.final_structure.lattice.matrix)
        assert ours.converged == theirs.converged_electronic


def test_gallium_nitride(gan):
    edges = band_edges(gan["bulk_sc"])
    assert edges.gap_eV == pytest.approx(3.8432, abs=1e-4)
    assert (edges.vbm_eV, edges.cbm_eV) == (4.5715, 8.4147)
    assert gan["bulk_sc"].theory.name == "pbesol"


@pytest.mark.parametrize(("name", "charge", "moment"), [("q=1", 1, 0), ("q=0", 0, 1), ("q=-1", -1, 0), ("q=-2", -2, 1)])
def test_charge_and_moment(gan, name, charge, moment):
    """The folder's name says the charge; an odd electron is one unpaired."""
    assert gan[name].charge == charge
    assert abs(gan[name].magnetization_muB) == moment
    assert gan[name].n_electrons == 277 - charge


def test_smearing_that_hides_the_filling_is_said(gan):
    """With SIGMA = 0.05 eV VASP prints N↑ - N↓ = 0.41 for one electron at the edge of the conduction band."""
    assert any("0.41" in warning for warning in gan["q=-2"].warnings)
    assert not any("Smearing" in warning for warning in gan["q=-1"].warnings)


def test_site_potentials_are_those_of_the_last_step(gan, shared_data):
    from pymatgen.io.vasp import Outcar

    for name in ("bulk_sc", "q=-2"):
        outcar = Outcar(shared_data / "vasp" / "GaN-Mg_Ga" / name / "OUTCAR.gz")
        assert read_outcar(shared_data / "vasp" / "GaN-Mg_Ga" / name / "OUTCAR.gz").scf_converged
        np.testing.assert_array_equal(gan[name].site_potentials_eV, outcar.electrostatic_potential)


def test_site_potentials_are_energies_of_an_electron(gan):
    """Ga 3d states hardly bond: from atom to atom they shift as an electron's energy there does, one to one.

    They are the 75 bands above the 16 of N 2s.
    """
    for name in ("q=1", "q=0", "q=-1", "q=-2"):
        states = gan[name]
        gallium = [i for i, site in enumerate(states.structure) if site.specie.symbol == "Ga"]
        energies, weights = states.eigenvalues_eV[0, 0, 16:91], states.site_weights[0, 0, 16:91][:, gallium]
        centre = (weights * energies[:, None]).sum(axis=0) / weights.sum(axis=0)
        potential = states.site_potentials_eV[gallium]
        assert np.polyfit(potential, centre, 1)[0] == pytest.approx(1.0, abs=0.05), name
        assert np.corrcoef(potential, centre)[0, 1] > 0.99


def test_the_command_reads_a_bare_folder(shared_data):
    from typer.testing import CliRunner

    from midgap.cli.main import app

    shown = CliRunner().invoke(app, ["levels", str(shared_data / "vasp" / "GaN-Mg_Ga" / "bulk_sc"), "--json"])
    assert shown.exit_code == 0, shown.output
    report = json.loads(shown.stdout)
    assert report["engine"] == "vasp"
    assert report["gap_eV"] == pytest.approx(3.8432, abs=1e-4)


# --- made files: what comes out is what was put in ------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 12), st.integers(1, 3), st.integers(1, 16)),
    kind=st.sampled_from(["restricted", "spins", "spinors"]),
    chunk=st.sampled_from([37, 500, 4096, 1 << 20]),
    seed=st.integers(0, 2**31),
)
def test_all_shapes_and_cuts(tmp_path, monkeypatch, shape, kind, chunk, seed):
    n_k, n_band, sites, orbitals = shape
    random = np.random.default_rng(seed)
    spins = 2 if kind == "spins" else 1
    energies = np.round(np.sort(random.normal(0, 30, (spins, n_k, n_band)), axis=2), 4)
    occupations = np.round(random.random((spins, n_k, n_band)), 4)
    parts = {"restricted": 1, "spins": 2, "spinors": 4}[kind]
    projections = np.round(random.random((parts, n_k, n_band, sites, orbitals)) ** 4, 4)
    projections[1:] -= 0.5 if kind == "spinors" else 0.0
    tags = "<i name='LSORBIT'>T</i><i name='LNONCOLLINEAR'>T</i>" if kind == "spinors" else ""
    path = write(tmp_path, vasprun(energies, occupations, projections, tags=tags, sites=sites))
    monkeypatch.setattr(unpacking, "CHUNK", chunk)
    out = read_vasprun(path)
    np.testing.assert_array_equal(out.eigenvalues_eV, energies)
    np.testing.assert_array_equal(out.occupations, occupations)
    np.testing.assert_allclose(out.site_weights, projections[:spins].sum(axis=-1), atol=1e-5)
    assert out.finished and out.spinor == (kind == "spinors")


def test_memory_is_that_of_the_result(tmp_path):
    """30 MB of XML whose weights take 1.5 MB, read with a few chunks of one megabyte beside them."""
    times, random = 60, np.random.default_rng(3)
    energies, occupations = bands(1, 1, 200, 100)
    projections = np.round(random.random((1, 1, 200, 32, 9)) / 100, 4)
    text = vasprun(energies, occupations, projections, sites=32, electrons=200)
    text = re.sub(r'^ {6}<set comment="kpoint 1">.*?^ {6}</set>\n', lambda k: k[0] * times, text, flags=re.S | re.M)
    text = re.sub(r"^  <v>.*</v>\n", lambda row: row[0] * times, text, flags=re.M)
    path = write(tmp_path, text)
    assert path.stat().st_size > 30e6
    tracemalloc.start()
    out = read_vasprun(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert out.site_weights.shape == (1, times, 200, 32)
    np.testing.assert_allclose(out.site_weights[0, -1], projections[0, 0].sum(axis=-1), atol=1e-6)
    assert peak < 16e6


@given(
    parts=st.lists(st.binary(max_size=300), max_size=4),
    padding=st.sampled_from([0, 1, 512]),
    chunk=st.sampled_from([5, 64, 1 << 20]),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_gzip_of_several_members(tmp_path, monkeypatch, parts, padding, chunk):
    monkeypatch.setattr(unpacking, "CHUNK", chunk)
    path = tmp_path / "several.gz"
    path.write_bytes(b"".join(map(gzip.compress, [b"first", *parts])) + bytes(padding))
    assert b"".join(unpacking.chunks(path)) == b"first" + b"".join(parts)


@settings(max_examples=100, deadline=None)
@given(
    values=st.sampled_from([-9999, 0]).flatmap(
        lambda low: st.lists(st.lists(st.integers(low, 99999), min_size=3, max_size=3), min_size=1, max_size=20)
    ),
    times=st.sampled_from([1, 3, 9, 10]),
    width=st.integers(7, 11),
    decimals=st.integers(3, 5),
)
def test_row_sums_are_sums(values, times, width, decimals):
    """Rows go word by word if all their numbers look alike, those with a sign, no blank or 28 numbers one by one."""
    numbers = np.round(np.tile(np.array(values) / 1e4, times), decimals)
    rows = ["".join(f" {x:{width}.{decimals}f}" for x in row) for row in numbers]
    piece = "\n".join(f"<r>{row} </r>" for row in rows).encode()
    np.testing.assert_allclose(row_sums(piece), numbers.sum(axis=1), atol=1e-9)


@pytest.mark.parametrize("text", ["********  0.1000", "  0.1000     NaN", "  0.1000  0.1.00", "     inf  0.1000"])
def test_row_sums_of_no_numbers(text):
    good = "<r>  0.1000  0.2000 </r>\n"
    with pytest.raises(BadNumberError) as caught:
        row_sums((good * 3 + f"<r>{text} </r>\n" + good).encode())
    assert caught.value.row == 3


def test_points_of_weight_zero_count_for_the_edges_only(tmp_path):
    """A hybrid run on a mesh of one point and a path of two: the VBM lies on the path."""
    energies, occupations = bands(n_k=3)
    path = write(tmp_path, vasprun(energies, occupations, k_weights=[1, 0, 0]))
    states = read_vasp(path.parent)
    np.testing.assert_array_equal(states.k_weights, [1, 0, 0])
    edges = band_edges(states)
    assert (edges.vbm_eV, edges.vbm_k) == (0.0, 1)
    assert (edges.cbm_eV, edges.cbm_k) == (2.0, 0)
    assert states.theory.kpoints == (1, 1, 1)


@pytest.mark.parametrize(
    ("split_eV", "occupied", "tags", "moment"),
    [
        (0.0, (0.5, 0.5), "", 0),  # both channels end in one level: half-filled, as VASP has it
        (0.04, (0.7, 0.3), "", 1),  # smeared over two levels: the lower one holds the electron
        (0.04, (0.7, 0.3), "<i name='NUPDOWN'> 1.0 </i>", 1),
        (0.04, (0.0, 1.0), "<i name='ISMEAR'> -2 </i>", -1),  # an excited state, held by fixed occupations
    ],
)
def test_the_last_electron(tmp_path, split_eV, occupied, tags, moment):
    energies, occupations = bands(2, 1)
    energies[1, :, 3] += split_eV
    occupations[:, :, 3] = np.array(occupied)[:, None]
    states = read_vasp(write(tmp_path, vasprun(energies, occupations, electrons=7, tags=tags)).parent)
    assert states.magnetization_muB == moment
    assert band_edges(states).half_filled == (moment == 0)


def test_bands_out_of_order_are_put_in_order(tmp_path):
    energies, occupations = bands()
    projections = np.zeros((1, 2, 6, 2, 1))
    projections[0, :, :, 0, 0] = np.arange(6) / 10
    order = [0, 2, 1, 3, 5, 4]
    path = write(tmp_path, vasprun(energies[..., order], occupations[..., order], projections[:, :, order]))
    states = read_vasp(path.parent)
    np.testing.assert_array_equal(states.eigenvalues_eV, energies)
    np.testing.assert_allclose(states.site_weights[0, 0, :, 0], np.arange(6) / 10, atol=1e-6)


def test_the_last_whole_ionic_step_counts(tmp_path):
    """A relaxation that writes eigenvalues at every step, broken off in the second."""
    energies, occupations = bands()
    text = vasprun(energies, occupations)
    start, end = text.index(" <calculation>"), text.index("</calculation>") + len("</calculation>\n")
    second = text[start:end].replace("0.50000000 0.0 0.0", "0.60000000 0.0 0.0").replace("-3.2500", "-9.0000")
    both = text[:end] + second + "</modeling>\n"
    states = read_vasp(write(tmp_path / "whole", both).parent)
    assert states.eigenvalues_eV[0, 0, 0] == -9.0
    assert states.structure[1].frac_coords[0] == pytest.approx(0.6)
    cut = both[: both.rindex("  <eigenvalues>") + 300]
    states = read_vasp(write(tmp_path / "cut", cut).parent)
    assert states.eigenvalues_eV[0, 0, 0] == -3.25
    assert states.structure[1].frac_coords[0] == pytest.approx(0.5)
    assert any("ionic step 2 is left out" in warning for warning in states.warnings)


@pytest.mark.parametrize(
    ("steps", "tags", "converged"),
    [(3, "", True), (60, "<i name='EDIFF'> 1E-12 </i>", True), (60, "<i name='ALGO'> Exact </i>", True)],
)
def test_convergence(tmp_path, steps, tags, converged):
    """Steps that end at NELM are converged only if the last one changed nothing, or if there was nothing to converge."""
    energies, occupations = bands()
    assert (
        read_vasp(write(tmp_path, vasprun(energies, occupations, steps=steps, tags=tags)).parent).converged == converged
    )


def test_an_scf_that_ran_out_of_steps(tmp_path):
    energies, occupations = bands()
    text = vasprun(energies, occupations, steps=60)
    last = text.rindex("<scstep>")
    text = text[:last] + text[last:].replace("-10.10000000", "-10.60000000", 1)
    states = read_vasp(write(tmp_path, text).parent)
    assert not states.converged
    assert any("60 steps (NELM)" in warning and "5.0e-01" in warning for warning in states.warnings)


# --- PROCAR, vaspout.h5, OUTCAR --------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 4])
def test_procar_as_pymatgen_reads_it(tmp_path, blocks):
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp import Procar

    random = np.random.default_rng(7)
    spins = 1 if blocks == 4 else 2
    energies, occupations = bands(spins)
    projections = np.round(random.random((spins, 2, 6, 3, 4)) / 12, 3)
    kpoints = np.array([[0, 0, 0], [0.5, -0.25, -0.125]])
    path = tmp_path / "PROCAR"
    path.write_text(procar(kpoints, [0.25, 0.75], energies, occupations, projections, blocks))
    ours, theirs = read_procar(path), Procar(path)
    np.testing.assert_allclose(ours.kpoints_frac, kpoints)
    np.testing.assert_allclose(ours.k_weights, theirs.weights)
    for spin, channel in enumerate([Spin.up, Spin.down][:spins]):
        np.testing.assert_allclose(ours.site_weights[spin], theirs.data[channel].sum(axis=-1), atol=1e-6)
        np.testing.assert_allclose(ours.eigenvalues_eV[spin], theirs.eigenvalues[channel], atol=1e-8)


def test_procar_stands_in_for_projections(tmp_path):
    energies, occupations = bands()
    projections = np.full((1, 2, 6, 2, 1), 0.25)
    write(tmp_path, vasprun(energies, occupations))
    assert any("LORBIT = 11" in warning for warning in read_vasp(tmp_path).warnings)
    (tmp_path / "PROCAR").write_text(procar(np.zeros((2, 3)), [0.5, 0.5], energies, occupations, projections))
    np.testing.assert_allclose(read_vasp(tmp_path).site_weights, 0.25)
    (tmp_path / "PROCAR").write_text(procar(np.zeros((2, 3)), [0.5, 0.5], energies + 1, occupations, projections))
    states = read_vasp(tmp_path)
    assert states.site_weights is None
    assert any("another run" in warning for warning in states.warnings)


def test_procar_and_outcar_alone(gan, tmp_path, shared_data):
    """The same run with its vasprun.xml gone, its states in a PROCAR: the same levels to three decimals of weight."""
    folder = shared_data / "vasp" / "GaN-Mg_Ga" / "q=-1"
    whole, run = gan["q=-1"], read_vasprun(folder / "vasprun.xml.gz")
    (tmp_path / "OUTCAR.gz").write_bytes((folder / "OUTCAR.gz").read_bytes())
    (tmp_path / "PROCAR").write_text(
        procar(run.kpoints_frac, run.k_weights, run.eigenvalues_eV, run.occupations, run.site_weights[..., None])
    )
    alone = read_folder(tmp_path).electronic_structure
    assert band_edges(alone) == band_edges(whole)
    assert (alone.charge, alone.n_electrons, alone.magnetization_muB) == (-1, 278, 0)
    assert alone.theory == whole.theory
    assert alone.total_energy_eV == pytest.approx(whole.total_energy_eV, abs=1e-6)
    assert alone.converged
    np.testing.assert_allclose(alone.site_weights, whole.site_weights, atol=6e-4)
    np.testing.assert_array_equal(alone.site_potentials_eV, whole.site_potentials_eV)
    moved = alone.structure.frac_coords - whole.structure.frac_coords
    np.testing.assert_allclose((moved + 0.5) % 1 - 0.5, 0, atol=1e-5)


def test_procar_cut_short(tmp_path):
    energies, occupations = bands()
    text = procar(np.zeros((2, 3)), [0.5, 0.5], energies, occupations, np.full((1, 2, 6, 2, 1), 0.25))
    path = tmp_path / "PROCAR"
    for cut in (text.index("band     6"), text.rindex("ion") + 12):
        path.write_text(text[:cut])
        with pytest.raises(InputError, match="cut short"):
            read_procar(path)


def test_vaspout(spinors, tmp_path, shared_data):
    """The numbers of a real run under the names that py4vasp's definition of the file lists."""
    h5py = pytest.importorskip("h5py")
    run = read_vasprun(shared_data / "vasp" / "Cs2SnI6-hse06-soc" / "vasprun.xml.gz")
    with h5py.File(tmp_path / "vaspout.h5", "w") as file:
        for name, value in {
            "version/major": 6, "version/minor": 4, "version/patch": 2,
            "input/incar/LHFCALC": 1, "input/incar/GGA": b"PE", "input/incar/HFSCREEN": 0.2, "input/incar/LSORBIT": 1,
            "input/potcar/content": b"TITEL  = PAW_PBE Cs_sv\n ZVAL   =    9.000\nTITEL = PAW_PBE Sn_d\n ZVAL = 14.0\n"
            b"TITEL = PAW_PBE I\n ZVAL = 7.0\n",
            "results/positions/ion_types": np.array([b"Cs", b"Sn", b"I "]),
            "results/positions/number_ion_types": [2, 1, 6],
            "intermediate/ion_dynamics/lattice_vectors": run.lattice_ang[None],
            "intermediate/ion_dynamics/position_ions": run.positions_frac[None],
            "intermediate/ion_dynamics/energies": [[-29.0, -29.1, -29.2]],
            "intermediate/ion_dynamics/energies_tags": np.array(
                [b"free energy    TOTEN   ", b"energy without entropy ", b"energy(sigma->0)       "]
            ),
            "results/electron_eigenvalues/eigenvalues": run.eigenvalues_eV,
            "results/electron_eigenvalues/fermiweights": run.occupations,
            "results/electron_eigenvalues/kpoint_coords": run.kpoints_frac,
            "results/electron_eigenvalues/kpoints_symmetry_weight": run.k_weights,
            "results/electron_eigenvalues/nelectrons": 74.0,
            "results/projectors/par": np.stack(
                [run.site_weights[0].transpose(2, 0, 1)[:, None] * [[[[0.5]]]] * np.ones((1, 2, 1, 1))] * 4
            ),
        }.items():  # fmt: skip
            file[name] = value
    states = read_folder(tmp_path).electronic_structure
    assert band_edges(states).gap_eV == pytest.approx(0.9160)
    np.testing.assert_allclose(states.site_weights, spinors.site_weights, atol=1e-6)
    assert (states.theory.name, states.charge, states.total_energy_eV) == ("hse06+soc", 0, -29.2)
    assert states.converged and any("no OUTCAR that does" in warning for warning in states.warnings)
    (tmp_path / "OUTCAR").write_text("------ aborting loop EDIFF was not reached (unconverged)  ------\n")
    assert not read_folder(tmp_path).electronic_structure.converged
    raw = (tmp_path / "vaspout.h5").read_bytes()
    (tmp_path / "vaspout.h5").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match="going on or was killed"):
        read_folder(tmp_path)


def test_a_potential_that_sticks_to_its_number(tmp_path):
    (tmp_path / "OUTCAR").write_text(
        " average (electrostatic) potential at core\n  the test charge radii are     1.0714  0.7089\n"
        "  (the norm of the test charge is              1.0000)\n"
        "       1-104.2345       2 -63.8283       3   1.5000\n \n"
        " average (electrostatic) potential at core\n       1 -10.0\n"
    )
    outcar = read_outcar(tmp_path / "OUTCAR")
    np.testing.assert_array_equal(outcar.site_potentials_eV, [-104.2345, -63.8283, 1.5])
    assert outcar.test_charge_radii_ang == (1.0714, 0.7089)
    assert not outcar.finished


def test_an_outcar_of_another_run_is_left_out(tmp_path, shared_data):
    for name, run in (("vasprun.xml.gz", "q=1"), ("OUTCAR.gz", "q=-1")):
        (tmp_path / name).write_bytes((shared_data / "vasp" / "GaN-Mg_Ga" / run / name).read_bytes())
    states = read_vasp(tmp_path)
    assert states.site_potentials_eV is None
    assert any("OUTCAR is left out" in warning for warning in states.warnings)


# --- theory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"GGA": "PE"}, "pbe"),
        ({"GGA": "PE", "LSORBIT": ".TRUE."}, "pbe+soc"),
        ({"GGA": "--"}, "pbe"),
        ({"GGA": "PS"}, "pbesol"),
        ({"GGA": "CA"}, "lda"),
        ({"GGA": "PE", "LHFCALC": "T", "HFSCREEN": "0.2", "AEXX": "0.25"}, "hse06"),
        ({"GGA": "PE        ! PBEsol exchange-correlation", "LHFCALC": "T", "HFSCREEN": "0.207"}, "hse06"),
        ({"GGA": "PE", "LHFCALC": "T", "HFSCREEN": "0.0"}, "pbe0"),
        ({"GGA": "PE", "METAGGA": "R2SCAN"}, "r2scan"),
    ],
)
def test_theory(tmp_path, tags, name):
    assert level_of_theory(VaspOutput(tmp_path, tags=tags, potentials=["PAW_PBE Ga_d 06Jul2010"])).name == name


def test_theory_of_another_hybrid(tmp_path):
    tags = {"GGA": "PE", "LHFCALC": "T", "HFSCREEN": "0.3", "AEXX": "0.31", "IVDW": "12", "ENCUT": "500"}
    theory = level_of_theory(VaspOutput(tmp_path, tags=tags))
    assert (theory.exact_exchange, theory.screening_per_ang, theory.dispersion) == (0.31, 0.3, "D3")
    assert theory.cutoff_eV == 500


@pytest.mark.parametrize("tags", [{"GGA": "B3", "LHFCALC": "T"}, {"GGA": "RP"}, {"METAGGA": "MBJ"}, {"LUSE_VDW": "T"}])
def test_a_theory_without_a_name_is_refused(tmp_path, tags):
    with pytest.raises(InputError, match="no name for"):
        level_of_theory(VaspOutput(tmp_path, tags=tags))


def test_a_mesh_is_known_by_its_smallest_step():
    points = np.array([[0, 0, 0], [0.25, 0, 0], [0.5, 0.25, 0]])
    assert mesh_of(points, np.ones(3)) == (4, 4, 1)
    assert mesh_of(np.array([[0.25, 0.25, 0.25]]), np.ones(1)) == (2, 2, 2)
    assert mesh_of(np.array([[0.0, 0.0, 0.0]]), np.ones(1)) == (1, 1, 1)
