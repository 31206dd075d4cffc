"""The scalar functions, one row each: what it means, its derivative, how it is computed stably.

Every reader knows a function from its row alone; a language in which the row has no spelling gets
the definition. A row becomes a SymPy function, so LaTeX and simplification come from SymPy. The
derivative is written with other rows, in a form that keeps its digits in the tails, where
1 − tanh² is 0. ``from_output`` gives it in terms of y = f(x) where that loses nothing, so that x
need not be kept; ``textbook`` is how the row is printed if not by its name. A law compares all of
them with SymPy's derivative of the definition, in both precisions and far out, for every row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp

from pullback.ir.scalar.cases import Piecewise
from pullback.ir.scalar.compute import elu as _elu
from pullback.ir.scalar.compute import erf as _erf
from pullback.ir.scalar.compute import log_cosh as _log_cosh
from pullback.ir.scalar.compute import normal_cdf as _normal_cdf
from pullback.ir.scalar.compute import relu as _relu
from pullback.ir.scalar.compute import sigmoid as _sigmoid
from pullback.ir.scalar.compute import sigmoid_slope as _sigmoid_slope
from pullback.ir.scalar.compute import sign as _sign
from pullback.ir.scalar.compute import softplus as _softplus
from pullback.ir.scalar.compute import step as _step

Array = np.ndarray[Any, np.dtype[Any]]
Symbolic = Callable[[Any], Any]
_U = sp.Symbol("u", real=True)


@dataclass(frozen=True)
class Primitive:
    """One scalar function of one argument."""

    name: str
    definition: Symbolic  # in elementary functions, as a textbook has it
    derivative: Symbolic  # in rows that exist
    compute: Callable[[Array], Array]  # stable; right for complex steps as well
    # NumPy source, {x} the argument and {out} where the result goes; or other rows that cost less
    numpy: str | Symbolic | None
    latex: str
    from_output: Symbolic | None = None
    textbook: Symbolic | None = None  # in rows that exist
    # an expression in x for each language that has one: numpy (to be read), jax, torch, loop (one
    # number, in Python)
    code: Mapping[str, str] = field(default_factory=dict)
    symbol: Any = None  # the SymPy function


SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
_LA = SELU_ALPHA * SELU_SCALE


def _where_positive(positive: Any, otherwise: Any) -> Symbolic:
    return lambda x: Piecewise((positive(x), x > 0), (otherwise(x), True))


def _density(x: Any) -> Any:
    return sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)


def _bell(x: Any) -> Any:
    """σ'(x) from e^−|x|, which no x makes overflow."""
    e = sp.exp(-OWN["abs"].symbol(x))
    return e / (1 + e) ** 2


def _own() -> dict[str, Primitive]:
    rows: dict[str, Primitive] = {}

    def row(name: str, *rest: Any, **more: Any) -> Any:
        primitive = Primitive(name, *rest, **more)
        symbol = _function(primitive)
        object.__setattr__(primitive, "symbol", symbol)
        rows[name] = primitive
        return symbol

    step = row(
        "step",
        _where_positive(lambda x: 1, lambda x: 0),
        lambda x: sp.Integer(0),
        _step,
        "np.greater({x}, 0, out={out}, casting='unsafe')",
        r"\mathbf 1_{>0}",
        code=dict(
            numpy="np.heaviside(x, 0.0)",
            jax="jnp.heaviside(x, 0.0)",
            torch="(x > 0).to(x.dtype)",
            loop="1.0 if x > 0.0 else 0.0",
        ),
    )
    sign = row(
        "sign",
        lambda x: Piecewise((1, x > 0), (-1, x < 0), (0, True)),
        lambda x: sp.Integer(0),
        _sign,
        "np.sign({x}, out={out})",
        r"\operatorname{sign}",
        code=dict(
            jax="jnp.sign(x)",
            torch="torch.sign(x)",
            loop="1.0 if x > 0.0 else -1.0 if x < 0.0 else x",
        ),
    )
    row(
        "heaviside",
        lambda x: Piecewise((1, x > 0), (0, x < 0), (sp.Rational(1, 2), True)),
        lambda x: sp.Integer(0),
        lambda x: (_sign(x) + 1) / 2,
        "np.heaviside({x}, 0.5, out={out})",
        r"\operatorname{heaviside}",
        textbook=lambda x: (1 + sign(x)) / 2,
        code=dict(
            jax="jnp.heaviside(x, 0.5)",
            torch="0.5 * (torch.sign(x) + 1.0)",
            loop="1.0 if x > 0.0 else 0.0 if x < 0.0 else 0.5",
        ),
    )
    row(
        "abs",
        lambda x: Piecewise((x, x > 0), (-x, True)),
        sign,
        lambda x: _sign(x) * x,
        "np.abs({x}, out={out})",
        r"\operatorname{abs}",
        code=dict(
            jax="jnp.abs(x)",
            torch="torch.abs(x)",
            loop="abs(x)",
        ),
    )
    relu = row(
        "relu",
        _where_positive(lambda x: x, lambda x: 0),
        step,
        _relu,
        "np.maximum({x}, 0, out={out})",
        r"\operatorname{relu}",
        from_output=step,
        code=dict(
            numpy="np.maximum(x, 0.0)",
            jax="jnp.maximum(x, 0.0)",
            torch="torch.relu(x)",
            loop="0.0 if x <= 0.0 else x",
        ),
    )
    row(
        "expm1",
        lambda x: sp.exp(x) - 1,
        sp.exp,
        np.expm1,
        "np.expm1({x}, out={out})",
        r"\operatorname{expm1}",
        textbook=lambda x: sp.exp(x) - 1,
        code=dict(jax="jnp.expm1(x)", torch="torch.expm1(x)", loop="expm1(x)"),
    )
    row(
        "log1p",
        lambda x: sp.log(1 + x),
        lambda x: 1 / (1 + x),
        np.log1p,
        "np.log1p({x}, out={out})",
        r"\operatorname{log1p}",
        textbook=lambda x: sp.log(1 + x),
        code=dict(jax="jnp.log1p(x)", torch="torch.log1p(x)", loop="log1p(x)"),
    )
    sigmoid: Any = row(
        "sigmoid",
        lambda x: 1 / (1 + sp.exp(-x)),
        lambda x: slope(x),
        _sigmoid,
        "expit({x}, out={out})",
        r"\sigma",
        code=dict(
            jax="jax.nn.sigmoid(x)",
            torch="torch.sigmoid(x)",
            loop="1.0 / (1.0 + exp(-x)) if x > 0.0 else exp(x) / (1.0 + exp(x))",
        ),
    )
    slope: Any = row(
        "sigmoid_slope",
        lambda x: sp.exp(-x) / (1 + sp.exp(-x)) ** 2,
        lambda x: -slope(x) * sp.tanh(x / 2),
        _sigmoid_slope,
        lambda x: _bell(x),
        r"\sigma'",
        textbook=lambda x: sigmoid(x) * (1 - sigmoid(x)),
        code=dict(
            numpy="expit(x) * expit(-x)",
            jax="jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)",
            torch="torch.sigmoid(x) * torch.sigmoid(-x)",
            loop="sigmoid(x) * sigmoid(-x)",
        ),
    )
    sech2: Any = row(
        "sech2",
        lambda x: 1 / sp.cosh(x) ** 2,
        lambda x: -2 * sp.tanh(x) * sech2(x),
        lambda x: 4 * _sigmoid_slope(2 * x),
        lambda x: 4 * _bell(2 * x),
        r"\operatorname{sech}^2",
        textbook=lambda x: 1 - sp.tanh(x) ** 2,
        code=dict(
            numpy="4.0 * expit(2.0 * x) * expit(-2.0 * x)",
            jax="4.0 * jax.nn.sigmoid(2.0 * x) * jax.nn.sigmoid(-2.0 * x)",
            torch="4.0 * torch.sigmoid(2.0 * x) * torch.sigmoid(-2.0 * x)",
            loop="4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x)",
        ),
    )
    row(
        "log_cosh",
        lambda x: sp.log(sp.cosh(x)),
        sp.tanh,
        _log_cosh,
        "np.where(np.abs({x}) < 1.0, np.log1p(2.0 * np.square(np.sinh(0.5 * np.clip({x}, -1.0, "
        f"1.0)))), np.abs({{x}}) - {math.log(2)!r} + np.log1p(np.exp(-2.0 * np.abs({{x}}))))",
        r"\log\cosh",
        textbook=lambda x: sp.log(sp.cosh(x)),
        code=dict(
            jax="jnp.where(jnp.abs(x) < 1.0, jnp.log1p(2.0 * jnp.sinh(0.5 * jnp.clip(x, -1.0, 1.0))"
            " ** 2), jnp.logaddexp(x, -x) - jnp.log(2.0))",
            torch="torch.where(torch.abs(x) < 1.0, torch.log1p(2.0 * torch.sinh(0.5 * "
            "torch.clamp(x, -1.0, 1.0)) ** 2), torch.logaddexp(x, -x) - 0.6931471805599453)",
            loop="log1p(2.0 * sinh(0.5 * x) ** 2) if abs(x) < 1.0 else "
            "abs(x) - 0.6931471805599453 + log1p(exp(-2.0 * abs(x)))",
        ),
    )
    row(
        "softplus",
        lambda x: sp.log(1 + sp.exp(x)),
        sigmoid,
        _softplus,
        "np.logaddexp({x}, 0, out={out})",
        r"\operatorname{softplus}",
        code=dict(
            numpy="np.logaddexp(x, 0.0)",
            jax="jnp.logaddexp(x, 0.0)",
            torch="torch.logaddexp(x, torch.zeros_like(x))",
            loop="max(x, 0.0) + log1p(exp(-abs(x)))",
        ),
    )
    normal_cdf = row(
        "normal_cdf",
        lambda x: (1 + sp.erf(x / sp.sqrt(2))) / 2,
        _density,
        _normal_cdf,
        "ndtr({x}, out={out})",
        r"\Phi",
        code=dict(
            jax="jax.scipy.special.ndtr(x)",
            # torch.special.ndtr is (1 + erf)/2, which is 0 at -10
            torch="0.5 * torch.erfc(-0.7071067811865476 * x)",
            loop="0.5 * erfc(-x / 1.4142135623730951)",
        ),
    )
    row(
        "gelu",
        lambda x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2,
        lambda x: normal_cdf(x) + x * _density(x),
        lambda x: x * _normal_cdf(x),
        "np.multiply({x}, ndtr({x}), out={out})",
        r"\operatorname{gelu}",
        code=dict(
            numpy="x * ndtr(x)",
            jax="x * jax.scipy.special.ndtr(x)",
            torch="0.5 * x * torch.erfc(-0.7071067811865476 * x)",
            loop="x * normal_cdf(x)",
        ),
    )
    row(
        "silu",
        lambda x: x / (1 + sp.exp(-x)),
        lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
        lambda x: x * _sigmoid(x),
        "np.multiply({x}, expit({x}), out={out})",
        r"\operatorname{silu}",
        code=dict(
            numpy="x * expit(x)",
            jax="x * jax.nn.sigmoid(x)",
            torch="x * torch.sigmoid(x)",
            loop="x * sigmoid(x)",
        ),
    )
    row(
        "elu",
        _where_positive(lambda x: x, lambda x: sp.exp(x) - 1),
        lambda x: sp.exp(-relu(-x)),
        _elu,
        "np.add(np.maximum({x}, 0), np.expm1(np.minimum({x}, 0)), out={out})",
        r"\operatorname{elu}",
        code=dict(
            numpy="np.maximum(x, 0.0) + np.expm1(np.minimum(x, 0.0))",
            jax="jnp.maximum(x, 0.0) + jnp.expm1(jnp.minimum(x, 0.0))",
            torch="torch.relu(x) + torch.expm1(-torch.relu(-x))",
            loop="x if x > 0.0 else expm1(x)",
        ),
    )
    scale, alpha = repr(SELU_SCALE), repr(SELU_ALPHA)
    row(
        "selu",
        _where_positive(lambda x: SELU_SCALE * x, lambda x: _LA * (sp.exp(x) - 1)),
        lambda x: (SELU_SCALE - _LA) * step(x) + _LA * sp.exp(-relu(-x)),
        lambda x: SELU_SCALE * (_relu(x) + SELU_ALPHA * np.expm1(-_relu(-x))),
        f"np.multiply(np.maximum({{x}}, 0) + {SELU_ALPHA!r} * np.expm1(np.minimum({{x}}, 0)), "
        f"{SELU_SCALE!r}, out={{out}})",
        r"\operatorname{selu}",
        code=dict(
            numpy=f"{scale} * (np.maximum(x, 0.0) + {alpha} * np.expm1(np.minimum(x, 0.0)))",
            jax=f"{scale} * (jnp.maximum(x, 0.0) + {alpha} * jnp.expm1(jnp.minimum(x, 0.0)))",
            torch=f"{scale} * (torch.relu(x) + {alpha} * torch.expm1(-torch.relu(-x)))",
            loop=f"{scale} * (x if x > 0.0 else {alpha} * expm1(x))",
        ),
    )
    return rows


def _function(primitive: Primitive) -> Any:
    """The row as a SymPy function: real, with the row's derivative, otherwise opaque."""

    def fdiff(self: Any, argindex: int = 1) -> Any:
        return primitive.derivative(self.args[0])

    def is_real(self: Any) -> Any:
        return self.args[0].is_extended_real

    def evalf(self: Any, precision: int) -> Any:
        # a float as the fraction that it is: 1 + 1e-20 in floats is 1
        (arg,) = self.args
        exact = arg.xreplace({number: sp.Rational(number) for number in arg.atoms(sp.Float)})
        return primitive.definition(exact).evalf(sp.core.evalf.prec_to_dps(precision))

    members = {
        "nargs": 1,
        "fdiff": fdiff,
        "_eval_is_extended_real": is_real,
        "_eval_evalf": evalf,
    }
    return type(primitive.name, (sp.Function,), members)


def _elementary(sech2: Any) -> dict[str, Primitive]:
    """SymPy's own functions: their meaning is SymPy's, and so is the derivative of most."""

    def row(
        symbol: Any,
        compute: Any,
        numpy: str,
        latex: str,
        from_output: Any = None,
        derivative: Any = None,
        **code: str,
    ) -> None:
        name = symbol.__name__
        same = {"jax": f"jnp.{name}(x)", "torch": f"torch.{name}(x)", "loop": f"{name}(x)"}
        rows[name] = Primitive(
            name,
            symbol,
            derivative or (lambda x: symbol(_U).diff(_U).subs(_U, x)),
            compute,
            numpy,
            latex,
            from_output,
            code=same | code,
            symbol=symbol,
        )

    rows: dict[str, Primitive] = {}
    row(sp.exp, np.exp, "np.exp({x}, out={out})", r"\exp", lambda y: y)
    row(sp.log, np.log, "np.log({x}, out={out})", r"\log")
    row(sp.tanh, np.tanh, "np.tanh({x}, out={out})", r"\tanh", derivative=sech2)
    row(sp.sinh, np.sinh, "np.sinh({x}, out={out})", r"\sinh")
    row(sp.cosh, np.cosh, "np.cosh({x}, out={out})", r"\cosh")
    row(sp.sin, np.sin, "np.sin({x}, out={out})", r"\sin")
    row(sp.cos, np.cos, "np.cos({x}, out={out})", r"\cos")
    row(sp.tan, np.tan, "np.tan({x}, out={out})", r"\tan", lambda y: 1 + y**2)
    row(sp.atan, np.arctan, "np.arctan({x}, out={out})", r"\arctan", jax="jnp.arctan(x)")
    root = sp.sqrt((1 - _U) * (1 + _U))  # keeps its digits at the ends, where 1 - x² has none
    for symbol, slope, name in ((sp.asin, 1 / root, "arcsin"), (sp.acos, -1 / root, "arccos")):
        row(
            symbol,
            getattr(np, name),
            f"np.{name}({{x}}, out={{out}})",
            rf"\{name}",
            derivative=lambda x, slope=slope: slope.xreplace({_U: x}),
            jax=f"jnp.{name}(x)",
        )
    row(sp.erf, _erf, "erf({x}, out={out})", r"\operatorname{erf}", jax="jax.scipy.special.erf(x)")
    return rows


OWN = _own()
PRIMITIVES: dict[str, Primitive] = {**_elementary(OWN["sech2"].symbol), **OWN}
_AS_SYMPY_HAS_THEM = {sp.Abs: "abs", sp.sign: "sign"}  # it writes √(c² s) as |c| √s by itself


def primitive_of(expr: Any) -> Primitive | None:
    """The row of a SymPy expression's outermost function, if it is one of ours."""
    if (name := _AS_SYMPY_HAS_THEM.get(type(expr))) is not None:
        return PRIMITIVES[name]
    row = PRIMITIVES.get(type(expr).__name__)
    return row if row is not None and isinstance(expr, row.symbol) else None


def fn(name: str) -> Any:
    """The SymPy function of a row."""
    return PRIMITIVES[name].symbol
