"""The equations of a network as columns of neurons, and the edges between their entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.ir import Axes, Axis, Graph, Named, Node, Parameter, Rename, Scalar, inside
from pullback.ir.flow import flow
from pullback.ir.forms import Affine, Gate, Join, Pointwise
from pullback.ir.source import bare

Array = np.ndarray[Any, np.dtype[Any]]
Sizes = Mapping[Axis, int]


@dataclass(frozen=True)
class NeuronColumn:
    """The neurons of one equation, one for each entry, with the functions ``behind`` it.

    ``layer`` is its form where it is a weighted sum W a + b, ``function`` what it is of its
    ``sources`` entry by entry; with neither, an entry may depend on any.
    """

    node: Named
    sources: tuple[Node, ...]
    layer: Affine | None = None
    function: Scalar | None = None
    behind: tuple[Named, ...] = ()

    @property
    def outlet(self) -> Named:
        """What other columns read."""
        return (self.node, *self.behind)[-1]

    @property
    def steps(self) -> tuple[tuple[Named, Named], ...]:
        """Each function behind it, with what it is a function of in front."""
        return tuple(pairwise((self.node, *self.behind)))

    @property
    def moving(self) -> tuple[Node, ...]:
        """The sources and trained parameters of its right side."""
        return (*self.sources, *(each for each in self.parameters if each.trained))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it has of its own on its right side."""
        return tuple(node for node in inside(self.node) if isinstance(node, Parameter))


def columns_of(graph: Graph) -> tuple[NeuronColumn, ...]:
    """A column for each equation; functions of a weighted sum that only they read belong to it."""
    found: dict[Named, NeuronColumn] = {}  # by what leaves the column
    for node, form in flow(graph).items():
        match form:
            case Affine() if form.scale == 1.0 and _is_offset(form, node):
                found[node] = NeuronColumn(node, form.args, layer=form)
            case Pointwise(arg=Named() as arg) if _goes_on(node, arg, found, graph):
                before = found.pop(arg)
                found[node] = replace(before, behind=(*before.behind, node))
            case Pointwise() | Join() | Gate():
                found[node] = NeuronColumn(node, form.args, function=form.function)
            case _:
                found[node] = NeuronColumn(node, form.args)
    return tuple(found.values())


def _is_offset(form: Affine, node: Named) -> bool:
    return form.bias is None or set(form.bias.axes) <= set(node.axes)


def _goes_on(node: Named, arg: Named, found: Mapping[Named, NeuronColumn], graph: Graph) -> bool:
    """Is it a function that only it takes of what leaves a column of weighted sums?"""
    ends = arg in found and found[arg].layer is not None
    return ends and len(graph.readers(arg)) == 1 and node.axes == arg.axes


@dataclass(frozen=True)
class Edges:
    """Edges between two columns: the entries at both ends, and each one's of W if there is one."""

    sources: Array
    targets: Array
    places: Array = field(default_factory=lambda: np.zeros(0, int))


def weighted_edges(column: NeuronColumn, layer: Affine, sizes: Sizes) -> Edges:
    """One for each product of an entry of W and an entry of a, source by source."""
    here = dict(layer.names)
    weight = tuple(here.get(axis, axis) for axis in layer.weight.axes)
    inputs = _called(column.node, layer.arg)
    at = _grid((*column.node.axes, *layer.summed), sizes)
    ends = inputs, column.node.axes, weight
    sources, targets, places = (_flat(at, axes, sizes) for axes in ends)
    order = np.lexsort((targets, sources))
    return Edges(sources[order], targets[order], places[order])


def bias_places(column: NeuronColumn, bias: Parameter, sizes: Sizes) -> Array:
    """Which entry of the bias each neuron of a column has."""
    return _flat(_grid(column.node.axes, sizes), bias.axes, sizes)


def matching_edges(column: NeuronColumn, source: Node, sizes: Sizes) -> Edges:
    """One for each entry, from the same place of the source."""
    at = _grid(column.node.axes, sizes)
    axes = column.node.axes, _called(column.node, source)
    targets, sources = (_flat(at, each, sizes) for each in axes)
    return Edges(sources, targets)


def _called(equation: Named, source: Node) -> Axes:
    """What the axes of a source are called in an equation that reads it once."""
    nodes = inside(equation)
    renamed = {node.arg for node in nodes if isinstance(node, Rename)}
    return next(n.axes for n in nodes if bare(n) is source and n not in renamed)


def _grid(axes: Axes, sizes: Sizes) -> dict[Axis, Array]:
    """For every combination of places, the place along each axis."""
    grids = np.indices([sizes[axis] for axis in axes]).reshape(len(axes), -1)
    return dict(zip(axes, grids, strict=True))


def _flat(at: dict[Axis, Array], axes: Axes, sizes: Sizes) -> Array:
    found = np.zeros(len(next(iter(at.values()))), int)
    for axis in axes:
        found = found * sizes[axis] + at[axis]
    return found
