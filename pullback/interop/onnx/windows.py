"""ONNX's convolutions and pools as rows."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop.onnx.collector import Collector, Fields
from pullback.interop.onnx.tensors import Tensor
from pullback.interop.rows import Ref

_SLIDING = ("kernel_shape", "strides", "pads", "dilations", "auto_pad")


def conv(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """A convolution, or its transpose, with a weight that the model holds."""
    x, weight, *bias = args
    if not isinstance(weight, Tensor) or weight.array.ndim < 3:
        raise ConversionError("its weight is none of the model's")
    n = weight.array.ndim - 2
    strides, dilations = (tuple(fields.get(name) or (1,) * n) for name in ("strides", "dilations"))
    bias = [each for each in bias if each is not None]
    settings = {"stride": strides, "dilation": dilations, "groups": fields.get("group", 1)}
    pads = _pads(fields, n, strides)
    if r.kind == "Conv":
        if isinstance(pads, str) or pads[:n] == pads[n:]:
            even = pads if isinstance(pads, str) else pads[:n]
            return r.row(f"conv{n}d", x, weight, *bias, padding=even, **settings)
        return r.row(f"conv{n}d", _padded(r, x, pads), weight, *bias, **settings)
    if isinstance(pads, str) or fields.get("output_shape"):
        raise ConversionError("it says how long its output is, and not the padding")
    more = tuple(fields.get("output_padding") or (0,) * n)
    # what is cut off behind, beside what is cut off before, is less added there
    ends = tuple(p + o - q for p, q, o in zip(pads[:n], pads[n:], more, strict=True))
    settings |= {"padding": pads[:n], "output_padding": ends}
    return r.row(f"conv_transpose{n}d", x, weight, *bias, **settings)


def pool(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """The largest entry or the mean of each window."""
    n = len(fields["kernel_shape"])
    taps, strides = tuple(fields["kernel_shape"]), tuple(fields.get("strides") or (1,) * n)
    dilations = tuple(fields.get("dilations") or (1,) * n)
    pads, ceil = _pads(fields, n, strides), bool(fields.get("ceil_mode", 0))
    if fields.get("storage_order") or fields.get("count_include_pad") not in (None, 0, 1):
        raise ConversionError("it counts places by columns")
    if isinstance(pads, str):  # with stride 1 the reach of a window tells how much
        reach = [d * (k - 1) for k, d in zip(taps, dilations, strict=True)]
        pads = tuple([each // 2 for each in reach] + [each - each // 2 for each in reach])
    x = args[0]
    if r.kind == "MaxPool":
        if pads[:n] != pads[n:]:
            raise ConversionError(f"its padding differs before and behind, {list(pads)}")
        return r.row(f"max_pool{n}d", x, taps, strides, pads[:n], dilations, ceil)
    if set(dilations) != {1}:
        raise ConversionError("its windows have gaps")
    counted = bool(fields.get("count_include_pad", 0))
    if pads[:n] != pads[n:]:
        if not counted or ceil:
            raise ConversionError(f"its padding differs before and behind, {list(pads)}")
        x, pads = _padded(r, x, pads), (0,) * 2 * n
    return r.row(f"avg_pool{n}d", x, taps, strides, pads[:n], ceil, counted)


def whole(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """One number for each channel."""
    return r.row("global_mean" if r.kind == "GlobalAveragePool" else "global_max", args[0])


def _padded(r: Collector, x: Any, pads: tuple[int, ...]) -> Ref:
    """With zeros; torch counts axes from behind."""
    n = len(pads) // 2
    around = tuple(end for at in range(n - 1, -1, -1) for end in (pads[at], pads[at + n]))
    return r.row("pad", x, around)


def _pads(fields: Fields, n: int, strides: tuple[int, ...]) -> tuple[int, ...] | str:
    """How much stands before each axis and then behind each, or "same"."""
    auto = fields.get("auto_pad", b"NOTSET").decode()
    if auto == "VALID":
        return (0,) * 2 * n
    if auto == "SAME_UPPER" and set(strides) == {1}:
        return "same"
    if auto != "NOTSET":
        raise ConversionError(
            f"it pads by {auto} and strides; export it with the padding as numbers"
        )
    return tuple(fields.get("pads") or (0,) * 2 * n)


# how coordinates and modes are called by torch: its mode, and whether corners meet
_GRIDS = {
    ("nearest", "asymmetric", "floor"): ("nearest", False),
    ("linear", "half_pixel", ""): ("linear", False),
    ("linear", "pytorch_half_pixel", ""): ("linear", False),
    ("linear", "align_corners", ""): ("linear", True),
}


def resized(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Another grid behind the channels, by nearest entries or between them."""
    value, *rest = args
    scales, sizes = (rest[at] if at < len(rest) else None for at in (1, 2))
    mode = fields.get("mode", b"nearest").decode()
    way = fields.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounds = fields.get("nearest_mode", b"round_prefer_floor").decode() if mode == "nearest" else ""
    if (mode, way, rounds) not in _GRIDS:
        told = ", ".join(each for each in (mode, way, rounds) if each)
        raise ConversionError(f"it makes another grid by {told}, which pullback does not read")
    name, corners = _GRIDS[mode, way, rounds]
    if sizes is not None:
        return r.row("upsample", value, tuple(r.whole(sizes, "sizes")[2:]), None, name, corners)
    if not isinstance(scales, Tensor):
        raise ConversionError("its scales are no constant")
    batch, channels, *factors = map(float, scales.array.ravel())
    if (batch, channels) != (1, 1):
        raise ConversionError("it resizes the channels, or the batch")
    return r.row("upsample", value, None, tuple(factors), name, corners)


def pixels(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Channels as the pixels of a finer grid."""
    if fields.get("mode", b"DCR") != b"CRD":
        raise ConversionError("it takes depth first (DCR); torch's PixelShuffle is CRD")
    return r.row("pixel_shuffle", args[0], fields["blocksize"])


WINDOWS = {
    "Resize": (
        resized,
        (
            "mode",
            "coordinate_transformation_mode",
            "nearest_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
        ),
    ),
    "DepthToSpace": (pixels, ("blocksize", "mode")),
    "Conv": (conv, (*_SLIDING, "group")),
    "ConvTranspose": (conv, (*_SLIDING, "group", "output_padding", "output_shape")),
    "MaxPool": (pool, (*_SLIDING, "ceil_mode", "storage_order")),
    "AveragePool": (pool, (*_SLIDING, "ceil_mode", "count_include_pad")),
    "GlobalAveragePool": (whole, ()),
    "GlobalMaxPool": (whole, ()),
}
