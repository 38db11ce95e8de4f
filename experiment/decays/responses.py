"""Instrument response functions: what an emission without delay looks like on the detector's clock."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import PositiveFloat

from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError


class Response(Document):
    """Instrument response function.

    Attributes
    ----------
    counts
        Shape (n_bins,), on the same bins as the decay, normalised to a sum of one.
    fwhm_ns
        Full width at half maximum.
    fit_width
        Of a Gaussian: the width is only where a fit starts.
    name
        Where it comes from, for people.
    """

    kind: Literal["measured", "gaussian"]
    counts: FloatArray
    bin_width_ns: PositiveFloat
    fwhm_ns: PositiveFloat
    fit_width: bool = False
    name: str = ""


def measured_response(counts: Any, bin_width_ns: float, name: str = "measured") -> Response:
    """A measured response, freed of its constant background; its bins should be no longer than a quarter of its width.

    The background is the mean of the quietest tenth of the trace, which is one piece; it is taken off, and
    what lies before and after the pulse, as far as that stands out of the background, is zero.

    Raises
    ------
    InputError
        It is not a histogram, or holds no pulse.
    """
    histogram = checked_histogram(counts, "the response function")
    used = np.nonzero(histogram)[0]
    if used.size == 0:
        raise InputError("The response function holds no counts; measure it again, or give a Gaussian by its width.")
    inside = histogram[used[0] : used[-1] + 1]
    length = max(1, inside.size // 10)
    sums = np.convolve(inside, np.ones(length), "valid")
    background = float(sums.min()) / length
    if not 0 < background < 0.5 * inside.max():
        background = 0.0
    width = min(5, histogram.size)
    running = np.convolve(histogram, np.ones(width), "same")
    pulse = np.nonzero(running > background * width + 4 * np.sqrt(background * width + 1))[0]
    if pulse.size == 0:
        pulse = used
    net = np.zeros(histogram.size)
    net[pulse[0] : pulse[-1] + 1] = histogram[pulse[0] : pulse[-1] + 1] - background
    if not net.sum() > 0:
        raise InputError("The response function has no pulse above its background; measure it again.")
    net /= net.sum()
    return Response(
        kind="measured", counts=net, bin_width_ns=bin_width_ns, fwhm_ns=_fwhm_bins(net) * bin_width_ns, name=name
    )


def gaussian_response(
    fwhm_ns: float,
    bin_width_ns: float,
    n_bins: int,
    centre_ns: float | None = None,
    fit_width: bool = False,
) -> Response:
    """A Gaussian response; a fit moves it to where the decay begins.

    Raises
    ------
    InputError
        The width or the bins are not positive, or the width is longer than the histogram.
    """
    from scipy.special import ndtr

    if not (fwhm_ns > 0 and bin_width_ns > 0 and n_bins > 0):
        raise InputError(
            f"A Gaussian response needs a positive width and positive bins, not {fwhm_ns} ns on {n_bins} bins of "
            f"{bin_width_ns} ns."
        )
    if fwhm_ns >= n_bins * bin_width_ns:
        raise InputError(f"A response {fwhm_ns:g} ns wide does not fit into a decay of {n_bins * bin_width_ns:.4g} ns.")
    centre = 0.5 * n_bins * bin_width_ns if centre_ns is None else centre_ns
    # A fit puts what is in a bin at its middle, which adds a twelfth of a bin squared to the variance (Sheppard).
    variance = fwhm_ns**2 / (8 * np.log(2))
    sigma = np.sqrt(max(variance - bin_width_ns**2 / 12, 0.5 * variance))
    edges = np.arange(n_bins + 1) * bin_width_ns
    counts = np.diff(ndtr((edges - centre) / sigma))
    if not counts.sum() > 0:
        raise InputError(f"A Gaussian response at {centre} ns lies outside the histogram.")
    return Response(
        kind="gaussian",
        counts=counts / counts.sum(),
        bin_width_ns=bin_width_ns,
        fwhm_ns=fwhm_ns,
        fit_width=fit_width,
        name=f"Gaussian, {fwhm_ns:.3g} ns FWHM" + (" to start with" if fit_width else ""),
    )


def checked_histogram(counts: Any, what: str) -> np.ndarray:
    """Counts as floats, shape (n_bins,).

    Raises
    ------
    InputError
        They are not one row of finite numbers from zero on.
    """
    histogram: np.ndarray = np.asarray(counts, dtype=float)
    if histogram.ndim != 1 or histogram.size < 8 or not np.isfinite(histogram).all() or (histogram < 0).any():
        raise InputError(f"The histogram of {what} must be one row of at least 8 counts, none negative.")
    return histogram


def _fwhm_bins(pulse: np.ndarray) -> float:
    """By linear interpolation on both sides of the maximum."""
    top = int(pulse.argmax())
    half = 0.5 * pulse[top]
    left, right = top, top
    while left > 0 and pulse[left] > half:
        left -= 1
    while right < pulse.size - 1 and pulse[right] > half:
        right += 1

    def cross(i: int, j: int) -> float:
        return i + (j - i) * (half - pulse[i]) / (pulse[j] - pulse[i]) if pulse[i] != pulse[j] else float(i)

    return max(cross(right - 1, right) - cross(left, left + 1), 1.0) if right > left else 1.0
