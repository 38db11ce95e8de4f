"""Keep the results of a finished ``midgap run --preset demo`` as this folder's example and the README's picture.

python examples/collect.py DEMO_FOLDER
"""

import json
import shutil
import sys
from pathlib import Path

from midgap.defects.report import Levels
from midgap.experiment.comparison import best_theory, compare, main_peak
from midgap.experiment.records import published_records
from midgap.report.figures import level_figure

HERE = Path(__file__).parent
NAMES = {"pristine_22": "pristine", "V_Br1_q0_22": "V_Br0", "V_Br1_q+1_22": "V_Br+"}


def main(run: Path) -> None:
    """Copy the results that need no engine to look at, and draw the picture."""
    out = HERE / "Cs4PbBr6"
    out.mkdir(exist_ok=True)
    for name in ("levels.json", "comparison.json"):
        shutil.copy(run / name, out / name)
    for path in sorted((run / "jobs").glob("*/result.json")):
        result = json.loads(path.read_text())
        name = NAMES.get(result["model"]["name"])
        if name is not None and result["task"] == "static":
            (out / name).mkdir(exist_ok=True)
            shutil.copy(path, out / name / "result.json")
    levels, records = Levels.read(out / "levels.json"), published_records("Cs4PbBr6")
    figure = level_figure(levels, best_theory(levels.reports), compare(levels, records), main_peak(records))
    figure.savefig(HERE.parent / "docs" / "levels.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
