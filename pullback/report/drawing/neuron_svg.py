"""The graph of neurons as an SVG that answers: each node can be pointed at or reached by key."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pullback.derive.formula.latex import css_name
from pullback.derive.neurons.graph import Edge, NeuronGraph
from pullback.report.words.numbers import short, subscripted

WIDTH, WIDEST, CLOSEST = 940.0, 232.0, 196.0  # of the page, between columns at most, at least
RADIUS, MARGIN = 30.0, 56.0
_ROOMY, _DENSE = 118.0, 84.0  # between the nodes of a column, for few and for many
_NEAR, _FAR = 0.36, 0.66  # where on an edge its label stands: at the source, at the target

Place = tuple[float, float]


def draw(graph: NeuronGraph) -> str:
    """Left is the input, right the loss; labels of edges show while one of their ends is lit."""
    columns = _columns(graph)
    places = _places(columns)
    width = max(x for x, _ in places.values()) + MARGIN
    height = max(y for _, y in places.values()) + MARGIN + 24
    edges = "".join(_edge(edge, graph, places) for edge in graph.edges)
    nodes = "".join(_node(name, graph, places[name]) for names in columns for name in names)
    label = (
        f"{len(graph.neurons)} neurons from {len(graph.inputs)} inputs to the loss "
        f"{short(graph.loss.value)}; move through them by Tab"
    )
    return (
        f'<svg class="neurons" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="group" aria-label="{escape(label)}">{edges}{nodes}</svg>'
    )


def _columns(graph: NeuronGraph) -> list[list[str]]:
    inputs = [f"x{i}" for i in range(1, len(graph.inputs) + 1)]
    depths = sorted({neuron.layer for neuron in graph.neurons})
    layers = [[str(n.number) for n in graph.neurons if n.layer == d] for d in depths]
    return [inputs, *layers, [str(graph.loss.number)]]


def _places(columns: Sequence[Sequence[str]]) -> dict[str, Place]:
    tallest = max(map(len, columns))
    across = min(WIDEST, max(CLOSEST, (WIDTH - 2 * MARGIN) / (len(columns) - 1)))
    down = _ROOMY if tallest <= 3 else _DENSE
    return {
        name: (MARGIN + at * across, MARGIN + (k + (tallest - len(names)) / 2) * down)
        for at, names in enumerate(columns)
        for k, name in enumerate(names)
    }


def _edge(edge: Edge, graph: NeuronGraph, places: dict[str, Place]) -> str:
    """A thin line that goes forward, its label at the target's side for what comes back."""
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    ux, uy = (x2 - x1) / length * RADIUS, (y2 - y1) / length * RADIUS
    line = f"M{x1 + ux:.1f} {y1 + uy:.1f}L{x2 - ux:.1f} {y2 - uy:.1f}"
    number = subscripted("", edge.number)
    weight = _label(
        places[edge.source], places[edge.target], _NEAR, "parameter",
        f"w{number} = {short(edge.weight)}", f"n-w-{edge.number}",
    )  # fmt: skip
    slopes = dict(zip((e.number for e in graph.loss.incoming), graph.loss.components, strict=True))
    gradient = ""
    if edge.number in slopes:
        text = f"{subscripted('s', edge.source)} = {short(slopes[edge.number])}"
        ends = places[edge.source], places[edge.target]
        gradient = _label(*ends, _FAR, "backward", text, f"n-s-{edge.source}")
    elif edge.gradient is not None:
        gradient = _label(
            places[edge.source], places[edge.target], _FAR, "backward",
            f"g{number} = {short(edge.gradient)}", f"n-g-{edge.number}",
        )  # fmt: skip
    return (
        f'<g class="edge" data-from="{edge.source}" data-to="{edge.target}">'
        f'<path d="{line}"/>{weight}{gradient}</g>'
    )


def _label(start: Place, end: Place, at: float, kind: str, text: str, key: str) -> str:
    x, y = (a + at * (b - a) for a, b in zip(start, end, strict=True))
    y += 11 if at > 0.5 else -11  # level edges would strike the words through
    half = 3.4 * len(text) + 5
    return (
        f'<g class="label"><rect x="{x - half:.1f}" y="{y - 10:.1f}" width="{2 * half:.1f}" '
        f'height="19" rx="4"/><text class="{kind} {css_name(key)}" x="{x:.1f}" y="{y + 4:.1f}">'
        f"{escape(text)}</text></g>"
    )


def _node(name: str, graph: NeuronGraph, place: Place) -> str:
    x, y = place
    if name.startswith("x"):
        value = graph.inputs[int(name[1:]) - 1]
        shape = f'<rect class="data" x="{x - 27}" y="{y - 22:g}" width="54" height="44" rx="3"/>'
        symbol = subscripted("x", name[1:])
        return _held(name, x, y, shape, "data", symbol, f"n-x-{name[1:]}", value, "")
    if int(name) > len(graph.neurons):
        value = graph.loss.value
        shape = f'<rect class="loss" x="{x - 27}" y="{y - 24:g}" width="54" height="48"/>'
        return _held(name, x, y, shape, "inverse", "e", "n-e-", value, "")
    neuron = graph.neurons[int(name) - 1]
    symbol = subscripted(neuron.output_name[0], name)
    shape = f'<circle class="forward" cx="{x:g}" cy="{y:g}" r="{RADIUS:g}"/>'
    below = (
        f'<g><text class="back {css_name(f"n-v-{name}")}" x="{x:g}" y="{y + RADIUS + 15:g}">'
        f"{subscripted('v', name)} = {short(neuron.v)}</text></g>"
    )
    key = f"n-{neuron.output_name[0]}-{name}"
    return _held(name, x, y, shape, "forward", symbol, key, neuron.output, below)


def _held(
    name: str,
    x: float,
    y: float,
    shape: str,
    kind: str,
    symbol: str,
    key: str,
    value: float,
    below: str,
) -> str:
    what = "input" if name.startswith("x") else "loss" if symbol == "e" else f"neuron {name}"
    return (
        f'<g class="node" tabindex="0" role="img" data-node="{name}" '
        f'aria-label="{what}: {symbol} = {short(value)}">{shape}'
        f'<text class="symbol {kind} {css_name(key)}" x="{x:g}" y="{y - 3:g}">{symbol}</text>'
        f'<text class="{kind}" x="{x:g}" y="{y + 13:g}">{short(value)}</text>{below}</g>'
    )
