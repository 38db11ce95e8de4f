"""Competing phases: the crystals themselves, their meshes, and formation energies out of one flow."""

import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from midgap.structures.competing import competing_phases, is_metal, mesh_as_dense, phase_model
from midgap.structures.crystals import check_distances, crystal_named
from midgap.structures.errors import InputError

# g/cm³: CRC Handbook; CsPb2Br5 from its cell.
DENSITY = {"CsBr": 4.43, "PbBr2": 6.69, "CsPb2Br5": 5.73, "Br2": 4.05, "Cs": 1.93, "Pb": 11.3}


def test_phases_of_the_bromides_are_those_of_their_phase_diagram():
    found = {model.material: model for model in competing_phases("Cs4PbBr6")}
    assert set(found) == {*DENSITY, "CsPbBr3"}
    for name, density in DENSITY.items():
        check_distances(found[name].structure, name)
        assert found[name].structure.density == pytest.approx(density, rel=0.035), name
        assert found[name].unpaired_electrons == 0 and crystal_named(name).sources["lattice"]
    assert [name for name, model in found.items() if is_metal(model)] == ["Cs", "Pb"]


def test_without_the_elements_there_are_no_chemical_potentials(tmp_path):
    with pytest.raises(InputError, match="midgap knows no crystal of H, Li: give a file of each by --phase"):
        competing_phases("LiH")
    lithium = tmp_path / "Li.cif"
    Structure(Lattice.cubic(3.51), ["Li", "Li"], [[0, 0, 0], [0.5] * 3]).to(str(lithium))
    with pytest.raises(InputError, match="midgap knows no crystal of H:"):
        competing_phases("LiH", [lithium])
    with pytest.raises(InputError, match="a second Li"):
        competing_phases("LiH", [lithium, lithium])


def test_meshes_are_as_dense_as_that_of_the_supercell():
    """A supercell of 12 x 12 x 16 Å at Γ has a point every 2π/12 Å at its sparsest: three in 2π/4 Å, two in 2π/8 Å."""
    cell = Structure(Lattice.orthorhombic(4.0, 4.0, 8.0), ["H"], [[0, 0, 0]])
    supercell = cell * (3, 3, 2)
    assert mesh_as_dense(cell, supercell, (1, 1, 1)) == (3, 3, 2)
    assert mesh_as_dense(supercell, supercell, (2, 2, 2)) == (2, 2, 2)
    assert mesh_as_dense(cell, cell, (4, 4, 2)) == (4, 4, 2)
    assert mesh_as_dense(cell, cell, (4, 4, 2), 2.0) == (8, 8, 4)


def test_a_primitive_cell_with_an_odd_number_of_electrons_is_doubled():
    lithium = Structure(Lattice.cubic(3.51), ["Li", "Li"], [[0, 0, 0], [0.5] * 3])
    assert len(phase_model(lithium, {}).structure) == 2


@pytest.mark.engine("gpaw")
def test_a_run_with_formation_energies(midgap, tmp_path):
    """LiH: -0.94 eV measured (CRC Handbook, 90.5 kJ/mol); PBE on coarse meshes, without vibrations, is near it."""
    length = 4.083
    Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), ["Li", "H"], [[0] * 3, [0.5] * 3]).to(
        str(tmp_path / "LiH.cif")
    )
    Structure(Lattice.cubic(3.51), ["Li", "Li"], [[0, 0, 0], [0.5] * 3]).to(str(tmp_path / "Li.cif"))
    half = 0.375 / 5
    Structure(Lattice.cubic(5.0), ["H", "H"], [[0, 0, -half], [0, 0, half]]).to(str(tmp_path / "H2.cif"))
    words = f"run --preset quick --material {tmp_path}/LiH.cif --species H --theory pbe --charges 1,0 --cutoff 300 --kpoints 2,2,2"
    words += f" --max-atoms 8 --cores 1 --out {tmp_path}/run --json --formation --screening 3.66"
    words += f" --phase {tmp_path}/Li.cif --phase {tmp_path}/H2.cif"
    told = json.loads(midgap(*words.split()).out)
    report = json.loads((tmp_path / "run" / "formation.json").read_text())
    assert told["formation"].endswith("formation.json") and not told["failed"]
    assert report["region"]["formation_energy_eV"] == pytest.approx(-0.94, abs=0.2)
    assert {one["condition"] for one in report["conditions"]} == {"Li", "H2"}
    # What differs between the two corners is the reservoir of H alone.
    energies = [{d["charge"]: d for d in one["defects"]} for one in report["conditions"]]
    assert energies[0][1]["correction_eV"] > 0.1 and energies[0][0]["correction_eV"] == 0
    # The study says the same again, from the folders that it names.
    again = json.loads(midgap("formation", tmp_path / "run" / "study.json", "--json").out)
    assert np.isclose(again["levels"][0]["above_vbm_eV"], report["levels"][0]["above_vbm_eV"])
