"""Writes OUTCAR, OSZICAR, vasprun.xml, CONTCAR, XDATCAR, CHGCAR and WAVECAR as VASP lays them out."""

import gzip
import math
import shutil
from pathlib import Path

import inputs

SPRING = 8.0  # eV/Å²
GRID = 0.05
LINE = "-" * 39


class Files:
    def __init__(self, found):
        self.found = found
        self.frac = [list(row) for row in found.frac]
        self.frames = 0
        head = "gamma-only" if found.program == "gam" else "complex"
        self.outcar = Path("OUTCAR").open("w")  # noqa: SIM115
        self.oszicar = Path("OSZICAR").open("w")  # noqa: SIM115
        Path("CONTCAR").write_text("")  # VASP opens it at the start, so that it is empty for a while
        Path("XDATCAR").write_text(_header(found))
        self.say(f" vasp.6.3.0 20Jan22 (build Feb 02 2022 18:12:33) {head}")
        self.say(f"   NELECT = {found.electrons:12.4f}    total number of electrons")
        self.say(f"   k-points           NKPTS = {len(found.kpoints):6d}   number of bands    NBANDS= {found.bands:6d}")
        self.calculations = []

    def say(self, text):
        self.outcar.write(text + "\n")
        self.outcar.flush()

    def electronic(self, step, iteration, seconds):
        self.say(f"{LINE} Iteration {step:6d}({iteration:4d})  {LINE}")
        self.say(f"      LOOP:  cpu time {seconds:10.4f}: real time {seconds:10.4f}")
        change = -100.0 * 10.0 ** (-2 * iteration)
        self.oszicar.write(
            f"DAV: {iteration:3d}    {self.energy():18.12E}   {change:12.5E}   {change:12.5E}  1000   0.1E-01\n"
        )
        self.oszicar.flush()
        print(f"DAV: {iteration:3d}    {self.energy():18.12E}   {change:12.5E}", flush=True)

    def ionic(self, step, converged):
        found = self.found
        if converged:
            self.say(f"{LINE[:24]} aborting loop because EDIFF is reached {LINE}")
        else:
            self.say(f"{LINE[:24]} aborting loop EDIFF was not reached (unconverged) {LINE}")
        self.say(" average (electrostatic) potential at core\n  the test charge radii are     1.0714")
        self.say("  (the norm of the test charge is              1.0000)")
        kinds = [kind for kind, count in enumerate(found.counts) for _ in range(count)]
        potentials = [f"{n:8d}{-30.0 - 10.0 * kind:9.4f}" for n, kind in enumerate(kinds, start=1)]
        for first in range(0, found.atoms, 5):
            self.say("".join(potentials[first : first + 5]))
        self.say("\n \n E-fermi :   1.0000     XC(G=0): -11.6645     alpha+bet :-12.9175\n")
        self.say(" POSITION                                       TOTAL-FORCE (eV/Angst)\n " + "-" * 83)
        for place, force in zip(_cartesian(self.frac, found.lattice), self.forces(), strict=True):
            self.say(" " + "".join(f"{x:13.5f}" for x in place) + "".join(f"{x:14.6f}" for x in force))
        self.say(" " + "-" * 83)
        energy = self.energy()
        self.say(f"  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  free  energy   TOTEN  = {energy:18.8f} eV\n")
        self.say(f"  energy  without entropy= {energy:18.8f}  energy(sigma->0) = {energy:18.8f}\n")
        self.say("     LOOP+:  cpu time      0.1000: real time      0.1000")
        self.oszicar.write(f"{step:4d} F= {energy:.8E} E0= {energy:.8E}  d E =0.000000E+00\n")
        self.oszicar.flush()
        with Path("XDATCAR").open("a") as stream:
            stream.write(f"Direct configuration={step:6d}\n" + _rows(self.frac))
        self.calculations.append((energy, [list(row) for row in self.frac], self.forces()))
        if found.steps and not self.relaxed():
            self.move()
        Path("CONTCAR").write_text(_header(found) + "Direct\n" + _rows(self.frac) + "\n")
        inputs.write_wavecar(found)
        _write_chgcar(found)

    def energy(self):
        away = _cartesian(self._away(), self.found.lattice)
        return -3.0 * self.found.atoms + SPRING / 2 * sum(x * x for row in away for x in row)

    def forces(self):
        return [[-SPRING * x for x in row] for row in _cartesian(self._away(), self.found.lattice)]

    def _away(self):
        return [[x - round(x / GRID) * GRID for x in row] for row in self.frac]

    def move(self):
        self.frac = [
            [x - 0.6 * d for x, d in zip(row, away, strict=True)]
            for row, away in zip(self.frac, self._away(), strict=True)
        ]

    def relaxed(self):
        forces = self.calculations[-1][2]
        return max(math.hypot(*row) for row in forces) < abs(float(self.found.incar.get("EDIFFG", "1")))

    def end(self, why):
        """Stopped by a STOPCAR: the files are whole, the run is not."""
        self.say(f" {why}")
        print(why, flush=True)
        Path("STOPCAR").unlink()
        inputs.write_wavecar(self.found)
        if self.calculations:
            _vasprun(self.found, self.calculations)
        self._accounting()
        return 0

    def finish(self, converged, electrons_off=0.0):
        inputs.write_wavecar(self.found)
        _vasprun(self.found, self.calculations, 5 if converged else int(self.found.incar["NELM"]))
        if electrons_off:
            text = Path("OUTCAR").read_text()
            n = self.found.electrons
            Path("OUTCAR").write_text(text.replace(f"NELECT = {n:12.4f}", f"NELECT = {n + electrons_off:12.4f}"))
            self.outcar = Path("OUTCAR").open("a")  # noqa: SIM115
        self._accounting()

    def _accounting(self):
        self.say("\n General timing and accounting informations for this job:\n " + "=" * 56)
        self.say("                         Elapsed time (sec):        1.000\n")
        self.say("                   Maximum memory used (kb):      100000.\n")
        self.outcar.close()
        self.oszicar.close()


def replay(found, folder):
    """A real run's vasprun.xml, and its OUTCAR if it is there; else one of ours beside it."""
    files = Files(found)
    files.electronic(1, 1, 0.0)
    files.ionic(1, True)
    files.finish(True)
    for name in ("vasprun.xml", "OUTCAR"):
        if (folder / f"{name}.gz").exists():
            with gzip.open(folder / f"{name}.gz") as source, Path(name).open("wb") as target:
                shutil.copyfileobj(source, target)
    return 0


def _cartesian(rows, lattice):
    return [[sum(row[i] * lattice[i][j] for i in range(3)) for j in range(3)] for row in rows]


def _header(found):
    lattice = "".join("".join(f"{x:22.16f}" for x in row) + "\n" for row in found.lattice)
    return f"stand-in\n   1.00000000000000\n{lattice}   {'   '.join(found.species)}\n   {'   '.join(map(str, found.counts))}\n"


def _rows(frac):
    return "".join("".join(f"{x % 1.0:20.16f}" for x in row) + "\n" for row in frac)


def _write_chgcar(found):
    numbers = "".join(f" {0.1:.11E}" + ("\n" if n % 5 == 4 else "") for n in range(8 * 8 * 8))
    Path("CHGCAR").write_text(_header(found) + "Direct\n" + _rows(found.frac) + "\n    8    8    8\n" + numbers + "\n")


# --- vasprun.xml -----------------------------------------------------------------------------------


def _states(found):
    """Energies (above the valence band, eV), occupations and Pb weights by spin: a valence band, a gap, a level in it."""
    gap = (4.6 if found.hybrid else 3.6) - (0.8 if found.soc else 0.0)
    per_state = 1 if found.soc or found.spins == 2 else 2
    up = float(found.incar.get("NUPDOWN", 0))
    electrons = found.electrons
    fillings = [(electrons + up) / 2, (electrons - up) / 2] if found.spins == 2 else [electrons / per_state]
    odd_spinor = found.soc and electrons % 2 == 1
    spectra = []
    for channel, filled in enumerate(fillings):
        filled = int(filled)
        level = filled - 1 if (odd_spinor or (found.spins == 2 and up and channel == 0)) else filled
        vacancy = "V_" in found.incar.get("SYSTEM", "")
        rows = []
        for band in range(found.bands):
            in_gap = vacancy and (band == level or (found.soc and band == level + 1))
            if in_gap:
                energy = 0.55 * gap
            elif band < level:
                energy = -5.0 * (level - 1 - band) / max(1, level)
            else:
                energy = gap + 0.1 * (band - level)
            rows.append((energy, 1.0 if band < filled else 0.0, 0.8 if in_gap else None))
        spectra.append(rows)
    return spectra


def _vasprun(found, calculations, electronic_steps=5):
    x = ['<?xml version="1.0" encoding="ISO-8859-1"?>', "<modeling>", " <generator>"]
    x += ['  <i name="program" type="string">vasp </i>', '  <i name="version" type="string">6.3.0  </i>']
    kind = "gamma-only" if found.program == "gam" else "complex"
    x += [f'  <i name="subversion" type="string">20Jan22 (build Feb 02 2022 18:12:33) {kind} </i>', " </generator>"]
    x += [" <incar>", *(_item(name, value) for name, value in found.incar.items()), " </incar>"]
    points = found.kpoints
    total = sum(weight for _, weight in points)
    x += [" <kpoints>", '  <generation param="Gamma">']
    x += [f'   <v type="int" name="divisions">{" ".join(f"{n:6d}" for n in found.mesh)} </v>', "  </generation>"]
    x += ['  <varray name="kpointlist" >', *(_vector(k) for k, _ in points), "  </varray>"]
    x += [
        '  <varray name="weights" >',
        *(f"   <v> {weight / total:16.8f} </v>" for _, weight in points),
        "  </varray>",
        " </kpoints>",
    ]
    x += [" <parameters>", *_parameters(found), " </parameters>", *_atoms(found)]
    x += [' <structure name="initialpos" >', *_structure(found, found.frac), " </structure>"]
    for at, (energy, frac, forces) in enumerate(calculations):
        x.append(" <calculation>")
        for _ in range(electronic_steps):
            x += ["  <scstep>", "   <energy>", *_energies(energy, 4), "   </energy>", "  </scstep>"]
        x += ["  <structure>", *_structure(found, frac), "  </structure>"]
        x += ['  <varray name="forces" >', *(_vector(row) for row in forces), "  </varray>"]
        x += ["  <energy>", *_energies(energy, 3), "  </energy>"]
        if at == len(calculations) - 1:
            x += _spectrum(found)
            x += ["  <dos>", '   <i name="efermi">      1.00000000 </i>', "  </dos>"]
            if found.steps == 0:
                x += _projected(found)
        x.append(" </calculation>")
    x += [' <structure name="finalpos" >', *_structure(found, calculations[-1][1]), " </structure>", "</modeling>"]
    Path("vasprun.xml").write_text("\n".join(x) + "\n")


def _item(name, value):
    if value.upper().strip(".") in ("TRUE", "FALSE"):
        return f'  <i type="logical" name="{name}"> {value.strip(".")[0].upper()}  </i>'
    if name in ("SYSTEM", "PREC", "ALGO", "PRECFOCK"):
        return f'  <i type="string" name="{name}">{value}</i>'
    if "*" in value or " " in value:
        return f'  <v name="{name}">{" ".join(f"{x:.8f}" for x in _numbers(value))}</v>'
    try:
        return f'  <i type="int" name="{name}">{int(value):6d}</i>'
    except ValueError:
        return f'  <i name="{name}">{float(value):16.8f}</i>'


def _numbers(value):
    for word in value.split():
        count, star, number = word.partition("*")
        yield from [float(number)] * int(count) if star else [float(word)]


def _parameters(found):
    logical = {name: "T" if found.flag(name) else "F" for name in ("LHFCALC", "LASPH", "LSORBIT")}
    integer = {
        "NBANDS": found.bands,
        "ISPIN": found.spins,
        "NELM": int(found.incar["NELM"]),
        "NSW": found.steps,
        "IBRION": int(found.incar["IBRION"]),
        "ISMEAR": 0,
        "LORBIT": int(found.incar.get("LORBIT", 0)),
        "ISYM": int(found.incar["ISYM"]),
        "ICHARG": int(found.incar["ICHARG"]),
        "IVDW": int(found.incar.get("IVDW", 0)),
    }
    real = {
        "ENMAX": float(found.incar["ENCUT"]),
        "NELECT": found.electrons,
        "EDIFF": float(found.incar["EDIFF"]),
        "SIGMA": 0.02,
        "AEXX": float(found.incar.get("AEXX", 0.0)),
        "HFSCREEN": float(found.incar.get("HFSCREEN", 0.0)),
        "NUPDOWN": float(found.incar.get("NUPDOWN", -1)),
    }
    yield '  <i type="string" name="GGA">PE</i>'
    yield f'  <i type="string" name="PREC">{found.incar["PREC"].lower()}</i>'
    yield f'  <i type="logical" name="LNONCOLLINEAR"> {logical["LSORBIT"]}  </i>'
    yield from (f'  <i type="logical" name="{name}"> {value}  </i>' for name, value in logical.items())
    yield from (f'  <i type="int" name="{name}">{value:6d}</i>' for name, value in integer.items())
    yield from (f'  <i name="{name}">{value:16.8f}</i>' for name, value in real.items())


def _atoms(found):
    yield from (" <atominfo>", f"  <atoms>{found.atoms:8d} </atoms>", f"  <types>{len(found.species):8d} </types>")
    yield from ('  <array name="atoms" >', '   <dimension dim="1">ion</dimension>')
    yield from ('   <field type="string">element</field>', '   <field type="int">atomtype</field>', "   <set>")
    for kind, (symbol, count) in enumerate(zip(found.species, found.counts, strict=True), start=1):
        yield from [f"    <rc><c>{symbol:2s}</c><c>{kind:4d}</c></rc>"] * count
    yield from ("   </set>", "  </array>", '  <array name="atomtypes" >', '   <dimension dim="1">type</dimension>')
    yield from ('   <field type="int">atomspertype</field>', '   <field type="string">element</field>')
    yield from (
        "   <field>mass</field>",
        "   <field>valence</field>",
        '   <field type="string">pseudopotential</field>',
        "   <set>",
    )
    for symbol, count, valence in zip(found.species, found.counts, found.valence, strict=True):
        yield f"    <rc><c>{count:4d}</c><c>{symbol:2s}</c><c>{1.0:16.8f}</c><c>{valence:16.8f}</c><c>  PAW_PBE {symbol} 01Jan2000 </c></rc>"
    yield from ("   </set>", "  </array>", " </atominfo>")


def _structure(found, frac):
    yield from ("  <crystal>", '   <varray name="basis" >')
    yield from (_vector(row) for row in found.lattice)
    yield from ("   </varray>", "  </crystal>", '  <varray name="positions" >')
    yield from (_vector([x % 1.0 for x in row]) for row in frac)
    yield "  </varray>"


def _vector(row):
    return "   <v> " + " ".join(f"{x:16.8f}" for x in row) + " </v>"


def _energies(energy, spaces):
    return [
        " " * spaces + f'<i name="{name}"> {energy:16.8f} </i>' for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    ]


def _spectrum(found):
    yield from ("  <eigenvalues>", "   <array>")
    yield from (f'    <dimension dim="{n}">{name}</dimension>' for n, name in enumerate(("band", "kpoint", "spin"), 1))
    yield from ("    <field>eigene</field>", "    <field>occ</field>", "    <set>")
    for channel, rows in enumerate(_states(found), start=1):
        yield f'     <set comment="spin {channel}">'
        for k in range(len(found.kpoints)):
            yield f'      <set comment="kpoint {k + 1}">'
            yield from (f"       <r> {energy:9.4f} {occupation:9.4f} </r>" for energy, occupation, _ in rows)
            yield "      </set>"
        yield "     </set>"
    yield from ("    </set>", "   </array>", "  </eigenvalues>")


def _projected(found):
    lead = sum(found.counts[: found.species.index("Pb")]) if "Pb" in found.species else 0
    yield from ("  <projected>", *_spectrum(found), "   <array>")
    yield from (
        f'    <dimension dim="{n}">{name}</dimension>' for n, name in enumerate(("ion", "band", "kpoint", "spin"), 1)
    )
    yield from ("    <field>  s</field>", "    <field>  p</field>", "    <field>  d</field>", "    <set>")
    spectra = _states(found)
    # Of spinors VASP writes four sets: the whole, and the three components of the spin.
    channels = [(spectra[0], 1.0)] + [(spectra[0], 0.3)] * 3 if found.soc else [(rows, 1.0) for rows in spectra]
    for channel, (rows, factor) in enumerate(channels, start=1):
        yield f'     <set comment="spin{channel}">'
        for k in range(len(found.kpoints)):
            yield f'      <set comment="kpoint {k + 1}">'
            for band, (_, _, weight) in enumerate(rows, start=1):
                yield f'       <set comment="band {band}">'
                for atom in range(found.atoms):
                    on_it = 0.9 / found.atoms if weight is None else weight if atom == lead else 0.1 / found.atoms
                    yield f"        <r> {0.0:7.4f} {factor * on_it:7.4f} {0.0:7.4f} </r>"
                yield "       </set>"
            yield "      </set>"
        yield "     </set>"
    yield from ("    </set>", "   </array>", "  </projected>")
