"""Activations: one row each. A scalar function says everything about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pullback import ir
from pullback.errors import finite, unknown
from pullback.ir import Map, Node
from pullback.nn.block import Block
from pullback.nn.scope import Scope


@dataclass(frozen=True)
class Elementwise(Block):
    """A block that applies one scalar function to each feature."""

    keeps_axes: ClassVar[bool] = True

    @property
    def function(self) -> ir.Scalar:
        """The scalar function of this activation."""
        return ir.Scalar.of(self.expression(), 1)

    def expression(self) -> Any:
        """The function as a SymPy expression in x0."""
        raise TypeError(f"{type(self).__name__} has no expression")

    def build(self, x: Node, at: Scope) -> Node:
        return Scope(at).a(Map(self.function, (x,)))


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


BY_NAME: dict[str, type[Elementwise]] = {
    each.__name__.lower(): each
    for each in (
        Identity, Sigmoid, Tanh, ReLU, LeakyReLU, ELU, SELU, GELU, SiLU, Softplus, Sin, Erf,
    )
}  # fmt: skip


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
