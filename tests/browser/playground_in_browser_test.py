"""The playground in Chromium: it trains in the page, tells its stories, and works from one file."""

import re

import numpy as np
import pytest
from browser.looks import layout_shift, legible, low_contrast, overflow, unnamed_controls
from explore_server import running
from playwright.sync_api import expect

from pullback.explore import export as exported
from pullback.explore.programs import ENDINGS

READY = "body[data-state=ready]"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """The file that is sent around, with fewer programs than all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exported, "MOST_HIDDEN", 3)
        patch.setattr(exported, "NAMES", ("tanh", "relu"))
        return exported.export(tmp_path_factory.mktemp("play") / "playground.html")


@pytest.fixture
def play(open_page, page_file):
    """The page at some state, once its network is there."""

    def opened(state="", **options):
        tab = open_page(f"{page_file.as_uri()}#{state}", **options)
        tab.page.wait_for_selector(READY)
        return tab

    return opened


def trained(page, epochs):
    page.locator("#pace").select_option("full", force=True)
    page.locator("#train").click()
    while int(page.locator("#epoch").inner_text()) < epochs:  # the served page evaluates nothing
        page.wait_for_timeout(50)
    page.locator("#train").click()


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (768, False), (390, False), (390, True)]
)
def test_it_is_legible_at_any_width(play, width, dark):
    tab = play(width=width, dark=dark)
    assert layout_shift(tab) < 0.05
    tab.page.get_by_role("button", name="Add a hidden layer").click()
    tab.page.wait_for_selector(READY)
    tab.page.locator("#step").click()
    legible(tab.shot())
    assert low_contrast(tab) == []
    assert overflow(tab) == []
    assert unnamed_controls(tab) == []


def test_it_learns_in_the_page(play):
    page = play("seed=3").page
    first = page.locator(".edges path").first.get_attribute("stroke-width")
    trained(page, 60)
    assert re.search(r"(\d+) % of test", page.locator("#numbers").inner_text())[1] > "90"
    assert page.locator(".edges path").first.get_attribute("stroke-width") != first
    assert "δ reaches every layer" in page.locator("#verdict").inner_text()
    assert page.locator("#loss .line").count() == 2


def test_a_step_is_one_epoch_and_reset_starts_over(play):
    page = play().page
    start = page.locator("#numbers").inner_text()
    page.locator("#step").click()
    page.locator("#step").click()
    assert page.locator("#epoch").inner_text() == "2"
    page.locator("#reset").click()
    page.wait_for_function("document.querySelector('#epoch').textContent === '0'")
    assert page.locator("#numbers").inner_text() == start


def test_layers_and_units_change_on_the_drawing(play):
    page = play().page
    page.get_by_role("button", name="Add a hidden layer").click()
    expect(page.locator("#title")).to_have_text("A 2–4–3–3–2 network")
    page.get_by_role("button", name="Add a unit to layer 1").click()
    expect(page.locator("#title")).to_have_text("A 2–5–3–3–2 network")
    assert page.evaluate("document.activeElement.ariaLabel") == "Add a unit to layer 1"
    assert "hidden=5%2C3%2C3" in page.evaluate("location.hash")
    page.reload()
    expect(page.locator("#title")).to_have_text("A 2–5–3–3–2 network")


def test_layers_of_any_width_are_typed(play):
    page = play().page
    field, fault = page.locator("#hidden"), page.locator("#hidden-fault")
    field.fill("12, 20x2")
    field.press("Enter")
    expect(page.locator("#title")).to_have_text("A 2–12–20–20–2 network")
    assert page.locator(".more").all_inner_texts() == ["⋮ 5 more", "⋮ 13 more", "⋮ 13 more"]
    assert page.locator(".unit").count() == 2 + 3 * 7 + 2
    page.wait_for_selector(READY)
    page.locator("#step").click()
    expect(page.locator("#epoch")).to_have_text("1")
    for text, said in [
        ("4x9", "9 hidden layers: expected at most 3 in this page."),
        ("4, x", "“x”: expected widths such as 16, 8 or 64x30."),
        ("300", "300 units: expected 1 to 128 in a layer."),
        ("<b>", "“<b>”: expected widths such as 16, 8 or 64x30."),
    ]:
        field.fill(text)
        field.press("Enter")
        expect(fault).to_have_text(said)
    field.fill("9x3")
    field.press("Enter")
    expect(page.locator("#title")).to_have_text("A 2–9×3–2 network")
    expect(fault).to_be_hidden()


def test_a_deep_network_is_drawn_from_both_ends(open_page):
    with running() as served:
        page = open_page(f"{served.address}#hidden={','.join(['3'] * 30)}").page
        page.wait_for_selector(READY)
        assert page.locator("#title").inner_text() == "A 2–3×30–2 network"
        assert page.locator(".more").all_inner_texts() == ["⋯ 25 more layers"]
        expect(page.locator(".board svg")).to_contain_text("‖δ₃₁‖")


def test_a_story_is_one_click(play):
    page = play().page
    page.get_by_role("button", name="Softmax twice").click()
    expect(page.locator("#story")).to_contain_text("cross-entropy that takes one itself")
    page.wait_for_function("Number(document.querySelector('#epoch').textContent) > 20")
    loss = float(re.search(r"loss ([\d.]+)", page.locator("#numbers").inner_text())[1])
    assert loss > 0.313  # log(1 + 1/e): a softmax of probabilities is never surer


def test_a_training_that_diverges_says_so(play):
    page = play("rate=10&activation=relu&init=large&data=waves").page
    page.locator("#train").click()
    expect(page.locator("#verdict")).to_contain_text("Training diverged in epoch")
    assert page.locator("#train").inner_text() == "Train"


def test_a_value_is_learnt_too(play):
    page = play("data=slope").page
    trained(page, 30)
    assert "The error is 0." in page.locator("#verdict").inner_text()
    assert page.locator("#ending").input_value() == "squares"


def test_a_unit_that_is_pointed_at_fills_the_plane(play):
    page = play().page
    page.locator(".unit").nth(3).focus()
    expect(page.locator("#plane-caption")).to_contain_text("unit 2 of layer 1")
    page.locator("#step").focus()
    expect(page.locator("#plane-caption")).to_contain_text("The ground is what the network says")


def test_a_table_of_ones_own_stays_here(play, tmp_path):
    tab = play()
    page = tab.page
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    rows = [f"{a:.3f};{b:.3f};{'<b>yes</b>' if a > b else 'no'}" for a, b in X]
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("\n".join(["height;<i>weight</i>;kind", *rows]).replace(".", ","))
    bad.write_text("1,2,a\n3,b\n")
    page.locator("#data").select_option("own")
    page.locator("#own").set_input_files(bad)
    expect(page.locator("#own-fault")).to_have_text("Line 2 has 2 columns, the first has 3.")
    page.locator("#own").set_input_files(good)
    expect(page.locator("#own-told")).to_contain_text("60 rows: height across, <i>weight</i> up")
    expect(page.locator("#plane-caption")).to_contain_text("<b>yes</b>")
    page.wait_for_selector(READY)
    trained(page, 20)
    assert len(tab.requests) <= 1 + sum(each.startswith("blob:") for each in tab.requests)


def test_a_number_out_of_range_is_told_beside_its_field(play):
    page = play().page
    page.locator("#batch").fill("0")
    expect(page.locator("#batch-fault")).to_have_text("0: expected a whole number from 1 to 600.")
    page.locator("#batch").fill("8")
    expect(page.locator("#batch-fault")).to_be_hidden()


def test_an_address_that_makes_no_sense_is_left_out(play):
    page = play("hidden=99,-1&rate=abc&data=nothing&count=1e9&story=<b>&noise=7").page
    assert page.locator("#title").inner_text() == "A 2–4–3–2 network"
    assert page.locator("#data").input_value() == "moons"


def test_the_served_page_asks_its_server_and_leads_to_the_study(open_page):
    with running() as served:
        tab = open_page(served.address)
        page = tab.page
        page.wait_for_selector(READY)
        trained(page, 5)
        page.locator("#study").click()
        page.wait_for_selector("body[data-shown=all]")
        assert page.locator("#hidden").input_value() == "4,3"
        status, answer = served.ask("view", {"view": "program", "setup": {"hidden": 99}})
        assert status == 422
        wrong = {"hidden": 2, "activation": "tahn", "ending": next(iter(ENDINGS))}
        status, answer = served.ask("view", {"view": "program", "setup": wrong})
        assert "did you mean 'tanh'" in answer["error"]["message"]
