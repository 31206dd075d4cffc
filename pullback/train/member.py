"""One of several processes that train together: which part of each batch is its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pullback.net.program import Array


@dataclass(frozen=True)
class Member:
    """One of several processes that train together; alone it has everything.

    A batch is cut into as many parts in a row as there are processes, and they differ in length by
    one at most: whatever their number, together they have the same batches.

    >>> [Member(process, 3).of(8) for process in range(3)]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
    """

    process: int = 0
    processes: int = 1

    def of(self, size: int) -> slice:
        """The part of so many samples that is this process's."""
        return slice(
            size * self.process // self.processes, size * (self.process + 1) // self.processes
        )

    def spread(self, own: Array, count: int, size: int) -> Array:
        """An order of all samples in batches of a size that has this process's own in its parts.

        The places of the others hold −1, for this process never looks there.
        """
        order, at = np.full(count, -1), 0
        for start in range(0, count, size):
            batch = order[start : start + size]
            part = batch[self.of(len(batch))]
            part[:] = own[at : at + len(part)]
            at += len(part)
        return order
