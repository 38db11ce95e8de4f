"""Which job of a flow may start next: pure bookkeeping, no processes and no files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from jobflow import Flow, Job
from jobflow.core.reference import OnMissing

Key = tuple[str, int]
State = Literal["waiting", "running", "done", "failed", "blocked", "stopped"]
LOST: tuple[State, ...] = ("failed", "blocked", "stopped")


@dataclass
class Entry:
    """A job and where it stands."""

    job: Job
    parents: frozenset[str]
    within: frozenset[Key]
    state: State = "waiting"

    @property
    def key(self) -> Key:
        return self.job.uuid, self.job.index

    @property
    def cost_s(self) -> float:
        """What the job is expected to take, s; its maker may say so under ``cost_s`` in the metadata."""
        return float(self.job.metadata.get("cost_s", 1.0))


@dataclass
class Schedule:
    """The jobs of a flow, those that other jobs spawned included.

    A job may start when all that it refers to is settled. A job that was replaced or detoured is
    settled only when what it spawned is. The most urgent job is the one with the longest path of
    expected times to the end of the flow, itself included.
    """

    entries: dict[Key, Entry] = field(default_factory=dict)
    _indices: dict[str, list[Key]] = field(default_factory=dict)
    _spawned: dict[str, set[str]] = field(default_factory=dict)
    _halted: bool = False
    _looked_at: tuple[int, int] = (0, 0)
    _urgent: tuple[tuple[int, int], dict[str, float]] = ((0, 0), {})

    def add(self, flow: Flow, spawner: Key | None = None, *, awaited: bool = True) -> list[Key]:
        """Take in a flow; ``awaited`` says whether those who wait for ``spawner`` wait for it too."""
        within: frozenset[Key] = frozenset() if spawner is None else self.entries[spawner].within | {spawner}
        added = []
        graph = flow.graph
        for node, data in graph.nodes(data=True):
            if "job" not in data:  # of another flow
                continue
            job: Job = data["job"]
            parents = {parent for parent in graph.predecessors(node) if "job" in graph.nodes[parent]}
            entry = Entry(job, frozenset(parents | set(job.input_uuids) - {job.uuid}), within)
            self.entries[entry.key] = entry
            self._indices.setdefault(job.uuid, []).append(entry.key)
            added.append(entry.key)
        if spawner is not None and awaited:
            spawner_uuid = spawner[0]
            self._spawned.setdefault(spawner_uuid, set()).update({uuid for uuid, _ in added} - {spawner_uuid})
        return added

    def ready(self) -> list[Key]:
        """The jobs that may start now, most urgent first."""
        if self._halted:
            return []
        able = [key for key, entry in self.entries.items() if entry.state == "waiting" and self._may_start(entry)]
        if len(able) < 2:
            return able
        # That of a job that waits is made of jobs that wait: it stays until some are added or given up.
        if self._urgent[0] != (now := self._known_and_lost()):
            self._urgent = now, self._urgency()
        urgency = self._urgent[1]
        return sorted(able, key=lambda key: -urgency[key[0]])

    def _known_and_lost(self) -> tuple[int, int]:
        """Changes whenever a job is added, fails or is given up."""
        return len(self.entries), sum(entry.state in LOST for entry in self.entries.values())

    def settle(self) -> list[Key]:
        """Give up the jobs that can never start; returns those newly given up."""
        given_up: list[Key] = []
        if self._looked_at == self._known_and_lost():
            return given_up
        while True:
            hopeless = [
                entry
                for entry in self.entries.values()
                if entry.state == "waiting"
                and entry.job.config.on_missing_references == OnMissing.ERROR
                and any(self._broken(parent) for parent in entry.parents if not self._encloses(parent, entry))
            ]
            if not hopeless:
                self._looked_at = self._known_and_lost()
                return given_up
            for entry in hopeless:
                entry.state = "blocked"
                given_up.append(entry.key)

    def stop_children(self, key: Key) -> None:
        """No job that refers to this one, or to one that does, is to start."""
        stopped = {key[0]}
        changed = True
        while changed:
            changed = False
            for entry in self.entries.values():
                if entry.state == "waiting" and entry.parents & stopped:
                    entry.state = "stopped"
                    stopped.add(entry.job.uuid)
                    changed = True

    def stop_all(self) -> None:
        """Start nothing more."""
        self._halted = True
        for entry in self.entries.values():
            if entry.state == "waiting":
                entry.state = "stopped"

    def indices(self, uuid: str) -> tuple[Key, ...]:
        """All indices of a job that are known."""
        return tuple(self._indices.get(uuid, ()))

    def last(self, uuid: str) -> Key | None:
        """The newest index of a job that has been replaced, if the job is known."""
        return max(self._indices.get(uuid, []), default=None)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def _may_start(self, entry: Entry) -> bool:
        # An earlier index of the same job spawned this one, so it is done.
        for parent in entry.parents:
            if self._encloses(parent, entry):
                continue
            if self.settled(parent):
                continue
            tolerant = entry.job.config.on_missing_references != OnMissing.ERROR
            if not (tolerant and self._over(parent)):
                return False
        return True

    @staticmethod
    def _encloses(uuid: str, entry: Entry) -> bool:
        """Whether ``entry`` was spawned by ``uuid``, which waits for it and not the other way round."""
        return any(uuid == spawner for spawner, _ in entry.within)

    def settled(self, uuid: str) -> bool:
        """Whether the job and all that it was replaced by are done."""
        keys = self._indices.get(uuid)
        return (
            bool(keys)
            and all(self.entries[key].state == "done" for key in keys or ())
            and all(self.settled(child) for child in self._spawned.get(uuid, ()))
        )

    def _broken(self, uuid: str) -> bool:
        keys = self._indices.get(uuid, [])
        return (
            not keys
            or any(self.entries[key].state in LOST for key in keys)
            or any(self._broken(child) for child in self._spawned.get(uuid, ()))
        )

    def _over(self, uuid: str) -> bool:
        """Whether nothing of it will change any more, well or not."""
        states: Iterable[State] = (self.entries[key].state for key in self._indices.get(uuid, []))
        return all(state not in ("waiting", "running") for state in states) and all(
            self._over(child) for child in self._spawned.get(uuid, ())
        )

    def _urgency(self) -> dict[str, float]:
        children: dict[str, set[str]] = {}
        cost: dict[str, float] = {}
        for entry in self.entries.values():
            uuid = entry.job.uuid
            if entry.state in ("waiting", "running"):
                cost[uuid] = cost.get(uuid, 0.0) + entry.cost_s
            for parent in entry.parents:
                children.setdefault(parent, set()).add(uuid)
        for spawner, spawned in self._spawned.items():
            # Whoever waits for the spawner waits for what it spawned.
            for uuid in spawned:
                children.setdefault(uuid, set()).update(children.get(spawner, set()) - spawned)
        urgency: dict[str, float] = {}
        for start in self._indices:
            # Without recursion, for a chain may be longer than Python's stack; what is on the path is passed over.
            path, on_path = [(start, iter(children.get(start, ())))], {start}
            while path:
                uuid, rest = path[-1]
                child = next((one for one in rest if one not in urgency and one not in on_path), None)
                if child is not None:
                    path.append((child, iter(children.get(child, ()))))
                    on_path.add(child)
                    continue
                path.pop()
                on_path.discard(uuid)
                below = [urgency.get(one, 0.0) for one in children.get(uuid, ())]
                urgency[uuid] = cost.get(uuid, 0.0) + max(below, default=0.0)
        return urgency


def expected_makespan_s(flow: Flow, cores: int) -> float:
    """How long a flow is expected to take on ``cores`` cores: the schedule played through, s."""
    schedule = Schedule()
    schedule.add(flow)
    now = 0.0
    ends: list[tuple[float, Key]] = []
    while True:
        for key in schedule.ready()[: cores - len(ends)]:
            schedule.entries[key].state = "running"
            ends.append((now + schedule.entries[key].cost_s, key))
        if not ends:
            return now
        now, key = min(ends)
        ends.remove((now, key))
        schedule.entries[key].state = "done"
