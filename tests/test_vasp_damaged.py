"""VASP's files when they are cut, damaged, still being written or something else: one sentence, and no flood of memory."""

import gzip
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vasp_files import bands, procar, vasprun, write

from midgap.defects.band_edges import band_edges
from midgap.defects.parsers import read_folder
from midgap.defects.parsers.vasp import read_vasp
from midgap.structures.errors import ComputationError, InputError


@pytest.fixture(scope="module")
def good():
    energies, occupations = bands(2)
    return vasprun(energies, occupations, np.full((2, 2, 6, 2, 4), 0.05))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 1), packed=st.booleans())
def test_a_file_cut_anywhere(tmp_path, good, part, packed):
    """Either a sentence, or what was there with a warning; never a guess, never a traceback of the machinery."""
    raw = gzip.compress(good.encode()) if packed else good.encode()
    at = int(part * (len(raw) - len("</modeling>\n")))
    path = tmp_path / ("vasprun.xml.gz" if packed else "vasprun.xml")
    for other in tmp_path.iterdir():
        other.unlink()
    path.write_bytes(raw[:at])
    try:
        states = read_vasp(tmp_path)
    except (InputError, ComputationError) as error:
        assert "vasprun.xml" in str(error)
        return
    assert any("not finished" in warning for warning in states.warnings)
    assert band_edges(states).gap_eV == pytest.approx(2.0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=4), packed=st.booleans()
)
def test_a_damaged_file(tmp_path, good, changes, packed):
    raw = bytearray(gzip.compress(good.encode()) if packed else good.encode())
    for part, new in changes:
        at = int(part * (len(raw) - 1))
        raw[at : at + len(new)] = new
    path = tmp_path / ("vasprun.xml.gz" if packed else "vasprun.xml")
    for other in tmp_path.iterdir():
        other.unlink()
    path.write_bytes(bytes(raw))
    try:
        states = read_vasp(tmp_path)
    except (InputError, ComputationError) as error:
        assert str(error).endswith(".")
        return
    assert np.isfinite(states.eigenvalues_eV).all()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.text(max_size=6)), max_size=4),
    end=st.floats(0.2, 1),
    which=st.booleans(),
)
def test_damaged_procar_and_outcar(tmp_path, changes, end, which):
    energies, occupations = bands()
    states = procar(np.zeros((2, 3)), [0.5, 0.5], energies, occupations, np.full((1, 2, 6, 2, 1), 0.25))
    log = (
        " vasp.6.3.0 20Jan22\n   VRHFIN =Ga: s2p1\n   TITEL  = PAW_PBE Ga_d 06Jul2010\n"
        "   ions per type =               2\n   ISPIN  =      1    spin\n   ZVAL   =   4.00\n   NELECT =       8.0000\n"
        "   GGA     =    PE    GGA type\n direct lattice vectors\n 5.0 0.0 0.0\n 0.0 5.0 0.0\n 0.0 0.0 5.0\n"
        " position of ions in cartesian coordinates  (Angst):\n 0.0 0.0 0.0\n 2.5 2.5 2.5\n General timing\n"
    )
    texts = {"PROCAR": states, "OUTCAR": log}
    damaged = texts["PROCAR" if which else "OUTCAR"]
    for part, new in changes:
        at = int(part * (len(damaged) - 1))
        damaged = damaged[:at] + new + damaged[at + len(new) :]
    texts["PROCAR" if which else "OUTCAR"] = damaged[: int(end * len(damaged))]
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    try:
        found = read_vasp(tmp_path)
    except (InputError, ComputationError) as error:
        assert str(error).endswith(".")
        return
    assert found.eigenvalues_eV.shape == (1, 2, 6)


def test_a_run_that_goes_on(tmp_path, good):
    write(tmp_path, good[: good.index("  <eigenvalues>")])
    with pytest.raises(
        ComputationError, match=r"still running; missing: eigenvalues .*ionic step 1, after 3 SCF steps"
    ):
        read_vasp(tmp_path)
    write(tmp_path, good[: good.index("  <projected>")])
    states = read_vasp(tmp_path)
    assert any("missing: projections" in warning for warning in states.warnings)
    assert states.site_weights is None and band_edges(states).gap_eV == pytest.approx(2.0)
    write(tmp_path, "")
    with pytest.raises(InputError, match="empty"):
        read_vasp(tmp_path)


def test_corrupt_gzip(tmp_path, good):
    path = write(tmp_path, good, "vasprun.xml.gz")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match=r"damaged gzip|well-formed"):
        read_vasp(tmp_path)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(InputError, match="damaged gzip"):
        read_vasp(tmp_path)


def test_a_bomb_does_not_fill_memory(tmp_path):
    """100 kB that unpack to 100 MB of rows."""
    path = tmp_path / "vasprun.xml.gz"
    row = b"<modeling><calculation>" + b"<dos>" + b"<r> 0.0000 </r>\n" * 50000
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(120):
            stream.write(row)
    tracemalloc.start()
    with pytest.raises(InputError, match="unpacks to more than 200 times"):
        read_vasp(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32e6


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE modeling [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]><modeling><i>&b;</i></modeling>",
        "<!DOCTYPE modeling SYSTEM 'file:///etc/passwd'><modeling></modeling>",
        "<modeling>" + "<separator>" * 1000,
        "<html></html>",
        "<modeling></b></modeling>",
        "not XML",
    ],
)
def test_what_is_no_vasprun(tmp_path, text):
    write(tmp_path, text)
    with pytest.raises(InputError, match=r"vasprun\.xml"):
        read_vasp(tmp_path)


def test_no_codec_is_looked_up_by_the_files_wish(tmp_path, good):
    """Python's parser would import a module of the encoding's name."""
    write(tmp_path, good.replace("ISO-8859-1", "antigravity"))
    assert band_edges(read_vasp(tmp_path)).gap_eV == pytest.approx(2.0)


def test_one_endless_token(tmp_path):
    write(tmp_path, "<modeling " + "a" * (20 << 20))
    with pytest.raises(InputError, match="without a closing tag"):
        read_vasp(tmp_path)


def test_stars_for_an_eigenvalue(tmp_path, good):
    write(tmp_path, good.replace("   2.2500 ", "*********", 1))
    with pytest.raises(ComputationError, match="eigenvalue of spin 1, k-point 2, band 5 reads"):
        read_vasp(tmp_path)


def test_stars_for_a_projection(tmp_path, good):
    at = good.rindex("  0.0500")
    write(tmp_path, good[:at] + "********" + good[at + 8 :])
    with pytest.raises(ComputationError, match="projection of spin 2, k-point 2, band 6, atom 2 reads"):
        read_vasp(tmp_path)


def test_counts_that_do_not_agree(tmp_path, good):
    row = "        <r>  0.0500  0.0500  0.0500  0.0500 </r>\n"
    write(tmp_path, good.replace(row, "", 1))
    with pytest.raises(InputError, match=r"holds 47 rows of projections.* are 48"):
        read_vasp(tmp_path)
    write(tmp_path, good.replace("       <r>   -3.2500    1.0000 </r>\n", "", 1))
    with pytest.raises(InputError, match="some are missing"):
        read_vasp(tmp_path)
    write(tmp_path, good.replace("name='ISPIN'> 2", "name='ISPIN'> 1"))
    with pytest.raises(InputError, match="2 spin channels, but was run with ISPIN = 1"):
        read_vasp(tmp_path)


# --- folders of several engines --------------------------------------------------------------------------


def test_what_was_read_of_several_is_said(tmp_path, good, shared_data):
    write(tmp_path, good)
    (tmp_path / "cp2k.out").write_bytes((shared_data / "cp2k" / "Si" / "cp2k.out").read_bytes())
    (tmp_path / "slurm.out").write_text("no output of any engine")
    calculation = read_folder(tmp_path)
    assert calculation.electronic_structure.provenance.engine == "vasp"
    assert any("cp2k.out of CP2K too: vasprun.xml of VASP" in w for w in calculation.electronic_structure.warnings)


def test_nothing_to_read(tmp_path):
    (tmp_path / "slurm.out").write_text("no output of any engine")
    with pytest.raises(InputError, match=r"vasprun\.xml or vaspout\.h5 of VASP"):
        read_folder(tmp_path)


def test_a_pyscf_checkpoint_needs_its_theory(tmp_path):
    (tmp_path / "scf.chk").write_bytes(b"")
    with pytest.raises(InputError, match="name it: --theory"):
        read_folder(tmp_path)
