"""One particle at several powers: how each intensity level grows, and how the number of emitters does.

Photobrightening shows as growth faster than the power; emitters that are activated, as a number that rises with it (Nat.
Commun. 10, 2930 (2019), doi 10.1038/s41467-019-10870-1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from midgap.experiment.blinking.molecule_like import PowerDependence, g2_against_power
from midgap.experiment.counting import poisson_interval
from midgap.experiment.photons.excitation import PowerSeries, power_series
from midgap.experiment.records import ParticleRecord, Quantity
from midgap.structures.document import Document
from midgap.structures.errors import InputError

LEVEL_NAMES = ("ON", "GRAY", "OFF")
EMITTERS = "emitters M"
AXES = {"mean_excitons": "⟨N⟩", "fluence_J_cm2": "fluence (J/cm²)"}


class Points(Document):
    """One quantity over the power, shape (n_points,); ``growth`` is None with fewer than three points."""

    name: str
    power: tuple[float, ...]
    values: tuple[Quantity, ...]
    growth: PowerSeries | None


class PowerStudy(Document):
    """What a series of powers shows.

    Attributes
    ----------
    axis
        What the powers are, with the unit.
    points
        Intensity of each level in counts a second, less background where it is known, and the number of emitters.
    g2_over_power
        Straight line through g2(0); None where fewer than two powers have one.
    notes
        What was left out, and why.
    """

    axis: str
    ci_level: float
    points: tuple[Points, ...]
    g2_over_power: PowerDependence | None
    notes: tuple[str, ...] = ()


def power_study(
    records: Sequence[ParticleRecord],
    powers: Mapping[str, float] | None = None,
    axis: str = "power",
    ci_level: float = 0.95,
) -> PowerStudy:
    """Growth with power over measurements of one particle.

    Parameters
    ----------
    records
        One a power.
    powers
        By particle_id, in any unit, which ``axis`` says; None takes ⟨N⟩ of the records, or their fluence.

    Raises
    ------
    InputError
        The powers are not known, or there are fewer than two.
    """
    axis, power = _powers(records, powers, axis)
    notes = [f"{r.label}: no power is given for it" for r, p in zip(records, power, strict=True) if p is None]
    known = [(p, r) for p, r in zip(power, records, strict=True) if p is not None]
    if len({p for p, _ in known}) < 2:
        raise InputError(f"A power series needs two powers or more; {len({p for p, _ in known})} of {axis} are known.")
    known.sort(key=lambda pair: pair[0])
    points = []
    for name in (*LEVEL_NAMES, EMITTERS):
        found = [(p, q) for p, r in known if (q := _emitters(r) if name == EMITTERS else _rate(r, name, ci_level))]
        if found:
            x, y = tuple(p for p, _ in found), tuple(q for _, q in found)
            growth = power_series(x, y, name=name, ci_level=ci_level) if len(x) > 2 and len(set(x)) > 1 else None
            points.append(Points(name=name, power=x, values=y, growth=growth))
            if growth is None:
                notes.append(f"{name}: {len(x)} points say nothing of how it grows; three are needed")
    g2 = [
        (p, q, r.g2_ci_level or 0.95) for p, r in known if (q := r.g2_0_gated or r.g2_0 or r.g2_0_raw) and _bounded(q)
    ]
    line = None
    if len({p for p, _, _ in g2}) > 1:
        line = g2_against_power([p for p, _, _ in g2], [q for _, q, _ in g2], g2[0][2], ci_level)
    return PowerStudy(axis=axis, ci_level=ci_level, points=tuple(points), g2_over_power=line, notes=tuple(notes))


def _powers(
    records: Sequence[ParticleRecord], powers: Mapping[str, float] | None, axis: str
) -> tuple[str, list[float | None]]:
    if powers is not None:
        return axis, [powers.get(r.particle_id or "") for r in records]
    for field, name in AXES.items():
        given = [None if (q := getattr(r, field)) is None else q.value for r in records]
        if any(x is not None for x in given):
            return name, given
    raise InputError("The records hold neither mean_excitons nor fluence_J_cm2; give a table of powers by particle_id.")


def _rate(record: ParticleRecord, name: str, ci_level: float) -> Quantity | None:
    """Counts a second in the levels of this name, less background; None if the particle never is in one, or is dark."""
    mine = [level for level in record.levels if level.name == name]
    photons, seconds = (
        sum(getattr(level, field) or 0.0 for level in mine) for field in ("num_photons", "dwell_time_s")
    )
    if not photons or not seconds:
        return None
    dark = 0.0
    if (rho := record.signal_fraction_rho) is not None and rho.value is not None:
        total = (
            sum(level.num_photons or 0 for level in record.levels),
            sum(level.dwell_time_s or 0 for level in record.levels),
        )
        dark = (1 - rho.value) * total[0] / total[1]
    low, high = poisson_interval(photons, ci_level)
    if low / seconds <= dark:
        return None
    return Quantity(value=photons / seconds - dark, lo=low / seconds - dark, hi=high / seconds - dark)


def _emitters(record: ParticleRecord) -> Quantity | None:
    m = record.n_emitters_M
    return m if m is not None and m.value is not None and m.lo is not None and m.hi is not None else None


def _bounded(g2: Quantity) -> bool:
    return g2.value is not None and g2.lo is not None and g2.hi is not None and g2.hi > g2.lo
