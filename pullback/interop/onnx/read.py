"""``from_onnx``: an ONNX model as a network with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import ConversionError, DataError, ShapeError, require
from pullback.interop.assemble import Assembler, settled
from pullback.interop.extras import library
from pullback.interop.graph import Array, Graph, Store
from pullback.interop.onnx.nodes import NodeReader
from pullback.nn import Loss
from pullback.run.network import Network


def from_onnx(source: str | Path | bytes, loss: Loss) -> tuple[Network, dict[str, Array]]:
    """The network that an ONNX file, or its bytes, computes, and its parameters.

    Parameters keep their names where the file calls them ``….weight`` (out, in) and ``….bias``;
    otherwise each is named by its place. Only tensors inside the file are read.
    Raises DataError for a file that is missing or damaged, or whose tensors are elsewhere;
    ConversionError that names a node without counterpart; ConfigError if onnx is not installed.

    >>> import pullback as pb
    >>> from_onnx(b"no model", loss=pb.MSELoss())
    Traceback (most recent call last):
    pullback.errors.DataError: the bytes are damaged, or no ONNX model: ...
    """
    require("loss", loss, Loss, "a loss such as pb.CrossEntropy()")
    onnx = library("onnx", "onnx")
    model, name = _loaded(onnx, source)
    tensors = _tensors(onnx, model.graph, name)
    store = Store()
    graph = Graph(store)
    output = NodeReader(onnx, graph, tensors).read(model.graph)
    block, params = settled(Assembler(graph).block(output), store, by_place=_unnamed(store))
    try:
        return Network(block, loss=loss), params
    except ShapeError as fault:
        raise ConversionError(f"the widths in {name} do not meet: {fault}") from None


def _loaded(onnx: Any, source: str | Path | bytes) -> tuple[Any, str]:
    """The model, checked, and what to call it in an error."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        content, name = bytes(source), "the bytes"
    else:
        name = str(source)
        try:
            content = Path(source).read_bytes()
        except OSError as fault:
            raise DataError(f"cannot read {name}: {fault.strerror or fault}") from None
    verb = "are" if name == "the bytes" else "is"
    try:
        model = onnx.load_model_from_string(content)
        _refuse_external(onnx, model.graph, name)
        onnx.checker.check_model(model)
    except DataError:
        raise
    except Exception as fault:  # protobuf and onnx have several kinds of error for a damaged file
        lines = str(fault).strip().splitlines() or [type(fault).__name__]
        raise DataError(f"{name} {verb} damaged, or no ONNX model: {lines[0]}") from None
    return model, name


def _refuse_external(onnx: Any, graph: Any, name: str) -> None:
    """Raise DataError if a tensor lies in another file."""
    constants = [each.t for node in graph.node for each in node.attribute if each.HasField("t")]
    for tensor in [*graph.initializer, *constants]:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise DataError(
                f"{name} keeps {tensor.name!r} in another file; save the model with its tensors "
                "inside, as onnx.save_model(model, path, save_as_external_data=False) does"
            )


def _tensors(onnx: Any, graph: Any, name: str) -> Mapping[str, Array]:
    """The initialisers by name; raises DataError for those whose bytes do not fit their shape."""
    found: dict[str, Array] = {}
    for tensor in graph.initializer:
        try:
            found[tensor.name] = np.asarray(onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError) as fault:
            raise DataError(f"{name} is damaged: the tensor {tensor.name!r}: {fault}") from None
    if graph.sparse_initializer:
        raise ConversionError(f"{name} has sparse tensors, which pullback does not read")
    return found


def _unnamed(store: Store) -> bool:
    """Is there a Linear that the file gives no name that fits?"""
    return any(name.startswith("#") for name in store.arrays)
