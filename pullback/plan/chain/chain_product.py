"""``chain_product``: the product of matrices and linear operators, in the cheapest order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.errors import ConfigError, DTypeError, ShapeError, whole
from pullback.plan.chain.cost import Costs
from pullback.plan.chain.planner import plan_links
from pullback.plan.jacobian.operators import (
    Array,
    FreeOperator,
    MatrixOperator,
    Operator,
    as_array,
    links_of,
    run,
)


def chain_product(factors: Sequence[Any], memory: int | None = None) -> Array:
    """The product of the factors in the order in which they are written, as numpy's ``multi_dot``.

    Each is an array (rows, cols), a SciPy sparse array or a SciPy LinearOperator, which is only
    ever applied; a sparse array counts as many fma a vector as it has entries, an operator as many
    as its matrix would. ``memory`` bounds in bytes what is held beside the factors.
    Raises ShapeError, with both shapes, where factors do not chain; DTypeError for what is no
    matrix; ConfigError for an empty chain or too little memory.

    >>> A, B, C = np.ones((2, 3)), np.ones((3, 40)), np.ones((40, 1))
    >>> chain_product([A, B, C]).tolist()
    [[120.0], [120.0]]
    """
    if not len(factors):
        raise ConfigError("the chain is empty; expected at least one factor")
    held = tuple(_factor(at, factor) for at, factor in enumerate(factors, 1))
    for at, (left, right) in enumerate(pairwise(held), 1):
        if left.cols != right.rows:
            raise ShapeError(
                f"factors {at} and {at + 1} do not chain: shapes ({left.rows}, {left.cols}) and "
                f"({right.rows}, {right.cols})"
            )
    input_first = held[::-1]
    limit = None if memory is None else whole("memory", memory, 0, " (bytes)")
    plan = plan_links(links_of(input_first), "dense", Costs(by_time=True, memory=limit))
    return as_array(run(plan.optimal, input_first))


def _factor(at: int, value: Any) -> Operator:
    from scipy.sparse import issparse
    from scipy.sparse.linalg import LinearOperator, aslinearoperator

    if isinstance(value, LinearOperator):
        return FreeOperator(value, int(np.prod(value.shape)))
    if issparse(value):
        return FreeOperator(aslinearoperator(value), max(int(value.nnz), 1))
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"factor {at} has dtype {array.dtype}; expected real numbers")
    if array.ndim != 2:
        raise ShapeError(f"factor {at} has shape {array.shape}; expected (rows, cols)")
    return MatrixOperator(array if array.dtype.kind == "f" else array.astype(np.float64))
