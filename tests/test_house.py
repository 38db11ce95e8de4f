"""The order of the rooms: data flows from left to right, imports only look left."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("structures", "defects", "workflows", "experiment", "report", "cli")


def imported_rooms(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.startswith("midgap."):
                yield name.split(".")[1]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_from_their_left(room):
    allowed = ROOMS[: ROOMS.index(room) + 1]
    modules = [path for path in (ROOT / room).rglob("*.py")]
    assert modules
    for path in modules:
        for other in imported_rooms(path):
            assert other in allowed, f"{path.relative_to(ROOT)} imports midgap.{other}"


def test_every_room_is_packaged_and_typed():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    mapped = project["tool"]["setuptools"]["package-dir"]
    folders = {
        path.parent.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(mapped.values()) == folders
    assert set(project["tool"]["setuptools"]["packages"]) == set(mapped)
    for folder in folders:
        assert (ROOT / folder / "py.typed").exists(), folder


HEAVY = "ase jinja2 jobflow matplotlib numba numpy pandas phonopy pyarrow pymatgen pyscf scipy spglib"  # pydantic comes with typer
LOADED = f"""
import atexit, sys
atexit.register(lambda: print(sorted({set(HEAVY.split())!r} & {{m.split('.')[0] for m in sys.modules}}), file=sys.stderr))
from midgap.cli.main import main
sys.argv = ["midgap", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["--help"], {}, "Is this defect the emitter?"),
        (["levels", "--help"], {}, "--reference"),
        ([], {"_MIDGAP_COMPLETE": "complete_bash", "COMP_WORDS": "midgap comp", "COMP_CWORD": "1"}, "compare"),
        ([], {"_MIDGAP_COMPLETE": "complete_bash", "COMP_WORDS": "midgap schema Lev", "COMP_CWORD": "2"}, "Levels"),
    ],
    ids=["help", "help of a command", "completion of a command", "completion of a word"],
)
def test_help_is_quick_because_nothing_heavy_is_imported(words, environment, said):
    import os
    import subprocess
    import sys

    shown = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, env=os.environ | environment, check=True
    )
    assert said in shown.stdout and shown.stderr.strip() == "[]"
