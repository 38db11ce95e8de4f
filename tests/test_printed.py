"""What commands print with --json is of a published kind."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from midgap.cli import printed
from midgap.cli.schema import PUBLISHED, published
from midgap.experiment.photons.power import PowerStudy

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ROOT / "examples" / "Cs4PbBr6" / "levels.json"
JOB = {"id": "1", "uuid": "a", "name": "relax", "state": "queued", "queue_id": None, "allocation": 1, "elapsed_s": None}


def fits(said: str, name: str) -> dict:
    """One object, of this kind, that comes back as what it was."""
    data = json.loads(said)
    jsonschema.validate(data, json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text()))
    assert type(document := published(name).from_dict(data)).from_dict(document.to_dict()) == document
    return data


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["build", "--no-clusters", "--out", "{folder}"], "Models"),
        (["doctor"], "Doctor"),
        (["simulate", "{folder}/s.ptu", "--duration", "0.05"], "Simulation"),
        (["simulate", "{folder}/s.ptu", "--duration", "0.05", "--continuous", "1e5"], "Simulation"),
        (["check", LEVELS, LEVELS], "Check"),
        (["run", "--preset", "quick", "--dry-run", "--out", "{folder}"], "Plan"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_what_is_printed_fits_its_schema(words, name, midgap, tmp_path):
    if words[0] == "simulate":
        pytest.importorskip("numba")
    said = midgap(*(str(word).format(folder=tmp_path) for word in words), "--json")
    assert fits(said.out, name)["schema"] == f"midgap.{name}"


def test_what_a_run_leaves_fits_its_schema(capsys, tmp_path):
    from midgap.cli.results import print_json, tell, write
    from midgap.defects.report import Levels
    from midgap.experiment.records import published_records

    left = write(Levels.read(LEVELS), published_records("Cs4PbBr6"), tmp_path)
    print_json(left)
    data = fits(capsys.readouterr().out, "Outcome")
    assert [Path(data[name]).is_file() for name in ("levels", "comparison", "page")] == [True] * 3
    tell(left)
    assert data["page"] in capsys.readouterr().out


@pytest.mark.parametrize(
    "document",
    [
        PowerStudy(axis="power", ci_level=0.95, points=(), g2_over_power=None),
        printed.Outcome(folder="run", failed=(printed.FailedJob(job="relax", error="killed"),), not_done=2),
        printed.Sent(folder="run", flow="a", project="p", worker="w", sent=True),
        printed.SubmissionPlan(worker="w", jobs=(printed.AskedFor(name="relax", resources={"nodes": 1}),)),
        printed.QueueState.from_dict(
            {
                "worker": "w",
                "runner": False,
                "jobs": [JOB | dict.fromkeys(("folder", "model", "task", "theory", "engine")) | {"now": ""}],
            }
        ),
        printed.Cancelled(cancelled=("1",)),
        printed.SentAgain(sent=()),
    ],
    ids=lambda document: type(document).__name__,
)
def test_what_needs_a_cluster_to_be_printed_fits_its_schema(document):
    fits(json.dumps(document.to_dict()), type(document).__name__)


def test_nothing_is_printed_as_json_without_a_schema():
    """All go through `print_json`, and what they are made of there is published."""
    for path in (ROOT / "cli").glob("*.py"):
        text = path.read_text()
        assert "print(json" not in text or path.name == "results.py", path.name
        assert '"--json"' not in text or "print_json(" in text, path.name
    kinds = set(re.findall(r"^class (\w+)\(Document\)", Path(printed.__file__).read_text(), re.MULTILINE))
    assert kinds - set(PUBLISHED) == {"Truth", "FailedJob", "AskedFor", "ShownJob"}, "parts of others"
