"""Real flows through a real Slurm, with what goes wrong on clusters."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from harness import events, until

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import kill_resume

pytestmark = pytest.mark.engine


class Sent:
    """Flows sent from this process, by name."""

    def __init__(self, cluster) -> None:
        self.cluster = cluster
        self.folders = {}

    def send(self, name, project, worker, make):
        from midgap.workflows.cluster.jobs import submit
        from midgap.workflows.cluster.project import open_project, queue_of

        opened = open_project(project)
        folder = self.cluster.root / name
        folder.mkdir()
        submit(lambda: make(queue_of(opened, worker)), opened, worker, folder, {"name": name})
        self.folders[name] = folder

    def flow(self, name):
        from midgap.workflows.cluster.jobs import SentFlow, submission_in

        return SentFlow(submission_in(self.folders[name]))

    def views(self, name):
        with self.flow(name) as flow:
            return flow.views()

    def only(self, name):
        (view,) = self.views(name)
        return view

    def finished(self, name, patience_s=300.0):
        """All jobs of a flow, once they are done."""

        def done():
            views = self.views(name)
            failed = [view for view in views if view.state == "failed"]
            assert not failed, [(view.name, view.now) for view in failed]
            return all(view.state == "done" for view in views)

        until(done, patience_s, f"{name}: {[(v.name, v.state) for v in self.views(name)]}")
        return self.views(name)

    def outputs(self, name, load=False):
        """Of each job of a flow, by the job's name, from the store."""
        with self.flow(name) as flow:
            uuids = [view.uuid for view in flow.views()]
            store = flow.controller.jobstore
            return {doc["name"]: doc["output"] for doc in store.query({"uuid": {"$in": uuids}}, load=load)}


@pytest.fixture(scope="session")
def sent(cluster):
    """Three projects in one database, and everything on its way."""
    from cluster_jobs import large, trivial
    from flows import salt, single
    from jobflow import Flow

    sent = Sent(cluster)
    cluster.init("one", "--pilot", 2, "--pilot-wait", 5)
    cluster.init("two")
    here = ("--host", "127.0.0.1", "--port", cluster.stack.ssh_port, "--key", cluster.stack.key)
    cluster.init("ssh", *here, "--user", getpass.getuser())

    def short_of_time(queue):
        flow = single(queue, salt(8, 0.15), "relax", "gpaw", fmax_eV_per_ang=0.03)
        marker = cluster.root / "has-been-short"
        # The first allocation ends early, for all the job can see; those after it do not.
        flow.jobs[0].config.manager_config["exec_config"]["pre_run"] = (
            f"[ -e {marker} ] || export MIDGAP_END_TIME=$(($(date +%s) + 120)); touch {marker}"
        )
        return flow

    def killed(queue):
        flow = single(queue, salt(8, 0.15), "relax", "gpaw", fmax_eV_per_ang=0.03)
        config = flow.jobs[0].config.manager_config
        config["exec_config"]["pre_run"] = "export MIDGAP_END_TIME=$(($(date +%s) + 3600))"  # it cannot see it coming
        return flow

    sent.send("killed", "one", "cluster", killed)
    sent.send("short", "one", "cluster", short_of_time)
    cluster.midgap("cluster", "start", "one")
    sent.send("cancelled", "two", "cluster", lambda queue: single(queue, salt(8), "static", "cp2k"))
    sent.send("ssh", "ssh", "cluster", lambda queue: single(queue, salt(2), "static", "gpaw"))
    first = trivial(1)
    sent.send(
        "pilot",
        "one",
        "cluster-pilot",
        lambda _: Flow([first, *(trivial(n, first.output["number"]) for n in range(5))]),
    )
    sent.send("large", "two", "cluster", lambda _: Flow([large(30.0)]))
    for project in ("two", "ssh"):
        cluster.midgap("cluster", "start", project)
    return sent


DIES = """
import os, sys
from midgap.workflows.cluster.runner import KeepingRunner
runner = KeepingRunner(sys.argv[1])
queue = runner.get_queue_manager("cluster")
really = queue.submit
queue.submit = lambda **words: (really(**words), os._exit(9))
runner.checkout()
runner.advance_state(["CHECKED_OUT", "UPLOADED"])
"""
"""A runner that dies when the queue has taken a job, before anybody knows."""


@pytest.fixture(scope="session")
def unnoted(cluster, sent):
    from flows import salt, single

    cluster.init("gap")

    def waiting(queue):
        flow = single(queue, salt(2), "static", "gpaw")
        flow.jobs[0].config.manager_config["exec_config"]["pre_run"] = "sleep 90"  # longer than a lock goes stale
        return flow

    sent.send("gap", "gap", "cluster", waiting)
    died = subprocess.run([sys.executable, "-c", DIES, "gap"], capture_output=True, text=True)
    assert died.returncode == 9, died.stderr
    assert sent.only("gap").state == "ready"
    cluster.midgap("cluster", "start", "gap")


def stopped_after(folder_of, steps):
    """Halt the engine of a relaxation after so many steps, so that the time is up before it is done."""
    until(lambda: (folder := folder_of()) is not None and events(folder, "engine"), what="an engine")
    folder = folder_of()
    history = folder / "relax.jsonl"
    until(lambda: history.exists() and len(history.read_text().splitlines()) >= steps, what="a relaxation step")
    os.kill(events(folder, "engine")[-1]["engine_pid"], signal.SIGSTOP)
    return [json.loads(line) for line in history.read_text().splitlines()]


@pytest.fixture(scope="session")
def before_the_kill(sent):
    steps = stopped_after(lambda: sent.only("killed").folder, 1)
    # Its time is up now, and only now: the allocations after it have as much as any.
    subprocess.run(["scontrol", "update", f"JobId={sent.only('killed').queue_id}", "TimeLimit=1"], check=True)
    return steps


@pytest.fixture(scope="session")
def before_the_end(sent):
    # The first allocation lasts a minute for the engine: on a slow machine it may not have come to a step.
    folder = lambda: sent.only("short").folder  # noqa: E731
    until(lambda: folder() is not None and events(folder(), "engine"))
    first = folder()
    history = first / "relax.jsonl"
    until(lambda: history.exists() or len(events(first, "engine over")), what="a step, or the end")
    if history.exists() and not events(first, "engine over"):
        os.kill(events(first, "engine")[-1]["engine_pid"], signal.SIGSTOP)
    return first


def test_scancel_then_rerun(cluster, sent, before_the_kill, before_the_end, unnoted):
    """What was cancelled behind our back is not sent again by itself; asked to, it is, and comes to its end."""
    until(lambda: (view := sent.only("cancelled")).folder and events(view.folder, "engine"), what="CP2K")
    job = sent.only("cancelled")
    subprocess.run(["scancel", job.queue_id], check=True)
    until(lambda: sent.only("cancelled").state == "failed")
    assert "cancelled in the queue" in sent.only("cancelled").now
    cluster.midgap("rerun", sent.folders["cancelled"])
    sent.finished("cancelled")
    again = sent.only("cancelled")
    assert again.folder == job.folder
    output = sent.outputs("cancelled")[job.name]
    assert output["queue_job"] == again.queue_id != job.queue_id
    assert len(events(job.folder, "engine")) == 2


@pytest.fixture(scope="session")
def survivor(cluster, sent, before_the_kill, before_the_end):
    """A dynamic flow whose runner was killed and whose database was away for 30 s while a job of it ran."""
    from flows import dynamic

    from midgap.workflows.cluster.project import open_project
    from midgap.workflows.cluster.runner import daemon_of

    sent.send("dynamic", "one", "cluster", dynamic)

    def runner_pid():
        processes = daemon_of(open_project("one")).get_processes_info() or {}
        return next((process["pid"] for name, process in processes.items() if "run_jobflow" in name), 0)

    until(lambda: any(view.state == "running" for view in sent.views("dynamic")))
    killed = runner_pid()
    os.kill(killed, signal.SIGKILL)
    until(lambda: runner_pid() not in (0, killed), 60, "the runner comes back by itself")
    cluster.stack.stop("mongod")
    time.sleep(30)
    cluster.stack.start_mongod()
    return "dynamic"


def test_dynamic_flow_survives_its_runner_and_its_database(cluster, sent, survivor):
    """Each job runs once, and nothing is lost."""
    views = sent.finished(survivor)
    assert len(views) == 11  # twelve jobs, of which one was replaced by a flow
    outputs = sent.outputs(survivor)
    for view in views:
        if view.calculates:
            assert len(events(view.folder, "engine")) == 1, view.name
            assert outputs[view.name]["queue_job"] == view.queue_id
            assert cluster.slurm_jobs(view.folder) == [view.queue_id]
    assert Counter(view.name for view in views).most_common(1)[0][1] == 1


def test_fetched_levels_are_those_of_the_same_flow_on_one_machine(cluster, sent, survivor, tmp_path):
    from flows import dynamic

    from midgap.defects.formation_study import FormationReport
    from midgap.workflows.cluster.queue import Queue
    from midgap.workflows.formation import formation_so_far
    from midgap.workflows.local import run_flow
    from midgap.workflows.reports import levels_so_far

    sent.finished(survivor)
    told = json.loads(cluster.midgap("fetch", sent.folders["dynamic"], "--calculations", "--json"))
    assert told["not_done"] == 0 and told["failed"] == []
    run_flow(dynamic(Queue(worker="none")), tmp_path / "run", cores=2).raise_for_failures()
    local = levels_so_far(tmp_path / "run")
    local.write(tmp_path / "levels.json")
    assert kill_resume.difference_eV(sent.folders["dynamic"], tmp_path) < kill_resume.SAME_eV
    formation = formation_so_far(tmp_path / "run")
    fetched = FormationReport.read(told["formation"])
    assert formation is not None and len(fetched.conditions) == 2
    for there, here in zip(fetched.conditions, formation.report.conditions, strict=True):
        assert there.at_vbm_eV(there.defects[0]) == pytest.approx(here.at_vbm_eV(here.defects[0]), abs=1e-3)
    reports = [json.loads(cluster.midgap("levels", folder, "--json")) for folder in told["calculations"]]
    gaps = {Path(folder).name: report["gap_eV"] for folder, report in zip(told["calculations"], reports, strict=True)}
    assert gaps["pristine_8-pbe"] == pytest.approx(local.reports[0].gap_eV, abs=1e-3)


def test_killed_at_its_walltime_it_goes_on_from_its_geometry(cluster, sent, before_the_kill):
    """Slurm ends the job; it is sent again by itself, into its folder, and no step is computed twice."""
    sent.finished("killed")
    job = sent.only("killed")
    assert job.metadata["resubmitted"] == 1
    assert len(events(job.folder, "engine")) == len(cluster.slurm_jobs(job.folder)) == 2
    steps = [json.loads(line) for line in (job.folder / "relax.jsonl").read_text().splitlines()]
    assert steps[: len(before_the_kill)] == before_the_kill
    assert len({str(step["positions_ang"]) for step in steps}) == len(steps)
    output = sent.outputs("killed")[job.name]
    assert output["relaxation_energies_eV"] == [step["energy_eV"] for step in steps]
    assert "TIMEOUT" in (cluster.stack.root / "log" / "jobcomp.txt").read_text()


def test_submitted_by_a_runner_that_died_before_it_could_tell(cluster, sent, unnoted):
    sent.finished("gap")
    job = sent.only("gap")
    assert cluster.slurm_jobs(job.folder) == [job.queue_id]
    assert len(events(job.folder, "engine")) == 1


def test_short_of_time_it_stops_and_goes_on_in_another_allocation(cluster, sent, before_the_end):
    sent.finished("short")
    job = sent.only("short")
    assert job.index == job.allocation == 2
    assert job.folder != before_the_end
    before = (before_the_end / "relax.jsonl").read_text() if (before_the_end / "relax.jsonl").exists() else ""
    assert (job.folder / "relax.jsonl").read_text().startswith(before)
    assert len(cluster.slurm_jobs(before_the_end)) == len(cluster.slurm_jobs(job.folder)) == 1


def test_pilot_runs_many_jobs_in_one_allocation(sent):
    views = sent.finished("pilot")
    outputs = list(sent.outputs("pilot").values())
    with sent.flow("pilot") as flow:
        uuids = [view.uuid for view in views]
        documents = list(flow.controller.jobstore.query({"uuid": {"$in": uuids}}))
    assert sorted(doc["output"]["number"] for doc in documents) == [1, 1, 2, 3, 4, 5]
    assert outputs[0]["queue_job"] is not None
    assert len({doc["output"]["queue_job"] for doc in documents}) <= 2


def test_ssh_worker(cluster, sent, monkeypatch):
    job = sent.only("ssh")
    sent.finished("ssh")
    output = sent.outputs("ssh")[job.name]
    assert output["queue_job"] == sent.only("ssh").queue_id
    # Fabric looks at stdin, which pytest does not allow.
    with Path(os.devnull).open() as nothing, sent.flow("ssh") as flow:
        monkeypatch.setattr("sys.stdin", nothing)
        (said,) = flow._peek("cluster", flow.views())
    assert "SCF, iteration" in said and said.endswith("eV")
    told = json.loads(cluster.midgap("doctor", "--project", "ssh", "--worker", "cluster", "--json"))
    found = {finding["name"]: finding for finding in told["findings"]}
    for name in ("midgap", "jf", "work_dir", "queue", "GPAW", "clock", "request", "database"):
        assert found[name]["present"], found[name]


def test_large_outputs_go_to_the_data_store(sent):
    """30 MB in one output; the document that MongoDB keeps of it stays small."""
    from bson import BSON

    sent.finished("large")
    with sent.flow("large") as flow:
        (view,) = flow.views()
        raw = flow.controller.jobstore.docs_store._collection.find_one({"uuid": view.uuid})
        loaded = flow.controller.jobstore.query_one({"uuid": view.uuid}, load=True)
    assert len(BSON.encode(raw)) < 10_000
    weights = loaded["output"]["electronic_structure"]["site_weights"]
    assert len(weights) == loaded["output"]["count"] > 16e6 / 8
    assert weights[-1] == 1.0


def test_projects_in_one_database_do_not_mix(cluster, sent, survivor):
    from midgap.workflows.cluster.project import controller, open_project

    mine = {}
    for project in ("one", "two", "ssh"):
        opened = controller(open_project(project))
        mine[project] = {doc["uuid"] for doc in opened.jobs.find({}, ["uuid"])}
        with contextlib.closing(opened):
            assert opened.count_jobs() == opened.jobs.count_documents({})
    names = {"one": ("killed", "short", "dynamic", "pilot"), "two": ("cancelled", "large"), "ssh": ("ssh",)}
    for project, flows in names.items():
        expected = {view.uuid for name in flows for view in sent.views(name)}
        assert expected <= mine[project]
    assert not mine["one"] & mine["two"] and not mine["two"] & mine["ssh"] and not mine["one"] & mine["ssh"]
    finished = {view.uuid: view.state for view in sent.views("dynamic")}
    cluster.midgap("cancel", sent.folders["large"])
    assert {view.uuid: view.state for view in sent.views("dynamic")} == finished


def test_status_tells_each_job(cluster, sent, survivor):
    told = json.loads(cluster.midgap("status", sent.folders["dynamic"], "--json"))
    assert told["runner"] is True
    assert {"queue_id", "state", "now", "theory", "elapsed_s"} <= set(told["jobs"][0])
    assert "11 of 11 jobs done" in cluster.midgap("status", sent.folders["dynamic"])
