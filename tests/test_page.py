import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from levels_example import PROVENANCE, example, level, octahedron, pristine, report, vacancy

from midgap.defects.report import Levels
from midgap.experiment.comparison import Comparison, compare
from midgap.experiment.records import ParticleRecord, Quantity, Records, published_records
from midgap.report.page import number, quantity_html, render_page, write_page
from midgap.structures.errors import InputError

PL = published_records("Cs4PbBr6")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'$_{"


def page(levels, records=PL):
    return render_page(levels, compare(levels, records), records)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "page.html", example(), compare(example(), PL), PL)


@pytest.fixture(scope="module")
def text(path):
    return path.read_text()


def embedded(text):
    (data,) = re.findall(r'<script type="application/json" id="midgap-data">(.*?)</script>', text, flags=re.DOTALL)
    return json.loads(data)


class Reader(HTMLParser):
    """Tags with their attributes, checking that they close in order."""

    VOID = frozenset({"meta", "link", "br", "img"})

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
    assert page(example()) == text
    reader = Reader(text)
    assert reader.all("script") == [{"type": "application/json", "id": "midgap-data"}]
    assert all("src" not in attrs for _, attrs in reader.tags)
    assert [attrs["href"] for attrs in reader.all("link")] == ["data:,"]
    assert all(a["href"].startswith("https://doi.org/10.1038") for a in reader.all("a"))
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert "@import" not in text


def test_page_can_be_read_aloud(text):
    reader = Reader(text)
    tables = reader.all("table")
    assert len(tables) == len(reader.all("caption")) == 4
    assert all(attrs.get("scope") for attrs in reader.all("th"))
    drawings = [attrs for attrs in reader.all("svg") if attrs.get("role") == "img"]
    ids = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    assert len(drawings) == 3
    assert all(set(attrs["aria-labelledby"].split()) <= ids for attrs in drawings)
    assert ("html", {"lang": "en"}) in reader.tags
    assert "V_Br⁰ · 21 atoms: gap 4.22 eV, singly occupied level at 2.44 eV" in text


def test_numbers_come_from_the_embedded_data(text):
    data = embedded(text)
    assert Levels.from_dict(data["levels"]) == example()
    assert Comparison.from_dict(data["comparison"]) == compare(example(), PL)
    assert Records.from_dict(data["records"]) == PL

    def numbers(value):
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                yield from numbers(item)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)

    known = set(numbers(data))
    shown = [float(attrs["value"]) for attrs in Reader(text).all("data")]
    assert len(shown) > 60
    assert set(shown) <= known


def test_what_others_wrote_stays_text():
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
    text = page(levels, records)
    reader = Reader(text)
    assert len(reader.all("script")) == 1
    assert reader.all("img") == []
    assert "alert(1)" in text
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


def browse(path, *flags):
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    words += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    words += ["--enable-logging=stderr", f"--user-data-dir={path.parent / 'browser'}", *flags, path.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=path.parent, check=False)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_page_in_a_browser(path):
    dom, console = browse(path, "--dump-dom")
    assert console == []
    assert "<h1>Cs₄PbBr₆: is V<sub>Br</sub> the emitter?</h1>" in dom
    assert dom.count("</svg>") == 3
    assert embedded(dom)["comparison"]["material"] == "Cs4PbBr6"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (500, True)])
def test_page_on_a_screen(path, tmp_path, width, dark):
    """Nothing is wider than the window, and the background follows the colour scheme."""
    import matplotlib.image

    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    _, console = browse(path, f"--screenshot={tmp_path / 'page.png'}", f"--window-size={width},900", *scheme)
    assert console == []
    picture = matplotlib.image.imread(tmp_path / "page.png")
    assert picture.shape[1] == width
    assert picture[5, 5, :3].mean() < 0.2 if dark else picture[5, 5, :3].mean() > 0.95
    assert picture[100:, -8:, :3].std() < 0.02


def test_page_data_is_strict_json(text):
    assert json.loads(json.dumps(embedded(text), allow_nan=False))["schema"] == "midgap.page"
