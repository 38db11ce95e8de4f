"""Stands for vasp_std, vasp_gam and vasp_ncl in tests: checks its input, then writes what VASP writes.

    python vasp.py std|gam|ncl

Energies are of springs that pull each atom to the nearest point of a fine grid, so that where a
relaxation ends does not depend on how often it was interrupted; the bands have a gap and, where a
bromine is missing, a level in it on the first Pb atom. No physics is claimed.

``VASP_STANDIN`` names a JSON file with a list of faults, each {"system": "substring of SYSTEM and program",
"run": n-th start in the folder, "do": what, ...}. Each start leaves a line in ``standin.log``.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import inputs
import outputs


def fault(system, number):
    plan = os.environ.get("VASP_STANDIN")
    if not plan or not Path(plan).is_file():
        return {}
    for one in json.loads(Path(plan).read_text()):
        if one.get("system", "") in system and number in one.get("runs", [1]):
            return one
    return {}


def say(*words):
    print(*words, flush=True)


def stopcar():
    path = Path("STOPCAR")
    text = path.read_text().upper() if path.exists() else ""
    return "LABORT" if "LABORT = .T" in text else "LSTOP" if "LSTOP = .T" in text else ""


def main(program):
    log = Path("standin.log")
    number = len(log.read_text().splitlines()) + 1 if log.exists() else 1
    say(f" running on    1 total cores\n vasp.6.3.0 20Jan22 stand-in {program}")
    try:
        found = inputs.read(program)
    except inputs.Refused as refusal:
        with log.open("a") as stream:
            stream.write(json.dumps({"program": program, "refused": str(refusal)}) + "\n")
        say(f" {refusal}")
        return 1
    incar = found.incar
    keep = ("SYSTEM", "ISTART", "ICHARG", "NSW", "ALGO", "EDIFF", "IBRION", "KPAR", "NELECT", "NBANDS")
    with log.open("a") as stream:
        line = {name: incar[name] for name in keep if name in incar}
        stream.write(json.dumps({"program": program, "frac": found.frac, **line}) + "\n")
    do = fault(f"{incar.get('SYSTEM', '')} {program} {'hse' if found.hybrid else 'pbe'}", number)
    if "replay" in do:
        return outputs.replay(found, Path(do["replay"]))
    return run(found, do)


def run(found, do):
    what, at = do.get("do", ""), do.get("at_step", 1)
    if what == "say":
        say(do["text"])
        if do.get("stay"):
            time.sleep(600)
        return 1
    if what == "say_on_stderr":
        print(do["text"], file=sys.stderr, flush=True)
        return 1
    if what == "hang":
        time.sleep(600)
    relaxing = found.steps > 0
    files = outputs.Files(found)
    converging = what != "unconverged" or found.incar["ALGO"] in do.get("unless", [])
    electronic = 5 if converging else int(found.incar["NELM"])
    steps = found.steps if relaxing else 1
    for step in range(1, steps + 1):
        if what == "say_in_step" and step == at:
            say(do["text"])
            time.sleep(600)
        for iteration in range(1, electronic + 1):
            seconds = do.get("seconds", 0.0)
            time.sleep(seconds)
            files.electronic(step, iteration, seconds)
            if what == "die" and step == at and iteration == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            if stopcar() == "LABORT":
                return files.end("hard stop encountered!  aborting job ...")
        files.ionic(step, converging)
        if what == "die_after" and step == at:
            if "cut" in do:
                whole = Path(do["cut"]).read_bytes()
                Path(do["cut"]).write_bytes(whole[: int(len(whole) * 0.6)])
            if "remove" in do:
                Path(do["remove"]).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if relaxing and files.relaxed() and what != "never_relaxed":
            files.say("reached required accuracy - stopping structural energy minimisation")
            break
        if stopcar() == "LSTOP":
            return files.end("soft stop encountered!  aborting job ...")
    files.finish(converging, electrons_off=do.get("electrons_off", 0.0))
    if what == "cut":
        whole = Path(do["cut"]).read_bytes()
        Path(do["cut"]).write_bytes(whole[: len(whole) // 2])
    if what == "remove_after":
        Path(do["remove"]).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
