import re
from pathlib import Path

import numpy as np
import pytest
from levels_example import HSE_SOC, example, level, octahedron, pristine, report, vacancy
from matplotlib.figure import Figure

from midgap.defects.report import Levels
from midgap.experiment.comparison import compare
from midgap.experiment.records import Quantity, published_records
from midgap.report.figures import level_figure, structure_figure, to_svg
from midgap.report.level_diagram import columns, level_diagram
from midgap.report.palette import PL as GREEN
from midgap.report.palette import variables
from midgap.report.scene import Scene
from midgap.report.structure_picture import opposite, same_scale, structure_picture
from midgap.report.typography import formula, html, mathtext
from midgap.structures.model import Model, Vacancy

STRUCTURES = Path(__file__).parents[2] / "shared" / "data" / "structures"
PL = published_records("Cs4PbBr6")


def axes():
    return Figure().add_subplot()


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_columns_are_ordered():
    assert [model.name for _, model in columns(example(), HSE_SOC)] == [
        "pristine",
        "V_Br_q1",
        "V_Br_q0",
        "V_Br_q-1",
        "octahedron",
    ]


def test_levels_stand_at_their_height_above_the_vbm():
    measured = Quantity(value=2.38, lo=2.30, hi=2.48)
    ax = level_diagram(axes(), example(), HSE_SOC, comparison=compare(example(), PL), measured=measured)
    heights = {round(line.get_ydata()[0], 2) for line in ax.lines if len(line.get_xdata()) == 2}
    assert {0.0, 4.22, 4.42, 2.44, 3.81, 3.40, 2.38} <= heights
    diamonds = [line for line in ax.lines if line.get_marker() == "D"]
    assert sorted(line.get_ydata()[0] for line in diamonds) == [2.4, 3.9, 3.9], "one a published value"
    dotted = [line.get_xdata() for line in ax.lines if line.get_ydata()[0] == 2.4 and len(line.get_xdata()) == 2]
    assert np.ptp(dotted) > 2, "across the three charge states that it may be of"
    assert {"2.44", "3.81", "3.40"} <= set(texts(ax))


def test_a_detection_band_has_no_line_and_says_what_it_is():
    comparison = compare(example(), PL)
    band = comparison.ensemble("pl_peak_eV").quantity
    ax = level_diagram(axes(), example(), HSE_SOC, comparison=comparison, measured=band, from_band=True)
    assert "PL detected\n2.296 to 2.480 eV\n500 to 540 nm" in texts(ax)
    green = [line for line in ax.lines if line.get_color() == GREEN.light]
    assert not [line for line in green if len(line.get_xdata()) == 2 and 2.3 < line.get_ydata()[0] < 2.43]
    assert "band in which PL was detected" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_errors_of_levels_are_those_of_their_transitions():
    """V_Br⁰ at 2.44 eV: 0.06 eV known, with caps; 0.2 eV assumed beside it."""
    ax = level_diagram(axes(), example(), HSE_SOC, comparison=compare(example(), PL))
    bars = [line for bar in ax.containers for line in bar.lines[2]]
    ends = [tuple(segment[:, 1]) for bar in bars for segment in bar.get_segments()]
    assert any(end == pytest.approx((2.38, 2.50)) for end in ends)
    whole = np.hypot(0.06, 0.2)
    assert any(end == pytest.approx((2.44 - whole, 2.44 + whole)) for end in ends)


def test_electrons_are_dots_or_arrows():
    def drawn(spin, electrons, states):
        model = vacancy(0)
        levels = Levels(
            reports=(report(model, 4.22, level(2.44, electrons, spin=spin, degeneracy=states)),), models=(model,)
        )
        ax = level_diagram(axes(), levels, HSE_SOC)
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        filled = [dot for dot in dots if dot.get_markerfacecolor() == dot.get_color()]
        arrows = [patch for patch in ax.patches if type(patch).__name__ == "FancyArrowPatch"]
        return len(dots) - len(filled), len(filled), len(arrows)

    assert drawn("spinor", 1, 2) == (2, 1, 0)  # states, electrons, arrows
    assert drawn("spinor", 0, 2) == (2, 0, 0)
    assert drawn("up", 1, 1) == (0, 0, 1)
    assert drawn("down", 0, 1) == (0, 0, 0)
    assert drawn("both", 2, 2) == (0, 0, 2)


def test_a_diagram_of_nothing_and_of_one():
    empty = Levels(reports=(report(pristine(), gap_eV=4.2, theory=HSE_SOC),), models=())
    level_figure(empty, HSE_SOC, measured=Quantity(value=2.38))
    level_figure(Levels(reports=(), models=()), HSE_SOC)


def test_octahedra_of_the_crystal():
    scene = Scene.of(pristine())
    assert scene.symbols.count("Pb") == 2
    assert len(scene.bonds) == 12
    lengths = [np.linalg.norm(scene.positions_ang[i] - scene.positions_ang[j]) for i, j in scene.bonds]
    assert lengths == pytest.approx([2.97] * 12, abs=0.01)  # K4CdCl6 type, structure of the card
    assert len(scene.symbols) == 22


@pytest.mark.skipif(not STRUCTURES.is_dir(), reason="the relaxed structures are not here")
@pytest.mark.parametrize(("charge", "distance", "bonded"), [("0", 3.99, False), ("1", 2.85, True), ("-1", 4.34, False)])
def test_ligand_opposite_the_vacancy(charge, distance, bonded):
    """Pb-Br trans to the vacancy as in the folder's README."""
    model = relaxed(charge)
    scene = Scene.of(model)
    assert scene.symbols[scene.heart] == "Pb"
    trans = opposite(scene, scene.axis_ang)
    assert np.linalg.norm(scene.positions_ang[trans] - scene.positions_ang[scene.heart]) == pytest.approx(
        distance, abs=0.01
    )
    assert ((scene.heart, trans) in scene.bonds) == bonded
    assert f"{distance:.2f} Å" in texts(structure_picture(axes(), model))


def relaxed(charge):
    from ase.io import read
    from pymatgen.core import IStructure, Lattice

    def structure(name):
        atoms = read(STRUCTURES / f"{name}.xyz")
        return IStructure(
            Lattice(atoms.cell.array), atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True
        )

    host, defect = structure("Cs4PbBr6_primitive_pbe250"), structure(f"V_Br_q{charge}_primitive_pbe250")
    ligands = [site for site in host if site.specie.symbol == "Br"]
    left = [site for site in defect if site.specie.symbol == "Br"]
    # the missing one is the host's Br for which no other is left over; the trans Br moves by up to 1.3 Å
    cost = np.array(
        [[host.lattice.get_distance_and_image(a.frac_coords, b.frac_coords)[0] for b in left] for a in ligands]
    )
    missing = ligands[int(np.argmax(cost.min(axis=1)))]
    return Model(
        name="V",
        kind="vacancy",
        material="Cs4PbBr6",
        structure=defect,
        charge=int(charge),
        vacancy=Vacancy(species="Br", site="Br1", position_ang=missing.coords),
    )


def test_the_vacancy_points_up():
    scene = Scene.of(vacancy(0))
    assert scene.vacant
    assert abs(scene.axis_ang[0]) < 1e-9
    assert scene.axis_ang[1] > 2.5


def test_pictures_share_one_scale():
    figure = Figure()
    both = figure.subplots(1, 2)
    for ax, model in zip(both, (pristine(), octahedron()), strict=True):
        structure_picture(ax, model)
    same_scale(list(both))
    assert np.ptp(both[0].get_xlim()) == pytest.approx(np.ptp(both[1].get_xlim()))
    bar = both[0].lines[-1]
    assert np.ptp(bar.get_xdata()) == pytest.approx(5.0)


def test_svg_is_the_same_each_time_and_needs_nothing():
    def svg():
        return to_svg(structure_figure([pristine(), vacancy(0)]), "a", "T", "D")

    one = svg()
    assert one == svg()
    ids = re.findall(r'\bid="([^"]+)"', one)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("a-") for name in ids)
    assert set(re.findall(r'(?:href="#|url\(#|labelledby=")([^" )]+)', one)) <= set(ids)
    assert "<metadata" not in one
    assert "http" not in one.replace("http://www.w3.org/", "")
    for name, colour in variables().items():
        assert one.count(colour.light) == one.count(f"var(--{name}, {colour.light})")


def test_palette_has_no_colour_twice():
    lights = [colour.light for colour in variables().values()]
    assert len(lights) == len(set(lights))


def test_palette_in_grey():
    """Occupied and empty bands, and Pb, Br and Cs, differ by a tenth of the luminance scale at least (Rec. 709)."""

    def luminance(colour):
        from matplotlib.colors import to_rgb

        return float(np.dot([0.2126, 0.7152, 0.0722], to_rgb(colour)))

    colours = variables()
    grey = [luminance(colours[f"element-{symbol}"].light) for symbol in ("pb", "br", "cs")]
    assert np.diff(grey).min() > 0.1
    assert luminance(colours["conduction"].light) - luminance(colours["valence"].light) > 0.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cs4PbBr6 pristine", "Cs₄PbBr₆ pristine"),
        ("[PbBr6]⁴⁻", "[PbBr₆]⁴⁻"),
        ("HSE06+SOC", "HSE06+SOC"),
        ("Fig. 4a", "Fig. 4a"),
    ],
)
def test_formula(text, expected):
    assert formula(text) == expected


def test_symbols():
    assert mathtext("V_Br⁰ · 21 atoms") == r"V$_\mathrm{Br}^{0}$ · 21 atoms"
    assert mathtext("cost $1") == r"cost \$1"
    assert html("V_Br⁺ <b>") == "V<sub>Br</sub>⁺ &lt;b&gt;"
