"""What is installed here, and how to get what is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from midgap.structures.errors import ComputationError, InputError

PACKAGES = {
    "ase": "structures and engines",
    "pymatgen": "structures, symmetry",
    "jobflow": "flows",
    "custodian": "runs engines",
    "atomate2": "how VASP is started",
    "phonopy": "phonons",
    "numpy": "arrays",
    "spglib": "symmetry",
    "montydb": "the embedded store",
}
EXTRAS = {
    "numba": ("photons", "photon statistics"),
    "ptufile": ("photons", "PicoQuant streams"),
    "h5py": ("photons", "Photon-HDF5"),
    "pyarrow": ("photons", "Parquet tables"),
    "jobflow-remote": ("hpc", "flows through a queue"),
}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes
    ----------
    remedy
        The command that would help, or nothing if all is well.
    essential
        Without it midgap itself does not work.
    """

    name: str
    present: bool
    detail: str
    remedy: str = ""
    essential: bool = False


def examine() -> Iterator[Finding]:
    """Look at Python, the packages, the engines and the machine."""
    yield Finding(
        "Python",
        sys.version_info >= (3, 11),
        ".".join(map(str, sys.version_info[:3])),
        "install Python 3.11 or newer",
        True,
    )
    for package, use in PACKAGES.items():
        try:
            yield Finding(package, True, f"{version(package)} ({use})")
        except PackageNotFoundError:
            yield Finding(package, False, use, f"pip install {package}", True)
    for package, (extra, use) in EXTRAS.items():
        try:
            yield Finding(package, True, f"{version(package)} ({use})")
        except PackageNotFoundError:
            yield Finding(package, False, use, f"pip install 'midgap[{extra}]'")
    from midgap.workflows.engines import ENGINE_NAMES, engine_named

    for name in ENGINE_NAMES:
        engine = engine_named(name)
        does = ", ".join(engine.theories)
        for_what = " and ".join(w for w, yes in (("crystals", engine.periodic), ("clusters", engine.clusters)) if yes)
        missing = engine.missing()
        if missing is None:
            yield Finding(name.upper(), True, f"{engine.version()} ({for_what}: {does})")
        else:
            yield Finding(name.upper(), False, f"{for_what}: {does}", missing)
    if shutil.which("g++") is None:
        yield Finding("g++", False, "builds GPAW", "apt-get install g++, or: conda install -c conda-forge cxx-compiler")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    yield Finding(
        "machine", True, f"{cores} cores, {_memory_GB():.0f} GB of memory, {_free_GB():.0f} GB free on this disk"
    )


def _memory_GB() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _free_GB() -> float:
    return shutil.disk_usage(Path.cwd()).free / 1e9


def install_gpaw() -> str:
    """Build GPAW into this environment without root: pip, g++ and nothing else.

    GPAW's own build wants libxc from the system. PySCF's wheel carries one, headers included, so that is
    what it is linked to. pip must not take a wheel from its cache, which would ignore the configuration.

    Returns
    -------
    str
        The version built.

    Raises
    ------
    InputError
        There is no g++, or no virtual environment to install to.
    ComputationError
        The build failed; carries its last line.
    """
    if shutil.which("g++") is None:
        raise InputError("Building GPAW needs g++: apt-get install g++, or: conda install -c conda-forge cxx-compiler.")
    install_pyscf()
    _pip("install", "gpaw-data>=1.2", "pyfftw>=0.15")
    found = subprocess.run(
        [sys.executable, "-c", "import pyscf; print(pyscf.__path__[0])"], capture_output=True, text=True, check=False
    )
    deps = Path(found.stdout.strip()) / "lib" / "deps"
    if found.returncode or not (deps / "include" / "xc.h").exists():
        raise ComputationError(
            "This PySCF brings no libxc headers; install a PySCF wheel from PyPI (pip install --force-reinstall pyscf)."
        )
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "siteconfig.py"
        config.write_text(
            "compiler = 'g++'\nmpi = False\nnoblas = True\nfftw = False\nscalapack = False\nnolibxc = False\n"
            "libraries = ['xc']\n"
            f"include_dirs += [{str(deps / 'include')!r}]\n"
            f"library_dirs += [{str(deps / 'lib')!r}]\n"
            f"runtime_library_dirs += [{str(deps / 'lib')!r}]\n"
        )
        _pip("install", "--no-cache-dir", "gpaw>=26.7", environment={"GPAW_CONFIG": str(config)})
    check = subprocess.run(
        [sys.executable, "-c", "import gpaw, _gpaw; print(gpaw.__version__)"],
        capture_output=True,
        text=True,
        check=False,
    )
    if check.returncode:
        raise ComputationError(f"GPAW was built but does not start: {check.stderr.strip().splitlines()[-1]}")
    return check.stdout.strip()


def install_pyscf() -> str:
    """Install PySCF's wheel; returns its version.

    Raises
    ------
    ComputationError
        pip failed.
    """
    _pip("install", "pyscf>=2.9")
    return version("pyscf")


def _pip(*arguments: str, environment: dict[str, str] | None = None) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments],
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        lines = [line for line in process.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise ComputationError(f"pip {' '.join(arguments)} failed: {lines[-1].strip() if lines else 'no message'}.")
