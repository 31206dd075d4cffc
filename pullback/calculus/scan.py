"""The local Jacobian of a loop: another loop along the stored states, forwards or backwards.

Neither is written down: both are sweeps over the body's own linearisations. What a turn needs of
the first loop is computed before the second one runs, for all turns at once; the cotangents of what
is read are computed after it, so that a weight's is one product over all turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pullback.calculus.factor import Kind, LinearMap
from pullback.calculus.sweep import Rows, pull, push
from pullback.calculus.written_out import Pairs, written_out
from pullback.ir import (
    Axes,
    Axis,
    Constant,
    Contract,
    Input,
    LogSumExp,
    Max,
    Named,
    Node,
    OneHot,
    Rename,
    Scan,
    simplify,
    walk,
)
from pullback.ir.build import spread, sum_over
from pullback.ir.lift import lifted
from pullback.ir.lookup import is_whole
from pullback.ir.node import depending_on
from pullback.ir.pick import entry
from pullback.ir.scan import Body

Vectors = tuple[tuple[int, Node], ...]  # changes of arguments, by their places


@dataclass(frozen=True)
class ScanMap(LinearMap):
    """How a loop depends on one of its arguments: applied by another loop, either way.

    The tensor is the loop's pushforward of an identity.
    """

    scan: Scan
    place: int
    rows: Rows
    transposed: bool = False
    ties = ()

    @property
    def tensor(self) -> Node:  # type: ignore[override]
        return self._whole[0]

    @property
    def names(self) -> Pairs:  # type: ignore[override]
        return self._whole[1]

    @property
    def _whole(self) -> tuple[Node, Pairs]:
        return _matrix(self.scan, self.place, self._apart, self.rows)

    @property
    def _apart(self) -> Axes:
        """The axes along which no turn sums, renames or takes the largest."""
        mixed = {self.scan.over, *_mixed(self.scan)}
        return tuple(a for a in self.into if a in self.out and a not in mixed)

    @property
    def into(self) -> Axes:  # type: ignore[override]
        return self.scan.axes if self.transposed else self.scan.args[self.place].axes

    @property
    def out(self) -> Axes:  # type: ignore[override]
        return self.scan.args[self.place].axes if self.transposed else self.scan.axes

    @property
    def T(self) -> ScanMap:
        return ScanMap(self.scan, self.place, self.rows, not self.transposed)

    def __matmul__(self, vector: Node) -> Node:
        if self.transposed:
            return _pulled(self.scan, ((self.scan.of, vector),), self.rows)[self.place]
        return _pushed(self.scan, ((self.place, vector),), self.rows)

    def pushed(self, changes: Sequence[tuple[LinearMap, Node]]) -> list[Node]:
        """One loop for the changes of all arguments, which whatever else it makes reads as well."""
        given = tuple((link.place, v) for link, v in changes if isinstance(link, ScanMap))
        return [_pushed(self.scan, given, self.rows)]

    def pulled(self, cotangents: Sequence[tuple[Node, Node]]) -> Node:
        values = tuple((each.of, vector) for each, vector in cotangents if isinstance(each, Scan))
        return _pulled(self.scan, values, self.rows)[self.place]

    def structure(self) -> dict[str, Kind]:
        """Diagonal along an axis that no turn sums or renames, dense along every other."""
        return {
            axis.name: "diagonal" if axis in self._apart else "dense"
            for axis in dict.fromkeys(self.into + self.out)
        }


def _mixed(scan: Scan) -> Iterable[Axis]:
    """The axes along which the entries of a turn meet."""
    for node in walk((*scan.body.nexts, scan.of)):
        if isinstance(node, Contract):
            yield from node.summed
        elif isinstance(node, (LogSumExp, Max)):
            yield node.axis
        elif isinstance(node, Rename):
            yield from (axis for pair in node.names for axis in pair)
        elif isinstance(node, Scan):
            yield from _mixed(node)


@lru_cache(maxsize=32)
def _pulled(scan: Scan, values: tuple[tuple[Node, Node], ...], rows: Rows) -> tuple[Node, ...]:
    """The cotangents of all arguments, for those of some nodes of a turn at all turns.

    λ before a turn is the pullback of λ after it, and of what is given there.
    """
    body = scan.body
    given = {Input(f"given.{k}", of.axes): of for k, (of, _) in enumerate(values)}
    errors = tuple(Input(f"error.{k}", each.axes) for k, each in enumerate(body.states))
    seeds = [*zip(body.nexts, errors, strict=True), *((of, leaf) for leaf, of in given.items())]
    found = pull(seeds, body.placeholders, rows)
    before = tuple(_or_zero(found, state) for state in body.states)
    starts = tuple(Constant(0.0, state.axes) for state in body.states)
    stacked = _stacked(scan, *given.values())
    stacked |= {leaf: vector for leaf, (_, vector) in zip(given, values, strict=True)}
    back = _Loop(scan, errors, before, starts, stacked, not scan.backward)
    results: list[Node] = [
        entry(back.after(k), scan.over, -1 if scan.backward else 0) for k in range(len(body.states))
    ]
    for read, arg in zip(body.reads, scan.reads, strict=True):
        slope = back.outside(_or_zero(found, read))
        if scan.over in arg.axes:
            results.append(spread(slope, arg.axes))
        else:
            results.append(sum_over(spread(slope, (scan.over, *arg.axes)), (scan.over,)))
    return tuple(results)


@lru_cache(maxsize=32)
def _pushed(scan: Scan, vectors: Vectors, rows: Rows) -> Node:
    """The change of the stacked node for those of some arguments: the body's own pushforward."""
    body = scan.body
    moved, tangents = _moved(scan.at(body.nexts[0]), vectors, rows)
    if scan.of in body.nexts:
        return moved.after(body.nexts.index(scan.of))
    found = push((scan.of,), tangents, rows)
    whole = moved.outside(_or_zero(found, scan.of), _stacked(scan, scan.of))
    return spread(whole, scan.axes)


@lru_cache(maxsize=32)
def _moved(scan: Scan, vectors: Vectors, rows: Rows) -> tuple[_Loop, dict[Node, Node]]:
    """The loop along which the states change, and the changes that a turn is given."""
    body = scan.body
    changes = tuple(Input(f"change.{k}", each.axes) for k, each in enumerate(body.states))
    tangents: dict[Node, Node] = dict(zip(body.states, changes, strict=True))
    starts: list[Node] = [Constant(0.0, state.axes) for state in body.states]
    stacked = _stacked(scan)
    for place, vector in vectors:
        argument = body.placeholders[place]
        if place < len(starts):
            starts[place] = vector
        else:
            tangents[argument] = Input(f"given.{place}", argument.axes)
            stacked[tangents[argument]] = vector
    found = push(body.nexts, tangents, rows)
    after = tuple(
        spread(_or_zero(found, each), state.axes)
        for each, state in zip(body.nexts, body.states, strict=True)
    )
    return _Loop(scan, changes, after, tuple(starts), stacked, scan.backward), tangents


@lru_cache(maxsize=32)
def _matrix(scan: Scan, place: int, each: Axes, rows: Rows) -> tuple[Node, Pairs]:
    tangent = Input("tangent", scan.args[place].axes)
    whole, names = written_out(_pushed(scan, ((place, tangent),), rows), tangent, each)
    return spread(whole, (*scan.axes, *(prime for _, prime in names))), names


def _or_zero(found: Mapping[Node, Node], node: Node) -> Node:
    return found.get(node, Constant(0.0, node.axes))


def _stacked(scan: Scan, *more: Node) -> dict[Node, Node]:
    """What stands outside for a turn's leaves and equations: all their values along the axis."""
    body = scan.body
    below = (*body.nexts, *more)
    moving = depending_on(below, body.states)
    equations = [n for n in walk(below) if isinstance(n, Named) and n in moving]
    return {
        **{state: scan.at(state) for state in body.states},
        **{each: scan.stacked(each) for each in equations},
        **dict(zip(body.reads, scan.reads, strict=True)),
    }


class _Loop:
    """A loop along the values of another: what does not depend on its states is read."""

    def __init__(
        self,
        scan: Scan,
        states: tuple[Input, ...],
        nexts: tuple[Node, ...],
        starts: tuple[Node, ...],
        stacked: Mapping[Node, Node],
        backward: bool,
    ) -> None:
        moving = depending_on(nexts, states)
        below = tuple(walk(nexts))
        equations = tuple(n for n in below if isinstance(n, Named) and n in moving)
        met = [*nexts, *(arg for node in below if node in moving for arg in node.args)]
        read = tuple(_read(dict.fromkeys(node for node in met if node not in moving)))
        held = tuple(Input(f"state.{k}", each.axes) for k, each in enumerate(states))
        given = tuple(Input(f"read.{k}", each.axes, is_whole(each)) for k, each in enumerate(read))
        instead: dict[Node, Node] = dict(zip((*states, *read), held + given, strict=True))
        inside = simplify(*lifted((*nexts, *equations), instead))
        reads = lifted(read, stacked)
        count = len(states)
        body = Body(held, inside[:count], given)
        self._first = Scan(body, starts, reads, scan.over, body.nexts[0], backward, scan.lead)
        self._stacked: dict[Node, Node] = {
            **stacked,
            **dict(zip(states, map(self._first.at, held), strict=True)),
            **dict(zip(equations, map(self._first.stacked, inside[count:]), strict=True)),
        }

    def after(self, state: int) -> Node:
        """One of its states after every turn."""
        return self._first.at(self._first.body.nexts[state])

    def outside(self, node: Node, beside: Mapping[Node, Node] | None = None) -> Node:
        """A node of a turn for all turns at once; ``beside`` holds more that stands outside."""
        return lifted((node,), {**(beside or {}), **self._stacked})[0]


def _read(still: Iterable[Node]) -> dict[Node, None]:
    """What a turn reads of nodes that no state changes: neither patterns nor numbers.

    An outer product is larger than its factors, and so is a row of zeros with a one: neither is
    ever computed in advance.
    """
    found: dict[Node, None] = {}
    for node in still:
        wider = not any(set(node.axes) <= set(arg.axes) for arg in node.args)
        if isinstance(node, OneHot) or (isinstance(node, Contract) and wider):
            found |= _read(node.args)
        elif any(isinstance(leaf, Input) for leaf in walk((node,))):
            found[node] = None
    return found
