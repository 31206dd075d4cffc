"""Each δ is one equation, shared by every gradient that uses it; and the output's δ is short."""

from collections import Counter

import numpy as np
import pytest
from zoo import FLOAT64, named

import pullback as pb
from pullback.ir import (
    Add,
    Contract,
    LogSumExp,
    Map,
    Named,
    Node,
    as_printed,
    simplify,
    symbol,
    walk,
)
from pullback.ir.build import mean_over, scalar_map, subtract
from pullback.ir.scalar.primitives import fn

every_case = pytest.mark.parametrize("case", FLOAT64, ids=repr)
both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def within(node: Named) -> list[Node]:
    """The nodes of one equation: down to other equations, and no further."""
    seen: list[Node] = []
    waiting = [node.arg]
    while waiting:
        at = waiting.pop()
        if at not in seen:
            seen.append(at)
            waiting += [] if isinstance(at, Named) else at.args
    return seen


@every_case
def test_one_delta_for_each_pre_activation(case):
    equations = case.net.equations
    z = [name.removeprefix("z.") for name in equations if name.startswith("z.")]
    deltas = Counter(node.name for node in equations.values() if node.role == "delta")
    assert set(deltas.values()) == {1}
    assert {f"delta.{path}" for path in z} <= deltas.keys()
    # what is more: the cotangents of sums, where they go on along more than one way
    assert all(name.startswith("delta.a.") for name in deltas.keys() - {f"delta.{p}" for p in z})


@every_case
def test_gradients_call_delta_by_name(case):
    """A gradient is δ and one more factor, and nothing of how δ came about."""
    for name, gradient in case.net.gradients.items():
        path, _, kind = name.rpartition(".")
        inside = within(gradient)
        (delta,) = (node for node in inside if isinstance(node, Named) and node.role == "delta")
        assert delta.name == f"delta.{path}"
        assert not any(isinstance(node, (Map, LogSumExp)) for node in inside)
        if kind == "bias":
            assert gradient.arg == Contract((delta,), gradient.axes)


@every_case
def test_no_equation_stands_twice(case):
    definitions = Counter(node.arg for node in case.net.equations.values())
    assert max(definitions.values()) == 1


@pytest.mark.parametrize("depth", [3, 4, 5, 6, 7, 8])
def test_matrix_products_that_are_emitted(depth):
    """One a layer forward, one a layer for its weight, one between two layers for δ."""
    source = named(f"depth {depth}").net.value_and_grad_program.source
    assert source.count("np.matmul(") == depth + depth + (depth - 1)


def output_delta(loss, *blocks):
    """The network and the right side of its output's δ, as it is printed."""
    net = pb.Network(pb.Sequential(*blocks), loss=loss)
    printed = {node.name: node for node in as_printed(*net.equations.values())}
    return net, printed["delta.0"].arg


def mean_of(net, error):
    """The error over the number of samples, as the network's own normal form has it."""
    share = mean_over(net.x, net.x.axes[:1]).factors
    (count,) = (node for node in share if isinstance(node, Map))
    return simplify(Contract((error, count), error.axes))[0]


def test_sigmoid_and_binary_cross_entropy_give_a_minus_t():
    net, delta = output_delta(
        pb.BinaryCrossEntropy(from_logits=False), pb.Linear(4, 3), pb.Sigmoid()
    )
    a = net.equations["a.1"]
    assert delta == mean_of(net, subtract(a, net.target))


def test_logits_and_binary_cross_entropy_give_a_minus_t():
    net, delta = output_delta(pb.BinaryCrossEntropy(), pb.Linear(4, 3))
    a = scalar_map(fn("sigmoid")(symbol(0)), net.equations["z.0"])
    assert delta == mean_of(net, subtract(a, net.target))


def test_softmax_and_cross_entropy_give_p_minus_t():
    net, delta = output_delta(pb.CrossEntropy(), pb.Linear(4, 3))
    z = net.equations["z.0"]
    p = scalar_map(fn("exp")(symbol(0) - symbol(1)), z, LogSumExp(z, z.axes[-1]))
    assert delta == mean_of(net, subtract(p, net.target))


def test_squared_error_gives_z_minus_t():
    net, delta = output_delta(pb.SquaredError(reduction="sum"), pb.Linear(4, 3))
    assert delta == simplify(subtract(net.equations["z.0"], net.target))[0]
    assert isinstance(delta, Add)


EXTREME = np.array([[1000.0, -1000.0, 1000.0], [-1000.0, 1000.0, 0.0], [0.0, -1000.0, -1000.0]])
OUTPUTS = {
    "sigmoid": (pb.BinaryCrossEntropy(from_logits=False), (pb.Sigmoid(),)),
    "logits": (pb.BinaryCrossEntropy(), ()),
    "softmax": (pb.CrossEntropy(), ()),
    "logistic": (pb.LogisticLoss(), ()),
}


@pytest.mark.parametrize(("loss", "blocks"), OUTPUTS.values(), ids=OUTPUTS.keys())
@both
def test_right_at_a_thousand(loss, blocks, dtype):
    """|z| = 1000 with right and wrong targets: no overflow, no NaN, and the values are right."""
    net = pb.Network(pb.Sequential(pb.Linear(3, 3, bias=False), *blocks), loss=loss)
    params = {"0.weight": np.eye(3, dtype=dtype)}
    X = EXTREME.astype(dtype)
    target = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype)
    z = EXTREME
    if isinstance(loss, pb.CrossEntropy):
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        value = np.sum(np.logaddexp.reduce(z, 1) - (z * target).sum(1)) / 3
        delta = (p - target) / 3
    elif isinstance(loss, pb.LogisticLoss):
        target = 2 * target - 1
        value = np.sum(np.logaddexp(0, -target * z)) / 3
        delta = np.where(target * z > 0, 0, -target) / 3
        delta[z == 0] = -target[z == 0] / 6
    else:
        a = np.where(z > 0, 1, np.where(z < 0, 0, 0.5))
        value = np.sum(np.logaddexp(0, z) - z * target) / 3
        delta = (a - target) / 3
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, grads = net.value_and_grad(params, X, target)
        trace = net.trace(params, X, target)
    assert found == pytest.approx(value, rel=1e-6 if dtype is np.float32 else 1e-14)
    rounding = 1000 * np.finfo(dtype).eps  # of z itself, and of the logarithm of Σ exp z
    np.testing.assert_allclose(trace.delta["0"], delta, rtol=0, atol=rounding)
    np.testing.assert_allclose(grads["0.weight"], delta.T @ EXTREME, rtol=0, atol=1000 * rounding)


def test_deep_networks_stay_linear_in_size():
    """Twice as deep is twice as many nodes: nothing is inlined."""
    sizes = []
    for depth in (4, 8, 16):
        blocks = [part for _ in range(depth) for part in (pb.Linear(3, 3), pb.Tanh())]
        net = pb.Network(pb.Sequential(*blocks), loss=pb.SquaredError())
        sizes.append(len(list(walk(net.equations.values()))))
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])


def test_the_zoo_has_forks():
    """A residual's incoming cotangent is an equation as well, because two ways need it."""
    assert "delta.a.0" in named("residuals in a row").net.equations
