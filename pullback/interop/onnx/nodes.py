"""The nodes of an ONNX graph as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.graph import Affine, Array, Graph, Value, check_name
from pullback.interop.onnx.compare import model_input
from pullback.interop.onnx.tensors import Tensor, shortest, values
from pullback.ir.scalar.primitives import SELU_ALPHA, SELU_SCALE
from pullback.nn import ELU, GELU, SELU, Block, Elementwise, Identity, LeakyReLU, Softplus

Fields = Mapping[str, Any]

_UNARY = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Sin": "sin", "Erf": "erf",
    "Exp": "exp", "Log": "log", "Sinh": "sinh", "Cosh": "cosh", "Cos": "cos", "Tan": "tan",
    "Atan": "atan", "Abs": "abs", "Neg": "neg", "Sqrt": "sqrt", "Reciprocal": "reciprocal",
    "Sign": "sign", "Softsign": "softsign", "Mish": "mish", "HardSwish": "hardswish",
}  # fmt: skip
_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow"}
_FOLDED = {"Max": "maximum", "Min": "minimum", "Sum": "add"}
_RELATIONS = {"Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le"}
# the attributes that are read; any other is refused, as it may change the meaning
_CONSTANTS = ("value", "value_float", "value_int", "value_floats", "value_ints")
_FIELDS: dict[str, tuple[str, ...]] = {
    "Gemm": ("alpha", "beta", "transA", "transB"), "LeakyRelu": ("alpha",), "Elu": ("alpha",),
    "Celu": ("alpha",), "Swish": ("alpha",), "Selu": ("alpha", "gamma"),
    "HardSigmoid": ("alpha", "beta"), "Gelu": ("approximate",), "Flatten": ("axis",),
    "Dropout": ("ratio", "seed"), "Reshape": ("allowzero",), "Transpose": ("perm",),
    "Clip": ("min", "max"), "Constant": _CONSTANTS,
}  # fmt: skip
_MOST = 5000  # nodes that are read
_HINTS = {"Softmax": "end the model in logits, and use CrossEntropy"}


def _selu(fields: Fields) -> Elementwise:
    alpha, gamma = fields.get("alpha", SELU_ALPHA), fields.get("gamma", SELU_SCALE)
    # attributes are float32
    if not np.allclose((alpha, gamma), (SELU_ALPHA, SELU_SCALE), rtol=1e-6):
        raise ConversionError("it has another alpha or gamma than Klambauer et al. 2017")
    return SELU()


def _hard_sigmoid(fields: Fields) -> Elementwise:
    slope, shift = (formula.number(fields.get(k, v)) for k, v in (("alpha", 0.2), ("beta", 0.5)))
    line = slope * formula.X + shift
    return formula.block_of(formula.clamp(0, 1, strict=True).xreplace({formula.X: line}))


def _gelu(fields: Fields) -> Elementwise:
    exact = fields.get("approximate", b"none") == b"none"
    return GELU() if exact else formula.gelu_by_tanh()


_ACTIVATIONS: dict[str, Callable[[Fields], Elementwise]] = {
    "LeakyRelu": lambda f: LeakyReLU(shortest(f.get("alpha", 0.01))),
    "Elu": lambda f: ELU(shortest(f.get("alpha", 1.0))),
    "Celu": lambda f: formula.celu(shortest(f.get("alpha", 1.0))),
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Softplus": lambda _: Softplus(),
    "Swish": lambda f: formula.swish(shortest(f.get("alpha", 1.0))),
}


@dataclass(frozen=True)
class Comparison:
    """What Where chooses by."""

    relation: str
    sides: list[Any]


class NodeReader:
    """Reads the nodes that the output needs, in order; a name is a Value, a Tensor or a Comparison.

    ``live`` are those nodes. A tensor is the weight or the bias of one Linear only.
    """

    def __init__(self, onnx: Any, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
        self.onnx, self.graph, self.tensors = onnx, graph, tensors
        self.live: list[Any] = []
        self._found: dict[str, Any] = dict(tensors)
        self._readers: Counter[str] = Counter()  # how many nodes read a name
        self._parameters: dict[str, str] = {}  # where a tensor is used
        self._place = ""

    def read(self, graph: Any) -> Value:
        """The value of the graph's output.

        Raises ConversionError that names the node without counterpart.
        """
        source, (_, sample) = model_input(self.onnx, graph)
        self._found[source.name] = self.graph.source
        if len(sample) == 1:
            self.graph.width = sample[0]
        wanted = graph.output[0].name
        ranked = _live(list(enumerate(graph.node)), wanted)
        self.live = [node for _, node in ranked]
        if len(self.live) > _MOST:
            raise ConversionError(f"the model has {len(self.live)} nodes; the limit is {_MOST}")
        self._readers = Counter(name for node in self.live for name in node.input)
        self._readers[wanted] += 1
        for at, node in ranked:
            self._place = f"{_shown(node.op_type)} at node {node.name[:80] or at!r}"
            if node.domain not in ("", "ai.onnx"):
                raise ConversionError(f"{self._place} is of the domain {node.domain!r}, not ONNX's")
            try:
                found = self._step(node)
            except ConversionError as fault:
                if self._place in str(fault):
                    raise
                raise ConversionError(f"{self._place}: {fault}") from None
            if node.output[0] in self._found:
                raise ConversionError(f"{self._place} computes {node.output[0]!r} a second time")
            self._found[node.output[0]] = found
        output = self._found.get(wanted)
        if not isinstance(output, Value):
            raise ConversionError("the model's output does not depend on its input")
        return output

    def _step(self, node: Any) -> Any:
        kind = node.op_type
        fields = self._fields(node)
        args = [self._argument(name) for name in node.input]
        if kind == "Constant":
            return self._constant(node, fields)
        if kind in ("Identity", "Transpose") and args and isinstance(args[0], Tensor):
            return args[0].turned(fields.get("perm")) if kind == "Transpose" else args[0]
        if kind in ("Gemm", "MatMul"):
            return self._affine(kind, node, args, fields)
        if kind in _RELATIONS:
            return Comparison(_RELATIONS[kind], self._operands(args))
        if kind == "Where" and isinstance(args[0], Comparison):
            operands = [*args[0].sides, *self._operands(args[1:])]
            return self.graph.formula(self._place, formula.where(args[0].relation), operands)
        if kind == "Clip":
            return self._clip(args, fields)
        if kind in _BINARY or kind in _FOLDED:
            return self._joined(kind, node, args)
        value = args[0] if args else None
        if not isinstance(value, Value):
            raise ConversionError("it does not read the model's input")
        if kind in ("Flatten", "Dropout", "Reshape"):
            self._check_kept(kind, value, args[1:], fields)
            return value
        return self._applied(kind, value, fields)

    def _fields(self, node: Any) -> Fields:
        """The attributes of a node; raises ConversionError for one that is not read."""
        for each in node.attribute:
            known = each.name in _FIELDS.get(node.op_type, ()) and not each.ref_attr_name
            if not known and _is_known(node.op_type):
                raise ConversionError(f"it has the attribute {each.name!r}, which pullback has not")
        return {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}

    def _argument(self, name: str) -> Any:
        """What a name stands for; None where an optional input is left out."""
        if not name:
            return None
        if name not in self._found:
            raise ConversionError(f"it reads {name!r}, which no node before it computes")
        return self._found[name]

    def _applied(self, kind: str, value: Value, fields: Fields) -> Value:
        block: Block
        if kind == "Identity":
            block = Identity()
        elif kind in _ACTIVATIONS:
            block = _ACTIVATIONS[kind](fields)
        elif kind in _UNARY:
            name = _UNARY[kind]
            block = formula.PLAIN.get(name) or formula.block_of(formula.UNARY[name])
        else:
            hint = f"; {_HINTS[kind]}" if kind in _HINTS else ""
            raise ConversionError(f"it has no counterpart in pullback{hint}")
        return self.graph.applied(self._place, value, block)

    def _constant(self, node: Any, fields: Fields) -> Tensor:
        for name in _CONSTANTS:
            if name in fields:
                value = fields[name]
                array = values(self.onnx, value) if name == "value" else np.asarray(value)
                single = array.astype(np.float32) if name.startswith("value_float") else array
                return Tensor(node.output[0], single, trained=False)
        raise ConversionError(f"a constant of {', '.join(fields)} is none that pullback reads")

    def _parameter(self, tensor: Tensor, what: str) -> Array:
        """The values of a tensor that becomes a weight or a bias.

        Raises ConversionError for one that is not trained, or is so already.
        """
        if not tensor.trained:
            raise ConversionError(
                f"its {what} {tensor.name!r} is a constant, which training would not change; "
                "pullback trains every weight: make it an initializer of floats"
            )
        check_name(self._place, tensor.name)
        if first := self._parameters.get(tensor.name):
            raise ConversionError(
                f"it uses {tensor.name!r} a second time, after {first}; pullback shares no weights "
                "between Linear blocks: give each a tensor of its own"
            )
        self._parameters[tensor.name] = self._place
        return tensor.array

    def _affine(self, kind: str, node: Any, args: list[Any], fields: Fields) -> Value:
        value, tensor, *rest = args
        if not isinstance(value, Value) or not isinstance(tensor, Tensor):
            raise ConversionError("pullback multiplies values by constant weights, from the right")
        if fields.get("transA"):
            raise ConversionError("it transposes the value, axis batch")
        for name in ("alpha", "beta"):
            if fields.get(name, 1.0) != 1.0:
                raise ConversionError(
                    f"it has {name}={fields[name]:g}, so its parameters are not the file's; "
                    "multiply the tensor by it in the file"
                )
        if tensor.array.ndim != 2 or 0 in tensor.array.shape:
            raise ConversionError(f"its weight has shape {tensor.array.shape}, no matrix")
        turned = bool(fields.get("transB"))
        weight = self._parameter(tensor, "weight")
        weight = weight if turned else weight.T
        bias = rest[0] if rest else None
        if not isinstance(bias, (Tensor, type(None))):
            raise ConversionError("its bias is no constant")
        row = None if bias is None else self._bias(bias, len(weight))
        called = self._called(node.input[1:], turned) if kind == "Gemm" else None
        return self.graph.affine(self._place, value, weight, row, called)

    def _bias(self, tensor: Tensor, width: int) -> Array:
        """A bias (out,) from a row; raises ConversionError for one number that all units share."""
        shape = tensor.array.shape
        if tensor.array.size != width or len(shape) > 2 or (len(shape) == 2 and shape[0] != 1):
            raise ConversionError(f"its bias has shape {shape}; expected ({width},), one a unit")
        return np.ravel(self._parameter(tensor, "bias"))

    def _called(self, names: Any, turned: bool) -> str | None:
        """What a Linear is called whose tensors have these names, if they fit."""
        name, _, part = names[0].rpartition(".")
        bias = names[1] if len(names) > 1 and names[1] else None
        fits = part == "weight" and bias in (None, f"{name}.bias" if name else "bias")
        own = all(each in self.tensors for each in (names[0], bias) if each)
        return name if fits and turned and own else None

    def _joined(self, kind: str, node: Any, args: list[Any]) -> Any:
        """Values and numbers; a trained row that is added to a product without bias is its own."""
        if kind == "Add" and len(args) == 2:
            at = next((i for i, each in enumerate(args) if isinstance(each, Affine)), None)
            if at is not None and self._is_bias(args[1 - at], args[at], node.input[at]):
                product = args[at]
                bias = self._bias(args[1 - at], product.width)
                return self.graph.affine(self._place, product.arg, product.weight, bias)
        expr = formula.BINARY[_BINARY.get(kind) or _FOLDED[kind]]
        first, *rest = self._operands(args)
        found = first if rest else self.graph.formula(self._place, formula.X, [first])
        for other in rest:
            found = self.graph.formula(self._place, expr, [found, other])
        return found

    def _is_bias(self, tensor: Any, product: Affine, name: str) -> bool:
        """Is it the bias of a product that nothing else reads?"""
        alone = product.bias is None and product.name is None and self._readers[name] == 1
        return isinstance(tensor, Tensor) and tensor.trained and alone

    def _operands(self, args: list[Any]) -> list[Any]:
        """Values as they are, and constants as numbers."""
        found: list[Any] = []
        for each in args:
            if isinstance(each, Tensor):
                each = each.number
            elif not isinstance(each, Value):
                raise ConversionError("it does not join values and numbers")
            found.append(each)
        return found

    def _clip(self, args: list[Any], fields: Fields) -> Value:
        value, *bounds = args
        if not isinstance(value, Value):
            raise ConversionError("it does not read the model's input")
        ends: list[float | None] = []
        for at, name in enumerate(("min", "max")):
            bound = bounds[at] if at < len(bounds) else None
            if isinstance(bound, Value):
                raise ConversionError(f"its {name} depends on the input")
            ends.append(bound.number if isinstance(bound, Tensor) else fields.get(name))
        return self.graph.formula(self._place, formula.clamp(*ends), [value])

    def _check_kept(self, kind: str, value: Value, args: list[Any], fields: Fields) -> None:
        """Raise ConversionError unless (batch, features) stays what it is."""
        if kind == "Flatten" and fields.get("axis", 1) not in (1, -1):
            raise ConversionError("it does not keep the batch, axis 0, as it is")
        training = args[1] if kind == "Dropout" and len(args) > 1 else None
        if isinstance(training, Value) or (isinstance(training, Tensor) and training.array.any()):
            raise ConversionError("it draws at random in training")
        if kind == "Reshape":
            known = bool(args) and isinstance(args[0], Tensor) and not fields.get("allowzero")
            shape = np.ravel(args[0].array).tolist() if known else []
            if len(shape) != 2 or shape[0] not in (0, -1) or shape[1] == 0 or shape == [-1, -1]:
                raise ConversionError(f"it makes the shape {shape}; expected (batch, features)")
            if shape[1] > 0:
                self.graph.meet(self._place, value, shape[1])


def _live(nodes: list[tuple[int, Any]], wanted: str) -> list[tuple[int, Any]]:
    """The nodes that an output depends on, with their ranks, in order."""
    needed, found = {wanted}, []
    for at, node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            found.append((at, node))
    return found[::-1]


def _is_known(kind: str) -> bool:
    """Is it an operator that is read?"""
    tables = (_UNARY, _BINARY, _FOLDED, _RELATIONS, _ACTIVATIONS, _FIELDS)
    return kind in ("Identity", "MatMul", "Where") or any(kind in table for table in tables)


def _shown(kind: str) -> str:
    """An operator's name for an error; whatever is none is quoted."""
    return kind if kind.isidentifier() and kind.isascii() else ascii(kind[:80])
