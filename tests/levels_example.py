"""Levels to compare and draw: GPAW 26.7 (PW 250 eV, HSE06 on PBE, SOC; Γ, 22 atoms) and PySCF 2.14, rounded."""

from pymatgen.core import IMolecule, IStructure, Lattice, Structure

from midgap.defects.electronic_structure import Provenance
from midgap.defects.report import Alignment, Level, LevelReport, Levels, Localization, Transition
from midgap.structures.model import Model, Vacancy
from midgap.structures.theory import LevelOfTheory

HSE_SOC = LevelOfTheory.named("hse06+soc")
PROVENANCE = Provenance(
    engine="gpaw", engine_version="26.7.0", settings={"cutoff": "250 eV"}, wall_time_s=94.0, peak_memory_MB=354.0
)


def crystal() -> Structure:
    """Cs4PbBr6 in space group 167, primitive."""
    hexagonal = Structure.from_spacegroup(
        167,
        Lattice.hexagonal(13.73, 17.32),
        ["Pb", "Cs", "Cs", "Br"],
        [[0, 0, 0], [0, 0, 0.25], [0.372, 0, 0.25], [0.1786, 0.0384, 0.1129]],
    )
    return hexagonal.get_primitive_structure()


def pristine() -> Model:
    return Model(
        name="pristine", kind="pristine", material="Cs4PbBr6", structure=IStructure.from_sites(list(crystal()))
    )


def vacancy(charge: int) -> Model:
    host = crystal()
    index = [site.specie.symbol for site in host].index("Br")
    place = host[index].coords
    host.remove_sites([index])
    return Model(
        name=f"V_Br_q{charge}",
        kind="vacancy",
        material="Cs4PbBr6",
        structure=IStructure.from_sites(list(host)),
        charge=charge,
        vacancy=Vacancy(species="Br", site="Br1", position_ang=place),
    )


def octahedron() -> Model:
    arms = [[s * 2.97 if i == axis else 0.0 for i in range(3)] for axis in range(3) for s in (1, -1)]
    molecule = IMolecule(["Pb"] + 6 * ["Br"], [[0.0, 0.0, 0.0], *arms])
    return Model(name="octahedron", kind="cluster", material="Cs4PbBr6", structure=molecule, charge=-4)


def level(above_vbm_eV: float, occupation: float, gap_eV: float = 4.22, **fields) -> Level:
    defaults = {"spin": "spinor", "degeneracy": 1, "band_index": 1, "kind": "deep"}
    return Level(
        energy_eV=1.0 + above_vbm_eV,
        above_vbm_eV=above_vbm_eV,
        below_cbm_eV=gap_eV - above_vbm_eV,
        occupation=occupation,
        localization=Localization(participation_ratio=1.6, defect_weight=0.83),
        **(defaults | fields),
    )


def transitions(model, gap_eV, levels):
    """What a report of these levels would say: each with the edges."""
    if model.vacancy is None:
        return () if gap_eV is None else (Transition(upper=None, lower=None, energy_eV=gap_eV, emits=True),)
    found = []
    for i, one in enumerate(levels):
        if one.kind != "resonant":
            found.append(Transition(upper=i, lower=None, energy_eV=one.above_vbm_eV, emits=one.occupation > 0.01))
            room = one.degeneracy - one.occupation
            found.append(Transition(upper=None, lower=i, energy_eV=one.below_cbm_eV, emits=room > 0.01))
    return tuple(found)


def report(
    model: Model, gap_eV: float = 4.22, *levels: Level, theory: LevelOfTheory = HSE_SOC, **fields
) -> LevelReport:
    alignment = Alignment(method="self")
    if model.vacancy is not None:
        alignment = Alignment(method="site potentials", shift_eV=0.1, uncertainty_eV=0.06, n_samples=9)
    defaults = {"alignment": alignment, "provenance": PROVENANCE, "label": model.label}
    return LevelReport(
        model=model.name,
        engine="gpaw",
        theory=theory,
        charge=model.charge,
        n_electrons=100,
        spin_polarized=False,
        spin_orbit=theory.spin_orbit,
        n_kpoints=1,
        gap_eV=gap_eV,
        vbm_eV=None if gap_eV is None else 1.0,
        cbm_eV=None if gap_eV is None else 1.0 + gap_eV,
        direct=True,
        levels=levels,
        transitions=transitions(model, gap_eV, levels),
        **(defaults | fields),
    )


def example() -> Levels:
    models = (pristine(), vacancy(1), vacancy(0), vacancy(-1), octahedron())
    host, plus, zero, minus, cluster = models
    return Levels(
        reports=(
            report(host),
            report(minus, 4.22, level(3.40, 2, degeneracy=2)),
            report(zero, 4.22, level(2.44, 1)),
            report(plus, 4.22, level(3.81, 0, degeneracy=2)),
            report(cluster, 4.42),
        ),
        models=models,
    )
