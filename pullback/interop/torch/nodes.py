"""The nodes of a torch graph, traced or exported, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.graph import Affine, Graph, Value
from pullback.interop.torch.layers import hint, log_softmax, starts_in_place, weightless
from pullback.interop.torch.ops import ALIASES, FLATTENING, TURNING, is_torchs, operation
from pullback.interop.torch.places import place_of
from pullback.interop.torch.weights import Held, linear_of
from pullback.ir import symbol
from pullback.nn import Block, Elementwise
from pullback.nn.block import joined


@dataclass(frozen=True)
class Comparison:
    """What ``torch.where`` chooses by."""

    relation: str
    left: Any
    right: Any


BATCH, SHAPE = "the batch's size", "the shape of the input"


@dataclass
class NodeReader:
    """Reads the nodes in order; what a node stands for is a Value, a Held, or a number."""

    graph: Graph
    torch: Any
    module: Any
    prefix: str
    held: Callable[[Any], Held]
    block: Callable[[str], Block]
    _found: dict[Any, Any] = field(default_factory=dict)
    _place: str = ""

    def read(self, nodes: Any, parameters: Mapping[str, Held] | None = None) -> Value:
        """The value that the graph gives back.

        Raises ConversionError that names the node without counterpart.
        """
        (output,) = (node for node in nodes if node.op == "output")
        needed = _needed(output)
        self._refuse_overwritten(nodes)
        for node in nodes:
            if node.op == "placeholder":
                self._found[node] = self._input(node, parameters or {})
            elif node in needed and node is not output:
                self._place = place_of(node, self.prefix, self.torch)
                try:
                    self._found[node] = self._step(node)
                except ConversionError as fault:
                    if self._place in str(fault):
                        raise
                    raise ConversionError(f"{self._place}: {fault}") from None
        result = output.args[0]
        if isinstance(result, (tuple, list)) and len(result) == 1:
            result = result[0]
        value = self._found.get(result) if not isinstance(result, (tuple, list, dict)) else None
        if not isinstance(value, Value):
            raise ConversionError("the model gives back something else than one tensor")
        return value

    def _input(self, node: Any, parameters: Mapping[str, Held]) -> Any:
        if node.name in parameters:
            return parameters[node.name]
        if self.graph.source not in self._found.values():
            return self.graph.source
        if not node.args:
            raise ConversionError(f"the model takes more than one input: {node.name!r} too")
        return None  # an argument with a default: whoever reads it is refused

    def _step(self, node: Any) -> Any:
        args = [self._resolved(arg) for arg in node.args]
        options = {name: self._resolved(arg) for name, arg in node.kwargs.items()}
        if node.op == "get_attr":
            held = _at(self.module, node.target)
            if not isinstance(held, self.torch.Tensor):
                raise ConversionError(f"it reads {node.target!r}, which is no tensor")
            return self.held(held)
        if node.op == "call_module":
            return self._applied(self.block(node.target), self._one(args[:1]))
        if node.op == "call_function" and not is_torchs(node.target, self.torch):
            raise ConversionError("it is a function of its own, which pullback cannot read")
        return self._call(operation(node.target)[0], args, options)

    def _resolved(self, arg: Any) -> Any:
        if isinstance(arg, (list, tuple)):
            return [self._resolved(each) for each in arg]
        found = self._found.get(arg, arg) if hasattr(arg, "op") else arg
        if isinstance(found, Held) and found.is_number:
            return found.tensor.item()
        return found

    def _call(self, name: str, args: list[Any], options: dict[str, Any]) -> Any:
        if name in ("size", "sym_size", "getattr", "getitem"):
            return self._shape(name, *args)
        if name in TURNING:
            return self._turned(args)
        if name in ("linear", "addmm", "matmul", "mm"):
            return self._affine(name, args, options)
        if name in formula.BINARY:
            return self._joined(name, args, options)
        if name in formula.COMPARED and len(args) == 2:
            return Comparison(name, *args)
        if name == "where" and isinstance(args[0], Comparison):
            holds = args[0]
            expr = formula.where(holds.relation)
            return self.graph.formula(self._place, expr, [holds.left, holds.right, *args[1:]])
        if name == "to" and isinstance(args[0], Comparison):  # to the dtype of a value
            holds = args[0]
            expr = formula.where(holds.relation)
            return self.graph.formula(self._place, expr, [holds.left, holds.right, 1, 0])
        if name == "zeros_like":
            return 0.0
        first = args[0] if args else options.pop("input", None)
        value = self._one([first])
        if name in ALIASES:
            return value
        if name in FLATTENING and name != "flatten":
            return self._reshaped(value, args[1:])
        if name == "log_softmax":
            axis = args[1] if len(args) > 1 else options.get("dim")
            return self._applied(log_softmax(self._place, axis), value)
        return self._applied(weightless(name, args[1:], options), value)

    def _one(self, args: list[Any]) -> Value:
        """The only value among the arguments."""
        (value,) = args
        if not isinstance(value, Value):
            raise ConversionError("it does not read the model's input")
        return value

    def _applied(self, block: Block, value: Value) -> Value:
        if isinstance(block, Elementwise):
            return self.graph.applied(self._place, value, block)
        if block.n_in is not None:
            self.graph.meet(self._place, value, block.n_in)
        return self.graph.part(self._place, value, block)

    def _affine(self, name: str, args: list[Any], options: dict[str, Any]) -> Value:
        if name == "addmm":
            if any(options.get(key, 1) != 1 for key in ("alpha", "beta")):
                raise ConversionError("addmm with alpha or beta")
            bias, value, weight = args
        else:
            value, weight = args[0], args[1] if len(args) > 1 else options.get("weight")
            bias = args[2] if len(args) > 2 else options.get("bias")
        if not isinstance(value, Value) or not isinstance(weight, Held):
            raise ConversionError("pullback multiplies values by weights only, from the right")
        if not (bias is None or isinstance(bias, Held)):
            raise ConversionError("its bias is no parameter")
        if name != "linear":
            weight = replace(weight, turned=not weight.turned)
        called, w, b = linear_of(weight, bias)
        return self.graph.affine(self._place, value, w, b, called)

    def _joined(self, name: str, args: list[Any], options: dict[str, Any]) -> Value | float:
        """Two values, or numbers in place of them; a bias that is added to a product joins it."""
        expr, factor = formula.BINARY[name], options.pop("alpha", 1)
        if factor != 1:
            at = 0 if name == "rsub" else 1
            expr = expr.xreplace({symbol(at): formula.number(factor) * symbol(at)})
        pair = [*args, *(options.pop(key) for key in ("input", "other") if key in options)]
        if options or len(pair) != 2:
            raise ConversionError(f"{name} with {', '.join(options) or 'other arguments'}")
        vectors = [each for each in pair if isinstance(each, Held)]
        product = next((each for each in pair if isinstance(each, Affine)), None)
        if name == "add" and vectors and product is not None and _is_bias(vectors[0], product):
            bias = vectors[0].array
            return self.graph.affine(self._place, product.arg, product.weight, bias, product.name)
        for each in vectors:
            raise ConversionError(
                f"it uses the tensor {each.name!r}; pullback's parameters are those of nn.Linear, "
                "and its functions have numbers only"
            )
        if not all(isinstance(each, (Value, int, float)) for each in pair):
            raise ConversionError("it does not join values and numbers")
        if not any(isinstance(each, Value) for each in pair):
            return float(
                expr.xreplace({symbol(at): formula.number(x) for at, x in enumerate(pair)})
            )
        return self.graph.formula(self._place, expr, pair)

    def _turned(self, args: list[Any]) -> Held:
        tensor = args[0]
        if not isinstance(tensor, Held):
            raise ConversionError("pullback transposes weights only")
        return replace(tensor, turned=not tensor.turned)

    def _shape(self, name: str, of: Any, at: Any = None) -> Any:
        if isinstance(of, Held) and at in ("T", "mT"):
            return replace(of, turned=not of.turned)
        if name == "getattr" and at == "dtype":
            return None
        if name == "getattr" and at == "shape" and isinstance(of, Value):
            return SHAPE, of
        if name in ("size", "sym_size") and isinstance(of, Value):
            return self._length(of, at) if at is not None else (SHAPE, of)
        if name == "getitem" and isinstance(of, tuple) and of[0] is SHAPE:
            return self._length(of[1], at)
        raise ConversionError(f"it has no counterpart in pullback{hint(name)}")

    def _length(self, value: Value, axis: Any) -> Any:
        width = self.graph.width_of(value)
        if axis in (1, -1) and width is not None:
            return width
        if axis in (0, -2):
            return BATCH
        raise ConversionError("it asks for a size that is not known")

    def _reshaped(self, value: Value, shape: list[Any]) -> Value:
        """(batch, features) stays what it is: any other shape is refused."""
        if len(shape) == 1 and isinstance(shape[0], list):
            (shape,) = shape
        if len(shape) == 2 and shape[0] in (BATCH, -1) and shape != [-1, -1]:
            if shape[1] == -1:
                return value
            if isinstance(shape[1], int):
                self.graph.meet(self._place, value, shape[1])
                return value
        raise ConversionError("values are (batch, features) in pullback; it makes another shape")

    def _refuse_overwritten(self, nodes: Any) -> None:
        """Raise ConversionError where a value is read after something was written over it."""
        root: dict[Any, Any] = {}
        written: dict[Any, Any] = {}
        for node in nodes:
            reads = list(node.all_input_nodes)
            for each in reads:
                if root[each] in written:
                    by = place_of(written[root[each]], self.prefix, self.torch)
                    raise ConversionError(
                        f"{by} works in place, and what it wrote over is read again later; "
                        "take the form that is not in place"
                    )
            root[node] = root[reads[0]] if reads and self._is_alias(node) else node
            if reads and self._is_in_place(node):
                written[root[reads[0]]] = node

    def _is_alias(self, node: Any) -> bool:
        if node.op not in ("call_function", "call_method"):
            return False
        return operation(node.target)[0] in (*ALIASES, *FLATTENING, *TURNING)

    def _is_in_place(self, node: Any) -> bool:
        if node.op == "call_module":
            return starts_in_place(self.module.get_submodule(node.target))
        if node.op not in ("call_function", "call_method"):
            return False
        name, in_place = operation(node.target)
        return name != "dropout" and (in_place or node.kwargs.get("inplace") is True)


def _is_bias(vector: Held, product: Affine) -> bool:
    """Is it the bias that belongs to a product without one?"""
    return product.bias is None and vector.name == joined(product.name or "", "bias")


def _needed(output: Any) -> set[Any]:
    needed, waiting = set(), [output]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += node.all_input_nodes
    return needed


def _at(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module
