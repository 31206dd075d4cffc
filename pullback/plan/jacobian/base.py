"""``Jacobian``: what every product of structured factors answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pullback.notebook import headline, paragraph
from pullback.plan.chain.plan import Plan
from pullback.plan.jacobian.operators import Array


class Jacobian(ABC):
    """The derivative of a model's output at a batch of points, as a product not multiplied yet.

    With respect to the input it is a stack of matrices, one a sample: (batch, outputs, features),
    or (outputs, features) where X was one sample (features). With respect to parameters it is one
    matrix (batch·outputs, parameters), samples outer, a column for each number of the trained
    parameters in the order of ``pb.ravel``. Outputs and features of several axes are one axis, in
    C order; ``output`` has its own axes.
    """

    shape: tuple[int, ...]
    output: Array

    @property
    @abstractmethod
    def T(self) -> Jacobian:
        """The transpose; nothing is copied."""

    @abstractmethod
    def __matmul__(self, V: Any) -> Array:
        """J V for a vector or for columns; with the transpose, Jᵀ U: a vector-Jacobian product."""

    @abstractmethod
    def dense(self) -> Array:
        """The matrix, or the stack of matrices, itself."""

    @abstractmethod
    def gram(self) -> Array:
        """J Jᵀ; ``J.T.gram()`` is Jᵀ J."""

    @abstractmethod
    def solve(self, r: Any, damping: float | None = None) -> Array:
        """The Levenberg–Marquardt step (Jᵀ J + λ I)⁻¹ Jᵀ r; with no damping, Gauss–Newton's.

        Raises SingularError where Jᵀ J has no inverse, and ShapeError.
        """

    @abstractmethod
    def svd(self, k: int | None = None) -> tuple[Array, Array, Array]:
        """The k largest singular triplets (U, s, Vᵀ).

        By default as many as the least of rows, columns and the narrowest width on the way: all
        others are zero.
        """

    @abstractmethod
    def logdet(self) -> Any:
        """log |det J| where J is square, else ½ log det of the smaller of J Jᵀ and Jᵀ J."""

    @abstractmethod
    def diagonal(self) -> Array:
        """The diagonal of Jᵀ J: the squared length of each column."""

    @abstractmethod
    def plan(self, consumer: str = "dense") -> Plan:
        """The plan by which an operation runs; raises UnknownNameError for another consumer."""

    def __repr__(self) -> str:
        return f"Jacobian{self.shape}"

    def text(self) -> str:
        """The shape, and how the matrix itself would be multiplied."""
        return f"{self!r}, a product that is not multiplied yet.\n{self.plan().text()}"

    def _repr_html_(self) -> str:
        head = headline(f"{self!r}, a product that is not multiplied yet.")
        return f"{head}{paragraph('Written out as a matrix:')}{self.plan()._repr_html_()}"
