"""Chromium, found and started, and a tab of it that notes every complaint; see conftest.py."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--font-render-hinting=none",
    # nothing beyond this machine has an address
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
HERE = ("127.0.0.1", "localhost")
HANG = 600_000  # milliseconds after which a wait is given up: no busy machine is that slow


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, or a skip that says why; with CI set, a failure."""
    asked = os.environ.get("CHROMIUM")
    found = shutil.which(asked) if asked else next(filter(None, map(shutil.which, NAMES)), None)
    reason = ""
    if not found:
        where = f"CHROMIUM={asked} is no program" if asked else "there is no Chromium on the PATH"
        reason = f"{where}; apt-get install chromium, or name one with CHROMIUM=/path"
    try:
        import playwright  # noqa: F401
    except ImportError:
        reason = "the Python package playwright is missing; pip install 'pullback[test]'"
    if reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return str(found)


@contextmanager
def launched(path: str) -> Iterator:
    """A headless browser with a fresh profile; it ends with the context."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=HANG)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Tab:
    """One page in a profile of its own; ``complaints`` has what it should not have done."""

    def __init__(self, browser, width, height, dark, name="", **options) -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        self._context.set_default_timeout(HANG)
        self.page = self._context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._expected: list[str] = []
        self._name, self._shots = name, 0
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"threw {error}"))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("response", self._answered)

    def goto(self, target: str | Path) -> None:
        """Open a path or a URL, and wait until it has loaded."""
        self.page.goto(target.resolve().as_uri() if isinstance(target, Path) else target)

    def expect(self, pattern: str) -> None:
        """Let complaints that match a regular expression pass; there must be one."""
        self._expected.append(pattern)

    def shot(self, selector: str | None = None) -> Path:
        """A PNG of an element, or of the whole page; in the folder SHOTS if that is set."""
        folder = Path(os.environ.get("SHOTS") or Path(tempfile.gettempdir()) / "pullback-shots")
        folder.mkdir(parents=True, exist_ok=True)
        self._shots += 1
        stem = re.sub(r"\W+", "-", f"{self._name}-{self._shots}-{selector or 'page'}").strip("-")
        path = folder / f"{stem}.png"
        if selector is None:
            self.page.screenshot(path=path, full_page=True)
        else:
            self.page.locator(selector).first.screenshot(path=path)
        return path

    def close(self) -> list[str]:
        """Close the page; complaints that nobody expected, and expected ones that did not come."""
        self._context.close()
        found = [c for c in self.complaints if not any(re.search(e, c) for e in self._expected)]
        return found + [
            f"expected a complaint like {pattern!r}, and none came"
            for pattern in self._expected
            if not any(re.search(pattern, each) for each in self.complaints)
        ]

    def _said(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console {message.type}: {message.text}")

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in HERE:
            self.complaints.append(f"asked for {url}, which is not on this machine")

    def _answered(self, response) -> None:
        if response.status >= 400:
            self.complaints.append(f"status {response.status} from {response.url}")
