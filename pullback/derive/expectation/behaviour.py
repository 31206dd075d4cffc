"""What a scalar function does on the real line: where it jumps, and where it has no value."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from pullback.ir import Scalar, symbol
from pullback.ir.scalar.function import evaluate_expr
from pullback.ir.scalar.primitives import Array, primitive_of

_AT = np.concatenate([-np.geomspace(1e3, 40.3, 150), np.linspace(-40, 40, 8001),
                      np.geomspace(40.3, 1e3, 150)])  # fmt: skip
_OTHERS = np.random.default_rng(0).uniform(0.5, 2.0, 32)  # values of whatever else it reads
_HALVED = 50
_MOST_POWER = 8


@lru_cache(maxsize=256)
def jumps(function: Scalar, at: int = 0) -> bool:
    """Does the function jump where one argument passes some place?

    >>> from pullback.ir import fn
    >>> jumps(Scalar.of(fn("step")(symbol(0)))), jumps(Scalar.of(fn("relu")(symbol(0))))
    (True, False)
    >>> jumps(Scalar.of(symbol(0) ** 2 * fn("step")(symbol(0) - 1)))
    True
    """
    if not any(map(_may_jump, sp.preorder_traversal(function.expr))):
        return False
    value = _along(function.expr, at)
    heights = np.abs(np.diff(value(_AT)))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(heights, 2, mode="edge"), 5)
    # a jump is higher than what is beside it, also where the function grows far out
    for place in np.argsort(heights - np.median(around, axis=1))[-16:]:
        low, high = float(_AT[place]), float(_AT[place + 1])
        for _ in range(_HALVED):
            middle = (low + high) / 2
            a, b, c = value(np.array([low, middle, high]))
            low, high = (low, middle) if abs(b - a) > abs(c - b) else (middle, high)
        a, b = value(np.array([low, high]))
        if abs(b - a) > 1e-6 * (1 + abs(a) + abs(b)):
            return True
    return False


@lru_cache(maxsize=256)
def undefined(function: Scalar, random: int) -> Any | None:
    """A part with no mean, as 1/x where x can be 0, or log x where x can be below 0; else None.

    The first ``random`` arguments take every real value.
    """
    for part in sp.preorder_traversal(function.expr):
        if not any(int(str(sym)[1:]) < random for sym in part.free_symbols):
            continue
        if isinstance(part, sp.log) and _least(part.args[0], random) < 0:
            return part
        if isinstance(part, sp.tan):
            return part
        if part.is_Pow and part.exp.is_number:
            below = not part.exp.is_Integer and _least(part.base, random) < 0
            if below or (part.exp <= -1 and _passes_zero(part.base, random)):
                return part
    return None


@lru_cache(maxsize=256)
def is_odd(function: Scalar, random: int) -> bool:
    """Is f(−x) = −f(x) when the first arguments all change their sign?

    >>> from pullback.ir import fn
    >>> is_odd(Scalar.of(fn("tanh")(symbol(0))), 1), is_odd(Scalar.of(fn("relu")(symbol(0))), 1)
    (True, False)
    """
    one, other = _mirrored(function.expr, random)
    finite = np.isfinite(one) & np.isfinite(other)
    with np.errstate(over="ignore"):
        off = np.abs(one[finite] + other[finite])
    return bool(finite.any()) and bool((off <= 1e-12 * np.abs(one[finite])).all())


@lru_cache(maxsize=256)
def power_of(function: Scalar) -> tuple[int, float, float] | None:
    """The power p with f(x) = f(1) xᵖ above 0 and f(−1) |x|ᵖ below it, and these two numbers.

    Functions that jump, as those with p = 0, have none.

    >>> from pullback.ir import fn
    >>> power_of(Scalar.of(fn("relu")(symbol(0)) ** 2)), power_of(Scalar.of(fn("tanh")(symbol(0))))
    ((2, 1.0, 0.0), None)
    """
    value = _along(function.expr, 0)
    above, below, twice = value(np.array([1.0, -1.0, 2.0]))
    largest = above if above else below
    if not largest or not np.isfinite([above, below, twice]).all():
        return None
    ratio = (twice if above else value(np.array([-2.0]))[0]) / largest
    power = round(float(np.log2(ratio))) if ratio > 0 else 0
    if not 0 < power <= _MOST_POWER:
        return None
    expected = np.where(_AT > 0, above, below) * np.abs(_AT) ** power
    if not np.allclose(value(_AT), expected, 1e-12, 0.0):
        return None
    return power, float(above), float(below)


def _mirrored(expr: Any, random: int) -> tuple[Array, Array]:
    """Values all over the line, and those of the opposite arguments."""
    if random == 1:
        value = _along(expr, 0)
        return value(_AT), value(-_AT)
    rng = np.random.default_rng(0)
    fixed = {s: np.asarray(_OTHERS[int(str(s)[1:]) % 32]) for s in expr.free_symbols}
    moving = {symbol(at): rng.standard_normal(5000) * 3 for at in range(random)}
    with np.errstate(all="ignore"):
        one = evaluate_expr(expr, {**fixed, **moving})
        other = evaluate_expr(expr, {**fixed, **{s: -each for s, each in moving.items()}})
    shape = (5000,)
    return (
        np.broadcast_to(np.asarray(one, float), shape),
        np.broadcast_to(np.asarray(other, float), shape),
    )


def _may_jump(expr: Any) -> bool:
    row = primitive_of(expr) if expr.args else None
    named = row is not None and row.name in ("step", "sign", "heaviside")
    return named or isinstance(expr, sp.Piecewise)


def _along(expr: Any, at: int) -> Any:
    others = {s: np.asarray(_OTHERS[int(str(s)[1:]) % 32]) for s in expr.free_symbols}

    def value(x: Array) -> Array:
        with np.errstate(all="ignore"):
            found = evaluate_expr(expr, {**others, symbol(at): x})
        return np.broadcast_to(np.asarray(found, float), x.shape)

    return value


def _sampled(expr: Any, random: int) -> Array:
    """Values all over the line; for several random arguments, at random places."""
    moving = sorted((s for s in expr.free_symbols if int(str(s)[1:]) < random), key=str)
    if len(moving) == 1:
        return np.asarray(_along(expr, int(str(moving[0])[1:]))(_AT))
    rng = np.random.default_rng(0)
    values = {s: np.asarray(_OTHERS[int(str(s)[1:]) % 32]) for s in expr.free_symbols}
    values |= {s: rng.standard_normal(20_000) * 5 for s in moving}
    with np.errstate(all="ignore"):
        return np.asarray(evaluate_expr(expr, values), float)


def _least(expr: Any, random: int) -> float:
    return float(np.nanmin(_sampled(expr, random)))


def _passes_zero(expr: Any, random: int) -> bool:
    values = _sampled(expr, random)
    if expr.is_number or not np.isfinite(values).any():
        return False
    low, high = np.nanmin(values), np.nanmax(values)
    # e⁻ˣ comes as near to 0 as one likes and is never 0: only what changes its sign, or a square
    return bool(low < 0 < high) or bool((values == 0).any() and not expr.has(sp.exp))
