"""What could be the emitter, and all that it predicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import model_validator

from midgap.defects.report import LevelReport
from midgap.experiment.evidence.predictions import Prediction
from midgap.experiment.photon_energy import wavelength_nm
from midgap.structures.document import Document
from midgap.structures.model import Kind
from midgap.structures.theory import LevelOfTheory

SMALLEST_PART = 0.05
"""An occupation this close to empty, half filled or filled is called so."""
SILENT = {
    "n_emitters_M": "how many emitters a particle has is not computed here",
    "g2_0_slope": "needs the number of defects and how they are activated",
}
"""What no calculation here predicts, and why."""


class Candidate(Document):
    """Something that could be the emitter, and all that it predicts.

    Attributes
    ----------
    name
        Unique; other parts of a comparison refer to it.
    origin
        ``levels``: a difference of two levels of a report; ``emission``: a configuration-coordinate diagram with
        its line; ``confinement``: an exciton in a small crystal; ``user``: predictions as given.
    counted
        It stands for its hypothesis in the evidence; ``not_counted`` says why not.
    transition
        ``CBM → VBM`` (no level), ``level → VBM``: an electron in the level recombines with a hole,
        ``CBM → level``: an electron falls into the level, or ``level → level``.
    level
        Index in the report's levels; of two the upper one.
    occupation, degeneracy
        Electrons in the level, and how many it can hold.
    observed
        What else was seen that speaks for or against it and enters no number here.
    not_predicted
        By observable: why nothing is said of it.
    """

    name: str
    label: str
    origin: Literal["levels", "emission", "confinement", "user"]
    description: str = ""
    source: str = ""
    observed: str = ""
    counted: bool = True
    not_counted: str = ""
    model: str = ""
    kind: Kind | None = None
    charge: int | None = None
    engine: str = ""
    theory: LevelOfTheory | None = None
    transition: str = ""
    level: int | None = None
    occupation: float | None = None
    degeneracy: int | None = None
    defect_weight: float | None = None
    oscillator_strength: float | None = None
    predictions: tuple[Prediction, ...] = ()
    not_predicted: dict[str, str] = {}

    @model_validator(mode="after")
    def _once(self) -> Candidate:
        names = [prediction.observable for prediction in self.predictions]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name} predicts the same observable twice")
        return self

    def prediction(self, observable: str) -> Prediction | None:
        """What it says of an observable."""
        return next((p for p in self.predictions if p.observable == observable), None)

    @property
    def energy_eV(self) -> float | None:
        """Predicted PL energy."""
        found = self.prediction("pl_peak_eV")
        return None if found is None else found.value

    @property
    def wavelength_nm(self) -> float | None:
        """Vacuum wavelength of that energy."""
        return None if self.energy_eV is None else wavelength_nm(self.energy_eV)

    @property
    def known_uncertainty_eV(self) -> float | None:
        """What of the energy's uncertainty is estimated; None where nothing is."""
        found = self.prediction("pl_peak_eV")
        return None if found is None else found.known_uncertainty

    @property
    def transition_label(self) -> str:
        """For people: ``half filled level → VBM``."""
        if self.occupation is None or self.degeneracy is None:
            return self.transition
        return self.transition.replace("level", f"{filling(self.occupation, self.degeneracy)} level")

    @property
    def title(self) -> str:
        """For people: label and transition."""
        return f"{self.label}, {self.transition_label}" if self.transition else self.label


def unique_names(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The same with a number after names that would come twice."""
    every = tuple(candidates)
    given, used = {one.name for one in every}, set()
    out = []
    for candidate in every:
        name, n = candidate.name, 1
        while name in used or (n > 1 and name in given):
            n += 1
            name = f"{candidate.name}-{n}"
        used.add(name)
        out.append(candidate.model_copy(update={"name": name}))
    return tuple(out)


def superseded(levels: Iterable[Candidate], others: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Transitions of levels, those not counted whose name a computed emission has: it is the better prediction of the same."""
    emissions = {other.name for other in others if other.origin == "emission"}
    reason = "its emission is computed"
    return tuple(
        c.model_copy(update={"counted": False, "not_counted": reason}) if c.name in emissions else c for c in levels
    )


def best_theory(things: Sequence[Candidate] | Sequence[LevelReport]) -> LevelOfTheory:
    """The highest theory among them: hybrid before semilocal, with spin-orbit coupling before without."""
    theories = [thing.theory for thing in things if thing.theory is not None]
    return max(theories, key=lambda theory: (theory.functional == "HSE06", theory.spin_orbit))


def filling(electrons: float, states: int) -> str:
    """``empty``, ``half filled``, ``filled``, ``singly occupied`` for a state of one spin, or the part that is filled."""
    if states == 1 and electrons >= 1 - SMALLEST_PART:
        return "singly occupied"
    for word, exact in (("empty", 0.0), ("half filled", 0.5 * states), ("filled", states)):
        if abs(electrons - exact) <= SMALLEST_PART:
            return word
    return f"{100 * electrons / states:.0f} % filled"
