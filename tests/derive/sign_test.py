"""A variable declared ±1: y² is 1 in what is printed and computed; other entries are refused."""

import numpy as np
import pytest
from emitted import run

import pullback as pb
from pullback.errors import ConfigError, DataError
from pullback.ir.language.text import as_text

REDUCED = [
    ("y**2", "1"), ("y*y", "1"), ("1/y", "y"), ("y**3", "y"), ("sqrt(y**2)", "1"),
    ("abs(y*w)", "abs(w)"), ("y*exp(w)*y", "exp(w)"), ("cosh(-y*w)", "cosh(w)"),
    ("norm(y*w)", 'sqrt(sum(w**2, axis="n"))'),
    ("sum((y*(X@w))**2)", 'sum(sum(w*X, axis="n")**2, axis="m")'),
]  # fmt: skip


def drawn(axes):
    rng = np.random.default_rng(0)
    shapes = {name: [3] * len(over.replace("sign", "").split()) for name, over in axes.items()}
    found = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    found["y"] = np.where(found["y"] > 0, 1.0, -1.0)
    return found


@pytest.mark.parametrize(("text", "reduced"), REDUCED)
def test_it_is_reduced_and_keeps_its_value(text, reduced):
    axes = {"y": "m sign" if "X" in text else "n sign"}
    axes |= {"w": "n"} if "w" in text else {}
    axes |= {"X": "m n"} if "X" in text else {}
    e = pb.expr(text, **axes)
    assert as_text(e.node) == reduced
    plain = pb.expr(text, **{**axes, "y": axes["y"].replace(" sign", "")})
    np.testing.assert_allclose(e(**drawn(axes)), plain(**drawn(axes)), rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("sum(log(1+exp(-y*(X@w))))", {"X": "n d", "w": "d"}),
        ("sum(log(exp(-y.*(X*w)) + vector(1)))", {}),
    ],
)
def test_the_hessian_of_logistic_regression_has_no_labels(text, more):
    e = pb.expr(text, y="n sign", **more)
    d = pb.derive(e, "w", order=2)
    assert [line.text() for line in d.lines[-2:]] == [
        "∂²L/∂w∂wᵀ = Xᵀ diag(σ(X w) ⊙ (1 − σ(X w))) X",
        "(H v) = Xᵀ ((X v) ⊙ σ(X w) ⊙ (1 − σ(X w)))",
    ]
    assert d.proof.ok
    values = drawn({"X": "n d", "y": "n", "w": "d"})
    namespace = run(d.code("numpy"))
    s = 1 / (1 + np.exp(values["X"] @ values["w"]))
    expected = values["X"].T @ np.diag(s * (1 - s)) @ values["X"]
    np.testing.assert_allclose(namespace["hessian"](**values)["w.w"], expected, rtol=1e-12)
    np.testing.assert_allclose(e.derivative("w", order=2)(**values), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("axes", "value", "named"),
    [("n sign", [1, 0, 1], r"y\[1\] is 0"), ("n m sign", [[1, -1], [1, 0.5]], r"y\[1, 1\] is 0.5"),
     ("sign", 2.0, "y is 2")],
)  # fmt: skip
def test_other_entries_are_named(axes, value, named):
    with pytest.raises(DataError, match=named):
        pb.expr("2*y", y=axes)(y=value)


def test_there_is_no_derivative_by_it():
    e = pb.expr("sum(y*w)", y="n sign", w="n")
    for asked in (e.gradient, e.derivative, e.along, e.function, lambda name: pb.derive(e, name)):
        with pytest.raises(ConfigError, match="y is declared sign"):
            asked("y")
    assert repr(e) == "expr('sum(y*w)', y='n sign', w='n')"
