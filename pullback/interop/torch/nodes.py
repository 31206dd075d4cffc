"""The nodes of a torch graph, traced or exported, as rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, cast

from pullback.errors import ConversionError
from pullback.interop.operators import OPERATORS, complexes, hint
from pullback.interop.rows import Held, Ref, Row
from pullback.interop.torch.constants import STRUCTURAL, Constants
from pullback.interop.torch.layers import MODULES, OF_TWO, RECURRENT, called, starts_in_place
from pullback.interop.torch.ops import (
    ALIASES,
    FLATTENING,
    TURNING,
    activation,
    is_torchs,
    operation,
)
from pullback.interop.torch.outputs import parts_of
from pullback.interop.torch.places import module_place, path_of, place_of
from pullback.interop.torch.trace import DETACHED, Traced
from pullback.interop.torch.weights import TorchWeights

# options that change no number here
_IGNORED = ("inplace", "memory_format", "copy", "non_blocking", "layout", "pin_memory", "device",
            "requires_grad", "generator", "_stacklevel")  # fmt: skip


@dataclass
class RowReader:
    """Reads the nodes in order; what a node stands for is a Ref, a Held, or a number.

    ``weights`` gives the tensors of the module their names, relative to the module at ``prefix``;
    ``inputs`` is how many inputs there are.
    """

    torch: Any
    module: Any
    prefix: str
    weights: TorchWeights
    inputs: int = 1
    rows: list[Row] = field(default_factory=list)
    _found: dict[Any, Any] = field(default_factory=dict)
    _lifted: Mapping[str, Any] = field(default_factory=dict)
    _place: str = ""

    def __post_init__(self) -> None:
        self._constants = Constants(self.torch)
        self._called: dict[Any, str] = {}  # constants under names of their own

    def read(self, traced: Traced) -> Any:
        """What the graph gives back: a Ref, or several in tuples and dicts.

        Raises ConversionError that names the node without counterpart.
        """
        nodes, self._lifted = traced.nodes, traced.constants
        needed = _needed(self.torch, traced.output)
        self._refuse_overwritten(nodes)
        for node in nodes:
            if node.name in traced.parameters and node in needed:
                name, place = traced.parameters[node.name], module_place(self.module, "")
                tensor, has_name = self.weights.tensor(name, traced.constants)
                self._called[node] = name
                if not self._constants.hold(node, tensor, has_name):
                    self._found[node] = self.weights.held(place, tensor, part=name)
            elif node.name in traced.inputs:
                self._found[node] = Ref(traced.inputs.index(node.name))
        for node in nodes:
            if node in needed and node.op not in ("placeholder", "output"):
                self._place = self._place_of(node)
                try:
                    found = self._step(node)
                    if node.meta.get(DETACHED) and isinstance(found, Ref):
                        found = self.applied("detach", [found], {}, node.name, path_of(node))
                    self._found[node] = found
                except ConversionError as fault:
                    if self._place in str(fault):
                        raise
                    raise ConversionError(f"{self._place}: {fault}") from None
        return self._resolved(traced.output)

    def _step(self, node: Any) -> Any:
        if node.op == "get_attr":
            tensor = self._lifted.get(node.target)
            tensor = _at(self.module, node.target) if tensor is None else tensor
            if not isinstance(tensor, self.torch.Tensor):
                raise ConversionError(f"it reads {node.target!r}, which is no tensor")
            if tensor.grad_fn is not None and not self.weights.has_name(tensor):
                raise ConversionError(
                    "it reads a tensor that is computed of parameters elsewhere, whose gradient "
                    "would be lost; a penalty of weights is pb.Network(…, l2=…)"
                )
            if self._constants.hold(node, tensor, self.weights.has_name(tensor)):
                self._called[node] = node.target
                return None
            return self.weights.held(self._place, tensor, part=node.target)
        if self._constants.compute(node) and not self._is_structural(node):
            return None
        if node.op == "call_module":
            return self._module(node)
        if node.op == "call_function" and isinstance(node.target, type):
            return parts_of(node.target(*self._resolved(node.args), **self._resolved(node.kwargs)))
        if node.op == "call_function" and not is_torchs(node.target, self.torch):
            raise ConversionError("it is a function of its own, which pullback cannot read")
        args = [self._resolved(arg) for arg in node.args]
        options = {name: self._resolved(arg) for name, arg in node.kwargs.items()}
        name = operation(node.target)[0]
        if "input" in options and not args:
            args = [options.pop("input")]
        if name == "getattr":
            name, args = str(args[1]), args[:1]
        if name == "embedding" and hasattr(node.target, "overloadpacket"):
            args = [args[1], args[0], *args[2:3]]
        if name == "unfold" and node.op == "call_function":
            name = "im2col"
        if name == "instance_norm" and hasattr(node.target, "overloadpacket"):
            x, weight, bias, *rest = args
            args = [x, *rest[:2], weight, bias, *rest[2:5]]
        if name == "batch_norm" and hasattr(node.target, "overloadpacket"):
            x, weight, bias, mean, var, *rest = args
            args = [x, mean, var, weight, bias, *rest[:3]]
        return self.applied(name, args, options, node.name, path_of(node))

    def _module(self, node: Any) -> Any:
        """A layer of torch's."""
        part = self.module.get_submodule(node.target)
        path = f"{self.prefix}.{node.target}" if self.prefix else node.target
        given = [*node.args, *(node.kwargs[n] for n in ("input", "hx") if n in node.kwargs)]
        return self.layer(part, path, node.target, [self._resolved(arg) for arg in given])

    def layer(self, module: Any, path: str, here: str, args: list[Any]) -> Any:
        """A layer of torch's, applied to the first of the arguments; one with states to two.

        Raises ConversionError for layers that have no counterpart.
        """
        name = type(module).__name__
        self._place = module_place(module, path)
        found = MODULES["Linear"] if isinstance(module, self.torch.nn.Linear) else called(module)
        if found is None:
            raise ConversionError(f"{self._place} has no counterpart in pullback{hint(name)}")
        operator, fields = found
        given = (*args, None)[:2] if name in RECURRENT else args[: 2 if name in OF_TWO else 1]
        values = [self._attribute(module, here, each) for each in fields]
        try:
            ref = self.applied(operator, [*given, *values], {}, "", here)
        except ConversionError as fault:
            if self._place in str(fault):
                raise
            raise ConversionError(f"{self._place}: {fault}") from None
        return self._results(name, ref, here)

    def _attribute(self, module: Any, here: str, name: str | tuple[str, ...]) -> Any:
        """What a layer holds under a name: a tensor of it as a Held."""
        if isinstance(name, tuple):
            return tuple(self._attribute(module, here, each) for each in name)
        value = getattr(module, name)
        if isinstance(value, self.torch.Tensor):
            return self.weights.held(self._place, value, here, name)
        return tuple(value) if isinstance(value, (list, self.torch.Size)) else value

    def _results(self, name: str, ref: Ref, here: str) -> Any:
        """What a layer gives back: a Ref, or several as it nests them."""

        def part(at: int) -> Ref:
            return self.applied("getitem", [ref, at], {}, "", here)

        match name:
            case "RNN" | "GRU" | "LSTMCell":
                return part(0), part(1)
            case "LSTM":
                return part(0), (part(1), part(2))
        return ref

    def applied(
        self, name: str, args: list[Any], options: dict[str, Any], part: str, path: str
    ) -> Ref:
        """One more row.

        Raises ConversionError for an operator that has no counterpart.
        """
        options = {key: value for key, value in options.items() if key not in _IGNORED}
        if "dropout" in name:
            given = dict(zip(("p", "training"), args[1:], strict=False)) | options
            given = {"p": 0.5, "training": name != "alpha_dropout"} | given
            if not (given["training"] and given["p"]):
                name, args, options = "identity", args[:1], {}
            elif "alpha" in name:
                raise ConversionError("it draws at random in training; call module.eval() first")
            else:
                args, options = [args[0], given["p"], True], {}
        elif name == "clamp" and any(
            isinstance(e, (Ref, Held)) for e in (*args[1:], *options.values())
        ):
            return self._clamped(*args, **options, part=part, path=path)
        elif name not in OPERATORS and name not in complexes.BY_NAME:
            block = activation(name, args[1:], options)
            if block is None:
                raise ConversionError(f"it has no counterpart in pullback{hint(name)}")
            name, args, options = "block", [args[0], block], {}
        elif name == "linear" and part and isinstance(args[1], Held) and args[1].part == "weight":
            path, part = args[1].path, ""  # a layer, called as a function
        self.rows.append(Row(name, tuple(args), tuple(options.items()), path, part, self._place))
        return Ref(self.inputs + len(self.rows) - 1)

    def _clamped(
        self, input: Any, min: Any = None, max: Any = None, *, part: str, path: str
    ) -> Ref:
        """Between two bounds, which may be tensors."""
        for name, bound in (("clamp_min", min), ("clamp_max", max)):
            if bound is not None:
                input = self.applied(name, [input, bound], {}, f"{part}.{name[6:]}", path)
        return cast(Ref, input)

    def _resolved(self, arg: Any) -> Any:
        arg = parts_of(arg)
        if isinstance(arg, (list, tuple)):
            return tuple(self._resolved(each) for each in arg)
        if isinstance(arg, dict):
            return {key: self._resolved(each) for key, each in arg.items()}
        if isinstance(arg, slice):
            return slice(*(self._resolved(each) for each in (arg.start, arg.stop, arg.step)))
        if hasattr(arg, "op"):
            if self._found.get(arg) is None:
                self._found[arg] = self._constant(arg)
            return self._found[arg]
        return arg if arg is None or isinstance(arg, (int, float, str, type(...))) else str(arg)

    def _is_structural(self, node: Any) -> bool:
        """Is it made of ones and numbers that count, which rows say?"""
        name, _ = operation(node.target)
        return name in STRUCTURAL and all(self._found.get(e) for e in node.all_input_nodes)

    def _constant(self, node: Any) -> Any:
        """What was computed of constants, as a tensor of the model; −∞ is what does not count."""
        tensor = self._constants.tensor(node)
        if tensor is None:
            return self._constants.number(node)
        part = self._called.get(node, node.name)
        if tensor.is_complex():
            both = [(tensor.real, "re"), (tensor.imag, "im")]
            held = [
                self.weights.held(self._place, each.contiguous(), part=f"{part}_{which}")
                for each, which in both
            ]
            return self.applied("complex", held, {}, part, "")
        out = tensor == -math.inf
        if not (tensor.is_floating_point() and bool(out.any())):
            return self.weights.held(self._place, tensor, part=part)
        rest = tensor.masked_fill(out, 0.0)
        value: Any = self.applied("zeros", [tuple(tensor.shape)], {}, part, "")
        if bool(rest.any()):
            value = self.weights.held(self._place, rest, part=part)
        mask = self.weights.held(self._place, out, part=f"{part}_mask")
        return self.applied("masked_fill", [value, mask, -math.inf], {}, part, "")

    def _refuse_overwritten(self, nodes: Any) -> None:
        """Raise ConversionError where a value is read after something was written over it."""
        root: dict[Any, Any] = {}
        written: dict[Any, Any] = {}
        for node in nodes:
            reads = list(node.all_input_nodes)
            for each in reads:
                if root[each] in written:
                    by = self._place_of(written[root[each]])
                    raise ConversionError(
                        f"{by} works in place, and what it wrote over is read again later; "
                        "take the form that is not in place"
                    )
            root[node] = root[reads[0]] if reads and self._is_alias(node) else node
            if reads and self._is_in_place(node):
                written[root[reads[0]]] = node

    def _place_of(self, node: Any) -> str:
        if node.op == "call_module":
            path = f"{self.prefix}.{node.target}" if self.prefix else node.target
            return module_place(self.module.get_submodule(node.target), path)
        return place_of(node, self.prefix, self.torch)

    def _is_alias(self, node: Any) -> bool:
        if node.op == "call_module":
            name = type(self.module.get_submodule(node.target)).__name__
            return name in ("Identity", "Flatten", "Unflatten") or "Dropout" in name
        if node.op not in ("call_function", "call_method"):
            return False
        views = (*ALIASES, *FLATTENING, *TURNING, "getitem", "chunk", "split", "select", "slice",
                 "narrow", "unbind", "unflatten")  # fmt: skip
        name, _ = operation(node.target)
        return name in views or "dropout" in name

    def _is_in_place(self, node: Any) -> bool:
        if node.op == "call_module":
            return starts_in_place(self.module.get_submodule(node.target))
        if node.op not in ("call_function", "call_method"):
            return False
        name, in_place = operation(node.target)
        return "dropout" not in name and (in_place or node.kwargs.get("inplace") is True)


def _tensors(values: Iterable[Any]) -> bool:
    """Is a tensor among them?"""
    return any(isinstance(each, (Ref, Held)) for each in values)


def _needed(torch: Any, output: Any) -> set[Any]:
    needed: set[Any] = set()
    waiting = [each for each in torch.utils._pytree.tree_leaves(output) if hasattr(each, "op")]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += node.all_input_nodes
    return needed


def _at(module: Any, name: str) -> Any:
    try:
        return attrgetter(name)(module)
    except AttributeError:
        return None
