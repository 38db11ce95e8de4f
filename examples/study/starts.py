"""What a stage starts from: models as they are cut, and what earlier stages left in the folder of the campaign."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seeds import transplant

from midgap.structures.build import build_models
from midgap.structures.competing import competing_phases
from midgap.structures.document import read_json
from midgap.structures.errors import InputError
from midgap.structures.model import Model

CHARGES = (1, 0, -1)


@dataclass(frozen=True)
class Finished:
    """A calculation that an earlier stage did: its folder, and the model with its last geometry."""

    folder: Path
    model: Model
    energy_eV: float


@dataclass(frozen=True)
class Campaign:
    """A material, and the folder that holds a folder for each stage."""

    out: Path
    material: str

    def cut(self, size: str) -> dict[int | None, Model]:
        """The models of a size as they are cut, by charge; the crystal under None."""
        return _cut(self.material, size)

    def finished(self, stage: str, task: str = "relax") -> list[Finished]:
        """What a stage has done so far, in the order of the names of its models."""
        found = []
        for path in sorted((self.out / stage).glob("jobs/*/result.json")):
            data = read_json(path)
            if isinstance(data, dict) and data.get("task") == task:
                model = Model.from_dict(data["model"], source=str(path))
                found.append(Finished(path.parent, model, float(data["total_energy_eV"])))
        return sorted(found, key=lambda one: one.model.name)

    def relaxed(self, size: str) -> list[Finished]:
        """The relaxed vacancies and crystals of a size, from all starts."""
        return [one for path in sorted(self.out.glob(f"relax_{size}*")) for one in self.finished(path.name)]

    def lowest(self, size: str, charge: int | None) -> Finished:
        """The lowest of the relaxed geometries of a charge; None is the crystal.

        Raises
        ------
        InputError
            None is there.
        """
        found = [
            one for one in self.relaxed(size) if (None if one.model.vacancy is None else one.model.charge) == charge
        ]
        if not found:
            what = "crystal" if charge is None else f"vacancy of charge {charge:+d}"
            raise InputError(f"There is no relaxed {what} in {self.out}: run the stages relax_{size}... first.")
        return min(found, key=lambda one: one.energy_eV)

    def phases(self) -> list[Model]:
        """The competing phases, as the literature has them."""
        return competing_phases(self.material)

    def seeded(self, charge: int) -> Model:
        """The large cell, with the displacements that the lowest geometry of the small one has near the vacancy."""
        return transplant(self.cut("large")[charge], self.cut("small")[charge], self.lowest("small", charge).model)


def renamed(model: Model, suffix: str) -> Model:
    """The same model under a name that says where it starts."""
    return model.model_copy(update={"name": f"{model.name}_{suffix}"})


@cache
def _cut(material: str, size: str) -> dict[int | None, Model]:
    models = build_models(material, charges=CHARGES, clusters=False, conventional=size == "large")
    first = next(model.vacancy.site for model in models if model.vacancy is not None)
    return {
        None if model.vacancy is None else model.charge: model
        for model in models
        if model.vacancy is None or model.vacancy.site == first
    }
