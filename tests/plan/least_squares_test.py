"""Least squares give NIST's certified answers, and scipy's on a network."""

import numpy as np
import pytest
from nist_problems import PROBLEMS
from scipy.optimize import least_squares as by_scipy

import pullback as pb
from pullback.errors import (
    ConfigError,
    DataError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("name", PROBLEMS)
def test_certified_answer_from_both_starts(name, which):
    """Eight digits of every unknown, five of its deviation, nine of the sum of squares.

    The slopes of Lanczos3 are so nearly dependent that rounding leaves six. Lanczos1 has no error
    but rounding: its sum of squares, 1.4e-25, has no digits to compare.
    """
    problem = PROBLEMS[name]
    data, y = problem.data
    fit = pb.least_squares(problem.model, data, y, start=problem.start(which))
    assert fit.converged
    digits = 1e-6 if name == "Lanczos3" else 1e-8
    np.testing.assert_allclose(list(fit.params.values()), problem.certified, rtol=digits)
    exact = name == "Lanczos1"
    errors = list(fit.standard_errors.values())
    np.testing.assert_allclose(errors, problem.deviations, rtol=1e-2 if exact else 1e-5)
    np.testing.assert_allclose(fit.rss, problem.rss, rtol=1e-2 if exact else 1e-9)


def test_array_of_unknowns_is_linear_regression():
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(40, 3)), np.array([1.0, -2.0, 0.5])
    y = X @ w + 4 + 0.1 * rng.normal(size=40)
    model = pb.expr("X @ w + b", X="n d", w="d", b="")
    fit = pb.least_squares(model, {"X": X}, y, start={"w": np.zeros(3), "b": 0.0})
    A = np.column_stack([X, np.ones(40)])
    best, (rss,), *_ = np.linalg.lstsq(A, y)
    np.testing.assert_allclose([*fit.params["w"], fit.params["b"]], best, rtol=1e-10)
    np.testing.assert_allclose(fit.rss, rss)
    np.testing.assert_allclose(fit.covariance, rss / 36 * np.linalg.inv(A.T @ A), rtol=1e-8)
    assert fit.standard_errors["w"].shape == (3,)
    assert fit.iterations <= 4


def small_network(n_in=2, hidden=4):
    model = pb.Sequential(pb.Linear(n_in, hidden), pb.Tanh(), pb.Linear(hidden, 1))
    net = pb.Network(model, loss=pb.SquaredError())
    return net, net.init(seed=0)


def test_network_with_many_data_finds_scipys_minimum():
    net, start = small_network(2, 2)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 2))
    y = net.predict(net.init(seed=5), X)[:, 0] + 0.05 * rng.normal(size=60)
    fit = pb.least_squares(net, X, y, start=start)
    vector, unravel = pb.ravel(start)
    theirs = by_scipy(lambda v: y - net.predict(unravel(v), X)[:, 0], vector, method="lm")
    assert fit.converged
    np.testing.assert_allclose(fit.rss, 2 * theirs.cost, rtol=1e-6)
    np.testing.assert_allclose(fit.rss, 60 * 2 * net.loss(fit.params, X, y), rtol=1e-9)
    J = pb.jacobian(net, fit.params, X, wrt="params").dense()
    np.testing.assert_allclose(fit.covariance, fit.rss / 51 * np.linalg.inv(J.T @ J), rtol=1e-4)


def test_network_with_few_data_interpolates_them():
    """12 data, 41 parameters: the steps need the (12, 12) side only."""
    net, start = small_network(2, 10)
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    fit = pb.least_squares(net, X, y, start=start, iterations=300)
    assert fit.rss < 1e-12
    assert fit.covariance is None
    assert fit.standard_errors is None


def test_not_converged_says_so():
    problem = PROBLEMS["Misra1b"]
    data, y = problem.data
    fit = pb.least_squares(problem.model, data, y, start=problem.start(1), iterations=2)
    assert not fit.converged
    assert fit.iterations == 2
    assert fit.verdict.startswith("Not converged: stopped after 2 iterations")


def test_fit_prints_itself():
    problem = PROBLEMS["DanWood"]
    data, y = problem.data
    fit = pb.least_squares(problem.model, data, y, start=problem.start(2))
    assert "± 0.0183" in fit.text()
    assert fit.to_dict()["converged"] is True
    assert "0.76886226" in fit._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (dict(start={"a": 1.0}), UnknownNameError, "'k' has neither data nor a start"),
        (dict(start={"a": 1.0, "k": 1.0, "x": 1.0}), ConfigError, "'x' is both"),
        (dict(start={"a": 1.0, "kk": 1.0}), UnknownNameError, "kk"),
        (dict(y=np.ones(4)), ShapeError, r"y has shape \(4,\); the model gives \(5,\)"),
        (dict(y=np.full(5, np.nan)), DataError, "y holds a NaN"),
        (dict(start={"a": 1.0, "k": -1e4}), NonFiniteError, "at the start"),
        (dict(data=np.ones(5)), ConfigError, "by name"),
        (dict(tolerance=0), ConfigError, "tolerance"),
        (dict(model="a*x"), ConfigError, "expected pb.expr"),
    ],
)
def test_bad_input(arguments, error, says):
    given = dict(
        model=pb.expr("a*exp(-k*x)", x="n", a="", k=""),
        data={"x": np.arange(1.0, 6)},
        y=np.ones(5),
        start={"a": 1.0, "k": 1.0},
    )
    with pytest.raises(error, match=says):
        pb.least_squares(**{**given, **arguments})


def test_network_needs_a_squared_loss_without_penalty():
    model = pb.Linear(2, 2)
    X, labels = np.eye(2), np.array([0, 1])
    classifier = pb.Network(model, loss=pb.CrossEntropy())
    with pytest.raises(ConfigError, match="squared loss"):
        pb.least_squares(classifier, X, labels, start=classifier.init(seed=0))
    penalised = pb.Network(model, loss=pb.SquaredError(), l2=0.1)
    with pytest.raises(ConfigError, match="l2=0"):
        pb.least_squares(penalised, X, X, start=penalised.init(seed=0))
