"""VASP: an `ElectronicStructure` from a finished run's folder.

Eigenvalues and projections come from vasprun.xml or vaspout.h5 (projections from PROCAR where those have
none, all from PROCAR and OUTCAR where neither was kept), site potentials from OUTCAR.

k-points of weight zero, which hybrid runs use for a band path or a denser mesh, are kept with their weight:
band edges look at every k-point, for the eigenvalues there belong to the same converged Hamiltonian, while
averages and electron counts are over the mesh that the density was made on.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
from pymatgen.core import Element, IStructure, Lattice

from midgap.defects.electronic_structure import ElectronicStructure, Provenance
from midgap.defects.parsers.outcar import Outcar, read_outcar
from midgap.defects.parsers.procar import read_procar
from midgap.defects.parsers.procar_run import read_procar_run
from midgap.defects.parsers.vasp_moment import magnetization_muB
from midgap.defects.parsers.vasp_output import SMALLEST_CELL_ANG3, VaspOutput
from midgap.defects.parsers.vasp_theory import level_of_theory, settings_of
from midgap.defects.parsers.vaspout import read_vaspout
from midgap.defects.parsers.vasprun import read_vasprun
from midgap.structures.errors import ComputationError, InputError

ONE_SHOT = ("none", "nothing", "eigenval", "exact", "subrot")
"""Values of ALGO that do a fixed number of steps and have no SCF to converge."""
WHOLE_CHARGE = 1e-3
SAME_ENERGY_EV = 1e-3
SAME_START = timedelta(minutes=1)
PACKED = (".bz2", ".xz", ".zst", ".Z", ".zip", ".lzma")
"""Packed otherwise than by gzip: not read."""


def find_vasp(folder: Path) -> Path | None:
    """The file of eigenvalues that a folder of VASP holds, or None.

    ``vasprun.xml`` before ``vaspout.h5``, for it says more, and ``PROCAR`` (with ``OUTCAR``) where there is neither; of
    several of a kind the newest.
    """
    for patterns in (("vasprun.xml", "vasprun.xml.gz"), ("vasprun*.xml*",), ("vaspout.h5",), ("vaspout*.h5",)):
        found = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
        found = [path for path in found if path.suffix not in PACKED]
        if found:
            return max(found, key=lambda path: (path.stat().st_mtime, path.name))
    procars = [path for path in (folder / "PROCAR", folder / "PROCAR.gz") if path.is_file()]
    return procars[0] if procars and _beside(procars[0], "OUTCAR") else None


def read_vasp(folder: Path | str) -> ElectronicStructure:
    """Read a folder of a VASP run.

    Raises
    ------
    InputError
        There is no output of VASP, it is damaged, or its functional has no name here.
    ComputationError
        The run has not come as far as eigenvalues, or broke down.
    """
    folder = Path(folder)
    source = find_vasp(folder)
    if source is None:
        raise InputError(f"{folder} holds no vasprun.xml or vaspout.h5 of VASP, nor PROCAR with OUTCAR.")
    outcar_path = _beside(source, "OUTCAR")
    if source.suffix == ".h5":
        out = read_vaspout(source)
    elif source.name.startswith("PROCAR") and outcar_path is not None:
        out = read_procar_run(source, outcar_path)
    else:
        out = read_vasprun(source)
    eigenvalues, occupations = _whole(out)
    warnings = list(out.warnings)
    if not out.finished:
        warnings.append(f"{source.name} is not finished: VASP was stopped or is still running; missing: {out.missing}.")
    weights = out.site_weights
    procar = _beside(source, "PROCAR")
    if weights is None and procar is not None:
        weights = _from_procar(procar, out, warnings)
    if weights is None:
        warnings.append(
            "No projections were written, so there are no site weights: run VASP with LORBIT = 11."
            if out.finished or out.number("LORBIT") not in (10, 11, 12)
            else "The projections were not written yet, so there are no site weights."
        )
    outcar = Outcar() if outcar_path is None else read_outcar(outcar_path)
    if outcar.started and out.started and abs(outcar.started - out.started) > SAME_START:
        warnings.append(
            f"OUTCAR is of the run of {outcar.started}, {source.name} of {out.started}: OUTCAR is left out."
        )
        outcar = Outcar()
    electrons = out.number("NELECT")
    if electrons is None or not 0 < electrons < np.inf:
        raise InputError(
            f"{source} does not say how many electrons there are (NELECT = {out.text('NELECT') or 'nothing'})."
        )
    eigenvalues, occupations, weights = _ascending(eigenvalues, occupations, weights)
    assert out.kpoints_frac is not None and out.k_weights is not None
    assert out.lattice_ang is not None and out.positions_frac is not None
    k_weights = out.k_weights / out.k_weights.sum()
    fields = dict(
        structure=IStructure(
            Lattice(out.lattice_ang), [_element(name, source) for name in out.species], out.positions_frac.tolist()
        ),
        theory=level_of_theory(out),
        provenance=Provenance(
            engine="vasp",
            engine_version=out.version,
            settings=settings_of(out) | _potential_settings(outcar) | {"read from": source.name},
            wall_time_s=outcar.wall_time_s,
            peak_memory_MB=outcar.memory_per_rank_MB,
        ),
        charge=_charge(out, electrons, warnings),
        spinor=out.spinor,
        kpoints_frac=out.kpoints_frac,
        k_weights=k_weights,
        eigenvalues_eV=eigenvalues,
        occupations=occupations,
        site_weights=weights,
        n_electrons=electrons,
        magnetization_muB=magnetization_muB(out, electrons, eigenvalues, occupations, k_weights, warnings),
        site_potentials_eV=_site_potentials(outcar, outcar_path, len(out.species), warnings),
        total_energy_eV=out.total_energy_eV,
        converged=_converged(out, outcar, warnings),
        warnings=tuple(warnings),
    )
    return ElectronicStructure.from_dict(fields, source=str(source))


def _whole(out: VaspOutput) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and occupations, once everything has been found to fit."""
    if out.eigenvalues_eV is None or out.occupations is None:
        if not out.finished:
            raise ComputationError(
                f"{out.source} is not finished: VASP was stopped or is still running; missing: {out.missing}."
            )
        raise InputError(f"{out.source} lists no eigenvalues; a run with levels to read writes them at its end.")
    if out.eigenvalues_eV.ndim != 3 or out.eigenvalues_eV.shape != out.occupations.shape:
        raise InputError(
            f"{out.source}: its eigenvalues, of the shape {out.eigenvalues_eV.shape}, and occupations, "
            f"{out.occupations.shape}, are not tables of spin × k-point × band; it is damaged."
        )
    if not np.isfinite(out.eigenvalues_eV).all() or not np.isfinite(out.occupations).all():
        raise ComputationError(f"{out.source}: an eigenvalue or occupation is no number: the calculation broke down.")
    spins, n_k, _ = out.eigenvalues_eV.shape
    listed = 0 if out.kpoints_frac is None or out.k_weights is None else out.k_weights.size
    if listed != n_k or out.kpoints_frac is None or out.kpoints_frac.shape != (n_k, 3):
        raise InputError(f"{out.source} lists {listed} k-points, but eigenvalues at {n_k}; it is damaged.")
    if spins != out.spins:
        kind = "spinors" if out.spinor else f"ISPIN = {out.spins}"
        raise InputError(
            f"{out.source} has eigenvalues of {spins} spin channels, but was run with {kind}; it is damaged."
        )
    lattice, positions = out.lattice_ang, out.positions_frac
    if lattice is None or positions is None or not out.species or positions.shape != (len(out.species), 3):
        raise InputError(f"{out.source} does not say where its {len(out.species)} atoms are; it is damaged.")
    if (
        lattice.shape != (3, 3)
        or not abs(np.linalg.det(lattice)) > SMALLEST_CELL_ANG3
        or not np.isfinite(positions).all()
    ):
        raise InputError(f"{out.source}: its lattice vectors span no volume, or an atom is nowhere; it is damaged.")
    if not np.isfinite(out.kpoints_frac).all():
        raise InputError(f"{out.source}: the coordinates of a k-point are no numbers; it is damaged.")
    if out.k_weights is None or not (out.k_weights >= 0).all() or not 0 < out.k_weights.sum() < np.inf:
        raise InputError(f"{out.source}: the weights of its k-points do not add up to anything.")
    return out.eigenvalues_eV, out.occupations


def _beside(source: Path, name: str) -> Path | None:
    """OUTCAR or PROCAR of the same run: ``vasprun.xml.relax2.gz`` goes with ``OUTCAR.relax2.gz``."""
    part = (
        source.name.removeprefix("PROCAR")
        .removeprefix("vasprun.xml")
        .removeprefix("vaspout")
        .removesuffix(".gz")
        .removesuffix(".h5")
    )
    names = [f"{name}{part}", f"{name}{part}.gz", *([name, f"{name}.gz"] if not part else [])]
    return next((source.with_name(other) for other in names if source.with_name(other).is_file()), None)


def _element(name: str, source: Path) -> str:
    symbol = name.split("_")[0].strip()
    symbol = "Zr" if symbol == "r" else "Xe" if symbol == "X" else symbol  # VASP cuts these two names short
    if not Element.is_valid_symbol(symbol):
        raise InputError(f"{source} names an element {name!r} that there is not.")
    return symbol


def _from_procar(path: Path, out: VaspOutput, warnings: list[str]) -> np.ndarray | None:
    """PROCAR's weights, if its eigenvalues are those of the run."""
    procar = read_procar(path)
    assert out.eigenvalues_eV is not None
    same = procar.eigenvalues_eV.shape == out.eigenvalues_eV.shape and procar.site_weights.shape[3] == len(out.species)
    if not same or not np.allclose(procar.eigenvalues_eV, out.eigenvalues_eV, atol=SAME_ENERGY_EV):
        warnings.append(f"{path.name} belongs to another run than {out.source.name}; it is left out.")
        return None
    return procar.site_weights


def _ascending(
    eigenvalues: np.ndarray, occupations: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Bands in order; hybrid runs and one-shot diagonalizations may list them otherwise."""
    for spin, k in np.argwhere((np.diff(eigenvalues, axis=2) < 0).any(axis=2)):
        order = np.argsort(eigenvalues[spin, k], kind="stable")
        eigenvalues[spin, k] = eigenvalues[spin, k, order]
        occupations[spin, k] = occupations[spin, k, order]
        if weights is not None:
            weights[spin, k] = weights[spin, k, order]
    return eigenvalues, occupations, weights


def _charge(out: VaspOutput, electrons: float, warnings: list[str]) -> int:
    """What the POTCARs bring, less the electrons that are there."""
    if len(out.valences) != len(out.species) or not out.valences:
        warnings.append(
            f"{out.source.name} does not say what charge its POTCARs have: the cell is taken to be neutral."
        )
        return 0
    charge = sum(out.valences) - electrons
    if not np.isfinite(charge):
        warnings.append(f"{out.source.name} gives POTCARs a charge that is no number: the cell is taken to be neutral.")
        return 0
    if abs(charge - round(charge)) > WHOLE_CHARGE:
        warnings.append(
            f"The cell holds {electrons:g} electrons, a charge of {charge:+.3f}; it is reported as {round(charge):+d}."
        )
    return round(charge)


def _site_potentials(outcar: Outcar, path: Path | None, sites: int, warnings: list[str]) -> np.ndarray | None:
    potentials = outcar.site_potentials_eV
    if potentials is None:
        where = "There is no OUTCAR" if path is None else f"{path.name} lists no potentials at the cores"
        warnings.append(f"{where}: energies of another cell cannot be aligned by site potentials.")
        return None
    if len(potentials) != sites or not np.isfinite(potentials).all():
        assert path is not None
        warnings.append(
            f"{path.name} lists potentials at {len(potentials)} atoms instead of {sites}, or broken ones; they are left out."
        )
        return None
    return potentials


def _potential_settings(outcar: Outcar) -> dict[str, str]:
    if not outcar.test_charge_radii_ang:
        return {}
    return {"test charge radii, Å": " ".join(f"{radius:g}" for radius in outcar.test_charge_radii_ang)}


def _converged(out: VaspOutput, outcar: Outcar, warnings: list[str]) -> bool:
    """Whether the electronic steps ended before NELM, or their last change was below EDIFF.

    vaspout.h5 does not tell; OUTCAR says it in words.
    """
    if out.source.suffix == ".h5":
        if outcar.scf_converged is None:
            warnings.append("vaspout.h5 does not say whether the SCF converged, and there is no OUTCAR that does.")
        elif not outcar.scf_converged:
            warnings.append("The SCF did not reach EDIFF: energies are not to be trusted.")
        return outcar.scf_converged is not False
    steps, limit = out.ionic_steps, out.number("NSW") or 0
    if out.finished and limit > 1 and steps >= limit:
        warnings.append(
            f"The relaxation stopped at its limit of {limit:g} steps (NSW); the structure may not be relaxed."
        )
    most, small = out.number("NELM") or 60, out.number("EDIFF") or 1e-4
    if out.text("ALGO").lower().startswith(ONE_SHOT) or out.scf_steps < most:
        return True
    if out.last_change_eV is not None and out.last_change_eV <= small:
        return True
    change = "" if out.last_change_eV is None else f"; the last step changed the energy by {out.last_change_eV:.1e} eV"
    warnings.append(
        f"The SCF did not converge in {out.scf_steps} steps (NELM){change}: energies are not to be trusted."
    )
    return False
