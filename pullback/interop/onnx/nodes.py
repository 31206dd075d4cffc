"""The nodes of an ONNX graph as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.onnx.activations import ACTIVATIONS, UNARY
from pullback.interop.onnx.collector import Collector, Fields
from pullback.interop.onnx.forms import FORMS
from pullback.interop.onnx.layout import LAYOUT
from pullback.interop.onnx.loops import LOOPS
from pullback.interop.onnx.sources import sources
from pullback.interop.onnx.tensors import Tensor, values
from pullback.interop.onnx.windows import WINDOWS
from pullback.interop.operators import hint
from pullback.interop.rows import Ref

_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow"}
_FOLDED = {"Max": "maximum", "Min": "minimum", "Sum": "add"}
_RELATIONS = {"Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le",
              "Equal": "eq"}  # fmt: skip
_OWN: Mapping[str, tuple[Callable[[Collector, list[Any], Fields], Any], tuple[str, ...]]] = {
    **FORMS, **LAYOUT, **LOOPS, **WINDOWS,
}  # fmt: skip
# the attributes that are read; any other is refused, as it may change the meaning
_CONSTANTS = ("value", "value_float", "value_int", "value_floats", "value_ints")
_FIELDS: dict[str, tuple[str, ...]] = {
    "LeakyRelu": ("alpha",), "Elu": ("alpha",), "Celu": ("alpha",), "Swish": ("alpha",),
    "Selu": ("alpha", "gamma"), "HardSigmoid": ("alpha", "beta"), "Gelu": ("approximate",),
    "Constant": _CONSTANTS, "Einsum": ("equation",),
    **{kind: fields for kind, (_, fields) in _OWN.items()},
}  # fmt: skip
_WHOLE = ("Cast", "Gather", "Identity")  # what reads whole numbers
_MOST = 5000  # nodes that are read


class NodeReader(Collector):
    """Reads the nodes that the output needs, in order; a name is a Ref or a Tensor.

    ``live`` are those nodes, ``arrays`` the tensors that they read, by name.
    """

    def __init__(self, onnx: Any, tensors: Mapping[str, Tensor], opset: int) -> None:
        super().__init__(onnx, opset)
        self.live: list[Any] = []
        self._found: dict[str, Any] = dict(tensors)

    def read(self, graph: Any) -> Ref:
        """The result that is the graph's output; the rows before it are in ``rows``.

        Raises ConversionError that names the node without counterpart.
        """
        given = sources(self.onnx, graph)
        self.inputs = len(given)
        whole = {source.name for source in given if source.whole}
        self._found |= {source.name: Ref(at) for at, source in enumerate(given)}
        wanted = graph.output[0].name
        ranked = _live(list(enumerate(graph.node)), wanted)
        self.live = [node for _, node in ranked]
        if len(self.live) > _MOST:
            raise ConversionError(f"the model has {len(self.live)} nodes; the limit is {_MOST}")
        for at, node in ranked:
            self.place = f"{_shown(node.op_type)} at node {node.name[:80] or at!r}"
            self.kind, self.part = node.op_type, f"{_shown(node.op_type)}_{at}"
            if node.domain not in ("", "ai.onnx"):
                raise ConversionError(f"{self.place} is of the domain {node.domain!r}, not ONNX's")
            if (read := whole.intersection(node.input)) and node.op_type not in _WHOLE:
                raise ConversionError(
                    f"{self.place} calculates with {min(read)!r}, which holds whole numbers; "
                    "expected a Cast to floats before"
                )
            try:
                found = self._step(node)
            except ConversionError as fault:
                if self.place in str(fault):
                    raise
                raise ConversionError(f"{self.place}: {fault}") from None
            outputs = found if isinstance(found, tuple) else (found,)
            for name, each in zip(node.output, outputs, strict=False):
                if name in self._found:
                    raise ConversionError(f"{self.place} computes {name!r} a second time")
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
        if kind in _OWN:
            read, _ = _OWN[kind]
            return read(self, args, fields)
        if kind in ACTIVATIONS:
            return self.row("block", args[0], ACTIVATIONS[kind](fields))
        if kind in UNARY:
            return self.row("block", args[0], formula.named_block(UNARY[kind]))
        if kind == "Einsum":
            return self.row("einsum", fields["equation"].decode(), *args)
        if kind in _BINARY or kind in _RELATIONS or kind in ("MatMul", "Where"):
            return self.row((_BINARY | _RELATIONS).get(kind, kind.lower()), *args)
        if kind in _FOLDED:
            first, *rest = args
            for other in rest:
                first = self.row(_FOLDED[kind], first, other)
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
        tables = (UNARY, _BINARY, _FOLDED, _RELATIONS, ACTIVATIONS, _FIELDS)
        return kind in ("Identity", "MatMul", "Where") or any(kind in table for table in tables)

    def _argument(self, name: str) -> Any:
        """What a name stands for; None where an optional input is left out."""
        if not name:
            return None
        if name not in self._found:
            raise ConversionError(f"it reads {name!r}, which no node before it computes")
        return self._found[name]

    def _constant(self, node: Any, fields: Fields) -> Tensor:
        for name in _CONSTANTS:
            if name in fields:
                value = fields[name]
                array = values(self.onnx, value) if name == "value" else np.asarray(value)
                single = array.astype(np.float32) if name.startswith("value_float") else array
                return Tensor(node.output[0], single, trained=False)
        raise ConversionError(f"a constant of {', '.join(fields)} is none that pullback reads")


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
