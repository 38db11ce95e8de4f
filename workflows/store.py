"""Where the outputs of a run on one machine are kept: a jobflow ``JobStore`` in the run's own folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobflow import JobStore

# A file of SQLite through MontyDB: unlike maggma's JSONStore it keeps every acknowledged write when
# its writer is killed, and unlike MongoDB it needs no server. A document has no 16 MB limit here.


def embedded_store(folder: Path | str) -> JobStore:
    """Open the store in ``folder``, or make it; the folder appears whole or not at all.

    Examples
    --------
    >>> store = embedded_store("run/store")
    >>> store.query_one({"name": "levels"})  # doctest: +SKIP
    """
    folder = Path(folder)
    if not folder.exists():
        building = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(building, ignore_errors=True)  # of a run that was killed here
        new = _open(building)
        # MontyDB makes its file first and the table in it later, and never looks again.
        new.update({"uuid": "", "index": 0, "output": None})
        new.remove_docs({"uuid": ""})
        new.close()
        building.replace(folder)
    return _open(folder)


def _open(folder: Path) -> JobStore:
    from jobflow import JobStore
    from maggma.stores import MontyStore

    folder.mkdir(parents=True, exist_ok=True)
    store = JobStore(MontyStore("outputs", database_path=str(folder.resolve()), database_name="midgap"))
    store.connect()
    return store


def commit(store: JobStore, response: dict[str, Any]) -> None:
    """Store what a job returned, its output and what it spawned, in one step."""
    store.update(response, key=["uuid", "index"], save=False)


def committed(store: JobStore) -> Iterator[dict[str, Any]]:
    """All that is stored but the outputs themselves, in no order."""
    yield from store.query({}, properties=["name", "spawned", "stop_children", "stop_jobflow", "without", "attempt"])


def with_references(store: JobStore, uuids: frozenset[str] | set[str]) -> list[dict[str, Any]]:
    """The documents of ``uuids``, all indices, and of what their outputs refer to."""
    from jobflow.core.reference import find_and_get_references

    documents, wanted, seen = [], set(uuids), set[str]()
    while wanted:
        uuid = wanted.pop()
        seen.add(uuid)
        for document in store.query({"uuid": uuid}):
            documents.append({key: document[key] for key in ("uuid", "index", "output")})
            wanted |= {reference.uuid for reference in find_and_get_references(document["output"])} - seen
    return documents
