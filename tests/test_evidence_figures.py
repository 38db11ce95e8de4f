"""Figures of evidence: what is drawn is what was computed, at its place."""

import numpy as np
import pytest
from levels_example import example
from matplotlib.figure import Figure

from midgap.defects.lineshape import Coupling, lineshape
from midgap.experiment.comparison import compare
from midgap.experiment.records import published_records
from midgap.experiment.spectra import Spectrum
from midgap.experiment.spectral_lines import emission_fields
from midgap.report.evidence_figures import histogram, reach, residual_plot, sensitivity_plot, undecided
from midgap.report.line_figures import line_figure, predicted_energies

RECORDS = published_records("Cs4PbBr6")


@pytest.fixture(scope="module")
def comparison():
    return compare(example(), RECORDS)


@pytest.fixture
def ax():
    return Figure().add_subplot()


def drawn(ax):
    """Places of single marks."""
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ax.lines if len(line.get_xdata()) == 1]


def test_residuals_stand_at_their_standard_deviations(ax, comparison):
    residual_plot(ax, comparison)
    counted = [candidate.name for candidate in comparison.candidates if candidate.counted]
    marks = drawn(ax)
    for name in counted:
        found = comparison.of(name, "pl_peak_eV").ensemble_residual
        at = np.clip(found, -reach(comparison), reach(comparison))
        assert any(x == pytest.approx(at) and round(y) == counted.index(name) for x, y in marks), name


def test_a_lone_mark_stands_at_the_height_of_its_row(ax, comparison):
    residual_plot(ax, comparison)
    rows = [c for c in comparison.candidates if c.counted]
    alone = [i for i, c in enumerate(rows) if len([e for e in comparison.evidence if e.candidate == c.name]) == 1]
    assert len(alone) > 2
    assert set(map(float, alone)) <= {y for _, y in drawn(ax)}


def test_what_is_undecided_is_drawn_below_the_best(ax, comparison):
    """The inclusion and V_Br⁰ fit; the best of them is at zero, the other as far below as its evidence is."""
    sensitivity_plot(ax, comparison)
    lines = np.array([line.get_ydata() for line in ax.lines])
    names = undecided(comparison)
    assert set(names) == {"CsPbBr3-inclusion", "V_Br_q0:level-VBM"}
    assert lines.shape == (2, len(comparison.assumptions))
    assert (lines.max(axis=0) == 0).all()
    columns = [comparison.totals.candidates.index(name) for name in names]
    gaps = comparison.totals.log_evidence[:, columns[0]] - comparison.totals.log_evidence[:, columns[1]]
    assert lines[0] - lines[1] == pytest.approx(gaps)


def test_energies_with_the_known_part_of_their_error(ax, comparison):
    shown = [candidate for candidate in comparison.candidates if candidate.counted]
    band = comparison.ensemble("pl_peak_eV")
    predicted_energies(ax, shown, band.quantity, 0.1, comparison.assumptions[2], from_band=True)
    marks = drawn(ax)
    singles = [(i, c) for i, c in enumerate(shown, start=1) if c.prediction("pl_peak_eV").alternatives is None]
    assert singles
    for row, candidate in singles:
        assert (pytest.approx(candidate.energy_eV), float(row)) in marks
    assert next(label.get_text() for label in ax.get_yticklabels()) == "detection band"
    whole = [tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    # V_Br⁰: 2.44 eV, 0.06 eV known and 0.2 eV assumed.
    assert any(ends == pytest.approx((2.44 - np.hypot(0.06, 0.2), 2.44 + np.hypot(0.06, 0.2))) for ends in whole)


def test_lines_and_predictions_share_one_scale_that_is_told(comparison):
    energies = np.linspace(2.1, 2.7, 150)
    spectrum = Spectrum(x=energies, intensity=np.exp(-(((energies - 2.38) / 0.05) ** 2)), unit="eV")
    line = emission_fields(spectrum)[1]
    shape = lineshape(2.5, Coupling.of(0.02, 5.0))
    figure = line_figure(
        comparison.candidates, comparison.ensemble("pl_peak_eV").quantity, 0.1, [("a", line)], [("b", shape)]
    )
    figure.draw_without_rendering()
    low, top = figure.axes
    assert low.get_xlim() == top.get_xlim()
    assert low.get_xlim()[0] < line.peak.value < low.get_xlim()[1]
    assert any(label.get_text() for label in low.get_xticklabels())
    fit = next(curve for curve in top.lines if curve.get_label() == "a, measured")
    assert fit.get_xdata()[np.argmax(fit.get_ydata())] == pytest.approx(2.38, abs=0.005)
    assert fit.get_ydata().max() == pytest.approx(1.0)


def test_a_histogram_holds_every_particle(ax):
    values = np.random.default_rng(2).normal(6.5, 0.4, 300)
    histogram(ax, values, "lifetime", [("near", 6.0), ("far away", 60.0)], "ns")
    counts = ax.patches[0].get_data().values
    assert counts.sum() == 300
    lines = sorted(float(line.get_xdata()[0]) for line in ax.lines)
    assert lines == pytest.approx([6.0, np.median(values)])
    assert ax.get_xlabel() == "lifetime (ns)"
