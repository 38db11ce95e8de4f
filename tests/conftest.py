"""What several tests share."""

import os
from functools import cache
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

SLOW = {
    # the stand-in's processes and workers, killed and restarted
    "test_vasp_runs.py", "test_vasp_flow.py", "test_local_runner.py", "test_hard_times.py",
    # thousands of simulated measurements
    "test_antibunching.py", "test_blinking.py", "test_lifetimes.py", "test_molecule_like.py", "test_photon_analysis.py",
    "test_power.py",
    # pictures at every width, whole pages
    "test_publication_figures.py", "test_page.py",
    # each reader in a process of its own
    "test_fuzz_corpus.py",
}  # fmt: skip

SLOW_TESTS = {
    # other people's packages, which take longer to load than to read a file
    "test_what_is_written_three_readers_read_back", "test_sync_input_of_t2_is_a_channel_of_its_own",
    "test_photon_hdf5_by_phconvert_is_read_back", "test_atomate2_makes_the_same_formation_energies",
    "test_atomate2_opens_a_configuration_coordinate", "test_phonopys_frequencies_of_its_own_force_constants",
    "test_another_potential_brings_its_own_electrons", "test_the_table_agrees_with_the_potentials_pymatgen_has_seen",
    # commands as a whole
    "test_without_the_extra_one_sentence_says_how_to_get_it", "test_what_is_printed_fits_its_schema",
    "test_what_a_run_leaves_fits_its_schema", "test_command_json", "test_the_command_line_of_formation_energies",
    "test_the_command_line_of_emission", "test_more_candidates_by_the_command", "test_command_says_how_much",
    "test_hundreds_of_particles_by_the_command", "test_exports_on_the_command_line",
    "test_the_readme_s_comparison_has_candidates", "test_the_command_says_so_by_its_exit_code",
    "test_tables_hold_what_the_comparison_does", "test_command_tables",
    # calibrations and fits of whole patterns
    "test_odds_are_calibrated", "test_intervals_of_mean_and_spread_hold_the_truth_as_often_as_they_say",
    "test_intervals_of_peak_and_width_hold_the_truth", "test_a_pure_sample_gives_an_upper_bound",
    "test_reference_intensity_ratios_are_the_published_ones",
    # pictures and pages
    "test_the_page_has_the_numbers_of_the_results", "test_pictures_are_files", "test_svg_is_the_same_each_time_and_needs_nothing",
    "test_a_particle_with_whatever_is_known_of_it", "test_residuals_stand_at_their_standard_deviations",
    # presets planned with every engine, files of every kind
    "test_dry_run_tells_the_plan", "test_presets_can_be_planned", "test_any_crystal_and_any_vacancy",
    "test_vasp_gets_occupations_by_hand", "test_a_study_of_folders_gives_the_diagram_of_its_points",
    "test_every_known_material_says_where_it_comes_from",
    # files that are large or spoilt in every place
    "test_a_damaged_file", "test_damaged_procar_and_outcar", "test_memory_is_that_of_the_result",
    "test_a_bomb_does_not_fill_memory", "test_json_does_not_unpack_into_all_memory",
}  # fmt: skip
"""More than half a second of CPU time each."""


def pytest_ignore_collect(collection_path, config):
    """What would be left out as a whole is not imported either."""
    return True if collection_path.name in SLOW and "not slow" in config.getoption("markexpr") else None


@cache
def _missing(engine: str) -> str | None:
    from midgap.workflows.engines import engine_named

    return engine_named(engine).missing()


def pytest_collection_modifyitems(items):
    """What is left out of ``make test-quick``: engines, browsers, and what takes long."""
    for item in items:
        for engine in {name for mark in item.iter_markers("engine") for name in mark.args}:
            if _missing(engine):
                item.add_marker(pytest.mark.skip(reason=_missing(engine)))
        slow = item.path.name in SLOW or item.originalname in SLOW_TESTS
        if slow or item.get_closest_marker("skipif"):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real output files of engines and detectors, kept beside the checkout, not in it."""
    if not SHARED.is_dir():
        pytest.skip(f"the real data files are not at {SHARED}")
    return SHARED


@pytest.fixture
def midgap(monkeypatch, capsys):
    """The command as a user types it, in this process; its standard output and error."""
    from midgap.cli.main import main

    def run(*words, code=0):
        monkeypatch.setattr("sys.argv", ["midgap", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where nothing may be left out (MIDGAP_NO_SKIP=1), a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("MIDGAP_NO_SKIP") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out where nothing may be: {report.longrepr}"
    return report
