"""The network as an SVG: left is input, right is loss; forward arrows thin, backward ones by δ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from pullback.derive.formula.latex import css_name
from pullback.ir import Scalar
from pullback.report.drawing.picture import Array
from pullback.report.layers import LayerColumn, Layers, SkipArc
from pullback.report.words.numbers import count, power_of_ten, short, units

STAGE, MARGIN = 150, 48  # between columns; beside the outer ones
TOP, UNITS, LANE, FOOT = 46, 132, 212, 262  # heights in a row: units, the lane of δ, the end
DOTS = 7  # more units than this are drawn as dots between the first and the last
PER_ROW = 8
THIN, THICK = 2.0, 15.0


@dataclass(frozen=True)
class Sign:
    """A symbol, and the class by which it is found wherever it stands on the page."""

    text: str
    css: str


@dataclass(frozen=True)
class DrawnColumn:
    """One column of units: what is written above and below it, and δ that arrives at it."""

    symbol: Sign
    noun: str
    sizes: tuple[int, ...]
    kind: str  # "data", "forward" or "loss"
    reads_before: bool = True  # the column at its left, and not only others
    weight: Sign | None = None
    delta: Sign | None = None
    norm: float | None = None
    activation: str = ""
    function: Scalar | None = None
    weights: Array | None = None  # (units, units of the column before)
    loops: bool = False

    @property
    def is_flat(self) -> bool:
        """Is it a column of units, and not a grid of tokens, or several grids as maps are?"""
        return len(self.sizes) < 2

    @property
    def places(self) -> list[int]:
        """Which units are drawn: all, or the first and the last."""
        if self.width <= DOTS:
            return list(range(self.width))
        half = DOTS // 2
        return [*range(half), *range(self.width - half, self.width)]

    @property
    def width(self) -> int:
        """How many units there are."""
        return math.prod(self.sizes)


@dataclass(frozen=True)
class DrawingScale:
    """The width of a backward arrow: the logarithm of ‖δ‖, between two powers of ten."""

    low: int
    high: int

    @classmethod
    def of(cls, sizes: Iterable[float]) -> DrawingScale:
        """The powers of ten around some sizes, at least two decades apart."""
        logs = [math.log10(size) for size in sizes if size > 0 and math.isfinite(size)] or [0.0]
        low, high = math.floor(min(logs)), math.ceil(max(logs))
        return cls(min(low, high - 2), high)

    def __call__(self, size: float) -> float:
        if not size > 0:
            return 0.5
        share = (math.log10(size) - self.low) / (self.high - self.low)
        return THIN + (THICK - THIN) * min(max(share, 0.0), 1.0)


def draw(
    layers: Layers,
    norms: Mapping[str, float],
    scale: DrawingScale | None = None,
    params: Mapping[str, Array] = MappingProxyType({}),
) -> str:
    """The drawing; ``norms`` has ‖δ‖ by the layer's path, ``params`` the weights of the edges.

    Deep networks continue on further rows, each of which repeats the column before it.
    """
    columns = _columns(layers, norms, params)
    scale = scale or DrawingScale.of(norms.values())
    rows = _rows(len(columns))
    head = 26 if layers.skips else 0
    width = 2 * MARGIN + STAGE * (max(len(row) for row in rows) - 1)
    height = len(rows) * (FOOT + head) + 40
    body = []
    for at, row in enumerate(rows):
        parts = _row([columns[c] for c in row], scale)
        parts += [_skip(s, row) for s in layers.skips if s.start in row and s.end in row]
        lift = at * (FOOT + head) + head
        body.append(f'<g transform="translate(0 {lift})">{"".join(parts)}</g>')
    body.append(f'<g transform="translate(0 {height - 30})">{_legend(scale)}</g>')
    return (
        f'<svg class="network" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(description(layers, norms))}">{"".join(body)}</svg>'
    )


def description(layers: Layers, norms: Mapping[str, float]) -> str:
    """The drawing in words."""
    forward = [f"{units(each.sizes)} features" for each in layers.sources]
    forward += [f"{units(each.sizes)} {each.activation or 'linear'} units" for each in layers]
    sizes = [f"{each.delta} {short(norms[each.path])}" for each in layers if each.path in norms]
    return f"From left to right: {', '.join(forward)}, the loss. ‖δ‖: {', '.join(sizes)}."


def _unit_sign(layer: LayerColumn) -> Sign:
    """What leaves a layer, or its z where that has other units, as before a pool."""
    if layer.keeps:
        return Sign(layer.out, css_name(str(layer.outlet)))
    return Sign(layer.z, css_name(str(layer.label)))


def _columns(
    layers: Layers, norms: Mapping[str, float], params: Mapping[str, Array]
) -> list[DrawnColumn]:
    names = {symbol: name for name, symbol in layers.parameters.items()}
    first = len(layers.sources)
    middle = [
        DrawnColumn(
            _unit_sign(each), "unit", each.sizes, "forward",
            first + at - 1 in each.reads,
            Sign(each.weight, css_name(names.get(each.weight, ""))),
            Sign(each.delta, css_name(str(each.label.delta))),
            norms.get(each.path), each.activation, each.function,
            params.get(names.get(each.weight, "")) if len(each.sizes) == 1 else None, each.loops,
        )
        for at, each in enumerate(layers)
    ]  # fmt: skip
    inputs = [
        DrawnColumn(Sign(each.symbol, css_name(each.name)), "feature", each.sizes, "data", at == 0)
        for at, each in enumerate(layers.sources)
    ]
    return [*inputs, *middle, DrawnColumn(Sign("L", css_name("loss")), "", (1,), "loss")]


def _rows(columns: int) -> list[range]:
    """Which columns stand in each row; the last one of a row is the first of the next."""
    gaps = max(columns - 1, 1)
    rows = math.ceil(gaps / (PER_ROW - 1))
    ends = [round(gaps * at / rows) for at in range(rows + 1)]
    return [range(start, end + 1) for start, end in pairwise(ends)]


def _row(columns: Sequence[DrawnColumn], scale: DrawingScale) -> list[str]:
    parts = []
    for at, (left, right) in enumerate(pairwise(columns)):
        x0, x1 = _x(at), _x(at + 1)
        if right.reads_before:
            parts.append(_mesh(x0, left, x1, right))
        parts.append(_forward(x0, x1, right))
        if left.norm is not None:
            parts.append(_backward(x0, x1, left, right, scale))
    parts += [_column(_x(at), column) for at, column in enumerate(columns)]
    return parts


def _x(at: int) -> float:
    return MARGIN + STAGE * at


def _places(column: DrawnColumn) -> list[float]:
    """The heights of the units that are drawn, centred."""
    if not column.is_flat:
        return [TOP + UNITS / 2 + at for at in (-30, 0, 30)]
    drawn = min(column.width, DOTS)
    gap = min(UNITS / DOTS, 26)
    middle = TOP + UNITS / 2
    places = [middle + gap * (i - (drawn - 1) / 2) for i in range(drawn)]
    return places if column.width <= DOTS else places[: DOTS // 2] + places[DOTS // 2 + 1 :]


def _mesh(x0: float, left: DrawnColumn, x1: float, right: DrawnColumn) -> str:
    if not (left.is_flat and right.is_flat):
        a, b = _places(left), _places(right)
        reach = "".join(f"M{x0 + 32:g} {u:.1f}L{x1 - 32:g} {v:.1f}" for u, v in zip(
            (a[0], a[len(a) // 2], a[-1]), (b[0], b[len(b) // 2], b[-1]), strict=True))  # fmt: skip
        return f'<path class="mesh" d="{reach}"/>'
    ends = [(i, a, j, b) for i, a in zip(left.places, _places(left), strict=True)
            for j, b in zip(right.places, _places(right), strict=True)]  # fmt: skip
    lines = [f"M{x0 + 9:g} {a:.1f}L{x1 - 9:g} {b:.1f}" for _, a, _, b in ends]
    weights = right.weights
    if weights is None or weights.shape != (right.width, left.width):
        return f'<path class="mesh" d="{"".join(lines)}"/>'
    top = float(np.abs(weights).max()) or 1.0
    edges = zip(lines, (float(weights[j, i]) for i, _, j, _ in ends), strict=True)
    return "".join(
        f'<path class="mesh {"minus" if w < 0 else "plus"}" d="{line}" '
        f'style="stroke-width:{0.3 + 2.4 * abs(w) / top:.2f}"/>'
        for line, w in edges
    )


def _column(x: float, column: DrawnColumn) -> str:
    kind, parts = column.kind, []
    if kind == "loss":
        y = TOP + UNITS / 2
        square = f'<rect class="unit loss" x="{x - 13}" y="{y - 13}" width="26" height="26"/>'
        parts.append(f"<g>{square}{_sign(x, y + 6, column.symbol, 'inverse')}</g>")
        parts.append(_text(x, y + 34, "loss", "small"))
        return "".join(parts)
    parts.append(_sign(x, 22, column.symbol, kind))
    if not column.is_flat:
        drawn = _sheets(x, column)
    elif kind == "data":
        shape = f'<rect class="unit data" x="{x - 6}" y="{{:.1f}}" width="12" height="12"/>'
        drawn = [shape.format(y - 6) for y in _places(column)]
    else:
        shape = f'<circle class="unit forward" cx="{x}" cy="{{:.1f}}" r="6.5"/>'
        drawn = [shape.format(y) for y in _places(column)]
    parts.append(f"<g>{''.join(drawn)}</g>")
    if column.loops:
        parts.append(_loop(x))
    if column.width > DOTS and column.is_flat:
        parts.append(_text(x, TOP + UNITS / 2 + 6, "⋮", "dots"))
    flat = len(column.sizes) < 2  # beside several axes there is no room for what they count
    size = count(column.width, column.noun) if flat else units(column.sizes)
    parts.append(_text(x, 36, size, "small"))
    if column.function is not None:
        parts.append(_glyph(x, column.function))
    if column.activation:
        parts.append(_text(x, LANE + 36, _cut(column.activation), "small"))
    return "".join(parts)


def _sheets(x: float, column: DrawnColumn) -> list[str]:
    """A grid of rows and columns, or some of them one behind another, the first in front."""
    *many, rows, columns = column.sizes
    behind = min(math.prod(many), 4) if many else 1
    cell = 44 / max(rows, columns)
    height, width = max(rows * cell, 8), max(columns * cell, 8)
    found = []
    for at in reversed(range(behind)):
        left, top = x - width / 2 + 4 * at, TOP + UNITS / 2 - height / 2 - 5 * at
        lines = _ruled(left, top, height, width, rows, columns) if at == 0 else ""
        found.append(
            f'<g><rect class="unit {column.kind}" x="{left:.1f}" y="{top:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}"/>{lines}</g>'
        )
    return found


def _ruled(left: float, top: float, height: float, width: float, rows: int, columns: int) -> str:
    """The lines between the cells of a grid that has few enough."""
    if max(rows, columns) > 12:
        return ""
    across = (f"M{left:.1f} {top + height * k / rows:.1f}h{width:.1f}" for k in range(1, rows))
    down = (f"M{left + width * k / columns:.1f} {top:.1f}v{height:.1f}" for k in range(1, columns))
    return f'<path class="rule" d="{"".join([*across, *down])}"/>'


def _loop(x: float) -> str:
    """The arrow of a layer that reads what it has made a step before."""
    y = TOP + UNITS / 2 + 34
    return (
        f'<path class="arrow forward" d="M{x + 16:g} {y - 8:g}C{x + 34:g} {y + 26:g} '
        f'{x - 34:g} {y + 26:g} {x - 17:g} {y:g}"/>'
        f'<path class="head forward" d="M{x - 15:g} {y - 7:g}l-8 5l6 5z"/>'
    )


def _forward(x0: float, x1: float, right: DrawnColumn) -> str:
    middle = (x0 + x1) / 2
    label = _sign(middle, 22, right.weight, "parameter") if right.weight else ""
    if not right.reads_before:
        return label
    start, end = x0 + 40, x1 - 40
    return (
        f'{label}<path class="arrow forward" d="M{start:g} 32H{end:g}"/>'
        f'<path class="head forward" d="M{end + 6:g} 32l-8 -4v8z"/>'
    )


def _backward(
    x0: float, x1: float, column: DrawnColumn, right: DrawnColumn, scale: DrawingScale
) -> str:
    """An arrow from the right column to the left one, as wide as δ there is large.

    It is a stub where δ comes from other columns, along the arcs below.
    """
    size, delta = column.norm or 0.0, column.delta
    assert delta is not None
    half, middle = scale(size) / 2, (x0 + x1) / 2
    tip, neck, end = x0 + 26, x0 + 40, x1 - 26 if right.reads_before else x0 + 54
    wing = half + 4
    points = (
        f"{tip:g},{LANE} {neck:g},{LANE - wing:.1f} {neck:g},{LANE - half:.1f} "
        f"{end:g},{LANE - half:.1f} {end:g},{LANE + half:.1f} {neck:g},{LANE + half:.1f} "
        f"{neck:g},{LANE + wing:.1f}"
    )
    label = f'<tspan class="symbol backward {delta.css}">{escape(delta.text)}</tspan> {short(size)}'
    return (
        f'<g><polygon class="back" points="{points}"><title>‖{escape(delta.text)}‖: '
        f"{short(size)}</title></polygon></g>"
        f'<text class="small" x="{middle:g}" y="{LANE + 32}">{label}</text>'
    )


def _glyph(x: float, function: Scalar) -> str:
    """The activation's curve, and its slope dashed, over −3 … 3."""
    z = np.linspace(-3, 3, 41)
    value = np.broadcast_to(np.asarray(function(z), float), z.shape)
    slope = np.broadcast_to(np.asarray(function.partial(0)(z), float), z.shape)
    both = np.nan_to_num(np.stack([value, slope]), posinf=0, neginf=0)
    low, high = min(both.min(), 0.0), max(both.max(), 1e-9)
    ys = LANE + 13 - 26 * (both - low) / (high - low)
    xs = x + 6 * z
    zero = LANE + 13 + 26 * low / (high - low)
    curves = ["M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(xs, y, strict=True)) for y in ys]
    return (
        f'<g><rect class="plate" x="{x - 22}" y="{LANE - 18}" width="44" height="36" rx="4"/></g>'
        f'<path class="axis" d="M{x - 18} {zero:.1f}H{x + 18}"/>'
        f'<path class="curve backward" d="{curves[1]}"/><path class="curve forward" '
        f'd="{curves[0]}"/>'
    )


def _skip(skip: SkipArc, row: range) -> str:
    """The forward arc of a path that skips layers, above; δ takes it back below."""
    x0, x1 = _x(skip.start - row.start), _x(skip.end - row.start)
    low = LANE + 42
    return (
        f'<path class="arrow forward" d="M{x0:g} 6C{x0:g} -24 {x1:g} -24 {x1:g} 4"/>'
        f'<path class="head forward" d="M{x1:g} 9l-4 -8h8z"/>'
        f'<path class="arrow backward" d="M{x1:g} {low}C{x1:g} {low + 18} {x0:g} {low + 18} '
        f'{x0:g} {low + 2}"/><path class="head backward" d="M{x0:g} {low - 3}l-4 8h8z"/>'
    )


def _legend(scale: DrawingScale) -> str:
    parts = [
        f'<path class="arrow forward" d="M{MARGIN - 30} 8h22"/>'
        f'<path class="head forward" d="M{MARGIN - 2} 8l-8 -4v8z"/>',
        _text(MARGIN + 6, 12, "forward: values", "small start"),
        _text(MARGIN + 122, 12, "backward: ‖δ‖", "small start"),
    ]
    x = MARGIN + 250
    for exponent in sorted({scale.low, (scale.low + scale.high) // 2, scale.high}):
        half = scale(10.0**exponent) / 2
        parts.append(
            f'<g><polygon class="back" points="{x},8 {x + 9},{4 - half:.1f} {x + 9},{8 - half:.1f} '
            f"{x + 30},{8 - half:.1f} {x + 30},{8 + half:.1f} {x + 9},{8 + half:.1f} "
            f'{x + 9},{12 + half:.1f}"/></g>'
        )
        parts.append(_text(x + 36, 12, power_of_ten(exponent), "small start"))
        x += 84
    return "".join(parts)


def _sign(x: float, y: float, sign: Sign, kind: str) -> str:
    return _text(x, y, sign.text, f"symbol {kind} {sign.css}")


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _cut(text: str) -> str:
    return text if len(text) <= 14 else f"{text[:13]}…"
