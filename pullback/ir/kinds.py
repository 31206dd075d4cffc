"""The kinds of nodes: leaves, three ways to combine, renaming, and names.

A kind says what it is computed from, the axes of its result, and when it is legal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pullback.ir.axis import Axes, Axis, distinct, show, union
from pullback.ir.label import Label, Role
from pullback.ir.node import Node

if TYPE_CHECKING:
    from pullback.ir.scalar.function import Scalar


def meeting(nodes: Sequence[Node]) -> str | None:
    """What is wrong where axes of one name differ in size across operands, else None."""
    return distinct(tuple({axis for node in nodes for axis in node.axes}))


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Input(Node):
    """Data: x, the target, a given δ; ``whole`` numbers, or ``signs``, which are 1 or −1.

    What is computed from one of an ``outline`` has its axes and parameters, and no functions.
    """

    name: str
    over: Axes
    whole: bool = False
    signs: bool = False
    outline: bool = False

    def described(self) -> tuple[Any, ...]:
        said = (("whole", self.whole), ("signs", self.signs), ("outline", self.outline))
        return (self.name, self.over, *(word for word, holds in said if holds))

    def result_axes(self) -> Axes:
        return self.over

    def fault(self) -> str | None:
        return distinct(self.over) if self.name else "a leaf needs a name"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Parameter(Node):
    """What training changes, by its name in the state dict; it is frozen unless ``trained``."""

    name: str
    over: Axes
    trained: bool = True

    def described(self) -> tuple[Any, ...]:
        return (self.name, self.over, *(() if self.trained else ("frozen",)))

    def result_axes(self) -> Axes:
        return self.over

    def fault(self) -> str | None:
        return distinct(self.over) if self.name else "a leaf needs a name"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Constant(Node):
    """One number, the same at every place of its axes."""

    value: float
    over: Axes = ()

    def __post_init__(self) -> None:
        # 1 and 1.0, 0.0 and −0.0 are equal, so they have to have one digest
        object.__setattr__(self, "value", float(self.value) + 0.0)

    def result_axes(self) -> Axes:
        return self.over

    def fault(self) -> str | None:
        return "a constant cannot be NaN" if math.isnan(self.value) else distinct(self.over)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Contract(Node):
    """The product of the factors, summed over every axis that is not in ``over``.

    Matrix product, Hadamard, outer product, scaling, sum, mean, broadcast, trace and transpose
    are all this; it is linear in each factor, so its pullback is another ``Contract``.
    """

    factors: tuple[Node, ...]
    over: Axes
    summed: Axes = field(init=False)  # the axes that disappear

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", _sorted(self.factors))

    def settle(self) -> None:
        Node.settle(self)
        every = union(factor.axes for factor in self.factors)
        object.__setattr__(self, "summed", tuple(a for a in every if a not in self.over))

    @property
    def args(self) -> tuple[Node, ...]:
        return self.factors

    def result_axes(self) -> Axes:
        return self.over

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Contract(args, self.over)

    def lift(self, args: tuple[Node, ...], more: Axes, last: bool) -> Node:
        carried = {axis for arg in args for axis in arg.axes}
        new = tuple(axis for axis in more if axis in carried)
        return Contract(args, self.over + new if last else new + self.over)

    def fault(self) -> str | None:
        if not self.factors:
            return "a product needs at least one factor"
        have = {axis for factor in self.factors for axis in factor.axes}
        missing = tuple(axis for axis in self.over if axis not in have)
        if missing:
            return f"no factor carries the result's axes {show(missing)}"
        return distinct(self.over) or meeting(self.factors)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Map(Node):
    """A scalar function of k arguments, elementwise, with broadcasting by name."""

    function: Scalar
    args_: tuple[Node, ...]

    @property
    def args(self) -> tuple[Node, ...]:
        return self.args_

    def result_axes(self) -> Axes:
        return union(arg.axes for arg in self.args_)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Map(self.function, args)

    def fault(self) -> str | None:
        if self.function.arity != len(self.args):
            return f"{self.function} takes {self.function.arity} arguments, found {len(self.args)}"
        return meeting(self.args)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Add(Node):
    """A sum, with broadcasting by name."""

    terms: tuple[Node, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", _sorted(self.terms))

    @property
    def args(self) -> tuple[Node, ...]:
        return self.terms

    def result_axes(self) -> Axes:
        return union(term.axes for term in self.terms)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Add(args)

    def fault(self) -> str | None:
        return meeting(self.terms) if self.terms else "a sum needs at least one term"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Rename(Node):
    """The same tensor with other names for some axes: square or shared weights, recurrence."""

    arg: Node
    names: tuple[tuple[Axis, Axis], ...]  # (old, new)

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    def result_axes(self) -> Axes:
        new = dict(self.names)
        return tuple(new.get(axis, axis) for axis in self.arg.axes)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Rename(args[0], self.names)

    def fault(self) -> str | None:
        for old, new in self.names:
            if old not in self.arg.axes:
                return f"there is no axis {old} in {show(self.arg.axes)}"
            if old.size != new.size and None not in (old.size, new.size):
                return f"{old} and {new} differ in size"
        return distinct(self.result_axes())


@dataclass(frozen=True, eq=False, slots=True, repr=False, init=False)
class Named(Node):
    """The same tensor under a name: an equation of its own, and a barrier for simplification.

    Without barriers z, a and δ, the things that people want to see, would dissolve.
    """

    label: Label
    arg: Node
    name: str

    def __init__(self, name: Label | str, arg: Node, role: Role = "value") -> None:
        label = name if isinstance(name, Label) else Label.spelled(name, role)
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "arg", arg)
        object.__setattr__(self, "name", str(label))

    @property
    def field_names(self) -> tuple[str, ...]:
        return ("label", "arg")

    def described(self) -> tuple[Any, ...]:
        # the order of operands goes by what is read, however the label was put together
        return (self.name, self.arg, self.role)

    @property
    def role(self) -> Role:
        """What it is: z, a, a statistic, a δ, a gradient, the loss, or any value."""
        return self.label.role

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    def result_axes(self) -> Axes:
        return self.arg.axes

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Named(self.label, args[0])

    def fault(self) -> str | None:
        return None if self.name else "a name is empty"


def _sorted(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Operands in an order of their own, so that a+b and b+a are one object."""
    return tuple(sorted(nodes, key=lambda node: (type(node).__name__, node.digest)))


def inside(named: Named) -> tuple[Node, ...]:
    """Every node of the right side; other Named nodes are leaves of it."""
    seen: dict[Node, None] = {}
    waiting: list[Node] = [named.arg]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen[node] = None
            waiting.extend(() if isinstance(node, Named) else node.args)
    return tuple(seen)
