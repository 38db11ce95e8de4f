"""Keep the results of finished runs as this folder's examples, and the README's picture.

python examples/collect.py DEMO_FOLDER [MORE...]

DEMO_FOLDER is that of ``midgap run --preset demo``; MORE are folders of single calculations, as a flow or
`midgap.workflows.execution.run` leaves them: V_Br⁻ and the clusters of Cs4PbBr6, the vacancy of CsPbBr3.
"""

import json
import shutil
import sys
from pathlib import Path

from midgap.defects.parsers.densities import write_densities
from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison, best_theory, compare
from midgap.experiment.records import published_records
from midgap.report.figures import level_figure

HERE = Path(__file__).parent
NAMES = {
    "pristine_22": "Cs4PbBr6/pristine",
    "V_Br1_q0_22": "Cs4PbBr6/V_Br0",
    "V_Br1_q+1_22": "Cs4PbBr6/V_Br+",
    "V_Br1_q-1_22": "Cs4PbBr6/V_Br-",
    "octahedron_PbBr6_embedded": "Cs4PbBr6/octahedron",
    "V_Br1_q0_PbBr5_embedded": "Cs4PbBr6/octahedron_V_Br0",
    "V_Br1_q+1_PbBr5_embedded": "Cs4PbBr6/octahedron_V_Br+",
    "pristine_40": "CsPbBr3/pristine",
    "V_Br1_q0_40": "CsPbBr3/V_Br0",
}


def main(run: Path, *more: Path) -> None:
    """Copy the results that need no engine to look at, and draw the picture."""
    out = HERE / "Cs4PbBr6"
    out.mkdir(exist_ok=True)
    shutil.copy(run / "levels.json", out / "levels.json")
    for path in [*sorted((run / "jobs").glob("*/result.json")), *(folder / "result.json" for folder in more)]:
        result = json.loads(path.read_text())
        name = NAMES.get(result["model"]["name"])
        if name is not None and result["task"] == "static":
            (HERE / name).mkdir(parents=True, exist_ok=True)
            result["model"]["embedding"] = None  # 10,000 point charges, which `midgap build` makes anew
            (HERE / name / "result.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")
    levels, records = Levels.read(out / "levels.json"), published_records("Cs4PbBr6")
    reports = {report.model: report for report in levels.reports if report.levels}
    for path in sorted((run / "jobs").glob("*/wavefunctions.gpw")):
        result = json.loads((path.parent / "result.json").read_text())
        if result["task"] == "static" and result["model"]["name"] in reports:
            write_densities(path.parent, reports[result["model"]["name"]], out / "densities")
    comparison = compare(levels, records)
    comparison.write(out / "comparison.json")
    draw(levels, comparison)


def draw(levels: Levels, comparison: Comparison) -> None:
    """The README's picture."""
    energy = comparison.ensemble("pl_peak_eV")
    theory = best_theory(levels.reports)
    figure = level_figure(levels, theory, comparison, energy.quantity, from_band=energy.from_band)
    figure.savefig(HERE.parent / "docs" / "levels.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
