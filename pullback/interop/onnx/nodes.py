"""The nodes of an ONNX graph as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.graph import Affine, Array, Graph, Value
from pullback.ir.primitives import SELU_ALPHA, SELU_SCALE
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
    "LeakyRelu": lambda f: LeakyReLU(_short(f.get("alpha", 0.01))),
    "Elu": lambda f: ELU(_short(f.get("alpha", 1.0))),
    "Celu": lambda f: formula.celu(_short(f.get("alpha", 1.0))),
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Softplus": lambda _: Softplus(),
    "Swish": lambda f: formula.swish(_short(f.get("alpha", 1.0))),
}


def _short(value: float) -> float:
    """A float32 number as the shortest number that it stands for: 0.2, not 0.20000000298."""
    return float(str(np.float32(value)))


class NodeReader:
    """Reads the nodes in order; a name stands for a Value or a constant array."""

    def __init__(self, onnx: Any, graph: Graph, tensors: Mapping[str, Array]) -> None:
        self.onnx, self.graph, self.tensors = onnx, graph, tensors
        self._found: dict[str, Any] = dict(tensors)
        self._place = ""

    def read(self, graph: Any) -> Value:
        """The value of the graph's output.

        Raises ConversionError that names the node without counterpart.
        """
        inputs = [each for each in graph.input if each.name not in self.tensors]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ConversionError(
                f"the model has {len(inputs)} inputs and {len(graph.output)} outputs; "
                "expected one of each"
            )
        self._found[inputs[0].name] = self.graph.source
        self._note_width(inputs[0])
        for at, node in enumerate(graph.node):
            self._place = f"{node.op_type} at node {node.name or at!r}"
            if node.domain not in ("", "ai.onnx"):
                raise ConversionError(f"{self._place} is of the domain {node.domain!r}, not ONNX's")
            try:
                found = self._step(node)
            except ConversionError as fault:
                if self._place in str(fault):
                    raise
                raise ConversionError(f"{self._place}: {fault}") from None
            self._found[node.output[0]] = found
        output = self._found.get(graph.output[0].name)
        if not isinstance(output, Value):
            raise ConversionError("the model's output does not depend on its input")
        return output

    def _note_width(self, source: Any) -> None:
        shape = source.type.tensor_type.shape.dim
        if len(shape) == 2 and shape[1].dim_value:
            self.graph.width = int(shape[1].dim_value)

    def _step(self, node: Any) -> Any:
        fields = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        args = [self._found.get(name) if name else None for name in node.input]
        kind = node.op_type
        if kind == "Constant":
            return self._constant(fields)
        if kind in ("Identity", "Transpose") and isinstance(args[0], np.ndarray):
            return args[0].T if kind == "Transpose" else args[0]
        if kind in ("Gemm", "MatMul"):
            return self._affine(kind, node, args, fields)
        if kind in _RELATIONS:
            return _RELATIONS[kind], self._operands(args)
        if kind == "Where" and isinstance(args[0], tuple):
            relation, sides = args[0]
            operands = [*sides, *self._operands(args[1:])]
            return self.graph.formula(self._place, formula.where(relation), operands)
        if kind == "Clip":
            return self._clip(args, fields)
        if kind in _BINARY or kind in _FOLDED:
            return self._joined(kind, args)
        value = args[0] if args else None
        if not isinstance(value, Value):
            raise ConversionError("it does not read the model's input")
        if kind in ("Flatten", "Dropout", "Reshape"):
            self._check_kept(kind, value, args[1:], fields)
            return value
        return self._applied(kind, value, fields)

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

    def _constant(self, fields: Fields) -> Array:
        for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
            if name in fields:
                value = fields[name]
                return np.asarray(
                    self.onnx.numpy_helper.to_array(value) if name == "value" else value
                )
        raise ConversionError(f"a constant of {', '.join(fields)} is none that pullback reads")

    def _affine(self, kind: str, node: Any, args: list[Any], fields: Fields) -> Value:
        value, weight, *rest = args
        if not isinstance(value, Value) or not isinstance(weight, np.ndarray):
            raise ConversionError("pullback multiplies values by constant weights, from the right")
        if fields.get("transA"):
            raise ConversionError("it transposes the value, axis batch")
        turned = bool(fields.get("transB"))
        weight = _scaled(weight if turned else weight.T, fields.get("alpha", 1.0))
        bias = rest[0] if rest else None
        if isinstance(bias, Value):
            raise ConversionError("its bias is no constant")
        if bias is not None:
            bias = _scaled(_row(bias, weight.shape[0]), fields.get("beta", 1.0))
        name = self._called(node.input[1:], turned) if kind == "Gemm" else None
        return self.graph.affine(self._place, value, weight, bias, name)

    def _called(self, names: Any, turned: bool) -> str | None:
        """What a Linear is called whose tensors have these names, if they fit."""
        name, _, part = names[0].rpartition(".")
        bias = names[1] if len(names) > 1 and names[1] else None
        fits = part == "weight" and bias in (None, f"{name}.bias" if name else "bias")
        return name if fits and turned else None

    def _joined(self, kind: str, args: list[Any]) -> Any:
        """Values and numbers; a constant row that is added to a product without bias is its own."""
        if kind == "Add" and len(args) == 2:
            at = next((i for i, each in enumerate(args) if isinstance(each, Affine)), None)
            if at is not None and args[at].bias is None and _is_row(args[1 - at], args[at].width):
                product = args[at]
                bias = _row(args[1 - at], product.width)
                return self.graph.affine(self._place, product.arg, product.weight, bias)
        expr = formula.BINARY[_BINARY.get(kind) or _FOLDED[kind]]
        first, *rest = self._operands(args)
        found = first if rest else self.graph.formula(self._place, formula.X, [first])
        for other in rest:
            found = self.graph.formula(self._place, expr, [found, other])
        return found

    def _operands(self, args: list[Any]) -> list[Any]:
        """Values as they are, and constants as numbers."""
        found: list[Any] = []
        for each in args:
            if isinstance(each, np.ndarray):
                if each.size != 1:
                    raise ConversionError(
                        f"a constant of shape {each.shape} is no number; pullback's parameters are "
                        "those of Linear blocks"
                    )
                each = _short(each.item()) if each.dtype == np.float32 else each.item()
            elif not isinstance(each, Value):
                raise ConversionError("it does not join values and numbers")
            found.append(each)
        return found

    def _clip(self, args: list[Any], fields: Fields) -> Value:
        value, *bounds = args
        low, high = (
            bounds[at] if at < len(bounds) and bounds[at] is not None else fields.get(name)
            for at, name in enumerate(("min", "max"))
        )
        low, high = (None if each is None else np.asarray(each).item() for each in (low, high))
        return self.graph.formula(self._place, formula.clamp(low, high), [value])

    def _check_kept(self, kind: str, value: Value, args: list[Any], fields: Fields) -> None:
        """Raise ConversionError unless (batch, features) stays what it is."""
        if kind == "Flatten" and fields.get("axis", 1) not in (1, -1):
            raise ConversionError("it does not keep the batch, axis 0, as it is")
        if kind == "Dropout" and len(args) > 1 and args[1] is not None and np.any(args[1]):
            raise ConversionError("it draws at random in training")
        if kind == "Reshape":
            shape = np.ravel(args[0]).tolist() if isinstance(args[0], np.ndarray) else []
            if len(shape) != 2 or shape[0] not in (0, -1) or shape == [-1, -1]:
                raise ConversionError(f"it makes the shape {shape}; expected (batch, features)")
            if shape[1] > 0:
                self.graph.meet(self._place, value, shape[1])


def _scaled(array: Array, factor: float) -> Array:
    return array if factor == 1 else array * np.asarray(factor, array.dtype)


def _is_row(value: Any, width: int) -> bool:
    """Is it one number for each unit, not one for all?"""
    return isinstance(value, np.ndarray) and value.ndim in (1, 2) and value.size >= min(2, width)


def _row(value: Array, width: int) -> Array:
    """A bias (out,): a row, or one number for all."""
    if value.ndim > 2 or (value.ndim == 2 and value.shape[0] != 1):
        raise ConversionError(f"its bias has shape {value.shape}; expected (out,)")
    row = np.ravel(value)
    return np.broadcast_to(row, (width,)) if row.size == 1 else row
