"""How soon the report and the playground can be used, in a real Chromium: times, sizes, shifts.

    python benchmarks/pages.py [--rounds 5] [--chromium /usr/bin/chromium] [--json pages.json]

Each round opens each page in a browser profile of its own, so nothing is cached. ``opens`` is the
time from asking for the page to the end of its load; ``interactive`` to the state in which Train
answers (the report: in which its charts are drawn as they come into view). ``work`` is processor
time of the page's main thread until then, which other programs do not stretch. ``shift`` is
Chromium's cumulative layout shift while the page loads and is scrolled to its end, without what a
reader's input moves. Medians, and the largest of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
SHIFT = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  const step = () => {
    const before = scrollY;
    scrollBy({ top: 0.9 * innerHeight, behavior: "instant" });
    if (scrollY === before) { setTimeout(() => done(sum), 200); return; }
    requestAnimationFrame(() => setTimeout(step, 0));
  };
  step();
})"""
OPENED = """() => {
  const [load] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const paints = paint ? paint.startTime : null;
  return { opens: load.loadEventEnd, paints, now: performance.now() };
}"""


def visited(browser: Browser, address: str, ready: str, width: int) -> dict[str, float]:
    """Milliseconds and shift of one visit."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    meter = context.new_cdp_session(page)
    meter.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    page.wait_for_selector(ready)
    found = page.evaluate(OPENED)
    metrics = {
        each["name"]: each["value"] for each in meter.send("Performance.getMetrics")["metrics"]
    }
    shift = page.evaluate(SHIFT)
    context.close()
    return {
        "paints": found["paints"],
        "opens": found["opens"],
        "interactive": found["now"],
        "work": 1e3 * metrics["TaskDuration"],
        "shift": shift,
    }


def served() -> tuple[subprocess.Popen[str], str]:
    """``pullback explore``, and its address."""
    command = [sys.executable, "-m", "pullback", "explore", "--no-open"]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1]


def made(folder: Path) -> dict[str, Path]:
    """A report of the digits, one of a table, and the playground as a file."""
    run = [sys.executable, "-m", "pullback"]
    table = str(ROOT / "examples/diabetes.csv")
    files = {name: folder / f"{name}.html" for name in ("digits", "table", "playground")}
    for command in (
        ["report", "--quiet", "--out", str(files["digits"])],
        ["report", table, "--quiet", "--out", str(files["table"])],
        ["explore", "--export", str(files["playground"])],
    ):
        subprocess.run([*run, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chromium", default=next(filter(None, map(shutil.which, NAMES)), None))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.chromium is None:
        parser.error("there is no Chromium on the PATH; name one with --chromium")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        files = made(Path(folder))
        process, address = served()
        try:
            pages = {
                "report, digits": (files["digits"].as_uri(), "html[data-charts=ready]"),
                "report, table": (files["table"].as_uri(), "html[data-charts=ready]"),
                "explore, served": (address, "body[data-state=ready]"),
                "explore, one file": (files["playground"].as_uri(), "body[data-state=ready]"),
                "explore, study page": (f"{address}study", "body[data-shown=all]"),
            }
            browser = driver.chromium.launch(executable_path=chosen.chromium, args=list(FLAGS))
            rounds: dict[str, list[dict[str, float]]] = {name: [] for name in pages}
            for at in range(chosen.rounds):
                width = (1280, 390, 768)[at % 3]
                for name, (target, ready) in pages.items():
                    rounds[name].append(visited(browser, target, ready, width))
            version = browser.version
            browser.close()
        finally:
            process.terminate()
            process.wait()
        sizes = dict(
            zip(("report, digits", "report, table", "explore, one file"), files, strict=True)
        )
        for name, visits in rounds.items():
            found[name] = {
                key: {"median": statistics.median(values), "largest": max(values)}
                for key in ("paints", "opens", "interactive", "work", "shift")
                if (values := [each[key] for each in visits])
            }
            if name in sizes:
                found[name]["megabytes"] = files[sizes[name]].stat().st_size / 1e6
    print(
        f"{'':20} {'MB':>6} {'paints':>8} {'opens':>8} {'interactive':>18} {'work':>8} {'shift':>7}"
    )
    for name, row in found.items():
        size = f"{row['megabytes']:.2f}" if "megabytes" in row else "–"
        ms = {key: row[key]["median"] for key in ("paints", "opens", "interactive", "work")}
        worst = row["interactive"]["largest"]
        print(
            f"{name:20} {size:>6} {ms['paints']:>5.0f} ms {ms['opens']:>5.0f} ms "
            f"{ms['interactive']:>5.0f} (≤ {worst:.0f}) ms {ms['work']:>5.0f} ms "
            f"{row['shift']['largest']:>7.3f}"
        )
    load = os.getloadavg()[0]
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}, load {load:.1f}, Chromium {version}")
    if chosen.json is not None:
        held = {"machine": machine, "load": load, "pages": found}
        chosen.json.write_text(json.dumps(held, indent=1))


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
