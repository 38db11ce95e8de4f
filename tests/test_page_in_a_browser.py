"""The page in a real headless Chromium: what a reader does with it works, on any screen, on paper, and without scripts."""

import numpy as np
import pytest
from browser import BROWSER, Browser
from test_page import Exhibits, curves, evil_page, lobe, many

from midgap.experiment.comparison import compare
from midgap.experiment.records import published_records
from midgap.report.page import write_page

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
CANVAS = "document.querySelector('canvas')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from levels_example import example

    folder, records = tmp_path_factory.mktemp("pages"), published_records("Cs4PbBr6")
    exhibits = Exhibits(curves=(curves(), curves("two", comment="")), densities=(lobe(),))
    write_page(folder / "page.html", example(), compare(example(), records), records, exhibits)
    records = many(60)
    write_page(folder / "many.html", example(), compare(example(), records), records)
    (folder / "evil.html").write_text(evil_page())
    return folder


@pytest.fixture
def page(browser, folder):
    browser.said.clear()
    browser.asked_for.clear()
    browser.medium()
    browser.size(1200, 900)
    browser.open(folder / "page.html")
    browser.run("localStorage.clear()")
    return browser


def drawn(browser):
    """Each fourth pixel of the canvas, shape (n, 4)."""
    script = f"""(() => {{ const c = {CANVAS}, d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return Array.from(d.filter((_, i) => i % 16 < 4)); }})()"""
    return np.array(browser.run(script), dtype=int).reshape(-1, 4)


def test_it_loads_in_silence_and_asks_for_nothing(page):
    assert page.said == []
    assert [url for url in page.asked_for if not url.startswith("file:")] == []
    assert page.run("document.querySelector('h1').textContent") == "Cs₄PbBr₆: is VBr the emitter?"
    assert page.run("document.querySelectorAll('section.shown, figure.spatial[hidden]').length") == 0


def test_structures_turn_by_keys_buttons_and_mouse(page):
    start = drawn(page)
    assert (start[:, 3] > 0).mean() > 0.05
    page.run(f"{CANVAS}.focus()")
    page.press("ArrowRight")
    turned = drawn(page)
    assert (turned != start).any(axis=1).mean() > 0.01
    page.press("Home")
    assert (drawn(page) == start).all()
    for key in ("ArrowLeft", "+", "-"):
        page.run(f"document.querySelector('button[data-key=\\'{key}\\']').click()")
    page.run("new Promise(done => setTimeout(done, 400))")
    assert (drawn(page) != start).any()
    page.press("Home")
    x, y = page.run(
        f"(() => {{ {CANVAS}.scrollIntoView({{block: 'center'}}); const r = {CANVAS}.getBoundingClientRect();"
        " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )
    page.drag((x, y), (x + 90, y + 30))
    assert (drawn(page) != start).any(axis=1).mean() > 0.01


def test_the_surface_is_that_which_is_chosen(page):
    """Eight tenths of an orbital fill more of the picture than three; the name says which."""
    shares = {}
    for n, percent in enumerate((30, 60, 80)):
        page.run(f"document.querySelectorAll('input[name=part]')[{n}].click()")
        page.run("new Promise(done => setTimeout(done, 400))")
        r, g, b, a = drawn(page).T
        shares[percent] = ((a > 0) & (b > r + 30) & (b > g + 20)).mean()
        assert f"holds {percent} % of the orbital" in page.run(f"{CANVAS}.getAttribute('aria-label')")
    assert 0 < shares[30] < shares[60] < shares[80]
    page.run("document.querySelectorAll('input[name=part]')[3].click()")
    assert "no surface" in page.run("document.querySelector('.spatial output').textContent")
    page.run(
        "(() => { const s = document.querySelector('.spatial select'); s.selectedIndex = s.options.length - 1;"
        " s.dispatchEvent(new Event('change')); })()"
    )
    assert "7 atoms." in page.run(f"{CANVAS}.getAttribute('aria-label')")


def ground(browser):
    return browser.run("getComputedStyle(document.documentElement).backgroundColor")


def test_the_theme_follows_the_system_until_it_is_switched(page, folder):
    light, dark = "rgb(255, 255, 255)", "rgb(21, 25, 31)"
    assert ground(page) == light
    page.medium(scheme="dark")
    assert ground(page) == dark
    page.run("document.getElementById('theme').click()")
    assert page.run("document.getElementById('theme').textContent") == "Theme: light"
    assert ground(page) == light
    page.open(folder / "page.html")
    assert ground(page) == light  # it is remembered
    page.medium(scheme="light")
    page.run("document.getElementById('theme').click()")
    assert ground(page) == dark
    page.medium("print")
    assert ground(page) == light  # paper is white
    page.run("localStorage.clear()")


def test_tables_sort_and_filter(browser, folder):
    browser.open(folder / "many.html")
    rows = "[...document.querySelectorAll('#particles tbody tr')]"
    assert browser.run(f"{rows}.filter(row => !row.hidden).length") == 20
    head = "[...document.querySelectorAll('#particles thead th')].findIndex(h => h.textContent.includes('PL energy'))"
    column = browser.run(head)
    values = f"{rows}.map(row => Number(row.cells[{column}].querySelector('data').value))"
    for way, order in (("ascending", 1), ("descending", -1)):
        browser.run(f"document.querySelectorAll('#particles thead th')[{column}].querySelector('button').click()")
        found = np.array(browser.run(values))
        assert (order * np.diff(found) >= 0).all() and len(found) == 60
        assert (
            browser.run(f"document.querySelectorAll('#particles thead th')[{column}].getAttribute('aria-sort')") == way
        )
    browser.run(
        "(() => { const i = document.querySelector('input[type=search]'); i.value = 'p01';"
        " i.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run(f"{rows}.filter(row => !row.hidden).length") == 10
    assert browser.run("document.querySelector('.tools output').textContent") == "10 of 60 shown"
    emitters = browser.run(head.replace("PL energy", "Emitters"))
    browser.run(f"document.querySelectorAll('#particles thead th')[{emitters}].querySelector('button').click()")
    last = browser.run(f"{rows}.slice(-12).map(row => row.cells[{emitters}].textContent.trim())")
    assert set(last) == {"–"}  # what was not measured stays below


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1600])
@pytest.mark.parametrize("name", ["page", "many"])
def test_nothing_is_wider_than_the_window(browser, folder, name, width, scheme):
    browser.medium(scheme=scheme)
    browser.size(width, 900)
    browser.open(folder / f"{name}.html", wait=0.2)
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.medium()


def test_everything_is_reached_by_the_keyboard(page):
    """The first stop leads past the head; what scrolls and what can be worked has a stop and a name."""
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "To the content"
    nameless = page.run(
        "[...document.querySelectorAll('button, select, input, canvas, [tabindex]')].filter(e =>"
        " !(e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels.length))).map(e => e.outerHTML)"
    )
    assert nameless == []
    assert page.run("[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0)")


def test_one_particle_is_shown_at_a_time_and_simulations_say_so(page):
    seen = "[...document.querySelectorAll('.particle')].filter(e => !e.hidden).map(e => e.textContent)"
    (first,) = page.run(seen)
    assert "simulated, not measured" in first
    page.run(
        "(() => { const s = document.querySelector('.chooser select'); s.selectedIndex = 1;"
        " s.dispatchEvent(new Event('change')); })()"
    )
    (second,) = page.run(seen)
    assert "simulated, not measured" not in second


def test_without_scripts_everything_is_still_there(browser, folder):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(folder / "page.html", wait=1)
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run("document.querySelectorAll('.particle').length") == 2
    assert browser.run("document.querySelector('figure.spatial').hidden")
    assert browser.run("[...document.querySelectorAll('svg title')].some(t => t.textContent === 'Structures')")


def test_it_prints_with_the_pictures(page, tmp_path):
    assert page.pdf(tmp_path / "page.pdf").stat().st_size > 100_000


def test_what_others_wrote_does_nothing(browser, folder):
    browser.said.clear()
    browser.open(folder / "evil.html")
    assert browser.said == []
    assert browser.run("document.querySelectorAll('script').length") == 2
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert "<script>alert(1)</script>" in browser.run("document.querySelector('.chooser option').textContent")
