"""The example notebooks run, and what they show is kept with them."""

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
NEEDS = {"cif_to_levels": "gpaw", "photons_to_record": "numba"}


def shown(notebook):
    """What each cell shows, by kind: an error is one too."""
    return [
        [kind for output in cell.outputs for kind in sorted(output.get("data", {output.get("name", "error"): ""}))]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.engine
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_is_committed_with(path, monkeypatch):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    committed = nbformat.read(path, as_version=4)
    fresh = nbformat.from_dict(committed)
    where = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(fresh, timeout=900, startup_timeout=300, resources=where).execute()
    assert shown(fresh) == shown(committed)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_committed_notebook_is_small_clean_and_in_order(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = [kind for cell in shown(notebook) for kind in cell]
    assert not {"stderr", "error"} & set(kinds) and {"text/html", "image/png"} <= set(kinds)
    assert path.stat().st_size < 250_000
    text = path.read_text()
    assert "/tmp/" not in text and str(Path.home()) + "/" not in text
    for cell in code:
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert base64.b64decode(output.data["image/png"])[:8] == b"\x89PNG\r\n\x1a\n"
