"""The nodes of an ONNX graph as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.onnx.activations import ACTIVATIONS, UNARY
from pullback.interop.onnx.compare import model_input
from pullback.interop.onnx.tensors import Tensor, values
from pullback.interop.operators import hint
from pullback.interop.rows import BATCH_SIZE, Array, Held, Ref, Row, held
from pullback.ir import Label
from pullback.nn import Elementwise

Fields = Mapping[str, Any]

_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow"}
_FOLDED = {"Max": "maximum", "Min": "minimum", "Sum": "add"}
_RELATIONS = {"Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le"}
_REDUCED = {
    "ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "amax", "ReduceMin": "amin",
    "ReduceLogSumExp": "logsumexp",
}  # fmt: skip
# the attributes that are read; any other is refused, as it may change the meaning
_CONSTANTS = ("value", "value_float", "value_int", "value_floats", "value_ints")
_FIELDS: dict[str, tuple[str, ...]] = {
    "Gemm": ("alpha", "beta", "transA", "transB"), "LeakyRelu": ("alpha",), "Elu": ("alpha",),
    "Celu": ("alpha",), "Swish": ("alpha",), "Selu": ("alpha", "gamma"),
    "HardSigmoid": ("alpha", "beta"), "Gelu": ("approximate",), "Flatten": ("axis",),
    "Dropout": ("ratio", "seed"), "Reshape": ("allowzero",), "Transpose": ("perm",),
    "Clip": ("min", "max"), "Constant": _CONSTANTS, "Softmax": ("axis",), "LogSoftmax": ("axis",),
    "Concat": ("axis",), "Split": ("axis", "split", "num_outputs"), "Squeeze": ("axes",),
    "Unsqueeze": ("axes",), "Slice": ("starts", "ends", "axes"), "Gather": ("axis",),
    "Einsum": ("equation",), "BatchNormalization": ("epsilon", "momentum", "training_mode"),
    "LayerNormalization": ("axis", "epsilon", "stash_type"),
    **dict.fromkeys(_REDUCED, ("axes", "keepdims", "noop_with_empty_axes")),
}  # fmt: skip
_MOST = 5000  # nodes that are read
_LAST = 2**31  # and beyond: the end of an axis


class NodeReader:
    """Reads the nodes that the output needs, in order; a name is a Ref or a Tensor.

    ``live`` are those nodes, ``arrays`` the tensors that they read, by name.
    """

    def __init__(self, onnx: Any, tensors: Mapping[str, Tensor], opset: int) -> None:
        self.onnx, self.tensors, self.opset = onnx, tensors, opset
        self.live: list[Any] = []
        self.rows: list[Row] = []
        self.arrays: dict[str, Array] = {}
        self._found: dict[str, Any] = dict(tensors)
        self._held: dict[str, Held] = {}
        self._place = self._part = ""
        self._steps: dict[str, Callable[[list[Any], Fields], Any]] = {
            "Gemm": self._gemm, "Clip": self._clip, "Dropout": self._dropout,
            "Reshape": self._reshape, "Transpose": self._transpose, "Flatten": self._flatten,
            "Softmax": self._softmax, "LogSoftmax": self._softmax, "Slice": self._slice,
            "Split": self._split, "Gather": self._gather, "PRelu": self._prelu,
            "BatchNormalization": self._batch_norm, "LayerNormalization": self._layer_norm,
            "Squeeze": self._axes, "Unsqueeze": self._axes,
        }  # fmt: skip
        self._kind = ""

    def read(self, graph: Any) -> Ref:
        """The result that is the graph's output; the rows before it are in ``rows``.

        Raises ConversionError that names the node without counterpart.
        """
        source, _ = model_input(self.onnx, graph)
        self._found[source.name] = Ref(0)
        wanted = graph.output[0].name
        ranked = _live(list(enumerate(graph.node)), wanted)
        self.live = [node for _, node in ranked]
        if len(self.live) > _MOST:
            raise ConversionError(f"the model has {len(self.live)} nodes; the limit is {_MOST}")
        for at, node in ranked:
            self._place = f"{_shown(node.op_type)} at node {node.name[:80] or at!r}"
            self._kind, self._part = node.op_type, f"{_shown(node.op_type)}_{at}"
            if node.domain not in ("", "ai.onnx"):
                raise ConversionError(f"{self._place} is of the domain {node.domain!r}, not ONNX's")
            try:
                found = self._step(node)
            except ConversionError as fault:
                if self._place in str(fault):
                    raise
                raise ConversionError(f"{self._place}: {fault}") from None
            outputs = found if isinstance(found, tuple) else (found,)
            for name, each in zip(node.output, outputs, strict=False):
                if name in self._found:
                    raise ConversionError(f"{self._place} computes {name!r} a second time")
                self._found[name] = each
        output = self._found.get(wanted)
        if not isinstance(output, Ref):
            raise ConversionError("the model's output does not depend on its input")
        return output

    def _step(self, node: Any) -> Any:
        kind = node.op_type
        fields = self._fields(node)
        args = [self._argument(name) for name in node.input]
        if kind == "Constant":
            return self._constant(node, fields)
        if kind == "Identity":
            return args[0]
        if kind in self._steps:
            return self._steps[kind](args, fields)
        if kind in ACTIVATIONS:
            return self._row("block", args[0], ACTIVATIONS[kind](fields))
        if kind in UNARY:
            return self._row("block", args[0], formula.named_block(UNARY[kind]))
        if kind in _REDUCED:
            return self._reduced(args, fields)
        if kind == "Concat":
            return self._row("cat", tuple(args), fields["axis"])
        if kind == "Einsum":
            return self._row("einsum", fields["equation"].decode(), *args)
        if kind in _BINARY or kind in _RELATIONS or kind in ("MatMul", "Where"):
            return self._row((_BINARY | _RELATIONS).get(kind, kind.lower()), *args)
        if kind in _FOLDED:
            first, *rest = args
            for other in rest:
                first = self._row(_FOLDED[kind], first, other)
            return first
        raise ConversionError(f"it has no counterpart in pullback{hint(kind)}")

    def _fields(self, node: Any) -> Fields:
        """The attributes of a node; raises ConversionError for one that is not read."""
        for each in node.attribute:
            known = each.name in _FIELDS.get(node.op_type, ()) and not each.ref_attr_name
            if not known and self._is_known(node.op_type):
                raise ConversionError(f"it has the attribute {each.name!r}, which pullback has not")
        return {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}

    def _is_known(self, kind: str) -> bool:
        tables = (UNARY, _BINARY, _FOLDED, _RELATIONS, ACTIVATIONS, _FIELDS, self._steps)
        return kind in ("Identity", "MatMul", "Where") or any(kind in table for table in tables)

    def _argument(self, name: str) -> Any:
        """What a name stands for; None where an optional input is left out."""
        if not name:
            return None
        if name not in self._found:
            raise ConversionError(f"it reads {name!r}, which no node before it computes")
        return self._found[name]

    def _row(self, operator: str, *args: Any, **options: Any) -> Ref:
        """One more row; tensors become parameters, and constants of one number are numbers."""
        row = Row(
            operator, tuple(map(self._value, args)), tuple(options.items()), "", self._part,
            self._place,
        )  # fmt: skip
        self.rows.append(row)
        return Ref(len(self.rows))

    def _value(self, arg: Any) -> Any:
        if isinstance(arg, tuple):
            return tuple(map(self._value, arg))
        if not isinstance(arg, Tensor):
            return arg
        if not arg.trained and arg.array.shape in ((), (1,)):
            return arg.number
        if arg.name not in self._held:
            label = Label.of_parameter(arg.name)
            whole = bool(label.path and label.part)
            path, part = (label.path, label.part) if whole else ("", arg.name)
            options = {"trained": arg.trained, "constant": not arg.trained}
            self._held[arg.name], self.arrays[arg.name] = held(
                self._place, path, part, arg.array, **options
            )
        found = self._held[arg.name]
        return found.permuted(arg.order) if arg.order else found

    def _constant(self, node: Any, fields: Fields) -> Tensor:
        for name in _CONSTANTS:
            if name in fields:
                value = fields[name]
                array = values(self.onnx, value) if name == "value" else np.asarray(value)
                single = array.astype(np.float32) if name.startswith("value_float") else array
                return Tensor(node.output[0], single, trained=False)
        raise ConversionError(f"a constant of {', '.join(fields)} is none that pullback reads")

    def _whole(self, tensor: Any, what: str) -> list[int]:
        """Whole numbers that the file holds; raises ConversionError where the input decides."""
        if isinstance(tensor, Tensor) and tensor.array.dtype.kind in "iu":
            return [int(each) for each in np.ravel(tensor.array)]
        raise ConversionError(f"its {what} is no constant of whole numbers")

    # ------------------------------------------------------------------ operators of their own form

    def _gemm(self, args: list[Any], fields: Fields) -> Any:
        x, weight, *rest = args
        bias = rest[0] if rest else None
        alpha, beta = fields.get("alpha", 1.0), fields.get("beta", 1.0)
        if fields.get("transA"):
            raise ConversionError("it transposes the value, axis batch")
        if not isinstance(weight, Tensor) or weight.array.ndim != 2:
            raise ConversionError("its weight is no matrix of the model's")
        turned = weight if fields.get("transB") else weight.turned((1, 0))
        if alpha == beta == 1:
            return self._row("linear", x, turned, *(() if bias is None else (bias,)))
        found = self._row("mul", self._row("linear", x, turned), alpha)
        return found if bias is None else self._row("add", found, self._row("mul", bias, beta))

    def _clip(self, args: list[Any], fields: Fields) -> Ref:
        value, *bounds = args
        ends: list[float | None] = []
        for at, name in enumerate(("min", "max")):
            bound = bounds[at] if at < len(bounds) else None
            if isinstance(bound, Ref):
                raise ConversionError(f"its {name} depends on the input")
            if isinstance(bound, Tensor) and bound.trained:
                raise ConversionError(
                    f"its {name} {bound.name!r} is an initializer of floats, which training would "
                    "change; make it a Constant node if it is a constant"
                )
            ends.append(bound.number if isinstance(bound, Tensor) else fields.get(name))
        block: Elementwise = formula.block_of(formula.clamp(*ends))
        return self._row("block", value, block)

    def _prelu(self, args: list[Any], fields: Fields) -> Ref:
        x, slope = args
        return self._row("where", self._row("gt", x, 0), x, self._row("mul", x, slope))

    def _dropout(self, args: list[Any], fields: Fields) -> Any:
        training = args[2] if len(args) > 2 else None
        if isinstance(training, Ref) or (isinstance(training, Tensor) and training.array.any()):
            raise ConversionError("it draws at random in training")
        return args[0]

    def _reshape(self, args: list[Any], fields: Fields) -> Ref:
        value, shape = args
        sizes: list[Any] = self._whole(shape, "shape")
        if fields.get("allowzero") and 0 in sizes:
            raise ConversionError(f"it makes the shape {sizes}")
        for at, size in enumerate(sizes):
            if size == 0:
                sizes[at] = BATCH_SIZE if at == 0 else self._row("size", value, at)
        return self._row("reshape", value, tuple(sizes))

    def _transpose(self, args: list[Any], fields: Fields) -> Any:
        (value,), order = args, fields.get("perm")
        if isinstance(value, Tensor):
            return value.turned(order)
        if order is None:
            raise ConversionError("it turns the axes round, the batch too")
        return self._row("permute", value, tuple(order))

    def _flatten(self, args: list[Any], fields: Fields) -> Ref:
        if fields.get("axis", 1) != 1:
            raise ConversionError("it does not keep the batch, axis 0, as it is")
        return self._row("flatten", args[0], 1)

    def _softmax(self, args: list[Any], fields: Fields) -> Ref:
        name = "softmax" if self._kind == "Softmax" else "log_softmax"
        return self._row(name, args[0], fields.get("axis", -1 if self.opset >= 13 else 1))

    def _reduced(self, args: list[Any], fields: Fields) -> Ref:
        value, *rest = args
        axes = fields.get("axes")
        if rest and rest[0] is not None:
            axes = self._whole(rest[0], "axes")
        if not axes:
            raise ConversionError("it reduces every axis, the batch too")
        keep = bool(fields.get("keepdims", 1))
        return self._row(_REDUCED[self._kind], value, tuple(axes), keep)

    def _axes(self, args: list[Any], fields: Fields) -> Any:
        value, *rest = args
        axes = fields.get("axes") or (self._whole(rest[0], "axes") if rest else None)
        if self._kind == "Squeeze":
            return self._row("squeeze", value, None if axes is None else tuple(axes))
        if axes is None or len(axes) != 1:
            raise ConversionError("it adds several axes; pullback reads one at a time")
        return self._row("unsqueeze", value, axes[0])

    def _slice(self, args: list[Any], fields: Fields) -> Any:
        value, *rest = args
        lists: list[Any] = [self._whole(each, "bounds") for each in rest if each is not None]
        starts, ends, *more = lists or [fields["starts"], fields["ends"]]
        axes = more[0] if more else fields.get("axes") or range(len(starts))
        if len(more) > 1 and any(step != 1 for step in more[1]):
            raise ConversionError("it takes entries in steps")
        for axis, start, end in zip(axes, starts, ends, strict=True):
            value = self._row("slice", value, axis, start, None if end >= _LAST else end)
        return value

    def _split(self, args: list[Any], fields: Fields) -> tuple[Ref, ...]:
        value, *rest = args
        sizes = fields.get("split") or (self._whole(rest[0], "sizes") if rest else None)
        if sizes is None:
            raise ConversionError("it does not say how long its parts are")
        parts = self._row("split", value, tuple(sizes), fields.get("axis", 0))
        return tuple(self._row("getitem", parts, at) for at in range(len(sizes)))

    def _gather(self, args: list[Any], fields: Fields) -> Ref:
        value, index = args
        if isinstance(value, Tensor) or not (isinstance(index, Tensor) and index.array.ndim == 0):
            raise ConversionError(f"it has no counterpart in pullback{hint('gather')}")
        return self._row("select", value, fields.get("axis", 0), self._whole(index, "index")[0])

    def _batch_norm(self, args: list[Any], fields: Fields) -> Ref:
        value, weight, bias, mean, var = args
        if fields.get("training_mode"):
            raise ConversionError("it normalises by the batch's own statistics")
        mean, var = (t.frozen() if isinstance(t, Tensor) else t for t in (mean, var))
        return self._row(
            "batch_norm", value, mean, var, weight, bias, eps=fields.get("epsilon", 1e-5)
        )

    def _layer_norm(self, args: list[Any], fields: Fields) -> Ref:
        value, weight, *bias = args
        if fields.get("axis", -1) != -1 or not isinstance(weight, Tensor):
            raise ConversionError("it normalises over other axes than the last")
        eps = fields.get("epsilon", 1e-5)
        return self._row("layer_norm", value, weight.array.shape, weight, *bias, eps=eps)


def _live(nodes: list[tuple[int, Any]], wanted: str) -> list[tuple[int, Any]]:
    """The nodes that an output depends on, with their ranks, in order."""
    needed, found = {wanted}, []
    for at, node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            found.append((at, node))
    return found[::-1]


def _shown(kind: str) -> str:
    """An operator's name for an error; whatever is none is quoted."""
    return kind if kind.isidentifier() and kind.isascii() else ascii(kind[:80])
