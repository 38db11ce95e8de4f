"""Studies from folders, on the command line and in pictures."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from midgap.defects.configuration_coordinate import ConfigurationCoordinate, curvature, from_four_energies
from midgap.defects.emission_study import EmissionReport, EmissionStudy, emission_report
from midgap.defects.formation import DefectEnergy, FormationEnergies
from midgap.defects.formation_study import FormationReport, FormationStudy, formation_report
from midgap.defects.lineshape import Coupling, lineshape
from midgap.defects.phases import Phase, stability_region
from midgap.report.energetics import (
    configuration_diagram,
    emission_figure,
    formation_diagram,
    formation_figure,
    line_diagram,
)
from midgap.report.plotting import save_picture
from midgap.structures.errors import InputError


@pytest.fixture
def gan(shared_data, tmp_path):
    """A study of GaN:Mg; energies of the competing phases are made up, those of the defects are real."""
    folder = shared_data / "vasp" / "GaN-Mg_Ga"
    study = {
        "compound": "GaN",
        "host": str(folder / "bulk_sc"),
        "phases": [
            {"folder": str(folder / "bulk_sc")},
            {"formula": "Ga", "energy_eV": -3.5},
            {"formula": "N2", "energy_eV": -17.0},
            {"formula": "Mg", "energy_eV": -1.7},
            {"formula": "Mg3N2", "energy_eV": -26.0},
        ],
        "defects": [{"folder": str(folder / f"q={q}"), "name": "Mg"} for q in (1, 0, -1, -2)],
        "screening": {"static": [8.9, 9.1, 10.4], "electronic": [5.2, 5.3, 5.5]},
        "carriers": {"electron_mass": 0.2, "hole_mass": 1.5, "cell_volume_ang3": 46.9},
    }
    path = tmp_path / "study.json"
    path.write_text(json.dumps(study))
    return path


def test_a_study_of_folders_by_hand(gan):
    """Total energies as VASP wrote them (OUTCAR), corrections as pydefect 0.10.1 computes them."""
    report = formation_report(gan, temperature_K=300.0, formed_at_K=1000.0)
    host, energies = -209.79608873, {1: -211.38395043, 0: -206.95793434, -1: -202.33926044}
    corrections = {1: -0.336766370370881, 0: 0.0, -1: 0.2646643059914735}
    formed = host / 16 + 3.5 + 8.5
    rich = next(one for one in report.conditions if one.condition == "N2")
    gallium, magnesium = -3.5 + formed, -1.7 + (-26.0 + 3 * 1.7 + 17.0) / 3
    for defect in rich.defects[:3]:
        q = defect.charge
        expected = energies[q] + corrections[q] - host + gallium - magnesium + q * 4.5715
        assert rich.at_vbm_eV(defect) == pytest.approx(expected, abs=2e-4)
    level = next(level for level in report.levels if level.charges == (0, -1))
    expected = energies[-1] + corrections[-1] - energies[0] - 4.5715
    assert level.above_vbm_eV == pytest.approx(expected, abs=2e-4)
    assert rich.gap_eV == pytest.approx(3.8432, abs=1e-3)
    # Many more acceptors where Ga is scarce, for they take its place.
    totals = {one.condition: one.total_per_cm3("Mg") for one in report.equilibria}
    assert totals["N2"] > 5 * totals["Ga"] and any("uncertain" in warning for warning in report.warnings)


def test_the_command_line_of_formation_energies(midgap, gan, tmp_path):
    told = midgap("formation", gan, "--temperature", 300, "--picture", tmp_path / "f.png").out
    assert "ε(0/-1)" in told and "Fermi level" in told and (tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads(midgap("formation", gan, "--json").out)
    assert FormationReport.from_dict(found).levels[0].charges == (1, 0)
    assert "needs --temperature" in midgap("formation", gan, "--formed-at", 900, code=2).err
    data = json.loads(gan.read_text())
    gan.write_text(json.dumps({key: value for key, value in data.items() if key != "carriers"}))
    assert "electron_mass" in midgap("formation", gan, "--temperature", 300, code=2).err
    gan.write_text(json.dumps(data | {"phases": data["phases"][:3]}))
    assert "chemical potential of Mg" in midgap("formation", gan, code=2).err
    gan.write_text(json.dumps(data | {"defects": [{"folder": data["host"]}]}))
    assert "no defect in it" in midgap("formation", gan, code=2).err


def test_an_impurity_is_bounded_by_the_first_phase_to_precipitate():
    """Δμ(Mg) is 0 in the metal; with N at 0, 3 Δμ(Mg) is the formation energy of Mg3N2."""
    phases = [
        Phase(formula=formula, energy_eV=energy)
        for formula, energy in {"Ga": 0.0, "N2": 0.0, "GaN": -1.2, "Mg": 0.0, "Mg3N2": -3.9, "MgGa2": -0.6}.items()
    ]
    region = stability_region("GaN", phases)
    rich, poor = region.rich("N"), region.poor("N")
    assert rich.impurities_eV["Mg"] == pytest.approx(-1.3) and rich.precipitates["Mg"] == "Mg3N2"
    # N-poor: Δμ(N) = -1.2 leaves -0.5 by the nitride, and Ga at 0 leaves -0.6 by the intermetallic.
    assert poor.impurities_eV["Mg"] == pytest.approx(-0.6) and poor.precipitates["Mg"] in ("Ga2Mg", "MgGa2")
    assert region.absolute_eV(rich)["Mg"] == pytest.approx(-1.3)


def diagram():
    low, high = (0.5 * curvature(phonon) * 25.0 for phonon in (0.015, 0.018))
    return from_four_energies(5.0, -10.0, -10.0 + low, -7.0, -7.0 + high, ground_label="0", excited_label="+1")


def test_the_command_line_of_emission(midgap, tmp_path):
    known, path = diagram(), tmp_path / "diagram.json"
    known.write(path)
    told = midgap("emission", path, "--temperature", 77, "--picture", tmp_path / "e.svg").out
    assert f"{known.emission_eV:.2f}" in told and f"{known.huang_rhys_emission:.1f}" in told
    assert (tmp_path / "e.svg").read_text().startswith("<?xml")
    found = EmissionReport.from_dict(json.loads(midgap("emission", path, "--zpl", 2.5, "--json").out))
    assert [line.temperature_K for line in found.lines] == [0.0, 300.0]
    assert found.diagram == known and found.zero_phonon_line_eV == 2.5
    assert found.lines[0].fwhm_eV < found.lines[1].fwhm_eV and found.lifetime is None
    # τ = 1.4992 m λ²/f, λ in m, f the oscillator strength in emission (Hilborn 1982): with λ in µm it is in 10 ns.
    said = midgap("emission", path, "--oscillator-strength", 0.4, "--refractive-index", 1.5, "--json").out
    lifetime = EmissionReport.from_dict(json.loads(said)).lifetime
    assert lifetime.lifetime_ns == pytest.approx(14.992 * (1.239842 / lifetime.energy_eV) ** 2 / 0.4 / 1.5, rel=1e-3)
    assert "no such file" in midgap("emission", tmp_path / "none.json", code=2).err
    assert "without geometries" in midgap("emission", path, "--modes", path, code=2).err
    assert ".png, .pdf or .svg" in midgap("emission", path, "--picture", tmp_path / "e.txt", code=2).err


def test_a_study_of_folders_gives_the_diagram_of_its_points(tmp_path):
    """Folders as midgap writes them, of a defect whose diagram is known; and the coupling to its one mode."""
    from test_emission import GROUND_EV, LENGTH, cell, known_points

    from midgap.defects.vibrations import Modes
    from midgap.structures.model import Model, Vacancy
    from midgap.workflows.calculation import CalculationResult

    def write(name, structure, charge):
        if charge is None:
            model = Model(name="host", kind="pristine", material="Na", structure=structure.structure)
        else:
            missing = Vacancy(species="Na", site="Na1", position_ang=[0, 0, 0])
            model = Model(
                name=name, kind="vacancy", material="Na", structure=structure.structure, charge=charge, vacancy=missing
            )
        result = CalculationResult(
            model=model,
            task="static",
            total_energy_eV=structure.total_energy_eV,
            electronic_structure=structure,
            provenance=structure.provenance,
        )
        (tmp_path / name).mkdir()
        result.write(tmp_path / name / "result.json")
        return name

    study = {"host": write("host", cell(0, 0, np.zeros(64), 0.0, host=True), None)}
    study["screening"] = {"static": 9.0, "electronic": 3.0}
    for state, charge, other, minimum, phonon in (("ground", 0, 1, -20.0, GROUND_EV), ("excited", 1, 0, -21.0, 0.06)):
        study[state] = {
            str(point.fraction): write(f"{state}{i}", point.electronic_structure, charge)
            for i, point in enumerate(known_points(state, charge, other, minimum, phonon, 0.0))
        }
    path = tmp_path / "study.json"
    path.write_text(json.dumps(study))
    # One mode along the way, with all of it: S = ω ΔQ²/2ħ, as of the effective mode.
    along = np.zeros((1, 63, 3))
    along[0, 20, 0], along[0, 21, 0] = 0.5**0.5, -(0.5**0.5)
    geometry = known_points("ground", 0, 1, -20.0, GROUND_EV, 0.0)[1].electronic_structure.structure
    Modes(structure=geometry, energies_eV=[GROUND_EV], eigenvectors=along).write(tmp_path / "modes.json")
    report = emission_report(path, (0.0,), modes=tmp_path / "modes.json")
    assert any("gap of PBE" in warning for warning in report.warnings)
    assert report.diagram.energy_difference_eV == pytest.approx(-21.0 + 5.0 + 20.0, abs=1e-6)
    expected = 0.5 * curvature(GROUND_EV) * LENGTH**2 / GROUND_EV
    assert report.coupling.total == pytest.approx(expected, rel=1e-4)
    assert emission_report(path, (0.0,)).coupling.total == pytest.approx(expected, rel=1e-3)
    assert ConfigurationCoordinate.from_dict(report.diagram.to_dict()) == report.diagram


def axes():
    return Figure().add_subplot()


def energies():
    states = [
        DefectEnergy(
            name="V_Br", charge=q, energy_eV=e, host_energy_eV=-100.0, exchanged={"Br": -1}, uncertainty_eV=0.05
        )
        for q, e in ((1, -98.5), (0, -95.5), (-1, -91.0))
    ]
    return FormationEnergies(host="X", vbm_eV=1.0, gap_eV=4.0, potentials_eV={"Br": -2.0}, defects=states)


def test_pictures_show_the_numbers():
    ax = formation_diagram(axes(), energies())
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == pytest.approx([2.0, 3.5])
    assert {"+", "0", "−"} <= {text.get_text() for text in ax.texts}
    known = diagram()
    texts = [text.get_text() for text in configuration_diagram(axes(), known).texts]
    assert f"emission\n{known.emission_eV:.2f} eV" in texts and "excited +1" in texts
    line = lineshape(2.5, Coupling.of(0.02, 3.0), sigma_eV=0.004)
    ax = line_diagram(axes(), [line])
    assert f"{1e3 * line.fwhm_eV:.0f} meV" in ax.get_legend().texts[0].get_text()
    assert max(ax.lines[0].get_ydata()) == 1.0


def test_pictures_are_files(tmp_path):
    line = lineshape(2.5, Coupling.of(0.02, 3.0), sigma_eV=0.004)
    for figure in (
        emission_figure(None, [line]),
        emission_figure(diagram(), [line]),
        formation_figure([energies()] * 2),
    ):
        assert save_picture(figure, tmp_path / "x.png").stat().st_size > 5000
    with pytest.raises(InputError, match="a name that ends so"):
        save_picture(figure, tmp_path / "x.doc")


def test_the_studies_of_the_documentation_are_studies():
    page = (Path(__file__).parents[1] / "docs" / "energetics.md").read_text()
    formation, emission = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    assert FormationStudy.from_dict(formation).screening.electronic == 3.3
    assert EmissionStudy.from_dict(emission).excited[1.0] == "V+_in_V0"
