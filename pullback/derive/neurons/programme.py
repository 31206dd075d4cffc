"""The dynamic programme that fills the graph of neurons with numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from pullback.calculus import gradients, local_map
from pullback.derive.neurons.columns import (
    Array,
    Edges,
    NeuronColumn,
    bias_places,
    matching_edges,
    weighted_edges,
)
from pullback.derive.program import sample_loss
from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import Input, Named, Node, simplify
from pullback.ir.axis import show
from pullback.ir.sizes import Sizes
from pullback.net.checks import checked_batch
from pullback.net.inputs import free
from pullback.net.maps import MapProgram, Values, pulled
from pullback.net.network import Network
from pullback.net.program import compile_program

MOST = 2000  # edges that anybody would look at


def one_sample(net: Network, params: Mapping[str, Any], x: Any, y: Any) -> dict[str, Array]:
    """The inputs and the target of one sample, given with a batch axis or without."""
    names = list(net.xs)
    by_name: dict[str, Any] = dict(x) if isinstance(x, Mapping) else {}
    if not by_name:
        several = x if isinstance(x, tuple) and len(x) == len(names) > 1 else (x,)
        by_name = dict(zip(names, several, strict=False))
    single = False
    for name, leaf in net.xs.items():
        if name in by_name and np.ndim(by_name[name]) == len(leaf.axes) - 1:
            by_name[name], single = np.asarray(by_name[name])[None], True
    wanted = np.asarray(y)
    if wanted.ndim == 0 or (single and wanted.ndim < len(net.target.axes)):
        wanted = wanted[None]
    given = by_name if len(by_name) == len(names) or isinstance(x, Mapping) else x
    found = checked_batch(net, given, wanted, params)
    count = len(found["target"])
    if count != 1:
        raise ConfigError(f"x has {count} samples; the programme is shown for one")
    return {n: a.astype(float) if a.dtype.kind == "f" else a for n, a in found.items()}


class LossNeuron:
    """The loss of one sample, and its derivative by each output."""

    def __init__(self, net: Network, output: Array, target: Array) -> None:
        self.output, self.target = Input("u", net.output.axes), Input("y", net.target.axes)
        if {*self.target.axes} != {*self.output.axes}:
            raise NotApplicableError(
                f"a programme says what is wanted of each output; {net.criterion!r} has targets "
                f"{show(self.target.axes)} for outputs {show(self.output.axes)}"
            )
        (self.node,) = simplify(sample_loss(net, self.output, self.target))
        (self.slope,) = gradients(self.node, [self.output])
        roots = {"loss": self.node, "slope": self.slope}
        program = compile_program(roots, "The loss.", leaves=(self.output, self.target))
        found = program({}, {"u": output, "y": target})
        self.value = float(found["loss"])
        self.components = np.asarray(found["slope"]).reshape(-1)


class NeuronProgramme:
    """The tables that are filled, each a row of numbers for a column of neurons."""

    def __init__(
        self,
        net: Network,
        columns: tuple[NeuronColumn, ...],
        output: Named,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
    ) -> None:
        self.net, self.columns, self.output = net, columns, output
        self.params, self.inputs = params, inputs
        self._check_size()
        self.loss = LossNeuron(net, self.values[output], inputs["target"])
        self.edges = {column: self._edges_into(column) for column in columns}
        self.t = {column: self._slope_behind(column) for column in columns}
        self.v = self._backward()

    @cached_property
    def values(self) -> dict[Node, Array]:
        """Every equation of the forward pass, and every input, as an array."""
        nodes = [node for column in self.columns for node in (column.node, *column.behind)]
        roots = {node.name: node for node in nodes}
        program = compile_program(roots, "Every equation.", leaves=tuple(self.net.xs.values()))
        found = program(self.params, self.inputs)
        known: dict[Node, Array] = {leaf: self.inputs[name] for name, leaf in self.net.xs.items()}
        return known | {node: np.asarray(found[node.name]) for node in nodes}

    def value(self, node: Node) -> Array:
        return self.values[node].reshape(-1)

    @cached_property
    def sizes(self) -> Sizes:
        """How long each axis is."""
        found = Sizes()
        for node, value in self.values.items():
            found.update(zip(node.axes, value.shape, strict=True))
        return found

    def _check_size(self) -> None:
        """Raise ConfigError where there are more edges than anybody would look at."""
        count = 0
        for column in self.columns:
            here = self.value(column.node).size
            if column.layer is not None:
                here *= prod(self.sizes[axis] for axis in column.layer.summed)
            elif column.function is None:
                here *= max((self.value(source).size for source in column.sources), default=0)
            count += here
        if count > MOST:
            raise ConfigError(f"the graph would have {count} edges; at most {MOST} can be read")

    def _edges_into(self, column: NeuronColumn) -> dict[Node, tuple[Edges, Array]]:
        """The edges into a column from each of its sources, with their weights."""
        if column.layer is not None:
            edges = weighted_edges(column, column.layer, self.sizes)
            weights = self.params[column.layer.weight.name].reshape(-1)[edges.places]
            return {column.layer.arg: (edges, weights)}
        found = {}
        for source in column.sources:
            J = self._jacobian(column.node, source)
            if column.function is not None:
                edges = matching_edges(column, source, self.sizes)
            else:
                edges = Edges(*np.nonzero(J.T))
            found[source] = edges, J[edges.targets, edges.sources]
        return found

    @cached_property
    def _maps(self) -> Values:
        """Every local Jacobian that is no weight of a sum."""
        steps = [step for column in self.columns for step in column.steps]
        pairs: list[tuple[Named, Node]] = [(after, before) for before, after in steps]
        pairs += [(c.node, each) for c in self.columns if c.layer is None for each in c.moving]
        maps = [local_map(*pair) for pair in pairs]
        program = MapProgram.of(maps, {}, "Local Jacobians.", tuple(self.net.xs.values()))
        return program(self.params, self.inputs)[1]

    def _jacobian(self, equation: Named, source: Node) -> Array:
        """∂equation/∂source (out, in)."""
        rows = np.eye(self.value(equation).size)
        return self._pulled(equation, source, rows).reshape(len(rows), -1)

    def _pulled(self, equation: Named, source: Node, rows: Array) -> Array:
        """Rows (k, entries of the equation) times ∂equation/∂source."""
        shape = [self.sizes.of(axis) for axis in free(equation.axes)]
        link = local_map(equation, source)
        return pulled(link, self._maps, rows.reshape(-1, *shape), self.sizes)

    def _slope_behind(self, column: NeuronColumn) -> Array:
        """t: the slope of the functions behind a weighted sum, one after another."""
        t = np.ones(self.value(column.node).size)
        for before, after in column.steps:
            t = t * np.diagonal(self._jacobian(after, before))
        return t

    def _backward(self) -> dict[NeuronColumn, Array]:
        """v of the outputs from the loss, v of the others from what they feed."""
        arriving = {
            column.outlet: np.zeros(self.value(column.node).size) for column in self.columns
        }
        arriving[self.output] = arriving[self.output] + self.loss.components
        v: dict[NeuronColumn, Array] = {}
        for column in reversed(self.columns):
            v[column] = self.t[column] * arriving[column.outlet]
            for source, (edges, weights) in self.edges[column].items():
                if source in arriving:
                    np.add.at(arriving[source], edges.sources, weights * v[column][edges.targets])
        return v

    def gradients(self) -> dict[str, Array]:
        """What every trained parameter gathers from the neurons that have it."""
        found = {name: np.zeros(self.params[name].shape) for name in self.net.trained}
        for column in self.columns:
            if column.layer is None:
                self._gather(column, found)
                continue
            ((source, (edges, _)),) = self.edges[column].items()
            weight, bias = column.layer.weight, column.layer.bias
            if weight.trained:
                each = self.v[column][edges.targets] * self.value(source)[edges.sources]
                np.add.at(found[weight.name].reshape(-1), edges.places, each)
            if bias is not None and bias.trained:
                places = bias_places(column, bias, self.sizes)
                np.add.at(found[bias.name].reshape(-1), places, self.v[column])
        return found

    def _gather(self, column: NeuronColumn, found: dict[str, Array]) -> None:
        """The transposed Jacobian of an equation by its parameters, times v."""
        for own in column.parameters:
            if own.trained:
                found[own.name] += self._pulled(column.node, own, self.v[column])[0]
