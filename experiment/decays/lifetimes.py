"""Lifetimes from photon-counting decay histograms, by maximum likelihood.

The model is m_i = b + N Σ_k f_k (response ⊗ e^{-t/τ_k}/τ_k)_i, periodic over the laser's period. What is
minimised is the Poisson deviance 2I* = 2 Σ (m_i - d_i + d_i ln(d_i/m_i)): S. Baker and R. D. Cousins, Nucl.
Instrum. Methods 221, 437 (1984); M. Maus et al., Anal. Chem. 73, 2078 (2001).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydantic import PositiveFloat

from midgap.experiment.compiled import compiled
from midgap.experiment.decays.fitting import FEWEST_PHOTONS, Problem, Solution, problem_of, solve
from midgap.experiment.decays.poisson_deviance import deviance_z
from midgap.experiment.decays.responses import Response
from midgap.experiment.records import Quantity
from midgap.structures.document import Document, FloatArray
from midgap.structures.errors import InputError

__all__ = ["FEWEST_PHOTONS", "DecayFit", "fit_decay"]


class DecayFit(Document):
    """A fitted decay. Lifetimes ascend; every interval has the confidence level ``ci_level``.

    Attributes
    ----------
    tau_ns
        One a component.
    intensity_fraction
        f_k, the fraction of the photons; ``amplitude_fraction`` that of the signal at t = 0, ∝ f_k/τ_k.
    tau_intensity_ns, tau_amplitude_ns
        Averages Σ f_k τ_k (mean delay of a photon) and Σ a_k τ_k (∝ quantum yield).
    background_per_bin
        b.
    shift_ns
        By how much the response was moved to later times.
    n_photons
        In the fitted bins, background included.
    deviance, deviance_z
        2I*, and how far it is from what Poisson statistics expect of this model, in standard deviations.
    bic
        2I* + p ln(photons), by number of components tried.
    first_bin, counts, fitted_counts
        What was fitted, shape (n_fitted,), from bin ``first_bin`` of the histogram on.
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
    counts: FloatArray
    fitted_counts: FloatArray
    warnings: tuple[str, ...] = ()

    def record_fields(self) -> dict[str, Any]:
        """The fields of a `ParticleRecord` that this fit settles; the average is intensity-weighted."""
        n = len(self.tau_ns)
        return {
            "lifetime_model": "one exponential" if n == 1 else f"{n} exponentials, average intensity-weighted",
            "tau_i_ns": self.tau_ns,
            "frac_i": self.intensity_fraction,
            "frac_basis": "intensity",
            "tau_av_ns": self.tau_intensity_ns,
            "stat_2Istar": self.deviance,
            "irf": self.response,
            "irf_fwhm_ns": None if self.response_fwhm_ns is None else Quantity(value=self.response_fwhm_ns),
        }


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
        Between laser pulses; None if nothing is left of one pulse when the next comes.
    response
        None: the tail alone is fitted, from shortly after its maximum.
    n_components
        None: chosen by BIC among 1 to ``max_components``.
    background_per_bin, shift_ns
        Held where given, fitted where None.
    fit_range_ns
        Only bins inside are fitted; None: all that the electronics can have filled.
    ci_level
        Of the intervals, by profile likelihood: where the least 2I* rises by the quantile of χ² with one
        degree of freedom (W. A. Rolke et al., Nucl. Instrum. Methods A 551, 493 (2005)).

    Raises
    ------
    InputError
        The histogram, its period, its range or the response's bins do not fit together; too few photons.
    """
    if n_components is not None and not 1 <= n_components <= 3:
        raise InputError(f"A decay is fitted with 1 to 3 exponentials, not {n_components}.")
    if not 0 < ci_level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, {ci_level} does not.")
    problem, notes = problem_of(counts, bin_width_ns, period_ns, response, background_per_bin, shift_ns, fit_range_ns)
    n_photons = int(problem.counts[problem.first : problem.last].sum())
    tried: dict[int, Solution] = {}
    bic: dict[int, float] = {}
    wanted = n_components or max(1, min(max_components, 3))
    for k in range(1, wanted + 1):
        tried[k] = solve(problem, k, tried.get(k - 1))
        bic[k] = tried[k].deviance + tried[k].free.sum() * math.log(n_photons)
        if n_components is None and k > 1 and bic[k] > bic[k - 1]:
            break
    best = tried[n_components or min(bic, key=bic.__getitem__)]
    return _report(problem, best, bic, bin_width_ns, response, ci_level, n_photons, notes)


def _report(
    problem: Problem,
    solution: Solution,
    bic: dict[int, float],
    bin_width_ns: float,
    response: Response | None,
    ci_level: float,
    n_photons: int,
    notes: list[str],
) -> DecayFit:
    from scipy.stats import chi2

    kernel = compiled("decays.kernel")
    k, theta = solution.n_components, solution.theta
    rise = float(chi2.ppf(ci_level, 1))

    def quantity(kind: int, component: int = 0) -> Quantity:
        value = kernel.derived(theta, k, kind, component, np.empty(theta.size))
        lo, hi = (
            None if math.isnan(end) else float(end)
            for end in kernel.profile(
                theta, solution.free, k, *problem.window, kind, component, solution.deviance, rise
            )
        )
        if kind in (kernel.FRACTION, kernel.AMPLITUDE_FRACTION):
            return Quantity(value=value, lo=0.0 if lo is None else max(lo, 0.0), hi=1.0 if hi is None else min(hi, 1.0))
        scale = [None if x is None else bin_width_ns * math.exp(x) for x in (value, lo, hi)]
        return Quantity(value=scale[0], lo=scale[1], hi=scale[2])

    one = Quantity(value=1.0, lo=1.0, hi=1.0)
    tau = tuple(quantity(kernel.LOG_TAU, c) for c in range(k))
    fraction = tuple(quantity(kernel.FRACTION, c) for c in range(k)) if k > 1 else (one,)
    amplitude = tuple(quantity(kernel.AMPLITUDE_FRACTION, c) for c in range(k)) if k > 1 else (one,)
    model = np.empty(problem.counts.size)
    kernel.model_of(
        theta, k, problem.response, problem.centre, problem.period, model, np.empty((theta.size, model.size))
    )
    counts, fitted = problem.counts[problem.first : problem.last], model[problem.first : problem.last]
    n_free = int(solution.free.sum())
    z = deviance_z(solution.deviance, fitted, n_free)
    fwhm = None if response is None else math.exp(theta[2 * k + 1]) * math.sqrt(8 * math.log(2)) * bin_width_ns
    if response is not None and response.kind == "measured":
        fwhm = response.fwhm_ns
    if z > 5:
        notes = [
            *notes,
            f"the model misses the data by {z:.0f} standard deviations of 2I*; intervals are statistical only",
        ]
    period_ns = problem.period * bin_width_ns
    for value in (q.value or 0.0 for q in tau):
        if value < max(bin_width_ns, 0.1 * (fwhm or 0.0)):
            notes = [*notes, f"{value:.3g} ns is shorter than the instrument can tell"]
        if value > min(period_ns, (problem.last - problem.first) * bin_width_ns):
            notes = [*notes, f"{value:.3g} ns is longer than what was observed of the decay"]
    return DecayFit(
        tau_ns=tau,
        intensity_fraction=fraction,
        amplitude_fraction=amplitude,
        tau_intensity_ns=tau[0] if k == 1 else quantity(kernel.LOG_TAU_INTENSITY),
        tau_amplitude_ns=tau[0] if k == 1 else quantity(kernel.LOG_TAU_AMPLITUDE),
        background_per_bin=float(theta[2 * k + 2]),
        shift_ns=float(theta[2 * k]) * bin_width_ns,
        response="none: tail alone" if response is None else response.name or response.kind,
        response_fwhm_ns=fwhm,
        n_photons=n_photons,
        deviance=solution.deviance,
        deviance_z=z,
        dof=counts.size - n_free,
        bic=bic,
        ci_level=ci_level,
        bin_width_ns=bin_width_ns,
        first_bin=problem.first,
        counts=counts,
        fitted_counts=fitted,
        warnings=tuple(notes),
    )
