"""What goes into an ONNX model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.rows import Array


@dataclass(frozen=True)
class OnnxInput:
    """An input: its ``info`` in the file, its numbers, and the shape of a sample, None if open."""

    name: str
    info: Any
    dtype: Any
    sample: tuple[int | None, ...]

    @property
    def whole(self) -> bool:
        """Does it hold whole numbers?"""
        return bool(self.dtype.kind == "i")

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> Array:
        """Numbers to try the model on."""
        if self.whole:
            return rng.integers(0, 2, size=shape).astype(self.dtype)
        return (scale * rng.normal(size=shape)).astype(self.dtype)


def sources(onnx: Any, graph: Any) -> list[OnnxInput]:
    """The inputs of a graph.

    Raises ConversionError for what is no batch of numbers, and for several outputs.
    """
    held = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in held]
    if not inputs or len(graph.output) != 1:
        raise ConversionError(
            f"the model has {len(inputs)} inputs and {len(graph.output)} outputs; "
            "expected inputs and one output"
        )
    return [_source(onnx, each) for each in inputs]


def _source(onnx: Any, info: Any) -> OnnxInput:
    tensor, proto = info.type.tensor_type, onnx.TensorProto
    floats = (proto.FLOAT, proto.DOUBLE, proto.FLOAT16, proto.BFLOAT16)
    if tensor.elem_type not in (*floats, proto.INT64, proto.INT32):
        raise ConversionError(f"the input {info.name!r} is no tensor of floats or whole numbers")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    dims = tensor.shape.dim
    if tensor.HasField("shape") and len(dims) < 2:
        raise ConversionError(
            f"the input {info.name!r} has {len(dims)} axes; expected (batch, features)"
        )
    sizes = tuple(int(dim.dim_value) or None for dim in dims[1:])
    if any(size is not None and size < 0 for size in sizes):
        raise ConversionError(f"the input {info.name!r} has an axis of negative size")
    return OnnxInput(info.name, info, dtype, sizes or (None,))
