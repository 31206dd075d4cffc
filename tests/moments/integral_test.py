"""Gaussian integrals: closed forms, kinks, convergence, divergence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import pullback as pb
from pullback.calculus.quadrature import adaptive, grid
from pullback.errors import NonFiniteError
from pullback.moments.law.activation import convergence, kinks, moments
from pullback.moments.law.growth import gain
from pullback.moments.law.output import softmax_moment
from pullback.moments.law.pairs import correlated

VARIANCES = [1e-6, 0.3, 1.0, 7.0, 400.0]


def asin_ratio(q):
    return np.arcsin(q / (1 + q))


CLOSED = [  # activation, E φ², E φ'² (Cho and Saul 2009; Williams 1997; GELU: Tsuchida et al. 2021)
    (pb.Identity(), lambda q: q, lambda q: 1.0),
    (pb.ReLU(), lambda q: q / 2, lambda q: 0.5),
    (pb.LeakyReLU(0.2), lambda q: 1.04 * q / 2, lambda q: 1.04 / 2),
    (
        pb.Erf(),
        lambda q: 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)),
        lambda q: 4 / np.pi / np.sqrt(1 + 4 * q),
    ),
    (pb.Sin(), lambda q: (1 - np.exp(-2 * q)) / 2, lambda q: (1 + np.exp(-2 * q)) / 2),
    (
        pb.GELU(),
        lambda q: (
            q / 4 + q / (2 * np.pi) * (asin_ratio(q) + 2 * q / ((1 + q) * np.sqrt(1 + 2 * q)))
        ),
        lambda q: (
            0.25 + (asin_ratio(q) + q * (3 + 5 * q) / ((1 + q) * (1 + 2 * q) ** 1.5)) / (2 * np.pi)
        ),
    ),
]


@pytest.mark.parametrize("q", VARIANCES)
@pytest.mark.parametrize(("activation", "square", "slope"), CLOSED, ids=lambda v: repr(v)[:12])
def test_moments_are_the_closed_forms(activation, square, slope, q):
    found = moments(activation.function, 0.0, q)
    assert found.m2[0] == pytest.approx(square(q), rel=1e-8)
    assert found.s2[0] == pytest.approx(slope(q), rel=1e-8)


@pytest.mark.parametrize("q", VARIANCES)
def test_moments_of_a_narrow_slope_are_right_where_gauss_hermite_fails(q):
    def integrand(x):
        return np.cosh(np.minimum(np.sqrt(q) * np.abs(x), 300)) ** -4.0 * stats.norm.pdf(x)

    points = [0, 0.1, 0.5, 2]
    exact = 2 * integrate.quad(integrand, 0, 12, points=points, epsabs=1e-14, limit=200)[0]
    assert moments(pb.Tanh().function, 0.0, q).s2[0] == pytest.approx(exact, rel=1e-9)


def test_published_slope_at_variance_100():
    assert moments(pb.Tanh().function, 0.0, 100.0).s2[0] == pytest.approx(0.0531, abs=5e-5)


GAINS = [  # forward 1/√E φ², backward 1/√E φ'² at q = 1
    (pb.ReLU(), 1.4142, 1.4142), (pb.Tanh(), 1.5925, 1.4674), (pb.Sigmoid(), 1.8462, 4.7226),
    (pb.SELU(), 1.0, 0.9660), (pb.GELU(), 1.5335, 1.4811), (pb.SiLU(), 1.6765, 1.6233),
    (pb.ELU(), 1.2452, 1.2234),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "forward", "backward"), GAINS, ids=repr)
def test_gains(activation, forward, backward):
    found = gain(activation.function, "")
    assert found.forward == pytest.approx(forward, abs=6e-5)
    assert found.backward == pytest.approx(backward, abs=6e-5)


def test_selu_keeps_its_fixed_point_but_its_gradients_grow():
    found = moments(pb.SELU().function, 0.0, 1.0)
    assert found.m1[0] == pytest.approx(0, abs=1e-9)
    assert found.m2[0] == pytest.approx(1, abs=1e-9)
    assert found.m2_by_variance[0] == pytest.approx(0.7826, abs=5e-5)
    assert found.s2[0] == pytest.approx(1.0716, abs=5e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maximum(x, 0.1*x) - abs(x)/7", (0.0,)),
        ("abs(x**2 - 4)", (-2.0, 2.0)),
        ("relu(2*x - 3)", (1.5,)),
        ("relu(exp(x) - 2)", (np.log(2),)),
        ("tanh(x)", ()),
    ],
)
def test_kinks_are_found(text, expected):
    assert kinks(pb.Activation(text).function) == pytest.approx(expected, abs=1e-12)


def test_user_activation_with_a_kink_far_from_zero_equals_its_integral():
    f = pb.Activation("relu(2*x - 3) + tanh(x)").function
    for mean, q in ((0.0, 0.5), (1.0, 4.0)):
        found = moments(f, mean, q)

        def square(z, mean=mean, q=q):
            return float(f(z)) ** 2 * stats.norm.pdf(z, mean, np.sqrt(q))

        exact = integrate.quad(square, -25, 25, points=[1.5], epsabs=1e-13, limit=400)[0]
        assert found.m2[0] == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("text", ["tanh(5*(x-3))", "sin(20*x)", "tanh(x)", "relu(x - 0.3)"])
def test_refining_the_quadrature_changes_nothing(text):
    f = pb.Activation(text).function
    found = moments(f, 0.0, 1.3)
    finer = moments(f, 0.0, 1.3, level=5)
    assert found.m2[0] == pytest.approx(finer.m2[0], rel=1e-8)
    assert convergence(f, 0.0, 1.3) < 1e-8


def test_an_error_that_is_left_is_reported():
    assert convergence(pb.Activation("sin(300*x)").function, 0.0, 100.0) > 1e-6


@pytest.mark.parametrize("text", ["exp(x**2)", "exp(5*x)"])
def test_infinite_moments_are_said_to_be(text):
    with pytest.raises(NonFiniteError, match="infinite"):
        moments(pb.Activation(text).function, 0.0, 9.0)


@pytest.mark.parametrize("activation", [pb.ReLU(), pb.Tanh(), pb.GELU(), pb.SELU()], ids=repr)
def test_derivative_by_variance_is_the_slope_of_the_moment(activation):
    q, step = 0.9, 1e-5
    low, high = (moments(activation.function, 0.2, q + s) for s in (-step, step))
    found = moments(activation.function, 0.2, q)
    assert found.m2_by_variance[0] == pytest.approx((high.m2 - low.m2)[0] / 2 / step, rel=1e-6)
    assert found.s2_by_variance[0] == pytest.approx(
        (high.s2 - low.s2)[0] / 2 / step, rel=1e-5, abs=1e-9
    )


@pytest.mark.parametrize("c", [-1.0, -0.4, 0.0, 0.7, 1.0])
def test_correlation_map_of_relu(c):
    found = correlated(moments(pb.ReLU().function, 0.0, 2.0), 2.0 * c)
    exact = 2 * (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / (2 * np.pi)
    assert found == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("q", [0.01, 1.0, 4.0, 100.0])
def test_softmax_moments_equal_sampling(q):
    at = moments(pb.Identity().function, 0.0, q)
    one = np.ones_like(at.f)
    first = softmax_moment(at, 10, 1, [one])[0, 0]
    second = softmax_moment(at, 10, 2, [one])[0, 0]
    z = np.sqrt(q) * np.random.default_rng(0).normal(size=(100_000, 10))
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    drawn = (p**2).mean(axis=1)
    assert first == pytest.approx(0.1, abs=1e-8)
    assert abs(second - drawn.mean()) < 4 * drawn.std() / np.sqrt(len(drawn))


@pytest.mark.parametrize("outputs", [2, 10])
def test_softmax_of_outputs_far_apart_is_their_largest(outputs):
    """E p = 1/K and E p² → 1/K; where one way to integrate follows the other, they agree."""
    short = []
    for std in (30.0, 34.0, 1e3, 1e6):
        at = moments(pb.Identity().function, np.zeros(1), np.array([std**2]))
        ones = np.ones_like(at.f)
        first, second = (softmax_moment(at, outputs, power, [ones])[0, 0] for power in (1, 2))
        assert first == pytest.approx(1 / outputs, rel=1e-6)
        short.append(1 / outputs - second)
    assert short[1] * 34 == pytest.approx(short[0] * 30, rel=1e-3)  # ties: as rare as 1/std
    assert max(short[2:]) < 4e-3


def test_adaptive_quadrature_finds_jumps():
    found = adaptive(lambda x: np.stack([np.sign(x - 0.123), x**4]))
    assert found == pytest.approx([1 - 2 * stats.norm.cdf(0.123), 3.0], abs=1e-8)


def test_weights_of_a_grid_are_a_probability():
    nodes = grid([0.0, 3.0], [0.0, 50.0], (0.0, 1.0))
    assert nodes.weight.sum(axis=1) == pytest.approx([1, 1], abs=1e-13)
