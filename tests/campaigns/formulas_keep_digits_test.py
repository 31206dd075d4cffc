"""Random activations far out: value and slope are finite where the truth is, and near it.

A random formula subtracts what is nearly equal, so that some rounding of its terms is allowed; that
rows and the usual formulas keep every digit is a law, ``tests/laws/digits_test.py``.
"""

from __future__ import annotations

import random
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp

from pullback.errors import PullbackError
from pullback.ir import symbol
from pullback.ir.language.parse import parse, parse_scalar
from pullback.ir.scalar.exact import formula
from pullback.ir.scalar.primitives import OWN

ONE = ("tanh(@)", "sigmoid(@)", "softplus(@)", "log(1 + exp(@))", "1/(1 + exp(-(@)))", "atan(@)",
       "silu(@)", "elu(@)", "selu(@)", "abs(@)", "relu(@)", "log1p(abs(@))", "(@)**2", "erf(@)",
       "sqrt(1 + (@)**2)", "exp(-(@)**2)", "gelu(@)", "expm1(-abs(@))", "1 - tanh(@)**2",
       "1 - sigmoid(@)", "sinh(@)/cosh(@)", "-(@)", "2*(@)", "(@)/3")  # fmt: skip
TWO = ("(@)*(#)", "(@) + (#)", "(@) - (#)", "(@)/(1 + abs(#))", "maximum(@, #)",
       "where(x > 0, @, #)")  # fmt: skip
POINTS = np.array([-800, -100, -40, -19, -3, -1e-3, 1e-3, 0.7, 5, 37, 100, 800], np.float32)
NEAR = 1e-7
T = sp.Symbol("t", real=True)


def text(draw: random.Random, depth: int) -> str:
    """A formula in x."""
    if depth == 0 or draw.random() < 0.15:
        return "x"
    form = draw.choice(ONE) if draw.random() < 0.6 else draw.choice(TWO)
    return form.replace("@", text(draw, depth - 1)).replace("#", text(draw, depth - 1))


def truth(of: str) -> Any:
    """The function for mpmath, from the rows' definitions."""
    expr = formula(parse(of, {"x": ()})).xreplace({symbol(0): T})
    while rows := [each for each in expr.atoms(sp.Function) if type(each).__name__ in OWN]:
        expr = expr.xreplace({rows[0]: OWN[type(rows[0]).__name__].definition(rows[0].args[0])})
    return sp.lambdify(T, expr, "mpmath")


def exactly(function: Any, x: Any, order: int) -> Any:
    """The function or its slope at a point that is no kink."""
    step = mp.mpf(10) ** -350
    if order == 0:
        return mp.re(function(x))
    return mp.re(function(x + step) - function(x - step)) / (2 * step)


def wrong(of: str) -> str | None:
    """Where the formula or its slope is off, in words."""
    function, exact = parse_scalar(of), truth(of)
    for order, each in enumerate((function, function.partial(0))):
        with np.errstate(all="ignore"):
            found = np.broadcast_to(each(POINTS.astype(np.float64)), POINTS.shape)
        for x, value in zip(POINTS, found, strict=True):
            with mp.workdps(1100):
                at = mp.mpf(float(x))
                wanted = exactly(exact, at, order)
                moved = exactly(exact, at * (1 + mp.mpf("1e-9")), order)
            if not abs(wanted) < 1e300:
                continue
            allowed = NEAR * abs(wanted) + 10 * abs(moved - wanted)
            allowed += 1e-15 * (1 + abs(float(x))) ** 2
            if not (np.isfinite(value) and abs(mp.mpf(float(value)) - wanted) <= allowed):
                return f"{of} at {x}, derivative {order}: {value}, expected {mp.nstr(wanted, 12)}"
    return None


def campaign(count: int, seed: int) -> list[str]:
    """What is wrong with so many formulas; prints how many there were."""
    draw, faults, tried = random.Random(seed), list[str](), 0
    while tried < count:
        of = text(draw, 3)
        try:
            parse_scalar(of)
        except PullbackError:
            continue  # it does not depend on x
        tried += 1
        if (fault := wrong(of)) is not None:
            faults.append(fault)
    print(f"{tried} formulas, {len(faults)} wrong")
    return faults


def test_random_formulas(size: Any) -> None:
    assert campaign(size(25, 2000), seed=4) == []
