"""``to_onnx``: the forward pass of a network as an ONNX model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from pullback.errors import ConversionError, require
from pullback.files import write_atomically
from pullback.interop.backend import Backend
from pullback.interop.export import Export
from pullback.interop.extras import library
from pullback.interop.formula import known_block
from pullback.interop.parameters import of_one_dtype
from pullback.interop.rows import Array
from pullback.ir import Axes, Input, Named, Parameter, Scalar, symbol
from pullback.ir.flow import Affine
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.primitives import SELU_ALPHA, SELU_SCALE, fn, primitive_of
from pullback.net.network import Network
from pullback.nn import ELU, SELU, Identity, LeakyReLU

OPSET = 20  # the first that has Gelu
_FUNCTIONS = {
    "exp": "Exp", "log": "Log", "tanh": "Tanh", "sinh": "Sinh", "cosh": "Cosh", "sin": "Sin",
    "cos": "Cos", "tan": "Tan", "atan": "Atan", "erf": "Erf", "sign": "Sign", "abs": "Abs",
    "relu": "Relu", "sigmoid": "Sigmoid", "softplus": "Softplus", "gelu": "Gelu", "elu": "Elu",
}  # fmt: skip
_RELATIONS = {">": "Greater", ">=": "GreaterOrEqual", "<": "Less", "<=": "LessOrEqual",
              "==": "Equal"}  # fmt: skip


def to_onnx(net: Network, params: Mapping[str, Any], path: str | Path | None = None) -> bytes:
    """The model as ONNX: its inputs, such as ``x`` (batch, features), and ``output``.

    It computes what ``net.predict`` does. The batch may have any size; initialisers have the names
    and the dtype of ``params``. The file, if a path is given, is written whole or not at all.
    onnxruntime runs every block in float32.
    Raises ConversionError for what ONNX has no counterpart for, the errors of parameters that do
    not fit, ConfigError if onnx is not installed, StorageError where the file cannot be written.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Tanh()), loss=pb.MSELoss())
    >>> content = to_onnx(net, net.init(seed=0))
    >>> pb.from_onnx(content, loss=pb.MSELoss())[0]
    Network(Sequential(Linear(4, 3), Tanh()), loss=MSELoss(reduction='mean'))
    """
    require("net", net, Network, "a network such as pb.Network(model, loss=pb.CrossEntropy())")
    onnx = library("onnx", "onnx")
    held = of_one_dtype(net, params)
    content: bytes = _Nodes(onnx, held).model(net.eval()).SerializeToString(deterministic=True)
    if path is not None:
        write_atomically(path, content)
    return content


class _Nodes(Backend[str]):
    """The nodes and initialisers of one model, in order; a value is the name of a tensor."""

    def __init__(self, onnx: Any, held: Mapping[str, Array]) -> None:
        self.onnx = onnx
        self.dtype = next((array.dtype for array in held.values()), np.dtype(np.float32))
        self.initialisers = dict(held)
        self.nodes: list[Any] = []
        self.constants: set[str] = set()

    def model(self, net: Network) -> Any:
        """The whole model."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        whole = helper.np_dtype_to_tensor_dtype(np.dtype(np.int64))
        last = Export(self)(net.built, net.output_axes)
        if self.nodes and self.nodes[-1].output[0] == last:
            self.nodes[-1].output[0] = "output"
        else:
            self._node("Identity", [last], "output", "output")

        def shaped(name: str, axes: Axes, kind: Any = kind) -> Any:
            sizes = [axis.name if at == 0 else axis.size for at, axis in enumerate(axes)]
            return helper.make_tensor_value_info(name, kind, sizes)

        graph = helper.make_graph(
            self.nodes,
            "pullback",
            [shaped(n, x.axes, whole if x.whole else kind) for n, x in net.xs.items()],
            [shaped("output", net.output_axes)],
            [
                self.onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
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

    def input(self, leaf: Input) -> str:
        if not leaf.whole:
            return leaf.name
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        return self._node("Cast", [leaf.name], leaf.name, to=kind)

    def parameter(self, leaf: Parameter) -> str:
        return leaf.name

    def layer(self, named: Named, layer: Affine, x: str) -> str | None:
        if len(layer.arg.axes) != 2:
            return None
        inputs = [x, layer.weight.name, *([layer.bias.name] if layer.bias is not None else [])]
        return self._node("Gemm", inputs, named.label.place or "model", transB=1)

    def function(self, place: str, function: Scalar, args: Sequence[str]) -> str:
        match known_block(function.expr) if len(args) == 1 else None:
            case Identity():
                return self._node("Identity", args, place)
            case LeakyReLU(slope=slope):
                return self._node("LeakyRelu", args, place, alpha=float(slope))
            case ELU(alpha=alpha):
                return self._node("Elu", args, place, alpha=float(alpha))
            case SELU():
                return self._node("Selu", args, place, alpha=SELU_ALPHA, gamma=SELU_SCALE)
        return self._formula(function.expr, place, args)

    def total(self, place: str, terms: Sequence[str]) -> str:
        found, *rest = terms
        for term in rest:
            found = self._node("Add", [found, term], place)
        return found

    def product(self, place: str, pattern: str, factors: Sequence[str]) -> str:
        return self._node("Einsum", factors, place, equation=pattern)

    def scaled(self, place: str, x: str, by: float) -> str:
        return self._node("Mul", [x, self.number(place, by)], place)

    def reduced(self, place: str, kind: str, x: str, dimension: int) -> str:
        operator = "ReduceMax" if kind == "max" else "ReduceLogSumExp"
        return self._node(operator, [x, self._places([dimension])], place, keepdims=0)

    def index(self, leaf: Input) -> str:
        return leaf.name

    def gathered(self, place: str, x: str, index: str, dimension: int) -> str:
        return self._node("Gather", [x, index], place, axis=dimension)

    def hits(self, place: str, index: str, length: int) -> str:
        depth = self._places([length])
        values = self._constant("0 and 1", np.array([0, 1], self.dtype))
        return self._node("OneHot", [index, depth, values], place, axis=-1)

    def first_largest(self, place: str, x: str, dimension: int) -> str:
        return self._node("ArgMax", [x], place, axis=dimension, keepdims=0)

    def held(self, place: str, x: str) -> str:
        return x

    def stretch(self, place: str, x: str, dimension: int, start: int, stop: int) -> str:
        ends = [self._places([each]) for each in (start, stop, dimension)]
        return self._node("Slice", [x, *ends], place)

    def split(
        self, place: str, x: str, dimension: int, sizes: Sequence[int], after: Sequence[int | None]
    ) -> str:
        if after.count(None) > 1:
            raise ConversionError(f"{place!r} has two axes of unknown length; ONNX needs one")
        known = [-1 if size is None else size for size in after]  # 0 is the length that x has
        shape = self._places([*[0] * dimension, *sizes, *known])
        return self._node("Reshape", [x, shape], place)

    def padded(self, place: str, x: str, dimension: int, before: int, after: int) -> str:
        widths, along = self._places([before, after]), self._places([dimension])
        zero = self.number(place, 0.0)
        return self._node("Pad", [x, widths, zero, along], place)

    def turned(self, place: str, x: str, order: Sequence[int]) -> str:
        return self._node("Transpose", [x], place, perm=list(order))

    def widened(self, place: str, x: str, dimensions: Sequence[int]) -> str:
        return self._node("Unsqueeze", [x, self._places(dimensions)], place)

    def _formula(self, expr: Any, place: str, args: Sequence[str]) -> str:
        """The nodes of a scalar function."""

        def of(inner: Any) -> str:
            return self._formula(inner, place, args)

        def folded(kind: str, parts: Any) -> str:
            first, *rest = [of(part) for part in parts]
            for other in rest:
                first = self._node(kind, [first, other], place)
            return first

        if expr.is_Symbol:
            return next(arg for at, arg in enumerate(args) if symbol(at) == expr)
        if expr.is_number:
            return self.number(place, float(expr))
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

    def ones(self, place: str, length: int) -> str:
        return self._constant(f"ones {length}", np.ones(length, self.dtype))

    def counted(self, place: str, length: int) -> str:
        return self._constant(f"first {length}", np.arange(length, dtype=self.dtype))

    def number(self, place: str, value: float) -> str:
        return self._constant(f"number {float(value)!r}", np.array(value, self.dtype))

    def _places(self, at: Sequence[int]) -> str:
        return self._constant(f"places {list(at)!r}", np.array(at, np.int64))

    def _constant(self, name: str, array: Array) -> str:
        if name not in self.constants:  # a constant: initializers are what training changes
            self.constants.add(name)
            self._node("Constant", [], "numbers", name, value=self._tensor(array))
        return name

    def _tensor(self, array: Array) -> Any:
        return self.onnx.numpy_helper.from_array(array)

    def _node(
        self, kind: str, inputs: Sequence[str], place: str, output: str = "", **fields: Any
    ) -> str:
        name = f"{place}/{kind} {len(self.nodes)}"
        output = output or name
        node = self.onnx.helper.make_node(kind, list(inputs), [output], name=name, **fields)
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
