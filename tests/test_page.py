import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from levels_example import PROVENANCE, example, level, octahedron, pristine, report, vacancy

from midgap.defects.configuration_coordinate import from_four_energies
from midgap.defects.densities import StateDensity
from midgap.defects.emission_study import emission_report
from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison, compare
from midgap.experiment.curves import ParticleCurves
from midgap.experiment.photons.analysis import Options, analyse
from midgap.experiment.photons.simulation import Experiment, simulate
from midgap.experiment.records import IntensityLevel, ParticleRecord, Quantity, Records, published_records
from midgap.experiment.spectra import Spectrum
from midgap.experiment.spectral_lines import emission_fields
from midgap.report.exhibits import Exhibits, InputFile, MeasuredSpectrum
from midgap.report.numbers import number, quantity_html
from midgap.report.page import render_page, write_page
from midgap.report.palette import INK, LEVEL, MUTED, PAPER, PUBLISHED
from midgap.report.palette import PL as GREEN
from midgap.structures.errors import InputError

PL = published_records("Cs4PbBr6")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'$_{"


def page(levels, records=PL, exhibits=None):
    return render_page(levels, compare(levels, records), records, exhibits)


def lobe(model="V_Br_q0", name="level at 2.44 eV above the VBM"):
    """A round density at the vacancy."""
    cell = vacancy(0)
    lattice = np.array(cell.structure.lattice.matrix)
    frac = np.stack(np.meshgrid(*[np.arange(24) / 24] * 3, indexing="ij"), axis=-1)
    away = frac - cell.structure.lattice.get_fractional_coords(cell.vacancy.position_ang)
    distance = np.linalg.norm((away - np.rint(away)) @ lattice, axis=-1)
    return StateDensity.of(np.exp(-((distance / 1.5) ** 2)), lattice, model=model, level=0, name=name)


def curves(particle="one", comment="simulated by midgap"):
    """Of photons that are simulated here."""
    stream = simulate(Experiment(duration_s=2.0, seed=3))
    analysis = analyse(stream, Options(particle_id=particle, blinking=False))
    return ParticleCurves.of(analysis).model_copy(update={"comment": comment})


def film():
    """The fit of a line without noise."""
    intensity = np.exp(-(((ENERGIES - 2.38) / 0.05) ** 2))
    return emission_fields(Spectrum(x=ENERGIES, intensity=intensity, unit="eV"))[1]


def emission(folder):
    """ΔQ 5 amu^½ Å, relaxations of 0.2 and 0.2 eV, 2.6 eV between the minima."""
    one = from_four_energies(5.0, -10.0, -9.8, -7.4, -7.2, uncertainty_eV=0.07, ground_label="0", excited_label="+1")
    return emission_report(one.write(folder / "cc.json"), (0.0, 300.0))


@pytest.fixture(scope="module")
def exhibits(tmp_path_factory):
    return Exhibits(
        curves=(curves(), curves("two", comment="")),
        densities=(lobe(),),
        emissions=(emission(tmp_path_factory.mktemp("emission")),),
        spectra=(MeasuredSpectrum(name="film", line=film()),),
        files=(InputFile(role="levels", name="levels.json", sha256="a" * 64, size_bytes=12),),
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory, exhibits):
    path = tmp_path_factory.mktemp("page") / "page.html"
    return write_page(path, example(), compare(example(), PL), PL, exhibits)


@pytest.fixture(scope="module")
def text(path):
    return path.read_text()


def embedded(text):
    (data,) = re.findall(r'<script type="application/json" id="midgap-data">(.*?)</script>', text, flags=re.DOTALL)
    return json.loads(data)


class Reader(HTMLParser):
    """Tags with their attributes, checking that they close in order."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]


def test_page_is_one_file_and_the_same_each_time(text):
    reader = Reader(text)
    assert page(example()) == page(example())
    assert reader.all("script") == [{"type": "application/json", "id": "midgap-data"}, {}]
    assert all("src" not in attrs for _, attrs in reader.tags)
    assert [attrs["href"] for attrs in reader.all("link")] == ["data:,"]
    links = [a["href"] for a in reader.all("a")]
    assert all(link in ("#main", "#h-means") or link.startswith("https://doi.org/10.1038") for link in links)
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert "@import" not in text


def test_page_can_be_read_aloud(text):
    reader = Reader(text)
    tables = reader.all("table")
    assert len(tables) == len(reader.all("caption")) > 4
    assert all(attrs.get("scope") for attrs in reader.all("th"))
    drawings = [attrs for attrs in reader.all("svg") if attrs.get("role") == "img"]
    ids = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    assert len(drawings) > 8
    assert all(set(attrs["aria-labelledby"].split()) <= ids for attrs in drawings)
    assert ("html", {"lang": "en"}) in reader.tags
    headings = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and max(b - a for a, b in pairwise(headings)) <= 1
    assert all(attrs.get("aria-label") for attrs in reader.all("div") if attrs.get("role") == "region")
    assert "V_Br⁰ · 21 atoms: gap 4.22 eV, singly occupied level at 2.44 eV" in text


def test_numbers_come_from_the_embedded_data(text):
    data = embedded(text)
    assert Levels.from_dict(data["levels"]) == example()
    assert Comparison.from_dict(data["comparison"]) == compare(example(), PL)
    assert Records.from_dict(data["records"]) == PL

    shown = [float(attrs["value"]) for attrs in Reader(text).all("data")]
    assert len(shown) > 100
    assert set(shown) <= set(numbers(data))


def numbers(value):
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def strings(value):
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield str(key)
            yield from strings(item)
    elif isinstance(value, str):
        yield value


class Words(HTMLParser):
    """What is read, without drawings, scripts, and numbers that are marked as such."""

    def __init__(self, text):
        super().__init__()
        self.hidden, self.words = 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("svg", "script", "style", "data", "title")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("svg", "script", "style", "data", "title")

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)


def test_other_numerals_stand_in_the_data_as_words(text):
    """But for those of the page's own sentences."""
    told = " ".join(strings(embedded(text)))
    own = {"VBM = 0", "g²(0)", "SHA-256", "2I*", "95 %"}
    read = " ".join(Words(text).words)
    for words in own:
        read = read.replace(words, "")
    found = set(re.findall(r"\d+(?:[.,]\d+)*", read))
    assert len(found) > 20
    assert {numeral for numeral in found if numeral not in told} == set()


ENERGIES = np.linspace(2.0, 2.8, 200)


def evil_page():
    model = vacancy(0)
    provenance = PROVENANCE.model_copy(update={"engine": EVIL, "settings": {EVIL: EVIL}})
    levels = Levels(
        reports=(report(model, 4.22, level(2.44, 1), label=EVIL, provenance=provenance, warnings=(EVIL,)),),
        models=(model.model_copy(update={"material": EVIL}),),
    )
    records = Records(
        material=EVIL,
        records=(ParticleRecord(sample_id=EVIL, pl_peak_nm=Quantity(value=520), notes={"pl_peak_nm": EVIL}),),
    )
    line = emission_fields(Spectrum(x=ENERGIES, intensity=np.exp(-(((ENERGIES - 2.38) / 0.05) ** 2)), unit="eV"))[1]
    everything = Exhibits(
        curves=(curves(EVIL),),
        densities=(lobe(name=EVIL).model_copy(update={"label": EVIL, "source": EVIL}),),
        spectra=(MeasuredSpectrum(name=EVIL, line=line),),
        files=(InputFile(role=EVIL, name=EVIL, sha256="0", size_bytes=1),),
    )
    return page(levels, records, everything)


def test_what_others_wrote_stays_text():
    text = evil_page()
    reader = Reader(text)
    assert len(reader.all("script")) == 2
    assert reader.all("img") == []
    assert "alert(1)" in text
    assert not re.search(r"<script>alert|<img src=x", text)
    assert embedded(text)["levels"]["reports"][0]["label"] == EVIL


def test_point_charges_are_left_out():
    from midgap.structures.model import PointCharges

    cluster = octahedron().model_copy(
        update={"embedding": PointCharges(positions_ang=[[9.0, 0.0, 0.0]] * 50, charges_e=[1.0] * 50)}
    )
    levels = Levels(reports=(report(cluster, 4.42),), models=(cluster,))
    data = embedded(page(levels))
    assert data["left_out"] == {"octahedron": "50 point charges"}
    assert data["levels"]["models"][0]["embedding"] is None


@pytest.mark.parametrize(
    ("levels", "records"),
    [
        (Levels(reports=(report(vacancy(0), 4.22, level(2.44, 1)),), models=()), PL),
        (Levels(reports=(report(pristine(), None),), models=(pristine(),)), PL),
        (example(), Records(records=())),
        (example(), Records(records=(ParticleRecord(pl_peak_nm=Quantity(lo=500, hi=540)),))),
    ],
)
def test_pages_of_little(levels, records):
    Reader(page(levels, records))


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="no level reports"):
        render_page(Levels(reports=(), models=()), compare(example(), PL), PL)
    with pytest.raises(InputError, match="is a folder"):
        write_page(tmp_path, example(), compare(example(), PL), PL)


def test_numbers():
    assert number(-0.001) == '<data value="-0.001">0.00</data>'
    assert number(-1.5, 1, sign=True) == '<data value="-1.5">−1.5</data>'
    assert number(0.0, 2, sign=True) == '<data value="0.0">±0.00</data>'
    assert "–" in number(None)
    assert re.sub("<.*?>", "", quantity_html(Quantity(value=520, lo=500, hi=540), "nm")) == "520 (500 to 540) nm"
    assert re.sub("<.*?>", "", quantity_html(Quantity(hi=0.3), "ns")) == "≤ 0.3 ns"
    assert re.sub("<.*?>", "", quantity_html(Quantity(value=1, lo=0.5))) == "1 (≥ 0.5)"


@pytest.mark.parametrize("screen", ["light", "dark"])
def test_text_stands_out_from_its_ground(screen):
    """At least 4.5 to 1, by the relative luminance of the Web Content Accessibility Guidelines 2.2, 1.4.3."""

    def luminance(colour):
        parts = np.array([int(getattr(colour, screen)[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for colour in (INK, MUTED, LEVEL, GREEN, PUBLISHED):
        bright, dark = sorted((luminance(colour), luminance(PAPER)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


def many(n=500):
    rng = np.random.default_rng(1)

    def near(middle, width):
        value = middle + width * float(rng.normal())
        return Quantity(value=value, lo=value - width, hi=value + width)

    return Records(
        material="Cs4PbBr6",
        records=tuple(
            ParticleRecord(
                sample_id="made up",
                particle_id=f"p{i:03d}",
                pl_peak_eV=near(2.38, 0.01),
                pl_fwhm_meV=near(70, 3),
                tau_av_ns=near(6.5, 0.3),
                n_emitters_M=near(3, 0.2) if i % 5 else None,
                levels=tuple(IntensityLevel(group_id=k, start_time_s=k, end_time_s=k + 1) for k in range(20)),
            )
            for i in range(n)
        ),
    )


@pytest.fixture(scope="module")
def long_page(tmp_path_factory):
    import time

    records = many()
    comparison = compare(example(), records)
    start = time.process_time()
    path = write_page(tmp_path_factory.mktemp("many") / "page.html", example(), comparison, records)
    return path, time.process_time() - start


def test_five_hundred_particles_are_distributions_and_one_table(long_page):
    path, seconds = long_page
    assert seconds < 5
    assert path.stat().st_size < 10e6
    text = path.read_text()
    assert text.count('<tr><th scope="row">made up · p') == 500
    data = embedded(text)
    assert data["left_out"]["records"] == "10000 segments of blinking traces"
    assert data["derived"]["particles"]["n_emitters_M"]["n"] == 400
    assert data["derived"]["particles"]["pl_peak_eV"]["median"] == pytest.approx(2.38, abs=0.003)
    assert set(numbers_shown(text)) <= set(numbers(data))


def numbers_shown(text):
    return [float(attrs["value"]) for attrs in Reader(text).all("data")]


def test_page_data_is_strict_json(text):
    assert json.loads(json.dumps(embedded(text), allow_nan=False))["schema"] == "midgap.page"
