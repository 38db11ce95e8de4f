"""Reads what VASP reads, by its rules and without pymatgen, and refuses what VASP would refuse.

Stricter than VASP where VASP only warns and goes on with something else than was meant.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

BOX = "non collinear calculations require that VASP is compiled without the flag -DNGXhalf and -DNGZhalf"


class Refused(Exception):
    """What VASP prints before it stops."""


@dataclass
class Inputs:
    incar: dict
    lattice: list
    species: list
    counts: list
    frac: list
    valence: list
    mesh: tuple
    program: str

    @property
    def atoms(self):
        return sum(self.counts)

    @property
    def soc(self):
        return self.flag("LSORBIT")

    @property
    def spins(self):
        return int(self.incar.get("ISPIN", 1))

    @property
    def hybrid(self):
        return self.flag("LHFCALC")

    @property
    def electrons(self):
        neutral = sum(z * n for z, n in zip(self.valence, self.counts, strict=True))
        return float(self.incar.get("NELECT", neutral))

    @property
    def bands(self):
        return int(self.incar["NBANDS"])

    @property
    def steps(self):
        return int(self.incar.get("NSW", 0))

    @property
    def kpoints(self):
        """Γ-centred; time reversal halves the mesh unless symmetry is off."""
        n = self.mesh
        every = [(i / n[0], j / n[1], k / n[2]) for k in range(n[2]) for j in range(n[1]) for i in range(n[0])]
        if int(self.incar.get("ISYM", 2)) == -1:
            return [(k, 1.0) for k in every]
        kept = []
        for k in every:
            minus = tuple(round(-x % 1.0, 9) for x in k)
            if minus not in [tuple(round(x % 1.0, 9) for x in other) for other, _ in kept]:
                kept.append((k, 1.0 if minus == tuple(round(x % 1.0, 9) for x in k) else 2.0))
        return kept

    def flag(self, name):
        value = self.incar.get(name, "F").upper().strip(".")
        if value[0] not in "TF":
            raise Refused(f"Error reading item '{name}' from file INCAR.")
        return value[0] == "T"

    def numbers(self, name):
        """A list with count*value."""
        found = []
        for word in self.incar[name].split():
            count, star, value = word.partition("*")
            found += [float(value)] * int(count) if star else [float(word)]
        return found


def read(program):
    incar = read_incar(Path("INCAR").read_text())
    lattice, species, counts, frac = read_poscar(Path("POSCAR").read_text())
    lines = Path("KPOINTS").read_text().splitlines()
    if lines[1].strip() != "0" or not lines[2].strip().lower().startswith("g"):
        raise Refused("Fatal error: the stand-in knows Gamma-centred meshes only")
    mesh = tuple(int(n) for n in lines[3].split()[:3])
    names, valence = read_potcar(Path("POTCAR").read_text())
    if len(names) != len(species):
        raise Refused(
            f"number of potentials on File POTCAR incompatible with number of species INCAR : NTYP = {len(species)}"
        )
    if names != species:
        raise Refused(f"POSCAR and POTCAR are incompatible: species {' '.join(species)} but {' '.join(names)}")
    found = Inputs(incar, lattice, species, counts, frac, valence, mesh, program)
    check(found)
    return found


def read_incar(text):
    incar = {}
    for line in text.splitlines():
        if len(line) > 255:
            raise Refused("INCAR: a line is longer than 255 characters")
        bare = re.split(r"[!#]", line)[0].strip()
        if not bare:
            continue
        name, equals, value = bare.partition("=")
        if not equals or not value.strip():
            raise Refused(f"Error reading item '{name.strip()}' from file INCAR.")
        if name.strip() in incar:
            raise Refused(f"{name.strip()} stands twice in the INCAR")
        incar[name.strip().upper()] = value.strip()
    return incar


def read_poscar(text):
    lines = text.splitlines()
    scale = float(lines[1])
    lattice = [[scale * float(x) for x in line.split()[:3]] for line in lines[2:5]]
    species, counts = lines[5].split(), [int(n) for n in lines[6].split()]
    if not lines[7].strip().lower().startswith("d"):
        raise Refused("the stand-in reads direct coordinates only")
    frac = [[float(x) for x in line.split()[:3]] for line in lines[8 : 8 + sum(counts)]]
    if len(frac) != sum(counts):
        raise Refused("ERROR: there must be 1 line for each atom in the POSCAR")
    return lattice, species, counts, frac


def read_potcar(text):
    titles = re.findall(r"TITEL\s*=\s*\S+ ([A-Z][a-z]?)", text)
    return titles, [float(z) for z in re.findall(r"ZVAL\s*=\s*([\d.]+)", text)]


def check(found):
    incar, soc, program = found.incar, found.soc, found.program
    if soc and program != "ncl":
        raise Refused(f"ERROR: {BOX}")
    if program == "ncl" and not soc:
        raise Refused("vasp_ncl without LNONCOLLINEAR: the stand-in takes it for a mistake")
    if program == "gam" and found.mesh != (1, 1, 1):
        raise Refused("ERROR: vasp_gam supports the Gamma point only")
    if soc and found.spins == 2:
        raise Refused("ERROR: ISPIN=2 is incompatible with LNONCOLLINEAR=.TRUE.")
    magnetic = soc or found.spins == 2
    if magnetic:
        wanted = (3 if soc else 1) * found.atoms
        if "MAGMOM" not in incar or len(found.numbers("MAGMOM")) != wanted:
            raise Refused("Error reading item 'MAGMOM' from file INCAR.")
    up = float(incar.get("NUPDOWN", -1))
    if up >= 0 and (soc or found.spins == 1):
        raise Refused("NUPDOWN needs ISPIN=2")
    if up >= 0 and (found.electrons - up) % 2:
        raise Refused("NUPDOWN does not fit the number of electrons")
    if soc:
        needed = found.electrons
    elif found.spins == 2:
        needed = (found.electrons + max(up, 0)) / 2
    else:
        needed = found.electrons / 2
        if found.electrons % 2:
            raise Refused("an odd number of electrons in a run without spin: the level would be half filled")
    if found.bands <= needed:
        raise Refused("ERROR: TOO FEW BANDS")
    algo = incar.get("ALGO", "Normal")[0].upper()
    if found.hybrid and algo not in "NAD":
        raise Refused("ALGO = Fast is not supported for hybrid functionals")
    if found.hybrid and "HFSCREEN" not in incar:
        raise Refused("without HFSCREEN this would be PBE0")
    if (found.hybrid or soc) and not found.flag("LASPH"):
        raise Refused("LASPH is not set")
    if found.steps and incar.get("IBRION") not in ("1", "2", "3"):
        raise Refused("NSW without IBRION")
    if found.steps == 0 and found.incar.get("LORBIT") != "11":
        raise Refused("no projections would be written")
    check_start(found)


def check_start(found):
    start, charge = int(found.incar.get("ISTART", 0)), int(found.incar.get("ICHARG", 2))
    if start == 0 and charge == 0:
        raise Refused("ICHARG=0 takes the density from orbitals, and there are none")
    if charge == 1 and not Path("CHGCAR").exists():
        raise Refused("ERROR: charge density could not be read from file CHGCAR")
    if start == 1:
        if not Path("WAVECAR").exists():
            raise Refused("ISTART=1, but there is no WAVECAR")
        read_wavecar(found)


# Records of the stand-in: head, head, then for each spin and k-point a head (plane waves, k) and one a band.
LENGTH = 256
PLANE_WAVES = {"std": 1000.0, "gam": 500.0, "ncl": 2000.0}


def read_wavecar(found):
    data = Path("WAVECAR").read_bytes()
    if len(data) < 3 * LENGTH:
        raise Refused("ERROR: while reading WAVECAR, file is too short")
    length, spins, _ = struct.unpack("<3d", data[:24])
    points, bands, cutoff = struct.unpack("<3d", data[LENGTH : LENGTH + 24])
    (plane_waves,) = struct.unpack("<d", data[2 * LENGTH : 2 * LENGTH + 8])
    if len(data) < int(length * (2 + spins * points * (1 + bands))):
        raise Refused("ERROR: while reading WAVECAR, file is too short")
    collinear = found.program == "ncl" and plane_waves == PLANE_WAVES["std"]
    if plane_waves != PLANE_WAVES[found.program] and not collinear:
        raise Refused("ERROR: while reading WAVECAR, plane wave coefficients changed")
    if points != len(found.kpoints):
        raise Refused(f"WAVECAR: number of k-points {points:.0f} but {len(found.kpoints)} in KPOINTS")
    if cutoff != float(found.incar["ENCUT"]):
        raise Refused("WAVECAR: another cutoff")
    if bands * (2 if collinear else 1) != found.bands:
        raise Refused(f"WAVECAR: {bands:.0f} bands, INCAR {found.bands}")


def write_wavecar(found):
    spins, points = (1 if found.soc else found.spins), len(found.kpoints)
    record = lambda *numbers: struct.pack(f"<{len(numbers)}d", *numbers).ljust(LENGTH, b"\0")  # noqa: E731
    with Path("WAVECAR").open("wb") as stream:
        stream.write(record(LENGTH, spins, 45200))
        stream.write(record(points, found.bands, float(found.incar["ENCUT"])))
        for _ in range(spins * points):
            stream.write(record(PLANE_WAVES[found.program], 0, 0, 0))
            stream.write(b"\0" * LENGTH * found.bands)
