"""The filled programme as a graph: neurons and edges with their numbers, from the input on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pullback import ir
from pullback.derive.neurons.columns import NeuronColumn, bias_places, columns_of
from pullback.derive.neurons.graph import Edge, LossNode, Neuron, NeuronGraph
from pullback.derive.neurons.programme import NeuronProgramme, one_sample
from pullback.errors import NotApplicableError
from pullback.ir import Label, Named, Node
from pullback.net.checks import checked_parameters
from pullback.net.modes import one_by_one
from pullback.net.network import Network

Names = Mapping[Node, list[str]]


def graph_of(net: Network, params: Mapping[str, Any], x: Any, y: Any) -> NeuronGraph:
    """The graph of one sample, filled.

    Raises NotApplicableError where no equation is a weighted sum, ConfigError for several samples
    and for a graph with too many edges.
    """
    one_by_one(net)
    inputs = one_sample(net, params, x, y)
    # as it was built: a layer whose influence cancels has neurons, too
    built = net.built
    output = built if isinstance(built, Named) else Named(Label("value", "output"), built)
    columns = columns_of(ir.Graph({"output": output}))
    if not any(column.layer for column in columns):
        raise NotApplicableError(
            f"no equation of {net.model!r} is a weighted sum z = W a + b, so there are no neurons "
            "with weights to draw; a block gives its sums a name with at.z(…)"
        )
    held = checked_parameters(net, params, np.float64)
    return _numbered(NeuronProgramme(net, columns, output, held, inputs))


def _numbered(filled: NeuronProgramme) -> NeuronGraph:
    """The filled graph, its neurons and edges numbered from the input on."""
    names = _names(filled)
    depth: dict[Node, int] = dict.fromkeys(filled.net.xs.values(), 0)
    edges: list[Edge] = []
    neurons: list[Neuron] = []
    notes = []
    for column in filled.columns:
        edges += _edges(filled, column, names, len(edges) + 1)
        level = 1 + max((depth[source] for source in column.sources), default=0)
        depth[column.outlet] = level
        neurons += _neurons(filled, column, names[column.outlet], level)
        if column.layer is None and column.function is None:
            notes.append(_note(column, names[column.outlet]))
    number = str(len(neurons) + 1)
    last = [
        Edge(at, name, number, 1.0)
        for at, name in enumerate(names[filled.output], start=len(edges) + 1)
    ]
    edges += last
    loss = LossNode(
        int(number),
        filled.loss.value,
        tuple(map(float, filled.loss.components)),
        tuple(last),
        filled.loss.node,
        filled.loss.slope,
        filled.loss.output,
        filled.loss.target,
    )
    return NeuronGraph(
        tuple(float(x) for leaf in filled.net.xs.values() for x in filled.value(leaf)),
        tuple(map(float, filled.inputs["target"].reshape(-1))),
        tuple(_joined(neuron, edges) for neuron in neurons),
        tuple(edges),
        loss,
        filled.gradients(),
        tuple(notes),
    )


def _names(filled: NeuronProgramme) -> dict[Node, list[str]]:
    """x1, x2, … for the entries of the inputs, 1, 2, … for the neurons."""
    found: dict[Node, list[str]] = {}
    for leaf in filled.net.xs.values():
        start = sum(map(len, found.values())) + 1
        found[leaf] = [f"x{at}" for at in range(start, start + filled.value(leaf).size)]
    start = 1
    for column in filled.columns:
        size = filled.value(column.node).size
        found[column.outlet] = [str(at) for at in range(start, start + size)]
        start += size
    return found


def _edges(filled: NeuronProgramme, column: NeuronColumn, names: Names, first: int) -> list[Edge]:
    """The edges into a column: source by source, as they leave."""
    held = column.layer.weight if column.layer is not None else None
    found: list[Edge] = []
    for source, (edges, weights) in filled.edges[column].items():
        gradients = filled.v[column][edges.targets] * filled.value(source)[edges.sources]
        for at, (i, k) in enumerate(zip(edges.sources, edges.targets, strict=True)):
            edge = Edge(
                first + len(found), names[source][i], names[column.outlet][k], float(weights[at])
            )
            if held is not None:
                place = np.unravel_index(edges.places[at], filled.params[held.name].shape)
                edge = replace(
                    edge,
                    parameter=held.name,
                    place=tuple(map(int, place)),
                    gradient=float(gradients[at]) if held.trained else None,
                )
            found.append(edge)
    return found


def _neurons(
    filled: NeuronProgramme, column: NeuronColumn, names: list[str], level: int
) -> list[Neuron]:
    """The neurons of a column, without their edges."""
    output, is_output = filled.value(column.outlet), column.outlet is filled.output
    d, b = output, np.zeros(output.size)
    if column.layer is not None:
        d = np.zeros(output.size)
        ((source, (edges, weights)),) = filled.edges[column].items()
        np.add.at(d, edges.targets, weights * filled.value(source)[edges.sources])
        if (bias := column.layer.bias) is not None:
            places = bias_places(column, bias, filled.sizes)
            b = filled.params[bias.name].reshape(-1)[places]
    return [
        Neuron(
            number=int(name),
            layer=level,
            output_name=f"{'u' if is_output else 'h'}{name}",
            d=float(d[k]),
            b=float(b[k]),
            output=float(output[k]),
            t=float(filled.t[column][k]),
            v=float(filled.v[column][k]),
            incoming=(),
            outgoing=(),
            is_output=is_output,
            is_sum=column.layer is not None,
            function=column.function,
        )
        for k, name in enumerate(names)
    ]


def _joined(neuron: Neuron, edges: list[Edge]) -> Neuron:
    name = str(neuron.number)
    return replace(
        neuron,
        incoming=tuple(edge for edge in edges if edge.target == name),
        outgoing=tuple(edge for edge in edges if edge.source == name),
    )


def _note(column: NeuronColumn, names: list[str]) -> str:
    """Which neurons have no formula of their own, and why."""
    which = f"neuron {names[0]}" if len(names) == 1 else f"neurons {names[0]} to {names[-1]}"
    own = ", ".join(p.name for p in column.parameters if p.trained)
    gathered = f", and {own} gather v through it" if own else ""
    return (
        f"{which}: no formula for a single neuron, since {column.node.name} is neither a weighted "
        f"sum nor one function for every entry; the edges carry its Jacobian{gathered}"
    )
