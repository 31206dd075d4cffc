"""The samples that training reads: inputs, targets and, where samples differ in it, weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Protocol

import numpy as np

from pullback.net.checks import checked_batch
from pullback.net.inputs import TAKEN
from pullback.net.network import Network
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
    """Arrays by the names of a network's inputs: its data, target, and maybe sample_weight.

    Where they are what one of several processes has read for itself, ``together`` is how many all
    of them have.
    """

    arrays: Mapping[str, Array]
    together: int | None = None

    @classmethod
    def of(cls, net: Network, X: Any, Y: Any, params: object = None) -> Samples:
        """Data as ``value_and_grad`` takes them; raises its errors.

        All floats have one precision: that of the data, or of the parameters where those are whole.
        """
        batch = checked_batch(net, X, Y, params)
        return cls(batch).astype(batch["target"].dtype)

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: Any) -> Samples:
        return Samples({name: array[rows] for name, array in self.arrays.items()})

    def of_length(self, count: int) -> dict[str, Array]:
        """Arrays of the shapes that so many samples have; their numbers mean nothing."""
        return {n: np.broadcast_to(a[:1], (count, *a.shape[1:])) for n, a in self.arrays.items()}

    @property
    def target(self) -> Array:
        """What the outputs should be (batch, …, outputs)."""
        return self.arrays["target"]

    @property
    def weight(self) -> Array | None:
        """How much each sample counts (batch,), where they differ in it."""
        return self.arrays.get("sample_weight")

    @property
    def data(self) -> dict[str, Array]:
        """What the model reads."""
        return {n: a for n, a in self.arrays.items() if n not in TAKEN}

    @property
    def places(self) -> int:
        """How many places are classified: the samples, or all their tokens."""
        return self.count * int(prod(self.target.shape[1:-1]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision that training runs in."""
        return self.target.dtype

    @property
    def count(self) -> int:
        return len(self) if self.together is None else self.together

    def parts(self, random: np.random.Generator | None) -> Iterator[Samples]:
        """All samples at once; see ``Source``."""
        yield self

    def weighted(self, weight: Array | None) -> Samples:
        """The same samples, each with its weight (batch,)."""
        return self if weight is None else Samples({**self.arrays, "sample_weight": weight})

    def without_idle(self) -> Samples:
        """Without the samples of weight 0: training is as if they were not there."""
        return self if self.weight is None or self.weight.all() else self[self.weight > 0]

    def astype(self, dtype: Any) -> Samples:
        """The same samples in another precision; whole numbers stay what they are."""
        arrays = self.arrays.items()
        return Samples(
            {n: a.astype(dtype, copy=False) if a.dtype.kind == "f" else a for n, a in arrays},
            self.together,
        )

    def digest(self) -> str:
        """A text that differs for other data."""
        return f"{len(self)} samples, {self._digest}"

    @cached_property
    def _digest(self) -> str:
        return digest_of(*self.data.values(), self.target)

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
