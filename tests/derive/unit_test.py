"""A vector divided by its own length: 0 where it is 0, in both dialects and in every target."""

import numpy as np
import pytest
from emitted import run

import pullback as pb

UNIT = [
    ("x/norm(x)", {"x": "n"}),
    ("x*(1/norm2(x))", {"x": "n"}),
    ("x/sqrt(sum(x**2))", {"x": "n"}),
    ("x*(x@x)**-0.5", {"x": "n"}),
    ("x/sqrt(mean(x**2))", {"x": "n"}),
    ("-2*x/norm(2*x)/3", {"x": "n"}),
    ("(x-a)/norm(x-a)", {"x": "n", "a": "n"}),
    ("(x-a)/norm(a-x)", {"x": "n", "a": "n"}),
    ("x/norm(x)", {"x": "n n"}),
    ("x/norm(x, axis='d')", {"x": "n d"}),
    ("x@a/(norm(x)*norm(a))", {"x": "n", "a": "n"}),
    ("x./sqrt(x'*x)", {}),
    ("x/norm(x)", {"dialect": "matlab"}),
]


def arrays(e, draw):
    return {leaf.name: draw([3] * len(leaf.axes)) for leaf in e.leaves}


@pytest.mark.parametrize(("text", "more"), UNIT)
def test_it_is_zero_and_flat_at_zero_and_itself_elsewhere(text, more):
    e = pb.expr(text, **more)
    at_zero = arrays(e, np.zeros)
    assert not np.any(e(**at_zero))
    assert not np.any(e.derivative("x")(**at_zero))
    assert not np.any(e.along("x")(**at_zero, dx=np.ones_like(at_zero["x"])))
    d = pb.derive(e, "x")
    assert d.proof.ok
    assert not any(" if " in line.text() for line in d.lines)


@pytest.mark.parametrize("text", ["norm(x)", "sqrt(x@x)", "norm(2*x)", "norm(x)**1.5", "norm(x@A)"])
def test_a_length_has_the_slope_0_at_zero_and_that_stays(text):
    """‖x‖ and x/‖x‖ agree: what the second one's slope is, is the first one's curvature."""
    e = pb.expr(text, x="n", **({"A": "n m"} if "A" in text else {}))
    at_zero, some = arrays(e, np.zeros), arrays(e, np.ones)
    at_zero |= {name: array for name, array in some.items() if name != "x"}
    hessian = e.derivative("x").derivative("x")
    assert not np.any(e.derivative("x")(**at_zero))
    assert not np.any(hessian(**at_zero))
    step = 1e-6 * np.eye(3)
    slope = e.derivative("x")
    ups, downs = ([slope(**some | {"x": some["x"] + sign * h}) for h in step] for sign in (1, -1))
    np.testing.assert_allclose(hessian(**some), np.subtract(ups, downs) / 2e-6, atol=1e-8)


def test_it_is_printed_as_before_and_its_gradient_reads_as_text():
    e = pb.expr("x/norm(x)", x="n")
    assert pb.derive(e, "x").lines[-1].text() == "∂f/∂x = (‖x‖² I − x xᵀ)/‖x‖³"
    assert pb.derive(e, "x").lines[0].text() == "f = x/‖x‖"
    slope = pb.expr("norm(x)", x="n").gradient("x")
    assert np.array_equal(pb.expr(slope.text, x="n")(x=np.zeros(3)), np.zeros(3))


def test_what_grows_without_bound_stays_infinite():
    for text in ["1/norm(x)", "norm(a)/norm(x)", "x/norm(x)**2", "x/sqrt(sum(x**4))"]:
        names = {"x": "n", "a": "n"} if "a)/" in text else {"x": "n"}
        e = pb.expr(text, **names)
        assert not np.isfinite(e(**{**{k: np.ones(3) for k in names}, "x": np.zeros(3)})).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("target", ["numpy", "numba", "jax", "torch"])
def test_emitted_code_is_zero_too(target):
    convert = pytest.importorskip("torch").as_tensor if target == "torch" else np.asarray
    if target == "jax":
        pytest.importorskip("jax").config.update("jax_enable_x64", True)
    e = pb.expr("sum((x/norm(x) - a)**2)", x="n", a="n")
    found = run(pb.derive(e, "x").code(target))["value_and_grad"]
    a = np.arange(3.0)
    value, grads = found(x=convert(np.zeros(3)), a=convert(a))
    assert float(value) == a @ a
    assert not np.any(np.asarray(grads["x"]))
    x = np.array([1.0, -2.0, 0.5])
    value, grads = found(x=convert(x), a=convert(a))
    expected, slopes = e.function("x")(x=x, a=a)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(np.asarray(grads["x"]), slopes["x"], rtol=1e-12)
