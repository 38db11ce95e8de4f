"""Radiative lifetimes as predictions: over what is not known of the surroundings, and with the yield that was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import PositiveFloat, model_validator

from midgap.defects.radiative import radiative_lifetime
from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.polarisation import POLARISATION
from midgap.experiment.evidence.predictions import CELL, Prediction, Uncertainty
from midgap.experiment.evidence.stated import number_text
from midgap.experiment.records import Records, data_file
from midgap.structures.document import Document
from midgap.structures.errors import InputError

LIFETIME = "tau_av_ns"
PLACES = 15
"""Values between the shortest and the longest lifetime, evenly on a logarithmic scale."""
LARGEST_YIELD = 0.99
"""A yield that was measured bounds that of a particle from below by so much at most."""
BETWEEN_CELLS = {"level → VBM": 2.3, "CBM → level": 7.7}
"""By what factor, root of the mean square of its logarithm, an oscillator strength differs between cells: of V_Br⁺, V_Br⁰
and V_Br⁻ in Cs4PbBr6, 21 and 65 atoms, each relaxed (docs/study.md)."""
ONE_CELL = "f is of one cell; as much as of V_Br in Cs4PbBr6, three charge states, between 21 and 65 atoms"


class Surroundings(Document):
    """Between which values the refractive index round an emitter lies, and who says so."""

    material: str = ""
    refractive_index_lo: PositiveFloat
    refractive_index_hi: PositiveFloat
    source: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Surroundings:
        if self.refractive_index_lo > self.refractive_index_hi:
            raise ValueError("refractive_index_lo exceeds refractive_index_hi")
        return self


TRANSPARENT = Surroundings(
    refractive_index_lo=1.5, refractive_index_hi=2.5, source="as of most transparent crystals, not known of this one"
)


def surroundings_of(material: str, given: float | Sequence[float] | None = None) -> Surroundings:
    """What is given, else what midgap holds of the material, else what most transparent crystals have.

    Raises
    ------
    InputError
        What is given is neither a positive number nor two that ascend.
    """
    if given is None:
        try:
            return Surroundings.read(data_file(material, "surroundings"))
        except InputError:
            return TRANSPARENT
    ends = [float(given)] * 2 if isinstance(given, int | float) else [float(x) for x in given]
    if len(ends) != 2 or not 0 < ends[0] <= ends[1] < math.inf:
        raise InputError(f"A refractive index is a positive number or two that ascend, not {given}.")
    return Surroundings(refractive_index_lo=ends[0], refractive_index_hi=ends[1], source="as given")


def parse_refractive_index(text: str) -> tuple[float, ...]:
    """``N`` or ``LO,HI``.

    Raises
    ------
    InputError
        It is neither.
    """
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"A refractive index is written N or LO,HI, not {text!r}.") from None
    given = surroundings_of("", numbers * 2 if len(numbers) == 1 else numbers)
    return given.refractive_index_lo, given.refractive_index_hi


def radiative(
    energy_eV: float, oscillator_strength: float, surroundings: Surroundings, uncertainties: Iterable[Uncertainty]
) -> Prediction:
    """A radiative lifetime, an upper bound of what is measured: from no local field at the lowest refractive index to
    that of a virtual cavity, the strongest, at the highest.

    Parameters
    ----------
    uncertainties
        Of the oscillator strength, values as natural logarithms.
    """
    low, high = surroundings.refractive_index_lo, surroundings.refractive_index_hi
    longest = radiative_lifetime(energy_eV, oscillator_strength, low).lifetime_ns
    shortest = radiative_lifetime(energy_eV, oscillator_strength, high, "virtual cavity").lifetime_ns
    vacuum = radiative_lifetime(energy_eV, oscillator_strength).lifetime_ns
    middle = math.sqrt(longest * shortest)
    index = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return Prediction(
        observable=LIFETIME,
        value=middle,
        relation="at_most",
        alternatives=np.geomspace(shortest, longest, PLACES),
        uncertainties=(
            *(u if u.value is None else u.model_copy(update={"value": u.value * middle}) for u in uncertainties),
            Uncertainty(source="functional", note="dipoles of one theory"),
            Uncertainty(source="electron-hole attraction", effect="lowers"),
            Uncertainty(source="temperature", effect="raises", note="dark states that it fills"),
            Uncertainty(
                source="shape of the particle",
                effect="raises",
                note="smaller than the wavelength, in a medium of lower index",
            ),
        ),
        basis=(
            f"radiative, by the oscillator strength f = {oscillator_strength:.2g} at {energy_eV:.2f} eV: {number_text(vacuum, 0)} ns in "
            f"vacuum; refractive index {index} ({surroundings.source}), without a local field (longest) to that of a virtual cavity"
        ),
    )


def with_dipoles(others: Iterable[Candidate], transitions: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Computed emissions that take the place of a transition between levels, with its model, and with the lifetime by its
    dipole at their own energy: τ ∝ 1/E³ (Einstein's A).
    """
    places = {one.name: one for one in transitions}
    found = []
    for candidate in others:
        same = places.get(candidate.name) if candidate.origin == "emission" else None
        found.append(candidate if same is None else _in_place(candidate, same))
    return tuple(found)


def _in_place(emission: Candidate, transition: Candidate) -> Candidate:
    change = {name: getattr(transition, name) for name in ("model", "kind", "charge", "level", "oscillator_strength")}
    if emission.label == emission.name:
        change["label"] = f"{transition.title}, by total energies"
    by_levels = f"; as a difference of levels {transition.energy_eV:.2f} eV" if transition.energy_eV else ""
    change["predictions"] = tuple(
        one.model_copy(update={"basis": one.basis + by_levels}) if one.observable == "pl_peak_eV" else one
        for one in emission.predictions
    )
    if (polarised := transition.prediction(POLARISATION)) is not None:
        change["predictions"] = (*change["predictions"], polarised)
    slow, energy, level = transition.prediction(LIFETIME), emission.energy_eV, transition.energy_eV
    if slow is not None and emission.prediction(LIFETIME) is None and energy and level and energy > 0:
        times = (level / energy) ** 3
        errors = tuple(
            u if u.value is None else u.model_copy(update={"value": u.value * times}) for u in slow.uncertainties
        )
        slower = slow.model_copy(
            update={
                "value": slow.value * times,
                "alternatives": None if slow.alternatives is None else slow.alternatives * times,
                "uncertainties": errors,
                "basis": f"{slow.basis}; the same dipole at {energy:.2f} eV",
            }
        )
        change["predictions"] = (*change["predictions"], slower)
    new = {prediction.observable for prediction in change["predictions"]}
    change["not_predicted"] = {name: why for name, why in emission.not_predicted.items() if name not in new}
    return emission.model_copy(update=change)


def of_one_cell(transition: str, elsewhere: Sequence[float], strength: float, remedy: str) -> tuple[Uncertainty, ...]:
    """How far an oscillator strength of one cell is off; values are natural logarithms.

    Parameters
    ----------
    elsewhere
        The same transition's in other cells.
    """
    others = [abs(math.log(other / strength)) for other in elsewhere if other > 0]
    factor = BETWEEN_CELLS.get(transition)
    size = Uncertainty(source=CELL, note="one cell", remedy=remedy)
    if others:
        size = Uncertainty(source=CELL, value=max(others), note="difference to f in another cell")
    elif factor is not None:
        size = Uncertainty(source=CELL, value=math.log(factor), note=ONE_CELL, remedy=remedy)
    free = Uncertainty(
        source="free carrier",
        effect="raises",
        note="f sums the band's states within 0.1 eV of its edge, as if each held one",
    )
    return (size, free) if "BM" in transition else (size,)


def least_yield(records: Records) -> float | None:
    """The lowest quantum yield that the records leave possible; None where none was measured.

    An ensemble's counts dark particles too, so that of the particles that shine is not below it.
    """
    found = [q.value if q.lo is None else q.lo for record in records.records if (q := record.plqy) is not None]
    least = [x for x in found if x is not None]
    return min(*least, LARGEST_YIELD) if least else None


def with_yield(candidates: Iterable[Candidate], least: float | None) -> tuple[Candidate, ...]:
    """Radiative lifetimes that are not below what the yield allows."""
    if not least:
        return tuple(candidates)
    found = []
    for candidate in candidates:
        kept = tuple(
            p.model_copy(update={"least_fraction": least}) if (p.observable, p.relation) == (LIFETIME, "at_most") else p
            for p in candidate.predictions
        )
        found.append(candidate.model_copy(update={"predictions": kept}))
    return tuple(found)
