"""Diagrams as SVG: every product drawn, sums side by side, a line for whatever has a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from textwrap import wrap

from pullback.diagram.layout import (
    SIZE,
    NodeBox,
    PlacedNetwork,
    Point,
    Strand,
    placed,
    width_of,
)
from pullback.diagram.spoken import spoken
from pullback.diagram.tensor_network import DiagramLine, TensorNetwork

MARGIN, BETWEEN, SPACE = 6.0, 16.0, 9.0  # around everything, between lines, around signs
LONGEST = 300  # characters of a function that are written out
_SPOKEN = 2000  # of the picture in words
_BEND = 6.0  # radius of an arc's corners
_SET_IN = 16.0  # of lines that go on
_HALVES = {0.5: "½", 0.25: "¼", 0.75: "¾"}
_FONTS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
STYLE = f"""
.tensor-diagram {{
  --ink: #1b1d1f; --paper: #fff; --data: #009e73; --parameter: #4d4d4d; --forward: #0072b2;
  --backward: #d55e00; --muted: #5b6269; font-family: {_FONTS};
}}
@media screen and (prefers-color-scheme: dark) {{
  .tensor-diagram {{
    --ink: #e6e7e8; --paper: #15181b; --data: #2bbd93; --parameter: #b5b9bd; --forward: #56b4e9;
    --backward: #ef7d2d; --muted: #a2a9b0;
  }}
}}
.tensor-diagram text {{ font-size: 14px; fill: var(--ink); dominant-baseline: central; }}
.tensor-diagram .td-axis {{ font-size: 12px; fill: var(--muted); }}
.tensor-diagram .td-tensor text {{ text-anchor: middle; }}
.tensor-diagram .td-tensor {{ --line: var(--ink); }}
.tensor-diagram .td-data {{ --line: var(--data); }}
.tensor-diagram .td-parameter {{ --line: var(--parameter); }}
.tensor-diagram .td-forward {{ --line: var(--forward); }}
.tensor-diagram .td-backward {{ --line: var(--backward); }}
.tensor-diagram .td-shape {{ stroke-width: 1.6; fill: var(--paper); stroke: var(--line); }}
.tensor-diagram .td-mark {{ stroke: none; fill: var(--line); }}
.tensor-diagram .td-pattern .td-shape {{ stroke: var(--muted); stroke-dasharray: 3 2; }}
.tensor-diagram .td-edge path {{ fill: none; stroke: var(--ink); stroke-width: 1.4; }}
.tensor-diagram .td-edge .td-reach {{ stroke: transparent; stroke-width: 11; }}
.tensor-diagram .td-reach {{ pointer-events: stroke; }}
.tensor-diagram .td-edge:hover path:last-of-type {{ stroke: var(--backward); stroke-width: 3; }}
.tensor-diagram .td-dot {{ fill: var(--ink); stroke: none; }}
"""


@dataclass(frozen=True)
class RowPiece:
    """Something that stands on a line: a word, or a product."""

    body: str
    width: float
    up: float = 10.0
    down: float = 10.0
    joins: bool = False  # does it stay beside what follows?
    drawn: bool = False  # is it a product?


def draw(
    lines: Sequence[DiagramLine],
    functions: Mapping[str, str],
    formula: str,
    width: int,
    styled: bool = True,
) -> str:
    """The whole picture; lines are broken where they would be wider, between terms."""
    rows: list[list[RowPiece]] = []
    for line in lines:
        rows += _broken(_pieces(line), width - 2 * MARGIN)
    for name, meaning in functions.items():
        told = f"{name} = {_cut(meaning)}"
        first, *rest = wrap(told, max(12, int(width / 8.6)))
        rows.append([_word(first)])
        rows += [[_continued(text)] for text in rest]
    body, y, widest = [], MARGIN, 0.0
    for row in rows:
        up, down = max(p.up for p in row), max(p.down for p in row)
        x = MARGIN
        for piece in row:
            body.append(f'<g transform="translate({x:.1f} {y + up:.1f})">{piece.body}</g>')
            x += piece.width + SPACE
        widest = max(widest, x - SPACE + MARGIN)
        y += up + down + BETWEEN
    high = y - BETWEEN + MARGIN if rows else 2 * MARGIN
    style = f"<style>{STYLE}</style>" if styled else ""
    label = escape(f"Tensor diagram of {_cut(formula)}")
    told = escape(_cut(spoken(lines), _SPOKEN))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tensor-diagram" role="img" '
        f'viewBox="0 0 {widest:.0f} {high:.0f}" width="{widest:.0f}" height="{high:.0f}" '
        f'aria-label="{label}"><title>{label}</title><desc>{told}</desc>{style}'
        f"{''.join(body)}</svg>"
    )


def _cut(text: str, most: int = LONGEST) -> str:
    """As much of a text as a person reads."""
    return text if len(text) <= most else f"{text[:most]} …"


def _broken(pieces: Sequence[RowPiece], width: float) -> list[list[RowPiece]]:
    """Pieces in rows no wider than this, but for a product that is wider by itself."""
    groups: list[list[RowPiece]] = [[]]
    for piece in pieces:
        groups[-1].append(piece)
        if not piece.joins:
            groups.append([])
    rows: list[list[RowPiece]] = []
    room = 0.0
    for group in filter(None, groups):
        whole = sum(piece.width + SPACE for piece in group) - SPACE
        parts = [list(group)] if whole <= width else _parts(group)
        for part in parts:
            wide = sum(piece.width + SPACE for piece in part)
            if rows and wide - SPACE <= room:
                rows[-1] += part
            else:
                rows.append(part)
                room = width
            room -= wide
    return rows


def _parts(group: Sequence[RowPiece]) -> list[list[RowPiece]]:
    """Words beside the product that they stand before."""
    parts: list[list[RowPiece]] = [[]]
    for piece in group:
        parts[-1].append(piece)
        if piece.drawn:
            parts.append([])
    return [part for part in parts if part]


def _pieces(line: DiagramLine) -> list[RowPiece]:
    found = [_word(f"{line.name} =", joins=True)] if line.name else []
    for at, term in enumerate(line.terms):
        told = _front(term, first=at == 0)
        alone = not term.tensors and not any(wire.free for wire in term.wires)
        if alone:
            found.append(_word(told if told.strip("+− ") else f"{told} 1".strip()))
            continue
        found += [_word(told, joins=True)] if told else []
        *parts, last = map(_product, placed(term, line.axes))
        found += [*(replace(part, joins=True) for part in parts), last]
    return found or [_word("0")]


def _front(term: TensorNetwork, first: bool) -> str:
    """The sign, the number and the lengths in front of a product."""
    sign = "−" if term.coefficient < 0 else "" if first else "+"
    size = abs(term.coefficient)
    number = "" if size == 1 else _HALVES.get(size) or _number(size)
    lengths = [f"|{wire.axis.unprimed.name}|" for wire in term.wires if wire.is_length]
    return " ".join(filter(None, [sign, number, *lengths]))


def _number(size: float) -> str:
    """A number, as 1/196 where it is one over a whole one that is shorter."""
    told = f"{size:.12g}"
    if not 0 < size < 1:
        return told
    under = round(1 / size)
    share = f"1/{under}"
    return share if len(share) < len(told) and 1 / under == size else told


def _continued(text: str) -> RowPiece:
    """What a line above has no room for, close below it and set in."""
    width = width_of(text, SIZE) + _SET_IN
    return RowPiece(f'<text x="{_SET_IN}">{escape(text)}</text>', width, up=0.0)


def _word(text: str, joins: bool = False) -> RowPiece:
    return RowPiece(f"<text>{escape(text)}</text>", width_of(text, SIZE), joins=joins)


def _product(at: PlacedNetwork) -> RowPiece:
    edges = "".join(map(_edge, at.strands))
    boxes = "".join(map(_box, at.boxes))
    names = "".join(
        f'<text class="td-axis" x="{n.at[0]:.1f}" y="{n.at[1]:.1f}" text-anchor="{n.anchor}">'
        f"{escape(n.text)}</text>"
        for n in at.names
    )
    return RowPiece(edges + boxes + names, at.width, at.up, at.down, drawn=True)


def _edge(strand: Strand) -> str:
    axis = strand.wire.axis
    size = "" if axis.size is None else f", size {axis.size}"
    what = "" if strand.wire.free else ", summed"
    line = _path(strand.points)
    return (
        f'<g class="td-edge"><title>axis {escape(axis.name)}{size}{what}</title>'
        f'<path class="td-reach" d="{line}"/><path d="{line}"/></g>'
    )


def _path(points: Sequence[Point]) -> str:
    """Straight from point to point, round the corners of an arc."""
    (x, y), *rest = points
    text = f"M{x:.1f} {y:.1f}"
    for at, (x, y) in enumerate(rest):
        if at + 1 == len(rest):
            text += f"L{x:.1f} {y:.1f}"
            continue
        before, after = points[at], rest[at + 1]
        a, b = _toward((x, y), before), _toward((x, y), after)
        text += f"L{a[0]:.1f} {a[1]:.1f}Q{x:.1f} {y:.1f} {b[0]:.1f} {b[1]:.1f}"
    return text


def _toward(corner: Point, other: Point) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    step = min(_BEND, length / 2)
    return corner[0] + dx / length * step, corner[1] + dy / length * step


def _box(box: NodeBox) -> str:
    tensor = box.tensor
    x, y, wide, high = box.left, box.top, box.width, box.height
    if tensor is None:
        return f'<circle class="td-dot" cx="{x + wide / 2:.1f}" cy="{y + high / 2:.1f}" r="3.5"/>'
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"'
    if tensor.kind == "pattern":
        mid, bottom, right = y + high / 2, y + high, x + wide
        shape = (
            f'<path class="td-shape" d="M{x:.1f} {mid:.1f}L{x + 7:.1f} {y:.1f}H{right - 7:.1f}'
            f'L{right:.1f} {mid:.1f}L{right - 7:.1f} {bottom:.1f}H{x + 7:.1f}Z"/>'
        )
    else:
        own = tensor.reads and tensor.reads[0][0] is tensor.node
        shape = f'<rect class="td-shape" {place} rx="{15 if own else 4}"/>'
    legs = ", ".join(map(repr, tensor.legs)) or "a number"
    told = escape(f"{_cut(tensor.meaning or tensor.label)}: {legs}")
    mark = _mark(*box.mark) if box.mark else ""
    return (
        f'<g class="td-tensor td-{tensor.kind}"><title>{told}</title>{shape}{mark}'
        f'<text x="{x + wide / 2:.1f}" y="{y + high / 2:.1f}">{escape(tensor.label)}</text></g>'
    )


def _mark(at: Point, inward: Point) -> str:
    """A small wedge that points into the node."""
    (x, y), (dx, dy) = at, inward
    a, b = (x + 3.5 * dy, y + 3.5 * dx), (x - 3.5 * dy, y - 3.5 * dx)
    tip = (x + 6 * dx, y + 6 * dy)
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in (a, b, tip))
    return f'<polygon class="td-mark" points="{points}"/>'
