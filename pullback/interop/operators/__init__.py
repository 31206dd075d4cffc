"""The operators that are read, one row each, by torch's names; ONNX's are rows of the same table.

An operator makes a value of values, tensors of the model and numbers. Its kind says what becomes of
that: a formula may be taken into the one that reads it, what is summed (z) or anything else (a) is
an equation of its own, and a view of one stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any, Literal

from pullback.errors import ConversionError
from pullback.interop import formula, losses
from pullback.interop.builder import Builder
from pullback.interop.operators import (
    complexes,
    criteria,
    diagonals,
    elementwise,
    grids,
    grouping,
    lengths,
    lookups,
    loops,
    masks,
    noise,
    order,
    parts,
    picks,
    products,
    ranked,
    reductions,
    shapes,
    windows,
)
from pullback.interop.rows import Row
from pullback.interop.values import Compared, ComplexPair, CountedPlaces, PlacedNode
from pullback.ir import Constant, Input, Named, Parameter
from pullback.ir.source import bare
from pullback.nn.gates import GRU_CELL, LSTM_CELL, rnn
from pullback.nn.noise import NoiseLaw, NormalNoise, UniformNoise

Kind = Literal["view", "formula", "z", "a"]
_LAWS: dict[str, NoiseLaw] = {"randn": NormalNoise(), "rand": UniformNoise()}

_VIEWS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("transpose", "t", "T", "numpy_T", "swapaxes"), order.transposed),
    **dict.fromkeys(("mT", "mH", "adjoint"), order.last_two),
    "movedim": order.moved, "moveaxis": order.moved,
    "permute": order.permuted, "unsqueeze": order.unsqueezed, "squeeze": order.squeezed,
    **dict.fromkeys(("identity", "contiguous", "clone", "alias"), shapes.same),
    "shape": shapes.shape, "size": shapes.shape, "dtype": shapes.nothing, "device": shapes.nothing,
    "fill": shapes.copied, "copy": shapes.copied, "lift_fresh_copy": shapes.same,
    **dict.fromkeys(("detach", "data"), lookups.detached), "arange": lookups.counted,
    "tril": masks.lower, "triu": masks.upper,
    "numel": shapes.count, "nelement": shapes.count,
    "ndim": shapes.rank, "dim": shapes.rank,
    **dict.fromkeys(("to", "type", "type_as", "float", "double"), shapes.converted),
    **{name: partial(shapes.filled, value=at) for name, at in (("zeros", 0.0), ("ones", 1.0))},
    **{f"{name}_like": partial(shapes.filled_like, value=at)
       for name, at in (("zeros", 0.0), ("ones", 1.0))},
    **{f"new_{name}": partial(shapes.new_filled, value=at)
       for name, at in (("zeros", 0.0), ("ones", 1.0))},
    "full": shapes.full, "full_like": shapes.full_like, "new_full": shapes.new_full,
    **{name: partial(elementwise.compared, name=name) for name in formula.COMPARED},
}  # fmt: skip
_FORMULAS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("and", "logical_and", "bitwise_and"), masks.both),
    "any": masks.anywhere, "all": masks.everywhere,
    "lerp": elementwise.interpolated, "addcmul": elementwise.with_product,
    "outer": elementwise.outer,
    "addcdiv": partial(elementwise.with_product, divides=True),
    "abs": lambda b, x: elementwise.applied(b, x, formula.named_block("abs")),
    "block": elementwise.applied, "prelu": elementwise.prelu, "where": masks.where,
    "masked_fill": masks.filled, "logical_not": masks.negated, "bitwise_not": masks.negated,
    "invert": masks.negated, "or": masks.either, "logical_or": masks.either,
    "bitwise_or": masks.either,
    "glu": parts.gated,
    **{name: partial(elementwise.joined, name=name)
       for name in (*formula.BINARY, "floordiv", "floor_divide", "mod")},
    **{name: partial(masks.added, name=name) for name in ("add", "sub")},
}  # fmt: skip
_SUMMED: dict[str, Callable[..., Any]] = {
    "embedding": lookups.embedded, "linear": products.linear, "addmm": products.addmm,
    "einsum": products.einsum, "bilinear": products.bilinear,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), windows.convolution),
    "convolution": windows.any_convolution,
    **{f"conv_transpose{n}d": windows.transposed_convolution for n in (1, 2, 3)},
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "vdot", "inner", "dot"), products.matmul),
}  # fmt: skip
_OTHERS: dict[str, Callable[..., Any]] = {
    "scaled_dot_product_attention": products.attention, "embedding_bag": lookups.bag,
    "sum": reductions.total, "mean": reductions.mean, "var": reductions.variance,
    "std": reductions.deviation, "prod": reductions.product, "cumprod": reductions.products,
    "var_mean": partial(reductions.with_mean, how=reductions.variance),
    "std_mean": partial(reductions.with_mean, how=reductions.deviation),
    "aminmax": reductions.both_extremes, "argmin": reductions.place_of_smallest,
    "topk": ranked.top, "sort": ranked.in_order,
    "instance_norm": reductions.instance_norm,
    "diagonal": diagonals.diagonal, "diag_embed": diagonals.embedded_diagonal,
    "trace": diagonals.trace, "cdist": lengths.distances,
    "amax": reductions.largest, "amin": reductions.smallest,
    "global_mean": partial(reductions.overall, how=reductions.mean),
    "global_max": partial(reductions.overall, how=reductions.largest),
    **{name: partial(reductions.extreme, name=name) for name in ("max", "min")},
    "logsumexp": reductions.logsumexp, "softmax": reductions.softmax,
    "log_softmax": reductions.log_softmax, "layer_norm": reductions.layer_norm,
    "group_norm": reductions.group_norm,
    "rms_norm": reductions.rms_norm, "batch_norm": reductions.batch_norm,
    **dict.fromkeys(("norm", "linalg_norm", "linalg_vector_norm", "vector_norm"), lengths.norm),
    "normalize": lengths.normalised, "weight_norm": lengths.weight_norm,
    "cosine_similarity": lengths.cosine_similarity,
    "pairwise_distance": lengths.pairwise_distance,
    "cat": parts.concatenated, "stack": parts.stacked, "hstack": parts.side_by_side,
    "chunk": parts.chunked, "split": parts.split, "unbind": parts.unbound,
    "select_backward": parts.put_back, "slice_backward": parts.slice_put_back,
    "slice_scatter": parts.overwritten, "select_scatter": parts.entry_overwritten,
    "slice": parts.sliced, "select": parts.selected, "narrow": parts.narrowed,
    "getitem": picks.indexed, "reshape": grouping.reshaped, "view": grouping.reshaped,
    "flatten": grouping.flattened, "unflatten": grouping.unflattened, "expand": order.expanded,
    **{f"avg_pool{n}d": partial(windows.average_pool, dims=n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": partial(windows.adaptive_average_pool, dims=n) for n in (1, 2, 3)},
    **dict.fromkeys(("interpolate", "upsample"), grids.upsampled),
    **{f"upsample_nearest{n}d": partial(grids.upsampled_to, mode="nearest") for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": partial(grids.upsampled_to, mode="nearest-exact")
       for n in (1, 2, 3)},
    **{f"upsample_{name}": partial(grids.upsampled_to, mode=name[:-2], corners=True)
       for name in ("linear1d", "bilinear2d", "trilinear3d", "bicubic2d")},
    "im2col": windows.columns, "col2im": windows.from_columns,
    "channel_shuffle": grids.channels_shuffled,
    **{f"max_pool{n}d": partial(windows.largest_pool, dims=n) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": partial(windows.adaptive_largest_pool, dims=n) for n in (1, 2, 3)},
    "dropout": noise.dropped, "normal": noise.normal, "bernoulli": noise.bernoulli,
    **{name: partial(noise.drawn, law=law) for name, law in _LAWS.items()},
    **{f"{name}_like": partial(noise.drawn_like, law=law) for name, law in _LAWS.items()},
    **dict.fromkeys(("dropout1d", "dropout2d", "dropout3d", "feature_dropout"),
                    partial(noise.dropped, channels=True)),
    "argmax": reductions.place_of_largest,
    "pixel_shuffle": grids.shuffled, "pixel_unshuffle": grids.unshuffled,
    "unfold": windows.unfolded,
    "gather": picks.gathered_by, "take_along_dim": picks.gathered_by, "one_hot": picks.one_hot,
    "index": picks.by_tensors, "index_add": parts.added_at, "diff": parts.differences,
    "tensor_split": parts.split_into,
    "hsplit": partial(parts.split_into, dim=1), "column_stack": parts.side_by_side,
    "broadcast_to": order.expanded,
    "expand_as": order.expanded_as, "reshape_as": grouping.reshaped_as,
    "view_as": grouping.reshaped_as, "repeat": grouping.repeated, "tile": grouping.repeated,
    "repeat_interleave": grouping.repeated_each, "index_select": picks.picked,
    "flip": parts.flipped, "roll": parts.rolled, "pad": parts.padded, "cumsum": parts.cumulated,
}  # fmt: skip
_CELLS = {"rnn_tanh": rnn("tanh"), "rnn_relu": rnn("relu"), "gru": GRU_CELL, "lstm": LSTM_CELL}
_OTHERS |= {name: partial(loops.layers, of=cell) for name, cell in _CELLS.items()}
_ORDERS = {"gru": (1, 0, 2), "lstm": (0, 2, 3, 1)}  # of ONNX's gates
_OTHERS |= {
    f"{name}_by_direction": partial(loops.by_direction, of=cell, order=_ORDERS.get(name, ()))
    for name, cell in _CELLS.items()
}
_OTHERS |= {f"{name}_cell": partial(loops.cell, of=cell) for name, cell in _CELLS.items()}
_OTHERS |= {name: partial(criteria.reduced, name=name) for name in losses.LOSSES}
OPERATORS: dict[str, tuple[Kind, Callable[..., Any]]] = {
    **{name: ("view", how) for name, how in _VIEWS.items()},
    **{name: ("formula", how) for name, how in _FORMULAS.items()},
    **{name: ("z", how) for name, how in _SUMMED.items()},
    **{name: ("a", how) for name, how in _OTHERS.items()},
}
_HINTS = {
    "requires_grad": "take a derivative inside forward by torch.vmap(torch.func.grad(f))(x)",
    "matrix_exp": "torch.nn.utils.parametrize.remove_parametrizations keeps the weight's value",
    "linalg_householder_product": "torch.nn.utils.parametrize.remove_parametrizations keeps the "
    "weight's value",
    "multiheadattention": "write it as products, or call scaled_dot_product_attention",
}  # fmt: skip


_OVER_MASKS = ("softmax", "log_softmax", "masked_fill", "where", "identity", "dropout", "add",
               "addmm", "scaled_dot_product_attention")  # fmt: skip
# what moves entries: what does not count moves along
_MOVING = ("view", "reshape", "unsqueeze", "squeeze", "expand", "permute", "transpose", "slice",
           "select", "getitem", "flatten", "contiguous", "repeat", "clone", "to")  # fmt: skip
_READS_CONDITIONS = (
    "where", "masked_fill", "and", "logical_and", "bitwise_and", "or", "logical_or", "bitwise_or",
    "logical_not", "bitwise_not", "invert", "any", "all", "to", "float", "double", "type",
    "scaled_dot_product_attention",
)  # fmt: skip


def hint(name: str) -> str:
    """What to do instead, or what is missing, where that is known."""
    lower = name.lower()
    return f"; {_HINTS[lower]}" if lower in _HINTS else ""


def applied(b: Builder, row: Row) -> Any:
    """What a row makes of the results before it.

    Raises ConversionError for an operator or an argument that is not read.
    """
    args = tuple(map(b.resolved, row.args))
    options = {name: b.resolved(value) for name, value in row.options if value is not None}
    if row.operator in complexes.MAKERS or _is_complex((*args, *options.values())):
        how = OPERATORS.get(row.operator, ("a", None))[1]
        args = tuple(_settled(b, each) for each in args)
        found = complexes.computed(b, row.operator, args, options, how)
        return _under_a_name(b, found, "a")
    if row.operator not in OPERATORS:
        raise ConversionError(f"it has no counterpart in pullback{hint(row.operator)}")
    kind, how = OPERATORS[row.operator]
    if row.operator not in _READS_CONDITIONS:
        args, options = _as_numbers(b, args), {k: _as_numbers(b, v) for k, v in options.items()}
    held = [each for each in (*args, *options.values()) if isinstance(each, PlacedNode)]
    if row.operator in _MOVING and args and isinstance(args[0], PlacedNode) and args[0].where:
        return masks.with_mask(b, b.named(args[0]), how, *args[1:], **options)
    if row.operator not in _OVER_MASKS and any(each.where is not None for each in held):
        raise ConversionError("it reads what does not count, −∞, outside of a softmax")
    if args and isinstance(args[0], CountedPlaces) and row.operator in ("unsqueeze", "to", "long"):
        before = args[0].before + (row.operator == "unsqueeze" and args[1] == 0)
        return replace(args[0], before=before)
    if kind in ("z", "a"):
        args, options = _settled(b, args), {k: _settled(b, v) for k, v in options.items()}
    try:
        signature(how).bind(b, *args, **options)
    except TypeError:
        told = ", ".join(options) or "other arguments"
        raise ConversionError(f"{row.operator} with {told}, which pullback does not read") from None
    found = how(b, *args, **options)
    if isinstance(found, tuple):
        parts = enumerate(found)
        return tuple(_under_a_name(b, each, kind, f"{at}") for at, each in parts)
    return _under_a_name(b, found, kind)


def _is_complex(values: tuple[Any, ...]) -> bool:
    """Is a complex value among them, or among those of a tuple?"""
    return any(
        isinstance(each, ComplexPair) or (isinstance(each, tuple) and _is_complex(each))
        for each in values
    )


def _as_numbers(b: Builder, arg: Any) -> Any:
    """An argument in which every comparison is 1 or 0."""
    if isinstance(arg, tuple):
        return tuple(_as_numbers(b, each) for each in arg)
    return elementwise.chosen(b, arg) if isinstance(arg, Compared) else arg


def _settled(b: Builder, arg: Any) -> Any:
    """An argument in which every value is an equation."""
    if isinstance(arg, tuple):
        return tuple(_settled(b, each) for each in arg)
    return b.named(arg) if isinstance(arg, PlacedNode) else arg


def _under_a_name(b: Builder, found: Any, kind: Kind, part: str = "") -> Any:
    """A value as an equation, unless it is one, waits to be taken in, or is a leaf."""
    if not isinstance(found, PlacedNode) or found.row is not None:
        return found
    if isinstance(bare(found.node), (Named, Input, Parameter, Constant)):
        return found
    return b.named(replace(found, row=b.row, role="z" if kind == "z" else "a"), part)
