"""The explore page as a person meets it, in Chromium: everything on it does what it says."""

import re

import pytest
from browser.looks import (
    layout_shift,
    legible,
    low_contrast,
    overflow,
    overlapping_text,
    unnamed_controls,
)
from explore_server import descendants, ends, outlives, running
from playwright.sync_api import expect

SECTIONS = ("#network", "#training", "#forecast", "#derivation", "#neurons")
DRAWN = ("#drawing svg", "#loss-chart", "#delta-chart", "#depth-chart", "#phase-chart")
IN_TIME = 20_000


@pytest.fixture(scope="module")
def served():
    with running() as found:
        yield found


@pytest.fixture
def explore(open_page, served):
    """The page, once all of it is shown."""

    def opened(**options):
        tab = open_page(f"{served.address}study", **options)
        shown(tab.page)
        return tab

    return opened


def shown(page):
    page.wait_for_selector("body[data-shown=all]")


def becomes(page, state):
    page.wait_for_selector(f"body[data-training={state}]")


def picked(page, **choices):
    """Pick, and wait until what is shown is of it."""
    page.evaluate("document.body.dataset.shown = 'old'")
    for name, value in choices.items():
        field = page.locator(f"#{name}")
        if field.evaluate("e => e.localName") == "select":
            field.select_option(value)
        else:
            field.fill(value)


def train(page, **choices):
    if (settings := page.locator("#settings[aria-expanded=false]")).is_visible():
        settings.click()
    for name, value in ({"epochs": "12", "pace": "full"} | choices).items():
        field = page.locator(f"#{name}")
        if name == "pace":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name=re.compile("^Train")).click()


def texts(page, selector):
    return page.locator(selector).inner_text()


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (360, False), (360, True)]
)
def test_every_section_is_legible(explore, width, dark):
    tab = explore(width=width, dark=dark)
    assert layout_shift(tab) < 0.05
    train(tab.page)
    becomes(tab.page, "ended")
    tab.page.get_by_role("button", name="All", exact=True).click()
    for section in SECTIONS:
        legible(tab.shot(section))
    for drawing in DRAWN:
        assert overlapping_text(tab, drawing) == [], drawing
    assert low_contrast(tab) == []
    assert overflow(tab) == []
    assert unnamed_controls(tab) == []


def test_on_a_phone_the_form_is_a_sheet_and_train_stays_at_hand(explore):
    tab = explore(width=390, height=844)
    page = tab.page
    settings, form = page.locator("#settings"), page.locator("#setup")
    button = page.get_by_role("button", name="Train", exact=True)
    expect(button).to_be_in_viewport(ratio=1)
    expect(form).to_be_hidden()
    page.locator("#neurons").scroll_into_view_if_needed()
    expect(button).to_be_in_viewport(ratio=1)
    settings.click()
    tab.expect("status of 422")
    tab.expect("status 422 from")
    page.locator("#hidden").fill("4, 900000")
    page.wait_for_selector("body[data-shown=fault]")
    page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    settings.click()
    expect(page.locator("#setup-fault")).to_contain_text("900000")
    page.locator("#hidden").fill("4, 4")
    shown(page)
    page.locator("#epochs").fill("3")
    button.click()
    expect(form).to_be_hidden()
    expect(page.locator("#training-title")).to_be_in_viewport()
    becomes(page, "ended")
    assert overflow(tab) == []


def test_nothing_comes_from_elsewhere(explore, served):
    tab = explore()
    assert len(tab.requests) > 12
    assert all(each.startswith((served.address, "data:")) for each in tab.requests)


def test_a_pick_changes_everything_at_once(explore):
    page = explore().page
    places = ("#title", "#drawing svg", "#forecast-verdict", "#depth-chart .legend", "#equations")
    before = [page.locator(each).inner_html() for each in places]
    picked(page, hidden="24x3", activation="relu", init="torch_default", data="spirals")
    expect(page.locator("#forecast-verdict")).to_contain_text("Vanishing")  # the last pick counts
    shown(page)
    after = [page.locator(each).inner_html() for each in places]
    changed = [a != b for a, b in zip(before, after, strict=True)]
    assert changed == [True, True, True, False, True]  # the methods are the same
    assert "2–24×3–3" in texts(page, "#title").replace("\u2060", "")
    assert texts(page, "#forecast-verdict").startswith("Vanishing")


def test_layers_are_added_and_removed_by_buttons(explore):
    page = explore().page
    page.get_by_role("button", name="Add a hidden layer").click()
    expect(page.locator("#title")).to_contain_text(re.compile("2\\W+4\\W+3\\W+3\\W+2 network"))
    for _ in range(3):
        page.get_by_role("button", name="Remove the last hidden layer").click()
    expect(page.locator("#title")).to_contain_text(re.compile("2\\W+2 network"))


def test_an_impossible_network_is_told_in_plain_words(explore):
    tab = explore()
    tab.expect("422")
    page = tab.page
    picked(page, hidden="4, 0")
    fault = page.locator("#setup-fault")
    expect(fault).to_have_text("A width is 0; expected a whole number from 1.")
    picked(page, hidden="4, 5")
    shown(page)
    expect(fault).to_be_hidden()


def test_a_formula_is_an_activation(explore):
    tab = explore()
    tab.expect("422")
    page = tab.page
    expect(page.locator("#formula")).to_be_hidden()
    picked(page, activation="")
    shown(page)
    derived = page.locator("#equations")
    expect(derived).to_contain_text("1.7159")
    picked(page, formula="tanh(x")
    expect(page.locator("#setup-fault")).to_be_visible()


def test_the_convention_is_switched(explore):
    page = explore().page
    seen = {}
    for label in ("rows", "Θ, bias first", "index by index", "columns"):
        page.locator("#conventions").get_by_text(label, exact=True).click()
        name = page.locator("input[name=convention]:checked").get_attribute("value")
        page.wait_for_selector(f"#equations[data-convention={name}]")
        seen[name] = page.locator("#equations").inner_html()
    assert set(seen) == {"rows", "ng", "index", "columns"}
    assert len(set(seen.values())) == 4
    assert all(html.count("<math") > 20 for html in seen.values())


def test_a_symbol_lights_up_wherever_it_stands(explore):
    page = explore().page
    symbol = page.locator("#equations .s-delta-2").first
    symbol.hover()
    assert page.locator("#equations .s-delta-2.lit").count() > 2
    hint = page.locator("#hint")
    expect(hint).to_be_visible()
    assert "δ₂" in hint.inner_text()
    assert "shape N × 3" in hint.inner_text()
    page.keyboard.press("Escape")
    expect(hint).to_be_hidden()
    page.locator("h1").hover()
    assert page.locator(".lit").count() == 0


def test_a_symbol_is_reached_by_keyboard(explore):
    page = explore().page
    page.locator("#equations [tabindex='0'][class*='s-']").first.focus()
    expect(page.locator("#hint")).to_be_visible()


def test_a_line_is_copied_as_latex(explore):
    tab = explore(permissions=["clipboard-read", "clipboard-write"])
    row = tab.page.locator("#equations tr[data-latex]").nth(1)
    row.get_by_role("button").click()
    expect(tab.page.locator("#said")).to_have_text("copied")
    copied = tab.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == row.get_attribute("data-latex")


def test_training_goes_to_the_end(explore):
    page = explore().page
    train(page, epochs="40")
    becomes(page, "ended")
    verdict = texts(page, "#training-verdict")
    assert verdict.startswith("Done, epoch 40 of 40: loss 0.")
    assert float(re.search(r"([\d.]+) % of test", verdict)[1]) > 80
    assert page.locator("#progress").evaluate("e => e.value") == 1
    assert page.locator(".regions path").count() == 2
    for chart, name in (("#loss-chart", "test from"), ("#delta-chart", "‖δ₃‖ from")):
        assert name in page.locator(f"{chart} .canvas").get_attribute("aria-label")
        assert page.locator(f"{chart} path.line").count() >= 4  # with its legend


def test_a_chart_says_its_values(explore):
    page = explore().page
    train(page, epochs="5")
    becomes(page, "ended")
    page.locator("#loss-chart .canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert re.match(r"epoch 1 · training \S+ · test \S+", texts(page, "#loss-chart .readout"))
    page.locator("#depth-chart .canvas").hover()
    assert re.match(r"δ₂ · independence \S+ · ", texts(page, "#depth-chart .readout"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the data of “Loss by epoch” as CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "epoch,training,test"
    assert len(lines) == 7


def test_digits_are_learnt(explore):
    page = explore().page
    picked(page, data="digits", hidden="16")
    shown(page)
    train(page, epochs="8")
    becomes(page, "ended")
    assert page.locator(".digits .right").count() > 12
    assert "network has" in texts(page, "#neurons-verdict")  # its miniature is shown


def test_pause_resume_stop(explore):
    page = explore().page
    train(page, epochs="5000", pace="watch")
    becomes(page, "running")
    page.get_by_role("button", name="Pause").click()
    becomes(page, "paused")
    at = texts(page, "#training-verdict")
    assert at.startswith("Paused after epoch")
    page.wait_for_timeout(300)
    assert texts(page, "#training-verdict") == at
    page.get_by_role("button", name="Resume").click()
    becomes(page, "running")
    expect(page.locator("#training-verdict")).not_to_have_text(at)
    page.get_by_role("button", name="Stop").click()
    becomes(page, "ended")
    assert texts(page, "#training-verdict").startswith("Stopped after epoch")
    expect(page.get_by_role("button", name="Pause")).to_be_disabled()
    expect(page.get_by_role("button", name="Train again")).to_be_enabled()


def test_another_network_ends_the_training(explore):
    page = explore().page
    train(page, epochs="5000", pace="watch")
    becomes(page, "running")
    picked(page, hidden="6")
    shown(page)
    becomes(page, "idle")
    assert "has changed" in texts(page, "#training-verdict")


def test_a_training_that_fails_says_why(explore):
    page = explore().page
    page.locator("#rate").fill("-1")
    page.get_by_role("button", name="Train").click()
    expect(page.locator("#training-fault")).to_have_text("Rate is -1; expected a number above 0.")


def test_a_training_that_diverges_says_so_with_the_fix(explore):
    page = explore().page
    picked(page, activation="relu")
    shown(page)
    page.locator("#rate").fill("1000")
    train(page, epochs="30")
    becomes(page, "ended")
    verdict = texts(page, "#training-verdict")
    assert verdict.startswith("Training diverged")
    assert "learning rate" in verdict


def test_the_programme_is_stepped_through(explore):
    page = explore().page
    values = page.locator("#graph text:not(.empty):visible")
    at_first = values.count()
    following = page.get_by_role("button", name="Next", exact=True)
    following.click()
    assert texts(page, "#cell").startswith("Cell 1 of 65, neuron 1: d₁ = w₁ x₁ + w₅ x₂ = ")
    assert page.locator("#graph .edge.into").count() == 2
    following.click()
    assert texts(page, "#cell").startswith("Cell 2 of 65, neuron 1: h₁ = f(d₁ + b₁) = ")
    assert values.count() > at_first - 4  # the labels of edges have gone, a value has come
    expect(page.locator("#graph [data-node='1'] text:not(.symbol):not(.back)")).to_be_visible()
    expect(page.locator("#graph [data-node='2'] text:not(.symbol):not(.back)")).to_be_hidden()
    expect(page.locator(".card.chosen tr.now")).to_have_count(1)
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.locator("#graph [data-node='1'] text:not(.symbol):not(.back)")).to_be_hidden()
    page.get_by_role("button", name="All", exact=True).click()
    assert page.locator("#graph .empty").count() == 0
    assert texts(page, "#cell").startswith("Cell 65 of 65, edge w")
    expect(following).to_be_disabled()
    page.get_by_role("button", name="Start over").click()
    assert "Nothing is filled yet" in texts(page, "#cell")


def test_a_node_that_is_pointed_at_shows_its_formulas(explore):
    page = explore().page
    page.get_by_role("button", name="All", exact=True).click()
    node = page.locator("#graph [data-node='5']")
    node.hover()
    assert page.locator("#graph .edge.into").count() == 4
    assert page.locator("#graph .edge.out-of").count() == 2
    card = page.locator(".card.chosen")
    assert "Neuron 5, hidden" in card.inner_text()
    assert card.locator("math").count() >= 8
    page.locator("#neurons-title").hover()
    expect(page.locator(".card.chosen")).to_contain_text("Neuron 4")  # where the last cell is
    page.locator("#graph [data-node='6']").focus()
    expect(page.locator(".card.chosen")).to_contain_text("Neuron 6")


def test_trained_weights_fill_the_graph(explore):
    page = explore().page
    page.get_by_role("button", name="All", exact=True).click()
    loss = page.locator("#graph [data-node='10'] text:not(.symbol)")
    before = float(loss.text_content())
    assert page.locator("#weights option[value=trained]").is_disabled()
    train(page, epochs="60")
    becomes(page, "ended")
    page.locator("#weights").select_option("trained")
    expect(loss).not_to_have_text(f"{before:.3f}")
    assert float(re.sub("×.*", "e-9", loss.text_content())) < before / 2
    page.locator("#sample").fill("7")
    page.locator("#sample").press("Tab")
    expect(page.locator("#neurons-verdict")).to_contain_text("Sample 7 is")


def test_a_wrong_token_is_told_so(open_page, served):
    tab = open_page(served.address.replace(served.path, "/wrong/"))
    tab.expect("403")
    assert "open the whole address" in tab.page.inner_text("body")
    assert low_contrast(tab) == []


def test_ten_pages_at_once(explore, served):
    tab = explore()
    pages = [tab.page, *(tab.page.context.new_page() for _ in range(9))]
    for page in pages[1:]:
        page.goto(f"{served.address}study")
    for page in pages:
        page.bring_to_front()  # others are drawn once a second at most
        shown(page)
        train(page, epochs="5000", pace="slow")
    for page in pages:
        page.bring_to_front()
        becomes(page, "running")
        expect(page.locator("#loss-chart path.line")).to_have_count(4)  # two, with their legend
    for page in pages:
        page.bring_to_front()
        page.get_by_role("button", name="Stop").click()
        becomes(page, "ended")


def test_closing_the_page_ends_its_training(explore, served):
    tab, before = explore(), set(descendants(served.process.pid))
    other = tab.page.context.new_page()
    other.goto(f"{served.address}study")
    shown(other)
    for page in (tab.page, other):
        page.bring_to_front()
        train(page, epochs="5000", pace="slow")
        becomes(page, "running")
    mine, its = sorted(set(descendants(served.process.pid)) - before)
    other.close()
    assert ends(its)
    assert outlives(mine, 1)
    tab.page.context.close()  # the whole browser
    assert ends(mine)
