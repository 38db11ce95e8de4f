"""Readers run in a forked process with limits, so that neither a crash, a hang nor a flood of memory gets out."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fuzz_readers import Files, Reader

from midgap.structures.errors import ComputationError, InputError

MOST_CPU_S = 20.0
MOST_WALL_S = 600.0
MOST_GROWN_MB = 2048
MOST_SOUND_MB = 500
LONGEST_SENTENCE = 1000


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    Attributes
    ----------
    kind
        ``result``, ``InputError``, ``ComputationError``, another exception's name, ``killed`` by a signal, ``hang`` or ``flood``.
    signature
        What makes it one of a kind: the sentence without its numbers and names, or the place of the failure.
    grown_MB
        By how much the process's largest memory grew.
    """

    kind: str
    signature: str
    said: str = ""
    cpu_s: float = 0.0
    grown_MB: float = 0.0

    @property
    def sound(self) -> bool:
        return self.kind in ("result", "InputError", "ComputationError", "not made")


def warm(reader: Reader, files: Files, folder: Path) -> None:
    """Read a sound file here, so that not every forked process has to import what reads it."""
    _lay_out(files, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader.read(folder)


def _lay_out(files: Files, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def run_batch(read: Callable[[Path], object], makers: Sequence[Callable[[], Files]], folder: Path) -> list[Outcome]:
    """Outcomes of as many of the inputs as one process lived through: at least one."""
    inside, outside = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(inside)
        code = 1
        try:
            _child(read, makers, folder, outside)
            code = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(outside)
    with os.fdopen(inside) as pipe:
        lines = [json.loads(line) for line in pipe if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    outcomes = [Outcome(**line) for line in lines if "kind" in line]
    begun = sum("begun" in line for line in lines)
    if begun > len(outcomes):
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        kind = "hang" if name in ("SIGPROF", "SIGALRM", "SIGXCPU") else f"killed by {name}"
        outcomes.append(Outcome(kind, kind, cpu_s=MOST_CPU_S if kind == "hang" else 0.0))
    elif sum("making" in line for line in lines) > begun:
        # HDF5's library was broken by the file that was to be spoilt further: nothing was read.
        outcomes.append(Outcome("not made", "not made"))
    if not outcomes:
        raise SystemExit("the fuzzing process itself broke down")
    return outcomes


def _child(read: Callable[[Path], object], makers: Sequence[Callable[[], Files]], folder: Path, pipe: int) -> None:
    warnings.simplefilter("ignore")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    if not os.environ.get("FUZZ_LOUD"):
        os.dup2(silence, 2)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = now + (MOST_GROWN_MB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for make in makers:
        os.write(pipe, b'{"making": 1}\n')
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)  # HDF5's library may loop on a file that it is to spoil
        files = make()
        signal.setitimer(signal.ITIMER_PROF, 0)
        _lay_out(files, folder)
        os.write(pipe, b'{"begun": 1}\n')
        outcome = limited(read, folder)
        os.write(pipe, (json.dumps(asdict(outcome)) + "\n").encode())
        if not outcome.sound:
            return  # what a failure leaves behind is not the next one's to explain


def limited(read: Callable[[Path], object], folder: Path) -> Outcome:
    """Read under limits of time; a hang ends the process."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    signal.setitimer(signal.ITIMER_REAL, MOST_WALL_S)
    begun = time.process_time()
    kind, signature, said = _outcome(read, folder)
    cpu_s = time.process_time() - begun
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss
    outcome = Outcome(kind, signature, said, cpu_s, grown / 1024)
    if outcome.sound and outcome.grown_MB > MOST_SOUND_MB:
        # Such as a MemoryError that somebody turned into a sentence: with more memory there would have been none.
        return Outcome("flood", f"flood before {signature}"[:200], said, cpu_s, outcome.grown_MB)
    return outcome


def _outcome(read: Callable[[Path], object], folder: Path) -> tuple[str, str, str]:
    try:
        result = read(folder)
    except (InputError, ComputationError) as error:
        kind, said = type(error).__name__, str(error)
        wrong = sentence_fault(said)
        if wrong:
            place = _place(error.__traceback__)
            return f"no sentence: {wrong}", f"no sentence: {wrong} at {place}", said[:2000]
        return kind, f"{kind}: {_skeleton(said, folder)}", said
    except BaseException as error:
        kind = type(error).__name__
        return kind, f"{kind} at {_place(error.__traceback__)}", f"{error}"[:1000]
    warned = getattr(result, "warnings", ()) or ()
    return "result", f"result {sorted(_skeleton(one, folder)[:60] for one in warned)}"[:400], ""


def sentence_fault(said: str) -> str:
    """Why a refusal is no sentence that a person can read; nothing if it is one."""
    if not said.strip():
        return "it is empty"
    if "\n" in said.strip():
        return "it has several lines"
    if len(said) > LONGEST_SENTENCE:
        return f"it is longer than {LONGEST_SENTENCE} characters"
    if any(ord(letter) < 32 for letter in said):
        return "it holds control characters"
    return ""


def _skeleton(said: str, folder: Path) -> str:
    """A sentence without what differs from file to file."""
    said = re.sub(r"'[^']*'|\"[^\"]*\"|b'.*?'", "'…'", said.replace(str(folder), ""))
    return re.sub(r"[-+]?\d[\d.e+-]*", "0", said)[:160]


def _place(trace: object) -> str:
    """The innermost line of ours, and of whoever raised."""
    frames = traceback.extract_tb(trace)  # type: ignore[arg-type]
    root = str(Path(__file__).resolve().parents[1])
    ours = [frame for frame in frames if frame.filename.startswith(root) and "fuzz_" not in frame.filename]
    last, own = frames[-1] if frames else None, ours[-1] if ours else None
    words = [f"{Path(own.filename).name}:{own.name}" if own else "outside"]
    if last is not None and last is not own:
        words.append(f"{Path(last.filename).name}:{last.name}")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit("run fuzz.py")
