"""Questions worth asking as they stand: what to build, how far to compute it, how long that takes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt

from midgap.structures.document import Document
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory

if TYPE_CHECKING:
    from jobflow import Flow

    from midgap.workflows.cluster.queue import Queue
    from midgap.workflows.flows import LevelFlowMaker

Clusters = Literal["none", "octahedron", "all"]


class Preset(Document):
    """A question, with all that its answer depends on.

    Attributes
    ----------
    about
        For people: what it computes and about how long.
    max_atoms
        Size of the supercells; None is the primitive cell.
    charges
        Charge states of the vacancies.
    clusters
        ``octahedron`` is the embedded intact one alone.
    conventional
        Also the perfect crystal in its conventional cell, whose Γ holds more of the bands.
    relax
        Whether crystals are relaxed before their levels are computed.
    pristine, defect
        Theory of the perfect crystal and of everything else: they may differ in the mesh.
    options
        Further fields of `Calculation`.
    """

    name: str
    about: str
    material: str = "Cs4PbBr6"
    engine: str = "gpaw"
    cluster_engine: str = "pyscf"
    max_atoms: PositiveInt | None = None
    charges: tuple[int, ...] = (-1, 0, 1)
    clusters: Clusters = "none"
    conventional: bool = False
    relax: bool = True
    pristine: LevelOfTheory
    defect: LevelOfTheory
    options: dict[str, Any] = Field(default_factory=dict)

    def with_engine(self, name: str) -> Preset:
        """The same question for another engine; a plane-wave cutoff means something to the preset's own only."""
        if name == self.engine:
            return self
        change = {"engine": name}
        theories = {kind: getattr(self, kind).model_copy(update={"cutoff_eV": None}) for kind in ("pristine", "defect")}
        return self.model_copy(update=change | theories)

    def with_theory(self, name: str) -> Preset:
        """The same question at another theory, cutoff and meshes kept.

        Raises
        ------
        InputError
            The name is none of the known theories.
        """
        theory = LevelOfTheory.named(name)
        change = {"functional": theory.functional, "spin_orbit": theory.spin_orbit}
        return self.model_copy(
            update={kind: getattr(self, kind).model_copy(update=change) for kind in ("pristine", "defect")}
        )

    def maker(self, queue: Queue | None = None) -> LevelFlowMaker:
        """How the models are computed, and what their jobs ask of a cluster if they go to one."""
        from midgap.workflows.flows import LevelFlowMaker

        return LevelFlowMaker(
            engine=self.engine,
            cluster_engine=self.cluster_engine,
            theory=self.defect,
            by_kind={"pristine": self.pristine},
            relax=self.relax,
            options=dict(self.options),
            queue=queue,
        )

    def models(self) -> list[Model]:
        """The models of the question, the host as the material's file has it.

        Raises
        ------
        InputError
            The material cannot be read, or nothing is left that the engine does.
        """
        from midgap.structures.build import build_models
        from midgap.workflows.engines import engine_named
        from midgap.workflows.flows import wanted_clusters

        every = build_models(
            self.material, max_atoms=self.max_atoms, charges=self.charges, clusters=self.clusters != "none"
        )
        crystals = engine_named(self.engine).periodic
        models = [model for model in every if model.periodic and crystals]
        if self.conventional and crystals:
            models += build_models(self.material, conventional=True, charges=(), clusters=False)
        models += wanted_clusters([model for model in every if not model.periodic], self.clusters)
        if not models:
            raise InputError(
                f"{self.engine.upper()} is used for clusters only, and the preset {self.name} has none: "
                "use --engine gpaw, or --preset standard."
            )
        return models

    def flow(self, queue: Queue | None = None) -> Flow:
        """The whole question as a flow, the same wherever it runs; its output is a `midgap.defects.report.Levels`.

        A host that is not relaxed yet is relaxed first, and the rest is cut from it.

        Raises
        ------
        InputError
            The material cannot be read, or an engine cannot do what is asked of it.
        """
        from midgap.structures.build import build_models
        from midgap.workflows.engines import engine_named
        from midgap.workflows.flows import HostFlowMaker, is_relaxed

        if self.relax and engine_named(self.engine).periodic:
            (host,) = build_models(self.material, charges=(), clusters=False)
            if not is_relaxed(host):
                build = {"charges": list(self.charges), "max_atoms": self.max_atoms, "clusters": self.clusters}
                build["conventional"] = self.conventional
                return HostFlowMaker(levels=self.maker(queue), build=build).make(host)
        return self.maker(queue).make(self.models())

    def request(self) -> dict[str, Any]:
        """What is asked, in the words of the command line; a run in a folder is known by it."""
        asked = {
            "material": self.material,
            "preset": self.name,
            "engine": self.engine,
            "theory": self.defect.name,
            "charges": list(self.charges),
        }
        if Path(self.material).is_file():
            asked["content of the file"] = hashlib.sha256(Path(self.material).read_bytes()).hexdigest()[:12]
        return asked


_HSE06_SOC = LevelOfTheory.named("hse06+soc", cutoff_eV=250.0)
_PBE_SOC = LevelOfTheory.named("pbe+soc", cutoff_eV=250.0)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="quick",
            about="the crystal and its charged vacancy as built, PBE+SOC at Γ: does all work here? About 2 minutes",
            charges=(1,),
            relax=False,
            pristine=_PBE_SOC,
            defect=_PBE_SOC,
        ),
        Preset(
            name="demo",
            about="the gap in 22 and 66 atoms, the relaxed V⁰ and V⁺ of the primitive cell, the embedded octahedron. About 8 minutes",
            charges=(0, 1),
            clusters="octahedron",
            conventional=True,
            pristine=_HSE06_SOC,
            defect=_HSE06_SOC,
            options={"fmax_eV_per_ang": 0.05},
        ),
        Preset(
            name="standard",
            about="the most isotropic supercells of up to 66 atoms, all charges, all clusters, relaxed. Hours",
            max_atoms=66,
            clusters="all",
            pristine=_HSE06_SOC,
            defect=_HSE06_SOC,
        ),
    )
}


def preset_named(name: str) -> Preset:
    """Look a preset up.

    Raises
    ------
    InputError
        There is no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"Unknown preset {name!r}; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
