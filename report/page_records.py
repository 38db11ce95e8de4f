"""What a page says of the records: each with its quantities, or many as a table, and which enter which mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from midgap.experiment.comparison import Comparison
from midgap.experiment.evidence import stated
from midgap.experiment.evidence.observables import OBSERVABLES, is_detection_band, measured
from midgap.experiment.records import ParticleRecord, Quantity, Records
from midgap.report.numbers import NOT_STATED, quantity_html, stated_html

MOST_LISTED = 8
"""Records that are listed one by one; more single particles are a table."""
DETECTED = "PL detected in this band, no maximum read"
_QUANTITIES = (
    ("size_nm", "Size", "nm"),
    ("pl_peak_nm", "PL maximum", "nm"),
    ("pl_peak_eV", "PL maximum", "eV"),
    ("pl_fwhm_nm", "PL linewidth (FWHM)", "nm"),
    ("pl_fwhm_meV", "PL linewidth (FWHM)", "meV"),
    ("plqy", "PL quantum yield", ""),
    ("polarisation_degree", "Polarisation", ""),
    ("exc_wavelength_nm", "Excitation", "nm"),
    ("mean_excitons", "⟨N⟩", ""),
    ("g2_0", "g²(0)", ""),
    ("n_emitters_M", "Number of emitters", ""),
    ("tau_av_ns", "Average lifetime", "ns"),
    ("irf_fwhm_ns", "Time resolution", "ns"),
    ("temperature_K", "Temperature", "K"),
)


def listed(records: Sequence[ParticleRecord]) -> Iterator[tuple[str, list[tuple[str, Markup, str]]]]:
    """Of each record: its label and rows (quantity, value, where it was read)."""
    for record in records:
        band = is_detection_band(record)
        rows = [
            (
                DETECTED if band and field.startswith("pl_peak") else name,
                NOT_STATED if value is None else _as_stated(record, value, field, unit),
                record.notes.get(field, ""),
            )
            for field, name, unit in _QUANTITIES
            if (value := getattr(record, field)) is not None or field in record.notes
        ]
        yield record.label or "record", rows + _lifetimes(record)


def _as_stated(record: ParticleRecord, value: Quantity, field: str, unit: str) -> Markup:
    """What was worked out from wavelengths is written like everything else of its kind, the rest as it was stated."""
    if field not in OBSERVABLES or not unit.endswith("eV"):
        return quantity_html(value, unit)
    if field == "pl_peak_eV":
        value = measured(record, field) or value  # of a detection band its ends only
    return stated_html([*stated.quantity(value, OBSERVABLES[field].digits), f" {unit}"])


def entered(comparison: Comparison, records: Records) -> Iterator[dict[str, Any]]:
    """By observable: the records that its mean or its bounds rest on, and those that say something of it and do not enter."""
    for ensemble in comparison.ensembles:
        observable = OBSERVABLES[ensemble.observable]
        inside = []
        for i in ensemble.entered[: MOST_LISTED + 1]:
            record = records.records[i]
            value = measured(record, ensemble.observable)
            told = [] if value is None else stated.quantity(value, observable.digits)
            inside.append((record.label or "record", stated_html(told)))
        aside = [(records.records[one.record].label or "record", one.reason) for one in ensemble.set_aside]
        many = len(ensemble.entered) > MOST_LISTED
        yield {
            "ensemble": ensemble,
            "observable": observable,
            "inside": [] if many else inside,
            "aside": aside[:MOST_LISTED],
            "more": max(0, len(aside) - MOST_LISTED),
        }


def _lifetimes(record: ParticleRecord) -> list[tuple[str, Markup, str]]:
    notes = record.notes
    named = [(lv.name, Quantity(value=lv.tau_1_ns)) for lv in record.levels if lv.name and lv.tau_1_ns is not None]
    return [(f"Lifetime of {name}", quantity_html(tau, "ns"), notes.get("levels", "")) for name, tau in named] + [
        (f"Lifetime {i}", quantity_html(tau, "ns"), notes.get("tau_i_ns", ""))
        for i, tau in enumerate(record.tau_i_ns or (), start=1)
    ]


_COLUMNS = (
    ("size_nm", "Size (nm)"),
    ("pl_peak_eV", "PL energy (eV)"),
    ("pl_fwhm_meV", "Linewidth (meV)"),
    ("g2_0", "g²(0)"),
    ("n_emitters_M", "Emitters"),
    ("tau_av_ns", "Lifetime (ns)"),
    ("on_fraction", "Time ON"),
)


def _cell(quantity: Quantity | None, name: str) -> Markup:
    digits = OBSERVABLES[name].digits if name in OBSERVABLES else 2
    return Markup("–") if quantity is None else stated_html(stated.quantity(quantity, digits))


def table(records: Records) -> dict[str, Any]:
    """Single particles, one a row; columns are what any of them holds."""
    particles = [record for record in records.records if record.kind == "particle"]
    held = [(name, title) for name, title in _COLUMNS if any(measured(record, name) for record in particles)]
    rows = [
        (record.label or "particle", [_cell(measured(record, name), name) for name, _ in held]) for record in particles
    ]
    return {"titles": [title for _, title in held], "rows": rows}
