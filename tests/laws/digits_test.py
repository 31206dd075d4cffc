"""Values, slopes and second derivatives keep their digits far out, rows and spelled-out formulas.

The truth is SymPy's derivative of what the textbook says, with as many digits as that cancels; the
slow interpreter in float64 and the emitted NumPy program in both precisions have to meet it.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from pullback.ir import Axis, Input, Map, Scalar, symbol
from pullback.ir.language.parse import parse, parse_scalar
from pullback.ir.scalar.exact import formula
from pullback.ir.scalar.primitives import OWN, PRIMITIVES
from pullback.net.program import compile_program

SPELLED = (
    "log(1 + exp(x))",
    "log(1 + exp(-x))",
    "log(exp(x) + 1)/2 - x/2",
    "log(1 + exp(x)) - x",
    "-log(1/(1 + exp(-x)))",
    "log(2 + exp(x))",
    "log(1 - sigmoid(x))",
    "log(cosh(x))",
    "log(2*cosh(x))",
    "log(exp(x) + exp(-x))",
    "log(exp(2*x) + exp(x) + 3)",
    "-log(1 - tanh(x)**2)",
    "1/(1 + exp(-x))",
    "exp(x)/(1 + exp(x))",
    "1 - sigmoid(x)",
    "sigmoid(x)*(1 - sigmoid(x))",
    "exp(-x)/(1 + exp(-x))**2",
    "1 - tanh(x)**2",
    "(1 - tanh(x))*(1 + tanh(x))",
    "1/cosh(x)",
    "1 + tanh(x)",
    "2*sigmoid(2*x) - 1",
    "(exp(x) - exp(-x))/(exp(x) + exp(-x))",
    "(1 - exp(-2*x))/(1 + exp(-2*x))",
    "sinh(x)/cosh(x)",
    "tanh(x) + tanh(2*x)",
    "1.75*tanh(x/2)",
    "x*tanh(log(1 + exp(x)))",
    "x*tanh(softplus(x))",
    "x/(1 + exp(-x))",
    "x*sigmoid(1.75*x)",
    "x*(1 + erf(x/sqrt(2)))/2",
    "x/2*(1 + tanh(x))",
    "1 - erf(x)",
    "x/(1 + abs(x))",
    "x/sqrt(1 + x**2)",
    "exp(x) - 1",
    "0.25*(exp(x) - 1)",
    "1 - 2**x",
    "log(1 + x**2)",
    "1 - cos(x)",
    "1/(1 + x**2)",
    "x**-2",
    "where(x > 0, x, 0.25*(exp(x) - 1))",
    "exp(-x**2/2)",
    "elu(x)/2 + relu(x)/2",
    "softplus(-x)",
    "tanh(-x)**3",
)
ALL = (*(f"{name}(x)" for name in PRIMITIVES), *SPELLED)
POSITIVE = ("log(x)", "log1p(x)")
ENDS = ("asin(x)", "acos(x)")
GRID = np.array(
    [1e-20, 1e-5, 0.1, 0.5, 0.9, 1.1, 1.75, 3, 5, 8, 12, 15, 19, 20, 37.43, 40, 88, 100, 800],
    np.float32,
)
# rounding of x² counts x² times in exp(−x²), that of x in sin x as often as x is long
ALLOWED = {np.float64: 3e-13, np.float32: 2e-5}
PERIODIC = {"sin(x)", "cos(x)", "tan(x)", "1 - cos(x)"}
T = sp.Symbol("t", real=True)


def truths(text: str, at: Any) -> list[list[Any]]:
    """The function and its first two derivatives by the textbook, at some points."""
    expr = formula(parse(text, {"x": ()})).xreplace({symbol(0): T})
    while rows := [each for each in expr.atoms(sp.Function) if type(each).__name__ in OWN]:
        expr = expr.xreplace({rows[0]: OWN[type(rows[0]).__name__].definition(rows[0].args[0])})
    functions = [sp.lambdify(T, sp.diff(expr, T, order), "mpmath") for order in range(3)]
    found: list[list[Any]] = [[], [], []]
    for x in at:
        with mp.workdps(60 + int(min(1.2 * abs(x) + x * x / 2, 740))):
            for values, function in zip(found, functions, strict=True):
                values.append(mp.mpf(function(mp.mpf(float(x)))))
    return found


def outcomes(function: Scalar, at: Any) -> dict[str, Any]:
    """What the interpreter and the emitted programs make of it."""
    x = Input("x", (Axis("n"),))
    program = compile_program({"y": Map(Scalar.of(function.expr, 1), (x,))}, "One function.")
    with np.errstate(all="ignore"):
        wide = at.astype(np.float64)
        return {
            "interpreter": np.broadcast_to(function(wide), at.shape),
            "float64": program({}, {"x": wide})["y"].copy(),
            "float32": program({}, {"x": at})["y"].copy(),
        }


@pytest.mark.parametrize("text", ALL)
def test_value_slope_and_second_derivative(text):
    at = GRID if text in POSITIVE else np.concatenate([GRID, -GRID])
    at = at[np.abs(at) < 30] if text in PERIODIC else at
    at = at[np.abs(at) < 1] if text in ENDS else at
    function = parse_scalar(text)
    derivatives = (function, function.partial(0), function.partial(0).partial(0))
    for order, (each, exact) in enumerate(zip(derivatives, truths(text, at), strict=True)):
        for name, found in outcomes(each, at).items():
            dtype = found.dtype.type
            limits = np.finfo(dtype)
            for x, value, wanted in zip(at, found, exact, strict=True):
                if abs(wanted) >= float(limits.max):
                    continue
                error = abs(mp.mpf(float(value)) - wanted)
                # below the smallest normal number there are fewer digits, or none
                allowed = max(ALLOWED[dtype] * abs(wanted), float(limits.tiny))
                assert error <= allowed, (order, name, float(x), value, float(wanted))


SAID = (  # the function, where, and its slope there: 1 − y² and its kin have 0 or a few digits
    ("tanh(x)", np.float64, 18.0, 4 * np.exp(-36.0)),
    ("tanh(x)", np.float64, 19.0, 4 * np.exp(-38.0)),
    ("sigmoid(x)", np.float64, 37.43, 5.55e-17),
    ("softplus(-x)", np.float64, 40.0, -np.exp(-40.0)),
    ("sigmoid(x)", np.float32, 15.0, np.exp(-15.0)),
    ("selu(x)", np.float32, -15.0, 1.7580993408473766 * np.exp(-15.0)),
    ("selu(x)", np.float32, -20.0, 1.7580993408473766 * np.exp(-20.0)),
    ("elu(x)", np.float64, -40.0, np.exp(-40.0)),
)


@pytest.mark.parametrize(("text", "dtype", "at", "expected"), SAID)
def test_slopes_that_were_lost(text, dtype, at, expected):
    found = outcomes(parse_scalar(text).partial(0), np.array([at], dtype))
    for value in found.values() if dtype is np.float64 else [found["float32"]]:
        assert value[0] == pytest.approx(expected, rel=2e-3 if at == 37.43 else 1e-6)


def test_a_formula_that_cancels_is_noticed():
    """The law can fail: 1 − tanh² by its squares is off at 5 already."""
    x = np.float32(5)
    assert abs((1 - np.tanh(x) ** 2) * np.cosh(5.0) ** 2 - 1) > ALLOWED[np.float32]
