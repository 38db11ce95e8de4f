"""What starts next: the longest path of expected times goes first, as networkx finds it; a long chain is no trouble."""

import random

import networkx as nx
import pytest
from jobflow import Flow, job

from midgap.workflows.schedule import Schedule


@job
def nothing(*before):
    return None


def of(n: int, before: dict[int, list[int]], costs: list[float]) -> tuple[Schedule, list]:
    jobs: list = []
    for index in range(n):
        made = nothing(*(jobs[one].output for one in before.get(index, [])))
        made.metadata["cost_s"] = costs[index]
        jobs.append(made)
    schedule = Schedule()
    schedule.add(Flow(jobs))
    return schedule, jobs


@pytest.mark.parametrize("seed", range(5))
def test_the_most_urgent_job_has_the_longest_path(seed):
    rng = random.Random(seed)
    n = 30
    before = {index: rng.sample(range(index), min(index, rng.choice((0, 1, 2)))) for index in range(n)}
    costs = [rng.uniform(1, 10) for _ in range(n)]
    schedule, jobs = of(n, before, costs)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_weighted_edges_from((one, index, costs[index]) for index, needs in before.items() for one in needs)
    number = {made.uuid: index for index, made in enumerate(jobs)}
    waiting = set(range(n))
    while waiting:
        ready = [number[uuid] for uuid, _ in schedule.ready()]
        assert set(ready) == {one for one in waiting if not waiting & set(before[one])}
        left = graph.subgraph(waiting)

        def path(start, left=left):
            below = left.subgraph(nx.descendants(left, start) | {start})
            return costs[start] + nx.dag_longest_path_length(below)

        assert ready == sorted(ready, key=lambda one: -path(one))
        done = rng.choice(ready)
        schedule.entries[jobs[done].uuid, 1].state = "done"
        waiting.remove(done)


def test_a_chain_longer_than_the_stack():
    n = 1500
    schedule, jobs = of(n + 1, {index: [index - 1] for index in range(1, n)}, [1.0] * (n + 1))
    assert [uuid for uuid, _ in schedule.ready()] == [jobs[0].uuid, jobs[n].uuid]


def test_what_a_failure_makes_hopeless_is_given_up_once_and_the_rest_goes_on():
    schedule, jobs = of(4, {1: [0], 2: [1]}, [1.0] * 4)
    assert schedule.settle() == []
    schedule.entries[jobs[0].uuid, 1].state = "failed"
    assert schedule.settle() == [(jobs[1].uuid, 1), (jobs[2].uuid, 1)]
    assert schedule.settle() == []
    assert schedule.ready() == [(jobs[3].uuid, 1)]
