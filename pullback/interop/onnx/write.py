"""``to_onnx``: the forward pass of a network as an ONNX model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from pullback.errors import ConversionError, require
from pullback.files import write_atomically
from pullback.interop.backend import Array, Backend, Length, Whole
from pullback.interop.export import Export
from pullback.interop.extras import library
from pullback.interop.formula import known_block
from pullback.interop.parameters import of_one_dtype
from pullback.interop.windows import Convolution, Pool, Way
from pullback.ir import Axes, Input, Named, Parameter, Scalar, symbol
from pullback.ir.forms import Affine, Pointwise
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.primitives import SELU_ALPHA, SELU_SCALE, fn, primitive_of
from pullback.net.network import Network
from pullback.nn import ELU, SELU, Identity, LeakyReLU

OPSET = 20  # the first that has Gelu
_FUNCTIONS = {
    "exp": "Exp", "log": "Log", "tanh": "Tanh", "sinh": "Sinh", "cosh": "Cosh", "sin": "Sin",
    "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan",
    "erf": "Erf", "sign": "Sign", "abs": "Abs",
    "relu": "Relu", "sigmoid": "Sigmoid", "softplus": "Softplus", "gelu": "Gelu", "elu": "Elu",
}  # fmt: skip
_SHOWN = 8  # numbers that a constant is called after
_LAST = 2**31 - 1  # the end of an axis
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
        self.constants: dict[Any, str] = {}  # by what they hold

    def model(self, net: Network) -> Any:
        """The whole model."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        whole = helper.np_dtype_to_tensor_dtype(np.dtype(np.int64))
        last = Export(self, net.xs.values())(net.built, net.output_axes)
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
        return leaf.name

    def real(self, place: str, x: str) -> str:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        return self._node("Cast", [x], place, to=kind)

    def parameter(self, leaf: Parameter) -> str:
        return leaf.name

    def number(self, place: str, value: float) -> str:
        return self._constant(f"number {float(value)!r}", np.array(value, self.dtype))

    def constant(self, place: str, array: Array) -> str:
        return self._constant(self._next("array"), array.astype(self.dtype))

    def length(self, place: str, x: str, dimension: int) -> str:
        whole = self._length(place, x, dimension)
        return self.real(place, self._node("Squeeze", [whole], place))

    def _length(self, place: str, x: str, dimension: int) -> str:
        return self._node("Shape", [x], place, start=dimension, end=dimension + 1)

    # ------------------------------------------------------------------ whole equations

    def operation(self, named: Named, form: Whole) -> Callable[[str], str] | None:
        place = named.label.place or "model"
        match form:
            case Affine() if len(form.arg.axes) == 2:
                return partial(self._weighted, "Gemm", place, form, transB=1)
            case Convolution() if all(way.before >= 0 for way in form.ways):
                kind = "ConvTranspose" if form.transposed else "Conv"
                fields = _windows(form.ways)
                if form.transposed:
                    fields |= _beyond(form.ways)
                return partial(self._weighted, kind, place, form, **fields, group=form.groups)
            case Pool() if all(way.before >= 0 for way in form.ways):
                return partial(self._pooled, place, form)
            case Pointwise():
                return partial(self._activation, place, form.function)
        return None

    def _weighted(self, kind: str, place: str, form: Any, x: str, **fields: Any) -> str:
        bias = [] if form.bias is None else [form.bias.name]
        return self._node(kind, [x, form.weight.name, *bias], place, **fields)

    def _pooled(self, place: str, form: Pool, x: str) -> str:
        fields = _windows(form.ways)
        if form.largest:
            late = any(not way.even for way in form.ways)
            if late and all(w.count(w.before, ceil=True) == w.sizes[1] for w in form.ways):
                before = [way.before for way in form.ways]
                fields |= {"pads": [*before, *before], "ceil_mode": 1}
            return self._node("MaxPool", [x], place, **fields)
        return self._node("AveragePool", [x], place, **fields, count_include_pad=1)

    def _activation(self, place: str, function: Scalar, x: str) -> str:
        match known_block(function.expr):
            case Identity():
                return self._node("Identity", [x], place)
            case LeakyReLU(slope=slope):
                return self._node("LeakyRelu", [x], place, alpha=float(slope))
            case ELU(alpha=alpha):
                return self._node("Elu", [x], place, alpha=float(alpha))
            case SELU():
                return self._node("Selu", [x], place, alpha=SELU_ALPHA, gamma=SELU_SCALE)
        return self._formula(function.expr, place, [x])

    # ------------------------------------------------------------------ numbers

    def function(self, place: str, function: Scalar, args: Sequence[str]) -> str:
        return self._formula(function.expr, place, args)

    def product(self, place: str, subscripts: str, left: str, right: str) -> str:
        return self._node("Einsum", [left, right], place, equation=subscripts)

    def reduced(self, place: str, kind: str, x: str, dimensions: Sequence[int]) -> str:
        operators = {"sum": "ReduceSum", "max": "ReduceMax", "logsumexp": "ReduceLogSumExp"}
        return self._node(operators[kind], [x, self._whole(dimensions)], place, keepdims=0)

    # ------------------------------------------------------------------ where they stand

    def turned(self, place: str, x: str, order: Sequence[int]) -> str:
        return self._node("Transpose", [x], place, perm=list(order))

    def widened(self, place: str, x: str, dimensions: Sequence[int]) -> str:
        return self._node("Unsqueeze", [x, self._whole(dimensions)], place)

    def expanded(self, place: str, x: str, lengths: Sequence[Length[str] | None]) -> str:
        told = [1 if each is None else each for each in lengths]
        if all(isinstance(each, int) for each in told):
            return self._node("Expand", [x, self._whole(told)], place)
        parts = [
            self._whole([each]) if isinstance(each, int) else self._length(place, *each)
            for each in told
        ]
        return self._node("Expand", [x, self._node("Concat", parts, place, axis=0)], place)

    def reshaped(self, place: str, x: str, lengths: Sequence[int]) -> str:
        return self._node("Reshape", [x, self._whole(lengths)], place)

    def cut(self, place: str, x: str, dimension: int, part: slice) -> str:
        step = part.step or 1
        start = part.start or 0
        stop = part.stop if part.stop is not None else _LAST if step > 0 else -_LAST
        ends = [self._whole([each]) for each in (start, stop, dimension, step)]
        return self._node("Slice", [x, *ends[: 3 if step == 1 else 4]], place)

    def entry(self, place: str, x: str, dimension: int, at: int) -> str:
        return self._node("Gather", [x, self._whole(at)], place, axis=dimension)

    def padded(self, place: str, x: str, dimension: int, before: int, after: int) -> str:
        widths, along = self._whole([before, after]), self._whole([dimension])
        return self._node("Pad", [x, widths, self.number(place, 0.0), along], place)

    def taken(self, place: str, x: str, dimension: int, at: Array) -> str:
        return self._node("Gather", [x, self._whole(at)], place, axis=dimension)

    def summed(self, place: str, x: str, dimension: int, at: Array, length: int) -> str:
        """That dimension comes first: ONNX adds whole rows at places of the first."""
        front = [dimension, *range(dimension)]
        rows = self.turned(place, x, front) if dimension else x
        others = self._node("Shape", [x], place, end=dimension)
        shape = self._node("Concat", [self._whole([length]), others], place, axis=0)
        zeros = self._node("Expand", [self.number(place, 0.0), shape], place)
        inputs = [zeros, self._whole(at.reshape(-1, 1)), rows]
        found = self._node("ScatterND", inputs, place, reduction="add")
        return self.turned(place, found, [*range(1, dimension + 1), 0]) if dimension else found

    # ------------------------------------------------------------------ places that arrays hold

    def first_largest(self, place: str, x: str, dimension: int) -> str:
        return self._node("ArgMax", [x], place, axis=dimension, keepdims=0)

    def gathered(self, place: str, x: str, rank: int, dimension: int, index: str) -> str:
        return self._node("Gather", [x, index], place, axis=dimension)

    def hits(self, place: str, index: str, length: int) -> str:
        ends = self._constant("0 and 1", np.array([0, 1], self.dtype))
        return self._node("OneHot", [index, self._whole([length]), ends], place, axis=-1)

    def detached(self, place: str, x: str) -> str:
        return x

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

    def _whole(self, at: Any) -> str:
        """A constant of whole numbers, called after them where they are few."""
        array = np.asarray(at, np.int64)
        few = array.size <= _SHOWN
        return self._constant(f"places {array.tolist()!r}" if few else self._next("places"), array)

    def _next(self, kind: str) -> str:
        return f"{kind}_{len(self.constants)}"

    def _constant(self, name: str, array: Array) -> str:
        """A constant under this name, or under the first that it had: initializers are trained."""
        same = (array.dtype, array.shape, array.tobytes())
        if same not in self.constants:
            self.constants[same] = name
            self._node("Constant", [], "numbers", name, value=self._tensor(array))
        return self.constants[same]

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


def _windows(ways: Sequence[Way]) -> dict[str, Any]:
    """How windows slide, by ONNX's names."""
    before = [way.before for way in ways]
    after = [way.before if way.even else max(way.after, 0) for way in ways]
    return {
        "kernel_shape": [way.sizes[2] for way in ways],
        "strides": [way.stride for way in ways],
        "dilations": [way.dilation for way in ways],
        "pads": [*before, *after],
    }


def _beyond(ways: Sequence[Way]) -> dict[str, Any]:
    """What a transposed convolution cuts off at both ends, and what it adds behind."""
    before, more = [way.before for way in ways], [max(w.before - w.after, 0) for w in ways]
    after = [way.after + each for way, each in zip(ways, more, strict=True)]
    return {"pads": [*before, *after], "output_padding": more}


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
