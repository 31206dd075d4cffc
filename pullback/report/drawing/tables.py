"""HTML tables: numbers aligned on the decimal point, the confusion matrix as a map."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pullback.report.sections.outcome import Classified
from pullback.report.words.numbers import aligned, percent, short

Cells = Sequence[str] | Sequence[float]
_LONG = 24  # letters of a cell from which on its column may break between words


def table(columns: dict[str, Cells], label: str) -> str:
    """A table by columns; columns of numbers stand on the right, aligned at the point."""
    texts = {name: _texts(cells) for name, cells in columns.items()}
    css = {name: _css(cells) for name, cells in columns.items()}
    head = "".join(f'<th scope="col"{css[name]}>{escape(name)}</th>' for name in columns)
    rows = []
    for cells in zip(*texts.values(), strict=True):
        row = f'<th scope="row">{escape(cells[0])}</th>' + "".join(
            f"<td{css[name]}>{escape(cell)}</td>"
            for name, cell in zip(list(columns)[1:], cells[1:], strict=True)
        )
        rows.append(f"<tr>{row}</tr>")
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return scrolled(f"<table>{body}</table>", label)


def confusion(found: Classified) -> str:
    """Wanted classes as rows, predicted ones as columns; depth of colour is the share of a row."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in found.names)
    rows = []
    for i, (name, counts) in enumerate(zip(found.names, found.confusion, strict=True)):
        total = max(int(counts.sum()), 1)
        cells = "".join(_cell(int(n), int(n) / total, i == j) for j, n in enumerate(counts))
        recall = percent(int(counts[i]) / total) if counts.sum() else "–"
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}<td>{recall}</td></tr>')
    html = (
        '<table class="confusion"><thead><tr><th scope="col" class="corner">wanted ↓ '
        f'predicted →</th>{head}<th scope="col">right</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return scrolled(html, "Confusion matrix")


def scrolled(html: str, label: str) -> str:
    """A wide thing in a frame of its own that scrolls; the page lets the keyboard in if it does."""
    return f'<div class="scroll" role="region" aria-label="{escape(label)}">{html}</div>'


def _cell(number: int, share: float, right: bool) -> str:
    if number == 0:
        return '<td class="none">·</td>'
    css = "hit" if right else "miss"
    depth = share if right else 0.25 + 0.75 * share
    return f'<td class="{css}" style="--depth:{depth:.2f}">{number}</td>'


def _is_numeric(cells: Cells) -> bool:
    return all(isinstance(cell, (int, float)) for cell in cells)


def _texts(cells: Cells) -> list[str]:
    if all(isinstance(cell, int) for cell in cells):
        return [f"{cell:,}" for cell in cells]
    if _is_numeric(cells):
        return aligned([float(cell) for cell in cells])
    return [cell if isinstance(cell, str) else short(cell) for cell in cells]


def _css(cells: Cells) -> str:
    if _is_numeric(cells):
        return ' class="number"'
    return ' class="words"' if max(map(len, _texts(cells)), default=0) > _LONG else ""
