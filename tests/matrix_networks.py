"""The networks of the matrix law beside the zoo: blocks by hand, and formulas that degenerate.

``truth`` computes each of them in torch, from the parameters by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from blocks_by_hand import (
    GLU,
    Attention,
    Bilinear,
    Branches,
    Centred,
    Convolution,
    Hand,
    Highway,
    LayerNorm,
    Maxout,
    Scale,
    Softmax,
    Summed,
    Temperature,
    Tied,
    Unnamed,
)

import pullback as pb
from pullback.nn.block import joined

Array = np.ndarray[Any, np.dtype[Any]]
L, S, R, A = pb.Linear, pb.Sequential, pb.Residual, pb.Activation


@dataclass(frozen=True, eq=False)
class Case:
    """One network under a squared error, with seeded data and parameters."""

    name: str
    model: Any
    batch: int = 5

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def net(self) -> pb.Network:
        return pb.Network(self.model, loss=pb.SquaredError())

    @cached_property
    def data(self) -> tuple[Array, Array]:
        rng = np.random.default_rng(1)
        X = rng.normal(size=(self.batch, self.net.n_in or 4))
        return X, rng.normal(size=(self.batch, self.net.n_out or 4))

    @cached_property
    def params(self) -> dict[str, Array]:
        rng = np.random.default_rng(2)
        return {
            spec.name: rng.normal(size=spec.shape) / np.sqrt(spec.n_in) for spec in self.net.specs
        }

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        return {n: torch.tensor(v, requires_grad=True) for n, v in self.params.items()}

    def truth(self, x: torch.Tensor) -> torch.Tensor:
        """The output in torch."""
        return forward(self.model, self.tensors, x, "")

    @cached_property
    def truth_of_training(self) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient in torch; what cancels has a gradient of zeros."""
        X, Y = map(torch.tensor, self.data)
        loss = 0.5 * ((self.truth(X) - Y) ** 2).sum(-1).mean()
        if not loss.requires_grad:
            return float(loss.detach()), {n: np.zeros_like(v) for n, v in self.params.items()}
        found = torch.autograd.grad(loss, list(self.tensors.values()), allow_unused=True)
        grads = {
            name: np.zeros_like(self.params[name]) if grad is None else grad.numpy()
            for name, grad in zip(self.tensors, found, strict=True)
        }
        return float(loss.detach()), grads

    @cached_property
    def jacobian(self) -> Array:
        """∂output/∂parameters (batch·outputs, parameters) in torch, samples outer."""
        X = torch.tensor(self.data[0])
        rows = []
        for each in self.truth(X).reshape(-1):
            found = torch.autograd.grad(
                each, list(self.tensors.values()), retain_graph=True, allow_unused=True
            )
            parts = [
                torch.zeros_like(p) if g is None else g
                for p, g in zip(self.tensors.values(), found, strict=True)
            ]
            rows.append(torch.cat([part.reshape(-1) for part in parts]).numpy())
        return np.stack(rows)

    @cached_property
    def jacobian_of_input(self) -> Array:
        """∂output/∂x of each sample (batch, outputs, features) in torch."""
        X = torch.tensor(self.data[0], requires_grad=True)
        out = self.truth(X)
        rows = []
        for k in range(out.shape[1]):
            total = out[:, k].sum()
            (found,) = torch.autograd.grad(total, [X], retain_graph=True, allow_unused=True)
            rows.append(torch.zeros_like(X) if found is None else found)
        return torch.stack(rows, 1).numpy()


def forward(block: Any, held: dict[str, torch.Tensor], x: torch.Tensor, path: str) -> torch.Tensor:
    """A block of ours, or by hand, in torch."""
    match block:
        case pb.Sequential():
            for at, part in enumerate(block.blocks):
                x = forward(part, held, x, joined(path, at))
            return x
        case pb.Linear():
            bias = held.get(joined(path, "bias"))
            return torch.nn.functional.linear(x, held[joined(path, "weight")], bias)
        case pb.Residual():
            return x + block.scale * forward(block.block, held, x, joined(path, "block"))
        case Hand():
            own = [spec.name for spec in block.parameters(path)]
            start = len(path) + 1 if path and own and own[0].startswith(f"{path}.") else 0
            return block.torch({name[start:]: held[name] for name in own}, x)
        case pb.Activation():
            return FORMULAS[block.formula](x) + 0 * x  # torch's x**0 has a gradient of zeros
    return getattr(torch, type(block).__name__.lower(), lambda y: y)(x)


FORMULAS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "x**0": lambda x: x**0,
    "0*x": lambda x: 0 * x,
    "x-x": lambda x: x - x,
    "x/x": lambda x: x / x,
    "x-3": lambda x: x - 3,
    "-x": lambda x: -x,
    "0.0*h + tanh(h)": torch.tanh,
    "tanh(h) + (h - h)": torch.tanh,
    "where(x>0, 1, 1)": torch.ones_like,
    "sin(x)**2 + cos(x)**2": torch.ones_like,
}


def told(reader: Callable[[], Any]) -> tuple[Any, str]:
    """What a reader answers, or the reason why it refuses; any other error is one."""
    try:
        return reader(), ""
    except pb.errors.PullbackError as error:
        return None, str(error)


def before_linear(block: Any) -> Any:
    return S(L(4, 6), block, pb.Tanh(), L(6, 3))


BY_HAND = [
    Case("layer norm", before_linear(LayerNorm(6))),
    Case("layer norm alone", LayerNorm(4)),
    Case("gated linear unit", S(GLU(4), L(5, 3))),
    Case("gated linear unit inside a residual", S(L(4, 5), R(S(GLU(5), L(5, 5))), L(5, 3))),
    Case("one weight at three steps", S(Tied(4), L(4, 3))),
    Case("convolution", S(Convolution(6), pb.Tanh(), L(4, 3))),
    Case("attention", S(L(4, 6), Attention(6), L(6, 3))),
    Case("softmax inside", S(L(4, 6), Softmax(6), L(6, 3))),
    Case("softmax last", S(L(4, 6), pb.Tanh(), L(6, 3), Softmax(3))),
    Case("gate", S(Highway(4), L(4, 3))),
    Case("branches joined", S(Branches(4), L(5, 3))),
    Case("branches added", S(Summed(4), L(5, 3))),
    Case("scale, without equations", before_linear(Scale(6))),
    Case("temperature, an equation of its own kind", S(L(4, 6), Temperature(6), L(6, 3))),
    Case("maxout", S(Maxout(4), L(5, 3))),
    Case("maxout last", S(Maxout(4))),
    Case("bilinear", S(Bilinear(4), pb.Tanh(), L(3, 3))),
    Case("unnamed", S(Unnamed(4), L(3, 3))),
    Case("unnamed alone", Unnamed(4)),
    Case("batch mean", before_linear(Centred(6))),
]
CANCELLING = ("x**0", "0*x", "x-x", "x/x", "where(x>0, 1, 1)", "sin(x)**2 + cos(x)**2")
DEGENERATE = [
    *(Case(formula, S(L(4, 6), A(formula), L(6, 3))) for formula in FORMULAS),
    *(Case(f"{formula} last", S(L(4, 3), A(formula))) for formula in ("x**0", "0*x", "x-3")),
    *(Case(f"{formula} first", S(A(formula), L(4, 3))) for formula in ("x**0", "0*x", "x-3")),
    Case("two in a row", S(L(4, 6), A("x**0"), A("x-3"), L(6, 3))),
    Case("residual that cancels", S(L(4, 4), R(A("-x")), L(4, 3))),
    Case("residual of nothing", S(L(4, 4), R(S(L(4, 4), pb.Tanh()), 0.0), L(4, 3))),
    Case("without biases", S(L(4, 6, bias=False), A("0*x"), L(6, 3, bias=False))),
    Case("no parameters", pb.Tanh()),
    Case("a constant", A("x**0")),
]
