"""The samples that training reads: inputs, targets and, where samples differ in it, weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pullback.run.compiled import Array

_LOOKED_AT = 1000  # rows that tell one data set from another


class Source(Protocol):
    """Where samples come from, as much at a time as fits into memory."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision that training runs in."""

    @property
    def count(self) -> int | None:
        """How many samples there are, where that is known before they come."""

    def parts(self, random: np.random.Generator | None) -> Iterator[Samples]:
        """The samples of one epoch; their parts in random order where there is a generator."""

    def digest(self) -> str:
        """A text that differs for other data."""


@dataclass(frozen=True)
class Samples:
    """x (batch, features), target (batch, outputs) and maybe a weight of each sample (batch,)."""

    x: Array
    target: Array
    weight: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> Samples:
        weight = None if self.weight is None else self.weight[rows]
        return Samples(self.x[rows], self.target[rows], weight)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision that training runs in."""
        return self.x.dtype

    @property
    def count(self) -> int:
        return len(self.x)

    def parts(self, random: np.random.Generator | None) -> Iterator[Samples]:
        """All samples at once; see ``Source``."""
        yield self

    @property
    def inputs(self) -> dict[str, Array]:
        """The arrays by the names of a network's inputs."""
        weights = {} if self.weight is None else {"sample_weight": self.weight}
        return {"x": self.x, "target": self.target, **weights}

    def without_idle(self) -> Samples:
        """Without the samples of weight 0: training is as if they were not there."""
        return self if self.weight is None or self.weight.all() else self[self.weight > 0]

    def astype(self, dtype: Any) -> Samples:
        """The same samples in another precision."""
        weight = None if self.weight is None else self.weight.astype(dtype)
        return Samples(self.x.astype(dtype), self.target.astype(dtype), weight)

    def digest(self) -> str:
        """A text that differs for other data: from shapes, dtypes and up to 1,000 rows."""
        rows = np.unique(np.linspace(0, len(self) - 1, _LOOKED_AT).astype(np.int64))
        digest = hashlib.blake2b(digest_size=8)
        for name, value in self.inputs.items():
            digest.update(f"{name} {value.shape} {value.dtype.str}".encode())
            digest.update(np.ascontiguousarray(value[rows]).tobytes())
        return f"{len(self)} samples, {digest.hexdigest()}"
