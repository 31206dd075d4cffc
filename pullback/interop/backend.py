"""What another library has to offer for a network to be written in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from pullback.ir import Input, Named, Parameter, Scalar
from pullback.ir.flow import Affine

V = TypeVar("V")


class Backend(ABC, Generic[V]):
    """What another library computes with values of its own; places count dimensions from 0."""

    @abstractmethod
    def input(self, leaf: Input) -> V:
        """What goes in."""

    @abstractmethod
    def parameter(self, leaf: Parameter) -> V:
        """A parameter by its name."""

    @abstractmethod
    def layer(self, named: Named, layer: Affine, x: V) -> V | None:
        """x Wᵀ + b over the last dimension, as one operation; None if it has none for it."""

    @abstractmethod
    def function(self, place: str, function: Scalar, args: Sequence[V]) -> V:
        """A scalar function at every entry of values that broadcast."""

    @abstractmethod
    def total(self, place: str, terms: Sequence[V]) -> V:
        """The sum of values that broadcast."""

    @abstractmethod
    def product(self, place: str, pattern: str, factors: Sequence[V]) -> V:
        """A product by einsum's subscripts."""

    @abstractmethod
    def scaled(self, place: str, x: V, by: float) -> V:
        """x times a number."""

    @abstractmethod
    def reduced(self, place: str, kind: str, x: V, dimension: int) -> V:
        """ "max" or "logsumexp" along one dimension, which goes."""

    @abstractmethod
    def index(self, leaf: Input) -> V:
        """What goes in as whole numbers, to look something up."""

    @abstractmethod
    def gathered(self, place: str, x: V, index: V, dimension: int) -> V:
        """Entries along one dimension, at places whose dimensions take its own."""

    @abstractmethod
    def hits(self, place: str, index: V, length: int) -> V:
        """1 where a last dimension of this length stands at the index, else 0."""

    @abstractmethod
    def first_largest(self, place: str, x: V, dimension: int) -> V:
        """Where the first largest entry stands along one dimension, which goes."""

    @abstractmethod
    def held(self, place: str, x: V) -> V:
        """The same, which is not differentiated."""

    @abstractmethod
    def stretch(self, place: str, x: V, dimension: int, start: int, stop: int) -> V:
        """The entries from start to stop along one dimension."""

    @abstractmethod
    def split(
        self, place: str, x: V, dimension: int, sizes: Sequence[int], after: Sequence[int | None]
    ) -> V:
        """One dimension as several of these sizes, the last the fastest; others come after."""

    @abstractmethod
    def padded(self, place: str, x: V, dimension: int, before: int, after: int) -> V:
        """With so many zeros before and after along one dimension, counted from behind."""

    @abstractmethod
    def turned(self, place: str, x: V, order: Sequence[int]) -> V:
        """The dimensions in another order."""

    @abstractmethod
    def widened(self, place: str, x: V, dimensions: Sequence[int]) -> V:
        """With new dimensions of length 1 at these places of the result."""

    @abstractmethod
    def ones(self, place: str, length: int) -> V:
        """A row of ones."""

    @abstractmethod
    def counted(self, place: str, length: int) -> V:
        """0, 1, 2, …"""

    @abstractmethod
    def number(self, place: str, value: float) -> V:
        """A number."""
