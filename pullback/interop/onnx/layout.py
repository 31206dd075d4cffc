"""ONNX's operators that only say where numbers stand, as rows."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.onnx.collector import Collector, Fields, Lengths
from pullback.interop.onnx.tensors import Tensor
from pullback.interop.rows import BATCH_SIZE, Ref

_LAST = 2**31 - 1  # and beyond: the end of an axis


def reshape(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """0 in a shape is the length that is there."""
    value, shape = args
    sizes = r.lengths(shape)
    if fields.get("allowzero") and 0 in sizes:
        raise ConversionError(f"it makes the shape {sizes}")
    for at, size in enumerate(sizes):
        if size == 0:
            sizes[at] = BATCH_SIZE if at == 0 else r.row("size", value, at)
    return r.row("reshape", value, tuple(sizes))


def transpose(r: Collector, args: list[Any], fields: Fields) -> Any:
    """Without an order the axes are turned round."""
    (value,), order = args, fields.get("perm")
    if isinstance(value, Tensor):
        return value.turned(order)
    if order is None:
        raise ConversionError("it turns the axes round, the batch too")
    return r.row("permute", value, tuple(order))


def flatten(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Everything but the batch as one axis."""
    if fields.get("axis", 1) != 1:
        raise ConversionError("it does not keep the batch, axis 0, as it is")
    return r.row("flatten", args[0], 1)


def axes(r: Collector, args: list[Any], fields: Fields) -> Any:
    """Squeeze and Unsqueeze: lengths of one that go or come."""
    value, *rest = args
    if isinstance(value, Lengths) or (isinstance(value, Tensor) and value.is_number):
        return value
    places = fields.get("axes") or (r.whole(rest[0], "axes") if rest else None)
    if r.kind == "Squeeze":
        return r.row("squeeze", value, None if places is None else tuple(places))
    if places is None or min(places) < 0 <= max(places):
        raise ConversionError("it does not say from one side which axes are new")
    for at in sorted(places, reverse=min(places) < 0):
        value = r.row("unsqueeze", value, at)
    return value


def slices(r: Collector, args: list[Any], fields: Fields) -> Any:
    """From a start to an end along each of some axes."""
    value, *rest = args
    lists: list[Any] = [r.whole(each, "bounds") for each in rest if each is not None]
    starts, ends, *more = lists or [fields["starts"], fields["ends"]]
    along = more[0] if more else fields.get("axes") or range(len(starts))
    steps = more[1] if len(more) > 1 else [1] * len(starts)
    for axis, start, end, step in zip(along, starts, ends, steps, strict=True):
        stop = None if not -_LAST < end < _LAST else end
        value = r.row("slice", value, axis, start, stop, step)
    return value


def split(r: Collector, args: list[Any], fields: Fields) -> tuple[Ref, ...]:
    """Parts of an axis of these lengths."""
    value, *rest = args
    sizes = fields.get("split") or (r.whole(rest[0], "sizes") if rest else None)
    if sizes is None:
        count = fields.get("num_outputs")
        if count is None:
            raise ConversionError("it does not say how long its parts are")
        parts = r.row("chunk", value, count, fields.get("axis", 0))
        return tuple(r.row("getitem", parts, at) for at in range(count))
    parts = r.row("split", value, tuple(sizes), fields.get("axis", 0))
    return tuple(r.row("getitem", parts, at) for at in range(len(sizes)))


def _some(r: Collector, lengths: Lengths, places: list[int]) -> Lengths:
    if lengths.known is not None:
        return Lengths(tuple(lengths.known[at] for at in places))
    return Lengths(tuple(r.row("size", lengths.of, at) for at in places))


def shape(r: Collector, args: list[Any], fields: Fields) -> Lengths:
    """How long some axes are, or all."""
    (value,), start, end = args, fields.get("start", 0), fields.get("end")
    every = Lengths(None, value)
    if end is None and not start:
        return every
    if end is None or min(start, end) < 0:
        raise ConversionError("it asks for the lengths of axes counted from behind")
    return _some(r, every, list(range(start, end)))


def gather(r: Collector, args: list[Any], fields: Fields) -> Any:
    """Entries at places that the model holds, or rows of a table at places that come in."""
    value, index = args
    axis = fields.get("axis", 0)
    if isinstance(value, Lengths):
        return _some(r, value, r.whole(index, "index"))
    if isinstance(value, Tensor) and not isinstance(index, Tensor):
        if axis or value.array.ndim != 2:
            raise ConversionError("it looks something else up than rows of a matrix")
        return r.row("embedding", index, value)
    places = r.whole(index, "index")
    if index.array.ndim == 0:
        return r.row("select", value, axis, places[0])
    found = r.row("index_select", value, axis, tuple(places))
    return found if index.array.ndim == 1 else r.row("unflatten", found, axis, index.array.shape)


def pad(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Entries before and behind some axes."""
    value, *rest = args
    widths = fields.get("pads") or r.whole(rest[0], "pads")
    filled = rest[1].number if len(rest) > 1 and isinstance(rest[1], Tensor) else 0.0
    filled = fields.get("value", filled)
    mode = fields.get("mode", b"constant").decode()
    names = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if mode not in names:
        raise ConversionError(f"it pads by {mode!r}")
    count = len(widths) // 2
    along = r.whole(rest[2], "axes") if len(rest) > 2 and rest[2] is not None else None
    if along is None:
        along = list(range(-count, 0))  # every axis: counted from behind too
    if min(along) >= 0:
        raise ConversionError("it says from the front which axes it pads; expected from behind")
    ends = {at: (widths[k], widths[k + count]) for k, at in enumerate(along)}
    every = [end for at in range(-1, min(along) - 1, -1) for end in ends.get(at, (0, 0))]
    while every and not any(every[-2:]):  # the batch, and what is left as it is
        every = every[:-2]
    return r.row("pad", value, tuple(every), names[mode], filled)


def expand(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Lengths of one as long as told; 1 leaves a length as it is."""
    value, shape = args
    sizes = r.lengths(shape)
    if isinstance(value, Tensor) and value.is_number:
        return r.row("mul", r.row("ones", tuple(sizes)), value.number)
    return r.row("expand", value, tuple(-1 if n == 1 else n for n in sizes))


def tile(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """The value so many times behind itself along each axis."""
    value, times = args
    return r.row("tile", value, tuple(r.whole(times, "repeats")))


def concat(r: Collector, args: list[Any], fields: Fields) -> Any:
    """Values one behind the other, or lengths of axes."""
    if any(isinstance(each, Lengths) for each in args):
        return Lengths(tuple(length for each in args for length in r.lengths(each)))
    return r.row("cat", tuple(args), fields["axis"])


def constant_of_shape(r: Collector, args: list[Any], fields: Fields) -> Tensor:
    """A tensor of one number."""
    sizes = r.whole(args[0], "shape")
    if prod(sizes) > _MOST:
        raise ConversionError(f"it makes a tensor of shape {tuple(sizes)}")
    array = np.asarray(r.onnx.numpy_helper.to_array(fields["value"])) if "value" in fields else 0.0
    return Tensor(r.part, np.full(sizes, array, np.float32), trained=False)


def cast(r: Collector, args: list[Any], fields: Fields) -> Any:
    """Whole numbers, or the truth of a comparison, as numbers to calculate with."""
    proto, kind = r.onnx.TensorProto, fields["to"]
    if isinstance(args[0], Lengths) and kind == proto.INT64:
        return args[0]
    if kind not in (proto.FLOAT, proto.DOUBLE, proto.FLOAT16, proto.BFLOAT16):
        name = dict(zip(proto.DataType.values(), proto.DataType.keys(), strict=True)).get(kind)
        raise ConversionError(f"it makes {name} of its argument")
    return r.row("to", args[0])


_MOST = 10**6  # numbers that are made of one
LAYOUT = {
    "Cast": (cast, ("to", "saturate")),
    "Reshape": (reshape, ("allowzero",)), "Transpose": (transpose, ("perm",)),
    "Flatten": (flatten, ("axis",)), "Squeeze": (axes, ("axes",)), "Unsqueeze": (axes, ("axes",)),
    "Slice": (slices, ("starts", "ends", "axes")),
    "Split": (split, ("axis", "split", "num_outputs")),
    "Gather": (gather, ("axis",)), "Pad": (pad, ("mode", "pads", "value")), "Expand": (expand, ()),
    "Shape": (shape, ("start", "end")), "Tile": (tile, ()), "Concat": (concat, ("axis",)),
    "ConstantOfShape": (constant_of_shape, ("value",)),
}  # fmt: skip
