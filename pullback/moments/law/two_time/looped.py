"""A loop among the equations of a network: its states by the two-time recursion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Graph, Named, Node
from pullback.ir.kinds import inside
from pullback.ir.scan import Scan
from pullback.ir.source import bare, is_source
from pullback.moments.law.two_time.process import OverTime
from pullback.moments.law.two_time.recursion import Entries, TwoTime
from pullback.moments.law.units import Placed, Units


@dataclass(frozen=True)
class Looped:
    """One state of a loop after every turn; the laws of what it reads are taken at their mean."""

    found: TwoTime
    state: int
    weight: Array  # of the cases of the data
    axes: Mapping[Node, tuple[Axis, ...]]  # of the places of each node outside
    units: Units

    @property
    def assumption(self) -> str:
        """What the numbers rest on."""
        return f"loops: {self.found.assumption}; data at their mean"

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """The errors at what the loop reads, and at what it starts from."""
        none = OverTime.none(self.found.turns)
        injected = [none] * len(self.found.states)
        injected[self.state] = over_time(error, self.weight)
        errors, cases = self.found.backward(tuple(injected)), np.ones(len(self.weight))
        nodes = map(bare, self.found.loop.starts)
        starts = zip(nodes, errors.mean_before, errors.before, strict=True)
        found = [
            (node, Placed((), mean * cases, square * cases, square * cases[None]))
            for node, mean, square in starts
            if self.axes.get(node) == ()
        ]
        return found + [
            (node, placed(errors.outside[node], kept, len(cases)))
            for node, kept in self.axes.items()
            if node in errors.outside
        ]


def looped(
    equation: Named,
    loop: Scan,
    known: Mapping[Node, Units],
    graph: Graph,
    entries: Entries,
    weight: Array,
    seed: int,
) -> Looped:
    """The law of the states of a loop, where one equation is all that others read of it.

    Raises NotApplicableError where the body, or what it reads, has no law.
    """
    family = [
        each
        for each in graph.equations
        if isinstance(each.arg, Scan) and each.arg.family == loop.family
    ]
    if len(family) > 1 or loop.of not in loop.body.nexts:
        raise NotApplicableError("more of a loop is read than one of its states")
    if loop.over.size is None:
        raise NotApplicableError(f"the number of turns along {loop.over} is not known")
    given, read = {}, [*map(bare, loop.args)]
    for node in _outside(loop):
        units = known.get(node)
        if units is not None and units.law.kept in ((), (loop.over,)):
            given[node] = over_time(units.law.along((loop.over,)), weight)
    axes = {node: known[node].law.kept for node in read if node in given}
    found = TwoTime(loop, loop.over.size, given, entries, seed)
    state = loop.body.nexts.index(loop.of)
    law = placed(found.states[state], (loop.over,), len(weight))
    parts = {axis: (axis,) for axis in equation.axes if axis != graph.batch}
    units = Units(law, parts, frozenset({equation}))
    return Looped(found, state, weight, axes, units)


def _outside(loop: Scan) -> tuple[Node, ...]:
    """What the loop reads and starts from, and what that is made of in one step."""
    found: dict[Node, None] = {}
    for arg in loop.args:
        node = bare(arg)
        found[node] = None
        if isinstance(node, Named):
            found |= dict.fromkeys(n for n in inside(node) if is_source(n))
    return tuple(found)


def over_time(law: Placed, weight: Array) -> OverTime:
    """Moments at every turn, at the mean over the cases of the data."""

    def average(values: Array) -> Array:
        return np.tensordot(weight, np.broadcast_to(values, (len(weight), *values.shape[1:])), 1)

    mean, second = average(law.mean), average(law.second)
    if law.pairs is not None:
        return OverTime(mean, average(law.pairs[0]))
    return OverTime.around(mean, np.diag(second - mean**2))


def placed(found: OverTime, kept: tuple[Axis, ...], cases: int) -> Placed:
    """The same at every case."""
    if not kept:
        raise NotApplicableError("a loop that reads the same at every turn")
    mean, second = (np.tile(each, (cases, 1)) for each in (found.mean, found.square))
    return Placed(kept, mean, second, np.tile(found.product, (1, cases, 1, 1)))
