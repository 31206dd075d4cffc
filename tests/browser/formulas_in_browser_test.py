"""The page of formulas in Chromium: what is typed is answered at once, on a phone as on a desk."""

import json
import re

import pytest
from browser.looks import legible, low_contrast, overflow, overlapping_text, unnamed_controls
from explore_server import running
from playwright.sync_api import expect

import pullback as pb


@pytest.fixture(scope="module")
def served():
    with running() as found:
        yield found


@pytest.fixture
def formulas(open_page, served):
    """The page at some state, once all of it is shown."""

    def opened(state="", **options):
        tab = open_page(f"{served.address}formulas{state}", **options)
        shown(tab.page)
        return tab

    return opened


def shown(page, state="all"):
    page.wait_for_selector(f"body[data-shown={state}]")


def typed(page, text, state="all"):
    page.evaluate("document.body.dataset.shown = 'old'")
    page.locator("#text").fill(text)
    shown(page, state)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_it_reads_well(formulas, width, dark):
    tab = formulas(width=width, dark=dark)
    for label in ("least squares", "attention"):
        tab.page.evaluate("document.body.dataset.shown = 'old'")
        tab.page.get_by_role("button", name=label).click()
        shown(tab.page)
        tab.page.locator("#derivation").evaluate("each => { each.open = true; }")
        for part in ("#asked", "#result", "#diagram", "#code", "#steps"):
            legible(tab.shot(part))
        assert overlapping_text(tab, "#diagram svg") == []
        assert low_contrast(tab) == []
        assert overflow(tab) == []
        assert unnamed_controls(tab) == []
    tab.shot()


def test_every_example_is_answered_and_proven(formulas):
    page = formulas().page
    labels = page.locator("#examples button").all_inner_texts()
    assert len(labels) >= 9
    for label in labels:
        page.evaluate("document.body.dataset.shown = 'old'")
        page.get_by_role("button", name=label, exact=True).click()
        shown(page)
        assert page.locator("#result math").count() >= 2, label
        assert page.locator("#diagram svg").count() == 1, label
        assert page.locator("#proof").inner_text().startswith("Checked at 3 random points"), label
        assert "def " in page.locator("#code").inner_text(), label


def test_what_is_typed_is_derived(formulas):
    page = formulas().page
    typed(page, "sum((X@w - y)**2)")
    page.evaluate("document.body.dataset.shown = 'old'")
    page.get_by_label("Axes of X").fill("n d")
    shown(page, "fault")  # w still meets n
    page.evaluate("document.body.dataset.shown = 'old'")
    page.get_by_label("Axes of w").fill("d")
    shown(page)
    page.evaluate("document.body.dataset.shown = 'old'")
    page.locator("#wrt").select_option("w")
    shown(page)
    e = pb.expr("sum((X@w - y)**2)", X="n d", w="d", y="n")
    expect(page.locator("#code")).to_have_text(pb.derive(e, wrt="w").code().rstrip("\n"))
    page.evaluate("document.body.dataset.shown = 'old'")
    page.locator("#order").select_option("2")
    shown(page)
    assert page.locator("#result tr").count() == 2
    page.locator("#target").select_option("jax")
    page.wait_for_selector("#code[data-target=jax]")
    assert "import jax" in page.locator("#code").inner_text()


def test_the_address_holds_the_question(formulas):
    page = formulas().page
    typed(page, "log(det(S))")
    page.evaluate("document.body.dataset.shown = 'old'")
    page.get_by_label("Axes of S").fill("n n sym")
    shown(page)
    page.evaluate("document.body.dataset.shown = 'old'")
    page.locator("#symmetric").select_option("part")
    shown(page)
    before, address = page.locator("#result").inner_html(), page.url
    other = formulas(address[address.index("#") :]).page
    assert other.locator("#result").inner_html() == before
    assert other.locator("#text").input_value() == "log(det(S))"
    assert other.get_by_label("Axes of S").input_value() == "n n sym"


def test_an_error_is_told_under_its_place(formulas):
    page = formulas().page
    typed(page, "0.5*x'*A*x + b*(", "fault")
    told, caret = page.locator("#fault-place").inner_text().split("\n")[:2]
    assert told == "0.5*x'*A*x + b*("
    assert caret.strip() == "^"
    expect(page.locator("#text")).to_have_attribute("aria-invalid", "")
    typed(page, "0.5*x'*A*x + b")
    expect(page.locator("#fault")).to_be_hidden()


def test_a_text_is_text_and_never_runs(formulas):
    page = formulas().page
    for text in ("<img src=x onerror=\"document.title='bad'\">", "__import__('os')", "x + '<b>'"):
        typed(page, text, "fault")
        assert page.locator("#fault img, #fault b").count() == 0
    assert page.title() == "Formulas · pullback"


def test_what_is_copied_is_latex_and_code(formulas):
    tab = formulas(permissions=["clipboard-read", "clipboard-write"])
    page = tab.page
    copied = {
        "Copy LaTeX": r"\frac{1}{2}",
        "Copy text": "½ (A + Aᵀ) x",
        "Copy code": "def value_and_grad",
        "Copy the link": "#f=",
    }
    for name, expected in copied.items():
        page.get_by_role("button", name=name).click()
        expect(page.locator("#said")).to_have_text("copied")
        assert expected in page.evaluate("navigator.clipboard.readText()")
        page.evaluate("document.getElementById('said').textContent = ''")


def test_it_goes_by_keyboard(formulas):
    page = formulas().page
    page.locator("#text").focus()
    reached = []
    for _ in range(18):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.title"))
    assert {"wrt", "order", "dialect", "copy-latex", "copy-text", "copy-link"} <= set(reached)
    page.locator("#text").focus()
    page.keyboard.press("End")
    page.evaluate("document.body.dataset.shown = 'old'")
    page.keyboard.type(" + x'*x")
    shown(page)
    assert "I" in page.locator("#result").inner_text() or page.locator("#result math").count()


def test_an_edge_names_its_axis(formulas):
    page = formulas("#f=A@x&axes=A:m+n&axes=x:n").page
    titles = page.locator("#diagram title").all_text_contents()
    assert any(re.match(r"axis m", each) for each in titles)


def test_the_server_answers_hostile_questions(served):
    for asked in ({"text": "x" * 5000}, {"text": 3}, None, {"text": "\ud800"}, {"a": "b"}):
        status, answer = served.ask("view", {"view": "formula", "formula": asked})
        assert status == 200
        assert json.loads(json.dumps(answer))["fault"]["message"]
