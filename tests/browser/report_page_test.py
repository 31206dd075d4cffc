"""The report in a real browser: it opens quietly, answers to pointer and key, and is legible."""

import re

import numpy as np
import pytest
from browser.looks import (
    layout_shift,
    legible,
    low_contrast,
    overflow,
    overlapping_text,
    unnamed_controls,
)
from PIL import Image

import pullback as pb
from pullback.data import load

SECTIONS = [
    "live", "training", "predictions", "check", "network", "flow", "derivation",
    "neurons", "forecast", "closed", "pace", "plan", "about",
]  # fmt: skip


@pytest.fixture(scope="session")
def digits_page(tmp_path_factory):
    """A network too large to be drawn neuron by neuron."""
    data = load("digits")
    net = pb.Network(
        pb.Sequential(pb.Linear(64, 12), pb.Tanh(), pb.Linear(12, 10)), loss=pb.CrossEntropy()
    )
    path = tmp_path_factory.mktemp("digits") / "report.html"
    return pb.report(net, data.X[:240] / 16, data.Y[:240], path, epochs=4, progress=False)


@pytest.fixture(scope="session")
def small_page(tmp_path_factory):
    """2-2-2, as small as networks come."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    net = pb.Network(
        pb.Sequential(pb.Linear(2, 2), pb.Tanh(), pb.Linear(2, 2)), loss=pb.SquaredError()
    )
    path = tmp_path_factory.mktemp("small") / "report.html"
    return pb.report(net, X, X**2, path, epochs=4, progress=False)


def drawn(tab):
    """Go to every chart, as a reader does: it is drawn when it is looked at."""
    page = tab.page
    page.wait_for_selector("html[data-charts=ready]")
    for fold in page.locator("details:has(.plot)").all():
        if fold.get_attribute("open") is None:
            fold.locator("> summary").click()
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    page.evaluate("scrollTo(0, 0)")
    return tab


def pictures(tab, folder):
    """Each section's name with a PNG of it, cut out of one of the whole page, every fourth dot."""
    boxes = tab.page.eval_on_selector_all(
        "section",
        """all => all.map((each) => {
            const box = each.getBoundingClientRect();
            return [each.id, box.left, box.top + scrollY, box.right, box.bottom + scrollY];
        })""",
    )
    with Image.open(tab.shot()) as whole:
        for name, *box in boxes:
            path = folder / f"{name}.png"
            part = whole.crop([round(each) for each in box])
            few = part.resize((part.width // 4, part.height // 4), Image.Resampling.NEAREST)
            few.save(path, compress_level=1)
            yield name, path


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (360, False)], ids=["light", "dark", "phone"]
)
def test_every_section_is_there_and_legible(open_page, digits_page, tmp_path, width, dark):
    tab = drawn(open_page(digits_page, width=width, dark=dark))
    assert tab.requests == [digits_page.as_uri()]
    assert layout_shift(tab) < 0.05
    assert digits_page.stat().st_size < 3e6
    found = dict(pictures(tab, tmp_path))
    assert list(found) == SECTIONS
    for path in found.values():
        legible(path)
    charts = tab.page.locator(".plot")
    assert tab.page.locator(".plot:has(.main-svg)").count() == charts.count() > 5
    assert overflow(tab) == []
    if width == 1280:  # the ways for all parameters have long formulas, which break between words
        assert tab.page.locator("#plan .scroll.wide").count() == 0
    assert low_contrast(tab, "main") == []
    assert unnamed_controls(tab) == []


def test_a_small_network_answers_to_pointer_and_keyboard(open_page, small_page):
    tab = open_page(small_page)
    page = tab.page
    for drawing in ("#network svg", "#neurons svg", "#plan .version svg"):
        assert overlapping_text(tab, drawing) == []
    for node, lines, into, out in (("4", 6, 2, 1), ("1", 6, 2, 2), ("5", 3, 2, 0), ("x1", 0, 0, 2)):
        page.locator(f'.node[data-node="{node}"]').hover()
        card = page.locator(".card.chosen")
        assert card.get_attribute("data-card") == node
        assert card.is_visible()
        assert card.locator("tr").count() == lines  # a neuron: d, its output, t, v and two g
        assert page.locator(".edge.into").count() == into
        assert page.locator(".edge.out-of").count() == out
        assert overlapping_text(tab, "#neurons svg") == []
    page.locator(".node").first.focus()
    reached = []
    for _ in range(7):
        reached.append(page.locator(".card.chosen").get_attribute("data-card"))
        page.keyboard.press("Tab")
    assert reached == ["x1", "x2", "1", "2", "3", "4", "5"]


def test_the_convention_switches_and_formulas_are_copied(open_page, digits_page):
    tab = open_page(digits_page, permissions=["clipboard-read", "clipboard-write"])
    page = tab.page
    row = page.locator("#derivation tr.delta-row[data-latex*='softmax']").first
    row.get_by_role("button").click()
    page.wait_for_selector("#said:text-is('copied')", state="attached")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == row.get_attribute("data-latex")
    assert copied.startswith(r"\delta_2 = ")
    shown = page.locator("#derivation .version:visible")
    told = set()
    for label in ("columns", "rows", "Θ, bias first", "index by index"):
        page.get_by_text(label, exact=True).click()
        assert shown.count() == 1
        told.add(shown.locator("> p > button").get_attribute("data-latex"))
    assert len(told) == 4
    page.keyboard.press("ArrowLeft")
    assert page.locator("#derivation input").nth(2).is_checked()
    assert "Theta" in shown.locator("> p > button").get_attribute("data-latex")


def test_a_symbol_lights_up_wherever_it_stands(open_page, digits_page):
    tab = open_page(digits_page)
    page = tab.page
    for drawing in ("#network svg", "#neurons svg", "#plan .version svg"):
        assert overlapping_text(tab, drawing) == []
    page.locator("#derivation .s-delta-0:visible").first.hover()
    assert "shape 12 × N" in page.locator("#hint").inner_text()
    lit = page.locator(".s-delta-0.lit").count()
    assert lit == page.locator(".s-delta-0").count() > 3
    assert page.locator("#network svg .s-delta-0.lit").count() > 0  # in the drawing, too
    page.mouse.move(0, 0)
    assert page.locator(".lit").count() == 0
    assert page.locator("#hint").is_hidden()
    page.locator("#closed summary").click()
    page.locator("#closed .s-delta-0").first.hover()  # the closed form is of the same symbols
    assert page.locator(".s-delta-0.lit").count() == lit
    assert page.locator("#closed :is(.s-z-0, .s-2-weight)").count() == 2
    page.get_by_text("rows", exact=True).click()
    page.locator("#derivation .s-delta-0:visible").first.hover()
    assert "shape N × 12" in page.locator("#hint").inner_text()


def test_the_data_behind_a_figure_download_and_it_prints(open_page, digits_page):
    page = drawn(open_page(digits_page)).page
    with page.expect_download() as waiting:
        page.locator("#forecast a[download='forecast.csv']").click()
    rows = waiting.value.path().read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("layer,units,q,chi_1,")
    assert len(rows) == 3
    for figure in page.locator("figure:has(.plot)").all():
        assert figure.locator("a[download]").count() == 1
    shut = page.locator("details:not([open])").count()
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf())) >= 6
    assert page.locator("details:not([open])").count() == shut > 0


def test_a_chart_is_drawn_when_it_is_looked_at_or_printed(open_page, digits_page):
    page = open_page(digits_page).page
    page.wait_for_selector("html[data-charts=ready]")
    charts, done = page.locator(".plot"), page.locator(".plot:has(.main-svg)")
    assert done.count() == 0  # the first screen has none, and no second is spent on the rest
    height = page.evaluate("document.body.scrollHeight")
    page.locator("#plot-flow").scroll_into_view_if_needed()
    page.locator("#plot-flow .main-svg").first.wait_for()
    assert 0 < done.count() < charts.count()
    assert page.locator("details:not([open]) .plot:has(.main-svg)").count() == 0
    page.pdf()
    assert done.count() == charts.count() > 5
    assert page.evaluate("document.body.scrollHeight") == height


def test_charts_are_drawn_at_once_where_nothing_tells_what_is_in_view(open_page, digits_page):
    page = open_page("about:blank").page
    page.add_init_script("delete window.IntersectionObserver")
    page.goto(digits_page.as_uri())
    page.wait_for_selector("html[data-charts=ready]")
    done = page.locator(".plot:has(.main-svg)")
    assert done.count() == page.locator(".plot").count() > 5


def test_it_runs_no_script_but_its_own(open_page, digits_page, tmp_path):
    page = digits_page.read_text()
    path = tmp_path / "tampered.html"
    planted = '<img src="x:" onerror="document.title=1"><script>document.title = "owned"</script>'
    path.write_text(page.replace("</main>", f"{planted}</main>"))
    tab = open_page(path)
    tab.expect("Content Security Policy")
    tab.expect("x:")
    tab.page.wait_for_selector("html[data-charts=ready]")
    assert tab.page.title() not in ("owned", "1")
    assert tab.page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 'refused')") == "refused"


def test_it_can_be_read_without_scripts(open_page, digits_page):
    tab = open_page(digits_page, java_script_enabled=False)
    legible(tab.shot("#network"))
    assert tab.page.locator("main > noscript p").inner_text().endswith("behind the CSV buttons.")
