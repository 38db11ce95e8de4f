"""What a candidate can predict and a record can hold: one observable each, with its unit and its scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import stdtrit

from midgap.experiment.photon_energy import photon_energy_eV
from midgap.experiment.records import ParticleRecord, Quantity
from midgap.structures.errors import InputError

ObservableName = Literal[
    "pl_peak_eV",
    "pl_fwhm_meV",
    "tau_av_ns",
    "n_emitters_M",
    "g2_0",
    "pl_size_slope_meV_per_nm",
    "g2_0_slope",
    "polarisation_degree",
    "stokes_shift_eV",
]

ON_LEVEL = "ON"
"""The level of a blinking trace whose lifetime stands for the emitter where no average is given."""


@dataclass(frozen=True)
class Observable:
    """One thing that is predicted and measured.

    Attributes
    ----------
    logarithmic
        Compared as a ratio: errors and spreads are those of its natural logarithm, because it is positive and
        its errors are relative. Otherwise as a difference.
    spread_scale
        Scale of the half-t prior of the spread between particles where nothing predicts it, on that scale.
    feasible
        The error that a good measurement of it leaves, on that scale.
    feasible_by_theory
        The error that a good calculation of it leaves, likewise.
    of
        ``record``: every record may hold it; ``ensemble``: it is one number of all records.
    least
        No mean of it is smaller: a particle that is seen has one emitter.
    picked
        Particles are picked for it, so that few of them have no mean worth stating.
    """

    name: ObservableName
    label: str
    unit: str
    digits: int
    logarithmic: bool
    spread_scale: float
    feasible: float
    feasible_by_theory: float
    of: Literal["record", "ensemble"] = "record"
    least: float | None = None
    picked: bool = False

    def scale(self, x: float) -> float:
        """The number on the scale it is compared on."""
        if not self.logarithmic:
            return x
        return math.log(x) if x > 0 else -math.inf

    def unscale(self, u: float) -> float:
        """And back."""
        return math.exp(u) if self.logarithmic else u

    def text(self, x: float) -> str:
        """For people, without the unit."""
        return f"{x:.{self.digits}f}"


OBSERVABLES: dict[str, Observable] = {
    o.name: o
    for o in (
        Observable("pl_peak_eV", "PL energy", "eV", 3, False, 0.05, 0.005, 0.1),
        Observable("pl_fwhm_meV", "PL linewidth", "meV", 0, True, 0.3, 0.05, 0.2),
        Observable("tau_av_ns", "lifetime", "ns", 1, True, 0.3, 0.05, 0.4),
        Observable("n_emitters_M", "number of emitters", "", 1, True, 0.3, 0.1, 0.2, least=1.0, picked=True),
        Observable("g2_0", "g²(0)", "", 2, False, 0.1, 0.02, 0.1, picked=True),
        Observable("pl_size_slope_meV_per_nm", "PL shift with size", "meV/nm", 2, False, 1.0, 0.5, 1.0, "ensemble"),
        Observable("g2_0_slope", "rise of g²(0) with ⟨N⟩", "", 2, False, 0.1, 0.05, 0.1, "ensemble"),
        Observable("polarisation_degree", "polarisation", "", 2, False, 0.1, 0.05, 0.1),
        Observable("stokes_shift_eV", "Stokes shift", "eV", 3, False, 0.05, 0.02, 0.1, "ensemble"),
    )
}
assert set(OBSERVABLES) == set(get_args(ObservableName))


def measured(record: ParticleRecord, name: str) -> Quantity | None:
    """The quantity of a record; None where it was not measured.

    The lifetime is ``tau_av_ns``, else that of the ON level, else the only component of a decay. g2(0) is the
    gated one where there is one, else the background-corrected one, else the raw one. Of a detection band only the
    bounds are a measurement of the PL energy.
    """
    if name == "pl_peak_eV" and is_detection_band(record):
        band = record.pl_peak_eV
        return None if band is None or band.lo is band.hi is None else Quantity(lo=band.lo, hi=band.hi)
    if name == "tau_av_ns":
        return record.tau_av_ns or _on_lifetime(record)
    if name == "g2_0":
        return record.g2_0_gated or record.g2_0 or record.g2_0_raw
    quantity = getattr(record, name, None)
    return quantity if isinstance(quantity, Quantity) else None


def is_detection_band(record: ParticleRecord) -> bool:
    """Whether the PL energy of a record is that of a band in which light was detected, and no maximum was read."""
    return record.pl_peak_from == "detection band"


def why_not(record: ParticleRecord, name: str) -> str:
    """Why what a record says of an observable is not the number that is compared; empty where it says nothing."""
    if name == "tau_av_ns" and record.tau_i_ns is not None and measured(record, name) is None:
        return f"{len(record.tau_i_ns)} lifetimes and no average"
    if name == "pl_peak_eV" and is_detection_band(record) and record.pl_peak_eV and measured(record, name) is None:
        return "the wavelength that was watched, without the band in which light was detected"
    return ""


def _on_lifetime(record: ParticleRecord) -> Quantity | None:
    named = [level.tau_1_ns for level in record.levels if level.name.upper() == ON_LEVEL and level.tau_1_ns]
    if named:
        return Quantity(value=named[0])
    return record.tau_i_ns[0] if record.tau_i_ns is not None and len(record.tau_i_ns) == 1 else None


def of_the_ensemble(records: Iterable[ParticleRecord]) -> dict[str, Quantity]:
    """What only several records together tell: how the PL energy goes with size, g2(0) with power, and how far
    emission lies below absorption.
    """
    rows = list(records)
    found = {
        "pl_size_slope_meV_per_nm": _size_slope(rows),
        "g2_0_slope": _power_slope(rows),
        "stokes_shift_eV": _stokes_shift(rows),
    }
    return {name: quantity for name, quantity in found.items() if quantity is not None}


def _size_slope(records: list[ParticleRecord]) -> Quantity | None:
    """Least squares of energy against size; the interval is Student's, at 95 %."""
    pairs = [
        (r.size_nm.value, 1e3 * peak.value)
        for r in records
        if r.kind == "particle" and r.size_nm and r.size_nm.value and (peak := measured(r, "pl_peak_eV")) and peak.value
    ]
    sizes, energies = np.array(pairs).reshape(-1, 2).T
    if len(np.unique(sizes)) < 3:
        return None
    centred = sizes - sizes.mean()
    slope = float(centred @ energies / (centred @ centred))
    left = energies - energies.mean() - slope * centred
    error = math.sqrt(float(left @ left) / (len(sizes) - 2) / float(centred @ centred))
    margin = float(stdtrit(len(sizes) - 2, 0.975)) * error
    return Quantity(value=slope, lo=slope - margin, hi=slope + margin)


def _stokes_shift(records: list[ParticleRecord]) -> Quantity | None:
    """What glows absorbs where it was excited: the smallest step from there to its light, as a bound."""
    steps = []
    for record in records:
        excited, peak = record.exc_wavelength_nm, measured(record, "pl_peak_eV")
        least = None if peak is None else peak.lo if peak.value is None else peak.value
        if excited is not None and excited.value and least is not None:
            steps.append(photon_energy_eV(excited.value) - least)
    return Quantity(hi=min(steps)) if steps else None


def _power_slope(records: list[ParticleRecord]) -> Quantity | None:
    """The inverse-variance mean over particles of g2(0)'s slope with ⟨N⟩."""
    from midgap.experiment.blinking.molecule_like import g2_against_power  # imports compiled loops

    series: dict[tuple[str | None, str | None], list[tuple[float, Quantity]]] = {}
    for record in records:
        g2, power = measured(record, "g2_0"), record.mean_excitons
        if g2 is None or power is None or None in (g2.value, g2.lo, g2.hi, power.value, record.particle_id):
            continue
        series.setdefault((record.sample_id, record.particle_id), []).append((float(power.value or 0.0), g2))
    slopes = []
    for points in series.values():
        try:
            slopes.append(g2_against_power([n for n, _ in points], [g for _, g in points]).slope)
        except InputError:
            continue  # one power only
    if not slopes:
        return None
    value = np.array([s.value for s in slopes], dtype=float)
    half = np.array([0.5 * ((s.hi or 0.0) - (s.lo or 0.0)) for s in slopes])
    weight = 1 / half**2
    mean, margin = float(weight @ value / weight.sum()), float(weight.sum() ** -0.5)
    return Quantity(value=mean, lo=mean - margin, hi=mean + margin)
