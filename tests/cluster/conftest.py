"""One stack for all tests of the cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import stack as cluster_stack
from harness import BIN, Cluster, until


def pytest_collection_modifyitems(items):
    """The first test sends what takes long; refusals are tested while that waits and runs."""
    items.sort(key=lambda item: (item.name != "test_scancel_then_rerun", "test_bad_input" not in item.nodeid))


@pytest.fixture(scope="session")
def cluster():
    lacking = cluster_stack.missing()
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed: python tests/cluster/stack.py install")
    root = Path(tempfile.mkdtemp(prefix="mg", dir="/tmp"))  # short: sockets have names of 107 characters at most
    before = dict(os.environ)
    os.environ["JFREMOTE_PROJECTS_FOLDER"] = str(root / "projects")
    try:
        begun = time.monotonic()
        with cluster_stack.Stack(root / "stack") as stack:
            print(f"stack: {time.monotonic() - begun:.1f} s")
            here = Cluster(stack, root)
            try:
                yield here
            finally:
                subprocess.run(["scancel", "--user", str(os.getuid())], check=False)
                until(lambda: not subprocess.run(["squeue", "-h"], capture_output=True).stdout, 30, "an empty queue")
                for started in (root / "projects").glob("*/daemon/supervisord.pid"):
                    subprocess.run([str(BIN / "midgap"), "cluster", "stop", started.parts[-3]], check=False)
    finally:
        os.environ.clear()
        os.environ.update(before)
        if os.environ.get("MIDGAP_KEEP") != "1":
            shutil.rmtree(root, ignore_errors=True)
