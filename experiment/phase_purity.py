"""Weight fraction of a second phase in a powder pattern, from the intensities that both structures should give.

The pattern is s_A P_A + s_B P_B + a smooth background, P the simulated reflections as pseudo-Voigt lines of
Scherrer width. W_B/W_A = (s_B/s_A) (Z M V)_B/(Z M V)_A with the mass ZM and volume V of the cells: R. J. Hill and
C. J. Howard, J. Appl. Cryst. 20, 467 (1987), doi 10.1107/S0021889887086199.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import IStructure, Structure

from midgap.experiment.records import Quantity
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError
from midgap.structures.powder import CU_KALPHA1_ANG

Floats = NDArray[np.float64]
SCHERRER = 0.9
CU_KALPHA2_ANG = 1.544427
"""Cu Kα2 (Hölzer et al., Phys. Rev. A 56, 4554 (1997))."""
STRAIN = 0.015
"""How much longer or shorter than the model a lattice may be: relaxed lattices are off by 1 to 1.5 %."""
SIZES_NM = (5.0, 300.0)
"""Lines of smaller crystallites are as broad as a background."""
TAIL = 15.0
"""Full widths at half maximum at which a line ends: the Lorentzian has fallen to a thousandth."""

CAVEATS = (
    "powder is taken to be randomly oriented: texture, as of a drop-cast film, changes relative intensities",
    "thermal motion, absorption contrast and anomalous scattering are left out, which changes ratios by some 10 %",
    "only what is crystalline is seen",
)


class PhaseFraction(Document):
    """How much of a second phase there is.

    Attributes
    ----------
    trace_weight_fraction
        0 to 1; without a lower end, ``hi`` is the upper bound at ``ci_level`` (one-sided) and ``value`` the best fit.
    seen
        Whether chance would give as much in a pattern without it less often than 1 - ``ci_level``, wherever its lines
        may lie.
    strain
        Of host and trace: the fitted lattice over the model's, minus one; None for a trace that is not seen.
    size_nm
        Scherrer size of host and trace.
    chi_squared
        Per degree of freedom; above one, the interval was widened by it.
    host, trace, background
        Shape (n,): the parts of the fitted pattern.
    """

    trace_weight_fraction: Quantity
    seen: bool
    ci_level: float
    strain: tuple[float, float | None]
    size_nm: tuple[float, float | None]
    chi_squared: float
    wavelength_ang: float
    two_theta_deg: FloatArray
    counts: FloatArray
    host: FloatArray
    trace: FloatArray
    background: FloatArray
    caveats: tuple[str, ...] = CAVEATS


class Reflections(Document):
    """d spacings in Å and intensities (multiplicity |F|², Lorentz-polarisation left out), with ZMV of the cell."""

    d_ang: FloatArray
    strength: FloatArray
    zmv: float


def reflections(structure: IStructure, wavelength_ang: float, highest_deg: float) -> Reflections:
    """Absolute intensities of a structure's reflections, in electrons squared a cell."""
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    pattern = XRDCalculator(wavelength=wavelength_ang).get_pattern(
        Structure.from_sites(list(structure)), scaled=False, two_theta_range=(0, min(highest_deg + 3, 179))
    )
    theta = np.radians(np.asarray(pattern.x) / 2)
    mass = float(structure.composition.weight)
    return Reflections(
        d_ang=pattern.d_hkls, strength=np.asarray(pattern.y) / _lorentz_polarisation(theta), zmv=mass * structure.volume
    )


def reference_intensity(structure: IStructure, wavelength_ang: float = CU_KALPHA1_ANG) -> float:
    """Strongest line of a unit weight, in arbitrary but common units: the ratio to corundum's is I/I_c."""
    lines = reflections(structure, wavelength_ang, 90.0)
    theta = np.arcsin(wavelength_ang / (2 * lines.d_ang))
    return float((lines.strength * _lorentz_polarisation(theta)).max() / lines.zmv)


def trace_fraction(
    two_theta_deg: Any,
    counts: Any,
    host: IStructure,
    trace: IStructure,
    *,
    wavelength_ang: float = CU_KALPHA1_ANG,
    kalpha2_ang: float | None = None,
    background_order: int = 5,
    ci_level: float = 0.95,
) -> PhaseFraction:
    """Fit a measured pattern with two phases; the interval of the weight fraction is by profile likelihood.

    Parameters
    ----------
    two_theta_deg, counts
        Shape (n,): the pattern, in counts (their Poisson noise is the weight).
    kalpha2_ang
        Wavelength of the doublet's other line, half as strong; None where a monochromator took it away.

    Raises
    ------
    InputError
        No pattern, angles out of range, or nothing of the host in it.
    """
    from scipy.optimize import least_squares
    from scipy.stats import chi2

    x, y = np.asarray(two_theta_deg, dtype=float), np.asarray(counts, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or x.size < 50 or not (np.isfinite(x) & np.isfinite(y)).all():
        raise InputError("A powder pattern needs at least 50 finite points of 2θ and counts.")
    if not (x.min() > 0 and x.max() < 170) or not (np.diff(x) > 0).all() or (y < 0).any() or not y.sum() > 0:
        raise InputError("2θ must ascend within 0°...170°, and counts must not be negative.")
    phases = [reflections(s, wavelength_ang, float(x.max())) for s in (host, trace)]
    weight = 1 / np.sqrt(np.maximum(y, 1.0))
    smooth = np.polynomial.chebyshev.chebvander(np.interp(x, (x[0], x[-1]), (-1, 1)), background_order)
    # Relative amounts of one unit of scale, so that a weight fraction w is a ratio of two columns.
    ratio = phases[0].zmv / phases[1].zmv
    # Host strain and ln size, trace strain and ln size, Lorentzian part of the lines.
    lower = np.array([-STRAIN, math.log(SIZES_NM[0])] * 2 + [0.0])
    upper = np.array([STRAIN, math.log(SIZES_NM[1])] * 2 + [1.0])

    @lru_cache(maxsize=64)  # a derivative moves one phase and leaves the other
    def pattern(i: int, strain: float, log_size: float, lorentzian: float) -> Floats:
        one = _lines(phases[i], x, wavelength_ang, strain, math.exp(log_size), lorentzian)
        if kalpha2_ang is not None:
            one = one + 0.5 * _lines(phases[i], x, kalpha2_ang, strain, math.exp(log_size), lorentzian)
        return one

    def patterns(p: Floats) -> tuple[Floats, Floats]:
        return pattern(0, p[0], p[1], p[4]), pattern(1, p[2], p[3], p[4])

    def linear(p: Floats, fraction: float | None) -> tuple[Floats, Floats]:
        """Residuals and [host scale, trace scale, background...]; both scales not negative."""
        a, b = patterns(p)
        if fraction is not None:
            columns = np.column_stack([a + fraction / (1 - fraction) * ratio * b, smooth])
        else:
            columns = np.column_stack([a, b, smooth])
        scale = np.maximum(np.abs(columns).max(axis=0), 1e-300)
        solved = np.linalg.lstsq(columns / scale * weight[:, None], y * weight, rcond=None)[0] / scale
        if fraction is None and solved[1] < 0:
            return linear(p, 0.0)
        if fraction is not None:
            solved = np.concatenate([[solved[0], fraction / (1 - fraction) * ratio * solved[0]], solved[1:]])
        return (np.column_stack([a, b, smooth]) @ solved - y) * weight, solved

    def fit(fraction: float | None, starts: list[Floats]) -> Any:
        runs = (
            least_squares(
                lambda p: linear(p, fraction)[0], s, bounds=(lower, upper), x_scale=(0.002, 0.2) * 2 + (0.2,), ftol=3e-5
            )
            for s in starts
        )
        return min(runs, key=lambda run: run.cost)

    grid = [
        np.array([strain, math.log(size), 0.0, math.log(15.0), 0.5])
        for strain in (-0.012, -0.004, 0.004, 0.012)
        for size in (8.0, 25.0, 80.0)
    ]
    rough = min(grid, key=lambda p: float((linear(p, 0.0)[0] ** 2).sum()))
    first = fit(0.0, [rough])
    strains = (-0.01, 0.0, 0.01)
    more = [np.array([*first.x[:2], strain, math.log(size), first.x[4]]) for strain in strains for size in (6.0, 20.0)]
    more.sort(key=lambda p: float((linear(p, None)[0] ** 2).sum()))
    best = fit(None, [*more[:2], first.x])
    scales = linear(best.x, None)[1]
    if not scales[0] > 0:
        raise InputError("Nothing of the host phase is in this pattern; check the wavelength and the structure.")
    share = scales[1] / (scales[0] * ratio)
    value = share / (1 + share)
    chi_squared = max(2 * best.cost / max(x.size - best.x.size - scales.size, 1), 1e-12)
    widened = max(chi_squared, 1.0)

    def rise(fraction: float) -> float:
        return (2 * fit(fraction, [best.x]).cost - 2 * best.cost) / widened

    two_sided, one_sided = float(chi2.ppf(ci_level, 1)), float(chi2.ppf(2 * ci_level - 1, 1))
    # With its lattice and size free, the second phase has many places to find a chance bump in: the probability of one
    # is shared among them (Bonferroni).
    places = _places(phases[1], wavelength_ang, float(x[-1]), math.exp(best.x[3]))
    seen = value > 0 and rise(0.0) > float(chi2.isf((1 - ci_level) / places, 1))
    level = two_sided if seen else one_sided
    lo = _end(rise, value, level, -1) if seen else None
    hi = _end(rise, value, level, 1)
    a, b = patterns(best.x)
    return PhaseFraction(
        trace_weight_fraction=Quantity(value=value, lo=lo, hi=hi),
        seen=seen,
        ci_level=ci_level,
        strain=(float(best.x[0]), float(best.x[2]) if seen else None),
        size_nm=(math.exp(best.x[1]), math.exp(best.x[3]) if seen else None),
        chi_squared=chi_squared,
        wavelength_ang=wavelength_ang,
        two_theta_deg=x,
        counts=y,
        host=scales[0] * a,
        trace=scales[1] * b,
        background=smooth @ scales[2:],
    )


def _places(phase: Reflections, wavelength_ang: float, highest_deg: float, size_nm: float) -> float:
    """How many places the strongest line has within the strains allowed, one line width apart, times a few sizes."""
    sine = wavelength_ang / (2 * phase.d_ang)
    there = sine < math.sin(math.radians(0.5 * highest_deg))
    theta = np.arcsin(sine[there])
    strongest = theta[int((phase.strength[there] * _lorentz_polarisation(theta)).argmax())]
    reach = 4 * STRAIN * math.tan(strongest)
    fwhm = SCHERRER * wavelength_ang / (10 * size_nm * math.cos(strongest))
    return max(1.0, reach / fwhm) * math.log(SIZES_NM[1] / SIZES_NM[0])


def _end(rise: Callable[[float], float], value: float, level: float, side: int) -> float:
    """Where the profile has risen to ``level``: its root is almost a straight line, so secants go there quickly."""
    limit = 0.0 if side < 0 else 0.99
    inner, inner_root, target = value, 0.0, math.sqrt(level)
    probe = value + side * max(0.05 * value, 0.001)
    outer: tuple[float, float] | None = None
    for _ in range(20):
        probe = min(max(probe, 0.0), 0.99)
        root = math.sqrt(max(rise(probe), 0.0))
        if abs(root - target) < 0.02 * target:
            return probe
        if root > target:
            outer = (probe, root)
        elif probe == limit:
            return limit if side < 0 else 1.0
        else:
            inner, inner_root = probe, root
        if outer is None:
            slope = max(inner_root, 0.05 * target) / max(abs(inner - value), 1e-6)
            probe = inner + side * min((target - inner_root) / slope * 1.1, 10 * abs(inner - value) + 0.001)
        else:
            part = min(max((target - inner_root) / (outer[1] - inner_root), 0.05), 0.95)
            probe = inner + part * (outer[0] - inner)
    return probe


def _lines(
    phase: Reflections, x: Floats, wavelength_ang: float, strain: float, size_nm: float, lorentzian: float
) -> Floats:
    """A powder pattern: pseudo-Voigt lines of the Scherrer width Kλ/(L cos θ) and of an area by their intensity."""
    sine = wavelength_ang / (2 * phase.d_ang * (1 + strain))
    there = sine < np.sin(np.radians(min(0.5 * x[-1] + 3, 89.0)))
    theta = np.arcsin(sine[there])
    area = phase.strength[there] * _lorentz_polarisation(theta)
    there = area > 1e-4 * area.max(initial=0.0)
    theta, area = theta[there], area[there]
    fwhm = np.degrees(SCHERRER * wavelength_ang / (10 * size_nm * np.cos(theta)))
    centre = np.degrees(2 * theta)
    begin, end = np.searchsorted(x, centre - TAIL * fwhm), np.searchsorted(x, centre + TAIL * fwhm)
    pattern = np.zeros(x.size)
    for i in range(area.size):
        u_squared = (2 * (x[begin[i] : end[i]] - centre[i]) / fwhm[i]) ** 2
        gauss = np.exp(-math.log(2) * u_squared) * math.sqrt(math.log(2) / math.pi)
        line = (1 - lorentzian) * gauss + lorentzian / (math.pi * (1 + u_squared))
        pattern[begin[i] : end[i]] += 2 * area[i] / fwhm[i] * line
    return pattern


def _lorentz_polarisation(theta: Floats) -> Floats:
    return (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
