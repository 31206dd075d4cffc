"""Two forms of a scalar expression: the stable one, to compute, and the textbook's, to print.

``log(1+exp(u))`` overflows at u = 1000, ``log(sigmoid(u))`` at -1000, and 1 − tanh² is 0 at 19. The
stable form has rows in their place; a textbook has the terms that a reader knows.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import sympy as sp

from pullback.ir.scalar.cases import has_guard, unguarded
from pullback.ir.scalar.primitives import fn, primitive_of
from pullback.ir.scalar.rules import improved

_HELD = 1024  # forms of so many expressions are remembered


@lru_cache(maxsize=_HELD)
def stabilise(expr: Any) -> Any:
    """The stable form of an expression, and of several equal ones the shortest.

    >>> x = sp.Symbol("x", real=True)
    >>> stabilise(sp.log(1 + sp.exp(x)))
    softplus(x)
    >>> stabilise(-sp.log(1 / (1 + sp.exp(-x))))
    softplus(-x)
    >>> stabilise(x * (1 - sp.tanh(x) ** 2))
    x*sech2(x)
    """
    stable = _rewrite(expr)
    candidates = [stable, _rewrite(_expand(stable)), _rewrite(sp.factor_terms(stable))]
    if stable.is_Add and not stable.has(sp.exp, sp.Piecewise):
        # over one denominator 1/√(1+x²) − x²/(1+x²)^(3/2) does not cancel; eᵘ would grow there
        candidates.append(_rewrite(sp.together(stable)))
    # min keeps the first of equals: a form is changed only for a shorter one
    return min(candidates, key=length)


@lru_cache(maxsize=_HELD)
def textbook(expr: Any) -> Any:
    """The expression as it is printed: rows written out, and of several equal forms the shortest.

    >>> x, t = sp.symbols("x t", real=True)
    >>> textbook(fn("sech2")(x)), textbook((1 - t) * fn("sigmoid")(x) - t * fn("sigmoid")(-x))
    (1 - tanh(x)**2, -t + sigmoid(x))
    """
    if not expr.args:
        return expr
    if has_guard(expr):
        return textbook(unguarded(expr))
    if isinstance(expr, sp.Piecewise):
        return expr.func(*((textbook(value), condition) for value, condition in expr.args))
    shown = _rebuilt(expr, [textbook(arg) for arg in expr.args])
    row = primitive_of(shown)
    if row is not None and row.textbook is not None:
        return textbook(row.textbook(shown.args[0]))
    if isinstance(shown, sp.exp):
        return _short_power(shown)
    if not (shown.is_Add or shown.is_Mul):
        return shown
    candidates = [shown, sp.factor_terms(shown)]
    if shown.has(fn("sigmoid")):
        candidates.append(_expand(_one_sided(shown)))
    return min(candidates, key=length)


def _short_power(expr: Any) -> Any:
    """exp(−0.10536…·t) as 0.9ᵗ, where the base is a short number."""
    rate, rest = expr.args[0].as_coeff_Mul()
    if not rate.is_Float or rest == 1:
        return expr
    base = round(math.exp(rate), 6)
    return sp.Float(base) ** rest if abs(math.exp(rate) - base) < 1e-15 else expr


def is_unlike_textbook(expr: Any) -> bool:
    """Has it a row that is printed in other words, or σ, of which 1 − σ is one?"""
    rows = (primitive_of(part) for part in expr.atoms(sp.Function))
    named = any(row and (row.textbook or row.name == "sigmoid") for row in rows)
    return named or has_guard(expr)


@lru_cache(maxsize=_HELD)
def length(expr: Any) -> tuple[int, int]:
    """How often an argument stands in the expression; then how many parts it has in all."""
    parts = list(sp.preorder_traversal(expr))
    return sum(part.is_Symbol for part in parts), len(parts)


def _expand(expr: Any) -> Any:
    """The outermost products multiplied out, the small ones; what is inside functions stays."""
    terms = sp.Add.make_args(expr)
    return sp.Add(*(sp.expand_mul(t, deep=False) if _terms_in(t) <= 64 else t for t in terms))


def _terms_in(product: Any) -> int:
    """How many terms a product has when it is multiplied out: k sums of two have 2ᵏ."""
    factors = sp.Mul.make_args(product)
    return math.prod(len(sp.Add.make_args(factor)) for factor in factors)


def _one_sided(expr: Any) -> Any:
    """σ(−u) as 1 − σ(u), outermost first, where −u is the side that carries a minus."""
    sigmoid = fn("sigmoid")
    return expr.replace(
        lambda e: isinstance(e, sigmoid) and e.args[0].could_extract_minus_sign(),
        lambda e: 1 - sigmoid(-e.args[0]),
    )


def _rewrite(expr: Any) -> Any:
    """Apply the rules from the leaves up until none applies."""
    if not expr.args:
        return expr
    if isinstance(expr, sp.Piecewise):
        cases = ((_rewrite(value), _rewrite(condition)) for value, condition in expr.args)
        return expr.func(*cases)
    rebuilt = _rebuilt(expr, [_rewrite(arg) for arg in expr.args])
    better = improved(rebuilt)
    return rebuilt if better == rebuilt else _rewrite(better)


def _rebuilt(expr: Any, args: list[Any]) -> Any:
    same = all(new is old for new, old in zip(args, expr.args, strict=True))
    return expr if same else expr.func(*args)
