"""Structured factors with numbers in them: identity, diagonal, dense, matrix-free, sums and webs.

Each is a linear map (rows, cols), the same for all samples or one for each. They are closed under
``multiply`` and ``T``; what is known of their structure stays known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pullback.plan.chain.cost import Costs, Link
from pullback.plan.chain.piece import Piece
from pullback.plan.chain.planner import plan_links

Array = np.ndarray[Any, np.dtype[Any]]


class Operator(ABC):
    """A linear map that is not multiplied yet."""

    rows: int
    cols: int

    @property
    @abstractmethod
    def T(self) -> Operator:
        """The transpose, without a copy."""

    @abstractmethod
    def apply(self, columns: Array) -> Array:
        """The map on columns ([batch,] cols, k)."""

    @abstractmethod
    def link(self, name: str) -> Link:
        """What a plan has to know of this factor."""

    def dense(self, by_rows: bool = False) -> Array:
        """The matrix ([batch,] rows, cols)."""
        if by_rows:
            return np.swapaxes(self.T.dense(), -1, -2)
        return self.apply(np.eye(self.cols))


@dataclass(frozen=True)
class IdentityOperator(Operator):
    """The identity of some size."""

    size: int

    @property
    def rows(self) -> int:  # type: ignore[override]
        return self.size

    cols = rows

    @property
    def T(self) -> IdentityOperator:
        return self

    def apply(self, columns: Array) -> Array:
        return columns

    def link(self, name: str) -> Link:
        return Link(self.size, self.size, "identity", 1, name)


@dataclass(frozen=True, eq=False)
class DiagonalOperator(Operator):
    """A diagonal ([batch,] size): f′(z)."""

    values: Array

    @property
    def rows(self) -> int:  # type: ignore[override]
        return int(self.values.shape[-1])

    cols = rows

    @property
    def T(self) -> DiagonalOperator:
        return self

    def apply(self, columns: Array) -> Array:
        return np.multiply(self.values[..., None], columns)

    def link(self, name: str) -> Link:
        return Link(self.rows, self.rows, "diagonal", _batch(self.values, 1), name)


@dataclass(frozen=True, eq=False)
class MatrixOperator(Operator):
    """A dense matrix ([batch,] rows, cols): W, the same for all samples."""

    values: Array

    @property
    def rows(self) -> int:  # type: ignore[override]
        return int(self.values.shape[-2])

    @property
    def cols(self) -> int:  # type: ignore[override]
        return int(self.values.shape[-1])

    @property
    def T(self) -> MatrixOperator:
        return MatrixOperator(np.swapaxes(self.values, -1, -2))

    def apply(self, columns: Array) -> Array:
        return matmul(self.values, columns)

    def dense(self, by_rows: bool = False) -> Array:
        return self.values

    def link(self, name: str) -> Link:
        return Link(self.rows, self.cols, "dense", _batch(self.values, 2), name)


class SweptOperator(Operator):
    """One that a matrix is carried through, row by row, rather than multiplied by."""


@dataclass(frozen=True, eq=False)
class FreeOperator(Operator):
    """A SciPy LinearOperator: only its products with vectors are known."""

    operator: Any
    work: int

    @property
    def rows(self) -> int:  # type: ignore[override]
        return int(self.operator.shape[0])

    @property
    def cols(self) -> int:  # type: ignore[override]
        return int(self.operator.shape[1])

    @property
    def T(self) -> FreeOperator:
        return FreeOperator(self.operator.T, self.work)

    def apply(self, columns: Array) -> Array:
        return np.asarray(self.operator.matmat(columns))

    def link(self, name: str) -> Link:
        return Link(self.rows, self.cols, "dense", 1, name, self.work)


class _SizedOperator(Operator):
    """One whose parts do not say its size."""

    size: tuple[int, int]

    @property
    def rows(self) -> int:  # type: ignore[override]
        return self.size[0]

    @property
    def cols(self) -> int:  # type: ignore[override]
        return self.size[1]


@dataclass(frozen=True, eq=False)
class SumOperator(_SizedOperator):
    """A sum of products, each input first: what a residual block is."""

    branches: tuple[tuple[Operator, ...], ...]
    size: tuple[int, int]

    @property
    def T(self) -> SumOperator:
        turned = tuple(tuple(f.T for f in reversed(branch)) for branch in self.branches)
        return SumOperator(turned, (self.cols, self.rows))

    def apply(self, columns: Array) -> Array:
        total: Any = 0.0
        for branch in self.branches:
            part = columns
            for factor in branch:
                part = factor.apply(part)
            total = total + part
        return np.asarray(total)

    def dense(self, by_rows: bool = False) -> Array:
        total: Any = 0.0
        for branch, links in zip(self.branches, self._links, strict=True):
            if branch:
                total = total + as_array(run(plan_links(links, "dense", _BY_TIME).optimal, branch))
        straight = sum(not branch for branch in self.branches)
        if straight:
            at = np.arange(self.rows)
            total = np.array(total) if np.ndim(total) else np.zeros(self.size)
            total[..., at, at] += straight
        return np.asarray(total)

    @cached_property
    def _links(self) -> tuple[tuple[Link, ...], ...]:
        return tuple(links_of(branch) for branch in self.branches)

    def link(self, name: str) -> Link:
        plans = [plan_links(links, "dense", _BY_TIME) for links in self._links if links]
        batch = max((link.batch for links in self._links for link in links), default=1)
        added = batch * self.rows * self.cols * (len(self.branches) - 1)
        work = sum(link.work for links in self._links for link in links)
        build = sum(plan.cost for plan in plans) + added
        return Link(self.rows, self.cols, "dense", batch, name, work, build)


@dataclass(frozen=True, eq=False)
class WebOperator(_SizedOperator):
    """Factors between nodes that are joined in more ways than there are factors.

    ``into`` has for each node but the first those that lead to it, with the number of the node that
    each comes from; the last node is where all of them end.
    """

    into: tuple[tuple[tuple[int, Operator], ...], ...]
    size: tuple[int, int]

    @property
    def T(self) -> WebOperator:
        last = len(self.into)
        turned: list[list[tuple[int, Operator]]] = [[] for _ in range(last + 1)]
        for to, links in enumerate(self.into, 1):
            for source, factor in links:
                turned[last - source].append((last - to, factor.T))
        return WebOperator(tuple(map(tuple, turned[1:])), (self.cols, self.rows))

    def apply(self, columns: Array) -> Array:
        held: list[Any] = [columns]
        for links in self.into:
            held.append(sum(factor.apply(held[source]) for source, factor in links))
        return np.asarray(held[-1])

    @cached_property
    def _link(self) -> Link:
        links = [factor.link("") for into in self.into for _, factor in into]
        batch, work = max(link.batch for link in links), sum(link.work for link in links)
        build = work * min(self.size)
        return Link(self.rows, self.cols, "dense", batch, "", work, build)

    def link(self, name: str) -> Link:
        return replace(self._link, name=name)


_BY_TIME = Costs(by_time=True)


def links_of(factors: tuple[Operator, ...]) -> tuple[Link, ...]:
    """The links of a product, input first, named F1, F2, …."""
    return tuple(factor.link(f"F{at}") for at, factor in enumerate(factors, 1))


def as_array(factor: Operator) -> Array:
    """The matrix of a held factor."""
    if isinstance(factor, DiagonalOperator):
        values = factor.values
        out = np.zeros((*values.shape, values.shape[-1]), values.dtype)
        at = np.arange(values.shape[-1])
        out[..., at, at] = values
        return out
    return factor.dense()


def multiply(left: Operator, right: Operator) -> Operator:
    """The product of two held factors, as structured as they are.

    >>> one, two = (DiagonalOperator(np.array(each)) for each in ([1.0, 2.0], [3.0, 4.0]))
    >>> multiply(one, two).values
    array([3., 8.])
    """
    match left, right:
        case (IdentityOperator(), _):
            return right
        case (_, IdentityOperator()):
            return left
        case (DiagonalOperator(), DiagonalOperator()):
            return DiagonalOperator(left.values * right.values)
        case (_, SweptOperator()):
            rows = np.swapaxes(as_array(left), -1, -2)
            return MatrixOperator(np.swapaxes(right.T.apply(rows), -1, -2))
        case (_, DiagonalOperator()):
            return MatrixOperator(left.dense() * right.values[..., None, :])
    return MatrixOperator(left.apply(right.dense()))


def matmul(left: Array, right: Array) -> Array:
    """left @ right, a matrix shared by the batch multiplied in one piece.

    >>> matmul(np.ones((5, 2, 3)), np.ones((3, 4))).shape
    (5, 2, 4)
    """
    if left.ndim == 3 and right.ndim == 2 and left.flags.c_contiguous:
        batch, rows, inner = left.shape
        flat: Array = left.reshape(batch * rows, inner) @ right
        return flat.reshape(batch, rows, right.shape[1])
    out: Array = left @ right
    return out


def run(piece: Piece, factors: tuple[Operator, ...]) -> Operator:
    """Execute the steps of a piece that is held as one array."""
    match piece.how:
        case "given":
            return factors[piece.first]
        case "build":
            by_rows = piece.own < piece.cols * factors[piece.first].link("").work
            return MatrixOperator(factors[piece.first].dense(by_rows))
        case "multiply":
            left, right = (run(part, factors) for part in piece.parts)
            return multiply(left, right)
        case "tangent":
            columns = _seed(piece, factors)
            after = piece.parts[0].last + 1 if piece.parts else piece.first
            for factor in factors[after : piece.last + 1]:
                columns = factor.apply(columns)
            return MatrixOperator(columns)
        case "adjoint":
            rows = np.swapaxes(_seed(piece, factors), -1, -2)
            before = piece.parts[0].first if piece.parts else piece.last + 1
            for factor in reversed(factors[piece.first : before]):
                rows = factor.T.apply(rows)
            return MatrixOperator(np.swapaxes(rows, -1, -2))
        case "gram":
            values = run(piece.parts[0], factors)
            return multiply(values, values.T)
        case "sandwich":
            outer, inner = (run(part, factors) for part in piece.parts)
            return multiply(multiply(outer, inner), outer.T)
    raise ValueError(f"a {piece.how} is not one array")


def _seed(piece: Piece, factors: tuple[Operator, ...]) -> Array:
    if piece.parts:
        return as_array(run(piece.parts[0], factors))
    return np.eye(piece.cols if piece.how == "tangent" else piece.rows)


def _batch(values: Array, without: int) -> int:
    return int(values.shape[0]) if values.ndim > without else 1
