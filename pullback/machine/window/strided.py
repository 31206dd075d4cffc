"""How an array lies in memory: what kernels read of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]


class Strided(NamedTuple):
    """Shape and strides, in numbers, and how far one vector of samples lies from the next.

    The last axis are the samples, side by side within a vector.
    """

    shape: Shape
    strides: Shape
    vector: int

    @classmethod
    def side_by_side(cls, array: Array, lanes: int) -> Strided:
        """An array (…, samples) whose samples all lie side by side."""
        return cls(array.shape, tuple(s // array.itemsize for s in array.strides), lanes)

    @classmethod
    def in_blocks(cls, array: Array, samples: int) -> Strided:
        """An array (blocks, …, lanes) that holds so many samples, a vector of them a block."""
        strides = tuple(stride // array.itemsize for stride in array.strides)
        return cls((*array.shape[1:-1], samples), strides[1:], strides[0])

    @property
    def samples(self) -> int:
        return self.shape[-1]
