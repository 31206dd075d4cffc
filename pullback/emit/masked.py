"""Reductions over the entries that a mask leaves, by sums and maxima of finite numbers alone.

Whatever stands where the mask is 0 is first replaced by the smallest entry of its line, so that no
infinity and no overflow comes up on the way, in a library that differentiates the program either.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from pullback.emit.products import ProductSteps
from pullback.emit.record import Lazy
from pullback.emit.values import Places
from pullback.ir import ArgMax, Axes, LogSumExp, Max
from pullback.ir.scalar.cases import Piecewise

Masked = LogSumExp | Max | ArgMax


def masked(products: ProductSteps, node: Masked, arg: Lazy, where: Lazy) -> Lazy:
    """What a reduction with a mask comes to; 0 where nothing is left."""
    over, kept = node.over, node.axes
    record = products.record

    def reduced(kind: Any, expr: Any, axes: Axes) -> Any:
        left = tuple(axis for axis in axes if axis in kept)
        if left == axes:
            return expr
        return products.reduced(kind, Lazy(expr, axes), left).expr

    least = -reduced("max", -arg.expr, arg.axes)
    held = record.of(record.array(Lazy(_where(where, arg.expr, least), over), over)).expr
    top = reduced("max", held, over)
    if isinstance(node, ArgMax):
        chosen = _where(where, Piecewise((1, held >= top), (0, True)), 0)
        return first_largest(products, Lazy(chosen, over), kept)
    if isinstance(node, Max):
        return Lazy(Piecewise((top, reduced("max", where.expr, where.axes) > 0), (0, True)), kept)
    total = reduced("sum", _where(where, sp.exp(held - top), 0), over)
    # a total of anything is at least 1: the largest entry's own share
    return Lazy(Piecewise((top + sp.log(sp.Max(total, 1)), total > 0), (0, True)), kept)


def first_largest(products: ProductSteps, arg: Lazy, axes: Axes) -> Lazy:
    """Where the first largest entry stands along the axis that is not in ``axes``."""
    value = products.record.any_order(arg)
    kept = tuple(axis for axis in value.axes if axis in axes)
    return products.record.of(products.record.step(Places, kept, {"arg": value}))


def _where(mask: Lazy, value: Any, otherwise: Any) -> Any:
    return Piecewise((value, mask.expr > 0), (otherwise, True))
