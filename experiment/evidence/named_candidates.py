"""Candidates that a person writes down, among them excitons of small crystals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from midgap.experiment.evidence.candidates import Candidate
from midgap.experiment.evidence.confinement import Confinement
from midgap.experiment.evidence.polarisation import POLARISATION, polarised
from midgap.experiment.evidence.predictions import Prediction, SizeCurve, Uncertainty
from midgap.experiment.records import data_file
from midgap.structures.document import Document, read_json
from midgap.structures.errors import InputError

SIZES = 60
"""Sizes between the smallest and the largest that an inclusion may have, evenly on a logarithmic scale."""
SIZES_OF_PARTICLES_NM = (4.0, 40.0)
"""Where a crystal is the particle itself, its energy is tabulated between these."""


class NamedCandidate(Document):
    """A candidate as a person writes it down.

    Attributes
    ----------
    confinements
        Parameters of the same inclusion from one or more sources; the first gives the energies, the others how far
        sources differ. With ``sizes_nm``, its smallest and largest size where that is not known, or without: then it
        is the particle itself, whose size the records have.
    uncertainties
        Of the energy by confinement, beside those.
    observed
        See `Candidate`.
    """

    name: str = Field(min_length=1)
    label: str = ""
    description: str = ""
    source: str = ""
    observed: str = ""
    predictions: tuple[Prediction, ...] = ()
    not_predicted: dict[str, str] = {}
    confinements: tuple[Confinement, ...] = ()
    sizes_nm: tuple[PositiveFloat, PositiveFloat] | None = None
    uncertainties: tuple[Uncertainty, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> NamedCandidate:
        if not self.predictions and not self.confinements:
            raise ValueError(f"{self.name} predicts nothing; give it predictions or confinements")
        if self.sizes_nm is not None and not self.sizes_nm[0] < self.sizes_nm[1]:
            raise ValueError("sizes_nm is the smallest and the largest size")
        return self

    def candidate(self) -> Candidate:
        """With the energies by confinement worked out."""
        energy = self._confined() if self.confinements else ()
        return Candidate(
            name=self.name,
            label=self.label or self.name,
            origin="confinement" if self.confinements else "user",
            description=self.description,
            source=self.source,
            observed=self.observed,
            predictions=(*energy, *self.predictions),
            not_predicted=self.not_predicted,
        )

    def _confined(self) -> tuple[Prediction, ...]:
        """What it emits, and how polarised."""
        first, *others = self.confinements
        low, high = self.sizes_nm or SIZES_OF_PARTICLES_NM
        sizes = np.geomspace(low, high, SIZES)
        energies = first.curve(sizes)
        known = []
        if others:
            apart = max(float(np.abs(other.curve(sizes) - energies).mean()) for other in others)
            known.append(
                Uncertainty(
                    source="parameters",
                    value=apart,
                    note="mean difference of the energies by other published parameters",
                )
            )
        if first.gap_uncertainty_eV is not None:
            known.append(Uncertainty(source="gap", value=first.gap_uncertainty_eV))
        size = f"{low:g} to {high:g} nm, evenly on a logarithmic scale"
        emitted = Prediction(
            observable="pl_peak_eV",
            value=float(np.median(energies)),
            alternatives=energies if self.sizes_nm is not None else None,
            by_size=SizeCurve(size_nm=sizes, value=energies),
            uncertainties=(*known, *self.uncertainties),
            basis=(
                f"exciton in a {first.shape} of {size}, by effective masses: gap {first.gap_eV:g} eV and confinement less "
                f"attraction, variational; μ = {first.reduced_mass_me:g} m₀, ε = {first.relative_permittivity:g}"
                f"{f', walls of {first.barrier_eV:g} eV' if first.barrier_eV else ''}: {first.source}"
            ),
        )
        fine = Uncertainty(source="fine structure and shape", effect="raises", note="of a crystal that is not cubic")
        unpolarised = polarised([1 / 3] * 3, "bands that are alike in all directions", (fine,))
        given = any(prediction.observable == POLARISATION for prediction in self.predictions)
        return (emitted,) if given else (emitted, unpolarised)


class CandidateList(Document):
    """Candidates that come from elsewhere than calculations at hand."""

    material: str = ""
    candidates: tuple[NamedCandidate, ...]


def read_candidates(path: Path) -> tuple[Candidate, ...]:
    """Candidates from a JSON or YAML file: a `CandidateList`, a list of candidates, or one.

    Raises
    ------
    InputError
        The file is neither, or a candidate in it is not valid.
    """
    data = _read(path)
    if isinstance(data, dict) and "candidates" not in data:
        data = [data]
    if isinstance(data, list):
        data = {"candidates": data}
    return tuple(named.candidate() for named in CandidateList.from_dict(data, source=str(path)).candidates)


def _read(path: Path) -> Any:
    if path.suffix.lower() not in (".yaml", ".yml"):
        return read_json(path)
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML ({str(error).splitlines()[0]}).") from None


def known_candidates(material: str) -> tuple[Candidate, ...]:
    """What midgap holds of a material beside what can be computed of it: for Cs4PbBr6 an inclusion of CsPbBr3."""
    try:
        path = data_file(material, "candidates")
    except InputError:
        return ()
    return read_candidates(path)
