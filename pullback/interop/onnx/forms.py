"""ONNX's operators of a form of their own, as rows: products, norms, softmaxes, reductions."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.onnx.collector import Collector, Fields
from pullback.interop.onnx.tensors import Tensor
from pullback.interop.rows import Ref
from pullback.nn import Elementwise

REDUCED = {
    "ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "amax", "ReduceMin": "amin",
    "ReduceLogSumExp": "logsumexp",
}  # fmt: skip


def gemm(r: Collector, args: list[Any], fields: Fields) -> Any:
    """alpha · x W + beta · b."""
    x, weight, *rest = args
    bias = rest[0] if rest else None
    alpha, beta = fields.get("alpha", 1.0), fields.get("beta", 1.0)
    if fields.get("transA"):
        raise ConversionError("it transposes the value, axis batch")
    if not isinstance(weight, Tensor) or weight.array.ndim != 2:
        raise ConversionError("its weight is no matrix of the model's")
    turned = weight if fields.get("transB") else weight.turned((1, 0))
    if alpha == beta == 1:
        return r.row("linear", x, turned, *(() if bias is None else (bias,)))
    found = r.row("mul", r.row("linear", x, turned), alpha)
    return found if bias is None else r.row("add", found, r.row("mul", bias, beta))


def clip(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Between two numbers."""
    value, *bounds = args
    ends: list[float | None] = []
    for at, name in enumerate(("min", "max")):
        bound = bounds[at] if at < len(bounds) else None
        if isinstance(bound, Ref):
            raise ConversionError(f"its {name} depends on the input")
        if isinstance(bound, Tensor) and bound.trained:
            raise ConversionError(
                f"its {name} {bound.name!r} is an initializer of floats, which training would "
                "change; make it a Constant node if it is a constant"
            )
        ends.append(bound.number if isinstance(bound, Tensor) else fields.get(name))
    block: Elementwise = formula.block_of(formula.clamp(*ends))
    return r.row("block", value, block)


def prelu(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """x above 0, slope · x elsewhere."""
    x, slope = args
    return r.row("where", r.row("gt", x, 0), x, r.row("mul", x, slope))


def dropout(r: Collector, args: list[Any], fields: Fields) -> Any:
    """The value itself, as outside of training."""
    training = args[2] if len(args) > 2 else None
    if isinstance(training, Ref) or (isinstance(training, Tensor) and training.array.any()):
        raise ConversionError("it draws at random in training")
    return args[0]


def softmax(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Softmax and its logarithm along an axis."""
    name = "softmax" if r.kind == "Softmax" else "log_softmax"
    return r.row(name, args[0], fields.get("axis", -1 if r.opset >= 13 else 1))


def reduced(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """One number along some axes."""
    value, *rest = args
    axes = fields.get("axes")
    if rest and rest[0] is not None:
        axes = r.whole(rest[0], "axes")
    if not axes:
        raise ConversionError("it reduces every axis, the batch too")
    return r.row(REDUCED[r.kind], value, tuple(axes), bool(fields.get("keepdims", 1)))


def batch_norm(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """With the statistics that the model holds."""
    value, weight, bias, mean, var = args
    if fields.get("training_mode"):
        raise ConversionError("it normalises by the batch's own statistics")
    mean, var = (t.frozen() if isinstance(t, Tensor) else t for t in (mean, var))
    return r.row("batch_norm", value, mean, var, weight, bias, eps=fields.get("epsilon", 1e-5))


def layer_norm(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Over the last axis."""
    value, weight, *bias = args
    if not isinstance(weight, Tensor) or fields.get("axis", -1) not in (-1, -weight.array.ndim):
        raise ConversionError("it normalises over other axes than the last")
    eps = fields.get("epsilon", 1e-5)
    return r.row("layer_norm", value, weight.array.shape, weight, *bias, eps=eps)


def instance_norm(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Each channel of each sample by its own mean and variance."""
    value, weight, bias = args
    eps = fields.get("epsilon", 1e-5)
    return r.row("instance_norm", value, None, None, weight, bias, eps=eps)


def group_norm(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Groups of channels by their own mean and variance."""
    value, weight, bias = args
    if r.opset < 21:
        raise ConversionError("it scales whole groups, as before opset 21; export it with 21")
    eps = fields.get("epsilon", 1e-5)
    return r.row("group_norm", value, fields["num_groups"], weight, bias, eps=eps)


def norm(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """Σ |x|, √(Σ x²) or Σ x² along some axes."""
    value, *rest = args
    axes = fields.get("axes")
    if rest and rest[0] is not None:
        axes = r.whole(rest[0], "axes")
    if not axes:
        raise ConversionError("it reduces every axis, the batch too")
    keeps = bool(fields.get("keepdims", 1))
    if r.kind == "ReduceSumSquare":
        return r.row("sum", r.row("mul", value, value), tuple(axes), keeps)
    return r.row("norm", value, 1 if r.kind == "ReduceL1" else 2, tuple(axes), keeps)


def cumulated(r: Collector, args: list[Any], fields: Fields) -> Ref:
    """The sums of what stands before and here."""
    if fields.get("exclusive") or fields.get("reverse"):
        raise ConversionError("it leaves out the entry itself, or begins at the end")
    (axis,) = r.whole(args[1], "axis")
    return r.row("cumsum", args[0], axis)


NORMS = ("ReduceL1", "ReduceL2", "ReduceSumSquare")
FORMS = {
    "InstanceNormalization": (instance_norm, ("epsilon",)),
    "GroupNormalization": (group_norm, ("epsilon", "num_groups", "stash_type")),
    "CumSum": (cumulated, ("exclusive", "reverse")),
    **dict.fromkeys(NORMS, (norm, ("axes", "keepdims", "noop_with_empty_axes"))),
    "Gemm": (gemm, ("alpha", "beta", "transA", "transB")), "Clip": (clip, ("min", "max")),
    "PRelu": (prelu, ()), "Dropout": (dropout, ("ratio", "seed")),
    "Softmax": (softmax, ("axis",)), "LogSoftmax": (softmax, ("axis",)),
    "BatchNormalization": (batch_norm, ("epsilon", "momentum", "training_mode")),
    "LayerNormalization": (layer_norm, ("axis", "epsilon", "stash_type")),
    **dict.fromkeys(REDUCED, (reduced, ("axes", "keepdims", "noop_with_empty_axes"))),
}  # fmt: skip
