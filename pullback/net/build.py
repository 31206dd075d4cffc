"""A model built on its inputs, and its outline: axes and parameters without the functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pullback.errors import ShapeError
from pullback.ir import Axes, Axis, Input, Node, Parameter, walk
from pullback.ir.axis import show
from pullback.nn import Block, Declarations, ParameterSpec, Scope


@dataclass(frozen=True)
class Outline:
    """What a network takes, has and gives: inputs with their sizes, parameters, output axes."""

    inputs: dict[str, Input]
    specs: tuple[ParameterSpec, ...]
    axes: Axes
    declared: Declarations


def outlined(
    model: Block, inputs: Mapping[str, Input], ours: bool, training: bool = True
) -> Outline:
    """The outline of a model; axes that are declared without a size learn it from the blocks.

    ``ours``: every block is pullback's own, so that those without parameters need not be built, and
    equal models have one outline.
    """
    return (_outline_of_ours if ours else _outline)(model, tuple(inputs.items()), ours, training)


def _outline(
    model: Block, inputs: tuple[tuple[str, Input], ...], ours: bool, training: bool
) -> Outline:
    sizes: dict[Axis, int] = {}
    if len(inputs) == 1 and inputs[0][1].axes[1:] and model.n_in:
        sizes[inputs[0][1].axes[-1]] = model.n_in
    while True:
        sized = {name: _sized(each, sizes, ours) for name, each in inputs}
        at = Scope.outline(training) if ours else Scope.top(training)
        output = built(model, sized, at)
        learnt = {a: at.sizes[a] for each in sized.values() for a in each.axes if a in at.sizes}
        if not learnt:
            specs = _with_axes(at.specs, output)
            given = {name: _sized(each, sizes) for name, each in inputs}
            return Outline(given, specs, output.axes, at.declarations)
        sizes |= learnt


_outline_of_ours = lru_cache(maxsize=16)(_outline)


def _with_axes(specs: tuple[ParameterSpec, ...], output: Node) -> tuple[ParameterSpec, ...]:
    """The specs, those that a block lists by hand too, with the axes of what is built of them."""
    if all(len(spec.over) == len(spec.shape) for spec in specs):
        return specs
    axes = {leaf.name: leaf.axes for leaf in walk((output,)) if isinstance(leaf, Parameter)}
    return tuple(replace(spec, over=axes.get(spec.name, ())) for spec in specs)


def built(model: Block, inputs: Mapping[str, Input], at: Scope) -> Node:
    """The output of a model; one of several inputs takes them as a dict of nodes by name.

    Raises ShapeError for an output without the batch in front.
    """
    single = len(inputs) == 1 and "x" in inputs
    given: Any = inputs["x"] if single else dict(inputs)
    output = at.build(model, given)
    batch = next(iter(inputs.values())).axes[0]
    if output.axes[:1] != (batch,):
        raise ShapeError(
            f"{model!r} gives the axes {show(output.axes)}; expected the batch first, as "
            "(batch, outputs): the numbers of each sample"
        )
    return output


def _sized(leaf: Input, sizes: Mapping[Axis, int], outline: bool = False) -> Input:
    axes = tuple(Axis(a.name, sizes[a]) if a.size is None and a in sizes else a for a in leaf.axes)
    return Input(leaf.name, axes, leaf.whole, outline=outline)
