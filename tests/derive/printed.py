"""Programs to print, and their lines."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from pullback.calculus import gradients
from pullback.derive import EquationList
from pullback.ir import (
    Add,
    Axis,
    Constant,
    Contract,
    Input,
    Named,
    Node,
    Parameter,
    simplify,
    symbol,
    walk,
)
from pullback.ir.build import mean_over, scalar_map
from pullback.nn import (
    ELU,
    GELU,
    SELU,
    Activation,
    BinaryCrossEntropy,
    Block,
    CrossEntropy,
    Erf,
    Identity,
    LeakyReLU,
    Linear,
    LogisticLoss,
    Loss,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Sin,
    Softplus,
    SquaredError,
    Tanh,
    named_loss,
)

N, X0 = Axis("batch"), symbol(0)
Roots = tuple[Node, ...]


def program(model: Block, loss: Loss, penalty: float = 0.0) -> Roots:
    """Everything that a network computes, by name."""
    x = Input("x", (N, Axis("features", model.n_in)))
    output = model.build(x, "")
    weights = [n for n in walk((output,)) if isinstance(n, Parameter) and "weight" in n.name]
    square = Add(tuple(Contract((w, w), ()) for w in weights))
    more = Contract((Constant(penalty / 2), square), ()) if penalty else None
    total = named_loss(loss, output, Input("target", output.axes), more)
    output, total = simplify(output, total)
    parameters = sorted({n for n in walk((total,)) if isinstance(n, Parameter)}, key=repr)
    found = gradients(total, parameters, beside=(output,))
    named = [
        Named(f"gradient.{p.name}", g, "gradient") for p, g in zip(parameters, found, strict=True)
    ]
    return output, total, *named


def two_layers(activation: Block, loss: Loss, *last: Block) -> Roots:
    return program(Sequential(Linear(4, 3), activation, Linear(3, 2), *last), loss)


def residual() -> Roots:
    block = Sequential(Linear(3, 3), Tanh())
    return program(
        Sequential(Linear(4, 3), Tanh(), Residual(block, scale=0.5), Linear(3, 2)),
        SquaredError(),
    )


def logistic_regression() -> Roots:
    """J(w) = mean log(1 + exp(−y wᵀx)), an expression without layers."""
    n, d = Axis("n"), Axis("d")
    x, y, w = Input("X", (n, d)), Input("y", (n,)), Input("w", (d,))
    margin = Contract((Constant(-1.0), y, Contract((x, w), (n,))), (n,))
    (loss,) = simplify(
        Named("loss", mean_over(scalar_map(sp.log(1 + sp.exp(X0)), margin), (n,)), "loss")
    )
    (found,) = gradients(loss, [w])
    return loss, Named("gradient.w", found, "gradient")


BCE = BinaryCrossEntropy(from_logits=False)
ZOO: dict[str, Callable[[], Roots]] = {
    "tanh": lambda: two_layers(Tanh(), CrossEntropy()),
    "sigmoid": lambda: two_layers(Sigmoid(), BCE, Sigmoid()),
    "logits": lambda: two_layers(Sigmoid(), BinaryCrossEntropy()),
    "relu": lambda: two_layers(ReLU(), SquaredError()),
    "sum": lambda: two_layers(ReLU(), SquaredError(reduction="sum"), Sigmoid()),
    "mse": lambda: two_layers(Identity(), MSELoss(), Sin()),
    "leaky": lambda: two_layers(LeakyReLU(0.1), SquaredError(), LeakyReLU(0.3)),
    "elu": lambda: two_layers(ELU(), SquaredError(), ELU(0.5)),
    "selu": lambda: two_layers(SELU(), CrossEntropy()),
    "gelu": lambda: two_layers(GELU(), CrossEntropy()),
    "silu": lambda: two_layers(SiLU(), LogisticLoss()),
    "softplus": lambda: two_layers(Softplus(), SquaredError(), Erf()),
    "lecun": lambda: two_layers(Activation("1.7159*tanh(2*x/3)"), CrossEntropy()),
    "rational": lambda: two_layers(Activation("x/(1+x**2)"), SquaredError()),
    "residual": residual,
    "no bias": lambda: program(Sequential(Linear(4, 2, bias=False)), CrossEntropy()),
    "penalty": lambda: program(Sequential(Linear(4, 2)), CrossEntropy(), penalty=0.01),
    "in a row": lambda: two_layers(Sequential(Tanh(), Sigmoid(), Sin()), SquaredError()),
    "regression": logistic_regression,
}


def lines(roots: Roots, convention: str = "columns") -> list[str]:
    return [line.text() for line in EquationList.of(roots, convention)]
