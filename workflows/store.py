"""Where the outputs of a run on one machine are kept: a jobflow ``JobStore`` in the run's own folder."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midgap.structures.errors import ComputationError

if TYPE_CHECKING:
    from jobflow import JobStore

# A file of SQLite through MontyDB: unlike maggma's JSONStore it keeps every acknowledged write when
# its writer is killed, and unlike MongoDB it needs no server. A document has no 16 MB limit here.


@contextlib.contextmanager
def sqlite_in_words(folder: Path) -> Iterator[None]:
    """Turn what SQLite says into an ``OSError`` for a full disk, else into a `ComputationError`."""
    try:
        yield
    except sqlite3.Error as error:
        # Even to read, SQLite makes a small file; on a full disk it calls that an I/O error.
        if "full" in str(error) or shutil.disk_usage(folder.parent).free < 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from None
        raise ComputationError(f"{folder} cannot be used: {error}.") from None


def embedded_store(folder: Path | str) -> JobStore:
    """Open the store in ``folder``, or make it; the folder appears whole or not at all.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     embedded_store(f"{folder}/store").query_one({"name": "levels"}) is None
    True
    """
    folder = Path(folder)
    if not folder.exists():
        building = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(building, ignore_errors=True)  # of a run that was killed here
        with sqlite_in_words(folder):
            new = _open(building)
            # MontyDB makes its file first and the table in it later, and never looks again.
            new.update({"uuid": "", "index": 0, "output": None})
            new.remove_docs({"uuid": ""})
            new.close()
        building.replace(folder)
    return _open(folder)


def documents_of(folder: Path | str, task: str) -> list[dict[str, Any]]:
    """What the jobs of one task have brought so far in the run of ``folder``."""
    path = Path(folder) / "store"
    with sqlite_in_words(path):
        store = embedded_store(path)
        documents = list(store.query({"metadata.task": task}))
        store.close()
    return documents


def by_model(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last document of each model, in the order of the models."""
    found = {document["metadata"]["model"]: document for document in documents}
    return sorted(found.values(), key=lambda document: document["metadata"]["order"])


def _open(folder: Path) -> JobStore:
    from jobflow import JobStore
    from maggma.stores import MontyStore

    folder.mkdir(parents=True, exist_ok=True)
    store = JobStore(MontyStore("outputs", database_path=str(folder.resolve()), database_name="midgap"))
    store.connect()
    return store


def commit(store: JobStore, response: dict[str, Any], *, known: bool = True) -> None:
    """Store what a job returned, its output and what it spawned, in one step.

    Parameters
    ----------
    known
        Whether the job may be there already. MontyDB has no index: to find out it reads all that is stored.

    Raises
    ------
    OSError
        The disk is full.
    ComputationError
        The store cannot be written to.
    """
    with sqlite_in_words(_folder(store)):
        if known:
            store.update(response, key=["uuid", "index"], save=False)
        else:
            from monty.json import jsanitize

            store.docs_store._collection.insert_one(jsanitize(response, allow_bson=True))


def committed(store: JobStore) -> Iterator[dict[str, Any]]:
    """All that is stored but the outputs themselves, in no order."""
    kept = ["name", "spawned", "stop_children", "stop_jobflow", "without", "attempt"]
    with sqlite_in_words(_folder(store)):
        yield from store.query({}, properties=kept)


def with_references(
    find: Callable[[str], Iterable[dict[str, Any]]], uuids: frozenset[str] | set[str]
) -> list[dict[str, Any]]:
    """The documents that ``find`` has of ``uuids``, all indices, and of what their outputs refer to."""
    from jobflow.core.reference import find_and_get_references

    documents, wanted, seen = [], set(uuids), set[str]()
    while wanted:
        uuid = wanted.pop()
        seen.add(uuid)
        for document in find(uuid):
            documents.append({key: document[key] for key in ("uuid", "index", "output")})
            wanted |= {reference.uuid for reference in find_and_get_references(document["output"])} - seen
    return documents


def documents_of_job(store: JobStore, uuid: str) -> list[dict[str, Any]]:
    """All indices of one job."""
    with sqlite_in_words(_folder(store)):
        return list(store.query({"uuid": uuid}))


def _folder(store: JobStore) -> Path:
    return Path(store.docs_store.database_path)  # type: ignore[attr-defined]
