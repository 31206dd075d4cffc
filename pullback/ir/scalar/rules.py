"""Rules that keep digits: each takes one SymPy expression to an equal one that is computed well.

1 − tanh² is 0 at 19, 1 − σ at 37, log Σ exp is infinite at 710, and log(1 + x) is 0 at 1e-20. The
rules look at SymPy's canonical form, so the order in which a person wrote the operands does not
matter. Where no rule applies the expression comes back as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from pullback.ir.scalar.primitives import fn, primitive_of

EVEN = ("sech2", "sigmoid_slope", "log_cosh", "abs")
_ZERO_AT_ZERO = ("relu", "step", "sign", "abs", "elu", "selu", "gelu", "silu", "expm1", "log1p",
                 "log_cosh")  # fmt: skip
# 1 − f(u), written so that it keeps its digits where f(u) is nearly 1
_ONE_MINUS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda u: fn("sigmoid")(-u),
    "normal_cdf": lambda u: fn("normal_cdf")(-u),
    "erf": lambda u: 2 * fn("normal_cdf")(-sp.sqrt(2) * u),
    "tanh": lambda u: 2 * fn("sigmoid")(-2 * u),
    "sech2": lambda u: sp.tanh(u) ** 2,
    "exp": lambda u: -fn("expm1")(u),
    "cos": lambda u: 2 * sp.sin(u / 2) ** 2,
}
_ODD = ("tanh", "erf")
_LOG_OF: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda u: -fn("softplus")(-u),
    "cosh": lambda u: fn("log_cosh")(u),
    "sech2": lambda u: -2 * fn("log_cosh")(u),
}


def improved(expr: Any) -> Any:
    """The expression after the first rule that fits its outermost operation, else itself."""
    if expr.is_Add:
        return _add(expr)
    if expr.is_Mul:
        return _multiply(expr)
    if expr.is_Pow:
        return _power(expr)
    if isinstance(expr, sp.log):
        return _log(expr.args[0])
    if isinstance(expr, sp.Abs):
        return fn("abs")(expr.args[0])
    if isinstance(expr, sp.sign):
        return fn("sign")(expr.args[0])
    row = primitive_of(expr)
    return expr if row is None else _call(expr, row.name)


def _call(expr: Any, name: str) -> Any:
    """Our own rows at 0, and the even ones without a sign."""
    (u,) = expr.args
    if name in _ZERO_AT_ZERO and u == 0:
        return sp.Integer(0)
    if name == "log1p" and not u.is_number:
        return _log(improved(1 + u))
    if name == "abs" and u.is_nonnegative:
        return u
    if name in EVEN and u.could_extract_minus_sign():
        return expr.func(-u)
    return expr


def _add(expr: Any) -> Any:
    number, rest = expr.as_coeff_Add()
    terms = [term.as_coeff_Mul() for term in sp.Add.make_args(rest)]
    for rule in (_complement, _of_exponentials, _softplus_less_its_argument):
        for at, (factor, call) in enumerate(terms):
            others = terms[:at] + terms[at + 1 :]
            found = rule(number, factor, call, others)
            if found is not None:
                return found
    return expr


def _total(*parts: Any) -> Any:
    return sp.Add(*(sp.Mul(*part) if isinstance(part, tuple) else part for part in parts))


def _equal(one: Any, other: Any) -> bool:
    return bool(float(one) == float(other))


def _complement(number: Any, factor: Any, call: Any, others: Any) -> Any:
    """c − c f(u) as c (1 − f)(u), c − c bᵘ as −c expm1(u log b), and σ(u) − ½ as ½ tanh(u/2)."""
    if number == 0:
        return None
    square = call.is_Pow and call.exp == 2 and isinstance(call.base, sp.tanh)
    if square and _equal(factor, -number):
        return _total((number, fn("sech2")(call.base.args[0])), *others)
    if call.is_Pow and call.base.is_positive and call.base.is_number and _equal(factor, -number):
        return _total((factor, fn("expm1")(call.exp * sp.log(call.base))), *others)
    row = primitive_of(call)
    if row is None:
        return None
    (u,) = call.args
    if row.name == "sigmoid" and _equal(factor, -2 * number):
        return _total((-number, sp.tanh(u / 2)), *others)
    if row.name in _ODD and _equal(factor, number):
        u, factor = -u, -factor
    if row.name in _ONE_MINUS and _equal(factor, -number):
        return _total((number, _ONE_MINUS[row.name](u)), *others)
    return None


def _of_exponentials(number: Any, factor: Any, call: Any, others: Any) -> Any:
    """eᵘ ± e⁻ᵘ as 2 cosh u or 2 sinh u."""
    if not isinstance(call, sp.exp) or call.args[0].could_extract_minus_sign():
        return None
    (u,) = call.args
    for at, (other, partner) in enumerate(others):
        if partner == sp.exp(-u) and _equal(abs(other), abs(factor)):
            function = sp.cosh if _equal(other, factor) else sp.sinh
            rest = others[:at] + others[at + 1 :]
            return _total(number, (2 * factor, function(u)), *rest)
    return None


def _softplus_less_its_argument(number: Any, factor: Any, call: Any, others: Any) -> Any:
    """softplus(u) − u as softplus(−u)."""
    if not isinstance(call, fn("softplus")):
        return None
    scale, u = call.args[0].as_coeff_Mul()
    for at, (other, partner) in enumerate(others):
        if partner == u and not u.is_Add and _equal(other, -factor * scale):
            rest = others[:at] + others[at + 1 :]
            return _total(number, (factor, fn("softplus")(-call.args[0])), *rest)
    return None


def _multiply(expr: Any) -> Any:
    exponents = [f.args[0] for f in expr.args if isinstance(f, sp.exp)]
    terms = [term for u in exponents for term in sp.Add.make_args(u)]
    if len(exponents) > 1 and any(term.could_extract_minus_sign() for term in terms):
        rest = [f for f in expr.args if not isinstance(f, sp.exp)]
        return sp.Mul(*rest, sp.exp(sp.Add(*exponents)))  # one overflows where the other vanishes
    powers = dict(factor.as_base_exp() for factor in expr.args if not isinstance(factor, sp.exp))
    powers |= {factor: sp.Integer(1) for factor in expr.args if isinstance(factor, sp.exp)}
    sigmoid = fn("sigmoid")
    for base, power in powers.items():
        row = primitive_of(base)
        if row is None or base.is_number or not (power.is_Integer and power > 0):
            continue
        (u,) = base.args
        if row.name == "sign" and powers.get(u) == 1 and power == 1:
            return _with(expr, {base: 1, u: 1}, fn("abs")(u))
        if row.name == "sigmoid" and sp.exp(-u) in powers:
            return _with(expr, {base: 1, sp.exp(-u): 1}, sigmoid(-u))
        if row.name == "sigmoid" and _is_factor(powers, sigmoid(-u)):
            return _with(expr, {base: 1, sigmoid(-u): 1}, fn("sigmoid_slope")(u))
        if row.name == "expm1" and _is_factor(powers, sigmoid(-u)):
            return _with(expr, {base: 1, sigmoid(-u): 1}, sp.tanh(u / 2))
        if row.name == "sinh" and (below := powers.get(sp.cosh(u))) is not None and below < 0:
            return _with(expr, {base: 1, sp.cosh(u): -1}, sp.tanh(u))
        if row.name in ("sinh", "cosh") and _is_factor(powers, fn("sech2")(u)):
            left = sp.tanh(u) if row.name == "sinh" else 1
            return _with(expr, {base: 1, fn("sech2")(u): 1}, left / sp.cosh(u))
    return expr


def _is_factor(powers: dict[Any, Any], base: Any) -> bool:
    power = powers.get(base)
    return power is not None and bool(power.is_Integer) and bool(power > 0)


def _with(expr: Any, gone: dict[Any, int], new: Any) -> Any:
    """A product with some factors replaced by another one."""
    return sp.Mul(expr, *(base ** (-power) for base, power in gone.items()), new)


def _power(expr: Any) -> Any:
    """1/(1 + eᵘ) as σ(−u), 1/cosh² as a row of its own."""
    base, exponent = expr.args
    if not (exponent.is_Integer and exponent < 0):
        return expr
    logs = _logs_of_exponentials(base)
    if logs is not None and len(logs) == 2 and logs[-1] == 0:
        return fn("sigmoid")(-logs[0]) ** (-exponent)
    if isinstance(base, sp.cosh) and exponent <= -2:
        twice = int(-exponent) // 2
        return fn("sech2")(base.args[0]) ** twice * base ** (exponent + 2 * twice)
    return expr


def _log(inside: Any) -> Any:
    """log of an expression, by a row where one keeps its digits."""
    factor, call = inside.as_coeff_Mul()
    if inside.is_number or (factor != 1 and factor < 0 and not isinstance(call, fn("expm1"))):
        return sp.log(inside)
    if factor == -1:
        return fn("log1p")(-sp.exp(call.args[0]))  # keeps its digits where eᵘ is small
    if factor != 1:
        rest = _log(call)
        return sp.log(inside) if rest.has(sp.log) else sp.log(factor) + rest
    powers = [f for f in sp.Mul.make_args(inside) if isinstance(f, sp.exp)]
    if powers and inside.is_Mul:
        return sp.Add(*(f.args[0] for f in powers), _log(inside / sp.Mul(*powers)))
    row = primitive_of(call)
    if row is not None and row.name in _LOG_OF:
        return _LOG_OF[row.name](call.args[0])
    if (logs := _logs_of_exponentials(inside)) is not None:
        total, *others = logs
        for each in others:
            total = each + fn("softplus")(total - each)
        return total
    number, rest = inside.as_coeff_Add()
    return fn("log1p")(rest) if number == 1 and rest != 0 else sp.log(inside)


def _logs_of_exponentials(expr: Any) -> list[Any] | None:
    """log c + u for each term c eᵘ, c > 0, of a sum of two or more; a number's comes last."""
    if not expr.is_Add:
        return None
    logs, number = [], []
    for term in expr.args:
        factor, call = term.as_coeff_Mul()
        if not factor > 0:
            return None
        if isinstance(call, sp.exp):
            logs.append(sp.log(factor) + call.args[0])
        elif call == 1:
            number.append(sp.log(factor))
        else:
            return None
    return logs + number if logs else None
