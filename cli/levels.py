"""``midgap levels``: the gap and the defect levels of any finished calculation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midgap.cli.results import print_json

if TYPE_CHECKING:
    from midgap.defects.electronic_structure import ElectronicStructure
    from midgap.defects.site import DefectSite

LARGEST_SHIFT_EV = 100.0
"""No two calculations of one engine have zeros further apart."""


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A finished calculation of any engine.")],
    reference: Annotated[
        Path | None, typer.Option(help="The pristine crystal in the same cell, same engine and theory.")
    ] = None,
    defect_site: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,Z",
            help="Where the defect is, in fractional coordinates (Å for a cluster). (default: what midgap built, or "
            "where the cell differs from the reference)",
        ),
    ] = None,
    species: Annotated[str, typer.Option(help="Element of the missing atom, with --defect-site.")] = "",
    shift: Annotated[
        float | None, typer.Option(metavar="EV", help="Add this to the reference's energies instead of aligning.")
    ] = None,
    theory: Annotated[
        str | None, typer.Option(help="What a PySCF checkpoint was computed with, for it does not say: hse06, pbe+soc.")
    ] = None,
    screening: Annotated[
        str | None,
        typer.Option(
            metavar="EPS",
            help="Static dielectric constant, or XX,YY,ZZ: take the images of a charged cell off its levels.",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the states and where they sit: a .png, .pdf or .svg file.")
    ] = None,
    density: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write here where each level's electron is, for `midgap compare --densities`."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")] = False,
) -> None:
    """Find the gap and the defect levels of a finished calculation."""
    import sys

    from midgap.defects.levels import identify_levels
    from midgap.defects.parsers import read_folder
    from midgap.structures.errors import InputError
    from midgap.structures.theory import LevelOfTheory

    _refuse_idle(reference, defect_site, species, shift)
    computed_with = None if theory is None else LevelOfTheory.named(theory)
    calculation = read_folder(folder, computed_with)
    structure = calculation.electronic_structure
    pristine = None if reference is None else read_folder(reference, computed_with)
    if pristine is not None and pristine.vacancy is not None:
        raise InputError(f"{reference} is {pristine.label}, a defect itself; give the pristine crystal as --reference.")
    host = None if pristine is None else pristine.electronic_structure
    report = identify_levels(
        structure,
        host,
        calculation.vacancy if defect_site is None else _site(defect_site, species, structure),
        model=calculation.name,
        label=calculation.label,
        shift_eV=shift,
    )
    if screening is not None:
        from midgap.cli.options import parse_dielectric
        from midgap.defects.level_correction import corrected

        report = corrected(report, structure, host, parse_dielectric(screening))
    if picture is not None:
        from midgap.report.state_picture import write_state_picture

        write_state_picture(picture, structure, report, host)
        print(f"Picture: {picture}", file=sys.stderr)
    if density is not None:
        from midgap.defects.parsers.densities import write_densities

        written = write_densities(folder, report, density)
        print(f"Densities: {', '.join(map(str, written)) or 'no level to write one of'}", file=sys.stderr)
    if as_json:
        print_json(report)
        return
    from midgap.cli.tables import print_report

    print_report(report)


def _refuse_idle(reference: Path | None, defect_site: str | None, species: str, shift: float | None) -> None:
    """Options that would do nothing, or nothing sensible."""
    from midgap.structures.errors import InputError

    if shift is not None and reference is None:
        raise InputError("--shift moves the energies of a reference; give --reference too.")
    if shift is not None and not abs(shift) <= LARGEST_SHIFT_EV:
        raise InputError(f"--shift takes an energy of at most {LARGEST_SHIFT_EV:g} eV, not {shift:g}.")
    if species and defect_site is None:
        raise InputError("--species says what is missing at --defect-site; give that too.")


def _site(text: str, species: str, structure: ElectronicStructure) -> DefectSite:
    from pymatgen.core import Element, IStructure

    from midgap.defects.site import DefectSite
    from midgap.structures.errors import InputError

    try:
        position = [float(part) for part in text.split(",")]
        if len(position) != 3 or not all(abs(x) < 1e6 for x in position):
            raise ValueError
    except ValueError:
        raise InputError(
            f"--defect-site takes three numbers with commas, such as 0.25,0.5,0.1; not {text!r}."
        ) from None
    if species and not Element.is_valid_symbol(species):
        raise InputError(f"--species takes the symbol of an element, such as Br; not {species!r}.")
    geometry = structure.structure
    cartesian = geometry.lattice.get_cartesian_coords(position) if isinstance(geometry, IStructure) else position
    from midgap.defects.site import AT_SITE_ANG, site_distances

    place = DefectSite(position_ang=cartesian)
    distances = site_distances(structure, place.position_ang)
    there = int(distances.argmin())
    added = geometry[there].specie.symbol if distances[there] < AT_SITE_ANG else ""
    label = f"{added or 'V'}_{species}" if species else ""
    return DefectSite(label=label, position_ang=cartesian, missing=species, added=added)
