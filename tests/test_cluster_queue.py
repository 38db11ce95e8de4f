"""What jobs ask of queues, project files, and what is read from what queues say; no server needed."""

import json
import stat
import subprocess

import pytest
from typer.testing import CliRunner

from midgap.structures.build import build_models
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.cluster.ends import end_of, why
from midgap.workflows.cluster.queue import EngineQueue, Needs, Queue, needs, request
from midgap.workflows.flows import LevelFlowMaker, queue_job

pytest.importorskip("jobflow_remote")

from jobflow_remote.config.base import Project
from qtoolkit.io import scheduler_mapping
from ruamel.yaml import YAML

from midgap.workflows.cluster.project import open_project, queue_of, worker_named
from midgap.workflows.cluster.site import Site, project_text, write_project

SLURM = Queue(worker="w", scheduler="slurm", resources={"partition": "main", "account": "abc"}, max_walltime_h=24)
HARD = {"task": "static", "engine": "vasp", "cost_s": 4e5, "memory_GB": 200.0, "max_threads": 1}


def directives(text: str, sign: str) -> list[str]:
    """The lines of a script that a batch system reads."""
    return [line.removeprefix(sign).strip() for line in text.splitlines() if line.startswith(sign)]


def test_larger_cells_and_higher_theories_ask_for_more():
    asked = {}
    for atoms in (22, 66):
        models = build_models("Cs4PbBr6", conventional=atoms == 66, charges=[0], clusters=False)
        assert len(models[0].structure) == atoms
        for theory in ("pbe", "hse06"):
            maker = LevelFlowMaker(theory=LevelOfTheory.named(theory, cutoff_eV=250), relax=False)
            for job in maker.make(models).jobs:
                if job.metadata["task"] == "static":
                    charged = "V_" in job.metadata["model"]
                    asked[atoms, theory, charged] = needs(job.metadata, SLURM)
    for charged in (False, True):
        assert asked[66, "pbe", charged].walltime_s > asked[22, "pbe", charged].walltime_s
        assert asked[66, "hse06", charged].walltime_s > asked[66, "pbe", charged].walltime_s
        assert asked[66, "hse06", charged].memory_GB > asked[22, "hse06", charged].memory_GB
    # Seen with GPAW: 1.0 GB and 310 s for 66 atoms with HSE06, 1.5 GB and 760 s for the 65 of V_Br⁰.
    assert 1.0 < asked[66, "hse06", False].memory_GB < 4.0
    assert 1.5 < asked[66, "hse06", True].memory_GB < 6.0
    assert asked[66, "hse06", False].walltime_s > 310
    assert asked[66, "hse06", True].walltime_s > 760


def test_cores_within_what_the_engine_has_and_time_within_what_the_queue_grants():
    queue = SLURM.model_copy(update={"engines": {"vasp": EngineQueue(max_ranks=32)}})
    asked = needs(HARD, queue)
    assert asked.ranks == 32
    assert asked.walltime_s == pytest.approx(3 * 4e5 / (0.7 * 32) + 900, abs=61)
    assert needs(HARD, SLURM).ranks == 1
    assert needs(HARD, SLURM).walltime_s == 24 * 3600
    assert needs(HARD | {"timed": False}, queue) == Needs(32, 1, 200.0, 24 * 3600)
    assert needs(HARD | {"cost_s": 60.0}, queue).ranks == 1
    assert needs(HARD | {"walltime_s": 7200.0}, queue) == Needs(32, 1, 200.0, 7200)


def test_forces_are_no_light_work():
    """What vibrations and dielectric constants are made of asks for what a static run of the same cost does."""
    queue = SLURM.model_copy(update={"engines": {"vasp": EngineQueue(max_ranks=32)}})
    assert needs(HARD | {"task": "forces"}, queue) == needs(HARD, queue)
    assert needs(HARD | {"task": "collect"}, queue).memory_GB < 10


def test_every_job_of_a_flow_is_told_also_those_made_later():
    models = build_models("Cs4PbBr6", charges=[0], clusters=False)
    maker = LevelFlowMaker(queue=SLURM)
    again = LevelFlowMaker.from_dict(json.loads(json.dumps(maker.as_dict())))
    assert again.queue == SLURM
    for job in again.make(models).jobs:
        assert job.config.manager_config["worker"] == "w"
        assert job.config.manager_config["resources"]["account"] == "abc"
        assert "MIDGAP_END_TIME" in job.config.manager_config["exec_config"]["pre_run"]


def test_slurm_script():
    script = scheduler_mapping["slurm"]().get_submission_script(
        ["run"], request(Needs(16, 2, 48.0, 90061), SLURM.model_copy(update={"cores_per_node": 8}))
    )
    assert set(directives(script, "#SBATCH")) == {
        "--partition=main",
        "--account=abc",
        "--nodes=4",
        "--ntasks=16",
        "--cpus-per-task=2",
        "--mem=12288M",
        "--time=1-01:01:01",
    }


def test_pbs_script_is_what_qsub_reads():
    """Not run on a PBS: generated, and read back by the grammar of pbs_resources(7)."""
    queue = Queue(worker="w", scheduler="pbs", resources={"queue": "long", "account": "abc"}, cores_per_node=8)
    script = scheduler_mapping["pbs"]().get_submission_script(["run"], request(Needs(16, 2, 48.0, 90061), queue))
    found = directives(script, "#PBS")
    assert "-q long" in found and "-A abc" in found and "-l walltime=25:01:01" in found
    (select,) = [line for line in found if line.startswith("-l select=")]
    count, *chunk = select.removeprefix("-l select=").split(":")
    resources = dict(part.split("=") for part in chunk)
    assert int(count) == 4
    assert resources == {"ncpus": "8", "mpiprocs": "4", "ompthreads": "2", "mem": "12288mb"}
    assert int(count) * int(resources["mpiprocs"]) == 16
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0


def test_a_job_too_large_for_a_node_is_refused():
    with pytest.raises(InputError, match="has 4 GB a node, and a job needs about 200 GB"):
        request(needs(HARD, SLURM), SLURM.model_copy(update={"memory_per_node_GB": 4.0}))


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "shell"])
@pytest.mark.parametrize("pilot", [None, 4])
def test_project_file_is_one_that_jobflow_remote_takes(scheduler, pilot, tmp_path, monkeypatch):
    monkeypatch.setattr("jobflow_remote.SETTINGS.projects_folder", str(tmp_path / "projects"))
    resources = {} if scheduler == "shell" else {"account": "abc"}
    site = Site(
        name="mine",
        scheduler=scheduler,
        work_dir="/scratch/me",
        pre_run='source ~/venv/bin/activate\nexport A="$B: c"',
        resources=resources,
        pilot=pilot,
        host="login.site.org",
        username="bob",
        password='se"cr: et\\',
        engines={"vasp": {"max_ranks": 64, "exec_config": "vasp"}},
        exec_config={"vasp": {"modules": ["VASP/6.4"]}},
    )
    path = write_project(site)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    project = Project.model_validate(YAML(typ="safe").load(path))
    assert list(project.workers) == site.workers
    assert project.workers["cluster"].pre_run == site.pre_run
    for store in (project.queue.store, project.jobstore["docs_store"], project.jobstore["additional_stores"]["data"]):
        assert store["password"] == 'se"cr: et\\'
        assert store["collection_name"].startswith("mine_")
    queue = queue_of(open_project("mine"), "cluster")
    assert queue.engines["vasp"].max_ranks == 64
    told = queue.manager_config({"task": "static", "engine": "vasp", "cost_s": 10.0})
    assert told["exec_config"]["modules"] == ["VASP/6.4"]
    with pytest.raises(InputError, match="no worker 'nowhere'; it has cluster"):
        worker_named(project, "nowhere")
    with pytest.raises(InputError, match="is there already"):
        write_project(site)


def test_no_password_into_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr("jobflow_remote.SETTINGS.projects_folder", str(tmp_path / "sub"))
    (tmp_path / ".git").mkdir()
    with pytest.raises(InputError, match="in the repository"):
        write_project(Site(work_dir="/w", username="bob", password="x"))
    assert not (tmp_path / "sub").exists()


def test_init_keeps_the_password_out_of_what_it_says(tmp_path, monkeypatch):
    from midgap.cli.cluster import PASSWORD, app

    monkeypatch.setattr("jobflow_remote.SETTINGS.projects_folder", str(tmp_path))
    words = ["init", "--work-dir", "/w", "--scheduler", "pbs", "--partition", "long", "--account", "", "--hours", "48"]
    words += ["--host", "", "--database", "db.site.org:27018", "--username", "bob", "--ranks", "vasp=8"]
    said = CliRunner().invoke(app, words, env={PASSWORD: "hidden-word"})
    assert said.exit_code == 0, said.output
    assert "hidden-word" not in said.output
    project = YAML(typ="safe").load(tmp_path / "midgap.yaml")
    assert project["queue"]["store"]["port"] == 27018
    assert project["workers"]["cluster"]["resources"] == {"queue": "long"}
    refused = CliRunner().invoke(app, [*words, "--database", "mongodb://bob:pw@host/x"])
    assert "Leave the password out" in str(refused.exception)


def test_broken_project_files_are_told_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("jobflow_remote.SETTINGS.projects_folder", str(tmp_path))
    with pytest.raises(InputError, match=r"no project in .* yet; write one with: midgap cluster init"):
        open_project()
    text = project_text(Site(work_dir="/w"))
    (tmp_path / "midgap.yaml").write_text(text.replace("work_dir: ", "wrok_dir: ", 1))
    with pytest.raises(InputError, match=r"midgap\.yaml is not a project: workers\.cluster\.local\."):
        open_project("midgap")
    (tmp_path / "midgap.yaml").write_text(text)
    assert open_project().name == "midgap"
    with pytest.raises(InputError, match=r"no project 'other' in .* \(there: midgap\)"):
        open_project("other")


KILLED = "The output file jfremote_out.json was downloaded, but it does not contain the response. The job was likely killed before completing"


# As Slurm 22.05 and PBS Pro 2022 write them: slurmstepd's lines from runs, PBS's from its administrator's guide.
@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-22T23:00:00 DUE TO TIME LIMIT ***", "time limit"),
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-22T23:00:00 ***", "cancelled"),
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-22T23:00:00 DUE TO NODE FAILURE ***", "node failure"),
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-22T23:00:00 DUE TO PREEMPTION ***", "preempted"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5.batch.", "memory"),
        ("=>> PBS: job killed: walltime 3629 exceeded limit 3600", "time limit"),
        ("=>> PBS: job killed: mem 4200000kb exceeded limit 4194304kb", "memory"),
        ("", "unknown"),
    ],
)
def test_how_a_queue_ended_a_job(said, end):
    document = {"error": KILLED, "remote": {"queue_err": said}}
    assert end_of(document) == end
    assert why(document)
    # An error of the job itself is one, whatever the queue wrote afterwards.
    assert end_of({"error": "Traceback ...\nValueError: no", "remote": {"queue_err": said}}) == "error"


def test_errors_of_jobs_are_sentences():
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1, in run\n    boom()\n'
    ours = trace + "midgap.structures.errors.ComputationError: The SCF of X did not converge in 200 steps."
    assert why({"error": ours}) == "The SCF of X did not converge in 200 steps."
    full = trace + "OSError: [Errno 122] Disk quota exceeded: '/scratch/me/x'"
    assert why({"error": full}).endswith("Disk quota exceeded: '/scratch/me/x'")
    lost = trace + "ModuleNotFoundError: No module named 'midgap'"
    assert "the package midgap" in why({"error": lost})
    assert why({"error": None, "remote": {"error": None}}) == ""


def test_the_queue_tells_a_job_its_id():
    assert queue_job({"SLURM_JOB_ID": "12", "JOB_ID": "1"}) == "12"
    assert queue_job({"PBS_JOBID": "7.pbs"}) == "7.pbs"
    assert queue_job({}) is None
