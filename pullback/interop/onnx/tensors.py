"""The tensors of an ONNX model: each looked at before it is read, and only from inside the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pullback.errors import ConversionError, DataError
from pullback.interop.rows import Array

# the types that can be read, and the field that holds each where there is no raw_data
_FIELDS = {
    "FLOAT": "float_data", "DOUBLE": "double_data", "FLOAT16": "int32_data",
    "BFLOAT16": "int32_data", "INT64": "int64_data", "INT32": "int32_data", "BOOL": "int32_data",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor that does not depend on the input: an initializer, or what a Constant node gives.

    Initializers of floats are ``trained``; Constant nodes and whole numbers are not. ``order`` says
    in which order its axes are read, where that is not its own.
    """

    name: str
    array: Array
    trained: bool
    order: tuple[int, ...] = ()

    def turned(self, order: Sequence[int] | None) -> Tensor:
        """The same tensor with its axes in another order; by default reversed."""
        rank = self.array.ndim
        before = self.order or tuple(range(rank))
        after = tuple(before[at] for at in (range(rank)[::-1] if order is None else order))
        return replace(self, order=after)

    def frozen(self) -> Tensor:
        """The same tensor, not trained: a statistic."""
        return replace(self, trained=False)

    @property
    def is_number(self) -> bool:
        """Is it a constant of one number?"""
        return not self.trained and self.array.shape in ((), (1,))

    @property
    def number(self) -> float:
        """The one number that it is; raises ConversionError for several."""
        if self.array.size != 1:
            raise ConversionError(
                f"the tensor {self.name!r} of shape {self.array.shape} is no number"
            )
        value = self.array.item()
        return shortest(value) if self.array.dtype == np.float32 else float(value)


def shortest(value: float) -> float:
    """A float32 number as the shortest number that it stands for: 0.2, not 0.20000000298."""
    return float(str(np.float32(value)))


def initializers(onnx: Any, graph: Any) -> dict[str, Tensor]:
    """The initializers by name.

    Raises DataError for those whose values do not fill their shape, or that share a name;
    ConversionError for types of number that cannot be read.
    """
    if graph.sparse_initializer:
        raise ConversionError("the model has sparse tensors, which pullback does not read")
    found: dict[str, Tensor] = {}
    for tensor in graph.initializer:
        if tensor.name in found:
            raise DataError(f"two tensors of the model are called {tensor.name!r}")
        array = values(onnx, tensor)
        found[tensor.name] = Tensor(tensor.name, array, array.dtype.kind not in "iub")
    return found


def values(onnx: Any, tensor: Any) -> Array:
    """The values of a TensorProto.

    Raises DataError before anything is made of a tensor whose values do not fill its shape.
    """
    proto = onnx.TensorProto
    kinds = {getattr(proto, name): (name, field) for name, field in _FIELDS.items()}
    if tensor.data_type not in kinds:
        known = dict(zip(proto.DataType.values(), proto.DataType.keys(), strict=True))
        raise ConversionError(
            f"the tensor {tensor.name!r} holds {known.get(tensor.data_type, tensor.data_type)}; "
            f"pullback reads {', '.join(_FIELDS)}"
        )
    name, field = kinds[tensor.data_type]
    itemsize = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    dims = list(tensor.dims)
    held = len(tensor.raw_data) / itemsize if tensor.HasField("raw_data") else None
    held = len(getattr(tensor, field)) if held is None else held
    if min(dims, default=0) < 0 or math.prod(dims) != held:
        raise DataError(
            f"the tensor {tensor.name!r} is damaged: its shape is {dims[:8]}, and it holds "
            f"{held:g} values of {name}"
        )
    return np.asarray(onnx.numpy_helper.to_array(tensor))


def refuse_external(onnx: Any, model: Any) -> None:
    """Raise DataError if a tensor, wherever it stands in the model, lies in another file."""
    for tensor in _tensors(onnx, model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise DataError(
                f"the model keeps {tensor.name!r} in another file; save it with its tensors "
                "inside, as onnx.save_model(model, path, save_as_external_data=False) does"
            )


def _tensors(onnx: Any, message: Any) -> Iterator[Any]:
    """Every TensorProto in a message."""
    waiting = [message]
    while waiting:
        each = waiting.pop()
        if isinstance(each, onnx.TensorProto):
            yield each
            continue
        for field, value in each.ListFields():
            if field.message_type is not None:
                waiting += [value] if hasattr(value, "ListFields") else list(value)
