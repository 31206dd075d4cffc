"""What the pages are made of: tables of benchmarks, and the API's words and signatures."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from pullback.bench.record import BenchmarkRow, Comparison
from pullback.bench.task import TrainingTask

TOOLS = Path(__file__).resolve().parents[2] / "tools"
API = runpy.run_path(str(TOOLS / "api_pages.py"))


@pytest.fixture
def table():
    return runpy.run_path(str(TOOLS / "benchmark_tables.py"))["table"]


def test_a_stored_benchmark_becomes_a_table(table, tmp_path):
    seconds = {"floor": 0.5e-6, "pullback": 4e-6, "torch": 1.5e-3}
    losses = {"pullback": 1.0, "torch": 1.0}
    rows = (
        BenchmarkRow(TrainingTask((64, 32, 10), 32, "relu", "sgd"), seconds, losses),
        BenchmarkRow(
            TrainingTask((64, 32, 10), 32, "tanh", "sgd"), {"pullback": 5e-6}, {"pullback": 1.0}
        ),
    )
    absent = (("torch", "64-32-10 tanh sgd", "it failed"),)
    found = Comparison("Some processor", tuple(seconds), 9, rows, absent, 4, 0, 2, True)
    path = tmp_path / "train.json"
    path.write_text(json.dumps(found.to_dict()), encoding="utf-8")
    text = table(path)
    assert text.startswith(f"**{found.verdict()}**")
    assert "| network | batch |  | floor | pullback | torch |" in text
    assert "| 64-32-10 | 32 | relu, sgd | 0.5 | **4** | 1,500 |" in text
    assert "| 64-32-10 | 32 | tanh, sgd | – | **5** | – |" in text
    assert "Machine: Some processor." in text
    assert "torch on 64-32-10 tanh sgd is left out: it failed." in text


def test_what_was_not_measured_is_said(table, tmp_path):
    assert table(tmp_path / "train.json").startswith("*Not measured yet")


def test_words_mean_themselves_in_markdown():
    text = API["words"]("z* = F(z*) for ``z*``, a < b.\n\n>>> 1 + 1\n2\n\nAs in\n>>> 2\n2")
    assert text == (
        r"z\* = F(z\*) for ``z*``, a &lt; b." + "\n\n```pycon\n>>> 1 + 1\n2\n```\n\n"
        "As in\n\n```pycon\n>>> 2\n2\n```"
    )


def test_signatures_are_as_a_person_writes_them():
    def function(self, x: int | None = None, *, name: str = "a") -> Path: ...

    function.__doc__ = "Words."
    told = API["entry"]("pb.function", function)
    assert "pb.function(x: int | None = None, *, name: str = 'a') -> Path" in told
    assert told.startswith("## pb.function\n")
    assert told.endswith("\n\nWords.")


def test_a_convention_is_shown_as_formulas(monkeypatch):
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(str(TOOLS))
    site = runpy.run_path(str(TOOLS / "docs_site.py"))
    page = site["on_page_content"](site["on_page_markdown"]("<!-- derivation: ng -->", None))
    assert page.count("<math") > 20
    assert "kept-" not in page


def test_the_search_finds_a_part_of_a_name():
    yaml = pytest.importorskip("yaml")
    settings = yaml.safe_load((TOOLS.parent / "mkdocs.yml").read_text(encoding="utf-8"))
    separator = settings["plugins"][0]["search"]["separator"]
    assert re.split(separator, "pb.load(data.csv)")[:4] == ["pb", "load", "data", "csv"]
