"""``to_torch``: a network as a module whose state dict has the network's names."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, takewhile
from typing import Any

from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import variable
from pullback.emit.expression.scalar import scalar
from pullback.emit.target.torch import TORCH
from pullback.errors import require
from pullback.interop.backend import Array, Backend, Whole
from pullback.interop.export import Export
from pullback.interop.extras import library
from pullback.interop.grouping import Grouping
from pullback.interop.parameters import of_one_dtype
from pullback.interop.torch.modules import activation, convolved, module_of
from pullback.interop.windows import Convolution, Pool
from pullback.ir import Input, Named, Parameter, Scalar, symbol, uses
from pullback.ir.forms import Lookup, Pointwise
from pullback.net.network import Network
from pullback.net.program import execute

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
    output = Export(writer, net.xs.values())(settled.built, net.output_axes)
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
        self.constants: dict[str, Any] = {}  # of those, what no state dict holds
        self.inputs = {name: self.graph.placeholder(_identifier(name)) for name in net.xs}
        self.uses = uses((net.built,))
        self.chain: list[tuple[str, Any]] | None = []  # while every operation is a module's
        self.last = self.inputs[next(iter(net.xs))]

    def module(self, output: Any) -> Any:
        """What has been made, with this output."""
        if self.chain and output is self.last and len(self.inputs) == 1:
            if [place for place, _ in self.chain] == [""]:
                return self.chain[0][1]
            places = [place for place, _ in self.chain]
            nested = _nested(self.torch.nn.Sequential, dict(self.chain))
            found = nested.named_modules(remove_duplicate=False) if nested is not None else ()
            if [place for place, _ in found if place in places] == places:
                return nested
        missing = {n: p for n, p in self.net.parameters.items() if not self._is_held(n)}
        for name, leaf in missing.items():  # what cancels out of the output is kept
            self.parts[name] = self._empty(leaf)
            self.graph.get_attr(name)  # torch copies what the graph reads
        self.graph.output(output)
        made = self.torch.fx.GraphModule(self.parts, self.graph, class_name="Model")
        for name, tensor in self.constants.items():
            made.register_buffer(name, tensor, persistent=False)
        return made

    def _is_held(self, name: str) -> bool:
        return name in self.parts or any(
            name == f"{place}.{own}"
            for place, part in self.parts.items()
            for own, _ in getattr(part, "named_parameters", tuple)()
        )

    def _empty(self, leaf: Parameter) -> Any:
        shape = [axis.size for axis in leaf.axes]
        return self.torch.nn.Parameter(self.torch.empty(shape, dtype=self.torch.float64))

    def _called(self, place: str, module: Any, x: Any) -> Any:
        """The module at a place of its own, applied."""
        if self.chain is not None and x is self.last:
            self.chain.append((place, module))
        else:
            self.chain = None
        name = self._free(place or "model", place)
        self.parts[name] = module
        self.last = self.graph.call_module(name, (x,))
        return self.last

    def _free(self, name: str, own: str = "") -> str:
        """A name that nothing else in the module has."""
        taken = {*self.parts, *dir(self.torch.fx.GraphModule)}
        while name in taken or (name != own and self._holds_parameters(name)):
            name += "_"
        return name

    def _holds_parameters(self, place: str) -> bool:
        return any(f"{name}.".startswith(f"{place}.") for name in self.net.parameters)

    def _operation(self, function: Any, *args: Any, **options: Any) -> Any:
        self.chain = None
        return self.graph.call_function(function, args, options)

    def _method(self, name: str, *args: Any) -> Any:
        self.chain = None
        return self.graph.call_method(name, args)

    def input(self, leaf: Input) -> Any:
        return self.inputs[leaf.name]

    def real(self, place: str, x: Any) -> Any:
        return self._method("to", x, self.dtype)

    def parameter(self, leaf: Parameter) -> Any:
        self.chain = None
        self.parts.setdefault(leaf.name, self._empty(leaf))
        return self.graph.get_attr(leaf.name)

    def number(self, place: str, value: float) -> Any:
        return self._operation(self.torch.tensor, value, dtype=self.dtype)

    def constant(self, place: str, array: Array) -> Any:
        self.chain = None
        tensor = self.torch.tensor(array)
        same = (name for name, held in self.constants.items() if self._are_equal(held, tensor))
        name = next(same, None) or self._free(f"constant_{len(self.constants)}")
        self.constants[name] = self.parts[name] = tensor
        return self.graph.get_attr(name)

    def _are_equal(self, one: Any, other: Any) -> bool:
        return one.dtype == other.dtype and bool(self.torch.equal(one, other))

    def length(self, place: str, x: Any, dimension: int) -> Any:
        return self._method("size", x, dimension)

    # ------------------------------------------------------------------ whole equations

    def operation(self, named: Named, form: Whole) -> Callable[[Any], Any] | None:
        place, free = named.label.path, partial(self._free_for, named.label.place or "model")
        if isinstance(form, Pointwise):
            return lambda x: self._called(free(), self._function(form.function), x)
        if isinstance(form, Lookup):
            table = form.table
            if not isinstance(table, Parameter) or not self._are_own(named, table, None):
                return None
            return partial(self._called, place, module_of(self.torch.nn, form))
        if isinstance(form, (Grouping, Pool)):
            module = module_of(self.torch.nn, form)
            return None if module is None else lambda x: self._called(free(), module, x)
        if self._are_own(named, form.weight, form.bias):
            module = module_of(self.torch.nn, form)
            return None if module is None else partial(self._called, place, module)
        settings = convolved(form) if isinstance(form, Convolution) else None
        if settings is None or not isinstance(form, Convolution):
            return None
        return partial(self._convolved, form, settings)

    def _are_own(self, named: Named, weight: Parameter, bias: Parameter | None) -> bool:
        """Are a weight and a bias those of a module at the place of an equation, and no other's?"""
        place = named.label.path
        prefix = f"{place}." if place else ""
        own = weight.name == f"{prefix}weight" and bool(place or named is self.net.built)
        own = own and (bias is None or bias.name == f"{prefix}bias")
        return own and all(self.uses[p] == 1 for p in (weight, bias) if p is not None)

    def _convolved(self, form: Convolution, settings: Mapping[str, Any], x: Any) -> Any:
        name = f"conv{'_transpose' if form.transposed else ''}{len(form.ways)}d"
        bias = None if form.bias is None else self.parameter(form.bias)
        function = getattr(self.torch.nn.functional, name)
        return self._operation(function, x, self.parameter(form.weight), bias, **settings)

    def _function(self, function: Scalar) -> Any:
        """A function as a module: torch's, or one that holds its operations."""
        module = activation(self.torch.nn, function)
        if module is not None:
            return module
        graph = self._formula(function, 1)
        return self.torch.fx.GraphModule(self.torch.nn.Module(), graph, class_name="Formula")

    def _free_for(self, place: str) -> str:
        """Where a module stands that has no parameters: not where one is that has."""
        taken = self._holds_parameters(place) or place in self.parts
        return "f" + place.replace(".", "_") if taken else place

    # ------------------------------------------------------------------ numbers

    def function(self, place: str, function: Scalar, args: Sequence[Any]) -> Any:
        self.chain = None
        inner = self._formula(function, len(args))
        names = [node for node in inner.nodes if node.op == "placeholder"]
        return self.graph.graph_copy(inner, dict(zip(names, args, strict=True)))

    def _formula(self, function: Scalar, count: int) -> Any:
        """The graph of a function's operations."""
        names = [f"x{at}" for at in range(count)] if count > 1 else ["x"]
        leaves = {symbol(at): variable(name) for at, name in enumerate(names)}
        body = printed(scalar(function.expr, leaves, _LANGUAGE))
        source = f"def forward({', '.join(names)}):\n    return {body}\n"
        space = execute(source, {"torch": self.torch})
        return self.torch.fx.Tracer().trace(space["forward"])

    def product(self, place: str, subscripts: str, left: Any, right: Any) -> Any:
        return self._operation(self.torch.einsum, subscripts, left, right)

    def reduced(self, place: str, kind: str, x: Any, dimensions: Sequence[int]) -> Any:
        functions = {"sum": "sum", "max": "amax", "logsumexp": "logsumexp"}
        return self._operation(getattr(self.torch, functions[kind]), x, dim=tuple(dimensions))

    # ------------------------------------------------------------------ where they stand

    def turned(self, place: str, x: Any, order: Sequence[int]) -> Any:
        return self._method("permute", x, *order)

    def widened(self, place: str, x: Any, dimensions: Sequence[int]) -> Any:
        for at in dimensions:
            x = self._method("unsqueeze", x, at)
        return x

    def expanded(self, place: str, x: Any, lengths: Sequence[Any]) -> Any:
        told = [self._told(each) for each in lengths]
        return self._method("expand", x, *told)

    def _told(self, length: Any) -> Any:
        if length is None:
            return -1
        return length if isinstance(length, int) else self._method("size", *length)

    def reshaped(self, place: str, x: Any, lengths: Sequence[int]) -> Any:
        return self._method("reshape", x, tuple(lengths))

    def cut(self, place: str, x: Any, dimension: int, part: slice) -> Any:
        whole = (slice(None),) * dimension
        if part.step is None or part.step > 0:
            return self._operation(operator.getitem, x, (*whole, part))
        places = range(part.start, -1 if part.stop is None else part.stop, part.step)
        forwards = slice(places[-1], part.start + 1, -part.step)  # torch has no slices backwards
        return self._method("flip", self.cut(place, x, dimension, forwards), dimension)

    def entry(self, place: str, x: Any, dimension: int, at: int) -> Any:
        return self._method("select", x, dimension, at)

    def padded(self, place: str, x: Any, dimension: int, before: int, after: int) -> Any:
        widths = (0, 0) * (-1 - dimension) + (before, after)  # torch counts from behind
        return self._operation(self.torch.nn.functional.pad, x, widths)

    def taken(self, place: str, x: Any, dimension: int, at: Array) -> Any:
        whole = (slice(None),) * dimension
        return self._operation(operator.getitem, x, (*whole, self.constant(place, at)))

    def summed(self, place: str, x: Any, dimension: int, at: Array, length: int) -> Any:
        none = self.cut(place, x, dimension, slice(0, 0))
        zeros = self._operation(self.torch.nn.functional.pad, none, (0, length))
        return self._method("index_add", zeros, dimension, self.constant(place, at), x)

    # ------------------------------------------------------------------ places that arrays hold

    def first_largest(self, place: str, x: Any, dimension: int) -> Any:
        return self._operation(self.torch.argmax, x, dim=dimension)

    def gathered(self, place: str, x: Any, rank: int, dimension: int, index: Any) -> Any:
        """x[…, index] would count places below 0 from the end."""
        if (rank, dimension) == (2, 0):
            return self._operation(self.torch.nn.functional.embedding, index, x)
        row = self._method("index_select", x, dimension, self._method("flatten", index))
        return self._method("unflatten", row, dimension, self._operation(getattr, index, "shape"))

    def hits(self, place: str, index: Any, length: int) -> Any:
        rows = self._operation(self.torch.nn.functional.one_hot, index, length)
        return self.real(place, rows)

    def detached(self, place: str, x: Any) -> Any:
        return self._method("detach", x)


def _identifier(name: str) -> str:
    return name if name.isidentifier() else "x"


def _nested(sequential: Any, parts: Mapping[str, Any], place: str = "") -> Any:
    """The module at a place of modules at 0, 1, …, 2.0, 2.1, … as nested Sequentials, or None."""
    if place in parts:
        return parts[place]
    before, made = f"{place}." if place else "", []
    if any(each.startswith(before) for each in parts):
        inner = (_nested(sequential, parts, f"{before}{at}") for at in count())
        made = list(takewhile(lambda part: part is not None, inner))
    return sequential(*made) if made else None
