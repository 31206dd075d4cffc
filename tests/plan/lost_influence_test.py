"""An unknown that loses its influence: found again from a smaller region, or named."""

import numpy as np
import pytest

import pullback as pb
from pullback.errors import DataError, NonFiniteError

# NIST's Statistical Reference Datasets, in the public domain: the model, x, y, both starts, the
# certified answer and its sum of squares.
HARD = {
    "BoxBOD": (
        "b1*(1-exp(-b2*x))",
        [1, 2, 3, 5, 7, 10],
        [109, 149, 149, 191, 213, 224],
        [(1, 1), (100, 0.75)],
        [2.1380940889e02, 5.4723748542e-01],
        1.1680088766e03,
    ),
    "MGH09": (
        "b1*(x**2+x*b2)/(x**2+x*b3+b4)",
        [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
        [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246],
        [(25, 39, 41.5, 39), (0.25, 0.39, 0.415, 0.39)],
        [1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01],
        3.0750560385e-04,
    ),
    "Rat42": (
        "b1/(1+exp(b2-b3*x))",
        [9, 14, 21, 28, 42, 57, 63, 70, 79],
        [8.93, 10.8, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08],
        [(100, 1, 0.1), (75, 2.5, 0.07), (0.75, 0.025, 0.0007)],  # the last is not NIST's
        [7.2462237576e01, 2.6180768402e00, 6.7359200066e-02],
        8.0565229338e00,
    ),
}
CASES = [(name, at) for name, each in HARD.items() for at in range(len(each[3]))]


def problem(name):
    formula, x, y, starts, *answer = HARD[name]
    names = [f"b{at + 1}" for at in range(len(answer[0]))]
    model = pb.expr(formula, x="n", **dict.fromkeys(names, ""))
    begin = [dict(zip(names, map(float, start), strict=True)) for start in starts]
    return model, {"x": np.array(x, float)}, np.array(y, float), begin, *answer


@pytest.mark.parametrize(("name", "at"), CASES)
def test_hard_problems_reach_the_certified_answer(name, at):
    """From (1, 1) the first step on BoxBOD takes b2 to 111, where exp(−b2 x) is 0."""
    model, data, y, starts, certified, rss = problem(name)
    fit = pb.least_squares(model, data, y, start=starts[at])
    assert fit.converged
    assert not fit.warning
    np.testing.assert_allclose(fit.rss, rss, rtol=1e-9)
    np.testing.assert_allclose(list(fit.params.values()), certified, rtol=1e-6)


def test_searches_that_start_again_are_counted():
    model, data, y, starts, *_ = problem("BoxBOD")
    fit = pb.least_squares(model, data, y, start=starts[0], iterations=5)
    assert not fit.converged
    assert fit.iterations == 5


X = np.linspace(0, 5, 30)
NOISE = 0.01 * np.random.default_rng(0).normal(size=30)
LOST = {  # formula, start, y, the unknowns without influence
    "a plateau": ("a*(1-exp(-b*(x+1)))", dict(a=1e4, b=75.0), 1 - np.exp(-X - 1), ["b"]),
    "tanh": ("a*tanh(k*x)", dict(a=1.0, k=200.0), 2 * np.tanh(X / 2), ["k"]),
    "far away": ("a*exp(-(x-c)**2)", dict(a=1.0, c=60.0), np.exp(-((X - 2) ** 2)), ["a", "c"]),
    "a step": ("a*sign(x-c)", dict(a=1.0, c=1.0), 2 * np.sign(X - 3), ["c"]),
    "a ramp": ("a*x+maximum(b, 0)*x", dict(a=1.0, b=-5.0), 2 * X, ["b"]),
}


@pytest.mark.parametrize(("formula", "start", "y", "lost"), LOST.values(), ids=LOST.keys())
def test_an_unknown_without_influence_is_named_and_not_converged(formula, start, y, lost):
    model = pb.expr(formula, x="n", **dict.fromkeys(start, ""))
    fit = pb.least_squares(model, {"x": X}, y + NOISE, start=start)
    assert not fit.converged
    assert fit.verdict.startswith("Not converged: " + " and ".join(lost) + " ha")
    assert "no influence" in fit.warning
    for name, error in fit.standard_errors.items():
        assert np.isinf(error) == (name in lost), name


def test_errors_of_the_others_stay_those_of_the_fit_without_it():
    y = 3 * X + NOISE
    full = pb.expr("a*x + c + maximum(b, 0)*x", x="n", a="", b="", c="")
    less = pb.expr("a*x + c", x="n", a="", c="")
    found = pb.least_squares(full, {"x": X}, y, start={"a": 1.0, "b": -5.0, "c": 0.0})
    alone = pb.least_squares(less, {"x": X}, y, start={"a": 1.0, "c": 0.0})
    for name in ("a", "c"):
        np.testing.assert_allclose(
            found.standard_errors[name], alone.standard_errors[name], rtol=1e-6
        )
    assert found.freedom == alone.freedom == 28
    assert found.params["b"] == -5


def test_unknowns_that_make_up_for_each_other_are_a_warning():
    """The minimum is one; only a − b is known, and c as if they were one."""
    model = pb.expr("(a-b)*x + c", x="n", a="", b="", c="")
    fit = pb.least_squares(model, {"x": X}, 2 * X + 1 + NOISE, start={"a": 1.0, "b": 0.0, "c": 0.0})
    assert fit.converged
    assert "do not determine a and b" in fit.warning
    assert fit.warning in fit.verdict
    assert fit.warning in fit.to_dict()["warning"]
    errors = fit.standard_errors
    assert np.isinf([errors["a"], errors["b"]]).all()
    slim = pb.expr("a*x + c", x="n", a="", c="")
    alone = pb.least_squares(slim, {"x": X}, 2 * X + 1 + NOISE, start={"a": 1.0, "c": 0.0})
    np.testing.assert_allclose(errors["c"], alone.standard_errors["c"], rtol=1e-6)


def test_an_entry_of_an_array_is_named():
    rng = np.random.default_rng(0)
    A = np.column_stack([rng.normal(size=(20, 2)), np.zeros(20)])
    model = pb.expr("A @ w", A="n d", w="d")
    fit = pb.least_squares(model, {"A": A}, A[:, 0] + rng.normal(size=20), start={"w": np.zeros(3)})
    assert "w[2] has no influence" in fit.verdict
    assert np.isinf(fit.standard_errors["w"]).tolist() == [False, False, True]


def test_a_pole_that_stops_every_step_is_no_minimum():
    """At b = −5 the model divides by 0 at the last x; every step there overshoots."""
    x = np.arange(50.0, 126.0, 5.0)
    y = 0.0056 * np.exp(6181.3 / (x + 345.2))
    model = pb.expr("a*exp(b/(x+c))", x="n", a="", b="", c="")
    fit = pb.least_squares(model, {"x": x}, y, start={"a": -0.02, "b": -4000.0, "c": -250.0})
    assert not fit.converged
    assert "gradient is not 0" in fit.reason


def test_steps_into_overflow_are_shortened():
    model = pb.expr("a*exp(-k*x)", x="n", a="", k="")
    fit = pb.least_squares(model, {"x": X}, 3 * np.exp(-0.7 * X), start={"a": 1.0, "k": -5.0})
    assert fit.converged
    np.testing.assert_allclose([fit.params["a"], fit.params["k"]], [3, 0.7], rtol=1e-8)


@pytest.mark.parametrize(
    ("formula", "start", "y", "error", "says"),
    [
        ("a*exp(-k*x)", dict(a=1.0, k=-140.0), X, NonFiniteError, "at the start"),
        ("a*exp(-x**2/s**2)", dict(a=1.0, s=0.0), X, NonFiniteError, "at the start"),
        ("a*x", dict(a=1.0), 1e200 * X, DataError, "scale y"),
        ("a*x", dict(a=1.0), 1e-200 * X, DataError, "scale y"),
    ],
)
def test_numbers_out_of_range_are_said_before_the_search(formula, start, y, error, says):
    model = pb.expr(formula, x="n", **dict.fromkeys(start, ""))
    with pytest.raises(error, match=says):
        pb.least_squares(model, {"x": X}, y, start=start)
