"""Pictures of photon statistics show what was measured: heights, levels and words are read back from the drawing."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from midgap.experiment.blinking.level_lifetimes import Flid
from midgap.experiment.blinking.levels import IntensityLevels, Trace
from midgap.experiment.decays.lifetimes import DecayFit
from midgap.experiment.photons.antibunching import PulsedG2
from midgap.experiment.records import Quantity
from midgap.report.photon_figures import (
    decay,
    intensity_trace,
    particle_figure,
    pulsed_g2,
    rate_histogram,
    save_picture,
)
from midgap.structures.errors import InputError


def interval(value, half=0.1):
    return Quantity(value=value, lo=value - half, hi=value + half)


@pytest.fixture
def trace():
    return Trace(bin_s=0.1, counts=np.r_[np.full(20, 1000), np.full(10, 200)])


@pytest.fixture
def levels():
    return IntensityLevels(
        first_photon=[0, 20_000],
        num_photons=[20_000, 2_000],
        start_time_s=[0.0, 2.0],
        end_time_s=[2.0, 3.0],
        level=[1, 0],
        rate_cps=(interval(2000.0), interval(10_000.0)),
        time_fraction=[1 / 3, 2 / 3],
        label=("GRAY", "ON"),
        bic={2: 0.0},
        background_cps=0.0,
        off_below=0.05,
        on_above=0.5,
    )


@pytest.fixture
def fit():
    fitted = 1000 * np.exp(-np.arange(200) / 40)
    return DecayFit(
        tau_ns=(interval(4.0),),
        intensity_fraction=(Quantity(value=1.0),),
        amplitude_fraction=(Quantity(value=1.0),),
        tau_intensity_ns=interval(4.0),
        tau_amplitude_ns=interval(4.0),
        background_per_bin=0.0,
        shift_ns=0.0,
        response="Gaussian",
        response_fwhm_ns=0.3,
        n_photons=40_000,
        deviance=205.0,
        deviance_z=0.3,
        dof=197,
        bic={1: 0.0},
        ci_level=0.95,
        bin_width_ns=0.1,
        first_bin=50,
        counts=fitted + 2 * np.sqrt(fitted),
        fitted_counts=fitted,
    )


@pytest.fixture
def g2():
    lags = np.arange(-45, 46)
    return PulsedG2(
        ci_level=0.95,
        lags=lags,
        counts=np.where(lags == 3, 10, 100),
        center_lag=3,
        center_found=True,
        center_counts=10,
        side_counts=4000,
        side_n=40,
        g2_0_raw=interval(0.1, 0.05),
        g2_0_far=interval(0.1, 0.05),
        bunching=1.0,
        n_emitters_M=Quantity(value=1.11, lo=1.05, hi=1.18),
        single=True,
        n_emitters_from="raw",
    )


def words(ax):
    return "\n".join(text.get_text() for text in ax.texts)


def test_zero_delay_peak_stands_at_zero_and_is_the_filled_one(g2):
    ax = pulsed_g2(Figure().add_subplot(), g2)
    centre = ax.patches[-1]
    assert centre.get_x() + 0.5 * centre.get_width() == pytest.approx(0) and centre.get_height() == 10
    assert "0.10 (0.05 to 0.15)" in words(ax) and "M = 1.11 (1.05 to 1.18)" in words(ax)
    assert "lag 3" in ax.get_xlabel()


def test_residuals_are_in_standard_deviations(fit):
    figure = Figure()
    above, below = figure.subplots(2)
    decay(above, below, fit)
    left = below.lines[0].get_ydata()
    # Counts two standard deviations too high, of a Poisson count large enough to be Gaussian.
    assert left[0] == pytest.approx(2.0, abs=0.05)
    assert above.lines[1].get_xdata()[0] == pytest.approx(5.05)
    assert "τ = 4.00 (3.90 to 4.10) ns" in words(above) or "τ = 4.0 (3.9 to 4.1) ns" in words(above)


def test_levels_lie_in_the_histogram_where_the_bins_are(trace, levels):
    ax = rate_histogram(Figure().add_subplot(), trace, levels)
    assert [line.get_ydata()[0] for line in ax.lines] == pytest.approx([2.0, 10.0])
    assert "GRAY 33%" in words(ax) and "ON 67%" in words(ax)


def test_a_particle_with_whatever_is_known_of_it(tmp_path, trace, levels, fit, g2):
    chart = Flid(rate_edges_cps=[0, 5000, 10_000], tau_edges_ns=[0, 5, 10], time_s=[[1, 0], [0, 2]])
    figure = particle_figure(trace=trace, levels=levels, fit=fit, g2=g2, chart=chart, title="particle 1")
    assert save_picture(figure, tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in save_picture(particle_figure(g2=g2), tmp_path / "one.svg").read_bytes()
    with pytest.raises(InputError, match=r"\.png, \.pdf or \.svg"):
        save_picture(figure, tmp_path / "all.bmp")


def test_levels_are_drawn_as_their_mean_in_each_bin(trace, levels):
    # The switch at 2.0 s lies in the middle of a bin of 0.8 s: (0.4 · 10 + 0.4 · 2)/0.8 kcps there.
    coarse = Trace(bin_s=0.8, counts=trace.counts[:24].reshape(3, 8).sum(axis=1))
    ax = intensity_trace(Figure().add_subplot(), coarse, levels)
    assert ax.patches[1].get_data().values == pytest.approx([10.0, 10.0, 6.0])
    assert ax.patches[0].get_data().values == pytest.approx(coarse.counts / 0.8 / 1e3)
