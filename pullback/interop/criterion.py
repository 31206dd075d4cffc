"""A loss of somebody's own, as rows: what it is for one sample, and how samples are reduced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators import applied
from pullback.interop.rows import Batch, Held, Ref, Row
from pullback.interop.values import Labels, PlacedNode
from pullback.ir import Axes, Node
from pullback.ir.build import scale
from pullback.nn import Loss, Scope
from pullback.nn.loss import Target

# what other libraries do to class numbers that pullback keeps as one-hot rows
_SHAPES = ("unsqueeze", "squeeze", "view", "reshape", "getitem", "flatten", "to", "long", "type",
           "contiguous", "identity", "clone", "detach")  # fmt: skip
_OUTPUT = Ref(0)
_BY_CLASS = ("gather", "one_hot", "take_along_dim", "cross_entropy", "nll_loss")


@dataclass(frozen=True, eq=False, repr=False)
class TracedLoss(Loss):
    """The rows of a loss, from the output and the target to one number."""

    name: str = ""
    rows: tuple[Row, ...] = ()
    result: Ref = _OUTPUT

    @property
    def target(self) -> Target:
        return "classes" if any(row.operator in _BY_CLASS for row in self.rows) else "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        return self._built(output, target)[0]

    def reduced_by(self, output: Node, target: Node) -> str:
        """How it reduces the samples: by their mean or their sum.

        Raises ConversionError where it is neither.
        """
        return self._built(output, target)[1]

    def _built(self, output: Node, target: Node) -> tuple[Node, str]:
        builder = _LossBuilder([output, target], self.rows, Scope("loss"))
        if self.target == "classes":
            builder.results[1] = Labels(target)
        found = builder.evaluated(self.result, _of_labels)
        if not isinstance(found, PlacedNode) or any(dim is not None for dim in found.dims):
            raise ConversionError(f"the loss {self.name} is no single number")
        if builder.reduction is None:
            raise ConversionError(f"the loss {self.name} takes no mean or sum over the samples")
        return found.node, builder.reduction

    def __repr__(self) -> str:
        return f"TracedLoss({self.name!r}, reduction={self.reduction!r})"


def _of_labels(b: Builder, row: Row) -> Any:
    """A row whose first argument may be class numbers, which stay what they are."""
    first = b.resolved(row.args[0]) if row.args else None
    if isinstance(first, Labels) and row.operator in _SHAPES:
        return first
    if isinstance(first, Labels) and row.operator in ("shape", "size"):
        return Batch() if row.args[1:] else (Batch(),)
    return applied(b, row)


class _LossBuilder(Builder):
    """Builds one formula: nothing in it is an equation, and what is reduced over samples waits."""

    def __init__(self, inputs: Sequence[Node], rows: Sequence[Row], at: Scope) -> None:
        super().__init__(inputs, rows, at)
        self.reduction: str | None = None

    def equation(self, role: str, node: Node, row: Row | None = None, part: str = "") -> Node:
        return node

    def named(self, value: PlacedNode, part: str = "") -> PlacedNode:
        return replace(value, row=None)

    def parameter(self, held: Held, axes: Axes) -> Node:
        raise ConversionError("a loss with tensors of its own, which pullback cannot read yet")

    def over_samples(self, name: str) -> None:
        if name not in ("mean", "sum"):
            raise ConversionError(f"{name} is over the samples; a loss is their mean or their sum")
        if self.reduction not in (None, name):
            raise ConversionError("it takes a mean over samples and a sum over samples")
        self.reduction = name

    def over_batch(self, x: PlacedNode, size: Batch) -> PlacedNode:
        if self.reduction != "sum":
            raise ConversionError("it computes with the batch's size")
        self.reduction = "mean"
        return PlacedNode(scale(1 / size.times, x.node), x.dims)
