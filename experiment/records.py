"""What was measured on a nanocrystal: the schema, its files, and the published records.

Every quantity is a value with its interval: in a file ``x``, ``x_lo``, ``x_hi``, units in the name;
null is "not measured". An interval without a value is a bound.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import FiniteFloat, GetJsonSchemaHandler, PositiveFloat, model_serializer, model_validator

from midgap.experiment.photon_energy import Medium, line_width_eV, photon_energy_eV
from midgap.structures.document import Document, read_json
from midgap.structures.errors import InputError


class Quantity(Document):
    """A measured number and the interval it lies in; one of the three is enough."""

    value: FiniteFloat | None = None
    lo: FiniteFloat | None = None
    hi: FiniteFloat | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Quantity:
        given = [x for x in (self.lo, self.value, self.hi) if x is not None]
        if not given:
            raise ValueError("a quantity needs a value or a bound")
        if given != sorted(given):
            raise ValueError(f"the interval {self.lo} to {self.hi} does not hold the value {self.value}")
        return self

    def contains(self, x: float) -> bool | None:
        """Whether ``x`` lies in the interval; None where there is none."""
        if self.lo is None and self.hi is None:
            return None
        return (self.lo is None or x >= self.lo) and (self.hi is None or x <= self.hi)


class IntensityLevel(Document):
    """One level of a blinking trace, in the words of Full SMS exports; ``name`` as its authors call it."""

    name: str = ""
    group_id: int | None = None
    start_time_s: FiniteFloat | None = None
    end_time_s: FiniteFloat | None = None
    dwell_time_s: FiniteFloat | None = None
    num_photons: FiniteFloat | None = None
    intensity_cps: FiniteFloat | None = None
    tau_1_ns: FiniteFloat | None = None
    amp_1: FiniteFloat | None = None
    avg_lifetime_ns: FiniteFloat | None = None
    chi_squared: FiniteFloat | None = None


class ParticleRecord(Document):
    """The measured quantities of one nanocrystal under one condition, or of an ensemble.

    A `Quantity` field ``x`` is ``x``, ``x_lo``, ``x_hi`` in a file; a tuple of them three lists.

    Attributes
    ----------
    kind
        ``particle``, ``ensemble``, or ``typical`` for a range over many single particles.
    exc_wavelength_nm
        Wavelength of the excitation.
    mean_excitons
        ⟨N⟩ = jσ, excitons created a pulse.
    g2_0
        g2(0), background corrected; ``g2_0_raw`` is not.
    n_emitters_M
        Number of independent emitters.
    tau_i_ns, frac_i
        Lifetimes and fractions of the components of a decay; ``frac_basis`` says fractions of what.
    tau_av_ns
        Average lifetime, or that of a single-exponential fit; ``lifetime_model`` says which.
    irf_fwhm_ns
        Time resolution.
    pl_peak_nm, pl_fwhm_nm
        Maximum and width of I(λ), wavelengths in ``medium``.
    pl_peak_eV, pl_fwhm_meV
        The same in energy; `in_energy` fills them in.
    pl_peak_from
        ``spectrum``: the maximum was read. ``detection band``: it was not; ``lo`` and ``hi`` are the ends of the band
        in which light was detected, the value is the wavelength that was watched, and neither is a measured maximum.
    plqy
        Photoluminescence quantum yield, 0 to 1.
    polarisation_degree
        Degree of linear polarisation of the emission, (I_max - I_min)/(I_max + I_min) behind a turning polariser, 0 to 1.
    notes
        By field: where it was read, what it rests on, why it is null.
    """

    software: str | None = None
    source_file: str | None = None
    source_sha256: str | None = None
    sample_id: str | None = None
    particle_id: str | None = None
    kind: Literal["particle", "ensemble", "typical"] = "particle"
    size_nm: Quantity | None = None
    temperature_K: Quantity | None = None
    exc_wavelength_nm: Quantity | None = None
    rep_rate_Hz: Quantity | None = None
    fluence_J_cm2: Quantity | None = None
    sigma_abs_cm2: Quantity | None = None
    mean_excitons: Quantity | None = None
    g2_0_raw: Quantity | None = None
    g2_0: Quantity | None = None
    g2_ci_level: PositiveFloat | None = None
    g2_center_counts: FiniteFloat | None = None
    g2_side_counts: FiniteFloat | None = None
    g2_side_n: int | None = None
    g2_center_lag_pulses: int | None = None
    signal_fraction_rho: Quantity | None = None
    g2_gate_ns: FiniteFloat | None = None
    g2_0_gated: Quantity | None = None
    n_emitters_M: Quantity | None = None
    lifetime_model: str | None = None
    tau_i_ns: tuple[Quantity, ...] | None = None
    frac_i: tuple[Quantity, ...] | None = None
    frac_basis: str | None = None
    tau_av_ns: Quantity | None = None
    stat_2Istar: FiniteFloat | None = None
    irf: str | None = None
    irf_fwhm_ns: Quantity | None = None
    levels: tuple[IntensityLevel, ...] = ()
    alpha_on: Quantity | None = None
    alpha_off: Quantity | None = None
    on_fraction: Quantity | None = None
    bin_ms: PositiveFloat | None = None
    pl_peak_nm: Quantity | None = None
    pl_peak_eV: Quantity | None = None
    pl_peak_from: Literal["spectrum", "detection band"] | None = None
    pl_fwhm_nm: Quantity | None = None
    pl_fwhm_meV: Quantity | None = None
    jacobian_applied: bool | None = None
    medium: Medium | None = None
    plqy: Quantity | None = None
    polarisation_degree: Quantity | None = None
    urbach_meV: Quantity | None = None
    notes: dict[str, str] = {}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Of a file: three columns a quantity."""
        schema = handler(core_schema)
        fields = handler.resolve_ref_schema(schema)
        number: dict[str, Any] = {"anyOf": [{"type": "number"}, {"type": "null"}]}
        numbers: dict[str, Any] = {"anyOf": [{"type": "array", "items": number}, {"type": "null"}]}
        properties: dict[str, Any] = {}
        for name, field in fields["properties"].items():
            if name in _QUANTITIES:
                one = numbers if name in _SEQUENCES else number
                properties |= {name + end: one | {"default": None} for end in _PARTS}
            else:
                properties[name] = field
        fields["properties"] = properties
        return schema

    @model_validator(mode="before")
    @classmethod
    def _from_columns(cls, data: Any) -> Any:
        """``x``, ``x_lo``, ``x_hi`` become one Quantity; names that are none of ours are told."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for name in list(data):
            if name not in cls.model_fields and name.removesuffix("_lo").removesuffix("_hi") not in _QUANTITIES:
                raise ValueError(_unknown_field(name))
        for name in _QUANTITIES:
            value = data.get(name)
            if isinstance(value, Quantity) or (isinstance(value, tuple) and isinstance(value[0], Quantity)):
                continue
            columns = (value, data.pop(f"{name}_lo", None), data.pop(f"{name}_hi", None))
            data[name] = _sequence(name, *columns) if name in _SEQUENCES else _quantity(name, *columns)
        return data

    @model_validator(mode="after")
    def _sensible(self) -> ParticleRecord:
        for name in self.notes:
            if name not in type(self).model_fields:
                raise ValueError(f"notes: {_unknown_field(name)}")
        for name in _POSITIVE:
            quantity = getattr(self, name)
            if quantity is not None and any(x is not None and x <= 0 for x in (quantity.value, quantity.hi)):
                raise ValueError(f"{name} must be positive")
        for name in _FRACTIONS:
            quantity = getattr(self, name)
            if quantity is not None and any(
                x is not None and not 0 <= x <= 1 for x in (quantity.value, quantity.lo, quantity.hi)
            ):
                raise ValueError(f"{name} is a fraction between 0 and 1, not a percentage")
        return self

    @model_serializer(mode="plain")
    def _to_columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in _SEQUENCES:
                for suffix, part in _PARTS.items():
                    columns[name + suffix] = None if value is None else [getattr(q, part) for q in value]
            elif name in _QUANTITIES:
                for suffix, part in _PARTS.items():
                    columns[name + suffix] = None if value is None else getattr(value, part)
            elif name == "levels":
                columns[name] = [level.model_dump() for level in value]
            else:
                columns[name] = value
        return columns

    def facts(self) -> dict[str, Any]:
        known = super().facts()
        return {name: known[name] for name in known if name not in (*_QUANTITIES, "notes")}

    def rows(self) -> list[dict[str, Any]]:
        """One row a measured quantity: its value, its interval, and what its note says."""
        found = []
        for name in _QUANTITIES:
            one = getattr(self, name)
            for quantity in () if one is None else one if isinstance(one, tuple) else (one,):
                parts = {part: getattr(quantity, part) for part in _PARTS.values()}
                found.append({"quantity": name, **parts, "note": self.notes.get(name, "")})
        return found

    @property
    def label(self) -> str:
        """For people: sample, particle, and how strongly a particle was excited."""
        name = " · ".join(part for part in (self.sample_id, self.particle_id or self.kind) if part)
        if self.kind != "particle" or self.mean_excitons is None or self.mean_excitons.value is None:
            return name
        return f"{name}, ⟨N⟩ = {self.mean_excitons.value:.3g}"

    def in_energy(self) -> Self:
        """The same record with ``pl_peak_eV`` and ``pl_fwhm_meV`` computed from the wavelengths.

        What is there already is kept. Without a ``medium`` wavelengths count as vacuum ones. The peak
        is the photon energy at the maximum of I(λ); the width is a Gaussian line's, Jacobian applied.
        """
        medium = self.medium or "vacuum"
        update: dict[str, Any] = {}
        notes = dict(self.notes)
        stated = "" if self.medium else " taken as in vacuum (the medium is not stated; air would lower it by 0.03 %)"
        if self.pl_peak_nm is not None and self.pl_peak_eV is None:
            peak = self.pl_peak_nm
            update["pl_peak_eV"] = Quantity(
                value=None if peak.value is None else photon_energy_eV(peak.value, medium),
                lo=None if peak.hi is None else photon_energy_eV(peak.hi, medium),
                hi=None if peak.lo is None else photon_energy_eV(peak.lo, medium),
            )
            notes.setdefault("pl_peak_eV", f"hc/λ of the wavelength,{stated or ' in ' + medium}")
        centre = None if self.pl_peak_nm is None else _middle(self.pl_peak_nm)
        if self.pl_fwhm_nm is not None and self.pl_fwhm_meV is None and centre is not None:
            parts = {part: getattr(self.pl_fwhm_nm, part) for part in ("value", "lo", "hi")}
            update["pl_fwhm_meV"] = Quantity(
                **{part: None if x is None else 1e3 * line_width_eV(centre, x, medium) for part, x in parts.items()}
            )
            update["jacobian_applied"] = True
            notes.setdefault(
                "pl_fwhm_meV",
                f"from the width in nm, as a Gaussian line at {centre:g} nm, I(E) = I(λ) λ²/hc; the "
                "uncertainty of that wavelength is not in the interval",
            )
        return self.model_copy(update=update | {"notes": notes})


class Source(Document):
    """Where records come from."""

    title: str = ""
    doi: str = ""
    reference: str = ""
    read_from: str = ""


class Records(Document):
    """Measured records of one material."""

    material: str = ""
    source: Source = Source()
    records: tuple[ParticleRecord, ...]

    def facts(self) -> dict[str, Any]:
        return {
            "material": self.material or None,
            "source": self.source.reference or None,
            "records": len(self.records),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a record, its columns those of a table of records; levels and notes are left out."""
        return [{k: v for k, v in record.model_dump().items() if k not in _NESTED} for record in self.records]

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a `Records` file, or a file with a single `ParticleRecord`."""
        data = read_json(path)
        if isinstance(data, dict) and data.get("schema") == ParticleRecord.schema_name():
            return cls(records=(ParticleRecord.from_dict(data, source=str(path)),))
        return cls.from_dict(data, source=str(path))

    def in_energy(self) -> Self:
        """`ParticleRecord.in_energy` of every record."""
        return self.model_copy(update={"records": tuple(record.in_energy() for record in self.records)})


def published_records(material: str) -> Records:
    """The published records of a material, energies filled in.

    Raises
    ------
    InputError
        There are none; says of which materials there are.
    """
    return Records.read(data_file(material, "records")).in_energy()


def data_file(material: str, what: str) -> Path:
    """The file that holds ``what`` (``records``, ``computed``) was published of a material.

    Raises
    ------
    InputError
        There is none.
    """
    folder = Path(__file__).parent / "data"
    known = sorted(path.name.removesuffix(f"_{what}.json") for path in folder.glob(f"*_{what}.json"))
    if material not in known:
        raise InputError(
            f"midgap has no published {what} of {material or 'an unnamed material'} (it has them of "
            f"{', '.join(known)}); give your own, e.g. with --records."
        )
    return folder / f"{material}_{what}.json"


_PARTS = {"": "value", "_lo": "lo", "_hi": "hi"}
_UNITS = ("J_cm2", "cm2", "nm", "eV", "meV", "ns", "ms", "K", "Hz")
_QUANTITIES = tuple(name for name, field in ParticleRecord.model_fields.items() if "Quantity" in str(field.annotation))
_SEQUENCES = ("tau_i_ns", "frac_i")
_NESTED = ("levels", "notes")
_POSITIVE = tuple(name for name in _QUANTITIES if name.endswith(_UNITS) and name not in _SEQUENCES)
_FRACTIONS = ("plqy", "polarisation_degree", "on_fraction", "signal_fraction_rho")


def _number(name: str, x: Any) -> float | None:
    if x is None:
        return None
    if isinstance(x, bool) or not isinstance(x, int | float) or not abs(x) <= sys.float_info.max:
        raise ValueError(f"{name} is {x!r}, not a number or null")
    return float(x)


def _quantity(name: str, value: Any, lo: Any, hi: Any) -> Quantity | None:
    parts = {"value": _number(name, value), "lo": _number(f"{name}_lo", lo), "hi": _number(f"{name}_hi", hi)}
    given = [x for x in (parts["lo"], parts["value"], parts["hi"]) if x is not None]
    if given != sorted(given):
        raise ValueError(f"{name}: the interval {lo} to {hi} does not hold the value {value}")
    return Quantity(**parts) if given else None


def _sequence(name: str, *columns: Any) -> tuple[Quantity | None, ...] | None:
    lists = [column for column in columns if column is not None]
    if not lists:
        return None
    if not all(isinstance(column, list | tuple) for column in lists) or len({len(column) for column in lists}) != 1:
        raise ValueError(f"{name}, {name}_lo and {name}_hi must be lists of one length")
    filled = [[None] * len(lists[0]) if column is None else column for column in columns]
    return tuple(_quantity(f"{name}[{i}]", *parts) for i, parts in enumerate(zip(*filled, strict=True)))


def _stem(name: str) -> str:
    return next((name.removesuffix(f"_{unit}") for unit in _UNITS if name.endswith(f"_{unit}")), name)


def _unknown_field(name: str) -> str:
    known = list(ParticleRecord.model_fields)
    bare = name.removesuffix("_lo").removesuffix("_hi")
    siblings = [field for field in known if field != _stem(field) and bare.startswith(_stem(field))]
    if siblings:
        return f"{name} is not a known field or unit; write it as {' or '.join(siblings)}"
    close = difflib.get_close_matches(bare, known, n=1)
    return f"{name} is not a known field{f'; did you mean {close[0]}?' if close else ''}"


def _middle(quantity: Quantity) -> float | None:
    if quantity.value is not None or quantity.lo is None or quantity.hi is None:
        return quantity.value
    return 0.5 * (quantity.lo + quantity.hi)
