"""The network beside onnx's own evaluator of the nodes that it was read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.errors import ConversionError, PullbackError
from pullback.interop.extras import library
from pullback.interop.rows import Array
from pullback.net.network import Network

# samples and their size; how far the two may be apart, relative to the largest output: attributes
# are float32, and so are some functions of the evaluator
POINTS = ((3, 1.0), (7, 10.0), (1, 0.1))
_LOOSE = {"float64": 1e-5, "float32": 1e-4, "float16": 0.05, "bfloat16": 0.2}


def compare(
    onnx: Any, model: Any, live: Sequence[Any], net: Network, params: Mapping[str, Array]
) -> None:
    """Raise ConversionError unless the network computes what the nodes ``live`` compute."""
    source, (dtype, sample) = model_input(onnx, model.graph)
    used = {name for node in live for name in node.input}
    graph = onnx.helper.make_graph(
        live,
        "live",
        [source],
        list(model.graph.output),
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    alone = onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    evaluator = library("onnx.reference", "onnx").ReferenceEvaluator(alone)
    rng, axes = np.random.default_rng(0), net.x.axes[1:]
    shape = [size or 2 for size in sample]
    if len(axes) == len(sample):
        shape = [axis.size or size or 4 for axis, size in zip(axes, sample, strict=True)]
    for batch, scale in POINTS:
        x = (scale * rng.normal(size=(batch, *shape))).astype(dtype)
        with np.errstate(all="ignore"):
            try:
                theirs = np.asarray(evaluator.run(None, {source.name: x})[0], np.float64)
            except Exception as fault:
                raise ConversionError(
                    f"onnx cannot run the model on a batch of {batch}: {fault}"
                ) from fault
            ours = _predicted(net, params, x)
        known = np.isfinite(theirs) & (theirs.shape == ours.shape)
        size = np.abs(theirs[known]).max(initial=0.0)
        if (
            theirs.shape != ours.shape
            or not (np.abs(ours - theirs)[known] <= _LOOSE[dtype.name] * (size + 1e-3)).all()
        ):
            raise ConversionError(
                f"the network and the model differ on a batch of {batch}: {ours.shape} "
                f"{_few(ours)} and {theirs.shape} {_few(theirs)}"
            )


def model_input(onnx: Any, graph: Any) -> tuple[Any, tuple[Any, tuple[int | None, ...]]]:
    """The one input of a graph: its dtype, and the shape of a sample, None where it is open.

    Raises ConversionError for several inputs, and for what is no batch of floats.
    """
    held = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in held]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ConversionError(
            f"the model has {len(inputs)} inputs and {len(graph.output)} outputs; "
            "expected one of each"
        )
    (source,) = inputs
    tensor = source.type.tensor_type
    proto = onnx.TensorProto
    if tensor.elem_type not in (proto.FLOAT, proto.DOUBLE, proto.FLOAT16, proto.BFLOAT16):
        raise ConversionError(f"the input {source.name!r} is no tensor of floats")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    dims = tensor.shape.dim
    if tensor.HasField("shape") and len(dims) < 2:
        raise ConversionError(
            f"the input {source.name!r} has {len(dims)} axes; expected (batch, features)"
        )
    sizes = tuple(int(dim.dim_value) or None for dim in dims[1:])
    if any(size is not None and size < 0 for size in sizes):
        raise ConversionError(f"the input {source.name!r} has an axis of negative size")
    return source, (dtype, sizes or (None,))


def _predicted(net: Network, params: Mapping[str, Array], x: Array) -> Array:
    """The network's output; half precision is computed in float32."""
    flat = x if x.ndim == len(net.x.axes) else x.reshape(len(x), -1)
    precise = np.float64 if x.dtype == np.float64 else np.float32
    try:
        return net.predict(params, flat.astype(precise))
    except PullbackError as fault:
        raise ConversionError(f"the network cannot run what the model runs: {fault}") from fault


def _few(values: Array) -> str:
    return np.array2string(values.ravel()[:4], precision=4, separator=", ")
