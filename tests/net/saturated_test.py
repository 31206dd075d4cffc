"""Saturated units have a slope, whatever computes it: every engine, every target, the check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import NumpyEngine
from pullback.train.optim import Updater

ACTIVATIONS = (
    pb.Tanh(), pb.Sigmoid(), pb.ELU(), pb.ELU(0.5), pb.SELU(), pb.Softplus(), pb.SiLU(), pb.GELU(),
    pb.Erf(), pb.Activation("x*tanh(log(1 + exp(x)))"), pb.Activation("softplus(-x)"),
    pb.Activation("1 - tanh(x)**2"), pb.Activation("x/(1 + abs(x))"), pb.Activation("log(cosh(x))"),
)  # fmt: skip
LOSSES = (pb.SquaredError(), pb.LogisticLoss(), pb.BinaryCrossEntropy())
X, Y = np.linspace(-1, 1, 9)[:, None] * np.array([1.0, 0.7]) + 0.013, np.ones((9, 1))


@pytest.mark.parametrize("block", ACTIVATIONS, ids=repr)
def test_the_check_calls_our_own_gradient_right(block: Any) -> None:
    for loss in LOSSES:
        model = pb.Sequential(pb.Linear(2, 3), block, pb.Linear(3, 1))
        net = pb.Network(model, loss=loss)
        for size in (1.0, 20.0, 40.0, 400.0):
            params = net.init(seed=0)
            params["0.weight"] *= size
            found = pb.check(net, params, X, Y)
            assert found.ok, (loss, size, found.verdict)


def test_a_sure_and_right_answer_has_a_gradient() -> None:
    """−σ(−40) is −4.2e-18; a − y, which is what is printed, is 0 there."""
    net = pb.Network(pb.Linear(1, 1, bias=False), loss=pb.BinaryCrossEntropy())
    one = np.ones((1, 1))
    _, grads = net.value_and_grad({"weight": 40 * one}, one, one)
    assert grads["weight"].item() == pytest.approx(-np.exp(-40.0), rel=1e-12)


# tanh at 20 and a logit of 40 for class 1, in float32; weights so small that they move
SATURATED = pb.Network(
    pb.Sequential(pb.Linear(1, 1, bias=False), pb.Tanh(), pb.Linear(1, 1)),
    loss=pb.BinaryCrossEntropy(),
)
START = {
    "0.weight": np.full((1, 1), 2e-29, np.float32),
    "2.weight": np.full((1, 1), 40, np.float32),
    "2.bias": np.zeros(1, np.float32),
}


@pytest.mark.parametrize("kind", [NumpyEngine, CompiledEngine])
def test_a_first_step_of_adam_in_single_precision(kind: Any) -> None:
    """Its length is the rate, whatever the gradient; 1 − β₂ᵗ in float32 is 8e-5 off at 0.9999.

    A slope of 0 would make it 0: the gradient of the first weight is 7e-4.
    """
    adam = pb.optim.Adam(1e-31, beta2=0.9999, epsilon=1e-30)
    engine = kind(SATURATED, START, adam)
    x = np.full((2, 1), 1e30, np.float32)
    engine.run({"x": x, "target": np.ones((2, 1), np.float32)}, None, 2, np.array([1e-31]))
    moved = {name: engine.params[name] - value for name, value in START.items()}
    assert moved["2.bias"].item() == pytest.approx(1e-31, rel=1e-6)
    assert moved["0.weight"].item() == pytest.approx(1e-31, rel=1e-3)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.9999), (0.99, 0.99999), (0.0, 0.0)])
def test_the_bias_correction_in_single_precision(betas: tuple[float, float]) -> None:
    gradient = np.random.default_rng(0).normal(size=50)
    moved = {}
    for dtype in (np.float32, np.float64):
        weight, updater = np.zeros(50, dtype), Updater(pb.optim.Adam(1e-3, *betas), 50, dtype)
        moved[dtype] = []
        for _ in range(3):
            updater.step(weight, gradient.astype(dtype))
            moved[dtype].append(weight.copy())
    np.testing.assert_allclose(moved[np.float32], moved[np.float64], rtol=1e-6)


FUNCTIONS = {
    "a": "tanh(a)", "b": "sigmoid(b)", "c": "selu(c)", "d": "elu(d)", "e1": "softplus(-e1)",
    "f": "silu(f)", "g": "gelu(g)", "h": "log(cosh(h))", "m": "m*tanh(softplus(m))",
    "p": "expm1(-abs(p))", "q": "log1p(q**2)", "r": "1 - tanh(r)**2", "s": "sigmoid_slope(s)",
    "t": "maximum(t, 0)*tanh(t)", "u": "where(u > 0, tanh(u), u/7)", "v": "normal_cdf(v)",
}  # fmt: skip
POINTS = np.array([-800.0, -40.0, -19.0, -12.0, -3.0, -1e-9, 1e-20, 0.5, 2.0, 19.0, 40.0, 800.0])


@pytest.mark.parametrize("target", ["numpy", "numba", "jax", "torch"])
def test_every_target_has_the_same_slopes(target: str) -> None:
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    jax.config.update("jax_enable_x64", True)
    text = " + ".join(f"sum({each})" for each in FUNCTIONS.values())
    e = pb.expr(text, **dict.fromkeys(FUNCTIONS, "n"))
    given = dict.fromkeys(FUNCTIONS, POINTS)
    value, expected = e.function(wrt=list(FUNCTIONS))(**given)
    namespace: dict[str, Any] = {}
    exec(pb.derive(e, wrt=list(FUNCTIONS)).code(target), namespace)  # noqa: S102  our own code
    arrays = [torch.tensor(POINTS) if target == "torch" else POINTS] * len(FUNCTIONS)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, grads = namespace["value_and_grad"](*arrays)
    assert float(found) == pytest.approx(value, rel=1e-13)
    for name, slopes in expected.items():
        np.testing.assert_allclose(
            np.asarray(grads[name]), slopes, rtol=2e-12, atol=1e-300, err_msg=FUNCTIONS[name]
        )
