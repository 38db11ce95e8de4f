"""VASP runs with the stand-in: the chain to spinors, and everything that goes wrong on the way.

Each fault ends in a restart that gives the result of an unbroken run, or in one sentence.
"""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import IStructure
from pymatgen.io.vasp.inputs import Incar
from vasp_example import VASP, calculation, inject, install, let_time_run_out, models, shaken, starts

from midgap.structures.errors import ComputationError, InputError
from midgap.structures.model import Model
from midgap.workflows import execution
from midgap.workflows.engines.vasp_files import electronic_steps, ionic_energies_eV
from midgap.workflows.execution import OutOfTime, run

NEUTRAL = next(model for model in models((0,)) if model.vacancy is not None)
RELAX = calculation(shaken(NEUTRAL), "pbe", "relax")
STATIC = calculation(NEUTRAL, "hse06", settings={"program": "std"})


@pytest.fixture
def faults(tmp_path, monkeypatch):
    # Custodian looks after a run every quarter of a second here, not every quarter of a minute.
    monkeypatch.setattr(execution, "POLL_S", 0.05)
    monkeypatch.setattr(execution, "POLLS_A_LOOK", 5)
    monkeypatch.delenv("MIDGAP_END_TIME", raising=False)
    return install(tmp_path / "bin", monkeypatch)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A relaxation and a static run that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "POLL_S", 0.05)
        patch.delenv("MIDGAP_END_TIME", raising=False)
        install(folder / "bin", patch)
        relaxed = run(RELAX, "vasp", folder / "relax")
        static = run(STATIC, "vasp", folder / "static")
    assert len(starts(folder / "relax")) == len(starts(folder / "static")) == 1
    return relaxed, static


def same(result, truth):
    assert result.model.positions_ang == pytest.approx(truth.model.positions_ang, abs=0.01)
    assert result.total_energy_eV == pytest.approx(truth.total_energy_eV, abs=0.01)
    if truth.electronic_structure is not None:
        mine, theirs = result.electronic_structure, truth.electronic_structure
        assert mine.eigenvalues_eV == pytest.approx(theirs.eigenvalues_eV)
        assert mine.n_electrons == theirs.n_electrons


def test_the_chain_to_spinors_begins_each_step_from_the_last(faults, tmp_path):
    relaxed = run(RELAX, "vasp", tmp_path / "relax")
    after, found = tmp_path / "relax", {}
    for step in VASP.steps(calculation(relaxed.model, "hse06+soc")):
        folder = tmp_path / step.theory.name
        found[step.theory.name] = run(step, "vasp", folder, after=after).electronic_structure
        after = folder
    order = [(starts(tmp_path / name)[0]["program"], *_start(tmp_path / name)) for name in ("relax", *found)]
    assert order == [
        ("gam", 0, 2),  # from atoms
        ("std", 0, 1),  # from its density: what vasp_gam wrote is not for vasp_std
        ("std", 1, 0),  # from the orbitals
        ("ncl", 1, 0),
    ]
    spinors = found["hse06+soc"]
    assert spinors.spinor and spinors.n_electrons == 177
    assert spinors.eigenvalues_eV.shape == (1, 1, 2 * found["hse06"].eigenvalues_eV.shape[2])
    assert spinors.site_potentials_eV.shape == (21,)
    assert not (tmp_path / "hse06+soc" / "error.1.tar.gz").exists()


def _start(folder):
    first = starts(folder)[0]
    return int(first["ISTART"]), int(first["ICHARG"])


def test_a_real_run_comes_through_the_whole_engine(faults, tmp_path, shared_data):
    """Cs2SnI6, HSE06 with spin-orbit coupling, VASP 5.4.1; gap and edges as sumo publishes them with the file."""
    from pymatgen.io.vasp.outputs import Vasprun

    from midgap.defects.levels import identify_levels

    source = shared_data / "vasp" / "Cs2SnI6-hse06-soc"
    geometry = Vasprun(
        source / "vasprun.xml.gz", parse_dos=False, parse_eigen=False, parse_potcar_file=False
    ).final_structure
    model = Model(
        name="Cs2SnI6_9", kind="pristine", material="Cs2SnI6", structure=IStructure.from_sites(list(geometry))
    )
    inject(faults, {"system": "Cs2SnI6", "replay": str(source)})
    result = run(calculation(model, "hse06+soc", kpoints=(4, 4, 4)), "vasp", tmp_path / "run")
    structure = result.electronic_structure
    assert (structure.n_electrons, structure.spinor, structure.theory.name) == (74, True, "hse06+soc")
    report = identify_levels(structure)
    assert report.gap_eV == pytest.approx(0.9160, abs=1e-4)
    assert report.vbm_eV == pytest.approx(0.9064, abs=1e-4)


# --- faults: a restart -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "die", "at_step": 3},  # in the middle of an SCF
        {"do": "die_after", "at_step": 3},  # between two ionic steps
        {"do": "die_after", "at_step": 3, "cut": "CONTCAR"},
        {"do": "die_after", "at_step": 3, "cut": "WAVECAR"},
        {"do": "die_after", "at_step": 3, "remove": "WAVECAR"},
        {"do": "cut", "cut": "CONTCAR"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_a_relaxation_that_died_loses_one_step_at_most(faults, tmp_path, unbroken, fault):
    inject(faults, fault)
    result = run(RELAX, "vasp", tmp_path / "run")
    same(result, unbroken[0])
    lines = starts(tmp_path / "run")
    assert len(lines) == 1 + (fault["do"] != "cut")
    if fault["do"] == "cut":  # it was done: the last frame of XDATCAR stands in for CONTCAR
        return
    assert int(lines[1]["NSW"]) == RELAX.max_steps - (2 if fault["do"] == "die" else 3)
    assert np.abs(np.array(lines[1]["frac"]) - np.array(lines[0]["frac"])).max() > 1e-4  # it went on, not back
    extra = len(result.relaxation_energies_eV) - len(unbroken[0].relaxation_energies_eV)
    assert extra <= 1
    begins = (0, 1) if "WAVECAR" in fault.values() else (1, 0)  # from the density, or from the orbitals
    if fault["do"] == "die_after":
        assert (int(lines[1]["ISTART"]), int(lines[1]["ICHARG"])) == begins


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("Error EDDDAV: Call to ZHEGV failed. Returncode =  12 2  14", {"ALGO": "All"}),
        ("ZBRENT: fatal error in bracketing\n     please rerun with smaller EDIFF, or copy CONTCAR", {"NELMIN": 8}),
        ("BRIONS problems: POTIM should be increased", {"POTIM": 0.6}),
        ("ERROR in subspace rotation PSSYEVX: not enough eigenvalues found", None),
        (" ERROR: internal error in subroutine IBZKPT: not all point group operations", {"SYMPREC": 1e-6}),
        ("TOO FEW BANDS", {"NBANDS": int(1.1 * 107)}),
    ],
    ids=["EDDDAV", "ZBRENT", "BRIONS", "PSSYEVX", "IBZKPT", "bands"],
)
def test_an_error_line_of_vasp_is_corrected_and_the_relaxation_goes_on(faults, tmp_path, unbroken, text, changed):
    inject(faults, {"do": "say_in_step", "at_step": 3, "text": f" {text}"})
    if changed is None:  # nothing is left to change with these inputs: told, not tried for ever
        with pytest.raises(
            ComputationError, match=r"done with V_Br1_q0_22; it said: .* \(not to be corrected: pssyevx\)"
        ):
            run(RELAX, "vasp", tmp_path / "run")
        assert len(starts(tmp_path / "run")) <= 2
        return
    result = run(RELAX, "vasp", tmp_path / "run")
    same(result, unbroken[0])
    incar = Incar.from_file(tmp_path / "run" / "INCAR")
    assert {name: incar[name] for name in changed} == changed
    assert "custodian" in (tmp_path / "run" / "INCAR").read_text()
    # Orbitals of fewer bands are not for VASP to read; after EDDDAV there is no density left either.
    assert starts(tmp_path / "run")[1]["ISTART"] == ("0" if "NBANDS" in changed else "1")
    (name,) = (name for name in changed)
    assert name in result.provenance.settings["corrected by custodian"]
    assert (
        np.abs(np.array(starts(tmp_path / "run")[1]["frac"]) - np.array(starts(tmp_path / "run")[0]["frac"])).max()
        > 1e-4
    )


def test_a_correction_outlives_a_kill(faults, tmp_path, unbroken):
    inject(
        faults,
        {"do": "say_in_step", "at_step": 2, "text": "Error EDDDAV: Call to ZHEGV failed.", "runs": [1]},
        {"do": "die", "at_step": 2, "runs": [2]},
    )
    same(run(RELAX, "vasp", tmp_path / "run"), unbroken[0])
    assert [line["ALGO"] for line in starts(tmp_path / "run")] == ["Normal", "All", "All"]


def test_an_scf_that_does_not_converge_climbs_the_ladder(faults, tmp_path, unbroken):
    inject(faults, {"do": "unconverged", "unless": ["Damped"], "runs": [1, 2, 3]})
    same(run(STATIC, "vasp", tmp_path / "run"), unbroken[1])
    assert [line["ALGO"] for line in starts(tmp_path / "run")] == ["Normal", "All", "Damped"]
    assert [line["ISTART"] for line in starts(tmp_path / "run")] == ["0", "1", "1"]


def test_a_word_of_the_user_for_one_run_comes_first(faults, tmp_path, unbroken):
    """After a failure: tags in INCAR.user, and the same calculation again."""
    inject(faults, {"do": "unconverged", "unless": ["A"], "runs": list(range(1, 20))})
    with pytest.raises(ComputationError, match=r"put another ALGO or TIME into .*INCAR.user and start again"):
        run(STATIC, "vasp", tmp_path / "run")
    (tmp_path / "run" / "INCAR.user").write_text("algo = A  # mine\n\n! TIME = 0.4\n")
    result = run(STATIC, "vasp", tmp_path / "run")
    same(result, unbroken[1])
    assert result.provenance.settings["set by INCAR.user"] == "ALGO = A"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "INCAR.user").write_text("NELECT = 3\n")
    with pytest.raises(InputError, match="NELECT cannot be set"):
        run(STATIC, "vasp", tmp_path / "other")


def test_a_static_run_that_was_shot_goes_on_once(faults, tmp_path, unbroken):
    inject(faults, {"do": "die"})
    same(run(STATIC, "vasp", tmp_path / "run"), unbroken[1])
    inject(faults, {"do": "die", "runs": [1, 2, 3]})
    with pytest.raises(ComputationError, match="ended by SIGKILL"):
        run(STATIC, "vasp", tmp_path / "other")
    assert len(starts(tmp_path / "other")) == 2


def test_a_vasprun_that_was_cut_short_costs_a_restart_from_the_orbitals(faults, tmp_path, unbroken):
    inject(faults, {"do": "cut", "cut": "vasprun.xml"})
    same(run(STATIC, "vasp", tmp_path / "run"), unbroken[1])
    assert [line["ISTART"] for line in starts(tmp_path / "run")] == ["0", "1"]
    inject(faults, {"do": "cut", "cut": "vasprun.xml", "runs": [1, 2, 3]})
    with pytest.raises(ComputationError, match=r"vasprun.xml of V_Br1_q0_22 .* was cut short"):
        run(STATIC, "vasp", tmp_path / "other")


def test_a_run_that_hangs_is_ended_and_gone_on_with(faults, tmp_path, unbroken):
    inject(faults, {"do": "hang"})
    patient = STATIC.model_copy(update={"engine_settings": STATIC.engine_settings | {"frozen_after_h": 2.5 / 3600}})
    same(run(patient, "vasp", tmp_path / "run"), unbroken[1])
    assert len(starts(tmp_path / "run")) == 2
    inject(faults, {"do": "hang", "runs": [1, 2, 3]})
    with pytest.raises(ComputationError, match=r"ended before it was done.*nothing was written for 2\.5 s"):
        run(patient, "vasp", tmp_path / "other")


def test_without_the_orbitals_of_the_last_step_it_begins_from_atoms(faults, tmp_path, unbroken):
    pbe, hybrid, soc = VASP.steps(calculation(NEUTRAL, "hse06+soc"))
    run(hybrid, "vasp", tmp_path / "hybrid")
    whole = run(soc, "vasp", tmp_path / "whole", after=tmp_path / "hybrid")
    for name in ("WAVECAR", "CHGCAR"):
        (tmp_path / "hybrid" / name).unlink()
    bare = run(soc, "vasp", tmp_path / "bare", after=tmp_path / "hybrid")
    same(bare, whole)
    assert _start(tmp_path / "whole") == (1, 0)
    assert _start(tmp_path / "bare") == (0, 2)
    assert pbe.theory.name == "pbe"


def test_a_wavecar_of_the_wrong_kind_is_not_taken(faults, tmp_path):
    """vasp_gam's for vasp_std; another mesh's."""
    gamma = calculation(NEUTRAL, "pbe")
    run(gamma, "vasp", tmp_path / "gamma")
    _, hybrid, _ = VASP.steps(calculation(NEUTRAL, "hse06+soc"))
    run(hybrid, "vasp", tmp_path / "hybrid", after=tmp_path / "gamma")
    assert starts(tmp_path / "gamma")[0]["program"] == "gam"
    assert _start(tmp_path / "hybrid") == (0, 1)
    dense = calculation(NEUTRAL, "hse06", kpoints=(2, 1, 1), settings={"ISYM": -1})
    run(dense, "vasp", tmp_path / "dense", after=tmp_path / "hybrid")
    assert _start(tmp_path / "dense") == (0, 1)


# --- faults: one sentence ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "says", "times"),
    [
        ({"do": "say_on_stderr", "text": "forrtl: severe (41): insufficient virtual memory"}, "not enough memory", 1),
        ({"do": "say_on_stderr", "text": "write: No space left on device"}, "the disk is full", 1),
        ({"do": "say", "text": "Error reading item 'EDIFF' from file INCAR."}, "cannot read EDIFF in the INCAR", 1),
        ({"do": "say", "text": "LAPACK: Routine ZPOTRF failed!", "runs": [1, 2, 3]}, "ZPOTRF failed", 2),
        ({"electrons_off": 10.0}, "with 187 electrons, not 177", 1),
        ({"do": "unconverged", "runs": list(range(1, 20))}, r"did not converge after \d+ steps", 4),
    ],
    ids=["memory", "disk", "INCAR", "ZPOTRF", "electrons", "SCF"],
)
def test_what_would_end_the_same_way_is_told(faults, tmp_path, fault, says, times):
    inject(faults, fault)
    with pytest.raises(ComputationError, match=says) as caught:
        run(STATIC, "vasp", tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert len(starts(tmp_path / "run")) <= times
    assert not (tmp_path / "run" / "result.json").exists()


def test_the_wrong_program_behind_a_command_is_told(faults, tmp_path, monkeypatch):
    monkeypatch.setenv("ATOMATE2_VASP_NCL_CMD", os.environ["ATOMATE2_VASP_CMD"])
    with pytest.raises(ComputationError, match="VASP_NCL_CMD starts a VASP that cannot do spin-orbit coupling"):
        run(calculation(NEUTRAL, "hse06+soc"), "vasp", tmp_path / "run")
    assert len(starts(tmp_path / "run")) == 1


def test_a_relaxation_that_needs_more_steps_is_told(faults, tmp_path):
    inject(faults, {"do": "never_relaxed"})
    short = RELAX.model_copy(update={"max_steps": 3})
    with pytest.raises(
        ComputationError, match=r"not relaxed after 3 steps: the largest force is .* allow more with max_steps"
    ):
        run(short, "vasp", tmp_path / "run")
    assert len(starts(tmp_path / "run")) == 1


def test_what_is_missing_is_told_before_anything_starts(faults, tmp_path, monkeypatch):
    monkeypatch.setenv("ATOMATE2_VASP_CMD", "mpirun -np 4 no_such_vasp_std")
    with pytest.raises(InputError, match=r"VASP is not here: VASP_CMD is 'mpirun -np 4 no_such_vasp_std'"):
        run(STATIC, "vasp", tmp_path / "run")


# --- time --------------------------------------------------------------------------------------


def test_a_relaxation_stops_in_time_and_goes_on_elsewhere(faults, tmp_path, monkeypatch, unbroken):
    inject(faults, {"seconds": 0.15})
    with monkeypatch.context() as patch:
        let_time_run_out(patch, lambda: len(ionic_energies_eV(tmp_path / "first")) >= 2)
        with pytest.raises(OutOfTime, match="goes on from there"):
            run(RELAX, "vasp", tmp_path / "first")
    done = len(ionic_energies_eV(tmp_path / "first"))
    assert 2 <= done < len(unbroken[0].relaxation_energies_eV)
    result = run(RELAX, "vasp", tmp_path / "second", after=tmp_path / "first")
    same(result, unbroken[0])
    lines = starts(tmp_path / "second")
    assert len(lines) == 2  # the log came along
    assert int(lines[1]["NSW"]) == RELAX.max_steps - done
    assert lines[1]["ISTART"] == "1"
    assert len(result.relaxation_energies_eV) <= len(unbroken[0].relaxation_energies_eV) + 1


def test_a_static_run_stops_at_an_electronic_step_and_goes_on_in_its_folder(faults, tmp_path, monkeypatch, unbroken):
    inject(faults, {"seconds": 0.5})
    with monkeypatch.context() as patch:
        let_time_run_out(patch, lambda: len(electronic_steps(tmp_path / "run")) >= 1)
        with pytest.raises(OutOfTime):
            run(STATIC, "vasp", tmp_path / "run")
    same(run(STATIC, "vasp", tmp_path / "run"), unbroken[1])
    assert [line["ISTART"] for line in starts(tmp_path / "run")] == ["0", "1"]


def test_a_run_that_gets_nowhere_is_not_asked_for_again(faults, tmp_path, monkeypatch):
    inject(faults, {"do": "hang"})
    let_time_run_out(monkeypatch, lambda: bool(starts(tmp_path / "run")), left_s=1.0)
    with pytest.raises(ComputationError, match="did not come a step further") as caught:
        run(STATIC, "vasp", tmp_path / "run")
    assert not isinstance(caught.value, OutOfTime)


def test_a_run_is_not_started_where_it_would_be_stopped_at_once(faults, tmp_path, monkeypatch):
    let_time_run_out(monkeypatch, lambda: True)
    with pytest.raises(ComputationError, match="was not started: 50 s of the queue's time are left"):
        run(STATIC, "vasp", tmp_path / "run")
    assert not starts(tmp_path / "run")


def test_a_run_ended_from_outside_is_gone_on_with(faults, tmp_path, unbroken):
    """The engine's process is killed, not by itself: what `scancel` or an administrator does."""
    from midgap.workflows.worker import attempts

    inject(faults, {"seconds": 0.1})

    def shoot():
        folder = tmp_path / "run"
        while not (folder / "OSZICAR").exists() or "E0=" not in (folder / "OSZICAR").read_text():
            time.sleep(0.02)
        os.kill(next(line["engine_pid"] for line in attempts(folder) if line["event"] == "engine"), 9)

    threading.Thread(target=shoot).start()
    same(run(RELAX, "vasp", tmp_path / "run"), unbroken[0])
    assert len(starts(tmp_path / "run")) == 2


def test_a_finished_folder_is_not_computed_again(faults, tmp_path):
    first = run(STATIC, "vasp", tmp_path / "run")
    assert run(STATIC, "vasp", tmp_path / "run") == first
    (Path(tmp_path) / "run" / "result.json").unlink()  # VASP had finished, we had not
    again = run(STATIC, "vasp", tmp_path / "run")
    assert again.electronic_structure.eigenvalues_eV == pytest.approx(first.electronic_structure.eigenvalues_eV)
    assert len(starts(tmp_path / "run")) == 1
