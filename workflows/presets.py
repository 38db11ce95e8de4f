"""Questions worth asking as they stand: what to build, how far to compute it, how long that takes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt

from midgap.defects.emission import Screening
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
        For people: what it is for; `in_words` says what it computes.
    species
        Whose vacancies; None is the crystal's halide.
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
    relaxation
        What with, one after the other, at the mesh and cutoff of ``defect``; nothing is PBE.
    pristine, defect
        Theory of the perfect crystal and of everything else: they may differ in the mesh.
    options
        Further fields of `Calculation`.
    densities
        Whether it is read where the levels are, too.
    formation
        Whether competing phases are computed, and formation energies.
    phases
        Files of competing phases beside those that midgap knows.
    screening
        The crystal's, for the corrections of charged cells.
    """

    name: str
    about: str
    material: str = "Cs4PbBr6"
    engine: str = "gpaw"
    cluster_engine: str = "pyscf"
    species: str | None = None
    max_atoms: PositiveInt | None = None
    charges: tuple[int, ...] = (-1, 0, 1)
    clusters: Clusters = "none"
    conventional: bool = False
    relax: bool = True
    relaxation: tuple[LevelOfTheory, ...] = Field(default=(), max_length=2)
    pristine: LevelOfTheory
    defect: LevelOfTheory
    options: dict[str, Any] = Field(default_factory=dict)
    densities: bool = False
    formation: bool = False
    phases: tuple[str, ...] = ()
    screening: Screening | None = None

    def with_engine(self, name: str) -> Preset:
        """The same question for another engine; a plane-wave cutoff means something to the preset's own only."""
        if name == self.engine:
            return self
        change = {"engine": name}
        theories = {kind: getattr(self, kind).model_copy(update={"cutoff_eV": None}) for kind in ("pristine", "defect")}
        return self.model_copy(update=change | theories)

    def with_relaxation(self, words: str) -> Preset:
        """The same question, relaxed otherwise: ``none``, or one or two of pbe, pbe+d3 and hse06, with commas.

        Raises
        ------
        InputError
            A word is another.
        """
        if words == "none":
            return self.model_copy(update={"relax": False, "relaxation": ()})
        known = {"pbe": ("pbe", None), "pbe+d3": ("pbe", "D3"), "hse06": ("hse06", None)}
        asked = words.lower().replace(" ", "").split(",")
        if not 1 <= len(asked) <= 2 or any(word not in known for word in asked):
            raise InputError(
                f"--relax takes none, or one or two of {', '.join(known)} with commas (pbe+d3,hse06); not {words!r}."
            )
        theories = tuple(LevelOfTheory.named(known[word][0], dispersion=known[word][1]) for word in asked)
        return self.model_copy(update={"relax": True, "relaxation": theories})

    def with_mesh(self, kpoints: tuple[int, int, int]) -> Preset:
        """The same question on another mesh."""
        return self.model_copy(
            update={
                kind: getattr(self, kind).model_copy(update={"kpoints": kpoints}) for kind in ("pristine", "defect")
            }
        )

    def with_cutoff(self, cutoff_eV: float) -> Preset:
        """The same question with another plane-wave cutoff.

        Raises
        ------
        InputError
            It is none that makes sense.
        """
        if not 50.0 <= cutoff_eV <= 5000.0:
            raise InputError(f"A plane-wave cutoff of {cutoff_eV:g} eV makes no sense; give 200 to 1000.")
        return self.model_copy(
            update={
                kind: getattr(self, kind).model_copy(update={"cutoff_eV": cutoff_eV}) for kind in ("pristine", "defect")
            }
        )

    def with_settings(self, settings: dict[str, Any]) -> Preset:
        """The same question with settings of the engine over those of the preset."""
        mine = {**self.options.get("engine_settings", {}), **settings}
        return self.model_copy(update={"options": self.options | {"engine_settings": mine}})

    def with_enough_cutoff(self) -> Preset:
        """The same question with the cutoff that its crystal needs, where the preset's own is too low for it.

        Raises
        ------
        InputError
            The material cannot be read.
        """
        from midgap.structures.crystals import load_crystal
        from midgap.workflows.engines.gpaw import HARD, HARD_CUTOFF_EV

        own = self.defect.cutoff_eV
        if self.engine != "gpaw" or own is None or own >= HARD_CUTOFF_EV:
            return self
        elements = {site.specie.symbol for site in load_crystal(self.material)[0]}
        return self.with_cutoff(HARD_CUTOFF_EV) if HARD & elements else self

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

        same = {"kpoints": self.defect.kpoints, "cutoff_eV": self.defect.cutoff_eV}
        relaxation = [theory.model_copy(update=same) for theory in self.relaxation]
        return LevelFlowMaker(
            engine=self.engine,
            cluster_engine=self.cluster_engine,
            theory=self.defect,
            by_kind={"pristine": self.pristine},
            relax=self.relax,
            relax_theory=relaxation[0] if relaxation else None,
            refine_theory=relaxation[1] if len(relaxation) > 1 else None,
            options=dict(self.options),
            densities=self.densities,
            phases=self.competing(),
            screening=self.screening,
            queue=queue,
        )

    def competing(self) -> list[Model]:
        """The competing phases, if formation energies are asked for.

        Raises
        ------
        InputError
            See `midgap.structures.competing.competing_phases`.
        """
        from midgap.structures.competing import competing_phases
        from midgap.structures.crystals import load_crystal

        if not self.formation:
            return []
        return competing_phases(load_crystal(self.material)[0].composition.reduced_formula, self.phases)

    def models(self) -> list[Model]:
        """The models of the question, the host as the material's file has it.

        Raises
        ------
        InputError
            The material cannot be read, or nothing is left that the engine does.
        """
        from midgap.workflows.engines import engine_named
        from midgap.workflows.models import models_in

        models = models_in(self._host(), **self._build())
        if not engine_named(self.engine).periodic:
            models = [model for model in models if not model.periodic]
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
        from midgap.workflows.engines import engine_named
        from midgap.workflows.flows import HostFlowMaker
        from midgap.workflows.models import is_relaxed

        if self.relax and engine_named(self.engine).periodic:
            host = self._host()
            if not is_relaxed(host):
                return HostFlowMaker(levels=self.maker(queue), build=self._build()).make(host)
        return self.maker(queue).make(self.models())

    def _host(self) -> Model:
        """The perfect crystal in its primitive cell."""
        from midgap.structures.build import build_models

        (host,) = build_models(self.material, species=self.species, charges=(), clusters=False)
        return host

    def _build(self) -> dict[str, Any]:
        """Arguments of `midgap.workflows.models.models_in`."""
        return {
            "species": self.species,
            "charges": list(self.charges),
            "max_atoms": self.max_atoms,
            "clusters": self.clusters,
            "conventional": self.conventional,
        }

    @property
    def in_words(self) -> str:
        """What is computed, as it stands now: cells, charges, clusters, relaxation, theory, engine."""
        cells = "the primitive cell" if self.max_atoms is None else f"supercells of up to {self.max_atoms} atoms"
        if self.conventional:
            cells += " (pristine also the conventional one)"
        vacancies = f"vacancies of charge {', '.join(f'{q:+d}' if q else '0' for q in self.charges)}"
        if self.species is not None:
            vacancies = f"{self.species} {vacancies}"
        parts = [cells, vacancies if self.charges else "no vacancies"]
        if self.clusters != "none":
            parts.append("the embedded octahedron" if self.clusters == "octahedron" else "all clusters")
        parts.append(self._relaxation_in_words())
        if self.formation:
            parts.append("competing phases")
        mesh = "×".join(map(str, self.defect.kpoints))
        where = "at Γ" if self.defect.kpoints == (1, 1, 1) else f"on {mesh} k-points"
        parts.append(f"{self.defect.label} with {self.engine.upper()} {where}")
        return "; ".join(parts)

    def _relaxation_in_words(self) -> str:
        if not self.relax:
            return "as built"
        steps = ", then ".join(theory.label for theory in self.relaxation) if self.relaxation else "PBE"
        return f"relaxed with {steps}"

    def request(self) -> dict[str, Any]:
        """What is asked, in the words of the command line; a run in a folder is known by it."""
        asked: dict[str, Any] = {
            "material": self.material,
            "preset": self.name,
            "engine": self.engine,
            "theory": self.defect.name,
            "charges": list(self.charges),
        }
        if self.name in PRESETS:
            own = PRESETS[self.name]
            if (self.relax, self.relaxation) != (own.relax, own.relaxation):
                with_d3 = [f"{one.name}{'+d3' if one.dispersion else ''}" for one in self.relaxation]
                asked["relax"] = with_d3 if self.relax else "none"
            if self.defect.kpoints != own.defect.kpoints:
                asked["kpoints"] = list(self.defect.kpoints)
            if self.engine == own.engine and self.defect.cutoff_eV != own.defect.cutoff_eV:
                asked["cutoff_eV"] = self.defect.cutoff_eV
            for name in ("species", "max_atoms"):
                if getattr(self, name) != getattr(own, name):
                    asked[name] = getattr(self, name)
        if self.formation:
            asked["formation"] = [_content(path) for path in self.phases]
            asked["screening"] = None if self.screening is None else self.screening.model_dump(mode="json")
        if settings := self.options.get("engine_settings"):
            asked["settings"] = settings
        if Path(self.material).is_file():
            asked["content of the file"] = _content(self.material)
        return asked


def _content(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


_HSE06_SOC = LevelOfTheory.named("hse06+soc", cutoff_eV=250.0)
_PBE_SOC = LevelOfTheory.named("pbe+soc", cutoff_eV=250.0)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="quick",
            about="does all work here?",
            charges=(1,),
            relax=False,
            pristine=_PBE_SOC,
            defect=_PBE_SOC,
        ),
        Preset(
            name="demo",
            about="the published numbers in minutes",
            densities=True,
            charges=(0, 1),
            clusters="octahedron",
            conventional=True,
            pristine=_HSE06_SOC,
            defect=_HSE06_SOC,
            options={"fmax_eV_per_ang": 0.05},
        ),
        Preset(
            name="standard",
            about="all charges and clusters in larger cells",
            max_atoms=66,
            clusters="all",
            pristine=_HSE06_SOC,
            defect=_HSE06_SOC,
        ),
        Preset(
            name="production",
            about="the standard models, self-consistent, on a cluster",
            engine="vasp",
            max_atoms=66,
            clusters="all",
            relaxation=(LevelOfTheory.named("pbe", dispersion="D3"),),
            pristine=LevelOfTheory.named("hse06+soc"),
            defect=LevelOfTheory.named("hse06+soc"),
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
