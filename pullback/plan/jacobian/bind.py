"""From the local Jacobians of a network to structured operators with numbers in them.

The structure follows from the axes: along the batch an operator is either the same for all samples
or one for each; along the features it is an identity, a diagonal or dense.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod

import numpy as np

from pullback.calculus import LinearMap, Routes
from pullback.errors import ConfigError
from pullback.ir import Axes, Axis, Constant, Input, Node, Parameter, walk
from pullback.ir.sizes import Sizes, axis_sizes
from pullback.plan.jacobian.local import Branches, LocalJacobians, Stage
from pullback.plan.jacobian.operators import (
    Array,
    DiagonalOperator,
    IdentityOperator,
    MatrixOperator,
    Operator,
    SumOperator,
    WebOperator,
)
from pullback.plan.jacobian.places import PatternOperator, PlacesOperator


class Numbers:
    """One forward pass: the output, and every local Jacobian's tensor, at a batch of points.

    ``single`` says that the batch is one sample, and drops its axis from the operators.
    """

    def __init__(
        self,
        local: LocalJacobians,
        parameters: Mapping[str, Array],
        inputs: Mapping[str, Array],
        batch: Axis,
        single: bool = False,
    ) -> None:
        self.local, self.batch = local, batch
        self.single = single
        self.leaves = {**parameters, **inputs}
        self._found = local.compiled(parameters, inputs)
        self.output: Array = self._found["output"]
        self.dtype = self.output.dtype
        self._made: dict[int, Operator] = {}

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.output)

    @cached_property
    def _sizes(self) -> Sizes:
        compiled = self.local.compiled
        shapes = {name: self.leaves[name].shape for name in compiled.leaves}
        key = "sizes", tuple(shapes.values())
        if key not in self.local.plans:
            nodes = (*compiled.leaves.values(), *walk((self.local.root,)))
            self.local.plans[key] = axis_sizes(nodes, shapes)
        found: Sizes = self.local.plans[key]
        return found

    @cached_property
    def open_sizes(self) -> tuple[tuple[Axis, int], ...]:
        """The axes of a sample whose size the data tell."""
        found = ((a, n) for a, n in self._sizes.items() if a.size is None and a != self.batch)
        return tuple(found)

    def size(self, axes: Axes) -> int:
        """The number of entries over some axes."""
        return prod(axis.size or self._sizes.of(axis) for axis in axes)

    def features(self, node: Node) -> Axes:
        """The axes of a node without the batch."""
        return tuple(axis for axis in node.axes if axis != self.batch)

    def is_of_samples(self, node: Node) -> bool:
        """Has the node a value for each sample? Else it is made of parameters alone."""
        return self.batch in node.axes

    def tensor(self, link: LinearMap) -> tuple[Array, Axes]:
        """The value of a local Jacobian's tensor, and the axes along which it lies."""
        place, axes = self.local.place(link)
        if isinstance(place, Constant):
            return np.asarray(place.value, self.dtype), axes
        value = self._held(place)
        if self.single and self.batch in axes:
            value = value.squeeze(axes.index(self.batch))
            axes = tuple(axis for axis in axes if axis != self.batch)
        return value, axes

    def _held(self, place: str | Node) -> Array:
        """A result of the program by its key, or a leaf."""
        if isinstance(place, str):
            return np.asarray(self._found[place])
        assert isinstance(place, (Input, Parameter))
        return self.leaves[place.name]

    def chain(self, stages: tuple[Stage, ...]) -> tuple[Operator, ...]:
        """The stages as operators; identities are left out."""
        found = (self.operator(stage) for stage in stages)
        return tuple(each for each in found if not isinstance(each, IdentityOperator))

    def operator(self, stage: Stage) -> Operator:
        """One stage as an operator; each is made once."""
        if id(stage) not in self._made:
            self._made[id(stage)] = self._operator(stage)
        return self._made[id(stage)]

    def _operator(self, stage: Stage) -> Operator:
        match stage:
            case Branches():
                return self._sum(stage)
            case Routes():
                return self._web(stage)
        return self._single(stage)

    def _sum(self, branches: Branches) -> Operator:
        return SumOperator(tuple(self.chain(way) for way in branches.ways), self._shape(branches))

    def _web(self, ways: Routes) -> Operator:
        at = {node: place for place, node in enumerate((ways.start, *ways.into))}
        into = (
            tuple((at[source], self.operator(link)) for source, link in links)
            for links in ways.into.values()
        )
        return WebOperator(tuple(into), self._shape(ways))

    def _shape(self, stage: Branches | Routes) -> tuple[int, int]:
        return self.size(self.features(stage.end)), self.size(self.features(stage.start))

    def _single(self, link: LinearMap) -> Operator:
        if (windows := self.local.windows.get(link)) is not None:
            return PatternOperator(windows, self.leaves, self.dtype)
        known = self.local.plans.get((id(link), self.single))
        if known is not None:  # read before, and the tensor stands as the operator needs it
            kind, place, at = known
            held = self._held(place)
            found: Operator = kind(held if at is None else held.squeeze(at))
            return found
        value, axes = self.tensor(link)
        operator = self._read(link, value, axes)
        as_it_is = getattr(operator, "values", None) is value
        place, over = self.local.place(link)
        if as_it_is and not isinstance(place, Constant):
            at = over.index(self.batch) if self.single and self.batch in over else None
            self.local.plans[id(link), self.single] = type(operator), place, at
        return operator

    def _read(self, link: LinearMap, value: Array, axes: Axes) -> Operator:
        """The structure of a local Jacobian, from its axes."""
        called = dict(link.names)
        every = tuple(called.get(axis, axis) for axis in link.into)
        into = tuple(axis for axis in every if axis != self.batch)
        out = tuple(axis for axis in link.out if axis != self.batch)
        if (self.batch in every) != (self.batch in link.out):
            raise ConfigError(
                "a sample's output depends on other samples: there is no Jacobian for each sample"
            )
        became = {axis: axis for axis in into if axis in out} | dict(link.ties)
        if [became.get(axis) for axis in into] == list(out):  # nothing is mixed
            turned = tuple(became.get(axis, axis) for axis in axes)
            if not axes and value == 1:
                return IdentityOperator(self.size(out))
            laid = self._laid(value, turned, out)
            return DiagonalOperator(laid if len(out) == 1 else laid.reshape(*self._lead(axes), -1))
        if set(into).isdisjoint(out) and not became:
            whole = self._laid(value, axes, out + into)
            if len(into) == len(out) == 1:
                return MatrixOperator(whole)
            return MatrixOperator(whole.reshape(*self._lead(axes), self.size(out), self.size(into)))
        return self._at_places(value, axes, into, out, became)

    def _at_places(
        self, value: Array, axes: Axes, into: Axes, out: Axes, became: dict[Axis, Axis]
    ) -> Operator:
        """Dense along some axes; along others each place has its own matrix, or all have one."""
        index = {axis: at for at, axis in enumerate(out)}
        onto = tuple(index.values())
        inner = tuple(axis for axis in into if axis not in became)
        index_in = {axis: len(out) + at for at, axis in enumerate(inner)}
        within = tuple(index[became[a]] if a in became else index_in[a] for a in into)
        tied = {became[axis] for axis in into if axis in became}
        turned = tuple(became.get(axis, axis) for axis in axes)
        groups = tuple(axis for axis in out if axis in tied and axis in turned)
        outer = tuple(axis for axis in out if axis not in tied)
        each = self._laid(value, turned, groups + outer + inner)
        sides = (self.size(side) for side in (groups, outer, inner))
        lengths = {at: self.size((axis,)) for axis, at in (*index.items(), *index_in.items())}
        each = each.reshape(*self._lead(axes), *sides)
        return PlacesOperator(each, within, onto, tuple(index[a] for a in groups), lengths)

    def _lead(self, axes: Axes) -> tuple[int, ...]:
        return (self.samples,) if self.batch in axes else ()

    def _laid(self, value: Array, axes: Axes, over: Axes) -> Array:
        """The value with its axes in this order after the batch, filled out where it lacks one."""
        full = (self.batch, *over) if self.batch in axes else over
        if axes == full:
            return value
        ordered = value.transpose([axes.index(axis) for axis in full if axis in axes])
        spread = np.expand_dims(ordered, [i for i, axis in enumerate(full) if axis not in axes])
        return np.broadcast_to(spread, [self.size((axis,)) for axis in full])
