"""Convolutions and attention as operators: applied place by place, and never written out."""

import pickle
import tracemalloc

import numpy as np
import pytest

import pullback as pb
from pullback.plan.jacobian.operators import DiagonalOperator, MatrixOperator, as_array, multiply
from pullback.plan.jacobian.places import PatternOperator, PlacesOperator

L, S = pb.Linear, pb.Sequential


def jacobian(model, shape, x, batch=2, dtype=np.float64):
    net = pb.Network(model, loss=pb.SquaredError(), x=x)
    X = np.random.default_rng(0).normal(size=(batch, *shape)).astype(dtype)
    return pb.jacobian(net, net.init(seed=0, dtype=dtype), X)


def factors(stages):
    """Every operator that is no sum of others."""
    for each in stages:
        branches = getattr(each, "branches", None)
        if branches is None:
            yield each
        else:
            yield from (factor for branch in branches for factor in factors(branch))


IMAGE = (4, 7, 6), "channels=4 height=7 width=6"
CASES = [
    (pb.Conv2d(4, 3, 3), *IMAGE),
    (pb.Conv2d(4, 3, 3, stride=2, padding=1), *IMAGE),
    (pb.Conv2d(4, 6, 3, groups=2, dilation=2), *IMAGE),
    (pb.ConvTranspose2d(4, 2, 3, stride=2), *IMAGE),
    (S(pb.Conv2d(4, 2, 1), pb.Tanh(), pb.AvgPool2d(2), pb.Flatten()), *IMAGE),
    (S(pb.MaxPool2d(2), pb.Conv2d(4, 2, 2)), *IMAGE),
    (pb.Conv1d(3, 2, 3), (3, 8), "channels=3 time=8"),
    (pb.MultiheadAttention(6, 2), (4, 6), "tokens=4 features=6"),
]


@pytest.mark.parametrize(("model", "shape", "x"), CASES, ids=lambda each: repr(each)[:40])
def test_applied_is_what_is_written_out(model, shape, x):
    """To columns, to rows, beside other operators, for each sample; and the work is counted."""
    J = jacobian(model, shape, x)
    found = [f for f in factors(J.factors) if isinstance(f, PatternOperator | PlacesOperator)]
    assert found
    rng = np.random.default_rng(1)
    for factor in found:
        matrix = as_array(factor)
        U, V = (rng.normal(size=(2, size, 3)) for size in (factor.rows, factor.cols))
        np.testing.assert_allclose(factor.apply(V), matrix @ V, atol=1e-12)
        np.testing.assert_allclose(factor.apply(V[0]), matrix @ V[0], atol=1e-12)
        turned = np.swapaxes(matrix, -1, -2)
        np.testing.assert_allclose(factor.T.apply(U), turned @ U, atol=1e-12)
        np.testing.assert_array_equal(as_array(factor.T), turned)
        for left in (MatrixOperator(np.swapaxes(U, 1, 2)), DiagonalOperator(U[..., 0])):
            product = as_array(multiply(left, factor))
            np.testing.assert_allclose(product, as_array(left) @ matrix, atol=1e-12)
        if isinstance(factor, PatternOperator):
            assert factor.link("").work == np.count_nonzero(matrix)
    np.testing.assert_allclose(J @ np.eye(J.shape[2]), J.dense(), atol=1e-12)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(J)).gram(), J.gram(), atol=1e-12)  # noqa: S301


def test_a_product_with_a_vector_never_writes_a_convolution_out():
    model = S(
        pb.Conv2d(1, 6, 5),
        pb.Tanh(),
        pb.AvgPool2d(2),
        pb.Conv2d(6, 16, 5),
        pb.ReLU(),
        pb.MaxPool2d(2),
        pb.Flatten(),
        L(256, 10),
    )
    net = pb.Network(model, loss=pb.SquaredError(), x="channels=1 height=28 width=28")
    params, x = net.init(seed=0), np.random.default_rng(0).normal(size=(1, 28, 28))
    v, u = np.ones(784), np.ones(10)
    kept = pb.jacobian(net, params, x)
    assert (kept.T @ u) @ v == pytest.approx(u @ (kept @ v))  # programs are compiled here
    tracemalloc.start()
    J = pb.jacobian(net, params, x)
    moved = J @ v, J.T @ u
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert moved[0].shape == (10,)
    assert peak < (6 * 24 * 24 * 784) // 10  # bytes: less than an 80th of the one matrix
    assert J.plan("jvp").optimal.fma < 300_000  # as matrices: 3,854,848


def test_single_precision_stays_single():
    J = jacobian(S(pb.Conv2d(4, 3, 3), pb.Flatten()), *IMAGE, dtype=np.float32)
    assert {each.dtype for each in (J.dense(), J.gram(), J.diagonal())} == {np.dtype("float32")}


def test_the_weights_of_attention_are_one_matrix_for_all_features_of_a_head():
    J = jacobian(pb.MultiheadAttention(6, 2), (4, 6), "tokens=4 features=6")
    (mixing,) = [
        f
        for f in factors(J.factors)
        if isinstance(f, PlacesOperator) and f.each.shape == (2, 2, 4, 4) and f.cols == 24
    ]
    np.testing.assert_allclose(mixing.each.sum(axis=-1), 1.0)  # a row of weights adds up to 1
    heads = [np.kron(A, np.eye(3)) for A in mixing.each[0]]
    written = np.zeros((24, 24))
    written[:12, :12], written[12:, 12:] = heads
    np.testing.assert_array_equal(mixing.dense()[0], written)
    assert mixing.link("").work == 2 * 2 * 4 * 4 * 3
