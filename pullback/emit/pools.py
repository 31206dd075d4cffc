"""The largest entry of each window as one operation, and its cotangent carried back as another.

In a graph both are products with patterns, maxima along each axis of taps, and one-hots of where
these are. A target with kernels for pooling needs none of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pullback.ir import (
    ArgMax,
    Axes,
    Axis,
    Contract,
    Map,
    Max,
    Node,
    OneHot,
    Pattern,
    Range,
    walk,
)

Numbers = tuple[int, int, int, int]


@dataclass(frozen=True)
class PoolForm:
    """Windows as kernels read them: (channels, *places, batch) and (channels, *positions, batch).

    Of each of the ``windows`` the numbers are stride, dilation, offset and how many taps it has. An
    array without channels has None there.
    """

    places: tuple[Axis | None, ...]
    positions: tuple[Axis | None, ...]
    windows: tuple[Numbers, ...]

    def __repr__(self) -> str:  # nodes are ordered by it
        return repr((self.places, self.positions, self.windows))


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class MaxPool(Node):
    """The largest entries of windows."""

    arg: Node
    form: PoolForm

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    def result_axes(self) -> Axes:
        moved = dict(zip(self.form.places, self.form.positions, strict=True))
        return tuple(moved[axis] or axis for axis in self.arg.axes)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return MaxPool(args[0], self.form)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class MaxPoolBack(Node):
    """The cotangent of what was pooled: each goes to the first largest entry of its window."""

    arg: Node
    delta: Node
    form: PoolForm

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg, self.delta)

    def result_axes(self) -> Axes:
        return self.arg.axes

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return MaxPoolBack(args[0], args[1], self.form)


def with_pools(roots: Iterable[Node]) -> tuple[Node, ...]:
    """The roots, with pools in the place of what they are in a graph."""
    kept = tuple(roots)
    done: dict[Node, Node] = {}
    for node in walk(kept):
        pool = _pool(node) if isinstance(node, Max) else None
        back = _back(node) if isinstance(node, Contract) else None
        if pool is not None:
            done[node] = MaxPool(done[pool.arg], pool.form)
        elif back is not None:
            pool, inside, outside = back
            value = MaxPool(done[pool.arg], pool.form)
            # only largest entries have a cotangent: a function of them is one of their value
            own = [f for f in outside if isinstance(f, Map) and {*f.args} == {pool.arg}]
            slopes = [factor.rebuild((value,) * len(factor.args)) for factor in own]
            delta = Contract((*(done[factor] for factor in inside), *slopes), pool.axes)
            moved = MaxPoolBack(done[pool.arg], delta, pool.form)
            rest = [done[factor] for factor in outside if factor not in own]
            done[node] = Contract((moved, *rest), node.axes)
        else:
            done[node] = node.rebuild(tuple(done[arg] for arg in node.args))
    return tuple(done[root] for root in kept)


def _pool(node: Max) -> MaxPool | None:
    """The pool that maxima along axes of taps are, the last of them first."""
    chain = _chain(node)
    read = chain[-1].arg
    if not isinstance(read, Contract):
        return None
    arrays = [factor for factor in read.factors if not isinstance(factor, Pattern)]
    patterns = [factor for factor in read.factors if isinstance(factor, Pattern)]
    if len(arrays) != 1 or len(patterns) != len(chain):
        return None
    ends = list[tuple[Axis, Axis]]()
    windows = list[Numbers]()
    for each in chain:
        tied = [pattern for pattern in patterns if each.axis in pattern.axes]
        window = _window(each, tied[0], arrays[0].axes) if len(tied) == 1 else None
        if window is None or each.ties != "first":
            return None
        place, position, numbers = window
        ends.append((place, position))
        windows.append(numbers)
    form = _form(ends, windows, arrays[0].axes)
    pool = None if form is None else MaxPool(arrays[0], form)
    return pool if pool is not None and {*pool.axes} == {*node.axes} else None


def _form(
    ends: Sequence[tuple[Axis, Axis]], windows: Sequence[Numbers], axes: Axes
) -> PoolForm | None:
    """The pool of an array with places; None if there are more than channels and a batch beside."""
    places, positions = zip(*ends, strict=True)
    rest = [axis for axis in axes if axis not in places]
    if sorted(axis.size is None for axis in rest) not in ([True], [False, True]):
        return None
    batch = next(axis for axis in rest if axis.size is None)
    channels = next((axis for axis in rest if axis != batch), None)
    return PoolForm((channels, *places, batch), (channels, *positions, batch), tuple(windows))


def sums(axes: Axes, patterns: Sequence[Pattern], over: Axes, back: bool) -> PoolForm | None:
    """The pool that a product of an array and of patterns is: sums over windows, or these ``back``.

    No array carries the taps.
    """
    places, positions = (over, axes) if back else (axes, over)
    found = [_summed(pattern, places, positions) for pattern in patterns]
    known = [each for each in found if each is not None]
    ends = [(place, position) for place, position, _ in known]
    if (
        not known
        or len(known) < len(found)
        or len({axis for end in ends for axis in end}) < len(ends) * 2
    ):
        return None
    moved = dict(ends)
    if {moved.get(axis, axis) for axis in places} != {*positions}:
        return None
    return _form(ends, [numbers for *_, numbers in known], places)


def _summed(pattern: Pattern, places: Axes, positions: Axes) -> tuple[Axis, Axis, Numbers] | None:
    """The window of a pattern whose taps are in neither array."""
    place, position, tap = (
        [axis for axis in pattern.axes if (axis in places, axis in positions) == where]
        for where in ((True, False), (False, True), (False, False))
    )
    if not len(place) == len(position) == len(tap) == 1 or pattern.ranges:
        return None
    return _spacing(pattern, place[0], position[0], tap[0])


def _spacing(
    pattern: Pattern, place: Axis, position: Axis, tap: Axis
) -> tuple[Axis, Axis, Numbers] | None:
    index = pattern.solved(place)
    if index is None or index.lengths or min(index.of(position), index.of(tap)) < 1:
        return None
    return place, position, (index.of(position), index.of(tap), index.offset, tap.size or 0)


def _chain(node: Max) -> list[Max]:
    """Maxima of maxima, the outermost first."""
    found = [node]
    while isinstance(inner := found[-1].arg, Max):
        found.append(inner)
    return found


def _window(node: Max, pattern: Pattern, places: Axes) -> tuple[Axis, Axis, Numbers] | None:
    """The window that a maximum is over; None where it reads zeros beside the array."""
    place = next((axis for axis in pattern.axes if axis in places), None)
    if place is None or len(pattern.axes) != 3 or pattern.ranges:
        return None
    position = next(axis for axis in pattern.axes if axis not in (place, node.axis))
    index, found = pattern.solved(place), _spacing(pattern, place, position, node.axis)
    if index is None or found is None:
        return None
    inside = Range(index, 0, (place.size or 0) - 1)
    there = None if inside.always else Pattern((position, node.axis), (), (inside,))
    # taps beside the axis are no entries, and no zeros either
    return found if node.where is there else None


def _back(node: Contract) -> tuple[MaxPool, Sequence[Node], Sequence[Node]] | None:
    """The pool whose cotangent a product with one-hots and windows carries back, if it is one.

    With it come the factors that are the cotangent, and those by which the result is multiplied.
    """
    hits = {
        factor.index: factor
        for factor in node.factors
        if isinstance(factor, OneHot) and isinstance(factor.index, ArgMax)
    }
    heads = [Max(each.arg, each.axis, "first", each.where) for each in hits]
    pools = {head: pool for head in heads if (pool := _pool(head)) is not None}
    if len(pools) != 1:
        return None
    ((head, pool),) = pools.items()
    chain = _chain(head)
    places = [ArgMax(each.arg, each.axis, each.where) for each in chain]
    windows = [factor for factor in chain[-1].arg.args if isinstance(factor, Pattern)]
    if any(place not in hits or hits[place].axis != place.axis for place in places):
        return None
    taken = {*windows, *(hits[place] for place in places)}
    moved = {axis for factor in taken for axis in factor.axes} - {*pool.axes}
    bounds = [each.where.ranges for each in chain if isinstance(each.where, Pattern)]
    taken |= {f for f in node.factors if isinstance(f, Pattern) and f.ranges in bounds}
    rest = [factor for factor in node.factors if factor not in taken]
    outside = [factor for factor in rest if moved & {*factor.axes}]
    inside = [factor for factor in rest if factor not in outside]
    carried = {axis for factor in inside for axis in factor.axes}
    if not {*windows} <= {*node.factors} or not {*pool.axes} <= carried:
        return None
    if {*node.over} != {*pool.arg.axes} or any(not {*f.axes} <= {*node.over} for f in outside):
        return None
    return pool, inside, outside
