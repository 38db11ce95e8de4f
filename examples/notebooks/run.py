"""Run the notebooks beside this file anew and keep what they show: python examples/notebooks/run.py [NAME...]."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def main(*names: str) -> None:
    """Without names, all of them; no time of day is kept, so that only what changed is another line."""
    for path in [HERE / f"{name}.ipynb" for name in names] or sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        resources = {"metadata": {"path": str(HERE)}}
        NotebookClient(notebook, timeout=900, startup_timeout=300, record_timing=False, resources=resources).execute()
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
