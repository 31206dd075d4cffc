"""Numbers that the documentation of torch, JAX, autograd and SciPy, and two courses, print."""

import numpy as np
import pytest

import pullback as pb


def test_torch_blitz():
    """pytorch/tutorials (BSD-3), beginner_source/blitz/autograd_tutorial.py: Q = 3a³ − b²."""
    q = pb.expr("sum(3*a**3 - b**2)", a="n", b="n")
    _, grads = q.function(wrt=["a", "b"])(a=[2.0, 3.0], b=[6.0, 4.0])
    assert grads["a"].tolist() == [36, 81]
    assert grads["b"].tolist() == [-12, -8]


def test_torch_blitz_of_old():
    """pytorch/tutorials (BSD-3), until 2020: the mean of 3(x + 2)² over ones."""
    out = pb.expr("mean(3*(x + 2)**2)", x="n m")
    value, grads = out.function(wrt="x")(x=np.ones((2, 2)))
    assert value == 27
    assert grads["x"].tolist() == [[4.5, 4.5], [4.5, 4.5]]


def test_jax_quickstart():
    """JAX quickstart (Apache-2.0): the gradient of sum_logistic, printed in float32."""
    out = pb.expr("sum(1/(1 + exp(-x)))", x="n")
    _, grads = out.function(wrt="x")(x=np.arange(6, dtype=np.float32))
    printed = [0.25, 0.19661194, 0.10499357, 0.04517666, 0.01766271, 0.00664806]
    assert grads["x"].dtype == np.float32
    np.testing.assert_allclose(grads["x"], printed, rtol=0, atol=1e-7)


def test_autograd_readme():
    """HIPS/autograd (MIT, commit bff107b8), README.md: tanh written with exponentials, at 1."""
    out = pb.expr("(1 - exp(-2*x))/(1 + exp(-2*x))", x="")
    assert out.gradient("x")(x=1.0) == pytest.approx(0.419974341614026, rel=0, abs=1e-15)


ROSENBROCK = pb.expr("sum(100*(v - u**2)**2 + (1 - u)**2)", u="n", v="n")


def test_rosenbrock():
    """SciPy (BSD-3), scipy.optimize.rosen: its value at 0.1·arange(10)."""
    x = 0.1 * np.arange(10)
    assert ROSENBROCK(u=x[:-1], v=x[1:]) == pytest.approx(76.56, rel=0, abs=1e-12)


def test_rosenbrock_gradient():
    """SciPy (BSD-3), scipy.optimize.rosen_der: each x is the u of one term and the v of another."""
    x = 0.1 * np.arange(9)
    _, grads = ROSENBROCK.function(wrt=["u", "v"])(u=x[:-1], v=x[1:])
    slope = np.append(grads["u"], 0) + np.append(0, grads["v"])
    printed = [-2.0, 10.6, 15.6, 13.4, 6.4, -3.0, -12.4, -19.4, 62.0]
    np.testing.assert_allclose(slope, printed, rtol=0, atol=1e-13)


def test_ufldl_simple_quadratic():
    """UFLDL tutorial, checkNumericalGradient: h = x₁² + 3x₁x₂ at (4, 10)."""
    h = pb.expr("x1**2 + 3*x1*x2", x1="", x2="")
    value, grads = h.function(wrt=["x1", "x2"])(x1=4.0, x2=10.0)
    assert (value, grads["x1"], grads["x2"]) == (136, 38, 12)


def test_lecuns_tanh():
    """LeCun et al., "Efficient BackProp" (1998), sec. 4.4: f(±1) = ±1, |f''| largest near 1."""
    f = pb.Activation("1.7159*tanh(2*x/3)").function
    np.testing.assert_allclose(f([1.0, -1.0, 0.0]), [1, -1, 0], atol=3e-5)
    assert f.partial(0)(0.0) == pytest.approx(1.7159 * 2 / 3, rel=1e-15)
    second = f.partial(0).partial(0)
    places = np.linspace(0, 3, 3001)
    largest = places[np.argmax(np.abs(second(places)))]
    assert largest == pytest.approx(1.5 * np.arctanh(1 / np.sqrt(3)), abs=5e-4)
    assert second(1.0) == pytest.approx(-0.586989, abs=5e-7)


def test_cs231n_circuit():
    """cs231n (MIT, commit 3d84654b), optimization-2.md: the sigmoid neuron, to two decimals."""
    f = pb.expr("1/(1 + exp(-(dot(w, x) + b)))", w="n", x="n", b="")
    value, grads = f.function(wrt=["w", "x", "b"])(w=[2.0, -3.0], x=[-1.0, -2.0], b=-3.0)
    assert value == pytest.approx(0.73, abs=0.006)
    np.testing.assert_allclose(grads["w"], [-0.20, -0.39], atol=0.006)
    np.testing.assert_allclose(grads["x"], [0.39, -0.59], atol=0.006)
    assert grads["b"] == pytest.approx(0.20, abs=0.006)
