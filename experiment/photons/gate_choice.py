"""Behind which gate the biexciton no longer counts: from the delays of the pairs at zero lag.

A biexciton's pair is its own photon, early, and the exciton's after it, so the shorter delay of such pairs decays with the
biexciton's lifetime, and that of pairs from two emitters as it does at the side peaks (B. D. Mangum et al., Opt. Express
21, 7419 (2013)). Both are fitted together to all pairs at zero lag. To take the first gate behind which pairs merely look
alike would choose by the same chance that is counted afterwards; the fit hardly sees it, because nearly all it knows of
the biexciton lies before the gate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.stats import chi2

from midgap.experiment.counting import pooled_chance
from midgap.experiment.records import Quantity

Floats = NDArray[np.float64]

NEGLIGIBLE = 0.2
"""Of the counting error behind a gate: what the biexciton may still add there, at the upper end of its interval."""
N_LIFETIMES = 80
SHORTEST_NS = 0.05


class EarlyPairs(NamedTuple):
    """What the pairs at zero lag have more of, at short delays, than the side peaks; by lifetime, shape (n_lifetimes,).

    Attributes
    ----------
    lifetimes_ns
        Those tried.
    pairs, pairs_error
        The most likely number of such pairs for each, and its standard error.
    g2_0
        What g2(0) is without them.
    deviance
        2 (ln L of the best - ln L of this).
    gain
        2 (ln L of the best - ln L without any such pairs).
    p_fit
        Probability of pairs that differ as much from the best fit; None where there are too few to tell.
    """

    lifetimes_ns: Floats
    pairs: Floats
    pairs_error: Floats
    g2_0: Floats
    deviance: Floats
    gain: float
    p_fit: float | None

    @classmethod
    def fit(cls, gates_ns: Floats, center: Floats, side: Floats, chance: Floats) -> EarlyPairs:
        """By likelihood.

        Parameters
        ----------
        gates_ns
            Shape (n_gates,).
        center, side, chance
            Shape (n_gates,): pairs at zero lag whose shorter delay lies between this gate and the next, those expected from
            a mean side peak, and how many of either have part in the background.
        """
        latest = 0.5 * gates_ns[-1]
        lifetimes = np.geomspace(SHORTEST_NS, latest, N_LIFETIMES)
        ends = np.append(gates_ns[1:], math.inf)
        shapes = np.exp(-gates_ns / lifetimes[:, None]) - np.exp(-ends / lifetimes[:, None])
        signal = np.maximum(side - chance, 0.0)
        g2_0, pairs, error, log_l = _two_parts(center, chance, signal, shapes)
        alone = _two_parts(center, chance, signal, np.zeros((1, len(center))))
        best = int(np.argmax(log_l))
        model = np.maximum(chance + g2_0[best] * signal + pairs[best] * shapes[best], 1e-12)
        return cls(
            lifetimes_ns=lifetimes,
            pairs=pairs,
            pairs_error=error,
            g2_0=g2_0,
            deviance=2 * (log_l[best] - log_l),
            gain=2 * float(log_l[best] - alone[3][0]),
            p_fit=pooled_chance(center, model, n_fitted=3),
        )

    @property
    def best(self) -> int:
        return int(np.argmin(self.deviance))

    def lifetime(self, ci_level: float) -> Quantity:
        """The biexciton's, where there is one; an end at the border of what was tried is open."""
        log_tau = np.log(self.lifetimes_ns)
        fine = np.linspace(log_tau[0], log_tau[-1], 50 * len(log_tau))
        deviance = CubicSpline(log_tau, self.deviance)(fine)
        inside = np.flatnonzero(deviance - deviance.min() <= chi2.ppf(ci_level, 1))
        low, high = int(inside[0]), int(inside[-1])
        return Quantity(
            value=math.exp(fine[np.argmin(deviance)]),
            lo=0.0 if low == 0 else math.exp(fine[low]),
            hi=None if high == len(fine) - 1 else math.exp(fine[high]),
        )

    def most_behind(self, gates_ns: Floats, ci_level: float = 0.95) -> Floats:
        """Upper end of the number of such pairs behind each gate, shape (n_gates,)."""
        room = chi2.ppf(ci_level, 1) - self.deviance
        inside = room >= 0
        most = self.pairs[inside] + np.sqrt(room[inside]) * self.pairs_error[inside]
        return np.max(most[:, None] * np.exp(-gates_ns / self.lifetimes_ns[inside, None]), axis=0)


def _two_parts(n: Floats, chance: Floats, signal: Floats, shapes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Most likely g, a ≥ 0 of n ~ Poisson(chance + g signal + a shape), for each shape: g, a, standard error of a, ln L.

    Newton's method on a concave likelihood; what would leave the quadrant stays on its border.
    """
    many = len(shapes)
    both = np.stack([np.broadcast_to(signal, shapes.shape), shapes], axis=1)
    total = max(float(n.sum() - chance.sum()), 1.0)
    parts = np.stack(
        [np.full(many, 0.5 * total / max(signal.sum(), 1e-12)), np.where(shapes.any(axis=1), 0.5 * total, 0.0)], axis=1
    )

    def model(parts: Floats) -> Floats:
        return np.maximum(chance + np.einsum("tk,tkg->tg", parts, both), 1e-12)

    def log_likelihood(parts: Floats) -> Floats:
        m = model(parts)
        return (n * np.log(m) - m).sum(axis=1)

    value = log_likelihood(parts)
    for _ in range(100):
        m = model(parts)
        slope = np.einsum("tkg,tg->tk", both, n / m - 1)
        free = (parts > 0) | (slope > 0)
        hessian = np.einsum("tkg,tlg,tg->tkl", both, both, n / m**2)
        hessian = np.where(free[:, :, None] & free[:, None, :], hessian, 0.0)
        hessian += np.eye(2) * np.where(free, 1e-9 * np.einsum("tkk->tk", hessian) + 1e-300, 1.0)[:, :, None]
        step = np.linalg.solve(hessian, np.where(free, slope, 0.0)[:, :, None])[:, :, 0]
        length = np.ones(many)
        for _ in range(30):
            new = np.maximum(parts + length[:, None] * step, 0.0)
            new_value = log_likelihood(new)
            worse = new_value < value - 1e-9
            if not worse.any():
                break
            length[worse] *= 0.5
        moved = np.max(new_value - value)
        parts, value = np.where((new_value >= value)[:, None], new, parts), np.maximum(new_value, value)
        if moved < 1e-7:
            break
    # Fisher information: what is expected, so that no pairs at all leave an error too.
    m = model(parts)
    information = np.einsum("tkg,tlg,tg->tkl", both, both, 1 / np.maximum(m, 1e-6))
    determinant = information[:, 0, 0] * information[:, 1, 1] - information[:, 0, 1] ** 2
    told = determinant > 1e-12 * information[:, 0, 0] * information[:, 1, 1]
    error = np.full(many, math.inf)
    error[told] = np.sqrt(information[told, 0, 0] / determinant[told])
    return parts[:, 0], parts[:, 1], error, value
