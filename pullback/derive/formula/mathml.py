"""A table of equations in MathML, which browsers show without any script."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from pullback.notebook import mathml

STYLE = """
.pullback-equations { border-collapse: collapse; }
.pullback-equations math { math-style: normal; }
.pullback-equations td { padding: .25em .15em; border: 0; text-align: left; }
.pullback-equations td:first-child { text-align: right; }
.pullback-equations .forward { color: #0072B2; }
.pullback-equations .backward { color: #D55E00; }
.pullback-equations .parameter { color: #4D4D4D; }
.pullback-equations .data { color: #009E73; }
.pullback-equations .loss { color: currentColor; }
@media (prefers-color-scheme: dark) { .pullback-equations .parameter { color: #A6A6A6; } }
"""


@dataclass(frozen=True)
class MathRow:
    """One equation as LaTeX: both sides with classes, and the whole as a person copies it."""

    left: str
    right: str
    latex: str
    kind: str
    sign: str = "="
    number: str = ""
    remark: str = ""


def equation_table(rows: Iterable[MathRow], note: str = "", styled: bool = True) -> str:
    """Equations as an HTML table, aligned at the sign; ``data-latex`` is there to be copied."""
    body = "\n".join(_table_row(row) for row in rows)
    caption = f"<p>{escape(note)}</p>" if note else ""
    style = f"<style>{STYLE}</style>\n" if styled else ""
    return f'{style}<table class="pullback-equations">\n{body}\n</table>{caption}'


def _table_row(row: MathRow) -> str:
    beside = f"<td>{escape(row.number)}</td>" if row.number else ""
    behind = f"<td>{escape(row.remark)}</td>" if row.remark else ""
    right = mathml({"←": r"\leftarrow "}.get(row.sign, row.sign) + row.right)
    return (
        f'<tr class="{escape(row.kind)}-row" data-latex="{escape(row.latex)}">'
        f"{beside}<td>{mathml(row.left)}</td><td>{right}</td>{behind}</tr>"
    )
