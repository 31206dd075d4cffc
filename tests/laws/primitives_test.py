"""Each row of the primitives: derivative, both ways, value, stability and NumPy source."""

import numpy as np
import pytest
import sympy as sp
from zoo import KINKED

import pullback as pb
from pullback.ir import Axis, Input, Map, Scalar, symbol
from pullback.ir.evaluate import evaluate
from pullback.ir.language.parse import parse_scalar
from pullback.ir.scalar.primitives import OWN, PRIMITIVES
from pullback.net.program import compile_program

every_row = pytest.mark.parametrize("row", PRIMITIVES.values(), ids=PRIMITIVES.keys())
both = pytest.mark.parametrize("dtype", [np.float32, np.float64])
T = sp.Symbol("t", real=True)
POSITIVE = {"log", "log1p"}  # no value below 0, or -1
STEEP = {"exp", "expm1", "sinh", "cosh"}  # their true values leave float64
ENDS = {"asin", "acos"}  # no value beyond -1 and 1
PERIODIC = {"sin", "cos", "tan"}


def points(row, extra=()):
    """Random points away from 0, where the kinks are, and a few given ones."""
    drawn = np.random.default_rng(0).uniform(0.05, 4, 12) * np.tile([1, -1], 6)
    every = np.array([*drawn, *extra])
    if row.name in ENDS:
        return np.tanh(every / 4) / 2.1
    return np.abs(every) if row.name in POSITIVE else every


def exactly(expr, at):
    """A SymPy expression in t with 30 digits; the float is taken as it is."""
    # erf near -1 would take thousands of digits
    expr = sp.sympify(expr).replace(sp.erf, lambda u: sp.erfc(-u) - 1)
    return sp.N(expr.subs(T, sp.Float(float(at), 40)), 30)


def numpy_source(expr, dtype):
    """The emitted program of one function of a vector."""
    x = Input("x", (Axis("n"),))
    program = compile_program({"y": Map(Scalar.of(expr, 1), (x,))}, "One function.")
    return lambda array: program({}, {"x": np.asarray(array, dtype)})["y"]


@every_row
def test_derivative(row):
    """SymPy differentiates the textbook's definition; the row has its own stable form."""
    slope = row.definition(T).diff(T)
    for at in points(row):
        expected = exactly(slope, at)
        assert exactly(row.derivative(T), at) == pytest.approx(expected, rel=1e-14, abs=1e-14)
        if row.from_output is not None:
            value = exactly(row.definition(T), at)
            assert sp.N(row.from_output(value), 30) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("row", OWN.values(), ids=OWN.keys())
def test_sympy_knows_the_row(row):
    """A row is a real SymPy function: it differentiates by its rule and evaluates to digits."""
    assert row.symbol(T).is_extended_real
    assert row.symbol(T).diff(T) == row.derivative(T)
    for at in points(row)[:4]:
        assert exactly(row.symbol(T), at) == pytest.approx(
            exactly(row.definition(T), at), rel=1e-25
        )


@every_row
def test_value(row):
    at = points(row, extra=(1e-12, -1e-12, 30.0, -30.0))
    expected = [float(exactly(row.definition(T), each)) for each in at]
    np.testing.assert_allclose(row.compute(at), expected, rtol=1e-13, atol=0)


@every_row
def test_complex_step(row):
    """``compute`` carries the row's own derivative through complex numbers."""
    at = points(row)
    found = row.compute(at + 1e-30j).imag / 1e-30
    expected = [float(exactly(row.derivative(T), each)) for each in at]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-16)


@every_row
@both
def test_numpy_source(row, dtype):
    at = points(row).astype(dtype)
    at64 = at.astype(np.float64)
    close = {"rtol": 2e-6 if dtype is np.float32 else 4e-15, "atol": 0}
    found = numpy_source(row.symbol(symbol(0)), dtype)(at)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, row.compute(at64), **close)
    # into the array that the argument itself lies in
    doubled = numpy_source(row.symbol(2 * symbol(0)), dtype)(at)
    close["rtol"] *= 50 if row.name in PERIODIC else 10
    np.testing.assert_allclose(doubled, row.compute(2 * at64), **close)


@every_row
@both
def test_stable_far_out(row, dtype):
    """At ±1000 and ±100 value and derivative are right, in the interpreter and emitted."""
    at = np.array([1000.0, 100.0, -100.0, -1000.0], dtype)
    if row.name in POSITIVE:
        at = at[:2]
    if row.name in ENDS:
        at = at / 1001
    if row.name in STEEP:
        at = at[1:3] if dtype is np.float64 else at[:0]
    tolerance = {"rtol": 2e-5 if dtype is np.float32 else 1e-12, "atol": 1e-37}
    for expr in (row.symbol(symbol(0)), row.derivative(symbol(0))):
        truth = row.definition(T) if expr == row.symbol(symbol(0)) else row.definition(T).diff(T)
        expected = [float(exactly(truth, each)) for each in at]
        by_rows = Scalar.of(expr, 1)
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            np.testing.assert_allclose(by_rows(at.astype(np.float64)), expected, **tolerance)
            np.testing.assert_allclose(numpy_source(expr, dtype)(at), expected, **tolerance)


@pytest.mark.parametrize("block", [*KINKED, pb.Activation("abs(x)")], ids=repr)
def test_at_exactly_zero_as_torch(block):
    """At a kink every one-sided slope is a valid choice; ours is torch's."""
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("torch_peer").module
    net = pb.Network(pb.Sequential(pb.Linear(1, 1), block), loss=pb.SquaredError())
    zero = {"0.weight": np.zeros((1, 1)), "0.bias": np.zeros(1)}
    X = np.ones((1, 1))
    _, grads = net.value_and_grad(zero, X, X)
    slow = evaluate(net.gradients["0.bias"], {**zero, "x": X, "target": X})
    z = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    theirs = torch.abs if isinstance(block, pb.Activation) else module(block)
    (-theirs(z)).sum().backward()  # the error is -1
    assert grads["0.bias"].item() == pytest.approx(z.grad.item(), abs=1e-15)
    assert slow.item() == pytest.approx(z.grad.item(), abs=1e-15)
    assert net.trace(zero, X, X).delta["0"].item() == pytest.approx(z.grad.item(), abs=1e-15)


@every_row
def test_what_is_no_number_stays_none(row):
    """Outside the domain of what is inside it, as log of −1, the oracle has no number either.

    A program may: it asks what is above 0, and NaN is not.
    """
    nothing = np.array([np.nan, 1.0])
    with np.errstate(all="ignore"):
        found = numpy_source(row.symbol(symbol(0)), np.float64)(nothing)
        here = np.isnan(row.compute(nothing))
    assert not (np.isnan(found) & ~here).any()
    assert here.tolist() == [True, False]


def test_an_infinity_above_the_line_and_below_it_is_no_number():
    """The slope of √(1 + sinh²(x²)) at 19.5, as its program has it: not 0."""
    slope = parse_scalar("sqrt(1 + sinh(x**2)**2)").partial(0)
    with np.errstate(all="ignore"):
        assert np.isnan(slope(19.5))
        assert np.isnan(numpy_source(slope.expr, np.float64)(np.array([19.5])))
