"""The network beside onnx's own evaluator of the nodes that it was read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.errors import ConversionError, PullbackError
from pullback.interop.extras import library
from pullback.interop.onnx.sources import OnnxInput, sources
from pullback.interop.rows import Array
from pullback.ir import Input
from pullback.net.network import Network

# samples and their size; how far the two may be apart, relative to the largest output: attributes
# are float32, and so are some functions of the evaluator
POINTS = ((3, 1.0), (7, 10.0), (1, 0.1))
_LOOSE = {"float64": 1e-5, "float32": 1e-4, "float16": 0.05, "bfloat16": 0.2}


def compare(
    onnx: Any, model: Any, live: Sequence[Any], net: Network, params: Mapping[str, Array]
) -> None:
    """Raise ConversionError unless the network computes what the nodes ``live`` compute."""
    given = sources(onnx, model.graph)
    used = {name for node in live for name in node.input}
    graph = onnx.helper.make_graph(
        live,
        "live",
        [source.info for source in given],
        list(model.graph.output),
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    alone = onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    evaluator = library("onnx.reference", "onnx").ReferenceEvaluator(alone)
    rng, leaves = np.random.default_rng(0), list(net.xs.values())
    shapes = [_shape(source, leaf) for source, leaf in zip(given, leaves, strict=True)]
    dtype = next((source.dtype for source in given if not source.whole), np.dtype(np.float32))
    for batch, scale in POINTS:
        xs = {
            source.name: source.drawn(rng, (batch, *shape), scale)
            for source, shape in zip(given, shapes, strict=True)
        }
        with np.errstate(all="ignore"):
            try:
                theirs = np.asarray(evaluator.run(None, xs)[0], np.float64)
            except Exception as fault:
                raise ConversionError(
                    f"onnx cannot run the model on a batch of {batch}: {fault}"
                ) from fault
            ours = _predicted(net, params, list(xs.values()))
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


def _shape(source: OnnxInput, leaf: Input) -> list[int]:
    """The shape of a sample to try; what is open is as long as the network takes it."""
    sizes = [axis.size for axis in leaf.axes[1:]]
    if len(sizes) != len(source.sample):
        return [size or 2 for size in source.sample]
    return [size or open_ or 4 for size, open_ in zip(sizes, source.sample, strict=True)]


def _predicted(net: Network, params: Mapping[str, Array], xs: Sequence[Array]) -> Array:
    """The network's output; half precision is computed in float32."""
    given = []
    for x, leaf in zip(xs, net.xs.values(), strict=True):
        flat = x if x.ndim == len(leaf.axes) else x.reshape(len(x), -1)
        precise = flat.dtype if flat.dtype.kind == "i" or flat.dtype == np.float64 else np.float32
        given.append(flat.astype(precise))
    try:
        return net.predict(params, given[0] if len(given) == 1 else tuple(given))
    except PullbackError as fault:
        raise ConversionError(f"the network cannot run what the model runs: {fault}") from fault


def _few(values: Array) -> str:
    return np.array2string(values.ravel()[:4], precision=4, separator=", ")
