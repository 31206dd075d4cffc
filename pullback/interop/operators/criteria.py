"""Losses, and what class numbers pick: rows of a criterion."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.losses import our_loss
from pullback.interop.values import Labels, PlacedNode, axes_of
from pullback.ir import Node
from pullback.ir.build import with_axes


def reduced(
    b: Builder, input: Any, target: Any, weight: Any = None, *, name: str,
    reduction: str = "mean", **options: Any,
) -> PlacedNode:  # fmt: skip
    """A loss of torch's, as the mean or the sum over the samples."""
    x = b.tensor(input)
    each = reduction == "none" and name in ("cross_entropy", "nll_loss")
    loss = our_loss(name, "sum" if each else reduction, {"weight": weight, **options})
    if len(x.dims) > 2 and loss.target == "classes":
        raise ConversionError(f"{name} of classes at several places of a sample")
    output, rows = with_axes(x.node, axes_of(x.dims)), _rows(b, target, x)
    if loss.share(rows) is not None:
        raise ConversionError(f"{name} with weights of classes, as one of several terms")
    node = loss.per_sample(output, rows)
    if each:
        return PlacedNode(node, x.dims[:1])
    b.over_samples(reduction)
    return PlacedNode(node, ())


def _rows(b: Builder, target: Any, x: PlacedNode) -> Node:
    """A target beside an output: class numbers as one-hot rows."""
    if isinstance(target, Labels):
        return target.rows
    other = b.tensor(target)
    if len(other.dims) != len(x.dims):
        raise ConversionError(f"its target has {len(other.dims)} axes, its output {len(x.dims)}")
    return b.brought(other, x.dims)
