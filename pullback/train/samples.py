"""The samples that training reads: inputs, targets and, where samples differ in it, weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from pullback.net.program import Array

_CHUNK = 2**24  # bytes that are looked at at once


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
        """A text that differs for other data, whichever number of theirs is another one."""

    def weights(self) -> str:
        """The same of the weights of the samples."""

    def steps(self, batch_size: int | None) -> int | None:
        """How many steps an epoch takes, where that is known."""


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
        """A text that differs for other data."""
        return f"{len(self)} samples, {self._digest}"

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.x, self.target)

    def weights(self) -> str:
        """A text that differs for other weights of the samples."""
        return "none" if self.weight is None else digest_of(self.weight)

    def steps(self, batch_size: int | None) -> int:
        return steps_of(len(self), batch_size)


def steps_of(samples: int, batch_size: int | None) -> int:
    """How many batches of a size there are; None takes all samples at once."""
    return -(-samples // min(batch_size or samples, samples))


def digest_of(*arrays: Array) -> str:
    """A short text that differs for other arrays, looked through to their last number."""
    digest = hashlib.blake2b(digest_size=16)
    for value in arrays:
        digest.update(f"{value.shape} {value.dtype.str} ".encode())
        rows = max(1, _CHUNK // max(1, value[:1].nbytes)) if value.ndim else 1
        for at in range(0, len(value) if value.ndim else 1, rows):
            part = value[at : at + rows] if value.ndim else value
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
