"""The example notebooks run, and what is stored of them is what their sources say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "notebooks.py"))
SOURCES = sorted((ROOT / "docs" / "notebooks").glob("*.md"))
MACHINE = re.compile(r"(?<![\w.])/(?:root|home|tmp|usr|Users|work)/|site-packages| object at 0x")


def stored(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


STORIES = ["by-hand", "researcher", "student", "table", "torch-engineer"]


def test_there_is_one_a_question_and_one_a_user():
    numbered, others = SOURCES[:5], SOURCES[5:]
    assert [source.stem[0] for source in numbered] == ["1", "2", "3", "4", "5"]
    assert [source.stem for source in others] == STORIES


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_runs(source, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = TOOL["run"](TOOL["parse"](source.read_text(encoding="utf-8")))
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    assert sum(bool(cell.outputs) for cell in code) >= 4
    # the same kinds of output as those stored: nothing has become an error or a bare repr
    before = [cell for cell in stored(source).cells if cell.cell_type == "code"]
    assert [kinds(cell) for cell in code] == [kinds(cell) for cell in before]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_is_stored_is_of_its_source_and_tells_nothing_of_a_machine(source):
    held = stored(source)
    nbformat.validate(held)
    wanted = TOOL["parse"](source.read_text(encoding="utf-8"))
    assert [cell.source for cell in held.cells] == [cell.source for cell in wanted.cells], (
        f"{source.name} has changed: python tools/notebooks.py {source.stem}"
    )
    outputs = [out for cell in held.cells for out in cell.get("outputs", [])]
    assert outputs
    assert not any(out.output_type == "error" for out in outputs)
    assert not any(out.get("name") == "stderr" for out in outputs)
    assert MACHINE.findall(source.with_suffix(".ipynb").read_text(encoding="utf-8")) == []


def kinds(cell):
    return [(out.output_type, *sorted(out.get("data", {}))) for out in cell.outputs]
