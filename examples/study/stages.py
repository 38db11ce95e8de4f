"""The stages of the study, each a flow made from what the stages before it left.

Expected times are those of Cs4PbBr6 on one quiet core, measured where a stage has run (docs/study.md), estimated
from `midgap.workflows.costs` where it has not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobflow import Flow, Job
from starts import Campaign, Finished, renamed

from midgap.defects.configuration_coordinate import along
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.structures.vacancies import rattle
from midgap.workflows.costs import expected_s
from midgap.workflows.dielectric import DielectricFlowMaker
from midgap.workflows.emission import EmissionFlowMaker
from midgap.workflows.flows import LevelFlowMaker, compute
from midgap.workflows.phonons import PhononFlowMaker

CUTOFF_EV = 250.0
PBE = LevelOfTheory.named("pbe", cutoff_eV=CUTOFF_EV)
PBE_SOC = LevelOfTheory.named("pbe+soc", cutoff_eV=CUTOFF_EV)
THEORY = LevelOfTheory.named("hse06+soc", cutoff_eV=CUTOFF_EV)

RATTLE_ANG = 0.15
"""Standard deviation of the random starts: a sixth of the way that the Br across the vacancy goes."""

MORE_EXCHANGE = 0.35
"""A second fraction of exact exchange; the one-shot correction is linear in it, so that two give all."""

PLACES = (0.0, 0.2, 0.5, 1.0)
"""Of the way from one charge state's geometry to the other's."""

NEARBY = 0.02
"""Of the same way: how far states are followed for their coupling to the motion."""

MESHES = {
    "CsBr": (4, 4, 4),
    "PbBr2": (2, 3, 2),
    "CsPbBr3": (2, 1, 2),
    "CsPb2Br5": (2, 2, 2),
    "Br2": (4, 4, 2),
    "Cs": (4, 4, 4),
    "Pb": (6, 6, 6),
}
"""Γ-centred meshes of the competing phases: as dense as Γ alone is in the large cell, denser for the elements."""


@dataclass(frozen=True)
class Stage:
    """One flow of the campaign, with the wall time in s that it is expected to take on one core."""

    name: str
    about: str
    expected_s: float
    flow: Callable[[Campaign], Flow]


def stages(material: str) -> list[Stage]:
    """All stages, in an order in which each finds what it starts from."""
    common = [
        Stage("relax_small", "small cell: the crystal, and each charge as cut (PBE)", 1100, relax_small),
        Stage("relax_large_host", "large cell: the crystal (PBE)", 400, relax_large(None)),
        Stage("relax_large_q+1", "large cell: V+ from the small one's displacements (PBE)", 900, relax_large(1)),
        Stage("relax_large_q0", "large cell: V0 from the small one's displacements (PBE)", 3600, relax_large(0)),
        Stage("relax_large_q-1", "large cell: V- from the small one's displacements (PBE)", 1500, relax_large(-1)),
        Stage("levels_small", "small cell: levels of each charge", 300, levels_small),
        Stage("levels_large_host", "large cell: the crystal's bands", 350, levels_large(None)),
        Stage("levels_large_q+1", "large cell: levels of V+", 350, levels_large(1)),
        Stage("levels_large_q0", "large cell: levels of V0", 700, levels_large(0)),
        Stage("levels_large_q-1", "large cell: levels of V-", 350, levels_large(-1)),
        Stage("exchange_small", f"small cell: levels with {MORE_EXCHANGE:g} exact exchange", 150, exchange_small),
        Stage("relax_small_starts", "small cell: each charge from other starts (PBE)", 2500, relax_small_starts),
        Stage("levels_small_starts", "small cell: levels from other starts", 500, levels_small_starts),
        Stage("paths_small_0+", "small cell: V0 and V+ between their geometries", 700, paths_small(0, 1)),
        Stage("paths_small_0-", "small cell: V0 and V- between their geometries", 700, paths_small(0, -1)),
        Stage(
            "coupling_small",
            "small cell: V0 and V- a little to either side of their geometries (PBE)",
            600,
            nearby_small,
        ),
        Stage("modes_small_q+1", "small cell: vibrations of V+ at Γ (PBE)", 2400, modes_small),
        Stage("mesh_small", "small cell: 2×2×2 k-points, PBE+SOC", 1200, mesh_small),
        Stage("cutoff_small", "small cell: plane waves to 350 and 450 eV", 900, cutoff_small),
        Stage("bands_small", "small cell: three times as many empty bands", 200, bands_small),
        Stage("ends_large", "large cell: V0 and V+ each in the other's geometry", 1300, ends_large(1)),
        Stage("ends_large_0-", "large cell: V0 and V- each in the other's geometry", 1300, ends_large(-1)),
        Stage("dielectric", "small cell: how the crystal screens (CP2K, PBE)", 600, dielectric),
        Stage("scalar_large", "large cell: V+ and the crystal by GPAW, HSE06, no SOC", 700, scalar_large),
        Stage("cp2k_large", "large cell: V+ and the crystal by CP2K, HSE06 (ADMM), no SOC", 700, cp2k_large),
        Stage("clusters", "the octahedron, whole and with the vacancy, and the formula unit (PySCF)", 700, clusters),
    ]
    if material != "Cs4PbBr6":
        return common
    return [
        *common,
        Stage("phases_relax", "competing phases: free coordinates (PBE)", 600, phases_relax),
        Stage("phases", "competing phases: energies", 900, phases),
        Stage("contrast", "CsPbBr3 and its vacancy, 40 atoms", 1500, contrast),
    ]


def relaxing(fmax_eV_per_ang: float = 0.02, max_steps: int = 120) -> LevelFlowMaker:
    """How everything is relaxed: PBE at Γ in the fixed cell."""
    return LevelFlowMaker(theory=THEORY, options={"fmax_eV_per_ang": fmax_eV_per_ang, "max_steps": max_steps})


def static(model: Model, theory: LevelOfTheory = THEORY, after: Finished | None = None, **options: Any) -> Job:
    """A calculation of a geometry as it is, beginning with the wavefunctions of the run that made it."""
    made: Job = compute(
        model.to_dict(), theory.to_dict(), "static", "gpaw", options, None, None if after is None else str(after.folder)
    )
    made.name = f"{model.name} {theory.name}"
    made.metadata.update(
        model=model.name,
        label=model.label,
        task="static",
        theory=theory.label,
        engine="gpaw",
        cost_s=round(expected_s(model, theory, "static", "gpaw")),
    )
    return made


def relax_small(campaign: Campaign) -> Flow:
    """The crystal, and each charge as it is cut."""
    jobs: list[Job | Flow] = [relaxing().relaxation(model)[-1] for model in campaign.cut("small").values()]
    return Flow(jobs, name="relax_small")


def relax_small_starts(campaign: Campaign) -> Flow:
    """Each charge from another charge's geometry, and from random displacements."""
    cut = campaign.cut("small")
    there = {charge: campaign.lowest("small", charge).model.positions_ang for charge in (1, 0, -1)}
    starts = [
        renamed(cut[0].at(there[1], start="geometry of V+"), "from+"),
        renamed(cut[0].at(there[-1], start="geometry of V-"), "from-"),
        renamed(rattle(cut[0], RATTLE_ANG, 1), "r1"),
        renamed(rattle(cut[0], RATTLE_ANG, 2), "r2"),
        renamed(cut[1].at(there[0], start="geometry of V0"), "from0"),
        renamed(cut[-1].at(there[0], start="geometry of V0"), "from0"),
        renamed(rattle(cut[1], RATTLE_ANG, 1), "r1"),
    ]
    return Flow([relaxing().relaxation(model)[-1] for model in starts], name="relax_small_starts")


def relax_large(charge: int | None) -> Callable[[Campaign], Flow]:
    """One charge in the large cell; its surroundings as the small cell left them, the rest as in the crystal."""

    def flow(campaign: Campaign) -> Flow:
        model = campaign.cut("large")[None] if charge is None else campaign.seeded(charge)
        return Flow([*relaxing(0.03, 150).relaxation(model)], name="relax_large")

    return flow


def levels_small(campaign: Campaign) -> Flow:
    """Levels of the crystal and of each charge in the small cell."""
    found = campaign.finished("relax_small")
    return Flow([static(one.model, after=one) for one in found], name="levels_small")


def levels_small_starts(campaign: Campaign) -> Flow:
    """Levels of what other starts relaxed to: are they the same minimum?"""
    found = campaign.finished("relax_small_starts")
    return Flow([static(one.model, after=one) for one in found], name="levels_small_starts")


def levels_large(charge: int | None) -> Callable[[Campaign], Flow]:
    """Levels of the lowest geometry of a charge in the large cell."""

    def flow(campaign: Campaign) -> Flow:
        lowest = campaign.lowest("large", charge)
        return Flow([static(lowest.model, after=lowest)], name="levels_large")

    return flow


def exchange_small(campaign: Campaign) -> Flow:
    """The same geometries with more exact exchange."""
    theory = THEORY.model_copy(update={"exact_exchange": MORE_EXCHANGE})
    lowest = [campaign.lowest("small", charge) for charge in (None, 1, 0, -1)]
    return Flow([static(one.model, theory, one) for one in lowest], name="exchange_small")


def mesh_small(campaign: Campaign) -> Flow:
    """What Γ alone leaves out: PBE+SOC on a mesh, for the hybrid's correction varies less with k than the bands do."""
    mesh = PBE_SOC.model_copy(update={"kpoints": (2, 2, 2)})
    lowest = [campaign.lowest("small", charge) for charge in (None, 1, 0)]
    gamma = [static(one.model, PBE_SOC, one) for one in lowest]
    return Flow([*gamma, *(static(one.model, mesh) for one in lowest)], name="mesh_small")


def cutoff_small(campaign: Campaign) -> Flow:
    """More plane waves at fixed geometry."""
    theories = [THEORY.model_copy(update={"cutoff_eV": cutoff}) for cutoff in (350.0, 450.0)]
    models = [campaign.lowest("small", charge).model for charge in (None, 1, 0)]
    return Flow([static(model, theory) for theory in theories for model in models], name="cutoff_small")


def bands_small(campaign: Campaign) -> Flow:
    """More empty bands for spin-orbit coupling to mix."""
    lowest = [campaign.lowest("small", charge).model for charge in (None, 1, 0)]
    return Flow([static(m, empty_bands=round(1.5 * len(m.structure))) for m in lowest], name="bands_small")


def paths_small(ground: int, excited: int) -> Callable[[Campaign], Flow]:
    """Two charge states of the small cell along the way between their lowest geometries."""

    def flow(campaign: Campaign) -> Flow:
        maker = EmissionFlowMaker(levels=relaxing(), theory=THEORY, places=PLACES)
        models = [campaign.lowest("small", charge).model for charge in (ground, excited, None)]
        return maker.between(models[0], models[1], models[2])

    return flow


def nearby_small(campaign: Campaign) -> Flow:
    """V0 towards V+ and V- towards V0, and away from them: how their wavefunctions change on the way to what a hole makes of them."""
    jobs: list[Job | Flow] = []
    for before, after in ((0, 1), (-1, 0)):
        own, other = (campaign.lowest("small", charge).model for charge in (before, after))
        for place in (-NEARBY, 0.0, NEARBY):
            there = own.at(along(own.structure, other.structure, place), place=f"{place:g} of the way to {other.name}")
            jobs.append(static(renamed(there, f"x{place:+.2f}"), PBE))
    return Flow(jobs, name="coupling_small")


def modes_small(campaign: Campaign) -> Flow:
    """What V+ vibrates with: a hole caught by V0 leaves it there."""
    return PhononFlowMaker(levels=relaxing()).displaced(campaign.lowest("small", 1).model)


def ends_large(charge: int) -> Callable[[Campaign], Flow]:
    """V0 and a charged vacancy of the large cell each in the other's geometry; with `levels_large`, vertical energies."""

    def flow(campaign: Campaign) -> Flow:
        neutral, charged = (campaign.lowest("large", each).model for each in (0, charge))
        sign = "+" if charge > 0 else "-"
        return Flow(
            [
                static(renamed(charged.at(neutral.positions_ang, place=f"geometry of {neutral.name}"), "in_V0")),
                static(renamed(neutral.at(charged.positions_ang, place=f"geometry of {charged.name}"), f"in_V{sign}")),
            ],
            name="ends_large",
        )

    return flow


def dielectric(campaign: Campaign) -> Flow:
    """Electronic and static dielectric tensors of the crystal, for the corrections of charged cells."""
    maker = DielectricFlowMaker(levels=LevelFlowMaker(engine="cp2k"))
    return maker.make(campaign.cut("small")[None])


def scalar_large(campaign: Campaign) -> Flow:
    """Without spin-orbit coupling, as the other engine has it."""
    theory = THEORY.model_copy(update={"spin_orbit": False})
    lowest = [campaign.lowest("large", charge) for charge in (None, 1)]
    return Flow([static(one.model, theory, one) for one in lowest], name="scalar_large")


def cp2k_large(campaign: Campaign) -> Flow:
    """Another engine with another basis, at the same geometries and without spin-orbit coupling."""
    maker = LevelFlowMaker(engine="cp2k", theory=LevelOfTheory.named("hse06"), relax=False)
    return maker.make([campaign.lowest("large", charge).model for charge in (None, 1)])


def clusters(campaign: Campaign) -> Flow:
    """The octahedron in the crystal's field, whole and without a Br, and the neutral formula unit."""
    from midgap.structures.build import build_models

    models = [model for model in build_models(campaign.material, charges=(1, 0)) if not model.periodic]
    return LevelFlowMaker(theory=THEORY).make(models)


def contrast(campaign: Campaign) -> Flow:
    """The crystal of joined octahedra and its neutral vacancy."""
    from midgap.structures.build import build_models

    models = build_models("CsPbBr3", max_atoms=40, charges=(0,), clusters=False)
    return LevelFlowMaker(theory=THEORY).make(models[:2])


def phases_relax(campaign: Campaign) -> Flow:
    """The free coordinates of the competing phases, in their measured cells."""
    found = [model for model in campaign.phases() if model.material in ("PbBr2", "CsPbBr3", "CsPb2Br5", "Br2")]
    jobs: list[Job | Flow] = []
    for model in found:
        theory = PBE.model_copy(update={"kpoints": MESHES[model.material]})
        maker = LevelFlowMaker(theory=theory, options={"fmax_eV_per_ang": 0.05})
        jobs += maker.relaxation(model)
    return Flow(jobs, name="phases_relax")


def phases(campaign: Campaign) -> Flow:
    """Energies of the competing phases; the crystal itself is that of the large cell."""
    relaxed = {one.model.material: one for one in campaign.finished("phases_relax")}
    jobs: list[Job | Flow] = []
    for model in campaign.phases():
        theory = THEORY.model_copy(update={"kpoints": MESHES[model.material]})
        at = relaxed.get(model.material)
        jobs.append(static(model if at is None else at.model, theory, **_metal(model.material)))
    return Flow(jobs, name="phases")


def _metal(material: str) -> dict[str, Any]:
    return {"engine_settings": {"smearing_eV": 0.1}} if material in ("Cs", "Pb") else {}
