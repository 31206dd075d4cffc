"""The graph of neurons as SVG: left is the input, right is the loss."""

from __future__ import annotations

from html import escape

from pullback.derive.neurons.graph import Edge, NeuronGraph

FORWARD, BACKWARD, PARAMETER, DATA = "#0072B2", "#D55E00", "#4D4D4D", "#009E73"
_ACROSS, _DOWN, _RADIUS, _MARGIN = 270.0, 170.0, 34.0, 70.0
_NEAR, _FAR = 0.36, 0.64  # where on an edge w and g stand: at its source, at its target


def draw(graph: NeuronGraph) -> str:
    """The drawing as a self-contained SVG element with a text alternative."""
    columns = _columns(graph)
    tallest = max(map(len, columns))
    places = {
        name: (_MARGIN + at * _ACROSS, _MARGIN + (k + (tallest - len(names)) / 2) * _DOWN)
        for at, names in enumerate(columns)
        for k, name in enumerate(names)
    }
    width = 2 * _MARGIN + (len(columns) - 1) * _ACROSS
    height = 2 * _MARGIN + (tallest - 1) * _DOWN + 60
    largest = max((abs(n.v) for n in graph.neurons), default=0.0) or 1.0
    parts = [_edge(edge, graph, places, largest) for edge in graph.edges]
    parts += [_labels(edge, places) for edge in graph.edges]
    parts += [_node(name, graph, places[name]) for names in columns for name in names]
    summary = (
        f"{len(graph.neurons)} neurons and {len(graph.edges)} edges; loss {graph.loss.value:.4g}"
    )
    legend = (
        f'<text x="{_MARGIN:g}" y="{height - 8:g}"><tspan fill="{FORWARD}">forward: thin, to the '
        f'right</tspan> · <tspan fill="{BACKWARD}">backward: to the left, as wide as |v|</tspan> · '
        f'<tspan fill="{PARAMETER}">w: weight</tspan></text>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            'role="img" font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{escape(summary)}</title>",
            '<rect width="100%" height="100%" fill="white"/>',
            "<defs>"
            + "".join(_arrow(name, colour) for name, colour in
                      (("right", FORWARD), ("left", BACKWARD)))
            + "</defs>",
            *parts,
            legend,
            "</svg>",
        ]
    )  # fmt: skip


def _columns(graph: NeuronGraph) -> list[list[str]]:
    inputs = [f"x{i}" for i in range(1, len(graph.inputs) + 1)]
    depths = sorted({neuron.layer for neuron in graph.neurons})
    layers = [[str(n.number) for n in graph.neurons if n.layer == d] for d in depths]
    return [inputs, *layers, [str(graph.loss.number)]]


def _arrow(name: str, colour: str) -> str:
    return (
        f'<marker id="pullback-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" '
        f'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
    )


def _edge(
    edge: Edge, graph: NeuronGraph, places: dict[str, tuple[float, float]], largest: float
) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    ux, uy = (x2 - x1) / length * _RADIUS, (y2 - y1) / length * _RADIUS
    forward = (
        f'<line x1="{x1 + ux:.1f}" y1="{y1 + uy - 3:.1f}" '
        f'x2="{x2 - ux:.1f}" y2="{y2 - uy - 3:.1f}" '
        f'stroke="{FORWARD}" marker-end="url(#pullback-right)"/>'
    )
    component = dict(
        zip((e.source for e in graph.loss.incoming), graph.loss.components, strict=True)
    )
    known = edge.target.isdigit() and int(edge.target) <= len(graph.neurons)
    flow = graph.neurons[int(edge.target) - 1].v if known else component[edge.source]
    backward = (
        f'<line x1="{x2 - ux:.1f}" y1="{y2 - uy + 3:.1f}" '
        f'x2="{x1 + ux:.1f}" y2="{y1 + uy + 3:.1f}" '
        f'stroke="{BACKWARD}" stroke-width="{0.5 + 3.5 * min(1.0, abs(flow) / largest):.2f}" '
        'marker-end="url(#pullback-left)"/>'
    )
    return forward + backward


def _labels(edge: Edge, places: dict[str, tuple[float, float]]) -> str:
    """The weight and its gradient; drawn after all edges, so that none strikes them through."""
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    weight = _label(
        x1 + _NEAR * (x2 - x1), y1 + _NEAR * (y2 - y1) - 8, PARAMETER,
        f"{edge.name}={edge.weight:.3g}",
    )  # fmt: skip
    if edge.gradient is None:
        return weight
    gradient = _label(
        x1 + _FAR * (x2 - x1), y1 + _FAR * (y2 - y1) + 17, BACKWARD,
        f"g{edge.number}={edge.gradient:.3g}",
    )  # fmt: skip
    return weight + gradient


def _label(x: float, y: float, colour: str, text: str) -> str:
    """Words with a rim of paper around them."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}" stroke="white" '
        f'stroke-width="4" paint-order="stroke">{text}</text>'
    )


def _node(name: str, graph: NeuronGraph, place: tuple[float, float]) -> str:
    x, y = place
    if name.startswith("x"):
        value = graph.inputs[int(name[1:]) - 1]
        return _circle(x, y, DATA, [(name, DATA), (f"{value:.3g}", DATA)])
    if int(name) > len(graph.neurons):
        lines = [(f"{name}: e", "black"), (f"{graph.loss.value:.3g}", "black")]
        components = zip(graph.loss.incoming, graph.loss.components, strict=True)
        beside = [(f"s{e.source}={value:.3g}", BACKWARD) for e, value in components]
        return _circle(x, y, "black", lines, beside)
    neuron = graph.neurons[int(name) - 1]
    lines = [(f"{name}: {neuron.output_name}", FORWARD), (f"{neuron.output:.3g}", FORWARD)]
    beside = [
        (f"d={neuron.d:.3g}", FORWARD),
        (f"t={neuron.t:.3g}", FORWARD),
        (f"v={neuron.v:.3g}", BACKWARD),
    ]
    return _circle(x, y, FORWARD, lines, beside)


def _circle(
    x: float,
    y: float,
    colour: str,
    inside: list[tuple[str, str]],
    below: list[tuple[str, str]] | None = None,
) -> str:
    parts = [f'<circle cx="{x:g}" cy="{y:g}" r="{_RADIUS:g}" fill="white" stroke="{colour}"/>']
    parts += [
        f'<text x="{x:g}" y="{y - 3 + 16 * k:g}" text-anchor="middle" fill="{c}">'
        f"{escape(text)}</text>"
        for k, (text, c) in enumerate(inside)
    ]
    parts += [
        f'<text x="{x:g}" y="{y + _RADIUS + 14 + 14 * k:g}" text-anchor="middle" fill="{c}">'
        f"{escape(text)}</text>"
        for k, (text, c) in enumerate(below or [])
    ]
    return "".join(parts)
