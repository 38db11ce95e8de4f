"""HDF5 files of others, tried out in a process of their own before they are opened.

HDF5's library follows what a file says: a few flipped bits make it loop for ever, where not even Ctrl-C reaches it, or crash.
Run as a script, which imports nothing of midgap, this module reads what a file holds; as a module it runs that script.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

LONGEST_CPU_S = 5
BYTES_A_S = 20_000_000
MOST_BYTES = 1 << 26
"""Of a dataset with more than this only the ends are tried."""
NO_ROOM = 3
"""The script's exit code where a text is said to be longer than `MOST_TEXT_BYTES`."""
MOST_TEXT_BYTES = 1 << 29


def refuse_endless(path: Path) -> None:
    """Refuse a file on which HDF5's library crashes or does not come to an end; what else is wrong, its reader says.

    Raises
    ------
    InputError
        It does.
    """
    import signal

    from midgap.structures.errors import InputError

    limit_s = LONGEST_CPU_S + path.stat().st_size // BYTES_A_S
    # -P: the modules beside this one are not to be taken for others of their names.
    command = [sys.executable, "-P", __file__, str(path), str(limit_s)]
    try:
        # CPU time is what counts; the other limit is for what waits instead, a link to a pipe.
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120 + 60 * limit_s
        ).returncode
    except subprocess.TimeoutExpired:
        code = -signal.SIGXCPU
    if code == NO_ROOM:
        raise InputError(f"{path} is a damaged HDF5 file (a text in it is said to fill the memory); copy it again.")
    if code < 0:
        how = "does not come to an end with it" if -code in (signal.SIGXCPU, signal.SIGKILL) else "crashes on it"
        raise InputError(f"{path} is a damaged HDF5 file (HDF5's library {how}); copy it again.")


def _try(path: str, limit_s: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import h5py  # type: ignore[import-untyped]

    def read_text(item: h5py.Dataset) -> None:
        # How long a text is said to be is not seen before it is read, and HDF5's library makes room for it first.
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if on_linux else 0
        before = resource.getrlimit(resource.RLIMIT_AS)
        if on_linux:
            resource.setrlimit(resource.RLIMIT_AS, (used + MOST_TEXT_BYTES, before[1]))
        try:
            item[()]
        except (MemoryError, OSError) as error:
            if isinstance(error, MemoryError) or "memory allocation failed" in str(error):
                sys.exit(NO_ROOM)
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    on_linux = sys.platform == "linux"

    def look(group: h5py.Group, name: str) -> None:
        item = group[name]
        if isinstance(item, h5py.Group):
            address = h5py.h5o.get_info(item.id).addr
            if address not in seen:
                seen.add(address)
                groups.append(item)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind == "O":
            read_text(item)
        elif isinstance(item, h5py.Dataset) and (item.nbytes <= MOST_BYTES or not item.ndim):
            item[()]
        elif isinstance(item, h5py.Dataset):
            item[:1], item[-1:]

    # Whatever is refused is passed over: what is not reached by one name may be by another.
    with contextlib.suppress(Exception), h5py.File(path, "r") as file:
        seen: set[int] = set()
        groups: list[h5py.Group] = [file]
        while groups:
            group = groups.pop()
            with contextlib.suppress(Exception):
                for name in list(group):
                    with contextlib.suppress(Exception):
                        look(group, name)


if __name__ == "__main__":
    _try(sys.argv[1], int(sys.argv[2]))
