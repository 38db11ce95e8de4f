"""A full disk, an interrupt, two at once, a clock that goes back: one sentence, nothing half-written, and it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ROOT / "examples" / "Cs4PbBr6" / "levels.json"
MIDGAP = [sys.executable, "-m", "midgap.cli.main"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 32 kB that can be made larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def midgap(*words, **more) -> subprocess.CompletedProcess:
    return subprocess.run([*MIDGAP, *map(str, words)], capture_output=True, text=True, timeout=1200, **more)


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["compare", "--levels", LEVELS, "--report", "{disk}/page.html"], "page.html"),
        (["build", "--no-clusters", "--max-atoms", "66", "--out", "{disk}/models"], "models"),
        (["simulate", "{disk}/s.ptu", "--duration", "1"], "s.ptu"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_full_disk(words, written, small_disk):
    words = [str(word).format(disk=small_disk) for word in words]
    full = midgap(*words)
    assert full.returncode == 1, full.stderr
    assert "No space left on device" in full.stderr and "Traceback" not in full.stderr
    for path in small_disk.rglob("*"):
        assert not path.name.startswith("."), "a half-written file was left"
        if path.suffix == ".json":
            json.loads(path.read_text())
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    again = midgap(*words)
    assert again.returncode == 0, again.stderr
    assert (small_disk / written).exists()


def interrupted(words, after_s, number, cwd) -> tuple[int, str]:
    """Exit code and stderr of a command that was sent a signal."""
    process = subprocess.Popen(
        [*MIDGAP, *map(str, words)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, ignore the interrupt from the keyboard.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(after_s)
    process.send_signal(number)
    _, said = process.communicate(timeout=1200)
    return process.returncode, said


@pytest.mark.parametrize("after_s", [0.5, 3.0])
def test_an_interrupted_build_leaves_whole_files(after_s, tmp_path):
    words = ["build", "--max-atoms", "200", "--no-clusters", "--out", tmp_path / "models"]
    code, said = interrupted(words, after_s, signal.SIGINT, tmp_path)
    assert code in (0, 130, -signal.SIGINT), said
    assert code != 130 or "Traceback" not in said
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text())


@pytest.mark.engine("gpaw")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_so_once(number, tmp_path):
    code, said = interrupted(["run", "--preset", "quick", "--out", tmp_path / "run"], 10.0, number, tmp_path)
    assert code in (130, 128 + number), said
    assert said.count("Stopped.") == 1 and "Traceback" not in said


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """A folder of three files of photons."""
    pytest.importorskip("numba")
    from midgap.experiment.photons.ptu_writer import write_ptu
    from midgap.experiment.photons.simulation import Experiment, simulate

    folder = tmp_path_factory.mktemp("streams")
    for seed in range(3):
        write_ptu(folder / f"{seed}.ptu", simulate(Experiment(duration_s=0.2, detected_fraction=0.2, seed=seed)))
    return folder


BROKEN = {
    "photons": ["photons", "{streams}", "--out", "{out}", "--no-pictures"],
    "compare": ["compare", "--levels", LEVELS, "--report", "{out}/page.html"],
    "export": ["export", LEVELS, "--to", "cif", "--out", "{out}"],
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_off_while_it_writes_leaves_whole_files_and_then_ends_as_if_it_had_not(name, streams, tmp_path):
    """Broken off as soon as a file, also one that is only being written, is seen; by both signals."""

    def words(out):
        return [str(word).format(streams=streams, out=tmp_path / out) for word in BROKEN[name]]

    assert midgap(*words("whole")).returncode == 0
    whole = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    for number in (signal.SIGINT, signal.SIGTERM):
        out = tmp_path / number.name
        process = subprocess.Popen(
            [*MIDGAP, *words(number.name)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        while process.poll() is None and not (out.is_dir() and any(out.iterdir())):
            time.sleep(0.0005)
        process.send_signal(number)
        _, said = process.communicate(timeout=1200)
        assert process.returncode in (0, 128 + number), said
        assert "Traceback" not in said
        for path in out.iterdir():
            assert path.read_bytes() == whole[path.relative_to(out)], f"{path.name} is half-written or left behind"
        assert midgap(*words(number.name)).returncode == 0
        assert {path.relative_to(out): path.read_bytes() for path in out.iterdir()} == whole


def test_an_interrupt_that_compiled_code_makes_into_an_error_is_still_one(tmp_path):
    """In a document's serializer, where pydantic answers with an error of its own; of a library; one that is dropped."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "import typer\n"
        "from typing import Annotated\n"
        "from pydantic import PlainSerializer\n"
        "from midgap.cli import main\n"
        "from midgap.structures.document import Document\n"
        "def stop(value=None):\n"
        "    os.kill(os.getpid(), getattr(signal, sys.argv[2]))\n"
        "class Written(Document):\n"
        "    field: Annotated[int, PlainSerializer(stop)] = 1\n"
        "@main.app.command('document')\n"
        "def document(which: str):\n"
        "    try:\n"
        "        Written().to_dict()\n"
        "    except (KeyboardInterrupt, SystemExit):\n"
        "        print('itself')\n"
        "        raise\n"
        "@main.app.command('library')\n"
        "def library(which: str):\n"
        "    try:\n"
        "        stop()\n"
        "    except (KeyboardInterrupt, SystemExit):\n"
        "        raise ImportError('initialization failed')\n"
        "class Dropping:\n"
        "    def __del__(self):\n"
        "        stop()\n"
        "@main.app.command('dropped')\n"
        "def dropped(which: str):\n"
        "    Dropping()\n"
        "    print('dropped', flush=True)\n"
        "    time.sleep(30)\n"
        "    print('slept')\n"
        "main.script()\n"
    )
    for where, shown in (("document", "itself\n"), ("library", ""), ("dropped", "dropped\n")):
        for number in (signal.SIGINT, signal.SIGTERM):
            ended = subprocess.run(
                [sys.executable, str(script), where, number.name],
                capture_output=True,
                text=True,
                timeout=1200,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            assert (ended.returncode, ended.stdout) == (128 + number, shown), ended.stderr
            assert ended.stderr.splitlines() == [
                "midgap: Stopped. What is finished is kept; the same command goes on from here."
            ]


def test_two_builds_in_one_folder_and_two_beside_it(tmp_path):
    folders = ["one", "one", "two"]
    running = [
        subprocess.Popen(
            [*MIDGAP, "build", "--no-clusters", "--out", str(tmp_path / folder)], stdout=subprocess.DEVNULL
        )
        for folder in folders
    ]
    assert [process.wait(timeout=1200) for process in running] == [0, 0, 0]
    names = {folder: sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in folders}
    assert names["one"] == names["two"]
    for path in tmp_path.rglob("*.json"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_clock_that_goes_back_does_not_lose_a_job(tmp_path):
    """What was finished in the future is finished: a run is known by what it holds, not by when."""
    from jobflow import Flow, job

    from midgap.workflows.local import run_flow

    done = tmp_path / "done"

    def flow():
        first = job(_note)(str(done), 1)
        return Flow([first, job(_note)(str(done), first.output)], output=None)

    run_flow(flow(), tmp_path / "run")
    lines = done.read_text()
    ahead = time.time() + 10 * 365 * 86400
    for path in (tmp_path / "run").rglob("*"):
        os.utime(path, (ahead, ahead))
    run_flow(flow(), tmp_path / "run")
    assert done.read_text() == lines


def _note(path: str, number: int) -> int:
    with Path(path).open("a") as stream:
        stream.write(f"{number}\n")
    return number + 1
