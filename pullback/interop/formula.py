"""Functions of one unit as other libraries write them, and as the text of an Activation."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from sympy.printing.str import StrPrinter

from pullback.errors import ConversionError, ExpressionError
from pullback.ir import Scalar, symbol
from pullback.ir.scalar.cases import Piecewise, branches, clipped
from pullback.ir.scalar.primitives import fn
from pullback.nn import (
    GELU,
    SELU,
    Activation,
    Elementwise,
    Erf,
    Hardsigmoid,
    Hardswish,
    Identity,
    LogSigmoid,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Sin,
    Softplus,
    Softsign,
    Tanh,
)
from pullback.nn.activation import Unwritten, of_function

X, Y = symbol(0), symbol(1)
PLAIN: dict[str, Elementwise] = {
    "identity": Identity(), "relu": ReLU(), "sigmoid": Sigmoid(), "tanh": Tanh(), "selu": SELU(),
    "silu": SiLU(), "sin": Sin(), "erf": Erf(), "mish": Mish(), "logsigmoid": LogSigmoid(),
    "softsign": Softsign(), "relu6": ReLU6(), "hardsigmoid": Hardsigmoid(),
    "hardswish": Hardswish(),
}  # fmt: skip
_WRITTEN_OUT = (GELU(), SiLU())  # what other libraries write as products
_SEEN_AT = np.linspace(-6.0, 6.0, 25)


_ASINH = fn("log1p")(X + X**2 / (1 + sp.sqrt(1 + X**2)))

# functions without parameters that have no block of their own
UNARY: dict[str, Any] = {
    **{name: fn(name)(X) for name in ("exp", "log", "sinh", "cosh", "cos", "tan", "abs")},
    **{name: fn(name)(X) for name in ("asin", "acos", "atan")},
    "neg": -X,
    "sqrt": sp.sqrt(X),
    "rsqrt": 1 / sp.sqrt(X),
    "reciprocal": 1 / X,
    "square": X**2,
    "log1p": fn("log1p")(X),
    "expm1": fn("expm1")(X),
    "sign": fn("sign")(X),
    "ndtr": fn("normal_cdf")(X),
    "erfc": 2 * fn("normal_cdf")(-sp.sqrt(2) * X),
    "tanhshrink": X - sp.tanh(X),
    "exp2": sp.exp(X * sp.log(2)),
    "log2": sp.log(X) / sp.log(2),
    "log10": sp.log(X) / sp.log(10),
    "logit": sp.log(X) - fn("log1p")(-X),
    "asinh": Piecewise((_ASINH, X >= 0), (-_ASINH.xreplace({X: -X}), True)),
    "acosh": sp.log(X + sp.sqrt(X - 1) * sp.sqrt(X + 1)),
    "atanh": (fn("log1p")(X) - fn("log1p")(-X)) / 2,
}
BINARY: dict[str, Any] = {
    "add": X + Y, "sub": X - Y, "rsub": Y - X, "mul": X * Y, "div": X / Y, "pow": X**Y,
    "maximum": sp.Max(X, Y), "minimum": sp.Min(X, Y),
    "clamp_min": Piecewise((Y, X < Y), (X, True)),
    "clamp_max": Piecewise((Y, X > Y), (X, True)),
    "logaddexp": fn("softplus")(X - Y) + Y, "hypot": sp.sqrt(X**2 + Y**2),
}  # fmt: skip
COMPARED = {"gt": sp.Gt, "ge": sp.Ge, "lt": sp.Lt, "le": sp.Le, "eq": sp.Eq, "ne": sp.Ne}


def number(value: Any) -> Any:
    """A Python or NumPy number as SymPy has it; whole numbers and halves stay exact.

    Raises ConversionError for what is no finite number.
    """
    try:
        exact = Fraction(float(value))
    except (TypeError, ValueError, OverflowError):
        raise ConversionError(f"{value!r} stands where a finite number is expected") from None
    if exact.denominator <= 64:
        return sp.Rational(exact.numerator, exact.denominator)
    return sp.Float(float(value))


def clamp(low: Any = None, high: Any = None, *, strict: bool = False) -> Any:
    """x between two bounds, each of them optional; its slope at the bounds is 1, or 0 if strict."""
    low, high = (None if end is None or math.isinf(end) else number(end) for end in (low, high))
    if low is not None and high is not None and low >= high:
        return high  # as torch has it
    return clipped(X, low, high, strict=strict)


def where(relation: str) -> Any:
    """x2 where x0 and x1 compare so, else x3."""
    holds = COMPARED[relation](X, Y, evaluate=False)
    return Piecewise((symbol(2), holds), (symbol(3), True))


def swish(alpha: float) -> Elementwise:
    """x σ(alpha x)."""
    return SiLU() if alpha == 1 else block_of(X * fn("sigmoid")(number(alpha) * X))


def softplus(beta: float) -> Elementwise:
    """log(1 + exp(beta x)) / beta."""
    b = number(beta)
    return Softplus() if beta == 1 else block_of(fn("softplus")(b * X) / b)


def gelu_by_tanh() -> Elementwise:
    """The approximation ½ x (1 + tanh √(2/π) (x + 0.044715 x³)) (Hendrycks and Gimpel 2016)."""
    inner = sp.sqrt(2 / sp.pi) * (X + sp.Float(0.044715) * X**3)
    return block_of(X / 2 * (1 + sp.tanh(inner)))


def celu(alpha: float) -> Elementwise:
    """max(x, 0) + min(0, alpha (exp(x/alpha) − 1)) (Barron 2017)."""
    a = number(alpha)
    return block_of(a * fn("elu")(X / a))


def shrunk(size: float, *, hard: bool) -> Elementwise:
    """0 up to a size, beyond it x, or what of it is beyond."""
    end = number(size)
    below, above = (X, X) if hard else (X + end, X - end)
    inner = Piecewise((below, sp.Lt(X, -end)), (0, True))
    return block_of(Piecewise((above, sp.Gt(X, end)), (inner, True)))


def threshold(bound: float, value: float) -> Elementwise:
    """x above a bound, else a number."""
    return block_of(Piecewise((X, sp.Gt(X, number(bound))), (number(value), True)))


def block_of(expr: Any) -> Elementwise:
    """The block that applies an expression in x0: one with a name, or an Activation.

    x σ(x) and x (1 + erf(x/√2)) / 2 are known even if their constants are rounded to float32.
    Raises ConversionError where the expression is constant or not real.

    >>> block_of(X + 0), block_of(2 * sp.tanh(X) / 3)
    (Identity(), Activation(formula='2*tanh(x)/3'))
    """
    if (known := known_block(expr)) is not None:
        return known
    try:
        return Activation(text_of(expr))
    except ExpressionError as fault:
        raise ConversionError(f"no activation computes this formula: {fault}") from fault


def named_block(name: str) -> Elementwise:
    """The block of a function without parameters, by its name in the tables above."""
    return PLAIN.get(name) or block_of(UNARY[name])


def known_block(expr: Any) -> Elementwise | None:
    """The block that has a name for an expression in x0, its number read off, if there is one.

    >>> known_block(symbol(0) / 4 + 3 * fn("relu")(symbol(0)) / 4)
    LeakyReLU(slope=0.25)
    """
    block = of_function(Scalar.of(expr, 1))
    return _written_out(expr) if isinstance(block, Unwritten) else block


def _written_out(expr: Any) -> Elementwise | None:
    """GELU or SiLU, if the expression is one of them to the precision of float32."""
    if not (expr.has(sp.erf) or expr.has(fn("sigmoid")) or expr.has(fn("normal_cdf"))):
        return None
    with np.errstate(all="ignore"):
        values = Scalar.of(expr, 1)(_SEEN_AT)
    for block in _WRITTEN_OUT:
        if np.allclose(values, block.function(_SEEN_AT), rtol=0, atol=1e-7):
            return block
    return None


def text_of(expr: Any) -> str:
    """An expression in x0 as the parser reads it back, floats to their last digit.

    >>> text_of(sp.Max(X, sp.Float(0.1)))
    'maximum(x, 0.1)'
    """
    return str(_Printer().doprint(expr.xreplace({X: sp.Symbol("x", real=True)})))


class _Printer(StrPrinter):
    """SymPy's own printer with our parser's names."""

    def _print_Float(self, expr: Any) -> str:
        return repr(float(expr))

    def _print_Max(self, expr: Any) -> str:
        return self._folded("maximum", expr.args)

    def _print_Min(self, expr: Any) -> str:
        return self._folded("minimum", expr.args)

    def _folded(self, name: str, args: Any) -> str:
        # variables first: maximum(x, 0)
        text, *more = [str(self._print(arg)) for arg in sorted(args, key=lambda a: a.is_number)]
        for arg in more:
            text = f"{name}({text}, {arg})"
        return text

    def _print_Piecewise(self, expr: Any) -> str:
        chosen, otherwise = branches(expr)
        text = str(self._print(otherwise))
        for value, holds in reversed(chosen):
            left, right = map(self._print, holds.args)
            text = f"where({left} {holds.rel_op} {right}, {self._print(value)}, {text})"
        return text
