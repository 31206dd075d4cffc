"""What a Jacobian with respect to parameters is made of, a block for each: what answers have to do.

``Parts`` holds a chain of layers, ``GraphParts`` any graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from pullback.plan.jacobian.choice import Widths
from pullback.plan.jacobian.operators import Array

Pairs = Literal["all", "each", "sum"]  # of outputs: which of J Jᵀ's are wanted


class ParameterBlocks(ABC):
    """∂output/∂p of each sample for some parameters, (batch·outputs, columns) side by side."""

    samples: int
    outputs: int
    columns: int
    dtype: Any

    @property
    @abstractmethod
    def output(self) -> Array:
        """The model's output (batch, …)."""

    @property
    @abstractmethod
    def widths(self) -> Widths:
        """What the price of a way depends on."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """How many bytes its arrays have, and the largest block if it is written out."""

    @abstractmethod
    def push(self, columns: Array) -> Array:
        """J V (batch·outputs, k) for changes of all parameters (columns, k)."""

    @abstractmethod
    def pull(self, columns: Array) -> Array:
        """Jᵀ U (columns, k) for cotangents of the output (batch·outputs, k)."""

    @abstractmethod
    def dense(self) -> Array:
        """The matrix itself."""

    @abstractmethod
    def kernel(self, other: Any, pairs: Pairs = "all") -> Array:
        """J₁ J₂ᵀ of one network at two batches.

        For all pairs of outputs (batch₁·outputs, batch₂·outputs), for each output with itself
        (outputs, batch₁, batch₂), or the sum of these (batch₁, batch₂).
        """

    @abstractmethod
    def grams(self) -> Array:
        """The block of each sample of J Jᵀ (batch, outputs, outputs)."""

    @abstractmethod
    def diagonal(self) -> Array:
        """The squared length of each column."""
