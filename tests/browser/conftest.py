"""Pages in a real headless Chromium: the fixtures of every test in this folder.

Put a test of a page here, in a file of its own (`tests/browser/report_in_browser_test.py`), and ask
for a fixture:

    def test_the_report_opens(open_page, tmp_path):
        tab = open_page(tmp_path / "report.html")             # or "http://127.0.0.1:8123/…"
        tab = open_page(url, width=360, dark=True)            # a narrow, dark one
        tab.page.get_by_role("button", name="Copy").click()   # playwright's Page, with all it can
        legible(tab.shot("#forecast"))                        # a PNG of an element: is there ink?
        assert low_contrast(tab, "#forecast") == []           # text that cannot be read
        assert overlapping_text(tab, "#network svg") == []    # labels drawn over each other
        assert overflow(tab) == [] and unnamed_controls(tab) == []

`from browser.looks import …` has the checks. When the test ends, it fails if a page logged an
error or a warning, threw, or asked for anything beyond this machine; `tab.expect("403")` says which
complaints a test provokes on purpose. `SHOTS=folder` keeps the PNG of every shot, to look at.

Chromium is found on the PATH, or named by CHROMIUM=/path. Where there is none the tests are skipped
with the reason; where CI is set they fail.
"""

from collections.abc import Iterator

import pytest
from browser.chromium import Tab, chromium, launched

__all__ = ["chromium"]


@pytest.fixture(scope="session")
def browser(chromium):
    """One Chromium for the whole run, with an empty profile of its own."""
    with launched(chromium) as started:
        yield started


@pytest.fixture
def open_page(browser, request) -> Iterator:
    """A function that opens a path or URL in a fresh profile; complaints count at the end."""
    tabs: list[Tab] = []

    def opened(target, *, width=1280, height=900, dark=False, **options) -> Tab:
        tabs.append(Tab(browser, width, height, dark, name=request.node.name, **options))
        tabs[-1].goto(target)
        return tabs[-1]

    yield opened
    complaints = [complaint for tab in tabs for complaint in tab.close()]
    assert not complaints, "\n".join(["the page complains:", *complaints])
