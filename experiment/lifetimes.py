"""Lifetimes from photon-counting decay histograms, by maximum likelihood.

The model is m_i = b + N Σ_k f_k (response ⊗ e^{-t/τ_k}/τ_k)_i, periodic over the laser's period. What is
minimised is the Poisson deviance 2I* = 2 Σ (m_i - d_i + d_i ln(d_i/m_i)): S. Baker and R. D. Cousins, Nucl.
Instrum. Methods 221, 437 (1984); M. Maus et al., Anal. Chem. 73, 2078 (2001).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import PositiveFloat

from midgap.experiment.records import Quantity
from midgap.structures.document import Document, FloatArray


class Response(Document):
    """Instrument response function: what an emission without delay looks like.

    Attributes
    ----------
    counts
        Shape (n_bins,), on the same bins as the decay; any scale.
    name
        Where it comes from, for people.
    """

    kind: Literal["measured", "gaussian", "none"]
    counts: FloatArray
    bin_width_ns: PositiveFloat
    name: str = ""


class DecayFit(Document):
    """A fitted decay. Lifetimes ascend; every interval has the confidence level ``ci_level``.

    Attributes
    ----------
    tau_ns
        One a component.
    intensity_fraction
        f_k, the fraction of the photons; ``amplitude_fraction`` that of the signal at t = 0, ∝ f_k/τ_k.
    tau_intensity_ns, tau_amplitude_ns
        Σ f_k τ_k (mean arrival time of a photon) and Σ a_k τ_k (∝ quantum yield).
    background_per_bin
        b.
    shift_ns
        By how much the response was moved to later times.
    deviance
        2I*; ``deviance_z`` is its distance from what Poisson statistics expect of this model, in standard
        deviations.
    bic
        By number of components tried.
    """

    tau_ns: tuple[Quantity, ...]
    intensity_fraction: tuple[Quantity, ...]
    amplitude_fraction: tuple[Quantity, ...]
    tau_intensity_ns: Quantity
    tau_amplitude_ns: Quantity
    background_per_bin: float
    shift_ns: float
    response: str
    response_fwhm_ns: float | None
    n_photons: int
    deviance: float
    deviance_z: float
    dof: int
    bic: dict[int, float]
    ci_level: float
    bin_width_ns: PositiveFloat
    first_bin: int
    fitted_counts: FloatArray
    counts: FloatArray
    warnings: tuple[str, ...] = ()

    def record_fields(self) -> dict[str, Any]:
        """The fields of a `ParticleRecord` that this fit settles."""
        raise NotImplementedError


def measured_response(counts: Any, bin_width_ns: float, name: str = "measured") -> Response:
    """A measured response; its constant background is estimated and taken off."""
    raise NotImplementedError


def gaussian_response(fwhm_ns: float, bin_width_ns: float, n_bins: int, centre_ns: float | None = None) -> Response:
    """A Gaussian one; a fit moves it to where the decay begins."""
    raise NotImplementedError


def fit_decay(
    counts: Any,
    bin_width_ns: float,
    *,
    period_ns: float | None = None,
    response: Response | None = None,
    n_components: int | None = None,
    max_components: int = 3,
    background_per_bin: float | None = None,
    shift_ns: float | None = None,
    fit_range_ns: tuple[float, float] | None = None,
    ci_level: float = 0.95,
) -> DecayFit:
    """Fit a decay histogram with 1 to 3 exponentials.

    Parameters
    ----------
    counts
        Shape (n_bins,): photons a bin; bin 0 begins at t = 0.
    period_ns
        Between laser pulses; None if what is left of the pulse before is nothing.
    response
        None: the tail alone is fitted, from shortly after its maximum.
    n_components
        None: chosen by BIC among 1 to ``max_components``.
    background_per_bin, shift_ns
        Held where given, fitted where None.
    fit_range_ns
        Only bins inside are fitted.
    """
    raise NotImplementedError
