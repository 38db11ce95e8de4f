"""Files from outside are data: nothing in them is run, followed out of its folder, or allowed to fill memory."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from midgap.defects.vibrations import read_phonopy
from midgap.structures.document import read_json
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.file_names import file_name
from midgap.structures.model import Model, Vacancy
from midgap.structures.theory import LevelOfTheory

MARK = "midgap_was_here"


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that malicious content tries to make, by a module that would make it when imported."""
    path = tmp_path / MARK
    (tmp_path / "malicious.py").write_text(f"open({str(path)!r}, 'w').close()\nclass Trap:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


@pytest.mark.parametrize(
    "tags",
    [
        {"@module": "malicious", "@class": "Trap"},
        {"@module": "malicious", "@callable": "Trap", "@bound": None},
        {"@module": "os", "@class": "system"},
    ],
)
def test_json_that_names_code_runs_none(tags, mark, tmp_path):
    path = tmp_path / "a.json"
    whole = {**tags, **LevelOfTheory.named("pbe").to_dict()}
    path.write_text(json.dumps(whole))
    assert LevelOfTheory.read(path).functional == "PBE"  # tags of another writer are passed over
    path.write_text(json.dumps({"functional": tags}))
    with pytest.raises(InputError):
        LevelOfTheory.read(path)
    assert not mark.exists()


def test_a_run_folder_that_names_code_is_refused(mark, tmp_path):
    from jobflow import Flow, job

    from midgap.workflows.local import run_flow

    @job
    def nothing():
        return None

    folder = tmp_path / "run"
    folder.mkdir()
    trap = {"@module": "malicious", "@class": "Trap"}
    (folder / "flow.json").write_text(json.dumps({"request": None, "flow": {"jobs": [trap], **trap}}))
    with pytest.raises(InputError, match="names the module malicious"):
        run_flow(Flow([nothing()]), folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch {mark}']\n",
        "unit_cell: !!python/object/new:malicious.Trap []\n",
        "unit_cell: !!python/name:malicious.Trap\n",
        "phonopy: {{version: !!python/object/apply:builtins.open ['{mark}', 'w']}}\n",
    ],
)
def test_yaml_tags_of_a_phonopy_file_call_nothing(text, mark, tmp_path):
    path = tmp_path / "phonopy.yaml"
    path.write_text(text.format(mark=mark))
    with pytest.raises(InputError) as refused:
        read_phonopy(path)
    assert "\n" not in str(refused.value)
    assert not mark.exists()


def test_yaml_that_names_itself_again_and_again_is_refused(tmp_path):
    lines = ["a0: &a0 [1, 1]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    path = tmp_path / "phonopy.yaml"
    path.write_text("\n".join(lines) + "\nforce_constants: *a59\n")
    with pytest.raises(InputError, match="anchors or aliases"):
        read_phonopy(path)


def test_pickles_in_hdf5_are_not_opened(mark, tmp_path):
    """Objects are bytes to HDF5; a pickle in the place of a text or table is no text and no table."""
    import pickle

    h5py = pytest.importorskip("h5py")
    from midgap.defects.parsers import read_folder

    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    bomb = np.void(pickle.dumps(Trap()))
    with h5py.File(tmp_path / "vaspout.h5", "w") as file:
        for name in ("version/major", "input/incar/GGA", "results/positions/ion_types", "input/potcar/content"):
            file[name] = bomb
    with pytest.raises((InputError, ComputationError)):
        read_folder(tmp_path)
    with h5py.File(tmp_path / "a.chk", "w") as file:
        file["mol"], file["scf/mo_energy"] = bomb, bomb
    (tmp_path / "vaspout.h5").unlink()
    with pytest.raises(InputError):
        read_folder(tmp_path, LevelOfTheory.named("pbe"))
    assert not mark.exists()


def test_a_checkpoint_that_is_python_is_not_evaluated(mark, tmp_path):
    """PySCF's own reader evaluates what is no JSON."""
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("pyscf")
    from midgap.defects.parsers import read_folder

    with h5py.File(tmp_path / "a.chk", "w") as file:
        file["mol"] = f"__import__('pathlib').Path({str(mark)!r}).touch()"
        for name in ("mo_energy", "mo_coeff", "mo_occ", "e_tot"):
            file[f"scf/{name}"] = 0.0
    with pytest.raises(InputError, match="not a checkpoint"):
        read_folder(tmp_path, LevelOfTheory.named("pbe"))
    assert not mark.exists()


def test_json_does_not_unpack_into_all_memory(tmp_path):
    path = tmp_path / "result.json.gz"
    path.write_bytes(gzip.compress(b"[" + b" " * (80 << 20) + b"]", 9))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="times its size"):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "nested too deeply"),
        ("[NaN]", "no number"),
        ("[1e999]", "beyond all numbers"),
        ("[1", "valid JSON"),
    ],
)
def test_json_that_is_none(text, why, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=why):
        read_json(tmp_path / "a.json")


NAMES = ("../../x", "/etc/x", "a/b", "..", "", ".", "a\0b", "x" * 5000, "CON", "nul.cif", "a\nb", "~/x", "C:\\x", "é/ü")


@pytest.mark.parametrize("word", ["Infinity", "-inf", "nan"])
def test_a_word_for_infinity_is_no_number(word):
    """It would be read, and then be written nowhere: JSON has no such number."""
    asked = LevelOfTheory.named("pbe", cutoff_eV=250.0).to_dict() | {"cutoff_eV": word}
    with pytest.raises(InputError, match="cutoff_eV: Input should be"):
        LevelOfTheory.from_dict(asked)


@pytest.mark.parametrize("place", [[0.0, 1.0], [[0.0, 1.0, 2.0]], [0.0, None, 1.0]])
def test_a_vacancy_has_one_place(place):
    with pytest.raises(InputError, match="position of a vacancy is three numbers"):
        Vacancy.from_dict({"species": "Br", "site": "Br1", "position_ang": place})


@pytest.mark.parametrize("name", NAMES)
def test_names_from_files_stay_in_their_folder(name, tmp_path):
    made = file_name(name)
    path = tmp_path / "out" / f"{made}.json"
    path.parent.mkdir()
    path.write_text("{}")
    assert path.resolve().parent == (tmp_path / "out").resolve()
    assert made.upper().partition(".")[0] not in ("CON", "NUL", "")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CON" and name != "nul.cif"])
def test_a_model_has_a_name_that_a_file_can_have(name):
    data = Model.read(Path(__file__).parent / "fuzz_corpus" / "seeds" / "model" / "Model.json").to_dict()
    with pytest.raises(InputError, match="name"):
        Model.from_dict(data | {"name": name})


def test_what_is_written_does_not_follow_a_link(tmp_path):
    """A link in the output folder is replaced by the file, and what it pointed to stays as it was."""
    from midgap.structures.document import write_atomic

    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "levels.json").symlink_to(victim)
    write_atomic(tmp_path / "out" / "levels.json", "{}")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "out" / "levels.json").is_symlink()
