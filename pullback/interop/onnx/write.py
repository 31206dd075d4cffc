"""``to_onnx``: the forward pass of a network as an ONNX model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from pullback.errors import ConversionError, require
from pullback.files import write_atomically
from pullback.interop.extras import library
from pullback.interop.parameters import of_one_dtype
from pullback.interop.rows import Array
from pullback.ir import symbol
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.primitives import SELU_ALPHA, SELU_SCALE, fn, primitive_of
from pullback.net.network import Network
from pullback.nn import (
    ELU,
    SELU,
    Block,
    Elementwise,
    Identity,
    LeakyReLU,
    Linear,
    Residual,
    Sequential,
)
from pullback.nn.block import joined

OPSET = 20  # the first that has Gelu
_FUNCTIONS = {
    "exp": "Exp", "log": "Log", "tanh": "Tanh", "sinh": "Sinh", "cosh": "Cosh", "sin": "Sin",
    "cos": "Cos", "tan": "Tan", "atan": "Atan", "erf": "Erf", "sign": "Sign", "abs": "Abs",
    "relu": "Relu", "sigmoid": "Sigmoid", "softplus": "Softplus", "gelu": "Gelu", "elu": "Elu",
}  # fmt: skip
_RELATIONS = {">": "Greater", ">=": "GreaterOrEqual", "<": "Less", "<=": "LessOrEqual"}


def to_onnx(net: Network, params: Mapping[str, Any], path: str | Path | None = None) -> bytes:
    """The model as ONNX: input ``x`` (batch, features), output ``output`` (batch, outputs).

    The batch may have any size; initialisers have the names and the dtype of ``params``. The file,
    if a path is given, is written whole or not at all. onnxruntime runs every block in float32.
    Raises the errors of parameters that do not fit, ConfigError if onnx is not installed,
    StorageError where the file cannot be written.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Tanh()), loss=pb.MSELoss())
    >>> content = to_onnx(net, net.init(seed=0))
    >>> pb.from_onnx(content, loss=pb.MSELoss())[0]
    Network(Sequential(Linear(4, 3), Tanh()), loss=MSELoss(reduction='mean'))
    """
    require("net", net, Network, "a network such as pb.Network(model, loss=pb.CrossEntropy())")
    onnx = library("onnx", "onnx")
    held = of_one_dtype(net, params)
    content: bytes = _Writer(onnx, held).model(net).SerializeToString(deterministic=True)
    if path is not None:
        write_atomically(path, content)
    return content


class _Writer:
    """The nodes and initialisers of one model, in order."""

    def __init__(self, onnx: Any, held: Mapping[str, Array]) -> None:
        self.onnx = onnx
        self.dtype = next((array.dtype for array in held.values()), np.dtype(np.float32))
        self.initialisers = dict(held)
        self.nodes: list[Any] = []
        self.numbers: set[str] = set()

    def model(self, net: Network) -> Any:
        """The whole model."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        last = self.block(net.model, "", "x")
        if self.nodes and self.nodes[-1].output[0] == last:
            self.nodes[-1].output[0] = "output"
        else:
            self._node("Identity", [last], "output", "output")

        def shaped(name: str, width: int | None) -> Any:
            return helper.make_tensor_value_info(name, kind, ["batch", width])

        graph = helper.make_graph(
            self.nodes,
            "pullback",
            [shaped("x", net.x.axes[-1].size)],
            [shaped("output", net.output.axes[-1].size)],
            [
                self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
                for name, array in self.initialisers.items()
            ],
        )
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
            producer_name="pullback",
        )
        self.onnx.checker.check_model(made)
        return made

    def block(self, block: Block, path: str, x: str) -> str:
        """The nodes of a block; the name of its output."""
        place = path or "model"
        match block:
            case Sequential():
                for at, part in enumerate(block.blocks):
                    x = self.block(part, joined(path, at), x)
                return x
            case Residual():
                inner = self.block(block.block, joined(path, "block"), x)
                if block.scale != 1:
                    inner = self._node("Mul", [inner, self._number(block.scale)], place)
                return self._node("Add", [x, inner], place)
            case Linear():
                name = block.called(path)
                inputs = [x, joined(name, "weight")]
                inputs += [joined(name, "bias")] if block.bias else []
                return self._node("Gemm", inputs, name or "model", transB=1)
            case Identity():
                return self._node("Identity", [x], place)
            case LeakyReLU():
                return self._node("LeakyRelu", [x], place, alpha=float(block.slope))
            case ELU():
                return self._node("Elu", [x], place, alpha=float(block.alpha))
            case SELU():
                return self._node("Selu", [x], place, alpha=SELU_ALPHA, gamma=SELU_SCALE)
            case Elementwise():
                return self._formula(block.expression(), place, x)
        raise ConversionError(f"{block!r} has no counterpart in ONNX")

    def _formula(self, expr: Any, place: str, x: str) -> str:
        """The nodes of a scalar function."""

        def of(inner: Any) -> str:
            return self._formula(inner, place, x)

        def folded(kind: str, args: Any) -> str:
            first, *rest = [of(arg) for arg in args]
            for other in rest:
                first = self._node(kind, [first, other], place)
            return first

        if expr == symbol(0):
            return x
        if expr.is_number:
            return self._number(float(expr))
        if expr.is_Add or expr.is_Mul:
            return folded("Add" if expr.is_Add else "Mul", expr.args)
        if isinstance(expr, (sp.Max, sp.Min)):
            return folded("Max" if isinstance(expr, sp.Max) else "Min", expr.args)
        if expr.is_Pow:
            return self._power(expr, of, place)
        if isinstance(expr, sp.Piecewise):
            return self._cases(expr, of, place)
        row = primitive_of(expr)
        if row is None:
            raise ConversionError(f"{type(expr).__name__} at {place!r} has no counterpart in ONNX")
        (arg,) = expr.args
        if row.name in _FUNCTIONS:
            return self._node(_FUNCTIONS[row.name], [of(arg)], place)
        return of(_COMPOSED[row.name](arg))

    def _power(self, expr: Any, of: Any, place: str) -> str:
        base, exponent = expr.args
        if exponent == -1:
            return self._node("Reciprocal", [of(base)], place)
        if exponent == sp.Rational(1, 2):
            return self._node("Sqrt", [of(base)], place)
        return self._node("Pow", [of(base), of(exponent)], place)

    def _cases(self, expr: Any, of: Any, place: str) -> str:
        chosen, otherwise = branches(expr)
        found = of(otherwise)
        for value, condition in reversed(chosen):
            sides = [of(side) for side in condition.args]
            holds = self._node(_RELATIONS[condition.rel_op], sides, place)
            found = self._node("Where", [holds, of(value), found], place)
        return str(found)

    def _number(self, value: float) -> str:
        name = f"number {float(value)!r}"
        if name not in self.numbers:  # a constant: initializers are what training changes
            self.numbers.add(name)
            tensor = self.onnx.numpy_helper.from_array(np.array(value, self.dtype))
            self._node("Constant", [], "numbers", name, value=tensor)
        return name

    def _node(
        self, kind: str, inputs: list[str], place: str, output: str = "", **fields: Any
    ) -> str:
        name = f"{place}/{kind} {len(self.nodes)}"
        output = output or name
        node = self.onnx.helper.make_node(kind, inputs, [output], name=name, **fields)
        self.nodes.append(node)
        return output


# rows without an operator of their own, in terms of those that have one
_COMPOSED: dict[str, Any] = {
    "silu": lambda x: x * fn("sigmoid")(x),
    "selu": lambda x: SELU_SCALE * (fn("relu")(x) + SELU_ALPHA * fn("elu")(-fn("relu")(-x))),
    "normal_cdf": lambda x: (1 + sp.erf(x / sp.sqrt(2))) / 2,
    "step": lambda x: sp.Piecewise((1, x > 0), (0, True)),
    "heaviside": lambda x: (1 + fn("sign")(x)) / 2,
    "log1p": lambda x: sp.log(1 + x),
    "expm1": lambda x: sp.exp(x) - 1,
    "sigmoid_slope": lambda x: fn("sigmoid")(x) * fn("sigmoid")(-x),
    "sech2": lambda x: 4 * fn("sigmoid")(2 * x) * fn("sigmoid")(-2 * x),
    "log_cosh": lambda x: fn("softplus")(2 * x) - x - math.log(2),
}
