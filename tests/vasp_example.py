"""What the tests of VASP share: models, programs that stand for VASP, potentials without content."""

import json
import sys
from pathlib import Path

import numpy as np

from midgap.structures.build import build_models
from midgap.structures.model import Model
from midgap.structures.theory import LevelOfTheory
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines.vasp import Vasp

STANDIN = Path(__file__).parent / "vasp_standin" / "vasp.py"
VASP = Vasp()

POTCAR = """  PAW_PBE {symbol} 01Jan2000
   {valence:.14f}
 parameters from PSCTR are:
   VRHFIN ={element}: s2p6
   LEXCH  = PE
   EATOM  =   100.0000 eV,    7.3500 Ry

   TITEL  = PAW_PBE {symbol} 01Jan2000
   LULTRA =        F    use ultrasoft PP ?
   POMASS =    1.000; ZVAL   =   {valence:.3f}    mass and valenz
   RCORE  =    2.000    outmost cutoff radius
   ENMAX  =  {enmax:.3f}; ENMIN  =  100.000 eV
   EAUG   =  300.000
END of PSCTR-controll parameters
 local part
  1.0
 End of Dataset
"""
"""The head of a potential, which is all that the stand-in reads, and no potential."""

KNOWN = {"Cs_sv": (9, 220.318), "Pb_d": (14, 237.835), "Br": (7, 216.285), "Sn_d": (14, 241.083), "I": (7, 175.647)}


def models(charges=(-1, 0, 1)) -> list[Model]:
    """The pristine cell, the vacancy in each charge, and the one cluster without point charges."""
    found = build_models("Cs4PbBr6", charges=charges)
    return [model for model in found if model.embedding is None]


def calculation(model: Model, theory="pbe", task="static", settings=None, kpoints=(1, 1, 1), **more) -> Calculation:
    return Calculation(
        model=model,
        theory=LevelOfTheory.named(theory, kpoints=kpoints),
        task=task,
        engine_settings=settings or {},
        **more,
    )


def shaken(model: Model, by_ang=0.02, seed=1) -> Model:
    """Atoms off their places, so that there is something to relax."""
    noise = np.random.default_rng(seed).normal(scale=by_ang, size=(len(model.species), 3))
    return model.at(model.positions_ang + noise)


def install(folder: Path, monkeypatch, programs=("std", "gam", "ncl"), potentials=None) -> Path:
    """Put the stand-in and potentials into a folder and let everything know; returns where the faults go."""
    folder.mkdir(parents=True, exist_ok=True)
    for program, setting in (("std", "VASP_CMD"), ("gam", "VASP_GAMMA_CMD"), ("ncl", "VASP_NCL_CMD")):
        path = folder / f"vasp_{program}"
        if program in programs:
            path.write_text(f'#!/bin/sh\nexec {sys.executable} -S "{STANDIN}" {program}\n')
            path.chmod(0o755)
        monkeypatch.setenv(f"ATOMATE2_{setting}", str(path))
    write_potentials(folder / "potentials", potentials or KNOWN)
    use_potentials(monkeypatch, folder / "potentials")
    faults = folder / "faults.json"
    monkeypatch.setenv("VASP_STANDIN", str(faults))
    return faults


def write_potentials(folder: Path, known) -> None:
    home = folder / "POT_GGA_PAW_PBE_54"
    home.mkdir(parents=True, exist_ok=True)
    for symbol, (valence, enmax) in known.items():
        element = symbol.partition("_")[0]
        text = POTCAR.format(symbol=symbol, element=element, valence=float(valence), enmax=enmax)
        (home / f"POTCAR.{symbol}").write_text(text)


def use_potentials(monkeypatch, folder: Path | None) -> None:
    """In this process, which has read its settings, and in those it starts."""
    from pymatgen.core import SETTINGS

    if folder is None:
        monkeypatch.delitem(SETTINGS, "PMG_VASP_PSP_DIR", raising=False)
        monkeypatch.delenv("PMG_VASP_PSP_DIR", raising=False)
        return
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(folder))
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(folder))


def inject(faults: Path, *every: dict) -> None:
    faults.write_text(json.dumps(every))


def starts(folder: Path) -> list[dict]:
    """What the stand-in noted each time it was started in a folder."""
    log = folder / "standin.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def let_time_run_out(monkeypatch, when, left_s=50.0) -> None:
    """From the moment that ``when`` says so, the queue leaves less than VASP needs to write its files."""
    from midgap.workflows import execution
    from midgap.workflows.engines import vasp as engine

    monkeypatch.setattr(engine, "LEAD_S", 61.0)
    monkeypatch.setattr(execution, "MARGIN_S", 45.0)
    monkeypatch.setattr(execution, "end_of_time", lambda: 0.0)
    monkeypatch.setattr(execution, "left_s", lambda end: left_s if when() else 1000.0)
