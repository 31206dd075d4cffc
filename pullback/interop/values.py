"""Tensors of another library as nodes: axes by place, lengths of one, and broadcasting."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pullback.interop.rows import Batch, Held, Row
from pullback.ir import Axes, Axis, Node

Dim = Axis | Axes | None
Dims = tuple[Dim, ...]


@dataclass(frozen=True, eq=False)
class PlacedNode:
    """A node with its axes in the other library's order.

    None is a length of one without an axis, several axes in one place are the batch and others that
    the other library counts as one.

    A value that has no name yet, because a formula around it may take it in, or a bias join it, has
    the ``row`` that it will be called after, and its ``role``; ``plain`` if it is one activation
    that has a name of its own, ``cases`` if it chooses by a comparison, ``parts`` says how long it
    is, and ``of`` what it is a function of; ``truth`` if it is 1 where something holds and else 0,
    ``far`` if some entries are a number so far below 0 that the others lose their digits beside it.
    Entries where ``where`` is 0 do not count, as −∞ would
    not in a softmax.
    """

    node: Node
    dims: Dims
    row: Row | None = None
    role: str = "a"
    plain: bool = False
    cases: bool = False
    parts: int = 1
    of: frozenset[Node] = frozenset()
    core: tuple[float, PlacedNode] | None = None  # a number and the activation that it multiplies
    where: PlacedNode | None = None
    truth: bool = False
    far: bool = False

    @property
    def sources(self) -> frozenset[Node]:
        """What it is a function of, entry by entry: itself, if it has a name."""
        return self.of or frozenset((self.node,))

    def seen(self, dims: Dims) -> PlacedNode:
        """The same numbers with other axes, or in another order."""
        return replace(self, dims=dims)


@dataclass(frozen=True, eq=False)
class ComplexPair:
    """A complex value: its real and its imaginary part."""

    parts: tuple[PlacedNode, ...]


@dataclass(frozen=True)
class Compared:
    """What a choice is made by."""

    relation: str
    left: object
    right: object


@dataclass(frozen=True)
class CountedPlaces:
    """Whole numbers that count, the samples maybe, behind so many lengths of one."""

    numbers: range | Batch
    before: int = 0


@dataclass(frozen=True, eq=False)
class ShiftedPlaces:
    """Whole numbers of an input, each moved on by a constant."""

    places: PlacedNode
    by: Held


@dataclass(frozen=True, eq=False)
class Labels:
    """Class numbers, one a sample, which pullback holds as one-hot rows (batch, classes)."""

    rows: Node


def axes_of(dims: Dims) -> Axes:
    """The axes in the order of their places."""
    found: list[Axis] = []
    for dim in dims:
        found += () if dim is None else (dim,) if isinstance(dim, Axis) else dim
    return tuple(found)


def place_of(dim: int, rank: int) -> int:
    """An axis counted from the front; raises IndexError for one that is not there."""
    at = dim + rank if dim < 0 else dim
    if not 0 <= at < rank:
        raise IndexError(f"axis {dim} of {rank}")
    return at
