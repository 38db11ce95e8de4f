"""Where a level's electron is: the grid, contours that hold a part of it, their surfaces, and engines' files."""

import numpy as np
import pytest
from levels_example import level, report, vacancy
from scipy.special import erf

from midgap.defects.densities import FINEST, StateDensity, coarser
from midgap.defects.parsers.densities import bands_of, level_densities
from midgap.report.isosurface import isosurface
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory

SKEWED = np.array([[9.0, 0.0, 0.0], [2.0, 8.5, 0.0], [1.0, -1.5, 10.0]])


def gaussian(lattice, n, centre_frac, sigma_ang):
    """A normal distribution in the nearest image."""
    frac = np.stack(np.meshgrid(*[np.arange(k) / k for k in n], indexing="ij"), axis=-1) - centre_frac
    distance = np.linalg.norm((frac - np.rint(frac)) @ lattice, axis=-1)
    return np.exp(-0.5 * (distance / sigma_ang) ** 2)


@pytest.mark.parametrize(("old", "new"), [((12, 10, 9), (5, 10, 4)), ((7, 7, 7), (3, 2, 6))])
def test_coarser_grids_keep_the_electron_where_it_is(old, new):
    fine = np.random.default_rng(1).random(old)
    rough = coarser(fine, new)
    assert rough.shape == new
    assert rough.mean() == pytest.approx(fine.mean(), rel=1e-12)
    # a wave of one period along the first axis is dampened, not turned: its phase is that of the centre
    wave = np.cos(2 * np.pi * (np.arange(60) / 60 - 0.25))[:, None, None] * np.ones((1, 4, 4))
    phase = np.angle(np.fft.fft(coarser(wave, (15, 4, 4))[:, 0, 0])[1])
    assert phase == pytest.approx(-np.pi / 2, abs=1e-9)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_contour_holds_its_part_of_a_normal_distribution(part):
    """Inside r a normal distribution in space has erf(r/√2σ) - √(2/π) r/σ exp(-r²/2σ²)."""
    from scipy.optimize import brentq

    sigma = 0.9
    density = StateDensity.of(gaussian(SKEWED, (60, 60, 64), (0.5, 0.5, 0.5), sigma), SKEWED, model="m")
    radius = brentq(lambda x: erf(x / 2**0.5) - (2 / np.pi) ** 0.5 * x * np.exp(-0.5 * x * x) - part, 0.01, 9) * sigma
    expected = np.exp(-0.5 * (radius / sigma) ** 2) / (2 * np.pi) ** 1.5 / sigma**3
    assert density.holding(part) == pytest.approx(expected, rel=0.05)
    surface = isosurface(density, density.holding(part))
    distance = np.linalg.norm(surface.vertices_ang - 0.5 * SKEWED.sum(axis=0), axis=1)
    assert distance == pytest.approx(radius, abs=0.06)


@pytest.mark.parametrize("mirror", [1, -1])
def test_a_surface_is_closed_and_faces_outwards(mirror):
    lattice = SKEWED * [[1], [1], [mirror]]
    density = StateDensity.of(gaussian(lattice, (40, 40, 44), (0.02, 0.97, 0.5), 1.1), lattice, model="m")
    centre = np.array([0.02, 0.97, 0.5]) @ lattice
    surface = isosurface(density, density.peak_per_ang3 * np.exp(-0.5 * (2.0 / 1.1) ** 2), centre)
    corners = surface.vertices_ang[surface.triangles]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area, volume = 0.5 * np.linalg.norm(crosses, axis=1).sum(), (corners[:, 0] * crosses).sum() / 6
    assert area == pytest.approx(4 * np.pi * 2.0**2, rel=0.02)  # a ball of 2 Å
    assert volume == pytest.approx(4 / 3 * np.pi * 2.0**3, rel=0.04)
    edges = np.sort(surface.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    out = surface.vertices_ang - centre
    images = out - np.rint(out @ np.linalg.inv(lattice)) @ lattice
    cosines = (images * surface.normals).sum(axis=1) / np.linalg.norm(images, axis=1)
    assert cosines.min() > 0.97


def test_density_is_one_electron_and_survives_its_file(tmp_path):
    density = StateDensity.of(gaussian(SKEWED, (30, 30, 30), (0.1, 0.2, 0.3), 1.0) * 17.0, SKEWED, model="m", level=2)
    cell = abs(np.linalg.det(SKEWED))
    assert density.per_ang3.mean() * cell == pytest.approx(1.0, abs=1e-3)
    assert density.steps.max() == FINEST
    assert StateDensity.read(density.write(tmp_path / "d.json")) == density
    with pytest.raises(InputError, match="span no volume"):
        StateDensity.from_dict(density.to_dict() | {"lattice_ang": np.ones((3, 3)).tolist()})
    with pytest.raises(InputError, match="from 0 to 4095"):
        StateDensity.from_dict(density.to_dict() | {"steps": (density.steps - 1).tolist()})


def of_level(spin="up", **more):
    found = level(2.44, 1, spin=spin)
    return report(vacancy(0), 4.22, found.model_copy(update={"band_index": 3, "degeneracy": 1, **more}))


def test_cubes_of_cp2k_are_orbitals_and_are_squared(tmp_path):
    """ASE writes the cube; a p orbital on the third axis has ⟨z²⟩ = 3σ²/2 where its square is normal (σ²/2) times z²."""
    from ase import Atoms
    from ase.io.cube import write_cube

    n = 30
    x, y, z = np.meshgrid(*[np.arange(n) / n * 12.0 - 6.0] * 3, indexing="ij")
    orbital = z * np.exp(-0.5 * (x**2 + y**2 + z**2))
    with (tmp_path / "midgap-WFN_00003_1-1_0.cube").open("w") as stream:
        write_cube(stream, Atoms("H", cell=[12] * 3, pbc=True), data=orbital)
    found = of_level(spin="up").model_copy(update={"spin_polarized": True, "spin_orbit": False})
    (density,) = level_densities(tmp_path, found)
    assert density.level == 0
    assert "midgap-WFN_00003_1-1_0.cube" in density.source
    axes = [np.arange(k) / k * 12.0 - 6.0 for k in density.steps.shape]
    weight = density.per_ang3 / density.per_ang3.sum()
    spread = [float((weight.sum(axis=tuple({0, 1, 2} - {i})) * axes[i] ** 2).sum()) for i in range(3)]
    assert spread == pytest.approx([0.5, 0.5, 1.5], abs=0.02)
    assert density.lattice_ang == pytest.approx(12 * np.eye(3), abs=1e-4)


def test_parchg_of_vasp_gives_the_channel_of_the_level(tmp_path):
    from pymatgen.io.vasp import Chgcar, Poscar

    cell = vacancy(0).structure
    shape = (24, 24, 24)
    up, down = (gaussian(np.array(cell.lattice.matrix), shape, c, 1.0) for c in ((0.25, 0.5, 0.5), (0.75, 0.5, 0.5)))
    Chgcar(Poscar(cell.copy()), {"total": up + down, "diff": up - down}).write_file(str(tmp_path / "PARCHG.0003.ALLK"))
    for spin, at in (("up", 0.25), ("down", 0.75)):
        found = of_level(spin=spin).model_copy(update={"spin_polarized": True, "spin_orbit": False})
        (density,) = level_densities(tmp_path, found)
        peak = np.unravel_index(np.argmax(density.steps), density.steps.shape)
        assert peak[0] / density.steps.shape[0] == pytest.approx(at, abs=0.05)


def test_which_bands_make_a_level():
    scalar = level(2.0, 1, spin="both").model_copy(update={"band_index": 5, "degeneracy": 2})
    assert bands_of(scalar, 1, False) == [(0, 4)]
    assert bands_of(scalar, 2, False) == [(0, 4), (1, 4)]
    assert bands_of(scalar, 1, True) == [(0, 4), (0, 5)]
    assert bands_of(scalar.model_copy(update={"spin": "down", "degeneracy": 1}), 2, False) == [(1, 4)]


def test_folders_without_densities_are_told_how_to_get_them(tmp_path):
    with pytest.raises(InputError, match=r"MO_CUBES.*LSEPB"):
        level_densities(tmp_path, of_level())
    assert level_densities(tmp_path, report(vacancy(0), 4.22)) == []
    (tmp_path / "PARCHG.0003.ALLK").write_text("none\n")
    with pytest.raises(InputError, match="no PARCHG"):
        level_densities(tmp_path, of_level())


@pytest.mark.engine("gpaw")
def test_a_broken_file_of_wavefunctions_is_told(tmp_path):
    (tmp_path / "wavefunctions.gpw").write_text("none")
    with pytest.raises(InputError, match="no wavefunctions"):
        level_densities(tmp_path, of_level())


@pytest.mark.engine("gpaw")
@pytest.mark.parametrize("soc", [False, True])
def test_gpaw_level_is_its_orbital_with_or_without_spinors(tmp_path, soc):
    """Spin-orbit coupling leaves helium's 1s as it is, so the spinors' density is the scalar one."""
    import gpaw
    from ase import Atoms

    atoms = Atoms("He", positions=[[1.0, 2.0, 2.0]], cell=[4, 4, 4], pbc=True)
    atoms.calc = gpaw.GPAW(mode={"name": "pw", "ecut": 200}, xc="PBE", nbands=3, txt=None)
    atoms.get_potential_energy()
    atoms.calc.write(str(tmp_path / "wavefunctions.gpw"), mode="all")
    wave = atoms.calc.get_pseudo_wave_function(0, 0, 0)
    found = of_level(spin="spinor" if soc else "both", band_index=1, degeneracy=2).model_copy(
        update={"spin_orbit": soc, "spin_polarized": False}
    )
    (density,) = level_densities(tmp_path, found)
    expected = StateDensity.of(np.abs(wave) ** 2, np.eye(3) * 4, model="m")
    assert np.abs(density.steps - expected.steps).max() <= 2
    peak = np.unravel_index(np.argmax(density.steps), density.steps.shape)
    assert np.array(peak) / density.steps.shape * 4 == pytest.approx([1, 2, 2], abs=0.2)


@pytest.mark.engine("gpaw")
@pytest.mark.parametrize(("fraction", "band"), [(None, 1), (0.5, 2)])
def test_spinors_are_mixed_with_the_fraction_of_exchange_that_was_asked(tmp_path, fraction, band):
    """What HSE06 adds to the second band lifts it past the third only where there is twice as much of it."""
    import json

    import gpaw
    from ase import Atoms

    atoms = Atoms("He", positions=[[1.0, 2.0, 2.0]], cell=[4, 4, 5], pbc=True)
    atoms.calc = gpaw.GPAW(mode={"name": "pw", "ecut": 200}, xc="PBE", nbands=3, txt=None)
    atoms.get_potential_energy()
    atoms.calc.write(str(tmp_path / "wavefunctions.gpw"), mode="all")
    energies = atoms.calc.eigenvalues()[0, 0]
    correction = [0.0, 0.6 * (energies[2] - energies[1]), 0.0]
    row = {"pbe_eV": [energies.tolist()], "correction_eV": [correction]}
    (tmp_path / "hybrid.json").write_text(json.dumps({"0:0:3": row}))
    found = of_level(spin="spinor", band_index=3, degeneracy=2).model_copy(
        update={"spin_polarized": False, "theory": LevelOfTheory.named("hse06+soc", exact_exchange=fraction)}
    )
    (density,) = level_densities(tmp_path, found)
    wave = atoms.calc.get_pseudo_wave_function(band, 0, 0)
    expected = StateDensity.of(np.abs(wave) ** 2, np.diag([4.0, 4.0, 5.0]), model="m")
    assert np.abs(density.steps - expected.steps).max() <= 3


def test_a_flow_reads_densities_where_it_is_asked_to(tmp_path):
    from midgap.workflows.densities import level_densities as job
    from midgap.workflows.flows import LevelFlowMaker

    models = [vacancy(0)]
    assert [j.metadata["task"] for j in LevelFlowMaker(relax=False).make(models).jobs] == [
        "static",
        "levels",
        "collect",
    ]
    jobs = LevelFlowMaker(relax=False, densities=True).make(models).jobs
    assert [j.metadata["task"] for j in jobs] == ["static", "levels", "densities", "collect"]
    assert "densities" not in [
        j.metadata["task"]
        for j in LevelFlowMaker(engine="cp2k", theory=LevelOfTheory.named("pbe"), densities=True).make(models).jobs
    ]
    told = job.original(str(tmp_path), of_level().to_dict())
    assert told["densities"] == [] and "holds no wavefunctions" in told["why"]


def test_densities_of_a_job_store_come_in_the_order_of_the_models():
    from midgap.workflows.densities import densities_in_documents

    density = StateDensity.of(
        gaussian(SKEWED, (12, 12, 12), np.full(3, 0.5), 1.0), SKEWED, model="a", level=0, name="a"
    )
    other = density.model_copy(update={"model": "b"})
    documents = [
        {"metadata": {"model": "b", "order": 1}, "output": {"densities": [other.to_dict()], "why": ""}},
        {"metadata": {"model": "c", "order": 2}, "output": {"densities": [], "why": "no wavefunctions"}},
        {"metadata": {"model": "a", "order": 0}, "output": {"densities": [density.to_dict()], "why": ""}},
    ]
    assert [found.model for found in densities_in_documents(documents)] == ["a", "b"]
