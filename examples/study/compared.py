"""The large cell's levels and emissions as candidates, held against what was published of the crystals."""

from __future__ import annotations

from collections.abc import Iterator

from reports import Results

from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison, compare
from midgap.experiment.evidence.emission_candidates import from_emission, read_emission
from midgap.experiment.evidence.named_candidates import known_candidates
from midgap.experiment.evidence.tables import markdown
from midgap.experiment.records import published_records

MATERIAL = "Cs4PbBr6"
IN_PLACE_OF = {
    "V_Br1_q0_66:level-VBM": "0_to_+",
    "V_Br1_q-1_66:level-VBM": "-_to_0",
    "V_Br1_q0_66:CBM-level": "0_to_-",
    "V_Br1_q+1_66:CBM-level": "+_to_0",
}
"""Emissions of total energies, by the transition between levels that each is the better prediction of."""


def comparison(results: Results) -> Comparison:
    """What `midgap compare` says of them."""
    emissions = (
        from_emission(read_emission(results.folder / f"emission_large_{pair}.json"), name, name)
        for name, pair in IN_PLACE_OF.items()
    )
    levels, records = Levels.read(results.folder / "levels.json"), published_records(MATERIAL)
    return compare(levels, records, others=(*known_candidates(MATERIAL), *emissions))


def evidence(results: Results) -> Iterator[str]:
    """Its table of evidence, and below it in words."""
    found = comparison(results)
    yield markdown(found).rstrip()
    for sentence in found.statements:
        yield f"\n> {sentence}"
