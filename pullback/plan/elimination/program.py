"""The straight-line program of some roots, and its linearised graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pullback.ir import Node
from pullback.ir.sizes import Sizes
from pullback.ir.unroll import unrolled
from pullback.net.inputs import BATCH
from pullback.plan.elimination.entries import Unroller
from pullback.plan.elimination.graph import LinearisedGraph, alive
from pullback.plan.elimination.tape import Leaf, ScalarTape, Vertex


@dataclass(frozen=True)
class StraightLine:
    """The numbers of a program in order, and those of them that are its results.

    ``outputs`` are every root's entries in C order, ``inputs`` those of what it is differentiated
    by.
    """

    vertices: tuple[Vertex, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def shapes(self) -> dict[Leaf, tuple[int, ...]]:
        """The shape of each leaf that is read, in one sample."""
        last = dict(self.places.values())  # its entries stand in order
        return {leaf: tuple(at + 1 for at in place) for leaf, place in last.items()}

    @property
    def places(self) -> dict[int, tuple[Leaf, tuple[int, ...]]]:
        """The leaf of each vertex that is one of its entries, and its place in one sample."""
        found = {}
        for number, vertex in enumerate(self.vertices):
            if vertex.place is not None:
                leaf, place = vertex.place
                kept = zip(place, leaf.axes, strict=True)
                found[number] = leaf, tuple(at for at, axis in kept if axis != BATCH)
        return found

    @property
    def changing(self) -> tuple[int, ...]:
        """The vertices of the linearised graph: inputs, and what lies between them and outputs."""
        reads = [tuple(each.slopes) for each in self.vertices]
        between = {at for at in alive(reads, self.outputs) if reads[at]}
        return tuple(sorted(between | {*self.inputs} | {*self.outputs}))

    @property
    def graph(self) -> LinearisedGraph:
        """Its linearised graph, whose vertices are ``changing``."""
        place = {at: number for number, at in enumerate(self.changing)}
        reads = (tuple(place[each] for each in self.vertices[at].slopes) for at in place)
        return LinearisedGraph(tuple(reads), tuple(place[at] for at in self.outputs))


def straight_line(roots: Sequence[Node], wrt: Collection[Leaf], sizes: Sizes) -> StraightLine:
    """The program that computes the roots entry by entry, loops written out.

    Raises NotApplicableError for a node that is no step of such a program, and ConfigError where
    there are too many numbers.
    """
    tape = ScalarTape(wrt)
    unroller = Unroller(tape, sizes)
    for leaf in wrt:  # one that has cancelled out has a column of zeros
        unroller.entries(leaf)
    entries = [unroller.entries(root) for root in unrolled(*roots)]
    outputs = tape.outputs([each for held in entries for each in held.flat])
    places = {each.place: at for at, each in enumerate(tape.vertices) if each.place is not None}
    inputs = tuple(at for (leaf, _), at in places.items() if leaf in wrt)
    return StraightLine(tuple(tape.vertices), inputs, outputs)
