"""What can be told of a page's looks: ink, contrast, labels, widths. Each names what is wrong."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

_CHECKS = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => setTimeout(() => done(sum), 100));
})"""


def layout_shift(tab):
    """By how much the page has moved under its reader since it opened: up to .05 is little."""
    return tab.page.evaluate(SHIFTS)


def low_contrast(tab, selector: str = "body") -> list[str]:
    """Words below WCAG's contrast: 4.5, and 3 for large ones (WCAG 2.2, criterion 1.4.3).

    Symbols in the palette's colours --forward, --backward and --data need 3, as pictures do.
    """
    return _ask(tab, selector, "lowContrast")


def overlapping_text(tab, selector: str) -> list[str]:
    """Labels of an SVG that are drawn over each other."""
    return _ask(tab, selector, "overlappingText")


def overflow(tab) -> list[str]:
    """What makes the page wider than its window."""
    return _ask(tab, "body", "overflow")


def unnamed_controls(tab) -> list[str]:
    """Controls without a name that a screen reader could say, and identifiers that stand twice."""
    return _ask(tab, "body", "unnamedControls") + _ask(tab, "body", "doubledNames")


def _ask(tab, selector: str, check: str) -> list[str]:
    return tab.page.locator(selector).first.evaluate(
        f"(root, check) => {{ {_CHECKS} return checks[check](root); }}", check
    )


def legible(path: Path, least_ink: float = 0.003, most_ink: float = 0.6, colours: int = 8) -> None:
    """A PNG has something on it: enough colours, and neither bare paper nor a blot.

    Ink is the share of pixels that differ from the commonest colour, the paper.
    """
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), int)
    assert min(pixels.shape[:2]) >= 16, f"{path.name} is only {pixels.shape[1]} × {pixels.shape[0]}"
    flat = pixels.reshape(-1, 3)
    counted = Counter(map(tuple, flat[:: max(1, len(flat) // 200_000)].tolist()))
    paper = np.array(counted.most_common(1)[0][0])
    ink = float(np.mean(np.abs(flat - paper).max(axis=1) > 24))
    assert len(counted) >= colours, f"{path.name} has {len(counted)} colours; is it drawn?"
    assert least_ink <= ink <= most_ink, f"{path.name} has {ink:.2%} ink"
