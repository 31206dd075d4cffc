"""The network that lives in a report: it answers drawn digits and sliders at once."""

import re

import numpy as np
import pytest
from browser.looks import layout_shift, legible, low_contrast, overflow, unnamed_controls

import pullback as pb
from pullback.data import load

READ = """(canvas) => {
  const brush = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
  brush.drawImage(canvas, 0, 0);
  return [...brush.getImageData(0, 0, 8, 8).data];
}"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A page about digits, with the network, its parameters and the data."""
    data = load("digits")
    X, Y = data.X / data.X.max(), data.Y
    net = pb.Network(
        pb.Sequential(pb.Linear(64, 24), pb.Tanh(), pb.Linear(24, 10)), loss=pb.CrossEntropy()
    )
    found = pb.fit(net, X, Y, epochs=12, progress=False)
    path = tmp_path_factory.mktemp("live") / "report.html"
    pb.report(net, X, Y, path, params=found.params, progress=False, image_shape=(8, 8))
    return path, net, found.params, X


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A page about a table whose column names are HTML."""
    X = np.random.default_rng(0).normal(size=(80, 3))
    net = pb.Network(
        pb.Sequential(pb.Linear(3, 4), pb.GELU(), pb.Linear(4, 2)), loss=pb.SquaredError()
    )
    path = tmp_path_factory.mktemp("table") / "report.html"
    names = ["<b onclick=alert(1)>age</b>", "</script>", "log_triglycerides"]
    pb.report(net, X, X[:, :2] ** 2, path, epochs=3, progress=False, features=names)
    return path


def percentages(page):
    return [float(each.rstrip(" %")) for each in page.locator(".says .number").all_inner_texts()]


def test_the_page_says_what_the_network_says(open_page, digits):
    path, net, params, _ = digits
    page = open_page(path).page
    for _ in range(3):
        cells = page.locator(".passage .stage").first.locator("canvas")
        x = cells.evaluate(READ)
        x = np.array(x).reshape(64, 4)[:, 3] / 255
        z = net.predict(params, x[None].astype(np.float32))[0]
        expected = 100 * np.exp(z) / np.exp(z).sum()
        assert np.argmax(percentages(page)) == np.argmax(expected)
        np.testing.assert_allclose(percentages(page), expected, atol=3)
        page.get_by_role("button", name="Next sample").click()


def test_a_digit_is_drawn_and_the_error_of_another_label_flows_back(open_page, digits):
    page = open_page(digits[0]).page
    page.get_by_role("button", name="Clear").click()
    pad = page.locator(".pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for a, b in ((60, 40), (180, 40), (110, 210)):
        page.mouse.move(box["x"] + a, box["y"] + b, steps=8)
        page.mouse.down()
    page.mouse.up()
    assert np.argmax(percentages(page)) == 7
    said = page.locator(".said")
    calm = float(re.search(r"Loss ([\d.]+)\.", said.inner_text())[1])
    before = page.locator("#live .back .range").all_inner_texts()
    page.get_by_role("button", name="3 is wanted").click()
    assert "Wanted: 3" in said.inner_text()
    assert float(re.search(r"Loss ([\d.]+)\.", said.inner_text())[1]) > 2 * calm
    assert page.locator("#live .back .range").all_inner_texts() != before


def test_the_pad_is_drawn_on_by_keyboard(open_page, digits):
    page = open_page(digits[0]).page
    page.get_by_role("button", name="Clear").click()
    empty = percentages(page)
    page.locator(".pad").focus()
    for key in ("Space", *["ArrowDown"] * 6, "Space"):
        page.keyboard.press(key)
    assert percentages(page) != empty


def test_sliders_move_a_table(open_page, table):
    tab = open_page(table)
    page = tab.page
    assert page.locator(".slider span").all_inner_texts() == [
        "<b onclick=alert(1)>age</b>", "</script>", "log_triglycerides",
    ]  # fmt: skip
    before = page.locator(".says .number").all_inner_texts()
    page.locator(".slider input").first.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert page.locator(".says .number").all_inner_texts() != before
    page.get_by_label("wanted 1").fill("3")
    assert "Loss" in page.locator(".said").inner_text()


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_it_is_legible(open_page, digits, width, dark):
    tab = open_page(digits[0], width=width, dark=dark)
    legible(tab.shot("#live"))
    assert low_contrast(tab, "#live") == []
    tab.page.wait_for_selector("html[data-charts=ready]")
    assert layout_shift(tab) < 0.05
    assert overflow(tab) == []
    assert unnamed_controls(tab) == []


def test_what_does_not_fit_a_page_says_why(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 50))
    net = pb.Network(pb.Sequential(pb.Linear(50, 2)), loss=pb.CrossEntropy())
    page = pb.report(net, X, X[:, 0] > 0, tmp_path / "r.html", epochs=1, progress=False)
    told = "a sample has 50 numbers; the page has sliders for up to 40"
    assert told in page.read_text(encoding="utf-8")
