"""The harness itself: what it must see, on small pages with one fault each."""

import pytest
from browser.looks import (
    legible,
    low_contrast,
    overflow,
    overlapping_text,
    unnamed_controls,
)

GOOD = """<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>A page</title>
<body style="font: 16px sans-serif; background: #fff; color: #222">
<h1>Forward and back</h1><p style="color: #0072b2">values</p><p style="color: #b34700">errors</p>
<button>Press</button> <label>Width <input value="3"></label>
<svg width="200" height="60"><g><circle cx="30" cy="30" r="20" fill="#fff" stroke="#0072b2"/>
<text x="30" y="35">1</text></g><text x="120" y="35">2</text></svg></body></html>"""


@pytest.fixture
def shown(open_page, tmp_path):
    def show(html, **options):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        return open_page(path, **options)

    return show


def test_a_good_page_has_no_faults(shown):
    tab = shown(GOOD, width=360)
    legible(tab.shot())
    legible(tab.shot("svg"), colours=4)
    assert low_contrast(tab) == []
    assert overlapping_text(tab, "svg") == []
    assert overflow(tab) == []
    assert unnamed_controls(tab) == []
    assert tab.complaints == []


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("console.error('broken')", "console error: broken"),
        ("console.warn('odd')", "console warning: odd"),
        ("missing()", "missing is not defined"),
        ("fetch('http://example.org/x').catch(() => 0)", "not on this machine"),
    ],
)
def test_complaints_are_noted(shown, script, complaint):
    tab = shown(GOOD.replace("</body>", f"<script>{script}</script></body>"))
    while not tab.complaints:
        tab.page.wait_for_timeout(20)
    assert any(complaint in each for each in tab.complaints), tab.complaints
    assert any(complaint in each for each in tab.close())
    tab.complaints.clear()  # looked at: the fixture need not fail for them


def test_an_expected_complaint_must_come(shown):
    tab = shown(GOOD)
    tab.expect("never said")
    assert "none came" in tab.close()[0]
    tab._expected.clear()


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (("#0072b2", "#9bd"), low_contrast),
        (('x="120"', 'x="31"'), lambda tab: overlapping_text(tab, "svg")),
        (('width="200"', 'width="900"'), overflow),
        (("<label>Width <input", "<label>Width</label><label><input"), unnamed_controls),
        (("<label>", '<b id="twice"></b><b id="twice"></b><label>'), unnamed_controls),
    ],
)
def test_a_fault_of_looks_is_found(shown, fault, check):
    assert fault[0] in GOOD
    assert len(check(shown(GOOD.replace(*fault), width=360))) == 1


@pytest.mark.parametrize("style", ["color: #fff", "background: #000; height: 80px"])
def test_bare_paper_is_not_legible(shown, style):
    tab = shown(f'<title>x</title><body><p style="{style}">words</p></body>')
    with pytest.raises(AssertionError, match="colours"):
        legible(tab.shot("p"))
