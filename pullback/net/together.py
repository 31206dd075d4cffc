"""Several inputs as one: what is asked about "the input" of a network that has many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from pullback.errors import NotApplicableError
from pullback.ir import Axis, Contract, Input, Node, rows
from pullback.ir.layout import split
from pullback.ir.lift import lifted
from pullback.net.inputs import BATCH
from pullback.net.modes import one_by_one
from pullback.net.network import Network

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Together:
    """A network over one input, in which those of real numbers stand one behind the other.

    ``others`` are the inputs of whole numbers, by which there is no derivative; the first of them
    stands for the one input where none is real. ``output`` and ``built`` are the network's.
    """

    leaf: Input
    parts: tuple[Input, ...]
    others: tuple[Input, ...]
    output: Node
    built: Node

    @classmethod
    def of(cls, net: Network, output: Node | None = None) -> Together:
        """Those of a network, or of one of its equations, as they are where there is only one.

        Raises NotApplicableError where one of several has an axis without a size, or where a
        sample's output is not a function of that sample alone.
        """
        one_by_one(net)
        top = net.output if output is None else output
        return _together(tuple(net.xs.values()), top, net.built)

    def arrays(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The arrays of the network's inputs (batch, …) as those of this one's."""
        rest = {leaf.name: inputs[leaf.name] for leaf in self.others}
        if self.parts == (self.leaf,):
            return {self.leaf.name: inputs[self.leaf.name], **rest}
        each = [inputs[part.name] for part in self.parts]
        flat = [array.reshape(len(array), -1) for array in each]
        return {self.leaf.name: np.concatenate(flat, axis=1), **rest}


@lru_cache(maxsize=64)
def _together(inputs: tuple[Input, ...], output: Node, built: Node) -> Together:
    real = tuple(leaf for leaf in inputs if not leaf.whole)
    others = tuple(leaf for leaf in inputs if leaf.whole)
    if len(real) < 2:
        leaf, *rest = (*real, *others)
        return Together(leaf, (leaf,), tuple(rest), output, built)
    sizes = [_size(leaf) for leaf in real]
    every = Axis("inputs", sum(sizes))
    leaf = Input("inputs", (BATCH, every))
    instead: dict[Node, Node] = {}
    for at, part in enumerate(real):
        start = sum(sizes[:at])
        stretch = Axis(f"inputs.{part.name}", sizes[at])
        some = rows(stretch, every, start, start + sizes[at])
        axes = tuple(axis for axis in part.axes if axis != BATCH)
        over = (BATCH, stretch) if axes else (BATCH,)
        taken = Contract((leaf, some), over)
        instead[part] = split(taken, stretch, axes) if axes else taken
    found = lifted((output, built), instead)
    return Together(leaf, real, others, *found)


def _size(leaf: Input) -> int:
    for axis in leaf.axes:
        if axis.size is None and axis != BATCH:
            raise NotApplicableError(
                f"the axis {axis.name!r} of the input {leaf.name!r} has no size: say it, as in "
                f"Network(…, x={{{leaf.name!r}: '{axis.name}=3'}})"
            )
    return prod(axis.size or 1 for axis in leaf.axes if axis != BATCH)
