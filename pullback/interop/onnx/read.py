"""``from_onnx``: an ONNX model as a network with its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import ConversionError, DataError, ShapeError, require
from pullback.foreign import reading, regular_file
from pullback.interop.blocks import as_block
from pullback.interop.extras import library
from pullback.interop.imported import Imported
from pullback.interop.inputs import declared_axes, flattens, is_turned, text_of_axes, without_size
from pullback.interop.onnx.compare import compare
from pullback.interop.onnx.nodes import NodeReader
from pullback.interop.onnx.sources import OnnxInput, sources
from pullback.interop.onnx.tensors import initializers, refuse_external
from pullback.interop.rows import Array
from pullback.net.build import outlined
from pullback.net.inputs import declared_inputs
from pullback.net.network import Network
from pullback.nn import Block, Loss, ParameterSpec, Scope

OLDEST = 7  # the first opset in which operators broadcast as NumPy does
_SHOWN = 300  # characters of what the checker says


def from_onnx(source: str | Path | bytes, loss: Loss) -> tuple[Network, dict[str, Array]]:
    """The network that an ONNX file, or its bytes, computes, and its parameters.

    Initializers of floats are trained, statistics and Constant nodes are not; they have the names
    that the file gives them. In a chain of layers whose weights are not called ``….weight``
    (out, in) and ``….bias``, each is a Linear's, named by its place. Only tensors inside the file
    are read. The network is compared with onnx's own reference evaluator on random inputs.
    Raises DataError for a file that is missing or damaged, or whose tensors are elsewhere;
    ConversionError that names a node without counterpart; ConfigError if onnx is not installed.

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
        opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), OLDEST)
        reader = NodeReader(onnx, tensors, opset)
        output = reader.read(model.graph)
        given = sources(onnx, model.graph)
        names = tuple(source.name for source in given)
        block = Imported(model.graph.name or "model", names, tuple(reader.rows), output)
        try:
            made, params, axes = _as_blocks(block, reader.arrays, given)
            net = Network(made, loss=loss, x=axes)
        except ShapeError as fault:
            raise ConversionError(f"the widths in {name} do not meet: {fault}") from None
        compare(onnx, model, reader.live, net, params)
    return net, params


def _as_blocks(
    model: Imported, arrays: dict[str, Array], given: Sequence[OnnxInput]
) -> tuple[Block, dict[str, Array], str | dict[str, str]]:
    """The model as a chain of blocks if it is one, its parameters, and the axes of its inputs."""
    if len(given) > 1 or given[0].whole:
        axes = _axes(given)
        outline = outlined(model, declared_inputs(axes), ours=False)
        return model, _held(outline.specs, arrays), axes
    sample = given[0].sample
    declared = declared_axes(sample, flattens(model.rows, sample))
    (x,) = declared_inputs(declared).values()
    at = Scope()
    output = model.build(x, at)
    linears: dict[str, tuple[Array, Array | None]] = {}
    by_place = False

    def called(weight: ParameterSpec, bias: ParameterSpec | None, turned: bool) -> str:
        nonlocal by_place
        path, own = weight.place.path, bias is None or bias.place.part == "bias"
        fits = not turned and weight.place.part == "weight" and own
        fits = fits and (bias is None or bias.place.path == path)
        by_place |= not fits
        name = path if fits else f"#{len(linears)}"
        array = arrays[weight.name]
        linears[name] = array.T if turned else array, None if bias is None else arrays[bias.name]
        return name

    block = None if is_turned(model.rows) else as_block(x, output, at.specs, called)
    if block is None:
        sized = outlined(model, {"x": x}, ours=False)
        held = _held(sized.specs, arrays)
        return model, held, text_of_axes(sized.inputs["x"])
    names = [spec.name for spec in outlined(block, {"x": x}, ours=False).specs]
    found = {f"{name}.weight" if name else "weight": w for name, (w, _) in linears.items()}
    found |= {f"{n}.bias" if n else "bias": b for n, (_, b) in linears.items() if b is not None}
    plain = as_block(x, output, at.specs, called, named=False)
    assert plain is not None
    places = [spec.name for spec in outlined(plain, {"x": x}, ours=False).specs]
    kept = names if not by_place and names != places else places
    params = {to: found[old].copy() for old, to in zip(names, kept, strict=True)}
    return (block if kept is names else plain), params, without_size(declared)


def _held(specs: Iterable[ParameterSpec], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of the file, and constants of operators, such as how a grid is made finer."""
    return {spec.name: np.asarray(arrays.get(spec.name, spec.start)) for spec in specs}


def _axes(given: Sequence[OnnxInput]) -> str | dict[str, str]:
    """The axes of several inputs, each its own, or of one of whole numbers."""
    texts = [
        declared_axes(source.sample, of=f"_{at}" if len(given) > 1 else "")
        + (":index" if source.whole else "")
        for at, source in enumerate(given)
    ]
    names = [source.name for source in given]
    return texts[0] if len(given) == 1 else dict(zip(names, texts, strict=True))


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
