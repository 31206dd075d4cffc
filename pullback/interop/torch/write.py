"""``to_torch``: a network as a module whose state dict has the network's names."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import variable
from pullback.emit.expression.scalar import scalar
from pullback.emit.target.torch import TORCH
from pullback.errors import ConversionError, require
from pullback.interop.extras import library
from pullback.interop.parameters import of_one_dtype
from pullback.ir import symbol
from pullback.net.network import Network
from pullback.net.program import execute
from pullback.nn import (
    ELU,
    GELU,
    SELU,
    Block,
    Elementwise,
    Identity,
    LeakyReLU,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from pullback.nn.block import joined

_SAME: dict[type[Block], str] = {
    Identity: "Identity", ReLU: "ReLU", Sigmoid: "Sigmoid", Tanh: "Tanh", SELU: "SELU",
    GELU: "GELU", SiLU: "SiLU", Softplus: "Softplus",
}  # fmt: skip

# a clamp would be shorter, but torch's has another slope at a tie than max and min have
_LANGUAGE = replace(
    TORCH,
    clamp_min="torch.maximum(a, b + torch.zeros_like(a))",
    clamp_max="torch.minimum(a, b + torch.zeros_like(a))",
)


def to_torch(net: Network, params: Mapping[str, Any]) -> Any:
    """A torch module that computes what the network does, with copies of its parameters.

    A Sequential is a ``torch.nn.Sequential``; residuals, functions that torch has no module for,
    and models whose Linear blocks have names of their own are a ``torch.fx.GraphModule``.
    ``module.state_dict()`` has the names of ``params``.
    Raises the errors of parameters that do not fit; ConfigError if torch is not installed.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.ReLU(), pb.Linear(3, 2)), pb.MSELoss())
    >>> to_torch(net, net.init(seed=0))
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    require("net", net, Network, "a network such as pb.Network(model, loss=pb.CrossEntropy())")
    torch = library("torch", "torch")
    held = {name: torch.tensor(value) for name, value in of_one_dtype(net, params).items()}
    writer = _Writer(torch)
    if all(linear.name in (None, place) for place, linear in _named(net.model)):
        module = writer.module(net.model)
    else:
        module = writer.flat(net.model)
    module = module.to(next(iter(held.values())).dtype) if held else module
    module.load_state_dict(held)
    return module


def _named(block: Block, path: str = "") -> Iterator[tuple[str, Linear]]:
    """Every Linear with its place."""
    if isinstance(block, Linear):
        yield path, block
    elif isinstance(block, Sequential):
        for at, part in enumerate(block.blocks):
            yield from _named(part, joined(path, at))
    elif isinstance(block, Residual):
        yield from _named(block.block, joined(path, "block"))


class _Writer:
    """Makes modules; the parameters come later."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def module(self, block: Block) -> Any:
        """The module of a block whose parameters are named by their places."""
        nn = self.torch.nn
        match block:
            case Linear():
                # the values are loaded later: do not draw any
                return nn.utils.skip_init(
                    nn.Linear, block.in_features, block.out_features, bias=block.bias
                )
            case Sequential():
                return nn.Sequential(*map(self.module, block.blocks))
            case Residual():
                return self._residual(block)
            case LeakyReLU():
                return nn.LeakyReLU(block.slope)
            case ELU():
                return nn.ELU(block.alpha)
            case Elementwise():
                if type(block) in _SAME:
                    return getattr(nn, _SAME[type(block)])()
                return self._pointwise(block)
        raise ConversionError(f"{block!r} has no counterpart in torch")

    def _pointwise(self, block: Elementwise) -> Any:
        """A function that torch has no module for, as the graph of its operations."""
        body = printed(scalar(block.expression(), {symbol(0): variable("x")}, _LANGUAGE))
        space = execute(f"def forward(x):\n    return {body}\n", {"torch": self.torch})
        fx = self.torch.fx
        graph = fx.Tracer().trace(space["forward"])
        return fx.GraphModule(self.torch.nn.Module(), graph, class_name=type(block).__name__)

    def _residual(self, block: Residual) -> Any:
        """x + scale · block(x), as a module that holds the block."""
        graph = self.torch.fx.Graph()
        x = graph.placeholder("x")
        graph.output(_sum(graph, x, graph.call_module("block", (x,)), block.scale))
        parts = {"block": self.module(block.block)}
        return self.torch.fx.GraphModule(parts, graph, class_name="Residual")

    def flat(self, model: Block) -> Any:
        """A module that holds each Linear under its own name, and the activations beside them."""
        taken = {linear.called(place) for place, linear in _named(model)}
        taken |= {name.split(".")[0] for name in taken}
        parts: dict[str, Any] = {}
        graph = self.torch.fx.Graph()

        def emitted(block: Block, path: str, x: Any) -> Any:
            if isinstance(block, Residual):
                return _sum(graph, x, emitted(block.block, joined(path, "block"), x), block.scale)
            if isinstance(block, Sequential):
                for at, part in enumerate(block.blocks):
                    x = emitted(part, joined(path, at), x)
                return x
            name = block.called(path) if isinstance(block, Linear) else _free(path, taken)
            parts[name] = self.module(block)
            return graph.call_module(name, (x,))

        graph.output(emitted(model, "", graph.placeholder("x")))
        return self.torch.fx.GraphModule(parts, graph, class_name="Model")


def _sum(graph: Any, x: Any, inner: Any, scale: float) -> Any:
    if scale != 1:
        inner = graph.call_function(operator.mul, (inner, float(scale)))
    return graph.call_function(operator.add, (x, inner))


def _free(path: str, taken: set[str]) -> str:
    """What an activation at a place is called beside the Linear blocks: ``f2_block_1``."""
    name = "f" + path.replace(".", "_")
    while name in taken:
        name += "_"
    return name
