"""The nodes: leaves, three ways to combine (contract, map, add), renaming and two reductions.

Nodes are frozen and interned: two equal expressions are one object, so sharing is by
construction and equality is ``is``. Everything that pullback does reads these few kinds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar
from weakref import WeakValueDictionary

from pullback.ir.axis import Axes, Axis, show, union
from pullback.ir.legality import check

if TYPE_CHECKING:
    from pullback.ir.scalar.function import Scalar

Role = Literal["z", "a", "delta", "gradient", "loss", "value"]
_N = TypeVar("_N")


class _Interned(type):
    """Building a node that exists already gives the one that exists."""

    _known: ClassVar[WeakValueDictionary[tuple[Any, ...], Any]] = WeakValueDictionary()

    def __call__(cls: type[_N], *args: Any, **kwargs: Any) -> _N:
        node: Any = super().__call__(*args, **kwargs)  # type: ignore[misc]
        key = (cls, *(getattr(node, name) for name in node.field_names))
        known: _N | None = _Interned._known.get(key)
        if known is None:
            node.settle()
            _Interned._known[key] = known = node
        return known


class Node(metaclass=_Interned):
    """A tensor with named axes, given by how it is computed."""

    __slots__ = ("__weakref__", "axes_", "digest")
    axes_: Axes
    digest: str  # of the structure: the same in every run, so it can order operands

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(self.__dataclass_fields__)  # type: ignore[attr-defined]

    @property
    def args(self) -> tuple[Node, ...]:
        """The nodes that this one is computed from."""
        return ()

    @property
    def axes(self) -> Axes:
        return self.axes_

    def result_axes(self) -> Axes:
        """The axes of the result, from the fields."""
        raise TypeError(f"{type(self).__name__} does not say its axes")

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        """The same operation on other arguments."""
        return self

    def settle(self) -> None:
        """Check legality and fix what follows from the fields, once, when first built."""
        check(self)
        parts = [type(self).__name__]
        for name in self.field_names:
            value = getattr(self, name)
            if isinstance(value, Node):
                parts.append(value.digest)
            elif isinstance(value, tuple) and value and isinstance(value[0], Node):
                parts.extend(each.digest for each in value)
            else:
                parts.append(repr(value))
        text = "\0".join(parts)
        object.__setattr__(self, "axes_", self.result_axes())
        content = text.encode(errors="surrogatepass")  # a name may hold anything
        object.__setattr__(self, "digest", hashlib.blake2b(content, digest_size=12).hexdigest())

    def __repr__(self) -> str:
        """Kind, name and axes: a shared graph written out in full would grow without end."""
        name = getattr(self, "name", "")
        return f"{type(self).__name__}({f'{name!r}, ' if name else ''}{show(self.axes)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.field_names)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Input(Node):
    """Data: x, the target, a given δ."""

    name: str
    over: Axes

    def result_axes(self) -> Axes:
        return self.over


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Parameter(Node):
    """What training changes, by its name in the state dict."""

    name: str
    over: Axes

    def result_axes(self) -> Axes:
        return self.over


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


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Delta(Node):
    """The identity matrix δ_ij between two axes of one size."""

    row: Axis
    column: Axis

    def result_axes(self) -> Axes:
        return (self.row, self.column)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Selection(Node):
    """The rows ``start:stop`` of an identity matrix, as Python slices: a product with it picks."""

    row: Axis
    column: Axis
    start: int | None
    stop: int | None

    def result_axes(self) -> Axes:
        return (self.row, self.column)

    def picked(self, size: int) -> range:
        """Which entries of the column axis are picked."""
        return range(size)[self.start : self.stop]


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Contract(Node):
    """The product of the factors, summed over every axis that is not in ``over``.

    Matrix product, Hadamard, outer product, scaling, sum, mean, broadcast, trace and transpose
    are all this; it is linear in each factor, so its pullback is another ``Contract``.
    """

    factors: tuple[Node, ...]
    over: Axes

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", _sorted(self.factors))

    @property
    def args(self) -> tuple[Node, ...]:
        return self.factors

    @property
    def summed(self) -> Axes:
        """The axes that disappear."""
        return tuple(a for a in union(f.axes for f in self.factors) if a not in self.over)

    def result_axes(self) -> Axes:
        return self.over

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Contract(args, self.over)


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


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class LogSumExp(Node):
    """log Σ exp over one axis; its linearisation is the softmax."""

    arg: Node
    axis: Axis

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    def result_axes(self) -> Axes:
        return tuple(axis for axis in self.arg.axes if axis != self.axis)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return LogSumExp(args[0], self.axis)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Max(Node):
    """The largest entry along one axis; its linearisation is a selection, shared among ties."""

    arg: Node
    axis: Axis

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    def result_axes(self) -> Axes:
        return tuple(axis for axis in self.arg.axes if axis != self.axis)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Max(args[0], self.axis)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Named(Node):
    """The same tensor under a name: an equation of its own, and a barrier for simplification.

    Without barriers z, a and δ, the things that people want to see, would dissolve.
    """

    name: str
    arg: Node
    role: Role = "value"

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    def result_axes(self) -> Axes:
        return self.arg.axes

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Named(self.name, args[0], self.role)


Leaf = Input | Parameter | Constant | Delta | Selection


def _sorted(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Operands in an order of their own, so that a+b and b+a are one object."""
    return tuple(sorted(nodes, key=lambda node: (type(node).__name__, node.digest)))


def walk(roots: Iterable[Node]) -> Iterator[Node]:
    """Every node below the roots once, arguments first (iterative: networks are deep)."""
    seen: set[Node] = set()
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in seen:
                continue
            if ready:
                seen.add(node)
                yield node
            else:
                stack.append((node, True))
                stack.extend((arg, False) for arg in reversed(node.args) if arg not in seen)


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


def uses(roots: Iterable[Node]) -> dict[Node, int]:
    """How many arguments each node below the roots is; a root counts as one use more."""
    kept = list(roots)
    count = dict.fromkeys(walk(kept), 0)
    for node in count:
        for arg in node.args:
            count[arg] += 1
    for root in kept:
        count[root] += 1
    return count
