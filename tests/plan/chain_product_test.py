"""Every order gives the same product, and the planned one runs."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import pullback as pb
from pullback.errors import ConfigError, DTypeError, ShapeError
from pullback.laws import bracket_check
from pullback.plan.jacobian.operators import (
    DiagonalOperator,
    IdentityOperator,
    MatrixOperator,
    as_array,
    multiply,
)

WAYS = {
    "array": np.asarray,
    "operator": aslinearoperator,
    "sparse": sparse.csr_array,
}


def matrices(dims, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in pairwise(dims)]


@pytest.mark.parametrize("seed", range(12))
def test_product_is_numpys(seed):
    """Relative to the product without signs: the error of any bracket is a few roundings."""
    rng = np.random.default_rng(seed)
    arrays = matrices(rng.integers(1, 12, rng.integers(3, 9)), seed)
    kinds = rng.choice(list(WAYS), len(arrays))
    found = pb.chain_product([WAYS[kind](array) for kind, array in zip(kinds, arrays, strict=True)])
    size = np.linalg.multi_dot([np.abs(array) for array in arrays])
    assert np.max(np.abs(found - np.linalg.multi_dot(arrays)) / size) < 1e-14


def test_every_bracket_of_structured_factors_gives_the_same_product():
    """The tolerance of each bracketing is 1e-13, relative."""
    rng = np.random.default_rng(0)
    factors = [
        MatrixOperator(rng.normal(size=(3, 4))),
        DiagonalOperator(rng.normal(size=4)),
        IdentityOperator(4),
        MatrixOperator(rng.normal(size=(4, 2))),
        MatrixOperator(rng.normal(size=(2, 5))),
        DiagonalOperator(rng.normal(size=5)),
    ]
    found = bracket_check(factors, multiply, as_array, tolerance=1e-13)
    assert found.ok, found
    assert len(found.errors) == 42


def test_operator_is_only_ever_applied():
    """Six columns through an operator of 50: it is never made dense."""
    W = np.random.default_rng(0).normal(size=(50, 50))
    counted = []

    def matvec(x):
        counted.append(x)
        return W @ x

    A = LinearOperator((50, 50), matvec=matvec, rmatvec=lambda x: W.T @ x)
    V = np.ones((50, 6))
    np.testing.assert_allclose(pb.chain_product([A, A, V]), W @ (W @ V))
    assert len(counted) <= 13  # SciPy asks once more for the dtype


def test_product_under_a_memory_limit():
    arrays = matrices([30, 2, 30, 2, 30])
    expected = np.linalg.multi_dot(arrays)
    np.testing.assert_allclose(pb.chain_product(arrays, memory=10_000), expected)
    with pytest.raises(ConfigError, match="memory is 10 bytes"):
        pb.chain_product(arrays, memory=10)


def test_float32_stays_float32():
    assert (
        pb.chain_product([np.ones((2, 3), np.float32), np.ones((3, 2), np.float32)]).dtype
        == np.float32
    )


@pytest.mark.parametrize(
    ("factors", "error", "says"),
    [
        ([], ConfigError, "empty"),
        ([np.ones((2, 3)), np.ones((4, 2))], ShapeError, r"1 and 2.*\(2, 3\) and \(4, 2\)"),
        ([np.ones(3)], ShapeError, r"factor 1 has shape \(3,\)"),
        ([np.ones((2, 2), complex)], DTypeError, "complex"),
        ([np.array([["a"]])], DTypeError, "factor 1"),
    ],
)
def test_bad_input(factors, error, says):
    with pytest.raises(error, match=says):
        pb.chain_product(factors)
