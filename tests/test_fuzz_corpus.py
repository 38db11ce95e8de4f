"""Every file that once broke a reader gives a result or one sentence now."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from fuzz_process import run_batch, warm
from fuzz_readers import READERS

FOUND = Path(__file__).parent / "fuzz_corpus" / "found"


@pytest.mark.parametrize("name", sorted(path.name for path in FOUND.iterdir()))
def test_what_once_broke_a_reader(name, tmp_path):
    for package in {"vaspout": ["h5py"], "photon_hdf5": ["h5py"], "checkpoint": ["pyscf"], "ptu": ["ptufile"]}.get(
        name, []
    ):
        pytest.importorskip(package)
    inputs = {
        one.name: {path.name: path.read_bytes() for path in one.iterdir()} for one in sorted((FOUND / name).iterdir())
    }
    if name != "checkpoint":  # PySCF's threads do not live through a fork
        warm(READERS[name], READERS[name].seeds()[0], tmp_path / "here")
    for which, files in inputs.items():
        (outcome,) = run_batch(READERS[name].read, [lambda files=files: files], tmp_path / "here")
        assert outcome.sound, f"{which}: {outcome.kind}: {outcome.said}"


def test_a_reader_that_breaks_is_noticed(tmp_path):
    """The harness tells a sentence from a crash, a flood of memory and a failure of another kind."""
    import faulthandler
    import os
    import signal

    from midgap.structures.errors import InputError

    def refuse(_):
        raise InputError("It is a sentence.")

    def ramble(_):
        raise KeyError("no sentence")

    def flood(_):
        return bytearray(16 << 30)

    def crash(_):
        faulthandler.disable()  # pytest's would print pages of it
        os.kill(os.getpid(), signal.SIGSEGV)

    kinds = {refuse: "InputError", ramble: "KeyError", flood: "MemoryError", crash: "killed by SIGSEGV"}
    for read, kind in kinds.items():
        (outcome,) = run_batch(read, [lambda: {"a": b""}], tmp_path / "here")
        assert outcome.kind == kind and outcome.sound == (kind == "InputError")


def test_a_refusal_is_one_line_whatever_it_quotes():
    from midgap.structures.errors import InputError

    said = str(InputError("a.csv: row 1 reads 'x\n\x00\x1b[31m" + "9" * 5000))
    assert said.startswith("a.csv: row 1 reads 'x") and said.isprintable() and len(said) <= 1000
