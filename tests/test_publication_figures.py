"""Figures for journals: their width, their fonts, and what they are drawn from; curves as files."""

import re

import numpy as np
import pytest
from levels_example import example
from matplotlib.axes import Axes

from midgap.experiment.curves import SUFFIX, ParticleCurves, read_curves
from midgap.experiment.photons.analysis import Options, analyse
from midgap.experiment.photons.simulation import Experiment, simulate
from midgap.report.plotting import save_picture
from midgap.report.publication import KINDS, publication_figure
from midgap.structures.errors import InputError


@pytest.fixture(scope="module")
def analysis():
    return analyse(simulate(Experiment(duration_s=3.0, seed=5)), Options(particle_id="p1", sample_id="s"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, analysis):
    folder = tmp_path_factory.mktemp("figures")
    example().write(folder / "levels.json")
    ParticleCurves.of(analysis).write(folder / f"p1{SUFFIX}")
    return folder


def test_curves_are_those_of_the_analysis(folder, analysis):
    (curves,) = read_curves([folder])
    assert curves == ParticleCurves.of(analysis)
    assert (curves.label, curves.simulated) == ("s · p1", False)
    assert curves.model_copy(update={"comment": "Simulated by midgap"}).simulated
    with pytest.raises(InputError, match="holds no"):
        read_curves([folder.parent])


def test_thinned_curves_hold_the_same_photons(analysis):
    whole = ParticleCurves.of(analysis)
    few = whole.thinned(70)
    n = few.bins_joined[0]
    kept = whole.decay.counts.size // n * n
    assert few.decay.counts.size <= 70
    assert few.decay.counts.sum() == whole.decay.counts[:kept].sum()
    assert few.decay.bin_width_ns == pytest.approx(n * whole.decay.bin_width_ns)
    # the peak stays where it was, within one of the wider bins
    peaks = [(c.decay.first_bin + np.argmax(c.decay.counts)) * c.decay.bin_width_ns for c in (whole, few)]
    assert peaks[0] == pytest.approx(peaks[1], abs=2 * few.decay.bin_width_ns)
    assert few.trace.counts.size <= 70
    assert few.trace.bin_s * few.trace.counts.size <= whole.trace.bin_s * whole.trace.counts.size
    assert few.thinned(70) == few


@pytest.mark.parametrize(("kind", "wide_cm"), [("levels", 17.8), ("evidence", 17.8), ("g2", 8.6), ("decay", 8.6)])
def test_figures_have_the_width_of_a_column(folder, tmp_path, kind, wide_cm):
    file = folder / ("levels.json" if wide_cm > 10 else f"p1{SUFFIX}")
    figure = publication_figure(kind, file)
    (box,) = re.findall(
        rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", save_picture(figure, tmp_path / "f.pdf").read_bytes()
    )
    assert float(box[0]) / 72 * 2.54 == pytest.approx(wide_cm, abs=0.01)
    assert publication_figure(kind, file, height_cm=7).get_figheight() * 2.54 == pytest.approx(7)
    assert all(isinstance(ax, Axes) for ax in figure.axes)


def test_text_stays_text_and_brings_its_font(folder, tmp_path):
    figure = publication_figure("trace", folder / f"p1{SUFFIX}")
    assert "Time (s)</text>" in save_picture(figure, tmp_path / "f.svg").read_text()
    pdf = save_picture(figure, tmp_path / "f.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_refusals(folder):
    with pytest.raises(InputError, match=f"there are {', '.join(KINDS)}"):
        publication_figure("cake", folder / "levels.json")
    with pytest.raises(InputError, match="holds a"):
        publication_figure("g2", folder / "levels.json")
    bare = ParticleCurves(particle_id="bare")
    with pytest.raises(InputError, match="holds no g2"):
        publication_figure("g2", bare.write(folder.parent / "bare.json"))


def test_the_command(folder, tmp_path, capsys, monkeypatch):
    from midgap.cli.main import main

    monkeypatch.setattr(
        "sys.argv", ["midgap", "figure", "levels", str(folder / "levels.json"), "--out", str(tmp_path / "l.svg")]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert "Energy above the VBM" in (tmp_path / "l.svg").read_text()
