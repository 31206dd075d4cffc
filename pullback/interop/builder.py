"""Replaying the rows of an imported model: from nodes to nodes, with names and parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from pullback.errors import ConversionError, PullbackError, ShapeError
from pullback.interop.rows import Array, Batch, Held, Ref, Row
from pullback.interop.values import Dim, Dims, PlacedNode, axes_of
from pullback.ir import Axes, Axis, Constant, Contract, Named, Node, Parameter, Rename, layout, walk
from pullback.ir.build import with_axes
from pullback.ir.normal.contraction import renaming
from pullback.ir.normal.regions import is_elementwise
from pullback.nn import Scope
from pullback.nn.noise import NoiseLaw

_JOINED = (
    "it joins the batch with another axis, so that samples would mix; where the samples are nodes "
    "of one graph, make each graph a sample, (batch, nodes, features), and take matmul for mm"
)


class Builder:
    """Builds the results of rows in order; operators ask it for axes, parameters and names."""

    def __init__(self, inputs: Sequence[Node], rows: Sequence[Row], at: Scope) -> None:
        self.at = at
        self.batch = inputs[0].axes[0]
        self.row = Row("", ())
        self.results: list[Any] = [PlacedNode(each, each.axes) for each in inputs]
        self._rows = rows
        self._readers: Counter[int] = Counter()
        self._taken = Counter(axis.name for each in inputs for axis in each.axes)
        self._parameters: dict[str, Parameter] = {}

    def replay(self, output: Ref, applied: Callable[[Builder, Row], Any]) -> Node:
        """The node of one result, with all its axes; ``applied`` says what an operator is.

        Raises ConversionError that names the row which cannot be said in nodes.
        """
        value = self.evaluated(output, applied)
        if not isinstance(value, PlacedNode):
            raise ConversionError("the model's output does not depend on its input")
        value = self.named(value)
        dims = tuple(axis or self.fresh("one", 1) for axis in value.dims)
        if dims and isinstance(dims[0], tuple):
            names = ", ".join(axis.name for axis in dims[0])
            raise ConversionError(
                f"the model's output has no batch in front: {names} are counted as one axis; give "
                "them back as axes of their own, without the view(-1, …) at the end: pullback's "
                "losses take every place"
            )
        if dims[:1] != (self.batch,) or any(isinstance(dim, tuple) for dim in dims):
            raise ConversionError(
                "the model's output has no batch in front; expected (batch, outputs)"
            )
        over = axes_of(dims)
        missing = tuple(axis for axis in over if axis not in value.node.axes)
        node = (
            with_axes(value.node, over)
            if not missing
            else self.equation("a", Contract((Constant(1.0, missing), value.node), over))
        )
        self._forget(node)
        return node

    def _forget(self, output: Node) -> None:
        """Declare no parameter of which only the shape of a value was made."""
        read = {leaf for leaf in walk((output,)) if isinstance(leaf, Parameter)}
        specs = self.at.declarations.specs
        for name in [each.name for each in self._parameters.values() if each not in read]:
            if specs[name].kind != "state":
                del specs[name]

    def evaluated(self, output: Ref, applied: Callable[[Builder, Row], Any]) -> Any:
        """What one result is."""
        needed = self._needed(output)
        self._readers = Counter(
            at for i, row in enumerate(self._rows) if i in needed for at in set(row.reads)
        )
        self._readers[output.index] += 1
        for i, row in enumerate(self._rows):
            self.row = row
            if i not in needed:
                self.results.append(None)
                continue
            try:
                self.results.append(applied(self, row))
            except (PullbackError, IndexError) as fault:
                if row.place in str(fault):
                    raise
                raise ConversionError(f"{row.place}: {fault}") from None
        value = self.resolved(output)
        return value[0] if isinstance(value, tuple) and len(value) == 1 else value

    def _needed(self, output: Ref) -> set[int]:
        """The rows that a result depends on."""
        inputs = len(self.results)
        found, waiting = set(), [output.index]
        while waiting:
            at = waiting.pop() - inputs
            if at >= 0 and at not in found:
                found.add(at)
                waiting += self._rows[at].reads
        return found

    # ------------------------------------------------------------------ results

    def resolved(self, arg: Any) -> Any:
        """An argument with the results of rows in it; what is read twice has its name by now."""
        if isinstance(arg, Ref):
            found = self.results[arg.index]
            if (
                isinstance(found, PlacedNode)
                and found.row is not None
                and self._readers[arg.index] > 1
            ):
                found = self.results[arg.index] = self.named(found)
            return found
        if isinstance(arg, slice):
            return slice(*(self.resolved(each) for each in (arg.start, arg.stop, arg.step)))
        return tuple(map(self.resolved, arg)) if isinstance(arg, tuple) else arg

    def tensor(self, arg: Any) -> PlacedNode:
        """A value as it is, one of the model's tensors as one.

        Raises ConversionError for what is no tensor.
        """
        if isinstance(arg, Held) and arg.number is not None:
            return PlacedNode(Constant(arg.number, ()), (None,) * len(arg.shape))
        if isinstance(arg, Held):
            axes = self.own_axes(arg)
            return PlacedNode(self.parameter(arg, axes), axes)
        if not isinstance(arg, PlacedNode):
            raise ConversionError("it does not read the model's input")
        return arg

    def named(self, value: PlacedNode, part: str = "") -> PlacedNode:
        """The value as an equation, if it is none yet."""
        if value.row is None:
            return value
        node = with_axes(value.node, axes_of(value.dims))
        node = self.equation(value.role, node, value.row, part)
        return replace(
            PlacedNode(node, value.dims), truth=value.truth, where=value.where, far=value.far
        )

    def equation(self, role: str, node: Node, row: Row | None = None, part: str = "") -> Node:
        """A node under the name of a row, or of a part of it."""
        row = row or self.row
        at = self._place_of(row.path)
        found: Named = getattr(at, role)(node, self._name(role, row, part))
        return found

    def noise(self, part: str, axes: Axes, law: NoiseLaw, what: str = "mask") -> Node:
        """An input that is drawn by a law, called after the row."""
        name = ".".join(each for each in (part, what) if each)
        return self.place.noise(self._name("noise", self.row, name), axes, law)

    def _name(self, role: str, row: Row, part: str) -> str:
        """What something of a row, or of a part of it, is called where the row stands."""
        at = self._place_of(row.path)
        name = ".".join(each for each in (row.part, part) if each)
        again = self._taken[f"{role}.{at}.{name}"]
        self._taken[f"{role}.{at}.{name}"] += 1
        if again:
            name = f"{name}.{again}" if name else str(again)
        return name

    # ------------------------------------------------------------------ samples

    def over_samples(self, name: str) -> None:
        """Note that samples are reduced so; raises ConversionError in a model, which may not."""
        raise ConversionError(
            f"{name} is over axis 0; expected the features, and not the batch, whose samples would "
            "mix"
        )

    def over_batch(self, x: PlacedNode, size: Batch) -> PlacedNode:
        """A value over the number of samples; raises ConversionError where they may not mix."""
        raise ConversionError("it computes with the batch's size")

    @property
    def place(self) -> Scope:
        """The place in the model of what is being built."""
        return self._place_of(self.row.path)

    def _place_of(self, path: str) -> Scope:
        return self.at.inside(path) if path else self.at

    # ------------------------------------------------------------------ axes

    def size(self, dim: Dim) -> int | None:
        """How long an axis is; None where only the data will tell."""
        if isinstance(dim, tuple):
            return None
        return 1 if dim is None else self.at.sizes.get(dim, dim.size)

    def has_batch(self, dim: Dim) -> bool:
        """Does a place count samples?"""
        return dim == self.batch or (isinstance(dim, tuple) and self.batch in dim)

    def shape_of(self, value: PlacedNode) -> tuple[Any, ...]:
        """How long its axes are; None where that is not known."""
        return tuple(map(self.length, value.dims))

    def length(self, dim: Dim) -> Any:
        """How long an axis is, as a model asks for it."""
        if not self.has_batch(dim):
            return self.size(dim)
        return Batch(prod(self.known(a) for a in axes_of((dim,)) if a != self.batch))

    def known(self, dim: Dim) -> int:
        """How long an axis is; raises ConversionError where that is not known."""
        size = self.size(dim)
        if self.has_batch(dim):
            raise ConversionError("it works along the batch, so that samples would mix")
        if size is None:
            raise ConversionError(
                f"the length of {dim} is not known here; give example=X[:1] with its shape"
            )
        return size

    def fresh(self, stem: str, size: int) -> Axis:
        """A new axis, called after where the row stands."""
        row = self.row
        place = ".".join(each for each in (str(self.at), row.path, row.part) if each)
        name = f"{stem}.{place}" if place else stem
        again = self._taken[name]
        self._taken[name] += 1
        return Axis(f"{name}.{again}" if again else name, size)

    def meet(self, axis: Axis, size: int | None) -> None:
        """Note that an axis is so long; raises ShapeError where it is not."""
        known = self.size(axis)
        if known is None and size is not None:
            self.at.sized(axis, size, self.row.operator)
        elif None not in (known, size) and known != size:
            raise ShapeError(f"{self.row.place} takes {size} features, but {known} come in")

    def brought(self, value: PlacedNode, targets: Dims) -> Node:
        """The node of a value with its axes called as these, place by place.

        A length of one stands for any length. Raises ConversionError for lengths that differ.
        """
        names: list[tuple[Axis, Axis]] = []
        gone: list[Axis] = []
        value = self._grouped_as(value, targets)
        for axis, target in _pairs(value.dims, targets):
            if axis is None or axis == target:
                continue
            if target is None or (self.size(axis) == 1 != self.size(target)):
                gone.append(axis)
                continue
            if self.batch in (axis, target):
                raise ConversionError(_JOINED)
            sizes = self.size(axis), self.size(target)
            if None not in sizes and sizes[0] != sizes[1]:
                few, many = sorted(size for size in sizes if size is not None)
                raise ConversionError(f"it joins values of {few} and {many} units")
            for one, other in ((axis, sizes[1]), (target, sizes[0])):
                if self.size(one) is None and other is not None:
                    self.meet(one, other)
            names.append((axis, target))
        node = value.node
        if gone:
            node = Contract((node,), tuple(axis for axis in node.axes if axis not in gone))
        return renamed(node, dict(names)) if names else node

    def _grouped_as(self, value: PlacedNode, targets: Dims) -> PlacedNode:
        """The value with the axes that stand beside the batch in one place as many as there."""
        for at, (dim, target) in enumerate(zip(value.dims, targets, strict=True)):
            if not (isinstance(dim, tuple) and isinstance(target, tuple)):
                continue
            (lead, *mine), (other, *theirs) = dim, target
            if lead != self.batch or other != self.batch or len(mine) == len(theirs):
                continue
            if 1 not in (len(mine), len(theirs)):
                raise ConversionError(_JOINED)
            fresh = tuple(self.fresh("apart", self.known(axis)) for axis in theirs)
            if len(mine) == 1:
                node = layout.split(value.node, mine[0], fresh)
            else:
                node = layout.merged(value.node, tuple(mine), fresh[0])
            dims = (*value.dims[:at], (lead, *fresh), *value.dims[at + 1 :])
            value = replace(value, node=node, dims=dims)
        return value

    def real(self, value: PlacedNode, at: int) -> PlacedNode:
        """The value with an axis of its own where it has a length of one."""
        if value.dims[at] is not None:
            return value
        return self.spread(value, at, self.fresh("one", 1))

    def along(self, value: PlacedNode, at: int) -> tuple[PlacedNode, Axis]:
        """The value with an axis of its own at a place, and that axis.

        Raises ConversionError where the place counts samples.
        """
        value = self.real(value, at)
        axis = value.dims[at]
        if not isinstance(axis, Axis) or axis == self.batch:
            raise ConversionError("it works along the batch, so that samples would mix")
        return value, axis

    def wide(self, value: PlacedNode, other: Dims, rank: int) -> PlacedNode:
        """The value with as many places, and along the axes that another has where it has none."""
        value = value.seen((*(None,) * (rank - len(value.dims)), *value.dims))
        other = (*(None,) * (rank - len(other)), *other)
        for at, (dim, axis) in enumerate(zip(value.dims, other, strict=True)):
            if dim is None and isinstance(axis, Axis):
                value = self.spread(value, at, axis)
        return value

    def spread(self, value: PlacedNode, at: int, axis: Axis) -> PlacedNode:
        """The value along another axis, the same everywhere, where it has a length of one."""
        over = tuple(each for each in value.node.axes if each != value.dims[at])
        node = Contract((Constant(1.0, (axis,)), value.node), (*over, axis))
        return replace(value, node=node, dims=(*value.dims[:at], axis, *value.dims[at + 1 :]))

    # ------------------------------------------------------------------ parameters

    def own_axes(self, held: Held) -> Axes:
        """The axes that a tensor of the model has by itself, in the order in which it is read."""
        place = f"{self.at}.{held.name}" if self.at else held.name
        return tuple(Axis(f"{place}.{at}", held.own_shape[at]) for at in held.order)

    def parameter(self, held: Held, axes: Axes) -> Node:
        """A tensor of the model with these axes; the first use says what its own are called."""
        wanted = tuple(axes[held.order.index(at)] for at in range(len(axes)))
        if len(set(wanted)) < len(wanted):
            raise ConversionError(f"it reads the diagonal of {held.name!r}")
        known = self._parameters.get(held.name)
        if known is None:
            sized = all(self.size(axis) is not None for axis in wanted)
            own = wanted if sized else self.own_axes(replace(held, order=tuple(range(len(axes)))))
            at = self._place_of(held.path)
            known = at.parameter(held.part, own, held.law, held.trained)
            self._parameters[held.name] = known
        names = tuple((a, b) for a, b in zip(known.axes, wanted, strict=True) if a != b)
        return Rename(known, names) if names else known

    def constant(self, part: str, axes: Axes, values: Array) -> Parameter:
        """Numbers that are no tensor of the model, as one that is not trained."""
        name = ".".join(each for each in (self.row.part, part) if each)
        again = self._taken[f"constant.{self.row.path}.{name}"]
        self._taken[f"constant.{self.row.path}.{name}"] += 1
        name = f"{name}.{again}" if again else name
        return self.place.parameter(name, axes, values, trained=False)

    def state(self, held: Held, axes: Axes) -> Parameter:
        """A tensor of the model that steps of training replace, with these axes."""
        assert not isinstance(held.law, str)
        made = self._place_of(held.path).state(held.part, axes, held.law)
        self._parameters[held.name] = made
        return made

    def fitted(self, held: Held, targets: Dims) -> Node:
        """A tensor of the model with its axes called as these where they are as long."""
        for target, size in zip(targets, held.shape, strict=True):
            if target is not None and self.size(target) is None and size != 1:
                if isinstance(target, tuple) or target == self.batch:
                    raise ConversionError(
                        f"it joins the batch with the {size} rows of {held.name!r}"
                    )
                self.meet(target, size)
        fits = [
            target is not None and self.size(target) == size
            for target, size in zip(targets, held.shape, strict=True)
        ]
        axes = tuple(
            target if fit and isinstance(target, Axis) else own
            for target, own, fit in zip(targets, self.own_axes(held), fits, strict=True)
        )
        return self.brought(PlacedNode(self.parameter(held, axes), axes), targets)


def _pairs(dims: Dims, targets: Dims) -> Iterator[tuple[Axis | None, Axis | None]]:
    """Each axis and what it is to be called; several in one place meet as many."""
    for dim, target in zip(dims, targets, strict=True):
        if not isinstance(dim, tuple) and not isinstance(target, tuple):
            yield dim, target
        elif isinstance(dim, Axis) and dim.size == 1:
            yield dim, None
        elif dim is not None:
            one, other = axes_of((dim,)), axes_of((target,))
            if len(one) != len(other):
                raise ConversionError(_JOINED)
            yield from zip(one, other, strict=True)


def renamed(node: Node, names: Mapping[Axis, Axis]) -> Node:
    """The node under other axes, called so where its formula reads equations and leaves."""
    here = tuple((old, new) for old, new in names.items() if old in node.axes)
    if not here or isinstance(node, Named) or not is_elementwise(node):
        return renaming(node, here)
    args = tuple(renamed(arg, names) for arg in node.args)
    over = tuple(names.get(axis, axis) for axis in node.axes)
    return (
        with_axes(node.rebuild(args), over)
        if not isinstance(node, Contract)
        else Contract(args, over)
    )
