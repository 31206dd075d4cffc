"""Stable forms: rewriting a scalar expression so that it neither overflows nor cancels.

``log(1+exp(u))`` overflows at u = 1000 and ``log(sigmoid(u))`` at -1000; written as softplus they
do not. The rules work on SymPy's canonical form, so the order in which a person wrote the
operands does not matter.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import sympy as sp

from pullback.ir.primitives import fn, primitive_of


@lru_cache(maxsize=8192)
def stabilise(expr: Any) -> Any:
    """The stable form of an expression, and of several equal ones the shortest.

    >>> x = sp.Symbol("x", real=True)
    >>> stabilise(sp.log(1 + sp.exp(x)))
    softplus(x)
    >>> stabilise(-sp.log(1 / (1 + sp.exp(-x))))
    softplus(-x)
    >>> t = sp.Symbol("t", real=True)
    >>> stabilise((1 - t) * fn("sigmoid")(x) - t * fn("sigmoid")(-x))
    -t + sigmoid(x)
    """
    stable = _rewrite(expr)
    candidates = [stable, _rewrite(_expand(stable)), _rewrite(sp.factor_terms(stable))]
    if stable.has(fn("sigmoid")):
        candidates.append(_rewrite(_expand(_one_sided(stable))))
    # min keeps the first of equals: a form is changed only for a shorter one
    return min(candidates, key=length)


@lru_cache(maxsize=8192)
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
        return expr.func(*((_rewrite(value), condition) for value, condition in expr.args))
    args = [_rewrite(arg) for arg in expr.args]
    rebuilt = (
        expr.func(*args) if any(a is not b for a, b in zip(args, expr.args, strict=True)) else expr
    )
    if isinstance(rebuilt, sp.log):
        return _log(rebuilt)
    if rebuilt.is_Pow:
        return _reciprocal(rebuilt)
    if rebuilt.is_Mul:
        return _product(rebuilt)
    if isinstance(rebuilt, (sp.Abs, sp.sign, sp.Heaviside)):
        return _kink(rebuilt)
    if primitive_of(rebuilt) is not None and rebuilt.args[0].is_Number:
        return _at_number(rebuilt)
    return rebuilt


def _kink(expr: Any) -> Any:
    """SymPy's |u|, sign and Heaviside as rows; the latter is ½ at 0, where max(a, b) has a tie."""
    u = expr.args[0]
    if isinstance(expr, sp.Abs):
        return fn("abs")(u)
    return fn("sign")(u) if isinstance(expr, sp.sign) else (1 + fn("sign")(u)) / 2


def _at_number(expr: Any) -> Any:
    """Our own rows at the one number where their value is exact."""
    if expr.args[0] == 0 and type(expr).__name__ in {"relu", "step", "sign", "abs"}:
        return sp.Integer(0)
    return expr


def _one_plus_exp(expr: Any) -> Any:
    """u if the expression is 1 + exp(u), else None."""
    if (
        expr.is_Add
        and len(expr.args) == 2
        and expr.args[0] == 1
        and isinstance(expr.args[1], sp.exp)
    ):
        return expr.args[1].args[0]
    return None


def _one_minus_sigmoid(expr: Any) -> Any:
    """u if the expression is 1 − σ(u), else None."""
    rest = 1 - expr
    return rest.args[0] if isinstance(rest, fn("sigmoid")) else None


def _log(expr: Any) -> Any:
    inside, softplus = expr.args[0], fn("softplus")
    if isinstance(inside, fn("sigmoid")):
        return -softplus(-inside.args[0])
    if (u := _one_minus_sigmoid(inside)) is not None:
        return -softplus(u)
    if (u := _one_plus_exp(inside)) is not None:
        return softplus(u)
    return expr


def _reciprocal(expr: Any) -> Any:
    base, exponent = expr.args
    u = _one_plus_exp(base)
    if u is not None and exponent.is_Integer and exponent < 0:
        return fn("sigmoid")(-u) ** (-exponent)
    return expr


def _product(expr: Any) -> Any:
    """exp(u) σ(−u) is σ(u): what remains of exp(u)/(1+exp(u))."""
    sigmoid = fn("sigmoid")
    for factor in expr.args:
        base, power = factor.as_base_exp()
        if isinstance(factor, sp.exp):
            base, power = factor, sp.Integer(1)
        if isinstance(base, sigmoid) and power == 1:
            u = -base.args[0]
            if sp.exp(u) in expr.args:
                return expr / (sp.exp(u) * base) * sigmoid(u)
    return expr
