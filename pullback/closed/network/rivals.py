"""Which entries compete where the largest is taken: in the window of a pool, or along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.calculus.equation import alone
from pullback.ir import Contract, Input, Max, Named, Node, Pattern, Rename, walk
from pullback.net.inputs import BATCH, free
from pullback.net.program import compile_program

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Rivals:
    """The entries of ``leaf`` among which each result is the largest, as ``shown`` lays them out.

    The axes of ``shown`` are those of the result, and then those along which entries compete.
    """

    leaf: Input
    shown: Node
    results: int

    @classmethod
    def of(cls, end: Named, start: Node) -> Rivals | None:
        """Those of an equation that is the largest of entries of ``start``; else None."""
        node, leaves = alone(end)
        leaf, masks, tallest = leaves.get(start), list[Node](), node
        while isinstance(node, Max):
            masks += [] if node.where is None else [node.where]
            node = node.arg
        moves = all(n is leaf or isinstance(n, Contract | Pattern | Rename) for n in walk((node,)))
        if node is tallest or not moves or not isinstance(leaf, Input) or BATCH not in leaf.axes:
            return None
        if not all(isinstance(mask, Pattern) for mask in masks):
            return None
        axes = (BATCH, *free(end.axes), *(axis for axis in node.axes if axis not in end.axes))
        results = int(np.prod([axis.size or 1 for axis in free(end.axes)]))
        return cls(leaf, Contract((node, *masks), axes), results)

    @cached_property
    def table(self) -> Array:
        """The place of each rival in the flattened entries (results, rivals); −1 is none.

        Every entry is shown as its own number, and 0 is what lies beyond the border.
        """
        sizes = [axis.size or 1 for axis in free(self.leaf.axes)]
        numbers = np.arange(1.0, np.prod(sizes) + 1).reshape(1, *sizes)
        program = compile_program({"shown": self.shown}, "Who competes.", leaves=(self.leaf,))
        found = program({}, {self.leaf.name: numbers})["shown"]
        return np.asarray(found, dtype=np.int64).reshape(self.results, -1) - 1

    def chosen(self, entries: Array) -> Array:
        """Which rival (results,) is the largest, the first of equals, for entries (places,)."""
        shown = np.where(self.table < 0, -np.inf, entries[self.table])
        found: Array = np.argmax(shown, axis=1)
        return found
