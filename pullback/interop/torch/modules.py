"""Equations as torch has them: modules, and functions where a weight stands elsewhere."""

from __future__ import annotations

from typing import Any

from pullback.interop.formula import known_block
from pullback.interop.grouping import Grouping
from pullback.interop.windows import Convolution, Pool, Way
from pullback.ir import Scalar
from pullback.ir.forms import Affine, Lookup
from pullback.nn import ELU, Hardtanh, LeakyReLU

# not Hardsigmoid, whose 1/6 is a float32 in torch
_SAME = (
    "Identity", "ReLU", "Sigmoid", "Tanh", "SELU", "GELU", "SiLU", "Softplus", "Mish", "LogSigmoid",
    "Softsign", "ReLU6", "Hardswish",
)  # fmt: skip
_MOST = 3  # directions


def module_of(nn: Any, form: Affine | Convolution | Grouping | Lookup | Pool) -> Any:
    """The module that an equation of this form is; None if torch has none.

    Its parameters are loaded later: none is drawn.
    """
    match form:
        case Affine():
            sizes, bias = (form.n_in, form.n_out), form.bias is not None
            return nn.utils.skip_init(nn.Linear, *sizes, bias=bias)
        case Convolution():
            settings = convolved(form)
            if settings is None:
                return None
            kind = getattr(nn, f"Conv{'Transpose' if form.transposed else ''}{len(form.ways)}d")
            taps = tuple(way.sizes[2] for way in form.ways)
            bias = form.bias is not None
            return nn.utils.skip_init(kind, *form.channels, taps, bias=bias, **settings)
        case Grouping(merges=True):
            return nn.Flatten(form.at, form.at + len(form.many) - 1)
        case Grouping():
            return nn.Unflatten(form.at, tuple(axis.size for axis in form.many))
        case Lookup():
            rows, units = (axis.size for axis in form.table.axes)
            return nn.utils.skip_init(nn.Embedding, rows, units)
        case Pool():
            return _pool(nn, form)


def convolved(form: Convolution) -> dict[str, Any] | None:
    """The settings of a convolution; None where torch has none such."""
    ways = form.ways
    if len(ways) > _MOST or min(way.before for way in ways) < 0:
        return None
    settings: dict[str, Any] = {
        "stride": tuple(way.stride for way in ways),
        "padding": tuple(way.before for way in ways),
        "dilation": tuple(way.dilation for way in ways),
        "groups": form.groups,
    }
    if form.transposed:
        more = tuple(way.before - way.after for way in ways)
        if any(not 0 <= m < max(w.stride, w.dilation) for m, w in zip(more, ways, strict=True)):
            return None
        return settings | {"output_padding": more}
    if all(way.even for way in ways):
        return settings
    return settings | {"padding": "same"} if all(map(_is_same, ways)) else None


def _is_same(way: Way) -> bool:
    """Is it padded as "same" is, with an odd zero behind?"""
    return way.stride == 1 and (way.before, way.after) == (
        (way.reach - 1) // 2,
        way.reach // 2,
    )


def _pool(nn: Any, form: Pool) -> Any:
    ways = form.ways
    late = any(not way.even for way in ways)
    if len(ways) > _MOST or any(
        not 0 <= 2 * way.before <= way.sizes[2] or way.count(way.before, ceil=late) != way.sizes[1]
        for way in ways
    ):
        return None
    taps, strides, pads, dilations = (
        tuple(each)
        for each in zip(
            *((way.sizes[2], way.stride, way.before, way.dilation) for way in ways), strict=True
        )
    )
    if form.largest:
        kind = getattr(nn, f"MaxPool{len(ways)}d")
        return kind(taps, strides, pads, dilations, ceil_mode=late)
    if late or set(dilations) != {1}:
        return None
    return getattr(nn, f"AvgPool{len(ways)}d")(taps, strides, pads)


def activation(nn: Any, function: Scalar) -> Any:
    """The module that a function of one value is; None if torch has none."""
    match known := known_block(function.expr):
        case LeakyReLU():
            return nn.LeakyReLU(known.slope)
        case ELU():
            return nn.ELU(known.alpha)
        case Hardtanh():
            return nn.Hardtanh(known.min_val, known.max_val)
    name = type(known).__name__
    return getattr(nn, name)() if name in _SAME else None
