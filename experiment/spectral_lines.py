"""Peak, width and asymmetry of an emission line, and the Urbach energy of an absorption edge, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from midgap.experiment.records import Quantity
from midgap.experiment.spectra import Spectrum
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import ComputationError, InputError

Shape = Literal["gaussian", "asymmetric gaussian", "asymmetric pseudo-Voigt"]
Floats = NDArray[np.float64]
SHAPES: tuple[Shape, ...] = ("gaussian", "asymmetric gaussian", "asymmetric pseudo-Voigt")
_FREE = {"gaussian": 4, "asymmetric gaussian": 5, "asymmetric pseudo-Voigt": 6}


class Line(Document):
    """One line on a constant background.

    Attributes
    ----------
    peak, fwhm
        In the unit of the axis.
    asymmetry
        Ratio of the half width above the maximum to that below it.
    lorentzian
        Part of the Lorentzian in a pseudo-Voigt; 0 for Gaussians.
    bic
        By shape; the smallest is taken.
    r_squared
        1 - residual over total sum of squares.
    fitted
        Shape (n,).
    """

    shape: Shape
    peak: Quantity
    fwhm: Quantity
    height: float
    asymmetry: Quantity
    lorentzian: float
    background: float
    bic: dict[str, float]
    r_squared: float
    ci_level: float
    x: FloatArray
    intensity: FloatArray
    fitted: FloatArray


class Urbach(Document):
    """α = c + exp((E - E₀)/E_U) between ``low_eV`` and ``high_eV``; ``residual_part`` is the rms misfit over the rise."""

    urbach_meV: Quantity
    offset: float
    low_eV: float
    high_eV: float
    residual_part: float
    ci_level: float


def line_shape(parameters: Floats, x: Floats, shape: Shape) -> Floats:
    """Height, centre, ln of the half width at half maximum below, background; ln of the one above; Lorentzian part."""
    height, centre, below, background = parameters[:4]
    above = parameters[4] if shape != "gaussian" else below
    u = (x - centre) / np.exp(np.where(x < centre, below, above))
    curve = np.exp(-math.log(2) * u**2)
    if shape == "asymmetric pseudo-Voigt":
        curve = (1 - parameters[5]) * curve + parameters[5] / (1 + u**2)
    return background + height * curve


def fit_line(x: Any, intensity: Any, *, shapes: tuple[Shape, ...] = SHAPES, ci_level: float = 0.95) -> Line:
    """Fit the strongest line, by least squares, with the shape that BIC prefers.

    The noise is taken from the residuals, and its correlation from point to point widens the intervals: neighbours with
    correlation r count as (1-r)/(1+r) points each.

    Raises
    ------
    InputError
        No line, or fewer than 12 points.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(intensity, dtype=float)
    if x.size < 12 or x.shape != y.shape or not (np.isfinite(x) & np.isfinite(y)).all() or not np.ptp(y) > 0:
        raise InputError("A line needs at least 12 finite points that are not all the same.")
    scale = float(np.ptp(y))
    fits = {shape: _least_squares(x, y / scale, shape) for shape in shapes}
    # The same effective number of points for all shapes, that of the one that leaves least structure.
    points = max(_effective(fit[1]) for fit in fits.values())
    bic = {
        shape: points * math.log(max(float(fit[1] @ fit[1]), 1e-30) / x.size) + _FREE[shape] * math.log(points)
        for shape, fit in fits.items()
    }
    shape = min(bic, key=lambda s: bic[s])
    theta, residual, jacobian = fits[shape]
    covariance = _covariance(residual, jacobian)
    below, above = math.exp(theta[2]), math.exp(theta[4] if shape != "gaussian" else theta[2])
    z = _normal(ci_level)

    def quantity(value: float, gradient: dict[int, float]) -> Quantity:
        g = np.zeros(theta.size)
        for i, slope in gradient.items():
            g[i] = slope
        error = z * math.sqrt(max(float(g @ covariance @ g), 0.0))
        return Quantity(value=value, lo=value - error, hi=value + error)

    symmetric = shape == "gaussian"
    ratio = above / below
    log_error = None if symmetric else quantity(math.log(ratio), {2: -1.0, 4: 1.0})
    peak = quantity(float(theta[1]), {1: 1.0})
    if not x[0] < theta[1] < x[-1]:
        raise InputError(f"The strongest line lies outside of the measured range {x[0]:g} to {x[-1]:g}.")
    return Line(
        shape=shape,
        peak=peak,
        fwhm=quantity(below + above, {2: 2 * below} if symmetric else {2: below, 4: above}),
        height=float(theta[0]) * scale,
        asymmetry=Quantity(value=1.0)
        if log_error is None
        else Quantity(value=ratio, lo=math.exp(log_error.lo or 0.0), hi=math.exp(log_error.hi or 0.0)),
        lorentzian=float(theta[5]) if shape == "asymmetric pseudo-Voigt" else 0.0,
        background=float(theta[3]) * scale,
        bic=dict(bic),
        r_squared=1 - float(residual @ residual) / float(((y / scale - (y / scale).mean()) ** 2).sum()),
        ci_level=ci_level,
        x=x,
        intensity=y,
        fitted=scale * line_shape(theta, x, shape),
    )


def emission_fields(spectrum: Spectrum, ci_level: float = 0.95) -> tuple[dict[str, Any], Line]:
    """The fields of a `ParticleRecord` that an emission spectrum settles, and the line in energy.

    The line is fitted on both axes, to I(E) with the Jacobian and, where wavelengths were measured, to I(λ); the two
    maxima are not the same photon.
    """
    energy, density = spectrum.in_energy()
    line = fit_line(energy, density, ci_level=ci_level)
    fields: dict[str, Any] = {
        "pl_peak_eV": line.peak,
        "pl_fwhm_meV": _scaled(line.fwhm, 1e3),
        "pl_peak_from": "spectrum",
        "jacobian_applied": spectrum.unit == "nm",
        "medium": spectrum.medium,
        "notes": {"pl_peak_eV": f"maximum of I(E), {line.shape}"},
    }
    if spectrum.unit == "nm":
        in_nm = fit_line(spectrum.x, spectrum.intensity, ci_level=ci_level)
        fields |= {"pl_peak_nm": in_nm.peak, "pl_fwhm_nm": in_nm.fwhm}
        fields["notes"]["pl_peak_nm"] = f"maximum of I(λ), {in_nm.shape}"
    if line.r_squared < 0.95:
        fields["notes"]["pl_fwhm_meV"] = f"one line explains {line.r_squared:.0%} of the spectrum's variance, no more"
    return fields, line


def urbach_energy(spectrum: Spectrum, low_eV: float, high_eV: float, ci_level: float = 0.95) -> Urbach:
    """Urbach energy of an absorption tail, from its steepness in a range that the user judges to be the tail.

    A constant is fitted along, because scattered light lifts the tail and would pass for disorder.

    Raises
    ------
    InputError
        Fewer than 8 points in the range, or no rise in it.
    """
    from scipy.optimize import least_squares

    energy, alpha = spectrum.in_energy()
    inside = (energy >= low_eV) & (energy <= high_eV)
    if inside.sum() < 8:
        raise InputError(
            f"{inside.sum()} points lie between {low_eV} and {high_eV} eV; an Urbach tail needs at least 8."
        )
    x, y = energy[inside], alpha[inside]
    rise = float(y[-1] - y[0])
    if not rise > 0:
        raise InputError(f"The absorption does not rise between {low_eV} and {high_eV} eV.")
    middle = float(x.mean())

    def model(p: Floats) -> Floats:
        return p[0] + np.exp(p[1] + (x - middle) * math.exp(min(-p[2], 10.0)))

    best = None
    for width in (0.05, 0.2, 0.7):
        steep = width * (high_eV - low_eV)
        start = [float(y[0]) - 0.01 * rise, math.log(rise) - (x[-1] - middle) / steep, math.log(steep)]
        found = least_squares(lambda p: (model(p) - y) / rise, start, x_scale="jac", max_nfev=2000)
        best = found if best is None or found.cost < best.cost else best
    if best is None or not best.success:
        raise ComputationError("The fit of the Urbach tail did not end; take a narrower range.")
    error = _normal(ci_level) * math.sqrt(_covariance(best.fun, best.jac)[2, 2])
    value = 1e3 * math.exp(best.x[2])
    return Urbach(
        urbach_meV=Quantity(value=value, lo=value * math.exp(-error), hi=value * math.exp(min(error, 50.0))),
        offset=float(best.x[0]),
        low_eV=low_eV,
        high_eV=high_eV,
        residual_part=float(np.sqrt(np.mean(best.fun**2))),
        ci_level=ci_level,
    )


def _least_squares(x: Floats, y: Floats, shape: Shape) -> tuple[Floats, Floats, Floats]:
    from scipy.optimize import least_squares

    floor = float(np.quantile(y, 0.05))
    smooth = np.convolve(y, np.ones(3) / 3, "same")
    smooth[[0, -1]] = floor
    top = int(smooth.argmax())
    above = smooth > 0.5 * (smooth[top] + floor)
    left, right = top, top
    while left > 0 and above[left]:
        left -= 1
    while right < x.size - 1 and above[right]:
        right += 1
    width = 0.5 * max(float(x[right] - x[left]), 2 * float(np.median(np.diff(x))))
    start = [float(y[top]) - floor, float(x[top]), math.log(width), floor]
    lower = [0.0, x[0] - np.ptp(x), math.log(1e-4 * np.ptp(x)), -np.inf]
    upper = [np.inf, x[-1] + np.ptp(x), math.log(10 * np.ptp(x)), np.inf]
    if shape != "gaussian":
        start, lower, upper = [*start, math.log(width)], [*lower, lower[2]], [*upper, upper[2]]
    if shape == "asymmetric pseudo-Voigt":
        start, lower, upper = [*start, 0.2], [*lower, 0.0], [*upper, 1.0]
    residuals: Callable[[Floats], Floats] = lambda p: line_shape(p, x, shape) - y  # noqa: E731
    found = least_squares(residuals, start, bounds=(lower, upper), x_scale="jac", max_nfev=5000)
    return found.x, found.fun, found.jac


def _effective(residual: Floats) -> float:
    """Number of independent points, from the correlation of neighbours."""
    r = float(residual[1:] @ residual[:-1]) / max(float(residual @ residual), 1e-300)
    r = min(max(r, 0.0), 0.99)
    return max(residual.size * (1 - r) / (1 + r), 8.0)


def _covariance(residual: Floats, jacobian: Floats) -> Floats:
    points = _effective(residual)
    freedom = max(points - jacobian.shape[1], 1.0)
    # Noise of one point over the effective number of them: J^T J counts every point in full.
    noise = float(residual @ residual) / residual.size * points / freedom
    return np.linalg.pinv(jacobian.T @ jacobian) * noise * residual.size / points


def _normal(ci_level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(0.5 + 0.5 * ci_level))


def _scaled(quantity: Quantity, factor: float) -> Quantity:
    parts = (None if x is None else factor * x for x in (quantity.value, quantity.lo, quantity.hi))
    return Quantity(**dict(zip(("value", "lo", "hi"), parts, strict=True)))
