"""``to_torch``: a network as a module whose state dict has the network's names."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import variable
from pullback.emit.expression.scalar import scalar
from pullback.emit.target.torch import TORCH
from pullback.errors import require
from pullback.interop.backend import Backend
from pullback.interop.export import Export
from pullback.interop.extras import library
from pullback.interop.formula import known_block
from pullback.interop.parameters import of_one_dtype
from pullback.ir import Input, Named, Parameter, Scalar, symbol
from pullback.ir.flow import Affine
from pullback.net.network import Network
from pullback.net.program import execute
from pullback.nn import ELU, Hardtanh, LeakyReLU

# not Hardsigmoid, whose 1/6 is a float32 in torch
_SAME = (
    "Identity", "ReLU", "Sigmoid", "Tanh", "SELU", "GELU", "SiLU", "Softplus", "Mish", "LogSigmoid",
    "Softsign", "ReLU6", "Hardswish",
)  # fmt: skip

# a clamp would be shorter, but torch's has another slope at a tie than max and min have
_LANGUAGE = replace(
    TORCH,
    clamp_min="torch.maximum(a, b + torch.zeros_like(a))",
    clamp_max="torch.minimum(a, b + torch.zeros_like(a))",
)


def to_torch(net: Network, params: Mapping[str, Any]) -> Any:
    """A torch module that computes what ``net.predict`` does, with copies of its parameters.

    A chain of layers and functions that torch has modules for is a ``torch.nn.Sequential``, every
    other network a ``torch.fx.GraphModule`` that takes the network's inputs in order.
    ``module.state_dict()`` has the names of ``params``; a frozen parameter needs no gradient.
    Raises ConversionError for what torch has no counterpart for, the errors of parameters that do
    not fit; ConfigError if torch is not installed.

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
    dtype = next((value.dtype for value in held.values()), torch.float32)
    settled = net.eval()
    writer = _Modules(torch, settled, dtype)
    output = Export(writer)(settled.built, net.output_axes)
    module = writer.module(output)
    module = module.to(dtype)
    module.load_state_dict(held)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in net.trained)
    return module


class _Modules(Backend[Any]):
    """A graph of torch.fx, and the modules and parameters that it calls, by their places."""

    def __init__(self, torch: Any, net: Network, dtype: Any) -> None:
        self.torch, self.net, self.dtype = torch, net, dtype
        self.graph = torch.fx.Graph()
        self.parts: dict[str, Any] = {}
        self.inputs = {name: self.graph.placeholder(_identifier(name)) for name in net.xs}
        self.names = {prefix for name in net.parameters for prefix in _prefixes(name)}
        self.chain: list[tuple[str, Any]] | None = []  # while every operation is a module's
        self.last = self.inputs[next(iter(net.xs))]

    def module(self, output: Any) -> Any:
        """What has been made, with this output."""
        if self.chain and output is self.last and len(self.inputs) == 1:
            if [place for place, _ in self.chain] == [""]:
                return self.chain[0][1]
            nested = _nested(self.torch.nn.Sequential, self.chain)
            if nested is not None:
                return nested
        missing = {n: p for n, p in self.net.parameters.items() if not self._is_held(n)}
        for name, leaf in missing.items():  # what cancels out of the output is kept
            self.parts[name] = self._empty(leaf)
            self.graph.get_attr(name)  # torch copies what the graph reads
        self.graph.output(output)
        return self.torch.fx.GraphModule(self.parts, self.graph, class_name="Model")

    def _is_held(self, name: str) -> bool:
        return name in self.parts or any(
            name == f"{place}.{own}"
            for place, part in self.parts.items()
            for own, _ in getattr(part, "named_parameters", tuple)()
        )

    def _empty(self, leaf: Parameter) -> Any:
        shape = [axis.size for axis in leaf.axes]
        return self.torch.nn.Parameter(self.torch.empty(shape, dtype=self.torch.float64))

    def _called(self, place: str, module: Any, args: Sequence[Any]) -> Any:
        """The module at a place of its own, applied."""
        if self.chain is not None and list(args) == [self.last]:
            self.chain.append((place, module))
        else:
            self.chain = None
        name = place or "model"
        taken = {*self.parts, *dir(self.torch.fx.GraphModule)} | (self.names - {place})
        while name in taken:
            name += "_"
        self.parts[name] = module
        self.last = self.graph.call_module(name, tuple(args))
        return self.last

    def _operation(self, function: Any, *args: Any, **options: Any) -> Any:
        self.chain = None
        return self.graph.call_function(function, args, options)

    def _method(self, name: str, *args: Any) -> Any:
        self.chain = None
        return self.graph.call_method(name, args)

    def input(self, leaf: Input) -> Any:
        x = self.inputs[leaf.name]
        return self._method("to", x, self.dtype) if leaf.whole else x

    def parameter(self, leaf: Parameter) -> Any:
        self.chain = None
        self.parts.setdefault(leaf.name, self._empty(leaf))
        return self.graph.get_attr(leaf.name)

    def layer(self, named: Named, layer: Affine, x: Any) -> Any:
        place = named.label.path
        bias = None if layer.bias is None else layer.bias.name
        prefix = f"{place}." if place else ""
        own = layer.weight.name == f"{prefix}weight" and bias in (None, f"{prefix}bias")
        if (
            not (own and (place or named is self.net.built))
            or place in self.parts
            or self._is_held(layer.weight.name)
        ):
            return None
        nn = self.torch.nn
        # the values are loaded later: do not draw any
        module = nn.utils.skip_init(nn.Linear, layer.n_in, layer.n_out, bias=bias is not None)
        return self._called(place, module, [x])

    def function(self, place: str, function: Scalar, args: Sequence[Any]) -> Any:
        nn = self.torch.nn
        known = known_block(function.expr) if len(args) == 1 else None
        free = (
            "f" + place.replace(".", "_") if place in self.names or place in self.parts else place
        )
        match known:
            case LeakyReLU():
                return self._called(free, nn.LeakyReLU(known.slope), args)
            case ELU():
                return self._called(free, nn.ELU(known.alpha), args)
            case Hardtanh():
                module = nn.Hardtanh(known.min_val, known.max_val)
                return self._called(free, module, args)
        if type(known).__name__ in _SAME:
            return self._called(free, getattr(nn, type(known).__name__)(), args)
        return self._called(free, self._formula(function, len(args)), args)

    def _formula(self, function: Scalar, count: int) -> Any:
        """A function that torch has no module for, as the graph of its operations."""
        names = [f"x{at}" for at in range(count)] if count > 1 else ["x"]
        leaves = {symbol(at): variable(name) for at, name in enumerate(names)}
        body = printed(scalar(function.expr, leaves, _LANGUAGE))
        source = f"def forward({', '.join(names)}):\n    return {body}\n"
        space = execute(source, {"torch": self.torch})
        fx = self.torch.fx
        graph = fx.Tracer().trace(space["forward"])
        return fx.GraphModule(self.torch.nn.Module(), graph, class_name="Formula")

    def total(self, place: str, terms: Sequence[Any]) -> Any:
        found, *rest = terms
        for term in rest:
            found = self._operation(operator.add, found, term)
        return found

    def product(self, place: str, pattern: str, factors: Sequence[Any]) -> Any:
        return self._operation(self.torch.einsum, pattern, *factors)

    def scaled(self, place: str, x: Any, by: float) -> Any:
        return self._operation(operator.mul, x, by)

    def reduced(self, place: str, kind: str, x: Any, dimension: int) -> Any:
        function = self.torch.amax if kind == "max" else self.torch.logsumexp
        return self._operation(function, x, dim=dimension)

    def index(self, leaf: Input) -> Any:
        return self.inputs[leaf.name]

    def gathered(self, place: str, x: Any, index: Any, dimension: int) -> Any:
        return self._operation(operator.getitem, x, (*[slice(None)] * dimension, index))

    def hits(self, place: str, index: Any, length: int) -> Any:
        one_hot = self._operation(self.torch.nn.functional.one_hot, index, length)
        return self._method("to", one_hot, self.dtype)

    def first_largest(self, place: str, x: Any, dimension: int) -> Any:
        return self._operation(self.torch.argmax, x, dim=dimension)

    def held(self, place: str, x: Any) -> Any:
        return self._method("detach", x)

    def stretch(self, place: str, x: Any, dimension: int, start: int, stop: int) -> Any:
        return self._method("narrow", x, dimension, start, stop - start)

    def split(
        self, place: str, x: Any, dimension: int, sizes: Sequence[int], after: Sequence[int | None]
    ) -> Any:
        return self._method("unflatten", x, dimension, tuple(sizes))

    def padded(self, place: str, x: Any, dimension: int, before: int, after: int) -> Any:
        widths = (0, 0) * (-1 - dimension) + (before, after)  # torch counts from behind
        return self._operation(self.torch.nn.functional.pad, x, widths)

    def turned(self, place: str, x: Any, order: Sequence[int]) -> Any:
        return self._method("permute", x, *order)

    def widened(self, place: str, x: Any, dimensions: Sequence[int]) -> Any:
        if isinstance(x, float):
            return x
        for at in dimensions:
            x = self._method("unsqueeze", x, at)
        return x

    def ones(self, place: str, length: int) -> Any:
        return self._operation(self.torch.ones, length, dtype=self.dtype)

    def counted(self, place: str, length: int) -> Any:
        return self._operation(self.torch.arange, length, dtype=self.dtype)

    def number(self, place: str, value: float) -> Any:
        return value


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _identifier(name: str) -> str:
    return name if name.isidentifier() else "x"


def _nested(sequential: Any, chain: Sequence[tuple[str, Any]]) -> Any:
    """Modules in a row whose places are 0, 1, …, 2.0, 2.1, … as nested Sequentials, or None."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for place, module in chain:
        head, _, rest = place.partition(".")
        groups.setdefault(head, []).append((rest, module))
    if list(groups) != [str(at) for at in range(len(groups))]:
        return None
    made = []
    for members in groups.values():
        alone = members[0][1] if len(members) == 1 and not members[0][0] else None
        part = alone if alone is not None else _nested(sequential, members)
        if part is None:
            return None
        made.append(part)
    return sequential(*made)
