"""What is printed for expressions, to the character; and what is refused, with a caret."""

from __future__ import annotations

import numpy as np
import pytest
from emitted import run
from latex2mathml.converter import convert

import pullback as pb
from pullback.errors import AxisError, ConfigError, ExpressionError, UnknownNameError

REGRESSION = dict(X="n d", y="n", w="d")
PINNED = [
    ("sum((X@w-y)**2)/2", "w", REGRESSION, "∂L/∂w = Xᵀ (X w − y)", "∂²L/∂w∂wᵀ = Xᵀ X"),
    (
        "mean(log(1+exp(-y*(X@w))))",
        "w",
        REGRESSION,
        "∂L/∂w = −(1/n) Xᵀ (y ⊙ σ(−y ⊙ (X w)))",
        "∂²L/∂w∂wᵀ = (1/n) Xᵀ diag(y² ⊙ σ(−y ⊙ (X w)) ⊙ (1 − σ(−y ⊙ (X w)))) X",
    ),
    (
        "norm(X@w-y)",
        "w",
        REGRESSION,
        "∂L/∂w = (1/‖X w − y‖) Xᵀ (X w − y)",
        "∂²L/∂w∂wᵀ = Xᵀ ((1/‖X w − y‖) X − (1/‖X w − y‖³) (X w − y) (X w − y)ᵀ X)",
    ),
    (
        "logsumexp(X@w)",
        "w",
        dict(X="n d", w="d"),
        "∂L/∂w = Xᵀ softmax(X w)",
        "∂²L/∂w∂wᵀ = Xᵀ (diag(softmax(X w)) − softmax(X w) softmax(X w)ᵀ) X",
    ),
    (
        "mean(logsumexp(X@W, axis='k') - sum(Y*(X@W), axis='k'))",
        "W",
        dict(X="n d", Y="n k", W="d k"),
        "∂L/∂W = (1/n) Xᵀ (softmax(X W) − Y)",
        None,
    ),
    (
        "x@(A@rename(x,i='j'))/2 - b@x",
        "x",
        dict(x="i", A="i j", b="i"),
        "∂L/∂x = ½ (A + Aᵀ) x − b",
        "∂²L/∂x∂xᵀ = ½ (A + Aᵀ)",
    ),
    (
        "sum((A@B)**2)",
        "B",
        dict(A="i j", B="j k"),
        "∂L/∂B = 2 Aᵀ A B",
        "∂²L/∂vec(B)∂vec(B)ᵀ = 2 (I ⊗ (Aᵀ A))",
    ),
    ("trace(A@rename(B, i='l'))", "B", dict(A="i j", B="j i"), "∂L/∂B = Aᵀ", None),
    ("sum(exp(w))", "w", dict(w="d"), "∂L/∂w = exp(w)", "∂²L/∂w∂wᵀ = diag(exp(w))"),
    ("sum(w*log(w))", "w", dict(w="d"), "∂L/∂w = 1 + log(w)", "∂²L/∂w∂wᵀ = diag(1/w)"),
    (
        "sum(where(r>1, 2*r-1, r**2))",
        "r",
        dict(r="n"),
        "∂L/∂r = {2 if r > 1 else 2 r}",
        "∂²L/∂r∂rᵀ = diag({0 if r > 1 else 2})",
    ),
    (
        "sum(tanh(X@w))",
        "w",
        dict(X="n d", w="d"),
        "∂L/∂w = Xᵀ (1 − tanh(X w)²)",
        None,
    ),
]


@pytest.mark.parametrize(("text", "wrt", "axes", "gradient", "hessian"), PINNED)
def test_text(text, wrt, axes, gradient, hessian):
    d = pb.derive(pb.expr(text, **axes), wrt=wrt, order=2)
    titles = {step.title: step for step in d.steps}
    assert titles["Gradient"].equation == gradient
    assert hessian is None or titles["Hessian"].equation == hessian
    assert convert(d.latex()).startswith("<math")
    assert max(map(len, d.text().splitlines())) <= 100


def test_a_gradient_is_numerically_what_its_text_says():
    """The sign of the exponent in logistic regression, which a widely read post has wrong."""
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(6, 3)), rng.choice([-1.0, 1.0], 6), rng.normal(size=3)
    e = pb.expr("mean(log(1+exp(-y*(X@w))))", **REGRESSION)
    namespace = run(pb.derive(e, wrt="w").code("numpy"))
    _, grads = namespace["value_and_grad"](X, y, w)
    sigma = 1 / (1 + np.exp(y * (X @ w)))  # σ(−y ⊙ X w)
    np.testing.assert_allclose(grads["w"], -X.T @ (y * sigma) / 6, rtol=1e-12)


@pytest.mark.parametrize("target", ["jax", "torch", "numba"])
def test_emitted_expressions_agree_between_targets(target):
    pytest.importorskip(target)
    rng = np.random.default_rng(0)
    data = {"X": rng.normal(size=(6, 3)), "y": rng.choice([-1.0, 1.0], 6), "w": rng.normal(size=3)}
    e = pb.expr("mean(log(1+exp(-y*(X@w)))) + sum(maximum(w[1:], w[:-1]))", **REGRESSION)
    value, grads = e.function(wrt="w")(**data)
    given = data
    if target == "torch":
        import torch

        given = {name: torch.as_tensor(array) for name, array in data.items()}
    if target == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    namespace = run(pb.derive(e, wrt="w").code(target))
    found, slopes = namespace["value_and_grad"](**given)
    assert float(found) == pytest.approx(value)
    np.testing.assert_allclose(np.asarray(slopes["w"]), grads["w"], rtol=1e-10)


def test_the_derivative_of_a_vector_is_a_jacobian():
    e = pb.expr("tanh(X@w)", X="n d", w="d")
    d = pb.derive(e, wrt="w")
    assert d.steps[-1].equation == "∂f/∂w = diag(1 − tanh(X w)²) X"
    X, w = np.eye(2), np.array([0.3, 0.4])
    namespace = run(d.code())
    np.testing.assert_allclose(namespace["jacobian"](X, w)["w"], np.diag(1 - np.tanh(w) ** 2))


def caret(fault: ExpressionError) -> str:
    """The character over the caret."""
    _, text, mark = str(fault).splitlines()
    return text[len(mark) - 1]


@pytest.mark.parametrize(
    ("text", "axes", "options", "message", "at"),
    [
        ("sum(tahn(w))", dict(w="d"), dict(wrt="w"), "did you mean 'tanh'", "t"),
        ("A@A", dict(A="i j"), dict(wrt="A"), "does not meet", "@"),
        ("sum(width)", dict(width="d"), dict(wrt="widht"), "'width'", "w"),
        ("sum(where(w, 1, 2))", dict(w="d"), dict(wrt="w"), "one comparison", "w"),
        ("sum(w[::2])", dict(w="d"), dict(wrt="w"), "no step", "2"),
        ("sum(w[k])", dict(w="d", k=""), dict(wrt="w"), "whole number", "k"),
        ("sum(w[0, 1])", dict(w="d"), dict(wrt="w"), "fewer axes", "0"),
    ],
)
def test_bad_input_is_refused_with_the_caret_under_the_place(text, axes, options, message, at):
    with pytest.raises(ExpressionError) as fault:
        pb.derive(pb.expr(text, **axes), **options)
    assert message in str(fault.value)
    assert caret(fault.value) == at


def test_the_variables_may_come_second():
    e = pb.expr("sum(w**2) + v@w", w="d", v="d")
    for names in ("w", ["v", "w"]):
        assert pb.derive(e, names).text() == pb.derive(e, wrt=names).text()


def test_other_bad_options_are_refused():
    e = pb.expr("sum(w**2)", w="d")
    with pytest.raises(ConfigError, match="needs wrt"):
        pb.derive(e)
    with pytest.raises(ConfigError, match="is for networks"):
        pb.derive(e, "rows", wrt="w")
    with pytest.raises(ConfigError, match="order is 4"):
        pb.derive(e, wrt="w", order=4)
    with pytest.raises(UnknownNameError, match="did you mean 'torch'"):
        pb.derive(e, wrt="w").code("troch")
    with pytest.raises((AxisError, ExpressionError), match="nothing of"):
        pb.derive(pb.expr("sum(w[3:3])", w="d"), wrt="w")


def test_one_entry_of_a_softmax_without_its_axis_is_not_called_one():
    """exp(−logsumexp 0) is 1/k; Σ softmax(0) would be 1."""
    e = pb.expr('sum(x*exp(-logsumexp(0*A, axis="k")))', x="d", A="d k")
    assert pb.derive(e, wrt="x").steps[-1].equation == "∂L/∂x = exp(−logsumexp(0))"
