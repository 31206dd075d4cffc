"""Where a formula is 0 · ∞ or 0/0 and has a limit, value and gradient are that limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import PullbackError

X = [0.0, 1.0, 2.0]
LOG_2 = float(np.log(2))
# text, the values, and the gradient by each name
SLOPES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("norm(x)", {"x": [0.0, 0.0]}, {"x": [0.0, 0.0]}),
    ("norm(x)", {"x": [3.0, 4.0]}, {"x": [0.6, 0.8]}),
    ("norm(x)**3", {"x": [0.0, 0.0]}, {"x": [0.0, 0.0]}),
    ("norm(x - y)", {"x": [1.0, 2.0], "y": [1.0, 2.0]}, {"x": [0.0, 0.0], "y": [0.0, 0.0]}),
    ("norm(x) + norm(y)", {"x": [0.0, 0.0], "y": [0.0, 2.0]}, {"x": [0.0, 0.0], "y": [0.0, 1.0]}),
    ("sqrt(sum(x**2))", {"x": [0.0, 0.0]}, {"x": [0.0, 0.0]}),
    ("sqrt(mean(x*x))", {"x": [0.0, 0.0]}, {"x": [0.0, 0.0]}),
    ("sqrt(2*dot(x, x))", {"x": [0.0, 0.0]}, {"x": [0.0, 0.0]}),
    ("sqrt(sum(x**2) + sum(y**4))", {"x": [0.0], "y": [0.0]}, {"x": [0.0], "y": [0.0]}),
    ("sum(sqrt(x**2 + y**2))", {"x": [0.0, 3.0], "y": [0.0, 4.0]},
     {"x": [0.0, 0.6], "y": [0.0, 0.8]}),
    ("sum(sqrt(x**2))", {"x": [0.0, -3.0]}, {"x": [0.0, -1.0]}),
    ("sum(x**k)", {"x": X, "k": 1.0}, {"x": [1.0, 1.0, 1.0], "k": 2 * LOG_2}),
    ("sum(x**k)", {"x": X, "k": 2.5}, {"x": [0.0, 2.5, 2.5 * 2**1.5], "k": 2**2.5 * LOG_2}),
    ("sum(x**k)", {"x": X, "k": 0.0}, {"x": [0.0, 0.0, 0.0], "k": LOG_2}),
    ("sum(x**(k + 1))", {"x": X, "k": 0.5}, {"k": 2**1.5 * LOG_2}),
    ("sum(a*x**k)", {"x": X, "a": 2.0, "k": 0.5}, {"a": 1 + 2**0.5, "k": 2**1.5 * LOG_2}),
    ("sum((x/c)**k)", {"x": X, "c": 2.0, "k": 0.5},
     {"c": -(0.5**0.5 + 1) / 4, "k": -(0.5**0.5) * LOG_2}),
    ("sum((c*x)**k)", {"x": X, "c": 1.0, "k": 0.5}, {"c": (1 + 2**0.5) / 2}),
    ("sum(a*sqrt(c*x))", {"x": [0.0, 1.0], "c": 4.0, "a": 3.0}, {"a": 2.0, "c": 0.75}),
    ("sum(1 - exp(-(x/c)**k))", {"x": [0.0, 2.0], "c": 2.0, "k": 0.5},
     {"c": -0.25 * np.exp(-1), "k": 0.0}),
    ("sum(x**k/(c**k + x**k))", {"x": [0.0, 1.0], "c": 1.0, "k": 0.7}, {"c": -0.175, "k": 0.0}),
    ("sum(k**x)", {"x": [0.0, 1.0], "k": 0.0}, {"k": 1.0}),
    ("sum(x**2.5)", {"x": [0.0, 1.0]}, {"x": [0.0, 2.5]}),
    ("sum(abs(x)**1.5)", {"x": [0.0, -1.0]}, {"x": [0.0, -1.5]}),
)  # fmt: skip


def expression(text: str, values: dict[str, Any]) -> Any:
    return pb.expr(text, **{name: "n" if np.ndim(value) else "" for name, value in values.items()})


@pytest.mark.parametrize(("text", "values", "slopes"), SLOPES)
def test_gradients_at_zero(text, values, slopes):
    e = expression(text, values)
    with np.errstate(all="raise", under="ignore"):
        _, grads = e.function(wrt=list(slopes))(**values)
    for name, expected in slopes.items():
        np.testing.assert_allclose(grads[name], expected, rtol=1e-13, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("target", ["numpy", "jax", "torch", "numba"])
def test_gradients_at_zero_in_code(target):
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    jax.config.update("jax_enable_x64", True)
    text = "sum(a*x**k) + norm(y) + sum((x/c)**k)"
    axes = {"x": "n", "a": "", "k": "", "y": "n", "c": ""}
    values = {"x": np.array(X), "a": 2.0, "k": 0.5, "y": np.zeros(3), "c": 2.0}
    namespace: dict[str, Any] = {}
    wrt = ["a", "k", "y", "c"]
    exec(pb.derive(pb.expr(text, **axes), wrt=wrt).code(target), namespace)  # noqa: S102  our own code
    to = torch.as_tensor if target == "torch" else lambda value: value
    _, grads = namespace["value_and_grad"](
        *(to(np.float64(value) if np.ndim(value) == 0 else value) for value in values.values())
    )
    assert all(np.isfinite(np.asarray(grads[name])).all() for name in wrt)
    _, expected = pb.expr(text, **axes).function(wrt=wrt)(**values)
    for name in wrt:
        np.testing.assert_allclose(np.asarray(grads[name]), expected[name], rtol=1e-12)


def test_a_gradient_without_a_limit_is_not_invented():
    """√x is infinitely steep at 0."""
    _, grads = pb.expr("sum(sqrt(x))", x="n").function(wrt=["x"])(x=[0.0, 1.0])
    assert grads["x"].tolist() == [np.inf, 0.5]


def test_the_printed_gradient_says_nothing_of_it():
    printed = pb.derive(pb.expr("sum(a*x**k)", x="n", a="", k=""), wrt="k").steps[-1].equation
    assert "if" not in printed
    assert pb.derive(pb.expr("norm(x)", x="n"), wrt="x").steps[-1].equation == "∂L/∂x = x/‖x‖"


@pytest.mark.parametrize("start", [{"a": 1.0, "k": 1.0}, {"a": 5.0, "k": 2.0}])
def test_a_power_law_is_fitted_through_zero(start):
    x = np.linspace(0, 5, 9)
    model = pb.expr("a*x**k", x="n", a="", k="")
    fit = pb.least_squares(model, {"x": x}, 2 * x**0.7, start=start)
    assert fit.params["a"] == pytest.approx(2, rel=1e-9)
    assert fit.params["k"] == pytest.approx(0.7, rel=1e-9)


TINY = 1e-310
QUOTIENTS: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("x/y", {"x": TINY, "y": TINY}, 1.0),
    ("sum(x/y)", {"x": [TINY, TINY], "y": [TINY, 2 * TINY]}, 1.5),
    ("mean(x/y)", {"x": [TINY], "y": [TINY]}, 1.0),
    ("sum(x/y*z)", {"x": [TINY], "y": [TINY], "z": [3.0]}, 3.0),
    ("sum(x/(2*y))", {"x": [TINY], "y": [TINY]}, 0.5),
    ("x*(1/y)", {"x": TINY, "y": TINY}, 1.0),
    ("sum(x)/sum(y)", {"x": [TINY], "y": [TINY]}, 1.0),
    ("x*y**-2", {"x": TINY, "y": 1e-160}, 1e10),
    ("x*y**-3", {"x": TINY, "y": 1e-104}, 100.0),
    ("x**-2", {"x": 1e155}, 1e-310),
    ("log1p(x)", {"x": 1e-20}, 1e-20),
    ("expm1(x)", {"x": 1e-20}, 1e-20),
    ("log(1 + x)", {"x": 1e-20}, 1e-20),
    ("exp(x) - 1", {"x": 1e-20}, 1e-20),
    ("log1p(1e-20)*x", {"x": 1.0}, 1e-20),
    ("expm1(1e-20)*x", {"x": 1.0}, 1e-20),
    ("x*log1p(-1e-20)", {"x": 1.0}, -1e-20),
)  # fmt: skip


@pytest.mark.parametrize(("text", "values", "expected"), QUOTIENTS)
def test_tiny_numbers(text, values, expected):
    value, _ = expression(text, values).function()(**values)
    assert value == pytest.approx(expected, rel=1e-12, abs=0)


def test_what_is_infinite_is_said_to_be():
    with pytest.raises(PullbackError):
        pb.expr("x + 1/0", x="")
