"""A small network as a graph of neurons, and the dynamic programme that fills it with numbers.

Forward every neuron keeps d, its weighted sum without bias, and t, the slope of its activation.
Backward it keeps one number more, v = t · Σ w v over what it feeds; a weight's gradient is then
v times the weight's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.calculus import gradients
from pullback.derive.steps.affine import affine, pointwise
from pullback.errors import ConfigError
from pullback.ir import Input, Named, Node, Parameter, Scalar, simplify
from pullback.ir.build import sum_over
from pullback.ir.evaluate import evaluate
from pullback.net.checks import checked_data, checked_parameters
from pullback.net.network import Network

MOST = 2000  # edges that anybody would look at


@dataclass(frozen=True)
class Edge:
    """A weight from one node to another; the edges into the loss are constantly 1."""

    number: int
    source: str  # x1, 1, 2, …: an input's name or a neuron's number
    target: str
    weight: float
    parameter: str = ""  # the array that holds the weight, and where in it
    place: tuple[int, int] = (0, 0)
    gradient: float | None = None

    @property
    def name(self) -> str:
        return f"w{self.number}"


@dataclass(frozen=True)
class Neuron:
    """One neuron: its sum d, bias b, output, slope t, and gradient intermediate value v."""

    number: int
    layer: int
    output_name: str
    d: float
    b: float
    output: float
    t: float
    v: float
    incoming: tuple[Edge, ...]
    outgoing: tuple[Edge, ...]
    is_output: bool = False


@dataclass(frozen=True)
class LossNode:
    """The loss e; ``components`` has its derivative with respect to each output alone."""

    number: int
    value: float
    components: tuple[float, ...]
    incoming: tuple[Edge, ...]
    node: Node
    slope: Node  # the derivative that the components are entries of
    output: Input
    target: Input


@dataclass(frozen=True)
class Layer:
    """What the neurons of one layer share."""

    z: Named
    weight: Parameter
    bias: Parameter | None
    functions: tuple[Scalar, ...]

    def activate(self, z: float) -> tuple[float, float]:
        """f(z) and f′(z)."""
        value, slope = z, 1.0
        for function in self.functions:
            slope *= float(function.partial(0)(value))
            value = float(function(value))
        return value, slope


@dataclass(frozen=True)
class Graph:
    """The filled graph: inputs, neurons in the order of their numbers, and the loss."""

    inputs: tuple[float, ...]
    targets: tuple[float, ...]
    layers: tuple[Layer, ...]
    neurons: tuple[Neuron, ...]
    edges: tuple[Edge, ...]
    loss: LossNode


def graph_of(net: Network, params: Mapping[str, Any], x: Any, y: Any) -> Graph:
    """The graph of one sample, filled. Raises ConfigError for what is no stack of layers."""
    row, target = _one_sample(net, x, y)
    held = checked_parameters(net, params, row.dtype)
    layers = _layers(net)
    count = sum(int(np.prod(layer.weight.axes[0].size or 1)) for layer in layers)
    edges = sum(held[layer.weight.name].size for layer in layers)
    if edges > MOST:
        raise ConfigError(f"the graph would have {edges} edges; at most {MOST} can be read")
    filling = _Filling(layers, held, row[0])
    filling.forward()
    u, t = Input("u", net.output.axes), Input("y", net.target.axes)
    each = net.criterion.per_sample(u, t)
    (loss,) = simplify(sum_over(each, each.axes))
    (slope,) = gradients(loss, [u])
    last = np.array([[filling.outputs[name] for name in filling.last]])
    at = {"u": last, "y": target}
    components = evaluate(Named("s", slope), at).reshape(-1)
    filling.backward(components)
    loss_node = LossNode(
        number=count + 1,
        value=float(evaluate(loss, at)),
        components=tuple(map(float, components)),
        incoming=tuple(filling.edges[-len(filling.last) :]),
        node=loss,
        slope=slope,
        output=u,
        target=t,
    )
    return Graph(
        tuple(map(float, row[0])),
        tuple(map(float, target[0])),
        tuple(layers),
        filling.neurons(),
        tuple(filling.graded()),
        loss_node,
    )


def _one_sample(net: Network, x: Any, y: Any) -> tuple[Any, Any]:
    row = np.asarray(x)
    wanted = np.asarray(y)
    single = row[None] if row.ndim == 1 else row
    several = (
        wanted[None] if wanted.ndim < 2 and not (row.ndim == 2 and wanted.ndim == 1) else wanted
    )
    checked, target = checked_data(net, single, several)
    if len(checked) != 1:
        raise ConfigError(f"x has {len(checked)} samples; the programme is shown for one")
    return checked, target


def _layers(net: Network) -> list[Layer]:
    """The network as layers of neurons, from the input on."""
    waiting: list[Scalar] = []
    found: list[Layer] = []
    # as it was built: a layer whose influence cancels has neurons, too
    node = net.built
    place = node
    while isinstance(node, Named):
        place, parts = node, affine(node.arg)
        if node.role == "z" and parts is not None:
            found.append(Layer(node, parts[0], parts[2], tuple(reversed(waiting))))
            waiting, node = [], parts[1]
            continue
        before = pointwise(node)
        if before is None:
            break
        node, function = before
        waiting.append(function)
    if not isinstance(node, Input) or waiting or not found:
        raise ConfigError(
            f"{net.model!r} is not a stack of Linear blocks with activations behind them"
            f"{f': {place.name} is something else' if isinstance(place, Named) else ''}; "
            "the graph of neurons is drawn for such a stack"
        )
    return found[::-1]


@dataclass
class _Filling:
    """The tables that the dynamic programme fills, by a neuron's name."""

    layers: list[Layer]
    params: Mapping[str, Any]
    x: Any
    outputs: dict[str, float] = field(default_factory=dict)
    d: dict[str, float] = field(default_factory=dict)
    b: dict[str, float] = field(default_factory=dict)
    t: dict[str, float] = field(default_factory=dict)
    v: dict[str, float] = field(default_factory=dict)
    layer: dict[str, int] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    last: list[str] = field(default_factory=list)

    def forward(self) -> None:
        """Edges are numbered source by source, as they leave; neurons layer by layer."""
        before = [f"x{i}" for i in range(1, len(self.x) + 1)]
        self.outputs.update(zip(before, map(float, self.x), strict=True))
        for depth, layer in enumerate(self.layers, start=1):
            weights = self.params[layer.weight.name]
            here = [str(len(self.d) + k) for k in range(1, weights.shape[0] + 1)]
            for i, source in enumerate(before):
                for k, target in enumerate(here):
                    edge = Edge(
                        len(self.edges) + 1, source, target, float(weights[k, i]),
                        layer.weight.name, (k, i),
                    )  # fmt: skip
                    self.edges.append(edge)
            biases = self.params[layer.bias.name] if layer.bias is not None else np.zeros(len(here))
            for k, name in enumerate(here):
                self.d[name] = sum(e.weight * self.outputs[e.source] for e in self.into(name))
                self.b[name], self.layer[name] = float(biases[k]), depth
                self.outputs[name], self.t[name] = layer.activate(self.d[name] + self.b[name])
            before = here
        self.last = before
        loss = str(len(self.d) + 1)
        self.edges += [
            Edge(len(self.edges) + k, name, loss, 1.0) for k, name in enumerate(before, start=1)
        ]

    def into(self, name: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.target == name]

    def out_of(self, name: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.source == name]

    def backward(self, components: Any) -> None:
        """v of the outputs from the loss, v of the others from what they feed."""
        for name, component in zip(self.last, components, strict=True):
            self.v[name] = float(component) * 1.0 * self.t[name]
        for name in reversed([n for n in self.d if n not in self.last]):
            self.v[name] = self.t[name] * sum(
                edge.weight * self.v[edge.target] for edge in self.out_of(name)
            )

    def graded(self) -> list[Edge]:
        """Every edge with its gradient; those into the loss have none."""
        return [
            Edge(
                e.number, e.source, e.target, e.weight, e.parameter, e.place,
                self.v[e.target] * self.outputs[e.source] if e.parameter else None,
            )
            for e in self.edges
        ]  # fmt: skip

    def neurons(self) -> tuple[Neuron, ...]:
        edges = self.graded()
        return tuple(
            Neuron(
                number=int(name),
                layer=self.layer[name],
                output_name=f"{'u' if name in self.last else 'h'}{name}",
                d=self.d[name],
                b=self.b[name],
                output=self.outputs[name],
                t=self.t[name],
                v=self.v[name],
                incoming=tuple(e for e in edges if e.target == name),
                outgoing=tuple(e for e in edges if e.source == name),
                is_output=name in self.last,
            )
            for name in self.d
        )
