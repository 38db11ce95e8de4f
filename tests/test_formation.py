"""Phases, formation energies and concentrations against pymatgen, hand calculation and semiconductor textbooks."""

import numpy as np
import pytest
from pymatgen.analysis.chempot_diagram import ChemicalPotentialDiagram
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition, Element

from midgap.defects.concentrations import KT_PER_K_EV, Carriers, equilibrium
from midgap.defects.formation import DefectEnergy, FormationEnergies
from midgap.defects.phases import Phase, stability_region
from midgap.structures.errors import ComputationError, InputError

# Made-up energies of a real system's compounds: Cs-Pb-Br, eV a formula unit.
ELEMENTS = {"Cs": -0.9, "Pb": -3.6, "Br2": -3.2}
FORMATION = {"CsBr": -4.10, "PbBr2": -2.80, "CsPbBr3": -7.05, "Cs4PbBr6": -19.40, "CsPb2Br5": -9.87}


def total(formula):
    atoms = {"Cs": -0.9, "Pb": -3.6, "Br": -1.6}
    return FORMATION[formula] + sum(n * atoms[str(el)] for el, n in Composition(formula).items())


def phases(**uncertainties):
    listed = {**ELEMENTS, **{formula: total(formula) for formula in FORMATION}}
    return [Phase(formula=f, energy_eV=e, uncertainty_eV=uncertainties.get(f)) for f, e in listed.items()]


def test_corners_against_pymatgens_chemical_potential_diagram():
    region = stability_region("Cs4PbBr6", phases())
    diagram = ChemicalPotentialDiagram(
        [PDEntry(p.composition, p.energy_eV) for p in phases()], default_min_limit=-12, formal_chempots=True
    )
    expected = diagram.domains["Cs4PbBr6"]
    order = [str(el) for el in diagram.elements]
    found = np.array([[limit.potentials_eV[el] for el in order] for limit in region.limits])
    assert len(found) == len(np.unique(expected.round(4), axis=0))
    for corner in found:
        assert np.abs(expected - corner).sum(axis=1).min() < 1e-4
    assert region.formation_energy_eV == pytest.approx(FORMATION["Cs4PbBr6"])
    for limit in region.limits:
        assert sum(n * limit.potentials_eV[el] for el, n in {"Cs": 4, "Pb": 1, "Br": 6}.items()) == pytest.approx(-19.4)
        for name in limit.phases:
            formed = sum(n * limit.potentials_eV[str(el)] for el, n in Composition(name).items())
            assert formed == pytest.approx(FORMATION.get(name, 0.0), abs=1e-6)


def test_rich_and_poor_by_hand():
    """Br-poor: where Pb metal and CsBr meet the compound; the two equations solved by hand."""
    region = stability_region("Cs4PbBr6", phases())
    poor, rich = region.poor("Br"), region.rich("Br")
    # Cs + Br = -4.1 and 4 Cs + Pb + 6 Br = -19.4 with Pb = 0: 2 Br = -3.0.
    assert poor.phases == ("Cs4PbBr6", "Pb", "CsBr") and poor.potentials_eV["Br"] == pytest.approx(-1.5)
    assert poor.potentials_eV["Cs"] == pytest.approx(-2.6)
    assert rich.potentials_eV["Br"] == 0.0
    assert any(Composition(name).elements == [Element("Br")] for name in rich.phases)
    assert region.absolute_eV(poor)["Br"] == pytest.approx(-3.1)
    with pytest.raises(InputError, match="has no I"):
        region.rich("I")


def test_uncertainties_of_a_corner_are_those_of_monte_carlo():
    errors = {
        "Cs": 0.01,
        "Pb": 0.02,
        "Br2": 0.05,
        "CsBr": 0.02,
        "PbBr2": 0.03,
        "CsPbBr3": 0.0,
        "Cs4PbBr6": 0.04,
        "CsPb2Br5": 0.0,
    }
    found = stability_region("Cs4PbBr6", phases(**errors)).poor("Br")
    rng = np.random.default_rng(0)
    values = []
    for _ in range(2000):
        e = {f: v + rng.normal(0, errors[f]) for f, v in {**ELEMENTS, **{f: total(f) for f in FORMATION}}.items()}
        absolute = np.linalg.solve([[4, 1, 6], [0, 1, 0], [1, 0, 1]], [e["Cs4PbBr6"], e["Pb"], e["CsBr"]])
        values.append(absolute - [e["Cs"], e["Pb"], e["Br2"] / 2])
    expected = np.std(values, axis=0)
    assert [found.uncertainty_eV[el] for el in ("Cs", "Pb", "Br")] == pytest.approx(expected, rel=0.08, abs=1e-9)
    assert stability_region("Cs4PbBr6", phases(Cs=0.1)).poor("Br").uncertainty_eV is None


def test_phases_that_do_not_do_are_refused():
    known = phases()
    with pytest.raises(InputError, match="meV an atom above"):
        stability_region(
            "CsPbBr3", [p.model_copy(update={"energy_eV": -10.0}) if p.formula == "CsPbBr3" else p for p in known]
        )
    with pytest.raises(InputError, match="elemental phase of Br"):
        stability_region("CsBr", [p for p in known if p.formula != "Br2"])
    with pytest.raises(InputError, match="not among"):
        stability_region("Cs2PbBr4", known)
    with pytest.raises(InputError, match="not a chemical formula"):
        Phase.from_dict({"formula": "Xx2", "energy_eV": 1.0})
    # Energies are of whatever the formula counts: eight formula units give the same region.
    eight = [
        p.model_copy(update={"formula": "Cs32Pb8Br48", "energy_eV": 8 * p.energy_eV}) if p.formula == "Cs4PbBr6" else p
        for p in known
    ]
    assert stability_region("Cs4PbBr6", eight).formation_energy_eV == pytest.approx(-19.4)


def vacancy(charge, energy, **more):
    return DefectEnergy(
        name="V_Br", charge=charge, energy_eV=energy, host_energy_eV=-100.0, exchanged={"Br": -1}, **more
    )


def example(**more):
    # With μ(Br) = -2 and the VBM at 1 eV: E_f(+) = 0.5 + E_F, E_f(0) = 2.5, E_f(-) = 6.0 - E_F.
    states = [
        vacancy(1, -98.7, correction_eV=0.2, uncertainty_eV=0.06),
        vacancy(0, -95.5, uncertainty_eV=0.0),
        vacancy(-1, -91.1, correction_eV=0.1, uncertainty_eV=0.08),
    ]
    return FormationEnergies(
        host="Cs4PbBr6", vbm_eV=1.0, gap_eV=4.0, potentials_eV={"Br": -2.0}, defects=states, **more
    )


def test_formation_energies_and_levels_by_hand():
    found = example()
    plus, zero, minus = found.states("V_Br")
    assert found.energy_eV(plus, 0.0) == pytest.approx(0.5) and found.energy_eV(plus, 1.5) == pytest.approx(2.0)
    assert found.energy_eV(zero, 3.0) == pytest.approx(2.5) and found.energy_eV(minus, 1.0) == pytest.approx(5.0)
    donor, acceptor = found.levels("V_Br")
    assert (donor.charges, donor.above_vbm_eV, donor.label) == ((1, 0), pytest.approx(2.0), "ε(+1/0)")
    assert acceptor.above_vbm_eV == pytest.approx(3.5) and acceptor.uncertainty_eV == pytest.approx(0.08)
    assert [found.stable("V_Br", fermi).charge for fermi in (1.0, 3.0, 3.9)] == [1, 0, -1]
    np.testing.assert_allclose(found.lines("V_Br", [0.0, 2.0, 3.0, 4.0]), [0.5, 2.5, 2.5, 2.0])
    # A level does not depend on where the atoms go, only formation energies do.
    poor = found.under({"Br": -3.0}, "Br-poor")
    assert poor.levels("V_Br") == found.levels("V_Br")
    assert poor.energy_eV(poor.states("V_Br")[1], 0.0) == pytest.approx(1.5)
    assert FormationEnergies.from_dict(found.to_dict()) == found


def test_negative_u():
    """A neutral state that is never lowest: one level ε(+/-), halfway between the two crossings."""
    states = [vacancy(1, -98.5), vacancy(0, -95.5 + 2.0), vacancy(-1, -91.0)]
    found = FormationEnergies(host="X", vbm_eV=1.0, gap_eV=4.0, potentials_eV={"Br": -2.0}, defects=states)
    (only,) = found.levels("V_Br")
    plus, zero, minus = found.states("V_Br")
    above, below = found.level(plus, zero).above_vbm_eV, found.level(zero, minus).above_vbm_eV
    assert above > below and only.charges == (1, -1)
    assert only.above_vbm_eV == pytest.approx((above + below) / 2) and only.uncertainty_eV is None


def test_what_is_incomplete_is_refused():
    with pytest.raises(InputError, match="chemical potential of Br"):
        FormationEnergies.from_dict(example().to_dict() | {"potentials_eV": {}})
    twice = example().to_dict()
    twice["defects"] = [*twice["defects"], twice["defects"][0]]
    with pytest.raises(InputError, match="twice"):
        FormationEnergies.from_dict(twice)


CELL = 300.0


def free(temperature, electron=0.3, hole=0.5):
    return Carriers.free(4.0, electron, hole, CELL, temperature)


def test_an_intrinsic_semiconductor():
    """E_F = E_g/2 + ¾ kT ln(m_h/m_e); N_c = 2.5094e19 cm⁻³ (m T/300 K)^{3/2} (Sze, Physics of Semiconductor Devices)."""
    for temperature in (300.0, 900.0):
        nothing = FormationEnergies(host="X", vbm_eV=0.0, gap_eV=4.0, potentials_eV={}, defects=())
        found = equilibrium(nothing, free(temperature), temperature)
        kT = KT_PER_K_EV * temperature
        assert found.fermi_eV == pytest.approx(2.0 + 0.75 * kT * np.log(0.5 / 0.3), abs=1e-6)
        conduction, valence = (2.5094e19 * (m * temperature / 300) ** 1.5 for m in (0.3, 0.5))
        assert found.electrons_per_cm3 == pytest.approx(np.sqrt(conduction * valence) * np.exp(-2.0 / kT), rel=1e-3)
        assert found.electrons_per_cm3 == pytest.approx(found.holes_per_cm3, rel=1e-6)


def test_a_donor_alone_pins_the_fermi_level():
    """[V⁺] = n: N exp(-(E + E_F)/kT) = N_c exp((E_F - E_g)/kT), so E_F = (E_g - E + kT ln(N/N_c))/2."""
    temperature, intercept = 900.0, -0.5
    kT = KT_PER_K_EV * temperature
    state = vacancy(1, -98.5 + intercept - 0.5, sites_per_cell=12)
    alone = FormationEnergies(host="X", vbm_eV=1.0, gap_eV=4.0, potentials_eV={"Br": -2.0}, defects=[state])
    assert alone.energy_eV(state, 0.0) == pytest.approx(intercept)
    found = equilibrium(alone, free(temperature), temperature)
    sites, band = 12 * 1e24 / CELL, 2.5094e19 * (0.3 * temperature / 300) ** 1.5
    assert found.fermi_eV == pytest.approx((4.0 - intercept + kT * np.log(sites / band)) / 2, abs=2e-4)
    assert found.total_per_cm3("V_Br") == pytest.approx(found.electrons_per_cm3, rel=1e-5)
    # Frozen in and cooled: as many vacancies, though cold ones would be far fewer.
    cold = equilibrium(alone, free(900.0), 300.0, frozen_at_K=900.0)
    assert cold.total_per_cm3("V_Br") == pytest.approx(found.total_per_cm3("V_Br"), rel=1e-6)
    assert equilibrium(alone, free(900.0), 300.0).total_per_cm3("V_Br") < 1e-6 * cold.total_per_cm3("V_Br")


def test_charges_add_up_and_dopants_push():
    found = [equilibrium(example(), free(700.0), 700.0, dopants_per_cm3=dopants) for dopants in (-1e17, 0.0, 1e17)]
    for one, dopants in zip(found, (-1e17, 0.0, 1e17), strict=True):
        charge = one.holes_per_cm3 - one.electrons_per_cm3 + sum(d.charge * d.per_cm3 for d in one.defects) + dopants
        assert abs(charge) < 1e-6 * max(d.per_cm3 for d in one.defects) + 1e6
    assert found[0].fermi_eV < found[1].fermi_eV < found[2].fermi_eV
    low, high = found[1].fermi_range_eV
    assert low < found[1].fermi_eV < high and high - low < 0.2
    fixed = equilibrium(example(), free(700.0), 700.0, fixed_per_cm3={"V_Br": 3e16})
    assert fixed.total_per_cm3("V_Br") == pytest.approx(3e16)
    with pytest.raises(InputError, match="no defect V_Cs"):
        equilibrium(example(), free(700.0), 700.0, fixed_per_cm3={"V_Cs": 1.0})
    with pytest.raises(ComputationError, match="neutral"):
        equilibrium(example(), free(300.0), 300.0, dopants_per_cm3=1e24)


def test_no_more_defects_than_sites():
    """Even where a formation energy is negative; each site holds one at most."""
    cheap = example().model_copy(update={"defects": (vacancy(0, -98.5, sites_per_cell=3.0),)})
    found = equilibrium(cheap, free(700.0), 700.0)
    assert found.total_per_cm3("V_Br") == pytest.approx(3e24 / CELL, rel=1e-3)
