"""CP2K input: from a `Calculation` to nested sections, and from those to text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt
from pymatgen.core import Element, IStructure, Lattice

from midgap.structures.document import Document
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.theory import HSE_FRACTION, HSE_OMEGA_PER_BOHR, LevelOfTheory
from midgap.structures.units import ATOMIC_FIELD_V_PER_ANG, BOHR_ANG, EV_PER_HARTREE
from midgap.workflows.calculation import Calculation
from midgap.workflows.engines.cp2k_data import AtomicKind, DataFolder
from midgap.workflows.engines.moments import initial_moments

PROJECT = "midgap"
SHORT_RANGE_ANG = 14.3
"""How far CP2K follows erfc(ωr)/r of HSE06; half of a cell that allows it must not be shorter."""

ROOM = {"s": 2, "p": 6, "d": 10, "f": 14}
"""Electrons in a full subshell."""

Section = dict[str, Any]


class Cp2kSettings(Document):
    """What ``engine_settings`` may hold for CP2K.

    Attributes
    ----------
    basis, aux_basis
        Families without the valence; ``aux_basis`` carries the exact exchange (ADMM).
    cutoff_Ry, rel_cutoff_Ry
        Finest grid of the density, and the part of it that a Gaussian of exponent 1 bohr⁻² needs.
        Left out, the cutoff is ``rel_cutoff_Ry`` times the hardest exponent, but 200...500 Ry.
    eps_default
        Threshold of all integrals. The gap of Cs4PbBr6 is converged to 0.1 meV (PBE) and 0.3 meV
        (HSE06) at 1e-8, to 0.1 and 10 meV at 1e-7, and wrong by 0.3 and 0.5 eV at 1e-6.
    eps_scf, max_scf
        Largest change of the density matrix that counts as converged, and the steps to get there;
        left out, 1e-5, and 1e-6 where forces come of it.
    mixing_alpha, mixing_history
        Broyden mixing.
    minimize
        Take the orbitals of least energy (orbital transformation, at Γ) instead of diagonalising and mixing, and the empty
        states of the Hamiltonian they give. The energy cannot swing between two occupations, as it does by mixing where an
        empty level meets the valence band: V_O⁺ of MgO is found so.
    eps_schwarz, max_memory_MB
        Screening of the exchange integrals, and the memory they may be kept in.
    exchange_range_ang
        Where the exchange kernel is cut off; None decides by the cell, see `exchange_kernel`.
    density_tail_ang
        How far the electrons of a cluster reach beyond its atoms; the box is twice as wide as both.
    optimizer
        ``LBFGS`` for more than about a thousand atoms.
    site_potentials
        Whether a crystal's electrostatic potential is written, 10 MB for 22 atoms.
    """

    basis: str = "DZVP-MOLOPT-SR-GTH"
    aux_basis: str = "admm-dz"
    cutoff_Ry: PositiveFloat | None = None
    rel_cutoff_Ry: PositiveFloat = 40.0
    eps_default: float = Field(default=1e-8, gt=0, le=1e-7)
    eps_scf: PositiveFloat | None = None
    max_scf: PositiveInt = 60
    mixing_alpha: float = Field(default=0.3, gt=0, le=1)
    mixing_history: PositiveInt = 8
    minimize: bool = False
    eps_schwarz: PositiveFloat = 1e-6
    max_memory_MB: PositiveInt = 4000
    exchange_range_ang: PositiveFloat | None = None
    density_tail_ang: PositiveFloat = 2.0
    optimizer: Literal["BFGS", "LBFGS"] = "BFGS"
    site_potentials: bool = True

    @classmethod
    def of(cls, calculation: Calculation) -> Cp2kSettings:
        """Read ``engine_settings``.

        Raises
        ------
        InputError
            CP2K has no such setting, or a value does not fit.
        """
        unknown = sorted(set(calculation.engine_settings) - set(cls.model_fields))
        if unknown:
            raise InputError(f"CP2K has no setting {', '.join(unknown)}; it has {', '.join(cls.model_fields)}.")
        return cls.from_dict(dict(calculation.engine_settings), source="engine_settings")

    @classmethod
    def schema_name(cls) -> str:
        return "set of engine settings of CP2K"


def input_text(
    calculation: Calculation,
    data: DataFolder,
    *,
    first_guess: bool = False,
    geometry_restart: str | None = None,
    hessian: str | None = None,
) -> str:
    """The input of a calculation.

    Parameters
    ----------
    first_guess
        Only the PBE wavefunction that the calculation starts from, see `has_first_guess`.
    geometry_restart, hessian
        Files of an unfinished relaxation to go on from.

    Raises
    ------
    InputError
        An element has no basis, or a setting does not fit.
    """
    settings = Cp2kSettings.of(calculation)
    if first_guess:
        pbe = calculation.theory.model_copy(update={"functional": "PBE", "exact_exchange": None})
        calculation = calculation.model_copy(update={"theory": pbe, "task": "static"})
        settings = settings.model_copy(update={"eps_scf": max(1e-4, settings.eps_scf or 0.0)})
    model, theory = calculation.model, calculation.theory
    elements = model.species + (ghost_species(model) if model.ghosts is not None else [])
    hybrid = theory.functional == "HSE06"
    kinds = data.kinds(elements, settings.basis, settings.aux_basis if hybrid else None)
    moving, forces = calculation.task == "relax", calculation.task == "forces"
    run_type = {"relax": "GEO_OPT", "static": "ENERGY", "forces": "ENERGY_FORCE"}[calculation.task]
    sections: Section = {
        "GLOBAL": {"PROJECT": PROJECT, "RUN_TYPE": run_type, "PRINT_LEVEL": "MEDIUM"},
        "FORCE_EVAL": {
            "METHOD": "QS",
            "DFT": _dft(calculation, settings, kinds, results=not (moving or forces or first_guess)),
            "SUBSYS": _subsys(model, settings, kinds),
            "PRINT": {"FORCES": {"_": "ON", "NDIGITS": 12}} if forces else None,
        },
    }
    if moving:
        sections["MOTION"] = _motion(calculation, settings, hessian)
    if geometry_restart:
        sections["EXT_RESTART"] = {"RESTART_FILE_NAME": geometry_restart}
    return "".join(f"{line}\n" for line in render(sections))


def render(section: Section, indent: str = "") -> Iterator[str]:
    """The lines of a section.

    A mapping is a section, its parameter under ``_`` and its bare lines under ``""``; a list repeats
    a section or keyword; a tuple is one value of several words; None is left out.
    """
    for key, entry in section.items():
        for value in entry if isinstance(entry, list) else [entry]:
            if value is None or key == "_":
                continue
            if isinstance(value, Mapping):
                yield f"{indent}&{key} {_word(value['_'])}" if "_" in value else f"{indent}&{key}"
                yield from render(dict(value), indent + "  ")
                yield f"{indent}&END {key}"
            else:
                yield f"{indent}{key} {_word(value)}".rstrip() if key else f"{indent}{value}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, (float, np.floating)):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return " ".join(_word(part) for part in value)
    return str(value)


def _dft(
    calculation: Calculation, settings: Cp2kSettings, kinds: Mapping[str, AtomicKind], *, results: bool
) -> Section:
    model, theory = calculation.model, calculation.theory
    bases = [kind.basis_file for kind in kinds.values()]
    bases += [kind.auxiliary_file for kind in kinds.values() if kind.auxiliary_file]
    spins = 2 if model.unpaired_electrons else 1
    gamma_only = theory.kpoints == (1, 1, 1)
    return {
        "BASIS_SET_FILE_NAME": sorted(dict.fromkeys(bases), key=lambda name: (len(name), name)),
        "POTENTIAL_FILE_NAME": next(iter(kinds.values())).potential_file,
        "CHARGE": model.charge,
        "UKS": spins == 2,
        "MULTIPLICITY": model.unpaired_electrons + 1 if spins == 2 else None,
        "QS": {"EPS_DEFAULT": settings.eps_default if calculation.electric_field_V_per_ang is None else 1e-10},
        "MGRID": {"CUTOFF": density_cutoff_Ry(settings, kinds), "REL_CUTOFF": settings.rel_cutoff_Ry},
        "POISSON": None if model.periodic else {"PERIODIC": "NONE", "POISSON_SOLVER": "MT"},
        "KPOINTS": None if gamma_only else _kpoints(theory.kpoints),
        "PERIODIC_EFIELD": _field(calculation.electric_field_V_per_ang),
        "SCF": _scf(calculation, settings, spins),
        "AUXILIARY_DENSITY_MATRIX_METHOD": {
            "METHOD": "BASIS_PROJECTION",
            "ADMM_PURIFICATION_METHOD": "NONE",
            "EXCH_CORRECTION_FUNC": "DEFAULT",
        }
        if theory.functional == "HSE06"
        else None,
        "XC": _xc(model, theory, settings),
        "PRINT": _results(calculation, settings, kinds)
        if results
        else None
        if calculation.electric_field_V_per_ang is None
        else {"MOMENTS": {"PERIODIC": True, "MAX_MOMENT": 1}},
    }


def _field(field_V_per_ang: Sequence[float] | None) -> Section | None:
    """Through the Berry phase (Umari and Pasquarello, Phys. Rev. Lett. 89, 157602 (2002))."""
    if field_V_per_ang is None:
        return None
    strength = float(np.linalg.norm(field_V_per_ang))
    direction = np.array([1.0, 0.0, 0.0]) if strength == 0 else np.asarray(field_V_per_ang) / strength
    return {"INTENSITY": strength / ATOMIC_FIELD_V_PER_ANG, "POLARISATION": tuple(direction.tolist())}


def _scf(calculation: Calculation, settings: Cp2kSettings, spins: int) -> Section:
    threshold = scf_threshold(calculation, settings)
    solver: Section = {
        "ADDED_MOS": (empty_bands(calculation),) * spins,
        "DIAGONALIZATION": {"ALGORITHM": "STANDARD"},
        "MIXING": {"METHOD": "BROYDEN_MIXING", "ALPHA": settings.mixing_alpha, "NBROYDEN": settings.mixing_history},
    }
    # Of the solvers the orbital transformation alone sees a periodic field.
    if settings.minimize or calculation.electric_field_V_per_ang is not None:
        # The gap that the preconditioner counts on has to be less than the true one.
        preconditioner = {"PRECONDITIONER": "FULL_ALL", "ENERGY_GAP": 0.01}
        if not settings.minimize:
            preconditioner = {"PRECONDITIONER": "FULL_SINGLE_INVERSE"}
        solver = {
            "OT": {"MINIMIZER": "CG", "LINESEARCH": "2PNT", **preconditioner},
            "OUTER_SCF": {"EPS_SCF": threshold, "MAX_SCF": 5},
        }
    return {
        # Read if it is there; CP2K takes the atomic guess if not.
        "SCF_GUESS": "RESTART",
        "EPS_SCF": threshold,
        "MAX_SCF": settings.max_scf,
        **solver,
        # CP2K's own is every 20 steps: more than most calculations take.
        "PRINT": {"RESTART": {"BACKUP_COPIES": 1, "EACH": {"QS_SCF": 3}}, "RESTART_HISTORY": {"_": "OFF"}},
    }


def has_first_guess(calculation: Calculation) -> bool:
    """Whether a PBE wavefunction is made first, to start a hybrid from."""
    return calculation.theory.functional == "HSE06"


def scf_threshold(calculation: Calculation, settings: Cp2kSettings) -> float:
    """Largest change of the density matrix that counts as converged."""
    return settings.eps_scf or {"relax": 1e-6, "static": 1e-5, "forces": 1e-7}[calculation.task]


def density_cutoff_Ry(settings: Cp2kSettings, kinds: Mapping[str, AtomicKind]) -> float:
    """Cutoff of the finest grid."""
    if settings.cutoff_Ry is not None:
        return settings.cutoff_Ry
    needed = settings.rel_cutoff_Ry * max(kind.hardest_exponent for kind in kinds.values())
    return float(np.clip(10 * np.ceil(needed / 10), 200.0, 500.0))


def empty_bands(calculation: Calculation) -> int:
    """Bands above the occupied ones, a spin channel."""
    return calculation.empty_bands or max(20, len(calculation.model.structure))


def _kpoints(mesh: Sequence[int]) -> Section:
    points = gamma_centred(mesh)
    return {
        "SCHEME": "GENERAL",
        "WAVEFUNCTIONS": "COMPLEX",
        "KPOINT": [(*k, weight) for k, weight in points],
    }


def gamma_centred(mesh: Sequence[int]) -> list[tuple[tuple[float, ...], float]]:
    """Γ-centred mesh with k and -k taken together: fractional coordinates and weights.

    CP2K's MONKHORST-PACK misses Γ where a number is even.
    """
    counts: dict[tuple[int, ...], int] = {}
    for point in product(*(range(n) for n in mesh)):
        opposite = tuple(-i % n for i, n in zip(point, mesh, strict=True))
        representative = min(point, opposite)
        counts[representative] = counts.get(representative, 0) + 1
    total = int(np.prod(mesh))
    return [(tuple(i / n for i, n in zip(point, mesh, strict=True)), count / total) for point, count in counts.items()]


def _xc(model: Model, theory: LevelOfTheory, settings: Cp2kSettings) -> Section:
    functional: Section = {"PBE": {}}
    exchange = None
    if theory.functional == "HSE06":
        fraction = theory.exact_exchange or HSE_FRACTION
        # PBE, less the short-range part of its exchange hole that the exact exchange stands in for.
        functional = {
            "PBE": {"SCALE_X": 0.0, "SCALE_C": 1.0},
            "XWPBE": {"SCALE_X": -fraction, "SCALE_X0": 1.0, "OMEGA": HSE_OMEGA_PER_BOHR},
        }
        exchange = {
            "FRACTION": fraction,
            "SCREENING": {"EPS_SCHWARZ": settings.eps_schwarz, "SCREEN_ON_INITIAL_P": True},
            "INTERACTION_POTENTIAL": exchange_kernel(model, settings),
            "MEMORY": {"MAX_MEMORY": settings.max_memory_MB, "EPS_STORAGE_SCALING": 0.1},
        }
    dispersion = None
    if theory.dispersion == "D3":
        dispersion = {
            "POTENTIAL_TYPE": "PAIR_POTENTIAL",
            "PAIR_POTENTIAL": {
                "TYPE": "DFTD3(BJ)",
                "PARAMETER_FILE_NAME": "dftd3.dat",
                "REFERENCE_FUNCTIONAL": theory.functional,
            },
        }
    return {"XC_FUNCTIONAL": functional, "HF": exchange, "VDW_POTENTIAL": dispersion}


def exchange_kernel(model: Model, settings: Cp2kSettings) -> Section:
    """erfc(ωr)/r, whole for a cluster or a large cell, else cut off at half the cell.

    At Γ alone the density matrix repeats with the cell, so that exchange over more than half of it
    would count electrons of the next cell as one's own (Guidon, Hutter, VandeVondele, J. Chem.
    Theory Comput. 5, 3010 (2009), doi 10.1021/ct900494g).
    """
    reach = settings.exchange_range_ang
    if reach is None and isinstance(model.structure, IStructure):
        half = half_width_ang(model.structure.lattice)
        reach = None if half >= SHORT_RANGE_ANG else np.floor(99.0 * half) / 100.0
    if reach is None:
        return {"POTENTIAL_TYPE": "SHORTRANGE", "OMEGA": HSE_OMEGA_PER_BOHR}
    return {
        "POTENTIAL_TYPE": "MIX_CL_TRUNC",
        "SCALE_COULOMB": 1.0,
        "SCALE_LONGRANGE": -1.0,
        "OMEGA": HSE_OMEGA_PER_BOHR,
        "CUTOFF_RADIUS": float(reach),
        "T_C_G_DATA": "t_c_g.dat",
    }


def half_width_ang(lattice: Lattice) -> float:
    """Half the distance between the closest opposite faces of a cell, Å."""
    matrix = lattice.matrix
    areas = [np.linalg.norm(np.cross(matrix[i - 2], matrix[i - 1])) for i in range(3)]
    return float(lattice.volume / max(areas) / 2)


def _results(calculation: Calculation, settings: Cp2kSettings, kinds: Mapping[str, AtomicKind]) -> Section:
    model, empty = calculation.model, None  # diagonalised, the empty states are there already
    if settings.minimize:
        atoms = [kinds[symbol] for symbol in model.species]
        electrons = sum(atom.valence for atom in atoms) - model.charge
        functions = sum(atom.functions for atom in atoms)
        empty = min(empty_bands(calculation), functions - (electrons + model.unpaired_electrons) // 2)
    each_atom = [{"LIST": atom + 1} for atom in range(len(model.structure))]
    return {
        "MO": {"EIGENVALUES": True, "OCCUPATION_NUMBERS": True, "EACH": {"QS_SCF": 0}},
        # CP2K projects at Γ only.
        "PDOS": {"NLUMO": empty, "LDOS": each_atom} if calculation.theory.kpoints == (1, 1, 1) else None,
        "V_HARTREE_CUBE": {"STRIDE": (1, 1, 1)} if model.periodic and settings.site_potentials else None,
    }


def _subsys(model: Model, settings: Cp2kSettings, kinds: Mapping[str, AtomicKind]) -> Section:
    moments = {atom: moment for atom, moment in initial_moments(model).items() if _has_open_shell(model.species[atom])}
    labels = [symbol + ("_spin" if atom in moments else "") for atom, symbol in enumerate(model.species)]
    positions = model.positions_ang
    sections = {
        label: _kind(kinds[label.removesuffix("_spin")], moment=moments.get(labels.index(label)))
        for label in dict.fromkeys(labels)
    }
    if isinstance(model.structure, IStructure):
        cell = model.structure.lattice.matrix
    else:
        if model.ghosts is not None:
            positions = np.concatenate([positions, np.asarray(model.ghosts.cart_coords)])
            labels += [f"{symbol}_ghost" for symbol in ghost_species(model)]
            sections |= {f"{symbol}_ghost": _kind(kinds[symbol], ghost=True) for symbol in ghost_species(model)}
        cell, shift = box(positions, settings)
        positions = positions + shift
    rows = [f"{label} {x:.10f} {y:.10f} {z:.10f}" for label, (x, y, z) in zip(labels, positions, strict=True)]
    return {
        "CELL": {
            **{name: tuple(vector) for name, vector in zip("ABC", cell, strict=True)},
            "PERIODIC": "XYZ" if model.periodic else "NONE",
        },
        "COORD": {"": rows},
        "KIND": [{"_": label, **section} for label, section in sections.items()],
    }


def _has_open_shell(symbol: str) -> bool:
    """Whether the free atom has room for a moment: CP2K refuses one on an atom such as Mg, and then spreads it itself."""
    return any(held < ROOM[shell] for _, shell, held in Element(symbol).full_electronic_structure)


def _kind(kind: AtomicKind, *, moment: float | None = None, ghost: bool = False) -> Section:
    bases: list[str | tuple[str, str]] = [kind.basis]
    if kind.auxiliary is not None:
        bases.append(("AUX_FIT", kind.auxiliary))
    return {
        "ELEMENT": kind.element,
        "BASIS_SET": bases,
        "POTENTIAL": None if ghost else kind.potential,
        "GHOST": True if ghost else None,
        "MAGNETIZATION": moment,
    }


def ghost_species(model: Model) -> list[str]:
    """Elements whose basis functions sit where no atom is."""
    return [site.specie.symbol for site in model.ghosts] if model.ghosts is not None else []


def box(positions_ang: np.ndarray, settings: Cp2kSettings) -> tuple[np.ndarray, np.ndarray]:
    """Box for a cluster and the shift that puts it in the middle.

    The Poisson solver of Martyna and Tuckerman is exact if the box is twice as wide as the density
    (J. Chem. Phys. 110, 2810 (1999), doi 10.1063/1.477923).
    """
    low, high = positions_ang.min(axis=0), positions_ang.max(axis=0)
    edges = 2 * (high - low + 2 * settings.density_tail_ang)
    return np.diag(edges), (edges - low - high) / 2


def _motion(calculation: Calculation, settings: Cp2kSettings, hessian: str | None) -> Section:
    # CP2K tests components, and more than forces; here the forces decide, and √3 makes a component a length.
    largest_component = calculation.fmax_eV_per_ang * BOHR_ANG / EV_PER_HARTREE / np.sqrt(3)
    each_step = {"EACH": {"GEO_OPT": 1}}
    return {
        "GEO_OPT": {
            "OPTIMIZER": settings.optimizer,
            "MAX_ITER": calculation.max_steps,
            "MAX_FORCE": largest_component,
            "RMS_FORCE": 1.0,
            "MAX_DR": 10.0,
            "RMS_DR": 10.0,
            "BFGS": {"RESTART_HESSIAN": True, "RESTART_FILE_NAME": hessian} if hessian else None,
        },
        "PRINT": {
            "TRAJECTORY": each_step,
            "FORCES": each_step,
            "RESTART": {"BACKUP_COPIES": 1, **each_step},
            "RESTART_HISTORY": {"_": "OFF"},
        },
    }
