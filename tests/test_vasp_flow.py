"""VASP through the same flow and command line as the other engines, with the stand-in."""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobflow import JobStore
from jobflow.managers.local import run_locally
from maggma.stores import MemoryStore
from pymatgen.io.vasp.inputs import Incar
from vasp_example import inject, install, let_time_run_out, models, shaken, starts, use_potentials

from midgap.cli.options import parse_mesh, parse_settings
from midgap.cli.question import question
from midgap.defects.report import Levels
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.flows import HostFlowMaker, LevelFlowMaker
from midgap.workflows.inputs import write_inputs
from midgap.workflows.local import run_flow
from midgap.workflows.presets import preset_named

SPINORS = LevelOfTheory.named("hse06+soc")
D3 = LevelOfTheory.named("pbe", dispersion="D3")


@pytest.fixture
def faults(tmp_path, monkeypatch):
    monkeypatch.delenv("MIDGAP_END_TIME", raising=False)
    return install(tmp_path / "bin", monkeypatch)


def maker(**fields) -> LevelFlowMaker:
    return LevelFlowMaker(engine="vasp", theory=SPINORS, **fields)


def cell_and_vacancy():
    pristine, vacancy, _ = models((0,))
    return [pristine, shaken(vacancy)]


def test_steps_are_jobs_each_after_the_last():
    flow = maker(relax_theory=D3, refine_theory=LevelOfTheory.named("hse06")).make(cell_and_vacancy())
    jobs = {job.name: job for job in flow.jobs}
    name = cell_and_vacancy()[1].name
    chain = [jobs[f"{name} {step}"] for step in ("relax", "relax hse06", "pbe", "hse06", "hse06+soc")]
    for before, after in itertools.pairwise(chain):
        assert before.uuid in after.input_uuids
    relaxed = chain[1]
    assert all(relaxed.uuid in static.input_uuids for static in chain[2:])  # all of the same geometry
    assert chain[0].function_args[1]["dispersion"] == "D3"
    assert chain[1].function_args[1]["functional"] == "HSE06"
    assert chain[-1].uuid in jobs[f"{name} levels"].input_uuids


def test_a_crystal_relaxed_by_another_engine_is_relaxed_as_the_vacancies_are():
    pristine = cell_and_vacancy()[0]
    assert pristine.provenance["coordinates"].startswith("relaxed")
    assert not maker().relaxations_of(pristine)
    assert [step.theory for step in maker(relax_theory=D3).relaxations_of(pristine)] == [D3]
    flow = HostFlowMaker(levels=maker(relax_theory=D3)).make(pristine)
    assert [job.name for job in flow.jobs] == [f"{pristine.name} relax", "cut the models"]


def test_clusters_in_point_charges_go_to_the_other_engine_without_settings_of_vasp():
    made = maker(options={"engine_settings": {"ENCUT": 350}})
    flow = made.make(preset_named("production").model_copy(update={"charges": (0,), "max_atoms": None}).models())
    engines = {job.metadata["model"]: job.metadata["engine"] for job in flow.jobs if "engine" in job.metadata}
    assert engines["octahedron_PbBr6_embedded"] == "pyscf"
    assert engines["unit_Cs4PbBr6"] == "vasp"
    settings = {job.metadata["engine"]: job.function_args[4] for job in flow.jobs if "engine" in job.metadata}
    assert "engine_settings" not in settings["pyscf"]


def test_flow_end_to_end(faults, tmp_path):
    """Relaxation, PBE, HSE06, spinors, levels; killed in the middle of a hybrid, started again, nothing computed twice."""
    inject(faults, {"system": "V_Br1_q0_22 std hse", "seconds": 30.0})
    flow = maker().make(cell_and_vacancy())
    folder = tmp_path / "run"
    code = (
        "import sys, json; from monty.json import MontyDecoder; from midgap.workflows.local import run_flow;"
        "run_flow(MontyDecoder().process_decoded(json.load(open(sys.argv[1]))), sys.argv[2], cores=1)"
    )
    from monty.json import MontyEncoder

    (tmp_path / "flow.json").write_text(json.dumps(flow, cls=MontyEncoder))
    runner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "flow.json"), str(folder)])
    deadline = time.monotonic() + 180
    while not any("hse" in path.name and starts(path) for path in (folder / "jobs").glob("V_Br1*hse06-*")):
        assert time.monotonic() < deadline and runner.poll() is None
        time.sleep(0.1)
    runner.kill()
    runner.wait()
    faults.unlink()
    result = run_flow(flow, folder, cores=1)
    result.raise_for_failures()
    levels = Levels.from_dict({key: result.output[key] for key in ("reports", "models")})
    pristine, vacancy = levels.reports
    # What the stand-in's bands have: a gap of 3.8 eV, a Kramers pair 0.55 of it above the valence band, half filled.
    assert pristine.gap_eV == pytest.approx(3.8, abs=1e-3)
    assert pristine.levels == ()
    assert [level.above_vbm_eV for level in vacancy.levels] == pytest.approx(
        [0.55 * 3.8] * len(vacancy.levels), abs=0.05
    )
    counts = {path.name.rpartition("-")[0]: len(starts(path)) for path in (folder / "jobs").iterdir() if starts(path)}
    assert counts.pop("V_Br1_q0_22-hse06") == 2
    assert set(counts.values()) == {1} and len(counts) == 6


def test_time_that_is_up_asks_for_another_job_in_its_place(faults, tmp_path, monkeypatch):
    """By jobflow's own manager: the relaxation's job is replaced by itself, in another folder, and goes on."""
    from midgap.workflows import execution
    from midgap.workflows.engines.vasp_files import ionic_energies_eV

    monkeypatch.setattr(execution, "POLL_S", 0.05)
    monkeypatch.setattr(execution, "POLLS_A_LOOK", 2)
    inject(faults, {"system": "gam", "seconds": 0.1})

    first: list[Path] = []

    def in_its_first_allocation():
        first.append(Path.cwd())
        return Path.cwd() == first[0] and len(ionic_energies_eV(first[0])) >= 2

    let_time_run_out(monkeypatch, in_its_first_allocation)
    vacancy = cell_and_vacancy()[1]
    flow = LevelFlowMaker(engine="vasp", theory=LevelOfTheory.named("pbe")).make([vacancy])
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, create_folders=True, root_dir=tmp_path, ensure_success=True, log=False)
    relaxations = [job for job in store.query({"name": f"{vacancy.name} relax"}) if "index" in job]
    assert sorted(job["index"] for job in relaxations) == [1, 2]
    last = next(job for job in relaxations if job["index"] == 2)["output"]
    assert last["max_force_eV_per_ang"] < 0.05
    noted = starts(Path(last["folder"]))
    assert len(noted) == 2 and noted[1]["ISTART"] == "1"
    assert store.get_output(flow.output.uuid, load=True)["reports"]


def test_large_arrays_go_to_the_data_store(faults, tmp_path):
    flow = LevelFlowMaker(engine="vasp", theory=LevelOfTheory.named("pbe"), relax=False).make(models(())[:1])
    static = flow.jobs[0]
    data = MemoryStore()
    store = JobStore(MemoryStore(), additional_stores={"data": data})
    run_locally(flow, store=store, create_folders=True, root_dir=tmp_path, ensure_success=True, log=False)
    document = store.query_one({"uuid": static.uuid}, load=False)
    assert "blob_uuid" in document["output"]["electronic_structure"]
    assert len(json.dumps(document["output"])) < 20_000
    (kept,) = data.query({"job_uuid": static.uuid})
    assert len(kept["data"]["site_weights"][0][0]) == 110


def test_dry_run_writes_every_input(faults, tmp_path, monkeypatch):
    use_potentials(monkeypatch, None)
    command = [sys.executable, "-m", "midgap.cli.main", "run", "--engine", "vasp", "--preset", "production", "--json"]
    command += [
        "--dry-run",
        "--charges=0",
        "--out",
        str(tmp_path / "out"),
        "--set",
        "ENCUT=350",
        "--set",
        "hse06+soc:ALGO=All",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    ours = [job for job in plan["jobs"] if job["engine"] == "vasp"]
    assert len(plan["inputs"]) == len(ours) == len(set(plan["inputs"]))
    assert plan["expected_s"] is None
    for folder in plan["inputs"]:
        incar = Incar.from_file(f"{folder}/INCAR")
        assert incar["ENCUT"] == 350
        assert (incar["ALGO"] == "All") == incar.get("LSORBIT", False)
        assert {path.name for path in Path(folder).iterdir()} == {"INCAR", "KPOINTS", "POSCAR", "POTCAR.spec"}
    assert sum("PMG_VASP_PSP_DIR" in note for note in plan["notes"]) == 1


def test_a_setting_that_is_none_is_refused_before_anything_is_written():
    asked = question(preset="production", settings=["LSORBIT=.TRUE."])
    with pytest.raises(InputError, match="LSORBIT cannot be set: it follows from the theory"):
        asked.flow()
    with pytest.raises(InputError, match="--set takes NAME=VALUE"):
        parse_settings(["ENCUT"])
    assert parse_mesh("2,2,1") == parse_mesh("2x2x1") == (2, 2, 1)
    with pytest.raises(InputError, match="--kpoints takes three positive integers"):
        parse_mesh("2,0,1")
    assert parse_settings(["A=1", "B=1e-6", "C=.TRUE.", "D=0 0 1", "A=2"]) == {
        "A": 2,
        "B": 1e-6,
        "C": True,
        "D": "0 0 1",
    }


def test_inputs_are_written_anew_and_never_over_a_run(faults, tmp_path):
    made, vacancy = maker(), cell_and_vacancy()[1]
    first = write_inputs(made, [vacancy], tmp_path / "inputs").folders[0]
    before = (first / "POSCAR").read_text()
    write_inputs(made, [shaken(vacancy, seed=2)], tmp_path / "inputs")  # another geometry of the same atoms
    assert (first / "POSCAR").read_text() != before
    assert {path.name for path in first.iterdir()} == {"INCAR", "KPOINTS", "POSCAR", "POTCAR"}
    (first / "OUTCAR").touch()
    with pytest.raises(InputError, match=r"holds more than inputs \(OUTCAR\)"):
        write_inputs(made, [vacancy], tmp_path / "inputs")


def test_inputs_of_engines_that_nobody_reads_are_not_written(tmp_path):
    written = write_inputs(LevelFlowMaker(engine="gpaw"), models(())[:1], tmp_path)
    assert written.folders == () and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["pbe,pbe+d3,hse06", "lda", ""])
def test_relaxations_that_are_none(words):
    with pytest.raises(InputError, match="--relax takes none, or one or two"):
        preset_named("production").with_relaxation(words)


def test_request_tells_settings_apart():
    asked = preset_named("production")
    assert "settings" not in asked.request() and "relax" not in asked.request()
    other = asked.with_settings({"ENCUT": 400}).with_relaxation("pbe+d3,hse06").with_mesh((2, 2, 1)).request()
    assert other["kpoints"] == [2, 2, 1]
    assert other["settings"] == {"ENCUT": 400}
    assert other["relax"] == ["pbe+d3", "hse06"]
