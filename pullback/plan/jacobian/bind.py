"""From the symbolic factors of a network to structured factors with numbers in them.

The structure follows from the axes: along the batch a factor is either the same for all samples
or one for each; along the features it is an identity, a diagonal or dense.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod

import numpy as np

from pullback.calculus.factor import Factor as Symbolic
from pullback.errors import ConfigError
from pullback.ir import Axes, Axis, Constant, Input, Node, Parameter
from pullback.plan.jacobian.graph import Fork, Graph, Stage
from pullback.plan.jacobian.operators import Array, Diagonal, Factor, Identity, Matrix, Sum


class Numbers:
    """One forward pass: the output, and every factor's tensor, at a batch of points.

    ``single`` says that the batch is one sample, and drops its axis from the factors.
    """

    def __init__(
        self,
        graph: Graph,
        parameters: Mapping[str, Array],
        inputs: Mapping[str, Array],
        batch: Axis,
        single: bool = False,
    ) -> None:
        self.graph, self.batch = graph, batch
        self.single = single
        self.leaves = {**parameters, **inputs}
        self._found = graph.compiled(parameters, inputs)
        self.output: Array = self._found["output"]
        self.dtype = self.output.dtype
        self._sizes: dict[Axis, int] = {}
        for name, leaf in graph.compiled.leaves.items():
            self._sizes |= zip(leaf.axes, self.leaves[name].shape, strict=True)
        self._made: dict[int, Factor] = {}

    @cached_property
    def samples(self) -> int:
        """How many samples there are."""
        return int(self._sizes[self.batch])

    def size(self, axes: Axes) -> int:
        """The number of entries over some axes."""
        return prod(axis.size or self._sizes[axis] for axis in axes)

    def features(self, node: Node) -> Axes:
        """The axes of a node without the batch."""
        return tuple(axis for axis in node.axes if axis != self.batch)

    def tensor(self, node: Node) -> tuple[Array, Axes]:
        """The value of a factor's tensor, and the axes along which it lies."""
        if isinstance(node, Constant):
            return np.asarray(node.value, self.dtype), ()
        place = self.graph.tensors[node]
        if isinstance(place, Constant):
            return np.asarray(place.value, self.dtype), ()
        if isinstance(place, (Input, Parameter)):
            return self.leaves[place.name], place.axes
        assert isinstance(place, str)
        value, axes = np.asarray(self._found[place]), self.graph.compiled.roots[place].axes
        if self.single and self.batch in axes:
            value = value.squeeze(axes.index(self.batch))
            axes = tuple(axis for axis in axes if axis != self.batch)
        return value, axes

    def chain(self, stages: tuple[Stage, ...]) -> tuple[Factor, ...]:
        """The stages as structured factors; identities are left out."""
        factors = (self.factor(stage) for stage in stages)
        return tuple(factor for factor in factors if not isinstance(factor, Identity))

    def factor(self, stage: Stage) -> Factor:
        """One stage as a structured factor; each is made once."""
        if id(stage) not in self._made:
            self._made[id(stage)] = (
                self._sum(stage) if isinstance(stage, Fork) else self._single(stage)
            )
        return self._made[id(stage)]

    def _sum(self, fork: Fork) -> Factor:
        shape = self.size(self.features(fork.end)), self.size(self.features(fork.start))
        return Sum(tuple(self.chain(branch) for branch in fork.branches), shape)

    def _single(self, symbolic: Symbolic) -> Factor:
        known = self.graph.plans.get((id(symbolic), self.single))
        if known is not None:  # read before, and the tensor stands as the factor needs it
            kind, name, at = known
            value = self._found[name] if name in self._found else self.leaves[name]
            found: Factor = kind(value if at is None else value.squeeze(at))
            return found
        value, axes = self.tensor(symbolic.tensor)
        factor = self._read(symbolic, value, axes)
        place = self.graph.tensors.get(symbolic.tensor)
        if isinstance(factor, (Diagonal, Matrix)) and factor.values is value and place is not None:
            squeezed = isinstance(place, str) and self.single and self._batch_of(place)
            name = place if isinstance(place, str) else getattr(place, "name", "")
            at = self.graph.compiled.roots[name].axes.index(self.batch) if squeezed else None
            self.graph.plans[id(symbolic), self.single] = type(factor), name, at
        return factor

    def _batch_of(self, place: str) -> bool:
        return self.batch in self.graph.compiled.roots[place].axes

    def _read(self, symbolic: Symbolic, value: Array, axes: Axes) -> Factor:
        """The structure of a local Jacobian, from its axes."""
        into = tuple(axis for axis in symbolic.into if axis != self.batch)
        out = tuple(axis for axis in symbolic.out if axis != self.batch)
        if (self.batch in symbolic.into) != (self.batch in symbolic.out):
            raise ConfigError(
                "a sample's output depends on other samples: there is no Jacobian for each sample"
            )
        became = {axis: axis for axis in into if axis in out} | dict(symbolic.ties)
        if [became.get(axis) for axis in into] == list(out):  # nothing is mixed
            turned = tuple(became.get(axis, axis) for axis in axes)
            if not axes and value == 1:
                return Identity(self.size(out))
            laid = self._laid(value, turned, out)
            return Diagonal(laid if len(out) == 1 else laid.reshape(*self._lead(axes), -1))
        if set(into).isdisjoint(out) and not became:
            whole = self._laid(value, axes, out + into)
            if len(into) == len(out) == 1:
                return Matrix(whole)
            return Matrix(whole.reshape(*self._lead(axes), self.size(out), self.size(into)))
        return self._mixed(value, axes, into, out, became)

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

    def _mixed(
        self, value: Array, axes: Axes, into: Axes, out: Axes, became: dict[Axis, Axis]
    ) -> Factor:
        """Diagonal along some axes and dense along others: written out as a matrix."""
        places = {axis: at for at, axis in enumerate((self.batch, *out))}
        after = len(places)
        columns = {axis: after + at for at, axis in enumerate(into)}
        operands: list[object] = [value, [places.get(a, columns.get(a)) for a in axes]]
        for axis in into:
            if axis in became:
                eye = np.eye(self.size((axis,)), dtype=value.dtype)
                operands += [eye, [places[became[axis]], columns[axis]]]
            elif axis not in axes:
                operands += [np.ones(self.size((axis,)), value.dtype), [columns[axis]]]
        carried = set(axes) | set(became.values())
        for axis in out:
            if axis not in carried:
                operands += [np.ones(self.size((axis,)), value.dtype), [places[axis]]]
        lead = [places[self.batch]] if self.batch in axes else []
        order = [*lead, *(places[a] for a in out), *(columns[a] for a in into)]
        whole = np.einsum(*operands, order)  # type: ignore[call-overload]
        return Matrix(whole.reshape(*self._lead(axes), self.size(out), self.size(into)))
