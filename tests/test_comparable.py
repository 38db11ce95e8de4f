"""Energies that may not be subtracted, and the sentence that says so."""

import json

import numpy as np
import pytest

from midgap.defects.comparable import differences
from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.formation_study import FormationStudy
from midgap.defects.parsers import read_folder
from midgap.structures.build import build_models
from midgap.structures.errors import InputError
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import CalculationResult


def computed(engine="gpaw", theory="hse06+soc", settings=None, **more):
    """A crystal with one energy."""
    model = build_models("CsPbBr3", charges=(), clusters=False)[0]
    return ElectronicStructure(
        structure=model.structure,
        theory=LevelOfTheory.named(theory, **more),
        provenance=Provenance(engine=engine, settings=settings or {}),
        kpoints_frac=np.zeros((1, 3)),
        k_weights=np.ones(1),
        eigenvalues_eV=np.arange(4.0)[None, None],
        occupations=np.array([[[1.0, 1.0, 0.0, 0.0]]]),
        n_electrons=4.0 if "soc" not in theory else 2.0,
        spinor="soc" in theory,
        total_energy_eV=-1.0,
    )


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (computed(cutoff_eV=300.0), []),
        (computed(cutoff_eV=300.0, kpoints=(2, 2, 2)), []),
        (computed(settings={"plane-wave cutoff": "300 eV"}), []),
        (computed(), []),  # a cutoff that nobody knows
        (computed(settings={"plane-wave cutoff": "250 eV"}), ["cutoff 300 eV against 250 eV"]),
        (computed(cutoff_eV=300.0, exact_exchange=0.35), ["exact exchange 0.25 against 0.35"]),
        (computed(cutoff_eV=300.0, exact_exchange=0.25), []),
        (computed(theory="hse06", cutoff_eV=300.0), ["theory of the total energy HSE06+SOC against HSE06"]),
        (computed("vasp", cutoff_eV=400.0), ["engine GPAW against VASP"]),
    ],
)
def test_what_differs(other, told):
    assert differences(computed(cutoff_eV=300.0), other) == told


def test_bases_of_elements_that_both_have():
    one = computed("cp2k", "pbe", {"kind Br": "DZVP, q7", "kind Cs": "DZVP, q9"})
    other = computed("cp2k", "pbe", {"kind Br": "SZV, q7", "kind I": "SZV, q7"})
    assert differences(one, other) == ["kind Br DZVP, q7 against SZV, q7"]


def test_a_study_names_the_two_folders(tmp_path, shared_data):
    """A phase of another program beside the host's of VASP, and two phases of different cutoffs."""
    host = shared_data / "vasp" / "GaN-Mg_Ga" / "bulk_sc"
    model = build_models("CsPbBr3", charges=(), clusters=False)[0]
    for name, structure in (("here", computed(cutoff_eV=300.0)), ("there", computed(cutoff_eV=340.0))):
        (tmp_path / name).mkdir()
        CalculationResult(
            model=model,
            task="static",
            total_energy_eV=-1.0,
            electronic_structure=structure,
            provenance=structure.provenance,
        ).write(tmp_path / name / "result.json")
    assert read_folder(tmp_path / "here").electronic_structure.total_energy_eV == -1.0
    defects = [{"folder": str(host.parent / "q=0")}]
    elements = [{"formula": one, "energy_eV": -1.0} for one in ("Ga", "N2", "Mg")]

    def study(*folders):
        phases = [*({"folder": folder} for folder in folders), *elements]
        text = json.dumps({"compound": "GaN", "host": str(host), "phases": phases, "defects": defects})
        return FormationStudy.from_dict(json.loads(text))

    with pytest.raises(InputError, match=r"of here and there cannot be subtracted.* cutoff 300 eV against 340 eV"):
        study("here", "there").region(tmp_path)
    with pytest.raises(InputError, match=r"GaN-Mg_Ga/bulk_sc and here cannot be subtracted.* engine VASP against GPAW"):
        study("here").energies(tmp_path, None)
