"""vasprun.xml in one pass.

The few thousand lines that say what was computed go through an XML parser. The gigabytes of rows
(eigenvalues, projections) are cut out of the stream before it and read as columns (`rows`); densities of
states and optical spectra are passed over. Memory is that of the result and a few chunks.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from xml.parsers import expat

import numpy as np

from midgap.defects.parsers.rows import BadNumberError, row_sums, row_values
from midgap.defects.parsers.streams import Scanner
from midgap.defects.parsers.vasp_output import VaspOutput
from midgap.structures.errors import ComputationError, InputError
from midgap.structures.unpacking import CutShortError, chunks

SECTION = re.compile(
    rb"<(eigenvalues|projected|dos|dielectricfunction|conductivity|opticaltransitions|\w+_kpoints_opt)(?:\s[^<>/]*)?>"
)
DEEPEST = 32
LONGEST_TEXT = 1 << 20


def read_vasprun(path: Path) -> VaspOutput:
    """Read ``vasprun.xml`` or ``vasprun.xml.gz``.

    An unfinished file gives what it holds, with `VaspOutput.finished` false and `VaspOutput.missing` saying
    what it lacks. Eigenvalues are those of the last ionic step that has them all.

    Raises
    ------
    InputError
        No such file, a damaged one, not VASP's, or one whose counts do not agree.
    ComputationError
        An eigenvalue or a projection is not a number.
    """
    reader = _Reader(path)
    scanner = Scanner(chunks(path), path)
    try:
        reader.read(scanner)
    except CutShortError:
        pass
    except expat.ExpatError as error:
        raise InputError(f"{path} is not well-formed XML ({expat.ErrorString(error.code)}); copy it again.") from None
    return reader.result()


class _Reader:
    """Handlers of the XML parser, and of the sections that do not go through it."""

    def __init__(self, path: Path):
        self.path = path
        self.out = VaspOutput(source=path, finished=False)
        self.within: list[tuple[str, str]] = []
        self.collected: list[str] | None = None
        self.section = ""
        self.generator: dict[str, str] = {}
        self.arrays: dict[str, list[str]] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.row: list[str] = []
        self.energies: dict[str, float] = {}
        self.steps: list[dict[str, float]] = []
        self.geometry: tuple[np.ndarray, np.ndarray] | None = None
        self.has_bands = False
        self.root_seen = False
        # VASP's encoding whatever the file says: for another one Python would import a codec of that name.
        parser = self.parser = expat.ParserCreate("ISO-8859-1")
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.StartDoctypeDeclHandler = self.doctype

    def read(self, scanner: Scanner) -> None:
        while True:
            if found := SECTION.search(scanner.buffer):
                self.parser.Parse(scanner.take(found.start()))
                scanner.take(found.end() - found.start())
                self.rows(found[1].decode(), scanner)
            elif (cut := scanner.buffer.rfind(b"<")) > 0:
                self.parser.Parse(scanner.take(cut))
            elif not scanner.more():
                self.parser.Parse(scanner.take(len(scanner.buffer)))
                return

    # --- the part that is XML ---------------------------------------------------------------------

    def doctype(self, *_: object) -> None:
        raise InputError(f"{self.path} declares a document type, which VASP never does; it is not read.")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.within and tag != "modeling":
            raise InputError(f"{self.path} is no vasprun.xml: it begins with <{tag[:40]}>, not with <modeling>.")
        if len(self.within) >= DEEPEST:
            raise InputError(f"{self.path} is nested more than {DEEPEST} deep, which VASP's files are not.")
        self.root_seen = True
        name = attributes.get("name", "")
        self.within.append((tag, name))
        if len(self.within) == 2:
            self.section = f"{tag} {attributes['comment']}" if "comment" in attributes else tag
            if tag == "calculation":
                self.out.ionic_steps += 1
                self.steps, self.energies, self.has_bands = [], {}, False
        if tag == "scstep":
            self.steps.append({})
        elif tag == "varray":
            self.arrays[name] = []
        elif tag == "rc":
            self.row = []
            self.tables.setdefault(self.within[-3][1] if len(self.within) > 2 else "", []).append(self.row)
        elif tag == "generation" and self.section == "kpoints":
            self.out.tags.setdefault("KPOINTS", attributes.get("param", ""))
        elif tag in ("i", "v", "c"):
            self.collected = []

    def characters(self, text: str) -> None:
        if self.collected is not None:
            self.collected.append(text)
            if len(self.collected) > 1 and sum(map(len, self.collected)) > LONGEST_TEXT:
                raise InputError(f"{self.path} has a value of more than {LONGEST_TEXT >> 20} MB; it is not VASP's.")

    def end(self, tag: str) -> None:
        text = "" if self.collected is None else "".join(self.collected).strip()
        self.collected = None
        _, name = self.within.pop()
        parent, parent_name = self.within[-1] if self.within else ("", "")
        if tag == "i":
            self.item(name, text)
        elif tag == "v":
            if parent == "varray":
                self.arrays[parent_name].append(text)
            elif name == "divisions" and self.section == "kpoints":
                self.out.mesh = _mesh(text)
            elif self.section in ("incar", "parameters"):
                self.tag(name, text)
        elif tag == "c":
            self.row.append(text)
        elif tag == "structure" and self.section in ("structure", "calculation"):
            self.structure(name)
        elif tag == "kpoints" and self.section == "kpoints":
            self.out.kpoints_frac = self.array("kpointlist", 3)
            self.out.k_weights = self.array("weights", 1)[:, 0]
        elif tag == "generator":
            self.out.version = self.generator.get("version", "")
            self.out.started = _time(f"{self.generator.get('date')} {self.generator.get('time')}")
        elif tag == "atominfo":
            self.atoms()
        elif tag == "calculation" and self.has_bands:
            self.energy()
        elif tag == "modeling":
            self.out.finished = True

    def item(self, name: str, text: str) -> None:
        if self.section in ("incar", "parameters"):
            self.tag(name, text)
        elif self.section == "generator":
            self.generator[name] = text
        elif self.section == "calculation" and self.within[-1][0] == "energy":
            into = self.steps[-1] if self.within[-2][0] == "scstep" else self.energies
            try:
                into[name] = float(text)
            except ValueError:
                into[name] = float("nan")

    def tag(self, name: str, text: str) -> None:
        """What VASP took (``parameters``) stands above what was asked (``incar``)."""
        if text or name.upper() not in self.out.tags:
            self.out.tags[name.upper()] = text

    def array(self, name: str, width: int) -> np.ndarray:
        rows = self.arrays.pop(name, [])
        try:
            return np.array([row.split() for row in rows], dtype=float).reshape(-1, width)
        except ValueError:
            raise InputError(f"{self.path}: its list of {name} is not of rows of {width} numbers.") from None

    def structure(self, name: str) -> None:
        if name == "finalpos":  # after the last step these may already be the positions of a next one
            return
        self.geometry = self.array("basis", 3), self.array("positions", 3)
        if self.has_bands:
            self.out.lattice_ang, self.out.positions_frac = self.geometry

    def atoms(self) -> None:
        kinds = self.tables.get("atomtypes", [])
        self.out.species = [row[0].strip() for row in self.tables.get("atoms", []) if row]
        try:
            self.out.valences = [float(kinds[int(row[1]) - 1][3]) for row in self.tables.get("atoms", [])]
        except (IndexError, ValueError):
            self.out.valences = []
        self.out.potentials = [row[4] for row in kinds if len(row) > 4]
        self.tables = {}

    def energy(self) -> None:
        """Energy for σ → 0; VASP writes a wrong one beside the ionic step, so its free energy is corrected by the SCF's."""
        free, last = self.energies.get("e_fr_energy"), self.steps[-1] if self.steps else {}
        entropy = last.get("e_0_energy", np.nan) - last.get("e_fr_energy", np.nan)
        if free is None:
            free = last.get("e_fr_energy", np.nan)
        total = free + (entropy if np.isfinite(entropy) else 0.0)
        self.out.total_energy_eV = float(total) if np.isfinite(total) else None
        self.out.scf_steps = len(self.steps)
        changes = [step.get("e_fr_energy", np.nan) for step in self.steps[-2:]]
        self.out.last_change_eV = abs(changes[1] - changes[0]) if len(changes) == 2 else None

    # --- the part that is rows --------------------------------------------------------------------

    def rows(self, name: str, scanner: Scanner) -> None:
        end = f"</{name}>".encode()
        if [tag for tag, _ in self.within] != ["modeling", "calculation"]:
            scanner.skip(end)
        elif name == "eigenvalues":
            self.eigenvalues(scanner, end)
        elif name == "projected" and self.has_bands:
            self.projections(scanner, end)
        else:
            if name == "eigenvalues_kpoints_opt":
                self.out.warnings.append("The k-points of KPOINTS_OPT are not read: the levels are those of KPOINTS.")
            scanner.skip(end)

    def eigenvalues(self, scanner: Scanner, end: bytes) -> None:
        found, spins, kpoints, count = [], 0, 0, 0
        for piece in scanner.until(end):
            spins += piece.count(b'comment="spin')
            kpoints += piece.count(b'comment="kpoint')
            try:
                found.append(row_values(piece))
            except BadNumberError as error:
                raise ComputationError(self.not_a_number("eigenvalue", count + error.row, error.text)) from None
            count += len(found[-1])
        found = [rows for rows in found if len(rows)]
        widths = {rows.shape[1] for rows in found}
        spins, kpoints = max(spins, 1), max(kpoints, 1)
        if len(widths) != 1 or min(widths) < 2 or count % kpoints or kpoints % spins:
            raise InputError(f"{self.path} lists {count} eigenvalues in {kpoints} sets of a k-point: some are missing.")
        table = np.concatenate(found).reshape(spins, kpoints // spins, count // kpoints, -1)
        self.has_bands = True
        self.out.eigenvalues_eV, self.out.occupations = table[..., 0].copy(), table[..., 1].copy()
        self.out.site_weights = None
        if self.geometry is not None:
            self.out.lattice_ang, self.out.positions_frac = self.geometry
        self.energy()

    def projections(self, scanner: Scanner, end: bytes) -> None:
        """Sum the orbitals of each atom; of the four parts of a spinor's density keep the first, the charge."""
        assert self.out.eigenvalues_eV is not None
        opening = scanner.skip(b"<eigenvalues>", b"<field>", end)
        if opening.endswith(b"<eigenvalues>"):
            scanner.skip(b"</eigenvalues>")
        shape = (*self.out.eigenvalues_eV.shape, len(self.out.species))
        needed = int(np.prod(shape))
        try:
            weights = np.empty(needed, dtype=np.float32)
        except MemoryError:
            raise InputError(f"{self.path}: projections of the shape {shape} do not fit into memory.") from None
        marks = (end, b'<set comment="spin2">', b'<set comment="spin 2">') if self.out.spinor else (end,)
        count, last = 0, b""
        for last in scanner.until(*marks):
            try:
                sums = row_sums(last)
            except BadNumberError as error:
                raise ComputationError(self.not_a_number("projection", count + error.row, error.text)) from None
            if count + len(sums) <= needed:
                weights[count : count + len(sums)] = sums
            count += len(sums)
        if not last.endswith(end):
            scanner.skip(end)
        if count != needed:
            spins, kpoints, bands, sites = shape
            raise InputError(
                f"{self.path} holds {count} rows of projections, but {spins} spin × {kpoints} k-points × {bands} bands × "
                f"{sites} atoms are {needed}: it was put together from different runs, or damaged."
            )
        self.out.site_weights = weights.reshape(shape)

    def not_a_number(self, what: str, row: int, text: str) -> str:
        out = self.out
        sites = len(out.species) if what == "projection" else 1
        bands = (
            out.eigenvalues_eV.shape[2] if out.eigenvalues_eV is not None else int(min(out.number("NBANDS") or 0, 1e9))
        )
        kpoints = 0 if out.kpoints_frac is None else len(out.kpoints_frac)
        where = f"row {row + 1} of the {what}s"
        if bands and kpoints and sites:
            state = row // sites
            where = (
                f"the {what} of spin {state // bands // kpoints + 1}, k-point {state // bands % kpoints + 1}, "
                f"band {state % bands + 1}" + (f", atom {row % sites + 1}" if sites > 1 else "")
            )
        return f"{self.path}: {where} reads '{text[:60]}': the calculation broke down; run it again from a sound start."

    # --- the end -----------------------------------------------------------------------------------

    def result(self) -> VaspOutput:
        out = self.out
        if not self.root_seen:
            raise InputError(f"{self.path} is empty or no XML; VASP had not begun to write, or the disk was full.")
        if not out.finished:
            if out.ionic_steps == 0:
                out.missing = "everything after the settings"
            elif out.eigenvalues_eV is None:
                out.missing = (
                    f"eigenvalues (it ends in ionic step {out.ionic_steps}, after {len(self.steps)} SCF steps)"
                )
            elif out.site_weights is None:
                out.missing = "projections"
            else:
                out.missing = "only its end"
            if out.eigenvalues_eV is not None and not self.has_bands:
                out.missing += f"; ionic step {out.ionic_steps} is left out"
        return out


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y %m %d %H:%M:%S")
    except ValueError:
        return None


def _mesh(text: str) -> tuple[int, int, int] | None:
    try:
        one, two, three = (int(part) for part in text.split())
    except ValueError:
        return None
    return one, two, three
