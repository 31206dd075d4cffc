"""The section about single neurons: the dynamic programme of a small network, to point at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.derive import Text, derive
from pullback.derive.neurons.table import NOTE, Neurons, TableEntry
from pullback.errors import PullbackError
from pullback.interop.measured import Measured
from pullback.ir import Input, Named, Node, Scalar, flow
from pullback.ir.forms import Affine, Pointwise
from pullback.net.network import Network
from pullback.nn import Block, Linear, Sequential
from pullback.nn.activation import of_function
from pullback.nn.init import Scheme
from pullback.report.drawing.figures import to_csv
from pullback.report.drawing.neuron_svg import draw
from pullback.report.drawing.tables import scrolled, table
from pullback.report.sections.neuron_cards import cards, hints_of
from pullback.report.sections.section import Item, Picture, Section
from pullback.report.words.functions import function_name
from pullback.report.words.numbers import short

TALLEST, MOST_EDGES = 6, 48  # more neurons in a column, or weights, cannot be told apart
MINIATURE, DEEPEST = 2, 3  # units of a layer, and layers, of the stand-in


@dataclass(frozen=True)
class Shown:
    """The programme of one sample, filled; ``miniature`` if of a smaller network, ``why``.

    ``activations`` names the function of a neuron, by its number, where it has one.
    """

    neurons: Neurons
    activations: Mapping[int, str]
    miniature: str = ""
    why: str = ""


@dataclass(frozen=True)
class _Step:
    """A layer and the functions behind it."""

    form: Affine
    functions: tuple[Scalar, ...]


def neurons_of(
    net: Network, params: Mapping[str, Any], x: Any, y: Any, scheme: Scheme | None, seed: int
) -> Shown | str:
    """The programme of the network, or of one in miniature; or the reason why there is none."""
    chain = _chain(net)
    try:
        if chain is None or _is_small(*_size(chain)):
            found = derive(net).neurons(params, x, y)
            edges, widest = len(found.graph.edges), _tallest(found)
            if chain is not None or _is_small(edges, widest):
                return Shown(found, _names(chain or (), found))
            return (
                f"it would have {edges:,} edges and up to {widest} neurons in a column, and the "
                "network is not a stack of layers, of which a small one would do"
            )
        small, widths = _miniature(chain)
        tiny = Network(_model(small, widths), loss=net.criterion)
        # what was measured layer by layer says nothing of other layers
        held = tiny.init(seed, None if isinstance(scheme, Measured) else scheme)
        found = derive(tiny).neurons(held, *_sample(tiny, widths))
    except PullbackError as error:
        return str(error).rstrip(".")
    edges, widest = _size(chain)
    count = "–".join(map(str, widths))
    if len(small) < len(chain):
        count += f" ({len(small)} of its layers)"
    why = (
        f"This network has {edges:,} weights in layers of up to {widest} units: from "
        f"{TALLEST + 1} units in a layer or {MOST_EDGES + 1} weights on, it is too large to draw."
    )
    return Shown(
        found, _names(small, found), f"{count}, at initialisation, on a made-up sample", why
    )


def neurons(shown: Shown | str) -> Section:
    """The drawing with a card for each node, and the whole table in filling order."""
    title, name = "Neuron by neuron", "neurons"
    method = (
        f"{NOTE} It is the same dynamic programme as the matrix form above, cell by cell, and "
        "gives the same gradients."
    )
    if isinstance(shown, str):
        why = f"The graph of single neurons is not drawn: {shown}."
        return Section(name, title, why, "exact", "The derivation above holds all the same.", ())
    entries = shown.neurons.entries
    cells = f"{len(entries)} cells, each filled once from cells that are filled already"
    told = f"Every gradient of one sample takes {cells}."
    if shown.why:
        told = f"{shown.why} Here is a small network with the same structure, {shown.miniature}."
    caption = (
        "Point at a node, or reach it by Tab: its formulas stand below with their numbers, and its "
        "edges light up. Blue comes in from the left; vermilion goes back, as the neuron's v."
    )
    graph = scrolled(draw(shown.neurons.graph), "The graph of neurons")
    held = "".join(cards(shown.neurons, shown.activations))
    html = f'<div class="programme">{graph}<div class="cards" aria-live="polite">{held}</div></div>'
    items: tuple[Item, ...] = (
        Picture(name, html, caption, _csv(entries)),
        "<details><summary>Every cell, in the order in which they are filled</summary>"
        f"{_all(shown.neurons)}</details>",
    )
    return Section(name, title, told, "exact", method, items)


def hints(shown: Shown | str) -> dict[str, dict[str, str]]:
    """What the page shows over a symbol of the graph, by its class."""
    return {} if isinstance(shown, str) else hints_of(shown.neurons)


def _chain(net: Network) -> list[_Step] | None:
    """The network as layers of numbers with functions between them, if it is that."""
    graph = net.built_graph
    forms = flow(graph)
    found: list[_Step] = []
    waiting: list[Scalar] = []
    node: Node = net.built
    while isinstance(node, Named):
        form = forms[node]
        if isinstance(form, Pointwise):
            waiting.insert(0, form.function)
        elif isinstance(form, Affine) and _is_layer(form, node):
            found.insert(0, _Step(form, tuple(waiting)))
            waiting = []
        else:
            return None
        node = form.arg
    own = len({step.form.weight for step in found}) == len(found)
    return found if isinstance(node, Input) and own and not waiting else None


def _is_layer(form: Affine, node: Named) -> bool:
    return form.is_matrix and form.scale == 1 and len(node.axes) == 2


def _size(chain: Sequence[_Step]) -> tuple[int, int]:
    """How many weights there are, and units in the largest layer."""
    sizes = [(step.form.n_in, step.form.n_out) for step in chain]
    return sum(into * out for into, out in sizes), max(map(max, sizes), default=0)


def _is_small(edges: int, widest: int) -> bool:
    return widest <= TALLEST and edges <= MOST_EDGES


def _tallest(found: Neurons) -> int:
    """The most neurons in a column, or inputs."""
    columns = Counter(neuron.layer for neuron in found.graph.neurons)
    return max(len(found.graph.inputs), *columns.values())


def _names(chain: Sequence[_Step], found: Neurons) -> dict[int, str]:
    """The function behind each neuron of a chain, by the neuron's number."""
    named = [", then ".join(map(function_name, step.functions)) for step in chain]
    return {
        neuron.number: named[neuron.layer - 1] or "the identity"
        for neuron in found.graph.neurons
        if named
    }


def _miniature(chain: list[_Step]) -> tuple[list[_Step], list[int]]:
    """The first and the last layers, and their widths: at most two units each."""
    kept = chain if len(chain) <= DEEPEST else [*chain[: DEEPEST - 1], chain[-1]]
    sizes = [kept[0].form.n_in, *(step.form.n_out for step in kept)]
    return kept, [min(size, MINIATURE) for size in sizes]


def _model(chain: Sequence[_Step], widths: Sequence[int]) -> Block:
    """Layers of these widths with the functions of those of a chain."""
    blocks: list[Block] = []
    for step, (into, out) in zip(chain, pairwise(widths), strict=True):
        blocks.append(Linear(into, out, bias=step.form.bias is not None))
        blocks += [of_function(each) for each in step.functions]
    return Sequential(*blocks)


def _sample(net: Network, widths: Sequence[int]) -> tuple[Any, Any]:
    """A sample with something to learn: small inputs, the first class or value 1."""
    features, outputs = widths[0], widths[-1]
    x = np.array([0.8, -0.4])[:features]
    kind = net.criterion.target
    if kind == "signs":
        return x, np.where(np.arange(outputs) == 0, 1.0, -1.0)
    return x, np.eye(outputs)[0]


def _csv(entries: Sequence[TableEntry]) -> str:
    text = Text()
    rows = ((e.where, text(e.name), text(e.formula), f"{e.value:.8g}") for e in entries)
    return to_csv(["where", "name", "formula", "value"], rows)


def _all(found: Neurons) -> str:
    text = Text()
    return table(
        {
            "where": [e.where for e in found.entries],
            "cell": [text(e.name) for e in found.entries],
            "formula": [text(e.formula) for e in found.entries],
            "value": [short(e.value) for e in found.entries],
        },
        "Every cell",
    )
