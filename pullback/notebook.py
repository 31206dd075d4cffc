"""What a notebook shows: a sentence, a table, a formula, all escaped; and whether bars move."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.util import find_spec
from typing import Any

# what browsers' MathML Core lacks: bold by attribute, and words and leading minuses as operators
_MENDS = (
    (re.compile(r'<mn mathvariant="bold">1</mn>'), "<mn>𝟏</mn>"),
    (re.compile(r"<mo>([A-Za-z]{2,})</mo>"), r"<mi>\1</mi>"),
    (re.compile(r"(&#x0(?:0028|003D|0005B);</mo>)<mo>&#x02212;"), r'\1<mo form="prefix">&#x02212;'),
)


def can_animate(console: Any) -> bool:
    """Whether a bar may move: in a terminal, and in a notebook that has rich's widgets."""
    return bool(console.is_terminal or (console.is_jupyter and find_spec("ipywidgets")))


def mathml(latex: str) -> str:
    r"""One formula in LaTeX as a MathML element.

    >>> mathml(r"\class{forward s-z-0}{z_1}").count('<mrow class="forward s-z-0">')
    1
    """
    from latex2mathml.converter import convert

    text: str = convert(latex)
    for pattern, mended in _MENDS:
        text = pattern.sub(mended, text)
    return text


def headline(text: str) -> str:
    """The verdict, which stands first.

    >>> headline("0.1 < 0.2")
    '<p><strong>0.1 &lt; 0.2</strong></p>'
    """
    return f"<p><strong>{escape(text)}</strong></p>"


def paragraph(text: str) -> str:
    """Plain words."""
    return f"<p>{escape(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table of texts; the first column names the rows.

    >>> table(["name", "value"], [["a<b", 1]])
    '<table><tr><th>name</th><th>value</th></tr><tr><td>a&lt;b</td><td>1</td></tr></table>'
    """
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    lines = [_row("th", head), *(_row("td", row) for row in rows)]
    return f"<table>{title}{''.join(lines)}</table>"


def _row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
