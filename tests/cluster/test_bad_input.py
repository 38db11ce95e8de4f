"""What is not as it should be is told in one sentence before anything waits in a queue."""

from __future__ import annotations

import subprocess
import sys

import pytest
from stack import free_port

QUICK = ("submit", "--preset", "quick", "--theory", "pbe", "--no-start")


@pytest.fixture
def salt(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text("NaCl\n5.64\n0 .5 .5\n.5 0 .5\n.5 .5 0\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n")
    return path


@pytest.fixture
def refused(cluster, salt, tmp_path):
    """The sentence with which a submission is refused."""

    def submit(project, *words, code=2):
        out = tmp_path / "out"
        said = cluster.midgap(*QUICK, "--material", salt, "--out", out, "--project", project, *words, code=code)
        assert said.startswith("midgap: ") and said.endswith(".")
        assert not (out / "submission.json").exists()
        return said

    return submit


def test_unknown_worker(cluster, refused):
    cluster.init("worker")
    assert "has no worker 'nowhere'; it has cluster" in refused("worker", "--worker", "nowhere")
    assert "There is no project 'nothing'" in refused("nothing")


def test_no_database(cluster, refused):
    port = free_port()
    cluster.init("nodb", database=f"127.0.0.1:{port}")
    assert f"No database answers at 127.0.0.1:{port}" in refused("nodb", code=1)


def test_wrong_credentials(cluster, refused, monkeypatch):
    monkeypatch.setenv("MIDGAP_DATABASE_PASSWORD", "not-it")
    cluster.init("login", "--username", "bob")
    said = refused("login", code=1)
    assert "does not accept the password of bob" in said
    assert "not-it" not in said


def test_unknown_partition(cluster, refused):
    cluster.init("partition", partition="nope")
    said = refused("partition")
    assert "would be refused by Slurm: Invalid partition name specified (asked: partition nope)" in said
    assert "partitions there: debug" in said


def test_package_missing_on_the_worker(cluster, refused, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    cluster.init("bare", "--pre-run", f"export PATH={bare}/bin:$PATH")
    said = refused("bare")
    assert "midgap is missing there" in said
    assert "pip install 'midgap[hpc]==" in said


def test_version_mismatch(cluster, refused, tmp_path):
    """Another jobflow-remote comes first on the worker's path, as far as its metadata go."""
    other = tmp_path / "other" / "jobflow_remote-0.1.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: jobflow-remote\nVersion: 0.1.9\n")
    cluster.init("versions", "--pre-run", f"{cluster.pre_run}; export PYTHONPATH={other.parent}:$PYTHONPATH")
    said = refused("versions")
    assert "jobflow-remote is 0.1.9 here and" in said
    assert "pip install 'jobflow-remote==" in said


def test_full_disk(cluster, refused, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(full)], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted here")
    try:
        cluster.init("full", "--work-dir", full)
        assert "work_dir" in (said := refused("full")) and "No space left on device" in said
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_nothing_sent_from_here(cluster, tmp_path):
    assert "Nothing was sent to a cluster from" in cluster.midgap("status", tmp_path, code=2)


def test_the_same_question_is_sent_once(cluster, salt, tmp_path):
    from midgap.workflows.cluster.project import controller, open_project

    cluster.init("twice")
    words = (*QUICK, "--no-check", "--material", salt, "--charges", 1, "--out", tmp_path, "--project", "twice")
    cluster.midgap(*words)
    cluster.midgap(*words)
    assert controller(open_project("twice")).count_flows() == 1
    assert "other theory" in cluster.midgap(*words, "--theory", "pbe+soc", code=2)
