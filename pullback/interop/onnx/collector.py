"""Rows as they are read from a model: tensors become parameters, single numbers stay numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.onnx.tensors import Tensor
from pullback.interop.rows import Array, Held, Ref, Row, held
from pullback.ir import Label

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Lengths:
    """Whole numbers, some of which the data tell: how long axes are.

    Without ``known`` they are those of all axes of a value, however many it has.
    """

    known: tuple[Any, ...] | None
    of: Any = None


class Collector:
    """The rows so far, and the ``arrays`` that they read, by name; ``kind`` is the node's."""

    def __init__(self, onnx: Any, opset: int) -> None:
        self.onnx, self.opset = onnx, opset
        self.rows: list[Row] = []
        self.arrays: dict[str, Array] = {}
        self.kind = self.place = self.part = ""
        self.inputs = 1
        self._held: dict[str, Held] = {}

    def row(self, operator: str, *args: Any, **options: Any) -> Ref:
        """One more row, for the node that is read."""
        given = tuple(map(self._value, args))
        row = Row(operator, given, tuple(options.items()), "", self.part, self.place)
        self.rows.append(row)
        return Ref(self.inputs + len(self.rows) - 1)

    def _value(self, arg: Any) -> Any:
        if isinstance(arg, tuple):
            return tuple(map(self._value, arg))
        if isinstance(arg, Lengths):
            raise ConversionError("it calculates with the lengths of axes")
        if not isinstance(arg, Tensor):
            return arg
        if arg.is_number:
            return arg.number
        if arg.name not in self._held:
            label = Label.of_parameter(arg.name)
            whole = bool(label.path and label.part)
            path, part = (label.path, label.part) if whole else ("", arg.name)
            options = {"trained": arg.trained, "constant": not arg.trained}
            self._held[arg.name], self.arrays[arg.name] = held(
                self.place, path, part, arg.array, **options
            )
        found = self._held[arg.name]
        return found.permuted(arg.order) if arg.order else found

    def whole(self, tensor: Any, what: str) -> list[int]:
        """Whole numbers that the file holds; raises ConversionError where the input decides."""
        if isinstance(tensor, Tensor) and tensor.array.dtype.kind in "iu":
            return [int(each) for each in np.ravel(tensor.array)]
        raise ConversionError(f"its {what} is no constant of whole numbers")

    def lengths(self, tensor: Any) -> list[Any]:
        """A shape: whole numbers that the file holds, and lengths of axes."""
        if isinstance(tensor, Lengths) and tensor.known is not None:
            return list(tensor.known)
        return self.whole(tensor, "shape")
