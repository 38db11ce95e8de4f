"""Custodian's handlers for VASP, those that suit hybrids and defects, and how their corrections are kept.

Left out of custodian's list, and why: handlers of smearing (levels in the gap must not be smeared; no
tetrahedra here), of k-spacing (meshes are given), of positive energies, of drift; of the errors
``triple_product`` (it turns the cell, and with it what the defect is compared with), ``brmix`` (a
charged cell differs in density by design; custodian skips it there too), ``subspacematrix`` (a warning
that converged runs print, for which nothing is left to correct at PREC = Accurate, LREAL = F) and
``auto_nbands`` (only a warning).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from custodian.custodian import ErrorHandler
from custodian.vasp.handlers import PotimErrorHandler, StdErrHandler, UnconvergedErrorHandler, VaspErrorHandler
from pymatgen.io.vasp.inputs import Incar

from midgap.structures.document import write_atomic
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines.vasp_files import CORRECTIONS, corrections, run_state
from midgap.workflows.engines.vasp_settings import VaspSettings

NOT_KEPT = {"ISTART", "ICHARG", "NSW", "SYSTEM", "MAGMOM"}
"""What follows from the files that are there, or what pymatgen only writes differently."""

LEFT_OUT = {"triple_product", "brmix", "subspacematrix", "auto_nbands"}


def handlers_for(calculation: Calculation, folder: Path) -> list[ErrorHandler]:
    """The handlers of a calculation, in the order in which they are asked."""
    errors = [name for name in VaspErrorHandler.error_msgs if name not in LEFT_OUT]
    handlers: list[ErrorHandler] = [
        VaspErrorHandler("stdout.txt", errors_subset_to_catch=errors),
        StdErrHandler("stderr.txt"),
        NotConverged(),
    ]
    if calculation.task == "relax":
        handlers.append(PotimErrorHandler())
    recorded: list[ErrorHandler] = [Recorded(handler, folder) for handler in handlers]
    return [*recorded, Frozen(3600 * VaspSettings.of(calculation).frozen_after_h)]


class Recorded(ErrorHandler):
    """A handler whose changes of the INCAR are kept, so that a restart does not forget them."""

    def __init__(self, handler: ErrorHandler, folder: Path) -> None:
        self.handler, self.folder = handler, folder
        self.is_monitor, self.is_terminating = handler.is_monitor, handler.is_terminating

    def check(self, directory: str = "./") -> bool:
        return bool(self.handler.check(directory))

    def correct(self, directory: str = "./") -> dict[str, Any]:
        before = Incar.from_file(self.folder / "INCAR")
        done: dict[str, Any] = self.handler.correct(directory)
        if done["actions"] == []:
            # Some of custodian's ladders begin with what is set here already: the next rung may help.
            done = self.handler.correct(directory)
        after = Incar.from_file(self.folder / "INCAR")
        changed = {
            name: after.get(name)
            for name in sorted({*before, *after} - NOT_KEPT)
            if before.get(name) != after.get(name)
        }
        if changed:
            write_atomic(self.folder / CORRECTIONS, json.dumps(corrections(self.folder) | changed) + "\n")
        return done


class NotConverged(UnconvergedErrorHandler):
    """Custodian's ladder of algorithms (hybrids: Normal, All, Damped), for the SCF alone.

    Its own check reads the whole vasprun.xml, which may be gigabytes, and takes a relaxation that was
    stopped or used up its steps for an error. Each rung may cost a day, and the ladder is a circle: it is
    climbed once.
    """

    RUNGS = 3

    def __init__(self) -> None:
        super().__init__("vasprun.xml")
        self.times = 0

    def check(self, directory: str = "./") -> bool:
        state = run_state(Path(directory))
        return state.finished and not state.stopped and not state.scf_converged

    def correct(self, directory: str = "./") -> dict[str, Any]:
        self.times += 1
        if self.times > self.RUNGS:
            return {"errors": ["the SCF does not converge"], "actions": None}
        done: dict[str, Any] = super().correct(directory)
        return done


class Frozen(ErrorHandler):
    """A run that has written nothing for long is ended, once, and gone on with."""

    is_monitor = True

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.times = 0

    def check(self, directory: str = "./") -> bool:
        written = [
            path.stat().st_mtime
            for name in ("stdout.txt", "OUTCAR", "OSZICAR", "vasprun.xml")
            if (path := Path(directory) / name).exists()
        ]
        return bool(written) and time.time() - max(written) > self.timeout_s

    def correct(self, directory: str = "./") -> dict[str, Any]:
        # Counted here: custodian lets a run hang on once a handler's number of corrections is used up.
        self.times += 1
        again = ["go on from the restart files"] if self.times == 1 else None
        return {"errors": [f"nothing was written for {self.timeout_s:g} s"], "actions": again}
