"""Hooks of `mkdocs build`: pages that are made, and what every page gets.

The tour comes from docs/tour.py, the notebooks from their .ipynb, the API from docstrings, tables
of benchmarks from docs/benchmarks/*.json. Nothing is written into docs/.
"""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api_pages import pages
from benchmark_tables import table
from mkdocs.structure.files import File, Files

import pullback as pb
from pullback.notebook import mathml

DOCS = Path(__file__).resolve().parents[1] / "docs"
BENCHMARKS = DOCS / "benchmarks"
log = logging.getLogger("mkdocs.hooks.docs_site")

_ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=.?(?:https?:)?//"
)
_outputs: dict[str, str] = {}  # HTML that Markdown must not touch, by its mark


def on_files(files: Files, config: Any) -> Files:
    """Take out what is a source, put in what is made of it."""
    for file in list(files):
        if file.src_uri.endswith((".py", ".ipynb", ".json")) or file.src_uri.startswith(
            "notebooks/"
        ):
            files.remove(file)
    made = {"tour.md": tour((DOCS / "tour.py").read_text(encoding="utf-8"))}
    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        made[f"notebooks/{path.stem}.md"] = notebook(json.loads(path.read_text(encoding="utf-8")))
    made.update(pages())
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Examples with prompts are told from scripts, formulas become MathML, tables are filled."""
    markdown = re.sub(r"^```python\n(?=>>>)", "```pycon\n", markdown, flags=re.MULTILINE)
    markdown = re.sub(
        r"^```math\n(.*?)\n```$",
        lambda found: _keep(f'<div class="formula">{mathml(found[1])}</div>'),
        markdown,
        flags=re.MULTILINE | re.DOTALL,
    )
    markdown = re.sub(
        r"<!-- derivation: (\w+) -->", lambda found: _keep(derivation(found[1])), markdown
    )
    return re.sub(
        r"<!-- benchmark: (\S+) -->", lambda found: table(BENCHMARKS / f"{found[1]}.json"), markdown
    )


def on_page_content(content: str, **_: Any) -> str:
    """Put back what was kept from Markdown."""
    return re.sub(r"<p>(kept-\d+-kept)</p>|(kept-\d+-kept)", _kept, content)


def on_post_build(config: Any) -> None:
    """Nothing on any page is fetched from elsewhere."""
    for path in Path(config["site_dir"]).rglob("*.html"):
        if found := _ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            log.warning("%s fetches %s", path, found[:3])


def derivation(convention: Any) -> str:
    """The derivation of the pages on conventions as formulas."""
    model = pb.Sequential(pb.Linear(400, 25), pb.Sigmoid(), pb.Linear(25, 10), pb.Sigmoid())
    net = pb.Network(model, loss=pb.BinaryCrossEntropy(from_logits=False))
    return f'<div class="output">{pb.derive(net, convention).html()}</div>'


def tour(source: str) -> str:
    """A literate Python file as Markdown: its comments as words, its cells as code."""
    parts = []
    for cell in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head:
            parts.append(re.sub(r"^# ?", "", body.strip(), flags=re.MULTILINE))
        else:
            parts.append(f"```python\n{body.strip()}\n```")
    return "\n\n".join(parts)


def notebook(content: dict[str, Any]) -> str:
    """A notebook with the outputs that are stored in it."""
    return "\n\n".join(part for cell in content["cells"] for part in _cell(cell))


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        shown = output.get("data", {})
        if "text/html" in shown:
            yield _keep(f'<div class="output">{"".join(shown["text/html"])}</div>')
        else:
            text = html.escape("".join(output.get("text") or shown["text/plain"]))
            yield _keep(f'<div class="output"><pre>{text}</pre></div>')


def _keep(content: str) -> str:
    mark = f"kept-{len(_outputs)}-kept"
    _outputs[mark] = content
    return f"\n\n{mark}\n\n"


def _kept(found: re.Match[str]) -> str:
    return _outputs[found[1] or found[2]]
