"""Every INCAR tag midgap sets, and why: the one place where VASP's defaults are chosen.

Reasons go into the INCAR as comments, so that whoever opens it need not ask. Anything here gives way to
`midgap.workflows.engines.vasp_settings`. Sources are the pages of the VASP Wiki named after the tags
unless another is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pymatgen.core import Element

from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines.moments import initial_moments
from midgap.workflows.engines.vasp_geometry import order
from midgap.workflows.engines.vasp_potentials import Potential
from midgap.workflows.engines.vasp_settings import ELSEWHERE, Value, tags

Start = Literal["scratch", "density", "wavefunctions"]
"""What a run begins from."""


@dataclass(frozen=True)
class Tag:
    """A line of the INCAR."""

    name: str
    value: Value
    why: str


@dataclass(frozen=True)
class Run:
    """What the INCAR of a calculation depends on besides the calculation.

    Attributes
    ----------
    potentials
        One an element.
    parallel
        ``KPAR`` and ``NCORE``.
    ranks
        MPI ranks in all.
    program
        Which of VASP's programs it is for, to be told to whoever starts it by hand.
    start
        What there is to begin from.
    steps_done
        Ionic steps of earlier runs of the same relaxation.
    updates
        Tags set for every run by other means, below the calculation's own settings.
    """

    potentials: Sequence[Potential]
    parallel: Mapping[str, int]
    ranks: int = 1
    program: str = "std"
    start: Start = "scratch"
    steps_done: int = 0
    updates: Mapping[str, Value] = field(default_factory=dict)


def n_electrons(model: Model, potentials: Sequence[Potential]) -> float:
    """Valence electrons of a model: the sum of ZVAL less the charge."""
    valence = {one.element: one.valence for one in potentials}
    return sum(valence[symbol] for symbol in model.species) - model.charge


def n_bands(calculation: Calculation, run: Run) -> int:
    """Bands of a spin channel, or spinors: as many as VASP takes by itself without spin-orbit coupling, or twice that.

    VASP's default is the larger of NINT(N/2) + atoms/2 and 0.6 N, and half of the unpaired electrons
    more (`NBANDS <https://www.vasp.at/wiki/index.php/NBANDS>`_). Its defaults for spinors differ from
    twice that number by rounding; here they are the same states, so that a WAVECAR of one fits the other.
    """
    model = calculation.model
    electrons = n_electrons(model, run.potentials)
    occupied = math.ceil((electrons + model.unpaired_electrons) / 2 - 1e-9)
    bands = max(int(electrons / 2 + 0.5) + max(len(model.species) // 2, 3), int(0.6 * electrons))
    bands = max(bands + (model.unpaired_electrons + 1) // 2, occupied + 1)
    if calculation.empty_bands is not None:
        bands = occupied + calculation.empty_bands
    groups = max(1, run.ranks // (run.parallel["KPAR"] * run.parallel["NCORE"]))
    bands = math.ceil(bands / groups) * groups  # as VASP would round it, in all steps alike
    return 2 * bands if calculation.theory.spin_orbit else bands


def moments(calculation: Calculation) -> list[float]:
    """Initial moments in the order of the POSCAR, μB: one an atom, three with spin-orbit coupling."""
    model = calculation.model
    atoms = len(model.species)
    start = initial_moments(model)
    if not start and model.unpaired_electrons:
        start = dict.fromkeys(range(atoms), model.unpaired_electrons / atoms)
    along_z = [round(start.get(int(at), 0.0), 4) for at in order(model)]
    if not calculation.theory.spin_orbit:
        return along_z
    return [component for moment in along_z for component in (0.0, 0.0, moment)]


def incar(calculation: Calculation, run: Run) -> list[Tag]:
    """The INCAR: midgap's tags with the user's over them.

    Raises
    ------
    InputError
        ENCUT is not known, or the user's MAGMOM has a wrong length.
    """
    asked = tags(calculation)
    general = {name: value for name, value in run.updates.items() if name not in ELSEWHERE and name not in asked}
    ours = {tag.name: tag for tag in _defaults(calculation, run, has_cutoff="ENCUT" in asked | general)}
    for name, value in general.items():
        ours[name] = Tag(name, value, "by VASP_INCAR_UPDATES of atomate2")
    for name, value in asked.items():
        ours[name] = Tag(name, value, "as asked")
    _check_moments(calculation, asked.get("MAGMOM"))
    return list(ours.values())


def _defaults(calculation: Calculation, run: Run, has_cutoff: bool) -> Iterator[Tag]:
    model, theory, relax = calculation.model, calculation.theory, calculation.task == "relax"
    hybrid, soc = theory.functional == "HSE06", theory.spin_orbit
    yield Tag(
        "SYSTEM",
        model.name,
        f"{'relaxation' if relax else 'levels'}{', excited state' if calculation.promotion else ''}, {theory.label}, for vasp_{run.program}",
    )

    # What is computed
    yield Tag("PREC", "Accurate", "no aliasing: forces and potentials at the cores need the full grid")
    if not has_cutoff:
        yield Tag("ENCUT", *_cutoff(calculation, run.potentials))
    yield Tag("LREAL", False, "projections are exact in reciprocal space; the exchange costs more than they do")
    yield Tag("LASPH", True, "aspherical terms inside the spheres, asked for by hybrids and spin-orbit coupling")
    with_f = any(Element(symbol).is_lanthanoid or Element(symbol).is_actinoid for symbol in set(model.species))
    yield Tag("LMAXMIX", 6 if with_f else 4, "keeps the terms up to d (6: f) in CHGCAR, or a restart begins worse")
    if theory.dispersion:
        yield Tag("IVDW", 12, "D3 with Becke-Johnson damping")
    if hybrid:
        yield Tag("LHFCALC", True, "hybrid functional")
        yield Tag("HFSCREEN", theory.screening_per_ang or 0.2, "per angstrom; HSE06 has 0.11 per bohr")
        yield Tag("AEXX", theory.exact_exchange or 0.25, "fraction of exact exchange")
        fast = "Fast: half the cost, noise well below the force threshold"
        yield Tag("PRECFOCK", "Fast" if relax else "Normal", fast if relax else "levels want the better exchange grid")
    if soc:
        yield Tag("LSORBIT", True, "needs vasp_ncl")
        yield Tag("GGA_COMPAT", False, "full symmetry of the gradient, advised for noncollinear runs")

    # Electrons
    if model.charge:
        yield Tag("NELECT", n_electrons(model, run.potentials), f"sum of ZVAL less the charge {model.charge:+d}")
    excited = calculation.promotion is not None
    spin = model.unpaired_electrons > 0 or excited
    yield Tag("ISPIN", 2 if spin and not soc else 1, "spinors hold both (VASP 6.5 refuses 2)" if soc else "")
    if spin and not soc and not excited:
        yield Tag("NUPDOWN", model.unpaired_electrons, "keeps the spin the model says; odd cells slosh without")
    if spin or soc:
        why = "three numbers an atom; the default 1 1 1 would start magnetic" if soc else "beside the vacancy"
        yield Tag("MAGMOM", _compact(moments(calculation)), why)
    yield Tag("NBANDS", n_bands(calculation, run), "VASP's own collinear number, twice that for spinors")
    if excited:
        yield from _promoted(calculation, run)
    else:
        yield Tag("ISMEAR", 0, "Gaussian: no tetrahedra in gaps and at few k-points")
    yield Tag("SIGMA", 0.02, "narrow: levels in the gap are full or empty")
    yield Tag("ISYM", *_symmetry(calculation))

    # How it converges
    if hybrid:
        algo = ("All", "direct minimisation, safest for hybrids") if relax else ("Normal", "empty levels converge too")
    else:
        algo = ("Normal", "blocked Davidson: safe with states in the gap")
    yield Tag("ALGO", *algo)
    yield Tag("EDIFF", 1e-5 if relax else 1e-6, "forces good to a few meV per angstrom" if relax else "levels to 1 meV")
    yield Tag("NELM", 200 if hybrid else 120, "hybrids and odd electrons need more than 60")
    if relax:
        yield Tag("NELMIN", 4, "forces from at least four steps")
        yield Tag("IBRION", 2, "conjugate gradients: for soft lattices far from the minimum")
        yield Tag("ISIF", 2, "atoms move, the cell stays: a defect in a crystal of given size")
        yield Tag("EDIFFG", -calculation.fmax_eV_per_ang, "no atom feels more, eV per angstrom")
        yield Tag("NSW", max(1, calculation.max_steps - run.steps_done), "ionic steps that are left")
    else:
        yield Tag("IBRION", -1, "atoms stay")
        yield Tag("NSW", 0, "")
        yield Tag("LORBIT", 11, "how much of each state is on each atom: this is how a level is told")

    # What is kept
    yield Tag("LWAVE", True, "the next step, and a restart, begin from it")
    yield Tag("LCHARG", True, "for vasp_std after vasp_gam, whose WAVECAR it cannot be counted on to read")
    if not relax and model.periodic:
        yield Tag("LVHAR", True, "LOCPOT with the electrostatic potential alone, for alignment by other means")
        # Site potentials are in the OUTCAR in any case: "average (electrostatic) potential at core".
        yield Tag("ICORELEVEL", 0, "potentials at the cores are in the OUTCAR anyway; 1 adds core levels")
    if not model.periodic:
        yield from _box(model)

    # How it runs
    for name, value in run.parallel.items():
        yield Tag(name, value, {"KPAR": "groups of ranks, by k-point", "NCORE": "ranks that share an orbital"}[name])
    yield Tag("ISTART", 1 if run.start == "wavefunctions" else 0, {"wavefunctions": "from WAVECAR"}.get(run.start, ""))
    charge = {"scratch": (2, "from atoms"), "density": (1, "from CHGCAR"), "wavefunctions": (0, "from the orbitals")}
    yield Tag("ICHARG", *charge[run.start])


def _cutoff(calculation: Calculation, potentials: Sequence[Potential]) -> tuple[Value, str]:
    if calculation.theory.cutoff_eV is not None:
        return calculation.theory.cutoff_eV, "as the theory asks"
    unknown = [one.symbol for one in potentials if one.enmax_eV is None]
    if unknown:
        raise InputError(f"The cutoff of {', '.join(unknown)} is not known here; give one with --set ENCUT=NUMBER.")
    hardest = max(potentials, key=lambda one: one.enmax_eV or 0.0)
    cutoff = 10 * math.ceil(0.13 * (hardest.enmax_eV or 0.0))
    return cutoff, f"1.3 times the ENMAX of {hardest.symbol}: good for a relaxed lattice too"


def _promoted(calculation: Calculation, run: Run) -> Iterator[Tag]:
    """Occupations by hand, in the order of the bands of the ground state whose WAVECAR the run begins from."""
    assert calculation.promotion is not None
    electrons, bands = n_electrons(calculation.model, run.potentials), n_bands(calculation, run)
    unpaired = calculation.model.unpaired_electrons
    ground = np.zeros((2, bands))
    for channel, sign in enumerate((1, -1)):
        ground[channel, : round((electrons + sign * unpaired) / 2)] = 1.0
    up, down = (_compact(one) for one in calculation.promotion.of(ground))
    yield Tag("ISMEAR", -2, "occupations as given, kept fixed; begins from the ground state's WAVECAR")
    yield Tag("FERWE", up, f"spin up; promoted {calculation.promotion.label}")
    yield Tag("FERDO", down, "spin down")
    yield Tag("LDIAG", False, "orbitals keep their order, or the electron would fall back")


def _symmetry(calculation: Calculation) -> tuple[int, str]:
    """ISYM, and why."""
    model, theory = calculation.model, calculation.theory
    if calculation.promotion is not None:
        return 0, "an excited state may lower its symmetry"
    if theory.spin_orbit:
        return -1, "advised with spin-orbit coupling; time reversal may be broken"
    if model.kind == "pristine":
        return (3, "hybrids: forces are symmetrised, orbitals are not") if theory.functional == "HSE06" else (2, "")
    return 0, "a vacancy may lower its symmetry"


def _box(model: Model) -> Iterator[Tag]:
    if model.charge:
        yield Tag("LMONO", True, "energy of the charge among its images; eigenvalues keep a common shift")
    yield Tag("IDIPOL", 4, "isolated: multipole corrections along all axes")
    yield Tag("DIPOL", "0.5 0.5 0.5", "the cluster is in the middle of the box")
    if not model.charge:
        yield Tag("LDIPOL", True, "also in the potential; not with a charge, where it upsets the SCF")


def _compact(numbers: Sequence[float]) -> str:
    """``0 0 1 60*0``: VASP cuts lines after 255 characters, and 66 atoms have 198 components."""
    runs: list[tuple[float, int]] = []
    for number in numbers:
        if runs and runs[-1][0] == number:
            runs[-1] = (number, runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return " ".join(f"{count}*{number:g}" if count > 1 else f"{number:g}" for number, count in runs)


def _check_moments(calculation: Calculation, asked: Value | None) -> None:
    if asked is None:
        return
    words = str(asked).replace(",", " ").split()
    try:
        given = sum(int(word.partition("*")[0]) if "*" in word else 1 for word in words)
    except ValueError:
        raise InputError(f"MAGMOM = {asked} is not understood; give numbers, or count*number.") from None
    wanted = len(moments(calculation))
    if given != wanted:
        each = "3 numbers an atom" if calculation.theory.spin_orbit else "1 number an atom"
        raise InputError(
            f"MAGMOM has {given} numbers, and {calculation.model.name} with {calculation.theory.label} needs {wanted} "
            f"({each}); set it for one step alone, such as --set hse06+soc:MAGMOM=..."
        )


def text(lines: Sequence[Tag]) -> str:
    """An INCAR, a reason behind each tag.

    Examples
    --------
    >>> print(text([Tag("LASPH", True, "aspherical terms")]), end="")
    LASPH = .TRUE.                   ! aspherical terms
    """
    return "".join(
        (f"{line.name} = {_written(line.value)}".ljust(32) + (f" ! {line.why}" if line.why else "")).rstrip() + "\n"
        for line in lines
    )


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return ".TRUE." if value else ".FALSE."
    return f"{value:g}" if isinstance(value, float) else str(value)
