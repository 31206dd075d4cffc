"""``from_onnx``: an ONNX model as a network with its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pullback.errors import ConversionError, DataError, ShapeError, require
from pullback.foreign import reading, regular_file
from pullback.interop.assemble import Assembler, settled
from pullback.interop.extras import library
from pullback.interop.graph import Array, Graph, Store
from pullback.interop.onnx.compare import compare
from pullback.interop.onnx.nodes import NodeReader
from pullback.interop.onnx.tensors import initializers, refuse_external
from pullback.net.network import Network
from pullback.nn import Loss

OLDEST = 7  # the first opset in which operators broadcast as NumPy does
_SHOWN = 300  # characters of what the checker says


def from_onnx(source: str | Path | bytes, loss: Loss) -> tuple[Network, dict[str, Array]]:
    """The network that an ONNX file, or its bytes, computes, and its parameters.

    Initializers of floats are trained: each has to be the weight or the bias of one Linear.
    Parameters keep their names where the file calls them ``….weight`` (out, in) and ``….bias``;
    otherwise each is named by its place. Only tensors inside the file are read. The network is
    compared with onnx's own reference evaluator on random inputs.
    Raises DataError for a file that is missing or damaged, or whose tensors are elsewhere;
    ConversionError that names a node without counterpart, a tensor that is used twice, or a trained
    number; ConfigError if onnx is not installed.

    >>> import pullback as pb
    >>> from_onnx(b"no model", loss=pb.MSELoss())
    Traceback (most recent call last):
    pullback.errors.DataError: the content is damaged, or not an ONNX model: ...
    """
    require("loss", loss, Loss, "a loss such as pb.CrossEntropy()")
    onnx = library("onnx", "onnx")
    content, name = _content(source)
    with reading(name, "an ONNX model"):
        model = onnx.load_model_from_string(content)
        refuse_external(onnx, model)
        tensors = initializers(onnx, model.graph)
        _check(onnx, model, name)
        store = Store()
        graph = Graph(store)
        reader = NodeReader(onnx, graph, tensors)
        output = reader.read(model.graph)
        block, params = settled(Assembler(graph).block(output), store, by_place=_unnamed(store))
        try:
            net = Network(block, loss=loss)
        except ShapeError as fault:
            raise ConversionError(f"the widths in {name} do not meet: {fault}") from None
        compare(onnx, model, reader.live, net, params)
    return net, params


def _content(source: Any) -> tuple[bytes, str]:
    """The bytes of a model, and what to call it in an error."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "the content"
    require("source", source, (str, Path), "the path or the bytes of an ONNX model")  # type: ignore[arg-type]
    try:
        return regular_file(source).read_bytes(), str(source)
    except OSError as fault:
        raise DataError(f"cannot read {source}: {fault.strerror or fault}") from None


def _check(onnx: Any, model: Any, name: str) -> None:
    """Have onnx's checker look at a model.

    Raises DataError for what is none; ConversionError for a version that is not known.
    """
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and not OLDEST <= opset.version <= newest:
            raise ConversionError(
                f"{name} is of opset {opset.version}; expected {OLDEST} to {newest}: convert it by "
                "onnx.version_converter.convert_version"
            )
    try:
        onnx.checker.check_model(model)
    except Exception as fault:  # it has several kinds of error
        lines = str(fault).strip().splitlines() or [type(fault).__name__]
        # names in it are the file's: no control characters go on
        reason = lines[0][:_SHOWN].encode("unicode_escape").decode("ascii")
        raise DataError(f"{name} is damaged, or not an ONNX model: {reason}") from None


def _unnamed(store: Store) -> bool:
    """Is there a Linear that the file gives no name that fits?"""
    return any(name.startswith("#") for name in store.arrays)
