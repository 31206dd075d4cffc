"""Pictures of the report and of the explore page for README and docs, light and dark.

    python tools/screenshots.py [report] [explore] [diagram]

They are made with the tests' headless Chromium, and fail as a test does if the page complains.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from browser.chromium import NAMES, Tab, launched  # noqa: E402
from explore_server import running  # noqa: E402

import pullback as pb  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MOST = 300_000  # bytes of a picture
WIDTH, SCALE = 1280, 1.5
HEIGHTS = {"report": 1060, "explore": 1180}


def report(browser: Any) -> None:
    """The first screen of the report on the embedded digits."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        command = [sys.executable, "-m", "pullback", "report", "--quiet", "--out", str(page)]
        subprocess.run(command, check=True, cwd=ROOT)

        def ready(tab: Tab) -> None:
            tab.page.wait_for_selector("html[data-charts=ready]")  # the page evaluates no text

        shoot(browser, "report", page, ready)


def explore(browser: Any) -> None:
    """The playground after it has told three spirals apart."""
    with running() as served:

        def ready(tab: Tab) -> None:
            tab.page.wait_for_selector("body[data-state=ready]")
            tab.page.get_by_role("button", name="Train").click()
            while int(tab.page.locator("#epoch").inner_text()) < 80:
                tab.page.wait_for_timeout(50)
            tab.page.get_by_role("button", name="Pause").click()
            tab.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")

        picked = "#data=arms&hidden=8,6&pace=full&story=own"
        shoot(browser, "explore", f"{served.address}{picked}", ready)


def diagram(browser: Any) -> None:
    """The Jacobian of attention by its queries, as a tensor diagram."""
    e = pb.expr("softmax(Q@K.T, axis='m')@V", Q="n d", K="m d", V="m e")
    e.derivative("Q").diagram(width=560).save(IMAGES / "attention-diagram.svg")


def shoot(browser: Any, name: str, target: Any, ready: Callable[[Tab], None]) -> None:
    """One picture on paper and one on slate; raises SystemExit where the page complains."""
    for dark in (False, True):
        tab = Tab(browser, WIDTH, HEIGHTS[name], dark, device_scale_factor=SCALE)
        tab.goto(target)
        ready(tab)
        picture = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
        if complaints := tab.close():
            raise SystemExit("\n".join(["the page complains:", *complaints]))
        path = IMAGES / f"{name}-{'dark' if dark else 'light'}.png"
        save(picture, path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


def save(picture: Image.Image, path: Path) -> None:
    """As PNG with as many colours as fit into the size that is allowed."""
    for colours in (256, 128, 64, 32):
        few = picture.quantize(colours, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
        if path.stat().st_size <= MOST:
            return
    raise SystemExit(f"{path.name} is larger than {MOST:,} bytes in 32 colours")


def main() -> None:
    from shutil import which

    chosen = sys.argv[1:] or ["report", "explore", "diagram"]
    path = next(filter(None, map(which, NAMES)), None)
    if path is None:
        raise SystemExit("there is no Chromium on the PATH")
    with launched(path) as browser:
        for name in chosen:
            {"report": report, "explore": explore, "diagram": diagram}[name](browser)


if __name__ == "__main__":
    main()
