"""Powder diffraction: the pattern a structure should give."""

from __future__ import annotations

from pydantic import PositiveFloat
from pymatgen.core import IStructure, Structure

from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

CU_KALPHA1_ANG = 1.54060
"""Cu Kα1 (Hölzer et al., Phys. Rev. A 56, 4554 (1997): 1.540593 Å)."""


class PowderPattern(Document):
    """Bragg reflections of a powder.

    Attributes
    ----------
    two_theta_deg, intensity, d_ang
        Shape (n,); intensities on a scale of 100 for the strongest.
    hkl
        Miller indices of one reflection of each family.
    """

    wavelength_ang: PositiveFloat
    two_theta_deg: FloatArray
    intensity: FloatArray
    d_ang: FloatArray
    hkl: tuple[tuple[int, ...], ...]


def powder_pattern(
    structure: IStructure, wavelength_ang: float = CU_KALPHA1_ANG, two_theta_deg: tuple[float, float] = (5.0, 60.0)
) -> PowderPattern:
    """Kinematic powder pattern without thermal motion, by pymatgen's ``XRDCalculator``.

    Raises
    ------
    InputError
        The angular range is empty or beyond 180°.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    low, high = two_theta_deg
    if not 0 <= low < high <= 180:
        raise InputError(f"2θ from {low}° to {high}° is not a range within 0°...180°.")
    pattern = XRDCalculator(wavelength=wavelength_ang).get_pattern(
        Structure.from_sites(list(structure)), two_theta_range=(low, high)
    )
    return PowderPattern(
        wavelength_ang=wavelength_ang,
        two_theta_deg=pattern.x,
        intensity=pattern.y,
        d_ang=pattern.d_hkls,
        hkl=tuple(tuple(int(i) for i in families[0]["hkl"]) for families in pattern.hkls),
    )
