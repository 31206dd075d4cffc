"""Activations: one row each. A scalar function says everything about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pullback import ir
from pullback.errors import finite, unknown
from pullback.ir import Map
from pullback.ir.language.text import as_text
from pullback.nn.elementwise import Elementwise
from pullback.nn.hard import Hardsigmoid, Hardswish, Hardtanh, ReLU6


@dataclass(frozen=True)
class Identity(Elementwise):
    """f(z) = z."""

    def expression(self) -> Any:
        return ir.symbol(0)


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """f(z) = 1 / (1 + exp(−z))."""

    def expression(self) -> Any:
        return ir.fn("sigmoid")(ir.symbol(0))


@dataclass(frozen=True)
class Tanh(Elementwise):
    """f(z) = tanh z."""

    def expression(self) -> Any:
        return ir.fn("tanh")(ir.symbol(0))


@dataclass(frozen=True)
class ReLU(Elementwise):
    """f(z) = max(z, 0), with f'(0) = 0."""

    def expression(self) -> Any:
        return ir.fn("relu")(ir.symbol(0))


@dataclass(frozen=True)
class LeakyReLU(Elementwise):
    """f(z) = z above 0 and slope · z elsewhere.

    >>> LeakyReLU(0.1).function([-2.0, 3.0])
    array([-0.2,  3. ])
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        finite("slope", self.slope)

    def expression(self) -> Any:
        x, slope = ir.symbol(0), float(self.slope)
        return slope * x + (1 - slope) * ir.fn("relu")(x)


@dataclass(frozen=True)
class ELU(Elementwise):
    """f(z) = z above 0 and alpha · (exp(z) − 1) elsewhere (Clevert et al. 2016)."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        finite("alpha", self.alpha)

    def expression(self) -> Any:
        x, alpha = ir.symbol(0), float(self.alpha)
        if alpha == 1:
            return ir.fn("elu")(x)
        return alpha * ir.fn("elu")(x) + (1 - alpha) * ir.fn("relu")(x)


@dataclass(frozen=True)
class SELU(Elementwise):
    """The self-normalising ELU (Klambauer et al. 2017)."""

    def expression(self) -> Any:
        return ir.fn("selu")(ir.symbol(0))


@dataclass(frozen=True)
class GELU(Elementwise):
    """f(z) = z Φ(z), exact, not the tanh approximation (Hendrycks and Gimpel 2016)."""

    def expression(self) -> Any:
        return ir.fn("gelu")(ir.symbol(0))


@dataclass(frozen=True)
class SiLU(Elementwise):
    """f(z) = z σ(z)."""

    def expression(self) -> Any:
        return ir.fn("silu")(ir.symbol(0))


@dataclass(frozen=True)
class Softplus(Elementwise):
    """f(z) = log(1 + exp(z))."""

    def expression(self) -> Any:
        return ir.fn("softplus")(ir.symbol(0))


@dataclass(frozen=True)
class Mish(Elementwise):
    """f(z) = z tanh(log(1 + exp(z))) (Misra 2019)."""

    def expression(self) -> Any:
        return ir.symbol(0) * ir.fn("tanh")(ir.fn("softplus")(ir.symbol(0)))


@dataclass(frozen=True)
class LogSigmoid(Elementwise):
    """f(z) = log σ(z)."""

    def expression(self) -> Any:
        return -ir.fn("softplus")(-ir.symbol(0))


@dataclass(frozen=True)
class Softsign(Elementwise):
    """f(z) = z / (1 + |z|)."""

    def expression(self) -> Any:
        return ir.symbol(0) / (1 + ir.fn("abs")(ir.symbol(0)))


@dataclass(frozen=True)
class Sin(Elementwise):
    """f(z) = sin z."""

    def expression(self) -> Any:
        return ir.fn("sin")(ir.symbol(0))


@dataclass(frozen=True)
class Erf(Elementwise):
    """f(z) = erf z."""

    def expression(self) -> Any:
        return ir.fn("erf")(ir.symbol(0))


@dataclass(frozen=True)
class Activation(Elementwise):
    """An activation of your own, as a formula in one variable; the text is parsed, never run.

    Raises ExpressionError with a caret under the place that is not understood.

    >>> lecun = Activation("1.7159*tanh(2*x/3)")
    >>> lecun.function(1.0).round(4)
    np.float64(1.0)
    """

    formula: str

    def __post_init__(self) -> None:
        ir.parse_scalar(self.formula)

    def expression(self) -> Any:
        return ir.parse_scalar(self.formula).expr


@dataclass(frozen=True)
class Unwritten(Elementwise):
    """An activation that nobody wrote as one: its function was read off a graph."""

    scalar: ir.Scalar

    def expression(self) -> Any:
        return self.scalar.expr

    def public(self) -> Activation:
        return Activation(as_text(Map(self.scalar, (ir.Input("x", ()),))))

    def __repr__(self) -> str:
        return f"Activation(formula={as_text(Map(self.scalar, (ir.Input('x', ()),)))!r})"


BY_NAME: dict[str, type[Elementwise]] = {
    each.__name__.lower(): each
    for each in (
        Identity, Sigmoid, Tanh, ReLU, LeakyReLU, ELU, SELU, GELU, SiLU, Softplus, Sin, Erf,
        Mish, LogSigmoid, Softsign, ReLU6, Hardtanh, Hardsigmoid, Hardswish,
    )
}  # fmt: skip


@lru_cache(maxsize=256)
def of_function(function: ir.Scalar) -> Elementwise:
    """The activation with a function: ours where one has it, else one that shows its formula.

    >>> of_function(Tanh().function), of_function(LeakyReLU(0.2).function)
    (Tanh(), LeakyReLU(slope=0.2))
    >>> of_function(Activation("x**2/2").function)
    Activation(formula='x**2/2')
    """
    x, elu = ir.symbol(0), ir.fn("elu")(ir.symbol(0))
    linear, curved = (function.expr.coeff(part) for part in (x, elu))
    known: list[Elementwise] = [each() for each in BY_NAME.values()]
    known += [LeakyReLU(float(linear))] if linear.is_number else []
    known += [ELU(float(curved))] if curved.is_number else []
    known += _held_at_ends(function)
    # a slope of 1/2 stands as 0.5 in a block and as a fraction in a simplified formula
    alike = (each for each in known if (each.expression() - function.expr).expand() == 0)
    return next(alike, Unwritten(function))


def _held_at_ends(function: ir.Scalar) -> list[Elementwise]:
    """The Hardtanh that a choice of x and two numbers may be."""
    cases = function.expr.args if function.expr.is_Piecewise else ()
    ends = [float(value) for value, _ in cases if value.is_number]
    return [Hardtanh(*ends)] if len(ends) == 2 and ends[0] < ends[1] else []


def activation(name: str) -> Elementwise:
    """The activation of that name, or of that formula in x.

    Raises UnknownNameError with the nearest name.

    >>> activation("tanh")
    Tanh()
    >>> activation("x*sigmoid(x)")
    Activation(formula='x*sigmoid(x)')
    """
    from_name = BY_NAME.get(name.strip().lower())
    if from_name is not None:
        return from_name()
    if name.isidentifier():
        raise unknown("activation", name, BY_NAME)
    return Activation(name)
