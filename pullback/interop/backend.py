"""What another library computes: one method an operation, on values of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from pullback.interop.grouping import Grouping
from pullback.interop.windows import Convolution, Pool
from pullback.ir import Input, Named, Parameter, Scalar
from pullback.ir.forms import Affine, Lookup, Pointwise

V = TypeVar("V")
Array = np.ndarray[Any, np.dtype[Any]]
# what a library may have one operation for
Whole = Affine | Convolution | Grouping | Lookup | Pointwise | Pool
Length = int | tuple[V, int]  # a number, or as long as a value is along one of its dimensions


class Backend(ABC, Generic[V]):
    """What another library computes with values of its own; places count dimensions from 0.

    ``place`` is where the equation stands in the model, for whatever has a name there.
    """

    @abstractmethod
    def input(self, leaf: Input) -> V:
        """What goes in, whole numbers as they are."""

    @abstractmethod
    def real(self, place: str, x: V) -> V:
        """Whole numbers as numbers to calculate with."""

    @abstractmethod
    def parameter(self, leaf: Parameter) -> V:
        """A parameter by its name."""

    @abstractmethod
    def number(self, place: str, value: float) -> V:
        """A number."""

    @abstractmethod
    def constant(self, place: str, array: Array) -> V:
        """An array of numbers that the program knows."""

    @abstractmethod
    def length(self, place: str, x: V, dimension: int) -> V:
        """How long a value is, as a number to calculate with."""

    # ------------------------------------------------------------------ whole equations

    @abstractmethod
    def operation(self, named: Named, form: Whole) -> Callable[[V], V] | None:
        """The one operation that an equation of this form is; None if there is none."""

    # ------------------------------------------------------------------ numbers

    @abstractmethod
    def function(self, place: str, function: Scalar, args: Sequence[V]) -> V:
        """A scalar function at every entry of values that broadcast."""

    @abstractmethod
    def product(self, place: str, subscripts: str, left: V, right: V) -> V:
        """A product by einsum's subscripts."""

    @abstractmethod
    def reduced(
        self, place: str, kind: Literal["sum", "max", "logsumexp"], x: V, dimensions: Sequence[int]
    ) -> V:
        """One number along some dimensions, which go."""

    # ------------------------------------------------------------------ where they stand

    @abstractmethod
    def turned(self, place: str, x: V, order: Sequence[int]) -> V:
        """The dimensions in another order."""

    @abstractmethod
    def widened(self, place: str, x: V, dimensions: Sequence[int]) -> V:
        """With new dimensions of length 1 at these places of the result."""

    @abstractmethod
    def expanded(self, place: str, x: V, lengths: Sequence[Length[V] | None]) -> V:
        """The same along dimensions of length 1, or of a number, as often as told; None: as is."""

    @abstractmethod
    def reshaped(self, place: str, x: V, lengths: Sequence[int]) -> V:
        """The same numbers in the same order under another shape; −1 is whatever is left."""

    @abstractmethod
    def cut(self, place: str, x: V, dimension: int, part: slice) -> V:
        """The entries of a slice of Python's along one dimension; a step of −1 turns it round."""

    @abstractmethod
    def entry(self, place: str, x: V, dimension: int, at: int) -> V:
        """One entry along a dimension, which goes."""

    @abstractmethod
    def padded(self, place: str, x: V, dimension: int, before: int, after: int) -> V:
        """With so many zeros before and after along one dimension, counted from behind."""

    @abstractmethod
    def taken(self, place: str, x: V, dimension: int, at: Array) -> V:
        """The entries at some places of one dimension, which becomes the dimensions of ``at``."""

    @abstractmethod
    def summed(self, place: str, x: V, dimension: int, at: Array, length: int) -> V:
        """Zeros, to which the entries along the last dimension are added at their places."""

    # ------------------------------------------------------------------ places that arrays hold

    @abstractmethod
    def first_largest(self, place: str, x: V, dimension: int) -> V:
        """Where the first largest entry stands along one dimension, which goes."""

    @abstractmethod
    def gathered(self, place: str, x: V, rank: int, dimension: int, index: V) -> V:
        """The entries of one dimension at places whose own dimensions take its stead.

        Places that are not there are to be refused, where the library can.
        """

    @abstractmethod
    def hits(self, place: str, index: V, length: int) -> V:
        """1 where a last dimension of this length stands at the index, else 0."""

    @abstractmethod
    def detached(self, place: str, x: V) -> V:
        """The same, through which no gradient goes."""
