"""Flows of models, and a real one that is killed on the way."""

import dataclasses
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from jobflow import Flow, JobStore
from jobflow.managers.local import run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder, MontyEncoder
from rich.console import Console

from midgap.cli.progress import Progress
from midgap.defects.report import Levels
from midgap.structures.build import build_models
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.flows import HostFlowMaker, LevelFlowMaker
from midgap.workflows.local import JobView
from midgap.workflows.models import is_relaxed, models_in, reference_of
from midgap.workflows.presets import PRESETS, preset_named
from midgap.workflows.schedule import expected_makespan_s

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import kill_resume


@pytest.fixture(scope="module")
def models():
    return build_models("Cs4PbBr6", charges=[0, 1], clusters=False)


def jobs_of(flow: Flow) -> dict[str, object]:
    return {job.name: job for job in flow.jobs}


def test_vacancies_are_relaxed_and_held_against_the_host(models):
    host, neutral, _ = models
    flow = LevelFlowMaker(theory=LevelOfTheory.named("hse06+soc", cutoff_eV=250)).make(models)
    jobs = jobs_of(flow)
    relax, static = jobs[f"{neutral.name} relax"], jobs[f"{neutral.name} hse06+soc"]
    assert relax.function_args[1]["functional"] == "PBE"
    assert relax.function_args[1]["cutoff_eV"] == 250
    assert set(static.input_uuids) == {relax.uuid}
    found = jobs[f"{neutral.name} levels"]
    assert set(found.input_uuids) == {static.uuid, jobs[f"{host.name} hse06+soc"].uuid}
    assert jobs[f"{host.name} levels"].function_args[1] is None
    assert flow.output.uuid == jobs["collect"].uuid


def test_a_relaxed_host_is_taken_as_it_is(models):
    host = models[0].model_copy(update={"provenance": {"coordinates": "relaxed with PBE"}})
    names = jobs_of(LevelFlowMaker().make([host, *models[1:]]))
    assert is_relaxed(host)
    assert f"{host.name} relax" not in names
    assert f"{models[1].name} relax" in names


def test_mesh_of_a_kind(models):
    dense = LevelOfTheory.named("hse06", kpoints=(2, 2, 2))
    jobs = jobs_of(LevelFlowMaker(by_kind={"pristine": dense}, relax=False).make(models))
    assert jobs[f"{models[0].name} hse06"].function_args[1]["kpoints"] == [2, 2, 2]
    assert jobs[f"{models[1].name} hse06+soc"].function_args[1]["kpoints"] == [1, 1, 1]


def test_start_from_the_neutral_neighbour_only_if_asked(models):
    plain = jobs_of(LevelFlowMaker().make(models))[f"{models[2].name} relax"]
    asked = jobs_of(LevelFlowMaker(from_neighbour=True).make(models))
    assert plain.input_uuids == ()
    assert asked[f"{models[2].name} relax"].input_uuids == (asked[f"{models[1].name} relax"].uuid,)


def test_what_cannot_be_done_is_refused_before_anything_runs(models):
    with pytest.raises(InputError, match=r"CP2K cannot do HSE06\+SOC"):
        LevelFlowMaker(engine="cp2k").make(models)
    with pytest.raises(InputError, match="same name"):
        LevelFlowMaker().make([models[0], models[0]])
    with pytest.raises(InputError, match="no model"):
        LevelFlowMaker().make([])
    with pytest.raises(InputError, match="not a pristine crystal"):
        HostFlowMaker().make(models[1])


def test_reference_is_the_host_of_the_same_size(models):
    host, neutral, _ = models
    large = next(model for model in build_models("Cs4PbBr6", max_atoms=66, charges=[], clusters=False))
    assert len(large.structure) > len(host.structure)
    assert reference_of(neutral, [large, host, neutral]) is host
    assert reference_of(host, models) is None


def test_clusters_are_held_against_the_intact_cluster():
    clusters = models_in(build_models("Cs4PbBr6", charges=[], clusters=False)[0], charges=[0])
    octahedron = next(m for m in clusters if not m.periodic and m.vacancy is None and m.embedding is not None)
    broken = next(m for m in clusters if not m.periodic and m.vacancy is not None)
    assert reference_of(broken, clusters) is octahedron
    assert models_in(clusters[0], charges=[], clusters="octahedron")[1:] == [octahedron]


def test_flow_is_plain_json(models):
    flow = HostFlowMaker(levels=LevelFlowMaker(theory=LevelOfTheory.named("pbe"))).make(models[0])
    again = MontyDecoder().process_decoded(json.loads(json.dumps(flow, cls=MontyEncoder)))
    assert again.job_uuids == flow.job_uuids
    maker = again.jobs[1].function_args[1]
    assert maker.theory == LevelOfTheory.named("pbe")


def test_expected_time_is_the_longest_path_or_the_work_shared(models):
    flow = LevelFlowMaker().make(models)
    costs = [job.metadata["cost_s"] for job in flow.jobs]
    assert expected_makespan_s(flow, 1) == pytest.approx(sum(costs))
    path = max(
        sum(job.metadata["cost_s"] for job in flow.jobs if job.metadata.get("model") == model.name) for model in models
    )
    assert path <= expected_makespan_s(flow, 100) <= path + 5


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_planned(name):
    flow = preset_named(name).flow()
    assert all("cost_s" in job.metadata for job in flow.jobs)


def test_a_crystal_whose_primitive_cell_is_the_conventional_one_is_computed_once():
    asked = preset_named("demo").model_copy(update={"material": "CsPbBr3"})
    assert [model.name for model in asked.models() if model.kind == "pristine"] == ["pristine_20"]
    assert [job.name for job in asked.flow().jobs].count("pristine_20 hse06+soc") == 1


def test_preset_at_another_theory_keeps_its_meshes():
    dense = LevelOfTheory.named("hse06+soc", kpoints=(2, 2, 2), cutoff_eV=250)
    demo = preset_named("demo").model_copy(update={"pristine": dense}).with_theory("pbe")
    assert demo.pristine == LevelOfTheory.named("pbe", kpoints=(2, 2, 2), cutoff_eV=250)
    assert demo.request()["theory"] == demo.defect.name == "pbe"


@pytest.mark.parametrize(("species", "cutoff_eV"), [("Na Cl", 250.0), ("Mg O", 500.0)])
def test_hard_elements_raise_the_cutoff_of_a_preset(tmp_path, species, cutoff_eV):
    file = tmp_path / "POSCAR"
    file.write_text(f"salt\n4.2\n0 .5 .5\n.5 0 .5\n.5 .5 0\n{species}\n1 1\nDirect\n0 0 0\n.5 .5 .5\n")
    asked = preset_named("quick").model_copy(update={"material": str(file)})
    assert {one.cutoff_eV for one in (asked.with_enough_cutoff().pristine, asked.with_enough_cutoff().defect)} == {
        cutoff_eV
    }
    assert asked.with_engine("cp2k").with_enough_cutoff().defect.cutoff_eV is None


def test_request_knows_the_content_of_a_file(tmp_path):
    file = tmp_path / "POSCAR"
    requests = []
    for edge in (5.6, 5.7):
        file.write_text(f"NaCl\n{edge}\n0 .5 .5\n.5 0 .5\n.5 .5 0\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n")
        requests.append(preset_named("quick").model_copy(update={"material": str(file)}).request())
    assert requests[0] != requests[1]


def test_dry_run_tells_the_plan():
    command = [sys.executable, "-m", "midgap.cli.main", "run", "--preset", "quick", "--dry-run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    plan = json.loads(done.stdout)
    assert plan["request"]["theory"] == "pbe+soc"
    assert [job["task"] for job in plan["jobs"]] == ["static", "static"]
    refused = subprocess.run([*command, "--engine", "cp2k"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("midgap: CP2K cannot do PBE+SOC")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_says_what_runs(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    data = {"task": "relax", "label": "V_Br⁰ · 21 atoms", "theory": "PBE", "engine": "gpaw"}
    job = JobView("V relax", "a", 1, "running", Path("nowhere"), data, elapsed_s=7.0, expected_s=200.0)
    failed = dataclasses.replace(job, uuid="b", state="failed", error="the SCF did not converge")
    with Progress(console) as progress:
        progress([job, failed])
    said = console.file.getvalue()
    assert "V_Br⁰ · 21 atoms: relax, PBE" in said
    assert "about 3 min" in said
    assert "the SCF did not converge" in said
    assert said.count("\n") >= 2


@pytest.mark.engine("gpaw")
def test_killed_flow_equals_the_one_jobflow_runs(tmp_path):
    """Ours, killed four times, against jobflow's own manager: another process model, the same flow."""
    ours = tmp_path / "ours"
    moments = kill_resume.break_at_random(ours, kills=4, longest_s=12.0, rng=random.Random(4))
    kill_resume.finish(ours)
    counts = kill_resume.audit(ours)
    assert len(moments) == 4
    assert counts["jobs"] == 9

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    flow = kill_resume.small_flow()
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    responses = run_locally(flow, store=store, create_folders=True, root_dir=theirs, ensure_success=True, log=False)
    assert max(responses[flow.output.uuid]) == 2  # replaced by what it spawned
    found = store.get_output(flow.output.uuid, load=True)
    Levels.from_dict({key: found[key] for key in ("reports", "models")}).write(theirs / "levels.json")
    assert kill_resume.difference_eV(theirs, ours) < kill_resume.SAME_eV
