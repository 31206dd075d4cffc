"""The example notebooks: written as Markdown, run, and stored with their outputs.

    python tools/notebooks.py [4-distribution]   # runs the .md, writes the .ipynb beside it

A source is plain Markdown; each ```python block is a cell.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import v4
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
_CODE = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def parse(source: str) -> nbformat.NotebookNode:
    """The notebook of a Markdown source, not run yet; its cells are numbered, not random."""
    cells: list[Any] = []
    for at, text in enumerate(_CODE.split(source)):
        body = text.strip("\n")
        if body:
            make = v4.new_code_cell if at % 2 else v4.new_markdown_cell
            cells.append(make(body, id=f"cell-{len(cells)}"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )


def run(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its outputs; raises nbclient's CellExecutionError where a cell fails."""
    about = notebook.metadata.copy()
    with TemporaryDirectory() as folder:
        # files as sockets: nothing listens on a port; in a folder of their own, or two meet in one
        place = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
        client = NotebookClient(
            notebook, config=Config({"KernelManager": place}), timeout=120, record_timing=False,
            coalesce_streams=True,
        )  # fmt: skip
        client.execute()
    notebook.metadata = about  # no version of the Python that happened to run it
    return notebook


def main() -> None:
    chosen = sys.argv[1:]
    for source in sorted(FOLDER.glob("*.md")):
        if chosen and source.stem not in chosen:
            continue
        notebook = run(parse(source.read_text(encoding="utf-8")))
        nbformat.write(notebook, source.with_suffix(".ipynb"))
        print(source.with_suffix(".ipynb").relative_to(FOLDER.parents[1]))


if __name__ == "__main__":
    main()
